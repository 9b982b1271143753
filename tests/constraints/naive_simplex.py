"""Floors and caps by bisection, and bounds looked at one by one."""


def bisect(function, target, low=0.0, high=1.0):
    """Smallest x with function(x) >= target, for a growing function."""
    while function(high) < target:
        high *= 2.0
        if high > 1e12:
            return high
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (low, middle) if function(middle) >= target else (middle, high)
    return high


def poured(base, weights, caps, total):
    """`min(cap, base + level * weight)` with sum `total`."""

    def at(level):
        return [min(c, b + level * w) for b, w, c in zip(base, weights, caps, strict=True)]

    return at(bisect(lambda level: sum(at(level)), total)) if total > sum(base) else list(base)


def constrained(w, k, floor, cap, groups, group_floor, group_cap):
    """Bounds that can be kept, one grouping, positive weights."""
    w = [k * x / sum(w) for x in w]
    caps = [min(1.0, k * c) for c in cap]
    arms = [k * f for f in floor]
    of = {g: [i for i in range(len(w)) if groups[i] == g] for g in set(groups)}
    floors, rooms = list(arms), {}
    for g, inside in of.items():
        rooms[g] = min(k * group_cap[g], sum(caps[i] for i in inside))
        due = max(sum(arms[i] for i in inside), k * group_floor[g])
        parts = [[x[i] for i in inside] for x in (arms, w, caps)]
        for i, value in zip(inside, poured(*parts, due), strict=True):
            floors[i] = value

    def inside_at(g, level):
        return sum(min(caps[i], floors[i] + level * w[i]) for i in of[g])

    level = bisect(lambda x: sum(min(rooms[g], inside_at(g, x)) for g in of), k - 1e-13)
    out = [0.0] * len(w)
    for g, inside in of.items():
        own = level
        if inside_at(g, level) > rooms[g]:
            own = bisect(lambda x, g=g: inside_at(g, x), rooms[g])
        for i in inside:
            out[i] = min(caps[i], floors[i] + own * w[i])
    return out


def can_be_kept(k, floor, cap, groups, group_floor, group_cap, slack=0.0):
    """Whether there are probabilities that keep bounds of one grouping."""
    caps = [min(1.0, k * c) for c in cap]
    if any(k * f > c for f, c in zip(floor, caps, strict=True)):
        return False
    least, most = 0.0, 0.0
    for g in set(groups):
        inside = [i for i in range(len(cap)) if groups[i] == g]
        low = max(k * sum(floor[i] for i in inside), k * group_floor[g])
        high = min(k * group_cap[g], sum(caps[i] for i in inside))
        if low > high - slack:
            return False
        least, most = least + low, most + high
    return least <= k - slack and most >= k + slack


def keeps(p, k, share, slack=1e-9):
    """Whether each bound of a `Shares` holds."""
    for i, x in enumerate(p):
        floor = share.floor if isinstance(share.floor, float) else share.floor[i]
        cap = share.cap if isinstance(share.cap, float) else share.cap[i]
        if x < k * floor - slack or x > k * cap + slack:
            return False
    for g in set() if share.groups is None else set(share.groups.tolist()):
        total = sum(x for x, h in zip(p, share.groups, strict=True) if h == g)
        if share.group_floor is not None and total < k * share.group_floor[g] - slack:
            return False
        if share.group_cap is not None and total > k * share.group_cap[g] + slack:
            return False
    return True

"""Slates by trying all of them."""

from itertools import combinations


def keeps(slate, limit, slack=1e-9):
    """Whether a slate, in its order, keeps a `Limits`; lower bounds as far as there are candidates."""
    for g in set(limit.groups.tolist()):
        inside = [i for i in slate if limit.groups[i] == g]
        if sum(limit.amounts[i] for i in inside) > limit.upper[g] * (1.0 + slack) + slack:
            return False
        if len(inside) < min(limit.lower[g], limit.groups.tolist().count(g)):
            return False
    return limit.earliest is None or all(limit.earliest[i] <= slot for slot, i in enumerate(slate))


def arranged(slate, limits):
    """Each slot has the first that may stand there; None where there is none."""
    waiting, out = list(slate), []
    while waiting:
        fits = [i for i in waiting if all(x.earliest is None or x.earliest[i] <= len(out) for x in limits)]
        if not fits:
            return None
        waiting.remove(fits[0])
        out.append(fits[0])
    return out


def best(order, k, limits):
    """The slate of k arms that keeps all limits, and is the best arm for arm; None where there is none."""
    for slate in combinations(order, k):  # in the order of their ranks
        placed = arranged(slate, limits)
        if placed is not None and all(keeps(placed, limit) for limit in limits):
            return placed
    return None

"""Floors and caps on the probability simplex, so that propensities stay exact, and draws that have them.

Bounds are shares of the slots: of k slots, a floor f gives a candidate `k f` of the k expected exposures, a cap c
leaves it `min(1, k c)`. For one slot these are probabilities.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..bandits._numba import kernel
from ..bandits._random import uniform
from ._pouring import Columns, Floats, group_sums, pour, total_of
from .base import Shares

Uids = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]

_COIN = 0x5EED_F100  # names under which the coins of a decision are keyed, beside the arms'
_GROUP = 0x5EED_F101
_LANE = 0x5EED_F102  # lane of the arms' own draws here: policies use the low ones
_SLACK = 1e-9  # by which a bound may be missed, as rounding, before it counts as relaxed


class Bounds(NamedTuple):
    """Several `Shares` as one: the larger floor and the smaller cap.

    floor, cap: `[C]`. groups: `[P, C]`, the candidates' groups under P partitions, numbered apart. group_floor,
    group_cap: `[G]`, of all these groups.
    """

    floor: Floats
    cap: Floats
    groups: Columns
    group_floor: Floats
    group_cap: Floats


class Guarantee(NamedTuple):
    """Probability that is set apart for candidates and groups, where there is one slot.

    arms: `[C]`. groups: `[P, C]` as in `Bounds`. extras: `[G]`, what a group is due beyond its arms' own. total: the
    sum of both, at most 1. relaxed: whether it had to be scaled down to that.
    """

    arms: Floats
    groups: Columns
    extras: Floats
    total: float
    relaxed: bool


def combined(shares: Sequence[Shares], size: int) -> Bounds:
    """Take several bounds of `size` candidates together. Groupings that are the same are taken for one."""
    floor, cap = np.zeros(size), np.ones(size)
    groupings: list[Columns] = []
    floors: list[Floats] = []
    caps: list[Floats] = []
    for share in shares:
        if not (isinstance(share.floor, float) and share.floor <= 0.0):
            np.maximum(floor, share.floor, out=floor)
        if not (isinstance(share.cap, float) and share.cap >= 1.0):
            np.minimum(cap, share.cap, out=cap)
        if share.groups is None:
            continue
        bounds = (share.group_floor, share.group_cap)
        count = next((bound.size for bound in bounds if bound is not None), 0)
        group_floor = np.zeros(count) if share.group_floor is None else share.group_floor
        group_cap = np.ones(count) if share.group_cap is None else share.group_cap
        same = [
            j for j, known in enumerate(groupings) if floors[j].size == count and np.array_equal(known, share.groups)
        ]
        if same:
            floors[same[0]] = np.maximum(floors[same[0]], group_floor)
            caps[same[0]] = np.minimum(caps[same[0]], group_cap)
        elif count:
            groupings.append(share.groups)
            floors.append(group_floor)
            caps.append(group_cap)
    if not groupings:
        return Bounds(floor, cap, np.empty((0, size), np.int64), np.empty(0), np.empty(0))
    groups = np.empty((len(groupings), size), np.int64)
    first = 0
    for j, grouping in enumerate(groupings):
        np.add(grouping, first, out=groups[j])
        first += floors[j].size
    return Bounds(floor, cap, groups, np.concatenate(floors), np.concatenate(caps))


def guarantee(shares: Sequence[Shares], size: int) -> Guarantee:
    """Return what floors set apart of the one slot of a decision; caps are not looked at.

    A group is due what its floor is above the sum of its arms' own. Floors with a sum above 1 are scaled down to it.
    """
    bounds = combined(shares, size)
    extras = np.empty(bounds.group_floor.size)
    total = _extras(bounds.floor, bounds.groups, bounds.group_floor, extras)
    if total <= 1.0:
        return Guarantee(bounds.floor, bounds.groups, extras, total, False)
    return Guarantee(bounds.floor / total, bounds.groups, extras / total, 1.0, total > 1.0 + _SLACK)


def forced(key: int, uids: Uids, guaranteed: Guarantee) -> tuple[int, int]:
    """Choose by the floors alone, with the probability that they set apart, whatever the order of the candidates.

    Returns
    -------
    (position, -1) for a candidate, with probability `arms[position]`; (-1, group) for the order to choose among the
    members of a group, with probability `extras[group]`; (-1, -1) for the policy to choose among all.
    """
    if guaranteed.total <= 0.0:
        return -1, -1
    position, group = _forced(key, uids, guaranteed.arms, guaranteed.extras, guaranteed.total)
    return int(position), int(group)


def members(guaranteed: Guarantee, group: int) -> Columns:
    """Positions of the candidates of a group that `forced` returned, growing."""
    return np.flatnonzero((guaranteed.groups == group).any(axis=0))


def floored(w: Floats, guaranteed: Guarantee, within: Floats | None = None) -> Floats:
    """Probabilities of what `forced` and a policy choose together: `p_i = f_i + (1 - sum f) w_i`.

    Parameters
    ----------
    w
        Propensities of the policy among all candidates, `[C]`; scaled to sum 1.
    guaranteed
        From `guarantee`.
    within
        Propensities of the policy among the members of each candidate's group alone, `[P, C]`, summing to 1 in each
        group; None for those in proportion to w.

    Returns
    -------
    array of float, [C]
        With sum 1.

    Examples
    --------
    A floor of .1 for each of two, and the policy's .75 and .25 of the other .8:

    >>> import numpy as np
    >>> from seedbed.constraints.base import Shares
    >>> from seedbed.constraints.simplex import floored, guarantee
    >>> floored(np.array([0.75, 0.25]), guarantee([Shares(floor=0.1)], 2)).round(6).tolist()
    [0.7, 0.3]
    """
    w = np.ascontiguousarray(w, np.float64)
    w = w / total_of(w)
    p: Floats = guaranteed.arms + (1.0 - guaranteed.total) * w
    for j, groups in enumerate(guaranteed.groups):
        if within is not None:
            p += guaranteed.extras[groups] * within[j]
            continue
        sums = np.zeros(guaranteed.extras.size)
        group_sums(w, groups[None, :], sums)
        counts = np.bincount(groups, minlength=sums.size)
        has_weight = sums[groups] > 0.0  # a group that the policy never chooses shares alike
        share = np.where(has_weight, w / np.where(has_weight, sums[groups], 1.0), 1.0 / counts[groups])
        p += guaranteed.extras[groups] * share
    return p


def constrained_shares(w: Floats, k: int, shares: Sequence[Shares]) -> tuple[Floats, tuple[int, ...]]:
    """Bring propensities under floors and caps: `p_i = min(cap_i, f_i + level_i w_i)`.

    With no cap in the way all levels are `1 - sum f`: a mixture of the floors and the policy. A group's floor, beyond
    its arms' own, goes to its arms in proportion to w. What caps take away rises in the others in proportion to w,
    until they, or the group that holds them, are full; so the part above the floors is, among all that keep the
    bounds, the nearest to w in relative entropy where groups do not overlap. A floor above a cap gives way to it;
    floors with a sum above 1 are scaled down, caps with one below 1 are raised, each in proportion.

    Parameters
    ----------
    w
        Propensities of the policy, `[C]`, >= 0; scaled to sum k.
    k
        Slots.
    shares
        Bounds. Those of several groupings hold at once where the pouring finds room; else they count as relaxed.

    Returns
    -------
    array of float, [C], and indices of the shares that it does not keep
        With sum k, to 1e-12; each in [0, 1].

    References
    ----------
    .. [1] I. Csiszar (1975), "I-divergence geometry of probability distributions and minimization problems", Annals of
       Probability 3.

    Examples
    --------
    The first may have .5; its .2 too much rises in the others, 2 to 1:

    >>> import numpy as np
    >>> from seedbed.constraints.base import Shares
    >>> from seedbed.constraints.simplex import constrained_shares
    >>> p, relaxed = constrained_shares(np.array([0.7, 0.2, 0.1]), 1, [Shares(cap=0.5)])
    >>> p.round(6).tolist(), relaxed
    ([0.5, 0.333333, 0.166667], ())
    """
    bounds = combined(shares, w.size)
    slots = min(float(k), float(w.size))
    p = np.empty(w.size)
    w = np.ascontiguousarray(w, np.float64)
    _constrain(w, slots, bounds.floor, bounds.cap, bounds.groups, bounds.group_floor, bounds.group_cap, p)
    return p, tuple(j for j, share in enumerate(shares) if not _keeps(p, slots, share))


def choose(key: int, uids: Uids, p: Floats, k: int) -> Columns:
    """Draw k distinct positions, candidate i with probability `p_i` exactly, whatever the order of the candidates.

    For one slot by an exponential race, `argmin -ln(u_i) / p_i`; for several by systematic sampling over the candidates
    in a keyed random order.

    Parameters
    ----------
    key
        Of the decision.
    uids
        64-bit names of the candidates, `[C]`.
    p
        Inclusion probabilities, `[C]`, in [0, 1], with sum k.
    k
        Slots, at most the candidates.

    Returns
    -------
    array of int, [k]
        In no order of merit.

    References
    ----------
    .. [1] W. G. Madow (1949), "On the theory of systematic sampling, II", Annals of Mathematical Statistics 20.
    """
    positions = np.empty(min(k, p.size), np.int64)
    if positions.size == 1:
        positions[0] = _race(key, uids, p)
    elif positions.size > 1:
        _systematic(key, uids, p, positions)
    return positions


def _keeps(p: Floats, k: float, share: Shares) -> bool:
    """Whether probabilities keep bounds."""
    if bool((p < k * share.floor - _SLACK).any()) or bool((p > k * share.cap + _SLACK).any()):
        return False
    if share.groups is None:
        return True
    size = 1 + int(share.groups.max(initial=-1))
    sums = np.bincount(share.groups, p, size)
    has_members = np.bincount(share.groups, minlength=size) > 0
    floor = 0.0 if share.group_floor is None else share.group_floor[:size]
    cap = 1.0 if share.group_cap is None else share.group_cap[:size]
    wrong = (sums < k * floor - _SLACK) | (sums > k * cap + _SLACK)
    return not bool((wrong & has_members).any())


@kernel
def _extras(arms: Floats, groups: Columns, group_floor: Floats, out: Floats) -> float:
    """Write what groups are due beyond their arms' own; return all that is due."""
    group_sums(arms, groups, out)
    has_members = np.zeros(out.size, np.bool_)
    for p in range(groups.shape[0]):
        for i in range(arms.size):
            has_members[groups[p, i]] = True
    for g in range(out.size):
        out[g] = max(0.0, group_floor[g] - out[g]) if has_members[g] else 0.0
    return float(total_of(arms) + total_of(out))


@kernel
def _forced(key: int, uids: Uids, arms: Floats, extras: Floats, total: float) -> tuple[int, int]:
    if uniform(key, _COIN, 0) >= total:
        return -1, -1
    first, position, group = np.inf, -1, -1
    for i in range(arms.size):
        if arms[i] > 0.0:
            time = -np.log(uniform(key, uids[i], _LANE)) / arms[i]
            if time < first:
                first, position = time, i
    for g in range(extras.size):
        if extras[g] > 0.0:
            time = -np.log(uniform(key, _GROUP, g)) / extras[g]
            if time < first:
                first, position, group = time, -1, g
    return position, group


@kernel
def _race(key: int, uids: Uids, p: Floats) -> int:
    first, position = np.inf, 0
    for i in range(p.size):
        if p[i] > 0.0:
            time = -np.log(uniform(key, uids[i], _LANE)) / p[i]
            if time < first:
                first, position = time, i
    return position


@kernel
def _systematic(key: int, uids: Uids, p: Floats, positions: Columns) -> None:
    """Lay the probabilities end to end in a random order; take those that the points `u, u + 1, ...` fall on.

    Who has probability 1 is taken first: rounding must not drop them.
    """
    marks = np.empty(p.size)
    filled = 0
    for i in range(p.size):
        marks[i] = uniform(key, uids[i], _LANE)
        if p[i] >= 1.0 and filled < positions.size:
            positions[filled] = i
            filled += 1
    point = uniform(key, _COIN, 1)
    reached, spare = 0.0, -1
    for i in np.argsort(marks):
        if p[i] >= 1.0 or p[i] <= 0.0:
            continue
        reached += p[i]
        if filled < positions.size and reached > point:
            positions[filled] = i
            filled += 1
            point += 1.0
        else:
            spare = i
    if filled < positions.size:  # the sum fell short of a whole number by a rounding
        positions[filled] = spare


@kernel
def _raised(caps: Floats, tops: Floats, total: float) -> Floats:
    """Caps raised in proportion, up to the tops, until they have room for `total`."""
    if total_of(caps) >= total:
        return caps
    out = np.empty(caps.size)
    pour(np.zeros(caps.size), caps, tops, np.empty((0, caps.size), np.int64), np.empty(0), total, out)
    return out


@kernel
def _under_rooms(values: Floats, groups: Columns, rooms: Floats, k: float) -> None:
    """Scale values down in the groups that they overfill; a room for all of k is none to keep."""
    sums = np.empty(rooms.size)
    group_sums(values, groups, sums)
    for i in range(values.size):
        scale = 1.0
        for p in range(groups.shape[0]):
            g = groups[p, i]
            if sums[g] > rooms[g] and rooms[g] < k:
                scale = min(scale, rooms[g] / sums[g])
        values[i] *= scale


@kernel
def _rooms(caps: Floats, groups: Columns, group_cap: Floats, k: float) -> Floats:
    """Room of each group: what it may have, and its arms; raised in proportion where a partition has none for k."""
    tops = np.empty(group_cap.size)
    group_sums(caps, groups, tops)
    rooms = np.minimum(k * group_cap, tops)
    for p in range(groups.shape[0]):
        first, last = groups[p].min(), groups[p].max()
        rooms[first : last + 1] = _raised(rooms[first : last + 1].copy(), tops[first : last + 1].copy(), k)
    return rooms


@kernel
def _constrain(
    w: Floats,
    k: float,
    floor: Floats,
    cap: Floats,
    groups: Columns,
    group_floor: Floats,
    group_cap: Floats,
    out: Floats,
) -> None:
    caps = _raised(np.minimum(1.0, k * cap), np.ones(w.size), k)
    rooms = _rooms(caps, groups, group_cap, k)
    arms = np.minimum(k * floor, caps)
    _under_rooms(arms, groups, rooms, k)
    floors = arms.copy()
    due = np.empty(rooms.size)
    group_sums(arms, groups, due)
    for g in range(rooms.size):
        due[g] = max(due[g], min(k * group_floor[g], rooms[g]))
    for p in range(groups.shape[0]):
        total = total_of(due[groups[p].min() : groups[p].max() + 1].copy())
        pour(arms, w, caps, groups[p : p + 1], due, total, out)
        for i in range(w.size):
            floors[i] = min(caps[i], floors[i] + (out[i] - arms[i]))
    _under_rooms(floors, groups, rooms, k)
    total = total_of(floors)
    if total > k:
        floors *= k / total
    left = pour(floors, w, caps, groups, rooms, k, out)
    if left > 1e-13 * k:  # groups that overlap left no room: they give way
        pour(out.copy(), w, caps, np.empty((0, w.size), np.int64), np.empty(0), k, out)

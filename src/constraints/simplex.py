"""Floors and caps on the probability simplex, so that propensities stay exact. `drawing` has draws of them.

Bounds are shares of the slots: of k slots, a floor f gives a candidate `k f` of the k expected exposures, a cap c
leaves it `min(1, k c)`. For one slot these are probabilities.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..bandits._numba import kernel
from ._pouring import Columns, Floats, group_sums, pour, total_of
from .base import Shares

_ROUNDING = 1e-13  # of a sum, as a part of it
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
    p = _constrain(np.ascontiguousarray(w, np.float64), slots, bounds)
    return p, tuple(j for j, share in enumerate(shares) if not keeps(p, slots, share))


def keeps(p: Floats, k: float, share: Shares) -> bool:
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


def _raised(caps: Floats, tops: Floats, total: float) -> Floats:
    """Caps raised in proportion, up to the tops, until they have room for `total`."""
    if caps.sum() >= total * (1.0 - _ROUNDING):
        return caps
    return _poured(np.zeros(caps.size), caps, tops, np.empty((0, caps.size), np.int64), np.empty(0), total)[0]


def _poured(
    base: Floats, weights: Floats, caps: Floats, groups: Columns, rooms: Floats, total: float
) -> tuple[Floats, float]:
    out = np.empty(base.size)
    left = pour(base, weights, caps, groups, rooms, total, out)
    return out, left


def _sums(values: Floats, groups: Columns, count: int) -> Floats:
    out = np.empty(count)
    group_sums(values, groups, out)
    return out


def _under_rooms(values: Floats, groups: Columns, rooms: Floats, k: float) -> Floats:
    """Values scaled down in the groups that they overfill; a room for all of k is none to keep."""
    sums = _sums(values, groups, rooms.size)
    is_over = (sums > rooms) & (rooms < k)
    if not is_over.any():
        return values
    scales = np.where(is_over, rooms / np.where(is_over, sums, 1.0), 1.0)
    scaled: Floats = values * scales[groups].min(axis=0)
    return scaled


def _constrain(w: Floats, k: float, bounds: Bounds) -> Floats:
    groups, count = bounds.groups, bounds.group_cap.size
    caps = _raised(np.minimum(1.0, k * bounds.cap), np.ones(w.size), k)
    arms = np.minimum(k * bounds.floor, caps)
    floors, rooms = arms, bounds.group_cap
    if count:
        spans = [slice(int(own.min()), int(own.max()) + 1) for own in groups]  # the groups of each partition
        tops = _sums(caps, groups, count)
        rooms = np.minimum(k * bounds.group_cap, tops)
        for span in spans:
            rooms[span] = _raised(rooms[span], tops[span], k)
        arms = _under_rooms(arms, groups, rooms, k)
        due = np.maximum(_sums(arms, groups, count), np.minimum(k * bounds.group_floor, rooms))
        floors = arms.copy()
        for p, span in enumerate(spans):
            floors += _poured(arms, w, caps, groups[p : p + 1], due, float(due[span].sum()))[0] - arms
        floors = _under_rooms(np.minimum(floors, caps), groups, rooms, k)
    total = floors.sum()
    if total > k:
        floors = floors * (k / total)
    out, left = _poured(floors, w, caps, groups, rooms, k)
    if left > _ROUNDING * k:  # groups that overlap left no room: they give way
        out, _ = _poured(out, w, caps, groups[:0], rooms[:0], k)
    return out

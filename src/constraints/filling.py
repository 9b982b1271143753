"""Filling a slate: the best candidates first, as far as the bounds of their groups allow."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..bandits._numba import kernel
from .base import Columns, Floats, Limits, Mask

_SLACK = 1e-9  # by which a room may be exceeded, as rounding, before it counts as relaxed


class Filled(NamedTuple):
    """A slate.

    positions: `[<= k]`, best first. complete: whether the order given was long enough to tell; if not, the slate is
    none, and a longer order must be given. relaxed: indices of the limits that the slate does not keep.
    """

    positions: Columns
    complete: bool
    relaxed: tuple[int, ...]


def fill(order: Columns, size: int, k: int, limits: Sequence[Limits], must: Columns | None = None) -> Filled:
    """Fill a slate greedily.

    Candidates are walked best first. One is taken if it fits into the rooms of its groups, and the slots then left, of
    the slate and of every group, are enough for what lower bounds still need. Where groups do not overlap but by one
    holding the other, this finds a slate that keeps all bounds whenever there is one, and of these the best, arm for
    arm. Where they overlap otherwise, it is a heuristic for lower bounds; upper ones hold all the same.

    If k cannot be reached so, first lower bounds give way, then the upper ones and first positions that may; if that
    is not enough, the slate is shorter.

    Parameters
    ----------
    order
        Positions of the best candidates, `[n]`, best first: all of them, or those that are likely to do.
    size
        Number of all candidates.
    k
        Slots.
    limits
        Bounds, of all candidates.
    must
        Positions of candidates to be taken before others, the most urgent first; they break what may give way. Those
        that are not in the order stand behind it, as given. None for none.

    Examples
    --------
    One at most of group 0, so that the second best gives way:

    >>> import numpy as np
    >>> from seedbed.constraints.base import Limits
    >>> from seedbed.constraints.filling import fill
    >>> bounds = Limits(np.array([0, 0, 1]), np.ones(3), upper=np.array([1.0, 9.0]), lower=np.zeros(2))
    >>> fill(np.array([0, 1, 2]), 3, 2, [bounds]).positions.tolist()
    [0, 2]
    """
    k = min(k, size)
    if not limits and must is None:
        return Filled(order[:k], order.size >= k, ())
    shown, musts = order, np.empty(0, np.int64)
    if must is not None:
        ranks = np.full(size, -1, np.int64)
        ranks[order] = np.arange(order.size)
        absent = must[ranks[must] < 0]
        ranks[absent] = order.size + np.arange(absent.size)
        shown, musts = np.concatenate((order, absent)), ranks[must]
    groups, amounts, upper, lower, is_hard, earliest = _as_one(limits, size)
    needs = np.empty((5, 0), np.int64)
    if (lower > 0.0).any():
        needs = _needs(groups, amounts, upper, lower, k)
    is_taken = np.zeros(shown.size, np.bool_)
    taken = _fill(
        shown, order.size, order.size >= size, musts, groups, amounts, upper, is_hard, earliest, needs, k, is_taken
    )
    if taken < 0:
        return Filled(order[:0], False, ())
    slate = shown[is_taken]
    if earliest.size:
        slate = slate[: _arrange(is_hard, earliest, slate)]
    keeps = np.ones(len(limits), np.bool_)
    _judge(slate, groups, amounts, upper, lower, earliest, keeps)
    return Filled(slate, True, () if keeps.all() else tuple(np.flatnonzero(~keeps).tolist()))


def _as_one(limits: Sequence[Limits], size: int) -> tuple[Columns, Floats, Floats, Floats, Mask, Columns]:
    """Return groups, numbered apart, and amounts, upper and lower bounds, whether they are hard, and first positions.

    `[L, C]`, `[L, C]`, `[S]`, `[S]`, `[L]` and `[L, C]`, the last `[L, 0]` where all is 0.
    """
    count = len(limits)
    groups, amounts = np.empty((count, size), np.int64), np.empty((count, size))
    waits = any(limit.earliest is not None for limit in limits)
    earliest = np.zeros((count, size if waits else 0), np.int64)
    is_hard = np.empty(count, np.bool_)
    first = 0
    for j, limit in enumerate(limits):
        np.add(limit.groups, first, out=groups[j])
        amounts[j] = limit.amounts
        is_hard[j] = not limit.relaxable
        first += limit.upper.size
        if limit.earliest is not None:
            earliest[j] = limit.earliest
    if count == 1:
        upper, lower = limits[0].upper, limits[0].lower
    else:
        upper = np.concatenate([np.empty(0), *(limit.upper for limit in limits)])
        lower = np.concatenate([np.empty(0), *(limit.lower for limit in limits)])
    return groups, amounts, upper, lower, is_hard, earliest


@kernel
def _needs(groups: Columns, amounts: Floats, upper: Floats, lower: Floats, slots: int) -> Columns:
    """Find the groups that need arms and those that hold such groups, N in all, smaller ones first, `[5, N]`.

    Rows: which group, of which limit, how many arms it needs and may have, as far as there are candidates, and the
    smallest of the others that holds it, -1 for none.
    """
    numbers = np.full(upper.size, -1, np.int64)
    sizes = np.zeros(upper.size, np.int64)
    limit_of = np.zeros(upper.size, np.int64)
    counts_arms = np.ones(groups.shape[0], np.bool_)
    for j in range(groups.shape[0]):
        for i in range(groups.shape[1]):
            sizes[groups[j, i]] += 1
            limit_of[groups[j, i]] = j
            counts_arms[j] &= amounts[j, i] == 1.0
    order = np.empty(upper.size, np.int64)
    found = 0
    for g in range(upper.size):
        bounds = lower[g] > 0.0 or (counts_arms[limit_of[g]] and upper[g] < slots and groups.shape[0] > 1)
        if sizes[g] > 0 and bounds:
            place = found
            while place > 0 and sizes[order[place - 1]] > sizes[g]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = g
            found += 1
    out = np.full((5, found), -1, np.int64)
    for a in range(found):
        g = order[a]
        numbers[g] = a
        most = int(min(float(sizes[g]), upper[g])) if counts_arms[limit_of[g]] else sizes[g]
        out[0, a], out[1, a], out[2, a], out[3, a] = g, limit_of[g], min(int(np.ceil(lower[g])), most), most
    if groups.shape[0] > 1:
        _nest(groups, numbers, sizes[order[:found]], out)
    return out


@kernel
def _nest(groups: Columns, numbers: Columns, sizes: Columns, needs: Columns) -> None:
    """Write the smallest group that holds each, by counting the arms that two have in common."""
    both = np.zeros((sizes.size, sizes.size), np.int64)
    for i in range(groups.shape[1]):
        for j in range(groups.shape[0]):
            a = numbers[groups[j, i]]
            for other in range(groups.shape[0] if a >= 0 else 0):
                b = numbers[groups[other, i]]
                if b >= 0:
                    both[a, b] += 1
    for a in range(sizes.size):
        for b in range(a + 1, sizes.size):
            if both[a, b] == sizes[a]:
                needs[4, a] = b
                break


@kernel
def _wait(i: int, is_hard: Mask, earliest: Columns, hard_only: bool) -> int:
    """First position of candidate i, by all limits or the hard ones."""
    first = 0
    for j in range(earliest.shape[0] if earliest.shape[1] else 0):
        if is_hard[j] or not hard_only:
            first = max(first, earliest[j, i])
    return first


@kernel
def _fits(
    i: int, slots: int, groups: Columns, amounts: Floats, upper: Floats, is_hard: Mask, earliest: Columns,
    used: Floats, late: Columns, hard_only: bool,
) -> bool:  # fmt: skip
    """Whether candidate i finds room in its groups, and a late enough slot beside the others that wait for one."""
    for j in range(groups.shape[0]):
        g = groups[j, i]
        if (is_hard[j] or not hard_only) and used[g] + amounts[j, i] > upper[g]:
            return False
    for which in range(1 if hard_only else 2):
        wait = _wait(i, is_hard, earliest, which == 0)
        if wait >= slots:
            return False
        for s in range(1, wait + 1):
            if late[which, s] + 1 > slots - s:
                return False
    return True


@kernel
def _still_needed(i: int, groups: Columns, needs: Columns, counts: Columns, inside: Columns) -> int:
    """Number of arms needed in all once i is taken (-1: as it is); writes how many inside each group."""
    total = 0
    inside[:] = 0
    for a in range(counts.size):
        count = counts[a] + int(i >= 0 and groups[needs[1, a], i] == needs[0, a])
        still = max(needs[2, a] - count, inside[a])
        if needs[4, a] >= 0:
            inside[needs[4, a]] += still
        else:
            total += still
    return total


@kernel
def _leaves_enough(i: int, left: int, groups: Columns, needs: Columns, counts: Columns, inside: Columns) -> bool:
    """Whether i is needed, or the slots left, of the slate and of its groups, are enough for what is."""
    before = _still_needed(-1, groups, needs, counts, inside)
    after = _still_needed(i, groups, needs, counts, inside)
    if after < before:
        return True
    for a in range(counts.size):
        if groups[needs[1, a], i] == needs[0, a] and counts[a] + 1 + inside[a] > needs[3, a]:
            return False
    return after < left


@kernel
def _fill(
    shown: Columns, n: int, is_whole: bool, musts: Columns, groups: Columns, amounts: Floats, upper: Floats,
    is_hard: Mask, earliest: Columns, needs: Columns, slots: int, is_taken: Mask,
) -> int:  # fmt: skip
    """Write who is taken; return how many, -1 where the order was too short."""
    used = np.zeros(upper.size)
    late = np.zeros((2, slots + 1), np.int64)  # arms that wait for slot s or a later one
    counts, inside = np.zeros(needs.shape[1], np.int64), np.zeros(needs.shape[1], np.int64)
    taken = 0
    for phase in range(4):  # what must be; all bounds; no lower ones; hard ones only
        if taken < slots and phase == 2 and not is_whole:
            return -1
        hard_only = phase == 0 or phase == 3
        for step in range(musts.size if phase == 0 else n):
            x = musts[step] if phase == 0 else step
            i = shown[x]
            if taken == slots:
                break
            if is_taken[x] or not _fits(i, slots, groups, amounts, upper, is_hard, earliest, used, late, hard_only):
                continue
            if phase == 1 and counts.size and not _leaves_enough(i, slots - taken, groups, needs, counts, inside):
                continue
            is_taken[x] = True
            taken += 1
            for j in range(groups.shape[0]):
                used[groups[j, i]] += amounts[j, i]
            for a in range(counts.size):
                counts[a] += int(groups[needs[1, a], i] == needs[0, a])
            for which in range(2):
                for s in range(1, min(slots, _wait(i, is_hard, earliest, which == 0)) + 1):
                    late[which, s] += 1
    return taken


@kernel
def _arrange(is_hard: Mask, earliest: Columns, slate: Columns) -> int:
    """Give each slot the best that may stand there, in place; return the number of slots that find one."""
    for slot in range(slate.size):
        chosen = -1
        for hard_only in range(2):
            for x in range(slot, slate.size):
                if chosen < 0 and _wait(slate[x], is_hard, earliest, hard_only == 1) <= slot:
                    chosen = x
        if chosen < 0:
            return slot
        i = slate[chosen]
        for x in range(chosen, slot, -1):
            slate[x] = slate[x - 1]
        slate[slot] = i
    return int(slate.size)


@kernel
def _judge(
    slate: Columns, groups: Columns, amounts: Floats, upper: Floats, lower: Floats, earliest: Columns, keeps: Mask
) -> None:
    """Take note of the limits that a slate does not keep, lower ones as far as there are candidates."""
    used, counts = np.zeros(upper.size), np.zeros(upper.size)
    for j in range(groups.shape[0]):
        for slot in range(slate.size):
            g = groups[j, slate[slot]]
            used[g] += amounts[j, slate[slot]]
            counts[g] += 1.0
            if used[g] > upper[g] * (1.0 + _SLACK) + _SLACK:
                keeps[j] = False
            if earliest.shape[1] and earliest[j, slate[slot]] > slot:
                keeps[j] = False
        for i in range(groups.shape[1]):  # whom the slate lacks, though it needs them
            if keeps[j] and counts[groups[j, i]] < lower[groups[j, i]]:
                is_there = False
                for slot in range(slate.size):
                    is_there |= slate[slot] == i
                keeps[j] = is_there

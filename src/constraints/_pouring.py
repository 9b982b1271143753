"""Pouring probability: what is left over rises in all candidates in proportion, until a cap or a room is met."""

import numpy as np
from numpy.typing import NDArray

from ..bandits._beliefs import add_exactly
from ..bandits._numba import kernel

Columns = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

_TINY = 1e-250  # a weight below counts as 0: a share of it could not be told from rounding
_DUST = 1e-14  # what is left to pour below counts as nothing, as a share of all


@kernel
def total_of(values: Floats) -> float:
    """Sum that does not depend on the order, to a rounding."""
    total, rest = 0.0, 0.0
    for i in range(values.size):
        total, rest = add_exactly(total, rest, values[i])
    return total + rest


@kernel
def pour(
    base: Floats, weights: Floats, caps: Floats, groups: Columns, rooms: Floats, total: float, out: Floats
) -> float:
    """Write `p_i = min(cap_i, base_i + level * weight_i)` with sum `total`; return what could not be poured.

    The level rises for all alike and stops for the members of a group where their sum meets the group's room. Should
    more be left when every candidate with a weight has stopped, it rises in those without one, in all alike.

    base, weights, caps, out: `[C]`, base <= cap. groups: `[P, C]`, the candidates' groups under P partitions, numbered
    apart. rooms: `[G]`.
    """
    is_moving = np.empty(base.size, np.bool_)
    pace = np.empty(base.size)
    out[:] = base
    left = total - total_of(out)
    for phase in range(2):
        for i in range(base.size):
            has_weight = weights[i] > _TINY
            pace[i] = weights[i] if phase == 0 else 1.0
            is_moving[i] = (has_weight if phase == 0 else not has_weight) and base[i] < caps[i]
        while left > _DUST * total:
            left = _rise(out, pace, is_moving, caps, groups, rooms, total)
            if not is_moving.any():
                break
    return left


@kernel
def _rise(
    out: Floats, pace: Floats, is_moving: Mask, caps: Floats, groups: Columns, rooms: Floats, total: float
) -> float:
    """Find who stops first, stop them at their level, and return what is left; the last time, stop all."""
    levels = np.empty(rooms.size)
    level = _levels(out, pace, is_moving, groups, rooms, total, levels)
    stopped = False
    for i in range(out.size):  # a level found with too many moving is too low: who is full at it is full in the end
        if is_moving[i]:
            own = _own_level(i, level, levels, groups)
            if out[i] + own * pace[i] >= caps[i]:
                out[i] = caps[i]
                is_moving[i] = False
                stopped = True
    if not stopped:
        lowest = np.inf
        for g in range(rooms.size):
            lowest = min(lowest, levels[g])
        for i in range(out.size):
            if is_moving[i]:
                own = _own_level(i, level, levels, groups)
                # groups of one partition do not touch each other: all that would be full stop at once
                if lowest >= level or own == lowest or (groups.shape[0] == 1 and own < level):
                    out[i] = min(caps[i], out[i] + own * pace[i])
                    is_moving[i] = False
    return total - total_of(out)


@kernel
def _own_level(i: int, level: float, levels: Floats, groups: Columns) -> float:
    """Where candidate i stops at the latest."""
    for p in range(groups.shape[0]):
        level = min(level, levels[groups[p, i]])
    return level


@kernel
def _levels(
    out: Floats, pace: Floats, is_moving: Mask, groups: Columns, rooms: Floats, total: float, levels: Floats
) -> float:
    """Write the level at which each group would be full, were nobody to stop; return that of all together."""
    sums, rests, paces = np.zeros(rooms.size), np.zeros(rooms.size), np.zeros(rooms.size)
    all_sum, all_rest, all_pace = 0.0, 0.0, 0.0
    for i in range(out.size):
        all_sum, all_rest = add_exactly(all_sum, all_rest, out[i])
        step = pace[i] if is_moving[i] else 0.0
        all_pace += step
        for p in range(groups.shape[0]):
            g = groups[p, i]
            sums[g], rests[g] = add_exactly(sums[g], rests[g], out[i])
            paces[g] += step
    for g in range(rooms.size):
        levels[g] = max(0.0, (rooms[g] - (sums[g] + rests[g])) / paces[g]) if paces[g] > 0.0 else np.inf
    return max(0.0, (total - (all_sum + all_rest)) / all_pace) if all_pace > 0.0 else 0.0


@kernel
def group_sums(values: Floats, groups: Columns, out: Floats) -> None:
    """Write the sum of each group, `[G]`, whatever the order of the candidates."""
    out[:] = 0.0
    rests = np.zeros(out.size)
    for p in range(groups.shape[0]):
        for i in range(values.size):
            g = groups[p, i]
            out[g], rests[g] = add_exactly(out[g], rests[g], values[i])
    for g in range(out.size):
        out[g] += rests[g]

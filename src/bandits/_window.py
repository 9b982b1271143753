"""The sliding window: the bandit's latest events in a ring, `[4, W]`, and what they leave of the evidence."""

import math

import numpy as np

from ._numba import kernel
from ._table import DIRTY, FIRST, GROUP_BITS, HELD, MAX_WEIGHT, MODEL, STAMP, WINDOW_NEXT, WINDOW_USED, Table
from .models._cells import GAUSSIAN, add, supports

_COLUMN, _GENERATION, _REWARD, _WEIGHT = 0, 1, 2, 3  # rows of the window's ring


def new_ring(window: int | None) -> Table:
    """Make an empty window of so many events, or none."""
    return np.zeros((4, window or 0))


@kernel
def slide(table: Table, ring: Table, handle: int, reward: float, weight: float) -> None:
    """Take the newest event into the window and the oldest out of it.

    Each time the ring has turned once, all is added up anew, so that rounding does not build up; an arm without an
    event in the window has no evidence at all.
    """
    following = int(table[WINDOW_NEXT, -1])
    table[HELD, handle & 0xFFFF_FFFF] += 1.0  # first, as the oldest may be of the same arm
    if table[WINDOW_USED, -1] == ring.shape[1]:
        column = int(ring[_COLUMN, following])
        if table[STAMP, column] == ring[_GENERATION, following]:
            add(table[MODEL, -1], table, column, ring[_REWARD, following], -ring[_WEIGHT, following])
            table[HELD, column] -= 1.0
            _tidy(table, column)
    else:
        table[WINDOW_USED, -1] += 1.0
    ring[_COLUMN, following] = handle & 0xFFFF_FFFF
    ring[_GENERATION, following] = handle >> 32
    ring[_REWARD, following] = reward
    ring[_WEIGHT, following] = weight
    following += 1
    if following == ring.shape[1]:
        following = 0
        _add_up(table, ring)
    table[WINDOW_NEXT, -1] = following


@kernel
def _tidy(table: Table, column: int) -> None:
    """Take away what rounding leaves where events were taken back: sums of what is not negative are not."""
    table[DIRTY, column >> GROUP_BITS] = 1.0
    if table[HELD, column] <= 0.0:
        clear_evidence(table, column)
        return
    for s in range(first_evidence(table[MODEL, -1]), table.shape[0]):
        if not is_signed(table[MODEL, -1], s - FIRST):
            table[s, column] = max(table[s, column], 0.0)


@kernel
def _add_up(table: Table, ring: Table) -> None:
    """Make the evidence of all arms anew from a full window."""
    model = table[MODEL, -1]
    for j in range(ring.shape[1]):
        column = int(ring[_COLUMN, j])
        if table[STAMP, column] == ring[_GENERATION, j]:
            clear_evidence(table, column)
    for j in range(ring.shape[1]):
        column = int(ring[_COLUMN, j])
        if table[STAMP, column] == ring[_GENERATION, j]:
            add(model, table, column, ring[_REWARD, j], ring[_WEIGHT, j])


@kernel
def are_events(table: Table, ring: Table) -> bool:
    """Whether all that stands in the ring can be events of this table's model; places not used yet hold zeros."""
    for j in range(ring.shape[1]):
        column, generation = ring[_COLUMN, j], ring[_GENERATION, j]
        if not (0.0 <= column < table.shape[1] - 1 and column == math.floor(column)):
            return False
        if not (0.0 <= generation < 2.0**31 and generation == math.floor(generation)):
            return False
        if not (supports(table[MODEL, -1], ring[_REWARD, j]) and 0.0 <= ring[_WEIGHT, j] <= MAX_WEIGHT):
            return False
    return True


@kernel
def count_held(table: Table, ring: Table) -> None:
    """Count each arm's events in the window, after a checkpoint was read."""
    for j in range(int(table[WINDOW_USED, -1])):
        column = int(ring[_COLUMN, j])
        if table[STAMP, column] == ring[_GENERATION, j]:
            table[HELD, column] += 1.0


@kernel
def clear_evidence(table: Table, column: int) -> None:
    """Forget what was learnt of a column's arm, not its prior."""
    for s in range(first_evidence(table[MODEL, -1]), table.shape[0]):
        table[s, column] = 0.0
    table[DIRTY, column >> GROUP_BITS] = 1.0


@kernel
def first_evidence(model: float) -> int:
    """First row of the evidence, which reaches to the last row."""
    return FIRST + (5 if model == GAUSSIAN else 2)


@kernel
def is_signed(model: float, row: int) -> bool:
    """Whether a row of the statistics may be negative."""
    return bool(model == GAUSSIAN and row == 6)  # the sum of distances from the origin

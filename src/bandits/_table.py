"""The one float64 array of a bandit: a row a statistic, a column an arm, and the rules for sharing it among threads.

`table [S, capacity + 1]`. Row STAMP holds the generation of the arm that owns the column, or a negative mark. The last
column belongs to the table: no arm ever owns it, and `table[EVENTS, -1]` counts the events learnt. All else belongs to
the model.

An arm is addressed by its handle, `column | generation << 32`: a kernel that meets another stamp than the handle's has
come too late (the arm was retired, or the table grew and moved) and changes nothing. Every kernel here holds the GIL,
so each is atomic among Python threads; a move copies and marks in one of them, so that no update is lost between.
"""

import numpy as np
from numpy.typing import NDArray

from ._numba import kernel

Table = NDArray[np.float64]
Handles = NDArray[np.int64]

STAMP = 0
EVENTS = 1  # in the last column
VACANT = -1.0  # a column without an arm
MOVED = -2.0  # an array that has been replaced by a larger one

OK, STALE, BAD_REWARD, BAD_WEIGHT = 0, 1, 2, 3  # what a kernel answers


def new_table(statistics: int, capacity: int) -> Table:
    """Make a table without arms, with `statistics` rows beside the stamp."""
    table = np.zeros((1 + statistics, capacity + 1))
    table[STAMP] = VACANT
    return table


def columns_of(handles: Handles) -> Handles:
    """Columns that handles address, `[B]`."""
    return handles & 0xFFFF_FFFF


@kernel
def move(old: Table, new: Table) -> None:
    """Copy into a larger table and mark the old one as moved, so that late writers retry on the new one."""
    arms = old.shape[1] - 1
    for s in range(old.shape[0]):
        for column in range(arms):
            new[s, column] = old[s, column]
    new[EVENTS, -1] = old[EVENTS, -1]
    for column in range(arms):
        old[STAMP, column] = MOVED


@kernel
def snapshot(table: Table, out: Table) -> float:
    """Copy the model's rows of the first columns, `out [S - 1, n]`, and return the events learnt by then."""
    for s in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[s, column] = table[1 + s, column]
    return float(table[EVENTS, -1])


@kernel
def vacate(table: Table, handles: Handles) -> None:
    """Mark the columns of retired arms as free."""
    for i in range(handles.size):
        table[STAMP, handles[i] & 0xFFFF_FFFF] = VACANT


@kernel
def occupy(table: Table, handles: Handles, values: Table) -> None:
    """Give columns to new arms: `values [S - 1]`, the same for each; the stamp is published last."""
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        for s in range(values.size):
            table[1 + s, column] = values[s]
        table[STAMP, column] = handles[i] >> 32


@kernel
def is_current(table: Table, handle: int) -> bool:
    """Whether the handle's arm owns its column; False too for a handle outside the table.

    Without branches: a column outside is read at the last one, which no arm owns, and the generation is taken as
    unsigned, so that no handle matches a mark.
    """
    column = min(handle & 0xFFFF_FFFF, table.shape[1] - 1)
    return bool(table[STAMP, column] == (handle >> 32) & 0xFFFF_FFFF)


@kernel
def first_stale(table: Table, handles: Handles) -> int:
    """Position of the first handle whose arm does not own its column, or -1."""
    for i in range(handles.size):
        if not is_current(table, handles[i]):
            return i
    return -1

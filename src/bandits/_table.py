"""The one float64 table of a bandit: a row a statistic, a column an arm, and the rules for sharing it among threads.

`table [FIRST + S, capacity + 1]`. Row STAMP holds the generation of the arm that owns the column, or a negative mark.
Rows SHOWN and RESOLVED count exposures that await feedback. Rows P ... SPREAD hold what is derived from the S rows of
the model (see `_beliefs`), for the columns of which no flag stands in row DIRTY, one flag a group of 64 columns. The
last column belongs to the table: no arm ever owns it; its cells are named below, EVENTS among them.

An arm is addressed by its handle, `column | generation << 32`: a kernel that meets another stamp than the handle's has
come too late (the arm was retired, or the table grew and moved) and changes nothing. Every kernel here holds the GIL,
so each is atomic among Python threads; a move copies and marks in one of them, so that no update is lost between.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._numba import kernel

Table = NDArray[np.float64]
Handles = NDArray[np.int64]
Uids = NDArray[np.uint64]

# rows
STAMP, SHOWN, RESOLVED = 0, 1, 2
P, Q, R, CONSTANT, CENTER, SPREAD = 3, 4, 5, 6, 7, 8  # derived
NORM = CONSTANT  # of a linear model: bound of the eigenvalues of the arm's inverse; 0 where not known
DIRTY, GROUP_SUM, GROUP_REST = 9, 10, 11  # by group of columns, in the first cells of the row
HELD = 12  # events of the sliding window
FIRST = 13  # of the model's own
GROUP_BITS = 6  # columns a group: 64

# cells of the last column
EVENTS = 1  # learnt
MODEL = 2  # number of the model
TERMS = 3  # what the derived rows hold: BELIEF or EVIDENCE
VERSION = 4  # changes whenever an arm comes or goes; MOVED for ever after a move; or PRIVATE
PENDING = 5  # exposures that await feedback, over all arms
HALF_LIFE, LANDMARK, LATEST, SCALE = 6, 7, 8, 9  # of forward decay: see `_decay`; LANDMARK in whole half-lives
WINDOW_USED, WINDOW_NEXT = 10, 11  # of the sliding window: see `_window`
FAMILY = 12  # of the beliefs

MAX_WEIGHT = 1e12  # of an event: the tails are exact to 1e-9 for a + b up to here
MOST = 1e24  # evidence of an arm: far beyond what events of weights up to 1e12 sum to

CELL_NAMES = ("events", "landmark", "latest", "pending", "window_used", "window_next")  # that a checkpoint keeps
CELLS = (EVENTS, LANDMARK, LATEST, PENDING, WINDOW_USED, WINDOW_NEXT)

PRIVATE = -1.0  # a table of derived rows alone, made for one decision
BELIEF, EVIDENCE = 0.0, 1.0
VACANT = -1.0  # a column without an arm
MOVED = -2.0  # an array that has been replaced by a larger one

# what a kernel answers
OK, STALE, BAD_REWARD, BAD_WEIGHT, BAD_CONTEXT, FAR_AHEAD, CHANGED = 0, 1, 2, 3, 4, 5, 6


class State(NamedTuple):
    """All that a bandit has learnt of K arms.

    table: `[FIRST + S, capacity + 1]`, the whole buffer that kernels get.
    blocks: `[capacity, W]`, one contiguous block an arm for what is longer than a few numbers (W may be 0).
    shared: `[V]`, what belongs to all arms together (V may be 0).
    """

    table: Table
    blocks: Table
    shared: Table


def new_table(statistics: int, capacity: int) -> Table:
    """Make a table without arms, with `statistics` rows of the model's own."""
    table = np.zeros((FIRST + max(statistics, 4), capacity + 1))
    table[STAMP] = VACANT
    table[DIRTY, :-1] = 1.0
    return table


def columns_of(handles: Handles) -> Handles:
    """Columns that handles address, `[B]`."""
    return handles & 0xFFFF_FFFF


@kernel
def move(old: Table, old_blocks: Table, new: Table, new_blocks: Table) -> None:
    """Copy into a larger table and mark the old one as moved, so that late writers retry on the new one."""
    arms = old.shape[1] - 1
    for s in range(old.shape[0]):
        new[s, -1] = old[s, -1]
        if s <= RESOLVED or s >= HELD:
            for column in range(arms):
                new[s, column] = old[s, column]
    for column in range(arms):
        old[STAMP, column] = MOVED
        for j in range(old_blocks.shape[1]):
            new_blocks[column, j] = old_blocks[column, j]
    old[VERSION, -1] = MOVED


@kernel
def snapshot(
    table: Table,
    blocks: Table,
    shared: Table,
    ring: Table,
    out: Table,
    out_blocks: Table,
    out_shared: Table,
    out_ring: Table,
    cells: Table,
) -> None:
    """Copy what is not derived of the first columns, all of one moment.

    out: `[2 + S, n]`, rows SHOWN and RESOLVED, then the model's; cells: the table's own. Of blocks and shared numbers
    as many as there is room for: others' sums, which stand last, are left out.
    """
    for s in range(out.shape[0]):
        row = SHOWN + s if s < 2 else FIRST + s - 2
        for column in range(out.shape[1]):
            out[s, column] = table[row, column]
    for column in range(out_blocks.shape[0]):
        for j in range(out_blocks.shape[1]):
            out_blocks[column, j] = blocks[column, j]
    for j in range(out_shared.size):
        out_shared[j] = shared[j]
    for s in range(ring.shape[0]):
        for j in range(ring.shape[1]):
            out_ring[s, j] = ring[s, j]
    for j in range(cells.size):
        cells[j] = table[CELLS[j], -1]


@kernel
def vacate(table: Table, handles: Handles) -> None:
    """Mark the columns of retired arms as free; what they were shown is no longer awaited."""
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        table[STAMP, column] = VACANT
        table[PENDING, -1] -= table[SHOWN, column] - table[RESOLVED, column]
        table[DIRTY, column >> GROUP_BITS] = 1.0
    table[VERSION, -1] += 1.0


@kernel
def occupy(table: Table, blocks: Table, handles: Handles, values: Table, block: Table) -> None:
    """Give columns to new arms: `values [S, B]` or `[S, 1]`, `block [W]`; the stamp is published last."""
    step = 1 if values.shape[1] > 1 else 0
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        table[SHOWN, column] = 0.0
        table[RESOLVED, column] = 0.0
        table[HELD, column] = 0.0
        table[NORM, column] = 0.0
        for s in range(values.shape[0]):
            table[FIRST + s, column] = values[s, i * step]
        for j in range(blocks.shape[1]):
            blocks[column, j] = block[j] if j < block.size else 0.0
        table[DIRTY, column >> GROUP_BITS] = 1.0
        table[STAMP, column] = handles[i] >> 32
    table[VERSION, -1] += 1.0


@kernel
def is_current(table: Table, handle: int) -> bool:
    """Whether the handle's arm owns its column; False too for a handle outside the table.

    Without branches: a column outside is read at the last one, which no arm owns, and the generation is taken as
    unsigned, so that no handle matches a mark.
    """
    column = min(handle & 0xFFFF_FFFF, table.shape[1] - 1)
    return bool(table[STAMP, column] == (handle >> 32) & 0xFFFF_FFFF)


@kernel
def pending_of(table: Table, column: int) -> float:
    """Exposures of a column's arm that await feedback."""
    return float(table[SHOWN, column] - table[RESOLVED, column])


@kernel
def resolve(table: Table, column: int) -> None:
    """Take one exposure of the arm from those that await feedback."""
    if table[PENDING, -1] > 0.0 and table[RESOLVED, column] < table[SHOWN, column]:
        table[RESOLVED, column] += 1.0
        table[PENDING, -1] -= 1.0


@kernel
def first_stale(table: Table, handles: Handles) -> int:
    """Position of the first handle whose arm does not own its column, or -1."""
    for i in range(handles.size):
        if not is_current(table, handles[i]):
            return i
    return -1

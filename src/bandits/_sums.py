"""The additive sums that a bandit's evidence is made of: its own to take, those of other replicas to put beside them.

A row of sums belongs to an arm, or to the parameters that all arms share: for models of counts the E rows of the
evidence; for linear models `sum w x x'`, packed, and `sum w r x`. The own sums are written by learning alone, the
others' by these kernels alone; beliefs read both. Each kernel holds the GIL, so that no update falls in between.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._decay import backward_scale, note_time
from ._linalg import diagonal, others_width, own_width, refresh_block
from ._numba import kernel
from ._table import DIRTY, EVENTS, FIRST, GROUP_BITS, LANDMARK, LATEST, MODEL, NORM, Handles, State, Table
from ._window import clear_evidence, is_signed

_MOST = 1e160  # in forward weights, far beyond what events sum to; finite still where many replicas are added


class Own(NamedTuple):
    """A bandit's own sums, `[rows, W]`, and what stood beside them at that moment."""

    sums: Table
    events: int
    landmark: float
    latest: float


def is_shared(model: Any) -> bool:
    """Whether all arms have one row of sums between them."""
    return bool(model.kind == "shared_linear")


def width_of(model: Any) -> int:
    """Numbers in a row of sums, W."""
    return others_width(model.n_features) if model.is_contextual else int(model.evidence_rows)


def growing(model: Any) -> NDArray[np.int64]:
    """Which of the W numbers only ever grow: sums of what is not negative."""
    if model.is_contextual:
        return diagonal(model.n_features)
    return np.array([e for e in range(model.evidence_rows) if not is_signed(model.number, model.prior_rows + e)])


def are_possible(model: Any, sums: Table) -> bool:
    """Whether events can have left these sums, `[rows, W]`, as far as their signs and sizes tell."""
    return bool((np.abs(sums) <= _MOST).all() and (sums[:, growing(model)] >= 0.0).all())


def take(model: Any, state: State, columns: int, *, hands_over: bool = False) -> Own:
    """Copy the own sums of the first columns; handed over, they are counted among the others' from then on."""
    cells = np.empty(3)
    if model.is_contextual:
        blocks = _blocks(model, state)
        sums = np.empty((1 if is_shared(model) else columns, width_of(model)))
        _take_blocks(state.table, blocks, model.n_features, sums, cells, hands_over)
    else:
        sums = np.empty((columns, model.evidence_rows))
        _take_counts(state.table, FIRST + model.prior_rows, sums, cells, hands_over)
    return Own(sums, int(cells[0]), float(cells[1]), float(cells[2]))


def put(model: Any, state: State, rows: Handles, sums: Table, *, derives: bool = True) -> None:
    """Set the others' sums `[B, W]` of some rows; the inverses are made anew where `derives` says so."""
    if model.is_contextual:
        blocks = _blocks(model, state)
        chunk = max(1, 1_000_000 // model.n_features**3)  # so that other threads need not wait long
        for start in range(0, rows.size, chunk):
            some = rows[start : start + chunk], sums[start : start + chunk]
            _put_blocks(state.table, blocks, model.n_features, model.ridge, *some, derives)
    else:
        _put_counts(state.table, FIRST + model.prior_rows, rows, sums)


def _blocks(model: Any, state: State) -> Table:
    """The blocks of a linear model, one an arm, or the one that all share."""
    return state.shared.reshape(1, -1) if is_shared(model) else state.blocks


def give(model: Any, state: State, sums: Table, resets: Handles | None) -> None:
    """Count sums `[rows, W]` that were others' as own, but of arms restarted since, which `resets` tells; none is lost.

    The others' sums are to be put anew after it.
    """
    counts = np.zeros(0, np.int64) if resets is None else resets
    if model.is_contextual:
        _give_blocks(_blocks(model, state), model.n_features, sums)
    else:
        _give_counts(state.table, state.blocks, FIRST + model.prior_rows, sums, counts)


@kernel
def _give_counts(table: Table, blocks: Table, first: int, sums: Table, resets: Handles) -> None:
    for column in range(sums.shape[0]):
        if resets.size == 0 or blocks[column, -1] == resets[column]:
            for e in range(sums.shape[1]):
                table[first + e, column] += sums[column, e]
                table[first + sums.shape[1] + e, column] -= sums[column, e]


@kernel
def _give_blocks(blocks: Table, d: int, sums: Table) -> None:
    packed, others = d * (d + 1) // 2, own_width(d)
    for i in range(sums.shape[0]):
        for j in range(packed + d):
            blocks[i, j if j < packed else packed + j] += sums[i, j]
            blocks[i, others + j] -= sums[i, j]


@kernel
def _take_counts(table: Table, first: int, out: Table, cells: Table, hands_over: bool) -> None:
    for column in range(out.shape[0]):
        for e in range(out.shape[1]):
            out[column, e] = table[first + e, column]
            if hands_over:
                table[first + out.shape[1] + e, column] += table[first + e, column]
                table[first + e, column] = 0.0
        if hands_over:
            table[DIRTY, column >> GROUP_BITS] = 1.0
    _read_cells(table, cells)


@kernel
def _take_blocks(table: Table, blocks: Table, d: int, out: Table, cells: Table, hands_over: bool) -> None:
    packed, others = d * (d + 1) // 2, own_width(d)
    for i in range(out.shape[0]):
        for j in range(packed + d):
            place = j if j < packed else packed + j  # the moment stands behind the inverse
            out[i, j] = blocks[i, place]
            if hands_over:
                blocks[i, others + j] += blocks[i, place]
                blocks[i, place] = 0.0
    _read_cells(table, cells)


@kernel
def _read_cells(table: Table, cells: Table) -> None:
    cells[0] = table[EVENTS, -1]
    cells[1] = table[LANDMARK, -1]
    cells[2] = table[LATEST, -1]


@kernel
def _put_counts(table: Table, first: int, rows: Handles, sums: Table) -> None:
    for i in range(rows.size):
        column = rows[i]
        for e in range(sums.shape[1]):
            value, own = sums[i, e], table[first + e, column]
            if not is_signed(table[MODEL, -1], first - FIRST + e):
                value = max(value, -own)  # what rounding leaves where events were taken back
            table[first + sums.shape[1] + e, column] = value
        table[DIRTY, column >> GROUP_BITS] = 1.0


@kernel
def _put_blocks(table: Table, blocks: Table, d: int, ridge: float, rows: Handles, sums: Table, derives: bool) -> None:
    ahead = ridge / backward_scale(table, math.nan)
    own = own_width(d)
    for i in range(rows.size):
        block = blocks[rows[i]]
        for j in range(sums.shape[1]):
            block[own + j] = sums[i, j]
        if derives:
            refresh_block(block, d, ahead)
            table[NORM, rows[i]] = 0.0


@kernel
def note_others(table: Table, events: float, latest: float) -> None:
    """Count so many events of others as learnt; `latest` is a time now known, or NaN."""
    table[EVENTS, -1] += events
    note_time(table, latest)


@kernel
def restart(table: Table, blocks: Table, columns: Handles, resets: Handles) -> None:
    """Forget arms that another replica's change detector has restarted, and count the restart."""
    for i in range(columns.size):
        if blocks[columns[i], -1] < resets[i]:
            clear_evidence(table, columns[i])
            blocks[columns[i]] = 0.0
            blocks[columns[i], -1] = resets[i]

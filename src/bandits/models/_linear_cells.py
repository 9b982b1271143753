"""The linear models by number, for loops that are compiled whole."""

import math

from .._decay import backward_scale
from .._linalg import keep_ridge
from .._numba import kernel
from .._table import EVENTS, HALF_LIFE, LANDMARK, LATEST, RESOLVED, SHOWN, Handles, Table, Uids
from . import hybrid_linear, linear, shared_linear

LINEAR, SHARED = 3, 4


@kernel
def fill_any(
    model: int,
    table: Table,
    blocks: Table,
    shared: Table,
    handles: Handles,
    contexts: Table,
    features: int,
    ridge: float,
    key: int,
    now: float,
    width: float,
    draws: bool,
    out: Table,
) -> int:
    """Run the `fill` of the model with this number."""
    if model == LINEAR:
        return linear.fill(table, blocks, shared, handles, contexts, features, ridge, key, now, width, draws, out)
    if model == SHARED:
        return shared_linear.fill(
            table, blocks, shared, handles, contexts, features, ridge, key, now, width, draws, out
        )
    return hybrid_linear.fill(table, blocks, shared, handles, contexts, features, ridge, key, now, width, draws, out)


@kernel
def gather_linear(
    table: Table,
    blocks: Table,
    shared: Table,
    handles: Handles,
    uids: Uids,
    model: int,
    features: int,
    ridge: float,
    out: Table,
    out_blocks: Table,
    out_shared: Table,
    out_uids: Uids,
) -> None:
    """Copy arms of a linear model, all of one moment, into a private state; ridges that have decayed are mended."""
    if table[HALF_LIFE, -1] > 0.0 and model == SHARED:
        keep_ridge(shared, features, ridge / backward_scale(table, math.nan))
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        if table[HALF_LIFE, -1] > 0.0 and model == LINEAR:
            keep_ridge(blocks[column], features, ridge / backward_scale(table, math.nan))
        out[SHOWN, i] = table[SHOWN, column]
        out[RESOLVED, i] = table[RESOLVED, column]
        out_uids[i] = uids[column]
        for j in range(blocks.shape[1]):
            out_blocks[i, j] = blocks[column, j]
    for j in range(shared.size):
        out_shared[j] = shared[j]
    for cell in (EVENTS, HALF_LIFE, LANDMARK, LATEST):
        out[cell, -1] = table[cell, -1]

"""What is derived from the statistics of a table: parameters of the beliefs, and what makes them quick to compare.

Rows P ... SPREAD of a column are a function of its statistics, of the time and of what the policy reads (TERMS). They
are made anew only where a dirty flag stands: learning sets the flag of a group of 64 columns, one store in a place that
is always in the cache; choosing refreshes the group and compares, and computes constants only for arms that changed.
"""

import math

from ._bounds import constant_of
from ._decay import backward_scale
from ._families import center_of, spread_of
from ._numba import kernel
from ._table import (
    BELIEF,
    CENTER,
    CONSTANT,
    DIRTY,
    FAMILY,
    GROUP_BITS,
    GROUP_REST,
    GROUP_SUM,
    HALF_LIFE,
    MODEL,
    PRIVATE,
    SCALE,
    SPREAD,
    STAMP,
    TERMS,
    VERSION,
    Handles,
    P,
    Q,
    R,
    Table,
    Uids,
    first_stale,
    pending_of,
)
from .models._cells import belief, evidence


@kernel
def refresh(table: Table, handles: Handles, version: float, now: float) -> bool:
    """Make the derived rows of the candidates true; False where one of them is not there any more.

    `version >= 0` says that the candidates are the columns 0 ... C - 1, all live at that version of the table; then
    nothing is looked at candidate by candidate. `now` is NaN for the latest time known.
    """
    if table[VERSION, -1] == PRIVATE:
        return True
    if version >= 0.0:
        if table[VERSION, -1] != version:
            return False
    elif first_stale(table, handles) >= 0:
        return False
    scale = _scale(table, now)
    if version >= 0.0:
        for group in range((handles.size - 1 >> GROUP_BITS) + 1):
            if table[DIRTY, group] != 0.0:
                _derive(table, group, scale)
    else:
        for i in range(handles.size):
            group = (handles[i] & 0xFFFF_FFFF) >> GROUP_BITS
            if table[DIRTY, group] != 0.0:
                _derive(table, group, scale)
    return True


@kernel
def _scale(table: Table, now: float) -> float:
    """What forward weights are worth now; where that changes, every flag is set."""
    if not table[HALF_LIFE, -1] > 0.0:
        return 1.0
    scale = backward_scale(table, now)
    if table[SCALE, -1] != scale:
        table[SCALE, -1] = scale
        for group in range((table.shape[1] - 2 >> GROUP_BITS) + 1):
            table[DIRTY, group] = 1.0
    return scale


@kernel
def _derive(table: Table, group: int, scale: float) -> None:
    """Refresh one group of columns."""
    table[DIRTY, group] = 0.0
    total, rest = 0.0, 0.0
    family = int(table[FAMILY, -1])
    first = group << GROUP_BITS
    for column in range(first, min(first + (1 << GROUP_BITS), table.shape[1] - 1)):
        if table[STAMP, column] < 0.0:
            continue
        pending = pending_of(table, column)
        if table[TERMS, -1] == BELIEF:
            p, q, r = belief(table[MODEL, -1], table, column, scale, pending)
            if p != table[P, column] or q != table[Q, column] or r != table[R, column]:
                table[P, column], table[Q, column], table[R, column] = p, q, r
                table[CONSTANT, column] = constant_of(family, p, q, r)
                table[CENTER, column] = center_of(family, p, q, r)
                table[SPREAD, column] = spread_of(family, p, q, r)
        else:
            mean, n, variance = evidence(table[MODEL, -1], table, column, scale, pending)
            table[P, column] = mean if n > 0.0 else math.inf  # an untried arm comes first
            table[Q, column] = 1.0 / math.sqrt(n) if n > 0.0 else 0.0
            table[R, column] = n
            table[CONSTANT, column] = variance
            total, rest = add_exactly(total, rest, n)
    table[GROUP_SUM, group], table[GROUP_REST, group] = total, rest


@kernel
def add_exactly(total: float, rest: float, x: float) -> tuple[float, float]:
    """Add x to `total + rest`, keeping what rounding takes (Neumaier), so that the order of a sum does not matter."""
    larger = total + x
    if abs(total) >= abs(x):
        return larger, rest + ((total - larger) + x)
    return larger, rest + ((x - larger) + total)


@kernel
def total_weight(table: Table, handles: Handles, is_dense: bool) -> float:
    """Weight of the candidates' rewards, rounded once: the same in any order. For terms EVIDENCE."""
    total, rest = 0.0, 0.0
    if is_dense and table[VERSION, -1] != PRIVATE:
        for group in range((handles.size - 1 >> GROUP_BITS) + 1):
            total, rest = add_exactly(total, rest, table[GROUP_SUM, group])
            rest += table[GROUP_REST, group]
    else:
        for i in range(handles.size):
            total, rest = add_exactly(total, rest, table[R, handles[i] & 0xFFFF_FFFF])
    return total + rest


@kernel
def gather(table: Table, handles: Handles, uids: Uids, now: float, out: Table, out_uids: Uids) -> bool:
    """Copy the derived rows of arms into a private table, its columns in their order; False where one is gone."""
    if not refresh(table, handles, -1.0, now):
        return False
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        for s in range(P, SPREAD + 1):
            out[s, i] = table[s, column]
        out_uids[i] = uids[column]
    return True

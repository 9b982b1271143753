"""Exposures that await feedback: rows SHOWN and RESOLVED of the table. Feedback resolves an arm's oldest first."""

from ._numba import kernel
from ._table import DIRTY, GROUP_BITS, PENDING, RESOLVED, SHOWN, Handles, Table, is_current


@kernel
def show(table: Table, handles: Handles, counts: Table) -> None:
    """Note that these arms are being shown and await feedback; write how often each was by now."""
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        counts[i] = 0.0
        if is_current(table, handles[i]):
            table[SHOWN, column] += 1.0
            table[PENDING, -1] += 1.0
            table[DIRTY, column >> GROUP_BITS] = 1.0
            counts[i] = table[SHOWN, column]


@kernel
def is_resolved(table: Table, handles: Handles, shown: Table) -> bool:
    """Whether none of these exposures awaits feedback any more."""
    for i in range(handles.size):
        if is_current(table, handles[i]) and table[RESOLVED, handles[i] & 0xFFFF_FFFF] < shown[i]:
            return False
    return True


@kernel
def expire(table: Table, handles: Handles, shown: Table) -> int:
    """Await no more what these arms were shown up to the counts `shown [B]`; return how many exposures that were."""
    expired = 0.0
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        if is_current(table, handles[i]) and table[RESOLVED, column] < shown[i]:
            expired += shown[i] - table[RESOLVED, column]
            table[RESOLVED, column] = shown[i]
            table[DIRTY, column >> GROUP_BITS] = 1.0
    table[PENDING, -1] -= expired
    return int(expired)

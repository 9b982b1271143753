"""Conversions kept for the second pass, with their credits: a ring of conversions, a pool of credits in lists.

`kept [conversions, 10]` int64 and `moments`, the same memory seen as float64; `pool [credits, 6]`.
"""

import numpy as np

from .._numba import free_kernel
from ._table import EVICTED_CONVERSIONS, Floats, Ints

# columns of kept; the last three are read in moments
ORDER, USER, ITEM, SEGMENT, KIND, CREDITS, DONE, AT, VALUE, DUE = range(10)
KEPT_WIDTH = 10

# columns of pool
DECISION, EARNER, RANK, UNITS, RULE, FOLLOWING = range(6)
POOL_WIDTH = 6

# cells of queue: row to be written next, rows in use; of the pool: first of the free list, first never used, how many
# are free
NEXT, HELD, FREE, UNUSED, FREE_COUNT = range(5)

# rows of what is put out, `out [8, n]` and `amounts [2, n]`
OUT_ROW, OUT_ORDER, OUT_DECISION, OUT_ITEM, OUT_RANK, OUT_UNITS, OUT_RULE, OUT_NUMBER = range(8)
OUT_VALUE, OUT_AT = range(2)
OUT_WIDTH = 8

SETTLED = np.inf  # of DUE: there is no pass to come


@free_kernel
def release(kept: Ints, pool: Ints, queue: Ints, row: int) -> None:
    """Give the credits of a conversion back to the pool."""
    credit = kept[row, CREDITS]
    while credit >= 0:
        following = pool[credit, FOLLOWING]
        pool[credit, FOLLOWING] = queue[FREE]
        queue[FREE] = credit
        queue[FREE_COUNT] += 1
        credit = following
    kept[row, CREDITS] = -1


@free_kernel
def take(pool: Ints, queue: Ints) -> int:
    """Take a credit's row out of the pool, which has one."""
    credit = queue[FREE]
    if credit >= 0:
        queue[FREE] = pool[credit, FOLLOWING]
    else:
        credit = queue[UNUSED]
        queue[UNUSED] += 1
    queue[FREE_COUNT] -= 1
    return credit  # type: ignore[no-any-return]


@free_kernel
def put(
    kept: Ints, pool: Ints, queue: Ints, row: int, decision: int, item: int, rank: int, units: int, rule: int
) -> None:
    """Note a credit of a conversion, before those that it has."""
    credit = take(pool, queue)
    pool[credit, DECISION] = decision
    pool[credit, EARNER] = item
    pool[credit, RANK] = rank
    pool[credit, UNITS] = units
    pool[credit, RULE] = rule
    pool[credit, FOLLOWING] = kept[row, CREDITS]
    kept[row, CREDITS] = credit


@free_kernel
def drop_oldest(kept: Ints, moments: Floats, pool: Ints, queue: Ints, counts: Ints) -> None:
    """Forget the conversion that came first; counted where a pass was to come."""
    row = (queue[NEXT] - queue[HELD]) % kept.shape[0]
    if moments[row, DUE] < np.inf:
        counts[EVICTED_CONVERSIONS] += 1
    moments[row, DUE] = np.inf
    release(kept, pool, queue, row)
    queue[HELD] -= 1


@free_kernel
def keep(
    kept: Ints,
    moments: Floats,
    pool: Ints,
    queue: Ints,
    counts: Ints,
    delay: float,
    orders: Ints,
    users: Ints,
    items: Ints,
    segments: Ints,
    kinds: Ints,
    at: Floats,
    values: Floats,
    fates: Ints,
    start: int,
    stop: int,
    out: Ints,
    n: int,
) -> None:
    """Keep the new ones of the conversions [start, stop), whose n credits stand in `out` in their order."""
    first = 0
    for i in range(start, stop):
        if fates[i] == 0:
            continue
        last = first
        while last < n and out[OUT_ROW, last] == i:
            last += 1
        while queue[HELD] == kept.shape[0] or queue[FREE_COUNT] < last - first:
            drop_oldest(kept, moments, pool, queue, counts)
        row = queue[NEXT]
        kept[row, ORDER] = orders[i]
        kept[row, USER] = users[i]
        kept[row, ITEM] = items[i]
        kept[row, SEGMENT] = segments[i] if segments.size else 0
        kept[row, KIND] = kinds[i]
        kept[row, CREDITS] = -1
        kept[row, DONE] = 0
        moments[row, AT] = at[i]
        moments[row, VALUE] = values[i]
        moments[row, DUE] = at[i] + delay
        for j in range(last - 1, first - 1, -1):
            put(
                kept, pool, queue, row,
                out[OUT_DECISION, j], out[OUT_ITEM, j], out[OUT_RANK, j], out[OUT_UNITS, j], out[OUT_RULE, j],
            )  # fmt: skip
        queue[NEXT] = row + 1 if row + 1 < kept.shape[0] else 0
        queue[HELD] += 1
        first = last


@free_kernel
def count_credits(kept: Ints, pool: Ints, wanted: Ints, sizes: Ints) -> int:
    """Write how many credits each of the wanted rows has; return the sum."""
    total = 0
    for k in range(wanted.size):
        sizes[k] = 0
        credit = kept[wanted[k], CREDITS]
        while credit >= 0:
            sizes[k] += 1
            credit = pool[credit, FOLLOWING]
        total += sizes[k]
    return total


@free_kernel
def copy_credits(kept: Ints, pool: Ints, wanted: Ints, out: Ints) -> None:
    """Write the credits of the wanted rows one after another, `[n, 5]`."""
    n = 0
    for k in range(wanted.size):
        credit = kept[wanted[k], CREDITS]
        while credit >= 0:
            for j in range(FOLLOWING):
                out[n, j] = pool[credit, j]
            credit = pool[credit, FOLLOWING]
            n += 1


@free_kernel
def put_credits(kept: Ints, pool: Ints, queue: Ints, sizes: Ints, flat: Ints) -> None:
    """Give the first rows their credits, which stand one after another."""
    first = 0
    for row in range(sizes.size):
        for i in range(first + sizes[row] - 1, first - 1, -1):
            put(kept, pool, queue, row, flat[i, 0], flat[i, 1], flat[i, 2], flat[i, 3], flat[i, 4])
        first += sizes[row]

"""Conversions to credits, in two kernels: which are new, and which touches earn them."""

import numpy as np

from .._numba import free_kernel
from .._random import mix64
from ._keeping import (
    OUT_AT,
    OUT_DECISION,
    OUT_ITEM,
    OUT_NUMBER,
    OUT_ORDER,
    OUT_RANK,
    OUT_ROW,
    OUT_RULE,
    OUT_UNITS,
    OUT_VALUE,
)
from ._orders import CURRENT, SIZE, home, insert, is_known, mixed, rotate
from ._path import BY_USER, CHANNELS, CODE, LONGEST, MODEL, SALT, STEPS, WALK, WHOLE, read_path, rule_of, share_out
from ._table import (
    AHEAD,
    BORN,
    CONVERSIONS,
    CUT_PATHS,
    DECISION,
    DUPLICATES,
    EVICTED_ORDERS,
    ITEM,
    LATE_CONVERSIONS,
    LATEST,
    NO_RULE,
    RANK,
    SINK,
    UNATTRIBUTED,
    Floats,
    Ints,
    find,
    hash_of,
    walk_ahead,
)

DUPLICATE, ON_TIME, LATE = 0, 1, 2  # fates


@free_kernel
def admit(
    names: Ints,
    cells: Ints,
    counts: Ints,
    clock: Floats,
    capacity: int,
    lateness: float,
    memory: float,
    orders: Ints,
    at: Floats,
    fates: Ints,
) -> int:
    """Write the fate of B conversions, in order, and remember their orders."""
    mask, read = names.shape[1] - 1, 0
    for start in range(0, orders.size, AHEAD):
        stop = min(start + AHEAD, orders.size)
        for i in range(start, stop):
            slot = home(mixed(orders[i]), cells, mask)
            read ^= names[0, slot] ^ names[1, slot]
        for i in range(start, stop):
            name = mixed(orders[i])
            if is_known(names, cells, name):
                counts[DUPLICATES] += 1
                fates[i] = DUPLICATE
                continue
            is_late = at[i] < clock[LATEST] - lateness
            clock[LATEST] = max(clock[LATEST], at[i])
            if np.isnan(clock[BORN]):
                clock[BORN] = clock[LATEST]
            if clock[LATEST] - clock[BORN] >= memory or cells[SIZE + cells[CURRENT]] >= capacity:
                counts[EVICTED_ORDERS] += rotate(names, cells)
                clock[BORN] = clock[LATEST]
            insert(names, cells, cells[CURRENT], name)
            counts[CONVERSIONS] += 1
            counts[LATE_CONVERSIONS] += is_late
            fates[i] = LATE if is_late else ON_TIME
    return read


@free_kernel
def join(
    slots: Ints,
    rows: Ints,
    times: Floats,
    ring: Ints,
    counts: Ints,
    settings: Ints,
    windows: Floats,
    numbers: Ints,
    limits: Floats,
    rule_segments: Ints,
    orders: Ints,
    users: Ints,
    items: Ints,
    segments: Ints,
    kinds: Ints,
    at: Floats,
    values: Floats,
    fates: Ints,
    start: int,
    out: Ints,
    amounts: Floats,
) -> tuple[int, int]:
    """Credit the new ones of B conversions, from `start` on, while there is room; return where it stopped, and n."""
    longest, by_user, salt, walk = settings[LONGEST], settings[BY_USER] != 0, settings[SALT], settings[WALK]
    path, units = np.empty(longest, np.int64), np.empty(longest, np.int64)
    hashes = np.empty(AHEAD, np.int64)
    n = 0
    for i in range(start, users.size):
        if (i - start) % AHEAD == 0:
            near = min(AHEAD, users.size - i)
            for j in range(near):
                hashes[j] = hash_of(users[i + j], items[i + j], salt, by_user)
            ring[SINK] = walk_ahead(slots, rows, hashes, near, settings[STEPS])
        if fates[i] == DUPLICATE:
            continue
        if n + longest > out.shape[1]:
            return i, n
        segment = segments[i] if segments.size else 0
        rule = rule_of(numbers, limits, rule_segments, kinds[i], segment, at[i], values[i])
        earners, state = 0, WHOLE
        if rule >= 0:
            slot = find(slots, rows, hash_of(users[i], items[i], salt, by_user), users[i], items[i], by_user)
            window, channels, model = windows[kinds[i] & 0xFF], numbers[rule, CHANNELS], numbers[rule, MODEL]
            head = slots[slot, 1] - 1
            earners, state = read_path(rows, times, head, at[i], window, channels, model, longest, walk, path)
        if earners > 0:
            share_out(numbers, rule, earners, units)
        counts[NO_RULE] += rule < 0
        counts[CUT_PATHS] += state != WHOLE
        counts[UNATTRIBUTED] += earners == 0
        for j in range(earners):
            if units[j] != 0:
                out[OUT_ROW, n] = i
                out[OUT_ORDER, n] = orders[i]
                out[OUT_DECISION, n] = rows[path[j], DECISION]
                out[OUT_ITEM, n] = rows[path[j], ITEM]
                out[OUT_RANK, n] = rows[path[j], RANK]
                out[OUT_UNITS, n] = units[j]
                out[OUT_RULE, n] = numbers[rule, CODE]
                out[OUT_NUMBER, n] = fates[i]
                amounts[OUT_VALUE, n] = values[i]
                amounts[OUT_AT, n] = at[i]
                n += 1
    return users.size, n


@free_kernel
def name_amounts(orders: Ints, numbers: Ints, decisions: Ints, items: Ints, units: Ints, out: Ints) -> None:
    """Ids of n credits or corrections: of the order, the number of the pass, the decision, the item and the sign."""
    for i in range(out.size):
        mixed = mix64(np.uint64(orders[i]) ^ np.uint64(0x6A09_E667_F3BC_C908))
        mixed = mix64(mixed ^ np.uint64(decisions[i]))
        mixed = mix64(mixed ^ np.uint64(items[i]))
        mixed = mix64(mixed ^ np.uint64(numbers[i] * 2 + (units[i] < 0)))
        out[i] = np.int64(mixed)


def names_of_amounts(orders: Ints, numbers: Ints, decisions: Ints, items: Ints, units: Ints) -> Ints:
    """Ids of n credits or corrections, `[n]`; columns of any layout, which to numba would be other types."""
    table = np.array((orders, numbers, decisions, items, units), np.int64)
    ids = np.empty(orders.size, np.int64)
    name_amounts(table[0], table[1], table[2], table[3], table[4], ids)
    return ids

"""Touches remembered: a ring of rows, in chains by key, found by a hash table.

`rows [touches, 8]` int64 and `times`, the same memory seen as float64; a row fills one cache line. `slots [S, 2]`: hash
of a key, and 1 + the row of its latest touch; (_, 0) is vacant. Linear probing; deletion shifts back, so that there
are no tombstones. A chain is sorted by (time, rank, decision, item), the latest first: a path is read off it.

All arrays are private to one `Attribution`, which holds its lock while kernels run.
"""

import numpy as np
from numpy.typing import NDArray

from .._numba import free_kernel
from .._random import mix64

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# columns of rows; AT is read in times
USER, ITEM, DECISION, RANK, AT, OLDER, NEWER, HASH = range(8)
WIDTH = 8

# cells of the ring
NEXT, HELD, SINK = 0, 1, 2  # row to be written next; rows in use; what looking ahead has read

# counters, `counts [N]`
COUNTS = (
    "touches",
    "conversions",
    "duplicates",
    "unattributed",
    "no_rule",
    "late_touches",
    "late_conversions",
    "future",
    "cut_paths",
    "evicted_touches",
    "evicted_conversions",
    "evicted_orders",
    "evicted_corrections",
    "passes",
    "blind_passes",
    "changed",
    "buried_touches",
)
(
    TOUCHES,
    CONVERSIONS,
    DUPLICATES,
    UNATTRIBUTED,
    NO_RULE,
    LATE_TOUCHES,
    LATE_CONVERSIONS,
    FUTURE,
    CUT_PATHS,
    EVICTED_TOUCHES,
    EVICTED_CONVERSIONS,
    EVICTED_ORDERS,
    EVICTED_CORRECTIONS,
    PASSES,
    BLIND_PASSES,
    CHANGED,
    BURIED_TOUCHES,
) = range(len(COUNTS))

# cells of clock: latest time seen; when the current generation of orders began; latest time of a touch that has gone
LATEST, BORN, GONE = 0, 1, 2
# Python's own salt of this process: where keys stand in tables changes no result, and nobody is to choose ids that all
# stand in one place
SALT = hash("seedbed: where keys stand in tables")
ADDED, STANDS, BURIED = 0, 1, 2  # what became of a touch
AHEAD = 128  # events whose rows are brought near before they are handled


def slots_for(capacity: int) -> int:
    """Slots of a table: a power of two, at most three quarters of it in use."""
    return 1 << max(3, (capacity * 4 // 3).bit_length())


@free_kernel
def hash_of(user: int, item: int, salt: int, by_user: bool) -> int:
    """Hash of a key; with another salt, another one, so that nobody can choose ids that stand in one place."""
    mixed = mix64(np.uint64(user) ^ np.uint64(salt))
    if not by_user:
        mixed = mix64(mixed ^ (np.uint64(item) * np.uint64(0x9E37_79B9_7F4A_7C15)))
    return int(np.int64(mixed))


@free_kernel
def find(slots: Ints, rows: Ints, hashed: int, user: int, item: int, by_user: bool) -> int:
    """Slot of a key, or the vacant one where it would stand."""
    mask = slots.shape[0] - 1
    slot = hashed & mask
    while slots[slot, 1] != 0:
        if slots[slot, 0] == hashed:
            head = slots[slot, 1] - 1
            if rows[head, USER] == user and (by_user or rows[head, ITEM] == item):
                return int(slot)
        slot = (slot + 1) & mask
    return int(slot)


@free_kernel
def remove(slots: Ints, slot: int) -> None:
    """Vacate a slot; those behind it that were pushed past it move back."""
    mask = slots.shape[0] - 1
    hole = slot
    after = (slot + 1) & mask
    while slots[after, 1] != 0:
        if ((after - slots[after, 0]) & mask) >= ((after - hole) & mask):
            slots[hole, 0] = slots[after, 0]
            slots[hole, 1] = slots[after, 1]
            hole = after
        after = (after + 1) & mask
    slots[hole, 1] = 0


@free_kernel
def evict(slots: Ints, rows: Ints, row: int) -> None:
    """Take a row out of its chain, and its key out of the table where it was all of it."""
    older, newer = rows[row, OLDER], rows[row, NEWER]
    if older >= 0:
        rows[older, NEWER] = newer
    if newer >= 0:
        rows[newer, OLDER] = older
        return
    mask = slots.shape[0] - 1
    slot = rows[row, HASH] & mask
    while slots[slot, 1] != row + 1:
        slot = (slot + 1) & mask
    if older >= 0:
        slots[slot, 1] = older + 1
    else:
        remove(slots, slot)


@free_kernel
def compare(rows: Ints, times: Floats, row: int, at: float, rank: int, decision: int, item: int) -> int:
    """1 where a row comes after a touch in the order of paths, 0 where it is that touch, -1 where it comes before."""
    if times[row, AT] != at:
        return 1 if times[row, AT] > at else -1
    if rows[row, RANK] != rank:
        return 1 if rows[row, RANK] > rank else -1
    if rows[row, DECISION] != decision:
        return 1 if np.uint64(rows[row, DECISION]) > np.uint64(decision) else -1
    if rows[row, ITEM] != item:
        return 1 if np.uint64(rows[row, ITEM]) > np.uint64(item) else -1
    return 0


@free_kernel
def add_touch(
    slots: Ints,
    rows: Ints,
    times: Floats,
    ring: Ints,
    counts: Ints,
    clock: Floats,
    hashed: int,
    user: int,
    item: int,
    decision: int,
    rank: int,
    at: float,
    by_user: bool,
    walk: int,
) -> int:
    """Put a touch into its chain: ADDED; or it STANDS there already; or is BURIED under more than `walk` newer ones."""
    row = ring[NEXT]
    is_full = ring[HELD] == rows.shape[0]
    while True:
        slot = find(slots, rows, hashed, user, item, by_user)
        older, newer, walked = slots[slot, 1] - 1, -1, 0
        while older >= 0:
            order = compare(rows, times, older, at, rank, decision, item)
            if order == 0:
                return STANDS
            if order < 0:
                break
            if walked == walk:
                return BURIED
            walked += 1
            newer = older
            older = rows[older, OLDER]
        if not is_full:
            break
        clock[GONE] = max(clock[GONE], times[row, AT])
        evict(slots, rows, row)  # may move the slot and take a neighbour away: look again
        counts[EVICTED_TOUCHES] += 1
        ring[HELD] -= 1
        is_full = False
    rows[row, USER] = user
    rows[row, ITEM] = item
    rows[row, DECISION] = decision
    rows[row, RANK] = rank
    times[row, AT] = at
    rows[row, OLDER] = older
    rows[row, NEWER] = newer
    rows[row, HASH] = hashed
    if older >= 0:
        rows[older, NEWER] = row
    if newer >= 0:
        rows[newer, OLDER] = row
    else:
        slots[slot, 0] = hashed
        slots[slot, 1] = row + 1
    ring[NEXT] = row + 1 if row + 1 < rows.shape[0] else 0
    ring[HELD] += 1
    return ADDED


@free_kernel
def look_ahead(slots: Ints, rows: Ints, hashes: Ints, n: int) -> int:
    """Read the slots of n keys and the rows that they name: loads that wait for each other no more, side by side."""
    mask, read = slots.shape[0] - 1, 0
    for j in range(n):
        read ^= slots[hashes[j] & mask, 1]
    for j in range(n):
        head = slots[hashes[j] & mask, 1] - 1
        if head >= 0:
            read ^= rows[head, OLDER]
    return read


@free_kernel
def walk_ahead(slots: Ints, rows: Ints, cursors: Ints, n: int, steps: int) -> int:
    """The same for steps along the chains of n keys, whose hashes `cursors` holds and loses."""
    mask, read = slots.shape[0] - 1, 0
    for j in range(n):
        cursors[j] = slots[cursors[j] & mask, 1] - 1
    for _ in range(steps):
        for j in range(n):
            if cursors[j] >= 0:
                cursors[j] = rows[cursors[j], OLDER]
    for j in range(n):
        read ^= cursors[j]
    return read


@free_kernel
def add_touches(
    slots: Ints,
    rows: Ints,
    times: Floats,
    ring: Ints,
    counts: Ints,
    clock: Floats,
    lateness: float,
    by_user: bool,
    salt: int,
    walk: int,
    users: Ints,
    items: Ints,
    decisions: Ints,
    ranks: Ints,
    at: Floats,
) -> None:
    """Take B touches, in order."""
    hashes = np.empty(AHEAD, np.int64)
    for start in range(0, users.size, AHEAD):
        n = min(AHEAD, users.size - start)
        for j in range(n):
            hashes[j] = hash_of(users[start + j], items[start + j], salt, by_user)
        read = look_ahead(slots, rows, hashes, n)
        if ring[HELD] == rows.shape[0]:  # rows that go, and those that they follow
            for j in range(n):
                newer = rows[(ring[NEXT] + j) % rows.shape[0], NEWER]
                if newer >= 0:
                    read ^= rows[newer, OLDER]
        ring[SINK] = read
        for j in range(n):
            i = start + j
            watermark = clock[LATEST] - lateness
            fate = add_touch(
                slots, rows, times, ring, counts, clock, hashes[j],
                users[i], items[i], decisions[i], ranks[i], at[i], by_user, walk,
            )  # fmt: skip
            if fate != ADDED:
                counts[DUPLICATES if fate == STANDS else BURIED_TOUCHES] += 1
                continue
            counts[TOUCHES] += 1
            if at[i] < watermark:
                counts[LATE_TOUCHES] += 1
            clock[LATEST] = max(clock[LATEST], at[i])

"""Counts by viewer and arm in two generations: a table of viewers, each with a chain of entries; see `frequency`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bandits._numba import kernel
from ..bandits._random import mix64

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]
NEWER, WINDOW, STAMP, DROPPED, ANONYMOUS, MOVED = range(6)  # of the counts
ENTRIES, VIEWERS, OWN_STAMP = range(3)  # of what a generation uses
HALF = 32  # bits of a count, a link or a stamp
_LINK = 0xFFFF_FFFF
_LAST_STAMP = 2**31 - 1
_LIST = 4  # so many keys are compared one by one


@kernel
def clear(heads: Integers, used: Integers, counts: Integers, generation: int) -> None:
    """Empty a generation: no slot has its new stamp."""
    if counts[STAMP] == _LAST_STAMP:  # after 2**31 windows: begin again, without the other generation
        heads[:] = 0
        used[:, ENTRIES] = 0
        used[:, VIEWERS] = 0
        used[1 - generation, OWN_STAMP] = 1
        counts[STAMP] = 1
    counts[STAMP] += 1
    used[generation, ENTRIES] = 0
    used[generation, VIEWERS] = 0
    used[generation, OWN_STAMP] = counts[STAMP]
    counts[MOVED] = 0


@kernel
def slot_of(viewers: Words, heads: Integers, generation: int, stamp: int, viewer: Any) -> int:
    """The slot of a viewer, or the free one where he would stand."""
    last = viewers.shape[1] - 1
    slot = np.int64(mix64(np.uint64(viewer)) & np.uint64(last))
    while heads[generation, slot] >> HALF == stamp and viewers[generation, slot] != viewer:
        slot = (slot + 1) & last
    return int(slot)


@kernel
def are_found(viewers: Words, heads: Integers, generation: int, stamp: int) -> bool:
    """Whether a search finds every viewer of a generation where he stands; the table has a free slot."""
    for slot in range(heads.shape[1]):
        is_live = heads[generation, slot] >> HALF == stamp
        if is_live and slot_of(viewers, heads, generation, stamp, viewers[generation, slot]) != slot:
            return False
    return True


@kernel
def first_entry(viewers: Words, heads: Integers, used: Integers, generation: int, viewer: Any) -> int:
    """First entry + 1 of a viewer in a generation; 0 for none."""
    stamp = used[generation, OWN_STAMP]
    head = heads[generation, slot_of(viewers, heads, generation, stamp, viewer)]
    return int(head & _LINK) if head >> HALF == stamp else 0


@kernel
def find_full(
    viewers: Words, heads: Integers, arms: Words, links: Integers, used: Integers, viewer: Any, limit: int
) -> Words:
    """The arms that a viewer was served `limit` times or more."""
    found = np.empty(0, np.uint64)
    for is_second in range(2):
        n = 0
        for generation in range(2):
            entry = first_entry(viewers, heads, used, generation, viewer)
            while entry > 0:
                link = links[generation, entry - 1]
                if link >> HALF >= limit:
                    if is_second:
                        found[n] = arms[generation, entry - 1]
                    n += 1
                entry = link & _LINK
        if n == 0:
            break
        if not is_second:
            found = np.empty(n, np.uint64)
    return found


@kernel
def strike(full: Words, keys: Words, keep: NDArray[np.bool_]) -> int:
    """Take out the candidates whose key is among `full`; answer their number."""
    struck = 0
    if full.size <= _LIST:
        for i in range(keys.size):
            for key in full:
                if keys[i] == key:
                    keep[i] = False
                    struck += 1
                    break
        return struck
    size = 8
    while size < 2 * full.size:
        size *= 2
    table = np.zeros(size, np.uint64)
    taken = np.zeros(size, np.bool_)
    for key in full:
        slot = np.int64(mix64(key) & np.uint64(size - 1))
        while taken[slot] and table[slot] != key:
            slot = (slot + 1) & (size - 1)
        table[slot], taken[slot] = key, True
    for i in range(keys.size):
        slot = np.int64(mix64(keys[i]) & np.uint64(size - 1))
        while taken[slot] and table[slot] != keys[i]:
            slot = (slot + 1) & (size - 1)
        if taken[slot]:
            keep[i] = False
            struck += 1
    return struck


@kernel
def find(arms: Words, links: Integers, generation: int, entry: int, key: Any) -> int:
    """The entry + 1 of an arm in a chain; 0 for none."""
    while entry > 0 and arms[generation, entry - 1] != key:
        entry = links[generation, entry - 1] & _LINK
    return entry


@kernel
def count(
    viewers: Words,
    heads: Integers,
    arms: Words,
    links: Integers,
    used: Integers,
    counts: Integers,
    viewer: Any,
    keys: Words,
) -> None:
    """Count one exposure of each key to a viewer."""
    for key in keys:
        newer = counts[NEWER]
        entry = find(arms, links, newer, first_entry(viewers, heads, used, newer, viewer), key)
        if entry > 0:
            links[newer, entry - 1] += 1 << HALF
            continue
        before = 0
        older = 1 - newer
        entry = find(arms, links, older, first_entry(viewers, heads, used, older, viewer), key)
        if entry > 0:
            before = links[older, entry - 1] >> HALF
            counts[MOVED] += 1
        if used[newer, ENTRIES] == arms.shape[1]:
            counts[DROPPED] += used[older, ENTRIES] - counts[MOVED]
            clear(heads, used, counts, older)
            counts[NEWER] = newer = older
        append(viewers, heads, arms, links, used, newer, viewer, key, before + 1)


@kernel
def append(
    viewers: Words,
    heads: Integers,
    arms: Words,
    links: Integers,
    used: Integers,
    generation: int,
    viewer: Any,
    key: Any,
    number: int,
) -> None:
    """Put an entry before the others of a viewer."""
    stamp = used[generation, OWN_STAMP]
    slot = slot_of(viewers, heads, generation, stamp, viewer)
    following = np.int64(0)
    if heads[generation, slot] >> HALF == stamp:
        following = heads[generation, slot] & _LINK
    else:
        viewers[generation, slot] = viewer
        used[generation, VIEWERS] += 1
    entry = used[generation, ENTRIES]
    arms[generation, entry] = key
    links[generation, entry] = number << HALF | following
    heads[generation, slot] = stamp << HALF | (entry + 1)
    used[generation, ENTRIES] += 1


@kernel
def move(
    viewers: Words,
    heads: Integers,
    arms: Words,
    links: Integers,
    new_viewers: Words,
    new_heads: Integers,
    new_arms: Words,
    new_links: Integers,
    used: Integers,
) -> None:
    """Copy all into larger arrays."""
    new_arms[:, : arms.shape[1]] = arms
    new_links[:, : links.shape[1]] = links
    for generation in range(2):
        stamp = used[generation, OWN_STAMP]
        for slot in range(heads.shape[1]):
            if heads[generation, slot] >> HALF == stamp:
                to = slot_of(new_viewers, new_heads, generation, stamp, viewers[generation, slot])
                new_viewers[generation, to] = viewers[generation, slot]
                new_heads[generation, to] = heads[generation, slot]

"""Names seen before, in two generations: when the current one is full or old, it becomes the previous one.

`names [2, S]`: mixed names, 0 is vacant. `cells [6]`: which generation is the current one; how many names each holds;
whether each holds the name that mixes to 0; an odd number that says where names stand.
"""

import numpy as np

from .._numba import free_kernel
from .._random import mix64
from ._table import AHEAD, SALT, Ints, slots_for

CURRENT, SIZE, ZERO, FACTOR, CELLS = 0, 1, 3, 5, 6


def new_generations(capacity: int) -> tuple[Ints, Ints]:
    """Two empty generations of so many names."""
    cells = np.zeros(CELLS, np.int64)
    cells[FACTOR] = SALT | 1
    return np.zeros((2, slots_for(capacity)), np.int64), cells


def names_in(names: Ints, cells: Ints, generation: int) -> Ints:
    """Mixed names of a generation, `[n]`, in rising order."""
    held = names[generation][names[generation] != 0]
    if cells[ZERO + generation]:
        held = np.append(held, 0)
    return np.sort(held)


@free_kernel
def mixed(name: int) -> int:
    """What is kept of a name: one to one."""
    return int(np.int64(mix64(np.uint64(name))))


@free_kernel
def home(name: int, cells: Ints, mask: int) -> int:
    """Slot of a mixed name; where it is taken, the next vacant one."""
    return int((np.uint64(name) * np.uint64(cells[FACTOR])) >> np.uint64(32)) & mask


@free_kernel
def holds(names: Ints, cells: Ints, generation: int, name: int) -> bool:
    """Whether a generation holds a mixed name."""
    if name == 0:
        return cells[ZERO + generation] != 0  # type: ignore[no-any-return]
    mask = names.shape[1] - 1
    slot = home(name, cells, mask)
    while names[generation, slot] != 0:
        if names[generation, slot] == name:
            return True
        slot = (slot + 1) & mask
    return False


@free_kernel
def is_known(names: Ints, cells: Ints, name: int) -> bool:
    """Whether either generation holds a mixed name."""
    current = cells[CURRENT]
    return holds(names, cells, current, name) or holds(names, cells, 1 - current, name)


@free_kernel
def insert(names: Ints, cells: Ints, generation: int, name: int) -> None:
    """Put a mixed name that it does not hold into a generation."""
    cells[SIZE + generation] += 1
    if name == 0:
        cells[ZERO + generation] = 1
        return
    mask = names.shape[1] - 1
    slot = home(name, cells, mask)
    while names[generation, slot] != 0:
        slot = (slot + 1) & mask
    names[generation, slot] = name


@free_kernel
def rotate(names: Ints, cells: Ints) -> int:
    """Begin a new generation; return how many names are forgotten with the oldest."""
    oldest = 1 - cells[CURRENT]
    forgotten = cells[SIZE + oldest]
    if forgotten:
        for slot in range(names.shape[1]):
            names[oldest, slot] = 0
    cells[SIZE + oldest] = 0
    cells[ZERO + oldest] = 0
    cells[CURRENT] = oldest
    return forgotten  # type: ignore[no-any-return]


@free_kernel
def remember(names: Ints, cells: Ints, capacity: int, wanted: Ints, is_new: Ints) -> int:
    """Mark which of B names are new, and remember them; return how many were forgotten for it."""
    forgotten, read = 0, 0
    mask = names.shape[1] - 1
    for start in range(0, wanted.size, AHEAD):
        stop = min(start + AHEAD, wanted.size)
        for i in range(start, stop):
            slot = home(mixed(wanted[i]), cells, mask)
            read ^= names[0, slot] ^ names[1, slot]
        for i in range(start, stop):
            name = mixed(wanted[i])
            is_new[i] = 0
            if is_known(names, cells, name):
                continue
            if cells[SIZE + cells[CURRENT]] >= capacity:
                forgotten += rotate(names, cells)
            insert(names, cells, cells[CURRENT], name)
            is_new[i] = 1
    is_new[wanted.size] = read  # keeps the loads
    return forgotten


@free_kernel
def load(names: Ints, cells: Ints, generation: int, wanted: Ints) -> bool:
    """Put mixed names into an empty generation; False where one is known already."""
    for i in range(wanted.size):
        if is_known(names, cells, wanted[i]):
            return False
        insert(names, cells, generation, wanted[i])
    return True

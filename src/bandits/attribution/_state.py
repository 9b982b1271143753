"""The arrays of an `Attribution`, all private to it."""

from typing import NamedTuple

import numpy as np

from ._keeping import FREE, FREE_COUNT, KEPT_WIDTH, POOL_WIDTH
from ._orders import new_generations
from ._table import BORN, COUNTS, SALT, WIDTH, Floats, Ints, slots_for
from .config import AttributionConfig

_LINE = 64  # bytes of a cache line


class State(NamedTuple):
    """What is known of touches, orders and conversions.

    slots, rows, times, ring: touches, see `_table`.
    names, cells: orders seen, see `_orders`.
    kept, moments, pool, queue: conversions kept, see `_keeping`.
    counts: `[N]`, of `_table.COUNTS`.
    clock: cells of `_table`; -inf and, for the generation, NaN where there is none yet.
    settings: cells of `_path`.
    windows: seconds, by kind.
    """

    slots: Ints
    rows: Ints
    times: Floats
    ring: Ints
    names: Ints
    cells: Ints
    kept: Ints
    moments: Floats
    pool: Ints
    queue: Ints
    counts: Ints
    clock: Floats
    settings: Ints
    windows: Floats


def new_state(config: AttributionConfig) -> State:
    """Arrays of the sizes that a configuration asks for; memory is committed when they fill."""
    rows = aligned(config.touches, WIDTH)
    conversions, credits = (config.conversions, config.pool) if config.passes else (0, 0)
    kept = np.zeros((conversions, KEPT_WIDTH), np.int64)
    queue = np.zeros(5, np.int64)
    queue[FREE], queue[FREE_COUNT] = -1, credits
    clock = np.full(3, -np.inf)
    clock[BORN] = np.nan
    names, cells = new_generations(config.orders)
    return State(
        slots=np.zeros((slots_for(config.touches), 2), np.int64),
        rows=rows,
        times=rows.view(np.float64),
        ring=np.zeros(3, np.int64),
        names=names,
        cells=cells,
        kept=kept,
        moments=kept.view(np.float64),
        pool=np.zeros((credits, POOL_WIDTH), np.int64),
        queue=queue,
        counts=np.zeros(len(COUNTS), np.int64),
        clock=clock,
        settings=np.array([config.join == "user", config.longest_path, 1, config.longest_walk, SALT], np.int64),
        windows=np.array([*config.windows.values()], np.float64),
    )


def aligned(rows: int, width: int) -> Ints:
    """Zeros `[rows, width]` that begin at a cache line."""
    memory = np.zeros(rows * width * 8 + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE
    return memory[start : start + rows * width * 8].view(np.int64).reshape(rows, width)

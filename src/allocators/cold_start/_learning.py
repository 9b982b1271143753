"""How observations are learnt: what is counted of all of them, and what only of those that are fair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...bandits._table import Handles, columns_of
from ...constraints.evidence._mixtures import add_rows
from .metrics import EXPOSURES, RETAINED

if TYPE_CHECKING:
    from .allocator import ColdStartAllocator

Floats = NDArray[np.float64]


def learn(allocator: ColdStartAllocator, ids: list[Any], rows: Handles, counts: Floats, at: Floats) -> None:
    """Add counts, `[M, B]`, to what rooms have: to all of them, and to what may be learnt from.

    What was shown beyond the grants is charged.
    """
    overrides, config, registry = allocator._overrides, allocator.config, allocator._registry
    everywhere, everything, learnt = columns_of(rows), counts, allocator.bandit.updates
    if overrides.forced:
        flight = config.tick_seconds * config.multiplier_lag
        fair = np.array([not overrides.is_forced(id, t, flight) for id, t in zip(ids, at.tolist(), strict=True)])
        rows, at = rows[fair], at[fair]
        counts = np.ascontiguousarray(counts[:, fair])
    _tell(allocator, rows, counts, at)  # before anything is counted: what the bandit refuses is not
    registry.learn(everywhere, everything)
    add_rows(registry.rooms.learned, columns_of(rows), counts)
    registry.start_afresh(learnt)
    _charge_excess(allocator, np.unique(everywhere))


def _tell(allocator: ColdStartAllocator, rows: Handles, counts: Floats, at: Floats) -> None:
    """Tell the bandit who stayed, `[B]` rooms and their counts, `[M, B]`."""
    outcomes = np.concatenate([counts[RETAINED], counts[EXPOSURES] - counts[RETAINED]])
    twice, rewards = np.tile(rows, 2), np.repeat([1.0, 0.0], rows.size)
    if allocator.config.change_detector is None:
        allocator.bandit.update_rows(twice, rewards, weight=outcomes)
        return
    times = np.tile(at, 2)
    order = np.argsort(times, kind="stable")  # a later viewer told first would close a bucket that is half told
    twice, rewards, times = twice[order], rewards[order], times[order]
    each = outcomes[order].astype(np.int64)  # the detector takes weights for importance: viewers one by one
    allocator.bandit.update_rows(np.repeat(twice, each), np.repeat(rewards, each), at=np.repeat(times, each))


def _charge_excess(allocator: ColdStartAllocator, columns: NDArray[np.int64]) -> None:
    """Charge what distinct rooms were shown beyond their grants."""
    rooms = allocator._rooms
    excess = np.maximum(-rooms.in_flight[columns], 0)
    rooms.granted[columns] += excess
    rooms.current[columns] = np.minimum(rooms.current[columns], rooms.in_flight[columns])
    allocator._budget.charge(allocator._spending, int(excess.sum()))

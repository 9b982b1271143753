"""A cold-start allocator to its checkpoint and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from ...bandits import Bandit
from ...bandits.checkpoint import Checkpoint, pack, require, take, unpack
from .config import ColdStartConfig
from .stages import EXPOSURES, NEGATIVE, RETAINED, Rooms, Stage, StageChange

if TYPE_CHECKING:
    from .allocator import ColdStartAllocator

KIND = "cold_start"


def save(allocator: ColdStartAllocator) -> bytes:
    """Copy the state under the allocator's lock, then write it."""
    with allocator._lock:
        columns = allocator.bandit.columns
        values: dict[str, Any] = {
            "now": allocator._now,
            "buckets": [[id, bucket] for id, bucket in allocator._registry.buckets.items()],
            "changes": [asdict(change) for change in allocator._changes],
            "bandit": allocator.bandit.to_bytes(),
        }
        arrays: dict[str, Any] = {
            name: array[..., :columns].copy() for name, array in allocator._rooms._asdict().items()
        }
        arrays["blocked"] = allocator._registry.blocks.blocked[:columns].copy()
        if allocator._spending is not None:
            arrays["spending"] = allocator._spending.counts.copy()
    return pack(Checkpoint(KIND, allocator.config.model_dump(mode="json"), values, arrays))


def load(cls: type[ColdStartAllocator], blob: bytes) -> Any:
    """Check everything, then build the allocator."""
    checkpoint = unpack(blob, KIND)
    values, arrays = checkpoint.values, checkpoint.arrays
    try:
        config = ColdStartConfig.model_validate(checkpoint.config)
    except ValidationError as error:
        require(False, f"its configuration is not one of this version ({error.errors()[0]['msg']})")
    bandit = Bandit.from_bytes(take(values, "bandit", lambda v: isinstance(v, bytes), "bytes"))
    allocator = cls(config, seed=bandit.seed, replica=bandit.replica)
    require(bandit.policy == allocator.bandit.policy, "its bandit has another prior than its configuration")
    allocator._registry.bandit = bandit
    allocator._now = take(values, "now", lambda v: v is None or (type(v) is float and np.isfinite(v)), "a time")
    _take_rooms(allocator, arrays, bandit.columns)
    buckets = take(values, "buckets", lambda v: isinstance(v, list), "a list")
    require(all(isinstance(pair, list) and len(pair) == 2 for pair in buckets), "its buckets are not pairs")
    require(sorted(map(repr, bandit.arms)) == sorted(repr(pair[0]) for pair in buckets), "buckets contradict its rooms")
    allocator._registry.buckets = {id: str(bucket) for id, bucket in buckets}
    for change in take(values, "changes", lambda v: isinstance(v, list), "a list"):
        require(isinstance(change, dict) and set(change) == set(StageChange.__slots__), "a change is incomplete")
        allocator._changes.append(StageChange(**change))
    return allocator


def _take_rooms(allocator: ColdStartAllocator, arrays: dict[str, Any], columns: int) -> None:
    capacity = max(columns, allocator._rooms.stage.size)
    allocator._registry.grow(capacity)
    for name, own in allocator._rooms._asdict().items():
        require(name in arrays, f"array {name!r} is missing")
        array = arrays[name]
        shape = (*own.shape[:-1], columns)
        require(array.dtype == own.dtype and array.shape == shape, f"array {name!r} is of another type or shape")
        own[..., :columns] = array
    rooms: Rooms = allocator._rooms
    counts = rooms.counts
    require(bool((counts >= 0).all()), "a count is negative")
    require(bool((counts[[RETAINED, NEGATIVE]] <= counts[EXPOSURES]).all()), "more reactions than exposures")
    require(bool((rooms.in_flight >= 0).all()), "more exposures than granted")
    require(bool(((rooms.current >= 0) & (rooms.current <= rooms.in_flight)).all()), "exposures in flight contradict")
    require(bool(np.isin(rooms.stage, list(Stage)).all()), "a stage is unknown")
    blocked = arrays.get("blocked", np.empty(0))
    require(blocked.dtype == np.uint8 and blocked.shape == (columns,), "blocks are missing")
    require(bool((blocked <= len(allocator.config.block_reasons)).all()), "a block has an unknown reason")
    allocator._registry.blocks.blocked[:columns] = blocked
    require((allocator._spending is None) == ("spending" not in arrays), "its spending contradicts its budget")
    if allocator._spending is not None:
        spending = arrays["spending"]
        require(spending.dtype == np.int64 and spending.shape == (3,), "its spending is of another type or shape")
        require(bool((spending[1:] >= 0).all()), "its spending is negative")
        allocator._spending.counts[:] = spending

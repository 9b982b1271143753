"""A cold-start allocator to its checkpoint and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from ...bandits import Bandit
from ...bandits._inputs import MAX_TIME
from ...bandits._table import columns_of
from ...bandits.arms import is_id
from ...bandits.checkpoint import Checkpoint, pack, require, take, unpack
from .config import ColdStartConfig
from .reasons import BIT
from .stages import EXPOSURES, FOLLOWS, METRICS, NEGATIVE, RETAINED, Rooms, Stage, StageChange

if TYPE_CHECKING:
    from .allocator import ColdStartAllocator

KIND = "cold_start"
_LARGEST = 2**53
_RANGES: dict[str, tuple[float, float]] = {
    "counts": (0, _LARGEST),
    "granted": (0, _LARGEST),
    "current": (0, _LARGEST),
    "quota": (0, _LARGEST),
    "extra": (-_LARGEST, _LARGEST),
    "stage": (min(Stage), max(Stage)),
    "why": (0, 2 * max(BIT.values())),
    "opened": (-1e300, 1e300),
    "closed": (-1e300, np.inf),
    "granted_at": (-np.inf, 1e300),
    "probability": (0.0, 1.0 + 1e-9),
    "log_evidence": (-1e300, 1e300),
    "yielded": (0.0, 1e300),
    "pushed": (0.0, 1e300),
    "multiplier": (0.0, 1e300),
    "seen": (0, _LARGEST),
    "ticks_at_max": (0, _LARGEST),
}


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
        arrays["spending"] = allocator._budget.totals(allocator._spending)
        config = allocator.config.model_dump(mode="json")
        if config["budget"] is not None:  # which has no other numbers than these
            config["budget"] = {name: config["budget"][name] for name in ("kind", "resource", "limit", "window")}
    return pack(Checkpoint(KIND, config, values, arrays))


def load(cls: type[ColdStartAllocator], blob: bytes) -> Any:
    """Check everything, then build the allocator."""
    checkpoint = unpack(blob, KIND)
    values, arrays = checkpoint.values, checkpoint.arrays
    try:
        config = ColdStartConfig.model_validate(checkpoint.config)
    except (ValidationError, TypeError, RecursionError) as error:
        require(False, f"its configuration is not one of this version ({type(error).__name__})")
    bandit = Bandit.from_bytes(take(values, "bandit", lambda v: isinstance(v, bytes), "bytes"))
    allocator = cls(config, seed=bandit.seed, replica=bandit.replica)
    is_plain = bandit.policy == allocator.bandit.policy and bandit.change_detector is None
    require(is_plain, "its bandit has another prior than its configuration, or a change detector")
    allocator._registry.bandit = bandit
    allocator._now = take(values, "now", lambda v: v is None or _is_time(v), "a time")
    _take_rooms(allocator, arrays, bandit.columns)
    buckets = take(values, "buckets", lambda v: isinstance(v, list), "a list")
    is_pair = [isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], str) for pair in buckets]
    require(all(is_pair), "its buckets are not pairs")
    ids = bandit.arms
    require(sorted(map(repr, ids)) == sorted(repr(pair[0]) for pair in buckets), "its buckets contradict its rooms")
    allocator._registry.buckets = {id: bucket for id, bucket in buckets}
    columns = columns_of(bandit.rows(ids))
    allocator._registry.room_at = dict(zip(columns.tolist(), ids, strict=True))
    _check_known(allocator._rooms, columns)
    require(bool((allocator._rooms.opened[columns] <= (allocator._now or 0.0)).all()), "a room opens after now")
    for change in take(values, "changes", lambda v: isinstance(v, list), "a list"):
        allocator._changes.append(_change(change))
    return allocator


def _check_known(rooms: Rooms, columns: Any) -> None:
    """Columns with a room have a quota, and no other has."""
    is_known = np.zeros(rooms.quota.size, bool)
    is_known[columns] = True
    require(bool(((rooms.quota > 0) == is_known).all()), "a room has no id, or an id no room")
    require(not (rooms.is_open & ~is_known).any(), "a room has no id")
    is_closed = np.isfinite(rooms.closed)
    require(bool((rooms.is_open != is_closed)[is_known].all()), "a room is open and closed")


def _change(fields: Any) -> StageChange:
    require(isinstance(fields, dict) and set(fields) == set(StageChange.__slots__), "a change is incomplete")
    kinds = {"at": float, "probability": float, "evidence": float, "counts": dict, "room": object}
    whole = all(isinstance(value, kinds.get(name, str)) for name, value in fields.items())
    require(whole and is_id(fields["room"]), "a change has a field of another type")
    counts = fields["counts"]
    are_counts = all(type(count) is int and 0 <= count <= _LARGEST for count in counts.values())
    require(set(counts) == set(METRICS) and are_counts, "a change has other counts")
    is_number = _is_time(fields["at"]) and 0.0 <= fields["probability"] <= 1.0 + 1e-9 and fields["evidence"] >= 0.0
    require(is_number, "a change is out of range")
    return StageChange(**fields)


def _is_time(value: Any) -> bool:
    return type(value) is float and abs(value) <= MAX_TIME


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
    for name, (low, high) in _RANGES.items():
        array = getattr(rooms, name)
        require(bool(((array >= low) & (array <= high)).all()), f"{name} is out of range")
    for name in ("tier_s", "is_open", "is_new"):
        require(bool((getattr(rooms, name).view(np.uint8) <= 1).all()), f"{name} is not of bools")
    require(bool((rooms.counts[[RETAINED, FOLLOWS, NEGATIVE]] <= rooms.counts[EXPOSURES]).all()), "too many reactions")
    require(bool((rooms.seen <= rooms.counts[EXPOSURES]).all()), "pacing has seen too much")
    require(bool((rooms.in_flight >= 0).all()), "more exposures than granted")
    require(bool(((rooms.current >= 0) & (rooms.current <= rooms.in_flight)).all()), "exposures in flight contradict")
    require(bool((rooms.pushed[rooms.is_open] > 0.0).all()), "pacing has no base")
    blocked = arrays.get("blocked", np.empty(0))
    require(blocked.dtype == np.uint8 and blocked.shape == (columns,), "blocks are missing")
    require(bool((blocked <= len(allocator.config.block_reasons)).all()), "a block has an unknown reason")
    allocator._registry.blocks.blocked[:columns] = blocked
    spending = arrays.get("spending", np.empty(0))
    require(spending.dtype == np.int64 and spending.shape == (3,), "its spending is of another type or shape")
    require(bool((spending[1:] >= 0).all()), "its spending is negative")
    require(bool((np.abs(spending) <= _LARGEST).all()), "its spending is out of range")
    require(int(spending[1]) >= sum(rooms.current.tolist()), "less is spent than is in flight")
    allocator._budget.set_totals(allocator._spending, spending)

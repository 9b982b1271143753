"""A bandit to its checkpoint and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ._table import EVENTS, STAMP, occupy, snapshot
from .arms import Arms, checked_id
from .checkpoint import Checkpoint, pack, require, take, unpack
from .policies import AnyPolicy

if TYPE_CHECKING:
    from .bandit import Bandit

KIND = "bandit"


def save(bandit: Bandit) -> bytes:
    """Copy the state under the bandit's lock, then write it."""
    with bandit._lock:
        arms = bandit._arms
        columns = len(arms.ids)
        statistics = np.empty((bandit._table.shape[0] - 1, columns))
        events = snapshot(bandit._table, statistics)  # in one piece: single updates take no lock
        values: dict[str, Any] = {
            "seed": bandit.seed,
            "replica": bandit.replica,
            "epoch": bandit.epoch,
            "decisions": int(bandit._counter[0]),
            "now": bandit._now,
            "ids": list(arms.ids),
            "order": [handle & 0xFFFF_FFFF for handle in arms.handle_of.values()],
            "free": list(arms.free),
            "tombstones_dropped": arms.tombstones_dropped,
            "updates": int(events),
        }
        arrays = {
            "statistics": statistics,
            "uids": bandit._uids[:columns].copy(),
            "generations": np.array(arms.generations, np.int64),
            "tombstones": np.fromiter(arms.tombstones, np.uint64, len(arms.tombstones)),
        }
    return pack(Checkpoint(KIND, bandit.policy.model_dump(mode="json"), values, arrays))


def load(cls: type[Bandit], blob: bytes) -> Any:
    """Check everything, then build the bandit."""
    checkpoint = unpack(blob, KIND)
    values, arrays = checkpoint.values, checkpoint.arrays
    policy = _policy(checkpoint.config)
    bandit = cls(
        policy,
        seed=take(values, "seed", lambda v: _is_count(v, 2**64 - 1), "an integer of 64 bits"),
        replica=take(values, "replica", lambda v: isinstance(v, str), "a string"),
    )
    require(take(values, "epoch", _is_count, "a count") == 0, "its epoch is not 0, the only one written so far")
    bandit._counter[0] = take(values, "decisions", _is_count, "a count")
    bandit._now = take(values, "now", lambda v: v is None or (type(v) is float and np.isfinite(v)), "a time")
    bandit._arms = arms = _arms(values, arrays)
    bandit._handle_of = arms.handle_of
    columns = len(arms.ids)
    statistics = arrays["statistics"]
    rows = bandit._table.shape[0] - 1
    require(statistics.dtype == np.float64 and statistics.shape == (rows, columns), "statistics have another shape")
    policy.model.check_statistics(statistics[:, [id is not None for id in arms.ids]], require)
    if columns > bandit._uids.size:
        bandit._grow(columns)
    bandit._uids[:columns] = arrays["uids"]
    table = bandit._table
    occupy(table, arms.live(bandit._lock).handles, np.zeros(rows))
    table[STAMP + 1 :, :columns] = statistics
    table[EVENTS, -1] = take(values, "updates", _is_count, "a count")
    return bandit


def _policy(config: dict[str, Any]) -> Any:
    try:
        return TypeAdapter(AnyPolicy).validate_python(config)
    except (ValidationError, TypeError, RecursionError) as error:
        require(False, f"its policy is not one of this version ({type(error).__name__})")


def _arms(values: dict[str, Any], arrays: dict[str, Any]) -> Arms:
    arms = Arms()
    for name, dtype in (("statistics", "f8"), ("uids", "u8"), ("generations", "i8"), ("tombstones", "u8")):
        require(
            name in arrays and arrays[name].dtype == np.dtype(dtype), f"array {name!r} is missing or of another type"
        )
    ids = take(values, "ids", lambda v: isinstance(v, list), "a list")
    order = take(values, "order", lambda v: isinstance(v, list), "a list")
    free = take(values, "free", lambda v: isinstance(v, list), "a list")
    try:
        arms.ids = [None if id is None else checked_id(id, "id") for id in ids]
    except ValueError as error:
        require(False, str(error))
    live = [column for column, id in enumerate(arms.ids) if id is not None]
    vacant = [column for column, id in enumerate(arms.ids) if id is None]
    require(_sorted_counts(order) == live and _sorted_counts(free) == vacant, "its columns contradict its ids")
    require(len({arms.ids[column] for column in live}) == len(live), "an id stands twice")
    generations = arrays["generations"]
    require(generations.shape == (len(ids),) and arrays["uids"].shape == (len(ids),), "its columns contradict its ids")
    uids, tombstones = arrays["uids"], arrays["tombstones"]
    require(tombstones.ndim == 1, "its tombstones are no list")
    require(np.unique(uids[live]).size == len(live), "two arms have one uid")
    require(not np.isin(uids[live], tombstones).any(), "a live arm is among its tombstones")
    require(bool(((generations >= 0) & (generations < 1 << 31)).all()), "a generation is out of range")
    arms.generations = generations.tolist()
    arms.free = free
    arms.tombstones = dict.fromkeys(arrays["tombstones"].tolist())
    arms.tombstones_dropped = take(values, "tombstones_dropped", _is_count, "a count")
    handles = np.array([column | arms.generations[column] << 32 for column in order], np.int64)
    arms.publish([arms.ids[column] for column in order], handles)
    return arms


def _is_count(value: Any, largest: int = 2**53) -> bool:
    return type(value) is int and 0 <= value <= largest


def _sorted_counts(values: list[Any]) -> list[int]:
    return sorted(values) if all(type(value) is int for value in values) else [-1]

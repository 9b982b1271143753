"""A bandit to its checkpoint and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ._changes import ChangeDetector
from ._table import CELL_NAMES, CELLS, FIRST, RESOLVED, SHOWN, occupy, snapshot
from .arms import Arms, checked_id
from .checkpoint import Checkpoint, pack, require, take, unpack
from .policies import AnyPolicy
from .records import Change

if TYPE_CHECKING:
    from .bandit import Bandit

KIND = "bandit"
_CELLS = {name: cell for name, cell in zip(CELL_NAMES, CELLS, strict=True)}  # of the table's own column


def save(bandit: Bandit) -> bytes:
    """Copy the state under the bandit's lock, then write it."""
    with bandit._lock:
        arms, state = bandit._arms, bandit._state
        columns = len(arms.ids)
        statistics = np.empty((2 + state.table.shape[0] - FIRST, columns))
        blocks, shared = np.empty((columns, state.blocks.shape[1])), np.empty(state.shared.size)
        cells = np.empty(len(_CELLS))
        snapshot(state.table, state.blocks, state.shared, statistics, blocks, shared, cells)  # in one piece
        values: dict[str, Any] = {
            "seed": bandit.seed,
            "replica": bandit.replica,
            "epoch": bandit.epoch,
            "decisions": int(bandit._counter[0]),
            "now": bandit._now,
            "ids": list(arms.ids),
            "order": [handle & 0xFFFF_FFFF for handle in arms.handle_of.values()],
            "free": list(arms.free),
            "paused": [handle & 0xFFFF_FFFF for id, handle in arms.handle_of.items() if id in arms.paused],
            "tombstones_dropped": arms.tombstones_dropped,
            "changes": [[change.arm, change.at, change.event, change.kept] for change in bandit._changes],
            "shown": [[at, handles.size] for at, handles, _ in bandit._shown],
        }
        shown = [(handles, counts) for _, handles, counts in bandit._shown]
        arrays = {
            "statistics": statistics,
            "cells": cells,
            "uids": bandit._uids[:columns].copy(),
            "generations": np.array(arms.generations, np.int64),
            "tombstones": np.fromiter(arms.tombstones, np.uint64, len(arms.tombstones)),
            "shown_handles": np.concatenate([handles for handles, _ in shown] or [np.zeros(0, np.int64)]),
            "shown_counts": np.concatenate([counts for _, counts in shown] or [np.zeros(0)]),
        }
        if blocks.size:
            arrays["blocks"] = blocks
        if shared.size:
            arrays["shared"] = shared
        if bandit._ring.size:
            arrays["window"] = bandit._ring.copy()
    detector = bandit.change_detector
    config = {
        "policy": bandit.policy.model_dump(mode="json"),
        "change_detector": None if detector is None else detector.model_dump(mode="json"),
    }
    return pack(Checkpoint(KIND, config, values, arrays))


def load(cls: type[Bandit], blob: bytes) -> Any:
    """Check everything, then build the bandit."""
    checkpoint = unpack(blob, KIND, _MIGRATIONS)
    values, arrays = checkpoint.values, checkpoint.arrays
    policy = _configured(AnyPolicy, checkpoint.config.get("policy"), "policy")
    bandit = cls(
        policy,
        seed=take(values, "seed", lambda v: _is_count(v, 2**64 - 1), "an integer of 64 bits"),
        replica=take(values, "replica", lambda v: isinstance(v, str), "a string"),
        change_detector=_configured(ChangeDetector | None, checkpoint.config.get("change_detector"), "change detector"),
    )
    require(take(values, "epoch", _is_count, "a count") == 0, "its epoch is not 0, the only one written so far")
    bandit._counter[0] = take(values, "decisions", _is_count, "a count")
    bandit._now = take(values, "now", lambda v: v is None or (type(v) is float and np.isfinite(v)), "a time")
    bandit._arms = arms = _arms(values, arrays)
    bandit._handle_of = arms.handle_of
    columns = len(arms.ids)
    if columns > bandit._uids.size:
        bandit._grow(columns)
    _take_state(bandit, arrays, np.array([id is not None for id in arms.ids], bool))
    bandit._uids[:columns] = arrays["uids"]
    _take_shown(bandit, values, arrays)
    changes = take(values, "changes", lambda v: isinstance(v, list), "a list")
    require(all(isinstance(change, list) and len(change) == 4 for change in changes), "its changes are no records")
    bandit._changes.extend(Change(*change) for change in changes)
    return bandit


def _take_state(bandit: Bandit, arrays: dict[str, Any], is_live: Any) -> None:
    """Check statistics, blocks, shared numbers, window and cells, and take them over."""
    table, blocks, shared = bandit._state
    ring, columns, rows = bandit._ring, is_live.size, bandit._state.table.shape[0] - FIRST
    expected: dict[str, tuple[int, ...]] = {
        "statistics": (2 + rows, columns),
        "cells": (len(_CELLS),),
        "blocks": (columns, blocks.shape[1]),
        "shared": shared.shape,
        "window": ring.shape,
    }
    for name, shape in expected.items():
        array: Any = arrays.get(name, np.zeros(shape) if 0 in shape else None)
        require(array is not None, f"array {name!r} is missing")
        require(array.dtype == np.float64 and array.shape == shape, f"array {name!r} has another type or shape")
        arrays[name] = array
    finite = [arrays["statistics"][:, is_live], arrays["blocks"][is_live], arrays["shared"], arrays["window"]]
    require(all(np.isfinite(array).all() for array in finite), "a statistic is not finite")
    statistics, cells = arrays["statistics"], arrays["cells"]
    exposures = statistics[:2][:, is_live]
    require(bool(((exposures >= 0.0) & (exposures == np.floor(exposures))).all()), "its exposures are no counts")
    require(bool((exposures[1] <= exposures[0]).all()), "more exposures were resolved than shown")
    if not bandit._is_contextual:
        size = bandit._model.newcomer().size
        bandit._model.check_statistics(statistics[2 : 2 + size, is_live], require)
    for name, value in zip(_CELLS, cells.tolist(), strict=True):
        may_be_nan = name in ("landmark", "latest")
        require(np.isfinite(value) or (may_be_nan and np.isnan(value)), f"its {name} is not a number")
        require(may_be_nan or (value >= 0.0 and value == np.floor(value)), f"its {name} is not a count")
    require(cells[3] == (exposures[0] - exposures[1]).sum(), "its exposures contradict their sum")
    require(max(cells[4:]) <= ring.shape[1], "its window is longer than its policy's")
    occupy(table, blocks, bandit._arms.live_handles(), np.zeros((rows, 1)), np.zeros(blocks.shape[1]))
    table[SHOWN : RESOLVED + 1, :columns] = statistics[:2]
    table[FIRST:, :columns] = statistics[2:]
    blocks[:columns] = arrays["blocks"]
    shared[:] = arrays["shared"]
    ring[:] = arrays["window"]
    table[list(_CELLS.values()), -1] = cells


def _take_shown(bandit: Bandit, values: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Check and take over the exposures that await feedback."""
    shown = take(values, "shown", lambda v: isinstance(v, list), "a list")
    handles: Any = arrays.get("shown_handles")
    counts: Any = arrays.get("shown_counts")
    is_pair = [isinstance(p, list) and len(p) == 2 and type(p[0]) is float and _is_count(p[1]) for p in shown]
    require(all(is_pair), "its exposures are not pairs of a time and a count")
    require(handles is not None and handles.dtype == np.int64 and handles.ndim == 1, "its exposures have no arms")
    require(counts is not None and counts.dtype == np.float64 and counts.ndim == 1, "its exposures have no counts")
    require(sum(size for _, size in shown) == handles.size == counts.size, "its exposures contradict each other")
    require(bool((np.isfinite(counts) & (handles >= 0)).all()), "its exposures are out of range")
    start = 0
    for at, size in shown:
        bandit._shown.append((at, handles[start : start + size].copy(), counts[start : start + size].copy()))
        start += size


def _configured(kind: Any, config: Any, what: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(config)
    except (ValidationError, TypeError, RecursionError) as error:
        require(False, f"its {what} is not one of this version ({type(error).__name__})")


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
    paused = take(
        values, "paused", lambda v: isinstance(v, list) and all(c in live for c in v), "a list of live columns"
    )
    arms.paused = {arms.ids[column] for column in paused}
    arms.tombstones_dropped = take(values, "tombstones_dropped", _is_count, "a count")
    handles = np.array([column | arms.generations[column] << 32 for column in order], np.int64)
    arms.publish([arms.ids[column] for column in order], handles)
    return arms


def _is_count(value: Any, largest: int = 2**53) -> bool:
    return type(value) is int and 0 <= value <= largest


def _sorted_counts(values: list[Any]) -> list[int]:
    return sorted(values) if all(type(value) is int for value in values) else [-1]


def _from_1(fields: dict[str, Any]) -> None:
    """Format 1 knew no pauses, exposures, changes or times, and only models of two evidence rows."""
    values, arrays = fields["values"], fields["arrays"]
    statistics: Any = arrays.get("statistics")
    require(statistics is not None and statistics.ndim == 2, "its statistics are missing")
    events = take(values, "updates", _is_count, "a count")
    fields["config"] = {"policy": fields["config"], "change_detector": None}
    values.update(paused=[], changes=[], shown=[])
    arrays["statistics"] = np.concatenate([np.zeros((2, statistics.shape[1])), statistics])
    arrays["cells"] = np.array([events, np.nan, np.nan, 0.0, 0.0, 0.0])
    arrays["shown_handles"], arrays["shown_counts"] = np.zeros(0, np.int64), np.zeros(0)


_MIGRATIONS = {1: _from_1}

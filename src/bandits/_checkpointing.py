"""A bandit to its checkpoint and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ._adding import add_up, check_additive, rename
from ._arms_checkpointing import load_arms, save_arms
from ._changes import ChangeDetector
from ._sums import is_shared
from ._table import CELL_NAMES, CELLS, FIRST, RESOLVED, SHOWN, occupy, snapshot
from ._window import count_held
from .checkpoint import Checkpoint, pack, require, take, unpack
from .contributions import lengthen, load_retracted, load_slots, load_writes, save_slots, save_writes
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
        statistics = np.empty((2 + bandit._model.newcomer().size, columns))
        blocks, shared = np.empty((columns, bandit._own_width)), np.empty(bandit._model.shared_width)
        cells, ring = np.empty(len(_CELLS)), np.empty(bandit._ring.shape)
        snapshot(*state, bandit._ring, statistics, blocks, shared, ring, cells)
        ledger = bandit._ledger
        values: dict[str, Any] = {
            "seed": bandit.seed,
            "replica": bandit.replica,
            "epoch": bandit.epoch,
            "decisions": int(bandit._counter[0]),
            "now": bandit._now,
            "changes": [[change.arm, change.at, change.event, change.kept] for change in bandit._changes],
        }
        prior, evidence, _ = np.split(statistics[2:], _bounds(bandit))
        arrays = {"cells": cells, "uids": bandit._uids[:columns].copy(), "evidence": evidence}
        save_arms(arms, values, arrays)
        if (prior != bandit._model.newcomer()[: prior.shape[0], None]).any():
            arrays["prior"] = prior
        if statistics[:2].any():
            arrays["exposures"] = statistics[:2]
        if bandit._shown:
            values["shown"] = [[at, handles.size] for at, handles, _ in bandit._shown]
            arrays["shown_handles"] = np.concatenate([handles for _, handles, _ in bandit._shown])
            arrays["shown_counts"] = np.concatenate([counts for _, _, counts in bandit._shown])
        if blocks.size:
            arrays["blocks"] = blocks
        if shared.size:
            arrays["shared"] = shared
        if ring.size:
            arrays["window"] = ring
        values["priors"], values["pauses"] = save_writes(ledger.priors), save_writes(ledger.pauses)
        rows = 1 if is_shared(bandit._model) else columns
        save_slots({name: slot.longer(rows) for name, slot in ledger.slots.items()}, values, arrays)
        if ledger.retracted.size:
            arrays["retracted"] = lengthen(ledger.retracted, rows)
            values["retracted_landmark"] = ledger.retracted_landmark
    return pack(Checkpoint(KIND, config_of(bandit), values, arrays))


def config_of(bandit: Bandit) -> dict[str, Any]:
    """Policy and change detector as plain values."""
    detector = bandit.change_detector
    return {
        "policy": bandit.policy.model_dump(mode="json"),
        "change_detector": None if detector is None else detector.model_dump(mode="json"),
    }


def _bounds(bandit: Bandit) -> list[int]:
    """Where a newcomer's statistics are cut: prior, own evidence, and the others' sums, which are made anew."""
    model = bandit._model
    return [model.prior_rows, model.prior_rows + model.evidence_rows]


def is_prior(model: Any, values: Any) -> bool:
    """Whether values are a prior that the model can have."""
    if not isinstance(values, list) or not all(type(value) is float and np.isfinite(value) for value in values):
        return False
    statistics = model.newcomer()[:, None]
    if model.is_contextual or len(values) != model.prior_like(np.zeros(1), 1.0).shape[0]:
        return False
    statistics[: len(values), 0] = values
    verdicts: list[bool] = []
    model.check_statistics(statistics, lambda is_good, _: verdicts.append(is_good))
    return all(verdicts)


def load(cls: type[Bandit], blob: bytes) -> Any:
    """Check everything, then build the bandit."""
    return built(cls, unpack(blob, KIND, MIGRATIONS))


def built(cls: type[Bandit], checkpoint: Checkpoint) -> Bandit:
    """Check what a checkpoint holds, then build the bandit."""
    values, arrays = checkpoint.values, checkpoint.arrays
    policy = _configured(AnyPolicy, checkpoint.config.get("policy"), "policy")
    bandit = cls(
        policy,
        seed=take(values, "seed", lambda v: _is_count(v, 2**64 - 1), "an integer of 64 bits"),
        replica=take(values, "replica", lambda v: isinstance(v, str), "a string"),
        change_detector=_configured(ChangeDetector | None, checkpoint.config.get("change_detector"), "change detector"),
    )
    rename(bandit, bandit.replica, take(values, "epoch", _is_count, "a count"))
    bandit._counter[0] = take(values, "decisions", _is_count, "a count")
    bandit._now = take(values, "now", lambda v: v is None or (type(v) is float and np.isfinite(v)), "a time")
    bandit._arms = arms = load_arms(values, arrays)
    bandit._handle_of = arms.handle_of
    columns = len(arms.ids)
    if columns > bandit._uids.size:
        bandit._grow(columns)
    is_live = np.array([id is not None for id in arms.ids], bool) if None in arms.ids else np.ones(columns, bool)
    _take_state(bandit, arrays, is_live)
    bandit._uids[:columns] = arrays["uids"]
    _take_shown(bandit, values, arrays)
    _take_ledger(bandit, values, arrays)
    changes = take(values, "changes", lambda v: isinstance(v, list), "a list")
    require(all(isinstance(change, list) and len(change) == 4 for change in changes), "its changes are no records")
    bandit._changes.extend(Change(*change) for change in changes)
    return bandit


def _take_state(bandit: Bandit, arrays: dict[str, Any], is_live: Any) -> None:
    """Check statistics, blocks, shared numbers, window and cells, and take them over."""
    table, blocks, shared = bandit._state
    ring, columns, newcomer = bandit._ring, is_live.size, bandit._model.newcomer()
    cut = _bounds(bandit)
    default = np.repeat(newcomer[: cut[0], None], columns, axis=1)
    prior = _floats(arrays, "prior", (cut[0], columns), default)
    evidence = _floats(arrays, "evidence", (cut[1] - cut[0], columns))
    statistics = np.concatenate([prior, evidence, np.zeros((newcomer.size - cut[1], columns))])
    exposures = _floats(arrays, "exposures", (2, columns), np.zeros((2, columns)))
    cells = _floats(arrays, "cells", (len(_CELLS),))
    width, shared_width = bandit._own_width, bandit._model.shared_width
    own = [_floats(arrays, "blocks", (columns, width)), _floats(arrays, "shared", (shared_width,))]
    events = _floats(arrays, "window", ring.shape)
    live = slice(None) if is_live.all() else is_live
    finite = [statistics[:, live], own[0][live], own[1], events]
    require(all(np.isfinite(array).all() for array in finite), "a statistic is not finite")
    if not bandit._is_contextual:
        bandit._model.check_statistics(statistics[:, live], require)
    _check_cells(cells, exposures[:, live], ring.shape[1])
    occupy(table, blocks, bandit._arms.live_handles(), np.zeros((newcomer.size, 1)), np.zeros(blocks.shape[1]))
    table[SHOWN : RESOLVED + 1, :columns] = exposures
    table[FIRST : FIRST + newcomer.size, :columns] = statistics
    blocks[:columns, :width], shared[:shared_width], ring[:] = *own, events
    table[list(_CELLS.values()), -1] = cells
    count_held(table, ring)


def _take_ledger(bandit: Bandit, values: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Check what others have told, and add it up again."""
    model, ledger = bandit._model, bandit._ledger
    rows, width = 1 if is_shared(model) else bandit.columns, ledger.retracted.shape[1]
    ledger.slots = load_slots(values, arrays, rows, width, bandit.change_detector is not None)
    require((bandit.replica, bandit.epoch) not in ledger.slots, "it has heard of itself")
    require(bandit.updates >= ledger.others_events, "others have learnt more than all")
    load_retracted(values, arrays, rows, ledger)
    ledger.priors = load_writes(values, "priors", lambda prior: is_prior(model, prior))
    ledger.pauses = load_writes(values, "pauses", lambda pause: isinstance(pause, bool))
    if ledger.slots or ledger.retracted.size:
        check_additive(bandit)
        add_up(bandit, np.arange(rows), 0, np.nan, derives=False)


def _floats(arrays: dict[str, Any], name: str, shape: tuple[int, ...], default: Any = None) -> Any:
    """Take an array of floats; one without entries, or with a default, may be left out."""
    array = arrays.get(name, np.zeros(shape) if 0 in shape else default)
    require(array is not None, f"array {name!r} is missing")
    require(array.dtype == np.float64 and array.shape == shape, f"array {name!r} has another type or shape")
    return array


def _check_cells(cells: Any, exposures: Any, window: int) -> None:
    """Refuse counters that contradict each other."""
    require(bool(((exposures >= 0.0) & (exposures == np.floor(exposures))).all()), "its exposures are no counts")
    require(bool((exposures[1] <= exposures[0]).all()), "more exposures were resolved than shown")
    for name, value in zip(_CELLS, cells.tolist(), strict=True):
        may_be_nan = name in ("landmark", "latest")
        require(np.isfinite(value) or (may_be_nan and np.isnan(value)), f"its {name} is not a number")
        require(may_be_nan or (value >= 0.0 and value == np.floor(value)), f"its {name} is not a count")
    require(cells[3] == (exposures[0] - exposures[1]).sum(), "its exposures contradict their sum")
    require(max(cells[4:]) <= window, "its window is longer than its policy's")


def _take_shown(bandit: Bandit, values: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Check and take over the exposures that await feedback."""
    shown = values.get("shown", [])
    require(isinstance(shown, list), "its exposures are no list")
    handles: Any = arrays.get("shown_handles", np.zeros(0, np.int64))
    counts: Any = arrays.get("shown_counts", np.zeros(0))
    is_pair = [isinstance(p, list) and len(p) == 2 and type(p[0]) is float and _is_count(p[1]) for p in shown]
    require(all(is_pair), "its exposures are not pairs of a time and a count")
    require(handles.dtype == np.int64 and handles.ndim == 1, "its exposures have no arms")
    require(counts.dtype == np.float64 and counts.ndim == 1, "its exposures have no counts")
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


def _is_count(value: Any, largest: int = 2**53) -> bool:
    return type(value) is int and 0 <= value <= largest


def _from_1(fields: dict[str, Any]) -> None:
    """Format 1 knew no pauses, exposures, changes or times, only Beta, and left nothing out."""
    values, arrays = fields["values"], fields["arrays"]
    statistics: Any = arrays.pop("statistics", None)
    require(statistics is not None and statistics.ndim == 2, "its statistics are missing")
    events = take(values, "updates", _is_count, "a count")
    fields["config"] = {"policy": fields["config"], "change_detector": None}
    values.update(paused=[], changes=[])
    arrays["prior"], arrays["evidence"] = statistics[:2], statistics[2:]
    arrays["cells"] = np.array([events, np.nan, np.nan, 0.0, 0.0, 0.0])


def _from_2(fields: dict[str, Any]) -> None:
    """Format 2 knew no other replicas, and did not count the restarts of an arm."""
    fields["values"].update(slots=[], priors=[], pauses=[])
    if fields["config"].get("change_detector") is not None and "blocks" in fields["arrays"]:
        blocks = fields["arrays"]["blocks"]
        require(blocks.ndim == 2, "its blocks are no table")
        fields["arrays"]["blocks"] = np.concatenate([blocks, np.zeros((blocks.shape[0], 1))], axis=1)


MIGRATIONS = {1: _from_1, 2: _from_2}

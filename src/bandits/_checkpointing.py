"""A bandit to its checkpoint and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from ._adding import add_up, own_slot, rename, rows_of, why_not_additive
from ._arms_checkpointing import load_arms, save_arms
from ._changes import ChangeDetector, are_buckets
from ._decay import MAX_AHEAD, backward_scale
from ._inputs import MAX_TIME
from ._linalg import are_blocks
from ._sums import are_possible, is_shared, width_of
from ._table import CELL_NAMES, CELLS, FIRST, LANDMARK, RESOLVED, SHOWN, STAMP, columns_of, occupy, snapshot
from ._window import are_events, count_held
from .arms import is_id
from .checkpoint import Checkpoint, is_count, pack, require, take, unpack
from .contributions import (
    MAX_EPOCH,
    MAX_EVENTS,
    Form,
    is_taken,
    load_retracted,
    load_slots,
    load_writes,
    save_slots,
    save_writes,
)
from .policies import AnyPolicy
from .records import MOST_CHANGES, Change

if TYPE_CHECKING:
    from .bandit import Bandit

KIND = "bandit"
_CELLS = {name: cell for name, cell in zip(CELL_NAMES, CELLS, strict=True)}  # of the table's own column
_LANDMARK, _LATEST = CELL_NAMES.index("landmark"), CELL_NAMES.index("latest")


def save(bandit: Bandit) -> bytes:
    """Copy the state under the bandit's lock, then write it."""
    with bandit._lock:
        arms, state = bandit._arms, bandit._state
        columns = len(arms.ids)
        statistics = np.empty((2 + bandit._model.newcomer().size, columns))
        block, shared_size = sizes(bandit._model, bandit.change_detector)
        blocks, shared = np.empty((columns, block)), np.empty(shared_size)
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
        prior, evidence, _ = np.split(
            statistics[2:], np.cumsum([bandit._model.prior_rows, bandit._model.evidence_rows])
        )
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
        if ledger.taken:
            values["taken"] = ledger.taken
        save_slots({name: slot.longer(rows) for name, slot in ledger.slots.items()}, values, arrays)
        if ledger.retracted.sums.size:
            values["retracted_landmark"] = ledger.retracted.landmark
            arrays["retracted"] = ledger.retracted.longer(rows).sums
            if ledger.retracted.resets.any():
                arrays["retracted_resets"] = ledger.retracted.longer(rows).resets
    return pack(Checkpoint(KIND, config_of(bandit), values, arrays))


def config_of(bandit: Bandit) -> dict[str, Any]:
    """Policy and change detector as plain values."""
    detector = bandit.change_detector
    return {
        "policy": bandit.policy.model_dump(mode="json"),
        "change_detector": None if detector is None else detector.model_dump(mode="json"),
    }


def is_prior(model: Any, values: Any) -> bool:
    """Whether values are a prior that the model can have."""
    if not isinstance(values, list) or not all(type(value) is float and np.isfinite(value) for value in values):
        return False
    if model.is_contextual or len(values) != model.prior_like(np.zeros(1), 1.0).shape[0]:
        return False
    verdicts: list[bool] = []
    model.check_prior(np.array(values)[:, None], lambda is_good, _: verdicts.append(is_good))
    return all(verdicts)


def load(cls: type[Bandit], blob: bytes) -> Any:
    """Check everything, then build the bandit."""
    return built(cls, unpack(blob, KIND, MIGRATIONS))


def built(cls: type[Bandit], checkpoint: Checkpoint) -> Bandit:
    """Check what a checkpoint holds, then build the bandit."""
    values, arrays = checkpoint.values, checkpoint.arrays
    policy = _configured(AnyPolicy, checkpoint.config.get("policy"), "policy")
    detector = _configured(ChangeDetector | None, checkpoint.config.get("change_detector"), "change detector")
    arms = load_arms(values, arrays)
    columns = len(arms.ids)
    large = _take_large(policy.model, detector, arrays, columns)  # before room of their sizes is made
    seed = take(values, "seed", lambda v: is_count(v, 2**64 - 1), "an integer of 64 bits")
    replica = take(values, "replica", lambda v: isinstance(v, str), "a string")
    try:
        bandit = cls(policy, seed=seed, replica=replica, change_detector=detector, capacity=columns)
    except ValueError as error:
        require(False, str(error))
        raise
    rename(bandit, replica, take(values, "epoch", is_count, "a count"))
    bandit._counter[0] = take(values, "decisions", is_count, "a count")
    bandit._now = take(values, "now", lambda v: v is None or _is_time(v), "a time")
    bandit._arms = arms
    bandit._handle_of = arms.handle_of
    is_live = np.array([id is not None for id in arms.ids], bool) if None in arms.ids else np.ones(columns, bool)
    _take_state(bandit, arrays, large, is_live)
    bandit._uids[:columns] = arrays["uids"]
    _take_shown(bandit, values, arrays)
    _take_ledger(bandit, values, arrays)
    changes = take(values, "changes", lambda v: isinstance(v, list) and len(v) <= MOST_CHANGES, "a list of changes")
    bandit._changes.extend(_change(change) for change in changes)
    return bandit


def _change(fields: Any) -> Change:
    require(isinstance(fields, list) and len(fields) == 4, "its changes are no records")
    arm, at, event, kept = fields
    is_whole = is_id(arm) and (at is None or _is_time(at)) and is_count(event)
    require(is_whole and type(kept) is float and 0.0 <= kept < np.inf, "its changes are no records")
    return Change(arm, at, event, kept)


def sizes(model: Any, detector: ChangeDetector | None) -> tuple[int, int]:
    """Numbers in a block and in the shared one, others' sums apart."""
    block, shared = model.sizes if model.is_contextual else (0 if detector is None else detector.width, 0)
    return block, shared


def _take_large(model: Any, detector: ChangeDetector | None, arrays: dict[str, Any], columns: int) -> list[Any]:
    """The arrays whose size the configuration sets: blocks, shared numbers and window."""
    block, shared = sizes(model, detector)
    shapes = {"blocks": (columns, block), "shared": (shared,), "window": (4, model.window or 0)}
    return [_floats(arrays, name, shape) for name, shape in shapes.items()]


def _take_state(bandit: Bandit, arrays: dict[str, Any], large: list[Any], is_live: Any) -> None:
    """Check statistics, blocks, shared numbers, window and cells, and take them over."""
    table, blocks, shared = bandit._state
    model, ring, columns = bandit._model, bandit._ring, is_live.size
    evidence = _floats(arrays, "evidence", (model.evidence_rows, columns))
    exposures = _floats(arrays, "exposures", (2, columns), np.zeros((2, columns)))
    cells = _floats(arrays, "cells", (len(_CELLS),))
    live = slice(None) if is_live.all() else is_live
    finite = [evidence[:, live], large[0][live], *large[1:]]
    require(all(np.isfinite(array).all() for array in finite), "a statistic is not finite")
    _check_cells(cells, exposures[:, live], ring.shape[1])
    _check_times(bandit, cells)
    handles, (block, width) = bandit._arms.live_handles(), sizes(model, bandit.change_detector)
    occupy(table, blocks, handles, np.zeros((0, 1)), np.zeros(block))
    table[SHOWN : RESOLVED + 1, :columns] = exposures
    prior = model.newcomer()[: model.prior_rows, None]
    if "prior" in arrays:
        require(model.prior_rows > 0, "a linear model has no array of priors")
        prior = _floats(arrays, "prior", (model.prior_rows, columns))
        model.check_prior(prior[:, live], require)
    table[FIRST : FIRST + model.prior_rows, :columns] = prior
    table[FIRST + model.prior_rows : FIRST + model.prior_rows + model.evidence_rows, :columns] = evidence
    blocks[:columns, :block], shared[:width], ring[:] = large
    table[list(_CELLS.values()), -1] = cells
    require(are_events(table, ring), "its window holds what is no event")
    count_held(table, ring)
    if bandit._is_contextual:
        _check_blocks(model, large[0][live], large[1])
    else:
        scale = backward_scale(table, np.nan)
        model.check_evidence(evidence[:, live] * scale if scale != 1.0 else evidence[:, live], require)
        require(
            bool(np.isfinite(model.beliefs(bandit._state, handles)).all()), "what it believes of an arm is no number"
        )
        if blocks.size:
            latest = float(cells[_LATEST])
            require(are_buckets(large[0][live], bandit._detection[0], latest), "its buckets contradict each other")


def _check_blocks(model: Any, blocks: Any, shared: Any) -> None:
    if blocks.shape[1]:
        require(are_blocks(blocks, model.n_features), "a block is no regression")
    if shared.size:
        features = getattr(model, "n_shared", model.n_features)
        require(are_blocks(shared[None], features), "what its arms share is no regression")


def _check_times(bandit: Bandit, cells: Any) -> None:
    """Refuse a landmark that the latest time cannot have left."""
    landmark, latest, half_life = cells[_LANDMARK], cells[_LATEST], bandit._model.half_life
    require(bool(np.isnan(latest)) or _is_time(float(latest)), "its latest is not a time")
    if np.isnan(landmark):
        return
    require(half_life is not None and landmark == np.floor(landmark), "its landmark is not one")
    ahead, rounding = latest / half_life - landmark, 1.0 + 1e-15 * abs(landmark)
    require(bool(-rounding <= ahead <= MAX_AHEAD + rounding), "its landmark contradicts the latest time")


def _take_ledger(bandit: Bandit, values: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Check what others have told, and add it up again."""
    model, ledger, resets = bandit._model, bandit._ledger, bandit._resets()
    form = form_of(bandit, rows_of(bandit), float(bandit._table[LANDMARK, -1]))
    if resets is not None:
        live = columns_of(bandit._arms.live_handles())
        require(bool(((resets >= 0) & (resets <= MAX_EPOCH))[live].all()), "an arm's restarts are not a count")
    if why_not_additive(bandit) is None:
        require(form.are_possible(own_slot(bandit)[0].sums), "evidence is out of range")
    ledger.slots = load_slots(values, arrays, form)
    ledger.taken = take(values, "taken", lambda v: is_count(v, bandit.epoch), "a count") if "taken" in values else 0
    require((bandit.replica, bandit.epoch) not in ledger.slots, "it has heard of itself")
    lives = ledger.taken_by_all((bandit.replica, bandit.epoch))
    require(not any(is_taken(name, lives) for name in lives), "one life holds what another has learnt")
    require(bandit.updates >= ledger.others_events, "others have learnt more than all")
    require(bandit.learnt <= MAX_EVENTS, "it has learnt more events than can be told")
    if "retracted" in arrays:
        ledger.retracted = load_retracted(values, arrays, form)
    ledger.settle(ledger.priors, load_writes(values, "priors", lambda prior: is_prior(model, prior)))
    ledger.settle(ledger.pauses, load_writes(values, "pauses", lambda pause: isinstance(pause, bool)))
    ledger.arranged = bandit.learnt
    if ledger.slots or ledger.retracted.sums.size:
        require(why_not_additive(bandit) is None, "others' sums stand in it, which do not add up")
        add_up(bandit, np.arange(form.rows), 0, np.nan, derives=False)


def form_of(bandit: Bandit, rows: int, landmark: float) -> Form:
    """What slots that a bandit reads look like."""
    model = bandit._model
    has_resets = bandit.change_detector is not None
    return Form(rows, width_of(model), has_resets, landmark, lambda sums: are_possible(model, sums))


def _floats(arrays: dict[str, Any], name: str, shape: tuple[int, ...], default: Any = None) -> Any:
    """Take an array of floats; one without entries, or with a default, may be left out."""
    array = arrays.get(name, np.zeros(shape) if 0 in shape else default)
    require(array is not None, f"array {name!r} is missing")
    require(array.dtype == np.float64 and array.shape == shape, f"array {name!r} has another type or shape")
    return array


def _check_cells(cells: Any, exposures: Any, window: int) -> None:
    """Refuse counters that contradict each other."""
    is_count = (exposures >= 0.0) & (exposures <= 2**53) & (exposures == np.floor(exposures))
    require(bool(is_count.all()), "its exposures are no counts")
    require(bool((exposures[1] <= exposures[0]).all()), "more exposures were resolved than shown")
    for name, value in zip(_CELLS, cells.tolist(), strict=True):
        may_be_nan = name in ("landmark", "latest")
        require(np.isfinite(value) or (may_be_nan and np.isnan(value)), f"its {name} is not a number")
        require(may_be_nan or (0.0 <= value <= 2**53 and value == np.floor(value)), f"its {name} is not a count")
    require(cells[3] == (exposures[0] - exposures[1]).sum(), "its exposures contradict their sum")
    used, following = cells[4:]
    require(max(used, following) <= window, "its window is longer than its policy's")
    is_next = following == used if used < window else following < max(window, 1)
    require(bool(is_next), "its window contradicts itself")


def _take_shown(bandit: Bandit, values: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Check and take over the exposures that await feedback."""
    shown = values.get("shown", [])
    require(isinstance(shown, list), "its exposures are no list")
    handles: Any = arrays.get("shown_handles", np.zeros(0, np.int64))
    counts: Any = arrays.get("shown_counts", np.zeros(0))
    is_pair = [isinstance(p, list) and len(p) == 2 and type(p[0]) is float and is_count(p[1]) for p in shown]
    require(all(is_pair), "its exposures are not pairs of a time and a count")
    times = np.array([at for at, _ in shown], np.float64)
    require(bool((times < np.inf).all() and (times[1:] >= times[:-1]).all()), "its exposures are not in order")
    require(handles.dtype == np.int64 and handles.ndim == 1, "its exposures have no arms")
    require(counts.dtype == np.float64 and counts.ndim == 1, "its exposures have no counts")
    require(sum(size for _, size in shown) == handles.size == counts.size, "its exposures contradict each other")
    require(
        bool(((counts >= 0.0) & (counts == np.floor(counts)) & (handles >= 0)).all()), "its exposures are no counts"
    )
    columns = columns_of(handles)
    generations: Any = arrays.get("generations", np.zeros(bandit.columns, np.int64))
    known = bool((columns < bandit.columns).all()) and bool((handles >> 32 <= generations[columns]).all())
    require(known, "its exposures are of arms that never were")  # and one day may be
    is_live = bandit._table[STAMP, columns] == handles >> 32
    shown_most = np.where(is_live, bandit._table[SHOWN, columns], np.inf)
    require(bool((counts <= shown_most).all()), "its exposures contradict each other")
    start = 0
    for at, size in shown:
        bandit._shown.append((at, handles[start : start + size].copy(), counts[start : start + size].copy()))
        start += size


def _configured(kind: Any, config: Any, what: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(config)
    except (ValidationError, TypeError, RecursionError) as error:
        require(False, f"its {what} is not one of this version ({type(error).__name__})")


def _is_time(value: Any) -> bool:
    return type(value) is float and abs(value) <= MAX_TIME


def _from_1(fields: dict[str, Any]) -> None:
    """Format 1 knew no pauses, exposures, changes or times, only Beta, and left nothing out."""
    values, arrays = fields["values"], fields["arrays"]
    statistics: Any = arrays.pop("statistics", None)
    require(statistics is not None and statistics.ndim == 2, "its statistics are missing")
    events = take(values, "updates", is_count, "a count")
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

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
from .metrics import EXPOSURES, METRICS, NEGATIVE, VIEWERS, WHOLE
from .overrides import FORCED, KINDS, Override
from .reasons import BIT
from .rulebook import OWN
from .rules import Rules
from .stages import Rooms, Stage, StageChange
from .yields import Yields

if TYPE_CHECKING:
    from .allocator import ColdStartAllocator

KIND = "cold_start"
_LARGEST = 2**53
_SLACK = 1e-6  # sums of the same fractions in another order
_RANGES: dict[str, tuple[float, float]] = {
    "counts": (0, _LARGEST),
    "learned": (0, _LARGEST),
    "proofs": (-1e19, 1e19),
    "organic": (0, _LARGEST),
    "granted": (0, _LARGEST),
    "current": (0, _LARGEST),
    "quota": (0, _LARGEST),
    "extra": (-_LARGEST, _LARGEST),
    "stage": (min(Stage), max(Stage)),
    "why": (0, 2 * max(BIT.values())),
    "reasons": (0, 2 * max(BIT.values())),
    "tier": (0, 3),
    "restarts": (0, 10_000),
    "opened": (-1e300, 1e300),
    "closed": (-1e300, np.inf),
    "granted_at": (-np.inf, 1e300),
    "probability": (0.0, 1.0 + 1e-9),
    "log_evidence": (-1e300, 1e300),
}
_YIELD_RANGES: dict[str, tuple[float, float]] = {
    "brought": (0.0, 1e300),
    "pushed": (0.0, 1e300),
    "sent": (0.0, 1e300),
    "seen": (0, _LARGEST),
    "target": (0, _LARGEST),
    "ticks_at_max": (0, _LARGEST),
}


def save(allocator: ColdStartAllocator) -> bytes:
    """Copy the state under the allocator's lock, then write it."""
    with allocator._lock:
        columns = allocator.bandit.columns
        rules, overrides = allocator._registry.rules, allocator._overrides
        values: dict[str, Any] = {
            "now": allocator._now,
            "buckets": [[id, bucket] for id, bucket in allocator._registry.buckets.items()],
            "changes": [asdict(change) for change in allocator._changes],
            "bandit": allocator.bandit.to_bytes(),
            "rules": [held.model_dump(mode="json") for version, held in rules.versions.items() if version != OWN],
            "used": list(rules.used),
            "in_force": rules.in_force.version,
            "overrides": [asdict(override) for override in overrides.active.values()],
            "forced": [[room, [list(span) for span in spans]] for room, spans in overrides.forced.items()],
            "news": [asdict(override) for override in overrides.news],
            "promoted": allocator._promoted,
            "doubt": allocator._doubt,
        }
        arrays: dict[str, Any] = {
            name: array[..., :columns].copy() for name, array in allocator._rooms._asdict().items()
        }
        arrays |= {f"yield_{name}": a[..., :columns].copy() for name, a in allocator._registry.yields._asdict().items()}
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
    is_same = bandit.policy == allocator.bandit.policy and bandit.change_detector == config.change_detector
    require(is_same, "its bandit has another prior or change detector than its configuration")
    allocator._registry.bandit = bandit
    allocator._now = take(values, "now", lambda v: v is None or _is_time(v), "a time")
    if "learned" not in arrays:
        values, arrays = _upgraded(values, arrays, bandit.columns)
    _take_rules(allocator, values)
    _take_rooms(allocator, arrays, bandit.columns)
    buckets = take(values, "buckets", lambda v: isinstance(v, list), "a list")
    is_pair = [isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], str) for pair in buckets]
    require(all(is_pair), "its buckets are not pairs")
    ids = bandit.arms
    require(sorted(map(repr, ids)) == sorted(repr(pair[0]) for pair in buckets), "its buckets contradict its rooms")
    allocator._registry.buckets = {id: bucket for id, bucket in buckets}
    columns = columns_of(bandit.rows(ids))
    allocator._registry.room_at = dict(zip(columns.tolist(), ids, strict=True))
    allocator._rooms.bucket[:] = 0
    places = [allocator._registry.rules.index(allocator._registry.buckets[id]) for id in ids]
    allocator._rooms.bucket[columns] = places
    _check_known(allocator._rooms, columns)
    require(bool((allocator._rooms.opened[columns] <= (allocator._now or 0.0)).all()), "a room opens after now")
    for change in take(values, "changes", lambda v: isinstance(v, list), "a list"):
        allocator._changes.append(_change(change))
    _take_overrides(allocator, values)
    allocator._promoted = take(values, "promoted", lambda v: type(v) is int and 0 <= v <= _LARGEST, "a count")
    allocator._doubt = take(values, "doubt", lambda v: type(v) is float and 0.0 <= v <= _LARGEST, "a number")
    return allocator


def _upgraded(values: dict[str, Any], arrays: dict[str, Any], columns: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Bring what was written before there were rules, harms and overrides into the present layout."""
    counts, tier_s = arrays.get("counts", np.empty(0)), arrays.get("tier_s", np.empty(0))
    require(counts.dtype == np.int64 and counts.shape == (5, columns), "array 'counts' is of another type or shape")
    require(tier_s.dtype == np.bool_ and tier_s.shape == (columns,), "array 'tier_s' is of another type or shape")
    require(bool(((counts >= 0) & (counts <= _LARGEST)).all()), "counts is out of range")
    all_counts = np.concatenate([counts, np.zeros((len(METRICS) - 5, columns), np.int64)]).astype(np.float64)
    none = np.zeros(columns, np.int64)
    yields = {"yielded": "brought", "pushed": "pushed", "seen": "seen", "ticks_at_max": "ticks_at_max"}
    multiplier = arrays.get("multiplier", np.empty(0))
    require(multiplier.dtype == np.float64 and multiplier.shape == (columns,), "array 'multiplier' is of another type")
    upgraded = {name: array for name, array in arrays.items() if name not in ("tier_s", "multiplier", *yields)} | {
        "counts": all_counts,
        "learned": all_counts.copy(),
        "proofs": all_counts[[NEGATIVE, EXPOSURES]],
        "organic": np.zeros((2, columns)),
        "reasons": none,
        "tier": np.where(tier_s.view(np.uint8) != 0, 0, 2),
        "bucket": none,
        "restarts": none,
        "is_changed": np.zeros(columns, np.bool_),
        "yield_sent": multiplier[None, :],
        "yield_target": arrays.get("granted", none),
    }
    for old, new in yields.items():
        require(old in arrays, f"array {old!r} is missing")
        upgraded[f"yield_{new}"] = arrays[old]
    fresh = {"rules": [], "used": [OWN], "in_force": OWN, "overrides": [], "forced": [], "news": []}
    changes = take(values, "changes", lambda v: isinstance(v, list), "a list")
    for change in changes:
        if isinstance(change, dict) and isinstance(change.get("counts"), dict):
            change["counts"] = change["counts"] | {"watched": 0.0, "minutes": 0.0}
    return values | fresh | {"promoted": 0, "doubt": 0.0}, upgraded


def _take_rules(allocator: ColdStartAllocator, values: dict[str, Any]) -> None:
    rulebook = allocator._registry.rules
    for fields in take(values, "rules", lambda v: isinstance(v, list), "a list"):
        try:
            rules = Rules.model_validate(fields)
        except (ValidationError, TypeError, RecursionError) as error:
            require(False, f"its rules are not ones of this version ({type(error).__name__})")
        require(rules.version not in rulebook.versions, "a version of its rules stands twice")
        rulebook.versions[rules.version] = rules
    used = take(values, "used", lambda v: isinstance(v, list), "a list")
    known = all(isinstance(version, str) and version in rulebook.versions for version in used)
    require(known and used[:1] == [OWN] and len(set(used)) == len(used), "it uses rules that it does not have")
    rulebook.used = used
    in_force = take(values, "in_force", lambda v: isinstance(v, str), "a version")
    require(in_force in rulebook.versions, "it uses rules that it does not have")
    rulebook.enforce(in_force)


def _take_overrides(allocator: ColdStartAllocator, values: dict[str, Any]) -> None:
    overrides, known = allocator._overrides, allocator._registry.buckets
    for fields in take(values, "overrides", lambda v: isinstance(v, list), "a list"):
        override = _override(fields)
        require(override.ended is None and override.room in known, "an override is of no room, or ended")
        require((override.room, override.kind) not in overrides.active, "an override stands twice")
        overrides.active[override.room, override.kind] = override
    for pair in take(values, "forced", lambda v: isinstance(v, list), "a list"):
        good = isinstance(pair, list) and len(pair) == 2 and is_id(pair[0]) and isinstance(pair[1], list)
        require(good and pair[0] in known and pair[0] not in overrides.forced, "times of overrides are of no room")
        good = all(isinstance(span, list) and len(span) == 2 and all(map(_is_time, span)) for span in pair[1])
        require(good, "times of overrides are no times")
        overrides.forced[pair[0]] = [(span[0], span[1]) for span in pair[1]]
    left = {room: list(spans) for room, spans in overrides.forced.items()}
    for override in overrides.active.values():
        if override.kind in FORCED:
            spans = left.get(override.room, [])
            require((override.at, override.until) in spans, "an override's times are missing")
            spans.remove((override.at, override.until))
    overrides.news = [_override(fields) for fields in take(values, "news", lambda v: isinstance(v, list), "a list")]


def _override(fields: Any) -> Override:
    require(isinstance(fields, dict) and set(fields) == set(Override.__slots__), "an override is incomplete")
    texts = all(isinstance(fields[name], str) for name in ("kind", "actor", "reason"))
    times = all(_is_time(fields[name]) for name in ("at", "until"))
    require(texts and times and fields["kind"] in KINDS and is_id(fields["room"]), "an override has a wrong field")
    ended, by, value = fields["ended"], fields["ended_by"], fields["value"]
    require((ended is None) == (by is None), "an override has a wrong end")
    require(ended is None or (_is_time(ended) and isinstance(by, str)), "an override has a wrong end")
    low, high = {"pin": (0.0, 2.0**40), "weight": (1e-3, 1e3)}.get(fields["kind"], (0.0, 0.0))
    require(type(value) is float and low <= value <= high, "an override has a wrong value")
    return Override(**fields)


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
    kinds_of = {name: int if name in WHOLE else float for name in METRICS}
    are_counts = all(type(v) is kinds_of.get(name) and 0 <= v <= _LARGEST for name, v in counts.items())
    require(set(counts) == set(METRICS) and are_counts, "a change has other counts")
    is_number = _is_time(fields["at"]) and 0.0 <= fields["probability"] <= 1.0 + 1e-9 and fields["evidence"] >= 0.0
    require(is_number, "a change is out of range")
    return StageChange(**fields)


def _is_time(value: Any) -> bool:
    return type(value) is float and abs(value) <= MAX_TIME


def _take_rooms(allocator: ColdStartAllocator, arrays: dict[str, Any], columns: int) -> None:
    capacity = max(columns, allocator._rooms.stage.size)
    allocator._registry.grow(capacity)
    rooms, yields = allocator._rooms, allocator._registry.yields
    _take_arrays(rooms, arrays, columns, _RANGES, "")
    _take_arrays(yields, arrays, columns, _YIELD_RANGES, "yield_")
    for name in ("is_open", "is_new", "is_changed"):
        require(bool((getattr(rooms, name).view(np.uint8) <= 1).all()), f"{name} is not of bools")
    for counts in (rooms.counts, rooms.learned):
        require(bool((counts[: len(WHOLE)] % 1.0 == 0.0).all()), "a count is not whole")
        most = counts[EXPOSURES] * (1.0 + _SLACK)
        require(bool((counts[list(VIEWERS)] <= most).all()), "too many reactions")
    require(bool((rooms.learned <= rooms.counts * (1.0 + _SLACK)).all()), "more is learnt than was observed")
    require(bool((rooms.organic[1] <= rooms.organic[0]).all()), "too many reactions")
    try:
        is_finite = bool(np.isfinite(allocator._registry.harms.log_evidence(rooms.proofs)).all())
    except ValueError:
        is_finite = False
    require(is_finite, "evidence of harm is none that events can have left")
    require(bool((yields.seen <= rooms.counts[EXPOSURES]).all()), "pacing has seen too much")
    require(bool((rooms.in_flight >= 0).all()), "more exposures than granted")
    require(bool(((rooms.current >= 0) & (rooms.current <= rooms.in_flight)).all()), "exposures in flight contradict")
    require(bool((yields.pushed[rooms.is_open] > 0.0).all()), "pacing has no base")
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


def _take_arrays(
    state: Rooms | Yields, arrays: dict[str, Any], columns: int, ranges: dict[str, tuple[float, float]], prefix: str
) -> None:
    """Copy a checkpoint's arrays into a state's columns, each of the right type and in its range."""
    for name, own in state._asdict().items():
        require(prefix + name in arrays, f"array {prefix + name!r} is missing")
        array = arrays[prefix + name]
        shape = (*own.shape[:-1], columns)
        require(
            array.dtype == own.dtype and array.shape == shape, f"array {prefix + name!r} is of another type or shape"
        )
        own[..., :columns] = array
    for name, (low, high) in ranges.items():
        array = getattr(state, name)
        require(bool(((array >= low) & (array <= high)).all()), f"{prefix + name} is out of range")

"""An attribution to its checkpoint and back. Tables and chains are not written: they are made anew, of what is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ValidationError

from .._inputs import MAX_TIME
from ..checkpoint import Checkpoint, is_count, pack, require, take, unpack
from ._keeping import AT as KEPT_AT
from ._keeping import CREDITS, DONE, HELD, KIND, NEXT, copy_credits, count_credits, put_credits
from ._orders import CURRENT, load, names_in
from ._path import HAS_SEGMENT, UNITS
from ._table import AT, BORN, COUNTS, GONE, LATEST, RANK, SALT, Floats, Ints, add_touches
from .config import AttributionConfig
from .credits import KINDS, Corrections, Log
from .rules import MOST_LEAVES, RuleSet, leaves_of

if TYPE_CHECKING:
    from .attribution import Attribution

KIND_OF_CHECKPOINT = "attribution"


def save(attribution: Attribution) -> bytes:
    """Copy what is known under the lock, then write it."""
    with attribution._lock:
        s = attribution._state
        touched = _in_order(s.ring, s.rows.shape[0])
        kept = _in_order(s.queue, s.kept.shape[0])
        sizes = np.empty(kept.size, np.int64)
        credits = np.empty((count_credits(s.kept, s.pool, kept, sizes), 5), np.int64)
        copy_credits(s.kept, s.pool, kept, credits)
        numbers = s.kept[kept, : DONE + 1]
        numbers[:, CREDITS] = sizes
        current = int(s.cells[CURRENT])
        log = attribution._log.read()
        arrays: dict[str, Any] = {
            "touches": s.rows[touched, : RANK + 1],
            "touched_at": s.times[touched, AT],
            "orders": names_in(s.names, s.cells, current),
            "older_orders": names_in(s.names, s.cells, 1 - current),
            "kept": numbers,
            "moments": s.moments[kept, KEPT_AT:],
            "credits": credits,
        }
        values = {
            "counts": attribution.counts,
            "latest": float(s.clock[LATEST]),
            "born": float(s.clock[BORN]),
            "gone": float(s.clock[GONE]),
            "now": attribution._now,
            "active": list(attribution._active),
        }
        sets = list(attribution._sets)
    arrays |= {f"log_{name}": column for name, column in zip(Corrections._fields, log, strict=True)}
    config = {"attribution": attribution.config.model_dump(), "rule_sets": [each.model_dump() for each in sets]}
    return pack(Checkpoint(KIND_OF_CHECKPOINT, config, values, arrays))


def _in_order(ring: Ints, capacity: int) -> Ints:
    """Rows in use, the oldest first; both rings have NEXT and HELD as their first cells."""
    return np.asarray((ring[NEXT] - ring[HELD] + np.arange(ring[HELD])) % max(capacity, 1))


def load_attribution(cls: type[Attribution], blob: bytes) -> Any:
    """Check everything, then build the attribution."""
    checkpoint = unpack(blob, KIND_OF_CHECKPOINT)
    values, arrays = checkpoint.values, checkpoint.arrays
    config = _configured(AttributionConfig, checkpoint.config.get("attribution"))
    given = take(checkpoint.config, "rule_sets", lambda v: isinstance(v, list), "a list")
    sets = [_configured(RuleSet, each) for each in given]
    active = take(
        values, "active", lambda v: isinstance(v, list) and all(type(each) is bool for each in v), "a list of yes or no"
    )
    require(len(active) == len(sets), "its rule sets contradict each other")
    require(len({each.version for each in sets}) == len(sets), "a version stands twice")
    try:
        attribution = cls(config, sets)
        attribution._use(sets, list(active))
    except ValueError as error:
        require(False, str(error))
    except MemoryError:
        require(False, "there is no memory here for the capacities of its configuration")
    attribution._now = take(values, "now", lambda v: v is None or _is_time(v), "a time")
    _load_counts(attribution, values)
    _load_touches(attribution, arrays)
    _load_orders(attribution, arrays)
    _load_kept(attribution, arrays)
    attribution._log = _log(config, arrays)
    return attribution


def _load_counts(attribution: Attribution, values: dict[str, Any]) -> None:
    s = attribution._state
    counts = take(values, "counts", lambda v: isinstance(v, dict) and set(v) == set(COUNTS), "the counters known here")
    require(all(is_count(counts[name]) for name in COUNTS), "a counter is no count")
    s.counts[:] = [counts[name] for name in COUNTS]
    s.clock[LATEST] = take(values, "latest", lambda v: _is_time(v) or v == -math.inf, "a time")
    s.clock[GONE] = take(values, "gone", lambda v: _is_time(v) or v == -math.inf, "a time")
    s.clock[BORN] = take(values, "born", lambda v: _is_time(v) or (type(v) is float and math.isnan(v)), "a time")


def _load_touches(attribution: Attribution, arrays: dict[str, Any]) -> None:
    s, config = attribution._state, attribution.config
    touches, at = _array(arrays, "touches", np.int64, 2, 4), _array(arrays, "touched_at", np.float64, 1)
    n = at.size
    require(touches.shape[0] == n <= config.touches, "its touches contradict each other")
    require(bool((np.abs(at) <= MAX_TIME).all()), "a touch has no time")
    users, items, decisions, ranks = (np.ascontiguousarray(column) for column in touches.T)
    require(bool(((ranks >= 0) & (ranks <= len(config.channels))).all()), "a touch has no channel")
    add_touches(
        s.slots, s.rows, s.times, s.ring, np.zeros_like(s.counts), np.full(3, -np.inf), 0.0,
        config.join == "user", SALT, config.longest_walk, users, items, decisions, ranks, at,
    )  # fmt: skip
    require(int(s.ring[HELD]) == n, "a touch stands twice, or under too many")


def _load_orders(attribution: Attribution, arrays: dict[str, Any]) -> None:
    s, config = attribution._state, attribution.config
    generations = [_array(arrays, name, np.int64, 1) for name in ("orders", "older_orders")]
    for generation, names in enumerate(generations):
        require(names.size <= config.orders, "it has more orders than its configuration remembers")
        require(load(s.names, s.cells, generation, names), "an order stands twice")


def _load_kept(attribution: Attribution, arrays: dict[str, Any]) -> None:
    s, config = attribution._state, attribution.config
    numbers = _array(arrays, "kept", np.int64, 2, DONE + 1)
    moments = _array(arrays, "moments", np.float64, 2, 3)
    credits = _array(arrays, "credits", np.int64, 2, 5)
    n, passes = numbers.shape[0], np.array([*config.passes, np.inf])
    require(moments.shape[0] == n <= s.kept.shape[0], "its conversions contradict each other")
    kinds, done, sizes = numbers[:, KIND], numbers[:, DONE], np.ascontiguousarray(numbers[:, CREDITS])
    require(
        bool(((kinds & ~HAS_SEGMENT >= 0) & (kinds & ~HAS_SEGMENT < len(config.windows))).all()), "a kind is unknown"
    )
    require(bool(((done >= 0) & (done <= len(config.passes))).all()), "a conversion has had passes that never were")
    at, _, due = moments.T
    require(bool((np.abs(moments[:, :2]) <= MAX_TIME).all()), "a conversion has no time or value")
    require(bool(((due == np.inf) | (due == at + passes[done])).all()), "a pass is due at no time of its own")
    total = sizes.sum() if bool(((sizes >= 0) & (sizes <= config.longest_path)).all()) else -1
    require(total == credits.shape[0] <= config.pool, "its credits contradict its conversions")
    require(bool((sizes[due == np.inf] == 0).all()), "a conversion that is settled has credits")
    _check_credits(attribution, credits, sizes)
    s.kept[:n, : DONE + 1], s.moments[:n, KEPT_AT:] = numbers, moments
    s.kept[:n, CREDITS] = -1
    s.queue[NEXT], s.queue[HELD] = n % max(s.kept.shape[0], 1), n
    put_credits(s.kept, s.pool, s.queue, sizes, credits)


def _check_credits(attribution: Attribution, credits: Ints, sizes: Ints) -> None:
    ranks, units, codes = credits[:, 2], credits[:, 3], credits[:, 4]
    require(bool(((ranks >= 0) & (ranks <= len(attribution.config.channels))).all()), "a credit has no channel")
    require(bool(((units > 0) & (units <= UNITS)).all()), "a credit is no share")
    earned = np.add.reduceat(units, (np.cumsum(sizes) - sizes)[sizes > 0]) if units.size else units
    require(bool((earned == UNITS).all()), "the credits of a conversion do not sum to 1")
    leaves = np.array([sum(1 for _ in leaves_of(each)) for each in attribution._sets], np.int64)
    number = codes // MOST_LEAVES
    require(bool(((codes >= 0) & (number < leaves.size)).all()), "a credit has no rule set")
    require(bool((codes % MOST_LEAVES < leaves[number]).all()), "a credit has no rule")


def _log(config: AttributionConfig, arrays: dict[str, Any]) -> Log:
    log = Log(config.corrections)
    columns = [_array(arrays, f"log_{name}", kind, 1) for name, kind in zip(Corrections._fields, KINDS, strict=True)]
    require(len({column.size for column in columns}) == 1, "its corrections contradict each other")
    require(columns[0].size <= log.capacity, "it has more corrections than its configuration holds")
    floats: list[Floats] = [column for column in columns if column.dtype == np.float64]
    require(all(bool(np.isfinite(column).all()) for column in floats), "a correction is not finite")
    if columns[0].size:
        log.add(Corrections(*columns))
    return log


def _array(arrays: dict[str, Any], name: str, dtype: Any, dimensions: int, width: int = 0) -> Any:
    array: Any = arrays.get(name)
    require(array is not None, f"array {name!r} is missing")
    is_it = array.dtype == np.dtype(dtype) and array.ndim == dimensions and (dimensions == 1 or array.shape[1] == width)
    require(is_it, f"array {name!r} has another type or shape")
    return np.ascontiguousarray(array)


def _configured(kind: type[BaseModel], config: Any) -> Any:
    try:
        return kind.model_validate(config)
    except (ValidationError, TypeError, RecursionError) as error:
        require(False, f"its {kind.__name__} is not one of this version ({type(error).__name__})")


def _is_time(value: Any) -> bool:
    return type(value) is float and abs(value) <= MAX_TIME

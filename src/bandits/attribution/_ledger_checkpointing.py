"""The checkpoint of a ledger: exposures as rows of numbers, by arm."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from .._inputs import MAX_TIME
from .._random import ArmId
from ..arms import is_id
from ..checkpoint import Checkpoint, is_count, pack, require, take, unpack
from ._exposures import EVICTED, NEVER, PENDING, SETTLED, Exposure, Held
from ._ledger_records import COUNTED, LedgerConfig
from ._teaching import MOST_CUT

if TYPE_CHECKING:
    from .ledger import ExposureLedger

Ledger = TypeVar("Ledger", bound="ExposureLedger")

KIND = "exposure_ledger"
_FLOATS = ("at", "value", "rewarded_at", "censored_at", "told", "told_at")
_COUNTS = ("rewards", "revision", "state")
_PAIRS = ("matured", "taught", "cut")  # two numbers of an arm
_TOTAL = 1e300  # sums of finite rewards


def save(ledger: ExposureLedger) -> bytes:
    """Write a checkpoint. Under the lock."""
    pending = [exposure for _, _, exposure in sorted(ledger._due, key=lambda item: item[:2])]
    exposures = [*pending, *ledger._settled.values()]
    remembered = len(exposures)
    rows = {id(exposure): i for i, exposure in enumerate(exposures)}
    for exposure in (*ledger._fresh, *ledger._corrected.values()):  # evicted or forgotten before they were told
        if id(exposure) not in rows:
            rows[id(exposure)] = len(exposures)
            exposures.append(exposure)
    held = [(arm, name, one) for (arm, name), many in ledger._held.items() for one in many]
    cut: list[tuple[ArmId, Sequence[float]]] = [(arm, pair) for arm, pairs in ledger._cut.items() for pair in pairs]
    pairs: dict[str, list[tuple[ArmId, Sequence[float]]]] = {"cut": cut}
    pairs |= {"matured": list(ledger._matured.items()), "taught": list(ledger._taught.items())}
    arms = (
        [e.arm for e in exposures] + [arm for arm, _, _ in held] + [arm for some in pairs.values() for arm, _ in some]
    )
    index = {arm: i for i, arm in enumerate(dict.fromkeys(arms))}
    arrays = {
        "names": _uints(exposure.name for exposure in exposures),
        "arm": _ints(index[exposure.arm] for exposure in exposures),
        "floats": _floats([[getattr(e, field) for field in _FLOATS] for e in exposures], len(_FLOATS)),
        "counts": np.array([[getattr(e, field) for field in _COUNTS] for e in exposures], np.int64).reshape(-1, 3),
        "fresh": _ints(rows[id(exposure)] for exposure in ledger._fresh),
        "corrected": _ints(rows[id(exposure)] for exposure in ledger._corrected.values()),
        "held_names": _uints(name for _, name, _ in held),
        "held_arm": _ints(index[arm] for arm, _, _ in held),
        "held": _floats([one for _, _, one in held], 2),
        "seen_older": _uints(ledger._seen.older),
        "seen_newer": _uints(ledger._seen.newer),
    }
    for what, some in pairs.items():
        arrays[f"{what}_arm"] = _ints(index[arm] for arm, _ in some)
        arrays[what] = _floats([pair for _, pair in some], 2)
    values = {
        "arms": list(index), "pending": len(pending), "remembered": remembered, "mode": ledger._mode,
        "now": ledger._now, "forgotten": ledger._forgotten, "evicted": ledger._evicted,
        "are_fractions": ledger._are_fractions, "counts": ledger._counts,
    }  # fmt: skip
    return pack(Checkpoint(KIND, ledger.config.model_dump(), values, arrays))


def load(cls: type[Ledger], blob: bytes) -> Ledger:
    """Check a checkpoint, and read it.

    Raises
    ------
    CheckpointError
        For anything else.
    """
    _, fields, values, arrays = unpack(blob, KIND)
    try:
        config = LedgerConfig.model_validate(fields, strict=True)
    except ValidationError as error:
        require(False, f"its config is refused ({error.error_count()} faults)")
    ledger = cls(config)
    arms = take(values, "arms", lambda v: isinstance(v, list) and all(map(is_id, v)), "a list of ids")
    require(len(set(arms)) == len(arms), "an arm stands twice in it")
    require(all(_is_unicode(arm) for arm in arms), "an arm is not valid Unicode")
    ledger._mode = take(values, "mode", lambda v: v in ("", "settle", "teach") and type(v) is str, "a mode")
    ledger._now = take(values, "now", lambda v: v is None or _is_time(v), "a time")
    ledger._forgotten = take(values, "forgotten", lambda v: v == -NEVER or _is_time(v), "a time")
    ledger._evicted = take(values, "evicted", is_count, "a count")
    ledger._are_fractions = take(values, "are_fractions", lambda v: type(v) is bool, "true or false")
    counts = take(values, "counts", lambda v: isinstance(v, dict) and all(map(is_count, v.values())), "counts")
    require(set(counts) == set(COUNTED), "its counts are not those of a ledger")
    ledger._counts = {name: counts[name] for name in COUNTED}
    _load_exposures(ledger, values, arrays, arms)
    _load_held(ledger, arrays, arms)
    for what in _PAIRS:
        _load_pairs(ledger, what, arrays, arms)
    for generation in ("older", "newer"):
        names = _array(arrays, f"seen_{generation}", "u", None).tolist()
        require(len(names) <= config.remember and len(set(names)) == len(names), "the events seen are not possible")
        setattr(ledger._seen, generation, dict.fromkeys(names))
    return ledger


def _load_exposures(ledger: ExposureLedger, values: dict[str, Any], arrays: dict[str, Any], arms: list[ArmId]) -> None:
    names = _array(arrays, "names", "u", None).tolist()
    size = len(names)
    of = _indices(arrays, "arm", size, len(arms))
    floats, counts = _array(arrays, "floats", "f", (size, len(_FLOATS))), _array(arrays, "counts", "i", (size, 3))
    pending = take(values, "pending", lambda v: is_count(v, min(size, ledger.config.capacity)), "a count of exposures")
    last = take(values, "remembered", lambda v: is_count(v, size) and v >= pending, "a count of exposures")
    require(last - pending <= ledger.config.remember, "more exposures are remembered than can be")
    _check_rows(floats, counts, ledger.config.horizon)
    states = counts[:, 2]
    require(bool((states[:pending] == PENDING).all()), "a pending exposure is not pending")
    require(bool(((states[pending:] == SETTLED) | (states[pending:] == EVICTED)).all()), "a settled exposure is not so")
    require(bool((np.diff(floats[:pending, 0]) >= 0.0).all()), "pending exposures are not in the order of time")
    require(len(set(zip(of, names, strict=True))) == size, "an exposure stands twice in it")
    exposures = []
    for name, arm, numbers, whole in zip(names, of, floats.tolist(), counts.tolist(), strict=True):
        exposure = Exposure(name, arms[arm], numbers[0])
        for field, value in (*zip(_FLOATS, numbers, strict=True), *zip(_COUNTS, whole, strict=True)):
            setattr(exposure, field, value)
        exposures.append(exposure)
    for exposure in exposures[:pending]:
        ledger._due.append((exposure.at, next(ledger._serial), exposure))
        ledger._pending.setdefault(exposure.arm, {})[exposure.name] = exposure
    heapq.heapify(ledger._due)
    ledger._settled = {(exposure.arm, exposure.name): exposure for exposure in exposures[pending:last]}
    ledger._fresh = [exposures[i] for i in _distinct(arrays, "fresh", size)]
    require(all(exposure.rewards and not exposure.is_told for exposure in ledger._fresh), "what is fresh was told")
    corrected = [exposures[i] for i in _distinct(arrays, "corrected", size)]
    require(all(e.rewards and e.state == SETTLED for e in corrected), "what is corrected was not settled")
    ledger._corrected = {(exposure.arm, exposure.name): exposure for exposure in corrected}
    loose = {*ledger._fresh, *corrected}
    require(all(exposure in loose for exposure in exposures[last:]), "an exposure belongs nowhere")


def _check_rows(floats: NDArray[np.float64], counts: NDArray[np.int64], horizon: float) -> None:
    at, value, rewarded_at, censored_at, told, told_at = floats.T
    times = np.abs(np.stack([at, rewarded_at, told_at])) <= MAX_TIME + horizon
    require(bool(times.all()), "a time is out of range")
    require(bool(((rewarded_at >= at) & (rewarded_at <= at + horizon)).all()), "a reward is not within the horizon")
    require(bool(((censored_at >= at) & ((censored_at <= MAX_TIME) | (censored_at == NEVER))).all()), "a time is wrong")
    require(bool((np.isfinite(value) & (np.isfinite(told) | np.isnan(told))).all()), "a reward is not finite")
    require(bool(((counts >= 0) & (counts <= 2**53)).all()), "a count is out of range")
    require(bool((value[counts[:, 0] == 0] == 0.0).all()), "an exposure without rewards has one")


def _load_held(ledger: ExposureLedger, arrays: dict[str, Any], arms: list[ArmId]) -> None:
    names = _array(arrays, "held_names", "u", None).tolist()
    held = _array(arrays, "held", "f", (len(names), 2))
    require(bool((np.isfinite(held[:, 0]) & (np.abs(held[:, 1]) <= MAX_TIME)).all()), "a reward held is not possible")
    require(len(names) <= ledger.config.capacity, "more rewards are held than can be")
    for name, i, (value, at) in zip(
        names, _indices(arrays, "held_arm", len(names), len(arms)), held.tolist(), strict=True
    ):
        key = (arms[i], name)
        known = ledger._pending.get(arms[i], {}).get(name) or ledger._settled.get(key)
        require(known is None, "a reward is held whose exposure is known")
        ledger._held.setdefault(key, []).append(Held(value, at))
    ledger._n_held = len(names)


def _load_pairs(ledger: ExposureLedger, what: str, arrays: dict[str, Any], arms: list[ArmId]) -> None:
    size = _array(arrays, f"{what}_arm", "i", None).size
    of, pairs = _indices(arrays, f"{what}_arm", size, len(arms)), _array(arrays, what, "f", (size, 2))
    require(bool((np.abs(pairs) <= _TOTAL).all()), f"a number of {what} is out of range")
    require(bool((pairs[:, 0] >= 0.0).all()), f"a number of {what} is negative")
    if what == "cut":
        for i, (age, reward) in zip(of, pairs.tolist(), strict=True):
            ledger._cut.setdefault(arms[i], []).append((age, reward))
        require(all(len(some) <= MOST_CUT for some in ledger._cut.values()), "too many censored exposures of an arm")
        return
    require(len(set(of)) == size, f"an arm stands twice among {what}")
    if what == "taught" or (ledger._are_fractions and ledger.config.default_reward == 0.0):
        require(bool((pairs[:, 1] >= 0.0).all()), f"a number of {what} is negative")
    getattr(ledger, f"_{what}").update({arms[i]: pair for i, pair in zip(of, pairs.tolist(), strict=True)})


def _array(arrays: dict[str, Any], name: str, kind: str, shape: tuple[int, ...] | None) -> NDArray[Any]:
    """An array of one kind and shape, None for any length."""
    require(name in arrays, f"array {name!r} is missing")
    array: NDArray[Any] = arrays[name]
    fits = array.ndim == 1 if shape is None else array.shape == shape
    require(array.dtype.kind == kind and array.dtype.itemsize == 8 and fits, f"array {name!r} is of the wrong shape")
    return array


def _indices(arrays: dict[str, Any], name: str, size: int, limit: int) -> list[int]:
    array = _array(arrays, name, "i", (size,))
    require(bool(((array >= 0) & (array < limit)).all()), f"array {name!r} points at nothing")
    rows: list[int] = array.tolist()
    return rows


def _distinct(arrays: dict[str, Any], name: str, limit: int) -> list[int]:
    rows = _indices(arrays, name, _array(arrays, name, "i", None).size, limit)
    require(len(set(rows)) == len(rows), f"array {name!r} points twice at something")
    return rows


def _uints(values: Iterable[int]) -> NDArray[np.uint64]:
    return np.fromiter(values, np.uint64)


def _ints(values: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(values, np.int64)


def _floats(rows: Sequence[Sequence[float]], width: int) -> NDArray[np.float64]:
    return np.array(rows, np.float64).reshape(-1, width)


def _is_time(value: Any) -> bool:
    return type(value) is float and abs(value) <= MAX_TIME


def _is_unicode(arm: ArmId) -> bool:
    try:
        return isinstance(arm, int) or arm.encode() is not None
    except UnicodeEncodeError:
        return False

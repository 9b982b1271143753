"""Checks of what hosts pass in: each says what, which and what to do, before anything changes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...bandits._inputs import checked_float, checked_floats, checked_int
from ...bandits._random import ArmId
from ...bandits.arms import checked_id, checked_ids
from .metrics import EXPOSURES, METRICS, VIEWERS, WHOLE
from .overrides import KINDS

LARGEST_COUNT = 10**12  # of one observation; the bandit takes no larger weight


def checked_rooms(room: Any) -> list[ArmId]:
    """Return the ids of one room or several as a list."""
    if isinstance(room, str | int | np.integer) or not np.iterable(room):
        return [checked_id(room, "room")]
    return checked_ids(room, "room", ordered=True)


def checked_text(value: Any, what: str) -> None:
    """Check that a text can be stored."""
    if not isinstance(value, str):
        raise ValueError(f"{what} = {value!r} is not a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} = {value!r} is not valid Unicode") from None


def checked_counts(values: Any, name: str, size: int) -> NDArray[np.int64]:
    """Whole, non-negative numbers, int64 `[size]`; one for all or one each."""
    array = np.asarray(values)
    is_whole = array.dtype.kind == "f" and bool((np.isfinite(array) & (array == np.floor(array))).all())
    if is_whole and (array.size == 0 or np.abs(array).max() <= 2**53):
        array = array.astype(np.int64)
    if array.dtype == np.bool_:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} = {values!r:.60} must be whole numbers")
    if array.ndim and array.shape != (size,):
        raise ValueError(f"{name} must be one number or one a room, shape ({size},); got shape {array.shape}")
    if array.size and (array.min() < 0 or array.max() > LARGEST_COUNT):
        bad = array.min() if array.min() < 0 else array.max()
        raise ValueError(f"{name} = {bad} is not a count in [0, {LARGEST_COUNT}]; nothing was counted")
    return np.broadcast_to(array.astype(np.int64), (size,)).copy()


def checked_shares(values: Any, name: str, size: int) -> NDArray[np.float64]:
    """Numbers of [0, 1], float64 `[size]`; one for all or one each."""
    array = checked_floats(np.broadcast_to(values, (size,)) if np.ndim(values) == 0 else values, name, size)
    wrong = ~((array >= 0.0) & (array <= 1.0))
    if wrong.any():
        raise ValueError(f"{name} = {array[wrong][0]} is not in [0, 1]; nothing was opened")
    return array


def checked_amounts(values: Any, name: str, size: int) -> NDArray[np.float64]:
    """Finite, non-negative numbers, float64 `[size]`; one for all or one each."""
    array = checked_floats(np.broadcast_to(values, (size,)) if np.ndim(values) == 0 else values, name, size)
    wrong = ~((array >= 0.0) & (array <= LARGEST_COUNT))
    if wrong.any():
        raise ValueError(f"{name} = {array[wrong][0]} is not in [0, {LARGEST_COUNT}]; nothing was counted")
    return array


def checked_each(values: Any, name: str, size: int) -> list[Any]:
    """One value for all, or one each, `[size]`."""
    if isinstance(values, str) or not np.iterable(values):
        return [values] * size
    each = list(values)
    if len(each) != size:
        raise ValueError(f"{name} must be one for all or one a room, {size}; got {len(each)}; nothing was opened")
    return each


def checked_value(kind: str, value: float | None) -> float:
    """The value of an override, by its kind."""
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r} is not one of {list(KINDS)}")
    if kind in ("kill", "ban"):
        if value is not None:
            raise ValueError(f"value = {value!r}: a {kind} has none; leave it out")
        return 0.0
    if kind == "pin":
        return float(checked_int(value, "value, exposures a tick,", 0, 2**40))
    if value is None or not 1e-3 <= checked_float(value, "value") <= 1e3:
        raise ValueError(f"value = {value!r} of a weight is not a factor in [0.001, 1000]")
    return float(value)


def checked_observation(ids: list[ArmId], given: tuple[Any, ...]) -> NDArray[np.float64]:
    """Counts of one observation as `[M, B]`."""
    counts = np.empty((len(METRICS), len(ids)))
    for row, (name, values) in enumerate(zip(METRICS, given, strict=True)):
        checked = checked_counts if name in WHOLE else checked_amounts
        counts[row] = checked(values, name, len(ids))
    for metric in VIEWERS:
        wrong = np.flatnonzero(counts[metric] > counts[EXPOSURES])
        if wrong.size:
            i = int(wrong[0])
            raise ValueError(
                f"{METRICS[metric]} = {counts[metric, i]:g} of room {ids[i]!r} is more than its exposures, "
                f"{counts[EXPOSURES, i]:g}; nothing was counted"
            )
    return counts

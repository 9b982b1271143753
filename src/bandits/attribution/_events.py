"""Checks of touches and conversions as they are passed in; all before anything changes."""

from typing import Any

import numpy as np

from .._inputs import MAX_TIME, checked_at, checked_floats
from ._table import Floats, Ints


def checked_times(at: Any, size: int) -> Floats:
    """When B events happened, seconds, one or one each, as float64 `[size]`."""
    checked_at(at, size, None)
    return np.require(np.broadcast_to(np.asarray(at, np.float64), (size,)), np.float64, ["C", "A", "W"])


def checked_values(values: Any, size: int) -> Floats:
    """What conversions are worth, one or one each, as float64 `[size]`: finite."""
    array = np.asarray(values)
    array = checked_floats(np.broadcast_to(array, (size,)) if array.ndim == 0 else array, "values", size)
    wrong = ~(np.abs(array) <= MAX_TIME)
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(f"values[{i}] = {array[i]} is not a finite number, up to {MAX_TIME:g} in size")
    return array


def checked_codes(given: Any, names: tuple[str, ...], what: str, size: int, least: int = 0) -> Ints:
    """Positions among names, `[size]`, given as one name, or one name or position an event; always a copy.

    least: -1 where an event may have none.
    """
    if isinstance(given, str):
        return np.full(size, _code(given, names, what), np.int64)
    array = np.asarray(given)
    if array.ndim == 0 and array.dtype.kind in "iu":
        array = np.broadcast_to(array, (size,))
    if array.shape != (size,):
        raise ValueError(f"{what}s must be one, or one an event, shape ({size},); got shape {array.shape}")
    if array.dtype.kind in "UO":
        code_of = {name: _code(name, names, what) for name in set(array.tolist())}
        return np.array([code_of[name] for name in array.tolist()], np.int64)
    if array.dtype.kind not in "iu" and size:
        raise ValueError(f"{what}s must be names or their positions; got {array.dtype} such as {array[0]!r:.80}")
    wrong = (array < least) | (array >= len(names))
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(f"{what}s[{i}] = {array[i]} is not in [{least}, {len(names) - 1}], the positions of {what}s")
    return np.array(array, np.int64, order="C")


def _code(name: Any, names: tuple[str, ...], what: str) -> int:
    if not isinstance(name, str) or name not in names:
        known = ", ".join(map(repr, names)) or "none"
        raise ValueError(f"unknown {what} {name!r:.80}: the configuration names {known}")
    return names.index(name)

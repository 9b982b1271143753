"""Checks of what users pass in: each says what, which and what to do, before anything changes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_TIME = 1e15  # seconds, in size: a number of half-lives or buckets, 1 ms or more each, fits into 64 bits
LATENESS = 5.0  # seconds by which an event may be ahead of the latest `now`


def checked_float(value: Any, what: str) -> float:
    """Return a real number as a float; text and None are refused, not parsed."""
    if isinstance(value, int | float | np.number | np.bool_) and not isinstance(value, complex | np.complexfloating):
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{what} = {value!r:.40} is too large") from None
    raise ValueError(f"{what} = {value!r} is not a number")


def checked_floats(values: Any, what: str, size: int) -> NDArray[np.float64]:
    """Return `size` real numbers as float64 `[size]`."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" and array.size:
        raise ValueError(f"{what} must be numbers; got {array.dtype} such as {array.reshape(-1)[0]!r}")
    if array.shape != (size,):
        hint = "; for a single event pass its arm, not a list" if array.ndim == 0 and size == 1 else ""
        raise ValueError(f"{what} must have one entry for each id, shape ({size},); got shape {array.shape}{hint}")
    return np.require(array, np.float64, ["C", "A", "W"])  # other layouts are other types to numba


def checked_int(value: Any, what: str, low: int, high: int | None = None) -> int:
    """Return an integer of [low, high]; bools and floats are refused."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{what} = {value!r} is not an integer")
    if value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"in [{low}, {high}]"
        raise ValueError(f"{what} must be {bounds}; got {value}")
    return int(value)


def checked_name(replica: Any) -> str:
    """Return a replica's name: a string."""
    if not isinstance(replica, str):
        raise ValueError(f"replica = {replica!r} is not a string")
    return replica


def checked_now(now: Any, latest: float | None) -> float:
    """Return the caller's present: finite, and not before the latest one."""
    value = checked_float(now, "now")
    if not abs(value) <= MAX_TIME:
        raise ValueError(f"now = {value} is not a finite time in seconds, up to {MAX_TIME:g}")
    if latest is not None and value < latest:
        raise ValueError(f"now = {value} runs backwards: the latest was {latest}; `at` may be in the past, `now` not")
    return value


def checked_at(at: Any, size: int, latest: float | None, ahead: float = LATENESS) -> None:
    """Check when events happened, once or `[size]`: finite, at most `ahead` seconds after the latest `now`."""
    times = np.asarray(at)
    if times.ndim and times.shape != (size,):
        raise ValueError(f"at must be one time or one an event, shape ({size},); got shape {times.shape}")
    times = np.atleast_1d(times)
    if times.dtype.kind not in "iuf":
        raise ValueError(f"at = {at!r} is not a time in seconds")
    wrong = ~(np.abs(times) <= MAX_TIME)
    if wrong.any():
        raise ValueError(f"at = {times[wrong][0]} is not a finite time in seconds, up to {MAX_TIME:g}")
    if latest is not None and times.size and times.max() > latest + ahead:
        raise ValueError(
            f"at = {times.max()} is more than {ahead:g} s after the latest now, {latest}; pass the new now first"
        )

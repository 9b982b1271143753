"""Checks of the arrays of a log: each names the row that is wrong, before anything is computed."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._inputs import checked_float

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
ROUNDING = 1e-6  # by which the probabilities of a row may miss one


def checked_column(values: ArrayLike, what: str, n: int | None = None) -> Floats:
    """Return finite numbers, one a row of the log, as float64 `[n]`.

    Raises
    ------
    ValueError
        For an empty log, another shape, and numbers that are missing or infinite.
    """
    if values is None:
        raise ValueError(f"{what} are missing (None)")
    array = _numbers(values, what)
    if array.ndim != 1 or (n is not None and array.size != n):
        expected = "[n], one entry a row of the log" if n is None else f"({n},), one entry a row of the log"
        raise ValueError(f"{what} must have shape {expected}; got shape {array.shape}")
    if not array.size:
        raise ValueError(f"{what} are empty: the log has no rows")
    return _finite(array, what)


def checked_table(values: ArrayLike, what: str, n: int | None = None, n_arms: int | None = None) -> Floats:
    """Return finite numbers, a row of the log and an arm each, as float64 `[n, K]`.

    Raises
    ------
    ValueError
        For an empty log, another shape, and numbers that are missing or infinite.
    """
    if values is None:
        raise ValueError(f"{what} is missing (None)")
    array = _numbers(values, what)
    if array.ndim != 2 or (n is not None and len(array) != n) or (n_arms is not None and array.shape[-1] != n_arms):
        expected = f"[{'n' if n is None else n}, {'K' if n_arms is None else n_arms}], a row of the log and an arm each"
        raise ValueError(f"{what} must have shape {expected}; got shape {array.shape}")
    if not array.size:
        raise ValueError(f"{what} is empty, of shape {array.shape}: there is nothing to evaluate")
    return _finite(array, what)


def checked_propensities(values: ArrayLike, n: int, what: str = "propensities") -> Floats:
    """Return the probabilities, in (0, 1], with which the logged actions were chosen, `[n]`.

    Raises
    ------
    ValueError
        For a propensity that is missing, zero, negative or above one.
    """
    array = checked_column(values, what, n)
    wrong = ~((array > 0.0) & (array <= 1.0))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{what}[{row}] = {array[row]} is not in (0, 1]: what was logged had a chance to be chosen; without its "
            "propensity the row cannot be weighted"
        )
    return array


def checked_target(values: ArrayLike, n: int | None = None, what: str = "target") -> Floats:
    """Return the probabilities of the evaluated policy, `[n, K]`: of each row not negative, and one in sum.

    Raises
    ------
    ValueError
        For a negative probability or a row with another sum.
    """
    array = checked_table(values, what, n)
    if array.min() < 0.0:
        row, arm = divmod(int(array.argmin()), array.shape[1])
        raise ValueError(f"{what}[{row}, {arm}] = {array[row, arm]} is negative, and no probability")
    sums = array.sum(axis=1)
    wrong = ~(np.abs(sums - 1.0) <= ROUNDING)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"{what}[{row}] sums to {sums[row]}, not to 1: a row holds the probabilities of all arms")
    return array


def checked_target_propensities(values: ArrayLike, n: int) -> Floats:
    """Return the probabilities, in [0, 1], of the logged actions under the evaluated policy, `[n]`.

    Raises
    ------
    ValueError
        For a number outside [0, 1].
    """
    array = checked_column(values, "target_propensities", n)
    wrong = ~((array >= 0.0) & (array <= 1.0 + ROUNDING))
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"target_propensities[{row}] = {array[row]} is not in [0, 1]")
    return array


def checked_actions(values: ArrayLike, n: int, n_arms: int) -> Rows:
    """Return the columns of the logged actions, int64 `[n]` in [0, K).

    Raises
    ------
    ValueError
        For anything but integers, another shape, and columns that are not there.
    """
    array = np.asarray(values)
    if array.shape != (n,):
        raise ValueError(f"action must have shape ({n},), one entry a row of the log; got shape {array.shape}")
    if array.dtype.kind not in "iu":
        raise ValueError(f"action must be integers, the columns of `target`; got {array.dtype}")
    wrong = (array < 0) | (array >= n_arms)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"action[{row}] = {array[row]} is not in [0, {n_arms}), the columns of `target`")
    return array.astype(np.int64)


def checked_limit(value: Any, what: str, *, may_be_zero: bool = False) -> float:
    """Return a limit of the weights: positive, or zero where it may be; None for none.

    Raises
    ------
    ValueError
        For NaN, and for a limit that leaves nothing.
    """
    if value is None:
        return math.inf
    limit = checked_float(value, what)
    if not (limit > 0.0 or (may_be_zero and limit == 0.0)):
        raise ValueError(f"{what} must be {'at least 0' if may_be_zero else 'positive'}, or None; got {limit}")
    return limit


def checked_range(values: Any) -> tuple[float, float]:
    """Return the least and the largest reward that there can be.

    Raises
    ------
    ValueError
        For anything but two finite numbers in order.
    """
    try:
        low, high = values
    except (TypeError, ValueError):
        raise ValueError(f"reward_range = {values!r} is not a pair, (least, largest)") from None
    low, high = checked_float(low, "reward_range[0]"), checked_float(high, "reward_range[1]")
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"reward_range must be two finite numbers, the least first; got ({low}, {high})")
    return low, high


def check_inside(rewards: Floats, low: float, high: float) -> None:
    """Check that the rewards are in the range that the interval rests on.

    Raises
    ------
    ValueError
        For a reward outside.
    """
    wrong = (rewards < low) | (rewards > high)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"rewards[{row}] = {rewards[row]} is not in [{low:g}, {high:g}]: pass `reward_range`, the least and the "
            "largest reward that there can be, for 'empirical_bernstein'"
        )


def _numbers(values: ArrayLike, what: str) -> NDArray[Any]:
    """An array of numbers; None and other strangers among them are named."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        where = np.argwhere(np.ma.getmaskarray(values))[0].tolist()
        raise ValueError(f"{what}{where} is missing (masked)")
    array = np.asarray(values)
    if array.dtype.kind == "O":
        for where, value in np.ndenumerate(array):
            if not isinstance(value, int | float | np.number | np.bool_):
                raise ValueError(f"{what}{list(where)} = {value!r} is missing or no number")
        array = array.astype(np.float64)
    if array.dtype.kind not in "biuf" and array.size:
        raise ValueError(f"{what} must be numbers; got {array.dtype} such as {array.reshape(-1)[0]!r}")
    return array


def _finite(array: NDArray[Any], what: str) -> Floats:
    numbers = np.ascontiguousarray(array, np.float64)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        where = np.argwhere(wrong)[0]
        told = numbers[tuple(where)]
        reason = "missing (NaN)" if np.isnan(told) else "not finite"
        raise ValueError(f"{what}{where.tolist()} = {told} is {reason}")
    return numbers

"""Checks of logged slates: each names what is wrong, before anything is computed."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Slates(NamedTuple):
    """Rewards, logged and target propensities, `[n, L]` each, checked."""

    rewards: Floats
    propensities: Floats
    target: Floats


def checked_slates(rewards: ArrayLike, propensities: ArrayLike, target_propensities: ArrayLike) -> Slates:
    """Return what was logged of n slates and what the evaluated policy would do, of one shape.

    Raises
    ------
    ValueError
        For shapes that differ, rewards that are not finite, and propensities out of range.
    """
    log = Slates(
        table_of(rewards, "rewards"),
        table_of(propensities, "propensities"),
        table_of(target_propensities, "target_propensities"),
    )
    if not log.rewards.shape == log.propensities.shape == log.target.shape:
        raise ValueError(
            f"rewards, propensities and target_propensities must have one shape [n, L]; got {log.rewards.shape}, "
            f"{log.propensities.shape} and {log.target.shape}"
        )
    require(np.isfinite(log.rewards), log.rewards, "rewards", "the finite numbers")
    require((log.propensities > 0.0) & (log.propensities <= 1.0), log.propensities, "propensities", "(0, 1]")
    require((log.target >= 0.0) & (log.target <= 1.0), log.target, "target_propensities", "[0, 1]")
    return log


def columns(values: ArrayLike) -> NDArray[Any]:
    """One probability a slate as a column."""
    array = np.asarray(values)
    return array[:, None] if array.ndim == 1 else array


def table_of(values: ArrayLike, what: str) -> Floats:
    """Return numbers as float64 `[n, L]`.

    Raises
    ------
    ValueError
        For another shape, or anything but numbers.
    """
    array = np.asarray(values)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "biuf":
        raise ValueError(f"{what} must be numbers [n, L], not empty; got {array.dtype} of shape {array.shape}")
    return array.astype(np.float64)


def require(fits: NDArray[np.bool_], values: Floats, what: str, where: str) -> None:
    """Name the first value that does not fit.

    Raises
    ------
    ValueError
        For such a value.
    """
    if not fits.all():
        bad = tuple(int(i) for i in np.argwhere(~fits)[0])
        raise ValueError(f"{what}[{', '.join(map(str, bad))}] = {values[bad]} is not in {where}")

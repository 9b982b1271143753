"""Gaussian model: real rewards of unknown mean and variance, a normal-inverse-gamma posterior an arm."""

import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from .._decay import backward_scale
from .._families import STUDENT
from .._numba import kernel
from .._table import FIRST, MOST, Handles, State, Table, pending_of
from ._base import CountModel, Require
from .beta import Pseudocount

# rows of the table; the sums are about ORIGIN, the mean of the prior that the model was made with
_MEAN, _STRENGTH, _SHAPE, _RATE, _ORIGIN = FIRST, FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 4
_N, _SUM, _SQUARES = FIRST + 5, FIRST + 6, FIRST + 7
_OTHER_N, _OTHER_SUM, _OTHER_SQUARES = FIRST + 8, FIRST + 9, FIRST + 10
_LARGEST = 1e9  # reward: the square of its distance from the origin keeps its digits

Bounded = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]


class Gaussian(CountModel):
    """Real rewards of unknown mean and variance: `variance ~ InvGamma(shape, rate), mu ~ N(mean, variance / strength)`.

    With n the sum of weights w, x their weighted mean reward and SS the weighted squares about it, `strength' =
    strength + n`, `mean' = (strength mean + n x) / strength'`, `shape' = shape + n / 2`, `rate' = rate + SS / 2 +
    strength n (x - mean)^2 / (2 strength')`; the mean is believed to be `Student(2 shape')` about mean' with scale
    `sqrt(rate' / (shape' strength'))`. An exposure that awaits its feedback adds to strength': it narrows the belief
    and leaves its mean.

    Parameters
    ----------
    prior
        Mean, strength, shape and rate. It is in the rewards' unit: `rate / shape` is what their variance is expected to
        be, and the default expects rewards within some tens of 0.
    half_life
        Seconds after which evidence counts half; no decay by default.
    window
        Number of the bandit's latest events that count; all by default.

    References
    ----------
    .. [1] K. P. Murphy (2007), "Conjugate Bayesian analysis of the Gaussian distribution", section 3.

    Examples
    --------
    Prior (0, 1, 1, 1) and a reward 2: mean' = (0 + 2) / 2 = 1.

    >>> from seedbed.bandits import Bandit, Gaussian, Thompson
    >>> bandit = Bandit(Thompson(model=Gaussian(prior=(0.0, 1.0, 1.0, 1.0))), arms=["a"])
    >>> bandit.update("a", 2.0)
    >>> float(bandit.mean(["a"])[0])
    1.0
    """

    kind: Literal["gaussian"] = "gaussian"
    prior: tuple[Bounded, Pseudocount, Pseudocount, Pseudocount] = (0.0, 0.01, 1.0, 1.0)

    number = 1
    family = STUDENT
    support = f"[{-_LARGEST:g}, {_LARGEST:g}]"
    prior_rows = 5
    evidence_rows = 3

    def beliefs(self, state: State, handles: Handles, now: float = np.nan) -> Table:
        """Location, scale and degrees of freedom of each arm's mean, `[3, C]`."""
        out = np.empty((3, handles.size))
        _beliefs(state.table, handles, now, out)
        return out

    def evidence(self, state: State, handles: Handles, now: float = np.nan) -> Table:
        """Mean reward without the prior, the weight behind it, and the variance of a reward, `[3, C]`."""
        out = np.empty((3, handles.size))
        _evidence(state.table, handles, now, out)
        return out

    def newcomer(self) -> Table:
        """Statistics of a new arm, `[11]`: the prior, the origin and no evidence."""
        return np.array([*self.prior, self.prior[0], 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])

    def prior_like(self, means: Table, strength: float) -> Table:
        """Prior rows, `[4, B]`, of the given means and of `strength` pseudo-counts; shape and rate as they are."""
        rest = np.array([[strength], [self.prior[2]], [self.prior[3]]])
        return np.concatenate([means[None, :], np.broadcast_to(rest, (3, means.size))])

    def check_prior(self, prior: Table, require: Require) -> None:
        """Refuse a prior `[4, K]`, or `[5, K]` with the origin, that the model cannot have."""
        require(bool((abs(prior[::4]) <= _LARGEST).all()), "a prior mean is out of range")
        require(bool(((prior[1:4] >= 1e-6) & (prior[1:4] <= 1e12)).all()), "a prior is out of range")

    def check_evidence(self, evidence: Table, require: Require) -> None:
        """Refuse evidence `[3, K]`, as of the latest time, that no history can have left."""
        most = MOST * np.array([[1.0], [2.0 * _LARGEST], [4.0 * _LARGEST**2]])
        require(bool((evidence[[0, 2]] >= 0.0).all() and (abs(evidence) <= most).all()), "evidence is out of range")


@kernel
def supports(reward: float) -> bool:
    """Whether the reward is a number within bounds."""
    return -_LARGEST <= reward <= _LARGEST


@kernel
def add(table: Table, column: int, reward: float, weight: float) -> None:
    """Learn one event of a column."""
    distance = reward - table[_ORIGIN, column]
    table[_N, column] += weight
    table[_SUM, column] += weight * distance
    table[_SQUARES, column] += weight * distance * distance


@kernel
def _moments(table: Table, column: int, scale: float) -> Any:
    """Weight, mean and sum of squares about it."""
    n = table[_N, column] + table[_OTHER_N, column]
    if n <= 0.0:
        return 0.0, table[_MEAN, column], 0.0
    total = table[_SUM, column] + table[_OTHER_SUM, column]
    distance = total / n
    squares = table[_SQUARES, column] + table[_OTHER_SQUARES, column] - distance * total
    return scale * n, table[_ORIGIN, column] + distance, max(scale * squares, 0.0)


@kernel
def belief(table: Table, column: int, scale: float, pending: float) -> Any:
    """Location, scale and degrees of freedom of the mean's Student distribution."""
    n, mean, squares = _moments(table, column, scale)
    strength = table[_STRENGTH, column] + n
    gap = mean - table[_MEAN, column]
    shape = table[_SHAPE, column] + 0.5 * n
    rate = table[_RATE, column] + 0.5 * (squares + table[_STRENGTH, column] * n * gap * gap / strength)
    location = (table[_STRENGTH, column] * table[_MEAN, column] + n * mean) / strength
    return location, math.sqrt(rate / (shape * (strength + pending))), 2.0 * shape


@kernel
def evidence(table: Table, column: int, scale: float, pending: float) -> Any:
    """Mean reward (the prior's without any), the weight behind it, and the variance of a reward."""
    n, mean, squares = _moments(table, column, scale)
    return mean, n + pending, squares / n if n > 0.0 else 0.0


@kernel
def _beliefs(table: Table, handles: Handles, now: float, out: Table) -> None:
    scale = backward_scale(table, now)
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        out[0, i], out[1, i], out[2, i] = belief(table, column, scale, pending_of(table, column))


@kernel
def _evidence(table: Table, handles: Handles, now: float, out: Table) -> None:
    scale = backward_scale(table, now)
    for i in range(handles.size):
        out[0, i], out[1, i], out[2, i] = evidence(table, handles[i] & 0xFFFF_FFFF, scale, 0.0)

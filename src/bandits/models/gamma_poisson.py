"""Gamma-Poisson model: events counted over an exposure time, a Gamma posterior of the rate an arm."""

from typing import Any, Literal

import numpy as np

from .._decay import backward_scale
from .._families import GAMMA
from .._numba import kernel
from .._table import FIRST, MOST, Handles, State, Table, pending_of
from ._base import CountModel, Require
from .beta import Pseudocount

# rows of the table
_SHAPE, _RATE = FIRST, FIRST + 1
_EVENTS, _TIME = FIRST + 2, FIRST + 3
_OTHER_EVENTS, _OTHER_TIME = FIRST + 4, FIRST + 5
_LARGEST = 1e12  # rate of an event


class GammaPoisson(CountModel):
    """Events at an unknown rate theta, counted over exposure times; theta ~ Gamma(shape, rate).

    `theta | events ~ Gamma(shape + sum w r, rate + sum w)`: the reward r is a rate, events by unit of time, and its
    weight w is the time over which they were counted. Three comments in two minutes are `update(room, 1.5, weight=2)`.
    An exposure that awaits its feedback counts as a unit of time without events.

    Parameters
    ----------
    prior
        Shape (prior events) and rate (prior time), both in [1e-6, 1e12].
    half_life
        Seconds after which evidence counts half; no decay by default.
    window
        Number of the bandit's latest events that count; all by default.

    Examples
    --------
    Prior (1, 1) and 3 events in 2 units of time give Gamma(4, 3), with mean 4/3:

    >>> from seedbed.bandits import Bandit, GammaPoisson, Thompson
    >>> bandit = Bandit(Thompson(model=GammaPoisson()), arms=["a"])
    >>> bandit.update("a", 1.5, weight=2.0)
    >>> round(float(bandit.mean(["a"])[0]), 6)
    1.333333
    """

    kind: Literal["gamma_poisson"] = "gamma_poisson"
    prior: tuple[Pseudocount, Pseudocount] = (1.0, 1.0)

    number = 2
    family = GAMMA
    support = "[0, 1e12], a rate"
    prior_rows = 2
    evidence_rows = 2

    def beliefs(self, state: State, handles: Handles, now: float = np.nan) -> Table:
        """Posterior shape and rate and 0 of each arm, `[3, C]`."""
        out = np.empty((3, handles.size))
        _beliefs(state.table, handles, now, out)
        return out

    def evidence(self, state: State, handles: Handles, now: float = np.nan) -> Table:
        """Mean reward without the prior, the weight behind it, and the variance of a reward, `[3, C]`."""
        out = np.empty((3, handles.size))
        _evidence(state.table, handles, now, out)
        return out

    def newcomer(self) -> Table:
        """Statistics of a new arm, `[6]`: the prior and no evidence."""
        return np.array([*self.prior, 0.0, 0.0, 0.0, 0.0])

    def prior_like(self, means: Table, strength: float) -> Table:
        """Prior rows, `[2, B]`, of the given means and of `strength` units of time."""
        prior: Table = np.maximum(np.stack([means * strength, np.full(means.size, strength)]), 1e-6)
        return prior

    def check_prior(self, prior: Table, require: Require) -> None:
        """Refuse a prior `[2, K]` that the model cannot have."""
        require(bool(((prior >= 1e-6) & (prior <= 1e12)).all()), "a prior is out of range")

    def check_evidence(self, evidence: Table, require: Require) -> None:
        """Refuse evidence `[2, K]`, as of the latest time, that no history can have left."""
        most = np.array([[MOST * _LARGEST], [MOST]])
        require(bool(((evidence >= 0.0) & (evidence <= most)).all()), "evidence is out of range")


@kernel
def supports(reward: float) -> bool:
    """Whether the reward is a rate."""
    return 0.0 <= reward <= _LARGEST


@kernel
def add(table: Table, column: int, reward: float, weight: float) -> None:
    """Learn one event of a column."""
    table[_EVENTS, column] += weight * reward
    table[_TIME, column] += weight


@kernel
def belief(table: Table, column: int, scale: float, pending: float) -> Any:
    """Posterior shape, rate and 0."""
    events = table[_EVENTS, column] + table[_OTHER_EVENTS, column]
    time = table[_TIME, column] + table[_OTHER_TIME, column]
    return table[_SHAPE, column] + scale * events, table[_RATE, column] + scale * time + pending, 0.0


@kernel
def evidence(table: Table, column: int, scale: float, pending: float) -> Any:
    """Mean rate without the prior, the time behind it, and the variance of a unit's count."""
    n = scale * (table[_TIME, column] + table[_OTHER_TIME, column]) + pending
    mean = scale * (table[_EVENTS, column] + table[_OTHER_EVENTS, column]) / n if n > 0.0 else 0.0
    return mean, n, mean


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

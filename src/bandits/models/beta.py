"""Beta-Bernoulli model: rewards in [0, 1], a Beta posterior an arm."""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from .._decay import backward_scale
from .._families import BETA
from .._numba import kernel
from .._table import FIRST, MOST, Handles, State, Table, pending_of
from ._base import CountModel, Require

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Pseudocount = Annotated[float, Field(ge=1e-6, le=1e12)]  # beyond, the distribution itself leaves float64

# rows of the table
_A, _B = FIRST, FIRST + 1
_SUCCESSES, _FAILURES = FIRST + 2, FIRST + 3
_OTHER_SUCCESSES, _OTHER_FAILURES = FIRST + 4, FIRST + 5


class Beta(CountModel):
    """Rewards in [0, 1] with mean theta, theta ~ Beta(prior + evidence).

    `theta | rewards ~ Beta(a + sum w r, b + sum w (1 - r))` with prior (a, b), weights w and rewards r. An exposure
    that awaits its feedback counts as a reward of 0 until it comes.

    Parameters
    ----------
    prior
        Prior successes and failures, both in [1e-6, 1e12].
    half_life
        Seconds after which evidence counts half; no decay by default.
    window
        Number of the bandit's latest events that count; all by default.

    Examples
    --------
    Prior (1, 1) and rewards 1, 1, 0 give Beta(3, 2), with mean 3/5:

    >>> from seedbed.bandits import Bandit, Beta, Thompson
    >>> bandit = Bandit(Thompson(model=Beta(prior=(1.0, 1.0))), arms=["a"])
    >>> bandit.update(["a", "a", "a"], [1.0, 1.0, 0.0])
    >>> float(bandit.mean(["a"])[0])
    0.6
    """

    kind: Literal["beta"] = "beta"
    prior: tuple[Pseudocount, Pseudocount] = (1.0, 1.0)

    number = 0
    family = BETA
    support = "[0, 1]"
    prior_rows = 2
    evidence_rows = 2

    def beliefs(self, state: State, handles: Handles, now: float = np.nan) -> Table:
        """Posterior successes and failures and 0 of each arm, `[3, C]`."""
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
        """Prior rows, `[2, B]`, of the given means and of `strength` pseudo-counts."""
        mean = means.clip(1e-6, 1.0 - 1e-6)
        return np.maximum(np.stack([mean, 1.0 - mean]) * strength, 1e-6)

    def check_prior(self, prior: Table, require: Require) -> None:
        """Refuse a prior `[2, K]` that the model cannot have."""
        require(bool(((prior >= 1e-6) & (prior <= 1e12)).all()), "a prior is out of range")

    def check_evidence(self, evidence: Table, require: Require) -> None:
        """Refuse evidence `[2, K]`, as of the latest time, that no history can have left."""
        require(bool(((evidence >= 0.0) & (evidence <= MOST)).all()), "evidence is out of range")


@kernel
def supports(reward: float) -> bool:
    """Whether the reward lies in [0, 1]."""
    return 0.0 <= reward <= 1.0


@kernel
def add(table: Table, column: int, reward: float, weight: float) -> None:
    """Learn one event of a column."""
    table[_SUCCESSES, column] += weight * reward
    table[_FAILURES, column] += weight * (1.0 - reward)


@kernel
def belief(table: Table, column: int, scale: float, pending: float) -> Any:
    """Posterior successes, failures and 0."""
    successes = table[_SUCCESSES, column] + table[_OTHER_SUCCESSES, column]
    failures = table[_FAILURES, column] + table[_OTHER_FAILURES, column]
    return table[_A, column] + scale * successes, table[_B, column] + scale * failures + pending, 0.0


@kernel
def evidence(table: Table, column: int, scale: float, pending: float) -> Any:
    """Mean reward without the prior, its weight, and the variance of a reward."""
    successes = scale * (table[_SUCCESSES, column] + table[_OTHER_SUCCESSES, column])
    n = successes + scale * (table[_FAILURES, column] + table[_OTHER_FAILURES, column]) + pending
    mean = successes / n if n > 0.0 else 0.0
    return mean, n, mean * (1.0 - mean)


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

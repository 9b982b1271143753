"""Beta-Bernoulli model: rewards in [0, 1], a Beta posterior an arm."""

from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .._numba import kernel
from .._random import uniform
from .._special import beta_logit_quantile, log_beta_tails, sigmoid
from .._table import BAD_REWARD, BAD_WEIGHT, EVENTS, OK, STALE, Handles, Table, is_current, new_table

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Pseudocount = Annotated[float, Field(ge=1e-6, le=1e12)]  # beyond, the distribution itself leaves float64

# Rows of the table; row 0 is the stamp.
_A, _B, _SUCCESSES, _FAILURES = 1, 2, 3, 4
MAX_WEIGHT = 1e12  # the tails are exact to 1e-9 for a + b up to here
_MAX_EVIDENCE = 1e24  # far beyond what events of such weights can sum to


class BetaState(NamedTuple):
    """Posteriors of K arms.

    table: `[5, capacity + 1]`, the whole buffer that kernels get (see `_table`).
    """

    table: Table

    @property
    def prior(self) -> Table:
        """Prior successes and failures, `[2, K]`: never decayed, never merged by sum."""
        return self.table[_A : _B + 1, :-1]

    @property
    def evidence(self) -> Table:
        """Weighted rewards and weighted (1 - rewards), `[2, K]`: without the prior."""
        return self.table[_SUCCESSES : _FAILURES + 1, :-1]


class Beta(BaseModel):
    """Rewards in [0, 1] with mean theta, theta ~ Beta(prior + evidence).

    `theta | rewards ~ Beta(a + sum w r, b + sum w (1 - r))` with prior (a, b), weights w and rewards r.

    Parameters
    ----------
    prior
        Prior successes and failures, both in [1e-6, 1e12].

    Examples
    --------
    Prior (1, 1) and rewards 1, 1, 0 give Beta(3, 2), with mean 3/5:

    >>> from seedbed.bandits import Bandit, Beta, Thompson
    >>> bandit = Bandit(Thompson(model=Beta(prior=(1.0, 1.0))), arms=["a"])
    >>> bandit.update(["a", "a", "a"], [1.0, 1.0, 0.0])
    >>> float(bandit.mean(["a"])[0])
    0.6
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["beta"] = "beta"
    prior: tuple[Pseudocount, Pseudocount] = (1.0, 1.0)

    @property
    def support(self) -> str:
        """Rewards that the model accepts, for messages."""
        return "[0, 1]"

    def init(self, capacity: int) -> BetaState:
        """Make a state with room for `capacity` arms and none in it."""
        return BetaState(new_table(4, capacity))

    def newcomer(self) -> Table:
        """Statistics of a new arm, `[4]`: the prior and no evidence."""
        return np.array([*self.prior, 0.0, 0.0])

    def check_statistics(self, statistics: Table, require: Callable[[bool, str], None]) -> None:
        """Refuse statistics `[4, K]` of a checkpoint that no history can have left."""
        require(bool(np.isfinite(statistics).all()), "a statistic is not finite")
        require(bool(((statistics[:2] >= 1e-6) & (statistics[:2] <= 1e12)).all()), "a prior is out of range")
        require(bool(((statistics[2:] >= 0.0) & (statistics[2:] <= _MAX_EVIDENCE)).all()), "evidence is out of range")

    def mean(self, state: BetaState, handles: Handles) -> Table:
        """Posterior means, `[C]`."""
        out = np.empty(handles.size)
        _mean(state.table, handles, out)
        return out

    def cdf(self, state: BetaState, handles: Handles, x: Table) -> Table:
        """`P(theta <= x)`, `[C]`."""
        out = np.empty(handles.size)
        _cdf(state.table, handles, np.broadcast_to(np.asarray(x, np.float64), handles.shape).copy(), out)
        return out

    def quantile(self, state: BetaState, handles: Handles, p: Table) -> Table:
        """The x at which `P(theta <= x) = p`, `[C]`."""
        out = np.empty(handles.size)
        _upper_quantile(state.table, handles, 1.0 - np.broadcast_to(p, handles.shape), out)
        return out

    def sample(self, state: BetaState, handles: Handles, uids: NDArray[np.uint64], key: int) -> Table:
        """Keyed posterior draws `F^-1(1 - u)`, `[C]`; `uids` by column."""
        out = np.empty(handles.size)
        _sample(state.table, handles, uids, key, out)
        return out


@kernel
def posterior_at(table: Table, handle: int) -> tuple[float, float]:
    """Posterior successes and failures of one arm."""
    column = handle & 0xFFFF_FFFF
    return table[_A, column] + table[_SUCCESSES, column], table[_B, column] + table[_FAILURES, column]


@kernel
def evidence_at(table: Table, handle: int) -> tuple[float, float]:
    """Weighted rewards of one arm and their number, by weight."""
    column = handle & 0xFFFF_FFFF
    return table[_SUCCESSES, column], table[_SUCCESSES, column] + table[_FAILURES, column]


@kernel
def update_one(table: Table, handle: int, reward: float, weight: float) -> int:
    """Learn one event; answer a status. Without a lock: all checks and the counter stand in here."""
    if not is_current(table, handle):
        return STALE
    if not 0.0 <= reward <= 1.0:
        return BAD_REWARD
    if not 0.0 <= weight <= MAX_WEIGHT:
        return BAD_WEIGHT
    column = handle & 0xFFFF_FFFF
    table[_SUCCESSES, column] += weight * reward
    table[_FAILURES, column] += weight * (1.0 - reward)
    table[EVENTS, -1] += 1.0
    return OK


@kernel
def check_batch(table: Table, handles: Handles, rewards: Table, weights: Table) -> tuple[int, int]:
    """Status and position of the first event that cannot be learnt, or (OK, -1). `weights [B]` or `[1]`."""
    is_good = True  # without branches, twice as fast as a search for the first bad event
    for i in range(handles.size):
        is_good &= is_current(table, handles[i])
    for i in range(rewards.size):
        is_good &= (rewards[i] >= 0.0) & (rewards[i] <= 1.0)
    for i in range(weights.size):
        is_good &= (weights[i] >= 0.0) & (weights[i] <= MAX_WEIGHT)
    if is_good:
        return OK, -1
    for i in range(handles.size):
        if not is_current(table, handles[i]):
            return STALE, i
        if not 0.0 <= rewards[i] <= 1.0:
            return BAD_REWARD, i
    for i in range(weights.size):
        if not 0.0 <= weights[i] <= MAX_WEIGHT:
            return BAD_WEIGHT, i
    return OK, -1


@kernel
def update_batch(table: Table, handles: Handles, rewards: Table, weights: Table, start: int, stop: int) -> None:
    """Learn the checked events start ... stop - 1."""
    step = 1 if weights.size > 1 else 0
    for i in range(start, stop):
        column = handles[i] & 0xFFFF_FFFF
        weight = weights[i * step]
        table[_SUCCESSES, column] += weight * rewards[i]
        table[_FAILURES, column] += weight * (1.0 - rewards[i])
    table[EVENTS, -1] += stop - start


@kernel
def _mean(table: Table, handles: Handles, out: Table) -> None:
    for i in range(handles.size):
        a, b = posterior_at(table, handles[i])
        out[i] = a / (a + b)


@kernel
def _cdf(table: Table, handles: Handles, x: Table, out: Table) -> None:
    for i in range(handles.size):
        a, b = posterior_at(table, handles[i])
        if x[i] <= 0.0:
            out[i] = 0.0
        elif x[i] >= 1.0:
            out[i] = 1.0
        else:
            out[i] = np.exp(log_beta_tails(a, b, np.log(x[i] / (1.0 - x[i])))[0])


@kernel
def _upper_quantile(table: Table, handles: Handles, u: Table, out: Table) -> None:
    for i in range(handles.size):
        a, b = posterior_at(table, handles[i])
        if 0.0 < u[i] < 1.0:
            out[i] = sigmoid(beta_logit_quantile(a, b, u[i]))
        else:
            out[i] = 1.0 if u[i] <= 0.0 else 0.0


@kernel
def _sample(table: Table, handles: Handles, uids: NDArray[np.uint64], key: int, out: Table) -> None:
    for i in range(handles.size):
        a, b = posterior_at(table, handles[i])
        out[i] = sigmoid(beta_logit_quantile(a, b, uniform(key, uids[handles[i] & 0xFFFF_FFFF], 0)))

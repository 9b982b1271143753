"""Upper confidence bounds: UCB1 and KL-UCB. Both read the evidence only, not the prior."""

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .._numba import kernel
from .._special import kl_upper_bernoulli
from .._table import OK, STALE, Handles, Table, first_stale
from ..models import Beta, BetaState
from ..models.beta import evidence_at
from ._top import finish, push

NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class UCB1(BaseModel):
    """Rank arms by mean plus a Hoeffding radius.

    `score_i = mean_i + alpha sqrt(2 ln N / n_i)`, n_i the weight of an arm's rewards and N their sum over the
    candidates; an untried arm scores infinity. alpha = 1/2 gives `mean + sqrt(ln N / (2 n))`.

    Parameters
    ----------
    alpha
        Width of the radius, >= 0.
    model
        Where the evidence is kept; its prior is not read.

    References
    ----------
    .. [1] P. Auer, N. Cesa-Bianchi and P. Fischer (2002), "Finite-time analysis of the multiarmed bandit problem",
       Machine Learning 47.

    Examples
    --------
    Arm a: 1 reward of 2; N = 2, so its score is 1/2 + sqrt(2 ln 2 / 2) = 1.3326; b is untried:

    >>> from seedbed.bandits import Bandit, UCB1
    >>> bandit = Bandit(UCB1(), arms=["a", "b"])
    >>> bandit.update(["a", "a"], [1.0, 0.0])
    >>> bandit.scores().round(4).tolist()
    [1.3326, inf]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["ucb1"] = "ucb1"
    alpha: NonNegative = 1.0
    model: Beta = Beta()

    @property
    def parameter(self) -> float:
        """The number that kernels of this rule get."""
        return self.alpha

    def scores(self, state: BetaState, handles: Handles, uids: NDArray[np.uint64], key: int) -> Table:
        """Upper bound of every candidate, `[C]`."""
        out = np.empty(handles.size)
        ucb1_scores(state.table, handles, self.parameter, out)
        return out

    def best(
        self, state: BetaState, handles: Handles, uids: NDArray[np.uint64], key: int, positions: Handles, scores: Table
    ) -> int:
        """Write the k best candidates' positions and scores, `[k]` each; answer a status."""
        return ucb1_best(state.table, handles, uids, key, self.parameter, positions, scores)


class KLUCB(BaseModel):
    """Rank arms by the largest mean that the evidence does not refute, in Kullback-Leibler divergence.

    `score_i = max {q : n_i kl(mean_i, q) <= ln t + c ln ln t}`, n_i the weight of an arm's rewards and t their sum over
    the candidates (`ln ln t` counts as 0 below t = e); an untried arm scores infinity.

    Parameters
    ----------
    c
        Weight of `ln ln t`, >= 0; 0 is what is best in practice.
    model
        Where the evidence is kept; its prior is not read.

    References
    ----------
    .. [1] A. Garivier and O. Cappe (2011), "The KL-UCB algorithm for bounded stochastic bandits and beyond", COLT.

    Examples
    --------
    A certain arm cannot be better than 1:

    >>> from seedbed.bandits import Bandit, KLUCB
    >>> bandit = Bandit(KLUCB(), arms=["a"])
    >>> bandit.update(["a", "a"], [1.0, 1.0])
    >>> bandit.scores().tolist()
    [1.0]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["kl_ucb"] = "kl_ucb"
    c: NonNegative = 0.0
    model: Beta = Beta()

    @property
    def parameter(self) -> float:
        """The number that kernels of this rule get."""
        return self.c

    def scores(self, state: BetaState, handles: Handles, uids: NDArray[np.uint64], key: int) -> Table:
        """Upper bound of every candidate, `[C]`."""
        out = np.empty(handles.size)
        kl_ucb_scores(state.table, handles, self.parameter, out)
        return out

    def best(
        self, state: BetaState, handles: Handles, uids: NDArray[np.uint64], key: int, positions: Handles, scores: Table
    ) -> int:
        """Write the k best candidates' positions and scores, `[k]` each; answer a status."""
        return kl_ucb_best(state.table, handles, uids, key, self.parameter, positions, scores)


@kernel
def _total(table: Table, handles: Handles) -> float:
    total = 0.0
    for i in range(handles.size):
        total += evidence_at(table, handles[i])[1]
    return total


@kernel
def ucb1_scores(table: Table, handles: Handles, alpha: float, out: Table) -> None:
    """Write `mean + alpha sqrt(2 ln N / n)` of each candidate."""
    spread = 2.0 * math.log(max(_total(table, handles), 1.0))
    for i in range(handles.size):
        successes, n = evidence_at(table, handles[i])
        if n > 0.0:
            out[i] = successes / n + (alpha * math.sqrt(spread / n) if alpha > 0.0 else 0.0)
        else:
            out[i] = math.inf


@kernel
def kl_ucb_scores(table: Table, handles: Handles, c: float, out: Table) -> None:
    """Write the KL-UCB index of each candidate."""
    log_t = math.log(max(_total(table, handles), 1.0))
    if log_t > 1.0:
        log_t += c * math.log(log_t)
    for i in range(handles.size):
        successes, n = evidence_at(table, handles[i])
        out[i] = kl_upper_bernoulli(successes / n, log_t / n) if n > 0.0 else math.inf


@kernel
def _rank(bounds: Table, handles: Handles, uids: NDArray[np.uint64], positions: Handles, scores: Table) -> int:
    filled = 0
    for i in range(handles.size):
        if filled < positions.size or bounds[i] >= scores[0]:
            filled = push(i, bounds[i], handles, uids, filled, positions, scores)
    finish(handles, uids, positions, scores)
    return OK


@kernel
def ucb1_best(
    table: Table,
    handles: Handles,
    uids: NDArray[np.uint64],
    key: int,
    alpha: float,
    positions: Handles,
    scores: Table,
) -> int:
    """Rank by `ucb1_scores`."""
    if first_stale(table, handles) >= 0:
        return STALE
    bounds = np.empty(handles.size)
    ucb1_scores(table, handles, alpha, bounds)
    return _rank(bounds, handles, uids, positions, scores)


@kernel
def kl_ucb_best(
    table: Table,
    handles: Handles,
    uids: NDArray[np.uint64],
    key: int,
    c: float,
    positions: Handles,
    scores: Table,
) -> int:
    """Rank by `kl_ucb_scores`."""
    if first_stale(table, handles) >= 0:
        return STALE
    bounds = np.empty(handles.size)
    kl_ucb_scores(table, handles, c, bounds)
    return _rank(bounds, handles, uids, positions, scores)

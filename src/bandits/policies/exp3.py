"""EXP3: exponential weights of what each arm would have earned, for rewards that an adversary may choose."""

import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from .._beliefs import add_exactly, refresh
from .._families import GUMBEL
from .._numba import free_kernel, kernel
from .._random import uniform
from .._table import EVIDENCE, OK, STALE, Handles, P, R, Table, Uids
from ..models import Beta
from ..propensity import inclusion
from ._base import Policy
from ._top import rank_values


class EXP3(Policy):
    """Choose an arm with probability `p_i = (1 - gamma) exp(eta S_i) / sum_j exp(eta S_j) + gamma / C`.

    S_i is the sum of an arm's rewards, each over the probability with which the arm was chosen: pass that as
    `propensity` to `update`. Without it, the probability among all live arms at the time of the update is taken, which
    is the same where each choice is followed by its reward. A slate is a race: the k first of exponential clocks of
    rates p_i.

    Parameters
    ----------
    gamma
        Share of uniform exploration, in (0, 1].
    eta
        Learning rate, > 0; gamma / C by default.
    model
        Where the sums are kept: Beta; its prior is not read.

    References
    ----------
    .. [1] P. Auer, N. Cesa-Bianchi, Y. Freund and R. E. Schapire (2002), "The nonstochastic multiarmed bandit problem",
       SIAM Journal on Computing 32.

    Examples
    --------
    A reward 1 at propensity 1/2 gives S = 2; with eta = 1 and gamma = 1/2: p = (e^2 / (e^2 + 1) + 1/2) / 2.

    >>> from seedbed.bandits import EXP3, Bandit
    >>> bandit = Bandit(EXP3(gamma=0.5, eta=1.0), arms=["a", "b"])
    >>> bandit.update("a", 1.0, propensity=0.5)
    >>> bandit.propensities().round(6).tolist()
    [0.690399, 0.309601]
    """

    kind: Literal["exp3"] = "exp3"
    gamma: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    eta: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None
    model: Beta = Beta()

    terms = EVIDENCE
    needs_propensity = True

    @property
    def numbers(self) -> tuple[float, float]:
        """Exploration and learning rate, 0 for the default."""
        return self.gamma, self.eta or 0.0

    @property
    def rule(self) -> int:
        """Number of the rule in `_rank`."""
        return 5

    @property
    def best(self) -> Any:
        """Kernel that writes positions and scores of the k chosen candidates and answers a status."""
        return exp3_best

    @property
    def scores(self) -> Any:
        """Kernel that writes every candidate's logarithm of p_i plus its Gumbel variate: the highest is chosen."""
        return exp3_scores

    @property
    def best_of(self) -> None:
        """No kernel: the choice is no ranking."""
        return None

    def inclusion(self, beliefs: Table, family: int, uids: Uids, k: int) -> Table:
        """Probability that each candidate is among the k chosen, `[C]`; `beliefs [3, C]` hold S in row 0."""
        log_p = np.empty(beliefs.shape[1])
        _log_probabilities(beliefs[0], *self.numbers, log_p)
        if k == 1:
            return np.exp(log_p)
        return inclusion(GUMBEL, np.stack([log_p, np.zeros(log_p.size), np.zeros(log_p.size)]), k)


@free_kernel
def _log_probabilities(sums: Table, gamma: float, eta: float, out: Table) -> None:
    count = sums.size
    rate = eta if eta > 0.0 else gamma / count
    largest = sums.max()
    total, rest = 0.0, 0.0
    for i in range(count):
        total, rest = add_exactly(total, rest, math.exp(rate * (sums[i] - largest)))
    total += rest
    for i in range(count):
        share = math.exp(rate * (sums[i] - largest)) / total
        out[i] = math.log((1.0 - gamma) * share + gamma / count)


@kernel
def exp3_scores(
    table: Table, handles: Handles, uids: Uids, key: int, version: float, now: float, x: float, y: float, out: Table
) -> int:
    """Write `ln p_i - ln(-ln u_i)` of each candidate; x is gamma, y eta."""
    if not refresh(table, handles, version, now):
        return STALE
    sums = np.empty(handles.size)
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        sums[i] = table[P, column] * table[R, column] if table[R, column] > 0.0 else 0.0
    _log_probabilities(sums, x, y, out)
    for i in range(handles.size):
        out[i] -= math.log(-math.log(uniform(key, uids[handles[i] & 0xFFFF_FFFF], 0)))
    return OK


@kernel
def exp3_best(
    table: Table,
    handles: Handles,
    uids: Uids,
    key: int,
    version: float,
    now: float,
    x: float,
    y: float,
    positions: Handles,
    scores: Table,
) -> int:
    """Rank by `exp3_scores`."""
    race = np.empty(handles.size)
    if exp3_scores(table, handles, uids, key, version, now, x, y, race) == STALE:
        return STALE
    rank_values(handles, uids, key, x, y, race, positions, scores)
    return OK

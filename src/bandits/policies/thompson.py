"""Thompson sampling: each arm is chosen as often as it is believed to be the best."""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from .._numba import kernel
from .._random import uniform
from .._special import beta_logit_quantile, log_beta_tails, log_sigmoid, sigmoid
from .._table import OK, STALE, Handles, Table, first_stale
from ..models import Beta, BetaState
from ..models.beta import posterior_at
from ._top import finish, push


class Thompson(BaseModel):
    """Rank arms by one draw from each posterior.

    `score_i = F_i^-1(1 - u_i)`, F_i the posterior's distribution function and u_i a uniform keyed by decision and arm.

    Parameters
    ----------
    model
        What is believed of each arm.

    References
    ----------
    .. [1] W. R. Thompson (1933), "On the likelihood that one unknown probability exceeds another in view of the
       evidence of two samples", Biometrika 25.
    .. [2] S. Agrawal and N. Goyal (2012), "Analysis of Thompson sampling for the multi-armed bandit problem", COLT.

    Examples
    --------
    A draw is inversion of a uniform: with the prior Beta(1, 1) the score is 1 - u itself, so it lies in (0, 1):

    >>> from seedbed.bandits import Bandit, Thompson
    >>> decision = Bandit(Thompson(), arms=["a", "b"], seed=7).select()
    >>> 0.0 < decision.scores[0] < 1.0
    True
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["thompson"] = "thompson"
    model: Beta = Beta()

    @property
    def parameter(self) -> float:
        """The number that kernels of this rule get (none here)."""
        return 0.0

    def scores(self, state: BetaState, handles: Handles, uids: NDArray[np.uint64], key: int) -> Table:
        """Draw for every candidate, `[C]`."""
        return self.model.sample(state, handles, uids, key)

    def best(
        self, state: BetaState, handles: Handles, uids: NDArray[np.uint64], key: int, positions: Handles, scores: Table
    ) -> int:
        """Write the k best candidates' positions and scores, `[k]` each; answer a status."""
        return beta_best(state.table, handles, uids, key, self.parameter, positions, scores)


@kernel
def beta_best(
    table: Table,
    handles: Handles,
    uids: NDArray[np.uint64],
    key: int,
    parameter: float,
    positions: Handles,
    scores: Table,
) -> int:
    """Rank by keyed draws, but invert only where the draw can still be among the k best.

    theta_i > m exactly when `P(Beta(a, b) > m) > u_i`. For m above the mean p that tail is at most
    `exp(-(a + b) kl(p, m))` (Chernoff), which refuses most arms for two logarithms; the exact tail refuses most of the
    rest. Both leave slack for rounding, and survivors are ranked by the one inversion, so the result is that of
    drawing every arm.
    """
    if first_stale(table, handles) >= 0:
        return STALE
    k = positions.size
    filled = 0
    first = 0
    highest = -1.0
    for i in range(handles.size):  # start from the highest mean: the threshold is good at once
        a, b = posterior_at(table, handles[i])
        if a / (a + b) > highest:
            highest = a / (a + b)
            first = i
    threshold = -math.inf  # logit of the k-th best draw so far, and its two logarithms
    log_m = -math.inf
    log_rest = 0.0
    for turn in range(handles.size):
        i = first if turn == 0 else (turn - 1 if turn <= first else turn)
        a, b = posterior_at(table, handles[i])
        u = uniform(key, uids[handles[i] & 0xFFFF_FFFF], 0)
        if filled == k:
            log_mean = math.log(a / (a + b))
            if log_m > log_mean:
                log_rest_mean = math.log(b / (a + b))
                constant = a * log_mean + b * log_rest_mean
                bound = a * log_m + b * log_rest - constant
                log_u = math.log(u)
                if bound < log_u - 1e-9 - 1e-15 * abs(constant):
                    continue
                if log_beta_tails(a, b, threshold)[1] < log_u - 1e-7:
                    continue
        filled = push(i, beta_logit_quantile(a, b, u), handles, uids, filled, positions, scores)
        if filled == k:
            threshold = scores[0]
            log_m = log_sigmoid(threshold)
            log_rest = log_sigmoid(-threshold)
    finish(handles, uids, positions, scores)
    for j in range(k):
        scores[j] = sigmoid(scores[j])
    return OK

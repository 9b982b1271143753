"""Bayes-UCB: an upper quantile of each posterior."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from .._beliefs import refresh
from .._numba import kernel
from .._table import EVENTS, OK, STALE, Handles, Table, Uids
from ..models import AnyModel, Beta
from ._base import Policy
from ._lazy import draws, lazy_best
from .ucb1 import NonNegative


class BayesUCB(Policy):
    """Rank arms by an upper quantile of what is believed of them.

    `score_i = Q_i(1 - 1 / (t (ln t)^c))`, Q_i the quantile function of the posterior and t - 1 the number of events
    that the bandit has learnt (`ln t` counts as 1 below t = e). A new arm's prior is wide, so its quantile is high.

    Parameters
    ----------
    c
        Weight of the second logarithm, >= 0; the proof takes 5, practice 0.
    model
        What is believed of each arm: any model.

    References
    ----------
    .. [1] E. Kaufmann, O. Cappe and A. Garivier (2012), "On Bayesian upper confidence bounds for bandit problems",
       AISTATS.

    Examples
    --------
    After one reward t = 2: the median of Beta(2, 1) is sqrt(1/2), that of the untried Beta(1, 1) 1/2.

    >>> from seedbed.bandits import BayesUCB, Bandit
    >>> bandit = Bandit(BayesUCB(), arms=["a", "b"])
    >>> bandit.update("a", 1.0)
    >>> bandit.scores().round(6).tolist()
    [0.707107, 0.5]
    """

    kind: Literal["bayes_ucb"] = "bayes_ucb"
    c: NonNegative = 0.0
    model: Annotated[AnyModel, Field(discriminator="kind")] = Beta()

    is_deterministic = True

    @property
    def numbers(self) -> tuple[float, float]:
        """Weight of the second logarithm."""
        return self.c, 0.0

    @property
    def rule(self) -> int:
        """Number of the rule in `_rank`."""
        return 3

    @property
    def best(self) -> Any:
        """Kernel that writes positions and scores of the k best candidates and answers a status."""
        return bayes_ucb_best

    @property
    def scores(self) -> Any:
        """Kernel that writes the quantile of every candidate."""
        return bayes_ucb_scores


@kernel
def _tail(table: Table, c: float) -> float:
    """`1 / (t (ln t)^c)`, at most 1/2."""
    t = max(table[EVENTS, -1] + 1.0, 2.0)
    return 1.0 / (t * max(math.log(t), 1.0) ** c)  # type: ignore[no-any-return]


@kernel
def bayes_ucb_scores(
    table: Table, handles: Handles, uids: Uids, key: int, version: float, now: float, x: float, y: float, out: Table
) -> int:
    """Write the quantile of each candidate; x is c."""
    if not refresh(table, handles, version, now):
        return STALE
    draws(table, handles, uids, key, _tail(table, x), out)
    return OK


@kernel
def bayes_ucb_best(
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
    """Rank by `bayes_ucb_scores`: a draw whose uniform is the same for all arms."""
    if not refresh(table, handles, version, now):
        return STALE
    lazy_best(table, handles, uids, key, _tail(table, x), version >= 0.0, positions, scores)
    return OK

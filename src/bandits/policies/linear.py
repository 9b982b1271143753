"""LinUCB and linear Thompson sampling: rules whose model reads a context."""

import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from .._beliefs import refresh
from .._numba import kernel
from .._priced_propensity import priced_inclusion
from .._table import OK, STALE, Handles, P, Q, Table, Uids
from ..models import AnyLinearModel
from ..propensity import inclusion
from ._base import Policy
from .thompson import thompson_best, thompson_scores
from .ucb1 import NonNegative, rank_linear


def _model(n_features: int | None, ridge: float | None, model: Any) -> Any:
    """The model that is given, or the disjoint one by its numbers."""
    if model is not None:
        if n_features is not None or ridge is not None:
            raise ValueError("n_features and ridge are shorthand for model=Linear(...); give either")
        return model
    if n_features is None:
        raise ValueError("n_features is missing; or pass a model, such as SharedLinear(n_features=...)")
    return {"kind": "linear", "n_features": n_features, "ridge": 1.0 if ridge is None else ridge}


class LinUCB(Policy):
    """Rank arms by predicted reward plus a multiple of its standard deviation.

    `score_i = x' theta_i + alpha sqrt(x' A_i^-1 x)`, `A_i = ridge I + sum w x x'`, `theta_i = A_i^-1 sum w r x`, for
    the disjoint model; for others the mean and the deviation that they predict.

    Parameters
    ----------
    n_features, ridge
        Shorthand for `model=Linear(n_features=..., ridge=...)`: one parameter vector an arm.
    alpha
        Width of the bound, >= 0.
    model
        Linear, SharedLinear or HybridLinear.

    References
    ----------
    .. [1] L. Li, W. Chu, J. Langford and R. E. Schapire (2010), "A contextual-bandit approach to personalized news
       article recommendation", WWW.

    Examples
    --------
    One reward 1 at x = (1, 0): A = diag(2, 1), theta = (1/2, 0), so the score at x is 1/2 +
    sqrt(1/2); an untried arm's is sqrt(1) = 1.

    >>> from seedbed.bandits import Bandit, LinUCB
    >>> bandit = Bandit(LinUCB(n_features=2), arms=["a", "b"])
    >>> bandit.update("a", reward=1.0, context=[1.0, 0.0])
    >>> bandit.scores(context=[1.0, 0.0]).round(6).tolist()
    [1.207107, 1.0]
    """

    kind: Literal["lin_ucb"] = "lin_ucb"
    alpha: NonNegative = 1.0
    model: Annotated[AnyLinearModel, Field(discriminator="kind")]

    is_deterministic = True

    def __init__(
        self,
        n_features: int | None = None,
        *,
        alpha: float = 1.0,
        ridge: float | None = None,
        model: AnyLinearModel | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(**fields, **{"alpha": alpha, "model": _model(n_features, ridge, model)})

    @property
    def numbers(self) -> tuple[float, float]:
        """The width."""
        return self.alpha, 0.0

    @property
    def reach(self) -> float:
        """How many deviations above its mean an arm is ranked."""
        return self.alpha

    @property
    def rule(self) -> int:
        """Number of the rule in `_rank`."""
        return 7

    @property
    def best(self) -> Any:
        """Kernel that writes positions and scores of the k best candidates and answers a status."""
        return lin_ucb_best

    @property
    def scores(self) -> Any:
        """Kernel that writes the upper bound of every candidate."""
        return lin_ucb_scores


class LinThompson(Policy):
    """Rank arms by a draw of their predicted reward, `N(x' theta_i, alpha^2 x' A_i^-1 x)` for the disjoint model.

    The shared and the hybrid model draw what the arms share once a decision, so that their draws move together.

    Parameters
    ----------
    n_features, ridge
        Shorthand for `model=Linear(n_features=..., ridge=...)`: one parameter vector an arm.
    alpha
        Standard deviation of a reward's noise, v in the literature, >= 0.
    model
        Linear, SharedLinear or HybridLinear.

    References
    ----------
    .. [1] S. Agrawal and N. Goyal (2013), "Thompson sampling for contextual bandits with linear payoffs", ICML.

    Examples
    --------
    >>> from seedbed.bandits import Bandit, LinThompson
    >>> bandit = Bandit(LinThompson(n_features=2, alpha=0.5), arms=["a", "b"], seed=7)
    >>> decision = bandit.select(context=[1.0, 0.5])
    >>> bandit.update(decision.arms[0], reward=0.7, context=[1.0, 0.5])
    """

    kind: Literal["lin_thompson"] = "lin_thompson"
    alpha: NonNegative = 0.25
    model: Annotated[AnyLinearModel, Field(discriminator="kind")]

    draws = True

    def __init__(
        self,
        n_features: int | None = None,
        *,
        alpha: float = 0.25,
        ridge: float | None = None,
        model: AnyLinearModel | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(**fields, **{"alpha": alpha, "model": _model(n_features, ridge, model)})

    @property
    def width(self) -> float:
        """Factor of the standard deviations."""
        return self.alpha

    @property
    def reach(self) -> float:
        """How many deviations above its mean an arm is ranked: a keyed normal."""
        return math.nan

    @property
    def rule(self) -> int:
        """Number of the rule in `_rank`."""
        return 0

    @property
    def best(self) -> Any:
        """Kernel that writes positions and scores of the k best candidates and answers a status."""
        return thompson_best

    @property
    def scores(self) -> Any:
        """Kernel that writes the draw of every candidate."""
        return thompson_scores

    def inclusion(self, beliefs: Table, family: int, uids: Uids, k: int) -> Table:
        """Probability that each candidate is among the k chosen, `[C]`, by quadrature; 0 or 1 without noise."""
        if self.alpha > 0.0:
            return inclusion(family, beliefs, k)
        out = np.zeros(uids.size)
        out[np.lexsort((uids, -beliefs[0]))[:k]] = 1.0
        return out

    def priced_inclusion(
        self, beliefs: Table, family: int, uids: Uids, scales: Table, offsets: Table, k: int
    ) -> Table | None:
        """The same under prices."""
        if self.alpha > 0.0:
            return priced_inclusion(family, beliefs, scales, offsets, k)
        return self.inclusion((scales * beliefs[0] - offsets)[None], family, uids, k)


@kernel
def lin_ucb_scores(
    table: Table, handles: Handles, uids: Uids, key: int, version: float, now: float, x: float, y: float, out: Table
) -> int:
    """Write `mean + alpha deviation` of each candidate; x is alpha."""
    if not refresh(table, handles, version, now):
        return STALE
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        out[i] = table[P, column] + x * table[Q, column]
    return OK


@kernel
def lin_ucb_best(
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
    """Rank by `lin_ucb_scores`."""
    if not refresh(table, handles, version, now):
        return STALE
    rank_linear(table, handles, uids, x, version >= 0.0, positions, scores)
    return OK

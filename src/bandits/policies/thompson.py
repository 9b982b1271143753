"""Thompson sampling: each arm is chosen as often as it is believed to be the best."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from .._beliefs import refresh
from .._families import BETA, GAMMA
from .._numba import kernel
from .._priced_propensity import priced_inclusion
from .._table import OK, STALE, Handles, Table, Uids
from ..models import AnyModel, Beta
from ..propensity import inclusion
from ._base import Policy
from ._gammas import gamma_best, gamma_draws
from ._lazy import draws, lazy_best


class Thompson(Policy):
    """Rank arms by one draw from each posterior.

    `score_i = F_i^-1(1 - u_i)`, F_i the posterior's distribution function and u_i a uniform keyed by decision and arm.

    Parameters
    ----------
    model
        What is believed of each arm: any model.
    sampler
        "inversion", the definition above; or "gamma", draws by Marsaglia and Tsang's method: others of the same
        distribution, quicker below some 50 arms. For Beta and GammaPoisson.

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

    kind: Literal["thompson"] = "thompson"
    model: Annotated[AnyModel, Field(discriminator="kind")] = Beta()
    sampler: Literal["inversion", "gamma"] = "inversion"

    draws = True

    @model_validator(mode="after")
    def _check_sampler(self) -> Self:
        if self.sampler == "gamma" and self.model.family not in (BETA, GAMMA):
            raise ValueError(f"sampler 'gamma' draws for the models beta and gamma_poisson, not for {self.model.kind}")
        return self

    @property
    def reach(self) -> float:
        """How many deviations above its mean an arm is ranked: a keyed normal."""
        return math.nan

    @property
    def rule(self) -> int:
        """Number of the rule in `_rank`."""
        return 8 if self.sampler == "gamma" else 0

    @property
    def best(self) -> Any:
        """Kernel that writes positions and scores of the k best candidates and answers a status."""
        return gamma_best if self.sampler == "gamma" else thompson_best

    @property
    def scores(self) -> Any:
        """Kernel that writes the draw of every candidate."""
        return gamma_draws if self.sampler == "gamma" else thompson_scores

    def inclusion(self, beliefs: Table, family: int, uids: Uids, k: int) -> Table:
        """Probability that each candidate is among the k chosen, `[C]`, by quadrature."""
        return inclusion(family, beliefs, k)

    def priced_inclusion(
        self, beliefs: Table, family: int, uids: Uids, scales: Table, offsets: Table, k: int
    ) -> Table | None:
        """The same under prices; None where the integral has no quick answer."""
        return priced_inclusion(family, beliefs, scales, offsets, k)


@kernel
def thompson_best(
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
    """Rank by keyed draws."""
    if not refresh(table, handles, version, now):
        return STALE
    lazy_best(table, handles, uids, key, 0.0, version >= 0.0, positions, scores)
    return OK


@kernel
def thompson_scores(
    table: Table, handles: Handles, uids: Uids, key: int, version: float, now: float, x: float, y: float, out: Table
) -> int:
    """Write every candidate's draw."""
    if not refresh(table, handles, version, now):
        return STALE
    draws(table, handles, uids, key, 0.0, out)
    return OK

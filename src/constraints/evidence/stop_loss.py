"""Stop-loss: the guardrail of one rate, on counts that somebody else keeps."""

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

from ...bandits.models.beta import Pseudocount
from ._mixtures import log_evidence_above
from .e_processes import Fraction


class StopLoss(BaseModel):
    """Stop an arm once its rate of a harm is proved to be above a limit, however often one looks.

    The evidence is the e-process of `Proportion` for `H0: rate <= limit`: a mixture of likelihood ratios over rates
    above the limit, `Beta(a, b)` truncated to (limit, 1), of s harms in n exposures. It stops at E >= 1 / alpha. A room
    within the limit is stopped with probability alpha at most, at any stopping time (Ville's inequality). A function of
    additive counts, so it merges.

    Parameters
    ----------
    metric
        The harm that is counted.
    limit
        Largest acceptable rate, in (0, 1).
    mixing
        (a, b) of the mixing Beta: where above the limit the rate is expected.
    alpha
        Largest probability to stop an arm that is within the limit.

    References
    ----------
    .. [1] J. Ville (1939), "Etude critique de la notion de collectif".

    Examples
    --------
    With no evidence E = 1. Eight harms in sixty exposures prove a rate above 2 %:

    >>> from seedbed.constraints import StopLoss
    >>> rule = StopLoss(limit=0.02)
    >>> abs(rule.log_evidence([0, 8], [0, 60]).round(2)).tolist()
    [0.0, 7.18]
    >>> rule.fires([0, 8], [0, 60]).tolist()
    [False, True]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["stop_loss"] = "stop_loss"
    metric: str = "negative"
    limit: Fraction = 0.02
    mixing: tuple[Pseudocount, Pseudocount] = (1.0, 24.0)
    alpha: Fraction = 0.05

    @property
    def needed(self) -> float:
        """Evidence at which it stops, 1 / alpha."""
        return 1.0 / self.alpha

    def log_evidence(self, harms: ArrayLike, exposures: ArrayLike) -> NDArray[np.float64]:
        """`ln E` of each arm, `[C]`, from its counts so far.

        Raises
        ------
        ValueError
            For negative counts or more harms than exposures.
        """
        s, n = np.broadcast_arrays(np.asarray(harms, np.float64), np.asarray(exposures, np.float64))
        if not bool(((s >= 0.0) & (s <= n) & np.isfinite(n)).all()):
            raise ValueError("harms must be counts in [0, exposures]")
        out = np.empty(s.size)
        log_evidence_above(s.flatten(), n.flatten(), *self._numbers, out)
        return out.reshape(s.shape)

    @property
    def _numbers(self) -> tuple[float, float, float]:
        return self.limit, *self.mixing

    def fires(self, harms: ArrayLike, exposures: ArrayLike) -> NDArray[np.bool_]:
        """Which arms must stop, `[C]`."""
        return self.log_evidence(harms, exposures) >= math.log(self.needed)

"""Evidence of many at once: any of M harms, all of M requirements, and promotions among thousands of arms."""

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from .e_processes import Fraction

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def any_of(log_evidence: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """`ln` of the weighted mean of E over the first axis, `[M, C]` to `[C]`: against "no null of M is false".

    An average of e-processes is an e-process however they depend on each other, so no correction is due.

    Raises
    ------
    ValueError
        For weights that are not M numbers >= 0 with a positive sum.

    Examples
    --------
    E of 30 and of 10 are 20 on average:

    >>> import numpy as np
    >>> from seedbed.constraints.evidence import any_of
    >>> np.exp(any_of(np.log([[30.0], [10.0]]))).round(9).tolist()
    [20.0]
    """
    given = _evidence(log_evidence, 2)
    shares = np.ones(given.shape[0]) if weights is None else np.asarray(weights, np.float64)
    if shares.shape != given.shape[:1] or not bool((shares >= 0.0).all()) or not 0.0 < shares.sum() < math.inf:
        raise ValueError(f"weights must be {given.shape[0]} finite numbers >= 0, not all 0; got {weights!r}")
    terms = given[shares > 0.0] + np.log(shares[shares > 0.0] / shares.sum())[:, None]
    total: Floats = np.logaddexp.reduce(terms, axis=0)
    return total


def all_of(log_evidence: ArrayLike) -> Floats:
    """The least of M, `[M, C]` to `[C]`: evidence that every null is false (intersection-union; no correction is due).

    Examples
    --------
    >>> from seedbed.constraints.evidence import all_of
    >>> all_of([[3.0, 0.0], [1.0, 5.0]]).tolist()
    [1.0, 0.0]
    """
    least: Floats = _evidence(log_evidence, 2).min(axis=0)
    return least


def adjusted(log_evidence: ArrayLike) -> Floats:
    """`ln` of the e-value that the running maximum of an e-process is worth: `(y - 1 - ln y) / (ln y)^2`, y >= 1.

    A running maximum is no e-value, so `e_bh` may not be given one as it is. Below 1, where no process that starts at
    1 has its maximum, y counts as 1.

    References
    ----------
    .. [1] Y. Tavyrikov, J. J. Goeman and R. de Heide (2025), "Carefree multiple testing with e-processes",
       arXiv 2501.19360.

    Examples
    --------
    A maximum of e^3 = 20.1 is worth (e^3 - 4) / 9 = 1.79:

    >>> from seedbed.constraints.evidence import adjusted
    >>> import numpy as np
    >>> np.exp(adjusted([3.0])).round(4).tolist()
    [1.7873]
    """
    x = np.maximum(_evidence(log_evidence, 1), 0.0)
    safe = np.maximum(x, 0.1)
    far = x + np.log(-np.expm1(np.log1p(safe) - safe)) - 2.0 * np.log(safe)
    series = np.zeros_like(x)  # (exp(x) - 1 - x) / x^2
    for k in range(12, 1, -1):
        series = series * x + 1.0 / math.factorial(k)
    value: Floats = np.where(x >= 0.1, far, np.log(np.where(x >= 0.1, 1.0, series)))
    return value


def e_bh(log_evidence: ArrayLike, alpha: float) -> Mask:
    """Which of C nulls are rejected, `[C]`: the k largest e-values, k the most with the k-th one >= C / (alpha k).

    The expected share of false ones among them is alpha at most under any dependence, for e-values at one (stopping)
    time; not for running maxima (see `adjusted`).

    References
    ----------
    .. [1] R. Wang and A. Ramdas (2022), "False discovery rate control with e-values", Journal of the Royal
       Statistical Society B 84.

    Examples
    --------
    Of three at level 1/10 the least must reach 30, 15, 10 for one, two, three: 40 and 16 do, 9 does not.

    >>> import numpy as np
    >>> from seedbed.constraints.evidence import e_bh
    >>> e_bh(np.log([9.0, 40.0, 16.0]), 0.1).tolist()
    [False, True, True]
    """
    given = _evidence(log_evidence, 1)
    _level(alpha)
    return _largest_consistent(given + (math.log(alpha) - math.log(max(given.size, 1))), 0)


class ELond(BaseModel):
    """Promote arms that come one after the other, with a bound on the expected share of false promotions.

    Arm i, in the order of arrival from 1, is promoted once `E_i >= 1 / (alpha gamma_i D)`, D the number of promotions
    ever made, this one and those made with it included. The shares gamma_i sum to 1 at most and are fixed by the order
    of arrival, before any data. Under any dependence the expected share of false promotions is alpha at most, if each
    E_i is valid given all that is seen. It is the current E that counts, never its maximum so far, which would double
    that share.

    Parameters
    ----------
    alpha
        Largest expected share of false promotions.
    arms
        How many arms will come, each of an equal share; later ones cannot be promoted. None for no end: `gamma_i =
        ln 2 (1 / ln(i + 1) - 1 / ln(i + 2))`.

    References
    ----------
    .. [1] Z. Xu and A. Ramdas (2024), "Online multiple testing with e-values", AISTATS.

    Examples
    --------
    Four arms at level .2: one promotion needs E >= 20, two at once 10 each.

    >>> import numpy as np
    >>> from seedbed.constraints.evidence import ELond
    >>> rule = ELond(alpha=0.2, arms=4)
    >>> rule.promote(np.log([12.0, 11.0, 3.0]), order=[1, 2, 3], promoted=0).tolist()
    [True, True, False]
    >>> rule.promote(np.log([12.0, 3.0]), order=[1, 2], promoted=0).tolist()
    [False, False]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["e_lond"] = "e_lond"
    alpha: Fraction = 0.1
    arms: Annotated[int, Field(ge=1)] | None = None

    def shares(self, order: ArrayLike) -> Floats:
        """The gamma of arms by their order of arrival, from 1, `[C]`."""
        i = np.asarray(order, np.float64)
        if not bool((i >= 1.0).all()) or np.unique(i).size != i.size:
            raise ValueError("order counts arms by their arrival, from 1, each once")
        if self.arms is not None:
            return np.where(i <= self.arms, 1.0 / self.arms, 0.0)
        gammas: Floats = math.log(2.0) * np.log1p(1.0 / (i + 1.0)) / (np.log(i + 1.0) * np.log(i + 2.0))
        return gammas

    def promote(self, log_evidence: ArrayLike, order: ArrayLike, promoted: int) -> Mask:
        """Which arms are promoted now, `[C]`: the largest set whose members all reach the level that it gives them.

        Parameters
        ----------
        log_evidence
            Current ln E of the arms that are not promoted yet, `[C]`.
        order
            Of their arrival among all arms ever, from 1, `[C]`.
        promoted
            Number of promotions ever made before, whatever became of the arms.
        """
        given, shares = _evidence(log_evidence, 1), self.shares(order)
        if shares.shape != given.shape:
            raise ValueError(f"order must have one number for each of {given.size} arms; got shape {shares.shape}")
        if promoted < 0:
            raise ValueError(f"promoted must be a count >= 0; got {promoted}")
        with np.errstate(divide="ignore"):
            return _largest_consistent(given + np.log(self.alpha * shares), promoted)


def posterior_rule(probability: ArrayLike, q: float) -> tuple[Mask, float]:
    """Promote arms whose posterior probability to deserve it is at least 1 - q, `[C]`.

    With the right prior the expected share of false ones is q at most at any stopping time.

    Returns
    -------
    (promoted, false_share)
        Which arms, and the mean of 1 - probability over them, the share of false ones to be expected; NaN for none.

    Examples
    --------
    >>> from seedbed.constraints.evidence import posterior_rule
    >>> promoted, false_share = posterior_rule([0.95, 0.5, 0.99], q=0.1)
    >>> promoted.tolist(), round(false_share, 9)
    ([True, False, True], 0.03)
    """
    given = np.asarray(probability, np.float64)
    _level(q)
    if not bool(((given >= 0.0) & (given <= 1.0)).all()):
        raise ValueError("probabilities must be in [0, 1]")
    promoted: Mask = given >= 1.0 - q
    return promoted, float((1.0 - given[promoted]).mean()) if promoted.any() else math.nan


def _largest_consistent(log_scores: Floats, before: int) -> Mask:
    """The largest set of r whose members all have `score (before + r) >= 1`."""
    order = np.argsort(-log_scores, kind="stable")
    size = np.arange(1, log_scores.size + 1)
    reached = np.flatnonzero(log_scores[order] >= -np.log(before + size))
    chosen = np.zeros(log_scores.size, np.bool_)
    chosen[order[: reached[-1] + 1 if reached.size else 0]] = True
    return chosen


def _evidence(log_evidence: ArrayLike, dimensions: int) -> Floats:
    given = np.asarray(log_evidence, np.float64)
    if given.ndim != dimensions or (dimensions == 2 and not given.shape[0]) or bool(np.isnan(given).any()):
        shape = "[M, C], M >= 1," if dimensions == 2 else "[C]"
        raise ValueError(f"log_evidence must be {shape} without NaN; got shape {given.shape}")
    return given


def _level(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"a level must be in (0, 1); got {alpha}")

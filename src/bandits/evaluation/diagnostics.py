"""Does the log speak of the policy at all? Weights of a log, and the support of one policy by another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._inputs import checked_int
from .._random import ArmId
from ._checks import (
    checked_actions,
    checked_column,
    checked_limit,
    checked_propensities,
    checked_target,
    checked_target_propensities,
)
from .estimate import FAR, SLACK, effective_sample_size, refusal

LEVELS = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True, slots=True)
class Overlap:
    """The weights of a log, `target / logging` of what was chosen.

    Parameters
    ----------
    n
        Rows of the log.
    effective_sample_size
        `(sum w)^2 / sum w^2`.
    mean_weight
        One, but for chance, where the propensities are right and all that the policy chooses could be logged.
    z
        `(mean_weight - 1)` in standard errors.
    max_weight
        The largest.
    quantiles
        Of the weights, by level: .5, .9, .99 and .999.
    zero_share
        Share of the rows that the evaluated policy would never choose.
    thin_share
        Share of the evaluated policy's choices, as far as the log shows them, that were logged with a propensity below
        1 / clip: `sum(w [mu < 1 / clip]) / sum(w)`. Each stands for more than `clip` of its like, had it been sure.
    clipped_share
        Share of the sum of weights that clipping would take away: that much of the policy would not be heard.
    refusal
        Why an estimate from these weights would be noise, in a sentence, or None.
    """

    n: int
    effective_sample_size: float
    mean_weight: float
    z: float
    max_weight: float
    quantiles: dict[float, float]
    zero_share: float
    thin_share: float
    clipped_share: float
    refusal: str | None

    @property
    def verdict(self) -> str:
        """Whether the log carries an answer, in a sentence."""
        if self.refusal is not None:
            return f"no answer: {self.refusal}"
        return (
            f"the log is worth {self.effective_sample_size:.4g} rows of the evaluated policy, of {self.n}, and its "
            f"weights average {self.mean_weight:.3g}, up to {self.max_weight:.3g}"
        )


def overlap(
    propensities: ArrayLike, target_propensities: ArrayLike, clip: float = 50.0, *, min_ess: float = 200.0
) -> Overlap:
    """Look at the weights of a log, without its rewards.

    Parameters
    ----------
    propensities : array of float, [n]
        Probability in (0, 1] with which the logged action was chosen.
    target_propensities : array of float, [n]
        Probability in [0, 1] with which the evaluated policy chooses it.
    clip
        Weight (and inverse propensity) above which a row counts as thin.
    min_ess
        Effective sample size under which an estimate is refused.

    Raises
    ------
    ValueError
        As `ips`.

    Examples
    --------
    Weights 2, 0, 1, 1:

    >>> from seedbed.bandits import evaluation
    >>> report = evaluation.overlap([0.25, 0.5, 0.5, 0.5], [0.5, 0.0, 0.5, 0.5], clip=3.0, min_ess=2.0)
    >>> report.mean_weight, report.zero_share, report.thin_share
    (1.0, 0.25, 0.5)
    >>> report.verdict
    'the log is worth 2.667 rows of the evaluated policy, of 4, and its weights average 1, up to 2'
    """
    limit = checked_limit(clip, "clip")
    mu = checked_column(propensities, "propensities")
    mu = checked_propensities(mu, mu.size)
    weights = checked_target_propensities(target_propensities, mu.size) / mu
    n, total = weights.size, float(weights.sum())
    error = float(weights.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    off = float(weights.mean()) - 1.0
    return Overlap(
        n=n,
        effective_sample_size=effective_sample_size(weights),
        mean_weight=float(weights.mean()),
        z=off / error if error > 0.0 else math.copysign(math.inf, off) if abs(off) > 1e-9 else 0.0,
        max_weight=float(weights.max()),
        quantiles={level: float(np.quantile(weights, level)) for level in LEVELS},
        zero_share=float((weights == 0.0).mean()),
        thin_share=float(weights[mu < 1.0 / limit].sum()) / total if total > 0.0 else math.nan,
        clipped_share=float((weights - np.minimum(weights, limit)).sum()) / total if total > 0.0 else math.nan,
        refusal=refusal(weights, weights, None, min_ess),
    )


@dataclass(frozen=True, slots=True)
class Support:
    """How far a logging policy covers another, where both are known for every arm.

    Parameters
    ----------
    n
        Rows.
    unsupported
        Share of the evaluated policy's choices that the logging policy never makes: no estimator can know of them.
    thin
        Share with a logging probability below 1 / clip, the unsupported ones included.
    rows_unsupported
        Share of the rows in which some of the evaluated policy is unsupported.
    expected_size
        Effective sample size to expect of such a log: `n s^2 / mean(sum_a pi^2 / mu)`, s the share that
        is supported; 0 where there is no support.
    arms
        Columns with unsupported choices.
    """

    n: int
    unsupported: float
    thin: float
    rows_unsupported: float
    expected_size: float
    arms: list[int]

    @property
    def verdict(self) -> str:
        """Whether such a log can carry an answer, in a sentence."""
        if self.unsupported > 0.0:
            return (
                f"{self.unsupported:.2%} of the evaluated policy's choices, in {self.rows_unsupported:.2%} of the "
                "rows, can never be logged: no estimate without a reward model knows of them"
            )
        return f"all choices can be logged; {self.n} rows are worth about {self.expected_size:.4g} of the policy's own"


def support(logging: ArrayLike, target: ArrayLike, clip: float = 50.0) -> Support:
    """Compare two policies before any reward is looked at, where the whole logging distribution is known.

    Parameters
    ----------
    logging : array of float, [n, K]
        Probabilities of the logging policy; each row sums to one.
    target : array of float, [n, K]
        Probabilities of the evaluated policy.
    clip
        Inverse probability above which a choice counts as thin.

    Raises
    ------
    ValueError
        For rows that are no probabilities, or shapes that differ.

    Examples
    --------
    Half of the first row's choices are never logged; in the second row (1/4 + 1/4) / (1/2) = 1:

    >>> from seedbed.bandits import evaluation
    >>> report = evaluation.support([[1.0, 0.0], [0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]])
    >>> report.unsupported, report.rows_unsupported, report.arms
    (0.25, 0.5, [1])
    >>> evaluation.support([[0.5, 0.5]], [[0.5, 0.5]]).expected_size
    1.0
    """
    limit = checked_limit(clip, "clip")
    mu = checked_target(logging, what="logging")
    pi = checked_target(target)
    if pi.shape != mu.shape:
        raise ValueError(f"logging and target must have one shape [n, K]; got {mu.shape} and {pi.shape}")
    missing = np.where(mu == 0.0, pi, 0.0)
    known = mu > 0.0
    squares = np.divide(pi**2, mu, out=np.zeros_like(pi), where=known).sum(axis=1)
    reach = float((pi * known).sum(axis=1).mean())
    return Support(
        n=len(pi),
        unsupported=float(missing.sum(axis=1).mean()),
        thin=float(np.where(mu < 1.0 / limit, pi, 0.0).sum(axis=1).mean()),
        rows_unsupported=float((missing.sum(axis=1) > 0.0).mean()),
        expected_size=len(pi) * reach**2 / float(squares.mean()) if reach > 0.0 else 0.0,
        arms=np.flatnonzero(missing.sum(axis=0) > 0.0).tolist(),
    )


def implausible(
    action: ArrayLike, propensities: ArrayLike, n_arms: int, *, least: int = 30, arms: Sequence[ArmId] | None = None
) -> str | None:
    """Say why the propensities cannot be those of the policy that logged, in a sentence; None where they may be.

    Of an arm a that every row offered, the mean of `[A = a] / mu(a)` is one, but for chance. A mean 5 standard errors
    above one refutes them. Means below one refute nothing: they are what rare, small propensities look like.

    Parameters
    ----------
    action, propensities
        Row of the chosen arm, in [0, K), and the probability with which it was chosen, `[n]` each.
    n_arms
        K; all arms were offered to all rows.
    least
        Rows of an arm that are needed to judge by.
    arms
        Ids of the arms, `[K]`, to say which it is; by default its row.

    Raises
    ------
    ValueError
        As `ips`.

    Examples
    --------
    Two arms, said to be chosen with 1/2 each; one of them was, three times in four:

    >>> from seedbed.bandits.evaluation import implausible
    >>> implausible([0, 0, 0, 1] * 100, [0.5] * 400, 2)
    'arm 0 was chosen in 300 of 400 rows, 1.5 +- 0.043 times as often as the propensities say: they are not true'
    """
    size = np.asarray(propensities).size
    mu, rows = checked_propensities(propensities, size), checked_actions(action, size, checked_int(n_arms, "n_arms", 1))
    n, counts = mu.size, np.bincount(rows, minlength=n_arms)
    means = np.bincount(rows, 1.0 / mu, n_arms) / n
    errors = np.sqrt(np.maximum(np.bincount(rows, mu**-2.0, n_arms) / n - means**2, 0.0) / n)
    far = np.where((counts >= least) & (errors > 0.0), (means - 1.0) / np.where(errors > 0.0, errors, 1.0), 0.0)
    worst = int(far.argmax())
    if far[worst] <= FAR or means[worst] <= 1.0 + SLACK:
        return None
    name = worst if arms is None else repr(arms[worst])
    return (
        f"arm {name} was chosen in {counts[worst]} of {n} rows, {means[worst]:.3g} +- {errors[worst]:.2g} times as "
        "often as the propensities say: they are not true"
    )

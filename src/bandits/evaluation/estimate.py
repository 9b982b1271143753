"""An estimate of a policy's value with its interval, its diagnostics, and the reason where it is no answer."""

import math
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._inputs import checked_float, checked_int
from ._checks import checked_range
from .intervals import CHOICES, IntervalChoice, IntervalKind, Terms, bounds

Floats = NDArray[np.float64]
FAR = 5.0  # standard errors by which the mean weight may differ from one
SLACK = 0.01  # and the difference that is never too large: propensities are rounded, and n may be millions


class Options(TypedDict, total=False):
    """Options of all estimators, by keyword; described at `ips`."""

    level: float
    interval: IntervalChoice
    seed: int
    min_ess: float
    reward_range: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """The value of a policy, read from the log of another.

    Parameters
    ----------
    value
        Mean reward a decision that the policy would have earned; NaN where no row of the log speaks of it.
    lower, upper
        Ends of the interval.
    level
        Share of logs in which the interval covers the value, if the propensities are right.
    effective_sample_size
        `(sum w)^2 / sum w^2` of the weights: how many rows of the policy's own the log is worth.
    n
        Rows of the log.
    method
        Name of the estimator.
    interval
        How the interval was computed: "normal", "bootstrap", "empirical_bernstein" or "rare".
    mean_weight, max_weight
        Of the weights before clipping; the mean is one, but for chance, where propensities and support are right.
    clipped
        Share of the weights that were clipped.
    refusal
        Why the numbers are no answer, in a sentence; None where they are one.
    """

    value: float
    lower: float
    upper: float
    level: float
    effective_sample_size: float
    n: int
    method: str
    interval: IntervalKind
    mean_weight: float
    max_weight: float
    clipped: float
    refusal: str | None

    @property
    def is_answer(self) -> bool:
        """Whether the log carries an answer."""
        return self.refusal is None


def summarise(
    method: str,
    base: Floats | None,
    numerators: Floats,
    denominators: Floats | None,
    weights: Floats | None,
    *,
    unclipped: Floats | None = None,
    rewards: Floats | None = None,
    term_range: tuple[float, float] | None = None,
    level: float = 0.95,
    interval: IntervalChoice = "auto",
    seed: int = 0,
    min_ess: float = 200.0,
) -> Estimate:
    """Value, interval, diagnostics and refusal of `mean(base) + sum(numerators) / sum(denominators)`.

    Every estimator goes through this. All arrays are of one log, one entry a row: float64 `[n]`, checked already.

    Parameters
    ----------
    method
        Name of the estimator.
    base
        What a reward model says of each row; None for nothing.
    numerators
        Weighted rewards, or weighted errors of the reward model.
    denominators
        None for n: a mean; the weights for a self-normalised estimator.
    weights
        Importance weights as used, for the effective sample size; None where the method has none.
    unclipped
        The weights before clipping, if any were clipped.
    rewards
        Rewards of the log, if the method needs them: without any but zero there is no answer.
    term_range
        Least and largest value that a row's base and numerator can have, for "empirical_bernstein"; by default those
        seen.
    level, interval, seed, min_ess
        As for `ips`.

    Raises
    ------
    ValueError
        For an option that is none, or an interval that does not fit the terms.
    """
    check_options(level, interval, seed, min_ess)
    n = numerators.size
    used = np.ones(n) if weights is None else weights
    raw = used if unclipped is None else unclipped
    means = np.zeros(n) if base is None else base
    rows = means + numerators
    # under "rare": the largest weight, on a row that was not rewarded yet
    most = float(rewards.max()) if rewards is not None and rewards.max() > 0.0 else 1.0
    terms = Terms(
        base=means,
        numerators=numerators,
        denominators=np.ones(n) if denominators is None else denominators,
        is_mean=denominators is None,
        largest=max(float(used.max()) * most, float(numerators.max())),
        range=(float(rows.min()), float(rows.max())) if term_range is None else term_range,
    )
    kind: IntervalKind = "normal" if interval == "auto" else interval
    value = terms.value if terms.denominators.sum() > 0.0 else math.nan
    lower, upper = -math.inf, math.inf  # where no weight is positive, the log knows nothing
    if used.max() > 0.0:
        kind, lower, upper = bounds(interval, terms, level, seed)
        lower, upper = min(lower, value), max(upper, value)  # of rows that are all alike, to the last bit
    return Estimate(
        value=value,
        lower=lower,
        upper=upper,
        level=float(level),
        effective_sample_size=effective_sample_size(used),
        n=n,
        method=method,
        interval=kind,
        mean_weight=float(raw.mean()),
        max_weight=float(raw.max()),
        clipped=float((raw > used).mean()),
        refusal=refusal(used, raw, rewards, min_ess),
    )


def effective_sample_size(weights: ArrayLike) -> float:
    """`(sum w)^2 / sum w^2` of the weights, `[n]`; 0 where all are zero.

    Examples
    --------
    One row of weight 2 and four of 1: 36 / 8.

    >>> effective_sample_size([2.0, 1.0, 1.0, 1.0, 1.0])
    4.5
    """
    w = np.asarray(weights, np.float64)
    largest = w.max(initial=0.0)
    if not largest > 0.0:
        return 0.0
    w = w / largest  # squares of tiny or huge weights neither vanish nor overflow
    return float(w.sum() ** 2 / (w @ w))


def refusal(used: Floats, raw: Floats, rewards: Floats | None, min_ess: float) -> str | None:
    """Why an estimate from these weights would be noise, in a sentence; None where it is an answer."""
    n = raw.size
    if not raw.max() > 0.0:
        return f"the evaluated policy never chooses what was logged in any of the {n} rows: there is no support"
    mean = float(raw.mean())
    error = float(raw.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    if abs(mean - 1.0) > max(FAR * error, SLACK):
        return (
            f"the mean weight is {mean:.3g} +- {round(error, 9):.2g} and should be 1: the propensities are not those "
            "of the policy that logged, or the evaluated policy chooses what was never logged"
        )
    size = effective_sample_size(used)
    if size < min_ess:
        return f"the log is worth {size:.4g} rows of the evaluated policy, of {n}; an answer needs {min_ess:g}"
    if rewards is not None and not rewards.any():
        return f"none of the {n} rows has a reward other than zero"
    return None


def resolved(options: Options) -> tuple[dict[str, Any], tuple[float, float]]:
    """Return what `summarise` is to be told, with every default, and the range of rewards.

    Raises
    ------
    TypeError
        For an option that is none.
    ValueError
        For a wrong one.
    """
    told: dict[str, Any] = {"level": 0.95, "interval": "auto", "seed": 0, "min_ess": 200.0, "reward_range": (0.0, 1.0)}
    unknown = set(options) - set(told)
    if unknown:
        raise TypeError(f"unexpected keyword argument {min(unknown)!r}; there are {', '.join(told)}")
    told.update(options)
    span = checked_range(told.pop("reward_range"))
    check_options(**told)
    return told, span


def check_options(level: float, interval: str, seed: int, min_ess: float) -> None:
    """Check the options of an estimate.

    Raises
    ------
    ValueError
        For a level outside (0, 1), an unknown interval, a seed that is no integer or a negative size.
    """
    if not 0.0 < checked_float(level, "level") < 1.0:
        raise ValueError(f"level must be in (0, 1), such as .95; got {level}")
    if interval not in CHOICES:
        raise ValueError(f"interval = {interval!r} is none of {', '.join(CHOICES)}")
    checked_int(seed, "seed", 0, 2**63 - 1)
    if not checked_float(min_ess, "min_ess") >= 0.0:
        raise ValueError(f"min_ess must be at least 0 rows; got {min_ess}")

"""Intervals for `mean(base) + sum(numerators) / sum(denominators)` over the rows of a log."""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, stdtrit

from ._bootstrap import student_quantiles

Floats = NDArray[np.float64]
IntervalKind = Literal["normal", "bootstrap", "empirical_bernstein", "rare"]
IntervalChoice = Literal["auto", "normal", "bootstrap", "empirical_bernstein", "rare"]
CHOICES = ("auto", "normal", "bootstrap", "empirical_bernstein", "rare")
ROUNDING = 1e-12  # of its parts, under which an influence is none
FEW = 50.0  # effective rewarded rows under which "auto" takes "rare"; at 20 it missed 20 % where a few weigh 100 x


class Terms(NamedTuple):
    """What an estimate is made of.

    base, numerators: float64 `[n]`.
    denominators: float64 `[n]`, ones for a mean.
    is_mean: whether they are ones.
    largest: the largest numerator that a row may have.
    range: least and largest value of a row's base and numerator.
    """

    base: Floats
    numerators: Floats
    denominators: Floats
    is_mean: bool
    largest: float
    range: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Sum of the numerators over that of the denominators."""
        return float(self.numerators.sum() / self.denominators.sum())

    @property
    def value(self) -> float:
        """The estimate."""
        return float(self.base.mean()) + self.ratio

    @property
    def residuals(self) -> Floats:
        """`numerator - ratio * denominator`, which sum to zero."""
        spread: Floats = self.numerators - self.ratio * self.denominators
        return spread

    @property
    def influence(self) -> Floats:
        """What each row moves the estimate by, times n."""
        means, errors = self.base - self.base.mean(), self.residuals / self.denominators.mean()
        moved: Floats = means + errors
        if np.abs(moved).max() <= ROUNDING * max(np.abs(means).max(), np.abs(errors).max()):
            return np.zeros(moved.size)  # a model that is right in every row leaves the rounding of the two
        return moved

    @property
    def can_be_negative(self) -> bool:
        """Whether a term is negative, or the base would make it so."""
        return bool(self.base.any() or self.numerators.min() < 0.0)


def bounds(interval: str, terms: Terms, level: float, seed: int) -> tuple[IntervalKind, float, float]:
    """Kind and ends of the interval asked for.

    Raises
    ------
    ValueError
        For an interval that does not fit the terms.
    """
    if interval == "auto":
        interval = "rare" if is_rare(terms) else "normal"
    tail = 0.5 * (1.0 - level)
    if interval == "rare":
        return "rare", *rare_bounds(terms, tail)
    if interval == "empirical_bernstein":
        return "empirical_bernstein", *bernstein_bounds(terms, tail)
    if interval == "bootstrap":
        return "bootstrap", *bootstrap_bounds(terms, tail, seed)
    return "normal", *normal_bounds(terms, tail)


def is_rare(terms: Terms) -> bool:
    """Whether no term can be negative and the rewards stand in fewer than 50 effective rows."""
    if terms.can_be_negative:
        return False
    largest = float(terms.numerators.max())
    if not largest > 0.0:
        return True
    parts = terms.numerators / largest
    return bool(parts.sum() ** 2 < FEW * (parts @ parts))


def _standard_error(influence: Floats) -> float:
    n, unit = influence.size, float(np.abs(influence).max())
    if not unit > 0.0:
        return 0.0
    parts = influence / unit  # whose squares neither vanish nor overflow
    return unit * math.sqrt(float(parts @ parts) / (n * (n - 1.0)))


def normal_bounds(terms: Terms, tail: float) -> tuple[float, float]:
    """Student's interval of the influences, corrected for their skewness by Hall's cubic.

    With g the skewness over sqrt(n), `T + g T^2 / 3 + g^2 T^3 / 27 + g / 6` is nearly normal; its inverse at the
    quantiles of Student's t bounds T = (estimate - truth) / (standard error).
    """
    influence, value, n = terms.influence, terms.value, terms.base.size
    if n < 2:
        return -math.inf, math.inf
    error = _standard_error(influence)
    if not error > 0.0:
        return value, value
    scaled = influence / error
    skew = float((scaled**3).sum()) / n**3
    t = float(stdtrit(n - 1.0, 1.0 - tail))
    return value - error * _unskewed(t, skew), value - error * _unskewed(-t, skew)


def _unskewed(x: float, skew: float) -> float:
    """Inverse of `T + skew T^2 / 3 + skew^2 T^3 / 27 + skew / 6` at x."""
    if abs(skew) < 1e-6:  # the cubic is a line but for the rounding of the root
        return x - skew / 6.0 - skew * x * x / 3.0
    return 3.0 / skew * (math.cbrt(1.0 + skew * (x - skew / 6.0)) - 1.0)


def bootstrap_bounds(terms: Terms, tail: float, seed: int) -> tuple[float, float]:
    """The studentised bootstrap: quantiles of `(resampled - estimate) / (its standard error)` over 2,000 resamples."""
    n, value = terms.base.size, terms.value
    if n < 2:
        return -math.inf, math.inf
    error = _standard_error(terms.influence)
    if not error > 0.0:
        return value, value
    centred = terms.base - terms.base.mean()
    low, high = student_quantiles(centred, terms.residuals, terms.denominators, tail, seed)
    return value - error * high, value - error * low


def rare_bounds(terms: Terms, tail: float) -> tuple[float, float]:
    """Fay and Feuer's gamma interval for a weighted sum of Poisson counts; Garwood's where all weights are equal.

    Raises
    ------
    ValueError
        Where terms can be negative.
    """
    if terms.can_be_negative:
        raise ValueError(
            "interval = 'rare' is for rewards that are never negative, weighted and nothing else; for negative rewards "
            "or a reward model take 'normal' or 'bootstrap'"
        )
    # in units of the largest term, whose squares neither vanish nor overflow
    parts, rest = terms.numerators / terms.largest, terms.residuals / terms.largest
    # never less than the variance of the ratio, whose denominators vary too
    total, spread = float(parts.sum()), max(float(parts @ parts), float(rest @ rest))
    lower = spread / total * float(gammaincinv(total**2 / spread, tail)) if total > 0.0 else 0.0
    more, wider = total + 1.0, spread + 1.0
    unit = terms.largest / float(terms.denominators.sum())
    return unit * lower, unit * wider / more * float(gammaincinv(more**2 / wider, 1.0 - tail))


def bernstein_bounds(terms: Terms, tail: float) -> tuple[float, float]:
    """Maurer and Pontil's bound, which holds for any n if the terms' range does.

    A ratio R is bounded by the x for which the mean of `numerator - x denominator`, zero at R, is not refuted.

    Raises
    ------
    ValueError
        For a self-normalised estimator with a reward model.
    """
    n, (low, high) = terms.base.size, terms.range
    if n < 2:
        return -math.inf, math.inf
    log = math.log(1.0 / tail) + math.log(2.0)  # each side at `tail`, its variance bounded along with its mean
    extra = 7.0 * (high - low) * log / (3.0 * (n - 1.0))
    if terms.is_mean:
        half = math.sqrt(2.0 * log / n * float((terms.base + terms.numerators).var(ddof=1))) + extra
        return terms.value - half, terms.value + half
    if terms.base.any():
        raise ValueError(
            "interval = 'empirical_bernstein' is for a mean or a ratio, not for the sum of both that a self-normalised "
            "doubly robust estimate is; take 'normal', 'bootstrap', or `dr`"
        )
    largest = float(terms.denominators.max())
    return (
        _not_refuted(terms, terms.ratio, low / largest, log, extra),
        _not_refuted(terms, terms.ratio, high / largest, log, extra),
    )


def _not_refuted(terms: Terms, inside: float, outside: float, log: float, extra: float) -> float:
    """The x between `inside` and `outside` where the bound stops to allow it, by bisection."""
    n = terms.base.size

    def is_allowed(x: float) -> bool:
        parts = terms.numerators - x * terms.denominators
        return abs(float(parts.mean())) <= math.sqrt(2.0 * log / n * float(parts.var(ddof=1))) + extra

    if is_allowed(outside):
        return outside
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if is_allowed(middle) else (inside, middle)
    return outside

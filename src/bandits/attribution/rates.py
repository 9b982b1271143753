"""What is known of a rate while rewards are on their way: exposures count for the share of rewards that have come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri

from .._inputs import checked_float, checked_floats
from .delays import DelayCurve

Floats = NDArray[np.float64]
Method = Literal["score", "beta", "likelihood"]

_NODES = 2_001  # of the likelihood's grid
_ROWS = 512  # ages at a time
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Effective:
    """Evidence of one arm's rate of reward within the horizon, rewards on their way taken into account.

    Parameters
    ----------
    successes
        s: rewards that have come.
    n_eff
        Effective exposures, `N = sum F(age)`.
    weight
        w: how much an effective exposure is worth, compared with one whose outcome is known.
    mean
        Posterior mean of the rate.
    lower, upper
        Interval of the rate.
    F2
        `sum F(age)^2 / N`: 1 where all outcomes are known.
    """

    successes: float
    n_eff: float
    weight: float
    mean: float
    lower: float
    upper: float
    F2: float

    @property
    def evidence(self) -> tuple[float, float]:
        """What a Beta posterior adds to its prior: `(w s, w max(N - s, 0))`."""
        return self.weight * self.successes, self.weight * max(self.n_eff - self.successes, 0.0)


def effective(
    exposure_ages: ArrayLike,
    successes: ArrayLike,
    curve: DelayCurve,
    prior: tuple[float, float] = (1.0, 1.0),
    level: float = 0.95,
    *,
    counts: ArrayLike | None = None,
    method: Method = "score",
) -> Effective:
    """Estimate a rate of rewards from exposures whose rewards may be on their way yet.

    An exposure of age t has been rewarded by now with probability p F(t), where p is the probability of a reward within
    the horizon. So `E s = p N` with `N = sum F`, and `Var s = p N (1 - p F2)` with `F2 = sum F^2 / N`. F is estimated,
    too: that adds `p^2 v N^2`, with v the variance of N over N^2. A binomial sample of `w N` has the variance of
    this s / N for `w = (1 - p) / (1 - p F2 + p v N)`, and the posterior is `Beta(a + w s, b + w max(N - s, 0))`, with p
    in w the shrunk estimate `(a + s) / (a + b + max(N, s))`. Once all exposures are as old as the horizon, w = 1 and
    that is the posterior of s successes in n.

    Parameters
    ----------
    exposure_ages
        Seconds since each exposure was shown, `[B]`; of those that were rewarded, too.
    successes
        Number of rewards, or by age, `[B]`. Fractions in [0, 1] of a reward are allowed; the intervals are then a bit
        too wide.
    curve
        Distribution of the delay, estimated from other exposures than these.
    prior
        (a, b), both positive.
    level
        Of the interval, in (0, 1).
    counts
        Exposures of each age, `[B]`; by default one.
    method
        Which interval. "score": all p with `|s - p N| <= z sd(s)`, of level `level` also where nearly all rewards are
        on their way; without the prior. "beta": quantiles of the posterior above, too low for p near 1 where no
        exposure is old. "likelihood": quantiles (and the mean) of the posterior under the exact likelihood
        `prod (p F)^s (1 - p F)^(n - s)`, flattened as much as the error of F demands; needs `successes` by age.

    Raises
    ------
    ValueError
        For what cannot have been: an age that is no number, more successes than exposures.

    References
    ----------
    .. [1] C. Vernade, O. Cappe and V. Perchet (2017), "Stochastic bandit models for delayed conversions", UAI.
    .. [2] E. B. Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22: the
       interval "score" where all outcomes are known.

    Examples
    --------
    Rewards come after 1 or 3 s, half of them each. Two exposures are 2 s old, two as old as the horizon; two rewards:
    N = 2 / 2 + 2 = 3, F2 = (2 / 4 + 2) / 3, and p in the weight is (1 + 2) / (2 + 3) = .6. A curve from a million
    delays has next to no error:

    >>> import numpy as np
    >>> from seedbed.bandits.attribution import DelayCurve, effective
    >>> curve = DelayCurve.fit(np.repeat([1.0, 3.0], 500_000), horizon=4.0)
    >>> known = effective([2.0, 2.0, 4.0, 4.0], 2, curve)
    >>> known.n_eff, round(known.F2, 4), round(known.weight, 4), round(0.4 / (1 - 0.6 * 2.5 / 3), 4)
    (3.0, 0.8333, 0.8, 0.8)
    """
    ages = checked_floats(exposure_ages, "exposure_ages", np.size(exposure_ages))
    shown = np.ones(ages.size) if counts is None else checked_floats(counts, "counts", ages.size)
    came = _checked_successes(successes, shown)
    total, (a, b), z = float(came.sum()), _checked_prior(prior), _checked_level(level)
    shares = curve(ages)
    n_eff, squares = float(shown @ shares), float(shown @ (shares * shares))
    f2 = squares / n_eff if n_eff > 0.0 else 1.0
    error = curve.variance(ages, shown) / n_eff if n_eff > 0.0 else 0.0  # v N
    weight, flattening = _weight(total, n_eff, f2, error, a, b)
    alpha, beta = a + weight * total, b + weight * max(n_eff - total, 0.0)
    mean = alpha / (alpha + beta)
    tail = (1.0 - level) / 2.0
    if method == "score":
        lower, upper = _score(total, n_eff, f2, error, z)
    elif method == "beta":
        lower, upper = float(betaincinv(alpha, beta, tail)), float(betaincinv(alpha, beta, 1.0 - tail))
    elif method == "likelihood":
        if np.ndim(successes) == 0:
            raise ValueError("the likelihood needs `successes` by age, one entry for each of `exposure_ages`")
        mean, lower, upper = _by_likelihood(total, shares, shown - came, flattening, a, b, tail)
    else:
        raise ValueError(f"method = {method!r} is not 'score', 'beta' or 'likelihood'")
    return Effective(total, n_eff, weight, mean, lower, upper, f2)


def weight_of(successes: float, n_eff: float, squares: float, variance: float, prior: tuple[float, float]) -> float:
    """w, from s, N, sum F^2 and the variance of N."""
    if n_eff <= 0.0:
        return 1.0
    return _weight(successes, n_eff, squares / n_eff, variance / n_eff, *prior)[0]


def _weight(successes: float, n_eff: float, f2: float, error: float, a: float, b: float) -> tuple[float, float]:
    """w, and the share of the variance that is not the curve's; `error` is v N."""
    p = (a + successes) / (a + b + max(n_eff, successes))
    own = 1.0 - p * f2
    return (1.0 - p) / (own + p * error), own / (own + p * error)


def _score(s: float, n_eff: float, f2: float, error: float, z: float) -> tuple[float, float]:
    """All p of [0, 1] with `(s - p N)^2 <= z^2 N (p - p^2 (F2 - v N))`, divided by N.

    Both ends are 1 where even p = 1 would not explain so many rewards: then the curve is not the right one.
    """
    if n_eff <= 0.0:
        return 0.0, 1.0
    z2 = z * z
    square, linear, constant = n_eff + z2 * (f2 - error), 2.0 * s + z2, s * s / n_eff
    root = float(np.sqrt(max(linear * linear - 4.0 * square * constant, 0.0)))
    lower = min(2.0 * constant / (linear + root), 1.0)
    return lower, min((linear + root) / (2.0 * square), 1.0) if square > 0.0 else 1.0


def _by_likelihood(
    s: float, shares: Floats, without: Floats, flattening: float, a: float, b: float, tail: float
) -> tuple[float, float, float]:
    """Posterior mean and quantiles under the exact likelihood, on a grid of logits, coarse and then fine."""
    values, index = np.unique(shares, return_inverse=True)
    numbers = np.bincount(index.reshape(-1), without, values.size)
    low, high = -40.0, 40.0
    for _ in range(2):
        logits = np.linspace(low, high, _NODES)
        p = 1.0 / (1.0 + np.exp(-logits))
        log_p, log_rest = -np.logaddexp(0.0, -logits), -np.logaddexp(0.0, logits)
        log_likelihood = s * log_p
        for start in range(0, values.size, _ROWS):
            part = slice(start, start + _ROWS)
            missing = np.maximum(1.0 - np.outer(values[part], p), np.exp(log_rest))  # 1 - p, where F = 1
            log_likelihood = log_likelihood + numbers[part] @ np.log(missing)
        log_posterior = a * log_p + b * log_rest + flattening * log_likelihood
        near = np.flatnonzero(log_posterior > log_posterior.max() - 50.0)
        low, high = logits[max(near[0] - 1, 0)], logits[min(near[-1] + 1, _NODES - 1)]
    density = np.exp(log_posterior - log_posterior.max())
    steps = np.append(0.0, np.cumsum((density[1:] + density[:-1]) / 2.0))
    lower, upper = np.interp((tail, 1.0 - tail), steps / steps[-1], p)
    return float(density @ p / density.sum()), float(lower), float(upper)


def _checked_successes(successes: ArrayLike, shown: Floats) -> Floats:
    if not (np.isfinite(shown) & (shown >= 0.0)).all():
        raise ValueError("counts must be finite and not negative")
    if np.ndim(successes) == 0:
        total, most = checked_float(successes, "successes"), float(shown.sum())
        if not 0.0 <= total <= most * (1.0 + _TINY):
            raise ValueError(f"successes = {total} is not in [0, {most}], the exposures")
        return np.array([total])
    came = checked_floats(successes, "successes", shown.size)
    wrong = ~((came >= 0.0) & (came <= shown))
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"successes[{i}] = {came[i]} is not in [0, {shown[i]}], the exposures of its age")
    return came


def _checked_prior(prior: Any) -> tuple[float, float]:
    a, b = checked_floats(prior, "prior", 2).tolist()
    if not (0.0 < a < np.inf and 0.0 < b < np.inf):
        raise ValueError(f"prior = {prior!r} must be two positive numbers")
    return a, b


def _checked_level(level: Any) -> float:
    value = checked_float(level, "level")
    if not 0.0 < value < 1.0:
        raise ValueError(f"level = {value} is not in (0, 1)")
    return float(ndtri((1.0 + value) / 2.0))

"""Confidence sequences: intervals that hold at all times at once, so that one may look whenever one likes.

Two kinds of function. Bounds, `*_bound(v, ...)`: a curve that a sum S_t of centred values exceeds with probability
alpha at most, ever, as a function of its intrinsic time v, an estimate of the variance of the sum. Intervals,
`*_interval(counts, ...)`: what the curve says about a mean.

`v_opt` and `alpha_opt` tune a mixture: it is tightest at the intrinsic time v_opt for the level alpha_opt.

References
----------
.. [1] S. R. Howard, A. Ramdas, J. McAuliffe and J. Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic
   confidence sequences", Annals of Statistics 49.
.. [2] I. Waudby-Smith and A. Ramdas (2024), "Estimating means of bounded random variables by betting", Journal of
   the Royal Statistical Society B 86.
.. [3] I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy and A. Ramdas (2024), "Time-uniform central limit theory and
   asymptotic confidence sequences", Annals of Statistics 52.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import zeta

from ._sequences import BETA_BINOMIAL, GAMMA_EXPONENTIAL, GAMMA_POISSON, NORMAL, boundaries, share_intervals

Floats = NDArray[np.float64]


def normal_mixture_bound(
    v: ArrayLike, alpha: float, v_opt: float, alpha_opt: float = 0.05, one_sided: bool = False
) -> Floats:
    """Bound of a sub-Gaussian sum: a normal mixture of `exp(x S - x^2 v / 2)`.

    Two-sided `sqrt((v + r) (ln((v + r) / r) + 2 ln(1 / alpha)))` of abs(S); one-sided, with a half-normal, the root of
    `sqrt(4 r / (v + r)) exp(s^2 / (2 (v + r))) Phi(s / sqrt(v + r)) = 1 / alpha`.

    Examples
    --------
    >>> from seedbed.constraints.evidence import normal_mixture_bound
    >>> float(normal_mixture_bound(100.0, 0.05, v_opt=100.0).round(5))
    30.35209
    """
    times = _times(v, alpha, v_opt, alpha_opt)
    if one_sided:
        return _solved(NORMAL, times, alpha, _tuned(v_opt, 2.0 * alpha_opt), 0.0, 0.0, 1)
    rho = _tuned(v_opt, alpha_opt)
    bound: Floats = np.sqrt((times + rho) * (np.log1p(times / rho) - 2.0 * math.log(alpha)))
    return bound


def gamma_exponential_bound(v: ArrayLike, alpha: float, v_opt: float, c: float, alpha_opt: float = 0.05) -> Floats:
    """One-sided bound of a sub-exponential sum of scale c: a gamma mixture of `exp(x S - v psi_E(x))`.

    `psi_E(x) = (-ln(1 - c x) - c x) / c^2`, x in [0, 1 / c). With c = 1 and the empirical variance it bounds sums of
    values in [0, 1] (`empirical_bernstein_interval`).
    """
    times = _times(v, alpha, v_opt, alpha_opt)
    return _solved(GAMMA_EXPONENTIAL, times, alpha, _tuned(v_opt, 2.0 * alpha_opt), _scale(c), 0.0, 1)


def gamma_poisson_bound(v: ArrayLike, alpha: float, v_opt: float, c: float, alpha_opt: float = 0.05) -> Floats:
    """One-sided bound of a sub-Poisson sum of scale c: a gamma mixture of `exp(x S - v psi_P(x))`.

    `psi_P(x) = (exp(c x) - c x - 1) / c^2`.
    """
    times = _times(v, alpha, v_opt, alpha_opt)
    return _solved(GAMMA_POISSON, times, alpha, _tuned(v_opt, 2.0 * alpha_opt), _scale(c), 0.0, 1)


def beta_binomial_bound(
    v: ArrayLike, alpha: float, v_opt: float, g: float, h: float, alpha_opt: float = 0.05, one_sided: bool = False
) -> Floats:
    """Upper bound of a sub-Bernoulli sum of values in [-g, h]: a beta mixture of `exp(x S - v psi_B(x))`.

    `psi_B(x) = ln((g exp(h x) + h exp(-g x)) / (g + h)) / (g h)`. Two-sided: the lower bound is minus that of (h, g).
    """
    times = _times(v, alpha, v_opt, alpha_opt)
    if not (0.0 < g < math.inf and 0.0 < h < math.inf):
        raise ValueError(f"the range [-g, h] needs finite g, h > 0; got g = {g}, h = {h}")
    rho = _tuned(v_opt, 2.0 * alpha_opt if one_sided else alpha_opt)
    return _solved(
        BETA_BINOMIAL, times, alpha, _concentration(rho / (g * h)), float(g), float(h), 1 if one_sided else 0
    )


def poly_stitching_bound(
    v: ArrayLike, alpha: float, v_min: float, c: float = 0.0, s: float = 1.4, eta: float = 2.0
) -> Floats:
    """One-sided bound of a sub-gamma sum of scale c, of the order `sqrt(v ln ln v)`: polynomial stitching.

    `sqrt(k1^2 w l + (k2 c l)^2) + k2 c l`, `w = max(v, v_min)`, `l = s ln ln(eta w / v_min) + ln(zeta(s) / (alpha
    ln(eta)^s))`, `k1 = (eta^(1/4) + eta^(-1/4)) / sqrt 2`, `k2 = (sqrt eta + 1) / 2`.
    """
    times = np.maximum(_times(v, alpha, v_min, alpha), v_min)
    if not (s > 1.0 and eta > 1.0 and 0.0 <= c < math.inf):
        raise ValueError(f"stitching needs s > 1, eta > 1 and c >= 0; got s = {s}, eta = {eta}, c = {c}")
    level = s * np.log(np.log(eta * times / v_min)) + math.log(float(zeta(s)) / alpha) - s * math.log(math.log(eta))
    k1, k2 = (eta**0.25 + eta**-0.25) / math.sqrt(2.0), 0.5 * (math.sqrt(eta) + 1.0)
    linear = k2 * c * level
    bound: Floats = np.sqrt(k1 * k1 * times * level + linear * linear) + linear
    return bound


def bernoulli_interval(
    successes: ArrayLike, trials: ArrayLike, alpha: float, t_opt: float, alpha_opt: float = 0.05
) -> tuple[Floats, Floats]:
    """Ends of a confidence sequence of a proportion, tightest after t_opt trials, `[C]` each.

    All p with `ln B(m p + s, m q + f) - ln B(m p, m q) - s ln p - f ln q < ln(1 / alpha)`, q = 1 - p, where
    `m = t_opt / (2 l + ln(1 + 2 l)) - 1`, `l = ln(1 / alpha_opt)`, at least 1/1000. Each end alone holds at alpha too.

    Examples
    --------
    >>> from seedbed.constraints.evidence import bernoulli_interval
    >>> [end.round(4).tolist() for end in bernoulli_interval([700], [1000], alpha=0.05, t_opt=100)]
    [[0.6516], [0.7459]]
    """
    _levels(alpha, alpha_opt)
    if not 0.0 < t_opt < math.inf:
        raise ValueError(f"t_opt must be a number of trials > 0; got {t_opt}")
    return _shares(successes, trials, alpha, 1.0, 1.0, _concentration(_tuned(t_opt, alpha_opt)))


def beta_binomial_interval(
    successes: ArrayLike, trials: ArrayLike, alpha: float, mixing: tuple[float, float] = (1.0, 1.0)
) -> tuple[Floats, Floats]:
    """Ends of a confidence sequence of a proportion, `[C]` each; tightest where Beta(a, b) expects the proportion.

    All p with `ln B(a + s, b + f) - ln B(a, b) - s ln p - f ln(1 - p) < ln(1 / alpha)`. Holds for the mean of any
    values in [0, 1]. Each end alone holds at alpha too.

    Examples
    --------
    After one success in one trial B(2, 1) / B(1, 1) = 1/2, so every p with 1 / (2 p) >= 20 is out:

    >>> from seedbed.constraints.evidence import beta_binomial_interval
    >>> [end.round(9).tolist() for end in beta_binomial_interval([1], [1], alpha=0.05)]
    [[0.025], [1.0]]
    """
    _levels(alpha, 0.5)
    if not all(1e-6 <= count <= 1e12 for count in mixing):
        raise ValueError(f"mixing must be two numbers in [1e-6, 1e12]; got {mixing}")
    a, b = map(float, mixing)
    return _shares(successes, trials, alpha, a, b, 0.0)


def asymptotic_interval(
    trials: ArrayLike,
    sums: ArrayLike,
    squares: ArrayLike,
    alpha: float,
    t_opt: float,
    proportion: bool = False,
) -> tuple[Floats, Floats]:
    """Ends of an asymptotic confidence sequence of a mean, `[C]` each, from additive sums of x and x^2.

    Half-width `sd sqrt(2 (t r + 1) / (t^2 r) ln(sqrt(t r + 1) / alpha))`, `r = (-2 ln alpha + ln(1 - 2 ln alpha)) /
    t_opt`. Its level holds in the limit of late starts only, so it is [-inf, inf] before t = max(100, t_opt) and, for
    a proportion, before 30 successes and 30 failures.

    Parameters
    ----------
    trials, sums, squares
        Number of values, their sum and the sum of their squares, `[C]`.
    alpha
        Probability that the interval ever misses, about.
    t_opt
        Number of values at which it is tightest, and before which it does not speak.
    proportion
        Whether the values are 0s and 1s.
    """
    _levels(alpha, 0.5)
    if not 0.0 < t_opt < math.inf:
        raise ValueError(f"t_opt must be a number of values > 0; got {t_opt}")
    t, total, square = np.broadcast_arrays(
        *(np.atleast_1d(np.asarray(given, np.float64)) for given in (trials, sums, squares))
    )
    fits = (t >= 0.0) & np.isfinite(t) & np.isfinite(total) & (square >= 0.0) & np.isfinite(square)
    _refuse(fits, "trials, sums and squares must be finite, trials and squares >= 0")
    speaks = t >= max(100.0, t_opt)
    if proportion:
        _refuse((total >= 0.0) & (total <= t), "the sums of a proportion are in [0, trials]")
        speaks = speaks & (total >= 30.0) & (t - total >= 30.0)
    count = np.maximum(t, 1.0)
    mean = total / count
    variance = np.maximum(square / count - mean * mean, 0.0)
    r = (-2.0 * math.log(alpha) + math.log1p(-2.0 * math.log(alpha))) / t_opt
    spread = 2.0 * (count * r + 1.0) / (count * count * r) * (0.5 * np.log1p(count * r) - math.log(alpha))
    half = np.where(speaks, np.sqrt(variance * spread), np.inf)
    return mean - half, mean + half


def _tuned(v_opt: float, alpha_opt: float) -> float:
    """The variance of the mixing normal, inverted, that makes the two-sided bound nearly tightest at v_opt.

    One-sided bounds take that of twice the level, as published.
    """
    if alpha_opt >= 1.0:
        raise ValueError(f"alpha_opt of a one-sided bound must be in (0, 1/2); got {0.5 * alpha_opt}")
    doubled = -2.0 * math.log(alpha_opt)
    return v_opt / (doubled + math.log1p(doubled))


def _concentration(rho: float) -> float:
    return max(rho - 1.0, 1e-3)


def _solved(family: int, v: Floats, alpha: float, rho: float, x: float, y: float, side: int) -> Floats:
    out = np.empty(v.size)
    boundaries(family, v.flatten(), -math.log(alpha), rho, x, y, side, out)
    return out.reshape(v.shape)


def _shares(
    successes: ArrayLike, trials: ArrayLike, alpha: float, a: float, b: float, m: float
) -> tuple[Floats, Floats]:
    s, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
    lower, upper = np.empty(s.size), np.empty(s.size)
    bad = share_intervals(s.flatten(), n.flatten(), a, b, m, -math.log(alpha), lower, upper)
    if bad >= 0:
        raise ValueError(f"successes[{bad}] = {s.flat[bad]} is not in [0, trials], {n.flat[bad]}")
    return lower.reshape(s.shape), upper.reshape(s.shape)


def _levels(alpha: float, alpha_opt: float) -> None:
    if not (0.0 < alpha < 1.0 and 0.0 < alpha_opt < 1.0):
        raise ValueError(f"alpha and alpha_opt must be in (0, 1); got {alpha} and {alpha_opt}")


def _times(v: ArrayLike, alpha: float, v_opt: float, alpha_opt: float) -> Floats:
    _levels(alpha, alpha_opt)
    times = np.asarray(v, np.float64)
    if not (0.0 < v_opt < math.inf and bool(((times >= 0.0) & np.isfinite(times)).all())):
        raise ValueError(f"intrinsic times must be finite, v >= 0 and v_opt > 0; got v_opt = {v_opt}")
    return times


def _scale(c: float) -> float:
    if not 0.0 < c < math.inf:
        raise ValueError(f"the scale c must be a finite number > 0; got {c}")
    return float(c)


def _refuse(fits: NDArray[np.bool_], what: str) -> None:
    if not fits.all():
        raise ValueError(f"{what}; entry {int(np.argmin(fits))} is not")

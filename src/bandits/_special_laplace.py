"""What the logit of a Beta and the logarithm of a Gamma share: peaked, log-concave, nearly normal densities.

Both are `exp(peak - n t^2 / 2)` with `t^2 / 2 = [ln(1 - m + m e^s) - m s] / (m (1 - m))`, where s is the distance from
the peak, m the mean of the Beta and n = a b / (a + b); the Gamma is the limit m -> 0, n = a. In t the density is
normal, and `ds/dt = sum Q_k t^k` converges for t^2 < 4 pi. Q_k is a polynomial in skew = 1 - 2 m alone (1: Gamma).

References: Temme, "Uniform asymptotic expansions of the incomplete gamma functions and the incomplete beta function"
(1975); Hill and Davis, "Generalized asymptotic expansions of Cornish-Fisher type" (1968).
"""

import math

import numpy as np
from numpy.typing import NDArray

from ._numba import kernel
from ._special_normal import mills_ratio

_LOG_SQRT_2PI = 0.9189385332046727
_LARGE = 10.0  # Stirling's series is exact to a rounding from here on
_TERMS = 22
_RADIUS = 3.5  # just inside the radius of convergence, 3.545


def _inverse_series(terms: int) -> NDArray[np.float64]:
    """Q_k times radius^k, as coefficients of 1, skew^2, skew^4, ... (times a further skew for odd k): `[terms, *]`.

    With s = s(t), Q = ds/dt and E = (x - m) / (m (1 - m)): `E Q = t` and `dE/dt = Q + skew t - m (1 - m) t E`.
    """
    powers = np.zeros((terms, terms))  # of skew
    E = np.zeros((terms + 1, terms))
    powers[0, 0] = E[1, 0] = 1.0
    for k in range(1, terms):
        known = np.zeros(terms)
        if k == 1:
            known[1] = 1.0
        else:  # m (1 - m) = (1 - skew^2) / 4
            known = -0.25 * E[k - 1]
            known[2:] += 0.25 * E[k - 1, :-2]
        products = sum((np.convolve(E[j], powers[k + 1 - j])[:terms] for j in range(2, k + 1)), np.zeros(terms))
        powers[k] = -(known + (k + 1) * products) / (k + 2)
        E[k + 1] = (powers[k] + known) / (k + 1)
    halves = np.zeros((terms, (terms + 1) // 2))
    for k in range(terms):
        used = powers[k, k % 2 :: 2]
        halves[k, : len(used)] = used * _RADIUS**k
    return halves


_SERIES = _inverse_series(_TERMS)


@kernel
def stirling_correction(z: float) -> float:
    """`ln Gamma(z) - [(z - 1/2) ln z - z + ln sqrt(2 pi)]` for z >= 10 (DLMF 5.11.1)."""
    inverse = 1.0 / z
    square = inverse * inverse
    series = 1.0 / 156.0
    series = series * square - 691.0 / 360360.0
    series = series * square + 1.0 / 1188.0
    series = series * square - 1.0 / 1680.0
    series = series * square + 1.0 / 1260.0
    series = series * square - 1.0 / 360.0
    series = series * square + 1.0 / 12.0
    return series * inverse


@kernel
def log_gamma_peak(a: float) -> float:
    """`a ln a - a - ln Gamma(a)`: the log-density of the logarithm of a Gamma(a) where it is largest."""
    if a < _LARGE:
        return a * math.log(a) - a - math.lgamma(a)
    return 0.5 * math.log(a) - _LOG_SQRT_2PI - stirling_correction(a)


@kernel
def _slope_coefficient(k: int, skew: float) -> float:
    """`Q_k radius^k`."""
    square = skew * skew
    value = 0.0
    for i in range(k // 2, -1, -1):
        value = value * square + _SERIES[k, i]
    return value * skew if k & 1 else value


@kernel
def series_tail(n: float, skew: float, t: float) -> float:
    """Tail beyond t >= 0 over the density of s there: `sum Q_k M_k`, exact to roundings for n >= 15 and t < 1/2.

    `M_k = integral of v^k exp(-n (v^2 - t^2) / 2) dv from t`, kept divided by radius^k.
    """
    per_n = 1.0 / (n * _RADIUS)
    scaled = t / _RADIUS
    even = mills_ratio(t * math.sqrt(n)) / math.sqrt(n)
    odd = per_n
    total = even + _slope_coefficient(1, skew) * odd
    power = 1.0
    smallest = 1e-17 * even
    for k in range(2, _TERMS, 2):
        power *= scaled
        even = per_n * (power + (k - 1) / _RADIUS * even)
        power *= scaled
        odd = per_n * (power + k / _RADIUS * odd)
        total += _slope_coefficient(k, skew) * even + _slope_coefficient(k + 1, skew) * odd
        if even < smallest:
            break
    return total


@kernel
def normal_start(n: float, skew: float, x: float) -> float:
    """The s whose upper tail is about that of a standard normal at x: Hill's expansion in t, to n^(-3/2)."""
    root = 1.0 / math.sqrt(n)
    square = skew * skew
    first = -skew / 3.0
    second = 1.0 / 16.0 - square * (5.0 / 144.0)
    third = skew * (1.0 / 240.0 - square * (23.0 / 6480.0))
    correction = second * x + root * (third * (x * x + 2.0) + 2.0 * first * second)
    t = root * (x + root * (first + root * correction))
    cubic = -skew / 60.0 * (1.0 - square / 9.0)
    quartic = 1.0 / 1536.0 + square * (1.0 / 2304.0 + square / 13824.0)
    slope = first / 2.0 + t * ((1.0 / 48.0 + square / 144.0) + t * (cubic / 4.0 + t * quartic / 5.0))
    return t * (1.0 + t * slope)


@kernel
def cubic_start(a: float, x: float, otherwise: float) -> float:
    """The s of the logarithm of a Gamma(a), a < 1, whose upper tail is about that of a normal at x (Wilson, Hilferty).

    `otherwise` where the cube has no sense.
    """
    root = 1.0 - 1.0 / (9.0 * a) + x / (3.0 * math.sqrt(a))
    return 3.0 * math.log(root) if a > 0.1 and root > 0.3 else otherwise


@kernel
def log_tail_step(newton: float, hazard: float, h1: float, h2: float, h3: float) -> float:
    """The step to the root of `ln tail(z) = ln u`, to fourth order in Newton's step.

    hazard: density / upper tail. h1, h2, h3: derivatives of the log-density.
    """
    k = h1 + hazard  # the hazard grows at the rate hazard * k
    rise = h2 + hazard * k  # of k
    curve = k * k + rise
    second = 0.5 * k
    third = curve / 6.0
    fourth = (k * curve + 2.0 * k * rise + h3 + hazard * (k * k + rise)) / 24.0
    cubic = 2.0 * second * second - third
    quartic = 5.0 * second * (third - second * second) - fourth
    return newton * (1.0 + newton * (-second + newton * (cubic + newton * quartic)))


@kernel
def log1p_minus(x: float) -> float:
    """`ln(1 + x) - x`, without cancellation near 0."""
    if abs(x) > 0.1:
        return math.log1p(x) - x
    r = x / (2.0 + x)  # ln(1 + x) = 2 artanh(r)
    y = r * r
    series = 2.0 / 15.0
    series = series * y + 2.0 / 13.0
    series = series * y + 2.0 / 11.0
    series = series * y + 2.0 / 9.0
    series = series * y + 2.0 / 7.0
    series = series * y + 2.0 / 5.0
    series = series * y + 2.0 / 3.0
    return r * (y * series - x)

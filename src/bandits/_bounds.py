"""Bounds of upper tails for two multiplications, and rough draws: they refuse most arms without a special function.

Where the log-density ln g of Z is concave and falls at m with slope -s, `P(Z > m) <= g(m) / s` (the tangent lies above
ln g). For BETA and GAMMA both are linear in the parameters: with t and s shared by all arms,

    ln g(m) = p t1 + q t2 - constant,    slope = q s2 - p s1,

constant = ln B(p, q) for a BETA's logit, ln Gamma(p) - p ln q for a GAMMA's logarithm. The bound is tight: relative to
the tail it errs by about 1 / w^2, w the distance in standard deviations, where Chernoff's errs by 2.5 w.
"""

import math

import numpy as np

from ._families import BETA, GAMMA, GUMBEL, NORMAL
from ._numba import kernel
from ._special import log_beta, log_sigmoid, sigmoid

_LOG_SQRT_2PI = 0.9189385332046727


@kernel
def constant_of(family: int, p: float, q: float, r: float) -> float:
    """The part of the log-density that does not depend on the point."""
    if family == BETA:
        return log_beta(p, q)
    if family == GAMMA:
        return math.lgamma(p) - p * math.log(q)
    if family in (NORMAL, GUMBEL):
        return 0.0
    # STUDENT: ln c of the density c (1 + t^2 / r)^(-(r + 1) / 2), from Stirling's terms by log_beta
    return log_beta(0.5, 0.5 * r) + 0.5 * math.log(r)


@kernel
def shared_terms(family: int, m: float) -> tuple[float, float, float, float]:
    """Terms (t1, t2, s1, s2) of the bound at the threshold m, for BETA and GAMMA."""
    if family == BETA:
        return log_sigmoid(m), log_sigmoid(-m), sigmoid(-m), sigmoid(m)
    power = math.exp(m) if family == GAMMA else 0.0
    return m, -power, 1.0, power


@kernel
def log_density_bound(
    family: int, p: float, q: float, r: float, constant: float, m: float, t1: float, t2: float
) -> float:
    """`ln g(m)`, or for other families what, divided by the slope of `slope_of`, bounds the tail."""
    if family in (BETA, GAMMA):
        return p * t1 + q * t2 - constant
    if family == GUMBEL:
        return p - m
    t = (m - p) / q
    if family == NORMAL:
        return -0.5 * t * t - _LOG_SQRT_2PI
    # STUDENT: P(T > t) <= c / t (1 + t^2 / r)^(-(r - 1) / 2), since sqrt(1 + s^2 / r) / s falls
    return -constant - 0.5 * (r - 1.0) * math.log1p(t * t / r)


@kernel
def slope_of(family: int, p: float, q: float, m: float, s1: float, s2: float) -> float:
    """The slope s of the bound; where it is not positive, the threshold is not in the upper tail: no bound."""
    if family in (BETA, GAMMA):
        return q * s2 - p * s1
    return 1.0 if family == GUMBEL else (m - p) / q


@kernel
def constant_slack(constant: float, bound: float) -> float:
    """What rounding may have taken from a bound that is a small difference of terms as large as its constant."""
    return 1e-9 + 1e-14 * (abs(constant) + abs(bound))


@kernel
def bit_log(x: float) -> float:
    """A lower bound of ln x, at most .06 below it, for x > 0: exponent and mantissa read as one number.

    `log2(1 + f) >= f` for f in [0, 1].
    """
    bits = np.float64(x).view(np.int64) - np.int64(0x3FF0_0000_0000_0000)
    return np.float64(bits) * (0.6931471805599453 * 2.0**-52)


@kernel
def rough_normal(u: float) -> float:
    """Rough upper quantile of the normal distribution, within 5e-4: to order arms by or, with a margin, to refuse.

    Abramowitz and Stegun 26.2.23, with a polynomial for the logarithm, so that loops over it are vectorised.
    """
    tail = min(u, 1.0 - u)
    bits = np.float64(tail).view(np.int64)
    exponent = np.float64((bits >> 52) - 1023)
    f = np.int64((bits & 0xF_FFFF_FFFF_FFFF) | 0x3FF0_0000_0000_0000).view(np.float64)
    log = 0.6931471805599453 * exponent - 1.7417939
    log += f * (2.8212026 + f * (-1.4699568 + f * (0.44717955 - f * 0.056570851)))
    t = math.sqrt(max(-2.0 * log, 0.0))
    top = 2.515517 + t * (0.802853 + t * 0.010328)
    value = t - top / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    return float(value if u < 0.5 else -value)

"""The log-density of a Beta's logit and one of its tails over that density, around the mean, inside kernels."""

import math

from ._numba import kernel
from ._special_laplace import log1p_minus, log_gamma_peak, series_tail

_MAX_TERMS = 1_000_000
_SERIES_FROM = 15.0  # in n = a b / (a + b); see `series_tail`


@kernel
def log_beta_peak(a: float, b: float) -> float:
    """The log-density of the logit of a Beta(a, b) where it is largest, at the mean."""
    return log_gamma_peak(a) + log_gamma_peak(b) - log_gamma_peak(a + b)


@kernel
def _beta_fraction(a: float, b: float, x: float, y: float, excess: float) -> float:
    """Continued fraction of the incomplete beta, `I_x(a, b) = x^a y^b / B(a, b) / fraction`.

    The even part of DLMF 8.17.22 in the form of DiDonato and Morris (1992), which reads x, y = 1 - x and
    excess = b x - a y apart, so that nothing is lost where x is near 0 or 1. Converges in O(sqrt(max(a, b))) terms for
    x < (a + 1) / (a + b + 2). By the forward recurrence: no division waits for another one.
    """
    inverse = 1.0 / (a + 1.0)
    top, bottom = a * (1.0 - excess) * inverse, 1.0
    top_before, bottom_before = 1.0, 0.0
    for m in range(1, _MAX_TERMS):
        part = m * x * inverse
        product = part * (b - m)
        numerator = (a + m - 1.0) * (a + b + m - 1.0) * x * inverse * product
        inverse = 1.0 / (a + 2.0 * m + 1.0)
        denominator = m + product + (a + m) * (1.0 - excess + m * (1.0 + y)) * inverse
        top, top_before = denominator * top + numerator * top_before, top
        bottom, bottom_before = denominator * bottom + numerator * bottom_before, bottom
        ahead, behind = top * bottom_before, top_before * bottom
        if abs(ahead - behind) <= 1e-15 * abs(behind):
            break
        if abs(top) + abs(bottom) > 1e70:  # the products above stay finite
            top, top_before = top * 1e-70, top_before * 1e-70
            bottom, bottom_before = bottom * 1e-70, bottom_before * 1e-70
    return top / bottom


@kernel
def beta_powers(a: float, b: float, shift: float) -> tuple[float, float, float, float]:
    """For shift <= 0, at `ln(a / b) + shift`: log-density less that of the mean, x, y = 1 - x, (a + b) x - a.

    Nothing overflows, and all keep their relative precision; the powers do not cancel against each other.
    """
    ratio = a / b
    growth = math.exp(shift)
    rise = growth - 1.0 if shift < -0.7 else math.expm1(shift)
    odds = ratio * growth
    y = 1.0 / (1.0 + odds)
    fall = y * rise  # x / mean - 1
    if fall > -0.1:
        powers = a * log1p_minus(fall) + b * log1p_minus(-ratio * fall)
    else:
        log_gain = math.log1p(-ratio * fall)
        powers = a * (shift + log_gain) + b * log_gain
    return powers, odds * y, y, a * fall


@kernel
def _beta_side_below(a: float, b: float, shift: float, log_peak: float) -> tuple[float, float, float, float, float]:
    """`beta_side` for shift <= 0."""
    powers, x, y, excess = beta_powers(a, b, shift)
    n = a * b / (a + b)
    if n >= _SERIES_FROM and -powers < 0.125 * n:  # t < 1/2
        tail = -series_tail(n, (a - b) / (a + b), math.sqrt(max(-2.0 * powers / n, 0.0)))
    elif excess + 2.0 * x < 1.0:  # x < (a + 1) / (a + b + 2)
        tail = -1.0 / _beta_fraction(a, b, x, y, excess)
    else:
        tail = 1.0 / _beta_fraction(b, a, y, x, -excess)
    return log_peak + powers, tail, x, y, excess


@kernel
def beta_side(a: float, b: float, shift: float, log_peak: float) -> tuple[float, float, float, float, float]:
    """The log-density of the logit at `ln(a / b) + shift`, a tail over the density, and x, y, (a + b) x - a there.

    The tail is the one easily had: the upper one, or, with a minus sign, the lower one.
    """
    if shift > 0.0:
        log_density, tail, y, x, excess = _beta_side_below(b, a, -shift, log_peak)
        return log_density, -tail, x, y, -excess
    return _beta_side_below(a, b, shift, log_peak)

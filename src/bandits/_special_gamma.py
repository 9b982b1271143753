"""The Gamma inside kernels, in the coordinate z = ln x: both log-tails, the log-density and the quantile.

Relative error of the tails (tests/bandits/test_special_gamma.py): below 1e-12 for shapes up to 1e3, below 1e-9 up to
1e13, as far as the rounding of z itself allows.
"""

import math

from ._numba import kernel
from ._special import log_complement
from ._special_laplace import cubic_start, log_gamma_peak, log_tail_step, normal_start, series_tail
from ._special_normal import normal_upper_quantile

_MAX_TERMS = 1_000_000
_MAX_STEPS = 200
_SERIES_FROM = 15.0
_LAST_STEP = 2.5e-3  # in spreads: a step of fourth order from there leaves less than 1e-13 of them
_TINY = 0.1


@kernel
def _exp_bend(s: float) -> float:
    """`exp(s) - 1 - s`, without cancellation near 0."""
    if abs(s) > 0.1:
        return math.expm1(s) - s
    series = 1.0
    for k in range(10, 2, -1):
        series = 1.0 + series * s / k
    return 0.5 * s * s * series


@kernel
def _log_gamma_1p(a: float) -> float:
    """`ln Gamma(1 + a)` for 0 <= a <= 0.1, with full relative precision (DLMF 5.7.3)."""
    series = -0.0714329462953613361
    series = series * a + 0.0769325164113521915
    series = series * a - 0.083353840546109004
    series = series * a + 0.0909540171458290422
    series = series * a - 0.100099457512781809
    series = series * a + 0.11133426586956469
    series = series * a - 0.125509669524743042
    series = series * a + 0.144049896768846118
    series = series * a - 0.16955717699740819
    series = series * a + 0.207385551028673985
    series = series * a - 0.270580808427784548
    series = series * a + 0.400685634386531428
    series = series * a - 0.822467033424113218
    series = series * a + 0.57721566490153286
    return -a * series


@kernel
def _gamma_series(a: float, x: float) -> float:
    """`P(X <= x)` over the density of ln X: `sum x^k / (a (a + 1) ... (a + k))`."""
    term = 1.0
    total = 1.0
    for k in range(1, _MAX_TERMS):
        term *= x / (a + k)
        total += term
        if term < 1e-17 * total:
            break
    return total / a


@kernel
def _gamma_fraction(a: float, x: float) -> float:
    """`P(X > x)` over the density of ln X: the continued fraction of Legendre, by the forward recurrence, x > a."""
    top, bottom = 1.0, x + 1.0 - a
    top_before, bottom_before = 0.0, 1.0
    for k in range(1, _MAX_TERMS):
        numerator = k * (a - k)
        denominator = x + 1.0 - a + 2.0 * k
        top, top_before = denominator * top + numerator * top_before, top
        bottom, bottom_before = denominator * bottom + numerator * bottom_before, bottom
        ahead, behind = top * bottom_before, top_before * bottom
        if abs(ahead - behind) <= 1e-15 * abs(ahead):
            break
        if abs(bottom) > 1e70:  # the products above stay finite
            top, top_before = top * 1e-70, top_before * 1e-70
            bottom, bottom_before = bottom * 1e-70, bottom_before * 1e-70
    return top / bottom


@kernel
def _tiny_upper(a: float, z: float, x: float) -> float:
    """`P(X > x)` for a <= 0.1 and x <= 1: it may be of the order of a, where 1 - `P(X <= x)` is all rounding."""
    power = 1.0
    total = 0.0
    for k in range(1, 30):
        power *= -x / k
        total += power / (a + k)
        if abs(power) < 1e-18:
            break
    return -math.expm1(a * z - _log_gamma_1p(a) + math.log1p(a * total))


@kernel
def gamma_side(a: float, shift: float, log_peak: float) -> tuple[float, float, float]:
    """The log-density of ln X at `ln a + shift`, a tail over the density, and x.

    The tail is the one easily had: the upper one, or, with a minus sign, the lower one.
    """
    bend = _exp_bend(shift)
    log_density = log_peak - a * bend
    x = a * math.exp(shift)
    if a >= _SERIES_FROM and bend < 0.125:
        t = math.sqrt(2.0 * bend)
        return log_density, series_tail(a, 1.0, t) if shift > 0.0 else -series_tail(a, -1.0, t), x
    if x > a + 1.0:
        return log_density, _gamma_fraction(a, x), x
    if a < _TINY and x < 1.0:
        upper = _tiny_upper(a, shift + math.log(a), x)
        if upper < 0.5:
            return log_density, upper * math.exp(-log_density), x
    return log_density, -_gamma_series(a, x), x


@kernel
def gamma_log_density(a: float, z: float) -> float:
    """The log-density of ln X at z, X ~ Gamma(a)."""
    return log_gamma_peak(a) - a * _exp_bend(z - math.log(a))


@kernel
def gamma_log_tails(a: float, z: float) -> tuple[float, float, float]:
    """`ln P(X <= e^z)`, `ln P(X > e^z)` and the log-density of ln X at z, X ~ Gamma(a)."""
    log_density, tail, _ = gamma_side(a, z - math.log(a), log_gamma_peak(a))
    log_tail = log_density + math.log(abs(tail))
    if tail < 0.0:
        return log_tail, log_complement(log_tail), log_density
    return log_complement(log_tail), log_tail, log_density


@kernel
def _gamma_start(a: float, u: float) -> float:
    """A shift whose upper tail is about u: from the normal, or, for a < 1, from the power law of the lower tail."""
    if a >= 1.0:
        return normal_start(a, 1.0, normal_upper_quantile(u))
    log_x = (math.log1p(-u) + math.lgamma(1.0 + a)) / a
    x = math.exp(log_x)
    if x < 0.5:
        return log_x + x / (a + 1.0) - math.log(a)
    # the tail is below exp(-x): Newton's method may start beyond the root, never far before it
    return cubic_start(a, normal_upper_quantile(u), math.log(-math.log(u)) - math.log(a))


@kernel
def gamma_log_quantile(a: float, u: float) -> float:
    """The z at which `P(X > e^z) = u`, X ~ Gamma(a).

    As `beta_logit_quantile`: Newton's method on the smaller of two concave log-tails, of fourth order near the root.
    """
    if a == 1.0:
        return math.log(-math.log(u))
    log_peak = log_gamma_peak(a)
    upwards = u <= 0.5
    log_u = math.log(u) if upwards else math.log(1.0 - u)  # exact
    scale = min(1.0 / math.sqrt(a), 4.0)
    shift = _gamma_start(a, u)
    for _ in range(_MAX_STEPS):
        log_density, tail, x = gamma_side(a, shift, log_peak)
        log_tail = log_density + math.log(abs(tail))
        hazard = 1.0 / abs(tail)
        if (tail > 0.0) != upwards:
            log_tail = log_complement(log_tail)
            hazard = math.exp(log_density - log_tail)
        sign = 1.0 if upwards else -1.0
        step = (log_tail - log_u) / hazard
        if abs(step) > 0.3 * scale:
            shift += sign * step
            continue
        # the lower tail is the upper one of -z
        shift += sign * log_tail_step(step, hazard, -sign * a * math.expm1(shift), -x, -sign * x)
        if abs(step) <= _LAST_STEP * scale or math.isnan(step):
            break
    return shift + math.log(a)

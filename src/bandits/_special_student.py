"""Student's t inside kernels: if Z is the logit of a Beta(nu / 2, nu / 2), then `sqrt(nu) sinh(Z / 2)` is Student's t.

So it inherits the precision of the Beta: both tails, the middle, and any nu > 0; from 1e16 on it is a normal.
"""

import math

from ._numba import kernel
from ._special import beta_logit_quantile, log_beta_density, log_beta_tails
from ._special_normal import normal_log_upper, normal_upper_quantile

_LOG_2 = 0.6931471805599453
_LOG_SQRT_2PI = 0.9189385332046727
_NORMAL_FROM = 1e16


@kernel
def student_log_density(t: float, nu: float) -> float:
    """The log-density of Student's t."""
    if nu >= _NORMAL_FROM:
        return -0.5 * t * t - _LOG_SQRT_2PI
    root = math.sqrt(nu)
    return log_beta_density(0.5 * nu, 0.5 * nu, 2.0 * math.asinh(t / root)) + _LOG_2 - math.log(math.hypot(root, t))


@kernel
def student_log_tails(t: float, nu: float) -> tuple[float, float, float]:
    """`ln P(T <= t)`, `ln P(T > t)` and the log-density, T ~ Student's t with nu degrees of freedom."""
    if nu >= _NORMAL_FROM:
        return normal_log_upper(-t), normal_log_upper(t), -0.5 * t * t - _LOG_SQRT_2PI
    root = math.sqrt(nu)
    lower, upper, log_density = log_beta_tails(0.5 * nu, 0.5 * nu, 2.0 * math.asinh(t / root))
    return lower, upper, log_density + _LOG_2 - math.log(math.hypot(root, t))


@kernel
def student_upper_quantile(u: float, nu: float) -> float:
    """The t at which `P(T > t) = u`."""
    if nu >= _NORMAL_FROM:
        return normal_upper_quantile(u)
    return math.sqrt(nu) * math.sinh(0.5 * beta_logit_quantile(0.5 * nu, 0.5 * nu, u))

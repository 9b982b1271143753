"""Families of distributions, by number, so that one kernel serves every model and every policy.

A belief about an arm is a family and three parameters (p, q, r). Arms are ranked by a coordinate z that grows with
theta and in which nothing is lost: the logit of a Beta's theta, the logarithm of a Gamma's, theta itself for the
others.

BETA: successes p, failures q. NORMAL: mean p, standard deviation q. STUDENT: location p, scale q, degrees of freedom r.
GAMMA: shape p, rate q. GUMBEL: location p, scale 1, of the maximum: `P(Z <= z) = exp(-exp(p - z))`.
"""

import math

from ._numba import kernel
from ._special import beta_logit_quantile, log_beta_density, log_beta_tails, log_complement, sigmoid
from ._special_gamma import gamma_log_density, gamma_log_quantile, gamma_log_tails
from ._special_normal import normal_log_upper, normal_upper_quantile
from ._special_student import student_log_density, student_log_tails, student_upper_quantile

BETA, NORMAL, STUDENT, GAMMA, GUMBEL = 0, 1, 2, 3, 4
_LOG_SQRT_2PI = 0.9189385332046727
_EULER_GAMMA = 0.5772156649015329


@kernel
def log_tails(family: int, p: float, q: float, r: float, z: float) -> tuple[float, float, float]:
    """`ln P(Z <= z)`, `ln P(Z > z)` and the log-density of Z at z."""
    if family == BETA:
        return log_beta_tails(p, q, z)
    if family == GAMMA:
        return gamma_log_tails(p, z + math.log(q))
    if family == GUMBEL:
        log_lower = -math.exp(p - z)
        # far out the tail is exp(p - z) itself, also where that underflows
        log_upper = p - z if z - p > 40.0 else log_complement(log_lower)
        return log_lower, log_upper, p - z + log_lower
    t = (z - p) / q
    if family == STUDENT:
        log_lower, log_upper, log_density_of_t = student_log_tails(t, r)
        return log_lower, log_upper, log_density_of_t - math.log(q)
    return normal_log_upper(-t), normal_log_upper(t), -0.5 * t * t - _LOG_SQRT_2PI - math.log(q)


@kernel
def log_density(family: int, p: float, q: float, r: float, z: float) -> float:
    """The log-density of Z at z."""
    if family == BETA:
        return log_beta_density(p, q, z)
    if family == GAMMA:
        return gamma_log_density(p, z + math.log(q))
    if family == GUMBEL:
        return p - z - math.exp(p - z)
    t = (z - p) / q
    if family == STUDENT:
        return student_log_density(t, r) - math.log(q)
    return -0.5 * t * t - _LOG_SQRT_2PI - math.log(q)


@kernel
def upper_quantile(family: int, p: float, q: float, r: float, u: float) -> float:
    """The z at which `P(Z > z) = u`, for u in (0, 1): the one definition of a draw."""
    if family == BETA:
        return beta_logit_quantile(p, q, u)
    if family == GAMMA:
        return gamma_log_quantile(p, u) - math.log(q)
    if family == GUMBEL:
        return p - math.log(-math.log1p(-u))
    if family == STUDENT:
        return p + q * student_upper_quantile(u, r)
    return p + q * normal_upper_quantile(u)


@kernel
def theta_of(family: int, z: float) -> float:
    """The theta whose coordinate is z."""
    if family == BETA:
        return sigmoid(z)
    if family == GAMMA:
        return math.exp(z)
    return z


@kernel
def z_of(family: int, theta: float) -> float:
    """The coordinate of theta."""
    if family == BETA:
        return math.log(theta) - math.log1p(-theta)
    if family == GAMMA:
        return math.log(theta)
    return theta


@kernel
def mean_of(family: int, p: float, q: float, r: float) -> float:
    """The mean of theta; the location of a Student's t even where it has no mean (r <= 1)."""
    if family == BETA:
        return p / (p + q)
    if family == GAMMA:
        return p / q
    if family == GUMBEL:
        return p + _EULER_GAMMA
    return p


@kernel
def center_of(family: int, p: float, q: float, r: float) -> float:
    """A z in the middle of the distribution: that of the mean, or the location."""
    if family in (BETA, GAMMA):
        return math.log(p / q)
    return p


@kernel
def _trigamma(a: float) -> float:
    """The variance of the logarithm of a Gamma(a), within 2 %."""
    c = 1.0 / (1.0 + a)
    return 1.0 / (a * a) + c * (1.0 + c * (0.5 + c / 6.0))


@kernel
def spread_of(family: int, p: float, q: float, r: float) -> float:
    """About the standard deviation of z."""
    if family == BETA:
        return math.sqrt(_trigamma(p) + _trigamma(q))
    if family == GAMMA:
        return math.sqrt(_trigamma(p))
    if family == GUMBEL:
        return 1.2825498301618641  # pi / sqrt(6)
    if family == STUDENT:  # no variance at r <= 2: from 3 down, one that grows like the quartiles
        return q * math.sqrt(1.0 + 2.0 / (r - 2.0)) if r > 3.0 else q * (1.0 + 2.2 / r)
    return q

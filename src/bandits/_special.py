"""Special functions inside kernels: log-beta, the incomplete beta's two tails and their inverse, Bernoulli KL.

A point of the unit interval is given by its logit z, so that both theta and 1 - theta keep full precision: draws of
Beta(1, .01) differ from each other although 69 % of them round to theta = 1.0.

Relative error of the tails (tests/bandits/test_special.py): below 2e-13 for a + b up to 1e3, 6e-13 far out; below 1e-9
up to 2e6.
"""

import math

from ._numba import kernel
from ._special_beta import beta_powers, beta_side, log_beta_peak
from ._special_laplace import cubic_start, log_tail_step, normal_start, stirling_correction
from ._special_normal import normal_upper_quantile

_LOG_SQRT_2PI = 0.9189385332046727
_LARGE = 10.0  # Stirling's series below is exact to a rounding from here on
_MAX_STEPS = 200
_LAST_STEP = 2.5e-3  # in spreads


@kernel
def log_beta(a: float, b: float) -> float:
    """`ln B(a, b)` for a, b > 0, without the cancellation of three log-gammas when a or b is large."""
    small = min(a, b)
    large = max(a, b)
    if large < _LARGE:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    total = small + large
    if small < _LARGE:
        correction = stirling_correction(large) - stirling_correction(total)
        # ln Gamma(large) - ln Gamma(large + small), by Stirling, its leading terms cancelled on paper
        ratio = small - small * math.log(large) - (total - 0.5) * math.log1p(small / large)
        return math.lgamma(small) + ratio + correction
    correction = stirling_correction(small) + stirling_correction(large) - stirling_correction(total)
    powers = (small - 0.5) * math.log(small / total) - large * math.log1p(small / large)
    return _LOG_SQRT_2PI - 0.5 * math.log(large) + powers + correction


@kernel
def log_sigmoid(z: float) -> float:
    """`ln(1 / (1 + exp(-z)))`, precise in both tails."""
    if z > 0.0:
        return -math.log1p(math.exp(-z))
    return z - math.log1p(math.exp(z))


@kernel
def sigmoid(z: float) -> float:
    """`1 / (1 + exp(-z))`."""
    if z >= 0.0:
        return 1.0 / (1.0 + math.exp(-z))
    odds = math.exp(z)
    return odds / (1.0 + odds)


@kernel
def log_beta_density(a: float, b: float, z: float) -> float:
    """`ln[x^a (1 - x)^b / B(a, b)]` at x = sigmoid(z): the density of the logit of a Beta(a, b)."""
    shift = z - math.log(a / b)
    powers = beta_powers(b, a, -shift)[0] if shift > 0.0 else beta_powers(a, b, shift)[0]
    return log_beta_peak(a, b) + powers


@kernel
def log_complement(log_p: float) -> float:
    """`ln(1 - exp(log_p))` for log_p <= 0."""
    if log_p >= 0.0:
        return -math.inf
    if log_p > -0.6931471805599453:
        return math.log(-math.expm1(log_p))
    return math.log1p(-math.exp(log_p))


@kernel
def log_beta_tails(a: float, b: float, z: float) -> tuple[float, float, float]:
    """`ln P(theta <= x)`, `ln P(theta > x)` and the log-density of the logit, at x = sigmoid(z), theta ~ Beta(a, b)."""
    if b == 1.0:
        lower = a * log_sigmoid(z)
        return lower, log_complement(lower), math.log(a) + lower + log_sigmoid(-z)
    if a == 1.0:
        upper = b * log_sigmoid(-z)
        return log_complement(upper), upper, math.log(b) + upper + log_sigmoid(z)
    log_density, tail, _, _, _ = beta_side(a, b, z - math.log(a / b), log_beta_peak(a, b))
    log_tail = log_density + math.log(abs(tail))
    if tail < 0.0:
        return log_tail, log_complement(log_tail), log_density
    return log_complement(log_tail), log_tail, log_density


@kernel
def _beta_start(a: float, b: float, u: float, log_peak: float) -> float:
    """A shift whose upper tail is about u: from the normal, or from the power laws of the two tails."""
    n = a * b / (a + b)
    if n >= 1.0:
        return normal_start(n, (b - a) / (a + b), normal_upper_quantile(u))
    log_ratio = math.log(a / b)
    # ln B: the density at the peak is mean^a (1 - mean)^b / B
    log_norm = -a * math.log1p(b / a) - b * math.log1p(a / b) - log_peak
    upper = -(math.log(u) + math.log(b) + log_norm) / b
    odds = math.exp(-upper) * (a + b) / (b + 1.0)
    if odds < 0.5:
        return upper - odds - log_ratio
    lower = (math.log1p(-u) + math.log(a) + log_norm) / a
    odds = math.exp(lower) * (a + b) / (a + 1.0)
    if odds < 0.5:
        return lower + odds - log_ratio
    # nearly a Gamma(a) / b, or b / Gamma(b). Where that has no sense: the tail of Beta(a < 1, b) is below that of
    # Beta(1, b), so Newton's method starts beyond the root, never far before it
    x = normal_upper_quantile(u)
    if a < b:
        log_y = math.log(u) / b
        return cubic_start(a, x, math.log(-math.expm1(log_y)) - log_y - log_ratio)
    log_x = math.log1p(-u) / a
    return -cubic_start(b, -x, math.log(-math.expm1(log_x)) - log_x + log_ratio)


@kernel
def _beta_upper_quantile(a: float, b: float, u: float) -> float:
    """`beta_logit_quantile` for u <= 1/2."""
    if a == 1.0:
        log_y = math.log(u) / b
        return math.log(-math.expm1(log_y)) - log_y
    if b == 1.0:
        log_x = math.log1p(-u) / a
        return log_x - math.log(-math.expm1(log_x))
    log_peak = log_beta_peak(a, b)
    log_u = math.log(u)
    scale = min(math.sqrt(1.0 / a + 1.0 / b), 4.0)
    shift = _beta_start(a, b, u, log_peak)
    for _ in range(_MAX_STEPS):
        log_density, tail, x, y, excess = beta_side(a, b, shift, log_peak)
        log_upper = log_density + math.log(abs(tail))
        hazard = 1.0 / tail
        if tail < 0.0:
            log_upper = log_complement(log_upper)
            hazard = math.exp(log_density - log_upper)
        step = (log_upper - log_u) / hazard
        if abs(step) > 0.3 * scale:
            shift += step
            continue
        h2 = -(a + b) * x * y
        shift += log_tail_step(step, hazard, -excess, h2, h2 * (y - x))
        if abs(step) <= _LAST_STEP * scale or math.isnan(step):
            break
    return shift + math.log(a / b)


@kernel
def beta_logit_quantile(a: float, b: float, u: float) -> float:
    """The z at which `P(Beta(a, b) > sigmoid(z)) = u`.

    The logit of a Beta has a log-concave density, so both its log-tails are concave and Newton's method on the smaller
    one converges from anywhere. Near the root the step is of fourth order, and the first one shorter than `_LAST_STEP`
    spreads leaves an error below 1e-13 spreads: no further tail proves it.
    """
    if u > 0.5:  # 1 - u is exact here
        return -_beta_upper_quantile(b, a, 1.0 - u)
    return _beta_upper_quantile(a, b, u)


@kernel
def kl_bernoulli(p: float, q: float) -> float:
    """Kullback-Leibler divergence `p ln(p / q) + (1 - p) ln((1 - p) / (1 - q))`, infinite where q excludes p."""
    divergence = 0.0
    if p > 0.0:
        divergence += p * math.log(p / q) if q > 0.0 else math.inf
    if p < 1.0:
        divergence += (1.0 - p) * math.log((1.0 - p) / (1.0 - q)) if q < 1.0 else math.inf
    return max(divergence, 0.0)


@kernel
def kl_upper_bernoulli(p: float, level: float) -> float:
    """The largest q in [p, 1] with `kl(p, q) <= level` (the KL-UCB index).

    Newton's method from a point right of the root: Pinsker's `p + sqrt(level / 2)`, or the root of
    `kl >= p ln p + (1 - p) ln((1 - p) / (1 - q))`. kl is convex in q, so the way to the root is monotone.
    """
    if level <= 0.0 or p >= 1.0:
        return p
    entropy = p * math.log(p) if p > 0.0 else 0.0
    q = min(p + math.sqrt(0.5 * level), 1.0 - (1.0 - p) * math.exp((entropy - level) / (1.0 - p)))
    for _ in range(_MAX_STEPS):
        if q >= 1.0 or q <= p:
            break
        step = (kl_bernoulli(p, q) - level) * q * (1.0 - q) / (q - p)
        q -= step
        if step <= 1e-15 * q:
            break
    return min(max(q, p), 1.0)

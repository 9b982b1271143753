"""Special functions inside kernels: log-beta, the incomplete beta's two tails and their inverse, Bernoulli KL.

A point of the unit interval is given by its logit z, so that both theta and 1 - theta keep full precision: draws of
Beta(1, .01) differ from each other although 69 % of them round to theta = 1.0.

Relative error of the tails (tests/bandits/test_special.py): below 2e-13 for a + b up to 1e3, below 1e-9 up to 2e6.
"""

import math

from ._numba import kernel

_LOG_SQRT_2PI = 0.9189385332046727
_LARGE = 10.0  # Stirling's series below is exact to a rounding from here on
_MAX_TERMS = 1_000_000
_MAX_STEPS = 200


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
def _log_power(shape: float, total: float, excess: float, log_x: float) -> float:
    """`shape * ln(x / mean)`, where mean = shape / total and excess = x * total - shape."""
    if abs(excess) < 0.5 * shape:
        return shape * math.log1p(excess / shape)
    return shape * (log_x - math.log(shape / total))


@kernel
def log_beta_density(a: float, b: float, z: float) -> float:
    """`ln[x^a (1 - x)^b / B(a, b)]` at x = sigmoid(z): the density of the logit of a Beta(a, b).

    Written as `-(a + b) kl(mean, x)` plus Stirling's terms where a and b are large, so that near the mean the powers
    do not cancel against ln B.
    """
    log_x = log_sigmoid(z)
    log_y = log_sigmoid(-z)
    if a < _LARGE or b < _LARGE:
        return a * log_x + b * log_y - log_beta(a, b)
    total = a + b
    excess = sigmoid(z) * b - sigmoid(-z) * a  # x * total - a, without cancellation between x and the mean
    powers = _log_power(a, total, excess, log_x) + _log_power(b, total, -excess, log_y)
    correction = stirling_correction(a) + stirling_correction(b) - stirling_correction(total)
    return powers + 0.5 * math.log(a) + 0.5 * math.log(b / total) - _LOG_SQRT_2PI - correction


@kernel
def _beta_fraction(a: float, b: float, x: float, y: float, excess: float) -> float:
    """Continued fraction of the incomplete beta, `I_x(a, b) = x^a y^b / B(a, b) / fraction`, by the Lentz method.

    The even part of DLMF 8.17.22 in the form of DiDonato and Morris (1992), which reads x, y = 1 - x and
    excess = b x - a y apart, so that nothing is lost where x is near 0 or 1. Converges in O(sqrt(max(a, b))) terms for
    x < (a + 1) / (a + b + 2).
    """
    fraction = a * (1.0 - excess) / (a + 1.0)
    c = fraction
    d = 0.0
    for m in range(1, _MAX_TERMS):
        step = a + 2.0 * m
        product = m * (b - m) * x / (step - 1.0)
        numerator = (a + m - 1.0) * (a + b + m - 1.0) * x / (step - 1.0) * product
        denominator = m + product + (a + m) * (1.0 - excess + m * (1.0 + y)) / (step + 1.0)
        d = 1.0 / (denominator + numerator * d)
        c = denominator + numerator / c
        change = c * d
        fraction *= change
        if abs(change - 1.0) < 1e-15:
            break
    return fraction


@kernel
def _log_complement(log_p: float) -> float:
    """`ln(1 - exp(log_p))` for log_p <= 0."""
    if log_p >= 0.0:
        return -math.inf
    if log_p > -0.6931471805599453:
        return math.log(-math.expm1(log_p))
    return math.log1p(-math.exp(log_p))


@kernel
def log_beta_tails(a: float, b: float, z: float) -> tuple[float, float, float]:
    """`ln P(theta <= x)`, `ln P(theta > x)` and the log-density of the logit, at x = sigmoid(z), theta ~ Beta(a, b)."""
    log_density = log_beta_density(a, b, z)
    x, y = sigmoid(z), sigmoid(-z)
    excess = x * b - y * a
    if excess + 2.0 * x < 1.0:  # x < (a + 1) / (a + b + 2)
        lower = log_density - math.log(_beta_fraction(a, b, x, y, excess))
        return lower, _log_complement(lower), log_density
    upper = log_density - math.log(_beta_fraction(b, a, y, x, -excess))
    return _log_complement(upper), upper, log_density


@kernel
def _normal_quantile(p: float) -> float:
    """Rough normal quantile for a starting point (Abramowitz and Stegun 26.2.23, error 4.5e-4)."""
    tail = min(p, 1.0 - p)
    t = math.sqrt(-2.0 * math.log(tail))
    top = 2.515517 + t * (0.802853 + t * 0.010328)
    value = t - top / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    return -value if p < 0.5 else value


@kernel
def beta_logit_quantile(a: float, b: float, u: float) -> float:
    """The z at which `P(Beta(a, b) > sigmoid(z)) = u`.

    The logit of a Beta has a log-concave density, so both its log-tails are concave and Newton's method on the smaller
    one converges from anywhere: after at most one step over the root it approaches it from one side only.
    """
    spread = math.sqrt(1.0 / a + 1.0 / b)
    z = math.log(a / b) - _normal_quantile(u) * spread
    for _ in range(_MAX_STEPS):
        log_lower, log_upper, log_density = log_beta_tails(a, b, z)
        if u < 0.5:
            step = (log_upper - math.log(u)) * math.exp(log_upper - log_density)
        else:  # 1 - u is exact here
            step = (math.log(1.0 - u) - log_lower) * math.exp(log_lower - log_density)
        z += step
        if abs(step) <= 1e-12 * (spread + abs(z)) or math.isnan(step):
            break
    return z


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

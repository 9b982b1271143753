"""Where log-evidence reaches a threshold: the roots behind confidence sequences, inside kernels."""

import math

import numpy as np
from numpy.typing import NDArray

from ...bandits._numba import kernel
from ...bandits._special import sigmoid
from ...bandits._special_normal import normal_log_upper
from ._mixtures import beta_mills, gamma_mills

Floats = NDArray[np.float64]

NORMAL, GAMMA_EXPONENTIAL, GAMMA_POISSON, BETA_BINOMIAL = range(4)
_MAX_STEPS = 300
_FARTHEST = 708.0  # logits: beyond, a share leaves float64


@kernel
def log_supermartingale(family: int, s: float, v: float, rho: float, x: float, y: float, side: int) -> float:
    """`ln` of the mixture at the sum s and the intrinsic time v; x, y: the scale c, or the range (g, h).

    Increasing in s where side is 1; where it is 0, from 0 on.
    """
    if family == NORMAL:
        square = 0.5 * s * s / (v + rho) + 0.5 * (math.log(rho) - math.log(v + rho))
        if side == 0:
            return square
        return square + math.log(2.0) + normal_log_upper(-s / math.sqrt(v + rho))
    if family == BETA_BINOMIAL:
        share = x / (x + y)
        a, b = rho * share, rho * y / (x + y)
        z = math.log(x / y)
        successes, failures = (s + v / y) / (x + y), max((v / x - s) / (x + y), 0.0)
        return beta_mills(a + successes, b + failures, z, side) - beta_mills(a, b, z, side)
    square = x * x
    prior = rho / square
    if family == GAMMA_EXPONENTIAL:
        shape, point = (v + rho) / square, (x * s + v + rho) / square
        return gamma_mills(shape, math.log(point), -1) - gamma_mills(prior, math.log(prior), -1)
    shape, point = s / x + (v + rho) / square, (v + rho) / square
    return gamma_mills(shape, math.log(point), 1) - gamma_mills(prior, math.log(prior), 1)


@kernel
def _boundary(family: int, v: float, threshold: float, rho: float, x: float, y: float, side: int, most: float) -> float:
    """The s > 0 at which the mixture reaches the threshold; `most` where it does not below it."""
    low, high = 0.0, min(math.sqrt(v + rho) + x, most)
    while log_supermartingale(family, high, v, rho, x, y, side) < threshold:
        if high >= most:
            return most
        low, high = high, min(2.0 * high, most)
    for _ in range(_MAX_STEPS):
        middle = 0.5 * (low + high)
        if middle <= low or middle >= high:
            break
        if log_supermartingale(family, middle, v, rho, x, y, side) < threshold:
            low = middle
        else:
            high = middle
    return high


@kernel
def boundaries(
    family: int, v: Floats, threshold: float, rho: float, x: float, y: float, side: int, out: Floats
) -> None:
    """Write the boundary at each intrinsic time."""
    for i in range(v.size):
        most = v[i] / x if family == BETA_BINOMIAL else math.inf
        out[i] = _boundary(family, v[i], threshold, rho, x, y, side, most)


@kernel
def _excess(s: float, f: float, a: float, b: float, m: float, z: float) -> float:
    """`ln` of the mixture of likelihood ratios against the logit z; the prior is m p, m (1 - p) there where m > 0."""
    if m > 0.0:
        a, b = m * sigmoid(z), m * sigmoid(-z)
    return beta_mills(a + s, b + f, z, 0) - beta_mills(a, b, z, 0)


@kernel
def _end(s: float, f: float, a: float, b: float, m: float, threshold: float, sign: float) -> float:
    """The logit, upwards or downwards from that of s / (s + f), where the mixture reaches the threshold.

    Steps that double find a bracket; inside it false position, with the value of an end that stays halved (Illinois).
    """
    if s > 0.0 and f > 0.0:
        centre, outer = math.log(s / f), 1.0 / s + 1.0 / f
    else:  # here E is below exp(threshold / 2)
        odds = min(0.5, 0.5 * threshold) / (s + f)
        centre, outer = sign * math.log(odds), 1.0
    inner, at_inner = 0.0, _excess(s, f, a, b, m, centre) - threshold
    if at_inner >= 0.0:  # by rounding alone
        return centre
    outer = min(math.sqrt(-2.0 * at_inner * outer), 4.0)
    while True:
        if abs(centre + sign * outer) > _FARTHEST:
            return sign * math.inf
        at_outer = _excess(s, f, a, b, m, centre + sign * outer) - threshold
        if at_outer >= 0.0:
            break
        inner, at_inner, outer = outer, at_outer, 2.0 * outer
    last = 0
    for _ in range(_MAX_STEPS):
        least = 2e-14 * outer
        if outer - inner <= 2.0 * least:
            break
        step = inner + (outer - inner) * (at_inner / (at_inner - at_outer))
        step = min(max(step, inner + least), outer - least)  # past a root that one end all but is
        value = _excess(s, f, a, b, m, centre + sign * step) - threshold
        if value < 0.0:
            inner, at_inner = step, value
            at_outer *= 0.5 if last == 1 else 1.0
            last = 1
        else:
            outer, at_outer = step, value
            at_inner *= 0.5 if last == -1 else 1.0
            last = -1
    return centre + sign * outer


@kernel
def share_intervals(
    s: Floats, n: Floats, a: float, b: float, m: float, threshold: float, lower: Floats, upper: Floats
) -> int:
    """Write both ends for each pair of counts; answer the first bad pair, or -1."""
    for i in range(s.size):
        if not 0.0 <= s[i] <= n[i] < math.inf:
            return i
        f = n[i] - s[i]
        lower[i] = sigmoid(_end(s[i], f, a, b, m, threshold, -1.0)) if s[i] > 0.0 else 0.0
        upper[i] = sigmoid(_end(s[i], f, a, b, m, threshold, 1.0)) if f > 0.0 else 1.0
    return -1


@kernel
def add_centred(counts: Floats, columns: NDArray[np.int64], values: Floats) -> None:
    """Add values to `[3, K]` one after the other: 1, x, and (x - centre)^2, the centre being the mean before x."""
    for i in range(columns.size):
        column = columns[i]
        centre = (0.5 + counts[1, column]) / (1.0 + counts[0, column])
        counts[0, column] += 1.0
        counts[1, column] += values[i]
        counts[2, column] += (values[i] - centre) ** 2


@kernel
def _log_capital(weights: Floats, column: int, nodes: Floats, bets: Floats, flipped: bool, m: float) -> float:
    """`ln` of the mean over bets of the capital won against a mean of m, or against 1 - m of 1 - x."""
    last = nodes.size - 1
    largest, total = -math.inf, 0.0
    for j in range(bets.size):
        log = 0.0
        for i in range(nodes.size):
            weight = weights[i, column]
            if weight > 0.0:
                log += weight * math.log1p(bets[j] * (nodes[last - i if flipped else i] / m - 1.0))
        if log > largest:
            total = total * math.exp(largest - log) + 1.0
            largest = log
        else:
            total += math.exp(log - largest)
    return largest + math.log(total / bets.size)


@kernel
def _capital_end(
    weights: Floats, column: int, nodes: Floats, bets: Floats, flipped: bool, mean: float, threshold: float
) -> float:
    """The largest m below the mean against which the capital reaches the threshold; it falls in m."""
    if mean <= 0.0:
        return 0.0
    high = mean
    low = 0.5 * mean
    while _log_capital(weights, column, nodes, bets, flipped, low) < threshold:
        high, low = low, 0.5 * low
        if low < 1e-300:
            return 0.0
    for _ in range(_MAX_STEPS):
        middle = 0.5 * (low + high)
        if high - low <= 1e-12 * high or middle <= low or middle >= high:
            break
        if _log_capital(weights, column, nodes, bets, flipped, middle) < threshold:
            high = middle
        else:
            low = middle
    return low


@kernel
def capital_intervals(
    weights: Floats, nodes: Floats, bets: Floats, threshold: float, lower: Floats, upper: Floats
) -> int:
    """Write both ends from weights `[nodes, C]`; answer the first bad column, or -1."""
    for c in range(weights.shape[1]):
        total, below, above = 0.0, 0.0, 0.0
        for i in range(nodes.size):
            if not 0.0 <= weights[i, c] < math.inf:
                return c
            total += weights[i, c]
            below += weights[i, c] * nodes[i]
            above += weights[i, c] * nodes[nodes.size - 1 - i]
        lower[c], upper[c] = 0.0, 1.0
        if total > 0.0:
            lower[c] = _capital_end(weights, c, nodes, bets, False, below / total, threshold)
            upper[c] = 1.0 - _capital_end(weights, c, nodes, bets, True, above / total, threshold)
    return -1

"""Mixtures of likelihood ratios in closed form: what e-processes and confidence sequences are made of, inside kernels.

Mix the likelihood ratio of q against p over a conjugate law of q, cut to one side of p. What comes out is the ratio of
two Mills ratios (a law's mass on that side of p over its density at p), the posterior's to the prior's:

`E = [P(side | counts) / density(p | counts)] / [P(side) / density(p)]`.

In logarithms nothing cancels, however many the counts and however far the tail. Side is 1 for q > p, -1 for q < p,
0 for all q (mass 1).
"""

import math

import numpy as np
from numpy.typing import NDArray

from ...bandits._numba import kernel
from ...bandits._special import log_beta_density, log_complement
from ...bandits._special_beta import beta_side, log_beta_peak
from ...bandits._special_gamma import gamma_log_density, gamma_side
from ...bandits._special_laplace import log_gamma_peak

Floats = NDArray[np.float64]


@kernel
def _log_ratio(log_density: float, tail: float, side: int) -> float:
    """`ln(mass / density)` of a side, from the tail that was easily had over the density: upper, or minus the lower."""
    if side < 0:
        tail = -tail
    if tail > 0.0:
        return math.log(tail)
    return log_complement(log_density + math.log(-tail)) - log_density


@kernel
def beta_mills(a: float, b: float, z: float, side: int) -> float:
    """`ln` of the Mills ratio of the logit of a Beta(a, b) at z."""
    if side == 0:
        return -log_beta_density(a, b, z)
    log_density, tail, _, _, _ = beta_side(a, b, z - math.log(a / b), log_beta_peak(a, b))
    return _log_ratio(log_density, tail, side)


@kernel
def gamma_mills(a: float, z: float, side: int) -> float:
    """`ln` of the Mills ratio of the logarithm of a Gamma(a) at z."""
    if side == 0:
        return -gamma_log_density(a, z)
    log_density, tail, _ = gamma_side(a, z - math.log(a), log_gamma_peak(a))
    return _log_ratio(log_density, tail, side)


@kernel
def log_evidence_of_counts(s: Floats, n: Floats, limit: float, a: float, b: float, side: int, out: Floats) -> int:
    """Write ln E against a rate of `limit`, of s in n, mixed by Beta(a, b); answer the first bad pair, or -1."""
    z = math.log(limit) - math.log1p(-limit)
    prior = beta_mills(a, b, z, side)
    for i in range(s.size):
        if not 0.0 <= s[i] <= n[i] < math.inf:
            return i
        out[i] = beta_mills(a + s[i], b + (n[i] - s[i]), z, side) - prior if n[i] > 0.0 else 0.0
    return -1


@kernel
def log_evidence_above(s: Floats, n: Floats, limit: float, a: float, b: float, out: Floats) -> None:
    """Write ln E of `H0: rate <= limit` for each pair of counts."""
    log_evidence_of_counts(s, n, limit, a, b, 1, out)


@kernel
def log_evidence_of_events(
    k: Floats, t: Floats, limit: float, a: float, b: float, dispersion: float, side: int, out: Floats
) -> int:
    """Write ln E against `limit` events a unit, of k in t, mixed by Gamma(a, rate b); answer the first bad, or -1."""
    prior = gamma_mills(a, math.log(b * limit), side)
    for i in range(k.size):
        if not (0.0 <= k[i] < math.inf and 0.0 <= t[i] < math.inf):
            return i
        events, time = k[i] / dispersion, t[i] / dispersion
        seen = k[i] > 0.0 or t[i] > 0.0
        out[i] = gamma_mills(a + events, math.log((b + time) * limit), side) - prior if seen else 0.0
    return -1


@kernel
def log_mean_exp(logs: Floats, out: Floats) -> int:
    """Write the logarithm of the mean of exp over the rows, `[R, C]` to `[C]`; answer the first NaN column, or -1."""
    for i in range(logs.shape[1]):
        largest = -math.inf
        for j in range(logs.shape[0]):
            if math.isnan(logs[j, i]):
                return i
            largest = max(largest, logs[j, i])
        out[i] = largest
        if math.isinf(largest):
            continue
        total = 0.0
        for j in range(logs.shape[0]):
            total += math.exp(logs[j, i] - largest)
        out[i] = largest + math.log(total / logs.shape[0])
    return -1


@kernel
def add_rows(counts: Floats, columns: NDArray[np.int64], rows: Floats) -> None:
    """Add `[R, B]` to the columns of `[R, K]`, event by event."""
    for j in range(counts.shape[0]):
        for i in range(columns.size):
            counts[j, columns[i]] += rows[j, i]

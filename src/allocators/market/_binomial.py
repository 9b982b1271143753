"""Quantiles of counts inside kernels: the binomial's and the negative binomial's, by adding up masses."""

import math

from ...bandits._numba import kernel

_DEEP = -600.0  # below it the mass at 0 would leave the range in which a float64 is exact


@kernel
def binomial_quantile(n: int, p: float, u: float) -> int:
    """Smallest k with `P(X <= k) >= u`, X ~ Binomial(n, p), u in (0, 1).

    From 0 upwards; where the mass at 0 is too small to be a float64, from the mode.
    """
    if n <= 0 or p <= 0.0:
        return 0
    if p >= 1.0:
        return n
    odds = p / (1.0 - p)
    log_zero = n * math.log1p(-p)
    if log_zero > _DEEP:
        k = 0
        mass = math.exp(log_zero)
        total = mass
    else:
        k = int((n + 1) * p)
        mass = math.exp(
            math.lgamma(n + 1.0) - math.lgamma(k + 1.0) - math.lgamma(n - k + 1.0) + k * math.log(odds) + log_zero
        )
        total = mass
        below = mass
        for j in range(k, 0, -1):  # P(X = j - 1) from P(X = j)
            below *= j / ((n - j + 1.0) * odds)
            total += below
            if below < 1e-20 * total:
                break
        while k > 0 and total - mass >= u:
            total -= mass
            mass *= k / ((n - k + 1.0) * odds)
            k -= 1
    while total < u and k < n:
        mass *= (n - k) * odds / (k + 1.0)
        k += 1
        total += mass
        if mass < 1e-30 * total and k > n * p:  # u is nearer to 1 than the sum can come
            break
    return k


@kernel
def overdispersed_quantile(mean: float, dispersion: float, u: float) -> int:
    """Smallest k with `P(X <= k) >= u`, X negative binomial of that mean and `variance / mean`; Poisson where it is 1.

    From 0 upwards; where the mass at 0 is too small to be a float64, from the mean.
    """
    if mean <= 0.0:
        return 0
    ratio = 1.0 - 1.0 / dispersion  # P(X = k + 1) / P(X = k) = (size + k) ratio / (k + 1)
    is_poisson = ratio < 1e-9
    size = 0.0 if is_poisson else mean / (dispersion - 1.0)
    log_zero = -mean if is_poisson else -size * math.log(dispersion)
    k = 0
    if log_zero > _DEEP:
        mass = math.exp(log_zero)
        total = mass
    else:
        k = int(mean)
        if is_poisson:
            mass = math.exp(k * math.log(mean) - mean - math.lgamma(k + 1.0))
        else:
            mass = math.exp(
                math.lgamma(size + k) - math.lgamma(size) - math.lgamma(k + 1.0) + k * math.log(ratio) + log_zero
            )
        total = mass
        below = mass
        for j in range(k, 0, -1):
            below *= j / (mean if is_poisson else (size + j - 1.0) * ratio)
            total += below
            if below < 1e-20 * total:
                break
        while k > 0 and total - mass >= u:
            total -= mass
            mass *= k / (mean if is_poisson else (size + k - 1.0) * ratio)
            k -= 1
    while total < u:
        mass *= (mean if is_poisson else (size + k) * ratio) / (k + 1.0)
        k += 1
        total += mass
        if mass < 1e-30 * total and k > mean:
            break
    return k

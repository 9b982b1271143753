"""Quantiles of counts inside kernels: the binomial's and the negative binomial's, by adding up masses."""

import math

from ...bandits._numba import kernel

_DEEP = -600.0  # below it the mass at 0 would leave the range in which a float64 is exact
_NOTHING = 1e-20  # share of a sum that no longer changes it, with more to come that shrinks


@kernel
def _more_binomial(n: int, odds: float, k: int) -> float:
    """`P(X = k + 1) / P(X = k)` of a binomial."""
    return (n - k) * odds / (k + 1.0)


@kernel
def binomial_quantile(n: int, p: float, u: float) -> int:
    """Smallest k with `P(X <= k) >= u`, X ~ Binomial(n, p), u in (0, 1).

    Masses are added up from 0; where the mass at 0 is too small to be a float64, they are taken relative to the mode's,
    and u relative to their sum.
    """
    if n <= 0 or p <= 0.0:
        return 0
    if p >= 1.0:
        return n
    odds = p / (1.0 - p)
    log_zero = n * math.log1p(-p)
    k = 0
    mass = math.exp(log_zero)
    total = mass  # of 0 ... k
    if log_zero < _DEEP:
        k = min(int((n + 1) * p), n)
        mass = total = 1.0
        part, j = 1.0, k
        while j > 0 and part > _NOTHING * total:
            j -= 1
            part /= _more_binomial(n, odds, j)
            total += part
        whole = total
        part, j = 1.0, k
        while j < n and part > _NOTHING * whole:
            part *= _more_binomial(n, odds, j)
            whole += part
            j += 1
        u *= whole
        while k > 0 and total - mass >= u:
            total -= mass
            k -= 1
            mass /= _more_binomial(n, odds, k)
    while total < u and k < n:
        mass *= _more_binomial(n, odds, k)
        k += 1
        total += mass
        if mass < _NOTHING * total and k > n * p:  # u is nearer to 1 than the sum can come
            break
    return k


@kernel
def _more_overdispersed(mean: float, size: float, ratio: float, k: int) -> float:
    """`P(X = k + 1) / P(X = k)` of a negative binomial; of a Poisson where the ratio is 0."""
    return (mean if ratio == 0.0 else (size + k) * ratio) / (k + 1.0)


@kernel
def overdispersed_quantile(mean: float, dispersion: float, u: float) -> int:
    """Smallest k with `P(X <= k) >= u`, X negative binomial of that mean and `variance / mean`; Poisson where it is 1.

    As `binomial_quantile`, with the whole number below the mean for the mode.
    """
    if mean <= 0.0:
        return 0
    ratio = 1.0 - 1.0 / dispersion
    ratio = ratio if ratio > 1e-9 else 0.0
    size = mean / (dispersion - 1.0) if ratio else 0.0
    log_zero = -size * math.log(dispersion) if ratio else -mean
    k = 0
    mass = math.exp(log_zero)
    total = mass
    if log_zero < _DEEP:
        k = int(mean)
        mass = total = 1.0
        part, j = 1.0, k
        while j > 0 and part > _NOTHING * total:
            j -= 1
            part /= _more_overdispersed(mean, size, ratio, j)
            total += part
        whole = total
        part, j = 1.0, k
        while part > _NOTHING * whole:
            part *= _more_overdispersed(mean, size, ratio, j)
            whole += part
            j += 1
        u *= whole
        while k > 0 and total - mass >= u:
            total -= mass
            k -= 1
            mass /= _more_overdispersed(mean, size, ratio, k)
    while total < u:
        mass *= _more_overdispersed(mean, size, ratio, k)
        k += 1
        total += mass
        if mass < _NOTHING * total and k > mean:
            break
    return k

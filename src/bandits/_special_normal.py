"""The normal inside kernels: log-tail, Mills ratio and quantile, all to a few roundings however far out."""

import math

from ._numba import kernel

_LOG_SQRT_2PI = 0.9189385332046727
_SQRT_HALF = 0.7071067811865476
_SQRT_HALF_PI = 1.2533141373155003
_FAR = 8.0  # from here on 40 terms of the continued fraction are exact


@kernel
def mills_ratio(t: float) -> float:
    """`P(N > t) / density(t)` of a standard normal, for t >= 0."""
    if t < _FAR:
        return _SQRT_HALF_PI * math.exp(0.5 * t * t) * math.erfc(t * _SQRT_HALF)
    fraction = t
    for k in range(40, 0, -1):  # DLMF 7.9.3
        fraction = t + k / fraction
    return 1.0 / fraction


@kernel
def normal_log_upper(t: float) -> float:
    """`ln P(N > t)` of a standard normal."""
    if t < 0.0:
        return math.log1p(-0.5 * math.erfc(-t * _SQRT_HALF))
    if t < _FAR:
        return math.log(0.5 * math.erfc(t * _SQRT_HALF))
    return -0.5 * t * t - _LOG_SQRT_2PI + math.log(mills_ratio(t))


@kernel
def _normal_central(q: float) -> float:
    """AS241 for a probability of q + 1/2, abs(q) <= .425."""
    r = 0.180625 - q * q
    top = 2509.0809287301226727
    top = top * r + 33430.575583588128105
    top = top * r + 67265.770927008700853
    top = top * r + 45921.953931549871457
    top = top * r + 13731.693765509461125
    top = top * r + 1971.5909503065514427
    top = top * r + 133.14166789178437745
    top = top * r + 3.387132872796366608
    bottom = 5226.495278852854561
    bottom = bottom * r + 28729.085735721942674
    bottom = bottom * r + 39307.89580009271061
    bottom = bottom * r + 21213.794301586595867
    bottom = bottom * r + 5394.1960214247511077
    bottom = bottom * r + 687.1870074920579083
    bottom = bottom * r + 42.313330701600911252
    bottom = bottom * r + 1.0
    return q * top / bottom


@kernel
def _normal_middle(r: float) -> float:
    """AS241 for r = sqrt(-ln tail) in (1.6, 5], shifted by 1.6."""
    r -= 1.6
    top = 7.7454501427834140764e-4
    top = top * r + 0.0227238449892691845833
    top = top * r + 0.24178072517745061177
    top = top * r + 1.27045825245236838258
    top = top * r + 3.64784832476320460504
    top = top * r + 5.7694972214606914055
    top = top * r + 4.6303378461565452959
    top = top * r + 1.42343711074968357734
    bottom = 1.05075007164441684324e-9
    bottom = bottom * r + 5.475938084995344946e-4
    bottom = bottom * r + 0.0151986665636164571966
    bottom = bottom * r + 0.14810397642748007459
    bottom = bottom * r + 0.68976733498510000455
    bottom = bottom * r + 1.6763848301838038494
    bottom = bottom * r + 2.05319162663775882187
    bottom = bottom * r + 1.0
    return top / bottom


@kernel
def _normal_far(r: float) -> float:
    """AS241 for r = sqrt(-ln tail) above 5, shifted by 5."""
    r -= 5.0
    top = 2.01033439929228813265e-7
    top = top * r + 2.71155556874348757815e-5
    top = top * r + 0.0012426609473880784386
    top = top * r + 0.026532189526576123093
    top = top * r + 0.29656057182850489123
    top = top * r + 1.7848265399172913358
    top = top * r + 5.4637849111641143699
    top = top * r + 6.6579046435011037772
    bottom = 2.04426310338993978564e-15
    bottom = bottom * r + 1.4215117583164458887e-7
    bottom = bottom * r + 1.8463183175100546818e-5
    bottom = bottom * r + 7.868691311456132591e-4
    bottom = bottom * r + 0.0148753612908506148525
    bottom = bottom * r + 0.13692988092273580531
    bottom = bottom * r + 0.59983220655588793769
    bottom = bottom * r + 1.0
    return top / bottom


@kernel
def normal_upper_quantile(u: float) -> float:
    """The t at which `P(N > t) = u` (Wichura's AS241; u down to 1e-300 and beyond)."""
    q = 0.5 - u
    if abs(q) <= 0.425:
        return _normal_central(q)
    tail = u if u < 0.5 else 1.0 - u  # exact
    r = math.sqrt(-math.log(tail))
    value = _normal_middle(r) if r <= 5.0 else _normal_far(r)
    return value if u < 0.5 else -value

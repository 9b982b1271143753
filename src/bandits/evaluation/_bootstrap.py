"""Resampling the rows of a log, with replacement, under keyed draws."""

import math

import numpy as np
from numpy.typing import NDArray

from .._numba import free_kernel
from .._random import base_key, fold_in, uniform

Floats = NDArray[np.float64]
RESAMPLES = 2_000
MOST = 16_384  # rows that are resampled; of more, as many groups: a million rows took two minutes one by one
ROUNDING = 1e-12  # of the squares, under which a spread is none


@free_kernel
def _resample(key: int, base: Floats, residuals: Floats, denominators: Floats, out: Floats) -> None:
    """Write Student's ratio of each resample of n rows (multinomial): its error over its own standard error.

    `base` is centred and `residuals` are `numerator - ratio * denominator`, so that what is resampled sums to zero.
    """
    n = base.size
    for b in range(out.size):
        draw = fold_in(key, b)
        means, errors, weights = 0.0, 0.0, 0.0
        mm, me, md, ee, ed, dd = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            row = int(uniform(draw, np.uint64(i), 0) * n)
            m, e, d = base[row], residuals[row], denominators[row]
            means, errors, weights = means + m, errors + e, weights + d
            mm, me, md, ee, ed, dd = mm + m * m, me + m * e, md + m * d, ee + e * e, ed + e * d, dd + d * d
        if weights > 0.0:
            ratio, scale, mean = errors / weights, n / weights, means / n
            spread = mm - n * mean * mean + scale * scale * (ee - ratio * (2.0 * ed - ratio * dd))
            spread += 2.0 * scale * (me - ratio * md)
            if spread <= ROUNDING * (mm + scale * scale * (ee + ratio * ratio * dd)):
                spread = 0.0  # the rows are all alike: their standard error is unknown, and the ratio infinite
            error = mean + ratio
            out[b] = error / math.sqrt(spread / (n * (n - 1.0))) if error != 0.0 else 0.0
        else:
            out[b] = math.nan


def grouped(values: Floats) -> Floats:
    """Rows `[n]`, or means of 16,384 groups where there are more: row i is of group i modulo their number.

    Each is the group's sum over n / 16,384, so that the groups' mean is that of the rows where sizes differ by one too.
    """
    if values.size <= MOST:
        return values
    padded = np.zeros(-(-values.size // MOST) * MOST)
    padded[: values.size] = values
    means: Floats = padded.reshape(-1, MOST).sum(axis=0) * (MOST / values.size)
    return means


def student_quantiles(
    base: Floats, residuals: Floats, denominators: Floats, tail: float, seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """The `tail` and `1 - tail` quantiles of Student's ratio over resampled logs; infinite where unknown.

    Above 16,384 rows groups of rows are resampled, each by its mean: variance and skewness add up as the rows' do.
    """
    base, residuals, denominators = grouped(base), grouped(residuals), grouped(denominators)
    out = np.empty(resamples)
    _resample(base_key(seed, "bootstrap", 0), base, residuals, denominators, out)
    known = np.sort(out[~np.isnan(out)])
    if known.size == 0:
        return -math.inf, math.inf
    rank = min(int(tail * (known.size + 1)), known.size)  # of the (1 - level) / 2 smallest the last; none if too few
    return (float(known[rank - 1]), float(known[-rank])) if rank else (-math.inf, math.inf)

"""The limit of the weights of a doubly robust estimator, by an upper bound of its error."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
GRID = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, math.inf)
DELTA = 0.05  # chance that the bound of the bias fails


def error_bound(base: Floats, weights: Floats, shrunk: Floats, errors: Floats) -> float:
    """Upper bound of the mean squared error of `mean(base + shrunk * errors)`: variance and squared bias.

    The bias is the mean of what shrinking leaves out, `(weights - shrunk) * errors`; it is bounded by Bernstein's
    inequality, with the variance and the largest size seen.

    Parameters
    ----------
    base, weights, shrunk, errors : array of float, [n]

    References
    ----------
    .. [1] Y. Su, M. Dimakopoulou, A. Krishnamurthy and M. Dudik (2020), "Doubly robust off-policy evaluation with
       shrinkage", ICML, section 5.

    Examples
    --------
    Nothing is left out, so only the variance counts: 1 over 2 rows:

    >>> one = np.ones(2)
    >>> error_bound(np.array([0.0, 2.0]), one, one, one)
    0.5
    """
    n = base.size
    left = (weights - shrunk) * errors
    log = math.log(2.0 / DELTA)
    bias = abs(float(left.mean())) + math.sqrt(2.0 * log / n * float(left.var()))
    bias += 2.0 * log / (3.0 * n) * float(np.abs(left).max())
    return float((base + shrunk * errors).var()) / n + bias**2


def chosen_limit(base: Floats, weights: Floats, errors: Floats, shrink: Callable[[Floats, float], Floats]) -> float:
    """The limit of `GRID` with the least `error_bound`; of equal ones the largest, which leaves out least."""
    best, least = math.inf, math.inf
    for limit in reversed(GRID):
        bound = error_bound(base, weights, shrink(weights, limit), errors)
        if bound < least:
            best, least = limit, bound
    return best

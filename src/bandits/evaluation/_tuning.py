"""The limit of the weights of a doubly robust estimator, chosen by Lepski's principle (SLOPE)."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
GRID = (math.inf, 10_000.0, 5_000.0, 2_000.0, 1_000.0, 500.0, 200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0)
WIDTH = 1.96  # standard errors within which an estimate is held to be of its mean


def chosen_limit(base: Floats, weights: Floats, errors: Floats, shrink: Callable[[Floats, float], Floats]) -> float:
    """The least limit of `GRID` whose estimate is at odds with that of no larger limit.

    From infinity down, the bias grows and the error by chance falls. Each estimate stands for its mean plus or minus
    twice 1.96 standard errors; as long as all these intervals have a point in common, no bias can be seen against the
    noise. The squared error is then within a constant of that of the best limit.

    Parameters
    ----------
    base, weights, errors : array of float, [n]
    shrink
        The weights as used under a limit.

    References
    ----------
    .. [1] Y. Su, P. Srinath and A. Krishnamurthy (2020), "Adaptive estimator selection for off-policy evaluation",
       ICML.

    Examples
    --------
    Without errors of the model all limits agree, and the least is taken:

    >>> two = np.full(2, 2.0)
    >>> chosen_limit(two, two, 0.0 * two, np.minimum)
    1.0
    """
    low, high, chosen = -math.inf, math.inf, math.inf
    for limit in GRID:
        terms = base + shrink(weights, limit) * errors
        reach = 2.0 * WIDTH * float(terms.std()) / math.sqrt(terms.size)
        middle = float(terms.mean())
        low, high = max(low, middle - reach), min(high, middle + reach)
        if low > high:
            break
        chosen = limit
    return chosen

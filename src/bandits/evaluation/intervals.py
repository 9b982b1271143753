"""Intervals for `mean(base) + sum(numerators) / sum(denominators)` over the rows of a log."""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
IntervalKind = Literal["normal", "bootstrap", "empirical_bernstein", "rare"]


def bounds(
    interval: str,
    base: Floats,
    numerators: Floats,
    denominators: Floats | None,
    value: float,
    level: float,
    seed: int,
    term_range: tuple[float, float] | None,
) -> tuple[IntervalKind, float, float]:
    """Kind and ends of the interval (a first version: the normal one whatever is asked)."""
    n = numerators.size
    if n < 2 or math.isnan(value):
        return "normal", -math.inf, math.inf
    d = np.ones(n) if denominators is None else denominators
    spread = base - base.mean() + (numerators - numerators.sum() / d.sum() * d) / d.mean()
    half = float(ndtri(0.5 + level / 2.0)) * math.sqrt(float(spread @ spread) / (n * (n - 1.0)))
    return "normal", value - half, value + half

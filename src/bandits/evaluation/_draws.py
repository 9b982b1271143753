"""Keyed draws of the rows of a log."""

import numpy as np
from numpy.typing import NDArray

from .._inputs import checked_int
from .._numba import free_kernel
from .._random import base_key, uniform

Floats = NDArray[np.float64]


def row_draws(seed: int, name: str, n: int) -> Floats:
    """Uniforms in (0, 1), one a row, `[n]`: functions of the seed, of what they are for, and of the row's number."""
    draws = np.empty(n)
    _fill(base_key(checked_int(seed, "seed", 0, 2**64 - 1), name, 0), draws)
    return draws


@free_kernel
def _fill(key: int, out: Floats) -> None:
    for i in range(out.size):
        out[i] = uniform(key, np.uint64(i), 0)

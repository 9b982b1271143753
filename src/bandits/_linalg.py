"""Rank-one updates of a ridge regression, in one contiguous block of numbers.

A block of d features holds, packed by rows of the lower triangle (D = d (d + 1) / 2 numbers):

    evidence  [D]  sum w x x'
    inverse   [D]  (ridge I + evidence)^-1
    moment    [d]  sum w r x
    theta     [d]  inverse moment
    ridge     [1]  as it stands in the inverse
    count     [1]  updates since the inverse was last made anew

The inverse follows each event by Sherman and Morrison's formula, and is made anew from the evidence, by Cholesky, every
REFRESH events, so that rounding does not build up.
"""

import math

import numpy as np

from ._numba import kernel
from ._simd import dot
from ._table import Table

REFRESH = 100


def block_width(features: int) -> int:
    """Numbers in a block."""
    return features * (features + 1) + 2 * features + 2


def new_block(features: int, ridge: float) -> Table:
    """Make a block without evidence."""
    block = np.zeros(block_width(features))
    packed = features * (features + 1) // 2
    diagonal = np.arange(1, features + 1).cumsum() - 1
    block[packed + diagonal] = 1.0 / ridge
    block[-2] = ridge
    return block


def are_blocks(blocks: Table, features: int) -> bool:
    """Whether these can be blocks, `[n, W]`, as far as single numbers tell."""
    packed = features * (features + 1) // 2
    diagonal, ridge = np.arange(1, features + 1).cumsum() - 1, 2 * (packed + features)
    count = blocks[:, ridge + 1]
    is_counted = (count >= 0.0) & (count < REFRESH) & (count == np.floor(count))
    return bool((blocks[:, diagonal] >= 0.0).all() and (blocks[:, ridge] > 0.0).all() and is_counted.all())


@kernel
def outer(x: Table, out: Table) -> None:
    """Write x x' packed, entries off the diagonal doubled, so that `dot(inverse, out)` is `x' inverse x`."""
    at = 0
    for i in range(x.size):
        for j in range(i):
            out[at + j] = 2.0 * x[i] * x[j]
        out[at + i] = x[i] * x[i]
        at += i + 1


@kernel
def times(block: Table, start: int, x: Table, out: Table) -> None:
    """Add the product of the packed symmetric matrix at `start` with x."""
    at = start
    for i in range(x.size):
        for j in range(i):
            out[j] += block[at + j] * x[i]
        out[i] += dot(block, at, x, 0, i + 1)
        at += i + 1


@kernel
def learn_block(block: Table, x: Table, reward: float, weight: float, work: Table) -> float:
    """Learn one event; `work [d]` holds `inverse x` of before afterwards. Return `1 / weight + x' inverse x` of before.

    A weight of 0 changes nothing and returns infinity.
    """
    d = x.size
    packed = d * (d + 1) // 2
    work[:] = 0.0
    times(block, packed, x, work)
    if weight <= 0.0:
        return math.inf
    spread = 1.0 / weight + dot(x, 0, work, 0, d)
    moment, theta = 2 * packed, 2 * packed + d
    error = (reward - dot(x, 0, block, theta, d)) / spread
    at = 0
    for i in range(d):
        gain, mass = work[i] / spread, weight * x[i]
        for j in range(i + 1):
            block[at + j] += mass * x[j]
            block[packed + at + j] -= gain * work[j]
        at += i + 1
        block[moment + i] += mass * reward
        block[theta + i] += error * work[i]
    block[theta + d + 1] += 1.0
    if block[theta + d + 1] >= REFRESH:
        refresh_block(block, d, block[theta + d])
    return float(spread)


@kernel
def refresh_block(block: Table, d: int, ridge: float) -> None:
    """Make inverse and theta anew from evidence and moment, with the given ridge."""
    packed = d * (d + 1) // 2
    inverse = np.zeros((d, d))
    at = 0
    for i in range(d):
        for j in range(i + 1):
            inverse[i, j] = block[at + j]
        inverse[i, i] += ridge
        at += i + 1
    _cholesky(inverse)
    _invert_triangle(inverse)
    at = packed
    for i in range(d):  # inverse = L^-T L^-1
        for j in range(i + 1):
            total = 0.0
            for k in range(i, d):
                total += inverse[k, i] * inverse[k, j]
            block[at + j] = total
        at += i + 1
    theta = np.zeros(d)
    times(block, packed, block[2 * packed : 2 * packed + d], theta)
    block[2 * packed + d : 2 * packed + 2 * d] = theta
    block[2 * packed + 2 * d] = ridge
    block[2 * packed + 2 * d + 1] = 0.0


@kernel
def _cholesky(a: Table) -> None:
    """Overwrite the lower triangle with its Cholesky factor.

    A pivot that rounding has eaten up, where evidence outweighs the ridge by 1e16, is what rounding leaves of it.
    """
    for i in range(a.shape[0]):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = math.sqrt(max(total, 2.0**-52 * abs(a[i, i]), 1e-300)) if i == j else total / a[j, j]


@kernel
def _invert_triangle(a: Table) -> None:
    """Overwrite a lower triangle with its inverse."""
    d = a.shape[0]
    for j in range(d):
        a[j, j] = 1.0 / a[j, j]
        for i in range(j + 1, d):
            total = 0.0
            for k in range(j, i):
                total += a[i, k] * a[k, j]
            a[i, j] = -total / a[i, i]


@kernel
def inverse_factor(block: Table, d: int) -> Table:
    """Cholesky factor L, `[d, d]`, of the block's inverse: `L z` of a standard normal z has it for covariance."""
    packed = d * (d + 1) // 2
    factor = np.zeros((d, d))
    at = packed
    for i in range(d):
        for j in range(i + 1):
            factor[i, j] = block[at + j]
        at += i + 1
    _cholesky(factor)
    return factor


@kernel
def keep_ridge(block: Table, d: int, ridge: float) -> None:
    """Make a block anew where its ridge has fallen below half of what it should be, in forward weights."""
    if block[d * (d + 1) + 2 * d] < 0.5 * ridge:
        refresh_block(block, d, ridge)


@kernel
def decay_block(block: Table, d: int, factor: float, ridge: float) -> None:
    """Multiply the evidence of a block by a factor, a power of two, and make the rest anew with the given ridge."""
    packed = d * (d + 1) // 2
    for i in range(packed):
        block[i] *= factor
    for i in range(d):
        block[2 * packed + i] *= factor
    refresh_block(block, d, ridge)

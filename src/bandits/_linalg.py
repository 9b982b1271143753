"""Rank-one updates of a ridge regression, in one contiguous block of numbers.

A block of d features holds, packed by rows of the lower triangle (D = d (d + 1) / 2 numbers):

    evidence  [D]  sum w x x'
    inverse   [D]  (ridge I + evidence)^-1
    moment    [d]  sum w r x
    theta     [d]  inverse moment
    ridge     [1]  as it stands in the inverse
    count     [1]  updates since the inverse was last made anew
    others    [D]  evidence of other replicas, and
              [d]  their moment, which inverse and theta hold too; there only once a bandit has learnt from others

The inverse follows each event by Sherman and Morrison's formula, and is made anew from the evidence, by Cholesky, every
REFRESH events, so that rounding does not build up.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ._numba import kernel
from ._simd import add_scaled, dot
from ._table import Table

REFRESH = 100
_ROUNDING = 1e-9  # of a pivot


def block_width(features: int) -> int:
    """Numbers in a block."""
    return features * (features + 1) + 2 * features + 2


def others_width(features: int) -> int:
    """Numbers by which a block is longer where other replicas' evidence stands in it: that of an additive sum."""
    return features * (features + 1) // 2 + features


def diagonal(features: int) -> NDArray[np.int64]:
    """Places of a packed triangle's diagonal, `[d]`."""
    return np.arange(1, features + 1).cumsum() - 1


@kernel
def own_width(d: int) -> int:
    """Numbers in a block before the others' sums: `block_width`, in kernels."""
    return d * (d + 1) + 2 * d + 2


def new_block(features: int, ridge: float) -> Table:
    """Make a block without evidence."""
    block = np.zeros(block_width(features))
    packed = features * (features + 1) // 2
    block[packed + diagonal(features)] = 1.0 / ridge
    block[-2] = ridge
    return block


def are_blocks(blocks: Table, features: int) -> bool:
    """Whether these can be blocks, `[n, W]`, as far as single numbers tell."""
    packed = features * (features + 1) // 2
    ridge = 2 * (packed + features)
    count = blocks[:, ridge + 1]
    is_counted = (count >= 0.0) & (count < REFRESH) & (count == np.floor(count))
    return bool((blocks[:, diagonal(features)] >= 0.0).all() and (blocks[:, ridge] > 0.0).all() and is_counted.all())


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
        add_scaled(out, 0, x[i], block, at, i)
        out[i] += dot(block, at, x, 0, i + 1)
        at += i + 1


@kernel
def norm(numbers: Table, start: int, d: int) -> float:
    """Largest sum of a row's absolute values in the packed symmetric matrix at `start`: no eigenvalue is larger."""
    sums = np.zeros(d)
    at = start
    for i in range(d):
        for j in range(i + 1):
            sums[j] += abs(numbers[at + j])
            if j < i:
                sums[i] += abs(numbers[at + j])
        at += i + 1
    return float(sums.max())


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
        mass = weight * x[i]
        add_scaled(block, at, mass, x, 0, i + 1)
        block[moment + i] += mass * reward
        at += i + 1
    for i in range(d):
        add_scaled(block, at, -work[i] / spread, work, 0, i + 1)
        at += i + 1
    add_scaled(block, theta, error, work, 0, d)
    block[theta + d + 1] += 1.0
    if block[theta + d + 1] >= REFRESH:
        refresh_block(block, d, block[theta + d])
    return float(spread)


@kernel
def refresh_block(block: Table, d: int, ridge: float) -> None:
    """Make inverse and theta anew from evidence and moment, with the given ridge."""
    packed = d * (d + 1) // 2
    root, moment = np.empty(d * d), np.empty(d)
    _precision(block, ridge, block.size > own_width(d), root, moment)
    if not _cholesky(root, d):  # more was taken back of others' evidence than has been heard of it yet
        _precision(block, ridge, False, root, moment)
        _cholesky(root, d)
    _invert_triangle(root, d)
    block[packed : 2 * packed] = 0.0
    for k in range(d):  # inverse = L^-T L^-1
        at = packed
        for i in range(k + 1):
            add_scaled(block, at, root[k * d + i], root, k * d, i + 1)
            at += i + 1
    theta = np.zeros(d)
    times(block, packed, moment, theta)
    block[2 * packed + d : 2 * packed + 2 * d] = theta
    block[2 * packed + 2 * d] = ridge
    block[2 * packed + 2 * d + 1] = 0.0


@kernel
def _precision(block: Table, ridge: float, with_others: bool, matrix: Table, moment: Table) -> None:
    """Write ridge and evidence to the upper triangle of a `[d, d]`, flat, and the moment: with others' or without."""
    d = moment.size
    packed = d * (d + 1) // 2
    others = own_width(d)
    matrix[:] = 0.0
    at = 0
    for i in range(d):
        for j in range(i + 1):
            matrix[j * d + i] = block[at + j] + (block[others + at + j] if with_others else 0.0)
        matrix[i * d + i] += ridge
        moment[i] = block[2 * packed + i] + (block[others + packed + i] if with_others else 0.0)
        at += i + 1


@kernel
def _cholesky(a: Table, d: int) -> bool:
    """Overwrite the upper triangle of a `[d, d]`, flat, with the transpose of its Cholesky factor, if it has one.

    A pivot that rounding has eaten up, where evidence outweighs the ridge by 1e16, is what rounding leaves of it.
    """
    is_positive = True
    for j in range(0, d * d, d + 1):
        n = d - j // d
        whole = abs(a[j])
        for k in range(j // d, j, d):
            add_scaled(a, j, -a[k], a, k, n)
        is_positive &= a[j] > -_ROUNDING * whole
        a[j] = math.sqrt(max(a[j], 2.0**-52 * whole, 1e-300))
        for i in range(j + 1, j + n):
            a[i] /= a[j]
    return is_positive


@kernel
def _invert_triangle(a: Table, d: int) -> None:
    """Write the inverse of the factor whose transpose stands in the upper triangle of a to the lower, which is zero."""
    for i in range(d):
        row = i * d
        for k in range(i):
            add_scaled(a, row, a[k * d + i], a, k * d, k + 1)
        for j in range(row, row + i):
            a[j] /= -a[row + i]
        a[row + i] = 1.0 / a[row + i]


@kernel
def inverse_factor(block: Table, d: int) -> Table:
    """Transpose, `[d, d]`, of the Cholesky factor L of the inverse: the covariance of `L z`, z standard normals."""
    factor = np.zeros(d * d)
    at = d * (d + 1) // 2
    for i in range(d):
        for j in range(i + 1):
            factor[j * d + i] = block[at + j]
        at += i + 1
    _cholesky(factor, d)
    return factor.reshape(d, d)


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
    for i in range(own_width(d), block.size):
        block[i] *= factor
    refresh_block(block, d, ridge)

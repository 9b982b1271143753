"""The k highest scores of the disjoint linear model, exactly, without reading the inverse of every arm.

An arm scores `mean + reach deviation`: reach is LinUCB's alpha, or a standard normal of the arm's own for a draw. The
mean takes d numbers, the deviation d (d + 1) / 2. But no deviation at x exceeds `|x| sqrt(norm)`, the norm of the arm's
inverse a number kept with the arm, so that an arm is refused by its mean alone where even that leaves it below the k
best so far. Bounds only ever refuse what cannot win: the decision is that of scoring every arm, bit by bit.
"""

import math

import numpy as np

from .._bounds import rough_normal
from .._linalg import norm, outer
from .._numba import kernel
from .._random import uniform
from .._simd import dot
from .._special_normal import normal_upper_quantile
from .._table import NORM, OK, STALE, Handles, Table, Uids, first_stale
from ..models._linear_base import deviation
from ..models.linear import variance_at
from ._top import finish, push

_ROUGH = 0.01  # twenty times the error of `rough_normal`
_SLACK = 1.0 + 1e-9  # on squares: beyond what rounding adds to a norm in REFRESH updates, and to a variance


@kernel
def lazy_linear_best(
    table: Table,
    blocks: Table,
    handles: Handles,
    uids: Uids,
    contexts: Table,
    key: int,
    width: float,
    reach: float,
    positions: Handles,
    scores: Table,
) -> int:
    """Write positions and scores of the k best candidates of a model without decay; answer a status.

    width: factor of the deviations; reach: how many of them an arm is ranked above its mean, NaN for a keyed normal.
    """
    if first_stale(table, handles) >= 0:
        return STALE
    count, k = handles.size, positions.size
    means, bounds = np.empty(count), np.empty(count)
    _bound(table, blocks, handles, uids, contexts, key, width, reach, means, bounds)
    filled = 0
    for i in range(count):
        if filled < k or bounds[i] > scores[0]:
            filled = push(i, bounds[i], handles, uids, filled, positions, scores)
    starters = positions.copy()
    flat, d = blocks.reshape(blocks.size), contexts.shape[1]
    square = np.empty(d * (d + 1) // 2)
    outer(contexts[0], square)
    filled = 0
    for turn in range(k + count):
        i = starters[turn] if turn < k else turn - k
        if filled == k and not bounds[i] >= scores[0]:
            continue
        bounds[i] = -math.inf  # its turn has come
        if contexts.shape[0] > 1:
            outer(contexts[i], square)
        column = handles[i] & 0xFFFF_FFFF
        times = normal_upper_quantile(uniform(key, uids[column], 0)) if math.isnan(reach) else reach
        score = means[i] + times * deviation(variance_at(table, flat, blocks.shape[1], column, square, 1.0), width)
        if filled < k or score >= scores[0]:
            filled = push(i, score, handles, uids, filled, positions, scores)
    finish(handles, uids, positions, scores)
    return OK


@kernel
def _bound(
    table: Table,
    blocks: Table,
    handles: Handles,
    uids: Uids,
    contexts: Table,
    key: int,
    width: float,
    reach: float,
    means: Table,
    bounds: Table,
) -> None:
    """Write the mean of each candidate, and what its score cannot exceed."""
    d = contexts.shape[1]
    packed = d * (d + 1) // 2
    flat, points = blocks.reshape(blocks.size), contexts.reshape(contexts.size)  # slices in the loop would cost as much
    step = d if contexts.shape[0] > 1 else 0  # from the context of one candidate to that of the next
    size = dot(points, 0, points, 0, d)
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        start = column * blocks.shape[1]
        if table[NORM, column] == 0.0:
            table[NORM, column] = norm(flat, start + packed, d)
        if step > 0:
            size = dot(points, i * step, points, i * step, d)
        means[i] = dot(points, i * step, flat, start + 2 * packed + d, d)
        bounds[i] = size * table[NORM, column] * _SLACK
    is_drawn = math.isnan(reach)
    for i in range(handles.size):  # apart from the above, which waits for memory
        most = rough_normal(uniform(key, uids[handles[i] & 0xFFFF_FFFF], 0)) + _ROUGH if is_drawn else reach
        bounds[i] = means[i] + max(most, 0.0) * deviation(bounds[i], width)

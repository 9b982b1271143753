"""The k highest scores of the disjoint linear model, exactly, without reading the inverse of every arm.

An arm scores `mean + reach deviation`: reach is LinUCB's alpha, or a standard normal of the arm's own for a draw. The
mean takes d numbers, the deviation d (d + 1) / 2. But no deviation at x exceeds `|x| sqrt(norm)`, the norm of the arm's
inverse a number kept with the arm, so that an arm is refused by its mean alone where even that leaves it below the k
best so far. Bounds only ever refuse what cannot win: the decision is that of scoring every arm, bit by bit.
"""

import math

import numpy as np

from .._linalg import norm, outer
from .._numba import kernel
from .._random import uniform
from .._simd import dot
from .._special_normal import normal_upper_quantile
from .._table import NORM, OK, STALE, Handles, Table, Uids, first_stale
from ..models._linear_base import deviation
from ..models.linear import variance_at
from ._top import finish, push

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
    count, k, d = handles.size, positions.size, contexts.shape[1]
    packed = d * (d + 1) // 2
    flat, points = blocks.reshape(blocks.size), contexts.reshape(contexts.size)  # slices in the loop would cost as much
    step = d if contexts.shape[0] > 1 else 0  # from the context of one candidate to that of the next
    means, reaches, bounds = np.empty(count), np.empty(count), np.empty(count)
    filled = 0
    for i in range(count):
        column = handles[i] & 0xFFFF_FFFF
        start = column * blocks.shape[1]
        if table[NORM, column] == 0.0:
            table[NORM, column] = norm(flat, start + packed, d)
        means[i] = dot(points, i * step, flat, start + 2 * packed + d, d)
        reaches[i] = normal_upper_quantile(uniform(key, uids[column], 0)) if math.isnan(reach) else reach
        most = dot(points, i * step, points, i * step, d) * table[NORM, column] * _SLACK
        bounds[i] = means[i] + max(reaches[i], 0.0) * deviation(most, width)
        if filled < k or bounds[i] > scores[0]:
            filled = push(i, bounds[i], handles, uids, filled, positions, scores)
    starters = positions.copy()
    square = np.empty(packed)
    outer(contexts[0], square)
    filled = 0
    for turn in range(k + count):
        i = starters[turn] if turn < k else turn - k
        if filled == k and not bounds[i] >= scores[0]:
            continue
        bounds[i] = -math.inf  # its turn has come
        if step > 0:
            outer(contexts[i], square)
        variance = variance_at(table, flat, blocks.shape[1], handles[i] & 0xFFFF_FFFF, square, 1.0)
        score = means[i] + reaches[i] * deviation(variance, width)
        if filled < k or score >= scores[0]:
            filled = push(i, score, handles, uids, filled, positions, scores)
    finish(handles, uids, positions, scores)
    return OK

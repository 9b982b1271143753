"""The k highest of scores `scale_i theta_i - offset_i`, theta_i draws, without drawing every arm: `_lazy` under prices.

An arm's score exceeds m exactly when theta_i exceeds `m_i = (m + offset_i) / scale_i`, for scale_i > 0, so that the
bounds of the upper tail refuse it as before, each at a threshold of its own. Where scale_i <= 0 no theta helps, and the
score is at most what the least theta gives. Who survives is drawn exactly, by the one inversion.
"""

import math

import numpy as np
from numpy.typing import NDArray

from .._beliefs import refresh
from .._bounds import constant_slack, log_density_bound, rough_normal, slope_of
from .._families import BETA, GAMMA, theta_of, upper_quantile, z_of
from .._numba import kernel
from .._random import uniform
from .._table import CENTER, CONSTANT, FAMILY, OK, SPREAD, STALE, Handles, P, Q, R, Table, Uids
from ._top import finish, push

_MARGIN = 1e-9  # of a threshold, relative: beyond what rounding takes in (m + offset) / scale and back


@kernel
def priced_best(
    table: Table,
    handles: Handles,
    uids: Uids,
    key: int,
    version: float,
    now: float,
    scales: Table,
    offsets: Table,
    positions: Handles,
    scores: Table,
) -> int:
    """Write positions and scores of the k best candidates, best first; scales and offsets `[C]`."""
    if not refresh(table, handles, version, now):
        return STALE
    family = int(table[FAMILY, -1])
    count, k = handles.size, positions.size
    u, rough = np.empty(count), np.empty(count)
    _rough_scores(family, table, handles, uids, key, scales, offsets, u, rough)
    filled = 0
    for i in range(count):
        if filled < k or rough[i] > scores[0]:
            filled = push(i, rough[i], handles, uids, filled, positions, scores)
    starters = positions.copy()
    is_drawn = np.zeros(count, np.bool_)
    filled = 0
    for i in starters:
        filled = push(
            i, _score(family, table, handles[i], u[i], scales[i], offsets[i]), handles, uids, filled, positions, scores
        )
        is_drawn[i] = True
    _take_better(family, table, handles, uids, u, scales, offsets, is_drawn, positions, scores)
    finish(handles, uids, positions, scores)
    return OK


@kernel
def _score(family: int, table: Table, handle: int, u: float, scale: float, offset: float) -> float:
    column = handle & 0xFFFF_FFFF
    z = upper_quantile(family, table[P, column], table[Q, column], table[R, column], u)
    return scale * theta_of(family, z) - offset


@kernel
def _rough_scores(
    family: int,
    table: Table,
    handles: Handles,
    uids: Uids,
    key: int,
    scales: Table,
    offsets: Table,
    u: Table,
    rough: Table,
) -> None:
    """Write the uniform of each candidate and about its score."""
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        u[i] = uniform(key, uids[column], 0)
        rough[i] = table[CENTER, column] + table[SPREAD, column] * rough_normal(u[i])
    if family == BETA:
        for i in range(handles.size):
            rough[i] = scales[i] / (1.0 + _rough_exp(-rough[i])) - offsets[i]
    elif family == GAMMA:
        for i in range(handles.size):
            rough[i] = scales[i] * _rough_exp(rough[i]) - offsets[i]
    else:
        for i in range(handles.size):
            rough[i] = scales[i] * rough[i] - offsets[i]


@kernel
def _rough_exp(x: float) -> float:
    """About exp(x), within 2e-3: exponent and a parabola for the mantissa, so that loops over it are vectorised."""
    y = min(max(x * 1.4426950408889634, -1000.0), 1000.0)
    whole = math.floor(y)
    f = y - whole
    power = np.int64((np.int64(whole) + np.int64(1023)) << np.int64(52)).view(np.float64)
    return float(power * (1.0024 + f * (0.6510 + f * 0.3446)))


@kernel
def _take_better(
    family: int,
    table: Table,
    handles: Handles,
    uids: Uids,
    u: Table,
    scales: Table,
    offsets: Table,
    is_drawn: NDArray[np.bool_],
    positions: Handles,
    scores: Table,
) -> None:
    """Let all other candidates try to be among the k best, which are full."""
    k = positions.size
    for i in range(handles.size):
        if is_drawn[i]:
            continue
        column = handles[i] & 0xFFFF_FFFF
        if not _may_exceed(family, table, column, u[i], scales[i], offsets[i], scores[0]):
            continue
        score = _score(family, table, handles[i], u[i], scales[i], offsets[i])
        if score >= scores[0]:
            push(i, score, handles, uids, k, positions, scores)


@kernel
def _may_exceed(family: int, table: Table, column: int, u: float, scale: float, offset: float, m: float) -> bool:
    """Whether the score of an arm whose uniform is u may reach m."""
    is_positive = family in (BETA, GAMMA)
    if not scale > 0.0:
        return not is_positive or -offset >= m
    least = (m + offset) / scale
    least -= _MARGIN * (abs(m) + abs(offset)) / scale
    p, q, r, constant = table[P, column], table[Q, column], table[R, column], table[CONSTANT, column]
    if is_positive and least <= 0.0:
        return True
    if family == BETA:
        if least >= 1.0:
            return False
        if least <= p / (p + q):
            return True
        t1, t2 = math.log(least), math.log1p(-least)
        s1, s2 = 1.0 - least, least
    elif family == GAMMA:
        t1, t2, s1, s2 = math.log(least), -least, 1.0, least
    else:
        t1 = t2 = s1 = s2 = 0.0
    z = z_of(family, least) if not is_positive else 0.0
    bound = log_density_bound(family, p, q, r, constant, z, t1, t2)
    slope = slope_of(family, p, q, z, s1, s2)
    return slope <= 0.0 or bound >= math.log(u * slope) - constant_slack(constant, bound)


@kernel
def rank_values(
    handles: Handles, uids: Uids, key: int, x: float, y: float, values: Table, positions: Handles, scores: Table
) -> None:
    """Write positions and values of the k best candidates, best first; values that are no numbers come last."""
    filled = 0
    for i in range(handles.size):
        value = -math.inf if math.isnan(values[i]) else values[i]
        if filled < positions.size or value >= scores[0]:
            filled = push(i, value, handles, uids, filled, positions, scores)
    finish(handles, uids, positions, scores)

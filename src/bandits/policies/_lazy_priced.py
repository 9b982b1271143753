"""The k highest of scores `scale_i theta_i - offset_i`, theta_i draws, without drawing every arm: `_lazy` under prices.

An arm's score exceeds m exactly when theta_i exceeds `m_i = (m + offset_i) / scale_i`, for scale_i > 0, so that the
bounds of the upper tail refuse it as before, each at a threshold of its own. Where scale_i <= 0 no theta helps, and the
score is at most what the least theta gives. Who survives is drawn exactly, by the one inversion.
"""

import math

import numpy as np
from numpy.typing import NDArray

from .._beliefs import refresh
from .._bounds import bit_log, constant_slack, log_density_bound, rough_normal, slope_of
from .._families import BETA, GAMMA, theta_of, upper_quantile, z_of
from .._numba import kernel
from .._random import uniform
from .._table import CENTER, CONSTANT, FAMILY, OK, SPREAD, STALE, Handles, P, Q, R, Table, Uids
from ._top import finish, push

Flags = NDArray[np.bool_]

_BLOCK = 512
_LOG_ERROR = 1e-7  # of `_near_log`, and what rounding adds
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
    is_dense = version >= 0.0
    _rough_scores(family, table, handles, uids, key, scales, offsets, is_dense, u, rough)
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
    _take_better(family, table, handles, u, uids, scales, offsets, is_dense, is_drawn, positions, scores)
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
    is_dense: bool,
    u: Table,
    rough: Table,
) -> None:
    """Write the uniform of each candidate and about its score."""
    if is_dense:
        for i in range(handles.size):
            u[i] = uniform(key, uids[i], 0)
            rough[i] = table[CENTER, i] + table[SPREAD, i] * rough_normal(u[i])
    else:
        spread = np.empty(handles.size)
        for i in range(handles.size):
            column = handles[i] & 0xFFFF_FFFF
            u[i] = uniform(key, uids[column], 0)
            rough[i], spread[i] = table[CENTER, column], table[SPREAD, column]
        for i in range(handles.size):  # apart from the above, which gathers
            rough[i] += spread[i] * rough_normal(u[i])
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
    """About exp(x), within 1e-4 of itself, so that loops over it are vectorised.

    Adding 1.5 * 2^52 rounds to a whole number, which then stands in the lowest bits: the exponent of the result.
    """
    y = min(max(x * 1.4426950408889634, -1000.0), 1000.0)
    moved = y + 6755399441055744.0
    f = y - (moved - 6755399441055744.0)
    bits = np.float64(moved).view(np.int64)
    power = np.int64((bits + np.int64(1023)) << np.int64(52)).view(np.float64)
    return float(power * (0.99992456 + f * (0.69313673 + f * (0.24263948 + f * 0.05583828))))


@kernel
def _near_log(x: float) -> float:
    """`ln x` within 4e-8, for normal x > 0: of its exponent and a polynomial (Chebyshev's nodes), vectorised."""
    bits = np.float64(x).view(np.int64)
    exponent = np.float64((bits >> 52) - 1023)
    f = np.int64((bits & 0xF_FFFF_FFFF_FFFF) | 0x3FF0_0000_0000_0000).view(np.float64) - 1.0
    high = 0.16499812983396112 + f * (-0.09229041738050231 + f * (0.03426459995555095 - f * 0.006006605050865348))
    low = 0.9999936302585134 + f * (
        -0.4998254986434647 + f * (0.33144665224336606 + f * (-0.2394333707458602 + f * high))
    )
    return float(0.6931471805599453 * exponent + 3.910905549409094e-08 + f * low)


@kernel
def _take_better(
    family: int,
    table: Table,
    handles: Handles,
    u: Table,
    uids: Uids,
    scales: Table,
    offsets: Table,
    is_dense: bool,
    is_drawn: Flags,
    positions: Handles,
    scores: Table,
) -> None:
    """Let all other candidates try to be among the k best, which are full."""
    k = positions.size
    is_alive = np.ones(handles.size, np.bool_)
    if family == BETA:
        _mark_beta(table, handles, u, scales, offsets, scores[0], is_dense, is_alive)
    for i in range(handles.size):
        if not is_alive[i] or is_drawn[i]:
            continue
        column = handles[i] & 0xFFFF_FFFF
        if not _may_exceed(family, table, column, u[i], scales[i], offsets[i], scores[0]):
            continue
        score = _score(family, table, handles[i], u[i], scales[i], offsets[i])
        if score >= scores[0]:
            push(i, score, handles, uids, k, positions, scores)


@kernel
def _mark_beta(
    table: Table, handles: Handles, u: Table, scales: Table, offsets: Table, m: float, is_dense: bool, is_alive: Flags
) -> None:
    """Take out who cannot reach m, by logarithms that are nearly right and a slack for that: no branch, so vectors."""
    width = min(_BLOCK, handles.size)
    p, q, constant = np.empty(width), np.empty(width), np.empty(width)
    for start in range(0, handles.size, width):
        size = min(width, handles.size - start)
        if is_dense:
            block = slice(start, start + size)
            p, q, constant = table[P][block], table[Q][block], table[CONSTANT][block]
        else:
            for i in range(size):
                column = handles[start + i] & 0xFFFF_FFFF
                p[i], q[i], constant[i] = table[P, column], table[Q, column], table[CONSTANT, column]
        for i in range(size):
            scale, offset = scales[start + i], offsets[start + i]
            divisor = scale if scale > 0.0 else 1.0  # otherwise only least <= 0 counts, which gives a slope <= 0
            least = (m + offset) / divisor - _MARGIN * (abs(m) + abs(offset)) / divisor
            inside = min(max(least, 1e-300), 1.0 - 1e-16)
            rest = 1.0 - inside
            bound = p[i] * _near_log(inside) + q[i] * _near_log(rest) - constant[i]
            slope = q[i] * inside - p[i] * rest
            slack = constant_slack(constant[i], bound) + _LOG_ERROR * (p[i] + q[i])
            low = bit_log(max(u[start + i] * slope, 1e-300)) - slack
            is_alive[start + i] = (slope <= 0.0) | ((least < 1.0) & (bound >= low))


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

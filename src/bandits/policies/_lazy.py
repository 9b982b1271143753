"""The k highest draws, exactly, without drawing every arm.

An arm's draw exceeds m exactly when `P(Z > m) > u`, u its uniform. So a rough draw of each arm finds good starters,
their exact draws give a threshold m, and a bound of the tail (`_bounds`) refuses nearly all others, 64 bytes and two
multiplications an arm, in blocks that the compiler turns into vector instructions. Who survives is drawn exactly, by
the one inversion. Bounds only ever refuse what cannot win, so the result is that of drawing every arm: bit by bit.
"""

import math

import numpy as np
from numpy.typing import NDArray

from .._bounds import bit_log, constant_slack, log_density_bound, rough_normal, shared_terms, slope_of
from .._families import BETA, GAMMA, theta_of, upper_quantile
from .._numba import kernel
from .._random import uniform
from .._table import CENTER, CONSTANT, FAMILY, SPREAD, Handles, P, Q, R, Table, Uids
from ._top import finish, push

_BLOCK = 512
_SAMPLE = 1_024  # candidates that are drawn roughly to start with, where there are more than _ALL
_ALL = 4_096
_RUN = 64  # of which so many lie side by side: a line of the cache serves eight

Flags = NDArray[np.bool_]


@kernel
def lazy_best(
    table: Table,
    handles: Handles,
    uids: Uids,
    key: int,
    fixed: float,
    is_dense: bool,
    positions: Handles,
    scores: Table,
) -> None:
    """Write positions and thetas of the k highest draws, best first.

    fixed: the uniform of every arm, or 0 for keyed ones; is_dense: whether candidate i is column i.
    """
    count = handles.size
    k = positions.size
    family = int(table[FAMILY, -1])
    is_drawn = np.zeros(count, np.bool_)
    _start(family, table, handles, uids, key, fixed, is_dense, positions, scores, is_drawn)
    filled = k
    width = min(_BLOCK, count)
    u = np.empty(width)
    is_alive = np.empty(width, np.bool_)
    gathered = np.empty((4, 0 if is_dense else width))
    p, q, r, constant = gathered[0], gathered[1], gathered[2], gathered[3]
    threshold = scores[0]
    t1, t2, s1, s2 = shared_terms(family, threshold)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        if is_dense:
            block = slice(start, start + size)
            p, q, r, constant = table[P][block], table[Q][block], table[R][block], table[CONSTANT][block]
            if fixed == 0.0:
                for i in range(size):
                    u[i] = uniform(key, uids[start + i], 0)
        else:
            for i in range(size):
                column = handles[start + i] & 0xFFFF_FFFF
                p[i], q[i], r[i] = table[P, column], table[Q, column], table[R, column]
                constant[i] = table[CONSTANT, column]
                u[i] = uniform(key, uids[column], 0)
        if fixed > 0.0:
            u[:] = fixed
        if not _mark(family, p, q, r, constant, u, threshold, t1, t2, s1, s2, is_alive[:size]):
            continue
        for i in range(size):
            if not is_alive[i] or is_drawn[start + i]:
                continue
            bound = log_density_bound(family, p[i], q[i], r[i], constant[i], threshold, t1, t2)
            slope = slope_of(family, p[i], q[i], threshold, s1, s2)
            if slope > 0.0 and bound < math.log(u[i] * slope) - constant_slack(constant[i], bound):
                continue
            z = upper_quantile(family, p[i], q[i], r[i], u[i])
            if z >= threshold:
                push(start + i, z, handles, uids, filled, positions, scores)
                threshold = scores[0]
                t1, t2, s1, s2 = shared_terms(family, threshold)
    finish(handles, uids, positions, scores)
    for j in range(k):
        scores[j] = theta_of(family, scores[j])


@kernel
def _start(
    family: int,
    table: Table,
    handles: Handles,
    uids: Uids,
    key: int,
    fixed: float,
    is_dense: bool,
    positions: Handles,
    scores: Table,
    is_drawn: Flags,
) -> None:
    """Fill the heap with exact draws of the candidates whose rough draws are the highest."""
    count = handles.size
    k = positions.size
    runs = max(_SAMPLE, 4 * k) // _RUN
    takes_all = count <= max(_ALL, runs * _RUN)
    gap = _RUN if takes_all else count // runs  # from the start of one run to that of the next
    size = count if takes_all else runs * _RUN
    rough = np.empty(size)
    if is_dense and takes_all and fixed == 0.0:
        for i in range(size):
            rough[i] = table[CENTER, i] + table[SPREAD, i] * rough_normal(uniform(key, uids[i], 0))
    else:
        for i in range(size):
            column = handles[i // _RUN * gap + i % _RUN] & 0xFFFF_FFFF
            u = fixed if fixed > 0.0 else uniform(key, uids[column], 0)
            rough[i] = table[CENTER, column] + table[SPREAD, column] * rough_normal(u)
    filled = 0
    for i in range(size):
        if filled < k or rough[i] > scores[0]:
            filled = push(i // _RUN * gap + i % _RUN, rough[i], handles, uids, filled, positions, scores)
    starters = positions.copy()
    filled = 0
    for position in starters:
        column = handles[position] & 0xFFFF_FFFF
        u = fixed if fixed > 0.0 else uniform(key, uids[column], 0)
        z = upper_quantile(family, table[P, column], table[Q, column], table[R, column], u)
        filled = push(position, z, handles, uids, filled, positions, scores)
        is_drawn[position] = True


@kernel
def _mark(
    family: int,
    p: Table,
    q: Table,
    r: Table,
    constant: Table,
    u: Table,
    threshold: float,
    t1: float,
    t2: float,
    s1: float,
    s2: float,
    is_alive: Flags,
) -> int:
    """Mark who may draw more than the threshold, and count them."""
    alive = 0
    if family in (BETA, GAMMA):
        for i in range(is_alive.size):
            bound = p[i] * t1 + q[i] * t2 - constant[i]
            slope = q[i] * s2 - p[i] * s1
            low = bit_log(max(u[i] * slope, 1e-300)) - constant_slack(constant[i], bound)
            is_alive[i] = (slope <= 0.0) | (bound >= low)
            alive += is_alive[i]
    else:
        for i in range(is_alive.size):
            bound = log_density_bound(family, p[i], q[i], r[i], constant[i], threshold, t1, t2)
            slope = slope_of(family, p[i], q[i], threshold, s1, s2)
            low = bit_log(max(u[i] * slope, 1e-300)) - constant_slack(constant[i], bound)
            is_alive[i] = (slope <= 0.0) | (bound >= low)
            alive += is_alive[i]
    return alive


@kernel
def draws(table: Table, handles: Handles, uids: Uids, key: int, fixed: float, out: Table) -> None:
    """Write every candidate's draw: the full evaluation that `lazy_best` agrees with."""
    family = int(table[FAMILY, -1])
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        u = fixed if fixed > 0.0 else uniform(key, uids[column], 0)
        out[i] = theta_of(family, upper_quantile(family, table[P, column], table[Q, column], table[R, column], u))

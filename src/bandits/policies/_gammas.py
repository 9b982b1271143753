"""Draws by gamma variates instead of inversion: quicker for small fixed sets, where each arm is drawn anyway.

References
----------
.. [1] G. Marsaglia and W. W. Tsang (2000), "A simple method for generating gamma variables", ACM Transactions on
   Mathematical Software 26.
"""

import math

from .._beliefs import refresh
from .._families import BETA, theta_of
from .._numba import kernel
from .._random import uniform
from .._table import FAMILY, OK, STALE, Handles, P, Q, Table, Uids
from ._top import finish, push


@kernel
def _log_gamma_draw(shape: float, key: int, uid: int, lane: int) -> tuple[float, int]:
    """Logarithm of a Gamma(shape, 1) variate, and the next free lane of uniforms."""
    boost = 0.0
    if shape < 1.0:  # Gamma(shape) = Gamma(shape + 1) U^(1 / shape)
        boost = math.log(uniform(key, uid, lane)) / shape
        lane += 1
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        radius = math.sqrt(-2.0 * math.log(uniform(key, uid, lane)))  # Box and Muller
        normal = radius * math.cos(2.0 * math.pi * uniform(key, uid, lane + 1))
        u = uniform(key, uid, lane + 2)
        lane += 3
        root = 1.0 + c * normal
        if root <= 0.0:
            continue
        v = root * root * root
        square = normal * normal
        if u < 1.0 - 0.0331 * square * square or math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return boost + math.log(d * v), lane


@kernel
def _draw(family: int, p: float, q: float, key: int, uid: int) -> float:
    """Coordinate z of one draw."""
    first, lane = _log_gamma_draw(p, key, uid, 1)
    if family == BETA:
        return first - _log_gamma_draw(q, key, uid, lane)[0]
    return first - math.log(q)


@kernel
def gamma_best(
    table: Table,
    handles: Handles,
    uids: Uids,
    key: int,
    version: float,
    now: float,
    x: float,
    y: float,
    positions: Handles,
    scores: Table,
) -> int:
    """Rank by keyed draws of gammas."""
    if not refresh(table, handles, version, now):
        return STALE
    family = int(table[FAMILY, -1])
    filled = 0
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        z = _draw(family, table[P, column], table[Q, column], key, uids[column])
        filled = push(i, z, handles, uids, filled, positions, scores)
    finish(handles, uids, positions, scores)
    for j in range(positions.size):
        scores[j] = theta_of(family, scores[j])
    return OK


@kernel
def gamma_draws(
    table: Table, handles: Handles, uids: Uids, key: int, version: float, now: float, x: float, y: float, out: Table
) -> int:
    """Write every candidate's draw."""
    if not refresh(table, handles, version, now):
        return STALE
    family = int(table[FAMILY, -1])
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        out[i] = theta_of(family, _draw(family, table[P, column], table[Q, column], key, uids[column]))
    return OK

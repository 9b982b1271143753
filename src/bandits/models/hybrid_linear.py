"""Hybrid linear model: a parameter vector an arm, and one that all arms share."""

import math
from typing import Any, Literal

import numpy as np

from .._linalg import block_width, inverse_factor, learn_block, new_block, own_width, times
from .._numba import kernel
from .._simd import dot
from .._table import BAD_CONTEXT, EVENTS, OK, STALE, Handles, State, Table, first_stale, pending_of, resolve
from ._linear_base import Features, LinearModel, deviation, draw_shared, is_bounded, write_belief
from .linear import check_event


class HybridLinear(LinearModel):
    """Rewards with mean `z' beta + x' theta_i`: beta is shared, theta_i the arm's own.

    A context is x and then z in one row, `[d + m]` or `[C, d + m]`. With v = A_i^-1 x, q = z - B_i' v and s = 1 / w +
    x' v, an event of weight w updates `A_0 += q q' / s`, `b_0 += q (r - x' A_i^-1 b_i) / s`, then `A_i += w x x'`, `B_i
    += w x z'`, `b_i += w r x`. The prediction has mean `x' A_i^-1 b_i + q' beta`, beta = A_0^-1 b_0, and variance `x' v
    + q' A_0^-1 q` times that of the noise: algorithm 2 of Li et al., each event a change of rank one.

    Parameters
    ----------
    n_features
        Length d of x, what the arm's own parameters weigh.
    n_shared
        Length m of z, what the shared ones weigh.
    ridge
        Prior precision of each parameter, > 0.

    References
    ----------
    .. [1] L. Li, W. Chu, J. Langford and R. E. Schapire (2010), "A contextual-bandit approach to personalized news
       article recommendation", WWW: the hybrid model.

    Examples
    --------
    One reward 1 at x = 1, z = 1 gives beta = theta = 1/3, as ridge regression with a design row (1, 1) does:

    >>> from seedbed.bandits import Bandit, HybridLinear, LinUCB
    >>> bandit = Bandit(LinUCB(model=HybridLinear(n_features=1, n_shared=1)), arms=["a", "b"])
    >>> bandit.update("a", 1.0, context=[1.0, 1.0])
    >>> bandit.mean(context=[1.0, 1.0]).round(6).tolist()
    [0.666667, 0.333333]
    """

    kind: Literal["hybrid_linear"] = "hybrid_linear"
    number = 5
    n_shared: Features

    @property
    def width(self) -> int:
        """Length of a context."""
        return self.n_features + self.n_shared

    @property
    def half_life(self) -> None:
        """No decay: what the shared part has learnt was freed of each arm's own as it stood then."""
        return None

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers that an arm's block and the shared one need."""
        return block_width(self.n_features) + self.n_features * self.n_shared, block_width(self.n_shared)

    def init(self, capacity: int, width: int = 0) -> State:
        """Make a state with room for `capacity` arms and none in it."""
        return self._state(capacity, new_block(self.n_shared, self.ridge))

    def newcomer_block(self) -> Table:
        """Block of a new arm: its own ridge regression, then `B_i [d, m]`."""
        return np.concatenate([new_block(self.n_features, self.ridge), np.zeros(self.n_features * self.n_shared)])

    @property
    def kernels(self) -> tuple[Any, Any, Any]:
        """Kernels that write beliefs, learn one event, and learn checked events."""
        return fill, learn_one, learn_many


@kernel
def _features(shared: Table, width: int) -> int:
    """Length d of x, from the length of a context and of the shared block, which is m (m + 3) + 2."""
    return width - int((math.sqrt(4.0 * shared.size + 1.0) - 3.0) / 2.0 + 0.5)


@kernel
def _residual(block: Table, v: Table, z: Table, out: Table) -> None:
    """Write `z - B' v`."""
    start = own_width(v.size)
    out[:] = z
    for i in range(v.size):
        for j in range(z.size):
            out[j] -= block[start + i * z.size + j] * v[i]


@kernel
def _add(table: Table, blocks: Table, shared: Table, handle: int, reward: float, weight: float, context: Table) -> None:
    d = _features(shared, context.size)
    block = blocks[handle & 0xFFFF_FFFF]
    x, z = context[:d], context[d:]
    v, q, work = np.zeros(d), np.empty(z.size), np.empty(z.size)
    packed = d * (d + 1) // 2
    times(block, packed, x, v)
    _residual(block, v, z, q)
    error = reward - dot(x, 0, block, 2 * packed + d, d)
    spread = learn_block(block[: own_width(d)], x, reward, weight, v)
    learn_block(shared, q, error, 1.0 / spread, work)
    start = own_width(d)
    for i in range(d):
        for j in range(z.size):
            block[start + i * z.size + j] += weight * x[i] * z[j]
    resolve(table, handle & 0xFFFF_FFFF)
    table[EVENTS, -1] += 1.0


@kernel
def learn_one(
    table: Table,
    blocks: Table,
    shared: Table,
    handle: int,
    reward: float,
    weight: float,
    context: Table,
    at: float,
    ridge: float,
) -> int:
    """Learn one event; answer a status."""
    status = check_event(table, handle, reward, weight)
    if status == OK and not is_bounded(context.reshape(1, context.size)):
        return BAD_CONTEXT
    if status == OK:
        _add(table, blocks, shared, handle, reward, weight, context)
    return status


@kernel
def learn_many(
    table: Table,
    blocks: Table,
    shared: Table,
    handles: Handles,
    rewards: Table,
    weights: Table,
    contexts: Table,
    ats: Table,
    ridge: float,
    start: int,
    stop: int,
) -> None:
    """Learn the checked events start ... stop - 1."""
    for i in range(start, stop):
        weight = weights[i if weights.size > 1 else 0]
        _add(table, blocks, shared, handles[i], rewards[i], weight, contexts[i if contexts.shape[0] > 1 else 0])


@kernel
def fill(
    table: Table,
    blocks: Table,
    shared: Table,
    handles: Handles,
    contexts: Table,
    features: int,
    ridge: float,
    key: int,
    now: float,
    width: float,
    draws: bool,
    out: Table,
) -> int:
    """Write mean and `width` times the deviation of each candidate, given what is drawn; answer a status."""
    if first_stale(table, handles) >= 0:
        return STALE
    d = features
    m = contexts.shape[1] - d
    packed, wide = d * (d + 1) // 2, m * (m + 1) // 2
    beta = shared[2 * wide + m : 2 * wide + 2 * m].copy()
    if draws:
        center = beta.copy()
        draw_shared(key, center, inverse_factor(shared, m), width, beta)
    v, q, spread = np.empty(d), np.empty(m), np.empty(m)
    for i in range(handles.size):
        context = contexts[i if contexts.shape[0] > 1 else 0]
        x, z = context[:d], context[d:]
        block = blocks[handles[i] & 0xFFFF_FFFF]
        v[:] = 0.0
        times(block, packed, x, v)
        _residual(block, v, z, q)
        variance = dot(x, 0, v, 0, d)
        if not draws:
            spread[:] = 0.0
            times(shared, wide, q, spread)
            variance += dot(q, 0, spread, 0, m)
        variance /= 1.0 + pending_of(table, handles[i] & 0xFFFF_FFFF) * variance
        mean = dot(x, 0, block, 2 * packed + d, d) + dot(q, 0, beta, 0, m)
        write_belief(out, i, mean, deviation(variance, width))
    return OK

"""Linear model with a parameter vector an arm."""

import math
from typing import Any, Literal

import numpy as np

from .._decay import backward_scale, forward_weight
from .._linalg import block_width, decay_block, keep_ridge, learn_block, new_block, norm, outer
from .._numba import kernel
from .._simd import dot
from .._table import (
    BAD_CONTEXT,
    BAD_REWARD,
    BAD_WEIGHT,
    EVENTS,
    FAR_AHEAD,
    HALF_LIFE,
    LANDMARK,
    NORM,
    OK,
    STALE,
    STAMP,
    Handles,
    State,
    Table,
    first_stale,
    is_current,
    pending_of,
    resolve,
)
from ._base import Seconds
from ._linear_base import LinearModel, deviation, is_bounded, write_belief

MAX_REWARD = 1e9
MAX_WEIGHT = 1e12


class Linear(LinearModel):
    """Rewards with mean `x' theta_i`, a parameter vector theta_i for each arm i.

    `A_i = ridge I + sum w x x'`, `theta_i = A_i^-1 sum w r x`; a prediction at x has variance `x' A_i^-1 x` times that
    of the noise. An exposure that awaits its feedback counts as an observation at the context of the request: it
    narrows the prediction and leaves its mean.

    Parameters
    ----------
    n_features
        Length d of a context.
    ridge
        Prior precision of each parameter, > 0. It does not decay: where evidence does, it is added anew whenever it has
        fallen to a half.
    half_life
        Seconds after which evidence counts half; no decay by default.

    References
    ----------
    .. [1] L. Li, W. Chu, J. Langford and R. E. Schapire (2010), "A contextual-bandit approach to personalized news
       article recommendation", WWW: the disjoint model.

    Examples
    --------
    >>> from seedbed.bandits import Bandit, Linear, Thompson
    >>> bandit = Bandit(Thompson(model=Linear(n_features=2)), arms=["a", "b"])
    >>> bandit.update("a", 1.0, context=[1.0, 0.0])
    >>> bandit.mean(context=[1.0, 1.0]).tolist()
    [0.5, 0.0]
    """

    kind: Literal["linear"] = "linear"
    half_life: Seconds | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers that an arm's block and the shared one need."""
        return block_width(self.n_features), 0

    def init(self, capacity: int, width: int = 0) -> State:
        """Make a state with room for `capacity` arms and none in it; `width` numbers more in each block."""
        return self._state(capacity, np.zeros(0), self.half_life, width)

    def newcomer_block(self) -> Table:
        """Block of a new arm."""
        return new_block(self.n_features, self.ridge)

    def move_landmark(self, state: State, halvings: float) -> None:
        """Bring the landmark of forward decay that many whole half-lives forward; nothing is rounded."""
        _move_landmark(state.table, state.blocks, self.n_features, self.ridge, halvings)

    @property
    def kernels(self) -> tuple[Any, Any, Any]:
        """Kernels that write beliefs, learn one event, and learn checked events."""
        return fill, learn_one, learn_many


@kernel
def check_event(table: Table, handle: int, reward: float, weight: float) -> int:
    """Status of an event, its context apart."""
    if not is_current(table, handle):
        return STALE
    if not abs(reward) <= MAX_REWARD:
        return BAD_REWARD
    if not 0.0 <= weight <= MAX_WEIGHT:
        return BAD_WEIGHT
    return OK


@kernel
def check_many(table: Table, handles: Handles, rewards: Table, weights: Table) -> tuple[int, int]:
    """Status and position of the first event of a batch that cannot be learnt, or (OK, -1)."""
    for i in range(handles.size):
        status = check_event(table, handles[i], rewards[i], weights[i if weights.size > 1 else 0])
        if status != OK:
            return status, i
    return OK, -1


@kernel
def _add(
    table: Table,
    blocks: Table,
    shared: Table,
    handle: int,
    reward: float,
    weight: float,
    context: Table,
    ridge: float,
    work: Table,
) -> None:
    """Learn a checked event of weight in forward units: in the arm's block, or in the one that all share."""
    column = handle & 0xFFFF_FFFF
    block = blocks[column] if shared.size == 0 else shared
    if table[HALF_LIFE, -1] > 0.0:
        keep_ridge(block, context.size, ridge / backward_scale(table, math.nan))
    d = context.size
    if shared.size == 0 and table[NORM, column] == 0.0:
        table[NORM, column] = norm(block, d * (d + 1) // 2, d)
    spread = learn_block(block, context, reward, weight, work)
    # the inverse has lost `work work' / spread`: no eigenvalue grows but by rounding, small where what is lost is small
    if block[d * (d + 1) + 2 * d + 1] == 0.0 or not dot(work, 0, work, 0, d) <= 2.0 * spread * table[NORM, column]:
        table[NORM, column] = 0.0
    resolve(table, column)
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
    """Learn one event; answer a status. `at` is NaN for the latest time known."""
    status = check_event(table, handle, reward, weight)
    if status != OK or not is_bounded(context.reshape(1, context.size)):
        return status if status != OK else BAD_CONTEXT
    factor = forward_weight(table, at)
    if factor < 0.0:
        return FAR_AHEAD
    _add(table, blocks, shared, handle, reward, weight * factor, context, ridge, np.empty(context.size))
    return OK


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
    """Learn the checked events start ... stop - 1; weights, times and contexts are one for all or one an event."""
    work = np.empty(contexts.shape[1])
    for i in range(start, stop):
        factor = forward_weight(table, ats[i if ats.size > 1 else 0])
        weight = weights[i if weights.size > 1 else 0] * factor
        context = contexts[i if contexts.shape[0] > 1 else 0]
        _add(table, blocks, shared, handles[i], rewards[i], weight, context, ridge, work)


@kernel
def variance_at(table: Table, flat: Table, block: int, column: int, square: Table, scale: float) -> float:
    """Variance of an arm's prediction at the context of `outer` square; flat: all blocks, each `block` numbers."""
    variance = max(dot(flat, column * block + square.size, square, 0, square.size) / scale, 0.0)
    return float(variance / (1.0 + pending_of(table, column) * variance))


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
    """Write mean and `width` times the deviation of each candidate into rows P and Q; answer a status."""
    if first_stale(table, handles) >= 0:
        return STALE
    scale = backward_scale(table, now)
    d = contexts.shape[1]
    packed = d * (d + 1) // 2
    is_decayed = table[HALF_LIFE, -1] > 0.0
    flat, points = blocks.reshape(blocks.size), contexts.reshape(contexts.size)  # slices in the loop would cost as much
    square = np.empty(packed)
    outer(contexts[0], square)
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        if is_decayed:
            keep_ridge(blocks[column], d, ridge / scale)
        row = 0
        if contexts.shape[0] > 1:
            row = i
            outer(contexts[i], square)
        variance = variance_at(table, flat, blocks.shape[1], column, square, scale)
        mean = dot(points, row * d, flat, column * blocks.shape[1] + 2 * packed + d, d)
        write_belief(out, i, mean, deviation(variance, width))
    return OK


@kernel
def _move_landmark(table: Table, blocks: Table, d: int, ridge: float, halvings: float) -> None:
    table[LANDMARK, -1] += halvings
    ahead = ridge / backward_scale(table, math.nan)
    for column in range(blocks.shape[0]):
        if table[STAMP, column] >= 0.0:
            decay_block(blocks[column], d, 2.0**-halvings, ahead)

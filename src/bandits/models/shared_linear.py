"""Linear model with one parameter vector for all arms; the arms differ in their features."""

import math
from typing import Any, Literal

import numpy as np

from .._decay import backward_scale
from .._linalg import block_width, decay_block, inverse_factor, keep_ridge, new_block, others_width, outer
from .._numba import kernel
from .._simd import dot
from .._table import (
    HALF_LIFE,
    LANDMARK,
    OK,
    STALE,
    Handles,
    State,
    Table,
    first_stale,
    pending_of,
)
from ._base import Seconds
from ._linear_base import LinearModel, deviation, draw_shared, write_belief
from .linear import learn_many, learn_one


class SharedLinear(LinearModel):
    """Rewards with mean `x_i' theta`, one theta for all arms and a row of features x_i for each.

    `A = ridge I + sum w x x'`, `theta = A^-1 sum w r x`: what one arm teaches holds for all, also for arms never tried.
    Contexts are `[C, d]`, one row a candidate, such as features of arm and request and their products. Draws are of
    theta, once a decision, so that the arms' scores move together.

    Parameters
    ----------
    n_features
        Length d of a row.
    ridge
        Prior precision of each parameter, > 0; it does not decay.
    half_life
        Seconds after which evidence counts half; no decay by default.

    Examples
    --------
    >>> from seedbed.bandits import Bandit, SharedLinear, Thompson
    >>> bandit = Bandit(Thompson(model=SharedLinear(n_features=2)), arms=["a", "b"])
    >>> bandit.update("a", 1.0, context=[1.0, 0.0])
    >>> bandit.mean(["a", "b"], context=[[0.0, 1.0], [1.0, 0.0]]).tolist()
    [0.0, 0.5]
    """

    kind: Literal["shared_linear"] = "shared_linear"
    number = 4
    half_life: Seconds | None = None

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers that an arm's block and the shared one need."""
        return 0, block_width(self.n_features)

    def init(self, capacity: int, width: int = 0) -> State:
        """Make a state with room for `capacity` arms and none in it."""
        shared = np.concatenate([new_block(self.n_features, self.ridge), np.zeros(others_width(self.n_features))])
        return self._state(capacity, shared, self.half_life)

    def newcomer_block(self) -> Table:
        """Block of a new arm: none."""
        return np.zeros(0)

    def move_landmark(self, state: State, halvings: float) -> None:
        """Bring the landmark of forward decay that many whole half-lives forward; nothing is rounded."""
        _move_landmark(state.table, state.shared, self.n_features, self.ridge, halvings)

    @property
    def kernels(self) -> tuple[Any, Any, Any]:
        """Kernels that write beliefs, learn one event, and learn checked events."""
        return fill, learn_one, learn_many


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
    """Write mean and `width` times the deviation of each candidate, or its draw, into rows P and Q; answer a status."""
    if first_stale(table, handles) >= 0:
        return STALE
    scale = backward_scale(table, now)
    d = contexts.shape[1]
    packed = d * (d + 1) // 2
    if table[HALF_LIFE, -1] > 0.0:
        keep_ridge(shared, d, ridge / scale)
    theta = shared[2 * packed + d : 2 * packed + 2 * d].copy()
    if draws:
        center = theta.copy()
        draw_shared(key, center, inverse_factor(shared, d), width / math.sqrt(scale), theta)
    square = np.empty(packed)
    outer(contexts[0], square)
    for i in range(handles.size):
        x = contexts[0]
        if i > 0 and contexts.shape[0] > 1:
            x = contexts[i]
            if not draws:
                outer(x, square)
        mean = dot(x, 0, theta, 0, d)
        variance = 0.0
        if not draws:
            variance = dot(shared, packed, square, 0, packed) / scale
            variance /= 1.0 + pending_of(table, handles[i] & 0xFFFF_FFFF) * variance
        write_belief(out, i, mean, deviation(variance, width))
    return OK


@kernel
def _move_landmark(table: Table, shared: Table, d: int, ridge: float, halvings: float) -> None:
    table[LANDMARK, -1] += halvings
    decay_block(shared, d, 2.0**-halvings, ridge / backward_scale(table, math.nan))

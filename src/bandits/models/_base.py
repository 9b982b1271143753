"""What the models of counts have in common: one row a number, beliefs of one family, and the cells that follow."""

import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from .._families import BETA, GAMMA, log_tails, mean_of, theta_of, upper_quantile, z_of
from .._inputs import MAX_TIME
from .._numba import kernel
from .._random import uniform
from .._table import (
    DIRTY,
    FAMILY,
    FIRST,
    GROUP_BITS,
    HALF_LIFE,
    LANDMARK,
    LATEST,
    MODEL,
    Handles,
    State,
    Table,
    Uids,
    new_table,
)

Require = Callable[[bool, str], None]
Seconds = Annotated[float, Field(ge=1e-3, le=MAX_TIME)]


class CountModel(BaseModel):
    """A model whose arms need a few numbers each and no context."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    half_life: Seconds | None = None
    window: Annotated[int, Field(ge=1, le=100_000_000)] | None = None

    number: ClassVar[int]  # by which kernels know the model
    family: ClassVar[int]
    support: ClassVar[str]  # rewards that the model accepts, for messages
    # statistics of an arm: the prior's rows, those of its own evidence, and the same of what other replicas have learnt
    prior_rows: ClassVar[int]
    evidence_rows: ClassVar[int]
    is_contextual: ClassVar[bool] = False

    def model_post_init(self, _: Any) -> None:
        """Refuse two ways to forget at once."""
        if self.half_life is not None and self.window is not None:
            raise ValueError("half_life and window are two ways to forget; give one of them")

    def init(self, capacity: int, width: int = 0) -> State:
        """Make a state with room for `capacity` arms and none in it; `width` numbers beside each."""
        table = new_table(self.newcomer().size, capacity)
        table[MODEL, -1], table[FAMILY, -1] = self.number, self.family
        table[HALF_LIFE, -1] = self.half_life or 0.0
        table[LANDMARK, -1] = table[LATEST, -1] = np.nan
        return State(table, np.zeros((capacity, width)), np.zeros(0))

    def move_landmark(self, state: State, halvings: float) -> None:
        """Bring the landmark of forward decay that many whole half-lives forward; nothing is rounded."""
        _move_landmark(state.table, FIRST + self.prior_rows, halvings)

    def newcomer(self) -> Table:
        """Statistics of a new arm, `[S]`."""
        raise NotImplementedError

    def beliefs(self, state: State, handles: Handles, now: float = np.nan) -> Table:
        """Parameters of what is believed of each arm, `[3, C]`, in the model's family."""
        raise NotImplementedError

    def evidence(self, state: State, handles: Handles, now: float = np.nan) -> Table:
        """Mean reward without the prior, the weight behind it, and the variance of a reward, `[3, C]`."""
        raise NotImplementedError

    def mean(self, state: State, handles: Handles, now: float = np.nan) -> Table:
        """Posterior means, `[C]`."""
        return self._each(_means, state, handles, now)

    def cdf(self, state: State, handles: Handles, x: Any, now: float = np.nan) -> Table:
        """`P(theta <= x)`, `[C]`."""
        return self._each(_cdfs, state, handles, now, x)

    def quantile(self, state: State, handles: Handles, p: Any, now: float = np.nan) -> Table:
        """The x at which `P(theta <= x) = p`, `[C]`; at 0 and 1 the ends of the support."""
        return self._each(_quantiles, state, handles, now, 1.0 - np.asarray(p, np.float64))

    def sample(self, state: State, handles: Handles, uids: Uids, key: int, now: float = np.nan) -> Table:
        """Keyed posterior draws `F^-1(1 - u)`, `[C]`; `uids` by column."""
        u = np.empty(handles.size)
        _uniforms(key, uids, handles, u)
        return self._each(_quantiles, state, handles, now, u)

    def _each(self, function: Any, state: State, handles: Handles, now: float, x: Any = 0.0) -> Table:
        out = np.empty(handles.size)
        x = np.broadcast_to(np.asarray(x, np.float64), handles.shape).copy()  # writable, as kernels expect
        function(self.family, self.beliefs(state, handles, now), x, out)
        return out


@kernel
def _uniforms(key: int, uids: Uids, handles: Handles, out: Table) -> None:
    for i in range(handles.size):
        out[i] = uniform(key, uids[handles[i] & 0xFFFF_FFFF], 0)


@kernel
def _means(family: int, beliefs: Table, x: Table, out: Table) -> None:
    for i in range(out.size):
        out[i] = mean_of(family, beliefs[0, i], beliefs[1, i], beliefs[2, i])


@kernel
def _cdf(family: int, p: float, q: float, r: float, x: float) -> float:
    if family in (BETA, GAMMA) and x <= 0.0:
        return 0.0
    if family == BETA and x >= 1.0:
        return 1.0
    return math.exp(log_tails(family, p, q, r, z_of(family, x))[0])


@kernel
def _cdfs(family: int, beliefs: Table, x: Table, out: Table) -> None:
    for i in range(out.size):
        out[i] = _cdf(family, beliefs[0, i], beliefs[1, i], beliefs[2, i], x[i])


@kernel
def _quantiles(family: int, beliefs: Table, u: Table, out: Table) -> None:
    for i in range(out.size):
        if 0.0 < u[i] < 1.0:
            out[i] = theta_of(family, upper_quantile(family, beliefs[0, i], beliefs[1, i], beliefs[2, i], u[i]))
        elif u[i] <= 0.0:
            out[i] = 1.0 if family == BETA else math.inf
        else:
            out[i] = 0.0 if family in (BETA, GAMMA) else -math.inf


@kernel
def _move_landmark(table: Table, first: int, halvings: float) -> None:
    factor = 2.0**-halvings
    for s in range(first, table.shape[0]):
        for column in range(table.shape[1] - 1):
            table[s, column] *= factor
    table[LANDMARK, -1] += halvings
    for group in range((table.shape[1] - 2 >> GROUP_BITS) + 1):
        table[DIRTY, group] = 1.0

"""What the linear models have in common: their numbers, checks of contexts, and decisions from private tables."""

import math
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .._families import NORMAL
from .._numba import kernel
from .._random import uniform
from .._special_normal import normal_upper_quantile
from .._table import (
    CENTER,
    EVENTS,
    FAMILY,
    FIRST,
    HALF_LIFE,
    LANDMARK,
    LATEST,
    MODEL,
    PRIVATE,
    SPREAD,
    VERSION,
    Handles,
    P,
    Q,
    State,
    Table,
    new_table,
)
from .beta import Positive

Features = Annotated[int, Field(ge=1, le=4_096)]
SHARED_DRAW = np.uint64(0x5EED_7E7A)  # name under which a decision's draw of shared parameters is keyed
_FLOAT64 = np.dtype(np.float64)
MAX_FEATURE = 1e6  # in size: beyond, squares leave too few digits to the ridge


class LinearModel(BaseModel):
    """A model whose mean reward is linear in a context."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_features: Features
    ridge: Positive = 1.0

    number: ClassVar[int] = 3
    family: ClassVar[int] = NORMAL
    support: ClassVar[str] = "[-1e9, 1e9]"
    is_contextual: ClassVar[bool] = True
    prior_rows: ClassVar[int] = 0
    evidence_rows: ClassVar[int] = 0
    window: ClassVar[None] = None

    @property
    def width(self) -> int:
        """Length of a context."""
        return self.n_features

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers that an arm's block and the shared one need."""
        raise NotImplementedError

    def _state(self, capacity: int, shared: Table, half_life: float | None = None, width: int = 0) -> State:
        table = new_table(0, capacity)
        table[MODEL, -1], table[FAMILY, -1] = self.number, self.family
        table[HALF_LIFE, -1] = half_life or 0.0
        table[LANDMARK, -1] = table[LATEST, -1] = np.nan
        return State(table, np.zeros((capacity, self.sizes[0] + width)), shared)

    def newcomer(self) -> Table:
        """Statistics of a new arm beside its block, `[0]`."""
        return np.zeros(0)

    @property
    def kernels(self) -> tuple[Any, Any, Any]:
        """Kernels that write beliefs, learn one event, and learn checked events."""
        raise NotImplementedError

    def fill(
        self,
        private: Table,
        state: State,
        handles: Handles,
        contexts: Table,
        key: int,
        now: float,
        width: float,
        draws: bool,
    ) -> int:
        """Write mean and deviation of each candidate, or what `draws` leaves of them, into a private table.

        Returns
        -------
        int
            A status.
        """
        status: int = self.kernels[0](
            *state, handles, contexts, self.n_features, self.ridge, key, now, width, draws, private
        )
        return status

    @property
    def learn_one(self) -> Any:
        """Kernel that learns one event."""
        return self.kernels[1]

    @property
    def learn_many(self) -> Any:
        """Kernel that learns checked events."""
        return self.kernels[2]

    def checked_contexts(self, context: Any, count: int, what: str = "context") -> Table:
        """Return contexts as float64 `[1, d]`, the same for all, or `[count, d]`.

        Raises
        ------
        ValueError
            For another shape, and for an entry that is not a number of size up to 1e6.
        """
        width = self.width
        if type(context) is np.ndarray and context.dtype is _FLOAT64 and context.flags.carray:
            array = context
        else:
            array = self._numbers(context, count, what)
        if array.shape != (width,) and array.shape != (count, width):
            raise ValueError(f"{what} must have shape ({width},) or ({count}, {width}); got {array.shape}")
        out: Table = array[None] if array.ndim == 1 else array
        if not is_bounded(out):
            place = tuple(np.argwhere(~(np.abs(out) <= MAX_FEATURE))[0].tolist())
            where = f"[{place[1]}]" if array.ndim == 1 else f"[{place[0]}, {place[1]}]"
            raise ValueError(f"{what}{where} = {out[place]} is not in [-{MAX_FEATURE:g}, {MAX_FEATURE:g}]")
        return out

    def _numbers(self, context: Any, count: int, what: str) -> NDArray[np.float64]:
        """Return what is no plain array of floats as one."""
        if context is None:
            raise ValueError(f"the model {self.kind!r} needs a context of {self.width} features; pass `{what}=`")  # type: ignore[attr-defined]
        try:
            array: NDArray[Any] = np.asarray(context)
        except ValueError:  # rows of different lengths
            array = np.empty(0, object)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{what} must be numbers, [{self.width}] or [{count}, {self.width}]; got {array.dtype}")
        return np.require(array, np.float64, ["C", "A", "W"])


@kernel
def is_bounded(contexts: Table) -> bool:
    """Whether all entries are numbers of size up to MAX_FEATURE."""
    good = 0  # counted: that takes several entries at a time
    for i in range(contexts.shape[0]):
        for j in range(contexts.shape[1]):
            good += abs(contexts[i, j]) <= MAX_FEATURE
    return good == contexts.size


def private_table(count: int, state: State, family: int) -> Table:
    """Make a table of derived rows for `count` candidates, columns 0 ... count - 1."""
    table = np.zeros((FIRST + 4, count + 1))
    table[VERSION, -1], table[FAMILY, -1] = PRIVATE, family
    table[MODEL, -1], table[EVENTS, -1] = state.table[MODEL, -1], state.table[EVENTS, -1]
    return table


@kernel
def draw_shared(key: int, center: Table, factor: Table, width: float, out: Table) -> None:
    """Write `center + width factor' z`, z standard normals keyed by the decision."""
    d = out.size
    z = np.empty(d)
    for i in range(d):
        z[i] = normal_upper_quantile(uniform(key, SHARED_DRAW, i))
        total = 0.0
        for j in range(i + 1):
            total += factor[j, i] * z[j]
        out[i] = center[i] + width * total


@kernel
def pick_columns(handles: Handles, uids: Any, out: Any) -> None:
    """Write the uids of the candidates in their order."""
    for i in range(handles.size):
        out[i] = uids[handles[i] & 0xFFFF_FFFF]


@kernel
def deviation(variance: float, width: float) -> float:
    """`width` times the root of a variance; 0 becomes the smallest that can be divided by."""
    return max(width * math.sqrt(max(variance, 0.0)), 1e-300)


@kernel
def write_belief(table: Table, column: int, mean: float, spread: float) -> None:
    """Write a normal belief."""
    table[P, column] = table[CENTER, column] = mean
    table[Q, column] = table[SPREAD, column] = spread

"""What a constraint is: a frozen configuration, a state of arrays, and a place in the order of precedence.

A constraint says, of one request, which candidates may not be served (`mask`), what serving one costs against its score
(`price`), and where the choice itself is bound: `shares` (least and most probability), `demands` (arms that must be
served now) and `limits` (how many of a group a slate may hold). It is told what was served and what came back
(`observe`), and tells how it stands (`report`). What it does not care for it leaves as it is here.

Only `fit` and `observe` write, and only into the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ..bandits.checkpoint import require
from .attributes import Attributes

Columns = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
AnyState = Any  # a NamedTuple of arrays, each constraint's own

LARGEST_COUNT = 2**53  # integers that a state may hold
LARGEST_NUMBER = 1e60  # floats: more than all histories of the largest weights and costs come to


class Precedence(IntEnum):
    """Which of two constraints gives way: the one with the larger number."""

    ELIGIBILITY = 0
    STOP = 1
    CAP = 2
    FLOOR = 3
    GROUP = 4
    PRICE = 5
    SCORE = 6


class Price(NamedTuple):
    """What a constraint makes of scores: `score = draw * (product of factors - sum of rates) - sum of costs`.

    Each a number or `[C]`. `rate` is a cost for each unit of reward, `cost` one for each exposure.
    """

    factor: Floats | float = 1.0
    rate: Floats | float = 0.0
    cost: Floats | float = 0.0


class Shares(NamedTuple):
    """Bounds of the probability that the one arm of a decision, or a slot of a slate, is a candidate.

    floor, cap: each a number or `[C]`, of each candidate.
    groups: `[C]` codes from 0, with group_floor and group_cap `[G]`; None for no groups.
    """

    floor: Floats | float = 0.0
    cap: Floats | float = 1.0
    groups: Columns | None = None
    group_floor: Floats | None = None
    group_cap: Floats | None = None


class Limits(NamedTuple):
    """Bounds of a slate by groups.

    groups: `[C]` group of each candidate, from 0.
    amounts: `[C]`, what a candidate takes of its group's room.
    upper: `[G]`, room of each group: the amounts of a slate's arms must not exceed it.
    lower: `[G]`, least number of arms of each group in a slate that can have them.
    earliest: `[C]`, first position, from 0, at which a candidate may stand; None for 0.
    relaxable: whether a slate that cannot be filled otherwise may break these bounds. Lower bounds always give way to
        upper ones that are not relaxable.
    """

    groups: Columns
    amounts: Floats
    upper: Floats
    lower: Floats
    earliest: Columns | None = None
    relaxable: bool = True


@dataclass(slots=True, eq=False)
class Request:
    """One request, looked up: what constraints see of it.

    columns: `[C]` columns of the candidates: where their state stands in arrays of arms.
    uids: `[C]` 64-bit names of the candidates.
    k: arms wanted. now: seconds; -inf before any time is known. key: of the decision.
    viewer: attributes of who is served, and "id".
    attributes: of the arms. means: gives the posterior mean reward of each candidate, `[C]`.
    some_means: gives it for candidates at some positions; None to pick them from all.
    """

    columns: Columns
    uids: NDArray[np.uint64]
    k: int
    now: float
    key: int
    viewer: Mapping[str, Any]
    attributes: Attributes
    means: Callable[[], Floats]
    some_means: Callable[[Columns], Floats] | None = None

    def means_of(self, positions: Columns) -> Floats:
        """Return the posterior mean reward of the candidates at some positions, without that of all others."""
        return self.means()[positions] if self.some_means is None else self.some_means(positions)

    def numbers(self, name: str) -> Floats:
        """Return an attribute of the candidates, `[C]`.

        Raises
        ------
        ValueError
            Where a candidate has none, or one that is no number.
        """
        return self.attributes.numbers(name, self.columns)

    def codes(self, name: str) -> Columns:
        """Return the number of each candidate's value of an attribute, `[C]`, from 1; 0 where it has none."""
        return self.attributes.codes(name, self.columns)


class Exposure(NamedTuple):
    """What was served.

    number: of the decision, growing. request: its eligible candidates alone. positions: `[k]` of the chosen among
    them, best first.
    """

    number: int
    request: Request
    positions: Columns

    @property
    def columns(self) -> Columns:
        """Columns of the chosen, `[k]`."""
        return self.request.columns[self.positions]


class Feedback(NamedTuple):
    """What came back, of B events.

    columns, rewards: `[B]`. weights: `[B]`. costs: by resource, `[B]` each. metrics: by name, `[B]` each.
    number: of the decision they belong to, None where not told. at: seconds, the latest time known.
    """

    columns: Columns
    rewards: Floats
    weights: Floats
    costs: Mapping[str, Floats]
    metrics: Mapping[str, Floats]
    number: int | None
    at: float


class NoState(NamedTuple):
    """State of a constraint that keeps nothing."""


class Constraint(BaseModel):
    """A rule of what may be served.

    A state is a NamedTuple of arrays. Arrays of arms have the arms on their last axis, `[..., K]`; those named in
    `loose` have another length of their own, which `fit` may change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    precedence: ClassVar[Precedence]
    relaxable: ClassVar[bool] = True  # whether its mask gives way where too few candidates would be left
    loose: ClassVar[frozenset[str]] = frozenset()

    @property
    def name(self) -> str:
        """What a decision calls it where it was relaxed."""
        return str(self.kind)  # type: ignore[attr-defined]

    @property
    def resources_read(self) -> tuple[str, ...]:
        """Names of the costs that it reads from feedback."""
        return ()

    @property
    def metrics_read(self) -> tuple[str, ...]:
        """Names of the metrics that it reads from feedback."""
        return ()

    @cached_property
    def arm_fields(self) -> frozenset[str]:
        """Names of the arrays of a state whose last axis is that of the arms."""
        one, two = self.init(1), self.init(2)
        names = (name for name in one._fields if getattr(one, name).shape != getattr(two, name).shape)
        return frozenset(names) - self.loose

    def init(self, capacity: int) -> AnyState:
        """Make a state for `capacity` arms, in which nothing has happened; one that keeps nothing by default."""
        return NoState()

    def fit(self, state: AnyState, capacity: int, attributes: Attributes, now: float) -> AnyState:
        """Bring a state to the number of arms, of an attribute's values, and to the time; called before a decision."""
        return grown(self, state, capacity)

    def mask(self, state: AnyState, request: Request) -> list[tuple[str, Mask]]:
        """Which candidates may be served, `[C]`, for each reason not to be; none where all may."""
        return []

    def price(self, state: AnyState, request: Request) -> Price | None:
        """What serving a candidate costs against its score; None for nothing."""
        return None

    def rescore(self, state: AnyState, request: Request, scores: Floats) -> Floats:
        """Other scores in place of these, `[C]`; for constraints that need all of them, which takes time."""
        return scores

    def mix(self, state: AnyState, request: Request, draws: Floats) -> Floats | None:
        """Probability that each candidate is served, `[C]`, which sum to 1 or less; None to leave it to the scores."""
        return None

    def shares(self, state: AnyState, request: Request) -> Shares | None:
        """Least and most probability of the candidates; None for no bounds."""
        return None

    def demands(self, state: AnyState, request: Request) -> Columns | None:
        """Positions of candidates that must be served now, the most urgent first; None for none."""
        return None

    def limits(self, state: AnyState, request: Request) -> Limits | None:
        """Bounds of a slate by groups; None for none."""
        return None

    def check(self, state: AnyState, feedback: Feedback) -> None:
        """Refuse feedback that cannot be observed.

        Raises
        ------
        ValueError
            Then nothing has changed.
        """

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Take note of what was served or came back. Must not fail."""

    def refund(self, state: AnyState, number: int, columns: Columns | None = None) -> float:
        """Give back what a decision holds, as it was not shown: all, or what it holds for some columns; how much."""
        return 0.0

    def report(self, state: AnyState, attributes: Attributes) -> dict[str, Any]:
        """How it stands, as plain values."""
        return {}

    def save(self, state: AnyState, columns: int) -> dict[str, NDArray[Any]]:
        """Return the arrays of a state, those of arms cut to `columns`."""
        arms = self.arm_fields
        return {
            name: np.ascontiguousarray(array[..., :columns]) if name in arms else array.copy()
            for name, array in state._asdict().items()
        }

    def load(self, arrays: Mapping[str, NDArray[Any]], columns: int) -> AnyState:
        """Make a state of saved arrays.

        Raises
        ------
        CheckpointError
            For arrays of another type or shape, or with values that no state has.
        """
        fresh = self.init(0)  # of no arms: nothing is made of the size that a file asks for
        require(set(arrays) == set(fresh._fields), f"the state of {self.name!r} has other arrays than {fresh._fields}")
        for name, array in fresh._asdict().items():
            given = arrays[name]
            shape = (*array.shape[:-1], columns) if name in self.arm_fields else array.shape
            fits = given.dtype == array.dtype and given.ndim == array.ndim
            if fits and name in self.loose:
                fits = given.shape[:-1] == shape[:-1] and given.shape[-1] >= shape[-1]
            require(
                fits and (name in self.loose or given.shape == shape),
                f"array {name!r} of {self.name!r} is of another type or shape",
            )
        state = type(fresh)(**arrays)
        self.check_state(state)
        return state

    def check_state(self, state: AnyState) -> None:
        """Refuse, by `require`, a loaded state that contradicts itself."""
        for name, array in state._asdict().items():
            largest = {"f": LARGEST_NUMBER, "i": LARGEST_COUNT}.get(array.dtype.kind)
            fits = largest is None or bool(((array >= -largest) & (array <= largest)).all())
            require(fits, f"array {name!r} of {self.name!r} is not finite, or out of range")


def capacity_of(constraint: Constraint, state: AnyState) -> int:
    """Number of arms that a state has room for; -1 where it keeps nothing of arms."""
    for name in constraint.arm_fields:
        return int(getattr(state, name).shape[-1])
    return -1


def grown(constraint: Constraint, state: AnyState, capacity: int) -> AnyState:
    """Return the state with room for `capacity` arms: itself, where it has it."""
    if capacity_of(constraint, state) in (-1, capacity):
        return state
    fresh = constraint.init(capacity)
    arms = constraint.arm_fields
    for name, array in state._asdict().items():
        if name in arms:
            getattr(fresh, name)[..., : array.shape[-1]] = array
    return type(state)(**{name: getattr(fresh if name in arms else state, name) for name in state._fields})


def forget(constraint: Constraint, state: AnyState, columns: Columns) -> None:
    """Bring columns to their beginning: other arms own them now."""
    fresh = constraint.init(1)
    for name in constraint.arm_fields:
        getattr(state, name)[..., columns] = getattr(fresh, name)

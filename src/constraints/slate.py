"""Slate: how many of a group it holds, and where in it new arms are tried."""

from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from ..bandits.checkpoint import require
from .attributes import Attributes
from .base import AnyState, Columns, Constraint, Exposure, Feedback, Limits, Precedence, Request

Count = Annotated[int, Field(ge=0)]


class Slate(Constraint):
    """A slate holds a least and a most number of arms of each group.

    Parameters
    ----------
    by
        Attribute that names the groups. Arms without it are in no group.
    lower
        Least number of arms, of each group or by name, as far as there are candidates.
    upper
        Largest number of arms, of each group or by name; None for any number.
    relaxable_upper
        Whether upper bounds give way where a slate cannot be filled otherwise. If not, it is shorter.

    Examples
    --------
    >>> from seedbed.constraints import Slate
    >>> Slate(by="category", lower={"music": 1}, upper=4).upper
    4
    """

    kind: Literal["slate"] = "slate"
    by: str
    lower: Count | dict[str, Count] = 0
    upper: Count | dict[str, Count] | None = None
    relaxable_upper: bool = True

    precedence: ClassVar[Precedence] = Precedence.GROUP

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        names = {*self._named(self.lower), *self._named(self.upper)}
        for name in [*sorted(names), None]:
            low, high = _bound(self.lower, name, 0), _bound(self.upper, name, np.inf)
            if low > high:
                of = "each group" if name is None else repr(name)
                raise ValueError(f"lower = {low:g} of {of} is more than its upper = {high:g}")
        return self

    @staticmethod
    def _named(bound: Any) -> dict[str, int]:
        return bound if isinstance(bound, dict) else {}

    def limits(self, state: AnyState, request: Request) -> Limits:
        """Bounds by groups."""
        upper = request.attributes.by_group(self.by, np.inf if self.upper is None else self.upper, np.inf)
        lower = request.attributes.by_group(self.by, self.lower, 0.0)
        groups = request.codes(self.by)
        return Limits(groups, np.ones(groups.size), upper, lower, relaxable=self.relaxable_upper)


class ExploreSlotsState(NamedTuple):
    """Exposures of K arms.

    exposures: int64 `[K]`.
    """

    exposures: Columns


class ExploreSlots(Constraint):
    """A slate holds at most so many new arms, and none before a position.

    New is an arm with fewer than `below` exposures.

    Parameters
    ----------
    most
        Largest number of new arms.
    below
        Exposures from which on an arm is no longer new.
    min_position
        First position, from 0, at which a new arm may stand.
    relaxable_upper
        Whether this gives way where a slate cannot be filled otherwise. If not, it is shorter.

    Examples
    --------
    >>> from seedbed.constraints import ExploreSlots
    >>> ExploreSlots(below=100, min_position=3).most
    1
    """

    kind: Literal["explore_slots"] = "explore_slots"
    most: Count = 1
    below: Annotated[int, Field(ge=1)]
    min_position: Count = 0
    relaxable_upper: bool = True

    precedence: ClassVar[Precedence] = Precedence.GROUP

    def init(self, capacity: int) -> ExploreSlotsState:
        """Make a state in which nothing was served."""
        return ExploreSlotsState(np.zeros(capacity, np.int64))

    def limits(self, state: AnyState, request: Request) -> Limits:
        """Bounds of new arms: group 1."""
        groups = (state.exposures[request.columns] < self.below).astype(np.int64)
        return Limits(
            groups,
            np.ones(groups.size),
            np.array([np.inf, self.most]),
            np.zeros(2),
            groups * self.min_position if self.min_position else None,
            self.relaxable_upper,
        )

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Count exposures."""
        if isinstance(event, Exposure):
            state.exposures[event.columns] += 1

    def report(self, state: AnyState, attributes: Attributes) -> dict[str, Any]:
        """Number of arms that were served, and are still new."""
        return {"new": int(((state.exposures > 0) & (state.exposures < self.below)).sum())}

    def check_state(self, state: AnyState) -> None:
        """Refuse a loaded state that contradicts itself."""
        super().check_state(state)
        require(bool((state.exposures >= 0).all()), f"the counts of {self.name!r} are none")


def _bound(bound: Any, name: str | None, otherwise: float) -> float:
    """Bound of a group by name, None for one that is not named."""
    if bound is None:
        return otherwise
    return float(bound.get(name, otherwise)) if isinstance(bound, dict) else float(bound)

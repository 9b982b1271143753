"""A chain of constraints: its state is the tuple of its members' states, its order that of precedence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bandits.checkpoint import require
from ..bandits.errors import CheckpointError
from .attributes import Attributes
from .base import Columns, Constraint, Exposure, Feedback, Floats, Limits, Mask, Request, Shares, forget


class Masked(NamedTuple):
    """What masks leave of a request.

    keep: `[C]`. dropped: number of candidates by reason, each counted once. relaxed: names of what gave way.
    """

    keep: Mask
    dropped: dict[str, int]
    relaxed: list[str]


class Chain:
    """Constraints in the order of precedence, and their states.

    Not thread-safe by itself: its owner's lock orders all calls.
    """

    def __init__(self, constraints: Iterable[Constraint]) -> None:
        given = list(constraints)
        for i, constraint in enumerate(given):
            if not isinstance(constraint, Constraint):
                raise ValueError(f"constraints[{i}] = {constraint!r:.80} is not a constraint, such as Floor(0.01)")
        self.given = tuple(given)  # as they were passed, for the configuration
        self.members = tuple(sorted(given, key=lambda constraint: constraint.precedence))  # a stable order
        self.states: list[Any] = [constraint.init(0) for constraint in self.members]
        self.labels = _labels(self.members)

    @property
    def resources_read(self) -> set[str]:
        """Names of the costs that any member reads from feedback."""
        return {name for constraint in self.members for name in constraint.resources_read}

    @property
    def metrics_read(self) -> set[str]:
        """Names of the metrics that any member reads from feedback."""
        return {name for constraint in self.members for name in constraint.metrics_read}

    @property
    def prices(self) -> bool:
        """Whether any member changes scores."""
        return any(
            constraint.needs_scores or type(constraint).price is not Constraint.price for constraint in self.members
        )

    def fit(self, capacity: int, attributes: Attributes, now: float) -> None:
        """Bring all states to the number of arms and to the time."""
        for i, constraint in enumerate(self.members):
            self.states[i] = constraint.fit(self.states[i], capacity, attributes, now)

    def forget(self, columns: Columns) -> None:
        """Bring columns to their beginning: other arms own them now."""
        for constraint, state in zip(self.members, self.states, strict=True):
            forget(constraint, state, columns)

    def mask(self, request: Request) -> Masked:
        """Which candidates may be served.

        Masks that may be relaxed are, from the weak end, where they would leave fewer candidates than wanted and than
        the others leave.
        """
        keep = np.ones(request.columns.size, bool)
        dropped: dict[str, int] = {}
        relaxed: list[str] = []
        least = -1
        for strict in (True, False):
            for i, constraint in enumerate(self.members):
                if constraint.relaxable is strict:
                    continue
                for reason, mask in constraint.mask(self.states[i], request):
                    if not strict and least < 0:
                        least = min(request.k, int(keep.sum()))
                    left = keep & mask
                    count = int(np.count_nonzero(keep)) - int(np.count_nonzero(left))
                    if not strict and keep.size and int(np.count_nonzero(left)) < least:
                        relaxed.append(constraint.name)
                        continue
                    if count:
                        dropped[reason] = dropped.get(reason, 0) + count
                        keep = left
        return Masked(keep, dropped, list(dict.fromkeys(relaxed)))

    def price(self, request: Request) -> tuple[Floats, Floats] | None:
        """Scales and offsets, `[C]` each: `score = scale * draw - offset`; None where nothing is priced."""
        factor: Any = 1.0
        rate: Any = 0.0
        cost: Any = 0.0
        priced = False
        for constraint, state in zip(self.members, self.states, strict=True):
            price = constraint.price(state, request)
            if price is not None:
                priced = True
                factor, rate, cost = factor * price.factor, rate + price.rate, cost + price.cost
        if not priced:
            return None
        size = request.columns.size
        scales = np.empty(size)
        offsets = np.empty(size)
        scales[:], offsets[:] = factor - rate, cost
        return scales, offsets

    def rescorers(self) -> list[tuple[Constraint, Any]]:
        """Members that need all scores, with their states."""
        return [
            (constraint, state)
            for constraint, state in zip(self.members, self.states, strict=True)
            if constraint.needs_scores
        ]

    def mix(self, request: Request, draws: Floats) -> Floats | None:
        """Probability of each candidate, by the first member that decides it; None where none does."""
        for constraint, state in zip(self.members, self.states, strict=True):
            mixed = constraint.mix(state, request, draws)
            if mixed is not None:
                return mixed
        return None

    @property
    def mixes(self) -> bool:
        """Whether a member decides by a mixture of its own."""
        return any(type(constraint).mix is not Constraint.mix for constraint in self.members)

    def shares(self, request: Request) -> list[tuple[str, Shares]]:
        """Bounds of probabilities, with the names of those who set them."""
        found = []
        for constraint, state in zip(self.members, self.states, strict=True):
            shares = constraint.shares(state, request)
            if shares is not None:
                found.append((constraint.name, shares))
        return found

    def demands(self, request: Request) -> list[tuple[str, Columns]]:
        """Candidates that must be served now, by position, with the names of those who demand it."""
        found = []
        for constraint, state in zip(self.members, self.states, strict=True):
            positions = constraint.demands(state, request)
            if positions is not None and positions.size:
                found.append((constraint.name, positions))
        return found

    def limits(self, request: Request) -> list[tuple[str, Limits]]:
        """Bounds of a slate, with the names of those who set them."""
        found = []
        for constraint, state in zip(self.members, self.states, strict=True):
            limits = constraint.limits(state, request)
            if limits is not None:
                found.append((constraint.name, limits))
        return found

    def check(self, feedback: Feedback) -> None:
        """Refuse feedback that a member cannot observe."""
        for constraint, state in zip(self.members, self.states, strict=True):
            constraint.check(state, feedback)

    def observe(self, event: Exposure | Feedback) -> None:
        """Tell all members."""
        for constraint, state in zip(self.members, self.states, strict=True):
            constraint.observe(state, event)

    def report(self, attributes: Attributes) -> dict[str, dict[str, Any]]:
        """How each member stands, by its name."""
        return {
            label: constraint.report(state, attributes)
            for label, constraint, state in zip(self.labels, self.members, self.states, strict=True)
        }

    def save(self, columns: int) -> dict[str, NDArray[Any]]:
        """Arrays of all states, by the members' place in the chain."""
        return {
            f"{i}.{name}": array
            for i, constraint in enumerate(self.members)
            for name, array in constraint.save(self.states[i], columns).items()
        }

    def load(self, arrays: Mapping[str, NDArray[Any]], columns: int) -> None:
        """Take over saved states.

        Raises
        ------
        CheckpointError
            For arrays that are none.
        """
        known = set()
        for i, constraint in enumerate(self.members):
            own = {name: array for name, array in arrays.items() if name.startswith(f"{i}.")}
            known |= set(own)
            try:
                self.states[i] = constraint.load({name.partition(".")[2]: own[name] for name in own}, columns)
            except (ValueError, IndexError, OverflowError) as error:
                if isinstance(error, CheckpointError):
                    raise
                require(False, f"the state of {constraint.name!r} cannot be read ({error})")
        strange = [name for name in arrays if name not in known and not name.startswith("attribute.")]
        require(not strange, f"it has arrays of no constraint, such as {strange[:1]}")


def _labels(members: tuple[Constraint, ...]) -> list[str]:
    """Name of each member, numbered where several have one."""
    names = [constraint.name for constraint in members]
    return [name if names.count(name) == 1 else f"{name} {1 + names[:i].count(name)}" for i, name in enumerate(names)]

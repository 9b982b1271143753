"""A chain of constraints: its state is the tuple of its members' states, its order that of precedence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..bandits.checkpoint import require
from ..bandits.errors import CheckpointError
from .attributes import Attributes
from .base import Columns, Constraint, Exposure, Feedback, Floats, Limits, Mask, Precedence, Request, Shares, forget

Kind = TypeVar("Kind", bound=Constraint)

_HOOKS = ("fit", "mask", "price", "rescore", "mix", "shares", "demands", "limits", "check", "observe", "refund")


class Masked(NamedTuple):
    """What masks leave of a request.

    keep: `[C]`, None for all. dropped: number of candidates by reason, each counted once. relaxed: names of what gave
    way.
    """

    keep: Mask | None
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
        self._capacity = 0
        self._ones: Floats = np.ones(0)
        self._who = {hook: self._overriding(hook) for hook in _HOOKS}
        strict = [i for i in self._who["mask"] if not self.members[i].relaxable]
        others = any(self._who[hook] for hook in ("rescore", "mix", "demands"))
        has_groups = any(self.members[i].precedence >= Precedence.GROUP for i in self._who["limits"])
        self._plain = not others and not has_groups, not others and not self._who["limits"]  # for one slot, for more
        self._maskers = strict, [i for i in self._who["mask"] if i not in strict]

    def _overriding(self, hook: str) -> list[int]:
        """Places of the members that care for a hook; the others are not asked."""
        default = getattr(Constraint, hook)
        return [i for i, member in enumerate(self.members) if getattr(type(member), hook) is not default]

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
        return bool(self._who["price"] or self._who["rescore"])

    def is_plain(self, k: int) -> bool:
        """Whether the choice of k arms is the rule's own, but for masks, prices and shares."""
        return self._plain[k > 1]

    @property
    def mixes(self) -> bool:
        """Whether a member decides by a mixture of its own."""
        return bool(self._who["mix"])

    @property
    def has_shares(self) -> bool:
        """Whether a member bounds probabilities."""
        return bool(self._who["shares"])

    def fit(self, capacity: int, attributes: Attributes, now: float) -> None:
        """Bring all states to the number of arms and to the time."""
        has_grown = capacity != self._capacity
        for i in range(len(self.members)) if has_grown else self._who["fit"]:
            self.states[i] = self.members[i].fit(self.states[i], capacity, attributes, now)
        self._capacity = capacity  # last: where a member refuses, the others are not left behind

    def twin(self) -> Chain:
        """Make a copy, whose states are its own."""
        twin = Chain(self.given)
        twin.states = [type(state)(*(array.copy() for array in state)) for state in self.states]
        twin._capacity = self._capacity
        return twin

    def forget(self, columns: Columns) -> None:
        """Bring columns to their beginning: other arms own them now."""
        for constraint, state in zip(self.members, self.states, strict=True):
            forget(constraint, state, columns)

    def mask(self, request: Request) -> Masked:
        """Which candidates may be served.

        Masks that may be relaxed are, from the weak end, where they would leave fewer candidates than wanted and than
        the others leave.
        """
        keep: Mask | None = None
        dropped: dict[str, int] = {}
        relaxed: list[str] = []
        left = request.columns.size
        strict, others = self._maskers
        for i in strict:
            for reason, mask in self.members[i].mask(self.states[i], request):
                keep = mask if keep is None else keep & mask
                left = _count(dropped, reason, left, keep)
        least = min(request.k, left)
        for i in others:
            for reason, mask in self.members[i].mask(self.states[i], request):
                kept = mask if keep is None else keep & mask
                if np.count_nonzero(kept) < least:
                    relaxed.append(self.members[i].name)
                    continue
                keep = kept
                left = _count(dropped, reason, left, keep)
        return Masked(keep, dropped, relaxed)

    def price(self, request: Request) -> tuple[Floats, Floats] | None:
        """Scales and offsets, `[C]` each: `score = scale * draw - offset`; None where nothing is priced."""
        factor: Any = 1.0
        rate: Any = 0.0
        cost: Any = 0.0
        priced = False
        for i in self._who["price"]:
            price = self.members[i].price(self.states[i], request)
            if price is not None:
                priced = True
                factor, rate, cost = factor * price.factor, rate + price.rate, cost + price.cost
        if not priced:
            return None
        size = request.columns.size
        if type(factor) is type(rate) is float and factor - rate == 1.0:
            if self._ones.size != size:
                self._ones = np.ones(size)
            scales = self._ones
        else:
            scales = np.empty(size)
            scales[:] = factor - rate
        offsets = np.empty(size)
        offsets[:] = cost
        return scales, offsets

    def rescorers(self) -> list[tuple[Constraint, Any]]:
        """Members that need all scores, with their states."""
        return [(self.members[i], self.states[i]) for i in self._who["rescore"]]

    def mix(self, request: Request, draws: Callable[[], Floats]) -> Floats | None:
        """Probability of each candidate, by the first member that decides it; None where none does."""
        for i in self._who["mix"]:
            mixed = self.members[i].mix(self.states[i], request, draws())
            if mixed is not None:
                return mixed
        return None

    def shares(self, request: Request) -> list[tuple[str, Shares]]:
        """Bounds of probabilities, with the names of those who set them."""
        return [(name, shares) for name, shares in self._ask("shares", request) if shares is not None]

    def demands(self, request: Request) -> list[tuple[str, Columns]]:
        """Candidates that must be served now, by position, with the names of those who demand it."""
        return [(name, who) for name, who in self._ask("demands", request) if who is not None and who.size]

    def limits(self, request: Request, least: int = 0) -> list[tuple[str, Limits]]:
        """Bounds of a slate by members from this precedence on, with the names of those who set them."""
        asked = [i for i in self._who["limits"] if self.members[i].precedence >= least]
        found = ((self.members[i].name, self.members[i].limits(self.states[i], request)) for i in asked)
        return [(name, limits) for name, limits in found if limits is not None]

    def _ask(self, hook: str, request: Request) -> list[tuple[str, Any]]:
        return [
            (self.members[i].name, getattr(self.members[i], hook)(self.states[i], request)) for i in self._who[hook]
        ]

    def check(self, feedback: Feedback) -> None:
        """Refuse feedback that a member cannot observe."""
        for i in self._who["check"]:
            self.members[i].check(self.states[i], feedback)

    def observe(self, event: Exposure | Feedback) -> None:
        """Tell all members."""
        for i in self._who["observe"]:
            self.members[i].observe(self.states[i], event)

    def refund(self, number: int, columns: Columns | None) -> dict[str, float]:
        """Let all members give back what a decision holds; how much, by name."""
        return {self.labels[i]: self.members[i].refund(self.states[i], number, columns) for i in self._who["refund"]}

    def of_type(self, sort: type[Kind]) -> list[tuple[Kind, Any]]:
        """Members of a class, with their states."""
        pairs = zip(self.members, self.states, strict=True)
        return [(member, state) for member, state in pairs if isinstance(member, sort)]

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
        self._capacity = columns
        strange = [name for name in arrays if name not in known and not name.startswith("attribute.")]
        require(not strange, f"it has arrays of no constraint, such as {strange[:1]}")


def _labels(members: tuple[Constraint, ...]) -> list[str]:
    """Name of each member, numbered where several have one."""
    names = [constraint.name for constraint in members]
    return [name if names.count(name) == 1 else f"{name} {1 + names[:i].count(name)}" for i, name in enumerate(names)]


def _count(dropped: dict[str, int], reason: str, before: int, keep: Mask) -> int:
    """Count who was dropped for a reason; return how many are left."""
    left = int(np.count_nonzero(keep))
    if left < before:
        dropped[reason] = dropped.get(reason, 0) + before - left
    return left

"""Who earns a conversion: rules in trees, in versions, and what kernels read of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from .config import AttributionConfig, Name
from .names import name_of

MODELS = ("last_click", "first_click", "linear", "position")
UNITS = 2**32  # of which a whole share is made
LEAF_BITS = 16  # of a code; those above are the number of the set
MOST_LEAVES = 1 << LEAF_BITS
_DEEPEST = 4  # rules inside each other

# columns of Compiled.numbers
KINDS, SEGMENTS_FROM, SEGMENTS_TO, MODEL, CHANNELS, FIRST, MIDDLE, LAST, PAIR, CODE = range(10)
# columns of Compiled.limits
VALID_FROM, VALID_TO, LEAST, MOST = range(4)

Bound = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Condition(BaseModel):
    """Which conversions a rule is for; what is None does not matter.

    Parameters
    ----------
    kinds
        Kinds of event, of the configuration's windows.
    min_value, max_value
        The value is at least, and at most, this.
    segments
        Names of which the conversion's segment is one: text, or 64-bit names as they were passed to `convert`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    min_value: Bound | None = None
    max_value: Bound | None = None
    segments: Annotated[tuple[str | int, ...], Field(min_length=1)] | None = None

    @field_validator("segments")
    @classmethod
    def _check_segments(cls, segments: tuple[str | int, ...] | None) -> tuple[str | int, ...] | None:
        if any(not isinstance(each, str) and not -(2**63) <= each < 2**64 for each in segments or ()):
            raise ValueError("a segment is no name of 64 bits")
        return segments


class Rule(BaseModel):
    """A leaf, which says how credit is shared, or a node, which holds rules.

    The first leaf of a tree whose condition, and those of all nodes above, hold is the one that counts.

    Parameters
    ----------
    when
        Which conversions it is for; all by default.
    model
        Who earns: "last_click", the last touch of the path; "first_click", the first; "linear", all alike;
        "position", the first, the last and those between as `split` says. Not read of a node.
    split
        Shares of first, middle (all together) and last, of sum 1. Of a path of two the middle's share falls to both in
        proportion to their own, half each where these are zero.
    channels
        Whose touches may earn; None: all, those without a channel too. A leaf without takes its node's.
    rules
        The rules of a node, in order.

    Examples
    --------
    >>> large = Rule(when=Condition(min_value=100.0), model="linear")
    >>> Rule(when=Condition(kinds=("order",)), rules=(large, Rule())).rules[1].model
    'last_click'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: Condition = Condition()
    model: Literal["last_click", "first_click", "linear", "position"] = "last_click"
    split: tuple[Share, Share, Share] = (0.4, 0.2, 0.4)
    channels: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _check_split(self) -> Self:
        if abs(sum(self.split) - 1.0) > 1e-9:
            raise ValueError(f"split = {self.split} must sum to 1; it sums to {sum(self.split):.12g}")
        return self

    @property
    def depth(self) -> int:
        """Rules inside each other, this one included."""
        return 1 + max((rule.depth for rule in self.rules), default=0)


class RuleSet(BaseModel):
    """A version of the rules: a list of trees, and when it is in force.

    Of all sets that are active at the time of a conversion and have a leaf for it, that of the highest priority
    counts; among equals the one in force since the latest time, then the one whose version sorts last.

    Parameters
    ----------
    version
        Its name: what is said once under a name stays so.
    rules
        Trees, in order; at most four rules inside each other.
    priority
        Higher goes first.
    valid_from, valid_to
        Seconds: in force for conversions of [valid_from, valid_to), by their own time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Name
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]
    priority: Annotated[int, Field(ge=-(2**53), le=2**53)] = 0
    valid_from: float = -math.inf
    valid_to: float = math.inf

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.valid_from < self.valid_to:
            raise ValueError(f"valid_from = {self.valid_from} must be before valid_to = {self.valid_to}")
        if max(rule.depth for rule in self.rules) > _DEEPEST:
            raise ValueError(f"rules stand at most {_DEEPEST} deep inside each other")
        if sum(1 for _ in leaves_of(self)) >= MOST_LEAVES:
            raise ValueError(f"rules has {MOST_LEAVES} leaves or more; divide them among versions")
        return self


class Leaf(NamedTuple):
    """A leaf, the conditions that must hold for it, and the channels that may earn."""

    rule: Rule
    conditions: tuple[Condition, ...]
    channels: tuple[str, ...] | None


class Compiled(NamedTuple):
    """The leaves of all active sets, the first to be asked first.

    numbers: `[R, 10]`; limits: `[R, 4]`, see the names of their columns; segments: `[M]`, all that leaves ask for.
    """

    numbers: NDArray[np.int64]
    limits: NDArray[np.float64]
    segments: NDArray[np.int64]


def leaves_of(rule_set: RuleSet) -> Iterator[Leaf]:
    """Leaves of a set, in order."""
    for rule in rule_set.rules:
        yield from _leaves(rule, (), None)


def _leaves(rule: Rule, above: tuple[Condition, ...], channels: tuple[str, ...] | None) -> Iterator[Leaf]:
    conditions = (*above, rule.when)
    channels = channels if rule.channels is None else rule.channels
    if not rule.rules:
        yield Leaf(rule, conditions, channels)
    for inner in rule.rules:
        yield from _leaves(inner, conditions, channels)


def compiled(rule_sets: Sequence[tuple[int, RuleSet]], config: AttributionConfig) -> Compiled:
    """What kernels read of the active sets, each with its number.

    Raises
    ------
    ValueError
        For kinds or channels that the configuration does not name.
    """
    ordered = sorted(rule_sets, key=lambda each: (each[1].priority, each[1].valid_from, each[1].version), reverse=True)
    numbers: list[list[int]] = []
    limits: list[list[float]] = []
    segments: list[int] = []
    for number, rule_set in ordered:
        for place, leaf in enumerate(leaves_of(rule_set)):
            try:
                row = _numbers(leaf, config, segments)
            except ValueError as error:
                raise ValueError(f"rule set {rule_set.version!r}, leaf {place}: {error}") from None
            numbers.append([*row, number * MOST_LEAVES + place])
            least = max((c.min_value for c in leaf.conditions if c.min_value is not None), default=-math.inf)
            most = min((c.max_value for c in leaf.conditions if c.max_value is not None), default=math.inf)
            limits.append([rule_set.valid_from, rule_set.valid_to, least, most])
    return Compiled(
        np.array(numbers, np.int64).reshape(-1, CODE + 1),
        np.array(limits, np.float64).reshape(-1, MOST + 1),
        np.array(segments, np.int64),
    )


def _numbers(leaf: Leaf, config: AttributionConfig, segments: list[int]) -> list[int]:
    """A leaf's row of numbers but for its code; its segments are added to the list."""
    kinds = (1 << len(config.windows)) - 1
    asked: set[int] | None = None
    for condition in leaf.conditions:
        if condition.kinds is not None:
            kinds &= _bits(condition.kinds, tuple(config.windows), config, "kind")
        if condition.segments is not None:
            names = {name_of(each) for each in condition.segments}
            asked = names if asked is None else asked & names
    start = len(segments)
    segments.extend(sorted(asked or ()))
    channels = -1
    if leaf.channels is not None:  # bit of a rank: n for the first of n channels, 0 for none
        ranks = [len(config.channels) - config.code_of(name, config.channels, "channel") for name in leaf.channels]
        channels = sum(1 << rank for rank in set(ranks))
    first, middle, last = (round(share * UNITS) for share in leaf.rule.split)
    ends = leaf.rule.split[0] + leaf.rule.split[2]
    pair = round(leaf.rule.split[0] / ends * UNITS) if ends else UNITS // 2
    span = [-1, -1] if asked is None else [start, len(segments)]
    return [kinds, *span, MODELS.index(leaf.rule.model), channels, first, middle, last, pair]


def _bits(names: tuple[Any, ...], among: tuple[str, ...], config: AttributionConfig, what: str) -> int:
    return sum(1 << code for code in {config.code_of(name, among, what) for name in names})


DEFAULT = RuleSet(version="default", rules=(Rule(),))

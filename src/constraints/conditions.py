"""Conditions over the attributes of viewers and arms, and rules made of them: who may not be served what."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from .attributes import Attributes

Mask = NDArray[np.bool_]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Between(BaseModel):
    """A number in [low, high], both ends included; None for no end.

    Examples
    --------
    >>> from seedbed.constraints import Between, Rule
    >>> minors = Rule(reason="MINOR", viewer={"age": Between(high=17)}, arm={"gift": "hard"})
    >>> [minors.applies({"age": age}) for age in (17, 18)]
    [True, False]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Number | None = None
    high: Number | None = None

    @model_validator(mode="after")
    def _some_number_fits(self) -> Self:
        low, high = self.ends
        if not -math.inf < max(low, -high) or low > high:
            raise ValueError(f"low = {self.low}, high = {self.high}: give one end at least, and low <= high")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        """Least and largest number that fits."""
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high


Value = bool | int | Number | str
Condition = Value | Annotated[tuple[Value, ...], Field(min_length=1)] | Between


class Terms(NamedTuple):
    """A condition taken apart: the names, the numbers and the intervals that meet it."""

    names: frozenset[str]
    numbers: frozenset[float]
    low: float
    high: float

    def is_met(self, value: Any) -> bool | None:
        """Whether a value meets it; None for a value that is none, or of a sort that it says nothing of."""
        if isinstance(value, str):
            return value in self.names if self.names else None
        if not isinstance(value, bool | int | float | np.number | np.bool_) or value != value:
            return None
        if self.low <= self.high:
            return bool(self.low <= value <= self.high)
        return value in self.numbers if self.numbers else None


def terms_of(condition: Condition) -> Terms:
    """Take a condition apart."""
    if isinstance(condition, Between):
        return Terms(frozenset(), frozenset(), *condition.ends)
    values = condition if isinstance(condition, tuple) else (condition,)
    names = frozenset(value for value in values if isinstance(value, str))
    numbers = frozenset(float(value) for value in values if not isinstance(value, str))
    return Terms(names, numbers, math.inf, -math.inf)


class Rule(BaseModel):
    """Arms that are not served to some viewers, or to nobody.

    An arm is dropped where all of `arm` hold, in requests for which all of `viewer` hold. Protection is pessimistic:
    an attribute that nobody told counts as if its condition held. So a viewer of whom nothing is known is protected as
    the most vulnerable one, and `arm={"is_cleared": False}` drops the arms without the flag too.

    Parameters
    ----------
    reason
        What decisions call it.
    viewer, arm
        Conditions by attribute: a value, a tuple of values of which one must fit, or `Between`. True is 1, False is 0.
        None at all in `viewer`: the rule applies to everyone; in `arm`: to all arms.
    unknown_viewer, unknown_arm
        "matches" or "differs": how an attribute counts that was not told, or is of another sort than the condition (a
        number where it has names).

    Examples
    --------
    >>> from seedbed.constraints import Rule
    >>> rule = Rule(reason="NEW_VIEWER", viewer={"is_new": True}, arm={"gift": ("hard", "auction")})
    >>> rule.applies({"is_new": True}), rule.applies({"is_new": False}), rule.applies({})
    (True, False, True)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(min_length=1)
    viewer: dict[str, Condition] = Field(default_factory=dict)
    arm: dict[str, Condition] = Field(default_factory=dict)
    unknown_viewer: Literal["matches", "differs"] = "matches"
    unknown_arm: Literal["matches", "differs"] = "matches"

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.viewer and not self.arm:
            raise ValueError(f"rule {self.reason!r} has no condition, so it would drop every arm for everyone")
        return self

    @cached_property
    def _terms(self) -> list[tuple[str, Terms]]:
        return [(name, terms_of(condition)) for name, condition in self.viewer.items()]

    def applies(self, viewer: Mapping[str, Any]) -> bool:
        """Whether the conditions on the viewer hold."""
        return all_met(self._terms, viewer, self.unknown_viewer == "matches")

    def holds(self, attributes: Attributes) -> Mask:
        """For which arms the conditions on the arm hold, `[K]`."""
        held = np.ones(attributes.capacity, np.bool_)
        for name, condition in self.arm.items():
            held &= _holds(terms_of(condition), name, attributes, self.unknown_arm == "matches")
        return held


def all_met(terms: list[tuple[str, Terms]], viewer: Mapping[str, Any], unknown: bool) -> bool:
    """Whether a viewer meets all of the conditions, those that cannot be judged counting as `unknown`."""
    for name, term in terms:
        met = term.is_met(viewer.get(name))
        if not (unknown if met is None else met):
            return False
    return True


def _holds(term: Terms, name: str, attributes: Attributes, unknown: bool) -> Mask:
    values = attributes.values.get(name)
    codes = attributes.codes_of.get(name)
    has_say = term.names if codes is not None else term.numbers or term.low <= term.high
    if values is None or not has_say:
        return np.full(attributes.capacity, unknown)
    if codes is not None:
        held = np.isin(values, [codes[value] for value in term.names if value in codes])
    elif term.numbers:
        held = np.isin(values, list(term.numbers))
    else:
        held = (values >= term.low) & (values <= term.high)
    return np.where(np.isnan(values), unknown, held)

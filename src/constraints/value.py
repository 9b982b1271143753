"""Value: what a unit of reward of each arm is worth."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from .base import AnyState, Constraint, Precedence, Price, Request


class Value(Constraint):
    """Arms are ranked by their reward times what a unit of it is worth.

    The model learns how likely a sale is, and an attribute tells what a sale brings: `score = draw * value`.

    Parameters
    ----------
    attribute
        Name of the attribute, numbers, that every candidate must have.

    Examples
    --------
    >>> from seedbed.constraints import Value
    >>> Value("price").attribute
    'price'
    """

    kind: Literal["value"] = "value"
    attribute: str

    precedence: ClassVar[Precedence] = Precedence.SCORE

    def __init__(self, attribute: str, **fields: Any) -> None:
        super().__init__(attribute=attribute, **fields)  # type: ignore[call-arg]

    def price(self, state: AnyState, request: Request) -> Price:
        """Return the values as factors."""
        return Price(factor=request.numbers(self.attribute))

"""Selection rules: which arm comes next, given what is believed."""

from typing import Annotated

from pydantic import Field

from .thompson import Thompson
from .ucb import KLUCB, UCB1

AnyPolicy = Annotated[Thompson | UCB1 | KLUCB, Field(discriminator="kind")]

__all__ = ["KLUCB", "UCB1", "AnyPolicy", "Thompson"]

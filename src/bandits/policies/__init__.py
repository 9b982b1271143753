"""Selection rules: which arm comes next, given what is believed."""

from typing import Annotated

from pydantic import Field

from .bayes_ucb import BayesUCB
from .epsilon_greedy import EpsilonGreedy
from .exp3 import EXP3
from .kl_ucb import KLUCB
from .linear import LinThompson, LinUCB
from .thompson import Thompson
from .top_two import TopTwo
from .ucb1 import UCB1

AnyPolicy = Annotated[
    Thompson | TopTwo | UCB1 | KLUCB | BayesUCB | LinUCB | LinThompson | EpsilonGreedy | EXP3,
    Field(discriminator="kind"),
]

__all__ = [
    "EXP3",
    "KLUCB",
    "UCB1",
    "AnyPolicy",
    "BayesUCB",
    "EpsilonGreedy",
    "LinThompson",
    "LinUCB",
    "Thompson",
    "TopTwo",
]

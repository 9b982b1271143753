"""Who is best? Statistics, scores, learning and judging them. Pure: no I/O, no clock."""

from ._changes import ChangeDetector
from .bandit import Bandit
from .errors import CheckpointError, MergeError, StaleRowsError, UnknownArmError
from .models import Beta, GammaPoisson, Gaussian, HybridLinear, Linear, SharedLinear
from .policies import (
    EXP3,
    KLUCB,
    UCB1,
    AnyPolicy,
    BayesUCB,
    EpsilonGreedy,
    LinThompson,
    LinUCB,
    Thompson,
    TopTwo,
)
from .records import Change, Decision

__all__ = [
    "EXP3",
    "KLUCB",
    "UCB1",
    "AnyPolicy",
    "Bandit",
    "BayesUCB",
    "Beta",
    "Change",
    "ChangeDetector",
    "CheckpointError",
    "Decision",
    "EpsilonGreedy",
    "GammaPoisson",
    "Gaussian",
    "HybridLinear",
    "LinThompson",
    "LinUCB",
    "Linear",
    "MergeError",
    "SharedLinear",
    "StaleRowsError",
    "Thompson",
    "TopTwo",
    "UnknownArmError",
]

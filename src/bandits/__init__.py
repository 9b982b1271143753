"""Who is best? Statistics, scores, learning and judging them. Pure: no I/O, no clock."""

from .bandit import Bandit
from .errors import CheckpointError, StaleRowsError, UnknownArmError
from .models import Beta
from .policies import KLUCB, UCB1, AnyPolicy, Thompson
from .records import Decision

__all__ = [
    "KLUCB",
    "UCB1",
    "AnyPolicy",
    "Bandit",
    "Beta",
    "CheckpointError",
    "Decision",
    "StaleRowsError",
    "Thompson",
    "UnknownArmError",
]

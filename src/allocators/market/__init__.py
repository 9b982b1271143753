"""A simulated two-sided live-streaming market, and what can be played in it."""

from typing import TYPE_CHECKING

from .base import METRICS, MarketPolicy, Outcomes, Report, Rooms, Standing, View
from .calibration import Row, calibration
from .comparing import Comparison, Interval, Kept, compare
from .measures import cumulative, exposure_by_decile, gini, measures
from .parameters import MarketConfig
from .playing import Playing, Run, play
from .results import Life, Result
from .truth import Truth
from .world import Market

if TYPE_CHECKING:
    from .environment import MarketEnv as MarketEnv  # not in __all__, so that * does not import it

__all__ = [
    "METRICS",
    "Comparison",
    "Interval",
    "Kept",
    "Life",
    "Market",
    "MarketConfig",
    "MarketPolicy",
    "Outcomes",
    "Playing",
    "Report",
    "Result",
    "Rooms",
    "Row",
    "Run",
    "Standing",
    "Truth",
    "View",
    "calibration",
    "compare",
    "cumulative",
    "exposure_by_decile",
    "gini",
    "measures",
    "play",
]


def __getattr__(name: str) -> object:
    """Import the environment when it is asked for: it alone needs gymnasium."""
    if name == "MarketEnv":
        from .environment import MarketEnv

        return MarketEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

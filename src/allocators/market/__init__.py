"""A simulated two-sided live-streaming market, and what can be played in it."""

from typing import TYPE_CHECKING

from .base import METRICS, MarketPolicy, Report, Rooms, View
from .calibration import Row, calibration
from .measures import cumulative, exposure_by_decile, gini, measures
from .parameters import MarketConfig
from .playing import Playing, Run, play
from .truth import Truth
from .world import Market

if TYPE_CHECKING:
    from .environment import MarketEnv as MarketEnv  # not in __all__, so that * does not import it

__all__ = [
    "METRICS",
    "Market",
    "MarketConfig",
    "MarketPolicy",
    "Playing",
    "Report",
    "Rooms",
    "Row",
    "Run",
    "Truth",
    "View",
    "calibration",
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

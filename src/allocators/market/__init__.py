"""A simulated two-sided live-streaming market, and what can be played in it."""

from .base import METRICS, MarketPolicy, Report, Rooms, View
from .calibration import Row, calibration
from .measures import cumulative, exposure_by_decile, gini, measures
from .parameters import MarketConfig
from .playing import Playing, Run, play
from .truth import Truth
from .world import Market

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

"""A simulated two-sided live-streaming market, and what can be played in it."""

from .base import METRICS, MarketPolicy, Report, Rooms, View
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
    "Run",
    "Truth",
    "View",
    "cumulative",
    "exposure_by_decile",
    "gini",
    "measures",
    "play",
]

"""A simulated two-sided live-streaming market, and what can be played in it."""

from .base import METRICS, MarketPolicy, Report, Rooms, View
from .parameters import MarketConfig
from .truth import Truth
from .world import Market

__all__ = ["METRICS", "Market", "MarketConfig", "MarketPolicy", "Report", "Rooms", "Truth", "View"]

"""Reward models: what is believed of each arm. The same cells in each file."""

from .beta import Beta, BetaState

__all__ = ["Beta", "BetaState"]

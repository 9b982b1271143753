"""How much traffic? Composes bandits and constraints."""

from .cold_start import ColdStartAllocator, ColdStartConfig, Plan, RoomPlan, Stage, StageChange

__all__ = ["ColdStartAllocator", "ColdStartConfig", "Plan", "RoomPlan", "Stage", "StageChange"]

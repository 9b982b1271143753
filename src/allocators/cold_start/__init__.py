"""The three-stage cold-start allocator: seed, verify, scale, with a stop-loss and a budget."""

from .allocator import ColdStartAllocator
from .config import ColdStartConfig
from .plan import Plan, RoomPlan
from .stages import Stage, StageChange
from .thresholds import fit_beta_moments

__all__ = ["ColdStartAllocator", "ColdStartConfig", "Plan", "RoomPlan", "Stage", "StageChange", "fit_beta_moments"]

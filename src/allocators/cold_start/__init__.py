"""The three-stage cold-start allocator: seed, verify, scale, with a stop-loss and a budget."""

from .allocator import ColdStartAllocator
from .config import ColdStartConfig
from .explain import Explanation
from .gates import Gate
from .harms import Harm
from .overrides import Override
from .plan import Plan, RoomPlan
from .populations import Atoms, BetaPopulation, GammaPopulation
from .reasons import Reason
from .rules import BucketRules, Rules
from .stages import Stage, StageChange
from .thresholds import fit_beta_moments

__all__ = [
    "Atoms",
    "BetaPopulation",
    "BucketRules",
    "ColdStartAllocator",
    "ColdStartConfig",
    "Explanation",
    "GammaPopulation",
    "Gate",
    "Harm",
    "Override",
    "Plan",
    "Reason",
    "RoomPlan",
    "Rules",
    "Stage",
    "StageChange",
    "fit_beta_moments",
]

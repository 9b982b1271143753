"""The three-stage cold-start allocator: seed, verify, scale, with a stop-loss and a budget."""

from .allocator import ColdStartAllocator
from .config import ColdStartConfig
from .explain import Explanation
from .findings import Finding, Fitting, InsufficientError
from .fitting import fit_rules
from .gates import Gate
from .harms import Harm
from .history import History
from .npmle import fit_npmle
from .overrides import Override
from .plan import Plan, RoomPlan
from .populations import Atoms, BetaPopulation, GammaPopulation
from .reasons import Reason
from .rules import BucketRules, Rules
from .rules_file import read_rules, write_rules
from .stages import Stage, StageChange
from .thresholds import fit_beta_moments

__all__ = [
    "Atoms",
    "BetaPopulation",
    "BucketRules",
    "ColdStartAllocator",
    "ColdStartConfig",
    "Explanation",
    "Finding",
    "Fitting",
    "GammaPopulation",
    "Gate",
    "Harm",
    "History",
    "InsufficientError",
    "Override",
    "Plan",
    "Reason",
    "RoomPlan",
    "Rules",
    "Stage",
    "StageChange",
    "fit_beta_moments",
    "fit_npmle",
    "fit_rules",
    "read_rules",
    "write_rules",
]

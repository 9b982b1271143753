"""What may be served? Rules over records and arrays only. Pure: no I/O, no clock."""

from .budget import Budget, BudgetState
from .eligibility import Eligibility, EligibilityState
from .exposure import Cap, Floor
from .fairness import FairShare
from .guardrail import StopLoss
from .inequality import Concentration, HeadCap, concentration
from .quality import Demotion, LowQuality
from .slate import ExploreSlots, Slate

__all__ = [
    "Budget",
    "BudgetState",
    "Cap",
    "Concentration",
    "Demotion",
    "Eligibility",
    "EligibilityState",
    "ExploreSlots",
    "FairShare",
    "Floor",
    "HeadCap",
    "LowQuality",
    "Slate",
    "StopLoss",
    "concentration",
]

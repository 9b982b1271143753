"""What may be served? Rules over records and arrays only. Pure: no I/O, no clock."""

from ._budget_state import BudgetState
from .baseline import Baseline
from .budget import Budget
from .conditions import Between, Rule
from .constrained import Constrained
from .dual import DualPrice, DualState
from .eligibility import Eligibility, EligibilityState
from .exposure import Cap, Floor
from .fairness import FairShare
from .frequency import FrequencyCap
from .guardrail import StopLoss
from .inequality import Concentration, HeadCap, concentration
from .knapsack import Knapsack, KnapsackState
from .objective import EpsilonConstraint, Objective
from .protection import Protection
from .quality import Demotion, LowQuality
from .scalarising import percentiles, scalarise
from .slate import ExploreSlots, Slate
from .value import Value, ValueState

__all__ = [
    "Baseline",
    "Between",
    "Budget",
    "BudgetState",
    "Cap",
    "Concentration",
    "Constrained",
    "Demotion",
    "DualPrice",
    "DualState",
    "Eligibility",
    "EligibilityState",
    "EpsilonConstraint",
    "ExploreSlots",
    "FairShare",
    "Floor",
    "FrequencyCap",
    "HeadCap",
    "Knapsack",
    "KnapsackState",
    "LowQuality",
    "Objective",
    "Protection",
    "Rule",
    "Slate",
    "StopLoss",
    "Value",
    "ValueState",
    "concentration",
    "percentiles",
    "scalarise",
]

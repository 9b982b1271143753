"""What may be served? Rules over records and arrays only. Pure: no I/O, no clock."""

from ._budget_state import BudgetState
from .baseline import Baseline
from .budget import Budget
from .conditions import Between, Rule
from .constrained import Constrained
from .dual import DualPrice, DualState
from .eligibility import Eligibility, EligibilityState
from .frequency import FrequencyCap
from .guardrail import StopLoss
from .knapsack import Knapsack, KnapsackState
from .objective import EpsilonConstraint, Objective
from .protection import Protection
from .scalarising import percentiles, scalarise
from .value import Value, ValueState

__all__ = [
    "Baseline",
    "Between",
    "Budget",
    "BudgetState",
    "Constrained",
    "DualPrice",
    "DualState",
    "Eligibility",
    "EligibilityState",
    "EpsilonConstraint",
    "FrequencyCap",
    "Knapsack",
    "KnapsackState",
    "Objective",
    "Protection",
    "Rule",
    "StopLoss",
    "Value",
    "ValueState",
    "percentiles",
    "scalarise",
]

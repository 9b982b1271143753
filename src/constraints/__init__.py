"""What may be served? Rules over records and arrays only. Pure: no I/O, no clock."""

from .baseline import Baseline
from .budget import Budget, BudgetState
from .conditions import Between, Rule
from .eligibility import Eligibility, EligibilityState
from .frequency import FrequencyCap
from .guardrail import StopLoss
from .objective import EpsilonConstraint, Objective
from .protection import Protection
from .scalarising import percentiles, scalarise

__all__ = [
    "Baseline",
    "Between",
    "Budget",
    "BudgetState",
    "Eligibility",
    "EligibilityState",
    "EpsilonConstraint",
    "FrequencyCap",
    "Objective",
    "Protection",
    "Rule",
    "StopLoss",
    "percentiles",
    "scalarise",
]

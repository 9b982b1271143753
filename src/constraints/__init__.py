"""What may be served? Rules over records and arrays only. Pure: no I/O, no clock."""

from ._budget_state import BudgetState
from .budget import Budget
from .dual import DualPrice, DualState
from .eligibility import Eligibility, EligibilityState
from .guardrail import StopLoss
from .knapsack import Knapsack, KnapsackState
from .value import Value, ValueState

__all__ = [
    "Budget",
    "BudgetState",
    "DualPrice",
    "DualState",
    "Eligibility",
    "EligibilityState",
    "Knapsack",
    "KnapsackState",
    "StopLoss",
    "Value",
    "ValueState",
]

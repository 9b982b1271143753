"""What may be served? Rules over records and arrays only. Pure: no I/O, no clock."""

from ._budget_state import BudgetState
from .budget import Budget
from .eligibility import Eligibility, EligibilityState
from .guardrail import StopLoss

__all__ = ["Budget", "BudgetState", "Eligibility", "EligibilityState", "StopLoss"]

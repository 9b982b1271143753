"""What may be served? Rules over records and arrays only. Pure: no I/O, no clock."""

from .budget import Budget, BudgetState
from .eligibility import Eligibility, EligibilityState
from .guardrail import StopLoss

__all__ = ["Budget", "BudgetState", "Eligibility", "EligibilityState", "StopLoss"]

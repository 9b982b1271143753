"""What came back: rewards joined to the exposures that earned them, late, twice and out of order as they come."""

from ._names import names_of
from .attribution import Attribution
from .config import AttributionConfig
from .credits import Corrections, Credits
from .reconciliation import Reconciliation, reconcile
from .rules import Condition, Rule, RuleSet
from .tally import Tally

__all__ = [
    "Attribution",
    "AttributionConfig",
    "Condition",
    "Corrections",
    "Credits",
    "Reconciliation",
    "Rule",
    "RuleSet",
    "Tally",
    "names_of",
    "reconcile",
]

"""What came back: rewards joined to the exposures that earned them, late, twice and out of order as they come."""

from ._ledger_records import LedgerConfig, Revisions, Settled
from .attribution import Attribution
from .config import AttributionConfig
from .credits import Corrections, Credits
from .delays import DelayCurve, DelayCurves
from .ledger import ExposureLedger
from .names import decision_name, decision_names, names_of
from .rates import Effective, effective
from .reconciliation import Reconciliation, reconcile
from .rules import Condition, Rule, RuleSet
from .tally import Tally
from .tokens import Claim, Claims, Tokens

__all__ = [
    "Attribution",
    "AttributionConfig",
    "Claim",
    "Claims",
    "Condition",
    "Corrections",
    "Credits",
    "DelayCurve",
    "DelayCurves",
    "Effective",
    "ExposureLedger",
    "LedgerConfig",
    "Reconciliation",
    "Revisions",
    "Rule",
    "RuleSet",
    "Settled",
    "Tally",
    "Tokens",
    "decision_name",
    "decision_names",
    "effective",
    "names_of",
    "reconcile",
]

"""What came back: rewards joined to the exposures that earned them, late, twice and out of order as they come."""

from ._ledger_records import LedgerConfig, Revisions, Settled
from .delays import DelayCurve, DelayCurves
from .ledger import ExposureLedger
from .names import decision_name, decision_names
from .rates import Effective, effective
from .tokens import Claim, Claims, Tokens

__all__ = [
    "Claim",
    "Claims",
    "DelayCurve",
    "DelayCurves",
    "Effective",
    "ExposureLedger",
    "LedgerConfig",
    "Revisions",
    "Settled",
    "Tokens",
    "decision_name",
    "decision_names",
    "effective",
]

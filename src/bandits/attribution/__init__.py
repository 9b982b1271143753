"""What came back: rewards joined to the exposures that earned them, late, twice and out of order as they come."""

from .delays import DelayCurve, DelayCurves
from .rates import Effective, effective
from .names import decision_name, decision_names
from .tokens import Claim, Claims, Tokens

__all__ = [
    "Claim",
    "Claims",
    "DelayCurve",
    "DelayCurves",
    "Effective",
    "Tokens",
    "decision_name",
    "decision_names",
    "effective",
]

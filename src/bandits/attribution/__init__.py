"""What came back: rewards joined to the exposures that earned them, late, twice and out of order as they come."""

from .names import decision_name, decision_names

__all__ = [
    "decision_name",
    "decision_names",
]

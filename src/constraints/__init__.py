"""What may be served? Rules over records and arrays only. Pure: no I/O, no clock."""

from .baseline import Baseline
from .budget import Budget
from .conditions import Between, Rule
from .constrained import Constrained
from .dual import DualPrice
from .eligibility import Eligibility
from .evidence import BoundedMean, Proportion, Rate, StopLoss
from .exposure import Cap, Floor
from .fairness import FairShare
from .frequency import FrequencyCap
from .guardrail import Guardrail
from .inequality import Concentration, HeadCap, concentration
from .knapsack import Knapsack
from .objective import EpsilonConstraint, Objective
from .protected import Protected
from .quality import Demotion, LowQuality
from .scalarising import percentiles, scalarise
from .slate import ExploreSlots, Slate
from .value import Value

__all__ = [
    "Baseline",
    "Between",
    "BoundedMean",
    "Budget",
    "Cap",
    "Concentration",
    "Constrained",
    "Demotion",
    "DualPrice",
    "Eligibility",
    "EpsilonConstraint",
    "ExploreSlots",
    "FairShare",
    "Floor",
    "FrequencyCap",
    "Guardrail",
    "HeadCap",
    "Knapsack",
    "LowQuality",
    "Objective",
    "Proportion",
    "Protected",
    "Rate",
    "Rule",
    "Slate",
    "StopLoss",
    "Value",
    "concentration",
    "percentiles",
    "scalarise",
]

"""What may be served? Rules over records and arrays only. Pure: no I/O, no clock."""

from .baseline import Baseline
from .bounded_means import add_bernstein, add_betting, betting_interval, empirical_bernstein_interval
from .budget import Budget
from .conditions import Between, Rule
from .confidence_sequences import (
    asymptotic_interval,
    bernoulli_interval,
    beta_binomial_bound,
    beta_binomial_interval,
    gamma_exponential_bound,
    gamma_poisson_bound,
    normal_mixture_bound,
    poly_stitching_bound,
)
from .constrained import Constrained
from .dual import DualPrice
from .e_processes import AnyEvidence, BoundedMean, EProcess, Proportion, Rate, estimated_dispersion
from .eligibility import Eligibility
from .exposure import Cap, Floor
from .fairness import FairShare
from .frequency import FrequencyCap
from .guardrail import Guardrail
from .inequality import Concentration, HeadCap, concentration
from .knapsack import Knapsack
from .multiplicity import ELond, adjusted, all_of, any_of, e_bh, posterior_rule
from .objective import EpsilonConstraint, Objective
from .protected import Protected
from .quality import Demotion, LowQuality
from .scalarising import percentiles, scalarise
from .slate import ExploreSlots, Slate
from .stop_loss import StopLoss
from .value import Value

__all__ = [
    "AnyEvidence",
    "Baseline",
    "Between",
    "BoundedMean",
    "Budget",
    "Cap",
    "Concentration",
    "Constrained",
    "Demotion",
    "DualPrice",
    "ELond",
    "EProcess",
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
    "add_bernstein",
    "add_betting",
    "adjusted",
    "all_of",
    "any_of",
    "asymptotic_interval",
    "bernoulli_interval",
    "beta_binomial_bound",
    "beta_binomial_interval",
    "betting_interval",
    "concentration",
    "e_bh",
    "empirical_bernstein_interval",
    "estimated_dispersion",
    "gamma_exponential_bound",
    "gamma_poisson_bound",
    "normal_mixture_bound",
    "percentiles",
    "poly_stitching_bound",
    "posterior_rule",
    "scalarise",
]

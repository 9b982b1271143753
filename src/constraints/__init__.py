"""What may be served? Rules over records and arrays only. Pure: no I/O, no clock."""

from ._budget_state import BudgetState
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
from .dual import DualPrice, DualState
from .e_processes import AnyEvidence, BoundedMean, EProcess, Proportion, Rate, estimated_dispersion
from .eligibility import Eligibility, EligibilityState
from .frequency import FrequencyCap
from .guardrail import Guardrail, GuardrailState
from .knapsack import Knapsack, KnapsackState
from .multiplicity import ELond, adjusted, all_of, any_of, e_bh, posterior_rule
from .objective import EpsilonConstraint, Objective
from .protected import Protected, ProtectedState
from .protection import Protection
from .scalarising import percentiles, scalarise
from .stop_loss import StopLoss
from .value import Value, ValueState

__all__ = [
    "AnyEvidence",
    "Baseline",
    "Between",
    "BoundedMean",
    "Budget",
    "BudgetState",
    "Constrained",
    "DualPrice",
    "DualState",
    "ELond",
    "EProcess",
    "Eligibility",
    "EligibilityState",
    "EpsilonConstraint",
    "FrequencyCap",
    "Guardrail",
    "GuardrailState",
    "Knapsack",
    "KnapsackState",
    "Objective",
    "Proportion",
    "Protected",
    "ProtectedState",
    "Protection",
    "Rate",
    "Rule",
    "StopLoss",
    "Value",
    "ValueState",
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

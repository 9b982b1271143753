"""What may be served? Rules over records and arrays only. Pure: no I/O, no clock."""

from .bounded_means import add_bernstein, add_betting, betting_interval, empirical_bernstein_interval
from .budget import Budget, BudgetState
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
from .e_processes import AnyEvidence, BoundedMean, EProcess, Proportion, Rate, estimated_dispersion
from .eligibility import Eligibility, EligibilityState
from .guardrail import Guardrail, GuardrailState
from .multiplicity import ELond, adjusted, all_of, any_of, e_bh, posterior_rule
from .protected import Protected, ProtectedState
from .stop_loss import StopLoss

__all__ = [
    "AnyEvidence",
    "BoundedMean",
    "Budget",
    "BudgetState",
    "ELond",
    "EProcess",
    "Eligibility",
    "EligibilityState",
    "Guardrail",
    "GuardrailState",
    "Proportion",
    "Protected",
    "ProtectedState",
    "Rate",
    "StopLoss",
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
    "poly_stitching_bound",
    "posterior_rule",
]

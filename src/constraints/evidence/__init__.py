"""Evidence that may be looked at whenever one likes: e-processes, confidence sequences, and many of them at once.

Statistics alone: functions of counts that add up, so that they merge. `Guardrail`, `Protected` and the allocator's
stop-loss act on them.
"""

from .bounded_means import add_bernstein, add_betting, betting_interval, empirical_bernstein_interval
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
from .multiplicity import ELond, adjusted, all_of, any_of, e_bh, posterior_rule
from .stop_loss import StopLoss

__all__ = [
    "AnyEvidence",
    "BoundedMean",
    "ELond",
    "EProcess",
    "Proportion",
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

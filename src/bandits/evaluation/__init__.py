"""Was it better? The value of a policy, read from the log of another."""

from .diagnostics import Overlap, Support, implausible, overlap, support
from .doubly_robust import dr, dr_os, sndr, switch_dr
from .estimate import Estimate, effective_sample_size, summarise
from .estimators import dm, ips, snips
from .folds import dealt_folds
from .matching import replay
from .ranking import (
    RankingMeasures,
    coverage,
    exposure_gini,
    hit_rate,
    ndcg,
    precision,
    ranking_measures,
    recall,
)
from .reward_models import arm_means, cross_fitted
from .slate_totals import pseudo_inverse
from .slates import iips, per_position, rips, slate_ips
from .targets import rank_probabilities

__all__ = [
    "Estimate",
    "Overlap",
    "RankingMeasures",
    "Support",
    "arm_means",
    "coverage",
    "cross_fitted",
    "dealt_folds",
    "dm",
    "dr",
    "dr_os",
    "effective_sample_size",
    "exposure_gini",
    "hit_rate",
    "iips",
    "implausible",
    "ips",
    "ndcg",
    "overlap",
    "per_position",
    "precision",
    "pseudo_inverse",
    "rank_probabilities",
    "ranking_measures",
    "recall",
    "replay",
    "rips",
    "slate_ips",
    "sndr",
    "snips",
    "summarise",
    "support",
    "switch_dr",
]

"""Was it better? The value of a policy, read from the log of another."""

from .diagnostics import Overlap, Support, overlap, support
from .doubly_robust import dr, dr_os, sndr, switch_dr
from .estimate import Estimate, effective_sample_size, summarise
from .estimators import dm, ips, snips

__all__ = [
    "Estimate",
    "Overlap",
    "Support",
    "dm",
    "dr",
    "dr_os",
    "effective_sample_size",
    "ips",
    "overlap",
    "sndr",
    "snips",
    "summarise",
    "support",
    "switch_dr",
]

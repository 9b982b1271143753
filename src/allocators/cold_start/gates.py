"""Gates: what the counts of a room say about its rate, as probability and as evidence."""

import math

import numpy as np
from numpy.typing import NDArray

from ...bandits._numba import kernel
from ...bandits._special import log_beta_tails
from ...constraints.evidence._mixtures import log_evidence_above
from .config import ColdStartConfig

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def evaluate(config: ColdStartConfig, exposures: Counts, successes: Counts, harms: Counts) -> tuple[Floats, Floats]:
    """Judge rooms by their counts, `[C]` each.

    Returns
    -------
    (probability, log_evidence)
        `P(rate > bar | counts)` with the population's prior, and `ln E` of the stop-loss.
    """
    n, s, h = (np.ascontiguousarray(counts, np.float64) for counts in (exposures, successes, harms))
    probability, log_evidence = np.empty(n.size), np.empty(n.size)
    _above_bar(s, n, *config.prior, config.bar, probability)
    stop = config.stop
    log_evidence_above(h, n, stop.limit, *stop.mixing, log_evidence)
    return probability, log_evidence


@kernel
def _above_bar(s: Floats, n: Floats, a: float, b: float, bar: float, out: Floats) -> None:
    z = math.log(bar / (1.0 - bar))
    for i in range(s.size):
        out[i] = math.exp(log_beta_tails(a + s[i], b + n[i] - s[i], z)[1])

"""What rooms really are, for measures only."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from ._opening import BUCKET, CLICK, HARMFUL, NEGATIVE, WATCH
from ._rates import Rates
from .base import Floats, Ints
from .parameters import MarketConfig

_LOW = 0.1  # share of a bucket's rooms that are of low quality


class Truth(NamedTuple):
    """True rates of N rooms: those of fresh viewers of the mixed population, outside highlights, at their opening.

    clicked, retained, negative: `[N]` rates an exposure.
    is_harmful: `[N]` whether the room does harm.
    is_low: `[N]` whether its retained rate is in the bottom tenth of its bucket.
    decile: `[N]` tenth of all rooms by retained rate, 0 the worst ... 9 the best.
    """

    clicked: Floats
    retained: Floats
    negative: Floats
    is_harmful: NDArray[np.bool_]
    is_low: NDArray[np.bool_]
    decile: Ints

    def first(self, n: int) -> "Truth":
        """Of the first n rooms."""
        return Truth(
            self.clicked[:n],
            self.retained[:n],
            self.negative[:n],
            self.is_harmful[:n],
            self.is_low[:n],
            self.decile[:n],
        )


def truth_of(r: Rates, config: MarketConfig, numbers: Floats, integers: Ints) -> Truth:
    """Rates of all rooms of the days that have begun: among them each is ranked, so that ranks stay; read-only."""
    clicked = expit(r.click_unmatched + numbers[CLICK])
    retained = clicked * ndtr((r.watch_unmatched + numbers[WATCH] - math.log(60.0)) / r.watch_sigma)
    is_low = np.zeros(retained.size, np.bool_)
    for b in range(len(config.buckets)):
        members = np.flatnonzero(integers[BUCKET] == b)
        is_low[members] = _ranks(retained[members]) < _LOW
    decile = np.minimum((10.0 * _ranks(retained)).astype(np.int64), 9)
    negative = np.minimum(config.negative_unmatched * numbers[NEGATIVE], 1.0)
    truth = Truth(clicked, retained, negative, integers[HARMFUL].astype(np.bool_), is_low, decile)
    for part in truth:
        part.setflags(write=False)
    return truth


def _ranks(values: Floats) -> Floats:
    """Share of values below each, [0, 1)."""
    ranks = np.empty(values.size)
    ranks[np.argsort(values, kind="stable")] = np.arange(values.size) / max(values.size, 1)
    return ranks

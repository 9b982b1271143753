"""What rooms really are, for measures only."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

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


def truth_of(
    r: Any,
    config: MarketConfig,
    click: Floats,
    watch: Floats,
    negative: Floats,
    bucket: Ints,
    harmful: Ints,
    n: int,
) -> Truth:
    """Rates of the first n rooms; ranks are among all rooms of the days that have begun, so that they stay."""
    clicked = expit(r.click_unmatched + click)
    retained = clicked * ndtr((r.watch_unmatched + watch - math.log(60.0)) / r.watch_sigma)
    is_low = np.zeros(click.size, np.bool_)
    for b in range(len(config.buckets)):
        members = np.flatnonzero(bucket == b)
        is_low[members] = _ranks(retained[members]) < _LOW
    decile = np.minimum((10.0 * _ranks(retained)).astype(np.int64), 9)
    rate = np.minimum(config.negative_unmatched * negative, 1.0)
    return Truth(clicked[:n], retained[:n], rate[:n], harmful[:n].astype(np.bool_), is_low[:n], decile[:n])


def _ranks(values: Floats) -> Floats:
    """Share of values below each, [0, 1)."""
    ranks = np.empty(values.size)
    ranks[np.argsort(values, kind="stable")] = np.arange(values.size) / max(values.size, 1)
    return ranks

"""Samples of the market under the conditions in which published figures were taken."""

from typing import NamedTuple

import numpy as np

from ...bandits._numba import free_kernel
from ...bandits._random import base_key, uniform
from ._binomial import binomial_quantile
from ._kernels import price
from ._rates import rates
from ._supply import regular_creators
from .base import GIFTS, MINUTES, Floats, Ints, Rooms
from .parameters import MarketConfig
from .world import Market

GIFTS_PER_STREAMER = 72_646 / 452_621  # KuaiLive: 1.48 % of 4.9 million clicks, over its streamers
_DAY = 1_440
_NAME = "calibration"  # replica name under which samples are keyed
_SINGLE = 400_000


class Day(NamedTuple):
    """A day under uniform exposure.

    by_minute: `[M, T]` all that was reported in each minute.
    offered: `[T]` exposures.
    counts: `[M, N]` all that was reported of each room.
    facts: of the rooms, `[N]`.
    audience: `[N]` matched viewers a minute.
    """

    by_minute: Floats
    offered: Ints
    counts: Floats
    facts: Rooms
    audience: Floats


def uniform_day(config: MarketConfig, seed: int) -> Day:
    """Play a day in which all open rooms share each minute's exposures."""
    market = Market(config, seed)
    by_minute, offered = [], []
    while not market.is_over():
        view = market.view()
        share = np.full(view.rooms.size, view.exposures / max(view.rooms.size, 1))
        by_minute.append(market.serve(share).counts.sum(1))
        offered.append(view.exposures)
    rooms = np.arange(market.n_rooms)
    return Day(np.array(by_minute).T, np.array(offered), market.counts, market.facts(rooms), market.audiences())


def matching(config: MarketConfig, seed: int, *, is_matched: bool) -> Floats:
    """All that a day under uniform exposure brings, `[M]`, where every viewer is matched, or none; no harmful rooms."""
    share = 1.0 if is_matched else 0.0
    changes = {
        "matched_share": share,
        "newcomer_matched_share": share,
        "audience_median": 1e6,
        "harmful_share": 0.0,
        "rooms_per_day": min(config.rooms_per_day, 5_000),
        "exposures_per_day": min(config.exposures_per_day, 2_500_000),
    }
    total: Floats = uniform_day(config.model_copy(update=changes), seed).by_minute.sum(1)
    return total


def watch_times(config: MarketConfig, seed: int) -> Floats:
    """Seconds watched of single clicks: each room is shown to one viewer a minute."""
    rooms = min(config.rooms_per_day, 5_000)
    market = Market(config.model_copy(update={"rooms_per_day": rooms, "exposures_per_day": 10**9}), seed)
    seconds = []
    while not market.is_over():
        times = 60.0 * market.serve(np.ones(market.view().rooms.size, np.int64)).counts[MINUTES]
        seconds.append(times[times > 0.0])
    return np.concatenate(seconds)


def single_gifts(config: MarketConfig, seed: int) -> tuple[Floats, Floats]:
    """Delays, seconds, and values of many gifts."""
    r = rates(config)
    delays = np.ascontiguousarray(np.array(config.gift_delays).T)
    room, delay, value = np.empty(_SINGLE, np.int64), np.empty(_SINGLE), np.empty(_SINGLE)
    price(
        base_key(seed, _NAME, 0), np.zeros(1, np.int64), np.array([float(_SINGLE)]), r.price_sigma,
        r.price_max / config.price_median, delays[0], delays[1], room, delay, value,
    )  # fmt: skip
    return delay, config.price_median * value


def thinned_gifts(day: Day, seed: int) -> Ints:
    """Gifts of each streamer, `[C]`, of which so many are kept at random as KuaiLive has a streamer."""
    _, which = np.unique(day.facts.creator, return_inverse=True)
    gifts = np.bincount(which, day.counts[GIFTS]).astype(np.int64)
    kept = np.empty_like(gifts)
    _thin(base_key(seed, _NAME, 1), gifts, min(GIFTS_PER_STREAMER / max(float(gifts.mean()), 1e-9), 1.0), kept)
    return kept


def persistence(config: MarketConfig, seed: int) -> Floats:
    """Share of regular streamers who go on for a week, by audience below 10 / 100 / 1,000 / above; NaN where none is.

    Whoever has a first room on the first day is no regular.
    """
    market = Market(config, seed)
    n = regular_creators(config)
    start = -config.room_minutes_max
    stays = market._opening.pool.leaves[:n] > start + 7 * _DAY
    level = np.digitize(market._opening.pool.audience[:n], [10.0, 100.0, 1_000.0])
    with np.errstate(invalid="ignore"):
        return np.bincount(level, stays, 4) / np.bincount(level, minlength=4)


@free_kernel
def _thin(key: int, counts: Ints, share: float, out: Ints) -> None:
    for i in range(counts.size):
        out[i] = binomial_quantile(counts[i], share, uniform(key, np.uint64(i), 0))

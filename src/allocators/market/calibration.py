"""The simulated market beside the published aggregates on which it is calibrated."""

import math
from dataclasses import dataclass

import numpy as np

from ._samples import Day, matching, persistence, single_gifts, thinned_gifts, uniform_day, watch_times
from .base import CLICKS, COMMENTS, EXPOSURES, GIFTS, MINUTES, NEGATIVE, RETAINED, REVENUE, Floats
from .measures import gini
from .parameters import LIVE, RAND, MarketConfig

_LIVE_HEAVY = f"{LIVE}; heavy users only"
_LIVE_THIRD = f"{LIVE}; third-party analysis, heavy users only"
_RAND_VIDEO = f"{RAND}; short videos, not live rooms"
_TWITCH = "Twitch rankings [3]; another platform"


@dataclass(frozen=True, slots=True)
class Row:
    """One published figure and its simulated counterpart.

    Parameters
    ----------
    quantity
        What it is.
    published, simulated
        The figure, or the ends of its published range; what the market gives, NaN where it has no such thing.
    tolerance
        Relative to the published figure (its ends).
    source
        Where it was published, and whether in another setting.
    note
        How the simulated one was taken; where it is not inside, why not.
    """

    quantity: str
    published: tuple[float, float]
    simulated: float
    tolerance: float
    source: str
    note: str = ""

    @property
    def is_inside(self) -> bool:
        """Whether the simulated figure is inside the published range, widened by the tolerance."""
        low, high = self.published
        return low * (1.0 - self.tolerance) <= self.simulated <= high * (1.0 + self.tolerance)


def calibration(config: MarketConfig | None = None, seed: int = 0) -> list[Row]:
    """Play a day under uniform exposure, draw samples where single viewers matter, and compare.

    Parameters
    ----------
    config
        Of the market; by default the calibrated one.
    seed
        Of the market.

    Returns
    -------
    list of Row
        Tolerances: .03 for means that the market was set to, .05 to .1 for what follows from them, more where the
        published figures contradict each other or tails decide.
    """
    config = MarketConfig() if config is None else config
    day = uniform_day(config, seed)
    return [
        *_rates(day),
        *_exposure(config, seed),
        *_watching(config, seed),
        *_gifts(config, seed, day),
        *_supply(day),
        *_staying(config, seed),
        *_MISSING,
    ]


def _row(
    quantity: str,
    published: float | tuple[float, float],
    simulated: float,
    tolerance: float,
    source: str,
    note: str = "",
) -> Row:
    ends = published if isinstance(published, tuple) else (published, published)
    return Row(quantity, ends, float(simulated), tolerance, source, note)


def _rates(day: Day) -> list[Row]:
    total = day.by_minute.sum(1)
    clicks, minutes = total[CLICKS], total[MINUTES]
    row = _row
    return [
        row("clicks an exposure", 0.279, clicks / total[EXPOSURES], 0.03, _LIVE_HEAVY, "uniform exposure"),
        row("comments a click", 0.0400, total[COMMENTS] / clicks, 0.05, _LIVE_HEAVY),
        row("gifts a click", 0.0148, total[GIFTS] / clicks, 0.07, _LIVE_HEAVY),
        row("comments a viewer-minute", 0.029, total[COMMENTS] / minutes, 0.1, _LIVE_THIRD),
        row("gifts a viewer-minute", 0.011, total[GIFTS] / minutes, 0.1, _LIVE_THIRD),
        row(
            "clicks that stay for 60 s", (0.15, 0.31), total[RETAINED] / clicks, 0.05, _LIVE_THIRD,
            "the published lognormal itself gives .146",
        ),
        row("mean seconds watched a click", 82.6, 60.0 * minutes / clicks, 0.08, _LIVE_THIRD, "cut at `watch_max`"),
    ]  # fmt: skip


def _exposure(config: MarketConfig, seed: int) -> list[Row]:
    """KuaiRand's two kinds of exposure: every viewer random, and every viewer matched."""
    random, matched = matching(config, seed, is_matched=False), matching(config, seed, is_matched=True)
    ratio = (matched[RETAINED] / matched[EXPOSURES]) / (random[RETAINED] / random[EXPOSURES])
    every, none, clean = "all viewers matched", "all viewers random", "without harmful rooms; "
    negative = [total[NEGATIVE] / total[EXPOSURES] for total in (random, matched)]
    return [
        _row("clicks an exposure, random", 0.176, random[CLICKS] / random[EXPOSURES], 0.03, _RAND_VIDEO, none),
        _row("clicks an exposure, matched", 0.451, matched[CLICKS] / matched[EXPOSURES], 0.03, _RAND_VIDEO, every),
        _row(
            "long views an exposure, matched over random", 0.318 / 0.085, ratio, 0.07, _RAND_VIDEO,
            "long views here: 60 s; their level is KuaiLive's",
        ),
        _row("negative feedback, random", 0.00114, negative[0], 0.1, _RAND_VIDEO, clean + none),
        _row("negative feedback, matched", 0.00079, negative[1], 0.1, _RAND_VIDEO, clean + every),
    ]  # fmt: skip


def _watching(config: MarketConfig, seed: int) -> list[Row]:
    logs = np.log(watch_times(config, seed))
    return [
        _row("median seconds watched a click", 4.87, math.exp(float(np.median(logs))), 0.05, _LIVE_THIRD),
        _row("sd of log seconds watched a click", 2.38, float(logs.std()), 0.03, _LIVE_THIRD),
    ]


def _gifts(config: MarketConfig, seed: int, day: Day) -> list[Row]:
    delays, prices = single_gifts(config, seed)
    gifts = thinned_gifts(day, seed)
    total = day.by_minute.sum(1)
    thinned = "over a day's streamers, thinned to KuaiLive's .16 gifts a streamer (72,646 of 452,621)"
    paid = config.price_median * total[REVENUE] / total[GIFTS]
    return [
        _row("gifts without delay", 0.86, float((delays == 0.0).mean()), 0.02, _LIVE_THIRD),
        *(
            _row(f"p{100 * p:.0f} of gift delay, s", seconds, float(np.quantile(delays, p)), 0.1, _LIVE_THIRD)
            for p, seconds in ((0.90, 1_021.0), (0.95, 3_003.0), (0.99, 8_617.0))
        ),
        _row("median gift", 2.0, float(np.median(prices)), 0.05, _LIVE_THIRD),
        _row("p99 of gifts", 1_488.0, float(np.quantile(prices, 0.99)), 0.1, _LIVE_THIRD),
        _row("mean gift", 83.0, paid, 0.12, _LIVE_THIRD, "as played"),
        _row("streamers without a gift", 0.92, float((gifts == 0).mean()), 0.03, _LIVE_THIRD, thinned),
        _row("Gini of gifts over streamers", 0.93, gini(gifts), 0.04, _LIVE_THIRD, thinned),
    ]


def _supply(day: Day) -> list[Row]:
    of_day = day.facts.opened > 0.0  # the first view also shows rooms of the evening before
    creators = np.unique(day.facts.creator[of_day])
    audiences: Floats = np.log(day.audience[of_day & ~day.facts.is_new])
    by_hour = day.offered.reshape(24, 60).sum(1)
    peaks = set(np.argsort(by_hour)[-4:].tolist())
    return [
        _row("rooms a streamer and day", 1.22, float(of_day.sum()) / creators.size, 0.03, _LIVE_HEAVY),
        _row("sd of log audience", 0.92, float(audiences.std()), 0.05, _TWITCH, "its level is an assumption"),
        _row(
            "of hours 12, 20, 21 among the four largest", 3.0, float(len(peaks & {12, 20, 21})), 0.0, _LIVE_THIRD,
            "peaks 12-13 and 20-22 o'clock",
        ),
    ]  # fmt: skip


def _staying(config: MarketConfig, seed: int) -> list[Row]:
    shares = persistence(config, seed).tolist()
    levels = (("below 10", 0.46, 0.05), ("10 ... 100", 0.63, 0.03), ("100 ... 1,000", 0.77, 0.07))
    note = "viewers of a channel at a time there, matched viewers a minute here"
    return [
        _row(f"next week's persistence, audience {level}", published, share, tolerance, _TWITCH, note)
        for (level, published, tolerance), share in zip(levels, shares, strict=False)
    ]


_MISSING = (
    _row(
        "next week's persistence, audience above 1,000", 0.82, math.nan, 0.1, _TWITCH,
        "not in the market: its audiences end below, having the spread of the top 1,000 about a small median",
    ),
    _row("peak over average audience", 6.2, math.nan, 0.1, _TWITCH, "not in the market: presence is not counted"),
    _row(
        "streamers with fewer than 5 interactions", 0.70, math.nan, 0.1, _LIVE_HEAVY,
        "not in the market: a policy hands out the exposures",
    ),
    _row("likes a click", 0.0365, math.nan, 0.1, _LIVE_HEAVY, "not in the market: no policy is told of likes"),
)  # fmt: skip

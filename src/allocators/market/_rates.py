"""What follows from the configuration: intercepts and scales under which the market's means are the published ones."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri

from .parameters import MarketConfig

Floats = NDArray[np.float64]
HABITS = ("clicks", "negative", "comments", "follows", "gifts")  # rows of the factors of cohorts


class Rates(NamedTuple):
    """Numbers that kernels use.

    click_unmatched, click_matched: logit of the click rate of a room of average quality.
    watch_unmatched, watch_matched: mean of the logarithm of the seconds watched a click, of such a room.
    watch_sigma: its standard deviation over the viewers of one room.
    price_sigma, price_max: of the logarithm of the value of gifts; the largest value.
    highlight: share of its time that a room is in a highlight.
    talk: mean factor that highlights put on comments and gifts.
    hours: `[24]` volume of each hour, mean 1.
    mixed: `[24, 5]` factors of the viewers of an hour, all cohorts together.
    own: `[cohorts, 5]` factors of each cohort.
    present: `[24, cohorts]` each cohort's viewers in an hour, relative to its mean.
    positions: `[P]` factors of positions, mean 1.
    """

    click_unmatched: float
    click_matched: float
    watch_unmatched: float
    watch_matched: float
    watch_sigma: float
    price_sigma: float
    price_max: float
    highlight: float
    talk: float
    hours: Floats
    mixed: Floats
    own: Floats
    present: Floats
    positions: Floats


def rates(config: MarketConfig) -> Rates:
    """Solve for what the configuration implies."""
    gap = 60.0 / config.highlights_per_hour if config.highlights_per_hour else math.inf
    highlight = config.highlight_minutes / (config.highlight_minutes + gap)
    shares = np.array([bucket.share for bucket in config.buckets])
    shifts = np.array([[bucket.click_shift, bucket.watch_shift] for bucket in config.buckets]).T
    unmatched, matched = (_click_intercept(config, rate, shares, shifts[0], highlight)
                          for rate in (config.click_unmatched, config.click_matched))  # fmt: skip
    low, high, sigma = _watch(config, shares, shifts, highlight)
    price_sigma, price_max = _prices(config)
    hours, mixed, own, present = _cohorts(config)
    positions = np.array(config.position_factors)
    return Rates(
        unmatched, matched, low, high, sigma, price_sigma, price_max, highlight,
        1.0 + highlight * (config.highlight_talk - 1.0), hours, mixed, own, present, positions / positions.mean(),
    )  # fmt: skip


def _click_intercept(config: MarketConfig, rate: float, shares: Floats, shifts: Floats, highlight: float) -> float:
    """Logit at which the mean over rooms, buckets and highlights is `rate`."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    at = config.click_spread * nodes[:, None] + shifts  # [nodes, buckets]

    def excess(intercept: float) -> float:
        quiet, loud = expit(intercept + at), expit(intercept + config.highlight_click + at)
        mean = weights @ ((1.0 - highlight) * quiet + highlight * loud) @ shares
        return float(mean) - rate

    return float(brentq(excess, -50.0, 50.0))


def _watch(config: MarketConfig, shares: Floats, shifts: Floats, highlight: float) -> tuple[float, float, float]:
    """Means of log watch time, unmatched and matched, and its sd in a room.

    All clicks together are lognormal as published; retention of matched and unmatched clicks has the ratio of their
    long views.
    """
    share = (config.click_overall - config.click_unmatched) / (config.click_matched - config.click_unmatched)
    clicks = share * config.click_matched / config.click_overall  # share of matched clicks
    ratio = (config.long_view_matched / config.click_matched) / (config.long_view_unmatched / config.click_unmatched)
    stay = float(ndtr((math.log(config.watch_median) - math.log(60.0)) / config.watch_sigma))
    low = stay / (1.0 - clicks + clicks * ratio)
    if not ratio * low < 1.0:
        raise ValueError("long_view_matched over long_view_unmatched is too large for watch_median and watch_sigma")
    z_low, z_high = float(ndtri(low)), float(ndtri(ratio * low))
    within = config.watch_sigma / math.sqrt(1.0 + clicks * (1.0 - clicks) * (z_high - z_low) ** 2)
    mean, square = float(shares @ shifts[1]), float(shares @ shifts[1] ** 2)
    lifts = highlight * (1.0 - highlight) * config.highlight_watch**2
    rooms = config.watch_spread**2 + square - mean**2 + lifts
    if not rooms < 0.9 * within**2:
        raise ValueError(f"watch_spread = {config.watch_spread} leaves no spread to viewers; lower it")
    # who clicks is not who is shown: rooms that are clicked more are also watched longer
    cover = float(shares @ (shifts[0] * shifts[1])) - float(shares @ shifts[0]) * mean
    tilt = config.click_watch_correlation * config.click_spread * config.watch_spread + cover
    tilt = tilt * (1.0 - config.click_overall) + mean + highlight * config.highlight_watch
    low_mean, high_mean = (math.log(60.0) + within * z - tilt for z in (z_low, z_high))
    return low_mean, high_mean, math.sqrt(within**2 - rooms)


def _prices(config: MarketConfig) -> tuple[float, float]:
    """Sd of the logarithm of a gift's value, from its 99 % quantile, and the largest value, from its mean."""
    sigma = math.log(config.price_p99 / config.price_median) / float(ndtri(0.99))
    centre = math.log(config.price_median)

    def excess(log_max: float) -> float:
        z = (log_max - centre) / sigma
        return (
            math.exp(centre + sigma**2 / 2.0) * float(ndtr(z - sigma)) + math.exp(log_max) * float(ndtr(-z))
        ) - config.price_mean

    if excess(centre + 12.0 * sigma) <= 0.0:  # the mean is above that of the lognormal: nothing is cut
        return sigma, math.inf
    return sigma, math.exp(float(brentq(excess, centre, centre + 12.0 * sigma)))


def _cohorts(config: MarketConfig) -> tuple[Floats, Floats, Floats, Floats]:
    """Volume of hours, factors of mixed viewers and of each cohort, and the cohorts' presence."""
    hours = np.array(config.hours)
    hours = hours / hours.mean()
    at = np.arange(24) + 0.5
    waves = np.array([
        cohort.share * (1.0 + cohort.swing * np.cos(2.0 * np.pi * (at - cohort.peak) / 24.0))
        for cohort in config.cohorts
    ]).T  # fmt: skip
    shares = waves / waves.sum(1, keepdims=True)  # [24, cohorts]
    viewers = shares * hours[:, None]
    own = np.array([[getattr(cohort, habit) for habit in HABITS] for cohort in config.cohorts])
    own = own / (viewers.mean(0) @ own)
    return hours, np.ascontiguousarray(shares @ own), own, np.ascontiguousarray(viewers / viewers.mean(0))


def settings_of(config: MarketConfig, r: Rates) -> Floats:
    """Numbers of the kernel `answer`, by position."""
    c = config
    return np.array([
        c.matched_share, c.newcomer_matched_share, c.pool_minutes, c.click_spread, c.highlight_click,
        r.click_matched, r.click_unmatched, c.watch_spread, c.highlight_watch, r.watch_matched, r.watch_unmatched,
        r.watch_sigma, c.watch_max, c.highlight_talk, r.talk, c.comments_per_click, c.follows_per_retained,
        c.gifts_per_click, c.negative_matched, c.negative_unmatched, c.comment_dispersion, c.gift_dispersion,
        c.reach, c.reach_decay,
    ])  # fmt: skip

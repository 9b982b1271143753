"""Every number of the market has a source, and is checked."""

import math

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import expit
from scipy.stats import norm

from seedbed.allocators.market import MarketConfig
from seedbed.allocators.market._rates import rates
from seedbed.allocators.market._tables import Bucket, Cohort

SOURCES = ("assumption", "KuaiLive [1]", "KuaiRand-Pure [2]", "Twitch rankings")


@pytest.mark.parametrize("model", [MarketConfig, Bucket, Cohort])
def test_each_parameter_has_its_source(model):
    for name, field in model.model_fields.items():
        text = field.description or ""
        assert any(source in text for source in SOURCES), name
        assert len(text) > 15, name


def test_the_configuration_survives_json():
    config = MarketConfig(rooms_per_day=7)
    assert MarketConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"room_minutes_min": 30, "room_minutes_max": 20}, "room_minutes_min = 30 is above"),
        ({"click_overall": 0.1}, "click_unmatched < click_overall < click_matched"),
        ({"buckets": (Bucket(name="a", share=0.5),)}, "shares of buckets must add up to 1; got 0.5"),
        ({"cohorts": (Cohort(name="a", share=0.5), Cohort(name="a", share=0.5))}, "names of cohorts must be distinct"),
        ({"tier_shares": (0.1, 0.1, 0.1, 0.1)}, "tier_shares must add up"),
        ({"gift_delays": ((0.5, 10.0), (1.0, 5.0))}, "gift_delays must rise"),
        ({"gift_delays": ((0.5, 1.0), (0.9, 5.0))}, "gift_delays must rise in probability, to 1"),
        ({"price_mean": 1.0}, "price_median < price_mean < price_p99"),
        ({"rooms": 3}, "Extra inputs"),
        ({"hours": (1.0,)}, "at least 24"),
        ({"click_matched": 1.5}, "less than 1"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message.replace("(", r"\(")):
        MarketConfig(**changes)


def test_intercepts_give_the_published_means():
    """By simulation of what the kernel is told: buckets, rooms, highlights."""
    config = MarketConfig()
    r = rates(config)
    random = np.random.default_rng(2)
    n = 400_000
    shifts = np.array([b.click_shift for b in config.buckets])
    bucket = random.choice(len(shifts), n, p=[b.share for b in config.buckets])
    lit = random.random(n) < r.highlight
    logit = shifts[bucket] + config.click_spread * random.standard_normal(n) + config.highlight_click * lit
    for intercept, published in ((r.click_unmatched, 0.176), (r.click_matched, 0.451)):
        p = expit(intercept + logit)
        assert abs(p.mean() - published) < 5.0 * p.std() / math.sqrt(n)


def test_watch_times_have_the_published_ratio_of_long_views():
    config = MarketConfig(watch_spread=0.0, highlights_per_hour=0.0, buckets=(Bucket(name="a", share=1.0),))
    r = rates(config)
    low, high = (norm.sf((math.log(60.0) - m) / r.watch_sigma) for m in (r.watch_unmatched, r.watch_matched))
    assert high / low == pytest.approx((0.318 / 0.451) / (0.085 / 0.176), rel=1e-9)
    matched = (0.279 - 0.176) / (0.451 - 0.176) * 0.451 / 0.279
    assert matched * high + (1 - matched) * low == pytest.approx(norm.cdf(math.log(4.87 / 60.0) / 2.38), rel=1e-9)


def test_prices_have_the_published_mean_and_tail():
    r = rates(MarketConfig())
    assert 2.0 * math.exp(r.price_sigma * norm.ppf(0.99)) == pytest.approx(1_488.0)
    x = np.minimum(2.0 * np.exp(r.price_sigma * norm.ppf((np.arange(10**6) + 0.5) / 10**6)), r.price_max)
    assert x.mean() == pytest.approx(83.0, rel=1e-3)


def test_factors_of_cohorts_are_relative():
    config = MarketConfig()
    r = rates(config)
    assert r.hours.mean() == pytest.approx(1.0)
    assert r.hours @ r.mixed / 24.0 == pytest.approx(np.ones(5))  # over all viewers of a day
    assert r.present.mean(0) == pytest.approx(np.ones(4))
    assert r.positions.mean() == pytest.approx(1.0)
    assert r.own[:, 4].argmax() == [c.name for c in config.cohorts].index("pay_high")
    quiet = rates(MarketConfig(highlights_per_hour=0.0))
    assert (quiet.highlight, quiet.talk) == (0.0, 1.0)
    assert r.highlight == pytest.approx(4.0 / 44.0)


def test_too_wide_a_spread_is_refused():
    with pytest.raises(ValueError, match=r"watch_spread = 2\.4 leaves no spread"):
        rates(MarketConfig(watch_spread=2.4))

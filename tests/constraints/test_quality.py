import math

import numpy as np
import pytest
from constraints.served import attributes_of, exposure_of, feedback_of, request_of

from seedbed.constraints import Demotion, LowQuality


def play(constraint, request, lows, rewards, steps, delay=0, seed=1):
    """Serve the best of noisy rewards less the price; return how many of the first t exposures were low, each t."""
    rng = np.random.default_rng(seed)
    state, pending, low = constraint.init(request.columns.size), [], []
    for _ in range(steps):
        price = constraint.price(state, request)
        scores = rewards + 0.1 * rng.standard_normal(rewards.size) - (0.0 if price is None else price.cost)
        position = int(scores.argmax())
        was_low = lows[position] if constraint.metric is None else float(rng.random() < lows[position])
        constraint.observe(state, exposure_of(request, position))
        low.append(was_low)
        pending.append(feedback_of([position], low=[was_low]))
        if constraint.metric is not None and len(pending) > delay:
            constraint.observe(state, pending.pop(0))
    return state, np.cumsum(low)


LOWS = np.array([0.0, 0.0, 0.02, 1.0, 1.0, 0.6])
REWARDS = np.array([0.3, 0.5, 0.4, 0.8, 0.7, 0.9])


def test_share_of_an_attribute_is_held_after_a_constant_time():
    """Gaps of scores are below .6 + .8 for noise, weight .1: Q stays below 14 + 1, and 15 / (.05 x .05) is 6,000."""
    constraint = LowQuality(attribute="low")
    request = request_of(range(6), attributes=attributes_of(6, low=LOWS))
    state, low = play(constraint, request, LOWS, REWARDS, 12_000)
    steps = np.arange(1, low.size + 1)
    assert (low[6000:] <= 0.05 * steps[6000:]).all()
    assert low[-1] > 0.03 * low.size  # the share is used, as the low arms earn more
    assert low[-1] <= 0.05 * 0.95 * low.size + state.queue[0] + 1e-6
    assert constraint.report(state, request.attributes)["share"] == pytest.approx(low[-1] / low.size)
    free = LowQuality(attribute="low", weight=1e-6)
    assert play(free, request, LOWS, REWARDS, 1000)[1][-1] > 500


@pytest.mark.parametrize("delay", [0, 50])
def test_share_of_a_metric_is_held(delay):
    constraint = LowQuality(metric="low", epsilon=0.2)
    request = request_of(range(6))
    state, low = play(constraint, request, LOWS, REWARDS, 8000, delay)
    steps = np.arange(1, low.size + 1)
    assert (low[4000:] <= 0.05 * steps[4000:]).all()
    assert low[-1] > 0.02 * low.size
    told = low[-1 - delay]
    assert told <= 0.05 * 0.8 * low.size + state.queue[0] + 1e-6
    assert state.lows.sum() == told


def test_queue_and_price_by_hand():
    """Share .1 x (1 - .5) = .05 drains; two exposures of .5 and 0: .45, then .4. Costs: 2 x .4 x (.5, 0)."""
    constraint = LowQuality(attribute="low", share=0.1, epsilon=0.5, weight=2.0)
    request = request_of([1, 0], attributes=attributes_of(2, low=[0.0, 0.5]))
    state = constraint.init(2)
    assert constraint.price(state, request) is None
    constraint.observe(state, exposure_of(request, 0))
    constraint.observe(state, exposure_of(request, 1))
    assert state.queue[0] == pytest.approx(0.4)
    np.testing.assert_allclose(constraint.price(state, request).cost, [0.4, 0.0])
    constraint.observe(state, feedback_of([0], low=[1.0]))  # of a metric that it does not read
    assert state.queue[0] == pytest.approx(0.4)
    for _ in range(20):
        constraint.observe(state, exposure_of(request, 1))
    assert state.queue[0] == 0.0


def test_upper_bounds_shut_out_whom_nobody_knows():
    """Arms 3 and 5, tried first, are bad: arm 5 is served on at .6, and the good ones, unknown, are never tried."""
    upper = LowQuality(metric="low", epsilon=0.2, bound="upper")
    assert play(upper, request_of(range(6)), LOWS, REWARDS, 4000)[1][-1] > 2000


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_bounds_are_wilsons(sign):
    bound = "upper" if sign > 0 else "lower"
    constraint, request = LowQuality(metric="low", width=1.5, bound=bound), request_of([0, 1, 2])
    state = constraint.init(3)
    constraint.observe(state, feedback_of([1, 2, 2], weights=[10.0, 3.0, 1.0], low=[0.0, 1.0, 0.0]))
    assert state.queue[0] == 3.0
    expected = [1.0 if sign > 0 else 0.0]
    for s, n in ((0.0, 10.0), (3.0, 4.0)):
        p, z = s / n, 1.5
        expected.append(
            (p + z * z / 2 / n + sign * z * math.sqrt(p * (1 - p) / n + (z / 2 / n) ** 2)) / (1 + z * z / n)
        )
    np.testing.assert_allclose(constraint.rates(state, request), expected, atol=1e-12)
    np.testing.assert_allclose(constraint.price(state, request).cost, 0.1 * 3.0 * np.array(expected), atol=1e-12)
    assert constraint.metrics_read == ("low",)
    assert LowQuality(attribute="low").metrics_read == ()


@pytest.mark.parametrize("constraint", [LowQuality(metric="low"), Demotion("low")])
def test_a_metric_that_is_no_probability_is_refused(constraint):
    state = constraint.init(2)
    for value in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"low\[1\] = .* is not in \[0, 1\]"):
            constraint.check(state, feedback_of([0, 1], low=[0.5, value]))
    constraint.check(state, feedback_of([0, 1], low=[0.0, 1.0]))
    constraint.check(state, feedback_of([0, 1], other=[5.0, 5.0]))


def test_one_source_of_what_is_low():
    for fields in ({}, {"attribute": "a", "metric": "b"}):
        with pytest.raises(ValueError, match="either attribute= or metric="):
            LowQuality(**fields)


def test_demotion_by_hand():
    """Rates of all: 6 of 200 = .03; of 1: (6 + 100 x .03) / (100 + 100) = .045, of 0: .015; soft limit .014."""
    rule, request = Demotion("bad", limit=0.02), request_of([0, 1, 2])
    state = rule.init(3)
    assert rule.price(state, request) is None
    rule.observe(state, feedback_of([0, 1], weights=[100.0, 100.0], bad=[0.0, 0.06]))
    np.testing.assert_allclose(rule.rates(state, request.columns), [0.015, 0.045, 0.03])
    excess = (np.array([0.015, 0.045, 0.03]) - 0.014) / 0.014
    np.testing.assert_allclose(rule.price(state, request).factor, np.exp(-excess))
    assert rule.report(state, request.attributes) == {"rate": pytest.approx(0.03), "demoted": 2}
    assert rule.factor([0.0, 0.014]) == pytest.approx([1.0, 1.0])
    assert Demotion(steepness=2.0).factor(0.028) == pytest.approx(math.exp(-2.0))

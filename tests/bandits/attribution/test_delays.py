"""Delay curves: against their definitions, scipy, and their own spread in simulation."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf

from bandits.attribution import naive_delays as naive
from seedbed.bandits.attribution import DelayCurve, DelayCurves

seconds = st.integers(0, 12).map(float)  # few values: ties


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=40))
def test_fit_is_the_product_limit_in_reversed_time(pairs):
    delays, ages = [d for d, _ in pairs], [d + more for d, more in pairs]
    horizon = 9.0
    try:
        curve = DelayCurve.fit(delays, horizon, ages=ages)
    except ValueError:  # where no two can be compared; what is refused rightly has a test of its own
        assume(False)
    expected = [naive.share_within(delays, ages, horizon, t) for t in range(9)] + [1.0, 1.0]
    np.testing.assert_allclose(curve(np.arange(11.0)), expected, rtol=1e-12, atol=1e-15)
    assert curve.n == sum(d <= horizon for d in delays)
    assert curve(-1.0) == 0.0


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=40))
def test_what_cannot_be_told_is_refused(pairs):
    """Exactly where no exposure is as old as the horizon, or the estimator would lose delays that were seen."""
    delays, ages = [d for d, _ in pairs], [d + more for d, more in pairs]
    kept = [(d, min(a, 9.0)) for d, a in zip(delays, ages, strict=True) if d <= 9.0]
    can = bool(kept) and max(a for _, a in kept) == 9.0
    can = can and all(naive.share_within(delays, ages, 9.0, d) > 0.0 for d, _ in kept)
    if can:
        DelayCurve.fit(delays, 9.0, ages=ages)
    else:
        with pytest.raises(ValueError, match=r"no two conversions|no curve"):
            DelayCurve.fit(delays, 9.0, ages=ages)


@given(st.lists(st.tuples(seconds, st.booleans()), min_size=1, max_size=40))
def test_kaplan_meier_is_its_definition(pairs):
    durations, observed = [d for d, _ in pairs], [o for _, o in pairs]
    assume(any(o and d <= 9.0 for d, o in pairs) and max(durations) >= 9.0)
    curve = DelayCurve.kaplan_meier(durations, observed, 9.0)
    ever = 1.0 - naive.survival(durations, observed, 9.0, 9.0)
    expected = [(1.0 - naive.survival(durations, observed, 9.0, t)) / ever for t in range(10)]
    np.testing.assert_allclose(curve(np.arange(10.0)), expected, rtol=1e-12, atol=1e-15)


def test_kaplan_meier_and_greenwood_as_scipy_has_them():
    rng = np.random.default_rng(3)
    durations, limits = rng.exponential(1.0, 300), rng.exponential(1.5, 300)
    observed = durations <= limits
    seen = np.minimum(durations, limits)
    horizon = float(seen.max())  # with the last one observed, S ends at 0 and nothing is to be made to end at 1
    seen[np.argmax(seen)], observed[np.argmax(seen)] = horizon, True
    curve = DelayCurve.kaplan_meier(seen, observed, horizon)
    theirs = ecdf(CensoredData(uncensored=seen[observed], right=seen[~observed]))
    np.testing.assert_allclose(curve.cdf, theirs.cdf.evaluate(curve.times), rtol=1e-12)
    with pytest.warns(RuntimeWarning, match="undefined"):  # at the last time
        low = theirs.sf.confidence_interval(method="linear").low.evaluate(curve.times[:-40])
    error = (theirs.sf.evaluate(curve.times[:-40]) - low) / 1.959963984540054
    np.testing.assert_allclose(curve.standard_errors[:-40], error, rtol=1e-9)


def test_without_young_exposures_all_three_are_the_share_of_delays():
    """Standard errors sqrt(F (1 - F) / n), and covariances (F(s) - F(s) F(t)) / n."""
    rng = np.random.default_rng(4)
    delays = np.round(rng.exponential(3.0, 500).clip(0, 9.9), 1)
    curves = [
        DelayCurve.fit(delays, 10.0),
        DelayCurve.fit(delays, 10.0, ages=np.full(500, 77.0)),
        DelayCurve.kaplan_meier(delays, np.ones(500), 10.0),
        DelayCurve.kaplan_meier(np.append(delays, np.full(800, 10.0)), np.repeat([1, 0], [500, 800]), 10.0),
    ]
    at = np.array([0.0, 0.55, 2.0, 2.0, 7.3, 9.0, 25.0])
    shares = (delays[:, None] <= at).mean(axis=0)
    weights = np.array([1.0, 2.0, -1.0, 3.0, 0.5, 4.0, 9.0])
    total = np.where(delays[:, None] <= at, weights, 0.0).sum(axis=1)
    for curve in curves:
        np.testing.assert_allclose(curve(at), shares, rtol=1e-12)
        np.testing.assert_allclose(curve.variance(at, weights), total.var() / 500, rtol=1e-9)
        np.testing.assert_allclose(curve.standard_errors**2, curve.cdf * (1 - curve.cdf) / 500, atol=1e-15)
        assert curve.variance([10.0, 11.0]) == pytest.approx(0.0, abs=1e-18)
        assert curve.variance([]) == curve.variance([-1.0]) == 0.0


def draws(rng, n):
    """Exposures of all ages with delays of the order of the horizon 2: duration seen, whether rewarded, age."""
    ages = rng.uniform(0.0, 4.0, n)
    delays = np.where(rng.random(n) < 0.6, rng.exponential(0.8, n), np.inf)
    return np.minimum(delays, ages), delays <= ages, ages


@pytest.mark.parametrize("how", ["fit", "kaplan_meier"])
def test_errors_are_as_large_as_stated(how):
    """Mean and variance of a weighted sum over 1,500 logs; the variance of a sample variance is 2 v^2 / (n - 1)."""
    at, weights, horizon, logs = np.array([0.2, 0.5, 1.0, 1.7]), np.array([3.0, 2.0, 5.0, 1.0]), 2.0, 1_500
    truth = weights @ ((1.0 - np.exp(-at / 0.8)) / (1.0 - np.exp(-horizon / 0.8)))
    sums, stated = np.empty(logs), np.empty(logs)
    for i in range(logs):
        seen, is_reward, ages = draws(np.random.default_rng([5, i]), 800)
        if how == "fit":
            curve = DelayCurve.fit(seen[is_reward], horizon, ages=ages[is_reward])
        else:
            curve = DelayCurve.kaplan_meier(seen, is_reward, horizon)
        sums[i], stated[i] = weights @ curve(at), curve.variance(at, weights)
    bias = sums.mean() - truth
    assert abs(bias) < 5.0 * sums.std() / np.sqrt(logs) + 0.002 * truth  # of order 1 / n itself
    assert abs(sums.var() / stated.mean() - 1.0) < 5.0 * np.sqrt(2.0 / logs)
    naive_share = np.mean(
        [
            weights @ (seen[is_reward][:, None] <= at).mean(axis=0)  # ages ignored: far too fast
            for seen, is_reward, _ in [draws(np.random.default_rng([5, i]), 800) for i in range(50)]
        ]
    )
    assert naive_share - truth > 5.0 * sums.std() / np.sqrt(50)  # fmt: skip


def test_a_group_with_too_few_has_the_pooled_curve():
    delays = np.concatenate([np.full(300, 1.0), np.full(199, 2.0), np.full(5, 50.0), np.full(200, 3.0)])
    groups = ["a"] * 300 + ["b"] * 204 + [1] * 200
    curves = DelayCurves.fit(delays, groups, 10.0)
    assert set(curves.by_group) == {"a", 1}
    assert curves["a"](1.0) == curves[1](3.0) == 1.0
    assert curves[1](2.9) == 0.0
    assert curves["b"] is curves["c"] is curves.pooled
    assert curves.pooled.n == 699
    ages = np.where(np.array(groups, object) == 1, 5.0, 60.0)  # of this group no exposure is old enough
    assert set(DelayCurves.fit(delays[ages >= delays], [g for g in groups], 10.0, ages=ages).by_group) == {"a"}


def test_a_curve_cannot_be_changed():
    curve = DelayCurve.fit([1.0, 2.0], 5.0)
    with pytest.raises(ValueError, match="read-only"):
        curve.cdf[0] = 0.0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: DelayCurve.fit([1.0, -1.0], 5.0), r"delays\[1\] = -1.0"),
        (lambda: DelayCurve.fit([1.0, np.nan], 5.0), r"delays\[1\] = nan"),
        (lambda: DelayCurve.fit([1.0, 3.0], 5.0, ages=[9.0, 2.9]), r"ages\[1\] = 2.9"),
        (lambda: DelayCurve.fit([1.0, 3.0], 5.0, ages=[9.0, np.nan]), r"ages\[1\] = nan"),
        (lambda: DelayCurve.fit([1.0, 3.0], 5.0, ages=[4.9, 4.9]), "no two conversions"),
        (lambda: DelayCurve.fit([1.0, 3.0], 5.0, ages=[1.0]), "shape"),
        (lambda: DelayCurve.fit([6.0], 5.0), "there is no curve"),
        (lambda: DelayCurve.fit([], 5.0), "there is no curve"),
        (lambda: DelayCurve.fit([1.0], 0.0), "horizon"),
        (lambda: DelayCurve.fit([1.0], np.inf), "horizon"),
        (lambda: DelayCurve.kaplan_meier([1.0, 2.0], [0, 0], 5.0), "there is no curve"),
        (lambda: DelayCurve.kaplan_meier([1.0, 2.0], [1, 0], 5.0), "followed"),
        (lambda: DelayCurve.kaplan_meier([1.0, 6.0], [0, 1], 5.0), "there is no curve"),
        (lambda: DelayCurve.fit([1.0], 5.0)([np.nan]), "not a number"),
        (lambda: DelayCurves.fit([1.0], ["a", "b"], 5.0), "groups"),
    ],
)
def test_bad_numbers_are_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()

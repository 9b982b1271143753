import naive_fitting as naive
import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from seedbed.allocators.cold_start import fit_beta_moments
from seedbed.allocators.cold_start.bars import (
    Smooth,
    _resample,
    percentile_interval,
    quantile_bars,
    renewal_bars,
    smooth_populations,
)


def rooms(seed, creators, of_each=3, alike=0.5, deviation=0.5, centre=-1.1, viewers=(60, 300)):
    """Rooms of logit-normal rates; a creator's share a part of their variance."""
    rng = np.random.Generator(np.random.PCG64(seed))
    creator = np.repeat(np.arange(creators), rng.geometric(1.0 / of_each, creators))
    z = np.sqrt(alike) * rng.normal(size=creators)[creator] + np.sqrt(1.0 - alike) * rng.normal(size=creator.size)
    n = rng.integers(viewers[0], viewers[1] + 1, creator.size)
    x = rng.binomial(n, expit(centre + deviation * z))
    return x.astype(float), n.astype(float), creator


@pytest.mark.parametrize("rates", [False, True])
def test_steps_of_em_equal_plain_python(rates):
    x, n = np.array([2.0, 9, 4, 0, 7]), np.array([20.0, 21, 22, 23, 24])
    creators = np.array([0, 0, 1, 2, 2])
    start = smooth_populations(x, n, creators, key=3, resamples=4, rates=rates, steps=0)
    moved = smooth_populations(x, n, creators, key=3, resamples=4, rates=rates, steps=7)
    counts, moments = np.zeros((5, 5)), np.zeros((5, 4))
    _resample(3, creators, np.arange(5), x / n, 1.0 / n, counts, moments)
    for s in range(5):
        expected = naive.em(x, n, counts[s], moved.rates, start.weights[:, s], 7, rates)
        np.testing.assert_allclose(moved.weights[:, s], expected, rtol=1e-9, atol=1e-14)


def test_the_start_has_the_moments_of_the_rooms():
    x, n, creators = rooms(1, 300)
    start = smooth_populations(x, n, creators, key=0, resamples=0, steps=0)
    a, b = fit_beta_moments(x, n)
    middle = 0.5 * (start.edges[1:] + start.edges[:-1])
    mean = middle @ start.weights[:, 0]
    assert mean == pytest.approx(a / (a + b), rel=2e-3)
    variance = (middle - mean) ** 2 @ start.weights[:, 0]
    assert variance == pytest.approx(stats.beta.var(a, b), rel=0.03)


def test_the_start_of_rates_has_the_moments_of_the_rooms():
    """Gamma rates of mean 2 and variance .5, Poisson counts: noise of 2 / 30 is taken off."""
    rng = np.random.Generator(np.random.PCG64(2))
    t = np.full(4_000, 30.0)
    x = rng.poisson(t * rng.gamma(8.0, 0.25, 4_000)).astype(float)
    start = smooth_populations(x, t, np.arange(4_000), key=0, resamples=0, rates=True, steps=0)
    middle = 0.5 * (start.edges[1:] + start.edges[:-1])
    mean = middle @ start.weights[:, 0]
    assert mean == pytest.approx((x / t).mean(), rel=2e-3)
    assert (middle - mean) ** 2 @ start.weights[:, 0] == pytest.approx((x / t).var() - mean / 30.0, rel=0.03)


def test_resamples_draw_whole_creators():
    creators = np.array([0, 0, 0, 1, 2, 2])
    counts, moments = np.zeros((201, 6)), np.zeros((201, 4))
    rates, inverses = np.linspace(0.1, 0.6, 6), np.linspace(0.01, 0.02, 6)
    _resample(9, creators, np.arange(6), rates, inverses, counts, moments)
    assert counts[0].tolist() == [1.0] * 6
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 0] == counts[:, 2]).all()
    assert (counts[:, 4] == counts[:, 5]).all()
    times = counts[:, [0, 3, 4]]
    assert (times.sum(axis=1) == 3).all()
    assert abs(times[1:].mean(axis=0) - 1.0).max() < 5 * np.sqrt(2 / 3 / 200)
    np.testing.assert_allclose(moments, counts @ np.stack([np.ones(6), rates, rates**2, inverses], axis=1))


def test_quantiles_are_linear_within_a_cell():
    """Cells of rates 0 ... .25 ... 1 as sqrt: 0 ... .5 ... 1; three quarters of the weight lie below .25."""
    smooth = Smooth(np.array([0.0, 0.25, 1.0]), np.array([0.1, 0.5]), np.array([[0.75], [0.25]]))
    for level, scaled in ((0.375, 0.25), (0.75, 0.5), (0.875, 0.75)):
        assert quantile_bars(smooth, level, rates=True)[0] == pytest.approx(scaled**2)


def test_the_quantile_of_the_smooth_moves_little_with_one_room():
    """Atoms would jump by the distance of two of them; here, by about 1 / (rooms x density)."""
    x, n, _ = rooms(3, 200)
    bars = []
    for i in range(40):
        kept = np.arange(x.size) != i
        smooth = smooth_populations(x[kept], n[kept], np.arange(x.size - 1), key=0, resamples=0)
        bars.append(quantile_bars(smooth, 0.75)[0])
    assert np.ptp(bars) < 0.003
    assert len(set(bars)) > 20


@pytest.mark.parametrize(("n", "length"), [(50, 3_000), (300, 600), (10, 11)])
def test_renewal_bars_maximise_the_published_ratio(n, length):
    rng = np.random.Generator(np.random.PCG64(4))
    support, weights = np.sort(rng.uniform(0.0, 1.0, 30)), rng.dirichlet(np.ones(30), 3).T
    edges = np.concatenate([[0.0], 0.5 * (support[1:] + support[:-1]), [1.0]])
    bars = renewal_bars(Smooth(edges, support, weights), n, length)
    for s in range(3):
        best = max(naive.renewal_reward(support, weights[:, s], bar, n, length) for bar in [*support, 2.0])
        assert bars[s] == pytest.approx(best, rel=1e-9)
        assert naive.renewal_reward(support, weights[:, s], bars[s], n, length) == pytest.approx(best, rel=1e-9)


def test_percentile_interval_by_hand():
    """Of 1 ... 99 the order statistic k stands at k / 100: 5 and 95 hold the middle 90 %."""
    assert percentile_interval(np.arange(99, 0, -1.0), 0.9) == (pytest.approx(5.0), pytest.approx(95.0))


def test_intervals_cover_the_true_bar():
    """20 fits of 8 buckets, 100 resamples each, five rooms a creator that are much alike: z < 4 about 95 %.

    Resamples of rooms in place of creators cover far less.
    """
    covered = []
    for fit in range(20):
        for bucket in range(8):
            centre = -1.1 + 0.1 * (bucket - 3.5)
            x, n, creators = rooms((fit, bucket), 100, of_each=5, alike=0.8, centre=centre)
            bars = quantile_bars(smooth_populations(x, n, creators, key=8 * fit + bucket, resamples=100), 0.75)
            low, high = percentile_interval(bars[1:], 0.95)
            covered.append(low <= expit(centre + 0.5 * stats.norm.ppf(0.75)) <= high)
    assert abs(np.mean(covered) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 160)


def test_a_shape_that_no_beta_has_is_found():
    """Two humps: the Beta of the same moments puts the quantile 9 % too low, roughening within 3 %."""
    rng = np.random.Generator(np.random.PCG64(7))
    draws = np.where(rng.random(200_000) < 0.6, rng.normal(-0.8, 0.35, 200_000), rng.normal(1.2, 0.4, 200_000))
    truth = expit(logit(0.25) + 0.48 * np.quantile(draws, 0.75))
    n = rng.integers(60, 301, 6_000).astype(float)
    x = rng.binomial(n.astype(int), expit(logit(0.25) + 0.48 * draws[:6_000])).astype(float)
    for steps, most, least in ((0, 0.15, 0.06), (20, 0.03, 0.0)):
        smooth = smooth_populations(x, n, np.arange(6_000), key=0, resamples=0, steps=steps)
        assert least <= abs(quantile_bars(smooth, 0.75)[0] / truth - 1.0) < most

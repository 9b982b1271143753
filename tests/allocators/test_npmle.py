import naive_fitting as naive
import numpy as np
import pytest
from scipy.optimize import minimize

from seedbed.allocators.cold_start import fit_npmle
from seedbed.allocators.cold_start.npmle import likelihoods, solve, support_grid, tally

WORLDS = {
    "beta": (lambda rng, m: rng.beta(4.76, 15.24, m), (60, 300)),
    "rare and frequent": (lambda rng, m: rng.choice([0.0005, 0.01, 0.9], m, p=[0.5, 0.3, 0.2]), (60, 300)),
    "few viewers": (lambda rng, m: rng.beta(1.0, 3.0, m), (1, 8)),
}


def drawn(world, members, seed=0):
    rng = np.random.Generator(np.random.PCG64(seed))
    draw, (low, high) = WORLDS[world]
    n = rng.integers(low, high + 1, members)
    return rng.binomial(n, draw(rng, members)), n


@pytest.mark.parametrize("world", WORLDS)
def test_no_rate_of_the_grid_would_raise_the_likelihood(world):
    """The gradient condition, which characterises the estimate: at most 0 everywhere, 0 at the atoms."""
    x, n = drawn(world, 150)
    found = fit_npmle(x, n, grid=60, tolerance=1e-8)
    for rate in support_grid(x.astype(float), n.astype(float), False, 60)[::3]:
        assert naive.gain(x, n, found.support, found.weights, rate) <= 1.1e-8
    heavy = [(p, w) for p, w in zip(found.support, found.weights, strict=True) if w > 1e-3]
    for rate, weight in heavy:
        assert abs(naive.gain(x, n, found.support, found.weights, rate)) < 1e-8 / weight


def test_the_gap_bounds_what_is_missing():
    x, n = drawn("beta", 300)
    counts = x.astype(float), n.astype(float)
    support = support_grid(*counts, False, 80)
    likelihood, shares = likelihoods(*counts, support, False), np.full(300, 1 / 300)
    best, _ = solve(likelihood, shares, 1e-9)
    for tolerance in (1e-2, 1e-4):
        rough, gap = solve(likelihood, shares, tolerance)
        missing = shares @ np.log(likelihood @ best) - shares @ np.log(likelihood @ rough)
        assert -1e-9 <= missing <= gap <= tolerance


@pytest.mark.parametrize("rates", [False, True])
def test_a_small_case_equals_that_of_a_general_optimiser(rates):
    x, n, support = np.array([1.0, 4, 9, 2]), np.array([10.0, 12, 15, 4]), np.array([0.05, 0.2, 0.4, 0.6, 0.8])
    found = fit_npmle(x, n, support=support, rates=rates, tolerance=1e-10)

    def loss(weights):
        return -naive.log_likelihood(x, n, support, np.abs(weights), rates)

    best = minimize(
        loss,
        np.full(5, 0.2),
        method="SLSQP",
        bounds=[(1e-12, 1.0)] * 5,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 1_000},
    )
    assert naive.log_likelihood(x, n, found.support, found.weights, rates) == pytest.approx(-best.fun, abs=1e-7)
    weights = dict(zip(found.support, found.weights, strict=True))
    np.testing.assert_allclose([weights.get(p, 0.0) for p in support], best.x, atol=2e-3)


def test_it_is_likelier_than_the_truth():
    rng = np.random.Generator(np.random.PCG64(5))
    support, weights = [0.1, 0.25, 0.6], [0.5, 0.3, 0.2]
    n = rng.integers(50, 200, 800)
    x = rng.binomial(n, rng.choice(support, 800, p=weights))
    found = fit_npmle(x, n)
    own = naive.log_likelihood(x, n, found.support, found.weights)
    assert own >= naive.log_likelihood(x, n, support, weights)
    shares = np.array(found.weights)
    near = [shares[np.abs(np.array(found.support) - p) < 0.05].sum() for p in support]
    np.testing.assert_allclose(near, weights, atol=5 * np.sqrt(0.25 / 800))


def test_merging_counts_costs_next_to_no_likelihood():
    """8,000 rooms in at most 2,000 cells: less than 1e-6 of log-likelihood a member."""
    x, n = drawn("beta", 8_000)
    counts = x.astype(float), n.astype(float)
    support = support_grid(*counts, False, 50)
    cell, events, exposure = tally(*counts)
    assert events.size <= 2_000
    np.testing.assert_allclose(np.bincount(cell) @ events, x.sum())
    np.testing.assert_allclose(np.bincount(cell) @ exposure, n.sum())
    merged, _ = solve(likelihoods(events, exposure, support, False), np.bincount(cell) / x.size, 1e-7)
    whole = likelihoods(*counts, support, False)
    shares = np.full(x.size, 1 / x.size)
    exact, _ = solve(whole, shares, 1e-7)
    assert shares @ np.log(whole @ exact) - shares @ np.log(whole @ merged) < 1e-6


def test_few_kinds_of_counts_are_merged_without_loss():
    cell, events, exposure = tally(np.array([2.0, 1, 2, 2]), np.array([5.0, 5, 5, 6]))
    assert sorted(zip(events[cell], exposure[cell], strict=True)) == [(1, 5), (2, 5), (2, 5), (2, 6)]
    assert events.size == 3


def test_dispersion_divides_the_counts():
    x, n = np.array([4.0, 30, 8, 12, 50]), np.array([100.0, 120, 90, 100, 110])
    assert fit_npmle(x, n, rates=True, dispersion=2.0) == fit_npmle(x / 2.0, n / 2.0, rates=True)


def test_rates_may_exceed_one():
    rng = np.random.Generator(np.random.PCG64(6))
    minutes = rng.uniform(20.0, 60.0, 400)
    found = fit_npmle(rng.poisson(minutes * rng.choice([0.5, 3.0], 400)), minutes, rates=True)
    near = sum(w for p, w in zip(found.support, found.weights, strict=True) if abs(p - 3.0) < 0.4)
    assert near == pytest.approx(0.5, abs=5 * np.sqrt(0.25 / 400))


def test_members_alike_are_one_rate():
    found = fit_npmle([30] * 50, [100] * 50, grid=201)
    assert found.mean == pytest.approx(0.3, abs=1e-3)
    assert found.variance < 1e-4


def test_members_without_exposure_say_nothing_and_order_does_not_matter():
    x, n = drawn("beta", 200)
    found = fit_npmle(x, n)
    assert fit_npmle(np.append(x, 0), np.append(n, 0)) == found
    turned = fit_npmle(x[::-1], n[::-1])
    assert turned.support == found.support
    np.testing.assert_allclose(turned.weights, found.weights, rtol=1e-6)


@pytest.mark.parametrize(
    ("events", "exposure", "options", "text"),
    [
        ([1, 2], [3], {}, "length"),
        ([1, 5], [3, 4], {}, r"events\[1\] = 5.0 and exposure\[1\] = 4.0"),
        ([-1], [3], {}, r"events\[0\]"),
        ([np.nan], [3], {}, r"events\[0\]"),
        ([1], [0], {"rates": True}, r"events\[0\]"),
        ([0], [0], {}, "no member with exposure"),
        ([1], [3], {"grid": 1}, "grid = 1"),
        ([1], [3], {"dispersion": 0.5}, "dispersion = 0.5"),
    ],
)
def test_bad_counts(events, exposure, options, text):
    with pytest.raises(ValueError, match=text):
        fit_npmle(events, exposure, **options)

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from naive_budgets import best_value
from scipy.optimize import linprog

from seedbed.constraints._mixing import best_mix

# many ties, points on a line and zeros: multiples of 1/4, beside arbitrary numbers
NUMBERS = st.one_of(
    st.integers(0, 8).map(lambda n: n / 4.0), st.floats(0.0, 10.0).map(lambda x: x if x > 1e-6 else 0.0)
)


@st.composite
def problems(draw, resources, most=7):
    n = draw(st.integers(1, most))
    rewards = draw(arrays(np.float64, n, elements=NUMBERS)) - draw(st.sampled_from([0.0, 1.0]))
    costs = draw(arrays(np.float64, (resources, n), elements=NUMBERS))
    rho = draw(arrays(np.float64, resources, elements=NUMBERS))
    uids = np.array(draw(st.permutations(range(n))), np.uint64)
    return rewards, costs, rho, uids


def check_feasible(mix, costs, rho):
    assert (mix >= 0.0).all()
    assert mix.sum() <= 1.0 + 1e-9
    assert (costs @ mix <= rho + 1e-7).all()


@given(problems(resources=1, most=12))
def test_one_resource_against_a_solver(problem):
    rewards, costs, rho, uids = problem
    mix = best_mix(rewards, costs, rho, uids)
    check_feasible(mix, costs, rho)
    assert np.count_nonzero(mix) <= 2
    bounds = np.vstack([costs, np.ones(rewards.size)])
    oracle = linprog(-rewards, bounds, [*rho, 1.0], method="highs")
    np.testing.assert_allclose(rewards @ mix, -oracle.fun, rtol=1e-9, atol=1e-7)


def test_one_resource_with_many_arms_near_the_best_chord():
    """Costs and rewards near a curve: arms close to the limit, and steps of the chord that gain little."""
    rng = np.random.default_rng(8)
    for _ in range(300):
        costs = np.sort(rng.random(12))
        rewards = np.sqrt(costs) + 0.01 * rng.random(12)
        rho = np.array([rng.random()])
        mix = best_mix(rewards, costs[None], rho, rng.permutation(12).astype(np.uint64))
        check_feasible(mix, costs[None], rho)
        pairs = [min(1.0, rho[0] / cost) * reward for cost, reward in zip(costs, rewards, strict=True)]  # or nothing
        for i, j in itertools.combinations(range(12), 2):
            if costs[i] <= rho[0] < costs[j]:
                share = (rho[0] - costs[i]) / (costs[j] - costs[i])
                pairs.append(share * rewards[j] + (1.0 - share) * rewards[i])
        np.testing.assert_allclose(rewards @ mix, max(pairs), rtol=1e-12)


@given(problems(resources=2, most=4))
def test_two_resources_against_all_vertices(problem):
    rewards, costs, rho, uids = problem
    mix = best_mix(rewards, costs, rho, uids)
    check_feasible(mix, costs, rho)
    np.testing.assert_allclose(rewards @ mix, best_value(rewards, costs, rho), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("resources", [1, 2])
def test_the_order_of_the_arms_does_not_matter(resources):
    rng = np.random.default_rng(3)
    for _ in range(30):
        rewards, costs = rng.integers(1, 4, 8) / 2.0, rng.integers(1, 4, (resources, 8)) / 2.0  # full of ties
        rho, uids = np.full(resources, 0.8), rng.permutation(8).astype(np.uint64)
        mix = best_mix(rewards, costs, rho, uids)
        order = rng.permutation(8)
        np.testing.assert_array_equal(best_mix(rewards[order], costs[:, order], rho, uids[order]), mix[order])


def test_mixes_by_hand():
    """Rates .8, .6, .3, .1 at 29.90 ... 44.90: the mixes that Ferreira, Simchi-Levi and Wang print."""
    prices, rates = np.array([29.9, 34.9, 39.9, 44.9]), np.array([0.8, 0.6, 0.3, 0.1])
    uids = np.arange(4).astype(np.uint64)
    for rho, mix, value in ((0.25, [0, 0, 3 / 4, 1 / 4], 10.10), (0.5, [0, 2 / 3, 1 / 3, 0], 17.95)):
        found = best_mix(prices * rates, rates[None], np.array([rho]), uids)
        np.testing.assert_allclose(found, mix, atol=1e-12)
        assert found @ (prices * rates) == pytest.approx(value, abs=5e-3)
    np.testing.assert_array_equal(best_mix(prices * rates, rates[None], np.array([0.9]), uids), [1, 0, 0, 0])
    np.testing.assert_array_equal(best_mix(prices * rates, rates[None], np.array([0.0]), uids), 0.0)
    assert best_mix(np.empty(0), np.empty((2, 0)), np.ones(2), uids[:0]).size == 0

"""Choices under prices: the bounds only refuse what cannot win, so the result is that of drawing every arm."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.bandits import UCB1, Bandit, Beta, EpsilonGreedy, GammaPoisson, Gaussian, Thompson, TopTwo
from seedbed.bandits._random import fold_in
from seedbed.bandits._ranking import Ranking

MODELS = {
    "beta": (Beta(), lambda rng, size: (rng.random(size) < 0.1).astype(float)),
    "rare": (Beta(prior=(0.5, 80.0)), lambda rng, size: (rng.random(size) < 0.004).astype(float)),
    "edge": (Beta(prior=(0.01, 0.01)), lambda rng, size: (rng.random(size) < 0.98).astype(float)),
    "gaussian": (Gaussian(), lambda rng, size: rng.normal(size=size)),
    "gamma": (GammaPoisson(), lambda rng, size: rng.poisson(2.0, size).astype(float)),
}


def learnt(model, arms, events, seed, weight=1.0):
    model, rewards = MODELS[model]
    rng = np.random.default_rng(seed)
    bandit = Bandit(Thompson(model=model), arms=range(arms), seed=seed)
    if events:
        rows = bandit.rows(rng.integers(0, arms, events).tolist())
        bandit.update_rows(rows, rewards(rng, events), weight=weight)
    return bandit


def ranking_of(bandit, n, ids=None):
    offered = bandit._arms.live(bandit._lock, bandit._version) if ids is None else bandit._arms.offered(ids)
    return Ranking(bandit, offered.handles, offered.version, None, fold_in(bandit._base, n), np.nan)


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=60)
@given(
    arms=st.integers(1, 700),
    events=st.sampled_from([0, 100, 5_000, 300_000]),
    spread=st.sampled_from([0.0, 1e-3, 1.0, 50.0]),
    cost=st.sampled_from([0.0, 1e-3, 0.3, 20.0]),
    odd=st.sampled_from([0.0, 0.1, 1.0]),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_priced_choice_is_that_of_full_evaluation(model, arms, events, spread, cost, odd, seed, data):
    bandit = learnt(model, arms, events, seed)
    rng = np.random.default_rng(seed)
    scales = 1.0 + spread * rng.random(arms)
    strange = rng.random(arms) < odd
    scales[strange] = rng.choice([0.0, -1.0, -30.0, 1e-9, 1e6], int(strange.sum()))
    offsets = cost * rng.normal(size=arms)
    k = data.draw(st.integers(1, min(arms, 20)))
    ranking = ranking_of(bandit, seed % 1000)
    positions, scores = ranking.best(k, scales, offsets)
    expected, values = ranking.best_of(k, scales * ranking.draws() - offsets)
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_array_equal(scores, values)


def test_arms_of_very_much_evidence():
    """At a + b = 1e10 an error of 1e-8 in a logarithm is one of e^100 in a bound."""
    bandit = learnt("edge", 300, 30_000, 2, weight=1e8)
    scales = 1.0 / bandit.mean()  # so that all are nearly equal
    for n in range(200):
        ranking = ranking_of(bandit, n)
        positions, _ = ranking.best(3, scales, np.zeros(300))
        expected, _ = ranking.best_of(3, scales * ranking.draws())
        np.testing.assert_array_equal(positions, expected)


def test_without_prices_it_is_the_plain_choice():
    bandit = learnt("beta", 500, 5_000, 3)
    ones, zeros = np.ones(500), np.zeros(500)
    for n in range(50):
        ranking = ranking_of(bandit, n)
        for plain, priced in zip(ranking.best(5), ranking.best(5, ones, zeros), strict=True):
            np.testing.assert_array_equal(plain, priced)


def test_order_of_candidates_does_not_matter():
    bandit = learnt("beta", 200, 5_000, 5)
    rng = np.random.default_rng(1)
    scales, offsets = rng.random(200), 0.1 * rng.random(200)
    for n in range(30):
        ids = rng.permutation(200)
        positions, _ = ranking_of(bandit, n, ids.tolist()).best(4, scales[ids], offsets[ids])
        expected, _ = ranking_of(bandit, n).best(4, scales, offsets)
        assert ids[positions].tolist() == expected.tolist()


def test_other_rules_are_priced_by_their_scores():
    """UCB1 with untried arms: their infinite score stays first, whatever the price."""
    bandit = Bandit(UCB1(), arms=["a", "b", "c"])
    bandit.update(["a", "b"], [1.0, 0.0])
    positions, scores = ranking_of(bandit, 0).best(3, np.ones(3), np.array([0.0, 0.0, 9.0]))
    assert positions.tolist() == [2, 0, 1]
    assert scores[0] == np.inf
    positions, scores = ranking_of(bandit, 0).best(3, np.array([1.0, 1.0, 0.0]), np.zeros(3))
    assert positions.tolist() == [0, 1, 2]
    assert scores[2] == -np.inf  # 0 times infinity is no number, and comes last


def test_epsilon_greedy_keeps_its_coins_under_prices():
    """epsilon = 1: any arm, whatever the price; epsilon = 0: the best after it."""
    for epsilon, least in ((1.0, 200), (0.0, 0)):
        bandit = Bandit(EpsilonGreedy(epsilon=epsilon), arms=["a", "b"], seed=1)
        bandit.update(["a", "b"], [1.0, 0.0])
        chosen = [int(ranking_of(bandit, n).best(1, np.ones(2), np.array([0.0, 0.5]))[0][0]) for n in range(600)]
        assert least <= chosen.count(1) <= 2 * least


def test_rules_that_do_not_rank_by_scores_are_refused():
    ranking = ranking_of(Bandit(TopTwo(), arms=["a", "b"]), 0)
    with pytest.raises(ValueError, match="does not rank by scores"):
        ranking.best(1, np.ones(2), np.zeros(2))

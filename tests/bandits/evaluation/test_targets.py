import numpy as np
import pytest

from seedbed.bandits import EXP3, UCB1, Bandit, EpsilonGreedy, GammaPoisson, Gaussian, Thompson, TopTwo
from seedbed.bandits.evaluation.targets import rank_probabilities

ARMS = ["a", "b", "c", "d", "e"]


def taught(policy):
    bandit = Bandit(policy, ARMS, seed=3)
    rng = np.random.default_rng(1)
    bandit.update([ARMS[i] for i in rng.integers(0, 5, 60)], rng.integers(0, 2, 60).astype(float))
    return bandit


@pytest.mark.parametrize(
    "policy",
    [Thompson(), Thompson(model=Gaussian()), Thompson(model=GammaPoisson()), EpsilonGreedy(epsilon=0.4), UCB1()],
    ids=lambda policy: f"{policy.kind} {policy.model.kind}",
)
def test_positions_are_taken_as_often_as_said(policy):
    """40,000 decisions; each count within 5 standard deviations of the binomial."""
    bandit, n = taught(policy), 40_000
    expected = rank_probabilities(bandit, 3)
    counts = np.zeros((5, 3))
    for _ in range(n):
        for position, row in enumerate(bandit.select(k=3).rows):
            counts[row, position] += 1
    assert (np.abs(counts - n * expected) <= 5 * np.sqrt(n * expected * (1 - expected)) + 1e-6 * n).all()
    np.testing.assert_allclose(expected.sum(axis=0), 1.0, atol=1e-6)


def test_all_positions_of_all_arms_and_candidates():
    bandit = taught(Thompson())
    before = bandit.to_bytes()
    whole = rank_probabilities(bandit, 5)
    np.testing.assert_allclose(whole.sum(axis=0), 1.0, atol=1e-6)
    np.testing.assert_allclose(whole.sum(axis=1), 1.0, atol=1e-6)
    turned = rank_probabilities(bandit, 2, iter(ARMS[::-1]))
    np.testing.assert_allclose(turned, whole[::-1, :2], atol=1e-9)
    some = rank_probabilities(bandit, 1, ["c", "a"])
    np.testing.assert_allclose(some[:, 0], bandit.propensities(["c", "a"]))
    assert bandit.to_bytes() == before


def test_rules_without_exact_slates_are_refused():
    with pytest.raises(ValueError, match="top-two"):
        rank_probabilities(taught(TopTwo()), 2)
    assert rank_probabilities(taught(TopTwo()), 1).shape == (5, 1)
    for k in (0, 6):
        with pytest.raises(ValueError, match="k must be"):
            rank_probabilities(taught(Thompson()), k)
    assert rank_probabilities(Bandit(EXP3(), ARMS), 2).sum() == pytest.approx(2.0)

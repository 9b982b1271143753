import naive
import numpy as np
import pytest

from seedbed.bandits import KLUCB, UCB1, Bandit, Thompson
from seedbed.bandits.simulation import Bernoulli, simulate

NINE = Bernoulli([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])


@pytest.mark.parametrize(
    ("means", "constant"),
    [
        (NINE.means, 7.516515542261102),
        ((0.01, 0.02, 0.3, 0.4, 0.5, 0.6, 0.795, 0.8, 0.805), 101.04512240177624),
        ((0.01,) * 3 + (0.02,) * 3 + (0.05,) * 2 + (0.1,), 14.45232724691461),
    ],
)
def test_lai_robbins_constants(means, constant):
    assert Bernoulli(means).lai_robbins == pytest.approx(constant, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "mean"), [(Thompson(), 41.56), (KLUCB(), 57.88), (UCB1(alpha=0.5), 101.03)])
def test_published_regrets(policy, mean):
    """Mean of 200 runs within 4 standard errors of the published one."""
    runs = simulate(policy, NINE, horizon=10_000, seeds=range(200))
    error = runs.regret.std(ddof=1) / np.sqrt(200)
    assert abs(runs.regret.mean() - mean) < 4 * error


@pytest.mark.slow
def test_thompson_learns_as_an_independent_one_does():
    """20 fixed seeds of ours and of numpy's: the means differ by less than 5 standard errors."""
    ours = simulate(Thompson(), NINE, horizon=2_000, seeds=range(20)).regret
    theirs = np.array([naive.regret_of_thompson(NINE.means, 2_000, seed) for seed in range(20)])
    assert abs(ours.mean() - theirs.mean()) < 5 * np.sqrt(ours.var(ddof=1) / 20 + theirs.var(ddof=1) / 20)


@pytest.mark.parametrize("policy", [Thompson(), UCB1(), KLUCB()], ids=lambda policy: policy.kind)
def test_the_compiled_loop_decides_as_a_bandit_does(policy):
    compiled = simulate(policy, NINE, horizon=300, seeds=[5, 6])
    slow = simulate(lambda seed: Bandit(policy, range(9), seed=seed), NINE, horizon=300, seeds=[5, 6])
    for fast_part, slow_part in zip(compiled, slow, strict=True):
        np.testing.assert_array_equal(fast_part, slow_part)


def test_the_result_by_hand():
    runs = simulate(Thompson(), Bernoulli([0.0, 1.0]), horizon=200, seeds=range(3))
    assert runs.pulls.sum(axis=1).tolist() == [200] * 3
    assert runs.regret.tolist() == runs.pulls[:, 0].tolist()
    assert runs.at[0] == 1
    assert runs.at[-1] == 200
    assert (np.diff(runs.curve, axis=1) >= 0).all()


class RoundRobin:
    """The least that can be played: it returns the arm itself."""

    def __init__(self, arms):
        self.arms, self.t = arms, -1

    def select(self):
        self.t += 1
        return self.t % self.arms

    def update(self, arm, reward):
        assert arm == self.t % self.arms
        assert reward in (0.0, 1.0)


def test_any_chooser_can_be_played():
    runs = simulate(lambda seed: RoundRobin(9), NINE, horizon=90, seeds=[1, 2])
    assert runs.pulls.tolist() == [[10] * 9] * 2
    assert runs.regret.tolist() == pytest.approx([36.0, 36.0])


def test_progress_wraps_the_seeds():
    shown = []
    simulate(Thompson(), NINE, 10, [3, 4], progress=lambda seeds: (shown.append(s) or s for s in seeds))
    assert shown == [0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 0}, "horizon must be at least 1"),
        ({"seeds": 5}, "several integers"),
        ({"seeds": []}, "empty"),
        ({"seeds": [-1]}, r"seeds\[0\]"),
        ({"points": 0}, "points"),
        ({"chooser": Bandit(Thompson(), range(9))}, "function from seed"),
        ({"chooser": Thompson}, "function from seed"),
        ({"environment": [0.1, 0.5]}, "is not one, such as Bernoulli"),
        ({"chooser": lambda seed: Bandit(Thompson(), ["x"])}, "chose arm 'x'"),
    ],
)
def test_bad_input(change, message):
    good = {"chooser": Thompson(), "environment": NINE, "horizon": 10, "seeds": [1]}
    with pytest.raises(ValueError, match=message):
        simulate(**{**good, **change})


@pytest.mark.parametrize("means", [[], [1.5], [float("nan")]])
def test_bad_means(means):
    with pytest.raises(ValueError, match="validation error"):
        Bernoulli(means)

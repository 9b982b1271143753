"""One Thompson decision among K arms, beside numpy and a peer."""

import numpy as np
import pytest

from seedbed.bandits import KLUCB, UCB1, Bandit, Thompson

SIZES = [10, 100, 1_000, 10_000]


def evidence(arms, kind):
    """Successes and failures: about 1,000 observations an arm, none, or none of every other arm."""
    rng = np.random.Generator(np.random.PCG64(0))
    n = np.full(arms, 1_000.0) if kind == "warm" else np.zeros(arms)
    if kind == "half":
        n[::2] = 1_000.0
    successes = np.round(n * rng.uniform(0.02, 0.1, arms))
    return successes, n - successes


def ours(policy, arms, kind):
    bandit = Bandit(policy, range(arms), seed=1)
    successes, failures = evidence(arms, kind)
    rows = bandit.rows(range(arms))
    bandit.update_rows(rows, np.ones(arms), weight=successes)
    bandit.update_rows(rows, np.zeros(arms), weight=failures)
    return bandit


@pytest.mark.parametrize("kind", ["warm", "half", "cold"])
@pytest.mark.parametrize("arms", SIZES)
@pytest.mark.parametrize("k", [1, 10])
def test_thompson(benchmark, arms, kind, k):
    benchmark.group = f"Thompson, {arms:>6} arms, {kind}"
    bandit = ours(Thompson(), arms, kind)
    benchmark(bandit.select, k=k)


@pytest.mark.parametrize("kind", ["warm", "half", "cold"])
@pytest.mark.parametrize("arms", SIZES)
def test_numpy(benchmark, arms, kind):
    benchmark.group = f"Thompson, {arms:>6} arms, {kind}"
    rng = np.random.Generator(np.random.SFC64(1))
    successes, failures = evidence(arms, kind)
    benchmark(lambda: rng.beta(1.0 + successes, 1.0 + failures).argmax())


@pytest.mark.parametrize("arms", SIZES[:3])
def test_mabwiser(benchmark, arms):
    from mabwiser.mab import MAB, LearningPolicy

    benchmark.group = f"Thompson, {arms:>6} arms, warm"
    mab = MAB(list(range(arms)), LearningPolicy.ThompsonSampling(), seed=1)
    mab.fit(list(range(arms)) * 2, [0] * arms + [1] * arms)
    successes, failures = evidence(arms, "warm")
    for arm in range(arms):
        mab._imp.arm_to_success_count[arm] = successes[arm]
        mab._imp.arm_to_fail_count[arm] = failures[arm]
    benchmark(mab.predict)


@pytest.mark.parametrize("policy", [UCB1(), KLUCB()], ids=lambda policy: policy.kind)
@pytest.mark.parametrize("arms", SIZES)
def test_ucb(benchmark, arms, policy):
    benchmark.group = f"UCB, {arms:>6} arms"
    bandit = ours(policy, arms, "warm")
    benchmark(bandit.select)


@pytest.mark.parametrize("arms", SIZES)
def test_ucb1_in_numpy(benchmark, arms):
    benchmark.group = f"UCB, {arms:>6} arms"
    successes, failures = evidence(arms, "warm")

    def formula():
        n = successes + failures
        return (successes / n + np.sqrt(2.0 * np.log(n.sum()) / n)).argmax()

    benchmark(formula)


def test_500_candidates_of_many(benchmark):
    benchmark.group = "500 candidate ids out of 100,000 arms"
    ids = [f"arm-{i}" for i in range(100_000)]
    bandit = Bandit(Thompson(), ids, seed=1)
    candidates = ids[::200]
    benchmark(bandit.select, candidates)

"""One update, and a batch, beside peers and reference loops."""

import itertools

import numpy as np
import pytest
from references import BareBandit, events

from seedbed.bandits import Bandit, Thompson

ARMS = 1_000
IDS = [f"arm-{i}" for i in range(ARMS)]


def endless():
    rows, rewards = events(ARMS, 10_000)
    return itertools.cycle([(IDS[row], reward) for row, reward in zip(rows, rewards.tolist(), strict=True)])


def run_single(benchmark, update):
    benchmark.group = "one update, 1,000 arms"
    stream = endless()
    benchmark(lambda: update(*next(stream)))


def test_single(benchmark):
    run_single(benchmark, Bandit(Thompson(), IDS).update)


def test_single_bare_kernel(benchmark):
    run_single(benchmark, BareBandit(IDS).update)


def test_single_river(benchmark):
    from river import bandit, proba

    policy = bandit.ThompsonSampling(reward_obj=proba.Beta(), seed=1)
    for id in IDS:
        policy.update(id, 0)
    run_single(benchmark, lambda arm, reward: policy.update(arm, int(reward)))


def test_single_mabwiser(benchmark):
    from mabwiser.mab import MAB, LearningPolicy

    mab = MAB(IDS, LearningPolicy.ThompsonSampling(), seed=1)
    mab.fit(IDS, [0] * ARMS)
    run_single(benchmark, lambda arm, reward: mab.partial_fit([arm], [int(reward)]))


@pytest.mark.parametrize("arms", [1_000, 100_000])
@pytest.mark.parametrize("whose", ["ours by row", "ours by id", "plain loop", "numpy"])
def test_batch(benchmark, arms, whose):
    benchmark.group = f"batch of 100,000 events, {arms:>7} arms"
    ids = [f"arm-{i}" for i in range(arms)]
    rows, rewards = events(arms, 100_000)
    bandit, bare, names = Bandit(Thompson(), ids), BareBandit(ids), [ids[row] for row in rows]
    handles = bandit.rows(ids)[rows]
    counts = np.zeros((2, arms))

    def by_numpy():
        np.add.at(counts[0], rows, rewards)
        np.add.at(counts[1], rows, 1.0 - rewards)

    benchmark(
        {
            "ours by row": lambda: bandit.update_rows(handles, rewards),
            "ours by id": lambda: bandit.update(names, rewards),
            "plain loop": lambda: bare.update_rows(rows, rewards),
            "numpy": by_numpy,
        }[whose]
    )


def test_batch_river(benchmark):
    from river import bandit, proba

    benchmark.group = f"batch of 100,000 events, {ARMS:>7} arms"
    policy = bandit.ThompsonSampling(reward_obj=proba.Beta(), seed=1)
    rows, rewards = events(ARMS, 100_000)
    pairs = [(IDS[row], int(reward)) for row, reward in zip(rows, rewards, strict=True)]

    def loop():
        for arm, reward in pairs:
            policy.update(arm, reward)

    benchmark.pedantic(loop, rounds=5)


def test_batch_mabwiser(benchmark):
    from mabwiser.mab import MAB, LearningPolicy

    benchmark.group = f"batch of 100,000 events, {ARMS:>7} arms"
    mab = MAB(IDS, LearningPolicy.ThompsonSampling(), seed=1)
    mab.fit(IDS, [0] * ARMS)
    rows, rewards = events(ARMS, 100_000)
    names, values = np.array([IDS[row] for row in rows]), rewards.astype(int)
    benchmark.pedantic(lambda: mab.partial_fit(names, values), rounds=5)

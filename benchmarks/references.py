"""References: the least that each path must do, without a check, as a limit beside which ours is measured."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedbed.bandits import Bandit
from seedbed.bandits._numba import kernel

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

CHUNK = 8_192  # a batch that holds the GIL longer stalls other threads


@kernel
def bare_update(table: Array, row: int, reward: float, weight: float) -> None:
    table[0, row] += weight * reward
    table[1, row] += weight * (1.0 - reward)


@kernel
def bare_batch(table: Array, rows: Rows, rewards: Array, start: int, stop: int) -> None:
    for i in range(start, stop):
        table[0, rows[i]] += rewards[i]
        table[1, rows[i]] += 1.0 - rewards[i]


@kernel
def bare_ucb(means: Array, widths: Array, radius: float, scores: Array) -> int:
    """Row of the largest `mean + radius width`, both stored; scores is a buffer."""
    for i in range(means.size):
        scores[i] = means[i] + radius * widths[i]
    best = 0
    for i in range(1, means.size):
        if scores[i] > scores[best]:
            best = i
    return best


@kernel
def bare_lin_ucb(inverses: Array, thetas: Array, x: Array, alpha: float, work: Array) -> int:
    """Row of the largest `x' theta + alpha sqrt(x' inverse x)`; inverses `[K, d, d]`, work `[d]`."""
    best, highest = 0, -np.inf
    for arm in range(thetas.shape[0]):
        work[:] = 0.0
        for i in range(x.size):
            for j in range(x.size):
                work[j] += inverses[arm, i, j] * x[i]
        mean = variance = 0.0
        for j in range(x.size):
            mean += x[j] * thetas[arm, j]
            variance += x[j] * work[j]
        score = mean + alpha * np.sqrt(variance)
        if score > highest:
            best, highest = arm, score
    return best


class BareBandit:
    """A dict from id to row and a kernel that adds: no checks, no counter, no growth, no threads."""

    def __init__(self, ids: Iterable[Any]) -> None:
        self.row_of = {id: row for row, id in enumerate(ids)}
        self.table = np.zeros((2, len(self.row_of)))

    def update(self, arm: Any, reward: float, *, weight: float = 1.0) -> None:
        bare_update(self.table, self.row_of[arm], reward, weight)

    def update_rows(self, rows: Rows, rewards: Array) -> None:
        for start in range(0, rows.size, CHUNK):
            bare_batch(self.table, rows, rewards, start, min(start + CHUNK, rows.size))


def events(arms: int, count: int, seed: int = 0) -> tuple[Rows, Array]:
    """Rows and rewards of random events."""
    rng = np.random.Generator(np.random.PCG64(seed))
    rows = rng.integers(0, arms, count)
    rewards = (rng.random(count) < 0.3).astype(np.float64)
    return rows, rewards


def evidence(arms: int, kind: str = "warm") -> tuple[Array, Array]:
    """Successes and failures: about 1,000 observations an arm, none, or none of every other arm."""
    rng = np.random.Generator(np.random.PCG64(0))
    n = np.full(arms, 1_000.0) if kind == "warm" else np.zeros(arms)
    if kind == "half untouched":
        n[::2] = 1_000.0
    successes = np.round(n * rng.uniform(0.02, 0.1, arms))
    return successes, n - successes


def warm_bandit(policy: Any, arms: int, kind: str = "warm") -> Bandit:
    """A bandit with that evidence; ids 0 ... arms - 1."""
    bandit = Bandit(policy, range(arms), seed=1)
    rows = bandit.rows(range(arms))
    for reward, weights in zip((1.0, 0.0), evidence(arms, kind), strict=True):
        bandit.update_rows(rows, np.full(arms, reward), weight=weights)
    return bandit


@cache
def million() -> tuple[Bandit, list[str]]:
    """A bandit of 1,000,000 arms, and their ids."""
    from seedbed.bandits import Thompson

    ids = [f"arm-{i}" for i in range(1_000_000)]
    bandit = Bandit(Thompson(), ids, seed=1)
    rows, rewards = events(len(ids), 2_000_000)
    bandit.update_rows(bandit.rows(ids)[rows], rewards)
    return bandit, ids

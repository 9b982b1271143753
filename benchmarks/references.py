"""Reference loops: the least that each path must do, without a check, as a limit beside which ours is measured."""

import numpy as np

from seedbed.bandits._numba import kernel


@kernel
def bare_update(table, row, reward, weight):
    table[3, row] += weight * reward
    table[4, row] += weight * (1.0 - reward)


CHUNK = 8_192  # a batch that holds the GIL longer stalls other threads


@kernel
def bare_batch(table, rows, rewards, start, stop):
    for i in range(start, stop):
        table[3, rows[i]] += rewards[i]
        table[4, rows[i]] += 1.0 - rewards[i]


class BareBandit:
    """A dict from id to row and a kernel that adds: no checks, no counter, no growth, no threads."""

    def __init__(self, ids):
        self.table = np.zeros((5, len(ids)))
        self.row_of = {id: row for row, id in enumerate(ids)}

    def update(self, arm, reward, *, weight=1.0):
        bare_update(self.table, self.row_of[arm], reward, weight)

    def update_rows(self, rows, rewards):
        for start in range(0, rows.size, CHUNK):
            bare_batch(self.table, rows, rewards, start, min(start + CHUNK, rows.size))


def events(arms, count, seed=0):
    """Random arms and rewards: ids as a list, rows and rewards as arrays."""
    rng = np.random.Generator(np.random.PCG64(seed))
    rows = rng.integers(0, arms, count)
    rewards = (rng.random(count) < 0.3).astype(np.float64)
    return rows, rewards

"""Conservative exploration on a hostile instance: is the invariant kept at every step, and what does it cost?

The baseline is the best of ten arms, so all exploration loses. `python benchmarks/conserving.py [RUNS]`.
"""

import sys

import numpy as np
from rich.progress import track

from seedbed.bandits import UCB1, Bandit, Thompson
from seedbed.bandits.simulation import Bernoulli, simulate
from seedbed.constraints import Baseline
from seedbed.constraints.constrained import Constrained

MEANS = [0.5, *[0.2] * 5, *[0.0] * 4]
STEPS = 20_000
ALPHA = 0.05


class Watched:
    """A chooser whose true earnings are compared with what they must be, after every choice."""

    def __init__(self, policy, seed, constraints):
        bandit = Bandit(policy, arms=range(len(MEANS)), seed=seed)
        self.chooser = Constrained(bandit, constraints) if constraints else bandit
        self.earned, self.steps, self.margin, self.breaches = 0.0, 0, np.inf, 0

    def select(self):
        decision = self.chooser.select(now=0.0)
        self.earned += MEANS[decision.arms[0]]
        self.steps += 1
        # sums of .5, .2 and 0 and their bound are off by far less than 1e-6
        margin = self.earned - (1 - ALPHA) * MEANS[0] * self.steps
        self.margin = min(self.margin, margin)
        self.breaches += margin < -1e-6
        return decision

    def update(self, arm, reward):
        self.chooser.update(arm, reward)


def played(policy, constraints, runs, label):
    """Regret, least margin and steps below the bound of each run; seeds 0 ... runs - 1."""
    watched = []

    def chooser(seed):
        watched.append(Watched(policy, seed, constraints))
        return watched[-1]

    world = Bernoulli(MEANS)
    found = simulate(chooser, world, STEPS, range(runs), progress=lambda seeds: track(seeds, label))
    return found.regret, np.array([w.margin for w in watched]), np.array([w.breaches for w in watched])


def rows(runs):
    """A row a policy, with and without the baseline."""
    known, unknown = [Baseline(0, mean=MEANS[0], alpha=ALPHA)], [Baseline(0, alpha=ALPHA)]
    for label, policy, constraints, count in (
        ("Thompson, baseline of unknown mean", Thompson(), unknown, runs),
        ("Thompson, baseline of known mean", Thompson(), known, -(-runs // 10)),
        ("UCB1, baseline of unknown mean", UCB1(), unknown, -(-runs // 10)),
        ("Thompson alone", Thompson(), [], -(-runs // 10)),
        ("UCB1 alone", UCB1(), [], -(-runs // 10)),
    ):
        regret, margins, breaches = played(policy, constraints, count, label)
        error = regret.std(ddof=1) / np.sqrt(regret.size) if regret.size > 1 else np.nan
        below = f"{breaches.sum():,} of {count * STEPS:,}"
        yield [label, count, below, f"{margins.min():.3f}", f"{regret.mean():.1f} +- {error:.1f}"]


HEAD = ["policy", "runs", "steps below the bound", "least margin", "mean regret +- standard error"]

if __name__ == "__main__":
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else 200):
        print(*row, sep=" | ", flush=True)

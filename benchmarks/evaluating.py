"""Do the intervals of off-policy estimates cover the truth at their level, also where one thing is wrong?

`python benchmarks/evaluating.py [LOGS]`. The worlds are small, so that the truth is a sum and no estimate: three
contexts, five arms, Bernoulli rewards.
"""

import math
import sys

import numpy as np
from rich.progress import track

from seedbed.bandits import Bandit, Thompson, evaluation

MEANS = np.array([[0.1, 0.3, 0.2, 0.5, 0.4], [0.4, 0.2, 0.1, 0.3, 0.2], [0.2, 0.2, 0.3, 0.1, 0.5]])
LOGGING = np.array([[0.4, 0.3, 0.1, 0.1, 0.1], [0.1, 0.5, 0.2, 0.1, 0.1], [0.3, 0.3, 0.2, 0.15, 0.05]])
SKEWED = np.array([[0.6, 0.3, 0.06, 0.02, 0.02], [0.1, 0.5, 0.36, 0.02, 0.02], [0.3, 0.3, 0.2, 0.18, 0.02]])
TARGET = np.array([[0.1, 0.1, 0.2, 0.3, 0.3], [0.5, 0.1, 0.1, 0.2, 0.1], [0.1, 0.1, 0.2, 0.1, 0.5]])
RARE = 0.005 * np.array([[0.5, 1.0, 0.7, 1.5, 1.0], [2.0, 0.7, 0.3, 1.0, 0.5], [0.7, 0.7, 1.0, 0.5, 1.5]])
CONTEXTS, ARMS = MEANS.shape
BATCHES, TAUGHT = 5, 8  # of a Thompson log: batches, and rewards of each that a context's bandit learns from
HEAD = [
    "log", "estimator", "rows", "logs", "covered", "z", "truth below", "z", "above", "z", "mean width", "refused",
]  # fmt: skip

TEXT = """Intervals by default ("auto") at 95 %. z: by how many standard deviations a share of logs differs from what it
should be, 95 % covered and 2.5 % missed on either side. refused: share of logs whose answer was. With the propensities
or the reward model right the doubly robust intervals cover, also where the weights tell that the propensities are wrong
and the estimate is refused; with both wrong they do not. Intervals of rare rewards (ips, snips) are Fay and Feuer's,
which cover more than they promise."""


def truth(means=MEANS):
    """Value of the evaluated policy; contexts are equally likely."""
    return float((means * TARGET).sum(axis=1).mean())


def fixed_log(rng, n, means=MEANS, logging=LOGGING):
    """Contexts, arms, rewards and propensities of `n` rows under a fixed policy."""
    contexts = rng.integers(0, CONTEXTS, n)
    arms = (logging[contexts].cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1).clip(max=ARMS - 1)
    rewards = (rng.random(n) < means[contexts, arms]).astype(float)
    return contexts, arms, rewards, logging[contexts, arms]


def thompson_log(rng, n, seed, each=False):
    """The same under a Thompson bandit a context, which learns some rewards between batches.

    With `each`, every decision is one `select(propensities=True)`; else batches by `select_many`, the same draw for
    draw, whose propensities are those of the state that they share.
    """
    bandits = [Bandit(Thompson(), range(ARMS), seed=seed, replica=str(c)) for c in range(CONTEXTS)]
    contexts = rng.integers(0, CONTEXTS, n)
    arms, propensities = np.empty(n, np.int64), np.empty(n)
    rewards = np.empty(n)
    for batch in np.array_split(np.arange(n), BATCHES):
        for c, bandit in enumerate(bandits):
            rows = batch[contexts[batch] == c]
            if each:
                decisions = [bandit.select(propensities=True) for _ in rows]
                propensities[rows] = [decision.propensities[0] for decision in decisions]
                arms[rows] = [decision.arms[0] for decision in decisions]
            else:
                arms[rows] = [decision.arms[0] for decision in bandit.select_many(n=rows.size)]
                propensities[rows] = bandit.propensities()[arms[rows]]
            rewards[rows] = rng.random(rows.size) < MEANS[c, arms[rows]]
            bandit.update(arms[rows[:TAUGHT]].tolist(), rewards[rows[:TAUGHT]].tolist())
    return contexts, arms, rewards, propensities


def noisy(rng, is_normalised):
    """The logging policy of `fixed_log`, each probability wrong by a factor of its own, about exp(+-0.5)."""
    wrong = LOGGING * np.exp(rng.normal(0.0, 0.5, LOGGING.shape))
    return wrong / wrong.sum(axis=1, keepdims=True) if is_normalised else np.minimum(wrong, 1.0)


def models(rng):
    """Reward models by name, `[contexts, arms]`: the true one and three that are wrong."""
    return {
        "true": MEANS,
        "noise": rng.random(MEANS.shape),
        "constant": np.full(MEANS.shape, 0.3),
        "anti-correlated": 0.6 - MEANS,
    }


def doubly_robust(log, model, propensities=None):
    """DR and SNDR of a log."""
    contexts, arms, rewards, known = log
    given = rewards, arms, known if propensities is None else propensities, TARGET[contexts], model[contexts]
    return {"dr": evaluation.dr(*given), "sndr": evaluation.sndr(*given)}


def weighted(log, **options):
    """IPS and SNIPS of a log."""
    contexts, arms, rewards, known = log
    given = rewards, known, TARGET[contexts, arms]
    return {"ips": evaluation.ips(*given, **options), "snips": evaluation.snips(*given, **options)}


def estimates(kind, n, seed):
    """Estimates of one log of a kind, by estimator."""
    rng = np.random.default_rng([2026, list(KINDS).index(kind), seed])
    if kind == "right":
        log = fixed_log(rng, n)
        return {**weighted(log), **doubly_robust(log, MEANS)}
    if kind.startswith("model: "):
        return doubly_robust(fixed_log(rng, n), models(rng)[kind.removeprefix("model: ")])
    if kind.startswith("propensities"):
        contexts, arms, rewards, _ = fixed_log(rng, n)
        wrong = noisy(rng, kind.endswith("normalised"))[contexts, arms]
        return doubly_robust((contexts, arms, rewards, wrong), MEANS)
    if kind == "both wrong":
        contexts, arms, rewards, _ = fixed_log(rng, n)
        return doubly_robust((contexts, arms, rewards, noisy(rng, True)[contexts, arms]), 0.6 - MEANS)
    if kind == "Thompson":
        return doubly_robust(thompson_log(rng, n, seed), models(rng)["noise"])
    log = fixed_log(rng, n, RARE, SKEWED if kind == "rare, skewed" else LOGGING)
    return {**weighted(log), "dr": doubly_robust(log, RARE)["dr"]}


def covered(kind, n, logs, first=0):
    """Misses below and above, widths and refusals of each estimator, over the seeds from `first`."""
    value = truth(RARE if kind.startswith("rare") else MEANS)
    found = {}
    for seed in track(range(first, first + logs), f"{kind}, {n:,}", disable=logs < 500):
        for name, e in estimates(kind, n, seed).items():
            sums = found.setdefault(name, np.zeros(4))
            sums += value < e.lower, value > e.upper, e.upper - e.lower, not e.is_answer
    return found


def z_of(hits, share, logs):
    """How far a count is from its mean, in standard deviations."""
    return (hits - share * logs) / math.sqrt(share * (1.0 - share) * logs)


KINDS = {
    "right": "both right",
    "model: noise": "reward model: noise",
    "model: constant": "reward model: constant",
    "model: anti-correlated": "reward model: anti-correlated",
    "propensities": "propensities times exp(+-.5)",
    "propensities, normalised": "the same, renormalised",
    "Thompson": "of Thompson bandits that learn; reward model: noise",
    "both wrong": "propensities and reward model wrong",
    "rare, mild": "1 reward in 200, weights to 10",
    "rare, skewed": "1 reward in 200, weights to 25",
}


def coverage(logs=1_000):
    """Rows of the table: one a kind of log, size and estimator."""
    rows = []
    for kind, told in KINDS.items():
        for n in (10_000,) if kind.startswith("rare") else (1_000, 5_000):
            for name, (below, above, width, refused) in covered(kind, n, logs).items():
                hits = logs - below - above
                rows.append(
                    [told, name, f"{n:,}", logs, f"{hits / logs:.1%}", f"{z_of(hits, 0.95, logs):+.1f}",
                     f"{below / logs:.1%}", f"{z_of(below, 0.025, logs):+.1f}", f"{above / logs:.1%}",
                     f"{z_of(above, 0.025, logs):+.1f}", f"{width / logs:.4f}", f"{refused / logs:.0%}"]
                )  # fmt: skip
    return rows


if __name__ == "__main__":
    for row in coverage(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000):
        print(*row, sep=" | ", flush=True)

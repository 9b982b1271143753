"""Conservative exploration on a hostile instance: is the invariant kept at every step, and what does it cost?

The baseline is the best of ten arms, so all exploration loses. `python benchmarks/conserving.py [RUNS]`.

Thompson runs are compiled, of the constraint's own kernels; the first of each kind is played by `Constrained` as well,
which must choose the same arm every time.
"""

import math
import sys

import numpy as np
from rich.progress import track

from seedbed.bandits import UCB1, Bandit, Thompson
from seedbed.bandits._numba import free_kernel
from seedbed.bandits._random import base_key, fold_in, uid64, uniform
from seedbed.bandits._special import beta_logit_quantile
from seedbed.constraints import Baseline
from seedbed.constraints.baseline import find_safe, learn, meet, serve
from seedbed.constraints.constrained import Constrained

MEANS = np.array([0.5, *[0.2] * 5, *[0.0] * 4])
STEPS = 20_000
ALPHA = 0.05
UIDS = np.array([uid64(arm) for arm in range(MEANS.size)], np.uint64)
ROUNDING = 1e-6  # sums of 20,000 means are off by far less
HEAD = ["policy", "runs", "steps below the bound", "least margin", "mean regret +- standard error"]


@free_kernel
def play(
    base, world, means, uids, alpha, log_needed, is_unknown, is_bound, chosen,
    plays, counts, lower, upper, ranks, is_baseline, totals,
):  # fmt: skip
    """Thompson sampling on Beta(1, 1) under the mask of a baseline, which is arm 0; writes the arm of every step."""
    size = means.size
    everyone = np.arange(size)
    keep = np.ones(size, np.bool_)
    wins, losses = np.ones(size), np.ones(size)
    one, reward = np.zeros(1, np.int64), np.zeros(1)
    for step in range(chosen.size):
        key = fold_in(base, step)
        if is_bound:
            factor = totals[1] - (1.0 - alpha) * (totals[0] + 1.0)
            needed = -(totals[2] + factor * (totals[4] if factor < 0.0 else totals[3]))
            keep[:] = True
            if needed > 0.0:
                find_safe(everyone, uids, uids[0], lower, needed, keep)
        best, most = -1, -math.inf
        for arm in range(size):
            if keep[arm]:
                score = beta_logit_quantile(wins[arm], losses[arm], uniform(key, uids[arm], 0))
                if score > most:
                    best, most = arm, score
        chosen[step] = best
        reward[0] = 1.0 if uniform(world, np.uint64(best), int(wins[best] + losses[best]) - 2) < means[best] else 0.0
        wins[best] += reward[0]
        losses[best] += 1.0 - reward[0]
        if is_bound:
            one[0] = best
            meet(
                everyone, uids, uids[0], log_needed, is_unknown,
                plays, counts, lower, upper, ranks, is_baseline, totals,
            )  # fmt: skip
            serve(one, plays, counts, lower, upper, ranks, is_baseline, totals)
            learn(one, reward, log_needed, is_unknown, plays, counts, lower, upper, ranks, is_baseline, totals)


def compiled(seed, baseline):
    """Arms of one run, compiled."""
    rule = baseline or Baseline(0)
    chosen = np.empty(STEPS, np.int64)
    play(
        base_key(seed, "0", 0), base_key(seed, "world", 0), MEANS, UIDS, rule.alpha, -math.log(rule.delta),
        rule.mean is None, baseline is not None, chosen, *rule.init(MEANS.size),
    )  # fmt: skip
    return chosen


def through(seed, baseline, policy):
    """Arms of one run, played by `Constrained`."""
    bandit = Bandit(policy, arms=range(MEANS.size), seed=seed)
    chooser = Constrained(bandit, [baseline]) if baseline else bandit
    world, pulls, chosen = base_key(seed, "world", 0), np.zeros(MEANS.size, np.int64), np.empty(STEPS, np.int64)
    for step in range(STEPS):
        arm = chosen[step] = chooser.select(now=0.0).arms[0]
        chooser.update(arm, float(uniform(world, np.uint64(arm), int(pulls[arm])) < MEANS[arm]))
        pulls[arm] += 1
    return chosen


def rows(runs):
    """A row a policy, with and without the baseline."""
    known, unknown = Baseline(0, mean=MEANS[0], alpha=ALPHA), Baseline(0, alpha=ALPHA)
    for label, policy, baseline, count in (
        ("Thompson, baseline of unknown mean", Thompson(), unknown, runs),
        ("Thompson, baseline of known mean", Thompson(), known, runs),
        ("Thompson alone", Thompson(), None, runs),
        ("UCB1, baseline of unknown mean", UCB1(), unknown, min(runs, 5)),
        ("UCB1 alone", UCB1(), None, min(runs, 5)),
    ):
        is_compiled = isinstance(policy, Thompson)
        if is_compiled and not np.array_equal(compiled(0, baseline), through(0, baseline, policy)):
            raise SystemExit(f"{label}: the compiled run is not that of Constrained")
        margins, below, regrets = [], 0, []
        for seed in track(range(count), label):
            earned = MEANS[compiled(seed, baseline) if is_compiled else through(seed, baseline, policy)]
            margin = earned.cumsum() - (1 - ALPHA) * MEANS[0] * np.arange(1, STEPS + 1)
            margins.append(margin.min())
            below += int((margin < -ROUNDING).sum())
            regrets.append(MEANS[0] * STEPS - earned.sum())
        error = np.std(regrets, ddof=1) / math.sqrt(count) if count > 1 else math.nan
        share = f"{below:,} of {count * STEPS:,}"
        yield [label, count, share, f"{min(margins):.3f}", f"{np.mean(regrets):.1f} +- {error:.1f}"]


if __name__ == "__main__":
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else 200):
        print(*row, sep=" | ", flush=True)

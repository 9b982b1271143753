"""Fail when a path that every request takes has become slow: ours against reference loops in the same process.

The limit is about 1.5 x what was measured. A ratio above it is measured again, twice at most, before it counts.
"""

import sys
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from contextual import bare, contexts, trained
from learning import each
from measuring import Clock, Job
from references import BareBandit, bare_ucb, events, evidence, warm_bandit
from selecting import numpy_beta

from seedbed.bandits import UCB1, Bandit, LinUCB, Thompson

ATTEMPTS = 3
REPEATS = 400
ARMS = 1_000
SINGLE, BATCH = 2_000, 100_000


class Path(NamedTuple):
    """What one call does, how many events it has, and how much slower than the reference it may be."""

    name: str
    events: int
    ours: Job
    reference: Job
    limit: float


def paths() -> Iterator[Path]:
    """Each path, made when it is its turn."""
    ids = [f"arm-{i}" for i in range(ARMS)]
    bandit, bare_bandit = Bandit(Thompson(), ids), BareBandit(ids)
    rows, rewards = events(ARMS, SINGLE)
    names, values = [ids[row] for row in rows], rewards.tolist()
    yield Path(
        "single update", SINGLE, each(bandit.update, names, values), each(bare_bandit.update, names, values), 1.5
    )
    rows, rewards = events(ARMS, BATCH)
    handles = bandit.rows(ids)[rows]
    yield Path(
        "batch update",
        BATCH,
        partial(bandit.update_rows, handles, rewards),
        partial(bare_bandit.update_rows, rows, rewards),
        1.5,
    )
    yield Path("Thompson, 1,000 arms, warm", 1, warm_bandit(Thompson(), ARMS).select, numpy_beta(ARMS, "warm"), 0.4)
    yield Path("UCB1, 10,000 arms", 1, warm_bandit(UCB1(), 10_000).select, ucb_loop(10_000), 3.3)
    linear = trained(LinUCB(n_features=32))
    yield Path("LinUCB, d = 32, 100 arms", 1, partial(linear.select, context=contexts(1)[0]), bare(), 3.3)


def ucb_loop(arms: int) -> Job:
    """UCB1 as one bare loop over means and widths at hand."""
    successes, failures = evidence(arms)
    n = successes + failures
    return partial(bare_ucb, successes / n, 1.0 / np.sqrt(n), np.sqrt(2.0 * np.log(n.sum())), np.empty(arms))


def main() -> int:
    """Measure every path; return 1 if one is too slow."""
    clock, failed = Clock(REPEATS), False
    for path in paths():
        for attempt in range(1, ATTEMPTS + 1):
            ours, reference = clock.times(path.ours, path.reference)
            ratio = ours / reference
            each_event = f"{ours / path.events * 1e9:,.1f} ns each"
            print(f"{path.name}: {ratio:.2f} x the reference (limit {path.limit}), {each_event}")
            if ratio <= path.limit:
                break
            if attempt == ATTEMPTS:
                failed = True
                print(f"{path.name} is too slow", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

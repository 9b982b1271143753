"""What constraints add to a decision: 1,000 candidates, Thompson sampling, beside the bandit alone in the same run."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from measuring import ATTEMPTS, Clock, Job, Result, judge, result

from seedbed.bandits import Bandit, Beta, Thompson
from seedbed.constraints import (
    Budget,
    Cap,
    Constrained,
    DualPrice,
    Eligibility,
    FairShare,
    Floor,
    Guardrail,
    Rule,
    Slate,
)

ARMS = 1_000
ADDED = 30e-6  # seconds that masks, budgets, prices and floors may add

NEWCOMERS = Rule(reason="NEW_VIEWER", viewer={"is_new": True}, arm={"category": "c3"})
CHAINS: dict[str, list[Any]] = {
    "no constraint": [],
    "a rule over viewer and arm": [Eligibility(rules=(NEWCOMERS,))],
    "a budget": [Budget("exposures", limit=10**12, window=60.0)],
    "a budget for each of 300 creators": [Budget("exposures", limit=10**12, window=60.0, by="creator")],
    "a dual price": [DualPrice("money", limit=100.0, decisions=10**6, cost="price")],
    "a floor": [Floor(1e-5)],
    "a guardrail": [Guardrail("negative", limit=0.02)],
    "fair shares": [FairShare(1e-4)],
}
WHOLE = [
    Eligibility(rules=(NEWCOMERS,)),
    Budget("exposures", limit=10**12, window=60.0),
    DualPrice("money", limit=100.0, decisions=10**6, cost="price"),
    Floor(1e-5),
]


def bandit(arms: int = ARMS) -> Bandit:
    """A bandit with about 1,000 observations an arm."""
    rng = np.random.Generator(np.random.PCG64(1))
    trained = Bandit(Thompson(model=Beta()), arms=range(arms), seed=3)
    events = rng.integers(0, arms, 1_000 * arms)
    rewards = (rng.random(events.size) < rng.random(arms)[events] * 0.3).astype(float)
    trained.update(events, rewards)
    return trained


def constrained(constraints: list[Any], arms: int = ARMS) -> Constrained:
    """The same under constraints, with the attributes that they read."""
    rng = np.random.Generator(np.random.PCG64(2))
    ranker = Constrained(bandit(arms), constraints)
    categories, creators = [f"c{i % 20}" for i in range(arms)], [f"u{i % 300}" for i in range(arms)]
    ranker.describe(range(arms), price=rng.random(arms), category=categories, creator=creators)
    return ranker


def serving(ranker: Constrained, k: int = 1) -> Job:
    """Serve a viewer of whom all is known."""
    viewer = {"id": "v1", "is_new": False}
    return lambda: ranker.select(k=k, now=1.0, viewer=viewer)


def added(clock: Clock, plain: Job) -> Result:
    """What masks, a budget, a price and a floor add together."""
    ours, best, most = serving(constrained(WHOLE)), float("inf"), 0.0
    for _ in range(3 * ATTEMPTS):  # a difference is noisier than a ratio
        whole, bare = clock.times(ours, plain)
        if whole - bare < best:
            best, most = whole - bare, bare
        if judge(best, most, None, ADDED):
            break
    return result("added by a rule, a budget, a price and a floor", best, "Bandit.select", most, seconds=ADDED)


def constraining(clock: Clock) -> Iterator[Result]:
    """Each kind alone, then together; slates and caps, which need more."""
    alone = bandit()
    plain: Job = lambda: alone.select(now=1.0)  # noqa: E731
    for name, constraints in CHAINS.items():
        yield clock.compare(
            f"select under {name}, 1,000 arms", None, serving(constrained(constraints)), "Bandit.select", plain
        )
    yield added(clock, plain)
    ten: Job = lambda: alone.select(k=10, now=1.0)  # noqa: E731
    slate = serving(constrained([Slate(by="category", lower={"c1": 1}, upper=2)]), k=10)
    yield clock.compare("slate of 10 of 1,000 under bounds of 20 groups", None, slate, "Bandit.select", ten)
    few = bandit(100)
    exact: Job = lambda: few.select(now=1.0, propensities=True)  # noqa: E731
    cap = serving(constrained([Cap(0.2)], 100))
    yield clock.compare("select under a cap, 100 arms", None, cap, "Bandit.select with propensities", exact)


SUBJECT = (constraining,)

"""From a decision to its reward and to the next policy's value: tokens, attribution, the decision log, evaluation.

A service shows one of five rooms. A signed token travels with the exposure; viewers who come back with it have touched
the room. Orders follow, some of them sent twice; the last touch earns them. Everything stands in a decision log, from
which alone it is read what another policy would have earned. The bandit learns at the end of the day: on the log of one
that learns meanwhile, intervals would be too short.
"""

from tempfile import TemporaryDirectory

import numpy as np

from seedbed.bandits import Bandit, Thompson, evaluation
from seedbed.bandits.attribution import Attribution, AttributionConfig, Tally, Tokens, decision_names
from seedbed.storage import DecisionLog, DecisionReader, Logged, verify

HOUR = 3_600.0
RATES = {"room-1": 0.05, "room-2": 0.10, "room-3": 0.15, "room-4": 0.20, "room-5": 0.30}
EXPOSURES = 4_000


def main() -> None:
    """Serve a day, attribute, learn, evaluate, verify."""
    rng = np.random.default_rng(7)
    tokens = Tokens({"2026-11": b"a secret of 16 bytes or more"}, current="2026-11")
    # orders of an hour come together, in any order: what is later than `lateness` would go out as corrections
    attribution = Attribution(AttributionConfig(windows={"order": 24 * HOUR}, lateness=3 * HOUR, passes=(HOUR,)))
    tally = Tally()
    with TemporaryDirectory() as path, DecisionLog(path) as log:
        bandit = Bandit(Thompson(), RATES, seed=7, replica="eu-1")
        bandit.update(list(RATES), [0.0, 0.1, 0.1, 0.3, 0.3], weight=10.0)  # what is known from yesterday
        ranker, day = Logged(bandit, log), []
        for hour in range(8):
            served = [serve(ranker, tokens, hour, i) for i in range(EXPOSURES // 8)]
            credits = come_back(attribution, tokens, served, rng, hour)
            tally.apply(credits)
            tally.apply(credits)  # delivered twice, applied once
            day.append((served, credits))
        tally.apply(attribution.settle(now=40 * HOUR))
        for served, credits in day:
            tell(ranker, served, credits)
        counts = attribution.counts
        print(f"orders: {counts['conversions']}, of which duplicates {counts['duplicates']}")
        print("tokens:", tokens.counts)
        shares = tally.batch(list(RATES))
        print("orders earned:", dict(zip(shares.arms, shares.gained.round().astype(int).tolist(), strict=True)))
        evaluate(path)
        found = verify(path)
        print(f"decided again: {found.decisions} decisions, difference: {found.difference}")


def serve(ranker: Logged, tokens: Tokens, hour: int, i: int):
    """Choose a room; the token goes out with the exposure."""
    now = hour * HOUR + i
    decision = ranker.select(now=now, propensities=True)
    return decision, tokens.sign(decision.decision_id, decision.arms[0], at=now, expires=now + 24 * HOUR)


def come_back(attribution: Attribution, tokens: Tokens, served, rng, hour: int):
    """Viewers come back with their tokens, some forged; some order, now and then twice."""
    viewers = [f"viewer-{hour}-{i}" for i in range(len(served))]
    brought = [token if rng.random() > 0.01 else token[:-4] + "AAAA" for _, token in served]
    claims = tokens.read_many(brought, now=(hour + 1) * HOUR)
    true = np.flatnonzero(claims.accepted)
    attribution.touch(
        [viewers[i] for i in true], [claims.arms[i] for i in true], claims.at[true], claims.decisions[true]
    )
    ordering = [i for i, (decision, _) in enumerate(served) if rng.random() < RATES[decision.arms[0]]]
    ordering += ordering[:3]  # sent again
    return attribution.convert(
        [f"order-{viewers[i]}" for i in ordering],
        [viewers[i] for i in ordering],
        [served[i][0].arms[0] for i in ordering],
        [hour * HOUR + i + rng.exponential(600.0) for i in ordering],
        "order",
    )


def tell(ranker: Logged, served, credits) -> None:
    """Learn what each decision of the hour has earned: its share of an order, or nothing."""
    names = decision_names([decision.decision_id for decision, _ in served])
    earned = dict(zip(credits.decision.tolist(), credits.share.tolist(), strict=True))
    rewards = [earned.get(name, 0.0) for name in names.tolist()]
    decisions = [decision for decision, _ in served]
    ranker.update([decision.arms[0] for decision in decisions], rewards, decision=decisions)


def evaluate(path: str) -> None:
    """Ask what showing every room as often would have earned, and room 5 four times in five."""
    columns = DecisionReader(path).columns()
    arms = list(RATES)
    action = np.array([arms.index(arm) for arm in columns["arm"]])
    rewards, propensities = columns["reward"], columns["propensity"]
    expected = evaluation.arm_means(action, rewards, len(arms))
    for name, chances in (("uniform", [0.2] * 5), ("room 5 at 80 %", [0.05] * 4 + [0.8])):
        target = np.tile(chances, (action.size, 1))
        estimate = evaluation.dr(rewards, action, propensities, target, expected, clip=50.0)
        truth = float(np.dot(chances, list(RATES.values())))
        said = f"{estimate.value:.3f} ({estimate.lower:.3f} to {estimate.upper:.3f}), in truth {truth:.3f}"
        print(f"{name}: {said}; {estimate.refusal or 'the log carries the answer'}")


if __name__ == "__main__":
    main()

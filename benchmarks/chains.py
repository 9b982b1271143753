"""Bandits under constraints of every kind, with a past: what is served, told, given back; arms come and gone."""

from collections.abc import Callable
from typing import Any

from seedbed.bandits import Bandit, Beta, Gaussian, Linear, LinUCB, Thompson
from seedbed.constraints import (
    Baseline,
    Between,
    BoundedMean,
    Budget,
    Cap,
    Concentration,
    Constrained,
    Demotion,
    DualPrice,
    Eligibility,
    EpsilonConstraint,
    ExploreSlots,
    FairShare,
    Floor,
    FrequencyCap,
    Guardrail,
    HeadCap,
    Knapsack,
    LowQuality,
    Objective,
    Proportion,
    Protected,
    Rate,
    Rule,
    Slate,
    Value,
)
from seedbed.constraints.base import Constraint

IDS = ["a", 1, "1", "gone", "p", "b"]
METRICS = {"negative": 0.0, "low": 1.0, "follow": 0.5, "comments": 2.0, "minutes": 3.0, "watched": 0.75}


def of_slates() -> list[Constraint]:
    """Every kind but the two that decide by a mixture or by ranks of their own."""
    rate = Rate(limit=0.5, exposure="minutes")
    rules = (
        Rule(reason="ADULT", viewer={"age": Between(high=17)}, arm={"topic": ("news", "chat")}, unknown_arm="differs"),
    )
    return [
        Concentration(by="topic"),
        Value("price"),
        Eligibility(reasons=("BLOCKED", "ASLEEP"), opens="opens", closes="closes", stock="stock", rules=rules),
        FrequencyCap(3, 600.0, max_entries=16),
        Protected("negative", limit=0.3, viewer={"is_new": True}, unknown_viewer="differs"),
        Guardrail(("negative", "comments"), evidence=(Proportion(limit=0.4), rate)),
        Guardrail("watched", evidence=BoundedMean(limit=0.7), action="pause"),
        Baseline("a", alpha=0.97),
        Budget("exposures", limit=100, window=300.0, curve=(0.5, 1.0)),
        Budget("money", limit=40, by="creator", cost="price", per="feedback", expiry=100.0),
        Budget("calls", limit=9, by="arm", rate=0.1, per="reward", expired="released"),
        Budget("leased", limit=500, window=3600.0, leased=True),
        Floor(0.02),
        FairShare(0.05, tolerance=2.0),
        Slate(by="topic", upper=3),
        ExploreSlots(most=2, below=4, min_position=1),
        EpsilonConstraint("follow", at_least=0.1),
        DualPrice("money", limit=100, decisions=50, window=300.0, per="feedback"),
        LowQuality(metric="low", share=0.3),
        Demotion("negative", limit=0.3),
        HeadCap(2.0, window=600.0),
    ]  # fmt: skip


def described(bandit: Bandit, constraints: list[Constraint]) -> Constrained:
    """A bandit under constraints, its arms described."""
    constrained = Constrained(bandit, constraints)
    topics, creators = ["news", "chat", "music", "news", "chat", "music"], ["x", "y", "x", "z", "y", "\u00e9"]
    constrained.describe(IDS, topic=topics, creator=creators, price=[1.0, 2.0, 3.0, 1.0, 2.0, 1.5], low=0.25)
    constrained.describe(["p"], stock=2, opens=30.0, closes=1e6)
    return constrained


def lived(constrained: Constrained, k: int = 2, **options: Any) -> Constrained:
    """After a while: served, told, given back; one arm retired, one added, one blocked, one paused."""
    known = constrained._chain.metrics_read
    resources = constrained._chain.resources_read
    if any(isinstance(each, Budget) and each.leased for each in constrained.constraints):
        constrained.grant("leased", 30, now=0.0)
    for i in range(12):
        now = 10.0 * i
        viewer = {"id": ("ann", 7, None)[i % 3], "is_new": i % 4 == 0, "age": 15 + i}
        decision = constrained.select(k=k, now=now, viewer=viewer, pending=i % 3 == 0, **options)
        if i in (5, 11) or not decision.arms:
            continue  # nothing comes back
        told = {name: value for name, value in METRICS.items() if name in known}
        told |= {name: 1.0 for name in ("negative",) if name in known and i == 7}
        costs = {name: 0.5 + 0.1 * i for name in resources}
        constrained.update(
            decision.arms[:1], [float(i % 2)], at=now + 5.0, cost=costs or None, metrics=told or None,
            decision=decision, **{name: [context] for name, context in options.items()},
        )  # fmt: skip
        if i == 3:
            constrained.refund(decision)
        if i == 9 and "negative" in known:
            harms = {name: 1.0 for name in ("negative", "watched") if name in known}
            constrained.update(["b"] * 12, [0.0] * 12, at=now, metrics=harms)
        if i == 6:
            constrained.retire_arms(["gone"])
            constrained.add_arms(["new"], topic="chat", creator="w", price=1.0, low=0.0)
            constrained.pause_arms(["p"])
    if any(isinstance(each, Eligibility) for each in constrained.constraints):
        constrained.block(["1"], "BLOCKED")
    return constrained


def _chain(constraints: list[Constraint], model: Any = None, **options: Any) -> Constrained:
    return lived(
        described(Bandit(Thompson(model=model or Beta()), IDS, seed=7, replica="eu-3"), constraints), **options
    )


def rich() -> Constrained:
    """A slate under all that goes together."""
    return _chain(of_slates(), Beta(half_life=600.0))


CHAINS: dict[str, Callable[[], Constrained]] = {
    "slates": rich,
    "capped": lambda: _chain([Cap(0.5, max_candidates=2, refresh=5), Cap({"news": 0.4}, by="topic"),
                              Floor({"chat": 0.2}, by="topic"),
                              FairShare({"news": 0.1}, by="topic"), HeadCap(0.4, of="share")]),
    "stock": lambda: _chain([Knapsack({"units": 20}, decisions=40, value="price"), Eligibility()], k=1),
    "stocks": lambda: _chain([Knapsack({"units": 20, "money": 30}, decisions=40, costs={"money": {"topic": "news"}},
                                       per="exposure", value="price")], k=1),
    "objectives": lambda: _chain([Objective({"reward": 1.0, "follow": 0.5, "negative": 0.2}, minimise=("negative",),
                                            by="topic"),
                                  EpsilonConstraint("reward", at_most=0.9, percentile=True)]),
    "prices": lambda: _chain([DualPrice("share", rate=0.3, cost={"topic": ("news", "chat")}, sense="at_least"),
                              DualPrice("sales", limit=9, decisions=20, cost="price", per="reward"),
                              LowQuality(attribute="low"), Baseline("a", mean=0.4, alpha=0.9)]),
    "budgets": lambda: _chain([Budget("exposures", limit=5, rate=0.5, by="topic", per="reward", expired="released"),
                               Budget("money", limit=30, by="arm", window=50.0, per="feedback", cost=2.0),
                               FrequencyCap(2, by="creator", max_entries=4)]),
    "linear": lambda: lived(described(Bandit(LinUCB(model=Linear(n_features=2)), IDS), [Floor(0.1), Budget(limit=50)]),
                            context=[1.0, 0.5]),
    "gaussian": lambda: _chain([Slate(by="topic", lower=1, upper=2), DualPrice("money", limit=9, decisions=9,
                                per="feedback", prior=(1.0, 2.0))], Gaussian()),
    "no arms": lambda: Constrained(Bandit(Thompson()), of_slates()),
    "nothing": lambda: Constrained(Bandit(Thompson(), ["a"])),
}  # fmt: skip

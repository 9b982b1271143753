"""Run a configuration once, on made-up arms, so that all its kernels are compiled and cached."""

import time
from typing import Any

import numpy as np


def warm_up(config: object) -> float:
    """Use everything that the configuration offers once; see `seedbed.warmup`."""
    from .allocators import ColdStartConfig
    from .bandits.attribution import AttributionConfig
    from .bandits.policies._base import Policy
    from .constraints import Constrained

    start = time.perf_counter()
    if isinstance(config, ColdStartConfig):
        _use_allocator(config)
    elif isinstance(config, AttributionConfig):
        _use_attribution(config)
    elif isinstance(config, Policy):
        _use_bandit(config)
    elif isinstance(config, Constrained):
        _use_bandit(config.bandit.policy)
        _use_constrained(config)
    else:
        raise ValueError(
            f"config = {config!r:.80} is neither a policy, such as Thompson(), nor a ColdStartConfig, an "
            "AttributionConfig or a Constrained"
        )
    return time.perf_counter() - start


def _use_bandit(policy: Any) -> None:
    """Call every method of a bandit once, on a few made-up arms."""
    from .bandits import Bandit, ChangeDetector
    from .bandits._table import BELIEF

    model = policy.model
    detectors: list[ChangeDetector | None] = [None]
    if model.kind == "beta" and model.window is None:
        detectors.append(ChangeDetector(window=2))
    for detector in detectors:
        bandit = Bandit(policy, range(4), change_detector=detector)
        one: dict[str, Any] = {"context": np.full(model.width, 0.5)} if model.is_contextual else {}
        two: dict[str, Any] = {"context": np.full((2, model.width), 0.5)} if model.is_contextual else {}
        event = {**one, **({"propensity": 0.5} if policy.needs_propensity else {})}
        batch = {**two, **({"propensity": 0.5} if policy.needs_propensity else {})}
        bandit.update(0, 1.0, **event)
        bandit.update([0, 1], [1.0, 0.0], **batch)
        bandit.update([0, 1], [1.0, 0.0], at=[0.0, 60.0], **batch)
        bandit.select(**one, pending=True)
        bandit.expire(0.0)
        bandit.select([0, 1], k=2, **two)
        bandit.select_rows(bandit.rows([0, 1]), **two)
        bandit.mean(**one)
        bandit.scores(**one)
        if not _has_no_propensities(policy):
            bandit.propensities(**one)
            bandit.propensities([0, 1], k=2, **two)
        bandit.select_many(**({"contexts": [one["context"]] * 2} if one else {"n": 2}))
        if not model.is_contextual and policy.terms == BELIEF:
            bandit.warm_start([2], strength=1.0)
        bandit.add_arms(range(4, 40))
        bandit.retire_arms([3])
        Bandit.from_bytes(bandit.to_bytes()).uids(bandit.rows([0]))
        if model.half_life is not None:
            bandit.update(0, 1.0, at=1_000.0 * model.half_life, **event)


def _use_constrained(ranker: Any) -> None:
    """Let a copy serve its arms, one and two at a time, and learn what came back."""
    from copy import deepcopy

    from .constraints.drawing import choose

    twin = deepcopy(ranker)
    model = twin.bandit.policy.model
    context = {"context": np.full(model.width, 0.5)} if model.is_contextual else {}
    costs, metrics = dict.fromkeys(twin._chain.resources_read, 0.0), dict.fromkeys(twin._chain.metrics_read, 0.0)
    now = 0.0 if twin.bandit._now is None else twin.bandit._now
    for k in (1, min(2, len(twin)), 1) if len(twin) else ():
        try:
            decision = twin.select(k=k, now=now, viewer={"id": "warm-up"}, **context)
        except ValueError:  # of a mixture, for one arm alone; or what is not described yet
            continue
        event = {**context, **({"propensity": 0.5} if twin.bandit.policy.needs_propensity else {})}
        for arm in decision.arms:
            twin.update(arm, 0.0, cost=costs or None, metrics=metrics or None, decision=decision, **event)
            twin.update([arm], [0.0], cost=costs or None, metrics=metrics or None, **event)
        twin.refund(decision)
    if twin._chain.mixes or twin._chain.has_shares:  # whom they draw is a matter of chance
        for k in (1, 2):
            choose(0, np.arange(3, dtype=np.uint64), np.full(3, k / 3.0), k)
    twin.report()
    type(twin).from_bytes(twin.to_bytes(), constraints=twin.constraints)


def _has_no_propensities(policy: Any) -> bool:
    """Whether the draws of the model move together."""
    return policy.draws and policy.model.kind in ("shared_linear", "hybrid_linear")


def _use_allocator(config: Any) -> None:
    """Run a made-up room through two ticks."""
    from .allocators import ColdStartAllocator
    from .allocators.cold_start import Atoms, BucketRules, Gate, Rules

    allocator = ColdStartAllocator(config)
    allocator.open(["room", "other"], now=0.0)
    allocator.tick(now=0.0, exposures=100)
    allocator.observe(["room"], at=1.0, exposures=[50], retained=[20], negative=[1])
    gate = Gate(metric="retained", bar=0.3, population=Atoms(support=(0.2, 0.4), weights=(0.5, 0.5)))
    allocator.use_rules(Rules(version="warm-up", buckets=(BucketRules(name="", gates=(gate,)),)))
    allocator.tick(now=config.tick_seconds, exposures=100)
    ColdStartAllocator.from_bytes(allocator.to_bytes())
    allocator.close(["room"], now=config.tick_seconds)


def _use_attribution(config: Any) -> None:
    """Attribute, correct and count a few made-up orders; capacities make no difference to what is compiled."""
    from .bandits.attribution import Attribution, Rule, RuleSet, Tally

    kind, window = next(iter(config.windows.items()))
    small = config.model_copy(
        update={
            **{name: 8 for name in ("touches", "conversions", "orders")},
            **{"passes": (window,), "credits": None, "longest_path": 4},
        }
    )
    attribution, tally = Attribution(small, [RuleSet(version="warm-up", rules=(Rule(model="linear"),))]), Tally(8)
    for at in (0.0, window / 2.0, -window / 4.0):  # the last comes late
        attribution.touch([1, 2], [3, 4], at, [5, 6])
    tally.apply(attribution.convert([7, 7], [1, 1], [3, 3], window, kind, segments=[1, 2]))
    tally.apply(attribution.settle(now=4.0 * window))
    tally.counts()
    Attribution.from_bytes(attribution.to_bytes()).touch(list(range(40)), list(range(40)), 0.0, list(range(40)))
    Tally.from_bytes(tally.to_bytes())

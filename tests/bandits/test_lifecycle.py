"""Arms come, wait, are paused, go: the derived numbers follow, and a resumed twin is the same for ever."""

import numpy as np
import pytest
from checks import vars_of

from seedbed.bandits import EXP3, KLUCB, UCB1, Bandit, BayesUCB, Beta, EpsilonGreedy, LinUCB, Thompson
from seedbed.bandits import ChangeDetector as Detector
from seedbed.bandits._table import BELIEF
from seedbed.bandits.errors import StaleRowsError, UnknownArmError
from seedbed.bandits.models import GammaPoisson, Gaussian, HybridLinear, Linear, SharedLinear

POLICIES = [
    Thompson(),
    Thompson(model=Gaussian(half_life=40.0)),
    Thompson(model=Beta(window=150)),
    Thompson(sampler="gamma", model=GammaPoisson(half_life=5.0)),
    UCB1(),
    UCB1(model=Beta(half_life=3.0)),
    KLUCB(model=Beta(window=90)),
    BayesUCB(),
    EpsilonGreedy(model=Gaussian()),
    EXP3(),
    Thompson(model=Linear(n_features=2, half_life=5.0)),
    LinUCB(model=SharedLinear(n_features=2, half_life=5.0)),
    LinUCB(model=HybridLinear(n_features=2, n_shared=1)),
]
each_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda p: f"{p.kind}-{p.model.kind}")
COUNTS = [p for p in POLICIES if not p.model.is_contextual]


def rng_of(seed):
    return np.random.Generator(np.random.PCG64(seed))


class Life:
    """Random things that happen to one or several bandits alike."""

    def __init__(self, policy, seed):
        self.policy, self.rng, self.now, self.names = policy, rng_of(seed), 0.0, 0

    def context(self, count):
        return self.rng.normal(size=(count, self.policy.model.width)) if self.policy.model.is_contextual else None

    def events(self, bandit, count):
        rng, live = self.rng, bandit.arms
        ids = [live[i] for i in rng.integers(0, len(live), count)]
        learning = {"propensity": 0.25} if self.policy.needs_propensity else {}
        contexts = self.context(count)
        if contexts is not None:
            learning["context"] = contexts
        at = (bandit._now or 0.0) + 4.0 - float(rng.exponential(5.0))
        # eighths, which no window rounds
        return ids, rng.integers(0, 9, count) / 8, {"weight": float(rng.integers(1, 9)) / 4, "at": at, **learning}

    def step(self, *bandits):
        first, rng = bandits[0], self.rng
        self.now += float(rng.exponential(1.0))
        turn, live, paused = int(rng.integers(12)), first.arms, first.paused
        some = [live[i] for i in rng.choice(len(live), min(3, len(live)), replace=False)]
        if turn < 4:
            calls = [("update", *self.events(first, int(rng.integers(1, 9))))]
        elif turn < 6:
            (arm, *_), (reward, *_), keywords = self.events(first, 1)
            if "context" in keywords:
                keywords["context"] = keywords["context"][0]
            calls = [("update", arm, float(reward), keywords)]
        elif turn == 6:
            count = int(rng.choice([1, 3, 40]))
            calls = [("add_arms", [f"n{self.names + i}" for i in range(count)], {})]
            self.names += count
        elif turn == 7 and len(live) > 20:
            calls = [("retire_arms", live[-1:] if rng.random() < 0.5 else some, {})]
        elif turn == 8:
            calls = [("pause_arms", some, {})]
        elif turn == 9 and paused:
            calls = [("resume_arms", paused, {})]
        elif turn == 10:
            calls = [("expire", self.now, {"horizon": 2.0})]
        else:
            context = self.context(1)
            keywords = {} if context is None else {"context": context[0]}
            calls = [("select", None, 1, {"now": self.now, "pending": True, **keywords})]
        results = []
        for bandit in bandits:
            for name, *positional, keywords in calls:
                result = getattr(bandit, name)(*positional, **keywords)
                results.append(vars_of(result) if name == "select" else result)
        assert all(result == results[0] for result in results)
        reads_prior = not self.policy.model.is_contextual and self.policy.terms == BELIEF
        if reads_prior and turn == 11 and rng.random() < 0.3:
            for bandit in bandits:
                if bandit.updates > 20:
                    bandit.warm_start(some, strength=3.0)


def decisions(bandit, contexts):
    """What is chosen from all arms, and from all arms by name."""
    keywords = {} if contexts is None else {"context": contexts}
    k = len(bandit) - len(bandit.paused)
    every = bandit.select(k=k, **keywords) if k else bandit.select(**keywords)
    named = bandit.select(bandit.arms, k=max(k, 1), **keywords)
    return vars_of(every)[2:4], vars_of(named)[2:4]


@each_policy
def test_derived_numbers_never_miss_a_change(policy):
    """After anything that happens, decisions are those of a bandit that derives everything anew."""
    life, bandit = Life(policy, seed=4), Bandit(policy, range(62), seed=9)
    for _ in range(90):
        for _ in range(int(life.rng.integers(1, 4))):
            life.step(bandit)
        contexts, anew = life.context(len(bandit)), Bandit.from_bytes(bandit.to_bytes())
        assert decisions(bandit, contexts) == decisions(anew, contexts)


@each_policy
def test_a_resumed_twin_decides_the_same_for_ever(policy):
    life, bandit = Life(policy, seed=6), Bandit(policy, range(30), seed=9)
    for _ in range(100):
        life.step(bandit)
    twin = Bandit.from_bytes(bandit.to_bytes())
    for _ in range(200):
        life.step(bandit, twin)
    assert twin.to_bytes() == bandit.to_bytes()


def test_a_twin_with_a_change_detector_notices_the_same():
    rng = rng_of(3)
    bandit = Bandit(Thompson(), range(3), change_detector=Detector(bucket=1.0, window=30))
    twin = Bandit.from_bytes(bandit.to_bytes())
    for t in range(120):
        twin = Bandit.from_bytes(bandit.to_bytes()) if t == 50 else twin
        arms = rng.integers(0, 3, 30).tolist()
        rewards = (rng.random(30) < (0.1 if t % 60 < 30 else 0.7)).astype(float)
        for each in (bandit, twin):
            each.update(arms, rewards, at=float(t))
    assert len(bandit.changes) >= 6
    assert twin.changes == bandit.changes
    assert twin.to_bytes() == bandit.to_bytes()


@pytest.mark.parametrize("count", [63, 64, 65, 128, 129, 1_000])
def test_the_total_of_ucb_is_that_of_the_live_arms_after_growth_and_retirement(count):
    bandit = Bandit(UCB1(), range(count))
    bandit.update(bandit.arms, [0.5] * count, weight=np.arange(1.0, count + 1))
    bandit.select()
    for gone in (count - 1, count - 2):
        bandit.retire_arms([gone])
        every, named = bandit.select(k=5), bandit.select(bandit.arms, k=5)
        assert (every.arms, every.scores) == (named.arms, named.scores)


@pytest.mark.parametrize("policy", POLICIES[:11], ids=lambda p: f"{p.kind}-{p.model.kind}")
def test_a_writer_that_comes_late_to_a_table_that_moved_writes_on_the_new_one(policy):
    bandit, late = Bandit(policy, ["a"]), Bandit(policy, ["a"])
    event = {"context": [1.0, 0.5]} if policy.model.is_contextual else {}
    learning = {**event, "propensity": 0.5} if policy.needs_propensity else event
    seen = late._state
    late.add_arms(range(100))
    grown, lock = late._state, late._lock

    class Publishing:  # by the time that it is taken, the growth has been published
        def __enter__(self):
            late._state, late._table = grown, grown.table
            lock.acquire()

        def __exit__(self, *error):
            lock.release()

    late._state, late._table, late._lock = seen, seen.table, Publishing()
    [each.update("a", 1.0, **learning) for each in (bandit, late)]
    assert late.updates == 1
    assert late.mean(["a"], **event).tolist() == bandit.mean(**event).tolist()


def test_warm_start_takes_mean_of_all_others_of_a_group_or_of_named_arms():
    """Evidence a 3 of 4, b 1 of 4: all 4 / 8, group (a) 3 / 4; strength 8 gives (4, 4) and (6, 2)."""
    bandit = Bandit(Thompson(), ["a", "b", "new", "newer", "own"])
    bandit.update(["a", "a", "a", "a", "b", "b", "b", "b"], [1, 1, 1, 0, 0, 0, 0, 1])
    bandit.warm_start(["new"], strength=8.0)
    bandit.warm_start(["newer"], strength=8.0, source=["a"])
    bandit.update("own", 1.0)
    bandit.warm_start(["own"], strength=8.0, source=["a", "b"])
    beliefs = bandit._model.beliefs(bandit._state, bandit.rows(["new", "newer", "own"]))
    assert beliefs[:2].tolist() == [[4.0, 6.0, 5.0], [4.0, 2.0, 4.0]]


@pytest.mark.parametrize("model", [Beta(), Gaussian(), GammaPoisson()])
@pytest.mark.parametrize("strength", [1e-6, 1.0, 1e8, 1e12])
def test_a_warm_start_of_any_strength_can_be_saved(model, strength):
    bandit = Bandit(Thompson(model=model), ["a", "b"])
    bandit.update("a", 1e6 if model.kind == "gaussian" else 1.0)
    bandit.warm_start(["b"], strength=strength)
    assert Bandit.from_bytes(bandit.to_bytes()).mean().tolist() == bandit.mean().tolist()


def test_a_warm_start_beyond_float64_is_refused():
    bandit = Bandit(Thompson(model=GammaPoisson()), ["a", "b"])
    bandit.update("a", 1e6)
    before = bandit.to_bytes()
    with pytest.raises(ValueError, match="out of range; nothing was changed"):
        bandit.warm_start(["b"], strength=1e8)  # 1e14 prior events
    assert bandit.to_bytes() == before


def test_rules_that_read_the_evidence_only_refuse_a_warm_start():
    bandit = Bandit(UCB1(), ["a", "b"])
    bandit.update("a", 1.0)
    with pytest.raises(ValueError, match="a prior would change nothing"):
        bandit.warm_start(["b"], strength=1.0)


def test_a_failed_warm_start_changes_nothing():
    bandit = Bandit(Thompson(), ["a", "b", "c"])
    bandit.update("a", 1.0)
    before = bandit.to_bytes()
    for ids, keywords in (
        (["x"], {"strength": 1.0}),
        (["b", "b"], {"strength": 1.0}),
        (["b"], {"strength": 0.0}),
        (["b"], {"strength": float("nan")}),
        (["b"], {"strength": 2e12}),
        (["b"], {"strength": 1.0, "source": ["c"]}),
        (["b"], {"strength": 1.0, "source": []}),
        (["b"], {"strength": 1.0, "source": ["x"]}),
        (["a"], {"strength": 1.0}),
    ):
        with pytest.raises((ValueError, KeyError)):
            bandit.warm_start(ids, **keywords)
        assert bandit.to_bytes() == before
    with pytest.raises(ValueError, match="SharedLinear"):
        Bandit(LinUCB(model=Linear(n_features=2)), ["a", "b"]).warm_start(["b"], strength=1.0)


@pytest.mark.parametrize("policy", COUNTS, ids=lambda p: f"{p.kind}-{p.model.kind}")
def test_pausing_and_resuming_changes_no_belief_and_all_or_none(policy):
    life, bandit = Life(policy, seed=2), Bandit(policy, range(10), seed=1)
    for _ in range(60):
        life.step(bandit)
    bandit.resume_arms(bandit.arms)
    before = bandit.mean().tolist()
    with pytest.raises(UnknownArmError):
        bandit.pause_arms([bandit.arms[0], "nobody"])
    assert bandit.paused == []
    bandit.pause_arms(bandit.arms)
    empty = bandit.select()
    assert (empty.arms, empty.dropped) == ([], {"paused": len(bandit)})
    bandit.resume_arms(bandit.arms)
    assert bandit.mean().tolist() == before
    assert sorted(bandit.select(k=len(bandit)).arms, key=str) == sorted(bandit.arms, key=str)


def test_a_retired_id_and_its_rows_are_refused_for_ever_also_after_resuming():
    bandit = Bandit(Thompson(), ["a", "b"])
    rows = bandit.rows(["a"])
    bandit.retire_arms(["a"])
    bandit.add_arms(["c"])  # takes over the column
    for each in (bandit, Bandit.from_bytes(bandit.to_bytes())):
        assert each.was_retired("a")
        with pytest.raises(ValueError, match="retired"):
            each.add_arms(["d", "a"])
        assert "d" not in each.arms
        with pytest.raises(UnknownArmError, match="retired"):
            each.update("a", 1.0)
        with pytest.raises(StaleRowsError):
            each.update_rows(rows, [1.0])
        assert each.updates == 0

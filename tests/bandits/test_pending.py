"""Exposures that await feedback: counted once each, resolved oldest first, and a reason to look elsewhere."""

from collections import Counter

import numpy as np
import pytest

from seedbed.bandits import (
    EXP3,
    KLUCB,
    UCB1,
    Bandit,
    BayesUCB,
    Beta,
    EpsilonGreedy,
    LinThompson,
    LinUCB,
    Thompson,
    TopTwo,
)
from seedbed.bandits.models import GammaPoisson, Gaussian, HybridLinear, Linear, SharedLinear

COUNTS = [Beta(), Gaussian(), GammaPoisson()]
LINEAR = [Linear(n_features=2), SharedLinear(n_features=2), HybridLinear(n_features=2, n_shared=1)]
PAIRS = [
    *((policy, model) for policy in (Thompson, TopTwo, BayesUCB, EpsilonGreedy) for model in COUNTS + LINEAR),
    *((UCB1, model) for model in COUNTS),
    *((KLUCB, model) for model in COUNTS),
    *((policy, model) for policy in (LinUCB, LinThompson) for model in LINEAR),
    (EXP3, Beta()),
]
# to draws of SharedLinear, arms of equal features are one arm
ARMS_DIFFER = [(p, m) for p, m in PAIRS if m.kind != "shared_linear" or p not in (Thompson, TopTwo, LinThompson)]


def each(pairs):
    return pytest.mark.parametrize(("policy", "model"), pairs, ids=lambda x: getattr(x, "kind", None) or x.__name__)


def context_of(policy):
    """The same context for all candidates or events, as keywords of `select`, and what `update` needs."""
    context = {"context": np.linspace(1.0, 0.5, policy.model.width)} if policy.model.is_contextual else {}
    return context, {**context, "propensity": 0.1} if policy.needs_propensity else context


def established(policy, rates):
    """A bandit with much evidence of each of the arms 0, 1, ..."""
    bandit = Bandit(policy, range(len(rates)), seed=5)
    for arm, rate in enumerate(rates):
        for _ in range(50):
            bandit.update(arm, rate, weight=4.0, **context_of(policy)[1])
    return bandit


def counters(bandit):
    """Shown and resolved exposures of each live arm."""
    return bandit._table[1:3, bandit.rows(bandit.arms) & 0xFFFF_FFFF]


def is_sound(bandit):
    shown, resolved = counters(bandit)
    assert (resolved >= 0).all()
    assert (resolved <= shown).all()
    assert bandit.pending == (shown - resolved).sum() >= 0
    Bandit.from_bytes(bandit.to_bytes())


@each(ARMS_DIFFER)
def test_a_thousand_exposures_without_feedback_reach_every_newcomer_and_flood_none(policy, model):
    policy = policy(model=model)
    bandit, news = established(policy, [0.3] * 5 + [0.5] * 5), [f"n{i}" for i in range(20)]
    bandit.add_arms(news)
    context = context_of(policy)[0]
    shown = Counter(bandit.select(pending=True, **context).arms[0] for _ in range(1_000))
    times = [shown[arm] for arm in news]
    assert min(times) >= 1
    assert max(times) <= 60  # 1,000 over 20 newcomers, and chance
    assert bandit.pending == 1_000


@each(PAIRS)
def test_pending_exposures_lower_no_propensity_of_others_and_raise_none_of_their_own(policy, model):
    policy = policy(model=model)
    bandit, context = established(policy, [0.5, 0.5, 0.5]), context_of(policy)[0]
    try:
        before = bandit.propensities(**context)
    except ValueError:
        return  # none that are exact
    chosen = bandit.select(pending=True, **context).arms[0]
    for _ in range(200):
        bandit.select([chosen], pending=True, **context)
    after = bandit.propensities(**context)
    assert after[chosen] <= before[chosen] + 1e-6
    np.testing.assert_allclose(after.sum(), 1.0, atol=1e-6)


def test_a_pending_exposure_of_beta_is_a_reward_of_0_until_it_comes():
    """Prior (1, 1), success 1, two pending: mean 2 / 5; one resolved by a reward 1: 3 / 5."""
    bandit = Bandit(Thompson(), ["a"])
    bandit.update("a", 1.0)
    for _ in range(2):
        bandit.select(pending=True)
    assert bandit.mean()[0] == 2 / 5
    bandit.update("a", 1.0)
    assert bandit.mean()[0] == 3 / 5


@each(PAIRS)
def test_feedback_resolves_one_exposure_an_event_in_every_kind_of_update(policy, model):
    policy = policy(model=model)
    bandit = Bandit(policy, range(3))
    context, learning = context_of(policy)
    for _ in range(6):
        bandit.select([0], pending=True, **context)
    bandit.update(0, 0.5, **learning)
    assert bandit.pending == 5
    batch = {name: np.tile(x, (3, 1)) if name == "context" else x for name, x in learning.items()}
    bandit.update([0, 0, 1], [0.5] * 3, **batch)
    assert bandit.pending == 3
    bandit.update_rows(bandit.rows([0] * 3), [0.5] * 3, **batch)
    assert bandit.pending == 0
    bandit.update_rows(bandit.rows([0] * 3), [0.5] * 3, **batch)
    assert bandit.pending == 0  # feedback of what was never shown resolves nothing
    is_sound(bandit)


def test_feedback_resolves_the_oldest_and_expiry_takes_what_is_left_of_the_old():
    bandit = Bandit(Thompson(), ["a", "b"])
    for now in (0.0, 10.0, 20.0):
        bandit.select(now=now, k=2, pending=True)
    bandit.update("a", 1.0)  # that of time 0
    assert bandit.expire(10.0) == 3  # b's of 0 and 10, a's of 10
    assert counters(bandit).tolist() == [[3.0, 3.0], [2.0, 2.0]]
    assert bandit.expire(25.0, horizon=10.0) == 0
    assert bandit.expire(30.0, horizon=10.0) == 2
    assert bandit.pending == 0
    is_sound(bandit)


def test_an_exposure_without_a_time_of_its_own_was_shown_at_the_latest_known():
    bandit = Bandit(Thompson(), ["a", "b"])
    bandit.select(now=100.0)
    bandit.select(pending=True)
    assert bandit.expire(150.0, horizon=60.0) == 0
    assert bandit.expire(160.0, horizon=60.0) == 1


def test_expiry_refuses_a_time_or_horizon_that_is_none():
    bandit = Bandit(Thompson(), ["a"])
    bandit.select(now=1.0, pending=True)
    for now, horizon in ((float("nan"), 0.0), (float("inf"), 0.0), (1.0, float("nan")), (0.0, -5.0)):
        with pytest.raises(ValueError):
            bandit.expire(now, horizon=horizon)
    assert bandit.pending == 1


@pytest.mark.parametrize("model", COUNTS)
def test_counters_are_those_of_a_list_of_exposures(model):
    """A naive list an arm, oldest first, through shows, updates, expiry, retirements, growth, and a resumed twin."""
    rng = np.random.Generator(np.random.PCG64(8))
    bandit, queues, now = Bandit(UCB1(model=model), range(12), seed=3), {id: [] for id in range(12)}, 0.0
    for step in range(1_500):
        now += float(rng.random())
        turn = rng.random()
        ids = list(queues)
        if turn < 0.5:
            for arm in bandit.select(k=3, now=now, pending=True).arms:
                queues[arm].append(now)
        elif turn < 0.9:
            batch = [ids[i] for i in rng.integers(0, len(ids), 2)]
            bandit.update(batch, [0.5, 1.0])
            for arm in batch:
                del queues[arm][:1]
        elif turn < 0.94:
            old = [t for queue in queues.values() for t in queue if t <= now - 5.0]
            queues = {arm: [t for t in queue if t > now - 5.0] for arm, queue in queues.items()}
            assert bandit.expire(now, horizon=5.0) == len(old)
        elif turn < 0.98:
            gone = ids[int(rng.integers(len(ids)))]
            bandit.retire_arms([gone])
            bandit.add_arms([1_000 + 2 * step, 1_001 + 2 * step])
            del queues[gone]
            queues.update({1_000 + 2 * step: [], 1_001 + 2 * step: []})
        else:
            bandit = Bandit.from_bytes(bandit.to_bytes())
        shown, resolved = counters(bandit)
        assert (shown - resolved).tolist() == [len(queues[arm]) for arm in bandit.arms]
        assert bandit.pending == sum(map(len, queues.values()))
    is_sound(bandit)


def test_what_is_kept_of_exposures_does_not_grow_while_feedback_comes():
    bandit = Bandit(Thompson(), ["a", "b"])
    sizes = []
    for _ in range(2_000):
        bandit.update(bandit.select(pending=True).arms[0], 1.0)
        sizes.append(len(bandit._shown))
    assert max(sizes) <= 64


def test_retiring_an_arm_forgets_its_exposures_and_its_heir_starts_with_none():
    bandit = Bandit(Thompson(), ["a", "b"])
    for now in (1.0, 2.0):
        bandit.select(k=2, now=now, pending=True)
    bandit.retire_arms(["a"])
    assert bandit.pending == 2
    bandit.add_arms(["heir"])
    assert counters(bandit)[:, bandit.arms.index("heir")].tolist() == [0.0, 0.0]
    bandit.select(["heir"], now=3.0, pending=True)
    assert bandit.expire(2.5) == 2  # of b; none of the heir's
    assert bandit.pending == 1
    is_sound(bandit)


def test_a_failed_decision_shows_nothing():
    bandit = Bandit(TopTwo(), ["a", "b", "c"])
    before = bandit.to_bytes()
    for bad in ({"k": 9}, {"candidates": ["x"]}, {"k": 2, "propensities": True}):
        with pytest.raises((ValueError, KeyError)):
            bandit.select(**bad, now=5.0, pending=True)
        assert bandit.to_bytes() == before, bad

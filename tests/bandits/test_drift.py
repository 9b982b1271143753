"""Forgetting: by half-life, by window, on a change. Oracles are plain sums over all events."""

import math

import numpy as np
import pytest

from seedbed.bandits import EXP3, KLUCB, UCB1, Bandit, Beta, ChangeDetector, Linear, LinUCB, SharedLinear, Thompson
from seedbed.bandits.models import GammaPoisson, Gaussian

COUNTS = (Beta, Gaussian, GammaPoisson)
LINEAR = (Linear, SharedLinear)
X = [[1.0, 0.0], [0.6, 0.8]]


def rng_of(seed):
    return np.random.Generator(np.random.PCG64(seed))


def evidence(bandit, ids=None):
    """Mean and weight of each arm, without the prior."""
    return bandit.evidence(bandit.arms if ids is None else ids)[:2]


def decayed(events, arm, now, half_life):
    """Weight and weighted rewards of an arm's events `(arm, reward, weight, at)`, by definition."""
    terms = [(w * 2.0 ** ((at - now) / half_life), r) for a, r, w, at in events if a == arm]
    return math.fsum(w for w, _ in terms), math.fsum(w * r for w, r in terms)


@pytest.mark.parametrize("model", COUNTS)
@pytest.mark.parametrize("start", [0.0, -1e9, 1e9])
def test_evidence_decays_by_the_half_life_in_any_order_and_over_thousands_of_half_lives(model, start):
    half_life, rng = 60.0, rng_of(1)
    bandit, events = Bandit(Thompson(model=model(half_life=half_life)), range(3)), []
    now = start
    for step in (5.0, 300.0, 40_000.0, 1.0, 2_000_000.0, 60.0, 25_000.0):  # up to 33,000 half-lives
        now += step
        bandit.select(now=now)
        for _ in range(30):
            arm, reward, weight = int(rng.integers(3)), float(rng.random()), float(rng.random())
            at = now + 5.0 - float(rng.exponential(200.0))
            events.append((arm, reward, weight, at))
            bandit.update(arm, reward, weight=weight, at=at)
        means, weights = evidence(bandit)
        latest = max(now, *(at for *_, at in events))
        wanted = np.array([decayed(events, arm, latest, half_life) for arm in range(3)])
        # each exponent is rounded twice at the size of now / half-life
        rtol = 1e-13 + 4.0 * math.log(2.0) * float(np.spacing(abs(now) / half_life))
        np.testing.assert_allclose(weights, wanted[:, 0], rtol=rtol)
        np.testing.assert_allclose(means * weights, wanted[:, 1], rtol=10 * rtol, atol=10 * rtol)


@pytest.mark.parametrize("model", COUNTS)
@pytest.mark.parametrize("is_batch", [False, True])
def test_an_event_without_a_time_is_learnt_after_a_long_silence(model, is_batch):
    bandit = Bandit(Thompson(model=model(half_life=60.0)), ["a", "b"])
    bandit.update("a", 0.0, at=0.0)
    bandit.select(now=500 * 60.0)
    bandit.update(["a"] if is_batch else "a", [1.0] if is_batch else 1.0)
    assert bandit.updates == 2
    np.testing.assert_allclose(evidence(bandit, ["a"])[1], 1.0, rtol=1e-12)


@pytest.mark.parametrize("model", COUNTS)
def test_a_first_batch_over_many_half_lives_is_learnt_whole(model):
    one, many = (Bandit(Thompson(model=model(half_life=1.0)), ["a", "b"]) for _ in range(2))
    many.update(["a", "b", "b"], [1.0, 1.0, 0.0], at=[0.0, 1_000.0, 1_001.0])
    for arm, reward, at in (("a", 1.0, 0.0), ("b", 1.0, 1_000.0), ("b", 0.0, 1_001.0)):
        one.update(arm, reward, at=at)
    assert (one.updates, many.updates) == (3, 3)
    np.testing.assert_allclose(evidence(many), evidence(one), rtol=1e-12)


@pytest.mark.parametrize("model", LINEAR)
def test_a_linear_batch_without_a_time_after_a_long_silence_is_learnt(model):
    bandit = Bandit(LinUCB(model=model(n_features=2, half_life=60.0)), ["a", "b"])
    bandit.update("a", 0.0, context=X[0], at=0.0)
    bandit.select(now=500 * 60.0, context=X)
    bandit.update(["a"], [1.0], context=X[:1])
    np.testing.assert_allclose(bandit.mean(["a"], context=X[0]), 0.5, rtol=1e-9)  # w / (w + ridge)


@pytest.mark.parametrize("model", LINEAR)
@pytest.mark.parametrize("silence", [30.0, 900.0, 1_100.0, 1e6])
def test_a_linear_model_returns_to_its_prior_in_a_long_silence_and_learns_again(model, silence):
    bandit = Bandit(LinUCB(model=model(n_features=2, half_life=60.0)), ["a", "b"])
    bandit.update("a", 1.0, context=X[0], at=0.0)
    scores = bandit.select(["a"], context=X[0], now=silence * 60.0).scores
    fresh = Bandit(LinUCB(model=model(n_features=2)), ["a"]).scores(context=X[0])
    # the ridge may have fallen to a half since it was last made anew: deviations up to sqrt 2 larger
    assert fresh[0] * (1 - 1e-8) <= scores[0] <= fresh[0] * math.sqrt(2.0) * (1 + 1e-8)
    bandit.update("a", 1.0, context=X[0], at=silence * 60.0)
    assert 0.5 - 1e-9 <= bandit.mean(["a"], context=X[0])[0] <= 2 / 3 + 1e-9
    assert Bandit.from_bytes(bandit.to_bytes()).arms == ["a", "b"]


def test_a_linear_model_that_only_learns_can_be_saved():
    bandit = Bandit(Thompson(model=Linear(n_features=2, half_life=60.0)), ["a"])
    for t in range(200):
        bandit.update("a", 1.0, at=60.0 * t, context=[1.0, 1.0])
    Bandit.from_bytes(bandit.to_bytes())


@pytest.mark.parametrize("model", COUNTS)
def test_a_present_far_before_an_event_gives_no_nan(model):
    bandit = Bandit(UCB1(model=model(half_life=60.0)), ["a", "b"])
    bandit.update(["a", "b"], [1.0, 0.0], at=1e9)
    assert not np.isnan(bandit.select(k=2, now=0.0).scores).any()


@pytest.mark.parametrize("read", ["scores", "mean", "propensities"])
@pytest.mark.parametrize("model", [Beta(half_life=60.0), Linear(n_features=2, half_life=60.0)])
def test_reading_at_another_time_changes_nothing(read, model):
    context = {"context": X[0]} if model.is_contextual else {}
    bandit = Bandit(Thompson(model=model), ["a", "b"])
    bandit.update("a", 1.0, at=0.0, **context)
    before = bandit.to_bytes()
    getattr(bandit, read)(now=600.0, **context)
    assert bandit.to_bytes() == before


@pytest.mark.parametrize("model", COUNTS)
def test_a_window_holds_exactly_the_last_events(model):
    rng, size = rng_of(2), 17
    bandit, events, arms = Bandit(Thompson(model=model(window=size)), range(4)), [], [0, 1, 2, 3]
    for step in range(600):
        if step % 40 == 39:  # retired with its events; another takes over its column
            gone = arms.pop(int(rng.integers(len(arms))))
            bandit.retire_arms([gone])
            arms.append(1_000 + step)
            bandit.add_arms(arms[-1:])
        arm, reward, weight = arms[int(rng.integers(4))], round(float(rng.random()), 2), round(float(rng.random()), 1)
        bandit.update(arm, reward, weight=weight)
        events.append((arm, reward, weight))
        last = [(a, r, w, 0.0) for a, r, w in events[-size:]]
        wanted = np.array([decayed(last, a, 0.0, 1.0) for a in bandit.arms])
        means, weights = evidence(bandit)
        # at most 2 * size additions and removals of numbers below size since all was added up anew
        atol = 4 * size * float(np.spacing(float(size)))
        np.testing.assert_allclose(weights, wanted[:, 0], atol=atol, rtol=0)
        np.testing.assert_allclose((means * weights), wanted[:, 1], atol=atol, rtol=0)


@pytest.mark.parametrize("model", COUNTS)
def test_a_window_of_fractional_rewards_can_be_saved_at_any_time(model):
    rng = rng_of(3)
    bandit = Bandit(Thompson(model=model(window=5)), range(6))
    for _ in range(150):
        bandit.update(int(rng.integers(6)), round(float(rng.random()), 2))
        Bandit.from_bytes(bandit.to_bytes())


@pytest.mark.parametrize("policy", [UCB1, KLUCB])
def test_an_arm_whose_events_have_left_the_window_is_untried(policy):
    bandit = Bandit(policy(model=Beta(window=3)), ["a", "b"])
    bandit.update(["a"] * 3 + ["b"] * 3, [0.1, 0.2, 0.3, 0.5, 0.5, 0.5])
    never = Bandit(policy(model=Beta(window=3)), ["a", "b"])
    never.update(["b"] * 3, [0.5] * 3)
    assert bandit.scores().tolist() == never.scores().tolist()


def naive_changes(events, bucket, delta):
    """Changes `(position)` and what is left `[weight, rewards]` of one arm's events, by the definition of the GLR."""

    def kl(p, q):
        return sum(x * math.log(x / y) for x, y in ((p, q), (1 - p, 1 - q)) if x > 0)

    buckets, changes = {}, []
    for i, (at, reward) in enumerate(events):
        number = math.floor(at / bucket)
        opens = number > max(buckets, default=math.inf)
        n, s = buckets.get(number, (0.0, 0.0))
        buckets[number] = n + 1.0, s + reward
        if not opens:
            continue
        closed = {b: v for b, v in buckets.items() if b < number}
        n, s = (sum(v[j] for v in closed.values()) for j in (0, 1))
        best = (0.0, -math.inf)
        for split in sorted(closed)[1:]:
            n2, s2 = (sum(v[j] for b, v in closed.items() if b >= split) for j in (0, 1))
            glr = (n - n2) * kl((s - s2) / (n - n2), s / n) + n2 * kl(s2 / n2, s / n)
            best = max(best, (glr, split))
        if best[0] >= math.log(3 * n * math.sqrt(n) / delta):
            changes.append(i + 1)
            buckets = {b: v for b, v in buckets.items() if b >= best[1]}
    return changes, [sum(v[j] for v in buckets.values()) for j in (0, 1)]


@pytest.mark.parametrize("start", [-30, 0, 10**6])
def test_changes_are_those_of_the_definition_and_what_is_kept_came_after(start):
    rng = rng_of(4)
    times = np.sort(rng.uniform(0, 90, 1_500))
    late = np.maximum(times - (rng.random(1_500) < 0.1) * 2.5, 0.0) + start  # a tenth of them late
    rewards = (rng.random(1_500) < np.where(times < 30, 0.2, np.where(times < 60, 0.6, 0.1))).astype(float)
    bandit = Bandit(Thompson(), ["a"], change_detector=ChangeDetector(bucket=1.0, window=200, delta=0.01))
    for at, reward in zip(late.tolist(), rewards.tolist(), strict=True):
        bandit.update("a", reward, at=at)
    changes, kept = naive_changes(list(zip(late, rewards, strict=True)), 1.0, 0.01)
    assert [change.event for change in bandit.changes] == changes
    assert len(changes) >= 2
    # after the last change all is counted, the buckets dropped before it not
    mean, weight = evidence(bandit)
    np.testing.assert_allclose([weight[0], (mean * weight)[0]], kept, rtol=1e-12)


@pytest.mark.parametrize("weight", [1.0, 10.0, 1e-5])
def test_false_alarms_are_as_rare_as_delta(weight):
    rng, arms, delta = rng_of(5), 200, 0.01
    bandit = Bandit(Thompson(), range(arms), change_detector=ChangeDetector(bucket=1.0, window=60, delta=delta))
    ids = np.repeat(np.arange(arms), 10).tolist()
    for t in range(60):
        bandit.update(ids, (rng.random(len(ids)) < 0.2).astype(float), weight=weight, at=float(t))
    alarmed = len({change.arm for change in bandit.changes})
    assert alarmed <= arms * delta + 5 * math.sqrt(arms * delta)


def test_importance_weights_of_exp3_raise_no_false_alarms():
    rng = rng_of(6)
    bandit = Bandit(EXP3(), range(10), change_detector=ChangeDetector(bucket=1.0, window=60))
    for t in range(60):
        ids = rng.integers(0, 10, 200).tolist()
        bandit.update(ids, (rng.random(200) < 0.2).astype(float), propensity=0.1, at=float(t))
    assert len(bandit.changes) <= 1  # delta 1e-3 for each of ten arms


@pytest.mark.parametrize("window", [2, 3, 10])
def test_a_sudden_change_is_noticed_soon(window):
    bandit = Bandit(Thompson(), ["a"], change_detector=ChangeDetector(bucket=1.0, window=window))
    for t in range(20):
        bandit.update(["a"] * 100, [float(t >= 10)] * 100, at=float(t))
    assert [change.at for change in bandit.changes] == [11.0]
    assert evidence(bandit)[0][0] == 1.0


def test_changes_of_a_batch_are_those_of_its_single_events():
    one, many = (Bandit(Thompson(), ["a"], change_detector=ChangeDetector(bucket=1.0)) for _ in range(2))
    ats, rewards = np.repeat(np.arange(40.0), 20), np.repeat([0.0, 1.0], 400)
    for at, reward in zip(ats.tolist(), rewards.tolist(), strict=True):
        one.update("a", reward, at=at)
    many.update(["a"] * 800, rewards, at=ats)
    assert many.changes == one.changes != []


def test_a_change_is_noticed_where_times_come_from_decisions_alone():
    bandit = Bandit(Thompson(), ["a"], change_detector=ChangeDetector(bucket=1.0))
    for t in range(40):
        bandit.select(now=float(t))
        bandit.update(["a"] * 50, [float(t >= 20)] * 50)
    assert len(bandit.changes) == 1


def test_what_is_kept_after_a_change_weighs_by_its_bucket_under_decay():
    """Forty events a bucket; the change after bucket 9 is seen at the end of bucket 10, whose 40 are kept and decay."""
    model = Beta(half_life=20.0)
    bandit = Bandit(Thompson(model=model), ["a"], change_detector=ChangeDetector(bucket=10.0, window=30))
    for bucket in range(11):
        bandit.update(["a"] * 40, [float(bucket >= 10)] * 40, at=10.0 * bucket)
    bandit.update("a", 1.0, at=110.0)
    (change,) = bandit.changes
    assert (change.at, change.kept) == (110.0, 41.0)
    mean, weight, _ = bandit.evidence(now=110.0)[:, 0]
    assert mean == 1.0
    np.testing.assert_allclose(weight, 40.0 * 2.0**-0.5 + 1.0, rtol=1e-12)

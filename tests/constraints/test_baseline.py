import math

import numpy as np
import pytest
from asking import asked, served, told
from constraints.naive_baseline import Conservative, beta_binomial_low
from hypothesis import assume, given
from hypothesis import strategies as st

from seedbed.bandits import UCB1, Bandit, CheckpointError, Thompson
from seedbed.bandits._random import uniform
from seedbed.constraints import Baseline
from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Precedence, forget
from seedbed.constraints.baseline import lower_bound
from seedbed.constraints.constrained import Constrained


def safe(baseline, state, request):
    masks = baseline.mask(state, request)
    if not masks:
        return [True] * request.columns.size
    [(reason, keep)] = masks
    assert reason == "UNSAFE" and not keep.all()
    return keep.tolist()


def test_bound_by_hand():
    """Two successes of two: B(5/2, 1/2) / B(1/2, 1/2) = 3/8, so 3/8 / p^2 = 1 / alpha at p = sqrt(3 alpha / 8)."""
    assert lower_bound(2.0, 0.0, -math.log(0.01)) == pytest.approx(math.sqrt(0.375 * 0.01), rel=1e-12)
    assert lower_bound(0.0, 5.0, 3.0) == 0.0


@given(st.floats(1e-3, 1e5), st.floats(0.0, 1e5), st.floats(1e-9, 0.5))
def test_bound_against_a_root_finder(successes, failures, alpha):
    expected = beta_binomial_low(successes, successes + failures, alpha)
    assume(expected > 1e-300)
    found = lower_bound(successes, failures, -math.log(alpha))
    assert found == pytest.approx(expected, rel=1e-8)
    assert found < successes / (successes + failures) or failures == 0.0


def test_bound_fails_as_seldom_as_it_says():
    """2,000 sequences of 1,000 rewards, looked at after each: at most alpha = 5 % leave the bound, within 5 sigma."""
    rng = np.random.default_rng(3)
    looks = 1_000
    for mean in (0.05, 0.5, 0.95):
        sums = (rng.random((2_000, looks)) < mean).cumsum(axis=1)
        # the bound is above the mean where the mixture's likelihood ratio there is at least 1 / alpha
        from scipy import special

        n = np.arange(1, looks + 1)
        ratio = special.betaln(0.5 + sums, 0.5 + n - sums) - math.log(math.pi)
        ratio -= special.xlogy(sums, mean) + special.xlog1py(n - sums, -mean)
        out = (ratio >= -math.log(0.05)) & (sums > mean * n)
        failed = out.any(axis=1)
        assert failed.mean() <= 0.05 + 5 * math.sqrt(0.05 * 0.95 / 2_000)
        i = int(failed.argmax())
        j = int(out[i].argmax()) if failed[i] else looks - 1
        assert (lower_bound(float(sums[i, j]), float(n[j] - sums[i, j]), -math.log(0.05)) >= mean) == failed[i]


def test_it_is_never_relaxed():
    assert Baseline.precedence == Precedence.CAP
    assert not Baseline.relaxable


def test_first_exploration_by_hand():
    """mu = 1/2, alpha = 1/4: each exposure of the baseline puts 1/8 aside, an unknown arm needs 3/8."""
    baseline = Baseline(0, mean=0.5, alpha=0.25)
    state = baseline.init(2)
    request = asked([0, 1])
    for _ in range(3):
        assert safe(baseline, state, request) == [True, False]
        baseline.observe(state, served(request, 0))
    assert safe(baseline, state, request) == [True, True]
    baseline.observe(state, served(request, 1))
    assert safe(baseline, state, request) == [True, False]
    assert baseline.report(state, Attributes()) == {
        "plays": 4, "baseline": 3, "mean": {"low": 0.5, "high": 0.5}, "surplus": 0.0
    }  # fmt: skip


def test_without_the_baseline_nothing_unsafe_is_served():
    baseline = Baseline("today", mean=0.5)
    assert safe(baseline, baseline.init(3), asked([0, 1, 2], ids=["a", "b", "c"])) == [False] * 3
    assert safe(baseline, baseline.init(3), asked([0, 1, 2], ids=["a", "today", "c"])) == [False, True, False]
    ranker = Constrained(Bandit(Thompson(), arms=["a", "today", "c"], seed=1), [baseline])
    decision = ranker.select(["a", "c"], now=0.0)
    assert decision.arms == [] and decision.dropped == {"UNSAFE": 2} and not decision.relaxed
    assert ranker.select(k=3, now=0.0).arms == ["today"]


ids = st.integers(0, 3)
events = st.lists(
    st.one_of(
        st.tuples(st.just("serve"), st.lists(ids, min_size=1, max_size=3, unique=True)),
        st.tuples(st.just("learn"), st.lists(st.tuples(ids, st.sampled_from([0.0, 1.0, 0.3, 1.0])), max_size=8)),
    ),
    max_size=40,
)


@given(events, st.none() | st.sampled_from([0.1, 0.6]), st.sampled_from([0.05, 0.5, 0.9]), st.integers(1, 4))
def test_against_plain_python(history, mean, alpha, k):
    baseline = Baseline(2, mean=mean, alpha=alpha, delta=0.3)
    oracle = Conservative(2, mean, alpha, 0.3)
    state = baseline.init(4)
    request = asked(range(4), k=k)
    for event, given_ in history:
        if event == "serve":
            oracle.has_met = True
            baseline.observe(state, served(request, *given_))
            for arm in given_:
                oracle.serve(arm)
        elif given_:
            arms, rewards = zip(*given_, strict=True)
            baseline.check(state, told(arms, rewards))
            baseline.observe(state, told(arms, rewards))
            for arm, reward in given_:
                oracle.learn(arm, reward)
        found = safe(baseline, state, request)
        for arm in range(4):
            # before its first exposure nothing tells which column is the baseline's
            margin = oracle.margin(arm, k) if oracle.has_met else 0.0
            if abs(margin) > 1e-9:
                assert found[arm] == oracle.is_safe(arm, k)
        if oracle.has_met:
            report = baseline.report(state, Attributes())
            low, high = oracle.interval()
            assert report["surplus"] == pytest.approx(oracle.margin(None, 0), rel=1e-8, abs=1e-9)
            assert report["mean"] == {"low": pytest.approx(low, rel=1e-8), "high": pytest.approx(high, rel=1e-8)}
    arrays = baseline.save(state, 4)
    twin = baseline.load({name: array.copy() for name, array in arrays.items()}, 4)
    assert safe(baseline, twin, request) == safe(baseline, state, request)
    assert baseline.report(twin, Attributes()) == baseline.report(state, Attributes())


def test_late_rewards_count_for_exposures_before():
    """Five exposures wait; the reward of one raises the bound for all five."""
    baseline = Baseline(0, mean=0.5, alpha=0.9, delta=0.5)
    state = baseline.init(2)
    request = asked([0, 1])
    for _ in range(5):
        baseline.observe(state, served(request, 1))
    before = baseline.surplus(state)
    baseline.observe(state, told([1], [1.0]))
    assert baseline.surplus(state) - before == pytest.approx(5 * state.lower[1])
    assert state.lower[1] > 0.0


def test_what_arms_earned_outlives_them():
    """The column of an arm that is gone belongs to another, of which nothing is known; its surplus stays."""
    baseline = Baseline(0, mean=0.2, alpha=0.5)
    state = baseline.init(2)
    request = asked([0, 1])
    for _ in range(50):
        baseline.observe(state, served(request, 1))
        baseline.observe(state, told([1], [1.0]))
    before = baseline.surplus(state)
    assert before > 20.0
    forget(baseline, state, np.array([0, 1]))
    assert baseline.surplus(state) == before
    baseline.observe(state, served(asked([1], ids=["new"]), 0))
    baseline.observe(state, told([1], [1.0]))
    assert state.ranks[1] == 2
    assert state.lower[1] == lower_bound(1.0, 0.0, math.log(2 * 3 / 0.01))
    baseline = Baseline(0)
    state = baseline.init(1)
    for _ in range(50):
        baseline.observe(state, served(asked([0]), 0))
        baseline.observe(state, told([0], [1.0]))
    mean = baseline.report(state, Attributes())["mean"]
    forget(baseline, state, np.array([0]))
    assert baseline.report(state, Attributes())["mean"] == mean != {"low": 0.0, "high": 1.0}


@pytest.mark.parametrize(
    ("feedback", "message"),
    [
        (told([0, 1], [0.5, 1.1]), r"rewards\[1\] = 1.1 is not in \[0, 1\]"),
        (told([0], [-0.1]), r"rewards\[0\] = -0.1 is not in"),
        (told([0], [math.nan]), r"rewards\[0\] = nan is not in"),
        (told([0], [1.0], weights=[2.0]), r"weights\[0\] = 2.0 is not 1"),
    ],
)
def test_feedback_that_the_bounds_do_not_hold_for(feedback, message):
    baseline = Baseline(0)
    with pytest.raises(ValueError, match=message):
        baseline.check(baseline.init(2), feedback)


@pytest.mark.parametrize(
    ("name", "index", "value"),
    [
        ("plays", 0, -1),
        ("counts", (1, 0), 3.0),
        ("counts", (1, 0), -1.0),
        ("lower", 0, 1.5),
        ("lower", 0, math.nan),
        ("upper", 0, 1.5),
        ("ranks", 0, -1),
        ("is_baseline", 0, 2),
        ("totals", 0, 0.5),
        ("totals", 2, -1.0),
        ("totals", 4, 1.5),
    ],
)
def test_states_that_cannot_be(name, index, value):
    baseline = Baseline(0)
    state = baseline.init(1)
    baseline.observe(state, served(asked([0]), 0))
    baseline.observe(state, told([0], [1.0]))
    arrays = baseline.save(state, 1)
    baseline.load({name: array.copy() for name, array in arrays.items()}, 1)
    arrays[name][index] = value
    with pytest.raises(CheckpointError):
        baseline.load(arrays, 1)


def play(policy, means, constraints, steps, seed, k=1, delay=1):
    """True mean of each exposure, `[steps, k]`, NaN where none; rewards come `delay` decisions later."""
    ranker = Constrained(Bandit(policy, arms=range(len(means)), seed=seed), constraints)
    earned = np.full((steps, k), np.nan)
    waiting = []
    for step in range(steps):
        arms = ranker.select(k=k, now=0.0).arms
        earned[step, : len(arms)] = [means[arm] for arm in arms]
        waiting.append((arms, [float(uniform(seed, np.uint64(arm), 1_000_000 + step) < means[arm]) for arm in arms]))
        if len(waiting) >= delay:
            ranker.update(*waiting.pop(0))
    return earned


HOSTILE = [0.5, *[0.2] * 5, *[0.0] * 4]  # the baseline is the best


def least_margin(earned, mean, alpha):
    """Least of: what was earned less what must be, after each exposure."""
    flat = earned.ravel()
    flat = flat[~np.isnan(flat)]
    return float((flat.cumsum() - (1 - alpha) * mean * np.arange(1, flat.size + 1)).min())


@pytest.mark.parametrize(("policy", "mean"), [(Thompson(), 0.5), (UCB1(), None)])
def test_the_invariant_holds_at_every_step(policy, mean):
    """Of 20,000; without the constraint it breaks at once."""
    earned = play(policy, HOSTILE, [Baseline(0, mean=mean)], 20_000, seed=11)
    assert least_margin(earned, 0.5, 0.05) >= 0.0
    explored = (earned < 0.5).sum()
    assert explored > (0 if mean is None else 100)
    assert least_margin(play(policy, HOSTILE, [], 300, seed=11), 0.5, 0.05) < -1.0


@pytest.mark.parametrize(("k", "delay"), [(1, 300), (3, 1), (3, 100)])
def test_the_invariant_holds_for_slates_and_late_rewards(k, delay):
    earned = play(Thompson(), HOSTILE, [Baseline(0, mean=0.5, alpha=0.2)], 3_000, seed=5, k=k, delay=delay)
    assert least_margin(earned, 0.5, 0.2) >= 0.0
    assert (earned < 0.5).sum() > 100


def test_a_better_arm_is_found():
    means = [0.3, 0.9, 0.1]
    earned = play(Thompson(), means, [Baseline(0, alpha=0.2)], 4_000, seed=2)
    assert least_margin(earned, 0.3, 0.2) >= 0.0
    assert earned[-1_000:].mean() > 0.85

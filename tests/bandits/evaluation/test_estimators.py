"""Values: against plain Python, by hand, in their limits, and on average over every possible log."""

import math

import evaluating
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.evaluation import naive_estimators as naive
from seedbed.bandits import Bandit, Thompson, evaluation

ESTIMATORS = ("ips", "snips", "dr", "sndr", "switch_dr", "dr_os")


def random_log(seed, n=40, k=4):
    """Rewards, actions, propensities, target and model of `n` rows."""
    rng = np.random.default_rng(seed)
    logging, target = rng.dirichlet(np.full(k, 0.7), n), rng.dirichlet(np.full(k, 0.7), n)
    action = (logging.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1).clip(max=k - 1)
    propensities = np.maximum(logging[np.arange(n), action], 1e-3)
    return rng.normal(1.0, 2.0, n), action, propensities, target, rng.normal(1.0, 1.0, (n, k))


def estimate(name, log, **options):
    rewards, action, propensities, target, model = log
    if name in ("ips", "snips"):
        return getattr(evaluation, name)(rewards, propensities, target[np.arange(len(action)), action], **options)
    extra = {"switch_dr": {"tau": 1.5}, "dr_os": {"lambda_": 2.0}}.get(name, {})
    return getattr(evaluation, name)(rewards, action, propensities, target, model, **extra, **options)


@given(seed=st.integers(0, 2**32), clip=st.none() | st.floats(0.1, 10.0))
def test_values_are_those_of_the_papers(seed, clip):
    log = random_log(seed)
    lists = [array.tolist() for array in log]
    rewards, action, propensities, target, model = lists
    chosen = [row[a] for row, a in zip(target, action, strict=True)]
    expected = {
        "ips": naive.ips(rewards, propensities, chosen, clip),
        "snips": naive.snips(rewards, propensities, chosen, clip),
        "dr": naive.dr(*lists, clip),
        "sndr": naive.sndr(*lists, clip),
    }
    for name, value in expected.items():
        got = estimate(name, log, clip=clip)
        assert got.value == pytest.approx(value, rel=1e-10, abs=1e-10)
        weights = [p / m for p, m in zip(chosen, propensities, strict=True)]
        used = [naive.cut(w, clip) for w in weights]
        assert got.effective_sample_size == pytest.approx(naive.effective_sample_size(used), rel=1e-10)
        assert got.mean_weight == pytest.approx(naive.mean(weights), rel=1e-10)
        assert got.max_weight == pytest.approx(max(weights), rel=1e-12)
        assert got.clipped == pytest.approx(sum(w > u for w, u in zip(weights, used, strict=True)) / 40)
        assert (got.n, got.method, got.level) == (40, name, 0.95)
        assert got.lower <= got.value <= got.upper
    assert evaluation.dm(log[3], log[4]).value == pytest.approx(naive.dm(target, model), rel=1e-10)
    assert estimate("switch_dr", log).value == pytest.approx(naive.switch_dr(*lists, 1.5), rel=1e-10, abs=1e-10)
    assert estimate("dr_os", log).value == pytest.approx(naive.dr_os(*lists, 2.0), rel=1e-10, abs=1e-10)


def test_by_hand():
    """Weights 4, 1, 0, 1/2 on rewards 1, 0, 1, 1; a model that says 1/2 of arm 0 and 1/4 of arm 1."""
    rewards, action = [1, 0, 1, 1], [0, 0, 1, 1]
    propensities, target = [0.25, 1.0, 0.5, 0.5], [[1, 0], [1, 0], [1, 0], [0.75, 0.25]]
    model = [[0.5, 0.25]] * 4
    chosen = [1, 1, 0, 0.25]
    assert evaluation.ips(rewards, propensities, chosen).value == 4.5 / 4
    assert evaluation.ips(rewards, propensities, chosen, 2.0).value == 2.5 / 4
    assert evaluation.snips(rewards, propensities, chosen).value == pytest.approx(4.5 / 5.5)
    e = evaluation.snips(rewards, propensities, chosen, clip=2.0)
    assert (e.value, e.clipped, e.max_weight) == (pytest.approx(2.5 / 3.5), 0.25, 4.0)
    assert e.effective_sample_size == pytest.approx(3.5**2 / (4 + 1 + 0.25))
    base = (0.5 * 3 + 0.4375) / 4
    assert evaluation.dm(target, model).value == base
    log = rewards, action, propensities, target, model
    # errors 1/2, -1/2, 3/4, 3/4
    assert evaluation.dr(*log).value == base + (2.0 - 0.5 + 0.375) / 4
    assert evaluation.sndr(*log).value == pytest.approx(base + 1.875 / 5.5)
    assert evaluation.switch_dr(*log, 1.0).value == evaluation.switch_dr(*log, tau=3.9).value
    assert evaluation.switch_dr(*log, 1.0).value == base + (-0.5 + 0.375) / 4
    assert evaluation.switch_dr(*log, 4.0).value == evaluation.dr(*log).value
    # lambda = 1: 4 / 17, 1 / 2, 0, (1 / 2) / (5 / 4)
    assert evaluation.dr_os(*log, 1.0).value == pytest.approx(base + (2 / 17 - 0.25 + 0.3) / 4)


def same(one, other):
    """Whether values and ends agree to rounding."""
    ends = [[e.value, e.lower, e.upper] for e in (one, other)]
    return ends[0] == pytest.approx(ends[1], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_limits(seed):
    log = random_log(seed)
    rewards, action, propensities, target, model = log
    chosen = target[np.arange(40), action]
    ips, dr, dm = estimate("ips", log), estimate("dr", log), evaluation.dm(target, model)
    assert same(evaluation.dr(*log[:4], np.zeros_like(model)), ips)
    assert same(evaluation.sndr(*log[:4], np.zeros_like(model)), estimate("snips", log))
    assert same(evaluation.switch_dr(*log, tau=math.inf), dr)
    assert same(evaluation.dr_os(*log, lambda_=math.inf), dr)
    assert same(evaluation.dr_os(*log, lambda_=1e14), dr)
    for zero in (
        evaluation.switch_dr(*log, tau=0.0),
        evaluation.dr_os(*log, lambda_=0.0),
        evaluation.dr_os(*log, lambda_=1e-14),
    ):
        assert zero.value == pytest.approx(dm.value, abs=1e-9)
        assert (zero.lower, zero.upper) == pytest.approx((dm.lower, dm.upper), abs=1e-9)
        assert zero.effective_sample_size == dr.effective_sample_size  # of the log, not of what the limit leaves
    assert same(evaluation.ips(rewards, propensities, chosen, clip=math.inf), ips)
    # a perfect model needs no correction, and a constant in all rewards is found by it
    exact = np.repeat(rewards[:, None], 4, axis=1)
    assert evaluation.dr(*log[:4], exact).value == pytest.approx(rewards.mean())


@pytest.mark.parametrize("name", ("ips", "snips"))
def test_the_logging_policy_is_worth_the_mean(name):
    rewards, _, propensities, *_ = random_log(3)
    e = getattr(evaluation, name)(rewards, propensities, propensities)
    assert e.value == pytest.approx(rewards.mean(), rel=1e-12)
    assert (e.effective_sample_size, e.mean_weight, e.max_weight) == (40.0, 1.0, 1.0)


@pytest.mark.parametrize("interval", ("normal", "bootstrap", "empirical_bernstein", "rare"))
@pytest.mark.parametrize("name", ESTIMATORS)
def test_order_scale_and_shift(name, interval):
    rewards, action, propensities, target, model = random_log(7, 300)
    rewards, model = np.abs(rewards), np.abs(model)
    log = rewards, action, propensities, target, model
    if (interval == "rare" and "dr" in name) or (interval, name) == ("empirical_bernstein", "sndr"):
        with pytest.raises(ValueError, match="interval = "):
            estimate(name, log, interval=interval, reward_range=(0.0, 20.0))
        return
    e = estimate(name, log, interval=interval, reward_range=(0.0, 20.0))
    assert (e.interval, e.lower < e.value < e.upper) == (interval, True)
    scaled = rewards * 8, action, propensities, target, model * 8
    other = estimate(name, scaled, interval=interval, reward_range=(0.0, 160.0))
    assert [other.value, other.lower, other.upper] == pytest.approx([8 * e.value, 8 * e.lower, 8 * e.upper])
    assert other.effective_sample_size == e.effective_sample_size
    turned = np.random.default_rng(1).permutation(300)
    other = estimate(name, [array[turned] for array in log], interval=interval, reward_range=(0.0, 20.0))
    assert other.value == pytest.approx(e.value, rel=1e-12)
    # the resamples are of positions, so another order is another draw
    rough = 0.2 * (e.upper - e.lower) if interval == "bootstrap" else 1e-9
    assert [other.lower, other.upper] == pytest.approx([e.lower, e.upper], abs=rough)
    if name in ("snips", "sndr") and interval in ("normal", "bootstrap"):
        moved = rewards + 100.0, action, propensities, target, model if name == "snips" else model + 100.0
        other = estimate(name, moved, interval=interval)
        ends = [other.value - 100.0, other.lower - 100.0, other.upper - 100.0]
        assert ends == pytest.approx([e.value, e.lower, e.upper], abs=1e-9)


REWARD = [[0.2, 0.5, 0.9], [0.6, 0.1, 0.3]]
LOGGING = [[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]
TARGET = [[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]]
TRUTH = sum(p * q for row in zip(TARGET, REWARD, strict=True) for p, q in zip(*row, strict=True)) / 2


def expected(estimator, model, logging=LOGGING):
    """Mean over every log of one decision in each of two contexts, by its chance."""
    total = chances = 0.0
    for chance, arms, rewards in naive.worlds((0, 1), LOGGING, REWARD):
        propensities = [logging[c][a] for c, a in enumerate(arms)]
        total += chance * estimator(rewards, list(arms), propensities, TARGET, model).value
        chances += chance
    assert chances == pytest.approx(1.0)
    return total


def test_unbiased_over_every_log():
    wrong = [[0.9, 0.1, 0.4], [0.0, 0.7, 0.2]]

    def ips(rewards, action, propensities, target, model):
        return evaluation.ips(rewards, propensities, [row[a] for row, a in zip(target, action, strict=True)])

    assert expected(ips, wrong) == pytest.approx(TRUTH, rel=1e-12)
    assert expected(evaluation.dr, wrong) == pytest.approx(TRUTH, rel=1e-12)
    # the true model needs no right propensities
    off = [[0.9, 0.1, 0.4], [0.7, 0.2, 0.1]]
    assert expected(evaluation.dr, REWARD, off) == pytest.approx(TRUTH, rel=1e-12)
    assert abs(expected(ips, wrong, off) - TRUTH) > 0.01
    assert abs(expected(evaluation.dr, wrong, off) - TRUTH) > 0.01
    clipped = expected(lambda *log: evaluation.dr(*log, clip=1.0), wrong)
    assert abs(clipped - TRUTH) > 0.01


@pytest.mark.parametrize("name", ESTIMATORS)
def test_many_logs_average_to_the_truth(name):
    """2,000 logs of 200 rows; the ratio estimators' bias is of the order of 1 / 200 of their variance's."""
    values = []
    for seed in range(2_000):
        rng = np.random.default_rng([11, seed])
        contexts, arms, rewards, propensities = evaluating.fixed_log(rng, 200)
        log = rewards, arms, propensities, evaluating.TARGET[contexts], evaluating.MEANS[contexts]
        values.append(estimate(name, log).value)
    z = (np.mean(values) - evaluating.truth()) / (np.std(values, ddof=1) / math.sqrt(2_000))
    assert abs(z) < 5.0


GRID = (1e12, 10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50, 20, 10, 5, 2, 1)
HEAVY = np.array([[0.8, 0.17, 0.01, 0.01, 0.01], [0.01, 0.8, 0.17, 0.01, 0.01], [0.3, 0.3, 0.3, 0.09, 0.01]])


def heavy_log(seed, model, n=1_000):
    """A log with weights to 50."""
    contexts, arms, rewards, propensities = evaluating.fixed_log(np.random.default_rng([3, seed]), n, logging=HEAVY)
    return rewards, arms, propensities, evaluating.TARGET[contexts], model[contexts]


def test_limits_are_chosen_as_in_the_paper():
    chosen = set()
    models = evaluating.MEANS, *(evaluating.MEANS - off * np.array([1.0, 1.0, 1.0, 1.0, 5.0]) for off in (1.0, 3.0))
    for seed, model in enumerate(models * 3):
        log = heavy_log(seed, model, 2_000)
        lists = [array.tolist() for array in log]
        pairs = naive.corrections(*lists)
        tau = naive.slope(*lists[3:], pairs, lambda w, t: w if w <= t else 0.0, GRID)
        root = naive.slope(*lists[3:], pairs, lambda w, t: w * t * t / (w * w + t * t), GRID)
        assert evaluation.switch_dr(*log).value == pytest.approx(evaluation.switch_dr(*log, tau=tau).value, rel=1e-9)
        expected = evaluation.dr_os(*log, lambda_=root**2).value
        assert evaluation.dr_os(*log, None).value == pytest.approx(expected, rel=1e-9)
        chosen |= {("tau", tau), ("root", root)}
    assert len(chosen) >= 5, chosen  # the worlds ask for different limits


def test_a_chosen_limit_gains_where_the_model_is_good_and_its_interval_is_honest():
    """Squared errors over 200 logs; a model that is anti-correlated biases the value, not the interval."""
    for model in (evaluating.MEANS, 0.6 - evaluating.MEANS):
        errors, covered = [], 0
        for seed in range(200):
            log = heavy_log(seed, model)
            plain, tuned = evaluation.dr(*log), evaluation.switch_dr(*log)
            errors.append([(e.value - evaluating.truth()) ** 2 for e in (plain, tuned)])
            covered += tuned.lower <= evaluating.truth() <= tuned.upper
            assert tuned.lower <= tuned.value <= tuned.upper
        squared = np.mean(errors, axis=0)
        assert squared[1] < (0.05 if model is evaluating.MEANS else 4.0) * squared[0]
        assert evaluating.z_of(covered, 0.95, 200) > -4.0


def test_the_log_of_a_thompson_bandit():
    """The propensities that `select` reports are those of the state, and evaluate another policy."""
    rng = np.random.default_rng(8)
    one = evaluating.thompson_log(np.random.default_rng(8), 600, 8, each=True)
    other = evaluating.thompson_log(rng, 600, 8)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    bandit = Bandit(Thompson(), ["a", "b"], seed=1)
    decisions = [bandit.select(propensities=True) for _ in range(400)]
    arms = np.array([decision.arms[0] == "b" for decision in decisions], np.int64)
    e = evaluation.ips(arms, [decision.propensities[0] for decision in decisions], arms * 0.9 + (1 - arms) * 0.1)
    assert e.lower < 0.9 < e.upper
    assert e.is_answer

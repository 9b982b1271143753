"""Ends of the intervals: against plain Python, scipy and by hand; refusals; coverage."""

import math

import evaluating
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bandits.evaluation import naive_estimators as naive
from seedbed.bandits import evaluation
from seedbed.bandits._random import base_key, fold_in, uniform
from seedbed.bandits.evaluation import summarise
from seedbed.bandits.evaluation._bootstrap import grouped, student_quantiles

ONES = np.ones(400)
LOGS = 200


def ends(e):
    return e.lower, e.upper


@given(seed=st.integers(0, 2**32), skew=st.sampled_from([0.1, 1.0, 3.0]), sign=st.sampled_from([-1.0, 1.0]))
def test_normal_is_halls_interval(seed, skew, sign):
    """The cubic's inverse, written out, against its bisection."""
    rng = np.random.default_rng(seed)
    terms = sign * rng.gamma(1.0 / skew, size=60)
    e = summarise("ips", None, terms, None, np.ones(60), interval="normal", level=0.9)
    expected = naive.hall(terms.tolist(), stats.t.ppf(0.95, 59))
    assert ends(e) == pytest.approx(expected, rel=1e-7, abs=1e-9)
    # the tail is longer on the side of the skewness
    assert sign * (e.upper - e.value - (e.value - e.lower)) > 0.0 or skew == 0.1


def test_normal_without_skewness_is_students():
    """-1 and 1: deviation sqrt(n / (n - 1)), error 1 / sqrt(n - 1)."""
    terms = np.tile([-1.0, 1.0], 10)
    e = summarise("ips", None, terms, None, np.ones(20), interval="normal")
    half = stats.t.ppf(0.975, 19) / math.sqrt(19)
    assert ends(e) == pytest.approx((-half, half), rel=1e-12)
    nearly = terms + np.r_[1e-7, np.zeros(19)]
    e = summarise("ips", None, nearly, None, np.ones(20), interval="normal")
    assert ends(e) == pytest.approx((-half, half), rel=1e-6)
    for level in (0.5, 0.8, 0.99):
        half = stats.t.ppf(0.5 + level / 2, 19) / math.sqrt(19)
        assert summarise("ips", None, terms, None, np.ones(20), interval="normal", level=level).upper == (
            pytest.approx(half, rel=1e-12)
        )


def test_a_ratio_varies_as_its_influence():
    """`R = N / D` moves by `(a - R d) / mean(d)` a row: as the mean of these."""
    rng = np.random.default_rng(2)
    base, weights, errors = rng.normal(size=80), rng.gamma(1.0, size=80), rng.normal(size=80)
    e = summarise("sndr", base, weights * errors, weights, weights, interval="normal")
    ratio = (weights * errors).sum() / weights.sum()
    assert e.value == pytest.approx(base.mean() + ratio)
    moved = base + ratio + weights * (errors - ratio) / weights.mean()
    assert ends(e) == pytest.approx(naive.hall(moved.tolist(), stats.t.ppf(0.975, 79)), rel=1e-7)


@pytest.mark.parametrize("clicks", (0, 1, 5, 40))
@pytest.mark.parametrize("weight", (1.0, 3.0))
def test_rare_is_garwoods_for_equal_weights(clicks, weight):
    rewards = np.zeros(2_000)
    rewards[:clicks] = 1.0
    e = evaluation.ips(rewards, np.full(2_000, 0.1), np.full(2_000, 0.1 * weight))
    assert e.interval == "rare"
    lower = 0.0 if not clicks else stats.chi2.ppf(0.025, 2 * clicks) / 2
    upper = stats.chi2.ppf(0.975, 2 * clicks + 2) / 2
    assert ends(e) == pytest.approx((weight * lower / 2_000, weight * upper / 2_000), rel=1e-9, abs=1e-12)


def test_rare_is_fay_and_feuers():
    """Two clicks of weight 1/2 and one of 3, a largest weight of 4 among the rest: by chi-square quantiles."""
    weights = np.r_[0.5, 0.5, 3.0, 4.0, np.ones(96)]
    rewards = np.r_[1.0, 1.0, 1.0, np.zeros(97)]
    e = evaluation.ips(rewards, np.full(100, 0.2), 0.2 * weights, interval="rare")
    y, v, w = 0.04, (0.25 + 0.25 + 9.0) / 1e4, 0.04
    lower = v / (2 * y) * stats.chi2.ppf(0.025, 2 * y * y / v)
    upper = (v + w * w) / (2 * (y + w)) * stats.chi2.ppf(0.975, 2 * (y + w) ** 2 / (v + w * w))
    assert ends(e) == pytest.approx((lower, upper), rel=1e-9)
    # self-normalised: of the same rewards, over the sum of the weights
    e = evaluation.snips(rewards, np.full(100, 0.2), 0.2 * weights, interval="rare")
    assert ends(e) == pytest.approx((lower / weights.mean(), upper / weights.mean()), rel=1e-9)


def test_auto_takes_rare_for_few_rewards_that_cannot_be_negative():
    for clicks, expected in ((0, "rare"), (49, "rare"), (50, "normal"), (200, "normal")):
        rewards = np.zeros(5_000)
        rewards[:clicks] = 2.0
        assert evaluation.ips(rewards, np.full(5_000, 0.5), np.full(5_000, 0.5)).interval == expected
        assert evaluation.ips(-rewards - 1e-9, np.full(5_000, 0.5), np.full(5_000, 0.5)).interval == "normal"
    # sixty clicks, one of which weighs as much as thirty: (59 + 30)^2 / (59 + 900) < 50
    rewards = np.r_[np.ones(60), np.zeros(4_940)]
    chosen = np.r_[0.9, np.full(4_999, 0.03)]
    assert evaluation.ips(rewards, np.full(5_000, 0.03), chosen).interval == "rare"
    log = rewards[:49], np.zeros(49, np.int64), np.full(49, 0.5), np.full((49, 2), 0.5), np.full((49, 2), 0.1)
    assert evaluation.dr(*log).interval == "normal"
    assert evaluation.dm(log[3], np.zeros((49, 2))).interval == "normal"


def test_empirical_bernstein_is_maurer_and_pontils():
    """100 rows of weight 2 or 0 on rewards of 1: `sqrt(2 V ln(2 / delta) / n) + 7 R ln(2 / delta) / (3 (n - 1))`."""
    propensities, chosen = np.full(100, 0.5), np.tile([1.0, 0.0], 50)
    e = evaluation.ips(np.ones(100), propensities, chosen, interval="empirical_bernstein")
    log = math.log(2 / 0.025)
    half = math.sqrt(2 * (100 / 99) * log / 100) + 7 * 2.0 * log / (3 * 99)
    assert ends(e) == pytest.approx((1 - half, 1 + half), rel=1e-12)
    wide = evaluation.ips(np.ones(100), propensities, chosen, interval="empirical_bernstein", reward_range=(-1.0, 2.0))
    assert wide.upper - e.upper == pytest.approx(7 * (6.0 - 2.0) * log / (3 * 99), rel=1e-9)
    # DR: q in [0.1, 0.4], so terms in [0.1 - 2 * 0.4, 0.4 + 2 * 0.9]
    model = np.tile([0.1, 0.4], (100, 1))
    target = np.c_[chosen, 1 - chosen]
    e = evaluation.dr(
        np.ones(100), np.zeros(100, np.int64), propensities, target, model, interval="empirical_bernstein"
    )
    terms = np.where(chosen > 0.0, 0.1 + 2 * 0.9, 0.4)
    half = math.sqrt(2 * terms.var(ddof=1) * log / 100) + 7 * (2.2 + 0.7) * log / (3 * 99)
    assert ends(e) == pytest.approx((terms.mean() - half, terms.mean() + half), rel=1e-12)


def test_empirical_bernstein_of_a_ratio_ends_where_it_is_refuted():
    rng = np.random.default_rng(4)
    chosen, rewards = np.minimum(1.0, rng.gamma(1.0, size=3_000) / 4), rng.random(3_000)
    e = evaluation.snips(rewards, np.full(3_000, 0.25), chosen, interval="empirical_bernstein")
    weights, log = chosen / 0.25, math.log(2 / 0.025)
    for x in ends(e):
        parts = weights * (rewards - x)
        half = math.sqrt(2 * parts.var(ddof=1) * log / 3_000) + 7 * weights.max() * log / (3 * 2_999)
        assert abs(parts.mean()) == pytest.approx(half, rel=1e-9)
    assert 0.0 < e.lower < e.value < e.upper < 1.0
    few = evaluation.snips(rewards[:9], np.full(9, 0.25), chosen[:9], interval="empirical_bernstein")
    assert ends(few) == pytest.approx((0.0, 1.0), abs=1e-12)  # nothing is refuted but what cannot be


def test_bootstrap_is_students_ratio_of_resamples():
    """Against resamples by another generator: quantiles within five errors of two sets of 2,000."""
    rng = np.random.default_rng(6)
    n = 150
    base, weights, errors = rng.gamma(0.5, size=n), rng.gamma(1.0, size=n), rng.gamma(0.5, size=n)
    e = summarise("sndr", base, weights * errors, weights, weights, interval="bootstrap", seed=3)
    value = base.mean() + (weights * errors).sum() / weights.sum()
    ratios = []
    for _ in range(2_000):
        rows = rng.integers(0, n, n)
        b, w, x = base[rows], weights[rows], errors[rows]
        ratio = (w * x).sum() / w.sum()
        moved = b - b.mean() + w * (x - ratio) / w.mean()
        ratios.append((b.mean() + ratio - value) / math.sqrt(moved @ moved / (n * (n - 1))))
    moved = base - base.mean() + weights * (errors - (weights * errors).sum() / weights.sum()) / weights.mean()
    error = math.sqrt(moved @ moved / (n * (n - 1)))
    ratios = np.sort(ratios)
    for end, tail in ((e.upper, 0.025), (e.lower, 0.975)):
        place = np.searchsorted(ratios, (value - end) / error) / 2_000
        assert abs(place - tail) < 5.0 * math.sqrt(2.0 * 0.025 * 0.975 / 2_000)


def test_bootstrap_draw_by_draw():
    """The keyed rows of each of 199 resamples, each ratio from its own influences; then the 5th of either side."""
    rng = np.random.default_rng(7)
    n = 40
    base, weights, errors = rng.gamma(0.5, size=n), rng.gamma(1.0, size=n), rng.gamma(0.5, size=n)
    whole = (weights * errors).sum() / weights.sum()
    key, ratios = base_key(11, "bootstrap", 0), []
    for b in range(199):
        rows = [int(n * uniform(fold_in(key, b), np.uint64(i), 0)) for i in range(n)]
        m, w, x = base[rows], weights[rows], errors[rows]
        ratio = (w * x).sum() / w.sum()
        influence = m - m.mean() + w * (x - ratio) / w.mean()
        error = math.sqrt((influence**2).sum() / (n * (n - 1)))
        ratios.append((m.mean() + ratio - base.mean() - whole) / error)
    ratios.sort()
    residuals = weights * (errors - whole)
    found = student_quantiles(base - base.mean(), residuals, weights, 0.025, 11, resamples=199)
    assert found == pytest.approx((ratios[4], ratios[-5]), rel=1e-9)


def test_bootstrap_is_keyed():
    terms = np.random.default_rng(1).gamma(1.0, size=300)
    runs = [summarise("ips", None, terms, None, np.ones(300), interval="bootstrap", seed=seed) for seed in (0, 0, 1)]
    assert ends(runs[0]) == ends(runs[1]) != ends(runs[2])
    assert runs[0].upper == pytest.approx(runs[2].upper, rel=0.05)


def test_bootstrap_of_hardly_any_rewards_has_no_upper_end():
    """A third of the resamples of one reward in 500 hold none: their standard error is unknown."""
    low, high = student_quantiles(np.zeros(500), np.r_[499.0, -np.ones(499)] / 500, np.ones(500), 0.025, 0)
    assert low == -math.inf
    assert high < 3.0


def test_one_row_and_no_spread():
    for interval in ("normal", "bootstrap", "empirical_bernstein"):
        e = evaluation.ips([0.5], [1.0], [1.0], interval=interval)
        assert (e.value, e.lower, e.upper) == (0.5, -math.inf, math.inf)
    for interval in ("normal", "bootstrap"):
        e = evaluation.ips(ONES, ONES, ONES, interval=interval)
        assert (e.value, e.lower, e.upper) == (1.0, 1.0, 1.0)
    e = evaluation.ips([0.5], [1.0], [1.0])
    assert e.interval == "rare"
    assert e.upper < math.inf


@pytest.mark.parametrize("scale", (1e-250, 1e250))
@pytest.mark.parametrize("interval", ("normal", "rare"))
def test_rewards_of_any_size(interval, scale):
    rng = np.random.default_rng(9)
    rewards, chosen = rng.gamma(0.2, size=400), rng.uniform(0.05, 0.5, 400)
    one = evaluation.ips(rewards, ONES / 4, chosen, interval=interval)
    other = evaluation.ips(scale * rewards, ONES / 4, chosen, interval=interval)
    assert [x / scale for x in (other.value, *ends(other))] == pytest.approx([one.value, *ends(one)])


def test_refusals():
    answer = evaluation.ips(ONES, 0.5 * ONES, 0.5 * ONES)
    assert answer.is_answer
    assert answer.refusal is None
    small = evaluation.ips(ONES[:199], 0.5 * ONES[:199], 0.5 * ONES[:199])
    assert not small.is_answer
    assert small.refusal == "the log is worth 199 rows of the evaluated policy, of 199; an answer needs 200"
    assert small.value == 1.0
    assert evaluation.ips(ONES[:199], 0.5 * ONES[:199], 0.5 * ONES[:199], min_ess=199.0).is_answer
    for name in ("ips", "snips"):
        nothing = getattr(evaluation, name)(ONES, 0.5 * ONES, 0.0 * ONES)
        assert "no support" in nothing.refusal
        assert nothing.effective_sample_size == 0.0
        assert nothing.value == 0.0 if name == "ips" else math.isnan(nothing.value)
        assert ends(nothing) == (-math.inf, math.inf)
    off = evaluation.ips(ONES, 0.5 * ONES, 0.6 * ONES)
    assert off.refusal.startswith("the mean weight is 1.2 +- 0 and should be 1: ")
    assert evaluation.ips(ONES, 0.5 * ONES, 0.5049 * ONES).is_answer  # rounded propensities
    assert (
        evaluation.ips(0 * ONES, 0.5 * ONES, 0.5 * ONES).refusal == "none of the 400 rows has a reward other than zero"
    )


def test_the_mean_weight_is_tested_against_its_own_noise():
    rng = np.random.default_rng(3)
    heavy = np.where(rng.random(400) < 0.05, 20.0, 0.0)  # 1 on average, +- 4.4 / 20
    e = evaluation.ips(ONES, ONES / 20, heavy / 20, min_ess=1.0)
    assert abs(e.mean_weight - 1.0) > 0.01
    assert e.is_answer
    clipped = evaluation.ips(ONES, ONES / 20, heavy / 20, clip=5.0, min_ess=1.0)
    assert clipped.is_answer  # the mean is that before clipping
    assert (clipped.mean_weight, clipped.max_weight) == (e.mean_weight, 20.0)
    assert clipped.value == pytest.approx(e.value / 4)


def z_of_tails(kind, n, logs=LOGS):
    """Coverage of each estimator: by how many deviations it, and either tail, is off."""
    out = {}
    for name, (below, above, *_) in evaluating.covered(kind, n, logs).items():
        hits = logs - below - above
        out[name] = [
            evaluating.z_of(hits, 0.95, logs),
            evaluating.z_of(below, 0.025, logs),
            evaluating.z_of(above, 0.025, logs),
        ]
    return out


KINDS = [kind for kind in evaluating.KINDS if kind != "both wrong" and not kind.startswith("rare")]


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_cover_where_one_thing_is_right(kind):
    """200 logs of 1,000 rows; a thousand of either size stand in `make evidence`."""
    for name, (both, below, above) in z_of_tails(kind, 1_000).items():
        assert abs(both) < 4.0, name
        assert below < 4.0, name
        assert above < 4.0, name


def test_intervals_do_not_cover_where_both_are_wrong():
    assert all(both < -10.0 for both, *_ in z_of_tails("both wrong", 5_000, 100).values())


@pytest.mark.parametrize("kind", ("rare, mild", "rare, skewed"))
def test_intervals_of_rare_rewards_cover_at_least_at_their_level(kind):
    """50 rewards of 10,000 rows; the plain interval misses 9 and 21 % of the logs."""
    for name, (both, below, above) in z_of_tails(kind, 10_000).items():
        assert both > -4.0, name
        assert max(below, above) < 4.0, name
    missed = 0
    for seed in range(LOGS):
        rng = np.random.default_rng([1, seed])
        contexts, arms, rewards, propensities = evaluating.fixed_log(rng, 10_000, evaluating.RARE, evaluating.SKEWED)
        terms = evaluating.TARGET[contexts, arms] / propensities * rewards
        missed += abs(terms.mean() - evaluating.truth(evaluating.RARE)) > 1.96 * terms.std() / 100
    assert evaluating.z_of(missed, 0.05, LOGS) > 4.0  # so that the test can tell


@pytest.mark.parametrize("interval", ("bootstrap", "empirical_bernstein"))
def test_other_intervals_cover(interval):
    for name in ("ips", "snips"):
        hits = 0
        for seed in range(LOGS):
            contexts, arms, rewards, propensities = evaluating.fixed_log(np.random.default_rng([2, seed]), 300)
            given = rewards, propensities, evaluating.TARGET[contexts, arms]
            e = getattr(evaluation, name)(*given, interval=interval)
            hits += e.lower <= evaluating.truth() <= e.upper
        assert evaluating.z_of(hits, 0.95, LOGS) > -4.0
        assert interval == "bootstrap" or hits == LOGS


def test_the_bootstrap_of_a_model_that_is_right_in_every_row():
    """What is left of the rows is rounding: no interval of two infinities."""
    model = np.array([[-0.2], [0.37], [0.1], [1.3]])
    e = evaluation.dr(np.ones(4), np.zeros(4, int), np.ones(4), np.ones((4, 1)), model, interval="bootstrap")
    assert e.lower <= e.value <= e.upper
    assert (e.lower, e.upper) == (pytest.approx(1.0), pytest.approx(1.0))


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("interval", ("normal", "bootstrap"))
def test_the_value_is_inside(seed, interval):
    """Of two rows resamples are all alike."""
    rng = np.random.default_rng(seed)
    log = rng.integers(0, 2, 2), rng.integers(0, 2, 2), np.full(2, 0.5), rng.dirichlet(np.ones(2), 2)
    for estimator in (evaluation.dr, evaluation.sndr):
        e = estimator(*log, rng.normal(size=(2, 2)), interval=interval)
        assert e.lower <= e.value <= e.upper


def test_groups_of_rows_bound_as_rows_do(monkeypatch):
    """Their mean is that of the rows, and so is the interval but for the noise of 2,000 resamples."""
    rng = np.random.default_rng(2)
    weights = rng.gamma(0.5, 2.0, 5_001)
    numerators = weights * (rng.random(5_001) < 0.1)

    def bounds():
        return np.array(ends(summarise("x", None, numerators, weights, weights, interval="bootstrap", seed=3)))

    rows = bounds()
    monkeypatch.setattr("seedbed.bandits.evaluation._bootstrap.MOST", 500)
    assert grouped(numerators).size == 500
    np.testing.assert_allclose(grouped(numerators).mean(), numerators.mean(), rtol=1e-12)
    np.testing.assert_allclose(grouped(numerators)[3], numerators[3::500].sum() * 500 / 5_001, rtol=1e-12)
    groups = bounds()
    assert 0.9 < np.diff(groups)[0] / np.diff(rows)[0] < 1.1
    np.testing.assert_allclose(groups, rows, rtol=0.03)

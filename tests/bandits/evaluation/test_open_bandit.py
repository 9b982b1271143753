"""The numbers that the Open Bandit Pipeline published, and what the logs of the production policy cannot say.

The pipeline draws its target by 100,000 simulated slates (seed 12345). So its numbers differ from those of the exact
target by the error of these slates: an estimate that is linear in the target is `sum over positions of value[item]`
averaged over slates, and its error is the standard deviation of that sum over sqrt(100,000).
"""

import functools

import numpy as np
import open_bandit as sample
import pytest

from seedbed.bandits import evaluation

SIMULATED = 100_000
PRINTED = 5e-7  # half of the last digit that was published


@functools.cache
def priors(campaign="all"):
    table = sample.read("production-priors.csv")
    ours = table["campaign"] == campaign
    return table["alpha"][ours].astype(float), table["beta"][ours].astype(float)


@functools.cache
def exact():
    return evaluation.rank_probabilities(sample.production("all"), sample.POSITIONS)


@functools.cache
def slates():
    """The pipeline's own 100,000 slates, `[100,000, 3]`: numpy's legacy generator is frozen."""
    rng, parts = np.random.RandomState(sample.OBP_SEED), []
    for _ in range(10):
        draws = rng.beta(*priors(), size=(SIMULATED // 10, 80))
        parts.append(np.argsort(draws, axis=1)[:, ::-1][:, : sample.POSITIONS])
    return np.concatenate(parts)


@functools.cache
def simulated():
    """Shares of the positions in the pipeline's slates, `[80, 3]`."""
    counts = [np.bincount(column, minlength=80) for column in slates().T]
    return np.array(counts).T / SIMULATED


@functools.cache
def published_rewards():
    """The reward model with the folds of scikit-learn that the pipeline used."""
    return sample.estimated_rewards(sample.log("random-all"), sample.pipeline_folds(10_000))


def error_of(values):
    """Standard error, by the slates, of the mean over them of `sum over positions of values[item, position]`."""
    return values[slates(), range(sample.POSITIONS)].sum(axis=1).std() / np.sqrt(SIMULATED)


def parts(name):
    """What an item at a position adds to an estimate, `[80, 3]`: the estimate is linear in the target's chances."""
    data, rewards = sample.log("random-all"), published_rewards()
    values = np.zeros((80, sample.POSITIONS))
    if name != "dm":
        seen = rewards[np.arange(10_000), data.action] if name == "dr" else 0.0
        np.add.at(values, (data.action, data.positions), (data.clicks - seen) / data.propensities / 10_000)
    if name != "ips":
        for position in range(sample.POSITIONS):
            values[:, position] += rewards[data.positions == position].sum(axis=0) / 10_000
    return values


def test_the_target_is_the_production_policy():
    ranks = exact()
    assert ranks.shape == (80, 3)
    np.testing.assert_allclose(ranks.sum(axis=0), 1.0, atol=1e-7)
    # two of the notebook's printed lines: items 0 and 79
    np.testing.assert_allclose(simulated()[0], [0.01078, 0.00931, 0.00917], atol=1e-12)
    np.testing.assert_allclose(simulated()[79], [0.0582, 0.07603, 0.07998], atol=1e-12)
    error = np.sqrt(ranks * (1.0 - ranks) / SIMULATED)
    assert (np.abs(simulated() - ranks) < 5.0 * error + 1e-7).all()
    # all 240 together: the squares of each position sum to about the 79 degrees of freedom
    for position in range(3):
        squares = ((simulated() - ranks)[:, position] ** 2 / ranks[:, position]).sum() * SIMULATED
        assert abs(squares - 79.0) < 5.0 * np.sqrt(2.0 * 79.0)


@pytest.mark.parametrize("name", ["ips", "dm", "dr"])
def test_the_published_numbers_come_out_of_their_target_and_folds(name):
    made = sample.estimators(sample.log("random-all"), simulated(), published_rewards())[name]()
    # what may be left for an older solver, or another order of rows of one instant, which moves them between folds: a
    # twentieth of what the folds' seed makes of DR (4e-5)
    slack = {"ips": 0.0, "dm": 0.0, "dr": 2e-6}[name]
    assert abs(made.value - sample.PUBLISHED[name]) <= PRINTED + slack


@pytest.mark.parametrize("name", ["ips", "dm", "dr"])
def test_the_exact_target_differs_by_the_error_of_their_slates(name):
    made = sample.estimators(sample.log("random-all"), exact(), published_rewards())[name]()
    values = parts(name)
    assert made.value == pytest.approx((values * exact()).sum(), rel=1e-9)
    error = error_of(values)
    assert 1e-7 < error < 3e-5
    assert abs(made.value - sample.PUBLISHED[name]) < 5.0 * error + 3e-6


def test_self_normalised_beside_their_slates():
    """Not published; a ratio of two linear ones, so its error is that of their difference."""
    data = sample.log("random-all")
    with_exact, with_theirs = (
        sample.estimators(data, ranks, published_rewards())["snips"]() for ranks in (exact(), simulated())
    )
    weights = np.zeros((80, sample.POSITIONS))
    np.add.at(weights, (data.action, data.positions), 1.0 / data.propensities / 10_000)
    error = error_of(parts("ips") - with_exact.value * weights) / with_exact.mean_weight
    assert abs(with_exact.value - with_theirs.value) < 5.0 * error
    assert with_exact.refusal is None and with_exact.effective_sample_size > 1_500


def test_folds_of_our_own_give_the_published_numbers_within_their_spread():
    """Eight seeds of the folds; the published number is one more draw of the same kind."""
    seeds = range(8)
    for name, (mean, deviation) in sample.spread(seeds).items():
        assert abs(mean - sample.PUBLISHED[name]) < 5.0 * deviation * np.sqrt(1.0 + 1.0 / len(seeds))
        assert deviation < 1e-4


def test_the_truth_is_inside_where_an_interval_speaks_of_it():
    made = sample.estimators(sample.log("random-all"), exact(), published_rewards())
    for name in ("ips", "snips", "dr", "sndr"):
        e = made[name]()
        assert e.refusal is None
        assert e.lower < sample.TRUTH < e.upper
        assert e.upper > 2.0 * e.value  # 38 clicks: nothing finer can be said


def test_the_uniform_policy_from_the_logs_of_production():
    """The women's log is worth two rows: no answer. The log of all items is worth some 340, and says little."""
    women, everyone = sample.log("bts-women"), sample.log("bts-all")
    for estimator in (evaluation.ips, evaluation.snips):
        e = estimator(women.clicks, women.propensities, np.full(10_000, 1 / 46))
        assert e.effective_sample_size == pytest.approx(2.078, abs=1e-3)
        assert not e.is_answer
        assert e.refusal == "the log is worth 2.078 rows of the evaluated policy, of 10000; an answer needs 200"
        e = estimator(everyone.clicks, everyone.propensities, np.full(10_000, 1 / 80))
        assert 300 < e.effective_sample_size < 400
        assert e.refusal is None
        assert e.lower < 0.0035 < e.upper  # the random policy's rate over the whole of the data
    full = np.full((10_000, 46), 1 / 46)
    q = evaluation.arm_means(women.action, women.clicks, 46, positions=women.positions)
    assert not evaluation.dr(women.clicks, women.action, women.propensities, full, q).is_answer
    assert not evaluation.ips(women.clicks, women.propensities, np.full(10_000, 1 / 46), min_ess=2.1).is_answer
    assert evaluation.ips(women.clicks, women.propensities, np.full(10_000, 1 / 46), min_ess=2.0).is_answer


def test_replay_of_the_random_log():
    """The production policy, kept as it is, chooses what was logged in one row of 80, at each row's position."""
    data, bandit = sample.log("random-all"), sample.production("all")
    e = evaluation.replay(
        lambda row: bandit.select(k=3).arms[data.positions[row]], data.action, data.clicks, 1 / 80, min_ess=50
    )
    assert abs(e.effective_sample_size - 125) < 5 * np.sqrt(125)
    assert e.value == 0.0 and e.refusal == "none of the 10000 rows has a reward other than zero"
    assert e.lower < sample.TRUTH < e.upper
    assert not evaluation.replay(lambda row: 7, data.action, data.clicks, 1 / 80).is_answer


def test_the_tables_of_the_evidence():
    lines = sample.rows()
    assert [line[0] for line in lines][:3] == ["ips", "ips, clip = 10", "snips"]
    assert all(len(line) == len(sample.HEAD) for line in lines)
    assert float(lines[0][1]) == pytest.approx(4.563, abs=2e-3)
    assert [line[0] for line in sample.uniform_rows()] == ["bts-all", "bts-all", "bts-women", "bts-women"]

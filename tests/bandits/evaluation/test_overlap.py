"""Weights and support: by hand, against plain Python, and against the logs that a policy leaves."""

import math

import numpy as np
import pytest

from seedbed.bandits import evaluation


def test_overlap_by_hand():
    """Weights 4, 1, 0, 0: mean 5 / 4, variance (7.5625 + .0625 + 3.125) / 3, worth 25 / 17 rows."""
    report = evaluation.overlap([0.25, 1.0, 0.5, 0.01], [1.0, 1.0, 0.0, 0.0], clip=3.0)
    assert (report.n, report.mean_weight, report.max_weight, report.zero_share) == (4, 1.25, 4.0, 0.5)
    assert report.effective_sample_size == pytest.approx(25 / 17)
    assert report.z == pytest.approx(0.25 / math.sqrt(10.75 / 3 / 4))
    assert report.thin_share == 4 / 5  # 0.25 < 1 / 3; the other thin row weighs nothing
    assert report.clipped_share == 1 / 5
    assert report.quantiles[0.5] == 0.5
    assert report.refusal == "the log is worth 1.471 rows of the evaluated policy, of 4; an answer needs 200"
    assert report.verdict.startswith("no answer: the log is worth 1.471 rows")


def test_overlap_agrees_with_the_estimate():
    rng = np.random.default_rng(1)
    propensities, chosen = rng.uniform(0.1, 1.0, 900), rng.uniform(0.0, 1.0, 900)
    e, report = evaluation.ips(np.ones(900), propensities, chosen), evaluation.overlap(propensities, chosen)
    assert report.effective_sample_size == e.effective_sample_size
    assert (report.mean_weight, report.max_weight, report.refusal) == (e.mean_weight, e.max_weight, e.refusal)


def test_weights_that_are_all_alike():
    same = evaluation.overlap([0.5] * 300, [0.5] * 300)
    assert (same.z, same.refusal) == (0.0, None)
    assert (
        same.verdict == "the log is worth 300 rows of the evaluated policy, of 300, and its weights average 1, up to 1"
    )
    assert evaluation.overlap([0.5] * 300, [0.6] * 300).z == math.inf
    nothing = evaluation.overlap([0.5] * 300, [0.0] * 300)
    assert math.isnan(nothing.thin_share)
    assert nothing.z == -math.inf
    assert "no support" in nothing.verdict


def test_weights_where_something_could_not_be_logged():
    """A third of the policy on an arm that is never logged: the mean weight is 2/3."""
    rng = np.random.default_rng(2)
    arms = rng.integers(0, 2, 5_000)
    report = evaluation.overlap(np.full(5_000, 0.5), np.array([0.5, 1 / 6])[arms])
    assert report.mean_weight == pytest.approx(2 / 3, abs=0.03)
    assert "never logged" in report.verdict


def test_support_by_hand():
    logging = [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.01, 0.01, 0.98]]
    target = [[0.5, 0.25, 0.25], [0.5, 0.5, 0.0], [0.02, 0.0, 0.98]]
    report = evaluation.support(logging, target)
    assert report.unsupported == pytest.approx(0.25)
    assert report.rows_unsupported == pytest.approx(2 / 3)
    assert report.thin == pytest.approx((0.25 + 0.5 + 0.02) / 3)
    assert report.arms == [1, 2]
    squares = (0.5 + 0.125 + 0.25 + 0.04 + 0.98) / 3
    assert report.expected_size == pytest.approx(3 * 0.75**2 / squares)
    assert report.verdict.startswith("25.00% of the evaluated policy's choices, in 66.67% of the rows, can never be")
    with pytest.raises(ValueError, match="one shape"):
        evaluation.support(logging, target[:2])
    with pytest.raises(ValueError, match=r"logging\[0\] sums to"):
        evaluation.support([[0.5, 0.2]], [[0.5, 0.5]])


def test_the_expected_size_is_that_of_a_log():
    rng = np.random.default_rng(3)
    n = 50_000
    logging, target = rng.dirichlet(np.full(4, 3.0), n), rng.dirichlet(np.full(4, 3.0), n)
    report = evaluation.support(logging, target)
    arms = (logging.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1).clip(max=3)
    rows = np.arange(n)
    size = evaluation.overlap(logging[rows, arms], target[rows, arms]).effective_sample_size
    assert report.unsupported == 0.0
    assert size == pytest.approx(report.expected_size, rel=0.1)
    assert report.verdict.startswith("all choices can be logged; 50000 rows are worth about")


def test_effective_sample_size():
    assert evaluation.effective_sample_size([0.0, 0.0]) == 0.0
    assert evaluation.effective_sample_size([1e300, 1e300]) == 2.0
    assert evaluation.effective_sample_size([1e-300, 1e-300, 0.0]) == 2.0
    assert evaluation.effective_sample_size([]) == 0.0


@pytest.mark.parametrize("skew", [0.0, 1.0, 3.0])
def test_true_propensities_are_plausible(skew):
    """400 logs of a policy a row, up to very skewed ones: z above 5 has a chance of some 1e-4 in all."""
    rng = np.random.default_rng(3)
    for _ in range(400):
        logits = rng.normal(size=(300, 4)) * skew
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        action = (chances.cumsum(axis=1) < rng.random(300)[:, None]).sum(axis=1).clip(max=3)
        assert evaluation.implausible(action, chances[np.arange(300), action], 4) is None


def test_false_propensities_are_not():
    rng = np.random.default_rng(4)
    action = rng.choice(3, 2_000, p=[0.5, 0.3, 0.2])
    said = evaluation.implausible(action, np.full(2_000, 1 / 3), 3)
    assert said.startswith(f"arm 0 was chosen in {(action == 0).sum()} of 2000 rows, 1.")
    assert evaluation.implausible(action, np.array([0.5, 0.3, 0.2])[action], 3) is None
    assert evaluation.implausible(action[:20], np.full(20, 0.01), 3) is None  # too few to judge by
    for bad, message in ((np.zeros(2_000), "propensities"), (np.full(1_999, 0.5), "action must have shape")):
        with pytest.raises(ValueError, match=message):
            evaluation.implausible(action, bad, 3)
    with pytest.raises(ValueError, match=r"action\[.*is not in \[0, 2\)"):
        evaluation.implausible(action, np.full(2_000, 0.5), 2)

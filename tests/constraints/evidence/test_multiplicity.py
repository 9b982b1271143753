import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from constraints.evidence import naive_evidence as naive
from seedbed.constraints import Proportion
from seedbed.constraints.evidence import ELond, adjusted, all_of, any_of, e_bh, posterior_rule

evidence = st.lists(st.floats(0.01, 500), min_size=1, max_size=12)


@given(st.lists(st.lists(st.floats(-50, 50), min_size=3, max_size=3), min_size=1, max_size=6))
def test_any_is_the_mean_and_all_the_least(logs):
    columns = np.array(logs)
    np.testing.assert_allclose(np.exp(any_of(columns)), np.exp(columns).mean(axis=0), rtol=1e-12)
    weights = np.arange(len(logs)) + 1.0
    np.testing.assert_allclose(
        np.exp(any_of(columns, weights)), (np.exp(columns) * (weights / weights.sum())[:, None]).sum(axis=0), rtol=1e-12
    )
    assert all_of(columns).tolist() == [min(column) for column in zip(*logs, strict=True)]


def test_far_evidence_does_not_overflow():
    assert any_of([[5e8], [0.0]])[0] == pytest.approx(5e8 - math.log(2))
    assert any_of([[-np.inf], [3.0]])[0] == pytest.approx(3 - math.log(2))
    assert any_of([[-np.inf], [3.0]], [1, 0])[0] == -np.inf


@given(evidence, st.sampled_from([0.05, 0.2]))
def test_e_bh_is_the_largest_consistent_set(values, alpha):
    scores = [value * alpha / len(values) for value in values]
    chosen = set(np.flatnonzero(e_bh(np.log(values), alpha)).tolist())
    assert chosen == naive.largest_consistent(scores, 0)


@given(evidence, st.integers(0, 20), st.sampled_from([None, 8]))
def test_e_lond_is_the_largest_consistent_set(values, promoted, arms):
    rule, order = ELond(alpha=0.2, arms=arms), np.arange(len(values))[::-1] + 1
    shares = [1 / 8 * (i <= 8) if arms else math.log(2) * (1 / math.log(i + 1) - 1 / math.log(i + 2)) for i in order]
    np.testing.assert_allclose(rule.shares(order), shares, rtol=1e-12)
    scores = [0.2 * share * value for share, value in zip(shares, values, strict=True)]
    chosen = set(np.flatnonzero(rule.promote(np.log(values), order, promoted)).tolist())
    assert chosen == naive.largest_consistent(scores, promoted)


def test_shares_are_at_most_one():
    assert ELond().shares(np.arange(1, 10**6)).sum() == pytest.approx(1 - math.log(2) / math.log(10**6 + 1), rel=1e-9)
    assert ELond(arms=50).shares(np.arange(1, 100)).sum() == pytest.approx(1.0)


def test_levels_grow_with_promotions():
    """By hand: at alpha .2 of 4 arms a level is .05 (D + 1); evidence of 7 promotes after two promotions, not one."""
    rule = ELond(alpha=0.2, arms=4)
    assert [rule.promote([math.log(7)], [4], d).tolist() for d in range(4)] == [[False], [False], [True], [True]]


def test_e_lond_bounds_the_false_share():
    """300 rooms, 240 of them exactly at the limit, 30 looks, promotions as they come; 120 days.

    The false share of a day is in [0, 1], so its mean is known to 3 sd / sqrt(120).
    """
    rng, process, rule = np.random.Generator(np.random.PCG64(11)), Proportion(limit=0.3), ELond(alpha=0.1)
    rates = np.where(np.arange(300) % 5 == 0, 0.5, 0.3)
    shares, found = [], 0
    for _ in range(120):
        seen = np.zeros((2, 300))
        promoted = np.zeros(300, bool)
        for _ in range(30):
            seen += [rng.binomial(20, rates), np.full(300, 20)]
            open_ = np.flatnonzero(~promoted)
            now = rule.promote(process.log_evidence(seen[:, open_]), open_ + 1, int(promoted.sum()))
            promoted[open_[now]] = True
        shares.append((promoted & (rates == 0.3)).sum() / max(promoted.sum(), 1))
        found += (promoted & (rates == 0.5)).sum()
    assert np.mean(shares) <= 0.1 + 3 * np.std(shares) / math.sqrt(120)
    assert found > 0.8 * 60 * 120  # and it does promote


def test_adjuster_by_its_definition():
    mp.mp.dps = 40
    for x in (1e-12, 1e-3, 0.0999, 0.1, 0.5, 3.0, 40.0, 700.0, 1e6):
        wanted = mp.log((mp.exp(x) - 1 - x) / mp.mpf(x) ** 2)
        assert float(adjusted([x])[0]) == pytest.approx(float(wanted), rel=1e-13, abs=1e-13)
    assert adjusted([0.0, -5.0]).tolist() == [math.log(0.5)] * 2


def test_adjuster_is_one():
    """It takes a maximum, P(max >= y) <= 1 / y, to mean 1: the integral of A(y) / y^2 over y > 1."""
    total, _ = integrate.quad(lambda x: math.exp(adjusted([x])[0] - x), 0, 20)
    rest = 1 / 20  # beyond, A(y) / y is 1 / x^2 to exp(-20)
    assert total + rest == pytest.approx(1.0, abs=1e-7)


def test_posterior_rule():
    promoted, false_share = posterior_rule([0.9, 0.89, 1.0], 0.1)
    assert promoted.tolist() == [True, False, True]
    assert false_share == pytest.approx(0.05)
    promoted, false_share = posterior_rule([0.5], 0.1)
    assert promoted.tolist() == [False] and math.isnan(false_share)


@pytest.mark.parametrize(
    "call",
    [
        lambda: any_of([1.0, 2.0]),
        lambda: any_of(np.zeros((0, 2))),
        lambda: any_of([[1.0], [np.nan]]),
        lambda: any_of([[1.0], [2.0]], [1.0]),
        lambda: any_of([[1.0], [2.0]], [0.0, 0.0]),
        lambda: any_of([[1.0], [2.0]], [-1.0, 2.0]),
        lambda: e_bh([1.0], 1.0),
        lambda: e_bh([np.nan], 0.1),
        lambda: ELond().promote([1.0], [0], 0),
        lambda: ELond().promote([1.0, 1.0], [2, 2], 0),
        lambda: ELond().promote([1.0, 1.0], [1], 0),
        lambda: ELond().promote([1.0], [1], -1),
        lambda: posterior_rule([1.1], 0.1),
        lambda: posterior_rule([0.1], 0.0),
    ],
)
def test_bad_arguments(call):
    with pytest.raises(ValueError, match=r"must be|must have|by their arrival"):
        call()


def test_nobody_at_all():
    assert e_bh([], 0.1).tolist() == []
    assert ELond().promote([], [], 0).tolist() == []

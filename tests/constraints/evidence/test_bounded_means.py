import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constraints.evidence import naive_evidence as naive
from seedbed.constraints.evidence import (
    add_bernstein,
    add_betting,
    bernoulli_interval,
    betting_interval,
    empirical_bernstein_interval,
    gamma_exponential_bound,
)
from seedbed.constraints.evidence.bounded_means import _BETS, _NODES

lists = st.lists(st.floats(0, 1), min_size=1, max_size=60)


@given(lists, st.integers(0, 60))
def test_bernstein_counts_add_up(values, cut):
    counts = np.zeros((3, 2))
    add_bernstein(counts, np.ones(len(values)), values)
    np.testing.assert_allclose(counts[:, 1], naive.bernstein_counts(values), rtol=1e-12, atol=1e-15)
    assert not counts[:, 0].any()
    parts = np.zeros((2, 3, 1))
    add_bernstein(parts[0], np.zeros(len(values[:cut])), values[:cut])
    add_bernstein(parts[1], np.zeros(len(values[cut:])), values[cut:])
    whole = naive.bernstein_counts(values[:cut]) + naive.bernstein_counts(values[cut:])
    np.testing.assert_allclose(parts.sum(axis=0)[:, 0], whole, rtol=1e-12, atol=1e-15)


def test_bernstein_interval_is_its_bound():
    lower, upper = empirical_bernstein_interval([[400, 0, 10], [100, 0, 5], [3, 0, 0.2]], alpha=0.05, v_opt=5.0)
    half = float(gamma_exponential_bound(3.0, 0.025, 5.0, c=1.0, alpha_opt=0.025)) / 400
    assert (lower[0], upper[0]) == pytest.approx((0.25 - half, 0.25 + half), rel=1e-12)
    assert (lower[1], upper[1]) == (0.0, 1.0)
    assert (lower[2], upper[2]) == (0.0, 1.0)  # ten values prove nothing


@settings(max_examples=60)
@given(st.lists(st.sampled_from(_NODES.tolist()), min_size=1, max_size=60), st.sampled_from([0.3, 0.05]))
def test_betting_on_nodes_loses_nothing(values, alpha):
    counts = np.zeros((33, 1))
    add_betting(counts, np.zeros(len(values)), values)
    ends = betting_interval(counts, alpha)
    assert (ends[0][0], ends[1][0]) == pytest.approx(naive.betting_ends(values, alpha, _BETS.tolist()), abs=1e-9)


@settings(max_examples=60)
@given(lists)
def test_betting_between_nodes_loses_little_and_never_gains(values):
    counts = np.zeros((33, 1))
    add_betting(counts, np.zeros(len(values)), values)
    assert counts.sum() == pytest.approx(len(values))
    assert (_NODES @ counts)[0] == pytest.approx(sum(values), rel=1e-12, abs=1e-12)  # the mean is kept
    (lower,), (upper,) = betting_interval(counts, 0.05)
    low, high = naive.betting_ends(values, 0.05, _BETS.tolist())
    assert lower <= low + 1e-9 and upper >= high - 1e-9
    assert low - lower < 0.03 and upper - high < 0.03


def test_who_varies_little_is_known_sooner():
    """Of 2,000 values around 1/2 within .05 the sequence for proportions still knows little."""
    values = 0.5 + 0.05 * np.random.Generator(np.random.PCG64(1)).uniform(-1, 1, 2_000)
    counts, bernstein = np.zeros((33, 1)), np.zeros((3, 1))
    add_betting(counts, np.zeros(2_000), values)
    add_bernstein(bernstein, np.zeros(2_000), values)
    lengths = {
        "betting": np.subtract(*betting_interval(counts, 0.05)[::-1])[0],
        "bernstein": np.subtract(*empirical_bernstein_interval(bernstein, 0.05, v_opt=2.0)[::-1])[0],
        "proportion": float(np.subtract(*bernoulli_interval(values.sum(), 2_000, 0.05, t_opt=2_000)[::-1])),
    }
    assert lengths["betting"] < 0.25 * lengths["proportion"]
    assert lengths["bernstein"] < 0.25 * lengths["proportion"]


def test_merged_counts_are_the_counts_of_the_whole():
    values = (np.arange(40) % 2).astype(float)
    whole, left, right = np.zeros((3, 33, 2))
    add_betting(whole, np.arange(40) % 2, values)
    add_betting(left, np.arange(15) % 2, values[:15])
    add_betting(right, np.arange(15, 40) % 2, values[15:])
    assert np.stack(betting_interval(left + right, 0.05)).tobytes() == np.stack(betting_interval(whole, 0.05)).tobytes()


@pytest.mark.parametrize("add", [add_bernstein, add_betting])
@pytest.mark.parametrize("values", [[1.1], [-0.1], [np.nan], [0.5, 0.5]])
def test_bad_values(add, values):
    counts = np.zeros((3 if add is add_bernstein else 33, 1))
    with pytest.raises(ValueError, match=r"is not in \[0, 1\]|must be 2 numbers"):
        add(counts, [0], values)
    assert not counts.any()


@pytest.mark.parametrize(("add", "rows"), [(add_bernstein, 3), (add_betting, 33)])
def test_bad_columns(add, rows):
    counts = np.zeros((rows, 2))
    for columns in ([2], [-1]):
        with pytest.raises(ValueError, match=r"columns must be 1 numbers in \[0, 2\)"):
            add(counts, columns, [0.5])
    for other in (counts[:1], counts.astype(int), np.zeros((2, rows)).T):
        with pytest.raises(ValueError, match="counts must be"):
            add(other, [0], [0.5])


def test_bad_counts():
    with pytest.raises(ValueError, match="add_betting"):
        betting_interval(np.where(np.arange(33)[:, None] == 3, -1.0, 1.0), 0.05)
    with pytest.raises(ValueError, match="alpha"):
        betting_interval(np.zeros((33, 1)), 0.0)
    with pytest.raises(ValueError, match="add_bernstein"):
        empirical_bernstein_interval([[10.0], [11.0], [0.0]], 0.05, 1.0)
    with pytest.raises(ValueError, match=r"\[3, C\]"):
        empirical_bernstein_interval([10.0, 1.0, 0.0], 0.05, 1.0)


def test_nothing_is_known_of_nothing():
    assert [end.tolist() for end in betting_interval(np.zeros((33, 2)), 0.05)] == [[0, 0], [1, 1]]
    assert [end.tolist() for end in empirical_bernstein_interval(np.zeros((3, 2)), 0.05, 1.0)] == [[0, 0], [1, 1]]

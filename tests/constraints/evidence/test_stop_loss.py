import naive
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from seedbed.constraints import StopLoss

RULE = StopLoss(limit=0.02, mixing=(1.0, 24.0), alpha=0.05)


@given(st.integers(0, 200), st.integers(0, 5_000), st.floats(0.001, 0.5), st.floats(0.5, 5), st.floats(1, 100))
def test_evidence_equals_its_definition(s, f, limit, a, b):
    rule = StopLoss(limit=limit, mixing=(a, b))
    assume(stats.beta.sf(limit, a + s, b + f) > 1e-290)  # below, scipy's tail underflows where ours goes on
    wanted = naive.log_evidence(s, s + f, limit, a, b)
    assert rule.log_evidence(s, s + f) == pytest.approx(wanted, rel=1e-9, abs=1e-8)


def test_evidence_is_a_martingale_at_the_limit_or_falls_below_it():
    """E[next] <= E for every rate within the limit: rate E(s + 1, n + 1) + (1 - rate) E(s, n + 1)."""
    s, n = np.meshgrid(np.arange(0, 30), np.arange(30, 400, 7))
    now = np.exp(RULE.log_evidence(s, n))
    harm, fine = np.exp(RULE.log_evidence(s + 1, n + 1)), np.exp(RULE.log_evidence(s, n + 1))
    np.testing.assert_allclose(RULE.limit * harm + (1 - RULE.limit) * fine, now, rtol=1e-9)
    assert (0.01 * harm + 0.99 * fine <= now * (1 + 1e-9)).all()


def test_evidence_rises_with_harm():
    assert (np.diff(RULE.log_evidence(np.arange(0, 100), 1_000)) > 0).all()


def test_exact_probabilities_to_stop():
    """Looks every 10 viewers: 2.2 % at the limit, 88.5 % at twice, 99.99 % at three times within 1,000."""
    at = {rate: naive.stop_probability(rate, 0.02, (1.0, 24.0), 0.05, 10, 100) for rate in (0.02, 0.04, 0.06)}
    assert at[0.02] == pytest.approx(0.022, abs=0.0005)
    assert at[0.04] == pytest.approx(0.885, abs=0.001)
    assert at[0.06] == pytest.approx(0.9999, abs=0.0001)


@pytest.mark.parametrize(
    ("rate", "looks", "exact"), [(0.02, 100, 0.022), (0.04, 100, 0.885), (0.04, 200, 0.995), (0.06, 100, 0.9999)]
)
def test_two_thousand_simulated_rooms(rate, looks, exact):
    rng = np.random.Generator(np.random.PCG64(2026))
    harms = rng.binomial(10, rate, size=(2_000, looks)).cumsum(axis=1)
    stopped = RULE.fires(harms, np.arange(10, 10 * looks + 1, 10)).any(axis=1).mean()
    assert abs(stopped - exact) < 5 * np.sqrt(exact * (1 - exact) / 2_000) + 0.001
    if rate == 0.02:
        assert stopped <= 0.05
    elif rate == 0.04:
        assert stopped >= (0.85 if looks == 100 else 0.98)
    else:
        assert stopped >= 0.99


def test_it_does_not_matter_who_counted():
    """A function of additive counts: two replicas' sums give the very evidence of the whole."""
    assert RULE.log_evidence(3 + 4, 100 + 50) == RULE.log_evidence(7, 150)


@pytest.mark.parametrize(("harms", "exposures"), [(-1, 5), (6, 5), (float("nan"), 5), (1, float("inf"))])
def test_bad_counts(harms, exposures):
    with pytest.raises(ValueError, match="counts"):
        RULE.log_evidence(harms, exposures)


@pytest.mark.parametrize("change", [{"limit": 0.0}, {"limit": 1.0}, {"alpha": 0.0}, {"mixing": (0.0, 1.0)}, {"x": 1}])
def test_bad_numbers(change):
    with pytest.raises(ValueError, match="validation error"):
        StopLoss(**change)

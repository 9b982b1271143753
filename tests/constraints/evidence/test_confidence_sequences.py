import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constraints.evidence import naive_evidence as naive
from seedbed.constraints.evidence import (
    asymptotic_interval,
    bernoulli_interval,
    beta_binomial_bound,
    beta_binomial_interval,
    gamma_exponential_bound,
    gamma_poisson_bound,
    normal_mixture_bound,
    poly_stitching_bound,
)


@pytest.mark.parametrize(
    ("bound", "published"),
    [
        (normal_mixture_bound(100.0, 0.05, 100.0), 30.35209),
        (normal_mixture_bound(100.0, 0.05, 100.0, one_sided=True), 27.66071),
        (gamma_exponential_bound(100.0, 0.05, 100.0, c=2.0), 33.02017),
        (gamma_poisson_bound(100.0, 0.05, 100.0, c=2.0), 30.1949),
        (beta_binomial_bound(100.0, 0.05, 100.0, g=0.2, h=0.8), 31.4308),
        (beta_binomial_bound(100.0, 0.05, 100.0, g=0.2, h=0.8, one_sided=True), 28.41238),
        (poly_stitching_bound(100.0, 0.05, v_min=10.0, c=3.0), 64.48755),
    ],
)
def test_published_constants(bound, published):
    assert float(bound) == pytest.approx(published, abs=5e-6)


@pytest.mark.parametrize(
    ("successes", "trials", "t_opt", "published"),
    [(700, 1000, 100, (0.651629, 0.745949)), (5, 50, 50, (0.013021, 0.269264)), (1, 2, 10, (0.0, 1.0))],
)
def test_published_sequences(successes, trials, t_opt, published):
    """Printed cut off, not rounded, so compared within a unit of the last digit."""
    ends = bernoulli_interval(successes, trials, alpha=0.05, t_opt=t_opt)
    assert tuple(map(float, ends)) == pytest.approx(published, abs=1e-6)


times, levels = st.floats(0.5, 2_000), st.sampled_from([0.2, 0.05, 1e-6])


@settings(max_examples=40)
@given(times, levels, st.floats(1, 1_000), st.sampled_from([0.05, 0.3]), st.booleans())
def test_normal_mixture_is_at_its_threshold(v, alpha, v_opt, alpha_opt, one_sided):
    bound = mp.mpf(float(normal_mixture_bound(v, alpha, v_opt, alpha_opt, one_sided)))
    rho = naive.tuned(v_opt, 2 * alpha_opt if one_sided else alpha_opt)
    assert float(mp.log(naive.normal_mixture(bound, v, rho, one_sided))) == pytest.approx(-math.log(alpha), rel=1e-10)


@settings(max_examples=30)
@given(times, levels, st.floats(5, 500), st.sampled_from([0.5, 1.0, 2.0]))
def test_gamma_mixtures_are_at_their_threshold(v, alpha, v_opt, c):
    rho = naive.tuned(v_opt, 0.1)
    for bound, mixture in (
        (gamma_exponential_bound, naive.log_gamma_exponential_mixture),
        (gamma_poisson_bound, naive.log_gamma_poisson_mixture),
    ):
        s = mp.mpf(float(bound(v, alpha, v_opt, c)))
        assert float(mixture(s, mp.mpf(v), rho, mp.mpf(c))) == pytest.approx(-math.log(alpha), rel=1e-9)


ranges = st.sampled_from([(0.2, 0.8), (0.5, 0.5), (3.0, 1.0)])


@settings(max_examples=30)
@given(st.floats(5, 200), levels, st.floats(1, 300), ranges, st.booleans())
def test_beta_binomial_mixture_is_at_its_threshold(v, alpha, v_opt, reach, one_sided):
    g, h = reach
    s = float(beta_binomial_bound(v, alpha, v_opt, g, h, one_sided=one_sided))
    rho = naive.tuned(v_opt, 0.1 if one_sided else 0.05)
    log = naive.log_beta_binomial_mixture(mp.mpf(s), mp.mpf(v), rho, mp.mpf(g), mp.mpf(h), one_sided)
    if s == v / g:  # the largest sum there is, and no proof
        assert log <= -math.log(alpha) * (1 + 1e-9)
    else:
        assert float(log) == pytest.approx(-math.log(alpha), rel=1e-9)


def test_a_sum_that_cannot_be_larger_is_the_bound():
    """After v / (g h) = 2 values of at most 1/2 the sum is at most 1, and that proves nothing."""
    assert float(beta_binomial_bound(0.5, 0.05, 100.0, g=0.5, h=0.5)) == 1.0


def test_stitching_starts_at_its_least_time():
    flat = poly_stitching_bound([0.0, 5.0, 10.0, 10.1], 0.05, v_min=10.0)
    assert flat[0] == flat[1] == flat[2] < flat[3]
    # by hand, at v_min with c = 0: sqrt(k1^2 v_min l), l = s ln ln eta + ln(zeta(s) / alpha) - s ln ln eta
    k1 = (2**0.25 + 2**-0.25) / math.sqrt(2)
    assert flat[0] == pytest.approx(k1 * math.sqrt(10 * math.log(float(mp.zeta(1.4)) / 0.05)))


@pytest.mark.parametrize("bound", [normal_mixture_bound, poly_stitching_bound])
def test_bounds_grow_with_time_and_keep_the_shape(bound):
    v = np.linspace(0, 1e6, 50).reshape(5, 10)
    values = bound(v, 0.05, 10.0)
    assert values.shape == v.shape
    assert (np.diff(values.ravel()) >= 0).all()
    assert np.ndim(bound(3.0, 0.05, 10.0)) == 0


amounts = st.one_of(st.integers(0, 30), st.integers(0, 10**4), st.integers(0, 10**9), st.floats(1e-3, 1e3))


@settings(max_examples=100)
@given(amounts, amounts, st.sampled_from([0.2, 0.05, 1e-9]), st.sampled_from([(1.0, 1.0), (0.5, 3.0), (40.0, 60.0)]))
def test_ends_of_a_proportion_are_at_the_threshold(s, f, alpha, mixing):
    f = float(s + f) - s  # what is left of it in their sum
    lower, upper = map(float, beta_binomial_interval(s, s + f, alpha, mixing))
    check_ends(s, f, alpha, lower, upper, lambda p: naive.log_share_mixture(s, f, *mixing, p))


@settings(max_examples=100)
@given(amounts, amounts, st.sampled_from([0.2, 0.05, 1e-9]), st.floats(1, 1e6))
def test_ends_of_a_bernoulli_sequence_are_at_the_threshold(s, f, alpha, t_opt):
    f = float(s + f) - s
    lower, upper = map(float, bernoulli_interval(s, s + f, alpha, t_opt))
    m = max(naive.tuned(t_opt, 0.05) - 1, mp.mpf("1e-3"))
    check_ends(s, f, alpha, lower, upper, lambda p: naive.log_share_mixture(s, f, m * p, m * (1 - p), p))


def check_ends(s, f, alpha, lower, upper, log_mixture):
    """The mixture is below 1 / alpha just inside an end and above it just outside."""
    threshold, n = mp.log(1 / mp.mpf(alpha)), s + f
    if n == 0:
        assert (lower, upper) == (0.0, 1.0)
        return
    assert lower <= s / n <= upper
    assert (lower > 0 or s == 0 or log_mixture(mp.mpf(10) ** -300) < threshold) and (lower == 0 or s > 0)
    assert (upper < 1 or f == 0 or log_mixture(1 - mp.mpf(10) ** -16) < threshold) and (upper == 1 or f > 0)
    for end, sign in ((lower, 1), (upper, -1)):
        if not 0 < end < 1:
            continue
        shift = mp.mpf(1e-9) * abs(end - s / n) + mp.mpf(1e-15)
        assert log_mixture(end + sign * shift) < threshold
        if 0 < end - sign * shift < 1:
            assert log_mixture(end - sign * shift) > threshold


@given(st.lists(st.integers(0, 100), min_size=1, max_size=20))
def test_more_certainty_is_a_longer_interval(successes):
    trials = np.full(len(successes), 100)
    short, long = (np.stack(beta_binomial_interval(successes, trials, alpha)) for alpha in (0.1, 0.01))
    assert (long[0] <= short[0]).all()
    assert (long[1] >= short[1]).all()
    flipped = np.stack(beta_binomial_interval(trials - successes, trials, 0.1))
    np.testing.assert_allclose(1 - flipped[::-1], short, rtol=1e-9, atol=1e-12)


def test_sequences_by_hand():
    """No success in 50: `B(1, 51) (1 - p)^-50 = 20`, and B(1, 51) = 1/51."""
    _, upper = beta_binomial_interval(0, 50, 0.05)
    assert float(upper) == pytest.approx(1 - (1 / (51 * 20)) ** (1 / 50), rel=1e-12)


def test_asymptotic_sequence_by_hand():
    """1,000 values, half 0 and half 1: deviation 1/2; r of t_opt = 500, and the formula."""
    log = math.log(1 / 0.05)
    r = (2 * log + math.log(1 + 2 * log)) / 500
    half = 0.5 * math.sqrt(2 * (1000 * r + 1) / (1e6 * r) * math.log(math.sqrt(1000 * r + 1) / 0.05))
    lower, upper = asymptotic_interval([1000], [500], [500], 0.05, t_opt=500)
    assert (lower[0], upper[0]) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-12)


def test_asymptotic_sequence_does_not_speak_early():
    n, s = np.array([99, 100, 499, 500, 1000, 1000, 1000]), np.array([50, 50, 250, 250, 29, 971, 30])

    def speaks(t_opt, proportion):
        lower, upper = asymptotic_interval(n, s, s, 0.05, t_opt, proportion)
        assert (np.isfinite(lower) == np.isfinite(upper)).all()
        assert (lower[~np.isfinite(lower)] == -np.inf).all() and (upper[~np.isfinite(upper)] == np.inf).all()
        return np.isfinite(lower).tolist()

    assert speaks(10, False) == [False, True, True, True, True, True, True]
    assert speaks(500, False) == [False, False, False, True, True, True, True]
    assert speaks(10, True) == [False, True, True, True, False, False, True]


@pytest.mark.parametrize(
    "call",
    [
        lambda: normal_mixture_bound(-1.0, 0.05, 10.0),
        lambda: normal_mixture_bound(1.0, 0.0, 10.0),
        lambda: normal_mixture_bound(1.0, 0.05, 0.0),
        lambda: normal_mixture_bound(1.0, 0.05, 10.0, alpha_opt=0.5, one_sided=True),
        lambda: gamma_exponential_bound(1.0, 0.05, 10.0, c=0.0),
        lambda: gamma_poisson_bound(np.inf, 0.05, 10.0, c=1.0),
        lambda: beta_binomial_bound(1.0, 0.05, 10.0, g=-1.0, h=1.0),
        lambda: poly_stitching_bound(1.0, 0.05, v_min=1.0, s=1.0),
        lambda: bernoulli_interval(1, 2, 0.05, t_opt=0),
        lambda: bernoulli_interval(1, 2, 1.0, t_opt=10),
        lambda: bernoulli_interval([1, 3], [2, 2], 0.05, t_opt=10),
        lambda: beta_binomial_interval([1, 1], [2, np.inf], 0.05),
        lambda: beta_binomial_interval(1, 2, 0.05, mixing=(0.0, 1.0)),
        lambda: asymptotic_interval([5], [3], [np.nan], 0.05, 10),
        lambda: asymptotic_interval([5], [6], [6], 0.05, 10, proportion=True),
        lambda: asymptotic_interval([5], [3], [3], 0.05, 0),
    ],
)
def test_bad_arguments(call):
    with pytest.raises(ValueError, match=r"must be|needs|is not in|are in|finite"):
        call()

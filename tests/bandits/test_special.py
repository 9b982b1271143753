import math
from itertools import pairwise

import mpmath
import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from seedbed.bandits import _special as ours

SHAPES = st.floats(-2, 6).map(lambda e: 10.0**e)
LOGITS = st.floats(-30, 30)


def ulps(a, b):
    """Tolerance of a tail, as stated in the module: it grows with a + b."""
    return 2e-13 if a + b <= 1e3 else 1e-9


@given(SHAPES, SHAPES)
def test_log_beta(a, b):
    """mpmath, because scipy's betaln is wrong by 7e-11 at (1, 1e5)."""
    with mpmath.workdps(30):
        wanted = float(mpmath.log(mpmath.beta(a, b)))
    assert ours.log_beta(a, b) == pytest.approx(wanted, rel=1e-14, abs=2e-14)


@given(st.floats(10, 1e8))
def test_stirling_correction(z):
    with mpmath.workdps(40):
        x = mpmath.mpf(z)
        wanted = float(mpmath.loggamma(x) - ((x - 0.5) * mpmath.log(x) - x + mpmath.log(2 * mpmath.pi) / 2))
    assert ours.stirling_correction(z) == pytest.approx(wanted, rel=1e-14)


@given(SHAPES, SHAPES, LOGITS)
def test_tails_equal_scipy(a, b, z):
    x = ours.sigmoid(z)
    lower, upper, _ = ours.log_beta_tails(a, b, z)
    if 0.0 < x < 1.0 - 1e-6:  # beyond, x itself has lost what z still tells
        wanted = special.betainc(a, b, x), special.betaincc(a, b, x)
        slack = ulps(a, b) + 4e-16 * (a + b)  # x is z rounded: scipy's answer moves by that much
        if wanted[0] > 1e-280:
            assert math.exp(lower) == pytest.approx(wanted[0], rel=slack)
        if wanted[1] > 1e-280:
            assert math.exp(upper) == pytest.approx(wanted[1], rel=slack)
    assert math.exp(lower) + math.exp(upper) == pytest.approx(1.0, abs=1e-9)


@given(st.floats(0.01, 1e3), st.floats(0.01, 1e3), LOGITS)
def test_density_is_the_derivative_of_the_tail(a, b, z):
    h = 1e-4
    rise = math.exp(ours.log_beta_tails(a, b, z + h)[0]) - math.exp(ours.log_beta_tails(a, b, z - h)[0])
    density = math.exp(ours.log_beta_density(a, b, z))
    assert rise / (2 * h) == pytest.approx(density, rel=1e-4, abs=1e-9)


@given(SHAPES, SHAPES, st.floats(1e-12, 1 - 1e-12))
def test_quantile_inverts_the_upper_tail(a, b, u):
    z = ours.beta_logit_quantile(a, b, u)
    upper = math.exp(ours.log_beta_tails(a, b, z)[1])
    assert upper == pytest.approx(u, rel=5e-10, abs=1e-13)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (0.5, 0.5), (3, 200), (500, 500), (1e5, 3e5), (2.5, 0.7)])
def test_quantile_equals_scipy(a, b):
    for u in (1e-9, 0.01, 0.3, 0.5, 0.77, 0.99, 1 - 1e-9):
        assert ours.sigmoid(ours.beta_logit_quantile(a, b, u)) == pytest.approx(stats.beta.isf(u, a, b), rel=1e-9)


@given(st.floats(-6, 13).map(lambda e: 10.0**e), st.floats(-6, 13).map(lambda e: 10.0**e), st.floats(-16, -0.31))
def test_quantile_of_any_shapes(a, b, exponent):
    """The error of z: that of the tail over its hazard, in spreads, and the rounding of ln(a / b) and of z."""
    for u in (10.0**exponent, 1.0 - 10.0**exponent):
        z = ours.beta_logit_quantile(a, b, u)
        lower, upper, log_density = ours.log_beta_tails(a, b, z)
        tail, wanted = (upper, math.log(u)) if u <= 0.5 else (lower, math.log1p(-u))
        spread = math.sqrt(1 / a + 1 / b) + 1 / a + 1 / b
        error = (tail - wanted) * math.exp(tail - log_density)
        assert abs(error) <= 5e-12 * spread + 1e-15 * (abs(z) + abs(math.log(a / b)))


@pytest.mark.parametrize(("a", "b"), [(60, 940), (20, 3e4), (15, 15), (14, 200), (2.5, 0.7), (3e5, 1e9), (0.8, 1e3)])
def test_tails_in_high_precision(a, b):
    """At both ends of the series in t, too: by the power series of mpmath, at the very z."""
    for w in (-6.0, -2.0, -0.3, 0.0, 0.3, 2.0, 6.0):
        z = math.log(a / b) + w * math.sqrt(1 / a + 1 / b)
        lower, upper, log_density = ours.log_beta_tails(a, b, z)
        with mpmath.workdps(300):
            s, f, x = mpmath.mpf(a), mpmath.mpf(b), 1 / (1 + mpmath.exp(-mpmath.mpf(z)))
            density = s * mpmath.log(x) + f * mpmath.log(1 - x) - mpmath.log(mpmath.beta(s, f))
            if a + b <= 1e5:  # I_x = density / a * sum of (a + b)_k / (a + 1)_k x^k
                below = mpmath.exp(density) / s * mpmath.hyp2f1(1, s + f, s + 1, x)
                assert lower == pytest.approx(float(mpmath.log(below)), abs=ulps(a, b))
                assert upper == pytest.approx(float(mpmath.log(1 - below)), abs=ulps(a, b))
        assert log_density == pytest.approx(float(density), abs=ulps(a, b))


@given(SHAPES, SHAPES, LOGITS)
def test_density_far_from_the_mean(a, b, z):
    """`a ln x + b ln y - ln B(a, b)`: its error is that of the powers, with the rounding of ln(a / b) and of z."""
    with mpmath.workdps(60):
        s, f, e = mpmath.mpf(a), mpmath.mpf(b), mpmath.exp(-mpmath.mpf(z))
        wanted = float(-s * mpmath.log1p(e) - f * mpmath.log1p(1 / e) - mpmath.log(mpmath.beta(s, f)))
    x = ours.sigmoid(z)
    slack = 1e-15 * (abs(z) + abs(math.log(a / b))) * (b * x + a * (1 - x))
    assert ours.log_beta_density(a, b, z) == pytest.approx(wanted, rel=2e-14, abs=2e-13 + slack)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (0.5, 0.5), (60, 940), (14.9, 16), (5e8, 3), (0.01, 7), (1e-4, 1e-4)])
def test_quantile_falls_with_the_tail(a, b):
    z = [ours.beta_logit_quantile(a, b, u) for u in np.linspace(1e-4, 1 - 1e-4, 4001)]
    assert all(before > after for before, after in pairwise(z))
    mirrored = [ours.beta_logit_quantile(b, a, u) for u in np.linspace(1 - 1e-4, 1e-4, 4001)]
    assert z == pytest.approx([-m for m in mirrored], rel=1e-9, abs=1e-12 * max(1.0, 1.0 / a))


@pytest.mark.parametrize("b", [1e-6, 0.3, 1.0, 40.0, 1e13])
def test_closed_forms_join_the_general_case(b):
    for u in (1e-12, 0.3, 0.5, 0.9):
        z = ours.beta_logit_quantile(1.0, b, u)
        assert ours.log_beta_tails(1.0, b, z)[1] == pytest.approx(math.log(u), rel=1e-12)
        assert ours.beta_logit_quantile(1.0 + 1e-13, b, u) == pytest.approx(z, rel=1e-11, abs=1e-11)
        assert ours.log_beta_tails(1.0 + 1e-13, b, z) == pytest.approx(ours.log_beta_tails(1.0, b, z), rel=1e-10)


def test_draws_beyond_the_reach_of_theta_still_differ():
    """Beta(1, .01) rounds to 1.0 in 69 % of draws: P(theta > 1 - 2**-54) = 2**(-.54) = .688."""
    logits = [ours.beta_logit_quantile(1.0, 0.01, u) for u in np.linspace(0.01, 0.6, 50)]
    assert all(ours.sigmoid(z) == 1.0 for z in logits)
    assert len(set(logits)) == 50
    assert logits == sorted(logits, reverse=True)


# evidence: SMPyBandits' doctests, printed by a truncated bisection
@pytest.mark.parametrize(("p", "q", "value"), [(0.1, 0.9, 1.757779), (0.4, 0.5, 0.020135), (0.01, 0.99, 4.503217)])
def test_published_divergences(p, q, value):
    assert ours.kl_bernoulli(p, q) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("mean", "level", "value"),
    [
        (0.1, 0.2, 0.378391),
        (0.5, 0.2, 0.787088),
        (0.9, 0.2, 0.994489),
        (0.1, 0.4, 0.519475),
        (0.1, 0.9, 0.734714),
        (0.5, 0.4, 0.871035),
        (0.5, 0.9, 0.956809),
        (0.9, 0.4, 0.999285),
    ],
)
def test_published_inversions(mean, level, value):
    assert ours.kl_upper_bernoulli(mean, level) == pytest.approx(value, abs=2e-6)


@given(st.floats(0, 1), st.floats(0, 20))
def test_inversion_is_the_largest_mean_not_refuted(p, level):
    q = ours.kl_upper_bernoulli(p, level)
    assert p <= q <= 1.0
    if q < 1.0:
        assert ours.kl_bernoulli(p, max(q - 1e-12, p)) <= level + 1e-12
        assert ours.kl_bernoulli(p, min(q + 1e-12, 1.0)) >= level - 1e-12
    assert q == pytest.approx(naive.kl_upper(p, level), abs=1e-7)


def test_divergence_at_the_edges():
    assert ours.kl_bernoulli(0.0, 0.0) == ours.kl_bernoulli(1.0, 1.0) == ours.kl_bernoulli(0.3, 0.3) == 0.0
    assert ours.kl_bernoulli(0.5, 0.0) == ours.kl_bernoulli(0.5, 1.0) == math.inf
    assert ours.kl_upper_bernoulli(0.0, 1.0) == pytest.approx(1 - math.exp(-1))

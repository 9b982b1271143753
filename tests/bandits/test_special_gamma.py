import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from seedbed.bandits import _special_gamma as ours
from seedbed.bandits import _special_laplace as laplace


def exact(a, z):
    """Both tails by the power series, all its terms positive (mpmath's gammainc may take minutes)."""
    a, x = mpmath.mpf(a), mpmath.exp(mpmath.mpf(z))
    term = total = mpmath.mpf(1)
    k = 0
    while term > mpmath.eps * total:
        k += 1
        term *= x / (a + k)
        total += term
    below = mpmath.exp(a * mpmath.mpf(z) - x - mpmath.loggamma(a + 1)) * total
    return below, 1 - below


SHAPES = st.floats(-6, 13).map(lambda e: 10.0**e)
TAILS = st.one_of(st.floats(-16, -0.31).map(lambda e: 10.0**e), st.floats(1e-6, 1 - 1e-15))


@pytest.mark.parametrize("a", [1e-6, 0.01, 0.0999, 0.1, 0.5, 1, 3.3, 14.9, 15, 60, 300])
def test_tails(a):
    """Around the mean and far out, among them both ends of the series in t."""
    for w in (-20.0, -3.0, -0.6, -1e-4, 0.0, 0.4, 2.0, 6.0):
        z = math.log(a) + w / math.sqrt(a) if a >= 1 else (math.log(a) + w / a if w < 0 else w - 3.0)
        lower, upper, log_density = ours.gamma_log_tails(a, z)
        with mpmath.workdps(260):
            below, above = exact(a, z)
            density = a * mpmath.mpf(z) - mpmath.exp(mpmath.mpf(z)) - mpmath.loggamma(a)
            wanted = mpmath.log(below), mpmath.log(above), density
        slack = 4e-16 * abs(z) * abs(a - math.exp(z))  # z rounded, less its ln a
        assert lower == pytest.approx(float(wanted[0]), rel=1e-12, abs=1e-13 + slack)
        assert upper == pytest.approx(float(wanted[1]), rel=1e-12, abs=1e-13 + slack)
        assert log_density == pytest.approx(float(wanted[2]), rel=1e-12, abs=1e-13 + slack)
        assert ours.gamma_log_density(a, z) == log_density


def test_upper_tail_of_a_tiny_shape():
    """P(X > x) is about a E1(x): of the order of a, and exact to its own size."""
    for a in (1e-6, 1e-3, 0.05):
        for z in (-9.0, -2.0, -0.01, 0.5):
            with mpmath.workdps(60):
                wanted = exact(a, z)[1]
            assert math.exp(ours.gamma_log_tails(a, z)[1]) == pytest.approx(float(wanted), rel=1e-12)


@pytest.mark.parametrize("a", [1e3, 1e5, 1e6])
def test_large_shapes(a):
    """Not against scipy, whose gammainc is wrong by 4e-6 five deviations below 1e6."""
    for w in (-9.0, -5.0, -0.3, 0.0, 2.0, 12.0):
        z = math.log(a) + w / math.sqrt(a)
        with mpmath.workdps(60):
            wanted = [float(mpmath.log(tail)) for tail in exact(a, z)]
        slack = 4e-16 * math.log(a) * math.sqrt(a) * (abs(w) + 1)  # ln a is rounded
        assert ours.gamma_log_tails(a, z)[:2] == pytest.approx(wanted, rel=1e-13, abs=1e-13 + slack)


@pytest.mark.parametrize("w", [-7.0, -2.0, 0.0, 0.5, 5.0])
def test_largest_shapes_become_normal(w):
    """The skewness of ln X is -1 / sqrt(a): the first correction of the tail is (Q_1 = -1/3) density / sqrt(a)."""
    a = 1e13
    z = math.log(a) + w / math.sqrt(a)
    s = z - math.log(a)
    t = math.sqrt(a) * s * (1 + s / 6)
    wanted = stats.norm.sf(t) - stats.norm.pdf(t) / 3 / math.sqrt(a)
    assert math.exp(ours.gamma_log_tails(a, z)[1]) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("skew", [-1.0, -0.3, 0.0, 0.8, 1.0])
def test_series_equals_quadrature(skew):
    """The density exp(-n bend(s)) integrated as it stands, against the series in t."""
    m, n = (1.0 - skew) / 2.0, 17.0

    def bend(s):
        if abs(skew) == 1.0:
            return (mpmath.exp(skew * s) - 1 - skew * s) if skew else 0
        return (mpmath.log(1 - m + m * mpmath.exp(s)) - m * s) / (m * (1 - m))

    with mpmath.workdps(25):
        for s in (0.0, 0.1, 0.4):
            start = bend(mpmath.mpf(s))
            area = mpmath.quad(lambda v, c=start: mpmath.exp(-n * (bend(v) - c)), [s, s + 1, s + 2, s + 4, s + 8])
            ratio = laplace.series_tail(n, skew, math.sqrt(2.0 * float(start)))
            assert ratio == pytest.approx(float(area), rel=3e-14)


@given(SHAPES, TAILS)
def test_quantile_inverts_the_tails(a, u):
    z = ours.gamma_log_quantile(a, u)
    lower, upper, log_density = ours.gamma_log_tails(a, z)
    tail, wanted = (upper, math.log(u)) if u <= 0.5 else (lower, math.log1p(-u))
    hazard = math.exp(log_density - tail)
    assert abs(tail - wanted) <= 1e-12 + hazard * (1e-12 / math.sqrt(a) + 1e-15 * (abs(z) + math.log(a + 1)))


@pytest.mark.parametrize("a", [0.03, 0.5, 1, 2.5, 15, 40, 1e4])
def test_quantile_equals_scipy(a):
    for u in (1e-9, 0.01, 0.3, 0.5, 0.77, 0.99):
        assert math.exp(ours.gamma_log_quantile(a, u)) == pytest.approx(special.gammainccinv(a, u), rel=1e-10)


@pytest.mark.parametrize("a", [1e-4, 0.3, 1.0, 1.0001, 7.0, 1e3, 1e9])
def test_quantile_falls_with_the_tail(a):
    z = [ours.gamma_log_quantile(a, u) for u in np.linspace(1e-4, 1 - 1e-4, 2001)]
    assert all(before > after for before, after in pairwise(z))

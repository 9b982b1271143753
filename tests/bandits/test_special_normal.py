import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seedbed.bandits import _special_normal as ours
from seedbed.bandits import _special_student as student
from seedbed.bandits._bounds import rough_normal

DEGREES = st.floats(-0.3, 12).map(lambda e: 10.0**e)


@given(st.floats(-38, 100))
def test_log_upper(t):
    with mpmath.workdps(40):
        wanted = float(mpmath.log(mpmath.erfc(mpmath.mpf(t) / mpmath.sqrt(2)) / 2))
    assert ours.normal_log_upper(t) == pytest.approx(wanted, rel=2e-14)


@given(st.floats(0, 100))
def test_mills_ratio(t):
    with mpmath.workdps(40):
        x = mpmath.mpf(t)
        wanted = float(mpmath.sqrt(mpmath.pi / 2) * mpmath.exp(x * x / 2) * mpmath.erfc(x / mpmath.sqrt(2)))
    assert ours.mills_ratio(t) == pytest.approx(wanted, rel=2e-14)


@given(st.floats(-300, -1e-9).map(lambda e: 10.0**e))
def test_quantile_is_precise(u):
    """The error of t is that of the tail over the density, in mpmath."""
    t = ours.normal_upper_quantile(u)
    with mpmath.workdps(40):
        excess = mpmath.erfc(mpmath.mpf(t) / mpmath.sqrt(2)) / 2 - mpmath.mpf(u)
        error = float(excess / mpmath.npdf(t))
    assert abs(error) <= 2e-15 * abs(t) + 1e-16


def test_quantile_falls_with_the_tail():
    t = [ours.normal_upper_quantile(u) for u in np.linspace(1e-6, 1 - 1e-6, 20_001)]
    assert all(a > b for a, b in pairwise(t))
    assert ours.normal_upper_quantile(0.5) == 0.0


@pytest.mark.parametrize("nu", [0.5, 1, 2, 3.7, 5, 50, 400])
def test_student_tails(nu):
    for t in (-1e5, -30.0, -3.0, -0.2, 0.0, 1e-9, 0.7, 2.5, 12.0, 1e4):
        lower, upper, log_density = student.student_log_tails(t, nu)
        with mpmath.workdps(40):
            n, x = mpmath.mpf(nu), mpmath.mpf(t)
            tail = mpmath.betainc(n / 2, 0.5, 0, n / (n + x * x), regularized=True) / 2
            density = mpmath.gamma((n + 1) / 2) / mpmath.gamma(n / 2) / mpmath.sqrt(n * mpmath.pi)
            density *= (1 + x * x / n) ** (-(n + 1) / 2)
            big = mpmath.log1p(-tail)
            wanted = (float(big), float(mpmath.log(tail))) if t > 0 else (float(mpmath.log(tail)), float(big))
            wanted_density = float(mpmath.log(density))
        assert (lower, upper) == (pytest.approx(wanted[0], rel=1e-13), pytest.approx(wanted[1], rel=1e-13))
        assert log_density == pytest.approx(wanted_density, rel=1e-13, abs=1e-13)
        assert student.student_log_density(t, nu) == pytest.approx(log_density, rel=1e-14)


def test_the_rough_quantile_is_within_5e_4():
    for u in np.concatenate([2.0 ** -np.arange(1.0, 53.0, 0.01), 1.0 - 2.0 ** -np.arange(1.0, 52.0, 0.01)]):
        assert abs(rough_normal(u) - ours.normal_upper_quantile(u)) < 5e-4


@given(st.floats(-30, 30))
def test_student_becomes_normal(t):
    """The first term of the difference is t^4 / (4 nu), relative to the tail."""
    for nu in (1e12, 1e15, 1e17, math.inf):
        assert student.student_log_tails(t, nu)[1] == pytest.approx(ours.normal_log_upper(t), rel=1e-9)


@given(DEGREES, st.floats(-16, -0.01).map(lambda e: 10.0**e), st.booleans())
def test_student_quantile_inverts_the_tails(nu, u, mirrored):
    t = student.student_upper_quantile(1.0 - u if mirrored else u, nu)
    u = 1.0 - (1.0 - u) if mirrored else u  # as rounded
    lower, upper, _ = student.student_log_tails(t, nu)
    if u > 0.0:
        assert (lower if mirrored else upper) == pytest.approx(math.log(u), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("nu", [0.5, 1, 2, 5, 50, 1e4])
def test_student_quantile_equals_scipy(nu):
    for u in (1e-9, 0.01, 0.3, 0.77, 0.99):
        assert student.student_upper_quantile(u, nu) == pytest.approx(stats.t.isf(u, nu), rel=1e-9)
    assert student.student_upper_quantile(0.5, nu) == pytest.approx(0.0, abs=4e-15)

import math

import numpy as np
import pytest
from scipy import stats

from seedbed.bandits import _families as ours

# family, p, q, r, the distribution of theta
CASES = [
    (ours.BETA, 60.0, 940.0, 0.0, stats.beta(60, 940)),
    (ours.BETA, 0.7, 2.0, 0.0, stats.beta(0.7, 2)),
    (ours.NORMAL, -2.0, 0.3, 0.0, stats.norm(-2, 0.3)),
    (ours.STUDENT, 1.0, 2.5, 4.5, stats.t(4.5, 1, 2.5)),
    (ours.STUDENT, 1.0, 2.5, 800.0, stats.t(800, 1, 2.5)),
    (ours.GAMMA, 3.5, 20.0, 0.0, stats.gamma(3.5, scale=1 / 20)),
    (ours.GAMMA, 500.0, 0.01, 0.0, stats.gamma(500, scale=100)),
    (ours.GUMBEL, -1.5, 0.0, 0.0, stats.gumbel_r(-1.5)),
]
slope = {ours.BETA: lambda x: x * (1 - x), ours.GAMMA: lambda x: x}


@pytest.mark.parametrize(("family", "p", "q", "r", "theta"), CASES)
def test_tails_and_density(family, p, q, r, theta):
    for u in (1e-8, 0.02, 0.4, 0.5, 0.9, 1 - 1e-8):
        x = float(theta.isf(u))
        lower, upper, log_density = ours.log_tails(family, p, q, r, ours.z_of(family, x))
        assert (lower, upper) == (pytest.approx(theta.logcdf(x), rel=1e-9), pytest.approx(theta.logsf(x), rel=1e-9))
        wanted = theta.logpdf(x) + math.log(slope.get(family, lambda x: 1.0)(x))  # dtheta / dz
        assert log_density == pytest.approx(wanted, rel=1e-9, abs=1e-9)
        assert ours.log_density(family, p, q, r, ours.z_of(family, x)) == pytest.approx(log_density, rel=1e-13)


@pytest.mark.parametrize(("family", "p", "q", "r", "theta"), CASES)
def test_quantile_center_and_spread(family, p, q, r, theta):
    for u in (1e-9, 0.02, 0.4, 0.5, 0.9, 1 - 1e-9):
        z = ours.upper_quantile(family, p, q, r, u)
        assert ours.theta_of(family, z) == pytest.approx(theta.isf(u), rel=1e-8)
        assert ours.z_of(family, ours.theta_of(family, z)) == pytest.approx(z, rel=1e-12)
    z = [ours.upper_quantile(family, p, q, r, u) for u in (np.arange(4000) + 0.5) / 4000]
    spread = ours.spread_of(family, p, q, r)
    assert spread == pytest.approx(np.std(z), rel=0.03)
    assert abs(ours.center_of(family, p, q, r) - np.mean(z)) < 0.5 * spread


@pytest.mark.parametrize(("family", "p", "q", "r", "theta"), CASES)
def test_mean(family, p, q, r, theta):
    assert ours.mean_of(family, p, q, r) == pytest.approx(theta.mean(), rel=1e-14)


def test_far_tails_of_the_maximum():
    assert ours.log_tails(ours.GUMBEL, 1.0, 0.0, 0.0, 901.0)[1] == -900.0
    assert ours.log_tails(ours.GUMBEL, 0.0, 0.0, 0.0, -5.0)[0] == -math.exp(5.0)
    assert ours.log_tails(ours.GUMBEL, 0.0, 0.0, 0.0, 39.99)[1] == pytest.approx(-39.99, rel=1e-15)


def test_tiny_shapes_have_a_sensible_spread():
    for family, p, q in ((ours.BETA, 1e-3, 1e-3), (ours.GAMMA, 1e-3, 5.0), (ours.BETA, 0.01, 50.0)):
        z = [ours.upper_quantile(family, p, q, 0.0, u) for u in (np.arange(20_000) + 0.5) / 20_000]
        assert ours.spread_of(family, p, q, 0.0) == pytest.approx(np.std(z), rel=0.03)

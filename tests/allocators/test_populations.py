import numpy as np
import pytest
from scipy import stats

from seedbed.allocators.cold_start import Atoms, BetaPopulation, GammaPopulation
from seedbed.allocators.cold_start.populations import moment_beta

ATOMS = Atoms(support=(0.1, 0.2, 0.6), weights=(0.5, 0.25, 0.25))


@pytest.mark.parametrize(
    ("population", "law"),
    [
        (BetaPopulation(a=3.0, b=7.0), stats.beta(3.0, 7.0)),
        (GammaPopulation(shape=2.5, rate=40.0), stats.gamma(2.5, scale=1 / 40.0)),
        (ATOMS, stats.rv_discrete(values=([1, 2, 6], ATOMS.weights))),
    ],
)
def test_moments_and_quantiles_equal_scipy(population, law):
    unit = 0.1 if population is ATOMS else 1.0
    assert population.mean == pytest.approx(unit * law.mean())
    assert population.variance == pytest.approx(unit**2 * law.var())
    for level in (0.1, 0.5, 0.51, 0.75, 0.76, 0.999):
        assert population.quantile(level) == pytest.approx(unit * law.ppf(level))


def test_atoms_from_arrays_sum_to_one_and_leave_out_what_is_next_to_nothing():
    found = Atoms.of(np.array([0.1, 0.2, 0.3]), np.array([2.0, 1e-12, 6.0]))
    assert (found.support, found.weights) == ((0.1, 0.3), (0.25, 0.75))


def test_moment_beta_has_the_moments():
    a, b = moment_beta(ATOMS)
    assert stats.beta(a, b).mean() == pytest.approx(ATOMS.mean)
    assert stats.beta(a, b).var() == pytest.approx(ATOMS.variance)
    assert moment_beta(BetaPopulation(a=3.0, b=7.0)) == (3.0, 7.0)
    a, b = moment_beta(Atoms(support=(0.25,), weights=(1.0,)))
    assert (a, b) == (pytest.approx(2.5e5), pytest.approx(7.5e5))


@pytest.mark.parametrize(
    ("support", "weights", "text"),
    [
        ((0.1, 0.2), (1.0,), "support has 2 rates and weights 1"),
        ((0.2, 0.1), (0.5, 0.5), "ascending"),
        ((0.1, 0.1), (0.5, 0.5), "ascending"),
        ((0.1, 0.2), (0.5, 0.4), "sum to 0.9"),
        ((0.0, 0.2), (0.5, 0.5), "greater than 0"),
        ((0.1, 0.2), (1.0, 0.0), "greater than 0"),
        ((), (), "at least 1"),
        ((float("nan"),), (1.0,), "support"),
    ],
)
def test_bad_atoms(support, weights, text):
    with pytest.raises(ValueError, match=text):
        Atoms(support=support, weights=weights)

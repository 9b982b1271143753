"""Chances under prices, against frequencies and against cases with an answer of their own."""

import numpy as np
import pytest
from scipy import integrate, stats

from seedbed.bandits._families import BETA, GAMMA, NORMAL
from seedbed.bandits._priced_propensity import priced_inclusion
from seedbed.bandits.propensity import inclusion

DRAWS = 100_000


def frequencies(family, parameters, scales, offsets, k, seed):
    rng = np.random.default_rng(seed)
    shape = (DRAWS, scales.size)
    if family == BETA:
        theta = rng.beta(parameters[0], parameters[1], shape)
    elif family == GAMMA:
        theta = rng.gamma(parameters[0], 1.0 / parameters[1], shape)
    else:
        theta = rng.normal(parameters[0], parameters[1], shape)
    top = np.argpartition(-(scales * theta - offsets), k - 1, axis=1)[:, :k]
    return np.bincount(top.ravel(), minlength=scales.size) / DRAWS


@pytest.mark.parametrize("family", [BETA, GAMMA, NORMAL])
@pytest.mark.parametrize("seed", range(8))
def test_chances_are_frequencies(family, seed):
    rng = np.random.default_rng(seed)
    size, k = int(rng.integers(2, 25)), int(rng.integers(1, 3))
    evidence = [0.0, 3.0, 100.0, 5_000.0][seed % 4]
    parameters = np.stack([1.0 + evidence * rng.random(size), 1.0 + evidence * rng.random(size), np.zeros(size)])
    scales = 1.0 + rng.random(size)
    offsets = [0.0, 0.05, 0.5][seed % 3] * rng.random(size)
    if seed > 5:
        scales[0] = -0.5  # its reward does harm
    chances = priced_inclusion(family, parameters, scales, offsets, k)
    assert abs(chances.sum() - k) < 1e-7
    observed = frequencies(family, parameters, scales, offsets, k, 100 + seed)
    z = (observed - chances) / np.sqrt(np.maximum(chances * (1.0 - chances), 1.0 / DRAWS) / DRAWS)
    assert np.abs(z).max() < 5.0


def test_two_arms_against_an_integral():
    """P(s X - o > Y) for X, Y of two Betas, by adaptive quadrature of scipy."""
    a, b, c, d, scale, offset = 3.0, 5.0, 40.0, 60.0, 1.3, 0.07
    x, y = stats.beta(a, b), stats.beta(c, d)
    expected = integrate.quad(lambda t: y.pdf(t) * x.sf((t + offset) / scale), 0.0, 1.0, epsabs=1e-12)[0]
    parameters = np.array([[a, c], [b, d], [0.0, 0.0]])
    chances = priced_inclusion(BETA, parameters, np.array([scale, 1.0]), np.array([offset, 0.0]))
    assert chances[0] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("family", [BETA, GAMMA, NORMAL])
def test_equal_prices_change_nothing(family):
    rng = np.random.default_rng(1)
    parameters = np.stack([1.0 + 30.0 * rng.random(30), 1.0 + 30.0 * rng.random(30), np.zeros(30)])
    chances = priced_inclusion(family, parameters, np.full(30, 1.7), np.full(30, 0.3), 2)
    np.testing.assert_allclose(chances, inclusion(family, parameters, 2), atol=1e-8)


def test_much_evidence_and_prices_that_level_it():
    """Means .1 to .2 of a million observations each, scaled to be equal: by symmetry of the normal, no arm rules."""
    means = np.linspace(0.1, 0.2, 5)
    parameters = np.stack([1e6 * means, 1e6 * (1.0 - means), np.zeros(5)])
    chances = priced_inclusion(BETA, parameters, 1.0 / means, np.zeros(5))
    observed = frequencies(BETA, parameters, 1.0 / means, np.zeros(5), 1, 7)
    np.testing.assert_allclose(chances, observed, atol=5.0 * 0.5 / np.sqrt(DRAWS))


def test_no_answer_where_a_score_is_a_constant_or_a_density_has_a_pole():
    parameters = np.array([[1.0, 1.0], [1.0, 0.01], [0.0, 0.0]])
    assert priced_inclusion(BETA, parameters, np.array([0.0, 1.0]), np.zeros(2)) is None
    assert priced_inclusion(BETA, parameters, np.array([2.0, 1.0]), np.zeros(2)) is None


def test_all_arms_are_taken():
    assert priced_inclusion(BETA, np.ones((3, 4)), np.ones(4), np.arange(4.0), 4).tolist() == [1.0] * 4

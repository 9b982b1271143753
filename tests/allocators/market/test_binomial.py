"""Quantiles of counts against scipy's."""

import numpy as np
import pytest
from scipy.stats import binom, nbinom, poisson

from seedbed.allocators.market._binomial import binomial_quantile, overdispersed_quantile

RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize("n", [1, 2, 7, 60, 1_000, 20_000, 1_000_000])
@pytest.mark.parametrize("p", [1e-6, 0.001, 0.04, 0.279, 0.5, 0.97])
def test_binomial(n, p):
    u = np.concatenate([RANDOM.random(150), [1e-9, 1e-4, 1.0 - 1e-4, 1.0 - 1e-9]])
    assert [binomial_quantile(n, p, v) for v in u.tolist()] == binom.ppf(u, n, p).tolist()


def test_binomial_at_its_ends():
    assert binomial_quantile(0, 0.5, 0.5) == 0
    assert binomial_quantile(9, 0.0, 0.999) == 0
    assert binomial_quantile(9, 1.0, 0.001) == 9
    assert 0 <= binomial_quantile(50, 0.3, 1e-16) <= binomial_quantile(50, 0.3, 1.0 - 2.0**-53) <= 50
    assert binomial_quantile(100_000, 0.5, 1.0 - 2.0**-53) < 52_000  # 8 deviations are 1,265


def test_binomial_by_hand():
    """P(X <= 0) = 1/4, P(X <= 1) = 3/4 of two coins."""
    assert [binomial_quantile(2, 0.5, u) for u in (0.2, 0.25, 0.26, 0.75, 0.76)] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize("mean", [1e-4, 0.06, 1.0, 12.5, 400.0, 5_000.0])
@pytest.mark.parametrize("dispersion", [1.0, 1.5, 3.0, 20.0])
def test_overdispersed(mean, dispersion):
    u = np.concatenate([RANDOM.random(150), [1e-6, 1e-4, 1.0 - 1e-4, 1.0 - 1e-9]])
    law = poisson(mean) if dispersion == 1.0 else nbinom(mean / (dispersion - 1.0), 1.0 / dispersion)
    assert [overdispersed_quantile(mean, dispersion, v) for v in u.tolist()] == law.ppf(u).tolist()


def test_overdispersed_at_its_ends():
    assert overdispersed_quantile(0.0, 3.0, 0.999) == 0
    assert overdispersed_quantile(2.0, 3.0, 1.0 - 2.0**-53) < 200
    assert overdispersed_quantile(5_000.0, 3.0, 1e-16) > 3_500

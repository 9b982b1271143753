import naive_fitting as naive
import numpy as np
import pytest
from scipy.special import expit, logit

from seedbed.allocators.cold_start.means import cluster_mean, shrunk_means


def test_rooms_of_one_creator_are_no_strangers():
    """Two creators with two rooms each, alike: the variance is that of two units, twice that of four strangers."""
    rates = np.array([0.2, 0.2, 0.4, 0.4])
    assert cluster_mean(rates, np.array([0, 0, 1, 1])) == (pytest.approx(0.3), pytest.approx(0.01))
    assert cluster_mean(rates, np.array([5, 6, 7, 8]))[1] == pytest.approx(0.01 / 3)
    assert cluster_mean(rates, np.zeros(4, int)) == (pytest.approx(0.3), np.inf)


@pytest.mark.parametrize("rates", [False, True])
def test_without_main_effects_it_is_dersimonian_and_laird(rates):
    rng = np.random.Generator(np.random.PCG64(1))
    means, variances = rng.uniform(0.1, 0.5, 6), rng.uniform(1e-4, 1e-3, 6)
    values = np.log(means) if rates else logit(means)
    slope = means if rates else means * (1 - means)
    tau2, shrunk = naive.dersimonian_laird(values, variances / slope**2)
    found, found_tau2 = shrunk_means([f"m{i}" for i in range(6)], means, variances, rates)
    assert found_tau2 == pytest.approx(tau2)
    np.testing.assert_allclose(found, np.exp(shrunk) if rates else expit(shrunk), rtol=1e-12)


def test_main_effects_explain_what_they_can():
    """Logits that are sums of the effects of category and language: nothing is left to shrink."""
    buckets = [f"{a}/{b}" for a in "pqr" for b in "xy"]
    means = expit(np.array([a + b for a in (-1.0, -0.5, 0.3) for b in (0.0, 0.4)]))
    found, tau2 = shrunk_means(buckets, means, np.full(6, 1e-4))
    assert tau2 == 0.0
    np.testing.assert_allclose(found, means, rtol=1e-9)
    odd = means.copy()
    odd[0] += 0.02
    found, _ = shrunk_means(buckets, odd, np.array([1e-2, *[1e-5] * 5]))
    assert found[0] == pytest.approx(means[0], abs=1e-3)


def test_a_bucket_of_which_little_is_known_gets_what_is_expected():
    means, variances = np.array([0.2, 0.2, 0.0, 0.6]), np.array([1e-5, 1e-5, 0.0, np.inf])
    found, _ = shrunk_means(["a", "b", "c", "d"], means, variances)
    np.testing.assert_allclose(found, 0.2)
    assert shrunk_means(["a"], np.array([0.0]), np.array([np.inf]))[0].tolist() == [0.0]

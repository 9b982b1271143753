import numpy as np
import pytest
from scipy import stats

from seedbed.allocators import ColdStartConfig
from seedbed.allocators.cold_start import fit_beta_moments


@pytest.mark.parametrize(("a", "b", "trials"), [(5.0, 15.0, 400), (18.0, 5_400.0, 20_000), (2.0, 30.0, 150)])
def test_the_population_is_recovered_in_spite_of_noise(a, b, trials):
    """2,000 members: the mean within 5 standard errors, the strength within 25 %; raw spread would be far off."""
    rng = np.random.Generator(np.random.PCG64(3))
    n = rng.integers(trials // 2, 2 * trials, 2_000)
    s = rng.binomial(n, rng.beta(a, b, 2_000))
    fit = fit_beta_moments(s, n)
    rates = s / n
    assert abs(fit[0] / sum(fit) - a / (a + b)) < 5 * rates.std() / np.sqrt(2_000)
    assert sum(fit) == pytest.approx(a + b, rel=0.25)
    raw = rates.mean() * (1 - rates.mean()) / rates.var() - 1
    assert abs(raw / (a + b) - 1) > abs(sum(fit) / (a + b) - 1)


def test_without_spread_beyond_noise_the_members_are_alike():
    a, b = fit_beta_moments([30, 30, 30], [100, 100, 100])
    assert (a / (a + b), a + b) == (pytest.approx(0.3), pytest.approx(300))


def test_members_without_trials_say_nothing():
    assert fit_beta_moments([20, 0, 40], [100, 0, 100]) == fit_beta_moments([20, 40], [100, 100])


@pytest.mark.parametrize(
    ("successes", "trials"),
    [([1], [2]), ([0, 0], [5, 5]), ([5, 5], [5, 5]), ([6, 1], [5, 5]), ([-1, 1], [5, 5]), ([1, 2], [5]), ([], [])],
)
def test_bad_counts(successes, trials):
    with pytest.raises(ValueError, match=r"success|member|length|counts"):
        fit_beta_moments(successes, trials)


def test_a_configuration_takes_bar_and_prior_from_a_population():
    successes, trials = [20, 30, 40, 35], [100, 100, 100, 100]
    by_mean = ColdStartConfig.live().fitted(successes, trials)
    assert by_mean.bar == pytest.approx(0.3125)
    assert by_mean.prior[0] / sum(by_mean.prior) == pytest.approx(0.3125)
    upper = ColdStartConfig.live().fitted(successes, trials, quantile=0.75)
    assert upper.bar == pytest.approx(stats.beta.ppf(0.75, *upper.prior))


def test_presets_and_overrides():
    live, feed = ColdStartConfig.live(), ColdStartConfig.feed()
    assert live == ColdStartConfig()
    assert (live.quota_min, live.quota_max, live.verify_cap, live.scale_cap, live.tick_cap) == (60, 500, 600, 3_000, 60)
    assert (feed.quota_min, feed.quota_max, feed.verify_cap, feed.scale_cap) == (200, 500, 1_000, None)
    assert ColdStartConfig.feed(verify_cap=700).verify_cap == 700
    assert ColdStartConfig.model_validate(feed.model_dump(mode="json")) == feed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prior": (1.0, 1.0)}, "promotes falsely"),
        ({"quota_min": 600}, "above quota_max"),
        ({"verify_cap": 100}, "below quota_max"),
        ({"scale_cap": 500}, "below verify_cap"),
        ({"demote_below": 0.95}, "must hold"),
        ({"multiplier_min": 5.0}, "upper bound"),
        ({"stop": {"metric": "comments"}}, "negative"),
        ({"bar": 0.0}, "greater than 0"),
        ({"budget": {"limit": -1}}, "greater than or equal"),
        ({"quotta_min": 60}, "Extra inputs"),
    ],
)
def test_contradicting_numbers_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        ColdStartConfig(**change)


def test_single_trials_tell_no_spread():
    for successes in ([1, 0, 1], [1] + [0] * 9):
        with pytest.raises(ValueError, match="single trial"):
            fit_beta_moments(successes, [1] * len(successes))

"""Rates while rewards are on their way: the closed forms, and whether intervals cover."""

import delayed
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bandits.attribution import naive_delays as naive
from seedbed.bandits.attribution import DelayCurve, effective

SURE = DelayCurve.fit(np.repeat([1.0, 2.0, 5.0, 8.0], 10**6), 10.0)  # next to no error


def share(age):
    return 1.0 if age >= 10.0 else sum(0.25 for d in (1.0, 2.0, 5.0, 8.0) if d <= age)


exposures = st.lists(st.tuples(st.floats(0.0, 12.0), st.booleans()), min_size=1, max_size=30)


@given(exposures, st.sampled_from([(1.0, 1.0), (0.5, 3.0), (40.0, 2.0)]))
def test_closed_form(pairs, prior):
    """At an age without a share, rewards cannot be; the others as the formulae say."""
    pairs = [(age, won and age >= 1.0) for age, won in pairs] + [(3.0, False)]
    ages, s = [age for age, _ in pairs], sum(won for _, won in pairs)
    known = effective(ages, s, SURE, prior)
    n, f2, weight = naive.effective(ages, share, s, prior)
    np.testing.assert_allclose([known.n_eff, known.F2, known.weight], [n, f2, weight], rtol=1e-5)
    a, b = prior[0] + weight * s, prior[1] + weight * max(n - s, 0.0)
    np.testing.assert_allclose(known.mean, a / (a + b), rtol=1e-5)
    np.testing.assert_allclose(known.evidence, [weight * s, weight * max(n - s, 0.0)], rtol=1e-4, atol=1e-9)
    by_beta = effective(ages, s, SURE, prior, 0.9, method="beta")
    np.testing.assert_allclose([by_beta.lower, by_beta.upper], stats.beta(a, b).ppf([0.05, 0.95]), rtol=1e-4)
    assert 0.0 <= known.lower <= known.upper <= 1.0


@given(exposures, st.integers(1, 5))
def test_counts_by_age_are_exposures(pairs, times):
    ages = [age for age, _ in pairs for _ in range(times)]
    s = [float(won and age >= 1.0) for age, won in pairs for _ in range(times)]
    one_by_one, rough = effective(ages, s, SURE), effective(ages, sum(s), SURE)
    assert one_by_one == rough
    grouped = effective([age for age, _ in pairs], sum(s), SURE, counts=np.full(len(pairs), times))
    for field in ("successes", "n_eff", "weight", "mean", "lower", "upper", "F2"):
        assert getattr(grouped, field) == pytest.approx(getattr(rough, field), rel=1e-9, abs=1e-12)


def test_by_hand_of_an_uncertain_curve():
    """Delays 1 and 3 of a curve of n = 2: F(2) = 1/2 with variance 1/8.

    Exposures aged 2, 2 and 9, one reward: N = 2, F2 = 3/4, Var N = 4/8, v N = (1/2) / 2; p = 2 / 4, so that
    w = (1/2) / (1 - 3/8 + 1/8) = 2/3.
    """
    known = effective([2.0, 2.0, 9.0], 1, DelayCurve.fit([1.0, 3.0], 4.0))
    assert (known.n_eff, known.F2) == (2.0, 0.75)
    assert known.weight == pytest.approx(2.0 / 3.0, rel=1e-12)
    assert known.evidence == pytest.approx((2.0 / 3.0, 2.0 / 3.0), rel=1e-12)
    assert known.mean == pytest.approx(0.5, rel=1e-12)


@given(exposures, st.sampled_from([0.5, 0.9, 0.99]))
def test_the_score_interval_inverts_its_test(pairs, level):
    """At each end strictly inside, the distance is z standard deviations; beyond the ends more."""
    curve = DelayCurve.fit(np.repeat([1.0, 2.0, 5.0, 8.0], 25), 10.0)
    pairs = [*pairs, (3.0, True)]
    ages, s = [age for age, _ in pairs], sum(won and age >= 1.0 for age, won in pairs)
    known = effective(ages, s, curve, level=level)
    n, variance, z = known.n_eff, curve.variance(ages), stats.norm.ppf((1 + level) / 2)

    def distance(p):
        return (s - p * n) / np.sqrt(n * p * (1 - p * known.F2) + p * p * variance)

    if 0.0 < known.lower < 1.0:
        assert distance(known.lower) == pytest.approx(z, rel=1e-6)
    if 0.0 < known.upper < 1.0:
        assert distance(known.upper) == pytest.approx(-z, rel=1e-6)
    elif known.upper == 1.0 and known.F2 < 1.0:
        assert distance(1.0) > -z - 1e-9


def test_when_all_is_known_it_is_a_plain_count():
    """w is 1 to the last bit, the interval Wilson's, and the posterior that of successes and failures."""
    rough = DelayCurve.fit([1.0, 3.0, 4.0], 10.0)
    for s, n in ((0, 1), (3, 10), (7, 7), (500, 1_000)):
        known = effective(np.full(n, 10.0), s, rough)
        assert (known.weight, known.F2, known.n_eff) == (1.0, 1.0, n)
        assert known.evidence == (s, n - s)
        assert known.mean == (1 + s) / (2 + n)
        wilson = stats.binomtest(s, n).proportion_ci(method="wilson")
        np.testing.assert_allclose([known.lower, known.upper], wilson, rtol=1e-9, atol=1e-12)


def test_nothing_shown_nothing_known():
    for ages in ([], [0.5, 0.0]):  # of the second, nothing can have come
        for method in ("score", "beta", "likelihood"):
            known = effective(ages, np.zeros(len(ages)), SURE, (2.0, 6.0), method=method)
            assert (known.n_eff, known.weight, known.evidence) == (0.0, 1.0, (0.0, 0.0))
            assert known.mean == pytest.approx(0.25, rel=1e-6)
    assert (known.lower, known.upper) == pytest.approx(tuple(stats.beta(2, 6).ppf([0.025, 0.975])), rel=1e-4)


@pytest.mark.parametrize("prior", [(1.0, 1.0), (2.0, 5.0)])
@pytest.mark.parametrize(("many", "rewarded"), [(12, 4), (40, 0), (6, 6)])
def test_the_likelihood_is_that_of_each_exposure(prior, many, rewarded):
    ages = np.linspace(1.0, 12.0, many)
    won = (np.arange(many) * 7 % many < rewarded).astype(float)
    known = effective(ages, won, SURE, prior, 0.9, method="likelihood")
    expected = naive.likelihood_quantiles([share(age) for age in ages], won, prior, 0.9, 20_001)
    np.testing.assert_allclose([known.mean, known.lower, known.upper], expected, atol=2e-4)


def test_the_error_of_the_curve_widens_every_interval():
    ages, won = np.repeat([1.5, 3.0, 12.0], 100), np.arange(300) % 3 == 0
    sure, unsure = SURE, DelayCurve.fit(np.repeat([1.0, 2.0, 5.0, 8.0], 5), 10.0)
    for method in ("score", "beta", "likelihood"):
        one = effective(ages, won, sure, method=method)
        other = effective(ages, won, unsure, method=method)
        assert other.upper - other.lower > 1.1 * (one.upper - one.lower)
    assert other.weight < one.weight
    assert other.n_eff == one.n_eff


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1.0], 2), "successes = 2.0"),
        (([1.0], -1), "successes = -1.0"),
        (([1.0, 2.0], [0.0, 1.5]), r"successes\[1\] = 1.5"),
        (([1.0], [np.nan]), r"successes\[0\] = nan"),
        (([np.nan], 0), "not a number"),
        (([1.0], 1, (0.0, 1.0)), "prior"),
        (([1.0], 1, (1.0,)), "prior"),
        (([1.0], 1, (1.0, 1.0), 1.0), "level"),
        (([1.0], 1, (1.0, 1.0), "x"), "level"),
    ],
)
def test_what_cannot_have_been_is_refused(arguments, said):
    ages, successes, *rest = arguments
    with pytest.raises(ValueError, match=said):
        effective(ages, successes, SURE, *rest)


def test_methods_and_counts_are_checked():
    with pytest.raises(ValueError, match="by age"):
        effective([1.0], 1, SURE, method="likelihood")
    with pytest.raises(ValueError, match="method = 'wald'"):
        effective([1.0], 1, SURE, method="wald")
    with pytest.raises(ValueError, match="counts"):
        effective([1.0], 1, SURE, counts=[-1.0])


# coverage: a small part of benchmarks/delayed.py. z = 5 around [.92, .97] from the number of logs

LOGS = 400


@pytest.mark.parametrize("p", delayed.RATES)
@pytest.mark.parametrize("shape", ["exponential", "lognormal", "gift"])
def test_intervals_cover(shape, p):
    for mix in ("uniform", "burst"):
        covered = delayed.coverage(shape, mix, p, LOGS, seed=11)
        slack = 5.0 * np.sqrt(0.95 * 0.05 / LOGS)
        for method in ("score", "beta"):
            assert 0.92 - slack < covered[method] < min(0.97 + slack, 1.0), (mix, method)
        if shape == "exponential" and mix == "burst":
            assert covered["naive"] < 0.5 - 5.0 * np.sqrt(0.25 / LOGS)


def test_what_each_part_is_for():
    """Without w and without the curve's error the intervals miss; the score's do not, where the posterior's do."""
    margin = 5.0 * np.sqrt(0.25 / LOGS)
    covered = delayed.coverage("exponential", "young", 0.8, LOGS, seed=12)
    assert covered["without w"] < 0.92 - margin
    assert covered["score"] > covered["without w"] + 2.0 * margin
    slack = 5.0 * np.sqrt(0.95 * 0.05 / LOGS)
    assert 0.92 - slack < covered["score"] < 0.97 + slack
    rough = delayed.coverage("exponential", "young", 0.1, LOGS, seed=13, target=100, conversions=1)
    assert rough["without the curve's error"] < 0.85
    assert abs(rough["score"] - 0.95) < slack + 0.02

import math

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from seedbed.bandits import Bandit, BayesUCB, Beta, GammaPoisson, Gaussian, Thompson

ARMS = list("abcd")
WEIGHTS = st.floats(0, 1000).map(lambda w: w if w > 1e-6 else 0.0)
TIMES = st.floats(0, 1000)
REALS = st.lists(st.tuples(st.sampled_from(ARMS), st.floats(-100, 100), WEIGHTS, TIMES), max_size=30)
RATES = st.lists(st.tuples(st.sampled_from(ARMS), st.floats(0, 100), WEIGHTS, TIMES), max_size=30)
POSITIVE = st.floats(0.05, 50)
NIG = st.tuples(st.floats(-20, 20), POSITIVE, POSITIVE, POSITIVE)
HALF_LIVES = st.sampled_from([1.0, 30.0, 1e4])
AGES = st.sampled_from([0.0, 0.5, 30.0, 500.0])
P = np.array([1e-6, 0.02, 0.5, 0.999])


def learnt(model, events):
    """A bandit that learnt the first half one by one, the others in one batch."""
    bandit, half = Bandit(Thompson(model=model), ARMS, seed=1), len(events) // 2
    for arm, reward, weight, at in events[:half]:
        bandit.update(arm, reward, weight=weight, at=at)
    if events:
        arms, rewards, weights, at = map(list, zip(*events[half:], strict=True))
        bandit.update(arms, rewards, weight=weights, at=at)
    return bandit


def of_each(events, half_life=math.inf, now=0.0):
    """Reward and weight of each arm's events."""
    return [naive.decayed([e[1:] for e in events if e[0] == arm], half_life, now) for arm in ARMS]


def cells(bandit, now=math.nan):
    """The arguments that every cell gets, and a keyword."""
    return (bandit._state, bandit.rows(ARMS)), {"now": now}


def agree(bandit, law, mean, now=math.nan, rtol=1e-8):
    """Mean, cdf, quantile, sample and the scores of Thompson against a frozen scipy law of all arms."""
    model, (where, when) = bandit.policy.model, cells(bandit, now)
    np.testing.assert_allclose(model.mean(*where, **when), mean, rtol=1e-11, atol=1e-11)
    rounding = 1e-14 * (law.ppf(0.75) - law.ppf(0.25))
    for p in P:
        x = law.ppf(p)
        wide = np.abs(x - law.median())  # a quantile near 0 is a difference of two larger numbers
        np.testing.assert_array_less(
            np.abs(model.quantile(*where, p, **when) - x), rtol * (wide + np.abs(x)) + rounding
        )
        sharp = np.maximum(law.pdf(x) * np.abs(x), 1.0)  # what one rounding of x does to p
        np.testing.assert_array_less(np.abs(model.cdf(*where, x, **when) - p), rtol * (p + 1e-6 * sharp))
    key = bandit.select(ARMS).key  # any
    uniforms = np.array([naive.uniform(key, naive.uid64(arm)) for arm in ARMS])
    drawn = model.sample(*where, bandit.uids(bandit.rows(ARMS)), key, **when)
    wanted = law.isf(uniforms)
    np.testing.assert_allclose(drawn, wanted, rtol=1e-7, atol=rtol * float(np.abs(wanted - law.median()).max()))


def student(prior, weighted):
    df, mean, scale = np.array([naive.student_of(prior, events) for events in weighted]).T
    return stats.t(df, mean, scale), mean


def gamma(prior, weighted):
    shape, rate = np.array([naive.gamma_of(prior, events) for events in weighted]).T
    return stats.gamma(shape, scale=1 / rate), shape / rate


@settings(max_examples=50)
@given(REALS, NIG)
def test_gaussian_is_normal_inverse_gamma(events, prior):
    bandit = learnt(Gaussian(prior=prior), events)
    agree(bandit, *student(prior, of_each(events)))


@settings(max_examples=50)
@given(RATES, st.tuples(POSITIVE, POSITIVE))
def test_gamma_poisson_is_a_gamma(events, prior):
    bandit = learnt(GammaPoisson(prior=prior), events)
    agree(bandit, *gamma(prior, of_each(events)))


@settings(max_examples=50)
@given(REALS, NIG, HALF_LIVES, AGES)
def test_gaussian_evidence_halves_in_each_half_life(events, prior, half_life, age):
    bandit = learnt(Gaussian(prior=prior, half_life=half_life), events)
    now = max((e[3] for e in events), default=0.0) + age
    agree(bandit, *student(prior, of_each(events, half_life, now)), now)


@settings(max_examples=50)
@given(RATES, st.tuples(POSITIVE, POSITIVE), HALF_LIVES, AGES)
def test_gamma_poisson_evidence_halves_in_each_half_life(events, prior, half_life, age):
    bandit = learnt(GammaPoisson(prior=prior, half_life=half_life), events)
    now = max((e[3] for e in events), default=0.0) + age
    agree(bandit, *gamma(prior, of_each(events, half_life, now)), now)


@pytest.mark.parametrize("model", [Beta, Gaussian, GammaPoisson])
@settings(max_examples=50)
@given(
    events=st.lists(st.tuples(st.sampled_from(ARMS), st.floats(0, 1), WEIGHTS, TIMES), max_size=30),
    half_life=st.sampled_from([10.0, 60.0, 1e4]),  # a mean has no digits where its weight is next to nothing
    order=st.randoms(use_true_random=False),
)
def test_order_of_events_in_time_is_irrelevant(model, events, half_life, order):
    turned = order.sample(events, len(events))
    one, other = learnt(model(half_life=half_life), events), learnt(model(half_life=half_life), turned)
    for now in (math.nan, 2_000.0):
        (a, when), (b, _) = cells(one, now), cells(other, now)
        for cell in ("beliefs", "evidence"):
            wanted = getattr(one.policy.model, cell)(*a, **when)
            np.testing.assert_allclose(getattr(other.policy.model, cell)(*b, **when), wanted, rtol=1e-12, atol=1e-12)


def test_beta_evidence_halves_in_each_half_life():
    """Prior (2, 3); weight 8 of rewards 1 at time 0, 4 of 0 at time 60: at 120 they count 2 and 2."""
    bandit = Bandit(Thompson(model=Beta(prior=(2.0, 3.0), half_life=60.0)), ARMS)
    bandit.update(["a", "a"], [1.0, 0.0], weight=[8.0, 4.0], at=[0.0, 60.0])
    wanted = {60.0: (6.0, 7.0), 120.0: (4.0, 5.0), 180.0: (3.0, 4.0), 60_000.0: (2.0, 3.0)}
    for now, posterior in wanted.items():
        where, when = cells(bandit, now)
        np.testing.assert_allclose(bandit.policy.model.beliefs(*where, **when)[:2, 0], posterior, rtol=1e-14)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_gaussian_far_from_the_prior_loses_no_more_than_squares_about_its_mean_do(scale):
    """Rewards 1e5 standard deviations off: squares of size mean^2 n, epsilon of each lost, as a random walk."""
    n, prior = 20_000, (0.0, 1e-3, 1.0, 1e-6)
    rng = np.random.Generator(np.random.PCG64(1))
    rewards = scale * (100.0 + 1e-3 * rng.normal(size=n))
    bandit = Bandit(Thompson(model=Gaussian(prior=prior)), ARMS)
    bandit.update(["a"] * n, rewards)
    events = [(reward, 1.0) for reward in rewards]
    df, mean, spread = naive.student_of(prior, events)
    where, _ = cells(bandit)
    lost = np.finfo(float).eps * math.sqrt(n) * mean**2
    found = bandit.policy.model.beliefs(*where)[:, 0]
    np.testing.assert_allclose(found[[0, 2]], [mean, df], rtol=1e-13)
    assert found[1] ** 2 == pytest.approx(spread**2, abs=2 * lost / n)
    assert bandit.policy.model.evidence(*where)[2, 0] == pytest.approx(naive.moments_of(events)[2], abs=lost)


SOME = [("a", 1.5, 3.0, 0.0), ("b", 2.0, 1.0, 0.0), ("b", 0.5, 2.0, 0.0), ("c", 1.2, 40.0, 0.0)]


@pytest.mark.parametrize("model", [Gaussian(), Gaussian(prior=(1.0, 2.0, 3.0, 4.0)), GammaPoisson()], ids=repr)
def test_scores_of_thompson_are_inversions_of_keyed_uniforms(model):
    bandit = learnt(model, SOME)
    law, _ = (student if model.kind == "gaussian" else gamma)(model.prior, of_each(SOME))
    for _ in range(200):
        scores, decision = bandit.scores(), bandit.select(k=4)
        wanted = law.isf([naive.uniform(decision.key, naive.uid64(arm)) for arm in ARMS])
        np.testing.assert_allclose(scores, wanted, rtol=1e-8, atol=1e-8)
        assert decision.arms == naive.best(ARMS, scores.tolist(), 4)
        assert decision.scores == sorted(scores.tolist(), reverse=True)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("model", [Beta(), Gaussian(), GammaPoisson()], ids=lambda model: model.kind)
def test_thompson_chooses_as_often_as_propensities_say(model, k):
    events = [(arm, min(reward, 1.0) if model.kind == "beta" else reward, *rest) for arm, reward, *rest in SOME]
    bandit, n = learnt(model, events), 40_000
    chances = bandit.propensities(k=k)
    np.testing.assert_allclose(chances.sum(), k, atol=1e-8)
    chosen = [ARMS.index(arm) for decision in bandit.select_many(n=n, k=k) for arm in decision.arms]
    assert naive.frequencies_fit(np.bincount(chosen, minlength=4), n, chances)


@pytest.mark.parametrize("model", [Beta, Gaussian, GammaPoisson])
@pytest.mark.parametrize("read", ["mean", "scores", "propensities"])
def test_reading_ahead_changes_nothing(model, read):
    bandit = Bandit(BayesUCB(model=model(half_life=60.0)), ARMS)
    bandit.update(["a"] * 5, [1.0] * 5, at=0.0)
    before, mean = bandit.to_bytes(), bandit.mean()
    getattr(bandit, read)(now=600.0)
    np.testing.assert_array_equal(bandit.mean(now=0.0), mean)
    np.testing.assert_array_equal(bandit.mean(), mean)
    assert bandit.to_bytes() == before

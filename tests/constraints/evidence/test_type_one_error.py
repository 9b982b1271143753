"""Errors of the first kind at the boundary, with 100 looks and under adversaries: at most alpha + 3 standard errors."""

import math

import numpy as np
import pytest

from seedbed.constraints import BoundedMean, Proportion, Rate
from seedbed.constraints.evidence import (
    add_bernstein,
    add_betting,
    any_of,
    asymptotic_interval,
    bernoulli_interval,
    beta_binomial_bound,
    beta_binomial_interval,
    betting_interval,
    empirical_bernstein_interval,
    estimated_dispersion,
    gamma_exponential_bound,
    gamma_poisson_bound,
    normal_mixture_bound,
    poly_stitching_bound,
)

ALPHA, LOOKS = 0.05, 100
NEEDED = -math.log(ALPHA)


def most(rooms, alpha=ALPHA):
    return alpha + 3 * math.sqrt(alpha * (1 - alpha) / rooms)


def generator(seed):
    return np.random.Generator(np.random.PCG64(seed))


def values_of(law, limit, rng, shape):
    """Values in [0, 1] with the mean `mean_of` and more or less variance."""
    if law == "zeros and ones":
        return (rng.random(shape) < limit).astype(float)
    if law == "beta":
        return rng.beta(4 * limit, 4 * (1 - limit), shape)
    return rng.choice([0.5 * limit, limit + 0.5 * (1 - limit)], shape, p=[1 - limit, limit])


def mean_of(law, limit):
    return (1 - limit) * 0.5 * limit + limit * (limit + 0.5 * (1 - limit)) if law == "two" else limit


@pytest.mark.parametrize("kind", [Proportion, BoundedMean])
@pytest.mark.parametrize("side", ["above", "below"])
@pytest.mark.parametrize(("limit", "law"), [(0.02, "zeros and ones"), (0.3, "two"), (0.9, "beta")])
def test_shares_and_means(kind, side, limit, law):
    rooms = 1_000 if kind is BoundedMean else 3_000
    process = kind(limit=mean_of(law, limit), alternative=side)
    values = values_of(law, limit, generator(1), LOOKS * 10 * rooms)
    rows = process.gather(values).reshape(process.rows, LOOKS, 10, rooms).sum(axis=2).cumsum(axis=1)
    evidence = process.log_evidence(rows.reshape(process.rows, -1)).reshape(LOOKS, rooms)
    assert (evidence >= NEEDED).any(axis=0).mean() <= most(rooms)


@pytest.mark.parametrize("side", ["above", "below"])
@pytest.mark.parametrize("phi", [1, 2, 5])
def test_rates_of_scaled_poisson_events(phi, side):
    rooms, process = 3_000, Rate(limit=4.0, alternative=side, dispersion=float(phi))
    events = phi * generator(2).poisson(4.0 / phi, (LOOKS, rooms))
    evidence = [process.log_evidence([k, np.full(rooms, t + 1.0)]) for t, k in enumerate(events.cumsum(axis=0))]
    assert (np.array(evidence) >= NEEDED).any(axis=0).mean() <= most(rooms)


@pytest.mark.parametrize(("phi", "raw_errors"), [(2, 0.1), (5, 0.3)])
def test_rates_of_over_dispersed_events(phi, raw_errors):
    """Negative binomial: valid with phi known or estimated from 400 earlier intervals; far from it without."""
    rooms, rng = 1_500, generator(3)

    def draw(intervals):
        return rng.negative_binomial(4.0 / (phi - 1), 1.0 / phi, (intervals, rooms))

    history, events = draw(400), draw(LOOKS).cumsum(axis=0)
    times = np.arange(1.0, LOOKS + 1)

    def errors(dispersions):
        processes = (Rate(limit=4.0, dispersion=dispersion) for dispersion in dispersions)
        found = [process.log_evidence([events[:, i], times]).max() for i, process in enumerate(processes)]
        return (np.array(found) >= NEEDED).mean()

    assert errors([float(phi)] * rooms) <= most(rooms)
    assert errors([estimated_dispersion(history[:, i]) for i in range(rooms)]) <= most(rooms)
    assert errors([1.0] * rooms) > raw_errors


@pytest.mark.parametrize("kind", [Proportion, BoundedMean])
@pytest.mark.parametrize("limit", [0.1, 0.5])
def test_an_adversary_who_chooses_the_law_and_when_to_stop(kind, limit):
    """Sees the evidence before every viewer, gambles where it is high, and stops at the maximum."""
    rooms, rng, process = 1_000, generator(4), kind(limit=limit)
    counts, highest = np.zeros((process.rows, rooms)), np.zeros(rooms)
    for _ in range(400):
        evidence = process.log_evidence(counts)
        highest = np.maximum(highest, evidence)
        gamble = (rng.random(rooms) < limit).astype(float)
        small = rng.uniform(0.5 * limit, 1.5 * limit, rooms)
        counts += process.gather(np.where(evidence > 0.5, gamble, np.where(evidence > -1, small, limit)))
    assert (highest >= NEEDED).mean() <= most(rooms)


def test_an_adversary_who_chooses_the_arm():
    """Ten arms at their limits; always the one with the most evidence is played. Any of them, by averaging."""
    days, rng, process = 1_000, generator(5), Proportion(limit=0.1)
    counts, day = np.zeros((2, days, 10)), np.arange(days)
    crossed = np.zeros(days, bool)
    for _ in range(400):
        evidence = process.log_evidence(counts.reshape(2, -1)).reshape(days, 10)
        crossed |= any_of(evidence.T) >= NEEDED
        arm = evidence.argmax(axis=1)
        counts[:, day, arm] += process.gather((rng.random(days) < 0.1).astype(float))
    assert crossed.mean() <= most(days)


@pytest.mark.parametrize("together", [True, False])
def test_harms_that_depend_on_each_other(together):
    """Four harms at their limits, which come all at once or exclude each other."""
    rooms, limits = 2_000, (0.02, 0.05, 0.1, 0.2)
    u = generator(6).random((LOOKS, 10, rooms))
    starts = np.zeros(4) if together else np.concatenate([[0.0], np.cumsum(limits)[:-1]])
    each = []
    for limit, start in zip(limits, starts, strict=True):
        harms = ((u >= start) & (u < start + limit)).sum(axis=1).cumsum(axis=0)
        seen = np.broadcast_to(10 * np.arange(1, LOOKS + 1)[:, None], harms.shape)
        each.append(Proportion(limit=limit).log_evidence([harms.ravel(), seen.ravel()]))
    assert (any_of(each).reshape(LOOKS, rooms) >= NEEDED).any(axis=0).mean() <= most(rooms)


@pytest.mark.parametrize("p", [0.02, 0.5])
def test_sequences_of_proportions(p):
    rooms = 1_000
    s = generator(7).binomial(20, p, (LOOKS, rooms)).cumsum(axis=0).ravel()
    n = np.repeat(20 * np.arange(1, LOOKS + 1), rooms)
    for lower, upper in (
        bernoulli_interval(s, n, ALPHA, t_opt=500),
        beta_binomial_interval(s, n, ALPHA),
        asymptotic_interval(n, s, s, ALPHA, t_opt=500, proportion=True),
    ):
        missed = ((lower > p) | (upper < p)).reshape(LOOKS, rooms)
        assert missed.any(axis=0).mean() <= most(rooms)


def test_the_asymptotic_sequence_of_a_rare_proportion_needs_its_guard():
    rooms = 1_000
    s = generator(8).binomial(10, 0.02, (LOOKS, rooms)).cumsum(axis=0).ravel()
    n = np.repeat(10 * np.arange(1, LOOKS + 1), rooms)
    lower, upper = asymptotic_interval(n, s, s, ALPHA, t_opt=100)
    assert ((lower > 0.02) | (upper < 0.02)).reshape(LOOKS, rooms).any(axis=0).mean() > 0.1


@pytest.mark.parametrize("law", ["two", "beta"])
def test_sequences_of_bounded_means(law):
    rooms, looks = 300, 12
    columns = np.arange(rooms)
    betting, bernstein, moments = np.zeros((33, rooms)), np.zeros((3, rooms)), np.zeros((3, rooms))
    missed, rng, mean = np.zeros((3, rooms), bool), generator(9), mean_of(law, 0.2)
    for _ in range(looks):
        for _ in range(40):
            values = values_of(law, 0.2, rng, rooms)
            add_betting(betting, columns, values)
            add_bernstein(bernstein, columns, values)
            moments += [np.ones(rooms), values, values**2]
        intervals = (
            betting_interval(betting, ALPHA),
            empirical_bernstein_interval(bernstein, ALPHA, v_opt=10.0),
            asymptotic_interval(*moments, ALPHA, t_opt=200),
        )
        missed |= [(lower > mean) | (upper < mean) for lower, upper in intervals]
    assert (missed.mean(axis=1) <= most(rooms)).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_bounds_of_sums(sign):
    """Each of a sum with just the moment generating function that the bound is made for."""
    rooms, rng, v = 3_000, generator(10), np.arange(1.0, 4 * LOOKS + 1)
    normal, exponential = rng.standard_normal((v.size, rooms)), rng.exponential(size=(v.size, rooms)) - 1
    poisson, coin = rng.poisson(1.0, (v.size, rooms)) - 1, np.where(rng.random((v.size, rooms)) < 0.2, 0.8, -0.2)

    def errors(steps, bound):
        # beyond: where the largest sum there is would prove nothing, it is the bound
        return (steps.cumsum(axis=0) > bound[:, None] + 1e-9).any(axis=0).mean()

    assert errors(sign * normal, normal_mixture_bound(v, ALPHA, 100.0, one_sided=True)) <= most(rooms)
    assert errors(sign * normal, poly_stitching_bound(v, ALPHA, v_min=10.0)) <= most(rooms)
    reach = (0.2, 0.8) if sign > 0 else (0.8, 0.2)
    assert errors(sign * coin, beta_binomial_bound(0.16 * v, ALPHA, 16.0, *reach, one_sided=True)) <= most(rooms)
    if sign > 0:
        assert errors(exponential, gamma_exponential_bound(v, ALPHA, 100.0, c=1.0)) <= most(rooms)
        assert errors(exponential, poly_stitching_bound(v, ALPHA, v_min=10.0, c=1.0)) <= most(rooms)
        assert errors(poisson, gamma_poisson_bound(v, ALPHA, 100.0, c=1.0)) <= most(rooms)
        two_sided = normal_mixture_bound(v, ALPHA, 100.0)[:, None]
        assert (np.abs(normal.cumsum(axis=0)) >= two_sided).any(axis=0).mean() <= most(rooms)
        sums = coin.cumsum(axis=0)
        high = beta_binomial_bound(0.16 * v, ALPHA, 16.0, 0.2, 0.8)[:, None]
        low = -beta_binomial_bound(0.16 * v, ALPHA, 16.0, 0.8, 0.2)[:, None]
        assert ((sums > high + 1e-9) | (sums < low - 1e-9)).any(axis=0).mean() <= most(rooms)


def test_power():
    """A limit of 2 %: in 2.2 % of rooms at it, 88.5 % at twice, 99.99 % at three times within 1,000 viewers."""
    process, rooms, rng = Proportion(limit=0.02), 2_000, generator(11)
    for rate, exact in ((0.02, 0.022), (0.04, 0.885), (0.06, 0.9999)):
        harms = rng.binomial(10, rate, (LOOKS, rooms)).cumsum(axis=0)
        seen = np.broadcast_to(10 * np.arange(1, LOOKS + 1)[:, None], harms.shape)
        evidence = process.log_evidence([harms.ravel(), seen.ravel()]).reshape(LOOKS, rooms)
        fired = (evidence >= NEEDED).any(axis=0).mean()
        assert abs(fired - exact) < 5 * math.sqrt(exact * (1 - exact) / rooms) + 0.001


def test_power_of_bets_where_values_vary_little():
    """Watched fractions around .33 within .1 against .30: bets need less than half of what a proportion does."""
    rooms, rng = 200, generator(12)
    values = 0.33 + rng.uniform(-0.1, 0.1, (2_000, rooms))
    needed = {}
    for process in (Proportion(limit=0.3), BoundedMean(limit=0.3)):
        rows = process.gather(values.ravel()).reshape(process.rows, 100, 20, rooms).sum(axis=2).cumsum(axis=1)
        evidence = process.log_evidence(rows.reshape(process.rows, -1)).reshape(100, rooms)
        needed[process.kind] = np.where(evidence >= NEEDED, np.arange(100)[:, None], 100).min(axis=0).mean()
    assert needed["bounded_mean"] < 0.5 * needed["proportion"]

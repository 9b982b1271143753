import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy import stats

from constraints.evidence import naive_evidence as naive
from seedbed.constraints import BoundedMean, Proportion, Rate
from seedbed.constraints.evidence import AnyEvidence, estimated_dispersion

SIDES = st.sampled_from(["above", "below"])
counts = st.one_of(st.integers(0, 50), st.integers(0, 10**4), st.integers(0, 10**9))


def one(process, *rows):
    return float(process.log_evidence([[row] for row in rows])[0])


@settings(max_examples=100)
@given(counts, counts, st.sampled_from([1e-6, 0.02, 0.3, 0.5, 0.97]), SIDES, st.sampled_from([None, (0.5, 3.0)]))
@example(0, 10**9, 0.02, "above", None)  # E = 1e-12 or so: nothing of it may be lost in terms of 2e7
@example(10**9, 0, 0.02, "above", None)
@example(20_000_000, 980_000_000, 0.02, "above", None)
@example(20_000_000, 980_000_000, 0.02, "below", None)
@example(0, 1, 1e-6, "below", (0.5, 3.0))
def test_evidence_of_a_proportion_is_the_mean_likelihood_ratio(s, f, limit, side, mixing):
    process = Proportion(limit=limit, alternative=side, mixing=mixing)
    wanted = naive.log_evidence_of_proportion(s, s + f, limit, *process.beta, side == "above")
    # the logit of the limit is known to a rounding, which is worth eps * distance from the mean
    noise = 1e-15 * abs(s - (s + f) * limit) * max(1.0, abs(math.log(limit)))
    assert one(process, s, s + f) == pytest.approx(wanted, rel=1e-10, abs=1e-10 + noise)


@settings(max_examples=100)
@given(counts, st.one_of(st.floats(0, 50), st.floats(0, 1e9)), st.sampled_from([1e-3, 1.0, 40.0]), SIDES)
@example(0, 1e9, 1.0, "above")
@example(10**9, 0.0, 1.0, "above")
@example(10**9, 1e9, 1.0, "below")
@example(10**9, 1e9, 1.0, "above")
def test_evidence_of_a_rate_is_the_mean_likelihood_ratio(k, t, limit, side):
    process = Rate(limit=limit, alternative=side)
    wanted = naive.log_evidence_of_rate(k, t, limit, *process.gamma, side == "above")
    assert one(process, k, t) == pytest.approx(wanted, rel=1e-10, abs=1e-10 + 1e-15 * abs(k - t * limit))


@given(st.lists(st.floats(0, 1), max_size=30), st.sampled_from([0.01, 0.049, 0.05, 0.3, 0.9]), SIDES)
def test_evidence_of_a_bounded_mean_is_the_mean_capital(values, limit, side):
    process = BoundedMean(limit=limit, alternative=side)
    gains = process.gather(values) if values else np.zeros((16, 1))
    mirrored = [x if side == "above" else 1 - x for x in values]
    threshold = limit if side == "above" else 1 - limit
    wanted = naive.log_capital(mirrored, threshold, process.bets)
    assert process.log_evidence(gains.sum(axis=1, keepdims=True))[0] == pytest.approx(wanted, rel=1e-9, abs=1e-11)


def test_bets():
    """Linear up to nine tenths of what could be lost; geometric from 1/4 where the limit is below .05."""
    np.testing.assert_allclose(BoundedMean(limit=0.3).bets, np.arange(1, 17) / 16 * 3, rtol=1e-15)
    np.testing.assert_allclose(BoundedMean(limit=0.8, alternative="below").bets, np.arange(1, 17) / 16 * 4.5)
    small = BoundedMean(limit=0.01).bets
    assert (small[0], small[-1]) == pytest.approx((0.25, 90.0))
    np.testing.assert_allclose(small[1:] / small[:-1], 360 ** (1 / 15))
    for limit in (0.001, 0.3, 0.999):
        assert (1 - BoundedMean(limit=limit).bets * limit >= 0.1 - 1e-12).all()


@pytest.mark.parametrize("side", ["above", "below"])
@pytest.mark.parametrize("limit", [0.02, 0.4, 0.9])
def test_a_proportion_is_a_martingale_at_the_limit_and_falls_within_it(limit, side):
    """E[next] = p E(s + 1, n + 1) + (1 - p) E(s, n + 1), at most E for p within the limit, equal at it."""
    process = Proportion(limit=limit, alternative=side)
    around, n = (grid.ravel() for grid in np.meshgrid(np.arange(-15, 15), np.arange(30, 400, 7)))
    s = (np.floor(limit * n) + around).clip(0, n)
    now, hit, miss = (np.exp(process.log_evidence(rows)) for rows in ([s, n], [s + 1, n + 1], [s, n + 1]))
    np.testing.assert_allclose(limit * hit + (1 - limit) * miss, now, rtol=1e-9)
    within = limit * 0.7 if side == "above" else 1 - (1 - limit) * 0.7
    assert (within * hit + (1 - within) * miss <= now * (1 + 1e-9)).all()


@pytest.mark.parametrize("side", ["above", "below"])
def test_a_rate_is_a_martingale_at_the_limit_and_falls_within_it(side):
    """The mean over a Poisson number of events in .7 units more."""
    process, events = Rate(limit=2.0, alternative=side), np.arange(150.0)
    for k, t in ((0, 0.0), (3, 1.0), (50, 20.0), (5, 20.0)):
        later = np.exp(process.log_evidence([k + events, np.full(150, t + 0.7)]))
        now = math.exp(one(process, k, t))
        assert stats.poisson.pmf(events, 1.4) @ later == pytest.approx(now, rel=1e-9)
        assert stats.poisson.pmf(events, 0.7 if side == "above" else 2.1) @ later < now


@pytest.mark.parametrize("side", ["above", "below"])
def test_a_bounded_mean_is_a_martingale_at_the_limit(side):
    process = BoundedMean(limit=0.2, alternative=side)
    low, high = np.exp(process.gather([0.1, 0.6])).T  # with probabilities .8 and .2 the mean is the limit
    np.testing.assert_allclose(0.8 * low + 0.2 * high, 1.0, rtol=1e-14)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=40), st.integers(0, 40), SIDES)
def test_merged_counts_give_the_very_evidence(events, cut, side):
    """Whoever counted, and in whatever order: the same number, to the bit."""
    for process in (Proportion(limit=0.3, alternative=side), Rate(limit=0.7, alternative=side, dispersion=2.0)):
        parts = [np.zeros((2, 3)) for _ in range(3)]
        for part, chosen in zip(parts, (events, events[:cut][::-1], events[cut:][::-1]), strict=True):
            values = np.array([value for _, value in chosen], np.float64)
            where = np.array([arm % 3 for arm, _ in chosen], np.int64)
            process.add(part, where, values, values + 1.0)
        whole, left, right = parts
        assert process.log_evidence(left + right).tobytes() == process.log_evidence(whole).tobytes()


def test_merged_capitals_give_the_evidence_of_the_whole():
    process, values = BoundedMean(limit=0.3), np.random.Generator(np.random.PCG64(5)).random(200)
    whole, parts = np.zeros((16, 1)), np.zeros((2, 16, 1))
    process.add(whole, np.zeros(200), values)
    process.add(parts[0], np.zeros(80), values[:80])
    process.add(parts[1], np.zeros(120), values[80:])
    assert process.log_evidence(parts[0] + parts[1]) == pytest.approx(process.log_evidence(whole), rel=1e-12)


@given(st.integers(1, 3_000), st.sampled_from([0.001, 0.02, 0.5, 0.99]))
def test_evidence_is_monotone_in_events(n, limit):
    s = np.linspace(0, n, 30)
    for scale, make in ((1.0, Proportion), (1.0, Rate)):
        up = make(limit=limit).log_evidence([s, np.full(30, n * scale)])
        down = make(limit=limit, alternative="below").log_evidence([s, np.full(30, n * scale)])
        assert (np.diff(up) > 0).all()
        assert (np.diff(down) < 0).all()


@given(st.integers(0, 400), st.integers(0, 400), st.sampled_from([0.25, 0.5, 0.875]))
def test_below_a_limit_is_above_its_complement(s, f, limit):
    below = Proportion(limit=limit, alternative="below", mixing=(2.0, 3.0))
    above = Proportion(limit=1 - limit, mixing=(3.0, 2.0))
    assert one(below, s, s + f) == pytest.approx(one(above, f, s + f), rel=1e-12, abs=1e-12)


def test_default_mixing():
    """About twice the limit, or half of it; beyond 1/2 the same of the complement."""
    assert Proportion(limit=0.02).beta == pytest.approx((1.0, 24.0))
    assert Proportion(limit=0.02, alternative="below").beta == pytest.approx((1.0, 99.0))
    assert Proportion(limit=0.98, alternative="below").beta == pytest.approx((24.0, 1.0))
    assert Proportion(limit=0.98).beta == pytest.approx((99.0, 1.0))
    assert Proportion(limit=0.4).beta == (1.0, 1.0)
    assert Rate(limit=4.0).gamma == (1.0, 0.125)
    assert Rate(limit=4.0, alternative="below").gamma == (1.0, 0.5)
    assert np.isfinite(Proportion(limit=1e-12).log_evidence([[0, 5], [10**9, 10**9]])).all()


def test_no_event_is_no_evidence():
    for process in (Proportion(limit=0.3), Rate(limit=3.0), BoundedMean(limit=0.3)):
        assert process.log_evidence(np.zeros((process.rows, 3))).tolist() == [0.0, 0.0, 0.0]
        assert process.log_evidence(np.zeros((process.rows, 0))).shape == (0,)


def test_dispersion_divides_events_and_exposure():
    assert one(Rate(limit=1.5, dispersion=4.0), 40, 16) == one(Rate(limit=1.5), 10, 4)


def test_rows_of_events():
    assert Proportion(limit=0.5).gather([1.0, 0.25]).tolist() == [[1.0, 0.25], [1.0, 1.0]]
    assert Proportion(limit=0.5).gather([3.0], [50.0]).tolist() == [[3.0], [50.0]]
    assert Rate(limit=0.5).gather([3.0, 0.0], 2.0).tolist() == [[3.0, 0.0], [2.0, 2.0]]
    counts = np.zeros((2, 3))
    Proportion(limit=0.5).add(counts, [2, 0, 2], [1.0, 0.5, 0.0])
    assert counts.tolist() == [[0.5, 0.0, 1.0], [1.0, 0.0, 2.0]]


@pytest.mark.parametrize(
    ("process", "values", "exposures", "what"),
    [
        (Proportion(limit=0.5), [0.5, 1.5], 1.0, r"values\[1\] = 1.5"),
        (Proportion(limit=0.5), [-0.1], 1.0, "exposures"),
        (Proportion(limit=0.5), [math.nan], 1.0, "exposures"),
        (Proportion(limit=0.5), [1.0], math.inf, "exposures"),
        (Rate(limit=0.5), [-1.0], 1.0, ">= 0"),
        (Rate(limit=0.5), [1.0], -1.0, "exposure >= 0"),
        (Rate(limit=0.5), [math.inf], 1.0, "finite"),
        (BoundedMean(limit=0.5), [1.01], 1.0, r"\[0, 1\]"),
        (BoundedMean(limit=0.5), [0.5], 2.0, "exposure other than 1"),
        (Proportion(limit=0.5), [0.5, 0.5], [1.0], r"\[B\]"),
        (Proportion(limit=0.5), [[0.5]], 1.0, r"\[B\]"),
    ],
)
def test_bad_events(process, values, exposures, what):
    counts = np.zeros((process.rows, 1))
    with pytest.raises(ValueError, match=what):
        process.add(counts, np.zeros(len(values)), values, exposures)
    assert not counts.any()


@pytest.mark.parametrize("columns", [[0], [0, 3], [-1, 0], [[0, 1]]])
def test_bad_columns(columns):
    counts = np.zeros((2, 3))
    with pytest.raises(ValueError, match="columns must be 2 numbers"):
        Proportion(limit=0.5).add(counts, columns, [1.0, 0.0])
    for other in (np.zeros((3, 3)), np.zeros((2, 3), int), np.zeros((3, 2)).T):
        with pytest.raises(ValueError, match="counts must be a writable"):
            Proportion(limit=0.5).add(other, [0, 1], [1.0, 0.0])


@pytest.mark.parametrize(
    ("process", "bad"),
    [
        (Proportion(limit=0.5), [[3, 1], [5, 0]]),
        (Proportion(limit=0.5), [[0, -1], [5, 5]]),
        (Proportion(limit=0.5), [[0, 1], [5, np.inf]]),
        (Rate(limit=0.5), [[0, np.nan], [5, 5]]),
        (Rate(limit=0.5), [[0, 1], [5, -1]]),
        (BoundedMean(limit=0.5), np.where(np.arange(32).reshape(16, 2) == 7, np.nan, 0.0)),
    ],
)
def test_bad_counts(process, bad):
    with pytest.raises(ValueError, match=r"counts\[:, 1\]"):
        process.log_evidence(bad)
    with pytest.raises(ValueError, match=r"counts must be \[\d+, C\]"):
        process.log_evidence([[1.0]])


def test_configuration():
    assert TypeAdapter(AnyEvidence).validate_python({"kind": "rate", "limit": 3}) == Rate(limit=3.0)
    for process in (Proportion(limit=0.3, mixing=(1, 2)), Rate(limit=3.0, exposure="minutes"), BoundedMean(limit=0.2)):
        assert TypeAdapter(AnyEvidence).validate_json(process.model_dump_json()) == process
    for make, change in ((Proportion, {"limit": 1.0}), (Rate, {"limit": 0.0}), (BoundedMean, {"limit": 0.0})):
        with pytest.raises(ValueError, match="validation error"):
            make(**change)
    with pytest.raises(ValueError, match="validation error"):
        Rate(limit=1.0, dispersion=0.9)
    with pytest.raises(ValueError, match="validation error"):
        Proportion(limit=0.5, alternative="beside")


def test_dispersion_by_hand():
    """Arm 1: 2, 4, 6 against 4, 4, 4: (4 + 0 + 4) / 4 = 2; arm 2, of times 1, 3: 4, 4 against 2, 6: 2 + 2/3.

    Together (2 + 8/3) / (2 + 1); an arm without events, and an interval without time, do not count.
    """
    counts = np.array([[2, 4, 0], [4, 0, 0], [6, 4, 0]])
    times = np.array([[1, 1, 1], [1, 0, 1], [1, 3, 1]])
    assert estimated_dispersion(counts, times) == pytest.approx((2 + 8 / 3) / 3)
    assert estimated_dispersion([3, 3, 3]) == 1.0


@pytest.mark.parametrize(("counts", "times"), [([3], [1]), ([0, 0], [1, 1]), ([1, -1], [1, 1]), ([1, 1], [0, 1])])
def test_bad_dispersion(counts, times):
    with pytest.raises(ValueError, match=r"dispersion needs|not negative"):
        estimated_dispersion(counts, times)


@pytest.mark.parametrize("phi", [1, 2, 5])
def test_dispersion_is_recovered(phi):
    rng = np.random.Generator(np.random.PCG64(9))
    found = estimated_dispersion(phi * rng.poisson(4.0, size=(400, 20)))
    assert abs(found - phi) < 5 * phi * math.sqrt(2.3 / (399 * 20))

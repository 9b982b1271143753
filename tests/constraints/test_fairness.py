from random import Random

import numpy as np
import pytest
from constraints.served import attributes_of, exposure_of, request_of
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.constraints import FairShare


def test_bad_fractions():
    for fields in [{"fraction": {"a": 0.1}}, {"fraction": 0.1, "by": "x"}, {"fraction": 2.0}]:
        with pytest.raises(ValueError, match="validation error"):
            FairShare(**fields)
    with pytest.raises(ValueError, match="validation error"):
        FairShare(0.1, tolerance=-1.0)


class Account:
    """Decisions and exposures, counted; whoever is overdue is found by looking at each."""

    def __init__(self, constraint, r):
        self.constraint, self.r = constraint, np.array(r, float)
        self.state = constraint.init(self.r.size)
        self.t, self.n = np.zeros(self.r.size), np.zeros(self.r.size)

    @property
    def deficits(self):
        return self.r * self.t - self.n

    def decide(self, request, preferred):
        """Serve those demanded, then those preferred, in one decision."""
        columns = request.columns
        demanded = self.constraint.demands(self.state, request)
        demanded = [] if demanded is None else demanded.tolist()
        overdue = [
            i
            for i, c in enumerate(columns)
            if self.r[c] * (self.t[c] + 1) - self.n[c] > self.constraint.tolerance + 1e-9
        ]
        assert set(demanded) <= set(overdue)
        assert bool(demanded) == bool(overdue)
        served = demanded + [i for i in preferred if i not in demanded][: request.k - len(demanded)]
        self.constraint.observe(self.state, exposure_of(request, *served))
        self.t[columns] += 1
        self.n[columns[served]] += 1
        assert np.abs(self.state.deficit - self.deficits).max() < 1e-7


RATES = {
    "alike": np.full(200, 1 / 200),
    "harmonic": 1 / np.arange(1, 201) / (1 / np.arange(1, 201)).sum(),
    "one large": np.array([0.5] + [0.5 / 199] * 199),
    "two sorts": np.array([1 / 150] * 100 + [1 / 300] * 100),
    "random": np.random.default_rng(1).dirichlet(np.full(200, 0.2)),
    "ninety per cent": np.random.default_rng(2).dirichlet(np.full(200, 0.5)) * 0.9,
}


@pytest.mark.parametrize("r", RATES.values(), ids=RATES)
def test_deficits_of_two_hundred_arms_stay_bounded(r):
    """Over 20,000 decisions, against a policy that prefers one arm whenever it may."""
    constraint = FairShare("r", tolerance=0.5)
    state = constraint.init(200)
    request = request_of(range(200), attributes=attributes_of(200, r=r))
    n = np.zeros(200)
    for t in range(1, 20_001):
        demanded = constraint.demands(state, request)
        position = 7 if demanded is None else int(demanded[0])
        constraint.observe(state, exposure_of(request, position))
        n[position] += 1
        assert (r * t - n).max() <= 1.5 + 1e-7
    assert constraint.report(state, request.attributes)["worst_deficit"] <= 1.5 + 1e-7
    assert constraint.report(state, request.attributes)["scaled_decisions"] == 0
    if r.sum() > 0.99:
        assert (n[r > 0.002] > 20).all()


@st.composite
def rates(draw, most=8):
    """Whole numbers over their sum, so that the fractions sum to 1, or a part of it."""
    parts = draw(st.lists(st.integers(0, 20), min_size=2, max_size=most))
    spare = draw(st.sampled_from([0, 0, 1, 7]))
    return np.array(parts) / max(sum(parts) + spare, 1)


@settings(max_examples=60)
@given(rates(), st.sampled_from([0.0, 0.3, 1.0, 2.5]), st.integers(0, 2**32))
def test_deficits_stay_bounded_whatever_the_policy_prefers(r, tolerance, seed):
    random = Random(seed)
    account = Account(FairShare("r", tolerance=tolerance), r)
    request = request_of(range(r.size), attributes=attributes_of(r.size, r=r))
    favourite = random.randrange(r.size)
    for _ in range(150):
        account.decide(request, [random.choice([favourite, random.randrange(r.size)])])
        assert account.deficits.max() <= tolerance + 1.0 + 1e-7


@settings(max_examples=40)
@given(rates(), st.integers(0, 2**32))
def test_deficits_stay_bounded_while_arms_join_and_leave(r, seed):
    random = Random(seed)
    account = Account(FairShare("r", tolerance=0.0), r)
    attributes = attributes_of(r.size, r=r)
    span = sorted((random.randrange(0, 120), random.randrange(0, 200)) for _ in r)
    for now in range(200):
        there = [i for i, (first, last) in enumerate(span) if first <= now and not first < last < now]
        if there:
            account.decide(request_of(there, attributes=attributes), [0])
        assert account.deficits.max() <= 1.0 + 1e-7


@settings(max_examples=40)
@given(rates(), rates(), st.integers(0, 2**32))
def test_sets_that_take_turns_each_keep_their_bound(first, second, seed):
    random, r = Random(seed), np.concatenate((first, second))
    account = Account(FairShare("r", tolerance=1.0), r)
    attributes = attributes_of(r.size, r=r)
    sets = [request_of(range(first.size), attributes=attributes)]
    sets.append(request_of(range(first.size, r.size), attributes=attributes))
    for _ in range(200):
        account.decide(random.choice(sets), [0])
        assert account.deficits.max() <= 2.0 + 1e-7


@settings(max_examples=40)
@given(rates(), st.integers(0, 2**32))
def test_whatever_the_candidates_someone_overdue_is_served(r, seed):
    """`decide` asserts it; deficits may grow here."""
    random = Random(seed)
    account = Account(FairShare("r", tolerance=0.0), r)
    attributes = attributes_of(r.size, r=r)
    for _ in range(150):
        columns = random.sample(range(r.size), random.randint(1, r.size))
        account.decide(request_of(columns, attributes=attributes), [0])


@settings(max_examples=60)
@given(st.integers(2, 4), st.integers(4, 10), st.integers(0, 2**32))
def test_slates_keep_the_bound(k, size, seed):
    """Fractions of up to k in all, none above 1."""
    random = Random(seed)
    r = np.array([random.uniform(0.01, 1.0) for _ in range(size)])
    r *= min(1.0, random.choice([k, 0.7 * k, 1.0]) / r.sum())
    account = Account(FairShare("r", tolerance=1.0), r)
    request = request_of(range(size), k=k, attributes=attributes_of(size, r=r))
    for _ in range(150):
        account.decide(request, range(size))
        assert account.deficits.max() <= 2.0 + 1e-7


def test_the_earliest_deadline_is_first_and_ties_go_by_uid():
    """Deficits .75 and .6 of r = .25 and .6: over 1 in 2 decisions and in 1."""
    constraint = FairShare("r", tolerance=0.0)
    request = request_of([0, 1], attributes=attributes_of(2, r=[0.25, 0.6]))
    state = constraint.init(2)
    state.deficit[:] = 0.75, 0.6
    assert constraint.demands(state, request).tolist() == [1]
    alike = request_of([0, 1], attributes=attributes_of(2, r=[0.5, 0.5]))
    state.deficit[:] = 0.4
    assert constraint.demands(state, alike).tolist() == [int(np.argmin(alike.uids))]
    turned = request_of([1, 0], attributes=alike.attributes)
    assert constraint.demands(state, turned).tolist() == [int(np.argmin(turned.uids))]


def test_fractions_of_more_than_the_slots_are_scaled():
    constraint = FairShare(0.5, tolerance=0.0)
    state, request = constraint.init(4), request_of(range(4))
    for _ in range(100):
        demanded = constraint.demands(state, request)
        constraint.observe(state, exposure_of(request, 0 if demanded is None else demanded[0]))
    report = constraint.report(state, request.attributes)
    assert report["scaled_decisions"] == 100
    assert report["worst_deficit"] <= 1.0 + 1e-7
    exactly = FairShare(0.1)
    state, request = exactly.init(10), request_of(range(10))
    exactly.observe(state, exposure_of(request, 0))
    assert exactly.report(state, request.attributes)["scaled_decisions"] == 0


def test_fractions_by_number_attribute_and_group():
    attributes = attributes_of(3, r=[0.1, 0.2, 0.3], category=["a", "b", "a"])
    request = request_of([2, 1, 0], attributes=attributes)
    assert FairShare(0.25).fractions(request).tolist() == [0.25] * 3
    assert FairShare("r").fractions(request).tolist() == [0.3, 0.2, 0.1]
    assert FairShare({"a": 0.4}, by="category").fractions(request).tolist() == [0.4, 0.0, 0.4]

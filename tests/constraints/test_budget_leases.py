"""Replicas that spend apart what they lease in one store never overspend together, whatever happens to them."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from seedbed.constraints import Budget
from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Exposure, Feedback, Request
from seedbed.storage import Leases, MemoryStore

ARMS = 3
WINDOW = 10.0
NAMES = ("eu-1", "eu-2", "us-1")


class Replica:
    """One process: a budget of its own, and the loop that moves units between it and the store."""

    def __init__(self, name, budget, leases):
        self.name, self.budget, self.leases = name, budget, leases
        self.attributes = Attributes(ARMS)
        self.state = budget.init(ARMS)
        self.number = 0

    def refill(self, wanted, now):
        """Have so many units to spend: lease what is missing, give back what is too much."""
        missing = wanted - self.budget.unused(self.state, now=now)
        if missing > 0:
            self.budget.grant(self.state, self.leases.take(self.name, missing, now=now), now=now)
        else:
            self.budget.give_back(self.state, -missing, now=now)
            self.leases.give_back(self.name, -missing, now=now)

    def serve(self, k, now):
        """Serve up to k arms; return how many."""
        self.state = self.budget.fit(self.state, ARMS, self.attributes, now)
        columns = np.arange(ARMS)
        request = Request(columns, columns.astype(np.uint64), k, now, 0, {}, self.attributes, lambda: np.zeros(ARMS))
        keep = np.ones(ARMS, bool)
        for _, mask in self.budget.mask(self.state, request):
            keep &= mask
        if not keep.all():
            return 0
        limits = self.budget.limits(self.state, request)
        if limits is not None:
            k = min(k, int(limits.upper[0] // self.budget.cost))
        self.number += 1
        self.budget.observe(self.state, Exposure(self.number, request, np.arange(k)))
        return k


class Fleet(RuleBasedStateMachine):
    """Replicas whose clocks differ, under any order of leases, exposures, costs, refunds and deaths."""

    @initialize(
        limit=st.integers(0, 12), cost=st.sampled_from([1.0, 2.0]), expired=st.sampled_from(["spent", "released"])
    )
    def begin(self, limit, cost, expired):
        store = MemoryStore()
        self.limit, self.cost = limit, cost
        self.budget = Budget(
            limit=limit, window=WINDOW, cost=cost, per="feedback", expiry=6.0, expired=expired, leased=True
        )
        self.leases = Leases(store, "budgets/exposures", limit=limit, window=WINDOW)
        self.replicas = [self.start(name) for name in NAMES]
        self.saved = [replica.budget.save(replica.state, ARMS) for replica in self.replicas]
        self.now = 0.0
        self.real = {}  # (replica, number, column) -> window, units it cost in truth, or may cost

    def start(self, name):
        return Replica(
            name, self.budget, Leases(self.leases.store, "budgets/exposures", limit=self.limit, window=WINDOW)
        )

    @rule(delay=st.integers(0, 20))
    def wait(self, delay):
        self.now += delay / 4

    @rule(i=st.integers(0, 2), wanted=st.integers(0, 8))
    def refill(self, i, wanted):
        self.replicas[i].refill(wanted, self.now)

    @rule(i=st.integers(0, 2), k=st.integers(1, ARMS))
    def serve(self, i, k):
        replica = self.replicas[i]
        for column in range(replica.serve(k, self.now)):
            self.real[replica, replica.number, column] = [self.now // WINDOW, self.cost, self.now]

    @rule(
        i=st.integers(0, 2), column=st.integers(0, ARMS - 1), back=st.integers(0, 3), share=st.sampled_from([0.0, 0.5])
    )
    def hear(self, i, column, back, share):
        replica = self.replicas[i]
        found = self.real.get((replica, replica.number - back, column))
        if found and found[1] == self.cost and self.now < found[2] + self.budget.expiry:
            found[1] = share * self.cost
            costs = {"exposures": np.array([found[1]])}
            one = np.ones(1)
            columns = np.array([column])
            event = Feedback(columns, one, one, costs, {}, replica.number - back, self.now)
            self.budget.observe(replica.state, event)

    @rule(i=st.integers(0, 2), back=st.integers(0, 3))
    def refund(self, i, back):
        replica = self.replicas[i]
        if self.budget.refund(replica.state, replica.number - back) > 0.0:
            for column in range(ARMS):
                found = self.real.get((replica, replica.number - back, column))
                if found:
                    found[1] = 0.0

    @rule(i=st.integers(0, 2))
    def save(self, i):
        self.saved[i] = self.budget.save(self.replicas[i].state, ARMS)

    @rule(i=st.integers(0, 2))
    def die(self, i):
        """A replica resumes from its latest checkpoint; what it had leased may have been spent since."""
        replica = self.start(NAMES[i])
        replica.state = self.budget.load({name: array.copy() for name, array in self.saved[i].items()}, ARMS)
        replica.number = self.replicas[i].number
        self.budget.revoke(replica.state)
        self.replicas[i] = replica

    @invariant()
    def the_fleet_is_within_the_limit(self):
        spent = {}
        for window, units, at in self.real.values():
            is_over = self.budget.expired == "released" and at + self.budget.expiry <= self.now
            if units < self.cost or not is_over:  # a cost that never comes may be released
                spent[window] = spent.get(window, 0.0) + units
        assert all(units <= self.limit for units in spent.values())
        for replica in self.replicas:
            assert self.budget.overrun(replica.state) == 0.0


TestFleet = Fleet.TestCase
TestFleet.settings = settings(max_examples=100, stateful_step_count=30, report_multiple_bugs=False)


def test_a_grant_by_hand():
    budget = Budget(limit=10, window=60.0, leased=True)
    state = budget.init()
    assert budget.available(state) == 0.0
    budget.grant(state, 4, now=0.0)
    budget.reserve(state, 3)
    assert (budget.available(state), budget.unused(state, now=0.0)) == (1.0, 1)
    budget.grant(state, 6, now=1.0)
    assert budget.unused(state, now=1.0) == 7
    budget.give_back(state, 2, now=2.0)
    assert (budget.unused(state, now=2.0), budget.spent(state)) == (5, 3.0)
    budget.revoke(state)
    assert budget.unused(state, now=3.0) == 0
    assert budget.unused(state, now=60.0) == 0
    budget.grant(state, 10, now=60.0)
    assert (budget.available(state), budget.spent(state)) == (10.0, 0.0)


def test_units_that_are_not_whole_stay():
    budget = Budget(limit=10, leased=True)
    state = budget.init()
    budget.grant(state, 4, now=0.0)
    budget.reserve(state, 1.5)
    assert budget.unused(state, now=0.0) == 2
    budget.give_back(state, 2, now=0.0)
    assert budget.available(state) == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b, s: b.grant(s, 7, now=61.0), "cannot grant 7 exposures: 4 of 10 were granted"),
        (lambda b, s: b.grant(s, 1, now=59.0), "in a window that is over"),
        (lambda b, s: b.grant(s, 1.0, now=61.0), "not a count of units"),
        (lambda b, s: b.grant(s, -1, now=61.0), "not a count of units"),
        (lambda b, s: b.grant(s, 1, now=float("nan")), "is no time"),
        (lambda b, s: b.give_back(s, 2, now=61.0), "cannot give back 2 exposures: 1 are unused"),
        (lambda b, s: b.give_back(s, 1, now=120.0), "cannot give back 1 exposures: 0 are unused"),
        (lambda b, s: b.unused(s, now=0.0), "in a window that is over"),
        (lambda b, s: Budget(limit=5).grant(s, 1, now=61.0), "is not leased"),
    ],
)
def test_bad_leases_change_nothing(call, message):
    budget = Budget(limit=10, window=60.0, leased=True)
    state = budget.init()
    budget.grant(state, 4, now=60.0)
    budget.reserve(state, 3)
    before = {name: array.copy() for name, array in state._asdict().items()}
    with pytest.raises(ValueError, match=message):
        call(budget, state)
    assert all(np.array_equal(before[name], array) for name, array in state._asdict().items())


def test_what_is_revoked_never_comes_back():
    """Two exposures of 2 units each were reserved of 6; after the recovery neither expiry nor refund frees them."""
    budget = Budget(limit=9, cost=2, per="feedback", expiry=5.0, expired="released", leased=True)
    replica = Replica("eu-1", budget, Leases(MemoryStore(), "budget", limit=9))
    replica.refill(6, 0.0)
    assert replica.serve(2, 0.0) == 2
    budget.revoke(replica.state)
    assert budget.refund(replica.state, 1) == 0.0
    replica.state = budget.fit(replica.state, ARMS, replica.attributes, 10.0)
    assert (budget.spent(replica.state), budget.available(replica.state)) == (4.0, 0.0)

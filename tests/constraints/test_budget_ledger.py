"""Whatever happens in whatever order, the ledger tells what a ledger that forgets nothing tells, within the limit."""

from fractions import Fraction

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from naive_budget import NaiveBudget

from seedbed.bandits.checkpoint import Checkpoint, pack, unpack
from seedbed.constraints import Budget
from seedbed.constraints import _ledger as ledger
from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Exposure, Feedback, Request, forget

WINDOWS = ({"window": 8.0}, {"window": 8.0, "curve": (0.0, 0.5, 1.0)}, {"window": 8.0, "curve": (0.25, 1.0)})
TIMES = st.sampled_from([{}, *WINDOWS, {"rate": 0.25}, {"rate": 2.0}])
BUDGETS = st.builds(
    lambda limit, time, by, cost, per, expiry, expired: Budget(
        "gifts", limit=limit, by=by, cost=cost, per=per, expiry=expiry, expired=expired, **time
    ),
    st.sampled_from([0, 1, 3, 7.5, 20]),
    TIMES,
    st.sampled_from([None, "creator", "arm"]),
    st.sampled_from([1.0, 0.5, "price"]),
    st.sampled_from(["exposure", "feedback", "reward"]),
    st.sampled_from([3.0, 20.0]),
    st.sampled_from(["spent", "released"]),
)
PRICES = st.sampled_from([0.0, 0.5, 1.0, 2.0])
CREATORS = st.sampled_from([None, "a", "b", "c", "d", "e", "f"])


class Ledgers(RuleBasedStateMachine):
    """A budget and its arms, under all that can happen to them. Units are multiples of 1/64: sums are exact."""

    @initialize(budget=BUDGETS, honest=st.booleans(), creators=st.lists(CREATORS, min_size=3, max_size=3))
    def begin(self, budget, honest, creators):
        self.budget, self.honest = budget, honest
        self.naive = NaiveBudget(budget)
        self.attributes = Attributes(3)
        self.arms, self.serial, self.number, self.now = [], 0, 0, -np.inf
        self.creator, self.price = {}, {}
        self.state = budget.init(3)
        for column, creator in enumerate(creators):
            self.settle_in(column, creator, 1.0)
        self.fit()

    def settle_in(self, column, creator, price):
        """Give a column to a new arm."""
        arm, self.serial = self.serial, self.serial + 1
        self.arms[column : column + 1] = [arm]
        self.creator[arm], self.price[arm] = creator, price
        self.describe(column, creator, price)

    def describe(self, column, creator, price):
        values = {"price": price} if creator is None else {"price": price, "creator": creator}
        self.attributes.set(np.array([column]), self.attributes.checked(values, 1))

    def fit(self):
        self.state = self.budget.fit(self.state, len(self.arms), self.attributes, self.now)

    def account(self, arm):
        """Name of an arm's account."""
        return {None: "all", "arm": arm, "creator": self.creator[arm] or ""}[self.budget.by]

    def cost(self, arm):
        return self.price[arm] if self.budget.cost == "price" else self.budget.cost

    @rule(delay=st.integers(0, 24))
    def wait(self, delay):
        self.now = delay / 2 if self.now == -np.inf else self.now + delay / 2
        self.fit()
        self.naive.pass_to(self.now)

    @rule(order=st.randoms(use_true_random=False), size=st.integers(1, 8), k=st.integers(1, 4))
    def serve(self, order, size, k):
        columns = np.array(order.sample(range(len(self.arms)), min(size, len(self.arms))))
        self.fit()
        request = self.request(columns, k)
        masks = dict(self.budget.mask(self.state, request))
        paced = self.naive.share() * Fraction(self.budget.limit)
        keep = np.ones(columns.size, bool)
        for i, column in enumerate(columns):
            arm = self.arms[column]
            after = self.naive.used(self.account(arm)) + self.cost(arm)
            assert (not masks.get("BUDGET_SPENT", keep)[i]) == (after > self.budget.limit)
            assert (not masks.get("PACED", keep)[i]) == (paced < after <= self.budget.limit)
            keep[i] = after <= paced
        request = self.request(columns[keep], k)
        chosen = self.fill(request)
        taken, wanted = {}, []
        for i, column in enumerate(request.columns):
            name, cost = self.account(self.arms[column]), self.cost(self.arms[column])
            if len(wanted) < k and self.naive.used(name) + taken.get(name, 0) + cost <= paced:
                taken[name] = taken.get(name, 0) + cost
                wanted.append(i)
        assert chosen == wanted
        self.number += order.choice([1, 3])
        self.budget.observe(self.state, Exposure(self.number, request, np.array(chosen, np.int64)))
        for i in chosen:
            arm = self.arms[request.columns[i]]
            self.naive.serve(self.number, arm, self.account(arm), self.cost(arm))
        assert all(self.naive.used(name) <= paced for name in taken)

    def request(self, columns, k):
        uids = columns.astype(np.uint64)
        return Request(columns, uids, k, self.now, 0, {}, self.attributes, lambda: np.zeros(columns.size))

    def fill(self, request):
        """Fill a slate as far as the limits let it."""
        limits = self.budget.limits(self.state, request)
        chosen, room = [], None if limits is None else limits.upper.copy()
        for i in range(request.columns.size):
            if len(chosen) == request.k:
                break
            if limits is not None:
                assert not limits.relaxable
                group, amount = limits.groups[i], limits.amounts[i]
                if amount > room[group]:
                    continue
                room[group] -= amount
            chosen.append(i)
        return chosen

    @precondition(lambda self: self.number > 0)
    @rule(
        back=st.integers(0, 8),
        numbered=st.booleans(),
        picks=st.lists(st.tuples(st.integers(0, 7), st.sampled_from([0.0, 0.25, 1.0])), min_size=1, max_size=4),
        ahead=st.sampled_from([-3.0, 0.0, 4.0]),
        more=st.sampled_from([0.0, 0.0, 3.0]),
    )
    def hear(self, back, numbered, picks, ahead, more):
        """Several events of a decision, or of none; honest ones cost what was reserved at most, and come in time."""
        number = max(1, self.number - back) if numbered else None
        at = self.now + (0.0 if self.honest else ahead)
        columns, values = [], []
        self.naive.expire(at)
        for pick, share in picks:
            column = pick % len(self.arms)
            arm = self.arms[column]
            cost = self.open_cost(arm, number, columns.count(column))
            if self.honest and cost is None and self.budget.per != "exposure":
                continue
            value = share if self.budget.per == "reward" else share * float(cost or 1.0)
            columns.append(column)
            values.append(value + (0.0 if self.honest else more))
        told = np.array(values, float)
        event = Feedback(np.array(columns, np.int64), told, np.ones(len(told)), {"gifts": told}, {}, number, at)
        self.budget.check(self.state, event)
        self.budget.observe(self.state, event)
        if self.budget.per != "exposure":
            for column, value in zip(columns, values, strict=True):
                self.naive.feedback(number, self.arms[column], value, at)

    def open_cost(self, arm, number, skip):
        """What an exposure, of which the cost is awaited, reserved."""
        found = [e for e in self.naive.exposures if e["is_open"] and e["arm"] == arm and number in (None, e["number"])]
        return found[skip]["cost"] if len(found) > skip else None

    @precondition(lambda self: self.number > 0)
    @rule(back=st.integers(0, 8), column=st.none() | st.integers(0, 7))
    def refund(self, back, column):
        number = max(1, self.number - back)
        if column is None:
            assert self.budget.refund(self.state, number) == self.naive.refund(number)
        else:
            column %= len(self.arms)
            found = self.budget.refund(self.state, number, np.array([column]))
            assert found == self.naive.refund(number, self.arms[column])
        assert self.budget.refund(self.state, number, None if column is None else np.array([column])) == 0.0

    @rule(column=st.integers(0, 7), creator=CREATORS, price=PRICES)
    def replace(self, column, creator, price):
        """An arm goes, and another gets its column."""
        column %= len(self.arms)
        self.attributes.forget(np.array([column]))
        forget(self.budget, self.state, np.array([column]))
        self.settle_in(column, creator, price)
        self.fit()

    @rule(column=st.integers(0, 7), creator=CREATORS.filter(bool), price=PRICES)
    def move(self, column, creator, price):
        """An arm changes hands."""
        column %= len(self.arms)
        arm = self.arms[column]
        self.creator[arm], self.price[arm] = creator, price
        self.describe(column, creator, price)
        self.fit()

    @precondition(lambda self: len(self.arms) < 8)
    @rule(creator=CREATORS, price=PRICES)
    def grow(self, creator, price):
        self.attributes.fit(len(self.arms) + 1)
        self.settle_in(len(self.arms), creator, price)
        self.fit()

    @rule()
    def resume(self):
        arrays = self.budget.save(self.state, len(self.arms))
        blob = pack(Checkpoint("test", {}, {}, arrays))
        self.state = self.budget.load(unpack(blob, "test").arrays, len(self.arms))
        assert pack(Checkpoint("test", {}, {}, self.budget.save(self.state, len(self.arms)))) == blob
        self.fit()

    @invariant()
    def tells_the_truth_within_the_limit(self):
        book = self.state.arms[ledger.BOOK :] if self.budget.by == "arm" else self.state.accounts
        places = {"all": 0}
        if self.budget.by == "arm":
            places = {arm: column for column, arm in enumerate(self.arms)}
        elif self.budget.by == "creator":
            places = {name: code for code, name in enumerate(self.attributes.names("creator"))}
        for name, place in places.items():
            used = self.naive.used(name)
            assert self.budget.spent(self.state, place) == used
            assert self.budget.overrun(self.state, place) == self.naive.overrun.get(name, 0)
            if self.budget.rate is not None or book[ledger.AT, place] >= self.state.clock[ledger.WINDOW]:
                assert book[ledger.RESERVED, place] == self.naive.reserved(name)
            if self.honest:
                assert used <= self.budget.limit
                assert self.budget.overrun(self.state, place) == 0.0
            if self.honest and self.budget.rate is not None:
                taken = sum(units for account, _, _, units in self.naive.steps if account == name)
                times = [time for _, _, time, _ in self.naive.steps if time is not None]
                assert taken <= self.budget.limit + self.budget.rate * (self.now - min(times) if times else 0.0)
        self.tells_in_sum(places)

    def tells_in_sum(self, places):
        report = self.budget.report(self.state, self.attributes)
        held = sum(self.naive.used(name) for name in places)
        assert report["spent"] + report["reserved"] == held
        if self.budget.rate is None:
            assert report["reserved"] == sum(self.naive.reserved(name) for name in places)
        most = {name: used for name in places if (used := self.naive.used(name)) > 0}
        if self.budget.by == "creator":
            assert report["most_used"] == most


TestLedgers = Ledgers.TestCase
TestLedgers.settings = settings(max_examples=150, stateful_step_count=30, report_multiple_bugs=False)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.allocators import ColdStartConfig
from seedbed.bandits import Bandit, CheckpointError, Thompson
from seedbed.constraints import Budget, _budget_state
from seedbed.constraints import _ledger as ledger
from seedbed.constraints import budget as budget_module
from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Exposure, Feedback, Request
from seedbed.constraints.constrained import Constrained

STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "release", "advance"]), st.integers(0, 60), st.floats(0, 30)), max_size=60
)


@given(st.integers(0, 100), st.sampled_from([None, 10.0]), STEPS)
def test_never_overspent_in_any_window(limit, window, steps):
    """Against a ledger that remembers every unit with its window."""
    budget = Budget("exposures", limit=limit, window=window)
    state, now = budget.init(), 0.0
    budget.advance(state, budget.window_at(now))
    spent = 0
    for kind, amount, delay in steps:
        if kind == "advance":
            before = budget.window_at(now)
            now += delay
            assert budget.advance(state, budget.window_at(now)) == (budget.window_at(now) > before)
            spent = 0 if budget.window_at(now) > before else spent
        elif kind == "reserve" and amount <= limit - spent:
            budget.reserve(state, amount)
            spent += amount
        elif kind == "release" and amount <= spent:
            budget.release(state, amount)
            spent -= amount
        else:
            call = budget.reserve if kind == "reserve" else budget.release
            with pytest.raises(ValueError, match="cannot"):
                call(state, amount)
        assert budget.spent(state) == spent <= limit
        assert budget.available(state) == limit - spent
        assert budget.overrun(state) == 0


def test_charges_beyond_the_limit_are_noted():
    budget = Budget(limit=10)
    state = budget.init()
    budget.reserve(state, 8)
    budget.charge(state, 5)
    assert (budget.spent(state), budget.available(state), budget.overrun(state)) == (13, 0, 3)
    budget.charge(state, 2)
    assert budget.overrun(state) == 5


def test_windows_by_hand():
    budget = Budget("exposures", limit=5, window=60.0)
    state = budget.init()
    assert budget.advance(state, budget.window_at(59.0))
    budget.reserve(state, 5)
    assert not budget.advance(state, budget.window_at(59.9))
    assert budget.available(state) == 0
    assert budget.advance(state, budget.window_at(60.0))
    assert budget.available(state) == 5


@pytest.mark.parametrize(
    "fields", [{"limit": -1}, {"limit": float("inf")}, {"limit": 5, "window": 0.0}, {}, {"limit": 1, "x": 1}]
)
def test_bad_numbers(fields):
    with pytest.raises(ValueError, match="validation error"):
        Budget("exposures", **fields)


# what a chain asks of it


class Served:
    """One budget over K arms, called as a chain calls it."""

    def __init__(self, budget, capacity=6, **attributes):
        self.budget, self.capacity, self.number = budget, capacity, 0
        self.attributes = Attributes(capacity)
        self.attributes.set(np.arange(capacity), self.attributes.checked(attributes, capacity))
        self.state = budget.init()
        self.at(-np.inf)

    def at(self, now):
        self.now = now
        self.state = self.budget.fit(self.state, self.capacity, self.attributes, now)
        return self

    def request(self, columns=None, k=1):
        columns = np.arange(self.capacity) if columns is None else np.array(columns)
        uids = columns.astype(np.uint64)
        return Request(columns, uids, k, self.now, 0, {}, self.attributes, lambda: np.zeros(columns.size))

    def masks(self, columns=None):
        return {reason: mask.tolist() for reason, mask in self.budget.mask(self.state, self.request(columns))}

    def serve(self, *columns):
        self.number += 1
        self.state = self.budget.fit(self.state, self.capacity, self.attributes, self.now)
        request = self.request(columns, len(columns))
        self.budget.observe(self.state, Exposure(self.number, request, np.arange(len(columns))))
        return self.number

    def hear(self, columns, number=None, costs=None, rewards=None, at=None):
        columns = np.array(columns)
        rewards = np.ones(columns.size) if rewards is None else np.array(rewards, float)
        told = {} if costs is None else {self.budget.resource: np.array(costs, float)}
        at = self.now if at is None else at
        event = Feedback(columns, rewards, np.ones(columns.size), told, {}, number, at)
        self.budget.check(self.state, event)
        self.budget.observe(self.state, event)

    @property
    def report(self):
        return self.budget.report(self.state, self.attributes)


def test_delayed_costs_by_hand():
    served = Served(Budget("gifts", limit=10, cost=3, per="feedback", expiry=60.0)).at(0.0)
    first, second = served.serve(0, 1), served.serve(2)
    assert (served.report["spent"], served.report["reserved"], served.report["available"]) == (0.0, 9.0, 1.0)
    assert served.masks([0, 1]) == {"BUDGET_SPENT": [False, False]}
    served.hear([1, 0], first, costs=[1, np.nan])  # of arm 0 nothing is told yet
    assert (served.report["spent"], served.report["reserved"], served.report["available"]) == (1.0, 6.0, 3.0)
    assert served.masks() == {}
    served.hear([2], second, costs=[4])  # more than it reserved: it was spent all the same
    assert (served.report["spent"], served.report["reserved"], served.report["available"]) == (5.0, 3.0, 2.0)
    served.hear([2], second, costs=[5])  # and again, of which 3 were not there
    assert (served.report["spent"], served.report["reserved"], served.report["overrun"]) == (10.0, 3.0, 3.0)
    served.at(60.0)  # the reservation of arm 0 expires as spent
    assert (served.report["spent"], served.report["reserved"]) == (13.0, 0.0)
    served.hear([0], first, costs=[0])  # too late to say that nothing was spent
    assert served.report["spent"] == 13.0


def test_released_reservations_are_charged_when_their_cost_comes_late():
    served = Served(Budget("gifts", limit=4, cost="price", per="feedback", expiry=60.0, expired="released"), price=3)
    number = served.at(0.0).serve(0)
    served.at(59.0)
    assert served.report["available"] == 1.0
    served.at(60.0)
    assert served.report["available"] == 4.0
    served.hear([0], number, costs=[3])
    assert (served.report["available"], served.report["overrun"]) == (1.0, 0.0)
    served.hear([0], None, costs=[3])
    assert (served.report["available"], served.report["overrun"]) == (0.0, 2.0)
    served.hear([1], None, costs=[3])  # of an arm that was never served here
    assert served.report["overrun"] == 2.0


def test_feedback_without_a_decision_settles_the_oldest_exposures():
    served = Served(Budget("gifts", limit=100, cost=10, per="feedback", by="arm", expiry=60.0)).at(0.0)
    first, second = served.serve(3, 4), served.serve(3)
    served.hear([4, 3, 3, 3], None, costs=[1, 2, 3, 4])  # the third of arm 3 belongs to no exposure
    assert [served.budget.spent(served.state, arm) for arm in (3, 4)] == [5.0, 1.0]
    assert served.budget.refund(served.state, first) == 3.0
    assert served.budget.refund(served.state, second) == 3.0


def test_costs_by_reward():
    served = Served(Budget("fees", limit=10, cost="price", per="reward"), price=[4, 2, 1, 1, 1, 1]).at(0.0)
    number = served.serve(0, 1)
    assert served.report["reserved"] == 6.0
    served.hear([0, 1], number, rewards=[0.5, -1.0])
    assert (served.report["spent"], served.report["reserved"]) == (2.0, 0.0)
    assert served.budget.resources_read == ()


def test_a_refund_is_given_back_once_and_to_its_own_window():
    served = Served(Budget(limit=3, window=60.0, expiry=600.0)).at(10.0)
    first, second = served.serve(0, 1), served.serve(2)
    assert served.masks([3]) == {"BUDGET_SPENT": [False]}
    assert served.budget.refund(served.state, first, np.array([1, 2])) == 1.0
    assert served.budget.refund(served.state, first, np.empty(0, np.int64)) == 0.0
    assert served.budget.refund(served.state, first) == 1.0
    assert served.budget.refund(served.state, first) == 0.0
    assert served.budget.refund(served.state, 99) == 0.0
    assert served.report["spent"] == 1.0
    served.at(60.0).serve(0, 1)
    assert served.budget.refund(served.state, second) == 0.0
    assert served.report["spent"] == 2.0


def test_levels_have_accounts_of_their_own():
    creators = ["x", "x", "x", "y", "y", "z"]
    platform, creator = Served(Budget(limit=4)), Served(Budget(limit=2, by="creator"), creator=creators)
    for served in (platform, creator):
        served.at(0.0).serve(0, 1, 3)
    assert platform.masks() == {}
    assert creator.masks() == {"BUDGET_SPENT": [False, False, False, True, True, True]}
    assert creator.report["most_used"] == {"x": 2.0, "y": 1.0}
    assert (creator.report["accounts"], creator.report["exhausted"]) == (2, 1)
    limits = creator.budget.limits(creator.state, creator.request([3, 5, 4], k=3))
    assert limits.upper[limits.groups].tolist() == [1.0, 2.0, 1.0]
    assert limits.groups[0] == limits.groups[2] != limits.groups[1]
    assert not limits.relaxable
    assert creator.budget.limits(creator.state, creator.request([5, 4], k=1)) is None
    assert platform.budget.limits(platform.state, platform.request(k=2)).upper.tolist() == [1.0]


def test_many_accounts_are_grouped_by_the_candidates():
    names = [f"c{i}" for i in range(100)]
    served = Served(Budget(limit=2, by="creator"), capacity=100, creator=names).at(0.0)
    served.serve(7)
    limits = served.budget.limits(served.state, served.request([7, 90, 8], k=2))
    assert limits.upper.size == 3
    assert limits.upper[limits.groups].tolist() == [1.0, 2.0, 2.0]
    assert limits.amounts.tolist() == [1.0, 1.0, 1.0]


def test_a_curve_by_hand():
    """Shares at 0, 25, 50, 75 and 100 s: 20 % at once, nothing more until 25 s, then evenly to all at 75 s."""
    served = Served(Budget(limit=10, window=100.0, curve=(0.2, 0.2, 0.6, 1.0, 1.0)))
    wanted = {100.0: 2, 124.0: 2, 131.25: 3, 137.5: 4, 150.0: 6, 162.5: 8, 175.0: 10, 199.0: 10, 200.0: 2}
    spent = 0
    for now, room in wanted.items():
        spent = 0 if now == 200.0 else spent
        served.at(now)
        while not (masks := served.masks([0])):
            served.serve(0)
            spent += 1
        assert spent == room
        assert masks == ({"BUDGET_SPENT": [False]} if spent == 10 else {"PACED": [False]})


def test_a_token_bucket_by_hand():
    served = Served(Budget(limit=3, rate=0.5)).at(0.0)
    served.serve(0, 1, 2)
    assert served.masks([0]) == {"BUDGET_SPENT": [False]}
    assert served.at(1.0).report["available"] == 0.5
    assert served.at(2.0).masks([0]) == {}
    served.serve(0)
    assert served.masks([0]) == {"BUDGET_SPENT": [False]}
    assert served.at(1e6).report["available"] == 3.0


@given(
    st.sampled_from([{}, {"window": 8.0}, {"window": 8.0, "curve": (0.0, 0.5, 1.0)}, {"rate": 0.5}]),
    st.sampled_from([None, "creator", "arm"]),
    st.tuples(st.integers(0, 8), st.integers(0, 8)).map(sorted),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), max_size=40),
)
def test_tightening_a_cap_never_raises_its_usage(time, by, caps, wishes):
    """The same wishes, one arm after another, under two limits."""
    usages = []
    for cap in caps:
        served, total, usage = Served(Budget(limit=cap, by=by, **time), creator=["x", "x", "y", "y", "y", "z"]), 0, []
        now = 0.0
        for column, delay in wishes:
            now += delay / 4
            if not served.at(now).masks([column]):
                served.serve(column)
                total += 1
            usage.append(total)
        usages.append(usage)
    assert all(tight <= loose for tight, loose in zip(*usages, strict=True))


def test_more_exposures_than_are_remembered_are_settled_as_spent(monkeypatch):
    for module in (_budget_state, budget_module):
        monkeypatch.setattr(module, "MOST", 4)
    served = Served(Budget("gifts", limit=100, cost=2, per="feedback", expired="released", expiry=60.0)).at(0.0)
    first, second, third = served.serve(0, 1), served.serve(2, 3), served.serve(4)
    assert (served.report["spent"], served.report["reserved"]) == (2.0, 8.0)  # the oldest had to go
    assert served.state.reservations.shape[1] == 4
    assert [served.budget.refund(served.state, number) for number in (first, second, third)] == [2.0, 4.0, 2.0]
    served.serve(0, 1, 2, 3, 4, 5)
    assert (served.report["spent"], served.report["reserved"]) == (6.0, 8.0)


def test_numbers_of_decisions_are_exact_at_any_epoch():
    served = Served(Budget(limit=10)).at(0.0)
    served.number = 2**62
    first, second = served.serve(0, 1), served.serve(2)
    assert served.budget.refund(served.state, second) == 1.0
    assert served.budget.refund(served.state, first) == 2.0


def test_numbers_that_begin_again_settle_what_was_before():
    served = Served(Budget("gifts", limit=10, per="feedback")).at(0.0)
    served.number = 50
    served.serve(0, 1)
    served.number = 0
    assert served.budget.refund(served.state, served.serve(3)) == 1.0
    assert (served.report["spent"], served.report["reserved"]) == (2.0, 0.0)


def test_nothing_to_serve_needs_no_attributes():
    served = Served(Budget(limit=9, cost="price", by="creator")).at(0.0)
    empty = np.empty(0, np.int64)
    assert served.budget.mask(served.state, served.request(empty)) == []
    assert served.budget.limits(served.state, served.request(empty, k=3)) is None
    served.serve(*empty)
    assert served.report["spent"] == 0.0


def test_under_a_bandit_no_level_is_overspent():
    """Platform, creator and arm, of two resources; a twin from a checkpoint in the middle decides the same."""
    creators = [f"c{i % 5}" for i in range(12)]
    levels = [
        Budget(limit=30, window=60.0, curve=(0.1, 1.0)),
        Budget(limit=8, window=60.0, by="creator"),
        Budget("gifts", limit=12, cost=2, per="feedback", by="arm", expiry=40.0),
    ]
    ranker = Constrained(Bandit(Thompson(), arms=range(12), seed=3), levels)
    ranker.describe(range(12), creator=creators)
    twin, shown, gifts, waiting = None, [], dict.fromkeys(range(12), 0.0), []
    for t in range(180):
        decision = ranker.select(k=1 + t % 3, now=float(t))
        if twin is not None:
            same = twin.select(k=1 + t % 3, now=float(t))
            assert (same.arms, same.scores, same.dropped) == (decision.arms, decision.scores, decision.dropped)
        for arm in decision.arms:
            shown.append((t // 60, arm))
            waiting.append((t, arm, decision, 2.0 * ((7 * t) % 3) / 2.0))
        if t % 3 == 0 and waiting:
            _, arm, decision, cost = waiting.pop(0)
            gifts[arm] += cost
            for each in filter(None, (ranker, twin)):
                each.update(arm, float(arm > 5), cost={"gifts": cost}, at=float(t), decision=decision)
        if t == 90:
            twin = Constrained.from_bytes(ranker.to_bytes())
    windows = [sum(window == w for window, _ in shown) for w in range(3)]
    assert max(windows) <= 30
    assert windows[0] > 25
    for c in range(5):
        assert max(sum(w == window and arm % 5 == c for window, arm in shown) for w in range(3)) <= 8
    assert max(gifts.values()) <= 12.0
    told = ranker.report()
    assert told["budget:gifts:arm"]["overrun"] == told["budget:exposures"]["overrun"] == 0.0
    assert {"BUDGET_SPENT", "PACED"} >= set(ranker.select(now=180.0).dropped)


def test_the_rounding_of_fractions_is_no_overrun():
    """In floats 0.1 + 0.1 + 0.1 is above 0.3, by a part in 10**16."""
    served = Served(Budget(limit=0.3, cost=0.1)).at(0.0)
    served.serve(0, 1, 2)
    assert (served.report["spent"], served.report["overrun"]) == (0.3, 0.0)


def test_bad_costs_are_refused():
    served = Served(Budget("gifts", limit=9, cost="price", per="feedback"), price=[1, 1, 1, 1, 1, -1]).at(0.0)
    with pytest.raises(ValueError, match=r"price = -1\.0 of a candidate is a negative cost of gifts"):
        served.masks()
    for cost in (-1.0, np.inf):
        with pytest.raises(ValueError, match=r"costs\[1\] = .* of gifts is not a number of units"):
            served.hear([0, 1], None, costs=[0.0, cost])
    with pytest.raises(ValueError, match="was never given"):
        Served(Budget(limit=9, cost="price")).masks()
    with pytest.raises(ValueError, match="holds numbers"):
        Served(Budget(limit=9, by="price"), price=1).masks()
    with pytest.raises(ValueError, match="pass seconds"):
        Served(Budget(limit=9, window=1e-6)).at(1e14)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": 1.0, "window": 1.0}, "exclude each other"),
        ({"curve": (0.0, 1.0)}, "curve needs a window"),
        ({"window": 1.0, "curve": (1.0,)}, "two shares or more"),
        ({"window": 1.0, "curve": (0.5, 0.4, 1.0)}, "do not decrease"),
        ({"window": 1.0, "curve": (0.5, 0.9)}, "end at 1"),
        ({"leased": True, "by": "creator"}, "leased needs one account"),
        ({"leased": True, "rate": 1.0}, "leased needs one account"),
        ({"leased": True, "window": 1.0, "curve": (0.0, 1.0)}, "leased needs one account"),
        ({"cost": -1.0}, "greater than or equal"),
        ({"by": ""}, "at least 1 character"),
        ({"per": "click"}, "validation error"),
    ],
)
def test_contradicting_numbers(fields, message):
    with pytest.raises(ValueError, match=message):
        Budget(limit=5, **fields)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("accounts", (ledger.USED, 0), -1.0),
        ("accounts", (ledger.USED, 0), np.nan),
        ("accounts", (ledger.LIFE, 0), 99.0),
        ("arms", (ledger.HOME, 0), 7.0),
        ("arms", (ledger.ARM, 0), 99.0),
        ("reservations", (ledger.STATUS, 0), 3.0),
        ("reservations", (ledger.AMOUNT, 0), -1.0),
        ("reservations", (ledger.COLUMN, 0), 0.5),
        ("reservations", (ledger.ACCOUNT, 0), -1.0),
        ("reservations", (ledger.EXPIRES, 0), 2e3),
        ("numbers", 0, 99),
        ("clock", ledger.COUNT, 2.0),
        ("clock", ledger.FIRST, 1.0),
        ("clock", ledger.WINDOW, 0.5),
        ("clock", ledger.LIVES, -1.0),
    ],
)
def test_contradicting_states_are_refused(name, place, value):
    served = Served(Budget("gifts", limit=9, per="feedback", window=60.0)).at(0.0)
    served.serve(0, 1)
    served.serve(2)
    arrays = served.budget.save(served.state, 6)
    served.budget.load({key: array.copy() for key, array in arrays.items()}, 6)
    arrays[name][place] = value
    with pytest.raises(CheckpointError):
        served.budget.load(arrays, 6)


def test_only_a_plain_budget_of_whole_exposures_fits_the_allocator():
    for fields in ({"by": "creator"}, {"limit": 1.5}, {"rate": 1.0}, {"cost": 2.0}, {"leased": True}):
        with pytest.raises(ValueError, match="one account of whole exposures"):
            ColdStartConfig(budget=Budget(**{"limit": 9, **fields}))
    assert ColdStartConfig(budget=Budget("views", limit=9, window=1.0)).budget.limit == 9

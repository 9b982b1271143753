import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_budgets import NaiveDual

from seedbed.bandits import CheckpointError
from seedbed.constraints import DualPrice
from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Exposure, Feedback, Request, forget

K = 5
COSTS = [0.0, 0.25, 1.0, 2.0, 7.5]
MEANS = np.array([0.9, 0.5, 0.3, 0.2, 0.05])


def attributes():
    made = Attributes(K)
    made.set(np.arange(K), {"fee": COSTS, "region": ["north", "south", "north", "east", "east"]})
    made.set(np.array([0, 1]), {"tier": ["new", "new"]})
    return made


ATTRIBUTES = attributes()


def request(columns=range(K), now=-math.inf, means=MEANS):
    columns = np.array(columns, np.int64)
    return Request(columns, columns.astype(np.uint64), 1, now, 0, {}, ATTRIBUTES, lambda: means[columns])


def exposure(columns, number=0, now=-math.inf, candidates=range(K)):
    """An exposure of some columns among candidates that stand in their own order."""
    seen = request(candidates, now)
    return Exposure(number, seen, np.array([list(candidates).index(column) for column in columns], np.int64))


def feedback(column, *, reward=0.0, cost=None, weight=1.0, number=None):
    costs = {} if cost is None else {"money": np.array([cost])}
    return Feedback(np.array([column]), np.array([reward]), np.array([weight]), costs, {}, number, -math.inf)


LIMITS = st.sampled_from(
    [
        {"limit": 20.0, "decisions": 40},
        {"limit": 3.0, "decisions": 10},
        {"rate": 0.7},
        {"rate": 0.3, "decisions": 9},
        {"limit": 12.0, "decisions": 30, "window": 60.0},
    ]
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["serve", "serve", "settle", "settle old"]),
        st.lists(st.integers(0, K - 1), max_size=3, unique=True),
        st.floats(0.0, 40.0),
        st.floats(0.0, 1.0),
    ),
    max_size=60,
)


@given(
    LIMITS,
    st.sampled_from(["exposure", "reward", "feedback"]),
    st.sampled_from(["at_most", "at_least"]),
    st.booleans(),
    STEPS,
)
def test_against_one_that_remembers_every_exposure(limit, per, sense, is_timed, steps):
    rule = DualPrice("money", per=per, sense=sense, **limit, **({} if per == "feedback" else {"cost": "fee"}))
    state = rule.init(K)
    naive = NaiveDual(**limit, sign=1 if sense == "at_most" else -1)
    told = {arm: [] for arm in range(K)}
    now, number = 0.0, 0
    for kind, arms, x, y in steps:
        if kind == "serve":
            now += x
            present = now if is_timed else -math.inf
            if per == "feedback":
                expected = [(naive.rho + sum(told[arm])) / (1 + len(told[arm])) for arm in arms]
            else:
                expected = [COSTS[arm] * (MEANS[arm] if per == "reward" else 1.0) for arm in arms]
            rule.observe(state, exposure(arms, number, present))
            naive.serve(arms, expected, per != "exposure", number, present)
            number += 1
        elif arms:
            arm, of = arms[0], None if kind == "settle" or number == 0 else int(y * (number - 1))
            rule.observe(state, feedback(arm, reward=y, cost=x if per == "feedback" else None, number=of))
            if per == "feedback":
                told[arm].append(x)
                naive.settle(arm, x, of)
            elif per == "reward":
                # the cost is known once the arm was served
                served = state.arms[0, arm] == COSTS[arm]
                naive.settle(arm, y * COSTS[arm] if served else 0.0, of)
        report = rule.report(state, ATTRIBUTES)
        np.testing.assert_allclose(report["lambda"], naive.multiplier, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(report["spent"], naive.spent, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(report["awaited"], sum(map(sum, naive.awaited.values())), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(report["target"], naive.target(), rtol=1e-9, atol=1e-9)
        sign = 1 if sense == "at_most" else -1
        np.testing.assert_allclose(report["price"], sign * naive.multiplier / naive.rho, rtol=1e-9, atol=1e-12)


def with_multiplier(rule, value):
    state = rule.init(K)
    state.totals[0] = value
    return state


def test_prices_by_hand():
    """lambda = .5, scale 10, rho = 20 / 40: a unit of cost is priced 10."""
    limits = {"limit": 20.0, "decisions": 40, "scale": 10.0, "cost": "fee"}
    columns = request([4, 0, 2])
    rule = DualPrice("money", **limits)
    price = rule.price(with_multiplier(rule, 0.5), columns)
    assert (price.factor, price.rate, price.cost.tolist()) == (1.0, 0.0, [75.0, 0.0, 10.0])
    rule = DualPrice("money", per="reward", **limits)
    price = rule.price(with_multiplier(rule, 0.5), columns)
    assert (price.factor, price.rate.tolist(), price.cost) == (1.0, [75.0, 0.0, 10.0], 0.0)
    rule = DualPrice("money", sense="at_least", **limits)
    assert rule.price(with_multiplier(rule, 0.5), columns).cost.tolist() == [-75.0, -0.0, -10.0]
    rule = DualPrice("money", rate=2.0, cost=3.0)
    assert rule.price(with_multiplier(rule, 1.0), columns).cost == 1.5
    assert rule.price(with_multiplier(rule, 0.0), columns) is None


def test_costs_told_by_feedback_by_hand():
    """Prior (2, 3) and costs 4 and 6 of weights 1 and 2: mean (6 + 16) / 6, mean square (2 4 3 + 16 + 72) / 6.

    Of the untried one 2 and 8, so that its mean is known to within 2 / sqrt(3); and 2 / sqrt(5), as if both had been
    heard of, while two exposures of it are awaited.
    """
    rule = DualPrice("money", rate=1.0, per="feedback", prior=(2.0, 3.0))
    state = with_multiplier(rule, 1.0)
    rule.observe(state, feedback(1, cost=4.0))
    rule.observe(state, feedback(1, cost=6.0, weight=2.0))
    rule.observe(state, feedback(1, reward=1.0))  # no cost told
    means, deviations = np.array([22 / 6, 2.0]), [math.sqrt((112 / 6 - (22 / 6) ** 2) / 6), 2.0 / math.sqrt(3.0)]
    np.testing.assert_allclose(rule.price(state, request([1, 0])).cost, means - deviations, rtol=1e-14)
    least = DualPrice("money", rate=1.0, per="feedback", prior=(2.0, 3.0), sense="at_least")
    np.testing.assert_allclose(least.price(state, request([1, 0])).cost, -means - deviations, rtol=1e-14)
    assert rule.report(state, ATTRIBUTES)["spent"] == 10.0
    rule.observe(state, exposure([0], 0))
    rule.observe(state, exposure([0], 1))
    assert rule.report(state, ATTRIBUTES)["awaited"] == 4.0  # by the mean, whatever the deviation
    state.totals[0] = 1.0
    deviations[1] = 2.0 / math.sqrt(5.0)
    np.testing.assert_allclose(rule.price(state, request([1, 0])).cost, means - deviations, rtol=1e-14)
    rule.observe(state, feedback(0, cost=2.0))
    rule.observe(state, feedback(0, cost=2.0))
    deviations[1] = math.sqrt((24 + 8) / 5 - 4.0) / math.sqrt(5.0)
    np.testing.assert_allclose(rule.price(state, request([1, 0])).cost, means - deviations, rtol=1e-14)


def test_arms_are_tried_in_turn_while_nothing_is_heard_of_them():
    """With lambda = 2 and rho = .05 a unit is priced 40, so that what is awaited outweighs what arms bring by then."""
    rule = DualPrice("money", limit=250.0, decisions=5_000, per="feedback", prior=(0.3, 10.0))
    state, served = with_multiplier(rule, 2.0), []
    for number in range(250):
        served.append(int((MEANS - rule.price(state, request()).cost).argmax()))
        rule.observe(state, exposure(served[-1:], number))
    assert np.bincount(served, minlength=K).min() >= 25
    assert rule.report(state, ATTRIBUTES)["lambda"] == 2.0


@pytest.mark.parametrize("seed", [0, 1])
def test_a_free_arm_is_not_locked_out_by_a_cheap_one_while_costs_are_late(seed):
    """Half of the limit is gone before any cost is heard; the rest holds to within chance, five deviations."""
    rule = DualPrice("money", limit=250.0, decisions=5_000, per="feedback", prior=(0.3, 60.0))
    rates, means = np.array([0.0, 0.08, 0.2, 0.4, 0.6]), np.array([0.04, 0.3, 0.3, 0.4, 0.6])
    rng, state, costs, late = np.random.default_rng(seed), rule.init(K), [], []
    for number in range(5_000):
        price = rule.price(state, request())
        scores = means + rng.normal(0.0, 0.1 if number > 500 else 1.0, K) - (0.0 if price is None else price.cost)
        arm = int(scores.argmax())
        rule.observe(state, exposure([arm], number))
        costs.append(float(rng.random() < rates[arm]))
        late.append((arm, costs[-1]))
        if number >= 500:
            arm, cost = late.pop(0)
            rule.observe(state, feedback(arm, cost=cost))
    assert sum(costs[:500]) > 125.0
    assert sum(costs) <= 250.0 + 5.0 * math.sqrt(500 * 0.05 * 0.95)


def test_groups_are_named_not_numbered():
    rule = DualPrice("money", rate=1.0, cost={"fee": "0.25"})
    with pytest.raises(ValueError, match="'fee' holds numbers"):
        rule.price(with_multiplier(rule, 1.0), request())
    with pytest.raises(ValueError, match="'region' holds names"):
        DualPrice("money", rate=1.0, cost="region").observe(rule.init(K), exposure([0]))


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        ({"region": "east"}, [0, 0, 0, 1, 1]),
        ({"region": ("south", "east")}, [0, 1, 0, 1, 1]),
        ({"region": "nowhere"}, [0, 0, 0, 0, 0]),
        ({"tier": "new"}, [1, 1, 0, 0, 0]),
        ({"tier": "new", "region": "north"}, [1, 0, 0, 0, 0]),
        ({"unheard": "of"}, [0, 0, 0, 0, 0]),
        ("fee", COSTS),
        (0.5, [0.5] * 5),
    ],
)
def test_costs_by_group_attribute_and_number(cost, expected):
    rule = DualPrice("money", rate=1.0, cost=cost)
    price = rule.price(with_multiplier(rule, 1.0), request())
    np.testing.assert_array_equal(np.broadcast_to(price.cost, K), expected)
    for arm in range(K):
        state = rule.init(K)
        rule.observe(state, exposure([arm]))
        assert rule.report(state, ATTRIBUTES)["spent"] == expected[arm]


def test_the_order_of_the_candidates_does_not_matter():
    rule = DualPrice("money", rate=0.1, cost="fee", per="reward")
    one, two = rule.init(K), rule.init(K)
    for number, arm in enumerate([4, 4, 3, 0]):
        rule.observe(one, exposure([arm], number))
        rule.observe(two, exposure([arm], number, candidates=[4, 2, 0, 1, 3]))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    order = [4, 2, 0, 1, 3]
    np.testing.assert_array_equal(rule.price(one, request()).rate[order], rule.price(two, request(order)).rate)


def test_a_limit_that_does_not_bind_has_no_price():
    """Complementary slackness: after dear decisions, cheap ones bring the multiplier to 0."""
    rule = DualPrice("money", limit=1_000.0, decisions=1_000, cost="fee")
    state = rule.init(K)
    for number in range(30):
        rule.observe(state, exposure([4], number))
    assert rule.report(state, ATTRIBUTES)["lambda"] > 0.5
    for number in range(30, 900):
        rule.observe(state, exposure([1], number))
    report = rule.report(state, ATTRIBUTES)
    assert (report["lambda"], report["price"]) == (0.0, 0.0)
    assert rule.price(state, request()) is None


def share_after(rule, decisions, means, spell=0):
    """Play arms by draws around their means minus price, for a while at first by the means alone."""
    state, rng = rule.init(K), np.random.default_rng(7)
    for number in range(decisions):
        price = None if number < spell else rule.price(state, request())
        scores = means + rng.normal(0.0, 0.1, K) - (0.0 if price is None else price.cost)
        rule.observe(state, exposure([int(scores.argmax())], number))
    return rule.report(state, ATTRIBUTES)["spent"]


BEST_EAST = np.array([0.3, 0.2, 0.4, 0.5, 0.6])  # columns 3 and 4 are of the group
WORST_EAST = np.array([0.7, 0.6, 0.5, 0.3, 0.2])


@pytest.mark.parametrize("rate", [0.3, 0.05])
@pytest.mark.parametrize("spell", [0, 50])
def test_a_share_holds_in_the_long_run(rate, spell):
    """From the sum of the steps, g at most 1 / sqrt(rate): with memory 400 the excess is at most this bound."""
    rule = DualPrice("east", rate=rate, cost={"region": "east"}, decisions=400)
    excess = share_after(rule, 8_000, BEST_EAST, spell) - rate * 8_000
    assert abs(excess) <= rate * 2.0 * 20 / math.sqrt(rate) + 1  # nor is less taken than may be


@pytest.mark.parametrize("rate", [0.3, 0.05])
def test_a_least_share_holds_in_the_long_run(rate):
    rule = DualPrice("east", rate=rate, cost={"region": "east"}, decisions=400, sense="at_least")
    excess = share_after(rule, 8_000, WORST_EAST) - rate * 8_000
    assert -rate * 2.0 * 20 / math.sqrt(rate) - 1 <= excess <= rate * 400 + 1  # more is owed nothing while it lasts
    assert share_after(rule, 1_000, BEST_EAST) > 0.5 * 1_000  # where it holds by itself it takes nothing away
    assert share_after(DualPrice("east", rate=1e9, cost={"region": "east"}), 1_000, WORST_EAST) < 0.05 * 1_000


def test_a_surplus_lapses_beyond_its_memory():
    """10,000 decisions that cost nothing leave room for twice 400 at twice the rate, not for more."""
    rule = DualPrice("money", rate=1.0, decisions=400, cost="fee")
    state = rule.init(K)
    for number in range(10_000):
        rule.observe(state, exposure([0], number))
    assert rule.report(state, ATTRIBUTES)["target"] == 2.0
    for number in range(10_000, 10_800):
        rule.observe(state, exposure([3], number))
    assert rule.report(state, ATTRIBUTES)["target"] == pytest.approx(1.0)


def test_an_outage_halves_the_multiplier_and_rare_traffic_does_not():
    rule = DualPrice("money", rate=1.0, outage=300.0, cost=1.0)
    state = with_multiplier(rule, 1.6)
    for number in range(100):
        rule.observe(state, exposure([0], number, now=float(number)))
    assert rule.report(state, ATTRIBUTES)["lambda"] == pytest.approx(1.6)
    rule.observe(state, exposure([0], 100, now=399.0))  # 300 s, not more
    assert rule.report(state, ATTRIBUTES)["lambda"] == pytest.approx(1.6)
    rule.observe(state, exposure([0], 101, now=900.0))
    assert rule.report(state, ATTRIBUTES)["lambda"] == pytest.approx(0.8)
    state = with_multiplier(rule, 1.6)
    for number in range(100):
        rule.observe(state, exposure([0], number, now=400.0 * number))
    assert rule.report(state, ATTRIBUTES)["lambda"] == pytest.approx(1.6)


@pytest.mark.parametrize("traffic", [0.4, 1.0, 2.5])
def test_windows_follow_the_traffic(traffic):
    """A day's limit of 1,000 whatever comes of the 4,000 decisions expected; its first window has to learn that."""
    rule = DualPrice("money", limit=1_000.0, decisions=4_000, window=86_400.0, cost="fee")
    rng, means, state = np.random.default_rng(5), np.array([0.3, 0.4, 0.6, 0.8, 0.9]), rule.init(K)
    number, spent = 0, []
    for day in range(3):
        times = np.sort(rng.uniform(0.0, 86_400.0, rng.poisson(4_000 * traffic)))
        for now in times:
            price = rule.price(state, request(now=day * 86_400.0 + now))
            scores = means + rng.normal(0.0, 0.1, K) - (0.0 if price is None else price.cost)
            rule.observe(state, exposure([int(scores.argmax())], number, now=day * 86_400.0 + now))
            number += 1
        spent.append(rule.report(state, ATTRIBUTES)["spent"])
    assert abs(np.array(spent) / 1_000.0 - 1.0).max() < 0.02


@pytest.mark.parametrize("delay", [0, 300])
@pytest.mark.parametrize("lost", [0.0, 0.5])
def test_late_and_lost_feedback(delay, lost):
    """What truly is spent stays at the limit: five deviations of what chance and unknown costs leave open."""
    rule = DualPrice("money", limit=1_000.0, decisions=5_000, per="feedback", prior=(0.5, 1.0))
    rates = np.array([0.02, 0.1, 0.3, 0.6, 0.9])  # an exposure costs 1 with these chances
    rng, state, truly, late = np.random.default_rng(11), rule.init(K), 0.0, []
    for number in range(5_000):
        price = rule.price(state, request())
        scores = rates + 0.1 * rng.normal(size=K) - (0.0 if price is None else price.cost)
        arm = int(scores.argmax())
        rule.observe(state, exposure([arm], number))
        cost = float(rng.random() < rates[arm])
        truly += cost
        if rng.random() >= lost:
            late.append((number + delay, arm, cost))
        while late and late[0][0] <= number:
            rule.observe(state, feedback(late[0][1], cost=late[0][2]))
            late.pop(0)
    open_at_end = 5_000 * lost + delay
    assert abs(truly - 1_000.0) <= 0.02 * 1_000.0 + 5.0 * math.sqrt(open_at_end * 0.2 * 0.8) * (1.0 + (lost > 0.0))


def test_an_old_windows_feedback_is_not_charged_to_the_new_one():
    rule = DualPrice("money", limit=100.0, decisions=100, window=60.0, per="reward", cost="fee")
    state = rule.init(K)
    rule.observe(state, exposure([3], 0, now=59.0))
    rule.observe(state, exposure([3], 1, now=61.0))
    rule.observe(state, feedback(3, reward=1.0, number=0))
    report = rule.report(state, ATTRIBUTES)
    assert (report["spent"], report["awaited"], report["decisions"]) == (0.0, pytest.approx(0.4), 1)
    rule.observe(state, feedback(3, reward=1.0, number=1))
    assert rule.report(state, ATTRIBUTES)["spent"] == 2.0


def test_late_feedback_that_tells_no_decision_is_charged_and_answers_nothing_of_the_new_window():
    rule = DualPrice("money", limit=100.0, decisions=100, window=60.0, per="reward", cost="fee")
    state = rule.init(K)
    rule.observe(state, exposure([3], 0, now=59.0))
    rule.observe(state, exposure([2], 1, now=61.0))
    rule.observe(state, feedback(3, reward=1.0))
    report = rule.report(state, ATTRIBUTES)
    assert (report["spent"], report["awaited"]) == (2.0, pytest.approx(0.3))


def test_grows_forgets_saves_and_loads():
    rule = DualPrice("money", rate=1.0, cost="fee", per="reward")
    state = rule.init(0)
    state = rule.fit(state, K, ATTRIBUTES, 0.0)
    for number, arm in enumerate([4, 4, 3]):
        rule.observe(state, exposure([arm], number))
    saved = rule.save(state, K)
    assert {name: array.shape for name, array in saved.items()} == {"totals": (12,), "arms": (6, K)}
    twin = rule.load(saved, K)
    for step in (exposure([2], 3), feedback(4, reward=1.0)):
        for each in (state, twin):
            rule.observe(each, step)
    for a, b in zip(state, twin, strict=True):
        np.testing.assert_array_equal(a, b)
    assert rule.fit(state, K, ATTRIBUTES, 0.0) is state
    wider = rule.fit(state, 2 * K, ATTRIBUTES, 0.0)
    np.testing.assert_array_equal(wider.arms[:, :K], state.arms)
    forget(rule, wider, np.array([4]))
    np.testing.assert_array_equal(wider.arms[:, 4], 0.0)
    for cost in ("fee", 0.5, {"region": ("east", "west"), "tier": "new"}):
        rule = DualPrice("money", rate=1.0, cost=cost)
        assert DualPrice.model_validate(rule.model_dump(mode="json")) == rule


@pytest.mark.parametrize(("name", "place"), [("totals", 0), ("totals", 1), ("arms", 1), ("arms", 4), ("arms", 5)])
def test_contradictory_states_are_refused(name, place):
    rule = DualPrice("money", rate=1.0)
    for wrong in (-1.0, math.nan):
        saved = rule.save(rule.init(K), K)
        saved[name][place] = wrong
        with pytest.raises(CheckpointError):
            rule.load(saved, K)
    saved = rule.save(rule.init(K), K)
    saved["totals"][0] = 2.5
    with pytest.raises(CheckpointError, match="multiplier"):
        rule.load(saved, K)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "one of them"),
        ({"limit": 1.0, "rate": 1.0}, "one of them"),
        ({"limit": 1.0}, "needs decisions"),
        ({"rate": 1.0, "window": 60.0}, "no window"),
        ({"rate": 0.0}, "greater than or equal"),
        ({"rate": 1.0, "per": "feedback", "cost": "fee"}, "leave it out"),
        ({"rate": 1.0, "prior": (1.0, 1.0)}, "a prior is for"),
        ({"rate": 1.0, "sense": "exactly"}, "at_most"),
        ({"rate": 1.0, "unknown": 1}, "Extra inputs"),
    ],
)
def test_bad_configurations(fields, message):
    with pytest.raises(ValueError, match=message):
        DualPrice("money", **fields)

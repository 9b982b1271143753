import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.bandits import CheckpointError
from seedbed.constraints import Knapsack
from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Exposure, Feedback, Request, forget

K = 4
WEIGHTS = [1.0, 2.0, 3.0, 0.0]
MEANS = np.array([0.5, 0.4, 0.3, 0.9])


def attributes(weights=WEIGHTS):
    made = Attributes(K)
    made.set(np.arange(K), {"weight": weights, "price": [10.0, 20.0, 30.0, 1.0]})
    return made


def request(columns=range(K), k=1, known=None):
    columns = np.array(columns, np.int64)
    return Request(
        columns, columns.astype(np.uint64), k, -math.inf, 0, {}, known or attributes(), lambda: MEANS[columns]
    )


def feedback(columns, rewards):
    return Feedback(np.array(columns, np.int64), np.array(rewards), np.ones(len(columns)), {}, {}, None, -math.inf)


TWO = {"costs": {"kilos": "weight"}, "decisions": 20}


@given(
    st.sampled_from([{"kilos": 6.0}, {"kilos": 11.0, "pieces": 4.0}]),
    st.sampled_from([1.0, 2.0]),
    st.integers(1, 2),
    st.lists(st.tuples(st.booleans(), st.integers(0, K - 1), st.floats(0.0, 1.0)), max_size=40),
)
def test_inventories_are_never_exceeded(inventory, most, k, steps):
    """Against a list of everything in flight, whatever is served of what may be, and whenever feedback comes."""
    rule = Knapsack(inventory, most=most, **TWO)
    state = rule.init(K)
    spent, flying = dict.fromkeys(inventory, 0.0), []
    cost = {"kilos": WEIGHTS, "pieces": [1.0] * K}
    made = 0
    for is_served, arm, x in steps:
        if is_served:
            masks = rule.mask(state, request(k=k))
            may = masks[0][1] if masks else np.ones(K, bool)
            slate = [i for i in dict.fromkeys([arm, (arm + 1) % K]) if may[i]][:k]
            for name, limit in inventory.items():  # as much as could be served is: no more is refused than must be
                held = sum(most * cost[name][i] for i in flying)
                assert all(not may[i] or held + spent[name] + k * most * cost[name][i] <= limit for i in range(K))
            fits = [
                all(
                    sum(most * cost[name][i] for i in flying) + spent[name] + k * most * cost[name][arm]
                    <= limit * (1.0 - 1e-12)
                    for name, limit in inventory.items()
                )
                for arm in range(K)
            ]
            assert all(may[i] for i in range(K) if fits[i])
            rule.observe(state, Exposure(made, request(k=k), np.array(slate, np.int64)))
            flying += slate
            made += 1
        elif arm in flying:
            flying.remove(arm)
            rule.observe(state, feedback([arm], [x * most]))
            for name in inventory:
                spent[name] += x * most * cost[name][arm]
        report = rule.report(state, attributes())
        left = max(20 - made, 1)
        for name, limit in inventory.items():
            assert spent[name] <= limit * (1.0 + 1e-12)
            np.testing.assert_allclose(report[name]["spent"], spent[name], rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(
                report[name]["held"], sum(most * cost[name][i] for i in flying), rtol=1e-12, atol=1e-9
            )
            expected = sum(MEANS[i] * cost[name][i] for i in flying)
            np.testing.assert_allclose(
                report[name]["target"], max(limit - spent[name] - expected, 0.0) / left, rtol=1e-9, atol=1e-9
            )


def test_masks_by_hand():
    """Six kilos, of which two may weigh 2: with one of those in flight 4 are left, or 2 for each of a slate of two."""
    rule = Knapsack({"kilos": 6.0}, **TWO)
    state = rule.init(K)
    assert rule.mask(state, request()) == []
    rule.observe(state, Exposure(0, request(), np.array([1])))
    assert rule.mask(state, request()) == []
    ((reason, may),) = rule.mask(state, request([2, 1, 0, 3], k=2))
    assert (reason, may.tolist()) == ("BUDGET_SPENT", [False, True, True, True])
    rule.observe(state, feedback([1], [0.0]))
    assert rule.mask(state, request(k=2)) == []
    rule.observe(state, Exposure(1, request(), np.array([2])))
    rule.observe(state, feedback([2], [1.0]))
    rule.observe(state, Exposure(2, request(), np.array([1])))
    assert rule.mask(state, request())[0][1].tolist() == [True, False, False, True]
    rule.observe(state, feedback([0, 0], [0.5, 1.0]))  # of exposures made elsewhere: the cost is not known yet
    assert rule.report(state, attributes())["kilos"]["spent"] == 3.0


def test_a_cost_that_changes_while_in_flight_is_the_one_set_apart():
    rule = Knapsack({"kilos": 6.0}, **TWO)
    state = rule.init(K)
    rule.observe(state, Exposure(0, request(), np.array([1])))
    rule.observe(state, Exposure(1, request(known=attributes([1.0, 4.0, 3.0, 0.0])), np.array([1])))
    rule.observe(state, feedback([1, 1], [1.0, 1.0]))
    report = rule.report(state, attributes())["kilos"]
    assert (report["spent"], report["held"]) == (6.0, 0.0)


def test_costs_of_exposures_are_spent_at_once():
    rule = Knapsack({"kilos": 6.0}, per="exposure", **TWO)
    state = rule.init(K)
    rule.observe(state, Exposure(0, request(), np.array([2])))
    rule.observe(state, feedback([2], [1.0]))
    assert rule.report(state, attributes())["kilos"]["spent"] == 3.0
    rule.observe(state, Exposure(1, request(), np.array([1])))
    assert rule.mask(state, request())[0][1].tolist() == [True, False, False, True]


def test_mixes_by_hand():
    """Rewards .5, .8, .9 and weights .5, .8, .9 a decision, .4 allowed: of the value a kilo 10, 10, 10 and infinite.

    Arm 3 brings 1 x .9 for nothing; the chord from it to arm 2 (27 for .9 of three kilos) is highest at 1.2 a decision.
    """
    rule = Knapsack({"kilos": 24.0}, value="price", **TWO)
    state, draws = rule.init(K), np.array([0.5, 0.4, 0.9, 0.9])
    np.testing.assert_allclose(rule.mix(state, request(), draws), [0.0, 0.0, 1.2 / 2.7, 1.0 - 1.2 / 2.7], rtol=1e-14)
    order = [2, 0, 3, 1]
    np.testing.assert_array_equal(
        rule.mix(state, request(order), draws[order]), rule.mix(state, request(), draws)[order]
    )
    state.resources[0, 0] = 23.0  # spent
    np.testing.assert_allclose(rule.mix(state, request(), draws)[2], 0.05 / 2.7, rtol=1e-12)
    fixed = Knapsack({"kilos": 24.0}, value="price", resolved=False, **TWO)
    np.testing.assert_allclose(fixed.mix(state, request(), draws)[2], 1.2 / 2.7, rtol=1e-12)
    exposure = Knapsack({"kilos": 24.0}, value="price", per="exposure", **TWO)
    np.testing.assert_allclose(exposure.mix(exposure.init(K), request(), draws)[2], 1.2 / 3.0, rtol=1e-12)
    both = Knapsack({"kilos": 24.0, "pieces": 8.0}, value="price", **TWO)
    mix = both.mix(both.init(K), request(), draws)
    assert mix @ (draws * WEIGHTS) <= 1.2 + 1e-9
    assert mix @ draws == pytest.approx(0.4)  # pieces bind


@pytest.mark.parametrize("inventory", [{"kilos": 24.0}, {"kilos": 24.0, "pieces": 8.0}])
def test_more_room_never_brings_less_and_spends_no_more_than_it(inventory):
    rng = np.random.default_rng(2)
    prices = np.array([10.0, 20.0, 30.0, 1.0])
    for _ in range(50):
        draws, last = rng.random(K), -1.0
        for factor in (0.25, 1.0, 4.0):
            rule = Knapsack({name: limit * factor for name, limit in inventory.items()}, value="price", **TWO)
            mix = rule.mix(rule.init(K), request(), draws)
            assert mix @ (draws * WEIGHTS) <= 1.2 * factor + 1e-9
            assert mix @ (draws * prices) >= last - 1e-9
            last = float(mix @ (draws * prices))


def test_grows_forgets_saves_and_loads():
    rule = Knapsack({"kilos": 60.0, "pieces": 9.0}, **TWO)
    state = rule.fit(rule.init(0), K, attributes(), 0.0)
    for number, arm in enumerate([2, 2, 1]):
        rule.observe(state, Exposure(number, request(), np.array([arm])))
    saved = rule.save(state, K)
    assert {name: array.shape for name, array in saved.items()} == {
        "decisions": (1,),
        "resources": (3, 2),
        "arms": (7, K),
    }
    twin = rule.load(saved, K)
    for each in (state, twin):
        rule.observe(each, feedback([2], [1.0]))
    for a, b in zip(state, twin, strict=True):
        np.testing.assert_array_equal(a, b)
    wider = rule.fit(state, 2 * K, attributes(), 0.0)
    np.testing.assert_array_equal(wider.arms[:, :K], state.arms)
    forget(rule, wider, np.array([2]))
    np.testing.assert_array_equal(wider.arms[:, 2], 0.0)
    assert Knapsack.model_validate_json(rule.model_dump_json()) == rule
    saved = rule.save(state, K)
    saved["decisions"][0] = -1.0
    with pytest.raises(CheckpointError, match="negative"):
        rule.load(saved, K)
    saved = rule.save(state, K)
    saved["arms"][0] = -1.0
    with pytest.raises(CheckpointError, match="negative"):
        rule.load(saved, K)


@pytest.mark.parametrize(
    ("inventory", "fields", "message"),
    [
        ({}, {}, "is empty"),
        ({"a": 0.0}, {}, "greater than or equal"),
        ({"a": 1.0}, {"costs": {"b": 1.0}}, r"costs of \['b'\]"),
        ({"a": 1.0}, {"costs": {"a": -1.0}}, "is negative"),
        ({"a": 1.0}, {"value": 0.0}, "greater than or equal"),
        ({"a": 1.0}, {"unknown": 1}, "Extra inputs"),
    ],
)
def test_bad_configurations(inventory, fields, message):
    with pytest.raises(ValueError, match=message):
        Knapsack(inventory, decisions=10, **fields)


def test_what_it_cannot_do_is_said():
    rule = Knapsack({"kilos": 6.0}, **TWO)
    with pytest.raises(ValueError, match="one arm a decision"):
        rule.mix(rule.init(K), request(k=2), MEANS)
    with pytest.raises(ValueError, match="below 0"):
        rule.mask(rule.init(K), request(known=attributes([1.0, -2.0, 0.0, 0.0])))

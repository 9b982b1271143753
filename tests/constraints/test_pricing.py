"""The pricing instance of Ferreira, Simchi-Levi and Wang, through the whole chain."""

import copy

import numpy as np
import pytest

from seedbed.bandits import Bandit, Beta, Thompson
from seedbed.constraints import Budget, DualPrice, Knapsack, Value
from seedbed.constraints.constrained import Constrained

PRICES, DEMAND = np.array([29.9, 34.9, 39.9, 44.9]), np.array([0.8, 0.6, 0.3, 0.1])
FLUID = {0.25: 0.75 * 0.3 * 39.9 + 0.25 * 0.1 * 44.9, 0.5: 2 / 3 * 0.6 * 34.9 + 1 / 3 * 0.3 * 39.9}
PERIODS = 5_000


def dual(alpha):
    inventory = {"limit": alpha * PERIODS, "decisions": PERIODS}
    return [Value("price"), DualPrice("units", per="reward", scale=44.9, **inventory)]


def hard(alpha):
    return [*dual(alpha), Budget("units", limit=alpha * PERIODS, per="reward")]


def resolved(alpha):
    return [Knapsack({"units": alpha * PERIODS}, decisions=PERIODS, value="price")]


def seller(constraints, seed=0):
    ranker = Constrained(Bandit(Thompson(model=Beta()), arms=range(4), seed=seed), constraints)
    ranker.describe(range(4), price=PRICES)
    return ranker


def revenue_and_sales(constraints, seed, delay=0):
    """Play all periods; a customer's answer is learnt some decisions later."""
    ranker = seller(constraints, seed)
    customers = np.random.default_rng(seed).random(PERIODS)
    revenue, sales, late = 0.0, 0, []
    for period, customer in enumerate(customers):
        decision = ranker.select()
        for arm in decision.arms:
            sold = customer < DEMAND[arm]
            late.append((period + delay, arm, sold, decision))
            revenue, sales = revenue + sold * PRICES[arm], sales + int(sold)
        while late and late[0][0] <= period:
            _, arm, sold, decision = late.pop(0)
            ranker.update(arm, float(sold), decision=decision)
    return revenue, sales


@pytest.mark.parametrize("alpha", [0.25, 0.5])
@pytest.mark.parametrize("constraints", [resolved, hard])
def test_hard_inventories_earn_the_fluid_optimum_and_are_never_oversold(constraints, alpha):
    played = [revenue_and_sales(constraints(alpha), seed) for seed in range(2)]
    assert np.mean([revenue for revenue, _ in played]) >= 0.98 * FLUID[alpha] * PERIODS
    assert max(sales for _, sales in played) <= alpha * PERIODS


@pytest.mark.parametrize("alpha", [0.25, 0.5])
def test_the_dual_price_earns_the_fluid_optimum_and_holds_the_budget(alpha):
    played = [revenue_and_sales(dual(alpha), seed) for seed in range(2)]
    assert np.mean([revenue for revenue, _ in played]) >= 0.98 * FLUID[alpha] * PERIODS
    shares = [sales / (alpha * PERIODS) for _, sales in played]
    assert 0.99 <= np.mean(shares) <= 1.01
    assert max(shares) <= 1.02


@pytest.mark.parametrize("constraints", [resolved, hard])
def test_answers_that_come_late_oversell_nothing(constraints):
    """Forty are in flight at most, and none of them is sold twice."""
    revenue, sales = revenue_and_sales(constraints(0.25), seed=2, delay=40)
    assert 0.95 * 0.25 * PERIODS <= sales <= 0.25 * PERIODS
    assert revenue >= 0.95 * FLUID[0.25] * PERIODS


@pytest.mark.parametrize("constraints", [dual(0.25), hard(0.25), resolved(0.25)])
def test_a_resumed_seller_goes_on_alike_in_any_order_of_the_arms(constraints):
    ranker = seller(constraints)
    for t in range(300):
        for arm in ranker.select().arms:
            ranker.update(arm, float(t % 3 == 0))
    twin = copy.deepcopy(ranker)
    assert twin.report() == ranker.report()
    for t in range(300):
        one, two = ranker.select(range(4)), twin.select([3, 1, 0, 2])
        assert (one.arms, one.scores) == (two.arms, two.scores)
        for arm in one.arms:
            ranker.update(arm, float(t % 3 == 0))
            twin.update(arm, float(t % 3 == 0))


def test_the_shadow_price_is_that_of_the_fluid_optimum():
    """A quarter of a unit: of the arms at 39.9 and 44.9, .3 (39.9 - y) = .1 (44.9 - y), so y = 37.4."""
    ranker = seller(dual(0.25))
    prices = []
    for customer in np.random.default_rng(0).random(PERIODS):
        for arm in ranker.select().arms:
            ranker.update(arm, float(customer < DEMAND[arm]))
        prices.append(ranker.report()["dual_price"]["price"])
    assert np.mean(prices[1_000:]) == pytest.approx(37.4, rel=0.05)


def test_a_missing_cost_is_told_before_anything_is_served():
    ranker = Constrained(Bandit(Thompson(), arms=["a", "b"]), [DualPrice("money", rate=1.0, cost="fee")])
    ranker.describe(["a"], fee=1.0)
    with pytest.raises(ValueError, match="1 of the candidates have no 'fee'"):
        ranker.select(["a", "b"])
    assert ranker.report()["dual_price"]["decisions"] == 0
    assert ranker.select(["a"]).decision_id == ("0", 0, 0)
    ranker.bandit.pause_arms(["a", "b"])
    assert ranker.select().arms == []
    assert ranker.report()["dual_price"]["decisions"] == 2  # nothing served is a decision that cost nothing


def test_nothing_is_served_when_the_inventory_is_gone():
    ranker = Constrained(Bandit(Thompson(), arms=["a", "b"]), [Knapsack({"units": 2.0}, decisions=2)])
    for arm in ("a", "b"):
        ranker.select([arm])
    decision = ranker.select()
    assert (decision.arms, decision.dropped) == ([], {"BUDGET_SPENT": 2})
    ranker.update("a", 0.0)
    assert len(ranker.select().arms) == 1

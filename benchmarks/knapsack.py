"""Budgets: rewards beside the fluid optimum, and spending beside the limit.

    python benchmarks/knapsack.py [SEEDS]

First the pricing instance of Ferreira, Simchi-Levi and Wang (2018), with the rules of this library beside what one
would do without them and what the papers print. Then soft budgets over twenty arms: known costs, costs that feedback
tells, and the share of a group. The customers of a seed are the same for every rule.

Where costs are told 500 decisions later, the first 500 decisions are made without any, and those of the last 500 come
after the end: by chance alone they differ by sqrt(500 rho (1 - rho)) from what they were expected to be, which is 2 %
of the limit for rho = .05 and 1 % for .2.
"""

import math
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from scipy.optimize import linprog

from seedbed.bandits import Bandit, Decision, Thompson
from seedbed.constraints import Budget, DualPrice, Knapsack, Value
from seedbed.constraints.base import Constraint, Exposure, Precedence, Price
from seedbed.constraints.constrained import Constrained

PRICES, DEMAND = np.array([29.9, 34.9, 39.9, 44.9]), np.array([0.8, 0.6, 0.3, 0.1])
PRINTED = {0.25: 10.10, 0.5: 17.95}  # a period, by inventory / periods
PERIODS = 5_000
ARMS = 20


def fluid(rewards: np.ndarray, costs: np.ndarray, rho: float) -> float:
    """The most that a mix of arms brings a period, on average, where all rates are known."""
    found = linprog(-rewards, [costs, np.ones_like(costs)], [rho, 1.0], method="highs")
    return float(-found.fun)


# the pricing instance: rules are functions of inventory and seed that make an object with `sell` and `told`


class Ranker:
    """Arms under constraints."""

    def __init__(self, constraints: list[Constraint], seed: int) -> None:
        self.ranker = Constrained(Bandit(Thompson(), range(4), seed=seed), constraints)
        self.ranker.describe(range(4), price=PRICES)
        self.decision: Decision | None = None

    def sell(self, period: int, left: float) -> int | None:
        """Arm of this period; None to sell nothing."""
        self.decision = self.ranker.select()
        arms = self.decision.arms
        return int(arms[0]) if arms else None

    def told(self, arm: int, sold: float) -> None:
        """Learn what the customer did."""
        self.ranker.update(arm, sold, decision=self.decision)


class Dropping:
    """Thompson sampling by revenue, of arms that are not proved to sell more than rho a period."""

    def __init__(self, inventory: float, seed: int) -> None:
        self.rho = inventory / PERIODS
        self.bandit = Bandit(Thompson(), range(4), seed=seed)
        self.sold = np.zeros((2, 4))

    def sell(self, period: int, left: float) -> int | None:
        scores = self.bandit.scores() * PRICES
        self.bandit.select()  # on to the next key
        sales, n = self.sold[0], np.maximum(self.sold[1], 1.0)
        low = sales / n - np.sqrt(2.0 * math.log(PERIODS) * (sales / n) * (1.0 - sales / n) / n)
        scores[low > self.rho] = -np.inf
        return int(scores.argmax())

    def told(self, arm: int, sold: float) -> None:
        self.bandit.update(arm, sold)
        self.sold[:, arm] += sold, 1.0


class PrimalDual:
    """PrimalDualBwK of Badanidiyuru, Kleinberg and Slivkins as printed: bang per buck, weights multiplied.

    Resources are units and time, scaled to one budget B; bounds of radius `sqrt(c v / n) + c / n`, c = ln(d K T).
    """

    def __init__(self, inventory: float, seed: int) -> None:
        self.scale = inventory / PERIODS  # what a period takes of the time
        self.epsilon = math.sqrt(math.log(2.0) / inventory)
        self.weights = np.ones(2)
        self.sales, self.n = np.zeros(4), np.zeros(4)

    def sell(self, period: int, left: float) -> int | None:
        if period < 4:
            return period
        radius = math.log(2 * 4 * PERIODS)
        mean = self.sales / self.n
        width = np.sqrt(radius * mean / self.n) + radius / self.n
        high, low = np.minimum(mean + width, 1.0), np.maximum(mean - width, 0.0)
        costs = np.stack([low, np.full(4, self.scale)])
        arm = int((PRICES * high / (self.weights @ costs)).argmax())
        self.weights *= (1.0 + self.epsilon) ** costs[:, arm]
        self.weights /= self.weights.max()
        return arm

    def told(self, arm: int, sold: float) -> None:
        self.sales[arm] += sold
        self.n[arm] += 1.0


class Ticks(Constraint):
    """The multiplier moved once in 50 decisions, by what they cost in fact."""

    kind: Literal["ticks"] = "ticks"
    rho: float
    precedence: ClassVar[Precedence] = Precedence.PRICE

    def init(self, capacity: int) -> Any:
        return Ticked(np.zeros(3))

    def price(self, state: Any, request: Any) -> Price:
        return Price(rate=state.totals[0] * 44.9 / self.rho)

    def observe(self, state: Any, event: Any) -> None:
        totals = state.totals
        if not isinstance(event, Exposure):
            totals[1] += event.rewards.sum()
            return
        totals[2] += 1
        if totals[2] == 50:
            step = 50 / math.sqrt(PERIODS) * (totals[1] / 50 / self.rho - 1.0)
            totals[:] = min(max(totals[0] + step, 0.0), 2.0), 0.0, 0.0


class Ticked(NamedTuple):
    """totals: `[3]`: multiplier, costs and decisions of the tick."""

    totals: np.ndarray


def dual(inventory: float) -> list[Constraint]:
    """The soft budget of this library."""
    return [Value("price"), DualPrice("units", limit=inventory, decisions=PERIODS, per="reward", scale=44.9)]


def hard(inventory: float) -> list[Constraint]:
    """The same, and an inventory that reserves each unit before it is offered."""
    return [*dual(inventory), Budget("units", limit=inventory, per="reward")]


def stock(inventory: float, **fields: Any) -> list[Constraint]:
    """The hard inventory of this library."""
    return [Knapsack({"units": inventory}, decisions=PERIODS, value="price", **fields)]


Rule = Callable[[float, int], Any]
# name: (rule, whether the benchmark closes the shop when the shelves are empty, as the rule itself does not know)
RULES: dict[str, tuple[Rule, bool]] = {
    "Thompson, re-solved program": (lambda n, seed: Ranker(stock(n), seed), False),
    "Thompson, fixed program": (lambda n, seed: Ranker(stock(n, resolved=False), seed), False),
    "dual price, soft": (lambda n, seed: Ranker(dual(n), seed), False),
    "dual price and budget, hard": (lambda n, seed: Ranker(hard(n), seed), False),
    "dual price by realised costs, ticks of 50": (
        lambda n, seed: Ranker([Value("price"), Ticks(rho=n / PERIODS)], seed),
        True,
    ),
    "PrimalDualBwK as printed": (PrimalDual, True),
    "Thompson without constraints": (lambda n, seed: Ranker([Value("price")], seed), True),
    "Thompson, dropping arms proved above rho": (Dropping, True),
}


def play(rule: Any, inventory: float, seed: int, *, closes: bool) -> tuple[float, float]:
    """Revenue and sales of one run."""
    customers = np.random.Generator(np.random.PCG64(seed)).random(PERIODS)
    revenue = sales = 0.0
    for period, customer in enumerate(customers.tolist()):
        if closes and sales >= inventory:
            break
        arm = rule.sell(period, inventory - sales)
        if arm is not None:
            sold = float(customer < DEMAND[arm])
            rule.told(arm, sold)
            revenue, sales = revenue + sold * PRICES[arm], sales + sold
    return revenue, sales


def pricing(seeds: int) -> tuple[list[str], list[list[str]]]:
    """Every rule on both inventories."""
    rows = []
    for alpha, printed in PRINTED.items():
        inventory, best = alpha * PERIODS, fluid(PRICES * DEMAND, DEMAND, alpha)
        assert abs(best - printed) < 0.005
        for name, (rule, closes) in RULES.items():
            played = np.array(
                [
                    play(rule(inventory, seed), inventory, seed, closes=closes)
                    for seed in track(range(seeds), f"{name}, {alpha}", console=Console(stderr=True))
                ]
            )
            share, spent = played[:, 0] / (best * PERIODS), played[:, 1] / inventory
            regret = best * PERIODS - played[:, 0]
            rows.append([f"{alpha}", name, *shown(share), f"{regret.mean():,.0f}", *spending(spent)])
    head = ["inventory / T", "rule", "revenue / fluid optimum", "regret", "sold / inventory", "least", "most"]
    return head, rows


def shown(values: np.ndarray) -> list[str]:
    """Mean and its standard error."""
    return [f"{values.mean():.4f} +- {values.std(ddof=1) / math.sqrt(values.size):.4f}"]


def spending(values: np.ndarray) -> list[str]:
    """Mean, least and most."""
    return [f"{values.mean():.4f}", f"{values.min():.4f}", f"{values.max():.4f}"]


# soft budgets over twenty arms


def world() -> tuple[np.ndarray, np.ndarray]:
    """Mean rewards and costs of the arms: dearer ones are better, on the whole; one costs nothing."""
    rng = np.random.Generator(np.random.PCG64(2026))
    costs = rng.beta(1.0, 2.0, ARMS)
    costs[0] = 0.0
    return np.clip(0.5 * costs + 0.4 * rng.random(ARMS), 0.0, 1.0), costs


SOFT: dict[str, dict[str, Any]] = {
    "known cost of an exposure": {"cost": "fee"},
    "cost of a reward": {"cost": "fee", "per": "reward"},
    "cost told by feedback": {"per": "feedback"},
    "told 500 decisions later": {"per": "feedback", "prior": (0.33, 10.0)},
    "share of a group": {"cost": {"is_dear": "yes"}},
    "known cost, a rate without an end": {"cost": "fee"},
}

OPEN = (
    "Costs told 500 decisions later: what the last 500 cost is told after the end, and scatters by 2 % of the limit "
    "(.05) and 1 % (.2) around what was expected."
)


def soft(name: str, rho: float, seed: int) -> tuple[float, float]:
    """Mean rewards and cost of one run, as shares of the fluid optimum and of the limit."""
    means, fees = world()
    is_dear = (fees > 0.4).astype(float)
    limit = {"rate": rho} if "rate" in name else {"limit": rho * PERIODS, "decisions": PERIODS}
    ranker = Constrained(Bandit(Thompson(), range(ARMS), seed=seed), [DualPrice("money", **limit, **SOFT[name])])
    ranker.describe(range(ARMS), fee=fees, is_dear=["yes" if dear else "no" for dear in is_dear])
    true = {"cost of a reward": fees * means, "share of a group": is_dear}.get(name, fees)
    delay = 500 if "later" in name else 0
    chances = np.random.Generator(np.random.PCG64(seed)).random((PERIODS, 2))
    reward = cost = 0.0
    late = []
    for period in range(PERIODS):
        arm = int(ranker.select().arms[0])
        brought, paid = (chances[period] < (means[arm], fees[arm])).astype(float).tolist()
        reward += means[arm]
        if "told" in name:
            late.append((arm, brought, paid))
            cost += paid
        else:
            ranker.update(arm, brought)
            cost += fees[arm] * brought if name == "cost of a reward" else true[arm]
        if len(late) > delay:
            then, what, price = late.pop(0)
            ranker.update(then, what, cost=price)
    return reward / PERIODS / fluid(means, true, rho), cost / (rho * PERIODS)


def budgets(seeds: int) -> tuple[list[str], list[list[str]]]:
    """Every kind of soft budget, tight and less so."""
    rows = []
    for name in SOFT:
        for rho in (0.05, 0.2):
            played = np.array(
                [soft(name, rho, seed) for seed in track(range(seeds), f"{name}, {rho}", console=Console(stderr=True))]
            )
            rows.append([name, f"{rho}", *shown(played[:, 0]), *spending(played[:, 1])])
    return ["budget", "limit / T", "reward / fluid optimum", "spent / limit", "least", "most"], rows


def durations() -> tuple[list[str], list[list[str]]]:
    """Time of one decision's mix."""
    from seedbed.constraints._mixing import best_mix

    rows = []
    rng = np.random.Generator(np.random.PCG64(1))
    for resources in (1, 3):
        for arms in (4, 100, 1_000):
            rewards, costs, uids = rng.random(arms), rng.random((resources, arms)), np.arange(arms).astype(np.uint64)
            rho, times = np.full(resources, 0.2), []
            for _ in range(30):
                start = time.perf_counter()
                best_mix(rewards, costs, rho, uids)
                times.append(time.perf_counter() - start)
            how = "closed form" if resources == 1 else "HiGHS"
            rows.append([str(resources), str(arms), how, f"{min(times) * 1e6:,.0f} us"])
    return ["resources", "arms", "by", "one mix, least of 30"], rows


def main() -> int:
    """Print all tables."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    for title, (head, rows) in (
        (f"Pricing, T = {PERIODS:,}, seeds 0 ... {seeds - 1}.", pricing(seeds)),
        (f"Soft budgets over {ARMS} arms, T = {PERIODS:,}, seeds 0 ... {seeds - 1}. {OPEN}", budgets(seeds)),
        ("The mix of one decision.", durations()),
    ):
        lines = [head, ["---"] * len(head), *rows]
        print(title + "\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

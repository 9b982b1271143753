"""Knapsack: inventories that are never exceeded, spent by the best mix of arms under what each posterior draw says."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..bandits._numba import kernel
from ..bandits.checkpoint import require
from ._costs import Cost, costs_of
from ._mixing import best_mix
from .attributes import Attributes
from .base import Columns, Constraint, Exposure, Feedback, Floats, Mask, Precedence, Request

Positive = Annotated[float, Field(ge=1e-9, le=1e15)]
Count = Annotated[int, Field(gt=0, lt=2**53)]

_SPENT, _HELD, _EXPECTED = range(3)  # rows of `resources`
_EXPOSED, _FIRST = range(2)  # rows of `arms`, with those of the resources from the second on


class KnapsackState(NamedTuple):
    """What is left of J inventories.

    decisions: float64 `[1]`, made so far.
    resources: float64 `[3, J]`: spent; held for exposures without feedback, the most that they can cost; what those
        are expected to cost.
    arms: float64 `[1 + 3 J, K]`: exposures without feedback; cost of a unit of each resource when last served; what is
        held of each; what is expected to be spent of each.
    """

    decisions: NDArray[np.float64]
    resources: NDArray[np.float64]
    arms: NDArray[np.float64]


class Knapsack(Constraint):
    """Spend inventories over a number of decisions by a linear program, solved anew for each of them.

    Of the posterior draws theta of a decision it serves arm i with probability x_i, where x maximises

    `sum x_i value_i theta_i` under `sum x_i cost_ij theta_i <= rho_j` for each resource j, `sum x_i <= 1`, `x >= 0`,

    and nothing with what is left of 1. `rho_j` is what one of the decisions that are left may cost, from what remains
    (or always `limit / decisions`, where not `resolved`). Under `per="exposure"` costs are not multiplied by theta.

    No inventory is ever exceeded: an exposure sets apart the most that it can cost until its feedback comes (a reward
    of 0 gives it back; nothing expires by itself), and an arm that can cost more than what is then left may not be
    served, "BUDGET_SPENT", not even where nothing else is left. It chooses one arm a decision.

    One resource is solved in closed form, two arms at most, in microseconds; several by HiGHS through scipy, some two
    milliseconds a decision.

    Parameters
    ----------
    inventory
        Units of each resource, by name.
    decisions
        Number of decisions that they are for.
    costs
        Of a unit, by resource: a number, an attribute, or `{attribute: name or names}` for 1 where an arm is of that
        group and 0 where not. 1 for a resource that is not named. At least 0.
    per
        What is a unit: a "reward", so that a sale takes from the inventory, or an "exposure".
    value
        What a unit of reward is worth: a number or an attribute.
    most
        Largest reward of an exposure, for what is set apart.
    resolved
        Whether rho follows what remains.

    References
    ----------
    .. [1] K. J. Ferreira, D. Simchi-Levi and H. Wang (2018), "Online network revenue management using Thompson
       sampling", Operations Research 66.

    Examples
    --------
    Draws of .8 and .3 for arms worth 1 and 2, with a quarter of a unit a decision: the second sells .3 a decision and
    brings .6, which is more a unit sold, so it gets .25 / .3 of the decisions:

    >>> import numpy as np
    >>> from seedbed.constraints import Knapsack
    >>> from seedbed.constraints.attributes import Attributes
    >>> from seedbed.constraints.base import Request
    >>> attributes, arms = Attributes(2), np.array([0, 1])
    >>> attributes.set(arms, {"price": [1.0, 2.0]})
    >>> stock = Knapsack({"units": 25}, decisions=100, value="price")
    >>> request = Request(arms, arms.astype(np.uint64), 1, 0.0, 0, {}, attributes, lambda: np.array([0.5, 0.5]))
    >>> stock.mix(stock.init(2), request, np.array([0.8, 0.3])).round(4).tolist()
    [0.0, 0.8333]
    """

    kind: Literal["knapsack"] = "knapsack"
    inventory: dict[str, Positive]
    decisions: Count
    costs: dict[str, Cost] = Field(default_factory=dict)
    per: Literal["reward", "exposure"] = "reward"
    value: Positive | str = 1.0
    most: Positive = 1.0
    resolved: bool = True

    precedence: ClassVar[Precedence] = Precedence.CAP
    relaxable: ClassVar[bool] = False

    def __init__(self, inventory: Mapping[str, float], **fields: Any) -> None:
        super().__init__(inventory=dict(inventory), **fields)  # type: ignore[call-arg]

    @model_validator(mode="after")
    def _check_costs(self) -> Self:
        if not self.inventory:
            raise ValueError("inventory is empty: name a resource and its units")
        unknown = set(self.costs) - set(self.inventory)
        if unknown:
            raise ValueError(f"costs of {sorted(unknown)}: inventory names {sorted(self.inventory)} alone")
        for name, cost in self.costs.items():
            if not isinstance(cost, str | dict) and cost < 0.0:
                raise ValueError(f"costs[{name!r}] = {cost} is negative")
        return self

    @cached_property
    def _limits(self) -> Floats:
        return np.array(list(self.inventory.values()))

    @cached_property
    def _prices(self) -> list[Cost]:
        return [self.costs.get(name, 1.0) for name in self.inventory]

    def init(self, capacity: int) -> KnapsackState:
        """Make a state with nothing spent."""
        n = len(self.inventory)
        return KnapsackState(np.zeros(1), np.zeros((3, n)), np.zeros((_FIRST + 3 * n, capacity)))

    def mask(self, state: KnapsackState, request: Request) -> list[tuple[str, Mask]]:
        """Refuse arms that can cost more than is left, were the whole slate like them."""
        resources = state.resources
        left = self._limits - resources[_SPENT] - resources[_HELD]
        most = self.most if self.per == "reward" else 1.0
        rooms = left / (most * max(request.k, 1))
        if all(
            not isinstance(cost, str | dict) and cost <= room for cost, room in zip(self._prices, rooms, strict=True)
        ):
            return []
        may = np.empty(request.columns.size, np.bool_)
        fits_all = which_fit(self._costs(request.attributes, request.columns), rooms, may)
        return [] if fits_all else [("BUDGET_SPENT", may)]

    def mix(self, state: KnapsackState, request: Request, draws: Floats) -> Floats:
        """Probability of each candidate.

        Raises
        ------
        ValueError
            For more than one arm a decision.
        """
        if request.k != 1:
            raise ValueError(f"k = {request.k}: a knapsack chooses one arm a decision; use DualPrice for slates")
        costs = self._costs(request.attributes, request.columns)
        value = request.numbers(self.value) if isinstance(self.value, str) else self.value
        if self.per == "reward":
            costs = costs * np.maximum(draws, 0.0)
        return best_mix(draws * value, costs, self.targets(state), request.uids)

    def targets(self, state: KnapsackState) -> Floats:
        """What one of the decisions that are left may cost of each resource, `[J]`."""
        if not self.resolved:
            return self._limits / self.decisions
        left = max(self.decisions - float(state.decisions[0]), 1.0)
        resources = state.resources
        rho: Floats = np.maximum(self._limits - resources[_SPENT] - resources[_EXPECTED], 0.0) / left
        return rho

    def observe(self, state: KnapsackState, event: Exposure | Feedback) -> None:
        """Set apart what was served; spend and give back what came back."""
        if isinstance(event, Exposure):
            costs = self._costs(event.request.attributes, event.columns)
            is_awaited = self.per == "reward"
            means = event.request.means_of(event.positions) if is_awaited else np.ones(event.columns.size)
            hold(*state, event.columns, np.ascontiguousarray(costs), means, is_awaited, self.most)
        elif self.per == "reward":
            take_back(state.resources, state.arms, event.columns, event.rewards, self.most)

    def report(self, state: KnapsackState, attributes: Attributes) -> dict[str, Any]:
        """Tell what was spent, is held, and may be spent by one decision, of each resource."""
        rows, rho = state.resources, self.targets(state)
        return {
            name: {
                "limit": limit,
                "spent": float(rows[_SPENT, j]),
                "held": float(rows[_HELD, j]),
                "target": float(rho[j]),
            }
            for j, (name, limit) in enumerate(self.inventory.items())
        }

    def check_state(self, state: KnapsackState) -> None:
        """Refuse a loaded state that contradicts itself."""
        super().check_state(state)
        require(bool(state.decisions[0] >= 0.0), "the decisions of a knapsack are negative")
        require(bool((state.arms[_EXPOSED] >= 0.0).all()), "the exposures of a knapsack are negative")

    def _costs(self, attributes: Attributes, columns: Columns) -> Floats:
        """Cost of a unit, `[J, C]`.

        Raises
        ------
        ValueError
            For one that is unknown or negative.
        """
        costs = np.empty((len(self._prices), columns.size))
        for row, cost in zip(costs, self._prices, strict=True):
            row[:] = costs_of(cost, attributes, columns)
            if isinstance(cost, str) and row.size and row.min() < 0.0:
                raise ValueError(
                    f"{cost} = {row.min()} is below 0; a knapsack only empties: describe arms with costs >= 0"
                )
        return costs


@kernel
def which_fit(costs: Floats, rooms: Floats, may: Mask) -> bool:
    """Write which candidates cost no more than there is room for, of every resource; return whether all do."""
    fits_all = True
    for i in range(may.size):
        fits = True
        for j in range(rooms.size):
            fits &= costs[j, i] <= rooms[j]
        may[i] = fits
        fits_all &= fits
    return fits_all


@kernel
def hold(
    decisions: Floats,
    resources: Floats,
    arms: Floats,
    columns: Columns,
    costs: Floats,
    means: Floats,
    is_awaited: bool,
    most: float,
) -> None:
    """Count a decision; set apart the most that it can cost, or spend what it does cost."""
    decisions[0] += 1.0
    n = resources.shape[1]
    for i in range(columns.size):
        column = columns[i]
        if is_awaited:
            arms[_EXPOSED, column] += 1.0
        for j in range(n):
            arms[_FIRST + j, column] = costs[j, i]
            if not is_awaited:
                resources[_SPENT, j] += costs[j, i]
                continue
            arms[_FIRST + n + j, column] += costs[j, i] * most
            arms[_FIRST + 2 * n + j, column] += costs[j, i] * means[i]
            resources[_HELD, j] += costs[j, i] * most
            resources[_EXPECTED, j] += costs[j, i] * means[i]


@kernel
def take_back(resources: Floats, arms: Floats, columns: Columns, rewards: Floats, most: float) -> None:
    """Spend what rewards cost; of what is held for their arms, give back the share of one exposure each."""
    n = resources.shape[1]
    for i in range(columns.size):
        column, reward = columns[i], rewards[i]
        exposed = arms[_EXPOSED, column]
        for j in range(n):
            if exposed < 1.0:  # nothing is awaited: it was served elsewhere
                resources[_SPENT, j] += reward * arms[_FIRST + j, column]
                continue
            held = arms[_FIRST + n + j, column] / exposed
            expected = arms[_FIRST + 2 * n + j, column] / exposed
            arms[_FIRST + n + j, column] -= held
            arms[_FIRST + 2 * n + j, column] -= expected
            resources[_HELD, j] -= held
            resources[_EXPECTED, j] -= expected
            resources[_SPENT, j] += held / most * reward
        if exposed >= 1.0:
            arms[_EXPOSED, column] -= 1.0

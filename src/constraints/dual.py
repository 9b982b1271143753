"""Dual prices: a soft budget, or a constraint that holds in the long run, by a price that learns."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..bandits.checkpoint import require
from ._costs import Cost, costs_of
from ._pacing import (
    ARRIVALS,
    AWAITED,
    DECISIONS,
    ELAPSED,
    EXPOSED,
    FIRST,
    LAMBDA,
    SEEN,
    SPENT,
    SQUARE,
    SQUARES,
    TIME,
    TOTALS,
    UNIT,
    UNKNOWN,
    WEIGHT,
    WINDOW,
    memory,
    serve,
    settle,
    target,
    told_costs,
)
from .attributes import Attributes
from .base import Columns, Constraint, Exposure, Feedback, Floats, Precedence, Price, Request

Positive = Annotated[float, Field(ge=1e-9, le=1e15)]
Seconds = Annotated[float, Field(ge=1e-3, le=1e15)]
Count = Annotated[int, Field(gt=0, lt=2**53)]


class DualState(NamedTuple):
    """A price, and what it was learnt from.

    totals: float64 `[12]`: the multiplier; decisions and what was spent, in the current window where there are any;
        what exposures without feedback are expected to cost; surplus that has lapsed; number of the window's first
        decision; index of the window; time of the latest decision; decisions and seconds, both fading; decisions and
        their mean square of normalised cost, for the step.
    arms: float64 `[6, K]`: cost of a unit when last served; exposures that await feedback, and what they are expected
        to cost; weighted costs that were told, their weight, and their weighted squares.
    """

    totals: NDArray[np.float64]
    arms: NDArray[np.float64]


class DualPrice(Constraint):
    """Hold what is spent at a limit by a price on it: a multiplier that rises while decisions cost more than they may.

    `score = reward - lambda * scale * cost / rho`, where `rho = limit / decisions` is what one decision may cost: the
    multiplier acts on normalised cost. After every decision

    `lambda <- clip(lambda + eta * (expected - target) / rho, 0, largest)`, `eta = step / sqrt(decisions) / g`,

    with g the root of the mean square of `expected / rho` where that is above 1, so that rare and dear costs do not
    make the price jump; `expected` the posterior mean cost of what was served, and `target` what each decision left may
    cost. It is re-solved from what remains, `target = (limit - spent) / (decisions left)`, and at most 2 rho, so that
    what was left over is not spent at once in the end. Where the limit does not bind the multiplier falls to 0.

    The step is linear in the target; divided by it, as sometimes printed, it has no bound when little remains. The
    expected cost, not the cost that came back, moves the price: the latter lets it swing between arms.

    What is spent is what came back, and the expected cost of every exposure whose feedback did not come yet, or never
    will: feedback replaces it. So late feedback does not let it overspend, nor lost feedback, on average. Two limits
    remain where costs are told d decisions late. The first d are made without knowing any, so that the prior must not
    be far below what arms cost, nor d of them cost more than the limit. And what the last d cost is told too late: it
    scatters by up to `sqrt(d rho (1 - rho))` where an exposure costs 0 or 1, which is 2 % of the limit for d = 500 of
    5,000 decisions at rho = .05: there some runs end more than 2 % above it.

    This is soft: it holds on average, within a percent or so. Where no decision may be over the limit, add
    `Budget(resource, limit=..., per="reward")`, which is hard. It also needs a choice that costs less than rho: an arm
    that does, or one that stands for serving nothing.

    Parameters
    ----------
    resource
        What is spent; under `per="feedback"` the name of the cost in `update`.
    limit, decisions
        Units that so many decisions may cost in all.
    window
        Seconds after which the limit starts afresh, at multiples of itself. `decisions` is then about the number in a
        window; the target follows the traffic: decisions a second, smoothed over a tenth of the window.
    rate
        Units a decision on average, without an end, in place of a limit. A debt is paid back over `decisions` (5,000
        unless told); a surplus is kept for twice as many, and what exceeds it lapses.
    cost
        Of a unit: a number, an attribute, or `{attribute: name or names}` for 1 where an arm is of that group and 0
        where not, which makes the limit one on the group's share.
    per
        What is a unit: an "exposure", whose cost is known; a "reward", so that an arm costs its reward times the cost;
        or "feedback", where `update(..., cost=...)` tells the cost of each and its mean is learnt. The price is then on
        that mean less its standard deviation ("at_least": and it), so that arms are tried whose cost is uncertain.
        What is awaited counts for the deviation as if it had been told [4]_, so that arms take turns meanwhile.
    sense
        "at_most", or "at_least": then the price is paid to arms that help.
    scale
        Largest reward of a decision, in the units of the score. The multiplier times it is the price, so that the
        defaults of `step` and `largest` fit any units. Where serving nothing is allowed the right multiplier is at
        most 1: a limit of rho cannot be worth more than all that a decision brings.
    step
        Of the multiplier, before it is divided by sqrt(decisions).
    largest
        Of the multiplier. Where some choice stays a share s of rho below it ("at_least": above), the right one is
        1 / s at most; 2 is enough for s of a half or more.
    prior
        Under `per="feedback"`, the cost an arm is believed to have before any is told and the weight of that belief;
        rho and 1 unless told. A high one of much weight can hold back an arm that is cheap in truth, for long.
    outage
        Seconds without a decision, where 20 or more would have come, after which the multiplier is halved: it was
        learnt for other traffic.

    References
    ----------
    .. [1] A. Badanidiyuru, R. Kleinberg and A. Slivkins (2018), "Bandits with knapsacks", Journal of the ACM 65.
    .. [2] N. Immorlica, K. Sankararaman, R. Schapire and A. Slivkins (2022), "Adversarial bandits with knapsacks",
       Journal of the ACM 69.
    .. [3] S. Balseiro, H. Lu and V. Mirrokni (2023), "The best of many worlds: dual mirror descent for online
       allocation problems", Operations Research 71.
    .. [4] T. Desautels, A. Krause and J. Burdick (2014), "Parallelizing exploration-exploitation tradeoffs in Gaussian
       process bandit optimization", Journal of Machine Learning Research 15.

    Examples
    --------
    An exposure costs 1 where 1 is allowed, with eta = 1 / sqrt(100): nothing moves. One that costs 3 makes g^2, which
    begins at 1, (1 + 1 + 9) / 3, and target is (100 - 1) / 99 = 1, so the multiplier rises by .1 * (3 - 1) / g:

    >>> import numpy as np
    >>> from seedbed.constraints import DualPrice
    >>> from seedbed.constraints.attributes import Attributes
    >>> from seedbed.constraints.base import Exposure, Request
    >>> attributes, arms = Attributes(2), np.array([0, 1])
    >>> attributes.set(arms, {"fee": [1.0, 3.0]})
    >>> budget = DualPrice("money", limit=100, decisions=100, cost="fee")
    >>> state = budget.init(2)
    >>> request = Request(arms, arms.astype(np.uint64), 1, 0.0, 0, {}, attributes, lambda: np.array([0.5, 0.5]))
    >>> budget.observe(state, Exposure(0, request, arms[:1]))
    >>> budget.observe(state, Exposure(1, request, arms[1:]))
    >>> report = budget.report(state, attributes)
    >>> report["lambda"] == 0.1 * 2 / (11 / 3) ** 0.5, report["spent"], round(report["target"], 4)
    (True, 4.0, 0.9796)
    """

    kind: Literal["dual_price"] = "dual_price"
    resource: str
    limit: Positive | None = None
    decisions: Count | None = None
    window: Seconds | None = None
    rate: Positive | None = None
    cost: Cost = 1.0
    per: Literal["exposure", "reward", "feedback"] = "exposure"
    sense: Literal["at_most", "at_least"] = "at_most"
    scale: Positive = 1.0
    step: Positive = 1.0
    largest: Positive = 2.0
    prior: tuple[Annotated[float, Field(ge=0.0, allow_inf_nan=False)], Positive] | None = None
    outage: Seconds = 300.0

    precedence: ClassVar[Precedence] = Precedence.PRICE

    def __init__(self, resource: str, **fields: Any) -> None:
        super().__init__(resource=resource, **fields)  # type: ignore[call-arg]

    @model_validator(mode="after")
    def _check_limit(self) -> Self:
        if (self.limit is None) == (self.rate is None):
            raise ValueError("give a limit, with decisions, or a rate: one of them")
        if self.limit is not None and self.decisions is None:
            raise ValueError("a limit needs decisions: how many it is for, or about how many come in a window")
        if self.rate is not None and self.window is not None:
            raise ValueError("a rate has no window; give a limit and decisions for one")
        if self.per == "feedback" and self.cost != 1.0:
            raise ValueError(f"cost = {self.cost!r}: feedback tells the cost; leave it out")
        if self.per != "feedback" and self.prior is not None:
            raise ValueError("a prior is for costs that feedback tells; the others are known")
        return self

    @property
    def resources_read(self) -> tuple[str, ...]:
        """Names of the costs that it reads from feedback."""
        return (self.resource,) if self.per == "feedback" else ()

    @cached_property
    def _horizon(self) -> int:
        return self.decisions or 5_000

    @cached_property
    def rho(self) -> float:
        """What one decision may cost."""
        return self.limit / self._horizon if self.limit is not None else self.rate or math.nan

    @cached_property
    def _numbers(self) -> tuple[float, ...]:
        """What kernels read: limit, or 0 for a rate; decisions; window, or 0; rho; sense; eta; largest; outage."""
        sign = 1.0 if self.sense == "at_most" else -1.0
        eta = self.step / math.sqrt(self._horizon)
        return (
            self.limit or 0.0, float(self._horizon), self.window or 0.0, self.rho, sign, eta, self.largest, self.outage
        )  # fmt: skip

    def init(self, capacity: int) -> DualState:
        """Make a state with a price of 0 and nothing spent."""
        totals = np.zeros(TOTALS)
        totals[SQUARE] = 1.0
        totals[[WINDOW, TIME]] = UNKNOWN
        if self.window is not None:  # the traffic expected, until there is some
            seconds = memory(self.window, self.outage)
            totals[ARRIVALS], totals[ELAPSED] = self._horizon * seconds / self.window, seconds
        arms = np.zeros((6, capacity))
        if not isinstance(self.cost, str | dict):
            arms[UNIT] = self.cost
        return DualState(totals, arms)

    def price(self, state: DualState, request: Request) -> Price | None:
        """Return the price of each candidate, on its reward or its exposure."""
        cost: Floats | float
        if self.per == "feedback":
            cost = self._told(state, request.columns, self._numbers[4])
        elif isinstance(self.cost, str | dict):
            cost = costs_of(self.cost, request.attributes, request.columns)
        else:
            cost = self.cost
        each = self._price(state)  # looked at last: a cost that is missing is told before anything is served
        if each == 0.0:
            return None
        return Price(rate=each * cost) if self.per == "reward" else Price(cost=each * cost)

    def observe(self, state: DualState, event: Exposure | Feedback) -> None:
        """Move the price after a decision; replace expected by real costs after feedback."""
        if isinstance(event, Exposure):
            request, columns = event.request, event.columns
            if self.per == "feedback" or not columns.size:
                units = np.ones(columns.size)
                expected = self._told(state, columns, 0.0)
            else:
                units = costs_of(self.cost, request.attributes, columns)
                expected = units * request.means_of(event.positions) if self.per == "reward" else units
            is_awaited = self.per != "exposure"
            serve(
                state.totals,
                state.arms,
                columns,
                units,
                expected,
                is_awaited,
                event.number,
                request.now,
                *self._numbers,
            )
        elif self.per != "exposure" and (self.per == "reward" or self.resource in event.costs):
            is_told = self.per == "feedback"
            costs = event.costs[self.resource] if is_told else event.rewards
            number = -1 if event.number is None else event.number
            settle(state.totals, state.arms, event.columns, costs, event.weights, is_told, number)

    def report(self, state: DualState, attributes: Attributes) -> dict[str, Any]:
        """Tell the multiplier, the price of a unit of cost, what was spent and is awaited, and the target."""
        totals = state.totals
        return {
            "resource": self.resource,
            "lambda": float(totals[LAMBDA]),
            "price": self._price(state),
            "spent": float(totals[SPENT]),
            "awaited": float(totals[AWAITED]),
            "decisions": int(totals[DECISIONS]),
            "target": target(totals, totals[TIME], *self._numbers[:5]),
        }

    def check_state(self, state: DualState) -> None:
        """Refuse a loaded state that contradicts itself."""
        super().check_state(state)
        totals, arms = state
        require(0.0 <= totals[LAMBDA] <= self.largest, f"the multiplier of {self.resource!r} is out of range")
        counts = totals[[DECISIONS, FIRST, ARRIVALS, ELAPSED, SEEN, SQUARE]]
        require(bool((counts >= 0.0).all()), f"a count of {self.resource!r} is negative")
        has_traffic = self.window is None or bool((counts[2:4] >= 1e-9).all())
        require(has_traffic, f"the traffic of {self.resource!r} is not positive")
        require(
            bool((arms[[EXPOSED, WEIGHT, SQUARES]] >= 0.0).all()),
            f"a count of an arm of {self.resource!r} is negative",
        )

    def _price(self, state: DualState) -> float:
        """Price of a unit of cost, in the units of the score."""
        return float(state.totals[LAMBDA]) * self.scale / self.rho * self._numbers[4]

    def _told(self, state: DualState, columns: Columns, reach: float) -> Floats:
        """Mean cost of an exposure, learnt from feedback, less `reach` deviations of it, `[C]`."""
        mean, weight = (self.rho, 1.0) if self.prior is None else self.prior
        out = np.empty(columns.size)
        told_costs(state.arms, columns, mean, weight, reach, out)
        return out

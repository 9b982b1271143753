"""Budget: units of a resource that are reserved before they are spent, so that no account is ever overspent."""

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from . import _ledger as ledger
from ._accounts import Accounts, Seconds
from ._budget_state import MOST, BudgetState, check_state, first_known, fresh_book, packed, room_for
from .attributes import Attributes
from .base import Exposure, Feedback, Limits, Mask, Precedence, Request

Columns = NDArray[np.int64]
Floats = NDArray[np.float64]

_ONE_ACCOUNT = np.zeros(1, np.int64)
_EVERY_COLUMN = np.empty(0, np.int64)


class Budget(Accounts):
    """At most `limit` units of a resource in each account, whatever the order of what happens.

    An exposure reserves its largest cost on its account when it is served, and is not served where that does not fit.
    What comes later only gives back: the cost that is told, an expiry, a refund; and only to the window from which it
    was taken. So `spent + reserved <= limit` always holds while no exposure costs more than was reserved for it. What
    does, and what was reported after it was released, is counted too; beyond the limit it is noted as overrun.

    Several resources and several levels are several budgets in one chain: an arm is served where all of them have room.

    Parameters
    ----------
    resource
        What is spent: the name of a cost in feedback.
    limit
        Units, >= 0. Whole numbers are exact up to 2**53; fractions are rounded as floats are, so count money in cents.
    window
        Seconds after which each account starts afresh, at multiples of itself; None for never.
    by
        None for one account; an attribute of arms that holds names ("creator", "session") for an account for each of
        its values, where arms without one share an account; or "arm".
    cost
        Largest cost of one exposure: a number, or an attribute of arms that holds numbers, >= 0.
    per
        "exposure": the cost is spent when the arm is served. "feedback": it is reserved then; feedback of that resource
        tells what it was, and the rest is given back. "reward": as "feedback", the cost being `cost` times the reward.
        Feedback is matched by the decision's number, else to the oldest exposure of the arm whose cost is awaited; a
        second cost of one decision's arm is added to the first.
    rate
        Units that come back each second, up to `limit`: a token bucket, of which `limit` is the burst. None for none.
        Then `limit + rate * t` bounds what is spent by time t. Not together with `window`.
    curve
        Share of the limit that may be used by the time: at the start of a window, at its end and at equal distances
        between; linear in between. `(0.0, 1.0)` spends evenly. None for no pacing.
    expiry
        Seconds after which an exposure is settled: refunds and feedback do not change it any more. The latest 2**18
        exposures are remembered; older ones are settled as spent.
    expired
        What a reservation is that expires: "spent", as what is reported late was spent all the same, so that late
        feedback changes nothing; or "released", and then late costs are charged, to the limit and beyond.
    leased
        Whether only units that were granted (`grant`) are used: a replica's share of the limit. With one account alone.

    References
    ----------
    .. [1] A. Badanidiyuru, R. Kleinberg and A. Slivkins (2018), "Bandits with Knapsacks", Journal of the ACM 65.
    .. [2] M. Bernasconi et al. (2023), "Bandits with Replenishable Knapsacks: the Best of Both Worlds",
       arXiv:2306.08470.

    Examples
    --------
    >>> from seedbed.constraints import Budget
    >>> budget = Budget("exposures", limit=100)
    >>> state = budget.init()
    >>> budget.reserve(state, 70)
    >>> budget.release(state, 20)
    >>> budget.available(state)
    50.0
    """

    kind: Literal["budget"] = "budget"
    cost: Annotated[float, Field(ge=0.0, lt=2**53)] | str = 1.0
    per: Literal["exposure", "feedback", "reward"] = "exposure"
    expiry: Seconds = 600.0
    expired: Literal["spent", "released"] = "spent"

    precedence: ClassVar[Precedence] = Precedence.CAP
    relaxable: ClassVar[bool] = False
    loose: ClassVar[frozenset[str]] = frozenset({"accounts", "reservations", "numbers"})

    def __init__(self, resource: str = "exposures", **fields: Any) -> None:
        super().__init__(**{"resource": resource, **fields})

    @property
    def name(self) -> str:
        """The resource and the level."""
        return f"budget:{self.resource}" + (f":{self.by}" if self.by else "")

    @property
    def resources_read(self) -> tuple[str, ...]:
        """The resource, where its costs come with feedback."""
        return (self.resource,) if self.per == "feedback" else ()

    # state

    def init(self, capacity: int = 0) -> BudgetState:
        """Make a state with nothing spent."""
        by_arm = self.by == "arm"
        return BudgetState(
            accounts=fresh_book(0 if by_arm else 1, self._beginning),
            arms=np.concatenate(
                [np.zeros((ledger.BOOK, capacity)), fresh_book(capacity, self._beginning)[: 5 * by_arm]]
            ),
            reservations=np.zeros((9, 0)),
            numbers=np.zeros(0, np.int64),
            clock=np.array([ledger.UNKNOWN, 0.0 if self.window is None else ledger.UNKNOWN, 0.0, 0.0, 0.0, 0.0]),
        )

    def fit(self, state: BudgetState, capacity: int, attributes: Attributes, now: float) -> BudgetState:
        """Make room for accounts and exposures, and bring the state to the time.

        Raises
        ------
        ValueError
            For a time so far off that windows cannot be told apart there.
        """
        by_arm = self.by == "arm"
        if state.arms.shape[1] != capacity:
            state = super().fit(state, capacity, attributes, now)
        size = attributes.size(self.by) if self.by and not by_arm else 0
        state = room_for(state, size, capacity, self._beginning)
        self._enter(state, now)
        return state

    @property
    def _beginning(self) -> float:
        """Window or time of an account that was never used."""
        return 0.0 if self.window is None and self.rate is None else ledger.UNKNOWN

    @property
    def _forgets_windows(self) -> bool:
        """Whether nothing can change an exposure of a window that is over."""
        return self.per == "exposure" and self.window is not None

    def _enter(self, state: BudgetState, now: float) -> None:
        is_first = state.clock[ledger.NOW] == ledger.UNKNOWN
        if now > state.clock[ledger.NOW]:
            super()._enter(state, now)
            if is_first:
                expires = now if self._forgets_windows else now + self.expiry
                first_known(state, now, expires, is_bucket=self.rate is not None)
            self._settle(state, now)

    def _settle(self, state: BudgetState, at: float) -> None:
        book, is_released = self._book(state), self.expired == "released"
        ledger.settle(book, state.reservations, state.clock, float(at), is_released, self._bound(state), self._rate)

    def save(self, state: BudgetState, columns: int) -> dict[str, NDArray[Any]]:
        """Return the arrays of a state, those of arms cut to `columns`."""
        return packed(state, columns)

    def check_state(self, state: BudgetState) -> None:
        """Refuse a loaded state that contradicts itself."""
        check_state(state, self.name)
        if state.clock[ledger.NOW] != ledger.UNKNOWN:
            self.window_at(float(state.clock[ledger.NOW]))  # can be told

    # deciding

    def _terms(self, state: BudgetState, request: Request) -> tuple[Columns, Floats]:
        """Account and cost of each candidate, `[C]`, or `[1]` for all."""
        costs = request.numbers(self.cost) if isinstance(self.cost, str) else np.array([self.cost])
        if self.by is None:
            return _ONE_ACCOUNT, costs
        return self._accounts(request.columns, request.attributes), costs

    def _accounts(self, columns: Columns, attributes: Attributes) -> Columns:
        """Account of each column, `[C]`."""
        if self.by == "arm":
            return columns
        return np.zeros(columns.size, np.int64) if self.by is None else attributes.codes(self.by, columns)

    def mask(self, state: BudgetState, request: Request) -> list[tuple[str, Mask]]:
        """Which candidates fit the limit (reason BUDGET_SPENT), and of them which fit its curve (PACED).

        Raises
        ------
        ValueError
            Where a candidate's cost is negative or not known.
        """
        if not request.columns.size:
            return []
        bound, paced, rate = self._bound(state), self._paced(state), self._rate
        if self.by is None and not isinstance(self.cost, str) and self.spent(state) + self.cost <= paced:
            return []
        accounts, costs = self._terms(state, request)
        keep = np.empty((2, request.columns.size), np.bool_)
        found = ledger.affordable(self._book(state), accounts, costs, state.clock, bound, paced, rate, keep)
        if found & 4:
            raise ValueError(f"{self.cost} = {costs.min()} of a candidate is a negative cost of {self.resource}")
        return [(reason, keep[i]) for i, reason in enumerate(("BUDGET_SPENT", "PACED")) if found >> i & 1]

    def limits(self, state: BudgetState, request: Request) -> Limits | None:
        """Room of each account, which the arms of a slate share; None where it is enough for any slate."""
        if request.k <= 1 or not request.columns.size or self.by == "arm":  # an arm stands in a slate once
            return None
        accounts, costs = self._terms(state, request)
        paced = self._paced(state)
        if not ledger.is_tight(self._book(state), accounts, costs, state.clock, paced, self._rate, request.k):
            return None
        size = request.columns.size
        if accounts.size == 1 and size != 1:
            groups, upper = np.zeros(size, np.int64), self._rooms(state, accounts)
        elif state.accounts.shape[1] <= 4 * size:
            groups, upper = accounts, self._rooms(state, np.arange(state.accounts.shape[1]))
        else:
            _, first, groups = np.unique(accounts, return_index=True, return_inverse=True)
            upper = self._rooms(state, accounts[first])
        amounts = costs if costs.size == size else np.full(size, costs[0])
        return Limits(groups, amounts, np.maximum(upper, 0.0), np.zeros(upper.size), relaxable=False)

    def _rooms(self, state: BudgetState, accounts: Columns) -> Floats:
        return self._paced(state) - self._usage(state, accounts)

    # learning

    def check(self, state: BudgetState, feedback: Feedback) -> None:
        """Refuse costs that are negative or infinite; NaN stands for one that is not told.

        Raises
        ------
        ValueError
            Then nothing has changed.
        """
        for resource in self.resources_read:
            costs = feedback.costs.get(resource, np.empty(0))
            wrong = np.flatnonzero((costs < 0.0) | np.isinf(costs))
            if wrong.size:
                i = int(wrong[0])
                raise ValueError(f"costs[{i}] = {costs[i]} of {resource} is not a number of units, 0 or more")

    def observe(self, state: BudgetState, event: Exposure | Feedback) -> None:
        """Reserve or spend what was served; settle what feedback tells the cost of."""
        if isinstance(event, Exposure):
            self._spend(state, event)
        elif self.per != "exposure":
            self._settle(state, event.at)
            if self.per == "reward":
                self._commit(state, event, np.maximum(event.rewards, 0.0))
            elif self.resource in event.costs:
                self._commit(state, event, event.costs[self.resource])

    def _spend(self, state: BudgetState, event: Exposure) -> None:
        columns, attributes = event.columns, event.request.attributes
        if not columns.size:
            return
        costs = attributes.numbers(self.cost, columns) if isinstance(self.cost, str) else np.array([self.cost])
        ledger.spend(
            self._book(state),
            state.reservations,
            state.numbers,
            state.clock,
            state.arms,
            self._accounts(columns, attributes),
            columns,
            costs,
            event.number,
            self._expires(state),
            ledger.SPENT if self.per == "exposure" else ledger.OPEN,
            MOST,
            self._bound(state),
            self._rate,
        )

    def _expires(self, state: BudgetState) -> float:
        now = float(state.clock[ledger.NOW])
        if now == ledger.UNKNOWN:
            return -ledger.UNKNOWN
        end = now + self.expiry
        if self.window is not None and self._forgets_windows:
            end = min(end, (float(state.clock[ledger.WINDOW]) + 1.0) * self.window)
        return end

    def _commit(self, state: BudgetState, event: Feedback, values: Floats) -> None:
        told = np.flatnonzero(~np.isnan(values))
        columns, values = event.columns[told], np.ascontiguousarray(values[told])
        slots = np.empty(told.size, np.int64)
        if event.number is None:
            order = np.argsort(columns, kind="stable")
            ledger.find_oldest(state.reservations, state.clock, state.arms, columns, order, slots)
        else:
            ledger.find(state.reservations, state.numbers, state.clock, state.arms, event.number, columns, slots)
        ledger.commit(
            self._book(state),
            state.reservations,
            state.clock,
            state.arms,
            slots,
            columns,
            values,
            self.per == "reward",
            self.expired == "released",
            self._bound(state),
            self._rate,
        )

    def refund(self, state: BudgetState, number: int, columns: Columns | None = None) -> float:
        """Give back what a decision's exposures hold, as they were not shown: all, or those of some columns.

        Returns
        -------
        float
            Units that they held; 0 for what was refunded before, or is settled. What was taken from a window that is
            over is not given to the present one.
        """
        book, bound = self._book(state), self._bound(state)
        if columns is not None and not columns.size:
            return 0.0
        meant = _EVERY_COLUMN if columns is None else columns
        ring, clock, arms = state.reservations, state.clock, state.arms
        units: float = ledger.give_back(book, ring, state.numbers, clock, arms, number, meant, bound, self._rate)
        return units

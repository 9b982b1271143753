"""Budget: an amount that is reserved before it is spent, so that it can never be overspent."""

import math
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field


class BudgetState(NamedTuple):
    """Spending of one budget.

    counts: int64 `[3]`: index of the current window; spent and reserved in it; spent beyond what was reserved and
    available, ever.
    """

    counts: NDArray[np.int64]


_WINDOW, _SPENT, _OVERRUN = 0, 1, 2
_LARGEST = 2**53


class Budget(BaseModel):
    """At most `limit` units of a resource, ever or in each window of time.

    A unit counts as spent from the moment when it is reserved. It becomes available again only by `release`, the
    statement that it will not be spent; nothing expires by itself: what is reported late was spent all the same.

    Parameters
    ----------
    resource
        What is spent; a name for reports.
    limit
        Units, >= 0.
    window
        Seconds after which the limit starts afresh, at multiples of itself; None for never.

    Examples
    --------
    >>> from seedbed.constraints import Budget
    >>> budget = Budget("exposures", limit=100)
    >>> state = budget.init()
    >>> budget.reserve(state, 70)
    >>> budget.release(state, 20)
    >>> budget.available(state)
    50
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["budget"] = "budget"
    resource: str = "exposures"
    limit: Annotated[int, Field(ge=0, lt=2**53)]
    window: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None

    def __init__(self, resource: str = "exposures", **fields: Any) -> None:
        super().__init__(resource=resource, **fields)

    def init(self) -> BudgetState:
        """Make a state with nothing spent."""
        return BudgetState(np.array([0 if self.window is None else -_LARGEST, 0, 0]))

    def window_at(self, now: float) -> int:
        """Index of the window that holds a time in seconds.

        Raises
        ------
        ValueError
            For a time so far off that windows cannot be told apart there.
        """
        if self.window is None:
            return 0
        if not abs(now / self.window) < _LARGEST:
            raise ValueError(f"now = {now} is too far from 0 for windows of {self.window} s; pass seconds")
        return math.floor(now / self.window)

    def advance(self, state: BudgetState, window: int) -> bool:
        """Enter a window (from `window_at`); say whether it is a new one, in which nothing is spent yet."""
        if window <= state.counts[_WINDOW]:
            return False
        state.counts[_WINDOW] = window
        state.counts[_SPENT] = 0
        return True

    def available(self, state: BudgetState) -> int:
        """Units that may still be reserved in the current window."""
        return max(0, self.limit - int(state.counts[_SPENT]))

    def spent(self, state: BudgetState) -> int:
        """Units spent or reserved in the current window."""
        return int(state.counts[_SPENT])

    def overrun(self, state: BudgetState) -> int:
        """Units that were spent without a reservation when none was available, ever."""
        return int(state.counts[_OVERRUN])

    def reserve(self, state: BudgetState, amount: int) -> None:
        """Set units apart before they are spent.

        Raises
        ------
        ValueError
            For more than is available, or a negative amount. Nothing was reserved.
        """
        if not 0 <= amount <= self.available(state):
            raise ValueError(
                f"cannot reserve {amount} {self.resource}: {self.available(state)} of {self.limit} are available"
            )
        state.counts[_SPENT] += amount

    def release(self, state: BudgetState, amount: int) -> None:
        """Give back units, reserved in the current window, that will not be spent.

        Raises
        ------
        ValueError
            For more than was reserved, or a negative amount. Nothing was released.
        """
        if not 0 <= amount <= state.counts[_SPENT]:
            raise ValueError(f"cannot release {amount} {self.resource}: {self.spent(state)} were reserved")
        state.counts[_SPENT] -= amount

    def charge(self, state: BudgetState, amount: int) -> None:
        """Count units that were spent without a reservation; what exceeds the limit is noted as overrun."""
        state.counts[_OVERRUN] += max(0, amount - self.available(state))
        state.counts[_SPENT] += amount

"""Accounts of units: windows, token buckets, pacing and leases, without knowing what the units are spent on."""

import math
from itertools import pairwise
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from . import _ledger as ledger
from ._budget_state import BudgetState
from .attributes import Attributes
from .base import Constraint

Columns = NDArray[np.int64]
Floats = NDArray[np.float64]
Seconds = Annotated[float, Field(gt=0.0, le=1e15)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]

_LARGEST = 2**53
_MOST_USED = 10  # accounts that a report names


class Accounts(Constraint):
    """What every budget is: a limit of units by account and time. For its parameters see `Budget`."""

    resource: str = "exposures"
    limit: Annotated[int | float, Field(ge=0, lt=2**53, allow_inf_nan=False)]
    window: Seconds | None = None
    by: Annotated[str, Field(min_length=1)] | None = None
    rate: Annotated[float, Field(gt=0.0, lt=2**53)] | None = None
    curve: tuple[Share, ...] | None = None
    leased: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.rate is not None and self.window is not None:
            raise ValueError("rate and window exclude each other: a token bucket refills all the time")
        if self.curve is not None:
            if self.window is None:
                raise ValueError("curve needs a window, whose shares it tells")
            grows = all(a <= b for a, b in pairwise(self.curve))
            if len(self.curve) < 2 or not grows or self.curve[-1] != 1.0:
                raise ValueError(f"curve = {self.curve} must be two shares or more that do not decrease and end at 1")
        if self.leased and not (self.by is None and self.rate is None and self.curve is None):
            raise ValueError("leased needs one account, without by, rate and curve: units are leased for a window")
        return self

    # time

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
        if window <= state.clock[ledger.WINDOW]:
            return False
        state.clock[ledger.WINDOW] = window
        state.clock[ledger.GRANTED] = 0.0
        return True

    def _enter(self, state: BudgetState, now: float) -> None:
        """Bring the state to a time; earlier ones change nothing."""
        if now > state.clock[ledger.NOW]:
            window = self.window_at(now)
            state.clock[ledger.NOW] = now
            self.advance(state, window)

    # one account

    def available(self, state: BudgetState, account: int = 0) -> float:
        """Units that may still be reserved in an account: in its current window, by its pacing."""
        return max(0.0, self._paced(state) - self.spent(state, account))

    def spent(self, state: BudgetState, account: int = 0) -> float:
        """Units spent or reserved in the current window; of a token bucket, those that are not back yet."""
        return float(ledger.used_of(self._book(state), account, state.clock, self._rate))

    def overrun(self, state: BudgetState, account: int = 0) -> float:
        """Units that were spent without a reservation when none was available, ever."""
        return float(self._book(state)[ledger.OVERRUN, account])

    def reserve(self, state: BudgetState, amount: float, account: int = 0) -> None:
        """Set units apart before they are spent.

        Raises
        ------
        ValueError
            For more than is available, or a negative amount. Nothing was reserved.
        """
        if not 0 <= amount <= self.available(state, account):
            raise ValueError(
                f"cannot reserve {amount} {self.resource}: "
                f"{self.available(state, account):g} of {self.limit:g} are available"
            )
        self.charge(state, amount, account)

    def release(self, state: BudgetState, amount: float, account: int = 0) -> None:
        """Give back units, reserved in the current window, that will not be spent.

        Raises
        ------
        ValueError
            For more than was reserved, or a negative amount. Nothing was released.
        """
        if not 0 <= amount <= self.spent(state, account):
            raise ValueError(f"cannot release {amount} {self.resource}: {self.spent(state, account):g} were reserved")
        self.charge(state, 0.0, account)  # brings the account to the present
        self._book(state)[ledger.USED, account] -= amount

    def charge(self, state: BudgetState, amount: float, account: int = 0) -> None:
        """Count units that were spent without a reservation; what exceeds the limit is noted as overrun."""
        book, bound = self._book(state), self._bound(state)
        ledger.charge(book, account, float(amount), state.clock, bound, self._rate)

    def totals(self, state: BudgetState) -> NDArray[np.int64]:
        """Return what there is to know of the first account, in whole units: window, spent in it, overrun, `[3]`."""
        return np.array([int(state.clock[ledger.WINDOW]), int(self.spent(state)), int(self.overrun(state))])

    def set_totals(self, state: BudgetState, totals: NDArray[np.int64]) -> None:
        """Bring the first account to what `totals` returned."""
        state.clock[ledger.WINDOW] = totals[0]
        book = self._book(state)
        book[ledger.AT, 0], book[ledger.USED, 0], book[ledger.OVERRUN, 0] = totals

    # leases

    def grant(self, state: BudgetState, amount: int, *, now: float) -> None:
        """Let units be used that were leased in the window of `now`, on top of what was granted in it before.

        Units are moved in the order in which a crash between two steps loses them, and never doubles them: first
        `leases.take`, then `grant`; and back, first `give_back`, then `leases.give_back`, in one window.

        Raises
        ------
        ValueError
            For a negative amount, more than the limit in all, a window that is over, or a budget that is not leased.
            Nothing was granted.
        """
        self._check_lease(state, amount, now)
        before = float(state.clock[ledger.GRANTED]) if self.window_at(now) == state.clock[ledger.WINDOW] else 0.0
        if before + amount > self.limit:
            raise ValueError(
                f"cannot grant {amount} {self.resource}: {before:g} of {self.limit:g} were granted in this window"
            )
        self._enter(state, now)
        state.clock[ledger.GRANTED] += amount

    def unused(self, state: BudgetState, *, now: float) -> int:
        """Whole units that were granted in the window of `now` and are neither spent nor reserved."""
        self._check_lease(state, 0, now)
        if self.window_at(now) > state.clock[ledger.WINDOW]:
            return 0
        return max(0, math.floor(float(state.clock[ledger.GRANTED]) - self.spent(state)))

    def give_back(self, state: BudgetState, amount: int, *, now: float) -> None:
        """Use no more of so many units that were granted, so that others may lease them.

        Raises
        ------
        ValueError
            For more than are unused in the window of `now`, or a negative amount. Nothing was given back.
        """
        self._check_lease(state, amount, now)
        if amount > self.unused(state, now=now):
            raise ValueError(
                f"cannot give back {amount} {self.resource}: {self.unused(state, now=now)} are unused in this window"
            )
        self._enter(state, now)
        state.clock[ledger.GRANTED] -= amount

    def revoke(self, state: BudgetState) -> None:
        """Use no more of what was granted, after a recovery from an older state: it may have been spent since.

        The store keeps these units leased until the window ends. Nothing of what was served before comes back.
        """
        book, ring, bound = self._book(state), state.reservations, self._bound(state)
        ledger.settle(book, ring, state.clock, math.inf, False, bound, self._rate)
        state.clock[ledger.GRANTED] = min(float(state.clock[ledger.GRANTED]), self.spent(state))

    def _check_lease(self, state: BudgetState, amount: int, now: float) -> None:
        if not self.leased:
            raise ValueError(f"{self.name} is not leased: its whole limit is used here; make it with leased=True")
        if type(amount) is not int or amount < 0:
            raise ValueError(f"amount = {amount!r} is not a count of units")
        if not math.isfinite(now) or self.window_at(now) < state.clock[ledger.WINDOW]:
            raise ValueError(f"now = {now} is no time, or in a window that is over")

    # telling

    def report(self, state: BudgetState, attributes: Attributes) -> dict[str, Any]:
        """How the accounts stand together, and by name those that are used most.

        `available` is by pacing, and that of one account; `exhausted` counts accounts with nothing available.
        """
        book = self._book(state)
        used = self._usage(state, np.arange(book.shape[1]))
        is_current = (book[ledger.AT] >= state.clock[ledger.WINDOW]) | (self.rate is not None)
        reserved = np.minimum(np.where(is_current, book[ledger.RESERVED], 0.0), used)
        rooms = np.maximum(self._paced(state) - used, 0.0)
        told: dict[str, Any] = {
            "resource": self.resource,
            "by": self.by,
            "limit": self.limit,
            "spent": float((used - reserved).sum()),
            "reserved": float(reserved.sum()),
            "overrun": float(book[ledger.OVERRUN].sum()),
            "accounts": int((book[ledger.LIFE] > 0.0).sum()),
            "exhausted": int((rooms <= 0.0).sum()),
        }
        if self.by is None:
            told["available"] = float(rooms[0])
        elif self.by != "arm":
            most = np.argsort(-used, kind="stable")[:_MOST_USED].tolist()
            names = attributes.names(self.by)
            told["most_used"] = {names[i]: float(used[i]) for i in most if i < len(names) and used[i] > 0.0}
        return told

    # what of a state is meant

    @property
    def _rate(self) -> float:
        return self.rate or 0.0

    def _book(self, state: BudgetState) -> Floats:
        return state.arms[ledger.BOOK :] if self.by == "arm" else state.accounts

    def _bound(self, state: BudgetState) -> float:
        """Units that an account may use: the limit, or this replica's part of it."""
        return float(state.clock[ledger.GRANTED] if self.leased else self.limit)

    def _paced(self, state: BudgetState) -> float:
        """Units of the bound that an account may use by now."""
        bound, now = self._bound(state), float(state.clock[ledger.NOW])
        if self.curve is None or self.window is None or now == ledger.UNKNOWN:
            return bound
        place = (now / self.window - math.floor(now / self.window)) * (len(self.curve) - 1)
        i = min(int(place), len(self.curve) - 2)
        low, high = self.curve[i], self.curve[i + 1]
        return bound * min(high, low + (place - i) * (high - low))

    def _usage(self, state: BudgetState, accounts: Columns) -> Floats:
        used = np.empty(accounts.size)
        ledger.usage(self._book(state), accounts, state.clock, self._rate, used)
        return used

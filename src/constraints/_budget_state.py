"""State of a budget: its arrays, how they grow, what of them is saved, and what no state can be."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bandits.checkpoint import require
from . import _ledger as ledger

Floats = NDArray[np.float64]

MOST = 2**18  # exposures that are remembered
_LARGEST = 2.0**53


class BudgetState(NamedTuple):
    """Accounts of one budget, and the exposures that may still change them.

    accounts: `[5, G]`, an account a column: its window (of a token bucket: time, seconds); units used in it; reserved
        of them; overrun, ever; number of the account in the order of first use, 0 for none.
    arms: `[3, K]`: number of the arm in the order of first exposure, 0 for none; account and cost of its latest one.
        `[8, K]` where each arm has an account: below these, what `accounts` has.
    reservations: `[9, L]`, a ring of exposures by decision: column; number of the arm; account; the account's number;
        window; units reserved; units held now; when it expires, seconds; 0 open, 1 settled, 2 given back.
    numbers: int64 `[L]`, of their decisions.
    clock: `[6]`: latest time, seconds, and window, -2**53 for none; units granted in it; first place and number of the
        exposures; arms and accounts ever used.
    """

    accounts: Floats
    arms: Floats
    reservations: Floats
    numbers: NDArray[np.int64]
    clock: Floats


def fresh_book(size: int, at: float) -> Floats:
    """Make accounts in which nothing has happened."""
    book = np.zeros((5, size))
    book[ledger.AT] = at
    return book


def room_for(state: BudgetState, size: int, capacity: int, at: float) -> BudgetState:
    """Return the state with accounts for `size` values, and room for exposures of all arms at once."""
    if state.accounts.shape[1] < size:
        accounts = fresh_book(_power(size), at)
        accounts[:, : state.accounts.shape[1]] = state.accounts
        state = state._replace(accounts=accounts)
    count = int(state.clock[ledger.COUNT])
    needed = min(count + capacity, MOST)
    if state.reservations.shape[1] < needed:
        ring, numbers = np.zeros((9, _power(needed))), np.zeros(_power(needed), np.int64)
        ring[:, :count], numbers[:count] = _unrolled(state)
        state.clock[ledger.FIRST] = 0.0
        state = state._replace(reservations=ring, numbers=numbers)
    return state


def first_known(state: BudgetState, now: float, expires: float, *, is_bucket: bool) -> None:
    """Begin the time of buckets and exposures that came before any was known."""
    for book in _books(state) if is_bucket else ():
        book[ledger.AT, (book[ledger.AT] == ledger.UNKNOWN) & (book[ledger.USED] > 0.0)] = now
    times = state.reservations[ledger.EXPIRES]
    times[times == -ledger.UNKNOWN] = expires


def packed(state: BudgetState, columns: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of a checkpoint: the exposures in order, without room for more."""
    clock = state.clock.copy()
    clock[ledger.FIRST] = 0.0
    entries, numbers = _unrolled(state)
    return {
        "accounts": state.accounts.copy(),
        "arms": np.ascontiguousarray(state.arms[:, :columns]),
        "reservations": np.ascontiguousarray(entries),
        "numbers": numbers,
        "clock": clock,
    }


def check_state(state: BudgetState, name: str) -> None:
    """Refuse a loaded state that contradicts itself."""
    for field, array in state._asdict().items():
        is_number = field == "numbers" or bool((np.abs(array) <= 2.0**60).all())
        require(is_number, f"array {field!r} of {name!r} is not finite")
    window, granted, *whole = state.clock[ledger.WINDOW :].tolist()
    fits = granted >= 0.0 and min(whole) >= 0.0 and max(whole) <= _LARGEST
    require(fits, f"the clock of {name!r} is negative, or out of range")
    require(all(map(float.is_integer, [window, *whole])), f"the clock of {name!r} is not of whole numbers")
    first, count, lives = whole
    entries = state.reservations
    fits = count == entries.shape[1] == state.numbers.size <= MOST
    require(first == 0.0 and fits, f"the clock of {name!r} contradicts its exposures")
    for book in _books(state):
        require(bool((book[ledger.USED :] >= 0.0).all()), f"an account of {name!r} is negative")
        numbers = book[ledger.LIFE]
        require(bool((numbers == np.floor(numbers)).all() and (numbers <= lives).all()), f"{name!r} lost an account")
    _check_exposures(entries, state.numbers, name)
    arm, account, cost = state.arms[: ledger.BOOK]
    size = _books(state)[-1].shape[1]
    fits = (arm >= 0.0) & (arm <= lives) & (account >= 0.0) & (account < size) & (cost >= 0.0)
    fits &= (arm == np.floor(arm)) & (account == np.floor(account))
    require(bool(fits.all()), f"an arm of {name!r} has an account that is none")


def _check_exposures(entries: Floats, numbers: NDArray[np.int64], name: str) -> None:
    whole = entries[: ledger.COST]
    require(bool((whole == np.floor(whole)).all()), f"an exposure of {name!r} is not of whole numbers")
    places = entries[[ledger.COLUMN, ledger.ACCOUNT]]
    require(bool(((places >= 0.0) & (places < 2.0**31)).all()), f"an exposure of {name!r} has an impossible arm")
    amounts = entries[[ledger.COST, ledger.AMOUNT]]
    require(bool((amounts >= 0.0).all()), f"an exposure of {name!r} holds less than nothing")
    is_known = np.isin(entries[ledger.STATUS], [ledger.OPEN, ledger.SPENT, ledger.REFUNDED])
    require(bool(is_known.all()), f"an exposure of {name!r} is in no known state")
    in_order = (np.diff(numbers) >= 0).all() and (np.diff(entries[ledger.EXPIRES]) >= 0.0).all()
    require(bool(in_order), f"the exposures of {name!r} are out of order")


def _unrolled(state: BudgetState) -> tuple[Floats, NDArray[np.int64]]:
    """Exposures and their numbers, from the oldest to the newest."""
    first, count = int(state.clock[ledger.FIRST]), int(state.clock[ledger.COUNT])
    places = np.arange(first, first + count)
    return state.reservations.take(places, axis=1, mode="wrap"), state.numbers.take(places, mode="wrap")


def _power(size: int) -> int:
    """The least power of two that is no less than a size."""
    return 1 << (size - 1).bit_length()


def _books(state: BudgetState) -> list[Floats]:
    """The accounts by value, and those by arm where there are any: which are then those that count."""
    return [state.accounts] + [state.arms[ledger.BOOK :]] * (state.arms.shape[0] > ledger.BOOK)

"""Accounts of a budget and the exposures they remember: what is used, reserved, given back.

A book `[5, G]` holds one account a column. `USED` counts against the limit all that is spent or reserved, in the window
`AT`; of a token bucket it is what is missing in the bucket at the time `AT`. Both are brought to the present when an
account is looked at, so that time costs nothing where nothing happens. `RESERVED` is the part of it whose cost is not
known yet. The ring `[9, L]`, beside it the numbers of their decisions `[L]`, holds exposures
in the order of decisions, which is also that of their expiry.

What is used is never more than the limit, as a reservation is refused that does not fit, and all that comes later
(a cost, an expiry, a refund) only gives back. What costs more than it reserved is counted all the same: `OVERRUN`.
"""

import numpy as np
from numpy.typing import NDArray

from ..bandits._numba import kernel

Table = NDArray[np.float64]
Columns = NDArray[np.int64]

AT, USED, RESERVED, OVERRUN, LIFE = range(5)  # of a book; LIFE: number of the account, 0 for one never used
COLUMN, ARM_OF, ACCOUNT, LIFE_OF, WINDOW_OF, COST, AMOUNT, EXPIRES, STATUS = range(9)  # of a ring
ARM, HOME, LATEST_COST, BOOK = range(4)  # of arms: number of the arm, 0 for one never shown; where its own book begins
NOW, WINDOW, GRANTED, FIRST, COUNT, LIVES = range(6)  # of a clock: the present; leased; place and number of entries
OPEN, SPENT, REFUNDED = 0.0, 1.0, 2.0  # of an exposure: its cost awaited; settled; given back
UNKNOWN = -(2.0**53)  # a time before any is known
_ROUNDING = 1e-12  # of the limit: less than that above it are sums of fractions, rounded


@kernel
def used_of(book: Table, account: int, clock: Table, rate: float) -> float:
    """Units of an account that count against its limit now."""
    used = float(book[USED, account])
    if rate > 0.0:
        passed = clock[NOW] - book[AT, account] if book[AT, account] > UNKNOWN else 0.0
        return max(0.0, used - rate * max(0.0, passed))
    return used if book[AT, account] >= clock[WINDOW] else 0.0


@kernel
def usage(book: Table, accounts: Columns, clock: Table, rate: float, out: Table) -> None:
    """Write what is used of several accounts."""
    for i in range(accounts.size):
        out[i] = used_of(book, accounts[i], clock, rate)


@kernel
def is_tight(book: Table, accounts: Columns, costs: Table, clock: Table, paced: float, rate: float, k: int) -> bool:
    """Whether k arms of the largest cost would not fit some account. `accounts`, `costs`: one for all, or `[C]`."""
    most = 0.0
    for i in range(costs.size):
        most = max(most, costs[i])
    tight = False
    for i in range(accounts.size):
        tight |= used_of(book, accounts[i], clock, rate) + k * most > paced
    return tight


@kernel
def affordable(
    book: Table,
    accounts: Columns,
    costs: Table,
    clock: Table,
    limit: float,
    paced: float,
    rate: float,
    keep: NDArray[np.bool_],
) -> int:
    """Write which candidates fit the limit, and of them which fit its pacing, `[2, C]`.

    `accounts` and `costs` are one for all, or `[C]`. Returns bit 0 where a candidate does not fit the limit, bit 1
    where one does not fit the pacing alone, bit 2 where a cost is negative.
    """
    found = 0
    for i in range(keep.shape[1]):
        cost = costs[min(i, costs.size - 1)]
        after = used_of(book, accounts[min(i, accounts.size - 1)], clock, rate) + cost
        keep[0, i] = after <= limit
        keep[1, i] = after <= paced or after > limit
        found |= (not keep[0, i]) | (not keep[1, i]) << 1 | (cost < 0.0) << 2
    return found


@kernel
def charge(book: Table, account: int, amount: float, clock: Table, limit: float, rate: float) -> None:
    """Count units as used, whether they fit or not; what does not is overrun."""
    used = used_of(book, account, clock, rate) + amount
    if rate > 0.0:
        book[AT, account] = max(book[AT, account], clock[NOW])
    elif book[AT, account] < clock[WINDOW]:
        book[AT, account] = clock[WINDOW]
        book[RESERVED, account] = 0.0
    excess = used - limit
    if 0.0 < excess <= _ROUNDING * limit:
        used = limit
    elif excess > 0.0:
        book[OVERRUN, account] += min(excess, amount)
    book[USED, account] = used


@kernel
def spend(
    book: Table,
    ring: Table,
    numbers: Columns,
    clock: Table,
    arms: Table,
    accounts: Columns,
    columns: Columns,
    costs: Table,
    number: int,
    expires: float,
    status: float,
    most: int,
    limit: float,
    rate: float,
) -> None:
    """Count an exposure of each of the columns and remember it, `most` at once; the oldest are settled before."""
    size = min(most, ring.shape[1])
    while clock[COUNT] > 0.0 and (clock[COUNT] + columns.size > size or numbers[_last(ring, clock)] > number):
        _drop(book, ring, clock, False, limit, rate)
    for i in range(columns.size):
        account, cost = accounts[i], costs[min(i, costs.size - 1)]
        charge(book, account, cost, clock, limit, rate)
        if book[LIFE, account] == 0.0:
            clock[LIVES] += 1.0
            book[LIFE, account] = clock[LIVES]
        if arms[ARM, columns[i]] == 0.0:
            clock[LIVES] += 1.0
            arms[ARM, columns[i]] = clock[LIVES]
        arms[HOME, columns[i]], arms[LATEST_COST, columns[i]] = account, cost
        if clock[COUNT] >= size:
            continue
        if status == OPEN:
            book[RESERVED, account] += cost
        slot = int(clock[FIRST] + clock[COUNT]) % ring.shape[1]
        clock[COUNT] += 1.0
        numbers[slot] = number
        ring[COLUMN, slot], ring[ARM_OF, slot] = columns[i], arms[ARM, columns[i]]
        ring[ACCOUNT, slot], ring[LIFE_OF, slot], ring[WINDOW_OF, slot] = account, book[LIFE, account], clock[WINDOW]
        ring[COST, slot], ring[AMOUNT, slot] = cost, cost
        ring[EXPIRES, slot], ring[STATUS, slot] = expires, status


@kernel
def settle(book: Table, ring: Table, clock: Table, at: float, is_released: bool, limit: float, rate: float) -> None:
    """Forget the exposures that have expired by a time; open ones are spent in full, or released."""
    while clock[COUNT] > 0.0 and ring[EXPIRES, int(clock[FIRST])] <= at:
        _drop(book, ring, clock, is_released, limit, rate)


@kernel
def _drop(book: Table, ring: Table, clock: Table, is_released: bool, limit: float, rate: float) -> None:
    """Forget the oldest exposure."""
    slot = int(clock[FIRST])
    if ring[STATUS, slot] == OPEN:
        _close(book, ring, clock, slot, 0.0 if is_released else ring[AMOUNT, slot], limit, rate)
    clock[FIRST] = (slot + 1) % ring.shape[1]
    clock[COUNT] -= 1.0


@kernel
def _last(ring: Table, clock: Table) -> int:
    """Where the newest exposure stands."""
    place: int = int(clock[FIRST] + clock[COUNT] - 1.0) % ring.shape[1]
    return place


@kernel
def _close(book: Table, ring: Table, clock: Table, slot: int, actual: float, limit: float, rate: float) -> None:
    """Let an exposure have cost so much: what it held beyond that is given back to the window it was taken from."""
    account, held = int(ring[ACCOUNT, slot]), ring[AMOUNT, slot]
    if account < book.shape[1] and book[LIFE, account] == ring[LIFE_OF, slot]:
        if rate > 0.0 or book[AT, account] == ring[WINDOW_OF, slot]:
            if ring[STATUS, slot] == OPEN:
                book[RESERVED, account] = max(0.0, book[RESERVED, account] - held)
            book[USED, account] = max(0.0, book[USED, account] - max(0.0, held - actual))
        if actual > held:
            charge(book, account, actual - held, clock, limit, rate)
    ring[AMOUNT, slot] = actual


@kernel
def _is_held(ring: Table, arms: Table, slot: int) -> bool:
    """Whether the arm that was shown still has its column."""
    column = int(ring[COLUMN, slot])
    held: bool = column < arms.shape[1] and arms[ARM, column] == ring[ARM_OF, slot]
    return held


@kernel
def _first_of(numbers: Columns, clock: Table, number: int) -> int:
    """Place in the order of decisions of the first exposure whose number is not smaller."""
    low, high = 0, int(clock[COUNT])
    while low < high:
        middle = (low + high) // 2
        if numbers[(int(clock[FIRST]) + middle) % numbers.size] < number:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def find(
    ring: Table, numbers: Columns, clock: Table, arms: Table, number: int, columns: Columns, slots: Columns
) -> None:
    """Write where the exposures of these columns by one decision stand, -1 for nowhere."""
    first = _first_of(numbers, clock, number)
    for i in range(columns.size):
        slots[i] = -1
        for place in range(first, int(clock[COUNT])):
            slot = (int(clock[FIRST]) + place) % ring.shape[1]
            if numbers[slot] != number:
                break
            if ring[COLUMN, slot] == columns[i] and _is_held(ring, arms, slot):
                slots[i] = slot
                break


@kernel
def find_oldest(ring: Table, clock: Table, arms: Table, columns: Columns, order: Columns, slots: Columns) -> None:
    """Write where the oldest open exposures of these columns stand, each once, -1 for nowhere.

    `order`: what sorts the columns, events of one column by their order.
    """
    taken = np.zeros(columns.size, np.int64)  # of the exposures of a column, where the column begins in `order`
    slots[:] = -1
    missing = columns.size
    for place in range(int(clock[COUNT])):
        if missing == 0:
            break
        slot = (int(clock[FIRST]) + place) % ring.shape[1]
        if ring[STATUS, slot] != OPEN or not _is_held(ring, arms, slot):
            continue
        low, high = 0, columns.size
        while low < high:
            middle = (low + high) // 2
            if columns[order[middle]] < ring[COLUMN, slot]:
                low = middle + 1
            else:
                high = middle
        if low < columns.size:
            event = low + taken[low]
            if event < columns.size and columns[order[event]] == ring[COLUMN, slot]:
                slots[order[event]] = slot
                taken[low] += 1
                missing -= 1


@kernel
def commit(
    book: Table,
    ring: Table,
    clock: Table,
    arms: Table,
    slots: Columns,
    columns: Columns,
    values: Table,
    is_share: bool,
    is_late_charged: bool,
    limit: float,
    rate: float,
) -> None:
    """Let exposures have cost `values`, or these shares of what was reserved for them.

    What is found settled is charged on top. What is not found is charged to the account that the arm had last, if late
    costs are charged.
    """
    for i in range(slots.size):
        slot = slots[i]
        if slot >= 0:
            actual = values[i] * ring[COST, slot] if is_share else values[i]
            if ring[STATUS, slot] == OPEN:
                _close(book, ring, clock, slot, actual, limit, rate)
                ring[STATUS, slot] = SPENT
            else:
                _close(book, ring, clock, slot, ring[AMOUNT, slot] + actual, limit, rate)
        elif is_late_charged and columns[i] < arms.shape[1] and arms[ARM, columns[i]] > 0.0:
            actual = values[i] * arms[LATEST_COST, columns[i]] if is_share else values[i]
            charge(book, int(arms[HOME, columns[i]]), actual, clock, limit, rate)


@kernel
def give_back(
    book: Table,
    ring: Table,
    numbers: Columns,
    clock: Table,
    arms: Table,
    number: int,
    columns: Columns,
    limit: float,
    rate: float,
) -> float:
    """Undo exposures of a decision, those of all columns where none are given; return the units they held."""
    total = 0.0
    for place in range(_first_of(numbers, clock, number), int(clock[COUNT])):
        slot = (int(clock[FIRST]) + place) % ring.shape[1]
        if numbers[slot] != number:
            break
        is_meant = columns.size == 0
        for i in range(columns.size):
            is_meant |= columns[i] == ring[COLUMN, slot] and _is_held(ring, arms, slot)
        if is_meant and ring[STATUS, slot] != REFUNDED:
            total += ring[AMOUNT, slot]
            _close(book, ring, clock, slot, 0.0, limit, rate)
            ring[STATUS, slot] = REFUNDED
    return total

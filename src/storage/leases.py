"""Leases: shares of one budget, so that replicas which spend apart never overspend together."""

import json
import math
from typing import Any

from .errors import ConflictError, StoreError
from .store import Store

_LARGEST = 2**53


class Leases:
    """Lend units of a budget to replicas, `limit` at most, ever or in each window of time.

    Budgets do not merge: a replica spends only what it has leased, and gives back what it will not spend. A replica
    that dies keeps its lease until the window ends, as nobody can tell what it spent. Any number of processes may call.

    Parameters
    ----------
    store
        Where the leases are written, by compare-and-set.
    key
        Under which.
    limit
        Units, >= 0: the same in every process.
    window
        Seconds after which the limit starts afresh, at multiples of itself; None for never.

    Examples
    --------
    >>> from seedbed.storage import Leases, MemoryStore
    >>> leases = Leases(MemoryStore(), "budgets/exposures", limit=100)
    >>> leases.take("eu-1", 70, now=0.0), leases.take("eu-2", 70, now=0.0)
    (70, 30)
    >>> leases.give_back("eu-1", 50, now=1.0)
    >>> leases.take("eu-2", 70, now=2.0)
    50
    """

    def __init__(self, store: Store, key: str, *, limit: int, window: float | None = None) -> None:
        _check_amount(limit, "limit")
        if window is not None and not 0.0 < window < math.inf:
            raise ValueError(f"window = {window} is not a positive number of seconds")
        self.store, self.key, self.limit, self.window = store, key, limit, window

    def take(self, replica: str, amount: int, *, now: float) -> int:
        """Lease up to so many units; return how many were left to lease.

        Raises
        ------
        ValueError
            For a negative amount, or a `now` in a window that is over.
        StoreError
            When the store fails; see its message for what was written. A lease that was written and not seen is lost
            until the window ends: the limit still holds.
        """
        _check_amount(amount, "amount")
        while True:
            leased, version, window = self._read(now)
            granted = min(amount, self.limit - sum(leased.values()))
            if granted <= 0:
                return 0
            leased[replica] = leased.get(replica, 0) + granted
            if self._write(leased, version, window):
                return granted

    def give_back(self, replica: str, amount: int, *, now: float) -> None:
        """Return units that were leased in the window of `now` and will not be spent.

        Raises
        ------
        ValueError
            For more than the replica has leased in that window. Nothing was returned.
        StoreError
            When the store fails.
        """
        _check_amount(amount, "amount")
        while True:
            leased, version, window = self._read(now)
            if amount > leased.get(replica, 0):
                raise ValueError(f"replica {replica!r} gives back {amount} and has leased {leased.get(replica, 0)}")
            leased[replica] = leased.get(replica, 0) - amount
            if self._write(leased, version, window):
                return

    def leased(self, *, now: float) -> dict[str, int]:
        """Units that each replica has leased in the window of `now`."""
        return self._read(now)[0]

    def _read(self, now: float) -> tuple[dict[str, int], int, int]:
        """Leases of the window, the version they were read at, and the window."""
        window = 0 if self.window is None else math.floor(now / self.window)
        found = self.store.get(self.key)
        if found is None:
            return {}, 0, window
        try:
            written: Any = json.loads(found.blob)
            at, leased = int(written["window"]), {str(k): int(v) for k, v in written["leased"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"key {self.key!r} holds no leases ({error}); nothing was leased") from error
        if window < at:
            raise ValueError(f"now = {now} is in window {window}, which is over: window {at} has begun")
        return leased if window == at else {}, found.version, window

    def _write(self, leased: dict[str, int], version: int, window: int) -> bool:
        """Whether nobody wrote meanwhile, and it is written."""
        blob = json.dumps({"window": window, "leased": {name: n for name, n in leased.items() if n}}, sort_keys=True)
        try:
            self.store.put(self.key, blob.encode(), expected=version)
        except ConflictError:
            return False
        return True


def _check_amount(amount: int, what: str) -> None:
    if type(amount) is not int or not 0 <= amount <= _LARGEST:
        raise ValueError(f"{what} = {amount!r} is not a count of units")

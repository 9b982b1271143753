"""Tally: what credits and corrections add up to, each applied once however often it is delivered."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .._inputs import checked_floats, checked_int
from .._random import ArmId
from ..checkpoint import Checkpoint, is_count, pack, require, take, unpack
from ._orders import CURRENT, load, names_in, new_generations, remember
from ._path import UNITS
from ._table import Floats, Ints
from .config import MOST_ROWS
from .credits import Corrections, Credits, Names
from .names import as_names, checked_names, names_of

_KIND = "tally"
_MOST = 2.0**52  # of one share
_MOST_VALUE = 1e15  # of one, in size, as of a conversion: sums stay finite
_LARGEST, _LARGEST_VALUE = 2**62, 1e300  # of sums that are read: more can be added to them
_WHOLE, _PART = range(2)  # of a sum: an integer, and a number of 2**-32; sums are the same in any order


class Counts(NamedTuple):
    """Sums by item, `[n]` each, sorted by item.

    item: names.
    given, taken: shares added and taken back, both from 0 up.
    value: given less taken, of values.
    """

    item: Names
    given: Floats
    taken: Floats
    value: Floats

    @property
    def net(self) -> Floats:
        """Shares given less those taken back, `[n]`."""
        return self.given - self.taken


class Batch(NamedTuple):
    """What arms gained and lost since they were last read, `[n]` each: `update` with the one, `correct` with the other.

    arms: ids.
    gained, lost: shares, from 0 up; at least one of both is not 0.
    """

    arms: list[ArmId]
    gained: Floats
    lost: Floats


class Tally:
    """Sums by item of the credits and corrections that were applied; positive and negative amounts apart.

    Parameters
    ----------
    ids
        Ids remembered in one generation of two, against what is delivered twice: the last `ids` at least. Older ones
        are forgotten, and counted in `forgotten`.

    Examples
    --------
    >>> from seedbed.bandits.attribution import Attribution, Tally
    >>> attribution, tally = Attribution(), Tally()
    >>> attribution.touch(["ann"], ["room"], [0.0], decisions=[1])
    >>> credits = attribution.convert(["o1"], ["ann"], ["room"], [60.0], "order", values=9.0)
    >>> tally.apply(credits), tally.apply(credits)
    (1, 0)
    >>> tally.counts().given.tolist(), tally.counts().value.tolist()
    ([1.0], [9.0])
    >>> tally.batch(["room", "other"])
    Batch(arms=['room'], gained=array([1.]), lost=array([0.]))
    """

    def __init__(self, ids: int = 1_000_000) -> None:
        self.ids = checked_int(ids, "ids", 1, MOST_ROWS)
        self._lock = threading.RLock()
        self._names, self._cells = new_generations(self.ids)
        self._row_of: dict[int, int] = {}
        self._sums = np.zeros((4, 2, 16), np.int64)  # given, taken; the same when last read: [4, 2, capacity]
        self._values = np.zeros(16)
        self.applied = 0
        self.duplicates = 0
        self.forgotten = 0

    def __repr__(self) -> str:
        return f"Tally({len(self._row_of)} items, {self.applied} applied)"

    def apply(self, amounts: Credits | Corrections) -> int:
        """Add what was not added before; return how many that were.

        Raises
        ------
        ValueError
            For what is neither credits nor corrections, or amounts that are not finite, or beyond 2**52 shares or a
            value of 1e15; nothing has changed.
        """
        if not isinstance(amounts, Credits | Corrections):
            raise ValueError(f"amounts = {type(amounts).__name__} are neither Credits nor Corrections")
        ids = checked_names(amounts.id, "ids")
        items = checked_names(amounts.item, "items", ids.size)
        shares, values = (
            checked_floats(amounts.share, "shares", ids.size),
            checked_floats(amounts.value, "values", ids.size),
        )
        if not ((np.abs(shares) <= _MOST).all() and (np.abs(values) <= _MOST_VALUE).all()):
            raise ValueError("shares and values must be finite, shares at most 2**52 and values 1e15 in size")
        with self._lock:
            is_new = np.empty(ids.size + 1, np.int64)
            self.forgotten += remember(self._names, self._cells, self.ids, ids, is_new)
            new = is_new[:-1] != 0
            n = int(new.sum())
            self.applied += n
            self.duplicates += ids.size - n
            adds = new & ((shares != 0.0) | (values != 0.0))
            if adds.any():
                self._add(items[adds], shares[adds], values[adds])
        return n

    def _add(self, items: Ints, shares: Floats, values: Floats) -> None:
        unique, place = np.unique(as_names(items), return_inverse=True)
        rows = self._rows(unique)[place.reshape(-1)]
        for side, sign in enumerate((1.0, -1.0)):
            chosen = shares * sign > 0.0
            size = shares[chosen] * sign
            whole = np.floor(size)
            np.add.at(self._sums[side, _WHOLE], rows[chosen], whole.astype(np.int64))
            np.add.at(self._sums[side, _PART], rows[chosen], np.rint((size - whole) * UNITS).astype(np.int64))
        self._sums[:2, _WHOLE] += self._sums[:2, _PART] >> 32
        self._sums[:2, _PART] &= UNITS - 1
        np.add.at(self._values, rows, values)

    def _rows(self, items: Names) -> Ints:
        """Rows of distinct items; new ones get the next."""
        row_of = self._row_of
        rows = np.array([row_of.setdefault(item, len(row_of)) for item in items.tolist()], np.int64)
        capacity = self._values.size
        if len(row_of) > capacity:
            room = max(len(row_of), 2 * capacity) - capacity
            self._sums = np.concatenate([self._sums, np.zeros((4, 2, room), np.int64)], axis=2)
            self._values = np.concatenate([self._values, np.zeros(room)])
        return rows

    def counts(self) -> Counts:
        """Sums by item, by now."""
        with self._lock:
            item = np.array([*self._row_of], np.uint64)
            given, taken = (_float(self._sums[side, :, : item.size]) for side in range(2))
            value = self._values[: item.size].copy()
        order = np.argsort(item)
        return Counts(item[order], given[order], taken[order], value[order])

    def batch(self, arms: Iterable[ArmId]) -> Batch:
        """Read what these arms gained and lost since they were last read, to feed a bandit.

        With a model Beta, whose failures come from elsewhere (the ledger of exposures):
        `bandit.update(arms, 1.0, weight=gained)` and `bandit.correct(arms, 1.0, weight=lost)`.
        """
        ids = list(arms)
        names = names_of(ids).tolist()
        with self._lock:
            known = [(id, self._row_of[name]) for id, name in zip(ids, names, strict=True) if name in self._row_of]
            rows = np.array([row for _, row in known], np.int64)
            sums = self._sums[:, :, rows]
            change = sums[:2] - sums[2:]  # whole and part apart; both exact
            moved = (change != 0).any(axis=(0, 1))
            self._sums[2:, :, rows] = sums[:2]
        gained, lost = (_float(change[side][:, moved]) for side in range(2))
        return Batch([id for (id, _), has in zip(known, moved.tolist(), strict=True) if has], gained, lost)

    def to_bytes(self) -> bytes:
        """Write the sums, and the ids that were applied, as bytes."""
        with self._lock:
            n, current = len(self._row_of), int(self._cells[CURRENT])
            arrays: dict[str, NDArray[Any]] = {
                "items": np.array([*self._row_of], np.uint64),
                "sums": self._sums[:, :, :n].reshape(8, n),
                "values": self._values[:n].copy(),
                "applied": names_in(self._names, self._cells, current),
                "applied_before": names_in(self._names, self._cells, 1 - current),
            }
            values = {
                "ids": self.ids, "applied": self.applied, "duplicates": self.duplicates, "forgotten": self.forgotten,
            }  # fmt: skip
        return pack(Checkpoint(_KIND, {}, values, arrays))

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises
        ------
        CheckpointError
            For bytes that are anything else; nothing was loaded.
        """
        checkpoint = unpack(blob, _KIND)
        values, arrays = checkpoint.values, checkpoint.arrays
        capacity = take(values, "ids", lambda v: is_count(v, MOST_ROWS) and v > 0, "a capacity")
        try:
            tally = cls(capacity)
        except MemoryError:
            require(False, f"there is no memory here for the {capacity} ids that it remembers")
        for name in ("applied", "duplicates", "forgotten"):
            setattr(tally, name, take(values, name, is_count, "a count"))
        for generation, name in enumerate(("applied", "applied_before")):
            ids = _array(arrays, name, np.int64, (-1,))
            require(ids.size <= tally.ids, "it has more ids than it remembers")
            require(load(tally._names, tally._cells, generation, np.ascontiguousarray(ids)), "an id stands twice")
        items = _array(arrays, "items", np.uint64, (-1,))
        sums, worth = (
            _array(arrays, "sums", np.int64, (8, items.size)),
            _array(arrays, "values", np.float64, items.shape),
        )
        sums = sums.reshape(4, 2, items.size)
        tally._row_of = {item: row for row, item in enumerate(items.tolist())}
        require(len(tally._row_of) == items.size, "an item stands twice")
        is_sum = (sums >= 0) & (sums[:, :1] <= _LARGEST) & (sums[:, 1:] < UNITS)
        require(bool(is_sum.all() and (np.abs(worth) <= _LARGEST_VALUE).all()), "a sum is none")
        require(
            bool((_float(sums[:2].swapaxes(0, 1)) >= _float(sums[2:].swapaxes(0, 1))).all()), "more was read than is"
        )
        tally._sums, tally._values = sums.copy(), worth.copy()
        return tally


def _float(sums: Ints) -> Floats:
    """Whole and part as one number."""
    return np.asarray(sums[_WHOLE] + sums[_PART] / UNITS)


def _array(arrays: dict[str, Any], name: str, dtype: Any, shape: tuple[int, ...]) -> Any:
    array: Any = arrays.get(name)
    require(array is not None, f"array {name!r} is missing")
    fits = array.dtype == np.dtype(dtype) and array.ndim == len(shape) and shape in (array.shape, (-1,))
    require(fits, f"array {name!r} has another type or shape")
    return array

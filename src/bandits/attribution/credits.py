"""What attribution puts out: credits, and corrections of them, as columns."""

from collections import deque
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._joining import names_of_amounts
from ._keeping import (
    OUT_AT,
    OUT_DECISION,
    OUT_ITEM,
    OUT_NUMBER,
    OUT_ORDER,
    OUT_RANK,
    OUT_ROW,
    OUT_RULE,
    OUT_UNITS,
    OUT_VALUE,
)
from ._path import UNITS
from ._table import Floats, Ints
from .names import as_names
from .rules import LEAF_BITS

Names = NDArray[np.uint64]

LATE, PASS, FUTURE, RECONCILED = 1, 2, 3, 4  # reasons of corrections


class Credits(NamedTuple):
    """Who earned what, `[n]` each; those of one conversion stand together, the latest touch first.

    id: 64-bit name of the credit: of order, decision and item. Applied once, however often it is delivered.
    row: position of the conversion in its batch.
    order, decision, item: names.
    channel: position among the configuration's channels; -1 for none.
    share: above 0, a multiple of 2**-32; those of a conversion sum to exactly 1.
    value: share of the conversion's value.
    rule_set, rule: number of the version among `Attribution.rule_sets`, and of the leaf in it.
    at: time of the conversion, seconds.
    """

    id: Names
    row: Ints
    order: Names
    decision: Names
    item: Names
    channel: Ints
    share: Floats
    value: Floats
    rule_set: Ints
    rule: Ints
    at: Floats


class Corrections(NamedTuple):
    """What is to be added to credits given before, `[n]` each; columns as in `Credits`, and:

    share, value: signed.
    number: pass that found it, from 1; 0 for one that no pass found.
    reason: LATE, the credits of a late conversion; PASS, found by a pass; FUTURE, an event refused, nothing to be
        added; RECONCILED, truth less ours.
    """  # noqa: D400

    id: Names
    order: Names
    decision: Names
    item: Names
    channel: Ints
    share: Floats
    value: Floats
    rule_set: Ints
    rule: Ints
    at: Floats
    number: Ints
    reason: Ints


KINDS: tuple[Any, ...] = (
    *(np.uint64,) * 4,
    np.int64,
    *(np.float64,) * 2,
    *(np.int64,) * 2,
    np.float64,
    *(np.int64,) * 2,
)  # of the columns of corrections


class Log:
    """Corrections that wait to be read; beyond a number of them the oldest go."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._chunks: deque[Corrections] = deque()

    def add(self, corrections: Corrections) -> int:
        """Append; return how many went for it."""
        self._chunks.append(corrections)
        self.size += corrections.id.size
        gone = max(0, self.size - self.capacity)
        left = gone
        while left:
            oldest = self._chunks[0]
            n = min(left, oldest.id.size)
            rest: list[Any] = [column[n:] for column in oldest]
            self._chunks[0] = Corrections(*rest)
            if n == oldest.id.size:
                self._chunks.popleft()
            left -= n
        self.size -= gone
        return gone

    def read(self) -> Corrections:
        """All of them, oldest first; they stay."""
        return joined([*self._chunks])

    def clear(self) -> None:
        """Forget all."""
        self._chunks.clear()
        self.size = 0


def joined(parts: list[Corrections]) -> Corrections:
    """Corrections one after another, in columns of their own."""
    columns = zip(*parts, strict=True) if parts else (() for _ in KINDS)
    pairs = zip(KINDS, columns, strict=True)
    merged: list[Any] = [np.concatenate([np.zeros(0, kind), *column]) for kind, column in pairs]
    return Corrections(*merged)


def credits_of(out: Ints, amounts: Floats, channels: int) -> Credits:
    """Columns of what a kernel put out."""
    ids, share, value, numbers = _columns(out, amounts, np.zeros(out.shape[1], np.int64))
    order, decision, item = (as_names(out[column]) for column in (OUT_ORDER, OUT_DECISION, OUT_ITEM))
    channel = _channels(out, channels)
    return Credits(ids, out[OUT_ROW], order, decision, item, channel, share, value, *numbers, amounts[OUT_AT])


def corrections_of(out: Ints, amounts: Floats, channels: int, reason: int) -> Corrections:
    """Columns of what a kernel put out, for one reason."""
    number = out[OUT_NUMBER] if reason == PASS else np.zeros(out.shape[1], np.int64)
    ids, share, value, numbers = _columns(out, amounts, number)
    order, decision, item = (as_names(out[column]) for column in (OUT_ORDER, OUT_DECISION, OUT_ITEM))
    reasons = np.full(out.shape[1], reason, np.int64)
    channel = _channels(out, channels)
    return Corrections(
        ids, order, decision, item, channel, share, value, *numbers, amounts[OUT_AT], number, reasons
    )  # fmt: skip


def refused(orders: Ints, decisions: Ints, items: Ints, at: Floats) -> Corrections:
    """Records of events from the future, which add nothing."""
    nothing, zeros = np.zeros(at.size), np.zeros(at.size, np.int64)
    ids = names_of_amounts(orders, zeros - 1, decisions, items, zeros)
    none = zeros - 1
    return Corrections(
        as_names(ids), as_names(orders), as_names(decisions), as_names(items), none, nothing, nothing, none, none,
        at, zeros, zeros + FUTURE,
    )  # fmt: skip


def _channels(out: Ints, channels: int) -> Ints:
    """Ranks back to positions: n channels have the ranks n ... 1, none has 0."""
    rank = out[OUT_RANK]
    return np.where(rank > 0, channels - rank, -1)


def _columns(out: Ints, amounts: Floats, number: Ints) -> tuple[Names, Floats, Floats, tuple[Ints, Ints]]:
    ids = names_of_amounts(out[OUT_ORDER], number, out[OUT_DECISION], out[OUT_ITEM], out[OUT_UNITS])
    share = out[OUT_UNITS] * (1.0 / UNITS)
    code = out[OUT_RULE]
    return as_names(ids), share, share * amounts[OUT_VALUE], (code >> LEAF_BITS, code & (1 << LEAF_BITS) - 1)

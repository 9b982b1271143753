"""Overrides: what operators order for single rooms, for a time, on record, and kept out of what is learnt."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...bandits._random import ArmId
from .reasons import Reason

KINDS = ("kill", "pin", "ban", "weight")  # the earlier ones prevail
FORCED = ("pin", "weight")  # exposures that the draws would not have given
_MOST = 32  # past times of a room that are told apart


@dataclass(frozen=True, slots=True)
class Override:
    """An operator's order for one room.

    Parameters
    ----------
    room
        Its id.
    kind
        "kill": nothing more, and its multiplier is 0 at once. "pin": `value` exposures a tick, neither more nor less,
        as the budget allows. "ban": no further exposures; what is in flight may arrive. "weight": its draws times
        `value`.
    value
        See there; 0 for kill and ban.
    actor, reason
        Who, and why.
    at, until
        Seconds between which it holds.
    ended, ended_by
        When and by whom it was ended, "" for its time; None while it holds.
    """

    room: ArmId
    kind: str
    value: float
    actor: str
    reason: str
    at: float
    until: float
    ended: float | None = None
    ended_by: str | None = None


class Overrides:
    """The orders in force, those whose exposures may still be reported, and the news since the last plan."""

    def __init__(self) -> None:
        self.active: dict[tuple[ArmId, str], Override] = {}
        self.forced: dict[ArmId, list[tuple[float, float]]] = {}  # times of exposures that are not learnt from
        self.news: list[Override] = []

    def order(self, override: Override) -> None:
        """Take an order, in place of one of its kind for the room."""
        self.end([override.room], [override.kind], override.at, override.actor)
        self.active[override.room, override.kind] = override
        self.news.append(override)
        if override.kind in FORCED:
            self.forced.setdefault(override.room, []).append((override.at, override.until))

    def end(self, rooms: Iterable[ArmId], kinds: Iterable[str], now: float, actor: str) -> None:
        """End orders, where there are any."""
        for room in rooms:
            for kind in kinds:
                override = self.active.pop((room, kind), None)
                if override is None:
                    continue
                ended = min(now, override.until)
                self.news.append(replace(override, ended=ended, ended_by=actor))
                if kind in FORCED:
                    self._end_span(room, (override.at, override.until), ended)

    def _end_span(self, room: ArmId, span: tuple[float, float], ended: float) -> None:
        """Note when an order's time ended; past times that touch become one, and the oldest ones beyond `_MOST`."""
        spans = self.forced[room]
        spans.remove(span)
        held = [(o.at, o.until) for kind in FORCED if (o := self.active.get((room, kind))) is not None]
        for other in held:
            spans.remove(other)
        past: list[tuple[float, float]] = []
        for start, end in sorted([*spans, (span[0], ended)]):
            if past and start <= past[-1][1]:
                past[-1] = past[-1][0], max(end, past[-1][1])
            else:
                past.append((start, end))
        extra = max(len(past) - _MOST, 0)
        self.forced[room] = [(past[0][0], past[extra][1]), *past[extra + 1 :], *held]

    def expire(self, now: float) -> None:
        """End the orders whose time is over."""
        for room, kind in [key for key, override in self.active.items() if override.until <= now]:
            self.end([room], [kind], now, "")

    def forget(self, rooms: Iterable[ArmId], now: float) -> None:
        """Forget rooms that are gone."""
        if self.active or self.forced:
            for room in rooms:
                self.end([room], KINDS, now, "")
                self.forced.pop(room, None)

    def in_force(self) -> dict[ArmId, Override]:
        """The prevailing order of each room that has one."""
        prevailing: dict[ArmId, Override] = {}
        for kind in reversed(KINDS):
            prevailing.update({room: override for (room, k), override in self.active.items() if k == kind})
        return prevailing

    def is_forced(self, room: ArmId, at: float, flight: float) -> bool:
        """Whether an exposure at a time was an operator's, those granted last being `flight` seconds on their way."""
        return any(start <= at < end + flight for start, end in self.forced.get(room, ()))


class Orders:
    """Orders in force as arrays over C rooms.

    is_free: `[C]` whether the draws decide; is_killed: `[C]`; pins: `[C]` exposures; weights: `[C]`, None if all are 1.
    """

    def __init__(self, size: int) -> None:
        self.is_free = np.ones(size, np.bool_)
        self.is_killed = np.zeros(size, np.bool_)
        self.pins = np.zeros(size, np.int64)
        self.weights: NDArray[np.float64] | None = None

    def set(self, position: int, override: Override) -> Reason:
        """Take the prevailing order of one room; return its reason code."""
        if override.kind == "weight":
            if self.weights is None:
                self.weights = np.ones(self.pins.size)
            self.weights[position] = override.value
            return Reason.WEIGHTED
        self.is_free[position] = False
        if override.kind == "pin":
            self.pins[position] = int(override.value)
            return Reason.PINNED
        self.is_killed[position] = override.kind == "kill"
        return Reason.KILLED if override.kind == "kill" else Reason.BANNED

    def pinned(self, available: int) -> NDArray[np.int64]:
        """What the pins are granted, `[C]`, as far as there is something, in the order of the rooms."""
        before = np.cumsum(self.pins) - self.pins
        granted: NDArray[np.int64] = np.clip(available - before, 0, self.pins)
        return granted

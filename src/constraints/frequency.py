"""Frequency: how often a viewer may be served the same arm, or the arms of the same group, in a window of time."""

import math
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from ..bandits._random import uid64
from ..bandits.checkpoint import require
from ._chains import (
    ANONYMOUS,
    DROPPED,
    HALF,
    MOVED,
    NEWER,
    STAMP,
    WINDOW,
    Integers,
    Words,
    are_found,
    clear,
    count,
    find_full,
    move,
    strike,
)
from .attributes import Attributes
from .base import LARGEST_COUNT, AnyState, Constraint, Exposure, Feedback, Mask, Precedence, Request

_NEVER = -(2**53)  # window of the time before any is known
_LEAST = 1_024  # entries that a generation has room for at first


class FrequencyState(NamedTuple):
    """Exposures by viewer and arm in the current window: two generations, of which the older one goes first.

    Each viewer has a chain of entries, an arm (or group) each, found through a hash table with linear probing.

    viewers: uint64 `[2, S]`, viewer of each slot of the tables.
    heads: int64 `[2, S]`, stamp of the slot (it is free unless the stamp is its generation's) and first entry + 1.
    arms: uint64 `[2, P]`, arm of each entry.
    links: int64 `[2, P]`, its count, and next entry + 1 of the same viewer, 0 for none.
    used: int64 `[2, 3]`, of each generation: entries, viewers, stamp.
    counts: int64 `[6]`: newer generation; window; last stamp; entries dropped while they counted, ever; exposures to
        viewers without an id, ever; entries of the older generation that have moved to the newer one.
    """

    viewers: Words
    heads: Integers
    arms: Words
    links: Integers
    used: Integers
    counts: Integers


class FrequencyCap(Constraint):
    """At most `limit` exposures of an arm to a viewer in each window of time.

    The viewer is `viewer["id"]`, a string or an integer. One without an id cannot be recognised, so nothing is capped
    for him; the report counts such exposures. Never relaxed.

    Memory is bounded: beyond `max_entries` pairs of viewer and arm in a window the half that was served longest ago is
    forgotten, which can let an arm be served more often than `limit`; the report counts what was `dropped`.

    Parameters
    ----------
    limit
        Exposures, >= 1.
    window
        Seconds after which counting starts afresh, at multiples of itself; None for never.
    by
        Name of an attribute of arms: counts exposures of all arms with the same value, such as those of one creator;
        an arm without a value counts alone. None counts each arm.
    max_entries
        Pairs of viewer and arm to remember, 48 bytes each.

    Examples
    --------
    >>> from seedbed.constraints import FrequencyCap
    >>> cap = FrequencyCap(limit=2, window=3600.0)
    >>> [cap.window_at(now) for now in (0.0, 3599.0, 3600.0)]
    [0, 0, 1]
    """

    kind: Literal["frequency"] = "frequency"
    limit: Annotated[int, Field(ge=1, lt=2**31)]
    window: Annotated[float, Field(ge=1e-3, allow_inf_nan=False)] | None = None
    by: str | None = None
    max_entries: Annotated[int, Field(ge=2, lt=2**31)] = 1_000_000

    precedence: ClassVar[Precedence] = Precedence.ELIGIBILITY
    relaxable: ClassVar[bool] = False
    loose: ClassVar[frozenset[str]] = frozenset({"viewers", "heads", "arms", "links"})

    def __init__(self, limit: int, window: float | None = None, **fields: Any) -> None:
        super().__init__(limit=limit, window=window, **fields)  # type: ignore[call-arg]

    @property
    def name(self) -> str:
        """What a decision calls it."""
        return self.kind if self.by is None else f"{self.kind}:{self.by}"

    def window_at(self, now: float) -> int:
        """Index of the window that holds a time in seconds."""
        if self.window is None:
            return 0
        return _NEVER if now == -math.inf else math.floor(now / self.window)

    def init(self, capacity: int) -> FrequencyState:
        """Make a state in which nobody was served."""
        room = max(1, min(_LEAST, self.max_entries // 2))
        state = _empty(room)
        state.counts[WINDOW] = _NEVER - 1
        state.used[:, 2] = [1, 2]
        state.counts[STAMP] = 2
        return state

    def fit(self, state: AnyState, capacity: int, attributes: Attributes, now: float) -> FrequencyState:
        """Make room for more entries, where half of it is used and there may be more."""
        room, largest = state.arms.shape[1], self.max_entries // 2
        fitted: FrequencyState = state
        if room < largest and 2 * state.used[state.counts[NEWER], 0] > room:
            fitted = _empty(min(2 * room, largest))
            fitted.used[:] = state.used
            fitted.counts[:] = state.counts
            move(
                state.viewers, state.heads, state.arms, state.links,
                fitted.viewers, fitted.heads, fitted.arms, fitted.links, fitted.used,
            )  # fmt: skip
        return fitted

    def mask(self, state: AnyState, request: Request) -> list[tuple[str, Mask]]:
        """Which candidates this viewer may still be served, `[C]`."""
        viewer = _viewer(request)
        if self.by is not None and self.by in request.attributes.values:  # what is wrong is told before it is counted
            request.attributes.codes(self.by, request.columns[:0])
        if viewer is None or self.window_at(request.now) != state.counts[WINDOW]:
            return []
        keep = np.ones(request.columns.size, np.bool_)
        full = find_full(
            state.viewers, state.heads, state.arms, state.links, state.used, np.uint64(viewer), self.limit
        )  # fmt: skip
        if not full.size or not strike(full, self._keys(request), keep):
            return []
        return [("FREQUENCY", keep)]

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Count exposures."""
        if not isinstance(event, Exposure):
            return
        viewer = _viewer(event.request)
        if viewer is None:
            state.counts[ANONYMOUS] += event.positions.size
            return
        window = self.window_at(event.request.now)
        if window != state.counts[WINDOW]:
            state.counts[WINDOW] = window
            for generation in (0, 1):
                clear(state.heads, state.used, state.counts, generation)
        keys = self._keys(event.request)[event.positions]
        count(
            state.viewers, state.heads, state.arms, state.links, state.used, state.counts, np.uint64(viewer), keys
        )  # fmt: skip

    def _keys(self, request: Request) -> Words:
        """What exposures are counted by, `[C]`."""
        if self.by is None:
            return request.uids
        codes = request.codes(self.by)
        return np.where(codes > 0, codes.astype(np.uint64), request.uids)

    def report(self, state: AnyState, attributes: Attributes) -> dict[str, Any]:
        """Pairs remembered of the latest window, pairs dropped although they counted, exposures without an id."""
        entries = int(state.used[:, 0].sum() - state.counts[MOVED])
        dropped, anonymous = int(state.counts[DROPPED]), int(state.counts[ANONYMOUS])
        return {"entries": entries, "dropped": dropped, "anonymous": anonymous}

    def check_state(self, state: AnyState) -> None:
        """Refuse a table in which a look-up would not end, or would leave it."""
        slots, room = state.heads.shape[1], state.arms.shape[1]
        sizes = state.viewers.shape == state.heads.shape and state.links.shape == state.arms.shape
        require(sizes and 1 <= room <= self.max_entries // 2, "a frequency table has another size")
        require(slots == _slots(room), "a frequency table has another number of slots")
        require(state.counts[NEWER] in (0, 1), "a frequency table has no such generation")
        fits = bool(((state.counts[STAMP:] >= 0) & (state.counts[STAMP:] <= LARGEST_COUNT)).all())
        require(fits, "a count of a frequency table is negative, or out of range")
        last = int(state.counts[STAMP])
        for generation in (0, 1):
            used, viewers, stamp = state.used[generation].tolist()
            require(0 <= viewers <= used <= room and 1 <= stamp <= last < 2**31, "a frequency table is inconsistent")
            live = state.heads[generation] >> HALF == stamp
            first = state.heads[generation][live] & 0xFFFF_FFFF
            links = state.links[generation, :used]
            later = links & 0xFFFF_FFFF
            fits = int(live.sum()) == viewers and bool(((first >= 1) & (first <= used)).all())
            # an entry links to an earlier one, so a chain ends
            ends = bool((links >= 0).all()) and bool((later <= np.arange(used)).all())
            # a stamp of the future would fill a table that was just emptied: no search in it would end
            known = bool((state.heads[generation] >> HALF <= last).all())
            require(fits and ends and known, "a frequency table is inconsistent")
            found = are_found(state.viewers, state.heads, generation, stamp)
            require(found, "a viewer does not stand where a frequency table looks for it, or twice")
        require(state.counts[MOVED] <= state.used[1 - state.counts[NEWER], 0], "a frequency table is inconsistent")


def _viewer(request: Request) -> int | None:
    """64-bit name of the viewer; None for one without an id."""
    id = request.viewer.get("id")
    if id is None:
        return None
    if isinstance(id, np.integer):
        id = int(id)
    if isinstance(id, bool) or not isinstance(id, str | int) or (isinstance(id, int) and not -(2**63) <= id < 2**63):
        raise ValueError(f"viewer['id'] = {id!r} is neither a string nor an integer of 64 bits")
    return uid64(id)


def _slots(room: int) -> int:
    """Slots of a table for so many viewers: half of them stay free."""
    return 1 << (2 * room - 1).bit_length()


def _empty(room: int) -> FrequencyState:
    slots = _slots(room)
    return FrequencyState(
        np.zeros((2, slots), np.uint64),
        np.zeros((2, slots), np.int64),
        np.zeros((2, room), np.uint64),
        np.zeros((2, room), np.int64),
        np.zeros((2, 3), np.int64),
        np.zeros(6, np.int64),
    )

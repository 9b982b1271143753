"""ColdStartAllocator: three stages, a stop-loss and a budget over the rooms of newcomers."""

import threading
from typing import Any, Self

import numpy as np

from ...bandits import Bandit
from ...bandits._inputs import MAX_TIME, checked_at, checked_float, checked_int, checked_now
from ...bandits._table import columns_of
from ...constraints import Budget
from ...constraints.evidence._mixtures import add_rows
from . import _checkpointing, _learning, _ticking
from ._inputs import (
    checked_counts,
    checked_each,
    checked_observation,
    checked_rooms,
    checked_shares,
    checked_text,
    checked_value,
)
from .config import ColdStartConfig
from .explain import Explanation, explain
from .metrics import EXPOSURES, RETAINED
from .overrides import KINDS, Override, Overrides
from .plan import Plan
from .registry import Registry
from .rules import Rules
from .stages import TIERS, Rooms, Stage, StageChange

_MOST_AT_ONCE = 10_000_000
_TTL = 4.0 * 3_600.0  # seconds that an operator's order holds unless said otherwise
_LARGEST = 2**53  # counts of a room, all in all
_ENDLESS = 2**53 - 1  # the budget where none is set
_TICKS_AHEAD = 10  # by which feedback may be ahead of the latest tick: ticks are late at times, but not by hours


class ColdStartAllocator:
    """Decide, tick by tick, how much exposure each newcomer's room gets.

    A room is seeded up to its quota, verified against the bar, scaled while it stays above, stopped when its harm is
    proved. Within caps and the floor of SEED, exposures go to the rooms of the highest posterior draws. Any number of
    threads may call any method; one lock orders them.

    Parameters
    ----------
    config
        All numbers.
    seed
        Integer in [0, 2**64) from which every draw is keyed.
    replica
        Name of this process among those that serve the same market.

    Examples
    --------
    >>> from seedbed.allocators import ColdStartAllocator
    >>> allocator = ColdStartAllocator(seed=7)
    >>> allocator.open("room-1", now=0.0, content_score=0.4, creator_score=0.2)
    >>> plan = allocator.tick(now=60.0, exposures=5_000)
    >>> plan["room-1"].seed_quota, plan["room-1"].stage, plan["room-1"].exposures
    (220, 'SEED', 60)
    >>> allocator.observe("room-1", at=75.0, exposures=40, retained=12)
    """

    def __init__(self, config: ColdStartConfig | None = None, *, seed: int = 0, replica: str = "0") -> None:
        config = ColdStartConfig() if config is None else config
        if not isinstance(config, ColdStartConfig):
            raise ValueError(f"config = {config!r} is not a ColdStartConfig; make one with ColdStartConfig.live(...)")
        self.config = config
        self._registry = Registry(config, seed, replica)
        self._budget = config.budget or Budget(limit=_ENDLESS)
        self._spending = self._budget.init()
        self._overrides = Overrides()
        self._changes: list[StageChange] = []
        self._promoted, self._doubt = 0, 0.0
        self._now: float | None = None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"ColdStartAllocator({len(self)} open rooms, now={self._now})"

    def __len__(self) -> int:
        with self._lock:
            return int(self._rooms.is_open.sum())

    @property
    def bandit(self) -> Bandit:
        """The bandit whose draws share out what is left after the floor; an arm is a room."""
        return self._registry.bandit

    @property
    def now(self) -> float | None:
        """Seconds, the latest present that it was told; None before any. No later call may give an earlier one."""
        return self._now

    @property
    def budget_spent(self) -> int:
        """Exposures granted and not released in the budget's current window, and those shown beyond their grants."""
        with self._lock:
            return int(self._budget.spent(self._spending))

    @property
    def budget_available(self) -> int:
        """Exposures that the budget still allows in its current window."""
        with self._lock:
            return int(self._budget.available(self._spending))

    @property
    def pending_changes(self) -> tuple[StageChange, ...]:
        """Changes since the last plan, which the next one will hold."""
        with self._lock:
            return tuple(self._changes)

    @property
    def promotions(self) -> int:
        """Number of promotions so far."""
        return self._promoted

    @property
    def expected_false_promotions(self) -> float:
        """How many of the promotions are expected to be of rooms below a bar: the sum of 1 - P at promotion."""
        return self._doubt

    @property
    def rules(self) -> Rules:
        """The rules in force; those of version "config" are the configuration's own bars."""
        return self._registry.rules.in_force

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Operators' orders that hold."""
        with self._lock:
            return tuple(self._overrides.active.values())

    @property
    def _rooms(self) -> Rooms:
        return self._registry.rooms

    # rooms come and go

    def open(
        self,
        room: Any,
        *,
        now: float,
        bucket: Any = "",
        tier: Any = "B",
        content_score: Any = 0.0,
        creator_score: Any = 0.0,
    ) -> None:
        """Let a room in, or several: it starts in SEED with a quota by its scores.

        Parameters
        ----------
        room
            A new id, or a sequence of them, [B].
        now
            Seconds; must not decrease.
        bucket
            Its group, such as category/language/region, by which the rules name it; one for all or one a room.
        tier
            S, A, B or C, one for all or one a room; S may be pushed harder.
        content_score, creator_score
            In [0, 1]; one for all or one a room.

        Raises
        ------
        ValueError
            For an id that is in use or was, a score out of range or an unknown tier. Nothing was opened.
        """
        ids = checked_rooms(room)
        content = checked_shares(content_score, "content_score", len(ids))
        creator = checked_shares(creator_score, "creator_score", len(ids))
        tiers, buckets = checked_each(tier, "tier", len(ids)), checked_each(bucket, "bucket", len(ids))
        for name in set(tiers):
            if name not in TIERS:
                raise ValueError(f"tier = {name!r} is not one of {list(TIERS)}")
        for name in set(buckets):
            checked_text(name, "bucket")
        places = np.array([TIERS.index(name) for name in tiers], np.int64)
        with self._lock:
            now, window = self._checked_now(now)
            self._registry.open(ids, now, buckets, places, content, creator)
            self._enter(now, window)

    def close(self, room: Any, *, now: float, reason: str = "ended") -> None:
        """Let a room go, or several: no more exposures; feedback is accepted for `feedback_window` seconds.

        Raises
        ------
        UnknownArmError
            For a room that is not known (a KeyError).
        ValueError
            For a room that is already closed, or a `now` that runs backwards. Nothing was closed.
        """
        ids = checked_rooms(room)
        checked_text(reason, "reason")
        with self._lock:
            now, window = self._checked_now(now)
            columns = self._registry.open_columns(ids)
            self._enter(now, window)
            self._registry.close(columns, now)
            for column in columns.tolist():
                stage = Stage(self._rooms.stage[column]).name
                self._changes += self._registry.changes(np.array([column]), now, stage, "CLOSED", reason)

    def block(self, room: Any, *, now: float, reason: str = "BLOCKED") -> None:
        """Serve a room, or several, no more until `unblock`; the reason is one of `config.block_reasons`."""
        self._set_blocked(room, now, reason)

    def unblock(self, room: Any, *, now: float) -> None:
        """Let a blocked room, or several, be served again."""
        self._set_blocked(room, now, None)

    def _set_blocked(self, room: Any, now: float, reason: str | None) -> None:
        ids = checked_rooms(room)
        with self._lock:
            now, window = self._checked_now(now)
            columns = self._registry.open_columns(ids)
            eligibility, blocks = self._registry.eligibility, self._registry.blocks
            if reason is None:
                eligibility.unblock(blocks, columns)
            else:
                eligibility.block(blocks, columns, reason)
            self._enter(now, window)

    # operators and rules

    def override(
        self,
        room: Any,
        kind: str,
        *,
        now: float,
        actor: str,
        reason: str,
        value: float | None = None,
        ttl: float = _TTL,
    ) -> None:
        """Order something for a room, or for several, for a time; it is recorded (`Plan.overrides`, `overrides`).

        Of several orders for one room the strongest prevails: kill, pin, ban, weight. None serves a room that is
        stopped, blocked or closed. What is shown by a pin or a weight is charged, and counts as evidence of harm, but
        nothing else is learnt from it.

        Parameters
        ----------
        room
            Id of an open room, or a sequence of them.
        kind
            "kill": nothing more, and a multiplier of 0 at once. "pin": `value` exposures a tick, before all others and
            whatever the caps. "ban": no further exposures; what is in flight may arrive. "weight": its draws times
            `value`.
        now
            Seconds; must not decrease.
        actor, reason
            Who orders it, and why; not empty.
        value
            For "pin" a count, for "weight" a factor in [0.001, 1000].
        ttl
            Seconds until it ends by itself; four hours by default.

        Raises
        ------
        UnknownArmError
            For a room that is not known (a KeyError).
        ValueError
            For anything else that makes no sense. Nothing was ordered.
        """
        ids = checked_rooms(room)
        amount = checked_value(kind, value)
        for text, what in ((actor, "actor"), (reason, "reason")):
            checked_text(text, what)
            if not text.strip():
                raise ValueError(f"{what} is empty: an override is recorded with who and why")
        seconds = checked_float(ttl, "ttl")
        if not 0.0 < seconds <= 1e9:
            raise ValueError(f"ttl = {ttl} is not a number of seconds in (0, 1e9]")
        with self._lock:
            now, window = self._checked_now(now)
            until = now + seconds
            if not now < until <= MAX_TIME:
                raise ValueError(f"ttl = {ttl} from {now} on ends at {until}, which is no later time that can be told")
            self._registry.open_columns(ids)
            self._enter(now, window)
            for id in ids:
                self._overrides.order(Override(id, kind, amount, actor, reason, now, until))

    def lift(self, room: Any, *, now: float, actor: str, kind: str | None = None) -> None:
        """End an operator's orders for a room, or for several: those of one kind, or all; none is no error."""
        ids = checked_rooms(room)
        checked_text(actor, "actor")
        if kind is not None and kind not in KINDS:
            raise ValueError(f"kind = {kind!r} is not one of {list(KINDS)}")
        with self._lock:
            now, window = self._checked_now(now)
            self._registry.rows(ids)
            self._enter(now, window)
            self._overrides.end(ids, KINDS if kind is None else [kind], now, actor)

    def use_rules(self, rules: Rules) -> None:
        """Put a version of the rules into use, from the next tick on and while it is valid; see `roll_back`.

        Rooms are judged by it from then on, on all their evidence; draws start from its populations. Between its times
        the version that was in use before holds, at last the configuration's own bars.

        Raises
        ------
        ValueError
            For another content under a version that is known. The rules in force stay.
        """
        with self._lock:
            self._registry.rules.use(rules)

    def roll_back(self) -> str:
        """Take the version that was put into use last out of it, from the next tick on; return its name.

        Raises
        ------
        ValueError
            If there is none but the configuration's own bars.
        """
        with self._lock:
            return self._registry.rules.roll_back()

    def explain(self, room: Any) -> Explanation:
        """Say where a room stands: stage, distance to the bars, what would change it, why traffic was given or not.

        Raises
        ------
        UnknownArmError
            For a room that is not known (a KeyError).
        """
        (id,) = checked_rooms(room)
        with self._lock:
            return explain(self._registry, self._overrides, id, self._now)

    # evidence

    def observe(
        self,
        room: Any,
        *,
        at: Any,
        exposures: Any,
        retained: Any = 0,
        comments: Any = 0,
        follows: Any = 0,
        negative: Any = 0,
        watched: Any = 0.0,
        minutes: Any = 0.0,
        source: str = "exploration",
    ) -> None:
        """Count what happened in a room, or in several, all or nothing; gates look at it in the next tick.

        Parameters
        ----------
        room
            Id, or a sequence of ids, [B]; the counts are then one for all or [B]. A room may come several times, as for
            one entry a viewer.
        at
            Seconds, when it happened: any order, at most ten ticks after the latest `now`.
        exposures
            Unique viewers: several impressions of one viewer are one. Without followers, invited viewers and bots. More
            than were granted still count, and are charged to the budget.
        retained, follows, negative
            How many of the viewers stayed, followed, gave negative feedback.
        comments
            Number of comments.
        watched
            Sum over the viewers of the share that each watched, in [0, exposures].
        minutes
            Viewer-minutes watched, over which comments are counted.
        source
            "exploration", what the allocator granted; or "organic": then only exposures and retained are kept, to be
            compared with those of exploration (MISMATCHED), and nothing is learnt.

        Raises
        ------
        UnknownArmError
            For a room that is not known, or was closed longer than `feedback_window` ago (a KeyError).
        ValueError
            For negative counts, more viewers with a reaction than viewers, or a bad time. Nothing was counted.
        """
        ids = checked_rooms(room)
        given = (exposures, retained, comments, follows, negative, watched, minutes)
        counts = checked_observation(ids, given)
        if source not in ("exploration", "organic"):
            raise ValueError(f"source = {source!r} is neither 'exploration' nor 'organic'; nothing was counted")
        with self._lock:
            checked_at(at, len(ids), self._now, _TICKS_AHEAD * self.config.tick_seconds)
            rows = self._registry.rows(ids)
            columns = columns_of(rows)
            held = self._rooms.organic if source == "organic" else self._rooms.counts
            if counts.sum(dtype=np.float64) + held.max(initial=0) > _LARGEST:
                raise ValueError(f"the counts of a room would exceed {_LARGEST}; nothing was counted")
            if self.config.change_detector is not None and counts[EXPOSURES].sum() > _MOST_AT_ONCE:
                raise ValueError(f"with a change detector at most {_MOST_AT_ONCE} exposures are observed in one call")
            if source == "organic":
                add_rows(self._rooms.organic, columns, counts[[EXPOSURES, RETAINED]])
                return
            _learning.learn(self, ids, rows, counts, np.broadcast_to(np.asarray(at, np.float64), len(ids)))

    def release(self, room: Any, *, exposures: Any) -> None:
        """Give back exposures that were granted and will never be shown, so that others may have them.

        Only the host can know this; the allocator never assumes it, not even of closed rooms, so that the budget cannot
        be overspent by what is reported late.

        Raises
        ------
        ValueError
            For more than a room has in flight. Nothing was released.
        """
        ids = checked_rooms(room)
        amounts = checked_counts(exposures, "exposures", len(ids))
        if len(set(ids)) != len(ids):
            raise ValueError("a room is given twice; nothing was released")
        with self._lock:
            columns, rooms = self._registry.columns(ids), self._rooms
            wrong = np.flatnonzero(amounts > rooms.in_flight[columns])
            if wrong.size:
                i = int(wrong[0])
                raise ValueError(
                    f"cannot release {amounts[i]} exposures of room {ids[i]!r}: "
                    f"{rooms.in_flight[columns[i]]} are in flight; nothing was released"
                )
            # the latest grants are undone first; only those of the budget's current window can be granted again in it
            from_window = np.minimum(amounts, rooms.current[columns])
            self._budget.release(self._spending, int(from_window.sum()))
            rooms.granted[columns] -= amounts
            rooms.current[columns] -= from_window

    # deciding

    def tick(self, *, now: float, exposures: int, staleness: float = 0.0) -> Plan:
        """Judge all rooms with new evidence, then hand out the exposures of the time until the next tick.

        Parameters
        ----------
        now
            Seconds; must not decrease.
        exposures
            Exposures available to exploration until the next tick.
        staleness
            Seconds since the other replicas of a fleet were heard of (`Fleet.staleness`). Beyond `stale_after` no room
            is promoted or extended, floors hold, and multipliers go to 1 over `stale_fade` seconds: reason STALE.

        Raises
        ------
        ValueError
            For a `now` that runs backwards, a negative number of exposures or a negative staleness. Nothing has
            changed.
        """
        exposures = checked_int(exposures, "exposures", 0, 2**53)
        overdue = checked_float(staleness, "staleness") - self.config.stale_after
        if not staleness >= 0.0:
            raise ValueError(f"staleness = {staleness} is not a number of seconds, 0 or more")
        fade = float(np.clip(1.0 - overdue / self.config.stale_fade, 0.0, 1.0))
        with self._lock:
            now, window = self._checked_now(now)
            self._enter(now, window)
            return _ticking.plan(self, now, exposures, promotes=overdue <= 0.0, fade=fade)

    def _checked_now(self, now: Any) -> tuple[float, int]:
        """The caller's present and the budget's window at it, checked before anything changes."""
        now = checked_now(now, self._now)
        return now, self._budget.window_at(now)

    def _enter(self, now: float, window: int) -> None:
        """Move the present, and the budget into its window."""
        self._now = now
        if self._budget.advance(self._spending, window):
            self._rooms.current[:] = 0  # what is still in flight was charged to an earlier window

    # state

    def to_bytes(self) -> bytes:
        """Write a checkpoint: configuration, rooms, evidence, budget and the bandit."""
        return _checkpointing.save(self)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Resume exactly from a checkpoint: the next plan is the one that the saved allocator would have made.

        Raises
        ------
        CheckpointError
            For bytes that are truncated, altered, of another kind or of a newer format. Nothing was loaded.
        """
        allocator: Self = _checkpointing.load(cls, blob)
        return allocator

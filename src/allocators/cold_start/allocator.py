"""ColdStartAllocator: three stages, a stop-loss and a budget over the rooms of newcomers."""

import threading
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...bandits import Bandit
from ...bandits._inputs import checked_at, checked_float, checked_int, checked_now
from ...bandits._table import columns_of
from ...constraints import Budget
from . import _checkpointing
from ._inputs import checked_counts, checked_rooms, checked_shares, checked_text
from .config import ColdStartConfig
from .gates import Gate, GateTable
from .pacing import hand_out, learn_yield, push
from .plan import Columns, Plan
from .populations import BetaPopulation
from .reasons import BIT
from .registry import Registry
from .stages import (
    EXPOSURES,
    FOLLOWS,
    METRICS,
    NEGATIVE,
    RETAINED,
    Move,
    Rooms,
    Stage,
    StageChange,
    advance,
    extend,
    is_live,
)

TIERS = ("S", "A", "B", "C")
_TICKS_AT_MAX = 3
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
        self._changes: list[StageChange] = []
        self._now: float | None = None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"ColdStartAllocator({len(self)} open rooms, now={self._now})"

    def __len__(self) -> int:
        return int(self._rooms.is_open.sum())

    @property
    def bandit(self) -> Bandit:
        """The bandit whose draws share out what is left after the floor; an arm is a room."""
        return self._registry.bandit

    @property
    def budget_spent(self) -> int:
        """Exposures granted and not released in the budget's current window, and those shown beyond their grants."""
        return int(self._budget.spent(self._spending))

    @property
    def budget_available(self) -> int:
        """Exposures that the budget still allows in its current window."""
        return int(self._budget.available(self._spending))

    @property
    def pending_changes(self) -> tuple[StageChange, ...]:
        """Changes since the last plan, which the next one will hold."""
        return tuple(self._changes)

    @property
    def _rooms(self) -> Rooms:
        return self._registry.rooms

    # rooms come and go

    def open(
        self,
        room: Any,
        *,
        now: float,
        bucket: str = "",
        tier: str = "B",
        content_score: Any = 0.0,
        creator_score: Any = 0.0,
    ) -> None:
        """Let a room in, or several: it starts in SEED with a quota by its scores.

        Parameters
        ----------
        room
            A new id, or a sequence of them.
        now
            Seconds; must not decrease.
        bucket
            Its group, such as category/language/region; kept for reports.
        tier
            S, A, B or C; S may be pushed harder.
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
        if tier not in TIERS:
            raise ValueError(f"tier = {tier!r} is not one of {list(TIERS)}")
        checked_text(bucket, "bucket")
        with self._lock:
            now, window = self._checked_now(now)
            self._registry.open(ids, now, bucket, tier, content, creator)
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
            self._rooms.is_open[columns] = False
            self._rooms.closed[columns] = now
            for column in columns.tolist():
                stage = Stage(self._rooms.stage[column]).name
                self._changes.append(self._registry.change(column, now, stage, "CLOSED", reason))

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
    ) -> None:
        """Count what happened in a room, or in several, all or nothing; gates look at it in the next tick.

        Parameters
        ----------
        room
            Id, or a sequence of ids, [B]; the counts are then one for all or [B].
        at
            Seconds, when it happened: any order, at most ten ticks after the latest `now`.
        exposures
            Unique viewers from exploration traffic. More than were granted still count, and are charged to the budget.
        retained, follows, negative
            How many of the viewers stayed, followed, gave negative feedback.
        comments
            Number of comments.

        Raises
        ------
        UnknownArmError
            For a room that is not known, or was closed longer than `feedback_window` ago (a KeyError).
        ValueError
            For negative counts, more viewers with a reaction than viewers, or a bad time. Nothing was counted.
        """
        ids = checked_rooms(room)
        given = (exposures, retained, comments, follows, negative)
        counts = np.array([checked_counts(v, name, len(ids)) for name, v in zip(METRICS, given, strict=True)])
        for metric in (RETAINED, FOLLOWS, NEGATIVE):
            wrong = np.flatnonzero(counts[metric] > counts[EXPOSURES])
            if wrong.size:
                i = int(wrong[0])
                raise ValueError(
                    f"{METRICS[metric]} = {counts[metric, i]} of room {ids[i]!r} is more than its exposures, "
                    f"{counts[EXPOSURES, i]}; nothing was counted"
                )
        with self._lock:
            checked_at(at, len(ids), self._now, _TICKS_AHEAD * self.config.tick_seconds)
            rows = self._registry.rows(ids)
            columns = columns_of(rows)
            rooms = self._rooms
            if counts.sum(dtype=np.float64) + rooms.counts.max(initial=0) > _LARGEST:
                raise ValueError(f"the counts of a room would exceed {_LARGEST}; nothing was counted")
            for total, new in zip(rooms.counts, counts, strict=True):
                np.add.at(total, columns, new)
            weights = np.concatenate([counts[RETAINED], counts[EXPOSURES] - counts[RETAINED]])
            self.bandit.update_rows(np.tile(rows, 2), np.repeat([1.0, 0.0], rows.size), weight=weights)
            rooms.is_new[columns] = True
            touched = np.unique(columns)
            excess = np.maximum(-rooms.in_flight[touched], 0)
            rooms.granted[touched] += excess
            rooms.current[touched] = np.minimum(rooms.current[touched], rooms.in_flight[touched])
            self._budget.charge(self._spending, int(excess.sum()))

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
            self._registry.forget(*self._registry.overdue(now))
            available = min(exposures, self.budget_available)
            ids, handles = self._registry.open_rooms()
            columns = columns_of(handles)
            reasons = np.zeros(self._rooms.stage.size, np.int64)
            if overdue > 0.0:
                reasons[columns] |= BIT["STALE"]
            self._judge(columns, now, reasons, promotes=overdue <= 0.0)
            learn_yield(self.config, self._rooms, columns)
            keep = self._registry.eligibility.allows(self._registry.blocks, columns)
            reasons[columns[~keep]] |= BIT["BLOCKED"]
            grants, floor_unmet = self._grant(handles, keep, now, available, reasons, extends=overdue <= 0.0)
            push(self.config, self._rooms, columns, keep & is_live(self._rooms, columns), fade)
            reasons[columns[self._rooms.ticks_at_max[columns] >= _TICKS_AT_MAX]] |= BIT["INSUFFICIENT_SUPPLY"]
            changes, self._changes = tuple(self._changes), []
            shown = self._plan_columns(columns, grants, reasons)
            return Plan(self.config, ids, shown, now=now, available=available, floor_unmet=floor_unmet, changes=changes)

    def _grant(
        self,
        handles: NDArray[np.int64],
        keep: NDArray[np.bool_],
        now: float,
        available: int,
        reasons: NDArray[np.int64],
        *,
        extends: bool,
    ) -> tuple[NDArray[np.int64], int]:
        """Hand out the tick among the rooms to keep; extend promising ones with what is left; reserve it all."""
        rooms, config, bandit = self._rooms, self.config, self.bandit
        columns = columns_of(handles)
        grants = np.zeros(columns.size, np.int64)
        grants[keep], floor_unmet = hand_out(config, rooms, bandit, handles[keep], now, available, reasons)
        if self.budget_available <= grants.sum():
            reasons[columns[keep & (grants == 0) & is_live(rooms, columns)]] |= BIT["BUDGET_SPENT"]
        unspent = available - int(grants.sum())
        for moved in extend(config, rooms, columns[keep], unspent if extends else 0):
            self._note(moved, now, reasons)
            reasons[moved.columns] &= ~BIT["CAP_REACHED"]
            again = np.flatnonzero(np.isin(columns, moved.columns))
            grants[again] += hand_out(config, rooms, bandit, handles[again], now, unspent, reasons)[0]
        self._budget.reserve(self._spending, int(grants.sum()))
        rooms.granted[columns] += grants
        rooms.current[columns] += grants
        rooms.granted_at[columns[grants > 0]] = now
        return grants, floor_unmet

    def _plan_columns(
        self, columns: NDArray[np.int64], grants: NDArray[np.int64], reasons: NDArray[np.int64]
    ) -> Columns:
        rooms = self._rooms
        return Columns(
            seed_quota=rooms.quota[columns],
            stage=rooms.stage[columns],
            exposures=grants,
            traffic_multiplier=rooms.multiplier[columns],
            probability=rooms.probability[columns],
            log_evidence=rooms.log_evidence[columns],
            reasons=reasons[columns],
        )

    def _checked_now(self, now: Any) -> tuple[float, int]:
        """The caller's present and the budget's window at it, checked before anything changes."""
        now = checked_now(now, self._now)
        return now, self._budget.window_at(now)

    def _enter(self, now: float, window: int) -> None:
        """Move the present, and the budget into its window."""
        self._now = now
        if self._budget.advance(self._spending, window):
            self._rooms.current[:] = 0  # what is still in flight was charged to an earlier window

    def _judge(self, columns: NDArray[np.int64], now: float, reasons: NDArray[np.int64], *, promotes: bool) -> None:
        """Run the gates over rooms with new evidence, then move rooms between stages."""
        rooms = self._rooms
        changed = columns[rooms.is_new[columns]]
        counts = rooms.counts[:, changed]
        gate = Gate(
            metric="retained",
            bar=self.config.bar,
            population=BetaPopulation(a=self.config.prior[0], b=self.config.prior[1]),
        )
        s, n = counts[RETAINED].astype(float), counts[EXPOSURES].astype(float)
        rooms.probability[changed] = GateTable([gate]).judge(s, n, np.zeros(n.size, np.int64))[0]
        rooms.log_evidence[changed] = self.config.stop.log_evidence(counts[NEGATIVE], counts[EXPOSURES])
        rooms.is_new[changed] = False
        for moved in advance(self.config, rooms, columns, now, promotes=promotes):
            self._note(moved, now, reasons)

    def _note(self, moved: Move, now: float, reasons: NDArray[np.int64]) -> None:
        reasons[moved.columns] |= BIT[moved.reason]
        for column in moved.columns.tolist():
            change = self._registry.change(column, now, moved.before.name, moved.after.name, moved.reason)
            self._changes.append(change)

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

"""Attribution: touches and conversions joined as they come; credits, and corrections of them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from .._inputs import checked_float, checked_now
from . import _saving
from ._events import checked_codes, checked_times, checked_values
from ._joining import LATE as IS_LATE
from ._joining import admit, join
from ._keeping import OUT_NUMBER, OUT_WIDTH, keep
from ._path import HAS_SEGMENT, LAST_CLICK, MODEL, STEPS
from ._settling import pass_again
from ._state import State, new_state
from ._table import COUNTS, EVICTED_CORRECTIONS, FUTURE, LATEST, SALT, Floats, Ints, add_touches
from .config import AttributionConfig
from .credits import LATE, PASS, Corrections, Credits, Log, corrections_of, credits_of, joined, refused
from .names import checked_names
from .rules import DEFAULT, Compiled, RuleSet, compiled

MOST_SETS = 1_000  # rule sets ever known
_CHUNK = 1 << 16  # columns of a buffer that a pass fills
_STEPS = 8  # touches of a path that are brought near ahead


class Attribution:
    """Join conversions to the touches that earned them.

    Any number of threads may call any method; one works at a time. Every event may be delivered again: a touch that
    stands there already and an order seen before change nothing. Events may come in any order: `settle` attributes
    conversions anew some time later, so that credits and corrections together are what all touches known by then earn.

    A path is made up of the touches of the conversion's user and item (or user) in [at - window, at], both included,
    sorted by time, then priority of the channel, then decision. The window is counted back from the conversion: a touch
    older than it neither opens nor lengthens it. One decision that was seen several times counts once for each item in
    linear and position paths, at its last touch.

    Parameters
    ----------
    config
        Windows and limits.
    rule_sets
        Who earns, in versions; by default the last click.

    Notes
    -----
    A host that restores a checkpoint delivers again what came since: touches, conversions, and calls of `settle`,
    `activate` and `deactivate`, in the order in which they first came and with the same `now`. Then the same credits
    and corrections come out, under the same ids. Save where they went (a `Tally`) before this, or with it:
    what is saved after it lacks what came out between.

    Examples
    --------
    Two touches, a conversion 10 s after the second; half of it is each touch's:

    >>> from seedbed.bandits.attribution import Attribution, Rule, RuleSet
    >>> linear = RuleSet(version="linear", rules=(Rule(model="linear"),))
    >>> attribution = Attribution(rule_sets=[linear])
    >>> attribution.touch(users=["ann", "ann"], items=["room", "room"], at=[0.0, 50.0], decisions=[1, 2])
    >>> credits = attribution.convert(["o1"], ["ann"], ["room"], [60.0], "order", values=9.0)
    >>> credits.decision.tolist(), credits.share.tolist(), credits.value.tolist()
    ([2, 1], [0.5, 0.5], [4.5, 4.5])

    A third one comes late. By the next pass each has a third, and what was given is corrected:

    >>> attribution.touch(["ann"], ["room"], [40.0], decisions=[3])
    >>> corrections = attribution.settle(now=3_660.0)
    >>> corrections.decision.tolist(), corrections.share.round(3).tolist()
    ([2, 1, 3], [-0.167, -0.167, 0.333])
    """

    def __init__(self, config: AttributionConfig | None = None, rule_sets: Iterable[RuleSet] = (DEFAULT,)) -> None:
        self.config = AttributionConfig() if config is None else config
        if not isinstance(self.config, AttributionConfig):
            raise ValueError(f"config = {config!r:.80} is not an AttributionConfig")
        self._lock = threading.RLock()
        self._state: State = new_state(self.config)
        self._log = Log(self.config.corrections)
        self._now: float | None = None
        self._sets: list[RuleSet] = []
        self._active: list[bool] = []
        self._rules: Compiled = compiled([], self.config)
        for rule_set in rule_sets:
            self.activate(rule_set)

    def __repr__(self) -> str:
        return f"Attribution({len(self)} touches, {self.kept} conversions kept)"

    def __len__(self) -> int:
        return int(self._state.ring[1])

    @property
    def kept(self) -> int:
        """Conversions kept, most of which await a pass."""
        return int(self._state.queue[1])

    @property
    def counts(self) -> dict[str, int]:
        """How often what happened since the beginning.

        touches, conversions: taken; duplicates: of either. unattributed: conversions that nobody earned, no_rule: those
        among them that no rule was for. late_touches, late_conversions: taken, but late; future: refused;
        buried_touches: refused, see `longest_walk`. Each event is a touch, a conversion, a duplicate, future or buried.
        cut_paths: longer than `longest_path` or `longest_walk`. evicted_touches, evicted_conversions (before their last
        pass), evicted_orders, evicted_corrections: forgotten as capacity, or the memory of orders, ran out. passes:
        conversions attributed anew; changed: those that earned otherwise; blind_passes: those left as they were, as
        touches had gone or stood too deep.
        """
        with self._lock:
            return dict(zip(COUNTS, self._state.counts.tolist(), strict=True))

    @property
    def watermark(self) -> float:
        """Events before this time are late; -inf before the first."""
        return float(self._state.clock[LATEST]) - self.config.lateness

    # rules

    @property
    def rule_sets(self) -> tuple[RuleSet, ...]:
        """All versions that were ever activated; `rule_set` of credits is a position here."""
        with self._lock:
            return tuple(self._sets)

    @property
    def active(self) -> tuple[str, ...]:
        """Versions that are active."""
        with self._lock:
            return tuple(each.version for each, on in zip(self._sets, self._active, strict=True) if on)

    def activate(self, rule_set: RuleSet) -> None:
        """Let a version count, from the next conversion and the next pass on.

        Raises
        ------
        ValueError
            For a version that was something else before, for kinds or channels that the configuration does not name;
            nothing has changed.
        """
        if not isinstance(rule_set, RuleSet):
            raise ValueError(f"rule_set = {rule_set!r:.80} is not a RuleSet")
        with self._lock:
            sets, active = [*self._sets], [*self._active]
            known = [i for i, each in enumerate(sets) if each.version == rule_set.version]
            if known and sets[known[0]] != rule_set:
                raise ValueError(
                    f"version {rule_set.version!r} is known with other content; give what changed a new version"
                )
            if known:
                active[known[0]] = True
            elif len(sets) >= MOST_SETS:
                raise ValueError(f"{MOST_SETS} versions are known already; begin a new Attribution")
            else:
                sets.append(rule_set)
                active.append(True)
            self._use(sets, active)

    def deactivate(self, version: str) -> None:
        """Let a version count no more: what it gave is corrected by the passes to come.

        Raises
        ------
        KeyError
            For a version that is not active.
        """
        with self._lock:
            if version not in self.active:
                raise KeyError(f"version {version!r:.80} is not active; active are {', '.join(self.active) or 'none'}")
            active = [on and each.version != version for each, on in zip(self._sets, self._active, strict=True)]
            self._use(self._sets, active)

    def _use(self, sets: list[RuleSet], active: list[bool]) -> None:
        rules = compiled([(i, each) for i, each in enumerate(sets) if active[i]], self.config)
        self._sets, self._active, self._rules = sets, active, rules
        reads_on = bool((rules.numbers[:, MODEL] != LAST_CLICK).any())
        self._state.settings[STEPS] = _STEPS if reads_on else 1

    # events

    def touch(
        self, users: Any, items: Any, at: Any, decisions: Any, channels: Any = None, *, now: float | None = None
    ) -> None:
        """Take B touches.

        Parameters
        ----------
        users, items, decisions
            64-bit names, `[B]`: int64 or uint64, or text, which is named by `names_of`.
        at
            When, seconds, `[B]` or one for all.
        channels
            One name for all, or names or positions among the configuration's, `[B]`; -1 for none.
        now
            The caller's present, seconds; must not decrease. By default the latest one given.

        Raises
        ------
        ValueError
            For anything that is not so; nothing has changed.
        """
        users = checked_names(users, "users")
        size = users.size
        items, decisions = checked_names(items, "items", size), checked_names(decisions, "decisions", size)
        times, n = checked_times(at, size), len(self.config.channels)
        ranks = np.zeros(size, np.int64)
        if channels is not None:
            codes = checked_codes(channels, self.config.channels, "channel", size, -1)
            ranks = np.where(codes < 0, 0, n - codes)
        with self._lock:
            present, refuse = self._present(now, times)
            if refuse is not None:
                zeros = np.zeros(int(refuse.sum()), np.int64)
                self._refuse(zeros, decisions[refuse], items[refuse], times[refuse])
                stays = ~refuse
                users, items, decisions = users[stays], items[stays], decisions[stays]
                ranks, times = ranks[stays], times[stays]
            self._now = present
            s = self._state
            add_touches(
                s.slots, s.rows, s.times, s.ring, s.counts, s.clock, self.config.lateness,
                self.config.join == "user", SALT, self.config.longest_walk, users, items, decisions, ranks, times,
            )  # fmt: skip

    def convert(
        self,
        orders: Any,
        users: Any,
        items: Any,
        at: Any,
        kinds: Any,
        values: Any = 1.0,
        segments: Any = None,
        *,
        now: float | None = None,
    ) -> Credits:
        """Attribute B conversions.

        Parameters
        ----------
        orders, users, items
            64-bit names, `[B]`, as in `touch`. An order seen before is a duplicate and earns nothing.
        at
            When, seconds, `[B]` or one for all.
        kinds
            One name for all, or names or positions among the configuration's windows, `[B]`.
        values
            What each is worth, `[B]` or one for all.
        segments
            Names that rules may ask for, `[B]`.
        now
            As in `touch`.

        Returns
        -------
        Credits
            Of conversions that are neither late nor refused: what those earn comes with `corrections` and `settle`.

        Raises
        ------
        ValueError
            For anything that is not so; nothing has changed.
        """
        orders = checked_names(orders, "orders")
        size = orders.size
        users, items = checked_names(users, "users", size), checked_names(items, "items", size)
        times, worth = checked_times(at, size), checked_values(values, size)
        codes = checked_codes(kinds, tuple(self.config.windows), "kind", size)
        named = np.zeros(0, np.int64)
        if segments is not None:
            named = checked_names(segments, "segments", size)
            codes |= HAS_SEGMENT
        with self._lock:
            present, refuse = self._present(now, times)
            rows = None
            if refuse is not None:
                zeros = np.zeros(int(refuse.sum()), np.int64)
                self._refuse(orders[refuse], zeros, items[refuse], times[refuse])
                rows = np.flatnonzero(~refuse)
                named = named[rows] if segments is not None else named
                orders, users, items = orders[rows], users[rows], items[rows]
                codes, times, worth = codes[rows], times[rows], worth[rows]
            self._now = present
            credits = self._join(orders, users, items, named, codes, times, worth)
        return credits if rows is None else credits._replace(row=rows[credits.row])

    def _join(
        self, orders: Ints, users: Ints, items: Ints, segments: Ints, kinds: Ints, at: Floats, values: Floats
    ) -> Credits:
        """Admit, join and keep; file the corrections of late ones."""
        s, config, rules = self._state, self.config, self._rules
        fates = np.empty(orders.size, np.int64)
        s.ring[2] = admit(
            s.names, s.cells, s.counts, s.clock, config.orders, config.lateness, config.order_memory, orders, at, fates
        )
        parts: list[tuple[Ints, Floats]] = []
        start = 0
        while start < orders.size or not parts:
            room = orders.size - start + config.longest_path
            out, amounts = np.empty((OUT_WIDTH, room), np.int64), np.empty((2, room))
            stop, n = join(
                s.slots, s.rows, s.times, s.ring, s.counts, s.settings, s.windows, *rules,
                orders, users, items, segments, kinds, at, values, fates, start, out, amounts,
            )  # fmt: skip
            if config.passes:
                keep(
                    s.kept, s.moments, s.pool, s.queue, s.counts, config.passes[0],
                    orders, users, items, segments, kinds, at, values, fates, start, stop, out, n,
                )  # fmt: skip
            parts.append((out[:, :n], amounts[:, :n]))
            start = stop
        if len(parts) > 1:
            out = np.concatenate([each for each, _ in parts], 1)
            amounts = np.concatenate([each for _, each in parts], 1)
        else:
            out, amounts = parts[0]
        late = out[OUT_NUMBER] == IS_LATE
        if late.any():
            self._file(corrections_of(out[:, late], amounts[:, late], len(config.channels), LATE))
            out, amounts = out[:, ~late], amounts[:, ~late]
        return credits_of(out, amounts, len(config.channels))

    # corrections

    def corrections(self) -> Corrections:
        """Take the corrections that have gathered since they were last taken; each is handed out once."""
        with self._lock:
            taken = self._log.read()
            self._log.clear()
        return taken

    def settle(self, now: float) -> Corrections:
        """Attribute anew the conversions whose time has come, with all touches and rules known now.

        Parameters
        ----------
        now
            The caller's present, seconds; must not decrease.

        Returns
        -------
        Corrections
            Those that had gathered (see `corrections`), then what differs from what was given. A conversion stays as
            it is where touches of its window may have been forgotten, as capacity ran out: `blind_passes` counts them.
        """
        present = checked_float(now, "now")
        with self._lock:
            self._now = checked_now(present, self._now)
            s, config = self._state, self.config
            parts, is_done = [self.corrections()], False
            passes = np.array(config.passes)
            while not is_done:
                room = min(_CHUNK, self.kept * 2 * config.longest_path) + 2 * config.longest_path
                out, amounts = np.empty((OUT_WIDTH, room), np.int64), np.empty((2, room))
                is_done, n = pass_again(
                    s.slots, s.rows, s.times, s.settings, s.windows, passes, *self._rules,
                    s.kept, s.moments, s.pool, s.queue, s.counts, s.clock, self._now, out, amounts,
                )  # fmt: skip
                parts.append(corrections_of(out[:, :n], amounts[:, :n], len(config.channels), PASS))
        return joined(parts)

    def _present(self, now: float | None, at: Floats) -> tuple[float | None, Any]:
        """The caller's present, and which events are too far ahead of it, or None where none is."""
        present = self._now if now is None else checked_now(checked_float(now, "now"), self._now)
        if present is None or not at.size or at.max() <= present + self.config.ahead:
            return present, None
        return present, at > present + self.config.ahead

    def _refuse(self, orders: Ints, decisions: Ints, items: Ints, at: Floats) -> None:
        self._state.counts[FUTURE] += at.size
        self._file(refused(orders, decisions, items, at))

    def _file(self, corrections: Corrections) -> None:
        self._state.counts[EVICTED_CORRECTIONS] += self._log.add(corrections)

    # bytes

    def to_bytes(self) -> bytes:
        """Write all that it knows as bytes; nothing in them is executed when they are read."""
        return _saving.save(self)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises
        ------
        CheckpointError
            For bytes that are anything else; nothing was loaded.
        """
        loaded: Self = _saving.load_attribution(cls, blob)
        return loaded

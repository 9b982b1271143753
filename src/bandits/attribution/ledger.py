"""The ledger of exposures that await their rewards: each settled once, late, twice or out of order as they come."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from .. import records
from .._inputs import LATENESS, checked_float, checked_floats, checked_now
from .._random import ArmId
from .._seen import Seen
from ..arms import checked_id, checked_ids
from . import _ledger_checkpointing, _teaching
from ._exposures import EVICTED, NEVER, SETTLED, Exposure, Held, event_name, told_id
from ._ledger_inputs import checked_arms, checked_names, checked_times
from ._ledger_records import COUNTED, LedgerConfig, Revisions, Settled
from .delays import DelayCurve, DelayCurves
from .names import DecisionId
from .rates import Effective

if TYPE_CHECKING:
    from ..bandit import Bandit

Floats = NDArray[np.float64]
Decision = records.Decision | DecisionId | int  # itself, its id, or its 64-bit name
Key = tuple[ArmId, int]
MAX_REWARD = 1e15  # in size: sums stay finite


class ExposureLedger:
    """Await the rewards of exposures, and say what to teach a bandit.

    `show` what is shown, `reward` what comes back, in any order; `settle` returns what is known for certain, or `teach`
    brings a bandit to what is known by now. Use one of the two:

    * `settle`: a reward is told at once ("first") or at the horizon ("sum", "max"), the default at the horizon. Until
      then the bandit knows of rewards but not of failures, and takes a new arm for better than it is.
    * `teach`: pending exposures count for the share of rewards that have come by their age (see `effective`), so that
      the bandit's posterior is right before the rewards are in; once all are settled it is that of plain updates.

    A reward counts where it happened from 5 s before its exposure (clocks differ) to `horizon` seconds after, whenever
    it arrives; what happened later counts for nothing. One that arrives before its exposure is held until its horizon
    is over. `censor` says that outcomes will never be known (the room has closed, tracking is lost): such an exposure
    gives `settle` nothing, and `teach` what was seen of it until then.

    This is optional: `bandit.update(arm, reward)` stays the short way. `bandit.select(pending=True)` and
    `bandit.expire` keep no exposures apart: an arm's pending ones count as failures, against flooding it, and each
    update of that arm resolves one, whichever it belongs to. With `settle` they go together; with `teach`, whose
    updates are differences, they do not.

    Any number of threads may call any method; one lock serialises them. Bandit and ledger are saved together:
    one without the other would teach twice, or never.

    Parameters
    ----------
    config
        What it makes of rewards.

    Examples
    --------
    >>> from seedbed.bandits import Bandit, Thompson
    >>> from seedbed.bandits.attribution import ExposureLedger, LedgerConfig
    >>> bandit = Bandit(Thompson(), arms=["a", "b"])
    >>> ledger = ExposureLedger(LedgerConfig(horizon=600.0))
    >>> ledger.show(("0", 0, 1), ["a", "b"], at=0.0)
    2
    >>> ledger.reward(("0", 0, 1), "b", 1.0, at=30.0, event_id="order-1")
    'taken'
    >>> ledger.reward(("0", 0, 1), "b", 1.0, at=30.0, event_id="order-1")
    'duplicate'
    >>> for now in (60.0, 600.0):
    ...     known = ledger.settle(now)
    ...     bandit.update(known.arms, known.rewards, known.weights, at=known.at)
    ...     known.arms, known.rewards.tolist()
    (['b'], [1.0])
    (['a'], [0.0])
    """

    def __init__(self, config: LedgerConfig) -> None:
        if not isinstance(config, LedgerConfig):
            raise ValueError(f"config = {config!r:.80} is not a LedgerConfig; pass LedgerConfig(horizon=...)")
        self.config = config
        self._lock = threading.RLock()
        self._now: float | None = None
        self._mode = ""  # "settle" or "teach", from the first of these calls on
        self._counts = dict.fromkeys(COUNTED, 0)
        self._evicted = 0  # since the last call
        self._serial = itertools.count()
        self._due: list[tuple[float, int, Exposure]] = []  # a heap of what is pending, oldest first
        self._pending: dict[ArmId, dict[int, Exposure]] = {}
        self._settled: dict[Key, Exposure] = {}  # remembered, in the order in which they were settled
        self._forgotten = -NEVER  # the latest showing of those that are remembered no more
        self._held: dict[Key, list[Held]] = {}
        self._n_held = 0
        self._seen: Seen[int] = Seen(config.remember)
        self._fresh: list[Exposure] = []  # rewarded, and not told
        self._corrected: dict[Key, Exposure] = {}
        self._are_fractions = True  # whether all rewards were in [0, 1]
        self._matured: dict[ArmId, list[float]] = {}  # exposures whose outcome is known, and their rewards
        self._cut: dict[ArmId, list[tuple[float, float]]] = {}  # of censored ones that are settled: age, reward
        self._taught: dict[ArmId, list[float]] = {}  # successes and failures

    def __repr__(self) -> str:
        return f"ExposureLedger({self.config!r}, {self.pending} pending)"

    @property
    def pending(self) -> int:
        """Exposures that are not settled."""
        return len(self._due)

    @property
    def counts(self) -> dict[str, int]:
        """Number of exposures and rewards so far, by what became of them.

        shown, shown_again (ignored), shown_too_late (older than what is remembered, ignored); rewards (that counted),
        duplicate (event seen before), extra (a "first" was there), early (before its exposure), beyond (the horizon),
        censored_before, late_dropped, late_corrected, held (now), unknown (its exposure never came); settled, defaults
        (of these), censored (of these, outcome unknown), evicted.
        """
        with self._lock:
            return {**self._counts, "held": self._n_held}

    # what happens

    def show(self, decisions: Decision | Sequence[Decision], arms: Any, at: Any) -> int:
        """Await the rewards of exposures; return how many are new. All are noted, or none.

        Parameters
        ----------
        decisions
            The decision that showed the arms, its id or its name; or one for each of them, `[B]`.
        arms
            Id of the arm, or of several, `[B]`.
        at
            When they were shown, seconds; one or `[B]`.

        Raises
        ------
        ValueError
            For what is no decision, arm or time.
        """
        ids = checked_arms(arms)
        names, times = checked_names(decisions, len(ids)), checked_times(at, len(ids))
        with self._lock:
            return sum(map(self._show, names, ids, times))

    def _show(self, name: int, arm: ArmId, at: float) -> bool:
        key, counts = (arm, name), self._counts
        if name in self._pending.get(arm, ()) or key in self._settled:
            counts["shown_again"] += 1
            return False
        if at <= self._forgotten:  # it may have been settled and forgotten
            counts["shown_too_late"] += 1
            return False
        exposure = self._pending.setdefault(arm, {})[name] = Exposure(name, arm, at)
        heapq.heappush(self._due, (at, next(self._serial), exposure))
        counts["shown"] += 1
        if key in self._held:
            for held in self._held.pop(key):
                self._n_held -= 1
                self._reward(exposure, held.value, held.at)
        if len(self._due) > self.config.capacity:
            self._retire(heapq.heappop(self._due)[2], EVICTED)
            counts["evicted"] += 1
            self._evicted += 1
        return True

    def reward(self, decision: Decision, arm: ArmId, value: float, at: float, *, event_id: ArmId | None = None) -> str:
        """Take in a reward; return what became of it, as in `counts`, or "taken".

        Parameters
        ----------
        decision
            The decision that showed the arm, its id or its name.
        arm
            Id of the arm.
        value
            The reward.
        at
            When it happened, seconds.
        event_id
            Name of this event: one of the same exposure that is seen again counts for nothing.

        Raises
        ------
        ValueError
            For what is no decision, arm, finite number, time or id. Nothing has changed.
        """
        (name,), (time,) = checked_names(decision, 1), checked_times(at, 1)
        (arm,) = checked_arms(arm if type(arm) is str else checked_id(arm, "arm"))
        amount = value if type(value) is float else checked_float(value, "value")
        if not abs(amount) <= MAX_REWARD:
            raise ValueError(f"value = {amount} of arm {arm!r} is not in [-{MAX_REWARD:g}, {MAX_REWARD:g}]")
        event = None if event_id is None else event_name(name, arm, checked_id(event_id, "event_id"))
        with self._lock:
            if event is not None and not self._seen.add(event):
                self._counts["duplicate"] += 1
                return "duplicate"
            exposure = self._pending.get(arm, {}).get(name) or self._settled.get((arm, name))
            if exposure is None:
                return self._hold((arm, name), Held(amount, time))
            return self._reward(exposure, amount, time)

    def reward_many(
        self,
        decisions: Sequence[Decision],
        arms: Any,
        values: Any,
        at: Any,
        *,
        event_ids: Iterable[ArmId] | None = None,
    ) -> int:
        """Take in rewards one after the other, `[B]` each, as `reward` does; return how many counted.

        Raises
        ------
        ValueError
            As `reward`. Those before the bad one have been taken in; with `event_ids`, all may be given again.
        """
        ids = checked_ids(arms, "arms", ordered=True)
        size = len(ids)
        events = [None] * size if event_ids is None else checked_ids(event_ids, "event_ids", ordered=True)
        names, times = checked_names(decisions, size), checked_times(at, size)
        rows = zip(names, ids, checked_floats(values, "values", size).tolist(), times, events, strict=True)
        return sum(self.reward(*row, event_id=event) in ("taken", "late_corrected") for *row, event in rows)

    def _hold(self, key: Key, held: Held) -> str:
        """Keep a reward for an exposure that may yet be shown."""
        if self._now is not None and held.at + self.config.horizon <= self._now:
            self._counts["unknown"] += 1
            return "unknown"
        self._held.setdefault(key, []).append(held)
        self._n_held += 1
        while self._n_held > self.config.capacity:
            self._drop_held()
        return "held"

    def _drop_held(self) -> None:
        dropped = len(self._held.pop(next(iter(self._held))))
        self._n_held -= dropped
        self._counts["unknown"] += dropped

    def _reward(self, exposure: Exposure, value: float, at: float) -> str:
        outcome = self._outcome(exposure, value, at)
        self._counts["rewards" if outcome == "taken" else outcome] += 1
        return outcome

    def _outcome(self, exposure: Exposure, value: float, at: float) -> str:
        """What becomes of a reward whose exposure is known."""
        if at < exposure.at - LATENESS:
            return "early"
        if at > exposure.at + self.config.horizon:
            return "beyond"
        if at > exposure.censored_at:
            return "censored_before"
        if exposure.state == EVICTED or (exposure.state == SETTLED and self.config.late == "drop"):
            return "late_dropped"
        how = self.config.aggregation
        if how == "first" and exposure.rewards:
            return "extra"
        if exposure.state == SETTLED and exposure.censored_at < NEVER:
            return "late_dropped"
        self._are_fractions &= 0.0 <= value <= 1.0
        before = self._result(exposure)
        joined = value
        if exposure.rewards:
            joined = exposure.value + value if how == "sum" else max(exposure.value, value)
        exposure.value, exposure.rewards = joined, exposure.rewards + 1
        exposure.rewarded_at = max(exposure.rewarded_at, at)
        if exposure.state == SETTLED:
            if exposure.arm in self._matured:  # else it was retired and forgotten
                self._matured[exposure.arm][1] += joined - before
            if self._mode == "settle":
                self._corrected[exposure.arm, exposure.name] = exposure
            return "late_corrected"
        if how == "first" and self._mode != "teach":
            self._fresh.append(exposure)
        return "taken"

    def _result(self, exposure: Exposure) -> float:
        """What the exposure has brought, were it settled now."""
        return exposure.value if exposure.rewards else self.config.default_reward

    def censor(self, decisions: Decision | Sequence[Decision] | None, arms: Any, at: float) -> int:
        """Note that rewards after `at` will never be seen; return of how many exposures.

        Parameters
        ----------
        decisions
            As for `show`; None for all pending exposures of the arms: the room has closed.
        arms
            Id of the arm, or of several, `[B]`.
        at
            When that began, seconds.
        """
        ids, (time,) = checked_arms(arms), checked_times(at, 1)
        with self._lock:
            if decisions is None:
                meant = [exposure for arm in ids for exposure in self._pending.get(arm, {}).values()]
            else:
                keys = zip(ids, checked_names(decisions, len(ids)), strict=True)
                found = (self._pending.get(arm, {}).get(name) for arm, name in keys)
                meant = [exposure for exposure in found if exposure is not None]
            before = sum(exposure.censored_at < NEVER for exposure in meant)
            for exposure in meant:
                exposure.censored_at = min(exposure.censored_at, max(time, exposure.at))
            return len(meant) - before

    # what is known

    def settle(self, now: float) -> Settled:
        """Return what is known for certain since the last call: what to teach.

        Parameters
        ----------
        now
            The caller's present, seconds, less the time that rewards take to be delivered; must not decrease.

        Raises
        ------
        ValueError
            For a `now` that runs backwards, or a ledger that teaches.
        """
        with self._lock:
            time = checked_now(now, self._now)
            self._enter("settle", time)
            told: list[Exposure] = []
            for exposure in self._fresh:
                self._tell(exposure, exposure.rewarded_at, told)
            self._fresh.clear()
            self._mature(time, told)
            arms, rewards, at = [e.arm for e in told], [e.told for e in told], [e.told_at for e in told]
            names = [told_id(exposure) for exposure in told]
            settled = Settled(
                arms, np.array(rewards), np.array(at), np.ones(len(arms)), names, self._revisions(), self._evicted
            )
            self._evicted = 0
            return settled

    def _tell(self, exposure: Exposure, at: float, told: list[Exposure]) -> None:
        exposure.told, exposure.told_at = self._result(exposure), at
        told.append(exposure)

    def _revisions(self) -> Revisions:
        wrong = [e for e in self._corrected.values() if e.is_told and e.told != e.value]
        self._corrected.clear()
        old = np.array([exposure.told for exposure in wrong])
        for exposure in wrong:
            exposure.told, exposure.revision = exposure.value, exposure.revision + 1
        new, at = np.array([e.told for e in wrong]), np.array([e.told_at for e in wrong])
        return Revisions([e.arm for e in wrong], old, new, at, [told_id(e) for e in wrong])

    def _enter(self, mode: str, now: float) -> None:
        if self._mode not in ("", mode):
            raise ValueError(
                f"this ledger is used by `{self._mode}`, which `{mode}` would teach again; use a second one"
            )
        self._mode, self._now = mode, now

    def _mature(self, now: float, told: list[Exposure]) -> None:
        """Settle what is as old as the horizon."""
        while self._due and self._due[0][0] + self.config.horizon <= now:
            exposure = heapq.heappop(self._due)[2]
            self._retire(exposure, SETTLED)
            counts, arm, value = self._counts, exposure.arm, self._result(exposure)
            if exposure.censored_at < NEVER:
                _teaching.cut(self, exposure)
                if not (exposure.rewards and self.config.aggregation == "first"):
                    counts["censored"] += 1
                    continue
            else:
                matured = self._matured.setdefault(arm, [0.0, 0.0])
                matured[0] += 1.0
                matured[1] += value
            counts["settled"] += 1
            counts["defaults"] += not exposure.rewards
            if not exposure.is_told:
                self._tell(exposure, exposure.at + self.config.horizon, told)
        while self._held and max(h.at for h in next(iter(self._held.values()))) + self.config.horizon <= now:
            self._drop_held()

    def _retire(self, exposure: Exposure, state: int) -> None:
        """Take an exposure from the pending ones to the remembered ones, of which the oldest go."""
        exposure.state = state
        of_arm = self._pending[exposure.arm]
        del of_arm[exposure.name]
        if not of_arm:
            del self._pending[exposure.arm]
        self._settled[exposure.arm, exposure.name] = exposure
        if len(self._settled) > self.config.remember:
            oldest = self._settled.pop(next(iter(self._settled)))
            self._forgotten = max(self._forgotten, oldest.at)

    def effective(
        self,
        now: float,
        curve: DelayCurve | DelayCurves,
        arms: Iterable[ArmId] | None = None,
        *,
        prior: tuple[float, float] = (1.0, 1.0),
        level: float = 0.95,
    ) -> dict[ArmId, Effective]:
        """What is known of arms by now, all their exposures so far together; changes nothing: see `effective`.

        Parameters
        ----------
        now
            The caller's present, seconds, less the time that rewards take to be delivered.
        curve
            Of the delay, of the ledger's horizon; or curves by arm.
        arms
            Ids; by default all that have exposures.
        prior, level
            As of `effective`.

        Raises
        ------
        ValueError
            For a curve of another horizon, or rewards that are not in [0, 1], first ones, and 0 by default.
        """
        time = checked_now(now, None)
        with self._lock:
            _teaching.check(self, curve)
            ids = _teaching.arms_of(self) if arms is None else checked_ids(arms, "arms")
            return {arm: _teaching.known(self, arm, time, curve, prior, level) for arm in ids}

    def teach(self, bandit: Bandit, now: float, curve: DelayCurve | DelayCurves) -> int:
        """Bring what a bandit has learnt here of each arm to what is known by now; return how many arms changed.

        The evidence of an arm becomes `(w s, w max(N - s, 0))` of `effective`, by updates and corrections of the
        differences; what it has learnt elsewhere stays. Amounts are multiples of 2^-20, so that sums of them are exact
        and no rounding ever asks for more than was taught. Arms that the bandit has retired are forgotten.

        Parameters
        ----------
        bandit
            Of the model Beta, which forgets nothing.
        now, curve
            As of `effective`; `now` must not decrease.

        Raises
        ------
        UnknownArmError
            For exposures of arms that the bandit never had. Nothing has been taught.
        ValueError
            As `effective`; for another model, a ledger that is settled, or a bandit that is not the one that was
            taught. Nothing has been taught.
        """
        with self._lock:
            time = checked_now(now, self._now)
            _teaching.check(self, curve)
            _teaching.check_bandit(bandit)
            gone = _teaching.gone(self, bandit)
            self._enter("teach", time)
            self._fresh.clear()
            for arm in gone:
                _teaching.forget(self, arm)
            self._mature(time, [])
            return _teaching.teach(self, bandit, time, curve)

    # state

    def to_bytes(self) -> bytes:
        """Write a checkpoint; of a ledger that teaches, together with its bandit's."""
        with self._lock:
            return _ledger_checkpointing.save(self)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Resume exactly from a checkpoint.

        Raises
        ------
        CheckpointError
            For anything else. Nothing was loaded.
        """
        return _ledger_checkpointing.load(cls, blob)

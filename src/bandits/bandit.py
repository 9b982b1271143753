"""Bandit: a rule, its arms and what it has learnt; the one stateful class."""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from . import (
    _checkpointing,
    _correcting,
    _deciding,
    _lifecycle,
    _lives,
    _many,
    _merging,
    _telling,
    _updating,
    contributions,
)
from ._changes import ChangeDetector
from ._inputs import checked_float, checked_int, checked_name, checked_now
from ._learning import update_one
from ._pending import expire, is_resolved, show
from ._random import ArmId, base_key, fold_in
from ._sums import width_of
from ._table import (
    EVENTS,
    LATEST,
    PENDING,
    TERMS,
    VERSION,
    Handles,
    P,
    State,
    Table,
    columns_of,
    first_stale,
    move,
)
from ._window import new_ring
from .arms import Arms, are_distinct, checked_candidates, checked_id, checked_ids, distinct
from .contributions import Ledger
from .models._linear_base import LinearModel
from .policies import AnyPolicy
from .records import MOST_CHANGES, Change, Decision

_NOBODY = -1  # a handle that no arm has
_SPARE = 16  # columns of the smallest table
_NAN = float("nan")


class Bandit:
    """Select arms and learn from their rewards.

    Any number of threads may call any method. `select` and a single `update` take no lock; batches, structural changes
    and read-outs share one. No update is lost, none is credited to another arm, and no batch is seen half applied by a
    checkpoint.

    Parameters
    ----------
    policy
        The rule, with its model.
    arms
        Ids: strings or integers (`1` and `"1"` differ).
    seed
        Integer in [0, 2**64) from which, with `replica`, every draw is keyed.
    replica
        Name of this process among those that serve the same arms; it enters the key, so that replicas explore apart.
    change_detector
        Restarts arms whose rate changes, for the model Beta; `changes` tells which.
    capacity
        Arms to make room for. Beyond, the tables grow to twice their size, for which all other threads wait: some 0.1 s
        at a million arms. Memory is committed when arms come.

    Examples
    --------
    >>> from seedbed.bandits import Bandit, Thompson
    >>> bandit = Bandit(Thompson(), arms=["a", "b", "c"], seed=7)
    >>> decision = bandit.select(candidates=["a", "b"])
    >>> bandit.update(decision.arms[0], reward=1.0)
    >>> twin = Bandit.from_bytes(bandit.to_bytes())
    >>> twin.select().arms == bandit.select().arms
    True
    """

    def __init__(
        self,
        policy: AnyPolicy,
        arms: Iterable[ArmId] = (),
        *,
        seed: int = 0,
        replica: str = "0",
        change_detector: ChangeDetector | None = None,
        capacity: int = _SPARE,
    ) -> None:
        if isinstance(policy, type) or not hasattr(policy, "best"):
            raise ValueError(f"policy = {policy!r} is not a policy; pass one such as Thompson()")
        checked_name(replica)
        model = policy.model
        if change_detector is not None and (model.kind != "beta" or model.window is not None):
            raise ValueError("a change_detector works with the model 'beta' without a window; leave one of them out")
        self.policy = policy
        self.change_detector = change_detector
        self.seed = checked_int(seed, "seed", 0, 2**64 - 1)
        self.replica = replica
        self.epoch = 0
        self._now: float | None = None
        self._counter = np.zeros(1, np.int64)
        self._base = base_key(self.seed, self.replica, self.epoch)
        self._lock = threading.RLock()
        self._read_policy()
        self._arms = Arms()
        self._handle_of = self._arms.handle_of
        columns = max(checked_int(capacity, "capacity", 0, 2**31 - 1), _SPARE)
        self._others_width = 0  # numbers of others' sums in each block
        self._state = self._new_state(columns)
        self._table = self._state.table  # the same array, one look-up nearer to the single update
        self._uids = np.zeros(columns, np.uint64)
        self._ring = new_ring(policy.model.window)
        self._ledger = Ledger(width_of(policy.model))
        self._shown: deque[tuple[float, Handles, Table]] = deque()
        self._changes: deque[Change] = deque(maxlen=MOST_CHANGES)
        self.add_arms(arms)

    def _read_policy(self) -> None:
        """Look up once what every decision and update asks of the policy."""
        policy, detector = self.policy, self.change_detector
        self._model: Any = policy.model  # any of the models: which cells it has, its kind tells
        self._best, self._numbers = policy.best, policy.numbers
        self._is_contextual = policy.model.is_contextual
        self._needs_propensity = policy.needs_propensity
        self._is_deterministic = policy.is_deterministic
        self._detection = (0.0, 0.0) if detector is None else (detector.bucket, float(np.log(detector.delta)))
        model = self._model
        self._shape = (getattr(policy.model, "width", 0),)  # of one context
        self._is_timed = detector is not None or model.window is not None or model.half_life is not None
        self._learning: tuple[Any, float] = (None, 0.0)  # of a linear model: its kernel and its ridge
        if isinstance(model, LinearModel):
            self._learning = model.learn_one, model.ridge
        self._reach: tuple[float, float] | None = None  # where `lazy_linear_best` decides
        if model.kind == "linear" and model.half_life is None and policy.reach is not None:
            self._reach = policy.width, policy.reach
        self._is_plain = not (self._is_timed or self._is_contextual or self._needs_propensity)

    def _new_state(self, capacity: int) -> State:
        detector = self.change_detector
        state: State = self._model.init(capacity, self._others_width if detector is None else detector.width)
        state.table[TERMS, -1] = self.policy.terms
        return state

    def _resets(self) -> Handles | None:
        """How often each column's arm was restarted, where there is a change detector."""
        return None if self.change_detector is None else self._state.blocks[: self.columns, -1].astype(np.int64)

    def __repr__(self) -> str:
        return f"Bandit({self.policy!r}, {len(self._arms)} arms, {self.updates} updates)"

    def __len__(self) -> int:
        return len(self._arms)

    @property
    def arms(self) -> list[ArmId]:
        """Ids of the arms that are not retired, in the order in which they came; paused ones too."""
        with self._lock:
            return list(self._handle_of)

    @property
    def columns(self) -> int:
        """Columns in use, those of retired arms included: the length of arrays kept beside this bandit's."""
        return len(self._arms.ids)

    @property
    def updates(self) -> int:
        """Number of events learnt."""
        return int(self._table[EVENTS, -1])

    @property
    def pending(self) -> int:
        """Exposures that await feedback, over all arms."""
        return int(self._table[PENDING, -1])

    @property
    def changes(self) -> list[Change]:
        """What the change detector has noticed, oldest first; the newest 10,000."""
        with self._lock:
            return list(self._changes)

    # choosing

    def select(
        self,
        candidates: Iterable[ArmId] | None = None,
        k: int = 1,
        *,
        context: Any = None,
        now: float | None = None,
        pending: bool = False,
        propensities: bool = False,
    ) -> Decision:
        """Choose the k best candidates.

        Parameters
        ----------
        candidates
            Distinct ids of arms, [C]; all by default. Paused arms are dropped and counted.
        k
            Number of arms to choose, in [1, C].
        context
            Features, `[d]` for all candidates or `[C, d]`, one row a candidate, for models that read them.
        now
            The caller's present, seconds; must not decrease. By default the latest time known.
        pending
            Whether to count this exposure as one that awaits feedback, until `update` or `expire`.
        propensities
            Whether to work out the propensities of the chosen arms.

        Returns
        -------
        Decision
            Its `arms` are ids, best first.

        Raises
        ------
        UnknownArmError
            For an id that names no live arm (a KeyError).
        ValueError
            For no or repeated candidates, a k out of range, a bad context, a `now` that runs backwards. Nothing has
            changed.
        """
        if context is not None and not self._is_contextual:
            _updating.checked_contexts(self, context, 0)
        ids = None
        if candidates is not None:
            ids = checked_candidates(candidates)
        return self._decide(ids, None, k, context, now, pending, propensities)

    def select_rows(
        self,
        rows: Handles,
        k: int = 1,
        *,
        context: Any = None,
        now: float | None = None,
        pending: bool = False,
        propensities: bool = False,
    ) -> Decision:
        """Choose the k best of the arms in `rows` (from `Bandit.rows`), without a look-up by id.

        Raises
        ------
        StaleRowsError
            For a row that its arm no longer owns.
        ValueError
            As `select`.
        """
        if context is not None and not self._is_contextual:
            _updating.checked_contexts(self, context, 0)
        with self._lock:  # the ids of the rows are looked up after the decision
            handles = self._checked_rows(rows)
            if not are_distinct(handles):
                raise ValueError("rows must be distinct; one is given twice")
            return self._decide(None, handles, k, context, now, pending, propensities)

    def _decide(
        self,
        ids: list[ArmId] | None,
        rows: Handles | None,
        k: int,
        context: Any,
        now: float | None,
        pending: bool,
        propensities: bool,
    ) -> Decision:
        time = _NAN if now is None else checked_now(now, self._now)
        decision = _deciding.decide(self, ids, rows, k, context, time, pending=pending, propensities=propensities)
        if now is not None:
            self._now = time
        return decision

    def _next_key(self) -> int:
        """Take a decision number, as `select` does, for a decision that is made outside; return its key."""
        return int(fold_in(self._base, _deciding.count(self._counter, 1)))

    def select_many(
        self,
        candidates: Sequence[Iterable[ArmId]] | None = None,
        k: int = 1,
        *,
        n: int | None = None,
        contexts: Any = None,
        now: float | None = None,
    ) -> list[Decision]:
        """Decide many requests in one call, as a loop of `select` would, draw for draw.

        The state is copied once, for the arms in question; then the decisions are made without the GIL.

        Parameters
        ----------
        candidates
            One list of ids a request, `[n][C]`; all arms for each by default.
        k
            Number of arms to choose for each.
        n
            Number of requests, where neither candidates nor contexts tell.
        contexts
            `[n, d]`, one a request, or n arrays of `[d]` or `[C, d]`.
        now
            The caller's present, seconds, for all.

        Returns
        -------
        list of Decision, [n]

        Raises
        ------
        UnknownArmError, ValueError
            As `select`, for any of the requests; then none is decided.
        """
        return _many.select_many(self, candidates, k, n, contexts, now)

    def propensities(
        self,
        candidates: Iterable[ArmId] | None = None,
        k: int = 1,
        *,
        context: Any = None,
        now: float | None = None,
    ) -> Table:
        """Probability that each candidate would be among the k chosen now, `[C]`; exact, and changes nothing.

        By quadrature, within 1e-6, for Thompson sampling; 0 or 1 for rules without chance.

        Raises
        ------
        UnknownArmError
            For an id that names no live arm.
        ValueError
            As `select`, and where the rule has no exact propensities: slates of top-two Thompson, draws of linear
            models that share parameters.
        """
        time = _NAN if now is None else checked_now(now, self._now)
        with self._lock:
            ids = self._live_ids() if candidates is None else checked_candidates(candidates)
            handles = self._arms.handles(ids)
            k = _deciding.checked_k(k, handles.size)
            contexts = _updating.checked_contexts(self, context, handles.size)
            _deciding.check_exact(self, k, handles.size)
            private = _deciding.read(self, handles, contexts, 0, time, draws=False)
        return _deciding.inclusion(self, private, k)

    def expire(self, now: float, *, horizon: float = 0.0) -> int:
        """Await no more the feedback of exposures shown `horizon` seconds before `now` or earlier; return how many.

        Of an arm's exposures, feedback resolves the oldest first.
        """
        present, horizon = checked_float(now, "now"), checked_float(horizon, "horizon")
        if not (np.isfinite(present) and 0.0 <= horizon < np.inf):
            raise ValueError(f"now = {present} and horizon = {horizon} must be finite, and the horizon not negative")
        time, expired = present - horizon, 0
        with self._lock:
            while self._shown and self._shown[0][0] <= time:
                _, handles, counts = self._shown.popleft()
                expired += expire(self._table, handles, counts)
        return expired

    def _show(self, handles: Handles, now: float) -> None:
        """Count exposures that await feedback; those at the front that were resolved since are forgotten."""
        with self._lock:
            for _ in range(2):
                if self._shown and is_resolved(self._table, *self._shown[0][1:]):
                    self._shown.popleft()
            if self.pending == 0:
                self._shown.clear()
            counts = np.empty(handles.size)
            show(self._table, handles, counts)
            times = [now, self._table[LATEST, -1], self._now, self._shown[-1][0] if self._shown else None]
            latest = max((time for time in times if time is not None and time == time), default=-np.inf)
            self._shown.append((float(latest), handles, counts))

    # learning

    def update(
        self,
        arm: Any,
        reward: Any,
        weight: Any = 1.0,
        context: Any = None,
        at: Any = None,
        propensity: Any = None,
    ) -> None:
        """Learn the reward of one event, or of a batch of events, all or nothing.

        Parameters
        ----------
        arm
            Id of a live arm; a list or array of ids makes a batch, [B].
        reward
            In the model's support; `[B]` for a batch.
        weight
            Importance weight in [0, 1e12]; one for all or `[B]`.
        context
            Features that the decision had for this arm, `[d]`; `[B, d]` for a batch. For models that read them.
        at
            When it happened, seconds: any order, at most 5 s after the latest `now`. By default the latest time known.
        propensity
            Probability with which the arm was chosen, for rules that learn from it (EXP3); one for all or `[B]`.

        Raises
        ------
        UnknownArmError
            For an id that names no live arm (a KeyError).
        ValueError
            For a bad reward, weight, context or time. Nothing has been learnt, of a batch neither.
        """
        # no keyword-only parameters here: CPython looks up the default of each in a dict, 20 ns apiece
        if context is not None or at is not None or propensity is not None or not self._is_plain:
            if type(arm) is str or type(arm) is int or not _updating.is_batch(arm):
                _updating.update_single(self, arm, reward, weight, context, at, propensity)
            else:
                ids = checked_ids(arm, "arm", ordered=True)
                _updating.update_many(self, ids, None, reward, weight, context, at, propensity)
            return
        if type(arm) is not str and type(arm) is not int:
            if _updating.is_batch(arm):
                ids = checked_ids(arm, "arm", ordered=True)
                _updating.update_many(self, ids, None, reward, weight, None, None, None)
                return
            arm = checked_id(arm, "arm")
        if type(reward) is not float:
            reward = float(reward) if type(reward) is int and 0 <= reward <= 1 else checked_float(reward, "reward")
        if type(weight) is not float:
            weight = checked_float(weight, "weight")
        if update_one(self._table, self._handle_of.get(arm, _NOBODY), reward, weight):
            _updating.update_single(self, arm, reward, weight, None, None, None)

    def update_rows(
        self,
        rows: Handles,
        rewards: Any,
        *,
        weight: Any = 1.0,
        context: Any = None,
        at: Any = None,
        propensity: Any = None,
    ) -> None:
        """Learn a batch of rewards of the arms in `rows` (from `Bandit.rows`), as `update` does."""
        _updating.update_many(self, None, self._rows_array(rows), rewards, weight, context, at, propensity)

    # arms

    def add_arms(self, ids: Iterable[ArmId]) -> None:
        """Add new arms, which start from the prior; all or none.

        Raises
        ------
        ValueError
            For an id that is live, was retired, or is given twice. Nothing was added.
        """
        _lifecycle.add_arms(self, checked_ids(ids, "arms"))

    def retire_arms(self, ids: Iterable[ArmId]) -> None:
        """Forget arms and what was learnt of them, for ever: their ids are never accepted again; all or none.

        Raises
        ------
        UnknownArmError
            For an id that names no live arm. Nothing was retired.
        """
        _lifecycle.retire_arms(self, distinct(ids, "retired"))

    def pause_arms(self, ids: Iterable[ArmId]) -> None:
        """Take arms out of the choice until `resume_arms`; they keep what they have learnt, and learn on; all or none.

        Raises
        ------
        UnknownArmError
            For an id that names no live arm. Nothing was paused.
        """
        _lifecycle.pause_arms(self, distinct(ids, "paused"), is_paused=True)

    def resume_arms(self, ids: Iterable[ArmId]) -> None:
        """Bring paused arms back into the choice; those that are not paused stay as they are."""
        _lifecycle.pause_arms(self, distinct(ids, "resumed"), is_paused=False)

    @property
    def paused(self) -> list[ArmId]:
        """Ids of the paused arms, in the order in which they came."""
        with self._lock:
            return [id for id in self._handle_of if id in self._arms.paused]

    def warm_start(
        self,
        ids: Iterable[ArmId],
        *,
        strength: float,
        source: Iterable[ArmId] | None = None,
        mean: float | None = None,
    ) -> None:
        """Give arms a prior like other arms, or of a given mean, worth `strength` observations.

        Evidence that the arms have is kept, beside the new prior.

        Parameters
        ----------
        ids
            The arms to start.
        strength
            Pseudo-counts (for GammaPoisson: units of time), in [1e-6, 1e12].
        source
            Arms whose evidence is pooled, such as those of a group; by default all arms but `ids`.
        mean
            Mean reward of the prior, in place of a source.

        Raises
        ------
        UnknownArmError
            For an id that names no live arm.
        ValueError
            For a source without evidence, or a linear model: shared parameters carry over to new arms by themselves.
        """
        _lifecycle.warm_start(self, distinct(ids, "started"), strength, source, mean)

    def _grow(self, capacity: int) -> None:
        uids = np.zeros(capacity, np.uint64)
        uids[: self._uids.size] = self._uids
        state = self._new_state(capacity)
        self._uids = uids
        move(self._state.table, self._state.blocks, state.table, state.blocks)
        state = state._replace(shared=self._state.shared)
        self._state = state
        self._table = state.table

    def was_retired(self, id: ArmId) -> bool:
        """Whether the id was that of an arm which was retired, and so can never be added again."""
        return self._arms.was_retired(id)

    def rows(self, ids: Iterable[ArmId]) -> Handles:
        """Rows of live arms, int64 `[B]`, for `select_rows` and `update_rows`.

        A row carries the generation of its arm, so that one kept after its arm was retired is refused.
        """
        return self._arms.handles(checked_ids(ids, "ids"))

    def uids(self, rows: Handles) -> NDArray[np.uint64]:
        """64-bit names of the arms in `rows`, `[B]`: the order in which equals are ranked."""
        uids: NDArray[np.uint64] = self._uids[columns_of(self._checked_rows(rows))]
        return uids

    # reading

    def mean(
        self, candidates: Iterable[ArmId] | None = None, *, context: Any = None, now: float | None = None
    ) -> Table:
        """Posterior mean reward of each candidate, `[C]`; changes nothing."""
        time = _NAN if now is None else checked_now(now, self._now)
        with self._lock:
            handles = self._candidates(candidates)
            contexts = _updating.checked_contexts(self, context, handles.size)
            if contexts is not None:
                return _deciding.read(self, handles, contexts, 0, time, draws=False).table[P, :-1].copy()
            means: Table = self._model.mean(self._state, handles, time)
            return means

    def evidence(self, candidates: Iterable[ArmId] | None = None, *, now: float | None = None) -> Table:
        """Mean reward, the weight behind it and the variance of a reward, without the prior, `[3, C]`; changes nothing.

        Raises
        ------
        ValueError
            For linear models, whose evidence is a regression.
        """
        if self._is_contextual:
            raise ValueError(f"the model {self._model.kind!r} keeps a regression, not means; use `mean(context=...)`")
        time = _NAN if now is None else checked_now(now, self._now)
        with self._lock:
            evidence: Table = self._model.evidence(self._state, self._candidates(candidates), time)
            return evidence

    def scores(
        self, candidates: Iterable[ArmId] | None = None, *, context: Any = None, now: float | None = None
    ) -> Table:
        """Score of each candidate at the decision that comes next, `[C]`; changes nothing."""
        time = _NAN if now is None else checked_now(now, self._now)
        with self._lock:
            handles = self._candidates(None if candidates is None else checked_candidates(candidates))
            contexts = _updating.checked_contexts(self, context, handles.size)
            key = fold_in(self._base, int(self._counter[0]))
            out = np.empty(handles.size)
            private = _deciding.read(self, handles, contexts, key, time, draws=self.policy.draws)
            self.policy.scores(*private[:3], key, private.version, time, *self._numbers, out)
            return out

    def _candidates(self, candidates: Iterable[ArmId] | None) -> Handles:
        return self._arms.handles(self._live_ids()) if candidates is None else self.rows(candidates)

    def _live_ids(self) -> list[ArmId]:
        return list(self._arms.live(self._lock, self._version).ids)

    def _version(self) -> float:
        return float(self._table[VERSION, -1])

    # state

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Make an exact twin, as `from_bytes(to_bytes())` does."""
        return self.from_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Write a checkpoint: policy, arms, evidence, seed and counters."""
        return _checkpointing.save(self)

    @classmethod
    def from_bytes(cls, blob: bytes, *, replica: str | None = None, epoch: int | None = None) -> Self:
        """Resume exactly from a checkpoint: the next decision is the one that the saved bandit would have made.

        Parameters
        ----------
        blob
            From `to_bytes`.
        replica
            To fork instead: a name for the new bandit, which decides by draws of its own and has learnt nothing itself
            beside what it has read. The saved bandit's own name starts its next epoch, as after a crash.
        epoch
            With `replica`: which of its epochs; by default the first after those that the checkpoint knows.

        Raises
        ------
        CheckpointError
            For bytes that are truncated, altered, of another kind or of a newer format. Nothing was loaded.
        """
        bandit: Self = _checkpointing.load(cls, blob)
        if replica is not None:
            bandit.reopen(replica, epoch=epoch)
        elif epoch is not None:
            raise ValueError("an epoch goes with the name of a replica; pass `replica` too")
        return bandit

    # replicas

    @classmethod
    def merge(cls, bandits: Iterable[Self | bytes], *, replica: str = "merged") -> Self:
        """Make one bandit that has learnt what all have, each event once.

        A bandit tells what it has learnt itself and what it has heard of others; of each replica and epoch the newest
        counts. The result does not depend on order, repetition or grouping; sums of integers are exact. Arms of any are
        arms of all, and one retired anywhere stays retired. Of priors and pauses the latest written holds. Exposures
        that await feedback stay with the bandit that showed them.

        Parameters
        ----------
        bandits
            Bandits, their checkpoints, or contributions; one bandit or checkpoint at least.
        replica
            Name of the result, which itself has learnt nothing yet.

        Raises
        ------
        MergeError
            For other policies, for two bandits of one name, and for what does not add up: EXP3, sliding windows and
            the model 'hybrid_linear'.
        CheckpointError
            For bytes that are none of these.

        Examples
        --------
        >>> from seedbed.bandits import Bandit, Thompson
        >>> one = Bandit(Thompson(), arms=["a", "b"], replica="eu-1")
        >>> two = Bandit(Thompson(), arms=["a", "b"], replica="eu-2")
        >>> one.update("a", 1.0), two.update("a", 0.0)
        (None, None)
        >>> fleet = Bandit.merge([one, two.to_bytes(), one])
        >>> fleet.evidence(["a"])[:2].tolist()
        [[0.5], [2.0]]
        """
        merged: Any = _merging.merge(cls, bandits, checked_name(replica))
        return merged  # type: ignore[no-any-return]

    def contribution(self, since: int | None = None) -> bytes:
        """Write what this bandit has learnt itself, for others to `absorb`.

        Parameters
        ----------
        since
            Number of its events (`learnt`) that the receiver has: what has not changed since may be left out.

        Raises
        ------
        MergeError
            For what does not add up.
        """
        return contributions.to_bytes(_telling.contribution(self, since))

    def absorb(self, source: Self | bytes) -> None:
        """Learn what another has learnt, as `merge` does: a bandit, its checkpoint or contribution; all or nothing.

        Raises
        ------
        MergeError, CheckpointError
            As `merge`, and for a delta that adds to more than is known.
        """
        _merging.absorb(self, source)

    @property
    def learnt(self) -> int:
        """Number of events that this bandit has learnt itself under its present name; `updates` counts others' too."""
        with self._lock:
            return self.updates - self._ledger.others_events

    @property
    def heard(self) -> dict[tuple[str, int], int]:
        """Number of events learnt by each other (replica, epoch) that was heard of."""
        with self._lock:
            return {name: slot.seq for name, slot in self._ledger.slots.items()}

    def reopen(self, replica: str | None = None, *, epoch: int | None = None) -> None:
        """Go on under another name, or the next epoch of this one: with draws and a contribution of its own.

        What was learnt so far stays, under the name that it was learnt by. Not while other threads decide.
        """
        _lives.reopen(self, self.replica if replica is None else checked_name(replica), epoch)

    def take_over(self) -> None:
        """Count what earlier epochs of this replica learnt as learnt in this one, so that restarts do not add up.

        For a replica that has heard of all that its earlier lives have told (`Fleet` sees to it): what they are said to
        have learnt besides, later, counts no more, and one that should still live is refused by all who hear of this.
        """
        _lives.take_over(self)

    def correct(self, arm: Any, reward: Any, weight: Any = 1.0, context: Any = None, at: Any = None) -> None:
        """Take back events that were learnt, one or a batch, all or nothing; parameters as in `update`.

        Each counts as an event. In a fleet any replica may take back what another has learnt, once it has heard of it.

        Raises
        ------
        UnknownArmError
            For an id that names no live arm.
        MergeError
            For what does not add up.
        ValueError
            As `update`, and where an arm has not learnt as much.
        """
        _correcting.correct(self, arm, reward, weight, context, at)

    # checks

    @staticmethod
    def _rows_array(rows: Any) -> Handles:
        array: NDArray[Any] = np.asarray(rows)
        if array.ndim != 1 or array.dtype != np.int64:
            raise ValueError(f"rows must be int64 [B] from `Bandit.rows`; got {array.dtype} of shape {array.shape}")
        return np.require(array, np.int64, ["C", "A", "W"])

    def _checked_rows(self, rows: Any) -> Handles:
        array = self._rows_array(rows)
        self._check_current(array)
        return array

    def _check_current(self, rows: Handles) -> None:
        with self._lock:
            i = first_stale(self._table, rows)
        if i >= 0:
            raise _updating.stale(i)

"""Bandit: a rule, its arms and what it has learnt; the one stateful class."""

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from . import _checkpointing
from ._inputs import checked_at, checked_float, checked_floats, checked_int, checked_now
from ._numba import kernel
from ._random import ArmId, base_key, fold_in
from ._table import BAD_WEIGHT, EVENTS, STALE, Handles, Table, columns_of, first_stale, move, occupy, vacate
from .arms import Arms, checked_id, checked_ids, uid_array
from .errors import StaleRowsError
from .models.beta import MAX_WEIGHT, check_batch, update_batch, update_one
from .policies import AnyPolicy
from .records import Decision

_CHUNK = 8_192  # events that one kernel call applies while it holds the GIL
_NOBODY = -1  # a handle that no arm has
_SPARE = 16  # columns of the smallest table


@kernel
def _count(counter: Handles) -> int:
    counter[0] += 1
    return counter[0] - 1  # type: ignore[no-any-return]


class Bandit:
    """Select arms and learn from their rewards.

    `select` and a single `update` take no lock; batches, `add_arms` and `retire_arms` share one. Any number of threads
    may call any method.

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

    def __init__(self, policy: AnyPolicy, arms: Iterable[ArmId] = (), *, seed: int = 0, replica: str = "0") -> None:
        if isinstance(policy, type) or not hasattr(policy, "best"):
            raise ValueError(f"policy = {policy!r} is not a policy; pass one such as Thompson()")
        if not isinstance(replica, str):
            raise ValueError(f"replica = {replica!r} is not a string")
        self.policy = policy
        self.seed = checked_int(seed, "seed", 0, 2**64 - 1)
        self.replica = replica
        self.epoch = 0
        self._now: float | None = None
        self._counter = np.zeros(1, np.int64)
        self._base = base_key(self.seed, self.replica, self.epoch)
        self._lock = threading.RLock()
        self._arms = Arms()
        self._handle_of = self._arms.handle_of
        self._state = policy.model.init(_SPARE)
        self._table = self._state.table  # the same array, one look-up nearer to the single update
        self._uids = np.zeros(_SPARE, np.uint64)
        self.add_arms(arms)

    def __repr__(self) -> str:
        return f"Bandit({self.policy!r}, {len(self._arms)} arms, {self.updates} updates)"

    def __len__(self) -> int:
        return len(self._arms)

    @property
    def arms(self) -> list[ArmId]:
        """Ids of the live arms, in the order in which they came."""
        return list(self._arms.live(self._lock).ids)

    @property
    def columns(self) -> int:
        """Columns in use, those of retired arms included: the length of arrays kept beside this bandit's."""
        return len(self._arms.ids)

    @property
    def updates(self) -> int:
        """Number of events learnt."""
        return int(self._table[EVENTS, -1])

    # choosing

    def select(
        self, candidates: Iterable[ArmId] | None = None, k: int = 1, *, context: Any = None, now: float | None = None
    ) -> Decision:
        """Choose the k best candidates.

        Parameters
        ----------
        candidates
            Distinct ids of live arms, [C]; all live arms by default.
        k
            Number of arms to choose, in [1, C].
        context
            Features of the request; the models here take none.
        now
            The caller's present, seconds; must not decrease.

        Returns
        -------
        Decision
            Its `arms` are ids, best first.

        Raises
        ------
        UnknownArmError
            For an id that names no live arm (a KeyError).
        ValueError
            For no or repeated candidates, a k out of range, a `now` that runs backwards. Nothing has changed.
        """
        self._check_context(context)
        if candidates is None:
            return self._decide(None, None, k, now)
        ids = checked_ids(candidates, "candidates")
        if len(set(ids)) != len(ids):
            raise ValueError(f"candidate {_first_twin(ids)!r} is given twice; candidates must be distinct")
        return self._decide(ids, None, k, now)

    def select_rows(self, rows: Handles, k: int = 1, *, context: Any = None, now: float | None = None) -> Decision:
        """Choose the k best of the arms in `rows` (from `Bandit.rows`), without a look-up by id.

        Raises
        ------
        StaleRowsError
            For a row that its arm no longer owns.
        ValueError
            As `select`.
        """
        self._check_context(context)
        with self._lock:  # the ids of the rows are looked up after the decision
            handles = self._checked_rows(rows)
            if np.unique(handles).size != handles.size:
                raise ValueError("rows must be distinct; one is given twice")
            return self._decide(None, handles, k, now)

    def _decide(self, ids: list[ArmId] | None, rows: Handles | None, k: int, now: float | None) -> Decision:
        """Rank and record; where the table moved or an arm was retired meanwhile, look the arms up again."""
        if now is not None:
            now = checked_now(now, self._now)
        if type(k) is not int:
            k = checked_int(k, "k", 1)
        n = -1
        while True:
            state, uids = self._state, self._uids  # in this order: growth publishes uids first
            live = self._arms.live(self._lock) if ids is None and rows is None else None
            handles = rows if rows is not None else live.handles if live is not None else self._arms.handles(ids or ())
            if handles.size == 0:
                raise ValueError("there are no candidates; add arms with `add_arms` first, or pass some")
            if not 1 <= k <= handles.size:
                raise ValueError(f"k must be in [1, {handles.size}], the candidates; got {k}")
            if n < 0:
                n = _count(self._counter)
                key = fold_in(self._base, n)
                positions, scores = np.empty(k, np.int64), np.empty(k)
            if self.policy.best(state, handles, uids, key, positions, scores) != STALE:
                break
            with self._lock:  # wait for the change to be published
                if rows is not None:
                    self._check_current(rows)
        if now is not None:
            self._now = now
        names = live.ids if live is not None else ids
        chosen = handles[positions]
        if names is None:
            arms = [id for id in map(self._arms.id_at, chosen.tolist()) if id is not None]
        else:
            arms = [names[position] for position in positions.tolist()]
        return Decision((self.replica, self.epoch, n), key, int(state.table[EVENTS, -1]), arms, chosen, scores.tolist())

    # learning

    def update(self, arm: Any, reward: Any, *, weight: Any = 1.0, context: Any = None, at: Any = None) -> None:
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
            Features of the request; the models here take none.
        at
            When it happened, seconds: any order, at most 5 s after the latest `now`.

        Raises
        ------
        UnknownArmError
            For an id that names no live arm (a KeyError).
        ValueError
            For a bad reward, weight or time. Nothing has been learnt, of a batch neither.
        """
        if context is not None or at is not None:
            self._check_context(context)
        if type(arm) is not str and type(arm) is not int:
            if not isinstance(arm, str | bytes | int | np.integer) and np.iterable(arm):
                self._update_batch(checked_ids(arm, "arm", ordered=True), None, reward, weight, at)
                return
            arm = checked_id(arm, "arm")
        if at is not None:
            checked_at(checked_float(at, "at"), 1, self._now)
        if type(reward) is not float:
            reward = float(reward) if type(reward) is int and 0 <= reward <= 1 else checked_float(reward, "reward")
        if type(weight) is not float:
            weight = checked_float(weight, "weight")
        if update_one(self._table, self._handle_of.get(arm, _NOBODY), reward, weight):
            self._update_again(arm, reward, weight)

    def _update_again(self, arm: ArmId, reward: float, weight: float) -> None:
        """Repeat an update that was refused: with the structure locked, the reason is certain."""
        with self._lock:
            handle = self._handle_of.get(arm)
            if handle is None:
                raise self._arms.unknown(arm)
            status = update_one(self._table, handle, reward, weight)
            if status:
                raise self._bad_event(status, "", arm, reward, weight)

    def update_rows(
        self, rows: Handles, rewards: Any, *, weight: Any = 1.0, context: Any = None, at: Any = None
    ) -> None:
        """Learn a batch of rewards of the arms in `rows` (from `Bandit.rows`), as `update` does."""
        self._check_context(context)
        self._update_batch(None, self._rows_array(rows), rewards, weight, at)

    def _update_batch(self, ids: list[ArmId] | None, rows: Handles | None, rewards: Any, weight: Any, at: Any) -> None:
        size = len(ids) if ids is not None else 0 if rows is None else rows.size
        if at is not None:
            checked_at(at, size, self._now)
        rewards = checked_floats(rewards, "rewards", size)
        one_weight = np.ndim(weight) == 0
        weights = np.array([checked_float(weight, "weight")]) if one_weight else checked_floats(weight, "weight", size)
        if one_weight and not 0.0 <= weights[0] <= MAX_WEIGHT:
            raise _bad_weight(f"weight = {weights[0]}")
        with self._lock:
            handles = self._arms.handles(ids) if ids is not None else rows
            assert handles is not None
            table = self._table
            status, i = check_batch(table, handles, rewards, weights)
            if status == STALE:
                raise _stale(i)
            if status:
                arm = self._arms.id_at(int(handles[i]))
                raise self._bad_event(status, f"s[{i}]", arm, float(rewards[i]), float(weights[i % weights.size]))
            for start in range(0, size, _CHUNK):
                update_batch(table, handles, rewards, weights, start, min(start + _CHUNK, size))

    def _bad_event(self, status: int, index: str, arm: ArmId | None, reward: float, weight: float) -> ValueError:
        if status == BAD_WEIGHT:
            return _bad_weight(f"weight{index} = {weight} of arm {arm!r}")
        return ValueError(f"reward{index} = {reward} of arm {arm!r} is not in {self.policy.model.support}")

    # arms

    def add_arms(self, ids: Iterable[ArmId]) -> None:
        """Add new arms, which start from the prior; all or none.

        Raises
        ------
        ValueError
            For an id that is live, was retired, or is given twice. Nothing was added.
        """
        new = checked_ids(ids, "arms")
        with self._lock:
            uids = self._arms.check_new(new)
            needed = self._arms.capacity_for(len(new))
            if needed > self._uids.size:
                self._grow(max(needed, 2 * self._uids.size))
            handles = self._arms.assign(len(new))
            self._uids[columns_of(handles)] = uid_array(uids, len(new))
            occupy(self._table, handles, self.policy.model.newcomer())
            self._arms.publish(new, handles)

    def retire_arms(self, ids: Iterable[ArmId]) -> None:
        """Forget arms and what was learnt of them, for ever: their ids are never accepted again; all or none.

        Raises
        ------
        UnknownArmError
            For an id that names no live arm. Nothing was retired.
        """
        old = checked_ids(ids, "arms")
        if len(set(old)) != len(old):
            raise ValueError(f"arm {_first_twin(old)!r} is given twice; nothing was retired")
        with self._lock:
            vacate(self._table, self._arms.handles(old))
            self._arms.retire(old)

    def _grow(self, capacity: int) -> None:
        uids = np.zeros(capacity, np.uint64)
        uids[: self._uids.size] = self._uids
        state = self.policy.model.init(capacity)
        self._uids = uids
        move(self._state.table, state.table)
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

    def mean(self, candidates: Iterable[ArmId] | None = None) -> Table:
        """Posterior mean reward of each candidate, `[C]`; changes nothing."""
        with self._lock:
            return self.policy.model.mean(self._state, self._candidates(candidates))

    def scores(self, candidates: Iterable[ArmId] | None = None) -> Table:
        """Score of each candidate at the decision that comes next, `[C]`; changes nothing."""
        with self._lock:
            key = fold_in(self._base, int(self._counter[0]))
            return self.policy.scores(self._state, self._candidates(candidates), self._uids, key)

    def _candidates(self, candidates: Iterable[ArmId] | None) -> Handles:
        return self._arms.live(self._lock).handles if candidates is None else self.rows(candidates)

    # state

    def to_bytes(self) -> bytes:
        """Write a checkpoint: policy, arms, evidence, seed and counters."""
        return _checkpointing.save(self)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Resume exactly from a checkpoint: the next decision is the one that the saved bandit would have made.

        Raises
        ------
        CheckpointError
            For bytes that are truncated, altered, of another kind or of a newer format. Nothing was loaded.
        """
        bandit: Self = _checkpointing.load(cls, blob)
        return bandit

    # checks

    def _check_context(self, context: Any) -> None:
        if context is not None:
            raise ValueError(f"the model {self.policy.model.kind!r} takes no context; leave it out")

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
            raise _stale(i)


def _bad_weight(what: str) -> ValueError:
    return ValueError(f"{what} is not in [0, {MAX_WEIGHT:g}]")


def _stale(i: int) -> StaleRowsError:
    return StaleRowsError(f"rows[{i}] is of an arm that was retired or never was; ask `rows` again")


def _first_twin(ids: Sequence[ArmId]) -> ArmId:
    seen: set[ArmId] = set()
    return next(id for id in ids if id in seen or seen.add(id))  # type: ignore[func-returns-value]

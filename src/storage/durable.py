"""Durable: a bandit that survives the death of its process."""

import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Any, Self

from ..bandits import Bandit, CheckpointError
from ..bandits._inputs import checked_int
from ..bandits._journaling import Times, as_of, filled_in, times_of
from ..bandits._random import ArmId
from ..bandits._seen import Seen
from ..bandits.arms import checked_id
from ._packing import pack, unpack
from ._saved import NAMED, EventId, Saved, load, save
from .errors import ConflictError, JournalError, StoreError, StoreUnavailableError
from .journal import Journal, Policy
from .store import Store

_SEEN = object()  # the answer to an event that was seen before
_METHODS: dict[str, Callable[..., Any]] = {  # what a journal may ask for
    "update": Bandit.update,
    "correct": Bandit.correct,
    "add_arms": Bandit.add_arms,
    "retire_arms": Bandit.retire_arms,
    "pause_arms": Bandit.pause_arms,
    "resume_arms": Bandit.resume_arms,
    "warm_start": lambda bandit, ids, strength, source: bandit.warm_start(ids, strength=strength, source=source),
    "expire": lambda bandit, now, horizon: bandit.expire(now, horizon=horizon),
    "absorb": Bandit.absorb,
    "take_over": Bandit.take_over,
    "reopen": lambda bandit, replica, epoch: bandit.reopen(replica, epoch=epoch),
}


@dataclass(frozen=True, slots=True)
class Recovery:
    """What opening a `Durable` has found.

    version: of the checkpoint that was read, None for a new one. used_previous: whether that was the generation before,
    as the newest was damaged. replayed: events of the journal that were learnt again. duplicates: those of them that
    had been seen. torn: bytes cut off the end of the journal, of what nobody was told is safe.
    """

    version: int | None
    used_previous: bool
    replayed: int
    duplicates: int
    torn: int


class Durable:
    """A bandit, its checkpoints in a store, and a journal of what came after the last of them.

    A call that has returned is never lost and never counted twice, whenever the process is killed; with
    `fsync="always"` whenever the machine fails, too. Changes go through this object; `bandit` is for reading and for
    `select`, which leaves no trace: after a crash the bandit starts its next epoch, with draws of its own, and
    exposures that await feedback are those of the last checkpoint. Any number of threads may call any method.

    A checkpoint is one blob. The generation before it and the journal since then are kept, so that either brings back
    all there is.

    Parameters
    ----------
    store, key
        Where the checkpoints are.
    journal
        Folder of the journal, on a local disk; one process at a time can have it open.
    create
        Makes the bandit at the very first opening.
    fsync
        When an event is forced to disk: see `Journal`.
    every
        Events after which a checkpoint is made by the way; by default only `checkpoint` makes them. One that fails is
        put off with a RuntimeWarning.
    remember
        Ids of events that are remembered at least, the latest; at most twice as many. An older one is new again.

    Attributes
    ----------
    bandit : Bandit
        To read and to `select`.
    recovery : Recovery
        What opening has found.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from seedbed.bandits import Bandit, Thompson
    >>> from seedbed.storage import Durable, SQLiteStore
    >>> with TemporaryDirectory() as path:
    ...     def opened():
    ...         store = SQLiteStore(f"{path}/state.db")
    ...         return Durable.open(
    ...             store, "rooms", journal=f"{path}/journal", create=lambda: Bandit(Thompson(), arms=["a", "b"])
    ...         )
    ...     with opened() as durable:
    ...         decision = durable.bandit.select()
    ...         durable.update(decision.arms[0], 1.0, event_id="view-1")
    ...         durable.update(decision.arms[0], 1.0, event_id="view-1")
    ...     with opened() as durable:
    ...         durable.recovery.replayed, durable.bandit.updates
    True
    False
    (1, 1)
    """

    def __init__(
        self, store: Store, key: str, journal: Journal, create: Callable[[], Bandit], every: int | None, remember: int
    ) -> None:
        self.every = None if every is None else checked_int(every, "every", 1)
        self.remember = checked_int(remember, "remember", 1)
        self._store, self._key, self._journal = store, key, journal
        self._unsure: bytes | None = None  # a checkpoint of which it is not known whether it was written
        self._version: int
        self._segment: int  # from which the journal goes on after the last checkpoint
        self._lock, self._checkpointing = Lock(), Lock()  # the second is taken first
        self.recovery = self._recover(create)
        self._do("reopen", None, None)  # so that two lives never share an epoch
        for _ in range(1 + self.recovery.used_previous):  # both generations are good
            self.checkpoint()

    @classmethod
    def open(
        cls,
        store: Store,
        key: str,
        *,
        journal: str | os.PathLike[str],
        create: Callable[[], Bandit],
        fsync: Policy = "always",
        every: int | None = None,
        remember: int = 1_000_000,
    ) -> Self:
        """Recover what was acknowledged, or begin; then write a checkpoint.

        Raises
        ------
        StoreUnavailableError
            When store or disk fail, or another process has the journal open.
        StoreError
            When both generations of the checkpoint are damaged, or one is missing that the journal belongs to.
        JournalError
            For a journal that is damaged, incomplete or of another bandit.
        """
        opened = Journal(journal, fsync=fsync)
        try:
            return cls(store, key, opened, create, every, remember)
        except BaseException:
            opened.close()
            raise

    def __repr__(self) -> str:
        return f"Durable({self.bandit!r}, {self._key!r} of {self._store!r}, {self._journal!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Force the journal to disk and let others open it; the store stays open."""
        self._journal.close()

    # changes

    def update(
        self,
        arm: Any,
        reward: Any,
        weight: Any = 1.0,
        context: Any = None,
        at: Any = None,
        propensity: Any = None,
        *,
        event_id: EventId | None = None,
    ) -> bool:
        """Learn one event or a batch, as `Bandit.update` does; False where its id was seen before: nothing is learnt.

        Parameters
        ----------
        arm, reward, weight, context, at, propensity
            As of `Bandit.update`.
        event_id
            String or integer that names this event, or this batch, for ever: whoever was not answered may ask again.

        Raises
        ------
        UnknownArmError, ValueError
            As `Bandit.update`. Nothing has been learnt or written.
        StoreUnavailableError
            When the disk fails; whether the event was learnt shows after opening anew.
        JournalError
            After such a failure, or when closed. Nothing has been learnt.
        """
        return self._do("update", arm, reward, weight, context, at, propensity, event_id=event_id) is not _SEEN

    def correct(
        self,
        arm: Any,
        reward: Any,
        weight: Any = 1.0,
        context: Any = None,
        at: Any = None,
        *,
        event_id: EventId | None = None,
    ) -> bool:
        """Take back events, as `Bandit.correct` does; False where the id of this correction was seen before.

        Ids of corrections are apart from those of updates: a correction may bear the id of what it takes back.
        """
        return self._do("correct", arm, reward, weight, context, at, event_id=event_id) is not _SEEN

    def add_arms(self, ids: Iterable[ArmId]) -> None:
        """Add new arms, as `Bandit.add_arms` does."""
        self._do("add_arms", ids)

    def retire_arms(self, ids: Iterable[ArmId]) -> None:
        """Forget arms for ever, as `Bandit.retire_arms` does."""
        self._do("retire_arms", ids)

    def pause_arms(self, ids: Iterable[ArmId]) -> None:
        """Take arms out of the choice, as `Bandit.pause_arms` does."""
        self._do("pause_arms", ids)

    def resume_arms(self, ids: Iterable[ArmId]) -> None:
        """Bring paused arms back, as `Bandit.resume_arms` does."""
        self._do("resume_arms", ids)

    def warm_start(self, ids: Iterable[ArmId], *, strength: float, source: Iterable[ArmId] | None = None) -> None:
        """Give arms a prior like other arms, as `Bandit.warm_start` does."""
        self._do("warm_start", ids, strength, source)

    def expire(self, now: float, *, horizon: float = 0.0) -> int:
        """Await the feedback of old exposures no more, as `Bandit.expire` does; return how many."""
        return int(self._do("expire", now, horizon))

    # replicas: with these it can be one of a `Fleet`

    @property
    def replica(self) -> str:
        """Name of the bandit among its replicas."""
        return self.bandit.replica

    @property
    def epoch(self) -> int:
        """Which of its lives this is: each opening starts one."""
        return self.bandit.epoch

    @property
    def learnt(self) -> int:
        """Number of events that it has learnt itself in this epoch."""
        return self.bandit.learnt

    def contribution(self, since: int | None = None) -> bytes:
        """Write what it has learnt itself, as `Bandit.contribution` does; all of it is as safe as `fsync` says."""
        with self._lock:
            told, position = self.bandit.contribution(since), self._journal.position
        self._journal.wait(position)
        return told

    def absorb(self, source: Bandit | bytes) -> None:
        """Learn what another has learnt, as `Bandit.absorb` does."""
        self._do("absorb", source.to_bytes() if isinstance(source, Bandit) else source)

    def reopen(self, replica: str | None = None, *, epoch: int | None = None) -> None:
        """Go on in another epoch, or under another name, as `Bandit.reopen` does."""
        self._do("reopen", replica, epoch)

    def take_over(self) -> None:
        """Count what earlier epochs learnt as learnt in this one, as `Bandit.take_over` does."""
        self._do("take_over")

    # checkpoints

    def checkpoint(self) -> int:
        """Write a checkpoint, and drop the part of the journal that no generation needs; return its version.

        Changes wait while the state is copied, but not while it is written.

        Raises
        ------
        StoreUnavailableError
            When the store fails: the journal goes on, and so may everyone.
        ConflictError
            When someone else has written this key. Nothing is taken any more.
        """
        with self._checkpointing:
            return self._checkpoint()

    def _checkpoint(self) -> int:
        with self._lock:
            segment, state = self._journal.rotate(), self.bandit.to_bytes()
            seen = {method: ids.generations() for method, ids in self._seen.items()}
        self._version = self._put(save(state, self._journal.name, segment, seen))
        self._journal.drop(before=self._segment)
        self._segment = segment
        return self._version

    def _put(self, blob: bytes) -> int:
        found = None if self._unsure is None else self._store.get(self._key)
        if found is not None and found.blob == self._unsure:  # a put that failed, but after it was done
            self._version = found.version
        self._unsure = blob
        try:
            version = self._store.put(self._key, blob, expected=self._version)
        except ConflictError as error:
            self._journal.refuse(error)
            raise
        self._unsure = None
        return version

    def _checkpoint_if_due(self) -> None:
        if self.every is None or self._journal.frames < self.every or not self._checkpointing.acquire(blocking=False):
            return
        try:
            if self._journal.frames >= self.every:
                self._checkpoint()
        except StoreError as error:  # the event is safe all the same
            warnings.warn(f"a checkpoint was put off: {error}", RuntimeWarning, stacklevel=4)
        finally:
            self._checkpointing.release()

    # the one way of every change

    def _do(self, method: str, *arguments: Any, event_id: EventId | None = None) -> Any:
        """Change the bandit and write it down; what the bandit refuses leaves no trace. `_SEEN` for an id seen before.

        What is done is what can be read back from the journal, so that replay cannot differ.
        """
        id = None if event_id is None else checked_id(event_id, "event_id")
        with self._lock:
            self._journal.check()
            if id is not None and id in self._seen[method]:
                answer, position = _SEEN, self._journal.position  # it may be on its way to disk yet
            else:
                times = times_of(self.bandit)
                if method in self._seen:
                    arguments = filled_in(self.bandit, times, *arguments)
                event = pack([method, times, arguments, id])
                try:
                    answer = self._apply(*unpack(event))
                    position = self._journal.write(event)
                except (
                    Exception
                ):  # of the bandit, which has not changed, or of the journal, which takes nothing any more
                    raise
                except BaseException as error:  # an interruption: the bandit may be ahead of its journal
                    self._journal.refuse(error)
                    raise
        self._journal.wait(position)
        self._checkpoint_if_due()
        return answer

    def _apply(self, method: str, times: Times, arguments: list[Any], id: EventId | None) -> Any:
        answer = _METHODS[method](self.bandit, *arguments)
        if id is not None:
            self._seen[method].add(id)
        return answer

    # recovery

    def _recover(self, create: Callable[[], Bandit]) -> Recovery:
        version, saved, used_previous = self._read(create)
        self.bandit, self._segment = saved.bandit, saved.segment
        self._version = 1 if version is None else version + used_previous
        self._seen = {method: Seen(self.remember, *ids) for method, ids in saved.seen.items()}
        if saved.journal != self._journal.name:
            raise JournalError(f"{self._journal!r} is not the journal that {self._key!r} of {self._store!r} goes with")
        replayed = duplicates = 0
        for event in self._journal.read(saved.segment):
            try:
                method, times, arguments, id = unpack(event)
                if id is not None and id in self._seen[method]:
                    duplicates += 1
                    continue
                with as_of(self.bandit, times):
                    self._apply(method, times, arguments, id)
            except (ValueError, TypeError, KeyError) as error:
                raise JournalError(
                    f"what {self._journal!r} says was done cannot be done again: {error}; was the bandit changed by "
                    "other ways than its Durable?"
                ) from error
            replayed += method != "reopen"
        return Recovery(version, used_previous, replayed, duplicates, self._journal.torn)

    def _read(self, create: Callable[[], Bandit]) -> tuple[int | None, Saved, bool]:
        """Version and content of the newest good checkpoint, and whether that is the generation before."""
        try:
            found = self._store.get(self._key)
            if found is None:
                return None, self._begin(create()), False
            return found.version, load(found.blob), False
        except StoreUnavailableError:
            raise
        except (StoreError, CheckpointError):
            found = self._store.get(self._key, previous=True)
            if found is None:
                raise
            return found.version, load(found.blob), True

    def _begin(self, bandit: Bandit) -> Saved:
        """Write the first checkpoint."""
        if self._journal.frames or self._journal.segments[1:]:
            raise StoreError(f"{self._store!r} has no {self._key!r}, which {self._journal!r} goes on from")
        saved = Saved(bandit, self._journal.name, self._journal.segments[0], {method: ([], []) for method in NAMED})
        self._store.put(self._key, save(bandit.to_bytes(), *saved[1:]), expected=0)
        return saved

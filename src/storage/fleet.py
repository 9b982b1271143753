"""Fleet: replicas of one bandit that share what they learn through a store."""

import re
from typing import NamedTuple, Protocol

from .errors import ConflictError, StoreError, StoreUnavailableError
from .store import Store

_WORTH_A_WHOLE = 0.5  # share of the whole contribution beyond which a delta is not worth its while
_REPLICA = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Replica(Protocol):
    """What a fleet needs of a bandit; `Bandit` and `Durable` have it."""

    @property
    def replica(self) -> str:
        """Its name."""

    @property
    def epoch(self) -> int:
        """Which of its lives this is."""

    @property
    def learnt(self) -> int:
        """Number of events learnt in it."""

    def contribution(self, since: int | None = None) -> bytes:
        """What it has learnt itself."""

    def absorb(self, source: bytes) -> None:
        """Learn what another has learnt."""

    def reopen(self, replica: str | None = None, *, epoch: int | None = None) -> None:
        """Start another life."""

    def take_over(self) -> None:
        """Count what earlier lives learnt as learnt in this one."""


class Sync(NamedTuple):
    """What one `sync` did.

    reached: whether the store answered all along. published: bytes written, 0 where nothing had changed. heard: names
    of the contributions read. error: why the store was not reached, or what could not be read.
    """

    reached: bool
    published: int
    heard: tuple[str, ...]
    error: str | None = None


class Fleet:
    """Publish what one replica learns, and learn what the others have published, whenever the host says so.

    Let a replica `sync` once before it serves, or it starts from nothing. Each writes keys of its own, so that writers
    never meet: a whole contribution, then deltas to it. What is written stays: a replica that dies has lost what it
    learnt after its last `sync`, unless it is a `Durable`.

    Parameters
    ----------
    bandit
        The replica, named apart from all others by `Bandit(..., replica=...)`: at most 40 letters, digits, `_` or `-`.
        It starts its next epoch, which no other process can have claimed, so that nothing is counted twice.
    store
        Where the fleet meets.
    name
        Of the fleet: first part of its keys.
    stale_after
        Seconds without a store after which `is_stale`.

    Raises
    ------
    MergeError
        For a bandit that does not merge: EXP3, sliding windows, the model 'hybrid_linear'.
    ValueError
        For a name that is no key.
    StoreUnavailableError
        When the store cannot be reached: there is no epoch to be had.

    Examples
    --------
    >>> from seedbed.bandits import Bandit, Thompson
    >>> from seedbed.storage import Fleet, MemoryStore
    >>> store = MemoryStore()
    >>> one = Bandit(Thompson(), arms=["a", "b"], replica="eu-1")
    >>> two = Bandit(Thompson(), arms=["a", "b"], replica="eu-2")
    >>> fleets = [Fleet(bandit, store, "rooms", now=0.0) for bandit in (one, two)]
    >>> one.update("a", 1.0)
    >>> _ = [fleet.sync(now=60.0) for fleet in fleets]
    >>> two.updates
    1
    """

    def __init__(
        self, bandit: Replica, store: Store, name: str, *, now: float = 0.0, stale_after: float = 300.0
    ) -> None:
        if not _REPLICA.fullmatch(bandit.replica):
            raise ValueError(
                f"replica = {bandit.replica!r} cannot name keys of a store: at most 40 letters, digits, '_' or '-'; "
                "pass Bandit(..., replica=...)"
            )
        bandit.contribution()  # refused here, where what it learns does not add up
        self.bandit, self.store, self.name, self.stale_after = bandit, store, name, stale_after
        self._reached_at = now
        self._seen: dict[str, int] = {}  # versions of others' keys
        self._whole: tuple[int, int] | None = None  # events in the whole contribution published last, and its bytes
        self._published = b""
        self._has_taken_over = False  # what earlier lives of this replica had published
        self._claim_epoch()

    def sync(self, now: float) -> Sync:
        """Publish, then learn from what others have published since the last time.

        Never raises for a store that is away, or for another's contribution that cannot be read: then `error` says
        why, and the next `sync` tries again.
        """
        published, heard, errors = 0, [], {}
        try:
            if self._has_taken_over:
                published = self._publish()
            for name in self._changed():
                try:
                    self._hear(name)
                    heard.append(name)
                except StoreUnavailableError:
                    raise
                except (ValueError, StoreError) as error:  # of another configuration, or damaged
                    errors[name] = f"{name}: {error}"
            if not self._has_taken_over:
                has_heard = not any(self._is_earlier(name) for name in errors)
                if has_heard:
                    self.bandit.take_over()
                published = self._publish()
                self._has_taken_over = has_heard and self._clear_earlier()
        except StoreUnavailableError as error:
            return Sync(False, published, tuple(heard), str(error))
        self._reached_at = now
        return Sync(True, published, tuple(heard), "; ".join(errors.values()) or None)

    def staleness(self, now: float) -> float:
        """Seconds since the store was reached last."""
        return max(0.0, now - self._reached_at)

    def is_stale(self, now: float) -> bool:
        """Whether the store has been away for longer than `stale_after`."""
        return self.staleness(now) > self.stale_after

    def _claim_epoch(self) -> None:
        """Take the next epoch of this replica, by compare-and-set, and start it."""
        key = f"{self.name}/{self.bandit.replica}/epoch"
        while True:
            found = self.store.get(key)
            epoch = max(self.bandit.epoch, 0 if found is None else 1 + int(found.blob))
            try:
                self.store.put(key, str(epoch).encode(), expected=0 if found is None else found.version)
            except ConflictError:
                continue
            if epoch != self.bandit.epoch:
                self.bandit.reopen(epoch=epoch)
            return

    def _own_key(self, part: str) -> str:
        return f"{self.name}/{self.bandit.replica}/{self.bandit.epoch}/{part}"

    def _publish(self) -> int:
        """Write a delta to the last whole contribution, or a whole one where that is not much more."""
        if self._whole is not None:
            since, size = self._whole
            delta = self.bandit.contribution(since=since)
            if delta == self._published:
                return 0
            if len(delta) < _WORTH_A_WHOLE * size:
                self.store.put(self._own_key("delta"), delta)
                self._published = delta
                return len(delta)
        whole = self.bandit.contribution()
        since = self.bandit.learnt
        self.store.put(self._own_key("whole"), whole)
        self._whole, self._published = (since, len(whole)), whole
        return len(whole)

    def _changed(self) -> list[str]:
        """Contributions of others, `replica/epoch`, that were written since they were read."""
        own = f"{self.bandit.replica}/{self.bandit.epoch}"
        changed = set()
        for key, version in self.store.list(f"{self.name}/").items():
            name, _, part = key[len(self.name) + 1 :].rpartition("/")
            if part in ("whole", "delta") and name != own and self._seen.get(key) != version:
                changed.add(name)
        return sorted(changed)

    def _hear(self, name: str) -> None:
        """Learn from one contribution, its whole and its delta."""
        keys = [f"{self.name}/{name}/{part}" for part in ("delta", "whole")]
        found = [(key, self.store.get(key)) for key in keys]  # in this order: the whole is never older than the delta's
        for key, generation in reversed(found):
            if generation is not None and self._seen.get(key) != generation.version:
                if generation.blob:  # else a later life holds it
                    self.bandit.absorb(generation.blob)
                self._seen[key] = generation.version

    def _is_earlier(self, name: str) -> bool:
        """Whether a contribution is of an earlier life of this replica."""
        replica, _, epoch = name.partition("/")
        return replica == self.bandit.replica and epoch != str(self.bandit.epoch)

    def _clear_earlier(self) -> bool:
        """Empty the keys of earlier lives, which nobody needs to read any more."""
        for key in self._seen:
            if self._is_earlier(key[len(self.name) + 1 :].rpartition("/")[0]):
                self._seen[key] = self.store.put(key, b"")
        return True

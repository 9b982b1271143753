"""Replay of a log: the allocator decides, the log answers.

Under uniform logging the rows of an item are independent draws of its rewards, whoever asks for them. So an exposure
given to an item consumes that item's next unread row, in order; an item whose rows are used up is closed.

References
----------
.. [1] T. Mandel, Y.-E. Liu, E. Brunskill and Z. Popovic (2016), "Offline evaluation of online reinforcement learning
   algorithms", AAAI (the queue-based evaluator).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..bandits._inputs import checked_int
from ..bandits._numba import free_kernel
from ..bandits._random import ArmId, base_key, uid64, uniform
from ..bandits.arms import checked_ids
from ..bandits.checkpoint import Checkpoint, pack, require, take, unpack
from .cold_start import ColdStartAllocator, Plan

KIND = "replay"
_ARRAYS = ("taken", "rewards", "negatives", "stages")
_IDLE = 3  # ticks in a row without a grant after which nothing more will come
_URN = "urn"  # replica name under which the order of urns is keyed

Ints = NDArray[np.int64]


class Queues:
    """Rewards of K items, each in the order in which its rows will be read.

    Parameters
    ----------
    items
        Ids, [K].
    rewards, negatives
        0 or 1 a row, one array an item.
    """

    def __init__(self, items: Sequence[ArmId], rewards: Sequence[ArrayLike], negatives: Sequence[ArrayLike]) -> None:
        self.items = checked_ids(items, "items")
        self.lengths: Ints = np.array([np.size(row) for row in rewards], np.int64)
        if len(set(self.items)) != len(self.items) or len(self.items) != self.lengths.size:
            raise ValueError("items must be distinct ids, one for each array of rewards")
        if self.lengths.tolist() != [np.size(row) for row in negatives]:
            raise ValueError("rewards and negatives must have the same numbers of rows")
        if not self.lengths.all():
            raise ValueError(f"item {self.items[int(self.lengths.argmin())]!r} has no rows; leave it out")
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)])
        self._rewards = _cumulative(rewards)
        self._negatives = _cumulative(negatives)

    @classmethod
    def from_rows(cls, items: Sequence[ArmId], rewards: ArrayLike, negatives: ArrayLike | None = None) -> Self:
        """Sort the rows of a log, [N], into queues; items come in the order of their first row."""
        position_of: dict[ArmId, int] = {}
        if len(items) != np.size(rewards):
            raise ValueError(f"{len(items)} items and {np.size(rewards)} rewards; each row has one of both")
        which = np.array([position_of.setdefault(item, len(position_of)) for item in items], np.int64)
        order = np.argsort(which, kind="stable")
        cuts = np.cumsum(np.bincount(which, minlength=len(position_of)))[:-1]
        rewards = np.asarray(rewards)
        negatives = np.zeros(rewards.size, np.int8) if negatives is None else np.asarray(negatives)
        return cls(list(position_of), np.split(rewards[order], cuts), np.split(negatives[order], cuts))

    @classmethod
    def from_counts(cls, items: Sequence[ArmId], successes: ArrayLike, failures: ArrayLike, seed: int) -> Self:
        """Fill an urn an item, [K], and lay down the order in which it will be drawn empty, keyed by the seed."""
        for counts in (successes, failures):
            if np.asarray(counts).dtype.kind not in "iu" or np.min(counts, initial=0) < 0:
                raise ValueError("successes and failures must be integers >= 0")
        key = base_key(checked_int(seed, "seed", 0, 2**64 - 1), _URN, 0)
        rewards = []
        for item, s, f in zip(items, np.asarray(successes, np.int64), np.asarray(failures, np.int64), strict=True):
            row = np.zeros(int(s + f), np.int8)
            if s:
                row[np.argpartition(_uniforms(key, np.uint64(uid64(item)), row.size), s - 1)[:s]] = 1
            rewards.append(row)
        return cls(items, rewards, [np.zeros(row.size, np.int8) for row in rewards])

    def between(self, start: Ints, stop: Ints) -> tuple[Ints, Ints]:
        """Rewards and negatives of each item's rows `start ... stop - 1`, `[K]` each."""
        first, last = self._starts[:-1] + start, self._starts[:-1] + stop
        return self._rewards[last] - self._rewards[first], self._negatives[last] - self._negatives[first]

    def rewards_of(self, exposures: Ints) -> int:
        """Rewards of the first so many rows of each item, `[K]`, all together."""
        return int(self.between(np.zeros_like(exposures), exposures)[0].sum())

    @property
    def rates(self) -> NDArray[np.float64]:
        """Reward rate of each item over all its rows, `[K]`."""
        rewards: NDArray[np.float64] = self.between(np.zeros_like(self.lengths), self.lengths)[0] / self.lengths
        return rewards


def _cumulative(rows: Sequence[ArrayLike]) -> Ints:
    joined = np.concatenate([np.asarray(row) for row in rows]) if rows else np.empty(0)
    if not bool(((joined == 0) | (joined == 1)).all()):
        raise ValueError("rewards and negatives must be 0 or 1 in each row")
    return np.concatenate([[0], np.cumsum(joined.astype(np.int64))])


@free_kernel
def _uniforms(key: int, uid: Any, size: int) -> Any:
    out = np.empty(size)
    for i in range(size):
        out[i] = uniform(key, uid, i)
    return out


def uniform_allocation(lengths: Ints, total: int) -> Ints:
    """Share exposures round-robin among items, `[K]`; what an empty queue cannot take goes to the others.

    Examples
    --------
    >>> import numpy as np
    >>> from seedbed.allocators.replay import uniform_allocation
    >>> uniform_allocation(np.array([2, 9, 9]), 9).tolist()
    [2, 4, 3]
    """
    given = np.zeros_like(lengths)
    left = min(int(total), int(lengths.sum()))
    while left > 0:
        open_items = np.flatnonzero(given < lengths)
        share = max(left // open_items.size, 1)
        more = np.minimum(share, lengths[open_items] - given[open_items])
        if left < open_items.size:
            more[left:] = 0
        given[open_items] += more
        left -= int(more.sum())
    return given


def oracle_allocation(rates: NDArray[np.float64], lengths: Ints, total: int) -> Ints:
    """Give exposures to the items of the highest true rates first, `[K]`: the ceiling of any allocation."""
    order = np.argsort(-rates, kind="stable")
    before = np.cumsum(lengths[order]) - lengths[order]
    given = np.zeros_like(lengths)
    given[order] = np.clip(int(total) - before, 0, lengths[order])
    return given


class Step(NamedTuple):
    """One tick of a replay: the plan, and what the log answered to it, `[K]` each, in the order of the items.

    positions: `[R]` place among the items of each of the plan's rooms.
    """

    tick: int
    plan: Plan
    positions: Ints
    exposures: Ints
    rewards: Ints
    negatives: Ints


class Replay:
    """Play an allocator over queues, tick by tick.

    Parameters
    ----------
    allocator
        A fresh one; its rooms are the items, all opened at 0 s.
    queues
        What answers.
    tick_exposures
        Exposures offered to exploration in each tick.

    Examples
    --------
    >>> import numpy as np
    >>> from seedbed.allocators import ColdStartAllocator
    >>> from seedbed.allocators.replay import Queues, Replay
    >>> queues = Queues.from_counts(["a", "b"], [400, 100], [600, 900], seed=0)
    >>> replay = Replay(ColdStartAllocator(seed=0), queues, tick_exposures=100)
    >>> while not replay.is_over:
    ...     step = replay.step()
    >>> bool(replay.taken[0] > replay.taken[1])
    True
    """

    def __init__(self, allocator: ColdStartAllocator, queues: Queues, tick_exposures: int) -> None:
        self.allocator = allocator
        self.queues = queues
        self.tick_exposures = checked_int(tick_exposures, "tick_exposures", 1)
        self.taken: Ints = np.zeros(queues.lengths.size, np.int64)
        self.rewards: Ints = np.zeros_like(self.taken)
        self.negatives: Ints = np.zeros_like(self.taken)
        self.stages: Ints = np.zeros_like(self.taken)  # of each item, at the last tick that it was open
        self.ticks = 0
        self.idle = 0
        self._position_of = {item: i for i, item in enumerate(queues.items)}
        if len(allocator) == 0 and allocator.bandit.updates == 0:
            allocator.open(queues.items, now=0.0)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be granted: the budget is used, every item has ended, or the log is used up."""
        return self.idle >= _IDLE or len(self.allocator) == 0

    def step(self) -> Step:
        """Ask for one plan and answer it from the log."""
        self.ticks += 1
        now = self.ticks * self.allocator.config.tick_seconds
        plan = self.allocator.tick(now=now, exposures=self.tick_exposures)
        columns = plan.columns()
        granted = np.zeros_like(self.taken)
        positions = np.array([self._position_of[item] for item in columns["room"]], np.int64)
        granted[positions] = columns["exposures"]
        self.stages[positions] = columns["stage"]
        shown = np.minimum(granted, self.queues.lengths - self.taken)
        self.idle = 0 if shown.any() else self.idle + 1
        rewards, negatives = self.queues.between(self.taken, self.taken + shown)
        self.taken += shown
        self.rewards += rewards
        self.negatives += negatives
        self._report(now, granted, shown, rewards, negatives)
        return Step(self.ticks, plan, positions, shown, rewards, negatives)

    def _report(self, now: float, granted: Ints, shown: Ints, rewards: Ints, negatives: Ints) -> None:
        items = self.queues.items
        seen = np.flatnonzero(shown)
        self.allocator.observe(
            [items[i] for i in seen],
            at=now,
            exposures=shown[seen],
            retained=rewards[seen],
            negative=negatives[seen],
        )
        short = np.flatnonzero(granted > shown)
        if short.size:
            self.allocator.release([items[i] for i in short], exposures=(granted - shown)[short])
        empty = np.flatnonzero((shown > 0) & (self.taken == self.queues.lengths))
        if empty.size:
            self.allocator.close([items[i] for i in empty], now=now, reason="LOG_USED_UP")

    def to_bytes(self, **values: Any) -> bytes:
        """Write a checkpoint, with further plain values of the caller's."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        own = {"allocator": self.allocator.to_bytes(), "ticks": self.ticks, "idle": self.idle}
        return pack(Checkpoint(KIND, {"tick_exposures": self.tick_exposures}, {**values, **own}, arrays))

    @classmethod
    def from_bytes(cls, blob: bytes, queues: Queues) -> tuple[Self, dict[str, Any]]:
        """Resume exactly over the same queues; return the caller's values too.

        Raises
        ------
        CheckpointError
            For bytes that are no whole checkpoint, or one of other queues.
        """
        checkpoint = unpack(blob, KIND)
        values, arrays = checkpoint.values, checkpoint.arrays
        allocator = ColdStartAllocator.from_bytes(take(values, "allocator", lambda v: isinstance(v, bytes), "bytes"))
        offered = take(checkpoint.config, "tick_exposures", lambda v: type(v) is int and v > 0, "a count")
        replay = cls(allocator, queues, offered)
        replay.ticks = take(values, "ticks", lambda v: type(v) is int and v >= 0, "a count")
        replay.idle = take(values, "idle", lambda v: type(v) is int and v >= 0, "a count")
        for name in _ARRAYS:
            array = arrays.get(name, np.empty(0))
            require(array.dtype == np.int64 and array.shape == replay.taken.shape, f"array {name!r} is of another log")
            setattr(replay, name, array)
        require(all(item in replay._position_of for item in allocator.bandit.arms), "it is of another log")
        require(bool(((replay.taken >= 0) & (replay.taken <= queues.lengths)).all()), "it is of another log")
        first = queues.between(np.zeros_like(replay.taken), replay.taken)
        require(
            bool((first[0] == replay.rewards).all() and (first[1] == replay.negatives).all()), "it is of another log"
        )
        return replay, values

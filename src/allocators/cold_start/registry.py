"""Registry: which rooms there are, and the columns in which their state is kept."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...bandits import Bandit, Beta, Thompson, UnknownArmError
from ...bandits._random import ArmId
from ...bandits._table import Handles, columns_of
from ...constraints import Eligibility
from ...constraints.base import grown as grown_state
from .config import ColdStartConfig
from .pacing import first_yield
from .plan import evidence
from .stages import METRICS, Rooms, StageChange, grown, new_rooms

Columns = NDArray[np.int64]
_SPARE = 16


class Registry:
    """Rooms by id. A room is an arm of the bandit from its opening until its time for feedback is over.

    Not thread-safe by itself: the allocator's lock orders its callers, who have checked `now` before.
    """

    def __init__(self, config: ColdStartConfig, seed: int, replica: str) -> None:
        self.config = config
        self.bandit = Bandit(Thompson(model=Beta(prior=config.prior)), seed=seed, replica=replica)
        self.rooms: Rooms = new_rooms(_SPARE)
        self.eligibility = Eligibility(reasons=config.block_reasons)
        self.blocks = self.eligibility.init(_SPARE)
        self.buckets: dict[ArmId, str] = {}
        self.room_at: dict[int, ArmId] = {}  # by column

    def grow(self, capacity: int) -> None:
        """Make room for more columns."""
        self.rooms = grown(self.rooms, capacity)
        self.blocks = grown_state(self.eligibility, self.blocks, capacity)

    def rows(self, ids: Sequence[ArmId]) -> Handles:
        """Rows of known rooms in the bandit, `[B]`.

        Raises
        ------
        UnknownArmError
            For a room that was never opened, or is forgotten.
        """
        try:
            return self.bandit.rows(ids)
        except UnknownArmError:
            id = next(id for id in ids if id not in self.buckets)
            raise UnknownArmError(
                f"unknown room {id!r}: it was never opened, or was closed over {self.config.feedback_window:g} s ago"
            ) from None

    def columns(self, ids: Sequence[ArmId]) -> Columns:
        """Columns of known rooms, `[B]`; errors as `rows`."""
        return columns_of(self.rows(ids))

    def open_columns(self, ids: Sequence[ArmId]) -> Columns:
        """Columns of distinct open rooms, `[B]`; a ValueError for others."""
        columns = self.columns(ids)
        if len(set(ids)) != len(ids):
            raise ValueError("a room is given twice; nothing was changed")
        closed = np.flatnonzero(~self.rooms.is_open[columns])
        if closed.size:
            i = int(closed[0])
            raise ValueError(f"room {ids[i]!r} was closed at {self.rooms.closed[columns[i]]}; nothing was changed")
        return columns

    def open(
        self,
        ids: Sequence[ArmId],
        now: float,
        bucket: str,
        tier: str,
        content: NDArray[np.float64],
        creator: NDArray[np.float64],
    ) -> None:
        """Let new rooms in."""
        for id in ids:
            if id in self.buckets:
                raise ValueError(f"room {id!r} is already known; nothing was opened")
            if self.bandit.was_retired(id):
                raise ValueError(
                    f"room {id!r} was open before; an id never means another room, so give a new session a new id"
                )
        self.bandit.add_arms(ids)
        columns = self.columns(ids)
        if columns.size and columns.max() >= self.rooms.stage.size:
            self.grow(2 * int(columns.max() + 1))
        rooms, config = self.rooms, self.config
        for array in rooms:
            array[..., columns] = 0
        quota = config.quota_base + config.quota_content * content + config.quota_creator * creator
        rooms.quota[columns] = np.clip(np.round(quota), config.quota_min, config.quota_max)
        rooms.tier_s[columns] = tier == "S"
        rooms.is_open[columns] = rooms.is_new[columns] = True
        rooms.opened[columns] = now
        rooms.closed[columns] = np.inf
        rooms.granted_at[columns] = -np.inf
        rooms.yielded[columns], rooms.pushed[columns] = first_yield(config, rooms.quota[columns])
        self.eligibility.unblock(self.blocks, columns)
        self.buckets.update(dict.fromkeys(ids, bucket))
        self.room_at.update(zip(columns.tolist(), ids, strict=True))

    def open_rooms(self) -> tuple[list[ArmId], Handles]:
        """Ids and rows of the open rooms, in the order in which they came."""
        ids = self.bandit.arms
        handles = self.bandit.rows(ids)
        keep = self.rooms.is_open[columns_of(handles)]
        return [id for id, kept in zip(ids, keep.tolist(), strict=True) if kept], handles[keep]

    def overdue(self, now: float) -> tuple[list[ArmId], Columns]:
        """Closed rooms whose time for feedback is over."""
        over = ~self.rooms.is_open & (self.rooms.closed + self.config.feedback_window < now)
        columns = np.flatnonzero(over & (self.rooms.quota > 0))
        return [self.room_at[column] for column in columns.tolist()], columns

    def forget(self, ids: Sequence[ArmId], columns: Columns) -> None:
        """Retire rooms for ever."""
        self.bandit.retire_arms(ids)
        self.rooms.quota[columns] = 0
        for id, column in zip(ids, columns.tolist(), strict=True):
            del self.buckets[id], self.room_at[column]

    def change(self, column: int, now: float, before: str, after: str, reason: str) -> StageChange:
        """Record of a change of one room's stage, with its counts."""
        rooms = self.rooms
        counts = dict(zip(METRICS, rooms.counts[:, column].tolist(), strict=True))
        proof = evidence(float(rooms.log_evidence[column]))
        return StageChange(
            self.room_at[column], now, before, after, reason, counts, float(rooms.probability[column]), proof
        )

"""Registry: which rooms there are, and the columns in which their state is kept."""

from collections.abc import Sequence
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from ...bandits import Bandit, Beta, Thompson, UnknownArmError
from ...bandits._random import ArmId
from ...bandits._table import Handles, columns_of
from ...constraints import Eligibility
from ...constraints.base import grown as grown_state
from ...constraints.evidence._mixtures import add_rows
from .config import ColdStartConfig
from .harms import HarmTable, mean_evidence
from .metrics import EXPOSURES, METRICS, RETAINED, WHOLE
from .plan import evidence
from .populations import moment_beta
from .rulebook import Rulebook
from .stages import TIERS, Rooms, StageChange, grown, needed_evidence, new_rooms
from .yields import Yields, first, learn, new_yields, push
from .yields import grown as grown_yields

Columns = NDArray[np.int64]
_SPARE = 16
_STRONGEST = 1e12  # prior, in observations, that the bandit takes


class Registry:
    """Rooms by id. A room is an arm of the bandit from its opening until its time for feedback is over.

    Not thread-safe by itself: the allocator's lock orders its callers, who have checked `now` before.
    """

    def __init__(self, config: ColdStartConfig, seed: int, replica: str) -> None:
        self.config = config
        policy = Thompson(model=Beta(prior=config.prior))
        self.bandit = Bandit(policy, seed=seed, replica=replica, change_detector=config.change_detector)
        self.harms = HarmTable.of(config.all_harms)
        self.rules = Rulebook(config)
        self.rooms: Rooms = new_rooms(_SPARE, self.harms.size)
        self.paced = config.paced
        self.yields: Yields = new_yields(_SPARE, self.paced.lag)
        self.eligibility = Eligibility(reasons=config.block_reasons)
        self.blocks = self.eligibility.init(_SPARE)
        self.buckets: dict[ArmId, str] = {}
        self.room_at: dict[int, ArmId] = {}  # by column
        self._open: tuple[list[ArmId], Handles] | None = None  # as long as no room comes or goes

    def grow(self, capacity: int) -> None:
        """Make room for more columns."""
        self.rooms = grown(self.rooms, capacity)
        self.yields = grown_yields(self.yields, capacity)
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
        buckets: Sequence[str],
        tiers: Columns,
        content: NDArray[np.float64],
        creator: NDArray[np.float64],
    ) -> None:
        """Let new rooms in, `[B]` of each."""
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
        quota += np.array(config.quota_tiers)[tiers]
        rooms.quota[columns] = np.clip(np.round(quota), config.quota_min, config.quota_max)
        rooms.tier[columns] = tiers
        rooms.is_open[columns] = rooms.is_new[columns] = True
        rooms.opened[columns] = now
        rooms.closed[columns] = np.inf
        rooms.granted_at[columns] = -np.inf
        first(self.paced, self.yields, columns, rooms.quota[columns], config.seed_deadline / config.tick_seconds)
        self.eligibility.unblock(self.blocks, columns)
        self.buckets.update(zip(ids, buckets, strict=True))
        self.room_at.update(zip(columns.tolist(), ids, strict=True))
        self._open = None
        self._follow_rules(ids, columns, self.config.prior)

    def _follow_rules(self, ids: Sequence[ArmId], columns: Columns, present: tuple[float, float] | None) -> None:
        """Give rooms their place in the rules in force, and the prior that their bucket has there."""
        if not ids:
            return
        index_of = {bucket: self.rules.index(bucket) for bucket in set(map(self.buckets.__getitem__, ids))}
        places = np.array([index_of[self.buckets[id]] for id in ids], np.int64)
        self.rooms.bucket[columns] = places
        self.rooms.is_new[columns] = True
        for place in np.unique(places).tolist():
            a, b = moment_beta(self.rules.gates_of(place)[0].population)
            if (a, b) == present:
                continue
            some = [ids[i] for i in np.flatnonzero(places == place).tolist()]
            self.bandit.warm_start(some, mean=a / (a + b), strength=min(a + b, _STRONGEST))

    def follow_all_rules(self) -> None:
        """Give all rooms their place in the rules that have come into force."""
        ids = self.bandit.arms
        self._follow_rules(ids, self.columns(ids), None)

    def judge(self, columns: Columns) -> None:
        """Evaluate gates and harms of rooms."""
        rooms, rules = self.rooms, self.rules
        learned, places = rooms.learned[:, columns], rooms.bucket[columns]
        lowest = np.ones(columns.size)
        for table, events, exposure in zip(rules.tables, rules.events, rules.exposures, strict=True):
            np.minimum(lowest, table.judge(learned[events], learned[exposure], places)[0], out=lowest)
        rooms.probability[columns] = lowest
        rooms.log_evidence[columns] = mean_evidence(self.harms.log_evidence(rooms.proofs[:, columns]))
        rooms.is_new[columns] = False

    def learn(self, columns: Columns, counts: NDArray[np.float64]) -> None:
        """Add counts, `[M, B]`, to all that rooms were observed to do, and to the evidence of harm."""
        add_rows(self.rooms.counts, columns, counts)
        add_rows(self.rooms.proofs, columns, self.harms.gather(counts))
        self.rooms.is_new[columns] = True

    def start_afresh(self, event: int) -> None:
        """Restart the evidence of the rooms that the bandit has restarted after an event.

        The bandit kept what came since the change, of retention alone: where a gate counts anything else over the same
        viewers, all of it starts from nothing. Evidence of harm that suffices already is kept, for the next tick.
        """
        if self.config.change_detector is None:
            return
        recent = takewhile(lambda change: change.event > event, reversed(self.bandit.changes))
        ids = list(dict.fromkeys(change.arm for change in recent))
        if not ids:
            return
        columns, rooms = self.columns(ids), self.rooms
        rooms.learned[:, columns] = 0.0
        rooms.is_changed[columns] = True
        if not self.rules.counts_others:
            means, weights, _ = self.bandit.evidence(ids)
            rooms.learned[EXPOSURES, columns] = np.round(weights)
            rooms.learned[RETAINED, columns] = np.round(means * weights)
        log_evidence = mean_evidence(self.harms.log_evidence(rooms.proofs[:, columns]))
        unproved = columns[log_evidence < np.log(needed_evidence(self.config, rooms.restarts[columns]))]
        rooms.proofs[:, unproved] = 0.0
        rooms.restarts[unproved] += 1

    def scales(self, columns: Columns, weights: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """What draws are multiplied with before they are ranked, `[C]`; None for nothing."""
        if self.config.objective == "global":
            return weights
        bars = np.array(self.rules.bars, np.float64)
        shares: NDArray[np.float64] = bars.min() / bars  # at most 1, however low a bar is
        relative = shares[self.rooms.bucket[columns]]
        return relative if weights is None else relative * weights

    def learn_yields(self, columns: Columns) -> None:
        """Learn what the last multipliers brought to rooms."""
        learn(self.paced, self.yields, columns, self.rooms.observed[columns])

    def push(self, columns: Columns, served: NDArray[np.bool_], fade: float) -> NDArray[np.float64]:
        """Set the multipliers that will bring what is granted, `[C]`; 0 for rooms that are not to be served.

        `fade` is the share that is left of their distance from 1, the host's own ranking, where the fleet is out of
        touch.
        """
        highest = self.paced.highest(self.rooms.tier[columns] == TIERS.index("S"))
        target = self.rooms.granted[columns]
        return push(self.paced, self.yields, columns, target, served=served, highest=highest, fade=fade)

    def close(self, columns: Columns, now: float) -> None:
        """Let rooms go."""
        self.rooms.is_open[columns] = False
        self.rooms.closed[columns] = now
        self._open = None

    def open_rooms(self) -> tuple[list[ArmId], Handles]:
        """Ids and rows of the open rooms, in the order in which they came; not to be changed."""
        if self._open is None:
            ids = self.bandit.arms
            handles = self.bandit.rows(ids)
            keep = self.rooms.is_open[columns_of(handles)]
            self._open = [id for id, kept in zip(ids, keep.tolist(), strict=True) if kept], handles[keep]
        return self._open

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

    def changes(self, columns: Columns, now: float, before: str, after: str, reason: str) -> list[StageChange]:
        """Records of rooms that change their stage together, with their counts."""
        rooms = self.rooms
        probabilities, proofs = rooms.probability[columns].tolist(), rooms.log_evidence[columns].tolist()
        each = zip(columns.tolist(), counts_of(rooms, columns), probabilities, proofs, strict=True)
        return [
            StageChange(self.room_at[column], now, before, after, reason, counts, probability, evidence(proof))
            for column, counts, probability, proof in each
        ]


def counts_of(rooms: Rooms, columns: Columns) -> list[dict[str, int | float]]:
    """Counts of rooms by metric; those of whole numbers as such."""
    whole = rooms.counts[: len(WHOLE), columns].astype(np.int64).T.tolist()
    others = rooms.counts[len(WHOLE) :, columns].T.tolist()
    return [dict(zip(METRICS, [*some, *rest], strict=True)) for some, rest in zip(whole, others, strict=True)]

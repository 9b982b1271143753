"""Route M, the allocator, and what it has to beat: routes A and B, pools, and bandits without stages."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from scipy.special import betaincc

from ...bandits import KLUCB, Bandit, Beta, Thompson
from ...bandits._table import Handles
from ...bandits.checkpoint import Checkpoint, pack, require, take, unpack
from ..cold_start import ColdStartAllocator, ColdStartConfig, Plan, Rules, StageChange
from ..cold_start.metrics import METRICS as ALLOCATOR_METRICS
from ..cold_start.reasons import Reason
from ..cold_start.sampling import share_out
from ..cold_start.stages import TIERS
from .base import EXPOSURES, METRICS, RETAINED, REVENUE, Floats, Ints, Outcomes, Report, Standing, View

TICK_CAP = 60  # exposures of a room in a minute, the same for all that rank rooms
SUB_ROUNDS = 6
CHUNK = TICK_CAP // SUB_ROUNDS  # exposures that one draw brings


def spread(weights: Floats, total: int, most: int | None = None) -> Ints:
    """Share out a total in proportion to weights, `[R]`, in whole numbers, the largest remainders first.

    `most` bounds each share; what it cuts off goes to the others.

    Examples
    --------
    >>> import numpy as np
    >>> from seedbed.allocators.market.policies import spread
    >>> spread(np.array([3.0, 1.0, 1.0]), 10).tolist()
    [6, 2, 2]
    >>> spread(np.array([3.0, 1.0, 1.0]), 10, most=4).tolist()
    [4, 3, 3]
    """
    given = np.zeros(weights.size, np.int64)
    left = total
    while left > 0:
        room = weights > 0.0 if most is None else (weights > 0.0) & (given < most)
        if not room.any():
            break
        share = np.where(room, weights, 0.0) / weights[room].sum() * left
        more = np.floor(share).astype(np.int64)
        rest = left - int(more.sum())
        more[np.argsort(more - share, kind="stable")[:rest]] += 1
        more[~room] = 0
        if most is not None:
            more = np.minimum(more, most - given)
        given += more
        left -= int(more.sum())
        if most is None:
            break
    return given


def take_turns(order: Ints, size: int, total: int, most: int = TICK_CAP) -> Ints:
    """Give `most` to each of some positions, in their order, until the total is used up: exposures of all, `[size]`."""
    given = np.zeros(size, np.int64)
    given[order] = np.clip(total - np.arange(order.size) * most, 0, most)
    return given


class _Stateless:
    """A policy that needs no more than what the view tells."""

    def learn(self, report: Report) -> None:
        """Nothing: the next view has the counts."""

    def to_bytes(self) -> bytes:
        """Nothing to keep."""
        return b""


class Uniform(_Stateless):
    """The same for every room."""

    def allocate(self, view: View) -> Ints:
        """Exposures of each open room, [R]."""
        return spread(np.ones(view.rooms.size), view.exposures)


class RouteA(_Stateless):
    """More traffic for every newcomer: rooms in proportion to their tier, newcomers `boost` times as much.

    Whether a room is any good plays no part.
    """

    def __init__(self, boost: float = 4.0) -> None:
        self.boost = boost

    def allocate(self, view: View) -> Ints:
        """Exposures of each open room, [R]."""
        weights = np.array([8.0, 4.0, 2.0, 1.0])[view.facts.tier] * np.where(view.facts.is_new, self.boost, 1.0)
        return spread(weights, view.exposures)


class RouteB(_Stateless):
    """Revenue only: the rooms that earned most an exposure go first, new ones being taken for average ones.

    `strength` exposures at the average of all rooms stand behind each estimate.
    """

    def __init__(self, strength: float = 50.0) -> None:
        self.strength = strength

    def allocate(self, view: View) -> Ints:
        """Exposures of each open room, [R]."""
        revenue, shown = view.counts[REVENUE], view.counts[EXPOSURES]
        average = revenue.sum() / max(shown.sum(), 1.0)
        estimate = (revenue + self.strength * average) / (shown + self.strength)
        return take_turns(np.argsort(-estimate, kind="stable"), estimate.size, view.exposures)


class Pools(_Stateless):
    """Ladder of traffic pools with point thresholds: a room whose rate reaches the bar at the end of a pool goes on.

    Parameters
    ----------
    ends
        Exposures at which each pool ends.
    bar
        Rate of retained viewers that each asks for at its end.
    """

    def __init__(self, bar: float, ends: tuple[int, ...] = (100, 500, 3_000, 12_000)) -> None:
        self.ends, self.bar = ends, bar

    def allocate(self, view: View) -> Ints:
        """Exposures of each open room, [R]: the lowest pool first."""
        shown, retained = view.counts[EXPOSURES], view.counts[RETAINED]
        rate = retained / np.maximum(shown, 1.0)
        pool = np.searchsorted(np.array(self.ends), shown, side="right")
        lives = (pool == 0) | (rate >= self.bar)
        lives &= pool < len(self.ends)
        ends = np.array([*self.ends, 0])[pool]
        given = np.zeros(shown.size, np.int64)
        left = view.exposures
        for level in range(len(self.ends)):  # the lowest pool is the guarantee of newcomers, as platforms tell it
            members = lives & (pool == level)
            wanted = np.where(members, np.minimum(ends - shown, TICK_CAP), 0.0).astype(np.int64)
            more = wanted if wanted.sum() <= left else np.minimum(spread(wanted.astype(np.float64), left), wanted)
            given += more
            left -= int(more.sum())
        return given


def _places(values: Ints, wanted: Ints) -> Ints:
    """Positions among distinct values of those that are wanted."""
    order = np.argsort(values)
    places: Ints = order[np.searchsorted(values, wanted, sorter=order)]
    return places


def _widened(outcomes: Ints, n_rooms: int) -> Ints:
    """Room for so many rooms, or more."""
    missing = n_rooms - outcomes.shape[1]
    return outcomes if missing <= 0 else np.pad(outcomes, ((0, 0), (0, missing)))


class _Ranked:
    """A bandit over the open rooms."""

    def __init__(self, bandit: Bandit) -> None:
        self.bandit = bandit

    def _follow(self, view: View) -> Handles:
        """Let rooms come and go; return the rows of the open ones, `[R]`."""
        known = set(self.bandit.arms)
        self.bandit.retire_arms([room for room in view.closed.tolist() if room in known])
        self.bandit.add_arms([room for room in view.rooms.tolist() if room not in known])
        return self.bandit.rows(view.rooms.tolist())

    def learn(self, report: Report) -> None:
        """Learn how many of the viewers were retained."""
        arms = set(self.bandit.arms)
        known = np.array([room in arms for room in report.rooms.tolist()], np.bool_)
        rows = self.bandit.rows(report.rooms[known].tolist())
        shown, retained = report.counts[EXPOSURES, known], report.counts[RETAINED, known]
        weights = np.concatenate([retained, shown - retained])
        self.bandit.update_rows(np.tile(rows, 2), np.repeat([1.0, 0.0], rows.size), weight=weights)

    def to_bytes(self) -> bytes:
        """The bandit's checkpoint."""
        return self.bandit.to_bytes()

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Resume exactly."""
        policy = cls.__new__(cls)
        _Ranked.__init__(policy, Bandit.from_bytes(blob))
        return policy


class KLUCBRanking(_Ranked):
    """The rooms of the highest KL-UCB index of the retained rate."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(Bandit(KLUCB(), seed=seed))

    def allocate(self, view: View) -> Ints:
        """Exposures of each open room, [R]."""
        rows = self._follow(view)
        if rows.size == 0:
            return np.zeros(0, np.int64)
        k = min(rows.size, -(-view.exposures // TICK_CAP))
        return take_turns(_places(rows, self.bandit.select_rows(rows, k=k).rows), rows.size, view.exposures)


class EBThompson(_Ranked):
    """Empirical-Bayes Thompson sampling over all rooms, without stages, floors or stops.

    Parameters
    ----------
    prior
        Beta of the retained rate of rooms, fitted on history.
    """

    def __init__(self, prior: tuple[float, float], seed: int = 0) -> None:
        super().__init__(Bandit(Thompson(model=Beta(prior=prior)), seed=seed))

    def allocate(self, view: View) -> Ints:
        """Exposures of each open room, [R]."""
        rows = self._follow(view)
        room_for = np.full(rows.size, TICK_CAP, np.int64)
        return share_out(self.bandit, rows, room_for, view.exposures, chunk=CHUNK, sub_rounds=SUB_ROUNDS)


class StagePartitioned(EBThompson):
    """Three stages that each own a fixed slice of every minute: what the allocator deliberately is not.

    Parameters
    ----------
    prior, bar
        Beta of the retained rate, and the bar that SCALE asks for with 90 % certainty.
    quota, cap
        Exposures at which SEED and VERIFY end.
    slices
        Shares of a minute that belong to SEED, VERIFY and SCALE; what a stage cannot use is lost to it, and goes to the
        next.
    """

    def __init__(
        self,
        prior: tuple[float, float],
        bar: float,
        quota: int = 100,
        cap: int = 600,
        slices: tuple[float, float, float] = (0.25, 0.35, 0.40),
        seed: int = 0,
    ) -> None:
        super().__init__(prior, seed)
        self.prior, self.bar, self.quota, self.cap, self.slices = prior, bar, quota, cap, slices

    def allocate(self, view: View) -> Ints:
        """Exposures of each open room, [R]."""
        rows = self._follow(view)
        shown, retained = view.counts[EXPOSURES], view.counts[RETAINED]
        a, b = self.prior
        above = betaincc(a + retained, b + shown - retained, self.bar)
        is_seed = shown < self.quota
        is_scale = ~is_seed & (above >= 0.9)
        is_verify = ~is_seed & ~is_scale & (shown < self.cap)
        given, left = np.zeros(rows.size, np.int64), 0
        for members, share in zip((is_seed, is_verify, is_scale), self.slices, strict=True):
            left += int(share * view.exposures)
            some = np.flatnonzero(members)
            most = np.full(some.size, TICK_CAP, np.int64)
            given[some] = share_out(self.bandit, rows[some], most, left, chunk=CHUNK, sub_rounds=SUB_ROUNDS)
            left -= int(given[some].sum())
        return given

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Resume exactly."""
        checkpoint = unpack(blob, "stage_partitioned")
        bandit = take(checkpoint.values, "bandit", lambda v: isinstance(v, bytes), "bytes")
        policy = cls(**{**checkpoint.config, "prior": tuple(checkpoint.config["prior"])})
        policy.bandit = Bandit.from_bytes(bandit)
        return policy

    def to_bytes(self) -> bytes:
        """Numbers and the bandit's checkpoint."""
        names = ("prior", "bar", "quota", "cap", "slices")
        config = {name: list(v) if isinstance(v := getattr(self, name), tuple) else v for name in names}
        return pack(Checkpoint("stage_partitioned", config, {"bandit": self.bandit.to_bytes()}, {}))


class RouteM:
    """The three-stage allocator: each room of the market is one of its rooms.

    Parameters
    ----------
    config
        Its numbers.
    buckets
        Names of the market's buckets, by which the rules name them.
    rules
        Bars and populations fitted on history; None for those of the configuration.
    """

    def __init__(
        self, config: ColdStartConfig, buckets: Sequence[str], rules: Rules | None = None, seed: int = 0
    ) -> None:
        self.allocator = ColdStartAllocator(config, seed=seed)
        self.buckets = list(buckets)
        self.changes: list[StageChange] = []  # of all minutes so far, for reports
        self._plan: Plan | None = None
        self._outcomes = np.zeros((3, 0), np.int64)  # quota, graduated, stopped, by number of the room
        if rules is not None:
            self.allocator.use_rules(rules)

    def allocate(self, view: View) -> Ints:
        """Exposures of each open room, [R]."""
        allocator, facts = self.allocator, view.facts
        if view.closed.size:
            allocator.close(view.closed.tolist(), now=view.now)
        new = _places(view.rooms, view.opened)
        allocator.open(
            view.opened.tolist(),
            now=view.now,
            bucket=[self.buckets[place] for place in facts.bucket[new].tolist()],
            tier=[TIERS[tier] for tier in facts.tier[new].tolist()],
            content_score=facts.content_score[new],
            creator_score=facts.creator_score[new],
        )
        plan = allocator.tick(now=view.now, exposures=view.exposures)
        self.changes.extend(plan.changes)
        self._plan = plan
        columns = plan.columns()
        rooms = np.array(columns["room"], np.int64)
        self._note(rooms, columns["seed_quota"], plan.changes)
        given = np.zeros(view.rooms.size, np.int64)
        given[_places(view.rooms, rooms)] = columns["exposures"]
        return given

    def _note(self, rooms: Ints, quota: Ints, changes: Sequence[StageChange]) -> None:
        """Keep what was decided of rooms, beyond the time for which the allocator knows them."""
        self._outcomes = _widened(self._outcomes, int(rooms.max(initial=-1)) + 1)
        self._outcomes[0, rooms] = quota
        for change in changes:  # rooms that closed since then have been in an earlier plan
            if change.reason == Reason.PROMOTED:
                self._outcomes[1, int(change.room)] = 1
            elif change.after == "STOPPED":
                self._outcomes[2, int(change.room)] = 1

    def outcomes(self, n_rooms: int) -> Outcomes:
        """What was decided of the first so many rooms."""
        quota, graduated, stopped = _widened(self._outcomes, n_rooms)[:, :n_rooms]
        return Outcomes(quota.copy(), graduated > 0, stopped > 0)

    def standing(self) -> Standing | None:
        """Where the open rooms stood in the last minute; None before any."""
        if self._plan is None:
            return None
        columns = self._plan.columns()
        return Standing(
            np.array(columns["room"], np.int64),
            columns["stage"],
            columns["exposures"],
            columns["probability"],
            columns["log_evidence"],
            np.array([bucket.gates[0].bar for bucket in self.allocator.rules.buckets])[columns["bucket"]],
            1.0 - self.allocator.config.false_promotion,
            self.allocator.config.demote_below,
            self.allocator.config.stop.needed,
        )

    def learn(self, report: Report) -> None:
        """Tell the allocator what its viewers did; gifts are not among what it looks at."""
        seen = np.flatnonzero(report.counts[EXPOSURES] > 0.0)
        counts = report.counts[:, seen]
        told = {name: counts[METRICS.index(name)] for name in ALLOCATOR_METRICS}
        self.allocator.observe(report.rooms[seen].tolist(), at=report.now, **told)

    def to_bytes(self) -> bytes:
        """The allocator's checkpoint; without the changes of past minutes."""
        values, arrays = {"allocator": self.allocator.to_bytes()}, {"outcomes": self._outcomes}
        return pack(Checkpoint("route_m", {"buckets": self.buckets}, values, arrays))

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Resume exactly."""
        checkpoint = unpack(blob, "route_m")
        policy = cls.__new__(cls)
        policy.buckets, policy.changes, policy._plan = list(checkpoint.config["buckets"]), [], None
        outcomes = checkpoint.arrays.get("outcomes", np.empty(0))
        require(outcomes.dtype == np.int64 and outcomes.ndim == 2 and len(outcomes) == 3, "'outcomes' is no such array")
        policy._outcomes = outcomes
        policy.allocator = ColdStartAllocator.from_bytes(
            take(checkpoint.values, "allocator", lambda v: isinstance(v, bytes), "bytes")
        )
        return policy

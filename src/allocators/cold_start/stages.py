"""Stages of a room, the columns in which rooms are kept, and the rules by which a room changes its stage."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...bandits._numba import kernel
from ...bandits._random import ArmId
from .config import ColdStartConfig
from .metrics import EXPOSURES, METRICS
from .reasons import BIT, Reason

TIERS = ("S", "A", "B", "C")


class Stage(IntEnum):
    """Where a room stands."""

    SEED = 0
    VERIFY = 1
    SCALE = 2
    STOPPED = 3
    EXHAUSTED = 4


class Rooms(NamedTuple):
    """State of K rooms; the column of a room is that of its arm.

    counts: float64 `[M, K]` METRICS as observed, all of them.
    learned: float64 `[M, K]` those that the gates judge: since the last change, and not under a pin or weight.
    proofs: float64 `[R, K]` what the harms are judged by (`HarmTable`), since the last change.
    organic: float64 `[2, K]` exposures and retained of organic traffic.
    granted: int64 `[K]` exposures handed out and not released; never less than those observed.
    current: int64 `[K]` exposures in flight that were granted in the budget's current window.
    quota: int64 `[K]` seed quota.
    extra: int64 `[K]` exposures by which the cap of VERIFY was raised.
    stage: int64 `[K]` Stage.
    why: int64 `[K]` bit of the reason for which the room is in its stage (`reasons.BIT`), 0 at first.
    reasons: int64 `[K]` bits of the last plan's reasons.
    tier: int64 `[K]` place in TIERS.
    bucket: int64 `[K]` place in the rules in force.
    restarts: int64 `[K]` how often its evidence was started afresh.
    is_open: bool `[K]`; False for closed rooms and for columns without a room.
    is_new: bool `[K]` whether there is evidence that the gates have not seen.
    is_changed: bool `[K]` whether its evidence was started afresh since the last tick.
    opened, closed, granted_at: float64 `[K]` seconds; closed is infinite while open, granted_at -inf before.
    probability: float64 `[K]` smallest `P(rate > bar)` of the gates, as they said last.
    log_evidence: float64 `[K]` ln of the mean evidence of the harms.
    """

    counts: NDArray[np.float64]
    learned: NDArray[np.float64]
    proofs: NDArray[np.float64]
    organic: NDArray[np.float64]
    granted: NDArray[np.int64]
    current: NDArray[np.int64]
    quota: NDArray[np.int64]
    extra: NDArray[np.int64]
    stage: NDArray[np.int64]
    why: NDArray[np.int64]
    reasons: NDArray[np.int64]
    tier: NDArray[np.int64]
    bucket: NDArray[np.int64]
    restarts: NDArray[np.int64]
    is_open: NDArray[np.bool_]
    is_new: NDArray[np.bool_]
    is_changed: NDArray[np.bool_]
    opened: NDArray[np.float64]
    closed: NDArray[np.float64]
    granted_at: NDArray[np.float64]
    probability: NDArray[np.float64]
    log_evidence: NDArray[np.float64]

    @property
    def observed(self) -> NDArray[np.int64]:
        """Exposures observed, `[K]`."""
        observed: NDArray[np.int64] = self.counts[EXPOSURES].astype(np.int64)
        return observed

    @property
    def in_flight(self) -> NDArray[np.int64]:
        """Exposures granted and neither observed nor released, `[K]`."""
        in_flight: NDArray[np.int64] = self.granted - self.observed
        return in_flight


_BOOLS = {"is_open", "is_new", "is_changed"}
_FLOATS = {"opened", "closed", "granted_at", "probability", "log_evidence"}


def new_rooms(capacity: int, proofs: int) -> Rooms:
    """Make columns without rooms, with so many rows of proofs."""
    rows = {"counts": len(METRICS), "learned": len(METRICS), "proofs": proofs, "organic": 2}
    arrays: dict[str, Any] = {}
    for name in Rooms._fields:
        dtype = np.bool_ if name in _BOOLS else np.float64 if name in _FLOATS or name in rows else np.int64
        arrays[name] = np.zeros((rows[name], capacity) if name in rows else capacity, dtype)
    return Rooms(**arrays)


def grown(rooms: Rooms, capacity: int) -> Rooms:
    """Copy into larger columns."""
    larger = new_rooms(capacity, rooms.proofs.shape[0])
    for old, new in zip(rooms, larger, strict=True):
        new[..., : old.shape[-1]] = old
    return larger


@dataclass(frozen=True, slots=True)
class StageChange:
    """One change of a room's stage, why, and the numbers that caused it.

    Parameters
    ----------
    room
        Its id.
    at
        Seconds, the `now` of the tick that decided.
    before, after
        Names of the stages.
    reason
        SEED_DONE, LOW_SUPPLY, PROMOTED, DEMOTED, CHANGED, FUTILE, CAP_REACHED, EXTENDED or STOP_LOSS; for CLOSED the
        host's.
    counts
        The room's counts, by metric.
    probability
        Smallest `P(rate > bar)` of the gates.
    evidence
        Mean E of the harms.
    """

    room: ArmId
    at: float
    before: str
    after: str
    reason: str
    counts: dict[str, int | float]
    probability: float
    evidence: float


class Move(NamedTuple):
    """Rooms that change their stage together: their columns, stages, and why."""

    columns: NDArray[np.int64]
    before: Stage
    after: Stage
    reason: Reason


def advance(
    config: ColdStartConfig, rooms: Rooms, columns: NDArray[np.int64], now: float, *, promotes: bool = True
) -> list[Move]:
    """Move open rooms to the stage that their evidence asks for; a room may pass several stages at once.

    Stops come first and are final. Then demotions, the end of SEED, promotions and the ends of VERIFY and SCALE.
    """
    moves: list[Move] = []
    stage = rooms.stage[columns]

    there = np.bincount(stage, minlength=len(Stage))

    def move(which: NDArray[np.bool_], before: Stage, after: Stage, reason: Reason) -> None:
        if there[before] == 0:
            return
        places = np.flatnonzero(which & (stage == before))
        if places.size:
            stage[places] = after
            there[before] -= places.size
            there[after] += places.size
            chosen = columns[places]
            rooms.stage[chosen] = after
            rooms.why[chosen] = BIT[reason]
            moves.append(Move(chosen, before, after, reason))

    probability = rooms.probability[columns]
    seen = rooms.counts[EXPOSURES, columns]
    fires = rooms.log_evidence[columns] >= np.log(needed_evidence(config, rooms.restarts[columns]))
    for before in (Stage.SEED, Stage.VERIFY, Stage.SCALE, Stage.EXHAUSTED):
        move(fires, before, Stage.STOPPED, Reason.STOP_LOSS)
    move(rooms.is_changed[columns], Stage.SCALE, Stage.VERIFY, Reason.CHANGED)
    move(probability < config.demote_below, Stage.SCALE, Stage.VERIFY, Reason.DEMOTED)
    move(seen >= config.seed_done * rooms.quota[columns], Stage.SEED, Stage.VERIFY, Reason.SEED_DONE)
    move(now >= rooms.opened[columns] + config.seed_deadline, Stage.SEED, Stage.VERIFY, Reason.LOW_SUPPLY)
    if promotes:
        move(probability >= 1.0 - config.false_promotion, Stage.VERIFY, Stage.SCALE, Reason.PROMOTED)
    move(probability < config.futile_below, Stage.VERIFY, Stage.EXHAUSTED, Reason.FUTILE)
    landed = (rooms.granted[columns] == seen) | (now >= rooms.granted_at[columns] + config.flight_seconds)
    has_ended = (caps(config, rooms, columns) == 0) & landed
    for before in (Stage.VERIFY, Stage.SCALE):
        move(has_ended, before, Stage.EXHAUSTED, Reason.CAP_REACHED)
    rooms.is_changed[columns] = False
    return moves


def extend(config: ColdStartConfig, rooms: Rooms, columns: NDArray[np.int64], unspent: int) -> list[Move]:
    """Raise the caps of the most promising rooms that ended at their cap, as far as unspent exposures reach.

    Only rooms that SCALE would keep, `P(rate > bar) >= demote_below`, and never beyond the cap of SCALE.
    """
    if unspent <= 0 or config.extension == 0:
        return []
    highest = _scale_cap(config)
    at_cap = (rooms.stage[columns] == Stage.EXHAUSTED) & (rooms.why[columns] == BIT[Reason.CAP_REACHED])
    at_cap &= rooms.granted[columns] < highest
    promising = columns[at_cap & (rooms.probability[columns] >= config.demote_below)]
    order = np.argsort(-rooms.probability[promising], kind="stable")
    chosen = promising[order[: -(-unspent // config.extension)]]
    if chosen.size == 0:
        return []
    rooms.extra[chosen] = np.minimum(rooms.granted[chosen] + config.extension, highest) - config.verify_cap
    rooms.stage[chosen] = Stage.VERIFY
    rooms.why[chosen] = BIT[Reason.EXTENDED]
    return [Move(chosen, Stage.EXHAUSTED, Stage.VERIFY, Reason.EXTENDED)]


def needed_evidence(config: ColdStartConfig, restarts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Evidence at which rooms are stopped, by how often theirs was started afresh, `[C]`.

    1 / alpha; where evidence may start afresh, the k-th start, from 1, has alpha / 2^k: together they have alpha.
    """
    starts = np.zeros(restarts.size) if config.change_detector is None else np.minimum(restarts + 1.0, 900.0)
    needed: NDArray[np.float64] = config.stop.needed * np.exp2(starts)
    return needed


def is_live(rooms: Rooms, columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which rooms are in a stage that may be served, `[C]`."""
    live: NDArray[np.bool_] = rooms.stage[columns] <= Stage.SCALE
    return live


def _scale_cap(config: ColdStartConfig) -> int:
    return int(np.iinfo(np.int64).max) if config.scale_cap is None else config.scale_cap


def caps(config: ColdStartConfig, rooms: Rooms, columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Exposures that each room may still be granted in its stage, `[C]`."""
    left = np.empty(columns.size, np.int64)
    numbers = config.verify_cap, _scale_cap(config)
    _write_caps(rooms.stage, rooms.quota, rooms.extra, rooms.granted, columns, *numbers, left)
    return left


@kernel
def _write_caps(
    stage: NDArray[np.int64],
    quota: NDArray[np.int64],
    extra: NDArray[np.int64],
    granted: NDArray[np.int64],
    columns: NDArray[np.int64],
    verify_cap: int,
    scale_cap: int,
    left: NDArray[np.int64],
) -> None:
    for i in range(columns.size):
        j = columns[i]
        cap = 0
        if stage[j] == 0:
            cap = quota[j]
        elif stage[j] == 1:
            cap = verify_cap + extra[j]
        elif stage[j] == 2:
            cap = scale_cap
        left[i] = max(cap - granted[j], 0)

"""Plan: what the allocator asks of the host's ranker for one tick."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...bandits import UnknownArmError
from ...bandits._random import ArmId
from .config import ColdStartConfig
from .overrides import Override
from .reasons import Reason, names_of
from .rules import Rules
from .stages import Stage, StageChange


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """What the host does with one room until the next tick.

    Parameters
    ----------
    seed_quota
        Exposures that the room is guaranteed in SEED, all in all.
    scale_policy
        The rule that scales the room up, and its numbers.
    stop_rule
        The rule that stops it: metric, limit, evidence needed, evidence so far.
    traffic_multiplier
        Factor on the room's score in the ranker's exploration slots that should bring `exposures`; 0.0 for none.
    stage
        SEED, VERIFY, SCALE, STOPPED or EXHAUSTED.
    exposures
        Exposures granted in this tick.
    reason_codes
        Why, never empty; each has its `sentence`.
    """

    seed_quota: int
    scale_policy: dict[str, Any]
    stop_rule: dict[str, Any]
    traffic_multiplier: float
    stage: str
    exposures: int
    reason_codes: tuple[Reason, ...]


class Columns(NamedTuple):
    """A plan's arrays, one entry a room, [R]."""

    seed_quota: NDArray[np.int64]
    bucket: NDArray[np.int64]
    stage: NDArray[np.int64]
    exposures: NDArray[np.int64]
    traffic_multiplier: NDArray[np.float64]
    probability: NDArray[np.float64]
    log_evidence: NDArray[np.float64]
    evidence_needed: NDArray[np.float64]
    reasons: NDArray[np.int64]


class Plan(Mapping[ArmId, RoomPlan]):
    """Rooms and what each gets until the next tick; read-only. A room's record is made when it is asked for.

    Attributes
    ----------
    now
        Seconds, of the tick.
    granted
        Exposures granted to all rooms.
    available
        Exposures that could have been granted: what was offered, or what the budget had left.
    floor_unmet
        Exposures that the guarantee asked for beyond the floor's share.
    changes
        Changes of stage since the plan before, in their order.
    overrides
        Operators' orders made or ended since the plan before, in their order.
    rules
        Version of the rules by which rooms were judged.
    """

    def __init__(
        self,
        config: ColdStartConfig,
        rules: Rules,
        rooms: list[ArmId],
        columns: Columns,
        *,
        now: float,
        available: int,
        floor_unmet: int,
        changes: tuple[StageChange, ...],
        overrides: tuple[Override, ...],
    ) -> None:
        for array in columns:
            array.flags.writeable = False
        self._config = config
        self._gates = [bucket.gates for bucket in rules.buckets]
        self.rules = rules.version
        self._rooms = rooms
        self._columns = columns
        self._position_of: dict[ArmId, int] | None = None
        self.now = now
        self.granted = int(columns.exposures.sum())
        self.available = available
        self.floor_unmet = floor_unmet
        self.changes = changes
        self.overrides = overrides

    def columns(self) -> dict[str, Any]:
        """The plan as columns: `room`, a list of ids, and read-only arrays in the same order.

        `stage` holds the numbers of `Stage`, `reasons` bits in the order of `Reason`, `log_evidence` ln E, `bucket` the
        place in the rules.
        """
        return {"room": list(self._rooms), **self._columns._asdict()}

    def as_record(self) -> dict[str, Any]:
        """The plan as plain values and arrays, with the names that its numbers stand for: what a log keeps."""
        return {
            "now": self.now,
            "rules": self.rules,
            "granted": self.granted,
            "available": self.available,
            "floor_unmet": self.floor_unmet,
            "stage_names": [stage.name for stage in Stage],
            "reason_names": [reason.value for reason in Reason],
            **self.columns(),
        }

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[ArmId]:
        return iter(self._rooms)

    def __repr__(self) -> str:
        return f"Plan(now={self.now}, {len(self)} rooms, {self.granted} of {self.available} exposures granted)"

    def __getitem__(self, room: ArmId) -> RoomPlan:
        if self._position_of is None:
            self._position_of = {id: i for i, id in enumerate(self._rooms)}
        i = self._position_of.get(room)
        if i is None:
            raise UnknownArmError(
                f"room {room!r} is not in this plan, which holds the {len(self)} rooms open at its tick"
            )
        config, columns = self._config, self._columns
        gates = self._gates[columns.bucket[i]]
        return RoomPlan(
            seed_quota=int(columns.seed_quota[i]),
            scale_policy={
                "rule": "posterior",
                "metric": "retained",
                "bar": gates[0].bar,
                "bars": {gate.metric: gate.bar for gate in gates},
                "rules": self.rules,
                "probability": float(columns.probability[i]),
                "needed": 1.0 - config.false_promotion,
                "demote_below": config.demote_below,
                "verify_cap": config.verify_cap,
                "scale_cap": config.scale_cap,
            },
            stop_rule={
                "rule": "e-process",
                "metric": config.stop.metric,
                "limit": config.stop.limit,
                "metrics": [harm.metric for harm in config.all_harms],
                "evidence_needed": float(columns.evidence_needed[i]),
                "evidence": evidence(float(columns.log_evidence[i])),
            },
            traffic_multiplier=float(columns.traffic_multiplier[i]),
            stage=Stage(columns.stage[i]).name,
            exposures=int(columns.exposures[i]),
            reason_codes=names_of(int(columns.reasons[i])),
        )


def evidence(log_evidence: float) -> float:
    """E from ln E, as a finite number."""
    return math.exp(min(log_evidence, 700.0))

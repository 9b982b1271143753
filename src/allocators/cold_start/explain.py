"""Explanations: where one room stands, why it was given what it was, and what would change it."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from ...bandits._random import ArmId
from .gates import Gate
from .metrics import EXPOSURES
from .overrides import Override, Overrides
from .plan import evidence
from .reasons import BIT, Reason, names_of
from .registry import Registry, counts_of
from .stages import TIERS, Stage, caps, needed_evidence

_FARTHEST = 2**22  # further viewers up to which a promotion is looked for


@dataclass(frozen=True, slots=True)
class GateStanding:
    """Where a room stands at one gate.

    Parameters
    ----------
    metric, bar
        What is judged, and the rate to be exceeded.
    rate
        Its rate as believed: the observed one, shrunk to that of its bucket.
    probability, needed
        `P(rate > bar)`, and what promotion asks for.
    more
        Further viewers (of comments: viewer-minutes) after which it would pass if they behaved as its rate says; 0 if
        it passes; None if its rate is not above the bar, or hardly.
    """

    metric: str
    bar: float
    rate: float
    probability: float
    needed: float
    more: int | None


@dataclass(frozen=True, slots=True)
class HarmStanding:
    """How far a harm is proved: evidence by itself; a room is stopped by the mean over its harms."""

    metric: str
    limit: float
    side: str
    evidence: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """What there is to know of a room, in numbers and in words (`str(explanation)`).

    Parameters
    ----------
    room, bucket, tier, stage
        What it is, and where it stands.
    at
        Seconds: the time of the last call; None before any.
    rules
        Version of the rules in force.
    seed_quota, granted, cap
        Exposures guaranteed in SEED, handed out so far, and at which its stage ends (None for no end).
    counts
        What was observed of it, by metric.
    gates, harms
        Where it stands at each of them.
    evidence, evidence_needed
        Mean evidence of the harms, and that at which it is stopped.
    traffic_multiplier
        The last one.
    reason_codes
        Of the last tick.
    overrides
        Operators' orders that hold.
    because, next
        Sentences: why it was given what it was, and what would change it.
    """

    room: ArmId
    bucket: str
    tier: str
    stage: str
    at: float | None
    rules: str
    seed_quota: int
    granted: int
    cap: int | None
    counts: dict[str, int | float]
    gates: tuple[GateStanding, ...]
    harms: tuple[HarmStanding, ...]
    evidence: float
    evidence_needed: float
    traffic_multiplier: float
    reason_codes: tuple[Reason, ...]
    overrides: tuple[Override, ...]
    because: tuple[str, ...]
    next: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The whole as plain values, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"Room {self.room}: {self.stage}, {self.counts['exposures']} of {self.granted} viewers reported."]
        lines += [f"  why: {sentence}" for sentence in self.because]
        for gate in self.gates:
            lines.append(
                f"  {gate.metric}: {gate.rate:.4g} against a bar of {gate.bar:.4g}; "
                f"above it with probability {gate.probability:.1%}, needed {gate.needed:.0%}"
            )
        lines += [f"  next: {sentence}" for sentence in self.next]
        return "\n".join(lines)


def explain(registry: Registry, overrides: Overrides, id: ArmId, now: float | None) -> Explanation:
    """Explain a known room as of now; under the allocator's lock."""
    rooms, config, rules = registry.rooms, registry.config, registry.rules
    (column,) = registry.columns([id]).tolist()
    one = registry.columns([id])
    needed = 1.0 - config.false_promotion
    learned = rooms.learned[:, column]
    gates = tuple(
        _standing(gate, float(learned[events]), float(learned[exposure]), needed)
        for gate, events, exposure in zip(
            rules.gates_of(int(rooms.bucket[column])), rules.events, rules.exposures, strict=True
        )
    )
    each = registry.harms.log_evidence(rooms.proofs[:, one])[:, 0].tolist()
    harms = tuple(
        HarmStanding(harm.metric, harm.evidence.limit, harm.evidence.alternative, evidence(log_evidence))
        for harm, log_evidence in zip(registry.harms.harms, each, strict=True)
    )
    stage, granted = Stage(rooms.stage[column]), int(rooms.granted[column])
    left = int(caps(config, rooms, one)[0])
    codes = names_of(int(rooms.reasons[column]))
    held = tuple(order for (room, _), order in overrides.active.items() if room == id)
    is_open = bool(rooms.is_open[column])
    return Explanation(
        room=id,
        bucket=registry.buckets[id],
        tier=TIERS[rooms.tier[column]],
        stage=stage.name if is_open else "CLOSED",
        at=now,
        rules=rules.in_force.version,
        seed_quota=int(rooms.quota[column]),
        granted=granted,
        cap=None if left > 2**53 else granted + left,
        counts=counts_of(rooms, one)[0],
        gates=gates,
        harms=harms,
        evidence=evidence(float(rooms.log_evidence[column])),
        evidence_needed=float(needed_evidence(config, rooms.restarts[one])[0]),
        traffic_multiplier=float(registry.yields.multiplier[column]),
        reason_codes=codes,
        overrides=held,
        because=_because(codes) if is_open else ("It is closed.",),
        next=tuple(_next(registry, column, stage, gates, held, now)) if is_open else (),
    )


def _because(codes: tuple[Reason, ...]) -> tuple[str, ...]:
    return tuple(code.sentence for code in codes) or ("It is new: nothing was decided about it yet.",)


def _standing(gate: Gate, events: float, exposure: float, needed: float) -> GateStanding:
    probability, rate = float(gate.probability(events, exposure)[0]), float(gate.rate(events, exposure)[0])
    return GateStanding(
        gate.metric, gate.bar, rate, probability, needed, _more(gate, events, exposure, rate, probability, needed)
    )


def _more(gate: Gate, events: float, exposure: float, rate: float, probability: float, needed: float) -> int | None:
    """Further exposure at the believed rate after which the gate is passed: by doubling, then by halves."""
    if probability >= needed:
        return 0
    if rate <= gate.bar:
        return None

    def passes(n: int) -> bool:
        return float(gate.probability(events + rate * n, exposure + n)[0]) >= needed

    high = 1
    while not passes(high):
        high *= 2
        if high > _FARTHEST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def _next(
    registry: Registry,
    column: int,
    stage: Stage,
    gates: tuple[GateStanding, ...],
    held: tuple[Override, ...],
    now: float | None,
) -> list[str]:
    rooms, config = registry.rooms, registry.config
    present = rooms.opened[column] if now is None else now
    sentences = [
        f"The order {order.kind!r} of {order.actor} ends in {order.until - present:.0f} s ({order.reason})."
        for order in held
    ]
    if stage is Stage.STOPPED:
        return [*sentences, "Nothing in this session: a stop is final."]
    if stage is Stage.EXHAUSTED:
        may_go_on = config.extension > 0 and rooms.why[column] == BIT[Reason.CAP_REACHED]
        may_go_on &= config.scale_cap is None or rooms.granted[column] < config.scale_cap
        may_go_on &= rooms.probability[column] >= config.demote_below
        end = ", unless viewers are left over." if may_go_on else ", but for an operator's pin."
        return [*sentences, "Nothing in this session" + end]
    if stage is Stage.SEED:
        missing = math.ceil(config.seed_done * rooms.quota[column] - rooms.counts[EXPOSURES, column])
        left = max(rooms.opened[column] + config.seed_deadline - present, 0.0)
        sentences.append(f"It is verified after {max(missing, 0)} more viewers, at the latest in {left:.0f} s.")
    if stage is Stage.SCALE:
        sentences.append(
            f"It goes on while the probability of being above all bars is {config.demote_below:.0%} or more."
        )
        return sentences
    for gate in gates:
        unit = "viewer-minutes" if gate.metric == "comments" else "viewers"
        if gate.more is None:
            sentences.append(f"{gate.metric} must rise above {gate.bar:.4g}; it is believed to be {gate.rate:.4g}.")
        elif gate.more:
            sentences.append(f"About {gate.more} more {unit} who behave as the others did would prove {gate.metric}.")
    return sentences

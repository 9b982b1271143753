"""What is kept of one replicate of one policy: small enough to be sent home by a cluster."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .base import EXPOSURES, NEGATIVE, RETAINED, Floats, Ints, MarketPolicy, Outcomes, Standing
from .measures import exposure_by_decile, measures
from .parameters import MarketConfig
from .playing import Allocate, Playing, Run

SEED, VERIFY, SCALE, STOPPED, EXHAUSTED = range(5)
STAGES = ("SEED", "VERIFY", "SCALE", "STOPPED", "EXHAUSTED")
_AROUND, _LONGEST = 10, 180  # minutes that a life is to show before and after, and in all
MINUTES_KEPT = ("offered", "exposures", "retained", "negative", "low_quality", "open_rooms")


@dataclass(frozen=True, slots=True)
class Life:
    """One room, minute by minute, while it was open and a policy with stages looked after it.

    Parameters
    ----------
    room, bucket
        Its number, and the name of its bucket.
    end
        "promoted" or "stopped": what it is shown for.
    minute, stage, exposures, probability, evidence
        Of each minute, [T]: minutes since the start, place in STAGES, exposures, `P(rate > bar)`, evidence of harm.
    needed, demote_below, evidence_needed
        Where the policy promotes, takes a promotion back, and stops.
    bar
        Rate of retained viewers above which it would be promoted; of its bucket.
    seen_retained, seen_negative
        Rates of its viewers in all.
    retained, negative, is_harmful
        What it really is: true rates of fresh unmatched viewers, and whether it does harm.
    """

    room: int
    bucket: str
    end: str
    minute: Ints
    stage: Ints
    exposures: Ints
    probability: Floats
    evidence: Floats
    needed: float
    demote_below: float
    evidence_needed: float
    bar: float
    seen_retained: float
    seen_negative: float
    retained: float
    negative: float
    is_harmful: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One replicate of one policy.

    Parameters
    ----------
    policy, seed
        Which.
    measures
        As of `Run.measures`; for a policy with `outcomes` also what it decided, and `quota`, `quota_95`: the shares of
        rooms, of those that opened during the run, that got its own quota, and 95 % of it.
    n_rooms
        Rooms that were met.
    deciles
        Share of the exposures that each tenth of rooms by true quality had, [10], the worst first.
    by_minute
        Sums of each minute, `[6, T]`, rows in the order of MINUTES_KEPT.
    stages
        Open rooms in each stage in each minute, `[5, T]`, for a policy with `standing`, else None.
    reached
        Rooms that were ever in each stage, [5], likewise.
    lives
        Of a room that was promoted, and of one that was stopped, where they were asked for and are there.
    """

    policy: str
    seed: int
    measures: dict[str, float]
    n_rooms: int
    deciles: Floats
    by_minute: Floats
    stages: Ints | None
    reached: Ints | None
    lives: tuple[Life, ...]


def play_one(
    name: str,
    policy: MarketPolicy | Allocate,
    config: MarketConfig,
    seed: int,
    minutes: int,
    start_hour: float,
    *,
    lives: bool = False,
    after_minute: Callable[[int], None] | None = None,
) -> Result:
    """Play a fresh policy in a fresh market; `after_minute` hears how many minutes are over."""
    playing = Playing(policy, config, seed, start_hour)
    standing: Callable[[], Standing | None] | None = getattr(policy, "standing", None)
    watched: list[Standing] = []
    stages = None if standing is None else np.zeros((len(STAGES), minutes), np.int64)
    been = np.zeros((len(STAGES), 0), np.bool_)
    for minute in range(minutes):
        playing.step()
        stood = None if standing is None else standing()
        if stages is not None and stood is not None:
            stages[:, minute] = np.bincount(stood.stage, minlength=len(STAGES))
            been = np.pad(been, ((0, 0), (0, max(int(stood.rooms.max(initial=-1)) + 1 - been.shape[1], 0))))
            been[stood.stage, stood.rooms] = True
            if lives:
                watched.append(stood)
        if after_minute is not None:
            after_minute(minute + 1)
    run = playing.run()
    decide: Callable[[int], Outcomes] | None = getattr(policy, "outcomes", None)
    outcomes = None if decide is None else decide(run.seen.size)
    return Result(
        name,
        seed,
        _measured(run, outcomes),
        run.seen.size,
        exposure_by_decile(run),
        np.array([run.offered, *run.by_minute[[EXPOSURES, RETAINED, NEGATIVE]], run.low, run.n_open], np.float64),
        stages,
        None if stages is None else been.sum(1),
        () if outcomes is None or not watched else _lives(run, outcomes, watched),
    )


def _measured(run: Run, outcomes: Outcomes | None) -> dict[str, float]:
    if outcomes is None:
        return measures(run)
    found = measures(run, graduated=outcomes.graduated, stopped=outcomes.stopped)
    for name, share in (("quota", 1.0), ("quota_95", 0.95)):
        found[name] = measures(run, guarantee=np.ceil(share * outcomes.quota))["guaranteed_new"]
    return found


def _lives(run: Run, outcomes: Outcomes, watched: list[Standing]) -> tuple[Life, ...]:
    """Of the rooms that were promoted, and of those that were stopped, the one with most exposures.

    Rather one that is seen for `_AROUND` minutes before and after, or as near to that as any is, and not for so long
    that nothing could be made out.
    """
    minute = np.repeat(np.arange(len(watched)), [stood.rooms.size for stood in watched])
    rooms, stage, exposures, probability, log_evidence, bars = (
        np.concatenate([stood[i] for stood in watched]) for i in range(6)
    )
    length = np.bincount(rooms, minlength=run.seen.size)
    lives = []
    for end, flags, last in (("promoted", outcomes.graduated, SCALE), ("stopped", outcomes.stopped, STOPPED)):
        before = np.bincount(rooms, stage < SCALE, run.seen.size)
        after = np.bincount(rooms, stage == last, run.seen.size)
        shows = np.where(flags & (after > 0), np.minimum(np.minimum(before, after), _AROUND), -1.0)
        if shows.max(initial=-1.0) < 0.0:
            continue
        shows -= 0.5 * (length > _LONGEST)
        room = int(np.argmax(np.where(shows == shows.max(), run.counts[EXPOSURES], -1.0)))
        own = np.flatnonzero(rooms == room)
        last_seen = int(own[-1])
        lives.append(
            Life(
                room,
                run.config.buckets[run.facts.bucket[room]].name,
                end,
                minute[own],
                stage[own],
                exposures[own],
                probability[own],
                np.exp(np.minimum(log_evidence[own], 700.0)),
                watched[-1].needed,
                watched[-1].demote_below,
                watched[-1].evidence_needed,
                float(bars[last_seen]),
                float(run.counts[RETAINED, room] / run.counts[EXPOSURES, room]),
                float(run.counts[NEGATIVE, room] / run.counts[EXPOSURES, room]),
                float(run.truth.retained[room]),
                float(run.truth.negative[room]),
                bool(run.truth.is_harmful[room]),
            )
        )
    return tuple(lives)


def as_plain(life: Life) -> dict[str, Any]:
    """A life as values that JSON knows."""
    values = {name: getattr(life, name) for name in Life.__slots__}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}

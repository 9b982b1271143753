"""What a policy sees of the market in a minute, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

METRICS = (
    "exposures",  # unique viewers to whom the room was shown by exploration traffic
    "clicks",  # of them, who entered
    "retained",  # of them, who stayed for a minute
    "comments",
    "follows",
    "negative",  # viewers who gave negative feedback
    "watched",  # sum over viewers of the watched share of the first five minutes, each in [0, 1]
    "minutes",  # viewer-minutes watched
    "gifts",
    "revenue",  # value of the gifts, in units of the median gift
)
(EXPOSURES, CLICKS, RETAINED, COMMENTS, FOLLOWS, NEGATIVE, WATCHED, MINUTES, GIFTS, REVENUE) = range(len(METRICS))


@dataclass(frozen=True, slots=True)
class Rooms:
    """What everybody may know of rooms, [R]; never their true quality.

    Parameters
    ----------
    creator
        Number of the streamer.
    bucket
        Index into `Market.buckets`, names such as "music/zh/cn".
    tier
        0 ... 3 for S, A, B, C.
    is_new
        Whether it is the streamer's first session.
    content_score, creator_score
        In [0, 1]: noisy predictions of the room's quality, before anything was shown.
    opened
        Seconds.
    """

    creator: Ints
    bucket: Ints
    tier: Ints
    is_new: NDArray[np.bool_]
    content_score: Floats
    creator_score: Floats
    opened: Floats


@dataclass(frozen=True, slots=True)
class View:
    """The market at the start of a minute.

    Parameters
    ----------
    now
        Seconds since the start of the simulation.
    exposures
        Exposures that exploration may hand out until the next minute.
    rooms
        Numbers of the open rooms, ascending, [R]; a number is never used again.
    opened, closed
        Numbers of the rooms that opened and closed since the last view; the former are among `rooms`.
    facts
        Of the open rooms, [R].
    counts
        All that was reported of the open rooms so far, `[M, R]`, rows in the order of METRICS.
    """

    now: float
    exposures: int
    rooms: Ints
    opened: Ints
    closed: Ints
    facts: Rooms
    counts: Floats


@dataclass(frozen=True, slots=True)
class Report:
    """What is reported at the end of a minute; also of rooms that have closed meanwhile (delayed gifts).

    Parameters
    ----------
    now
        Seconds, at the end of the minute.
    rooms
        Numbers of rooms with news, ascending, [N].
    counts
        What was added, `[M, N]`.
    """

    now: float
    rooms: Ints
    counts: Floats


class Outcomes(NamedTuple):
    """What a policy decided of N rooms.

    quota: int64 `[N]` exposures that it guaranteed each.
    graduated: bool `[N]` whether the room was ever promoted.
    stopped: bool `[N]` whether it was stopped for harm.
    """

    quota: Ints
    graduated: NDArray[np.bool_]
    stopped: NDArray[np.bool_]


class Standing(NamedTuple):
    """Where the R open rooms stood in a minute, with a policy that has stages.

    rooms: int64 `[R]` numbers.
    stage: int64 `[R]` SEED, VERIFY, SCALE, STOPPED, EXHAUSTED: 0 ... 4.
    exposures: int64 `[R]` what they were given.
    probability: float64 `[R]` `P(rate > bar)`, for promotion.
    log_evidence: float64 `[R]` ln of the evidence of harm.
    bar: float64 `[R]` rate of retained viewers to be exceeded.
    needed, demote_below: probabilities from which on a room is promoted, and below which it falls back.
    evidence_needed: evidence at which it is stopped.
    """

    rooms: Ints
    stage: Ints
    exposures: Ints
    probability: Floats
    log_evidence: Floats
    bar: Floats
    needed: float
    demote_below: float
    evidence_needed: float


class MarketPolicy(Protocol):
    """What can be played: it hands out a minute's exposures and hears what came of them.

    One with stages may have, besides, `outcomes(n_rooms) -> Outcomes` and `standing() -> Standing | None`, from which
    `compare` tells creator-side measures, stages and the lives of rooms.
    """

    def allocate(self, view: View) -> Ints | Floats:
        """Exposures of each open room, [R], >= 0, whose sum is at most `view.exposures`."""

    def learn(self, report: Report) -> None:
        """Hear what came back."""

    def to_bytes(self) -> bytes:
        """State, from which `PolicyKind.from_bytes` resumes exactly."""


MakePolicy = Callable[[int], MarketPolicy]  # from a seed

"""What a ledger is told to do, and what it says: configuration and records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from .._inputs import MAX_TIME
from .._random import ArmId

Floats = NDArray[np.float64]
COUNTED = (
    "shown", "shown_again", "shown_too_late", "rewards", "duplicate", "extra", "early", "beyond", "censored_before",
    "late_dropped", "late_corrected", "held", "unknown", "settled", "defaults", "censored", "evicted",
)  # fmt: skip


class LedgerConfig(BaseModel):
    """What a ledger makes of rewards.

    Parameters
    ----------
    horizon
        Seconds from showing within which a reward counts, by the time when it happened.
    default_reward
        Of exposures that got none.
    late
        What becomes of rewards that arrive after their exposure was settled, though they happened in time: "drop"
        counts them; "correct" makes corrections.
    aggregation
        Of several rewards of one exposure: the "first" to arrive, told at once; their "sum" or "max", told at the
        horizon.
    capacity
        Exposures that may be pending, and rewards held for theirs; past it the oldest go, counted.
    remember
        Settled exposures that are remembered, for late rewards; and ids of events, at least these, at most twice as
        many.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["exposure_ledger"] = "exposure_ledger"
    horizon: Annotated[float, Field(gt=0.0, le=MAX_TIME)]
    default_reward: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    late: Literal["drop", "correct"] = "drop"
    aggregation: Literal["first", "sum", "max"] = "first"
    capacity: Annotated[int, Field(ge=1, lt=2**31)] = 1_000_000
    remember: Annotated[int, Field(ge=1, lt=2**31)] = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """Rewards that were told and were not the last word: take back `old`, and learn `new`, both of the time `at`.

    arms: ids, `[n]`. old, new, at: `[n]`. event_ids: names of these corrections, for ever, `[n]`.
    """

    arms: list[ArmId]
    old: Floats
    new: Floats
    at: Floats
    event_ids: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What to teach: the outcomes of exposures, each once.

    Parameters
    ----------
    arms
        Ids, `[n]`.
    rewards, at, weights
        What each got, when that was known (the reward's time, or the horizon's end), seconds, and 1, `[n]`.
    event_ids
        Names of these events, for ever, `[n]`: a `Durable` that is given them applies each once.
    corrections
        Of earlier ones.
    evicted
        Exposures that went unsettled since the last call, as the ledger was full: raise its capacity.
    """

    arms: list[ArmId]
    rewards: Floats
    at: Floats
    weights: Floats
    event_ids: list[str]
    corrections: Corrections
    evicted: int

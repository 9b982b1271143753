"""What a ledger keeps: exposures, rewards that came before their exposure, and the events that it has seen."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from .._random import ArmId, uid64

PENDING, SETTLED, EVICTED = 0, 1, 2  # where an exposure stands
NEVER = float("inf")


class Exposure:
    """One arm shown by one decision.

    name: of the decision. at: when it was shown. value: its rewards so far, aggregated. rewards: how many of them
    counted. rewarded_at: when the latest of these happened. censored_at: from when on its rewards are not seen. told:
    what was told of it, NaN for nothing. told_at: of what time that was. revision: how often that was corrected.
    """

    __slots__ = (
        "arm", "at", "censored_at", "name", "revision", "rewarded_at", "rewards", "state", "told", "told_at", "value"
    )  # fmt: skip

    def __init__(self, name: int, arm: ArmId, at: float) -> None:
        self.name, self.arm, self.at = name, arm, at
        self.value, self.rewards, self.rewarded_at = 0.0, 0, at
        self.censored_at = NEVER
        self.told, self.told_at, self.revision = float("nan"), 0.0, 0
        self.state = PENDING

    @property
    def is_told(self) -> bool:
        """Whether anything was told of it."""
        return self.told == self.told

    @property
    def end(self) -> float:
        """When it was last looked at, if it is censored; a reward that is known was looked at."""
        return max(self.censored_at, self.rewarded_at)


class Held(NamedTuple):
    """A reward whose exposure is not known yet."""

    value: float
    at: float


class Seen:
    """The latest names: two generations of `limit` at most, of which the older goes when the newer is full."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.older: dict[int, None] = {}
        self.newer: dict[int, None] = {}

    def add(self, name: int) -> bool:
        """Remember a name; False where it is remembered already."""
        if name in self.newer or name in self.older:
            return False
        if len(self.newer) >= self.limit:
            self.older, self.newer = self.newer, {}
        self.newer[name] = None
        return True


def event_name(name: int, arm: ArmId, event_id: ArmId) -> int:
    """64-bit name of an event of one exposure."""
    parts = name.to_bytes(8, "little") + uid64(arm).to_bytes(8, "little") + uid64(event_id).to_bytes(8, "little")
    return int.from_bytes(blake2b(parts, digest_size=8).digest(), "little")


def told_id(exposure: Exposure) -> str:
    """Name of what was told last of an exposure."""
    return f"{exposure.name:016x}-{uid64(exposure.arm):016x}-{exposure.revision}"

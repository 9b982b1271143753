"""Rules: a version of the bars and populations of all buckets, immutable, valid for a time."""

from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...bandits._inputs import MAX_TIME
from .gates import Gate

FORMAT = 1
Time = Annotated[float, Field(ge=-MAX_TIME, le=MAX_TIME)]
Name = Annotated[str, Field(max_length=1_000)]


class BucketRules(BaseModel):
    """Gates of one bucket.

    Parameters
    ----------
    name
        Such as "music/zh/cn", "music/zh", "music"; "" for rooms of no other bucket.
    gates
        One a metric; the first is of "retained", which the draws rank by too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    gates: tuple[Gate, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        metrics = [gate.metric for gate in self.gates]
        if metrics[0] != "retained" or len(set(metrics)) != len(metrics):
            raise ValueError(f"gates of bucket {self.name!r} are {metrics}: 'retained' first, and each metric once")
        return self


class Rules(BaseModel):
    """One version of the rules by which rooms are promoted.

    Parameters
    ----------
    version
        Its name; an allocator never takes another content under the same name.
    valid_from, valid_until
        Seconds on the allocator's clock between which it may be in force; None for no limit.
    buckets
        Each with gates on the same metrics; one of them must be "".
    made_from
        Where the numbers come from: plain values for people, read by nobody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    kind: Literal["cold_start_rules"] = "cold_start_rules"
    format: Literal[1] = 1
    version: Annotated[str, Field(min_length=1, max_length=200)]
    valid_from: Time | None = None
    valid_until: Time | None = None
    buckets: tuple[BucketRules, ...] = Field(min_length=1)
    made_from: dict[str, Any] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [bucket.name for bucket in self.buckets]
        if len(set(names)) != len(names):
            raise ValueError("two buckets have one name")
        if "" not in names:
            raise ValueError("there is no bucket '' for rooms of no other bucket")
        metrics = {tuple(gate.metric for gate in bucket.gates) for bucket in self.buckets}
        if len(metrics) > 1:
            raise ValueError(f"buckets have gates on different metrics: {sorted(metrics)}")
        if self.valid_from is not None and self.valid_until is not None and self.valid_from >= self.valid_until:
            raise ValueError(f"valid_from = {self.valid_from} is not before valid_until = {self.valid_until}")
        return self

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {bucket.name: i for i, bucket in enumerate(self.buckets)}

    def index(self, bucket: str) -> int:
        """Index of the most specific rules for a bucket: "a/b/c", else "a/b", else "a", else ""."""
        while bucket not in self._index_of:
            bucket = bucket.rpartition("/")[0]
        return self._index_of[bucket]

    def holds_at(self, now: float) -> bool:
        """Whether it may be in force at a time."""
        return (self.valid_from is None or now >= self.valid_from) and (
            self.valid_until is None or now < self.valid_until
        )

"""What a fit of thresholds is told, and what it finds."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Metric = Literal["retained", "follows", "watched", "comments"]
INSUFFICIENT = "INSUFFICIENT"


class Fitting(BaseModel):
    """Every number by which thresholds are fitted.

    Parameters
    ----------
    metrics
        Each gets a gate; the first is "retained".
    bar
        "quantile" of the bucket's population, or "renewal": of best long-run reward an exposure.
    quantile
        Share of the population below the bar.
    seed_length, remaining
        For "renewal": exposures of a room's seeding, and those that a room can take, all in all.
    resamples, confidence, seed
        Of the bootstrap intervals, in which creators are drawn anew.
    population
        Of the gates: "smooth", roughened in 400 steps, or "likeliest", the few atoms of `fit_npmle`. The latter is for
        populations that are a few separate rates: else one atom beside the bar decides, and of 6,000 rooms of rates
        Beta(2, 98), bar .03, 25 % of the promoted lay below it where 10 % were asked for (smooth: 8 %).
    pull
        A bucket's population is mixed with its parent's as if this many rooms of the parent belonged to it.
    least_exposures
        Rooms of fewer exposures are left out.
    least_rooms, least_creators, widest
        A bucket of fewer rooms or creators, or whose interval is wider than this share of the bar, is INSUFFICIENT.
        Creators: None for 50, and 500 for "renewal", whose bar lies where few creators are: with 150, intervals of
        95 % covered 88 to 92 %.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["fitting"] = "fitting"
    metrics: tuple[Metric, ...] = ("retained",)
    bar: Literal["quantile", "renewal"] = "quantile"
    quantile: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.75
    seed_length: Annotated[float, Field(gt=0.0, le=1e9)] = 300.0
    remaining: Annotated[float, Field(gt=0.0, le=1e9)] = 3_000.0
    resamples: Annotated[int, Field(ge=20, le=100_000)] = 500
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    population: Literal["smooth", "likeliest"] = "smooth"
    pull: Annotated[float, Field(ge=0.0, le=1e9)] = 200.0
    least_exposures: Annotated[int, Field(ge=1, le=10**9)] = 20
    least_rooms: Annotated[int, Field(ge=2, le=10**9)] = 200
    least_creators: Annotated[int, Field(ge=2, le=10**9)] | None = None
    widest: Annotated[float, Field(gt=0.0, le=10.0)] = 0.30

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.metrics or self.metrics[0] != "retained" or len(set(self.metrics)) < len(self.metrics):
            raise ValueError(f"metrics are {list(self.metrics)}: 'retained' first, and each once")
        if self.remaining <= self.seed_length:
            raise ValueError(f"remaining = {self.remaining:g} must be above seed_length = {self.seed_length:g}")
        return self

    @property
    def needed_creators(self) -> int:
        """Creators of whom a bar needs rooms."""
        if self.least_creators is not None:
            return self.least_creators
        return 50 if self.bar == "quantile" else 500


@dataclass(frozen=True, slots=True)
class Finding:
    """What the history says of one metric in one bucket.

    Parameters
    ----------
    rooms, creators
        That it is fitted from.
    mean, shrunk_mean
        Of the rooms' rates, each room weighing the same; shrunk to what category, language and region let expect.
    bar, low, high
        The bar of the bucket's own rooms and its interval; None where they are too few.
    flag, why
        "INSUFFICIENT" and the reason, or twice nothing.
    taken_from
        Bucket whose gate stands in the rules: its own, or the nearest above it that is not INSUFFICIENT.
    """

    bucket: str
    metric: str
    rooms: int
    creators: int
    mean: float
    shrunk_mean: float
    bar: float | None
    low: float | None
    high: float | None
    flag: str
    why: str
    taken_from: str


class InsufficientError(ValueError):
    """The whole history does not carry a bar: there are no rules; `findings` say what there is."""

    def __init__(self, message: str, findings: list[Finding]) -> None:
        super().__init__(message)
        self.findings = findings

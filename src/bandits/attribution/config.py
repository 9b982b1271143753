"""What an attribution is set up with: windows, lateness, capacities."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_NAMES = 62  # of channels, and of kinds: each has a bit of 63, and one is left for touches without a channel
MOST_ROWS = 2**31 - 1

Seconds = Annotated[float, Field(gt=0.0, le=1e12, allow_inf_nan=False)]
Delay = Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)]
Capacity = Annotated[int, Field(ge=1, le=MOST_ROWS)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class AttributionConfig(BaseModel):
    """Windows, limits of time and limits of memory of an `Attribution`.

    Parameters
    ----------
    windows
        Seconds before a conversion within which touches may earn it, by kind of event; in the order given, kind 0, 1...
    lateness
        An event older than the latest one seen by more than so many seconds is late: taken, but what it earns goes out
        as corrections.
    ahead
        An event more than so many seconds after `now` is refused.
    channels
        Names, the one of highest priority first: of touches of one time it counts as the last. At most 62.
    join
        "user_item": a conversion is earned by touches of the same user and item; "user": of the same user.
    touches
        Touches remembered; beyond, the oldest go, by arrival. 64 bytes each, and 22 to 43 of table.
    conversions
        Conversions kept for the second pass. 80 bytes each, and those of `credits`.
    credits
        Credits kept with them, 48 bytes each; by default twice as many, and one longest path.
    orders
        Order ids remembered in one generation of two, against duplicates; 22 to 43 bytes each in both.
    order_memory
        Seconds that a generation lasts, unless it is full before: an order is known at least as long, twice at most.
    longest_path
        Touches of a path that are looked at, the latest ones; older ones earn nothing, and the path is counted as cut.
        Linear and position paths take time of its square.
    longest_walk
        Touches of a key that one event is led past. A touch that belongs under more newer ones of its user and item (or
        user) is refused as buried; a path that begins under more earns nothing, and is counted as cut; passes leave it
        as it is. Without that limit n touches of one key out of order would take n^2 steps.
    passes
        Seconds after a conversion when it is attributed anew, in rising order; may be empty.
    corrections
        Corrections that wait to be read; beyond, the oldest go.

    Examples
    --------
    >>> AttributionConfig(windows={"order": 3600.0}).windows
    {'order': 3600.0}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    windows: Annotated[dict[Name, Seconds], Field(min_length=1, max_length=MOST_NAMES)] = {
        "order": 86_400.0,
        "follow": 1_800.0,
        "gift": 600.0,
    }
    lateness: Delay = 600.0
    ahead: Delay = 5.0
    channels: Annotated[tuple[Name, ...], Field(max_length=MOST_NAMES)] = ()
    join: Literal["user_item", "user"] = "user_item"
    touches: Capacity = 1_000_000
    conversions: Capacity = 100_000
    credits: Capacity | None = None
    orders: Capacity = 1_000_000
    order_memory: Seconds = 86_400.0
    longest_path: Annotated[int, Field(ge=1, le=4_096)] = 256
    longest_walk: Capacity = 4_096
    passes: Annotated[tuple[Seconds, ...], Field(max_length=16)] = (3_600.0, 86_400.0)
    corrections: Capacity = 1_000_000

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.channels)) < len(self.channels):
            raise ValueError("channels: a name stands twice")
        if any(later <= earlier for earlier, later in zip(self.passes, self.passes[1:], strict=False)):
            raise ValueError(f"passes = {self.passes} must rise")
        if self.longest_walk < self.longest_path:
            raise ValueError(f"longest_walk = {self.longest_walk} must be at least longest_path = {self.longest_path}")
        if self.pool < self.longest_path:
            raise ValueError(f"credits = {self.credits} must be at least longest_path = {self.longest_path}")
        return self

    @property
    def pool(self) -> int:
        """Credits that can be kept."""
        return min(2 * self.conversions + self.longest_path, MOST_ROWS) if self.credits is None else self.credits

    def code_of(self, name: Any, names: tuple[str, ...], what: str) -> int:
        """Position of a name among those of this configuration."""
        if name not in names:
            raise ValueError(f"{what} {name!r:.80} is not among {', '.join(map(repr, names)) or 'none'}")
        return names.index(name)

"""History: what exploration traffic counted in earlier rooms, from which thresholds are fitted."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...constraints.evidence import estimated_dispersion
from .gates import EXPOSURE_OF

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_COUNTS = ("exposures", "retained", "follows", "watched", "comments", "minutes")
_SHARES = ("retained", "follows", "watched")
_DISPERSION_ROOMS = 5_000  # more say nothing new


@dataclass(frozen=True, eq=False)
class History:
    """Counts of R rooms: unique viewers of exploration traffic only, of all rooms that were seeded.

    Rooms that were promoted, alone, would describe what was chosen and not what comes; traffic of followers or of the
    host's own ranking would describe matched viewers.

    Parameters
    ----------
    creators
        Id of each room's creator, strings or integers, [R].
    buckets
        Name of each room's bucket, such as "music/zh/cn", [R].
    exposures
        Unique viewers, [R].
    retained, follows
        Of them, [R].
    watched
        Sum of the watched shares, at most the exposures, [R].
    comments, minutes
        Comments, and the viewer-minutes in which they came, [R].
    dispersion
        Variance over mean of the number of comments in a minute, >= 1.

    Raises
    ------
    ValueError
        For lengths that differ or counts that contradict each other; the first bad room is named.
    """

    creators: Sequence[Any]
    buckets: Sequence[str]
    exposures: Floats
    retained: Floats
    follows: Floats | None = None
    watched: Floats | None = None
    comments: Floats | None = None
    minutes: Floats | None = None
    dispersion: float = 1.0

    def __post_init__(self) -> None:
        for name in _COUNTS:
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, np.array(given, np.float64))
        rooms = len(self.creators)
        for name in ("buckets", *_COUNTS):
            column = getattr(self, name)
            if column is not None and np.shape(column) != (rooms,):
                raise ValueError(f"{name} is of shape {np.shape(column)}, but there are {rooms} creators")
        self._check_counts()
        for i, bucket in enumerate(self.buckets):
            if not isinstance(bucket, str) or len(bucket) > 1_000 or (bucket and "" in bucket.split("/")):
                raise ValueError(f"buckets[{i}] = {bucket!r:.100} is no name such as 'music/zh/cn'")
        if not 1.0 <= self.dispersion <= 1e6:
            raise ValueError(f"dispersion = {self.dispersion} must be in [1, 1e6]")

    def _check_counts(self) -> None:
        for name in _COUNTS:
            column = getattr(self, name)
            if column is None:
                continue
            bad = ~(np.isfinite(column) & (column >= 0.0))
            if bad.any():
                i = int(bad.argmax())
                raise ValueError(f"{name}[{i}] = {column[i]} is not a count")
            limit = self.exposures if name in _SHARES else self.minutes if name == "comments" else None
            above = None if limit is None else (column > 0.0) & (limit == 0.0) if name == "comments" else column > limit
            if limit is not None and above is not None and above.any():
                i = int(above.argmax())
                of = "minutes" if name == "comments" else "exposures"
                raise ValueError(f"{name}[{i}] = {column[i]:g} with {of}[{i}] = {limit[i]:g}")
        if (self.comments is None) != (self.minutes is None):
            raise ValueError("comments are counted over minutes: give both or neither")

    @classmethod
    def of_rows(
        cls, rooms: Sequence[Any], creators: Sequence[Any], buckets: Sequence[str], **counts: ArrayLike
    ) -> Self:
        """Sum rows of a room and minute to rooms; the dispersion of comments is estimated from the minutes.

        Parameters
        ----------
        rooms, creators, buckets
            Of each row, [N]; a room's creator and bucket are those of its first row.
        **counts
            Columns as in the class, [N].
        """
        index = {room: i for i, room in enumerate(dict.fromkeys(rooms))}
        row = np.array([index[room] for room in rooms], np.int64)
        first = np.unique(row, return_index=True)[1].tolist()
        sums = {name: np.bincount(row, np.asarray(column, np.float64)) for name, column in counts.items()}
        dispersion = 1.0
        if "comments" in counts and "minutes" in counts and row.size > len(index):
            dispersion = _dispersion(row, np.asarray(counts["comments"]), np.asarray(counts["minutes"]))
        return cls([creators[i] for i in first], [buckets[i] for i in first], **sums, dispersion=dispersion)  # type: ignore[arg-type]

    @property
    def n_rooms(self) -> int:
        """Number of rooms."""
        return len(self.creators)

    @cached_property
    def creator_index(self) -> Ints:
        """Number of each room's creator, in the order of their ids, `[R]`."""
        ids = {(type(c).__name__, c): 0 for c in self.creators}
        number = {id: i for i, id in enumerate(sorted(ids))}
        return np.array([number[(type(c).__name__, c)] for c in self.creators], np.int64)

    @cached_property
    def rooms_below(self) -> dict[str, Ints]:
        """Rooms of each bucket and of all that stand above one, "" the last of them; parents before children."""
        rooms: dict[str, list[int]] = {"": list(range(self.n_rooms))}
        for i, bucket in enumerate(self.buckets):
            while bucket:
                rooms.setdefault(bucket, []).append(i)
                bucket = bucket.rpartition("/")[0]
        return {name: np.array(rooms[name], np.int64) for name in sorted(rooms)}

    def counts(self, metric: str) -> tuple[Floats, Floats]:
        """Events and exposure of a metric, divided by the dispersion, `[R]` each."""
        events, exposure = getattr(self, metric), getattr(self, EXPOSURE_OF[metric])
        if events is None:
            raise ValueError(f"the history has no column of {metric}")
        divisor = self.dispersion if metric == "comments" else 1.0
        return events / divisor, exposure / divisor


def _dispersion(row: Ints, comments: Floats, minutes: Floats) -> float:
    """Dispersion over the rows of rooms that have at least two with exposure, and a comment."""
    shown = minutes > 0.0
    row, comments, minutes = row[shown], comments[shown], minutes[shown]
    size = int(row.max()) + 1 if row.size else 0
    intervals, events = np.bincount(row, minlength=size), np.bincount(row, comments, minlength=size)
    usable = np.flatnonzero((intervals >= 2) & (events > 0.0))
    usable = usable[:: max(1, usable.size // _DISPERSION_ROOMS)]
    if usable.size == 0:
        return 1.0
    column = np.full(size, -1)
    column[usable] = np.arange(usable.size)
    keep = column[row] >= 0
    row, comments, minutes = column[row[keep]], comments[keep], minutes[keep]
    order = np.argsort(row, kind="stable")
    starts = np.searchsorted(row[order], np.arange(usable.size))
    place = np.empty(row.size, np.int64)
    place[order] = np.arange(row.size) - starts[row[order]]
    counts, exposures = (np.zeros((int(place.max()) + 1, usable.size)) for _ in range(2))
    counts[place, row], exposures[place, row] = comments, minutes
    return estimated_dispersion(counts, exposures)

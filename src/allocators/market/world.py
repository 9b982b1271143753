"""The market: minute by minute it shows its rooms, takes exposures and answers with what came of them."""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...bandits._inputs import checked_float, checked_int
from ...bandits._random import base_key, fold_in
from ...bandits.checkpoint import unpack
from . import _opening as column
from ._checkpointing import KIND, check_arrays, packed, parts
from ._kernels import STATES, answer, evolve, price
from ._opening import Opening
from ._rates import rates, settings_of
from ._supply import DAY, apportion, checked_exposures, unit
from .base import GIFTS, METRICS, REVENUE, Floats, Ints, Report, Rooms, View
from .parameters import MarketConfig
from .truth import Truth, truth_of

_NAME = "market"  # replica name under which the market's draws are keyed
_CREATORS, _ROOMS, _MINUTES, _ROUNDING = range(4)  # keys under the seed's


class _Pending(NamedTuple):
    """Gifts that are on their way: the minute in which they are reported, room, value, `[G]` each."""

    due: Ints
    room: Ints
    value: Floats

    def kept(self, flags: NDArray[np.bool_]) -> "_Pending":
        """Those that are flagged."""
        return _Pending(self.due[flags], self.room[flags], self.value[flags])


class Market:
    """A live-streaming market, played one minute at a time.

    What comes of a room's exposures depends on the seed, the room, the minute and what the room itself was given
    before, on nothing else: not on other rooms, nor on the order of rooms. So two policies that give a room the same
    see the same come of it, and policies compare in pairs.

    Outcomes are counted in the minute of the exposure, however long the viewer goes on to watch; only gifts come late.

    Parameters
    ----------
    config
        Its numbers.
    seed
        From which everything follows, in [0, 2**64).
    start_hour
        Hour of the day, [0, 24), at which the market is first seen. Rooms that opened before it are among the first.

    Examples
    --------
    >>> from seedbed.allocators.market import Market, MarketConfig
    >>> market = Market(MarketConfig(rooms_per_day=2_000, exposures_per_day=1_000_000), seed=1, start_hour=20.0)
    >>> view = market.view()
    >>> share = np.full(view.rooms.size, view.exposures // view.rooms.size)
    >>> report = market.serve(share)
    >>> report.now, int(report.counts[0].sum()) == int(share.sum())
    (60.0, True)
    """

    def __init__(self, config: MarketConfig, seed: int, start_hour: float = 0.0) -> None:
        self.config = config
        self.seed = checked_int(seed, "seed", 0, 2**64 - 1)
        self.start_hour = checked_float(start_hour, "start_hour")
        if not 0.0 <= self.start_hour < 24.0:
            raise ValueError(f"start_hour must be in [0, 24); got {start_hour}")
        key = base_key(self.seed, _NAME, 0)
        self._keys = [fold_in(key, n) for n in range(4)]
        self._rates = rates(config)
        self._settings = settings_of(config, self._rates)
        self._forget = 0.5 ** (1.0 / config.recovery_minutes)
        self._delays = np.ascontiguousarray(np.array(config.gift_delays).T)
        self._opening = Opening(config, self._keys[_CREATORS], self._keys[_ROOMS], self._rates.hours, self.start_hour)
        self._offers = apportion(config.exposures_per_day, self._rates.hours, self.start_hour, 0, DAY)
        self._counts = np.zeros((len(METRICS), self._opening.integers.shape[1]))
        self._state = np.zeros((STATES, self._counts.shape[1]))
        self._pending = _Pending(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        self._truth: Truth | None = None  # of all rooms laid down
        self._minute = 0
        self._open = np.empty(0, np.int64)
        self._opened, self._closed = self._turn_over()

    @property
    def minutes(self) -> int:
        """Minutes played."""
        return self._minute

    @property
    def buckets(self) -> tuple[str, ...]:
        """Names of the buckets."""
        return tuple(bucket.name for bucket in self.config.buckets)

    @property
    def n_rooms(self) -> int:
        """Number of rooms seen so far, closed ones included; they are numbered from 0."""
        return int(np.searchsorted(self._opening.integers[column.OPENS], self._minute, side="right"))

    @property
    def counts(self) -> Floats:
        """All that was reported so far, `[M, N]`, of all rooms seen, rows in the order of METRICS; a copy."""
        return self._counts[:, : self.n_rooms].copy()

    def is_over(self, day: int = 0) -> bool:
        """Whether a day, numbered from 0, was played to its end."""
        return self._minute >= (checked_int(day, "day", 0) + 1) * DAY

    def view(self) -> View:
        """Show the market at the start of the present minute; arrays are the caller's own."""
        return View(
            now=60.0 * self._minute,
            exposures=int(self._offers[self._minute % DAY]),
            rooms=self._open.copy(),
            opened=self._opened.copy(),
            closed=self._closed.copy(),
            facts=self.facts(self._open),
            counts=self._counts[:, self._open],
        )

    def facts(self, rooms: ArrayLike) -> Rooms:
        """What everybody may know of rooms, closed ones included, by their numbers, [R]."""
        which = np.asarray(rooms, np.int64)
        if which.size and not 0 <= which.min() <= which.max() < self.n_rooms:
            raise KeyError(f"rooms must be numbers of rooms seen, 0 ... {self.n_rooms - 1}")
        integers, numbers = self._opening.integers, self._opening.numbers
        return Rooms(
            creator=integers[column.STREAMER, which],
            bucket=integers[column.BUCKET, which],
            tier=integers[column.TIER, which],
            is_new=integers[column.NEW, which].astype(np.bool_),
            content_score=numbers[column.CONTENT, which],
            creator_score=numbers[column.CREATOR, which],
            opened=numbers[column.OPENED, which],
        )

    def serve(self, exposures: ArrayLike) -> Report:
        """Show rooms to viewers for a minute.

        Parameters
        ----------
        exposures
            Of each open room, [R], in the order of the view, >= 0, together at most what the view offers. Fractions
            are rounded up or down at random, keyed by the minute, so that each is right on average and their sum kept.

        Returns
        -------
        Report

        Raises
        ------
        ValueError
            For anything else; nothing was served.
        """
        u = unit(fold_in(self._keys[_ROUNDING], self._minute))
        shown = checked_exposures(exposures, self._open, int(self._offers[self._minute % DAY]), u)
        key = fold_in(self._keys[_MINUTES], self._minute)
        c, r, opening = self.config, self._rates, self._opening
        hour = int((self.start_hour * 60.0 + self._minute) // 60.0) % 24
        stop = 1.0 / c.highlight_minutes
        evolve(key, self._open, c.drift, c.highlights_per_hour / 60.0, stop, self._forget, self._state)
        out = np.empty((len(METRICS), self._open.size))
        answer(
            key, self._open, shown, opening.numbers, opening.integers[column.COHORT], opening.integers[column.NEW],
            self._state, r.own, r.mixed[hour], r.present[hour], r.positions, self._settings, out,
        )  # fmt: skip
        self._hold_gifts(key, out)
        report = self._reported(out)
        self._counts[:, report.rooms] += report.counts
        self._minute += 1
        self._opened, self._closed = self._turn_over()
        return report

    def truth(self) -> Truth:
        """True rates of all rooms seen: for measures only, never for a policy."""
        if self._truth is None:
            self._truth = truth_of(self._rates, self.config, self._opening.numbers, self._opening.integers)
        return self._truth.first(self.n_rooms)

    def closes(self) -> Floats:
        """Second at which each room seen closes or will close, `[N]`: for measures only."""
        return np.multiply(60.0, self._opening.integers[column.CLOSES, : self.n_rooms])

    def audiences(self) -> Floats:
        """Matched viewers who come by in a minute of the average hour, of each room seen, `[N]`: for measures only."""
        return self._opening.numbers[column.AUDIENCE, : self.n_rooms].copy()

    def to_bytes(self) -> bytes:
        """Write a checkpoint: rooms follow from the seed, so only what became of them is kept."""
        n = self.n_rooms
        values = {"seed": self.seed, "start_hour": self.start_hour, "minutes": self._minute}
        arrays = {"counts": self._counts[:, :n], "state": self._state[:, :n], **self._pending._asdict()}
        return packed(self.config, values, arrays)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Resume exactly.

        Raises
        ------
        CheckpointError
            For bytes that are no whole checkpoint of a market.
        """
        checkpoint = unpack(blob, KIND)
        config, seed, hour, minutes = parts(checkpoint)
        market = cls(config, seed, hour)
        market._resume(minutes, checkpoint.arrays)
        return market

    def _resume(self, minutes: int, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what a checkpoint says became of the rooms."""
        while self._opening.end <= minutes:
            self._opening.extend()
        self._truth = None
        self._minute = minutes
        n, integers = self.n_rooms, self._opening.integers
        check_arrays(arrays, n, minutes)
        room = ((0, 0), (0, integers.shape[1] - n))
        self._counts, self._state = np.pad(arrays["counts"], room), np.pad(arrays["state"], room)
        self._pending = _Pending(*(arrays[name] for name in _Pending._fields))
        # rooms as they were a minute ago, so that the turn of the minute tells what opened and closed
        before = minutes - 1
        here = (integers[column.OPENS] <= before) & (integers[column.CLOSES] > before)
        self._open = np.flatnonzero(here & (minutes > 0))
        self._opened, self._closed = self._turn_over()

    def _hold_gifts(self, key: int, out: Floats) -> None:
        """Put this minute's gifts among those on their way."""
        n = int(out[GIFTS].sum())
        room, delay, value = np.empty(n, np.int64), np.empty(n), np.empty(n)
        c, r = self.config, self._rates
        largest = r.price_max / c.price_median
        price(key, self._open, out[GIFTS], r.price_sigma, largest, self._delays[0], self._delays[1], room, delay, value)
        # a viewer comes in the middle of the minute on average
        due = self._minute + np.where(delay > 0.0, np.floor((delay + 30.0) / 60.0), 0.0).astype(np.int64)
        late = self._pending
        self._pending = _Pending(
            np.concatenate([late.due, due]), np.concatenate([late.room, room]), np.concatenate([late.value, value])
        )

    def _reported(self, out: Floats) -> Report:
        """Join this minute's counts and the gifts that are due."""
        is_due = self._pending.due <= self._minute
        room, value = self._pending.room[is_due], self._pending.value[is_due]
        self._pending = self._pending.kept(~is_due)
        shown = np.flatnonzero(out[0] > 0.0)
        rooms = np.union1d(self._open[shown], room)
        counts = np.zeros((len(METRICS), rooms.size))
        counts[:, np.searchsorted(rooms, self._open[shown])] = out[:, shown]
        at = np.searchsorted(rooms, room)
        counts[GIFTS] = np.bincount(at, minlength=rooms.size)
        counts[REVENUE] = np.bincount(at, value, rooms.size)
        return Report(60.0 * (self._minute + 1), rooms, counts)

    def _turn_over(self) -> tuple[Ints, Ints]:
        """Open and close rooms at the start of a minute: which did."""
        if self._minute >= self._opening.end:
            self._opening.extend()
            self._truth = None
            more = self._opening.integers.shape[1] - self._counts.shape[1]
            self._counts = np.pad(self._counts, ((0, 0), (0, more)))
            self._state = np.pad(self._state, ((0, 0), (0, more)))
        opens, closes = self._opening.integers[column.OPENS], self._opening.integers[column.CLOSES]
        first = 0 if self._minute == 0 else int(np.searchsorted(opens, self._minute - 1, side="right"))
        opened = np.arange(first, self.n_rooms)
        ends = closes[self._open] <= self._minute
        closed = self._open[ends]
        self._open = np.concatenate([self._open[~ends], opened])
        return opened, closed

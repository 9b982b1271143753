"""Which rooms open when, and what they are like: a function of the seed alone, laid down a day at a time."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...bandits._numba import free_kernel, kernel
from ...bandits._random import uniform
from ...bandits._special_normal import normal_log_upper, normal_upper_quantile
from ._supply import DAY, apportion, regular_creators
from .parameters import MarketConfig

WEEK = 7.0 * DAY
_ATTEMPTS = 500

# rows of the columns of rooms: numbers
CLICK, WATCH, COMMENT, GIFT, NEGATIVE, AUDIENCE, CONTENT, CREATOR, OPENED = range(9)
NUMBERS = 9
# rows of the columns of rooms: integers
OPENS, CLOSES, STREAMER, BUCKET, TIER, NEW, COHORT, HARMFUL = range(8)
INTEGERS = 8


class Pool(NamedTuple):
    """Streamers: from which minute each is free for a new room, after which it has left, its audience, `[C]` each."""

    free: NDArray[np.float64]
    leaves: NDArray[np.float64]
    audience: NDArray[np.float64]


@kernel
def _normal(key: int, uid: int, lane: int) -> float:
    """Standard normal, keyed."""
    return normal_upper_quantile(uniform(key, np.uint64(uid), lane))


@kernel
def _choice(cumulative: Any, u: float) -> int:
    """Index of the share in which u falls."""
    i = 0
    while i < cumulative.size - 1 and u > cumulative[i]:
        i += 1
    return i


@kernel
def _score(correlation: float, quality: float, noise: float) -> float:
    """Noisy prediction of a standard normal quality, uniform in (0, 1) over rooms."""
    return 1.0 - math.exp(normal_log_upper(correlation * quality + math.sqrt(1.0 - correlation**2) * noise))


@kernel
def _standing(key: int, creator: int, settings: Any) -> tuple[float, float]:
    """Persistent quality of a streamer and the deviate of its audience, both standard normal."""
    quality = _normal(key, creator, 0)
    rho = settings[11]
    return quality, rho * quality + math.sqrt(1.0 - rho * rho) * _normal(key, creator, 1)


@kernel
def _leaving(key: int, creator: int, since: float, audience: float, persistence: Any) -> float:
    """Minute after which a streamer streams no more."""
    level = 0 if audience < 10.0 else 1 if audience < 100.0 else 2 if audience < 1_000.0 else 3
    return since + WEEK * math.log(uniform(key, np.uint64(creator), 6)) / math.log(persistence[level])


@free_kernel
def _settle(
    key: int,
    regulars: int,
    start: float,
    settings: Any,
    persistence: Any,
    free: Any,
    leaves: Any,
    audiences: Any,
) -> None:
    """Write the regular streamers of the start."""
    for creator in range(regulars):
        _, deviate = _standing(key, creator, settings)
        audience = math.exp(settings[9] + settings[10] * deviate)
        leaves[creator] = _leaving(key, creator, start, audience, persistence)
        free[creator] = start
        audiences[creator] = audience


@kernel
def _streamer(key: int, room: int, minute: int, size: int, free: Any, leaves: Any) -> int:
    """Draw a streamer who is there and not streaming; -1 where none is found."""
    for attempt in range(_ATTEMPTS):
        creator = int(uniform(key, np.uint64(room), 64 + attempt) * size)
        if free[creator] <= minute < leaves[creator]:
            return creator
    return -1


@free_kernel
def _fill(
    creators: int,
    rooms: int,
    first: int,
    openings: Any,
    start: int,
    size: int,
    settings: Any,
    persistence: Any,
    buckets: Any,
    shifts: Any,
    cohorts: Any,
    tiers: Any,
    free: Any,
    leaves: Any,
    audiences: Any,
    numbers: Any,
    integers: Any,
) -> int:
    """Write the rooms that open in some minutes, `openings` of them each; return the number of streamers then.

    `creators` and `rooms` are keys; `first` is the number under which the first room's draws are keyed.
    """
    column = 0
    for m in range(openings.size):
        minute = start + m
        known = size  # who comes new in this minute is not drawn again in it
        for _ in range(openings[m]):
            room = first + column
            creator = -1
            if uniform(rooms, np.uint64(room), 0) >= settings[0] and known:
                creator = _streamer(rooms, room, minute, known, free, leaves)
            is_new = creator < 0
            if is_new:
                creator = size
                size += 1
            quality, deviate = _standing(creators, creator, settings)
            audience = math.exp(settings[9] + settings[10] * deviate)
            if is_new:
                leaves[creator] = _leaving(creators, creator, float(minute), audience, persistence)
                audiences[creator] = audience
            length = math.exp(settings[1] + settings[2] * _normal(rooms, room, 1))
            integers[OPENS, column] = minute
            integers[CLOSES, column] = minute + int(min(max(round(length), settings[3]), settings[4]))
            free[creator] = integers[CLOSES, column]
            bucket = _choice(buckets, uniform(creators, np.uint64(creator), 4))
            _describe(creators, rooms, creator, room, is_new, quality, shifts[:, bucket], settings, numbers, column)
            numbers[AUDIENCE, column] = audience * (settings[12] if is_new else 1.0)
            numbers[OPENED, column] = 60.0 * (minute - uniform(rooms, np.uint64(room), 2))
            harmful = uniform(creators, np.uint64(creator), 5) < settings[18]
            if harmful:
                numbers[NEGATIVE, column] = settings[19]
            integers[STREAMER, column] = creator
            integers[BUCKET, column] = bucket
            integers[TIER, column] = 3 if is_new else _choice(tiers, math.exp(normal_log_upper(deviate)))
            integers[NEW, column] = is_new
            integers[COHORT, column] = _choice(cohorts, uniform(creators, np.uint64(creator), 3))
            integers[HARMFUL, column] = harmful
            column += 1
    return size


@kernel
def _describe(
    creators: int,
    rooms: int,
    creator: int,
    room: int,
    is_new: bool,
    quality: float,
    shifts: Any,
    settings: Any,
    numbers: Any,
    column: int,
) -> None:
    """Write what a room does to its viewers, and what is predicted of it."""
    kept = settings[8]
    today = math.sqrt(kept) * quality + math.sqrt(1.0 - kept) * _normal(rooms, room, 3)
    rho = settings[7]
    appeal = rho * today + math.sqrt(1.0 - rho * rho) * _normal(rooms, room, 4)
    numbers[CLICK, column] = shifts[0] + settings[5] * appeal
    numbers[WATCH, column] = shifts[1] + settings[6] * today
    # factors of mean 1
    numbers[COMMENT, column] = math.exp(settings[13] * (_normal(rooms, room, 5) - 0.5 * settings[13]))
    numbers[GIFT, column] = math.exp(settings[14] * (_normal(creators, creator, 2) - 0.5 * settings[14]))
    numbers[NEGATIVE, column] = math.exp(settings[20] * (_normal(rooms, room, 6) - 0.5 * settings[20]))
    numbers[CONTENT, column] = _score(settings[15], today, _normal(rooms, room, 7))
    strength = settings[17] if is_new else settings[16]
    numbers[CREATOR, column] = _score(strength, quality, _normal(creators, creator, 7))


class Opening:
    """The rooms of a market, extended a day at a time; numbers `[NUMBERS, N]`, integers `[INTEGERS, N]`."""

    def __init__(self, config: MarketConfig, creators: int, rooms: int, hours: NDArray[np.float64], hour: float):
        self._config = config
        self._keys = (creators, rooms)
        self._hours, self._hour = hours, hour
        self._settings = _settings(config)
        self._persistence = np.array(config.weekly_persistence)
        self._shifts = np.array([[b.click_shift, b.watch_shift] for b in config.buckets]).T.copy()
        self._buckets = np.cumsum([b.share for b in config.buckets])
        self._cohorts = np.cumsum([c.share for c in config.cohorts])
        self._tiers = np.cumsum(config.tier_shares)
        self._size = regular_creators(config)
        self._drawn = 0
        self._end = -config.room_minutes_max
        self._pool = Pool(*np.empty((3, self._size)))
        _settle(creators, self._size, float(self._end), self._settings, self._persistence, *self._pool)
        self.numbers = np.empty((NUMBERS, 0))
        self.integers = np.empty((INTEGERS, 0), np.int64)
        self.extend()

    @property
    def pool(self) -> Pool:
        """Streamers so far, regulars first."""
        return self._pool

    @property
    def end(self) -> int:
        """Minute up to which all rooms are laid down."""
        return self._end

    def extend(self) -> None:
        """Lay down another day; the first time, also what has opened before and is still there at the start."""
        until = (self._end // DAY + 1) * DAY if self._end >= 0 else DAY
        openings = self._openings(self._end, until)
        n = int(openings.sum())
        self._pool = Pool(*(np.concatenate([part, np.full(n, math.inf)]) for part in self._pool))
        numbers, integers = np.empty((NUMBERS, n)), np.empty((INTEGERS, n), np.int64)
        self._size = _fill(
            *self._keys, self._drawn, openings, self._end, self._size, self._settings, self._persistence,
            self._buckets, self._shifts, self._cohorts, self._tiers, *self._pool, numbers, integers,
        )  # fmt: skip
        self._pool = Pool(*(part[: self._size].copy() for part in self._pool))
        self._drawn += n
        self._end = until
        alive = integers[CLOSES] > 0
        self.numbers = np.concatenate([self.numbers, numbers[:, alive]], axis=1)
        self.integers = np.concatenate([self.integers, integers[:, alive]], axis=1)

    def _openings(self, start: int, until: int) -> NDArray[np.int64]:
        return apportion(self._config.rooms_per_day, self._hours, self._hour, start, until)


def _settings(config: MarketConfig) -> NDArray[np.float64]:
    """Numbers of the kernels above, by position."""
    c = config
    return np.array([
        c.newcomer_share, math.log(c.room_minutes_median), c.room_minutes_sigma, c.room_minutes_min,
        c.room_minutes_max, c.click_spread, c.watch_spread, c.click_watch_correlation, c.quality_persistence,
        math.log(c.audience_median), c.audience_sigma, c.audience_quality_correlation, c.newcomer_audience,
        c.comment_spread, c.gift_spread, c.content_score_correlation, c.creator_score_correlation,
        c.newcomer_score_correlation, c.harmful_share, c.harmful_negative / c.negative_unmatched,
        c.negative_spread,
    ])  # fmt: skip

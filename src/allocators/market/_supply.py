"""How many streamers, rooms and exposures there are, and whether a policy keeps to what it was offered."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import Ints
from .parameters import MarketConfig

DAY = 1_440


def regular_creators(config: MarketConfig) -> int:
    """Number of regular streamers at which one who streams has `rooms_per_creator_day` rooms on average.

    Rooms of regulars are spread over them as if at random; newcomers have one each.
    """
    low, high = 1.0, 1e9
    regular = (1.0 - config.newcomer_share) * config.rooms_per_day
    active = config.rooms_per_day / config.rooms_per_creator_day - config.newcomer_share * config.rooms_per_day
    for _ in range(200):
        middle = math.sqrt(low * high)
        if -middle * math.expm1(-regular / middle) < active:
            low = middle
        else:
            high = middle
    # who streams is not free for another room, and some leave: enough of them must be there
    return max(round(low), round(regular * config.room_minutes_median / DAY) + 1)


def apportion(per_day: int, hours: NDArray[np.float64], hour: float, start: int, until: int) -> NDArray[np.int64]:
    """Share a day's number among the minutes `start ... until - 1` by the hours' weights; each day gets all of it.

    Examples
    --------
    >>> import numpy as np
    >>> from seedbed.allocators.market._supply import apportion
    >>> apportion(1_440, np.ones(24), 0.0, 0, 5).tolist()
    [1, 1, 1, 1, 1]
    """
    minutes = np.arange(DAY)
    of_day = hours[((hour * 60.0 + minutes) // 60.0).astype(np.int64) % 24]
    shares = np.cumsum(of_day)
    done = np.floor(per_day * (shares / shares[-1]) + 1e-9).astype(np.int64)
    done[-1] = per_day
    each = np.diff(done, prepend=0)
    return np.asarray(each[np.arange(start, until) % DAY], np.int64)


def unit(key: int) -> float:
    """Uniform in [0, 1) from a key's lowest bits."""
    return (key % 2**40) / 2**40


def checked_exposures(exposures: ArrayLike, rooms: Ints, offered: int, u: float) -> Ints:
    """Return whole exposures of the open rooms, [R]; fractions are rounded by systematic sampling from u.

    Raises
    ------
    ValueError
        For another shape, for what is not a finite number >= 0, or for more than is offered.

    Examples
    --------
    >>> import numpy as np
    >>> from seedbed.allocators.market._supply import checked_exposures
    >>> checked_exposures([0.5, 1.5, 3.0], np.arange(3), 5, u=0.25).tolist()
    [0, 2, 3]
    """
    given = np.asarray(exposures)
    if given.shape != rooms.shape:
        raise ValueError(
            f"exposures must have one entry for each open room, shape {rooms.shape}; got shape {given.shape}"
        )
    if given.dtype.kind not in "iuf" and given.size:
        raise ValueError(f"exposures must be numbers; got {given.dtype}")
    wrong = ~(np.isfinite(given) & (given >= 0))
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(f"exposures[{i}] = {given[i]} of room {rooms[i]} is not a finite number >= 0")
    total = float(given.sum(dtype=np.float64))
    if total > offered + 1e-6:
        raise ValueError(f"exposures add up to {total:.10g}, above the {offered} that this minute offers")
    if given.dtype.kind != "f":
        return np.asarray(given, np.int64)
    whole = np.floor(given)
    part = given - whole
    if not part.any():
        return np.asarray(whole, np.int64)
    sums = np.minimum(np.floor(np.cumsum(part, dtype=np.float64) + u + 1e-9), offered - whole.sum())
    return np.asarray(whole + np.diff(sums, prepend=0.0), np.int64)

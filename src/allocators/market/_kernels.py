"""What comes of a minute's exposures, room by room: every draw is keyed by seed, minute, room and metric."""

import math
from typing import Any

import numpy as np

from ...bandits._numba import free_kernel, kernel
from ...bandits._random import fold_in, uniform
from ...bandits._special import sigmoid
from ...bandits._special_normal import normal_upper_quantile
from ._binomial import binomial_quantile, overdispersed_quantile

DRIFT, HIGHLIGHT, TIRED = range(3)  # rows of the state of rooms
STATES = 3
_LANES = (_CLICK, _NEGATIVE, _COMMENT, _FOLLOW, _GIFT, _POSITION, _DRIFT, _START, _LENGTH) = tuple(range(9))
_VIEWERS, _GIFTS = 1, 2  # keys under a minute's, for draws of single viewers and gifts
_LARGEST = 0.98  # click rate that no factor can pass


@free_kernel
def evolve(key: int, rooms: Any, step: float, start: float, stop: float, forget: float, state: Any) -> None:
    """Let a minute go by: quality drifts, highlights start (rate `start`) and end (`stop`), tired audiences recover."""
    for i in range(rooms.size):
        room = rooms[i]
        uid = np.uint64(room)
        if step > 0.0:
            state[DRIFT, room] += step * normal_upper_quantile(uniform(key, uid, _DRIFT))
        if state[HIGHLIGHT, room] > 0.0:
            state[HIGHLIGHT, room] -= 1.0
        elif uniform(key, uid, _START) < start:
            length = 1.0
            if stop < 1.0:
                length += math.floor(math.log(uniform(key, uid, _LENGTH)) / math.log1p(-stop))
            state[HIGHLIGHT, room] = length
        state[TIRED, room] *= forget


@free_kernel
def answer(
    key: int,
    rooms: Any,
    exposures: Any,
    numbers: Any,
    cohorts: Any,
    newcomers: Any,
    state: Any,
    own: Any,
    mixed: Any,
    present: Any,
    positions: Any,
    settings: Any,
    out: Any,
) -> None:
    """Write what R rooms get from their exposures, `out [M, R]`; the audiences that were reached grow tired.

    The rows of `numbers` are those of `_opening`, the rows of `out` those of METRICS; its revenue is left at 0.
    """
    viewers = fold_in(key, _VIEWERS)
    for i in range(rooms.size):
        shown = exposures[i]
        out[:, i] = 0.0
        if shown == 0:
            continue
        room = rooms[i]
        uid = np.uint64(room)
        cohort = cohorts[room]
        drift = state[DRIFT, room]
        lit = state[HIGHLIGHT, room] > 0.0
        # who is reached
        audience = numbers[5, room] * present[cohort]
        fresh = audience * max(1.0 - state[TIRED, room], 0.0)
        matched = (settings[1] if newcomers[room] else settings[0]) * min(float(shown), fresh)
        share = matched / shown
        state[TIRED, room] += matched / (settings[2] * audience)
        # who enters
        place = positions[int(uniform(key, uid, _POSITION) * positions.size)]
        logit = numbers[0, room] + settings[3] * drift + (settings[4] if lit else 0.0)
        click_matched = share * min(sigmoid(settings[5] + logit) * place * own[cohort, 0], _LARGEST)
        far = (1.0 + (shown - matched) / (settings[22] * audience)) ** -settings[23]
        click = click_matched + (1.0 - share) * far * min(sigmoid(settings[6] + logit) * place * mixed[0], _LARGEST)
        clicks = binomial_quantile(shown, click, uniform(key, uid, _CLICK))
        mine = click_matched / click  # share of matched viewers among those who enter
        # how long each stays
        longer = numbers[1, room] + settings[7] * drift + (settings[8] if lit else 0.0)
        stayed = 0.0
        watched = 0.0
        seconds = 0.0
        for j in range(clicks):
            centre = settings[9] if uniform(viewers, uid, 2 * j) < mine else settings[10]
            deviate = normal_upper_quantile(uniform(viewers, uid, 2 * j + 1))
            time = min(math.exp(centre + longer + settings[11] * deviate), settings[12])
            stayed += 1.0 if time >= 60.0 else 0.0
            watched += min(time, 300.0)
            seconds += time
        # what they do
        talk = (settings[13] if lit else 1.0) / settings[14]
        comments = settings[15] * numbers[2, room] * talk * (mine * own[cohort, 2] + (1.0 - mine) * mixed[2])
        follows = settings[16] * (mine * own[cohort, 3] + (1.0 - mine) * mixed[3])
        gifts = settings[17] * numbers[3, room] * talk * (mine * own[cohort, 4] + (1.0 - mine) * mixed[4])
        harm = share * settings[18] * own[cohort, 1] + (1.0 - share) * settings[19] * mixed[1]
        out[0, i] = shown
        out[1, i] = clicks
        out[2, i] = stayed
        out[3, i] = overdispersed_quantile(clicks * comments, settings[20], uniform(key, uid, _COMMENT))
        out[4, i] = binomial_quantile(int(stayed), min(follows, 1.0), uniform(key, uid, _FOLLOW))
        out[5, i] = binomial_quantile(shown, min(harm * numbers[4, room], 1.0), uniform(key, uid, _NEGATIVE))
        out[6, i] = watched / 300.0
        out[7, i] = seconds / 60.0
        out[8, i] = overdispersed_quantile(clicks * gifts, settings[21], uniform(key, uid, _GIFT))


@kernel
def _interpolated(at: Any, values: Any, u: float) -> float:
    """Quantile at u of a table of quantiles; below the first one, the first."""
    if u <= at[0]:
        return float(values[0])
    i = 1
    while u > at[i]:
        i += 1
    return float(values[i - 1] + (values[i] - values[i - 1]) * (u - at[i - 1]) / (at[i] - at[i - 1]))


@free_kernel
def price(
    key: int,
    rooms: Any,
    gifts: Any,
    sigma: float,
    largest: float,
    at: Any,
    seconds: Any,
    room_of: Any,
    delays: Any,
    values: Any,
) -> None:
    """Write room, delay in seconds and value, in median gifts, of each single gift, `[G]`."""
    single = fold_in(key, _GIFTS)
    n = 0
    for i in range(rooms.size):
        for j in range(int(gifts[i])):
            uid = np.uint64(rooms[i])
            room_of[n] = rooms[i]
            delays[n] = _interpolated(at, seconds, uniform(single, uid, 2 * j))
            values[n] = min(math.exp(sigma * normal_upper_quantile(uniform(single, uid, 2 * j + 1))), largest)
            n += 1

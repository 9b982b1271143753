"""Has an arm's rate changed? A generalised likelihood ratio over time buckets.

Each arm keeps B buckets of `bucket` seconds in a block of `2 + 4 B` numbers: the newest bucket's number, then of each
bucket the sum of weights, of rewards, of squared weights, and its number; last, how often the arm was restarted. A
bucket's place is its number modulo B.
"""

import math
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ._numba import kernel
from ._special import kl_bernoulli
from ._table import LATEST, MOST, Table


class ChangeDetector(BaseModel):
    """Restart an arm whose rate has changed: Bernoulli GLR over time buckets.

    At the end of each of an arm's buckets, over all its n observations of the last `window` buckets with mean m: a
    change after s of them is raised where `max_s s kl(m_1, m) + (n - s) kl(m_2, m) >= ln(3 n sqrt(n) / delta)`, m_1 and
    m_2 the means before and after; weighted observations count as `(sum w)^2 / sum w^2`. What came after the change is
    kept; the prior is.

    Parameters
    ----------
    bucket
        Seconds in a bucket, >= 0.001.
    window
        Number of buckets looked back at, >= 2.
    delta
        Probability of a false alarm that is aimed at, in (0, 1).

    References
    ----------
    .. [1] L. Besson, E. Kaufmann, O.-A. Maillard and J. Seznec (2022), "Efficient change-point detection for tackling
       piecewise-stationary bandits", JMLR 23.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: Annotated[float, Field(ge=1e-3, allow_inf_nan=False)] = 60.0
    window: Annotated[int, Field(ge=2, le=10_000)] = 120
    delta: Annotated[float, Field(gt=0.0, lt=1.0)] = 1e-3

    @property
    def width(self) -> int:
        """Numbers that an arm needs."""
        return 2 + 4 * (self.window + 1)  # the newest bucket is still open


@kernel
def note_event(table: Table, block: Table, at: float, bucket: float, reward: float, weight: float) -> bool:
    """Take an event into its bucket; return whether it opened a new one, so that the one before has closed."""
    if math.isnan(at):
        at = table[LATEST, -1]
        if math.isnan(at):
            at = 0.0
    slots = (block.size - 1) // 4
    number = math.floor(at / bucket)
    is_first = True
    for j in range(slots):
        if block[1 + j] > 0.0:
            is_first = False
            break
    closes = not is_first and number > block[0]
    if is_first or number > block[0]:
        block[0] = number
    elif number <= block[0] - slots:
        return False  # too old for the detector
    place = int(number % slots)
    if block[1 + 3 * slots + place] != number:
        block[1 + place] = 0.0
        block[1 + slots + place] = 0.0
        block[1 + 2 * slots + place] = 0.0
        block[1 + 3 * slots + place] = number
    block[1 + place] += weight
    block[1 + slots + place] += weight * reward
    block[1 + 2 * slots + place] += weight * weight
    return closes


@kernel
def _likelihood(successes: float, n: float, mean: float) -> float:
    return n * kl_bernoulli(min(successes / n, 1.0), mean) if n > 0.0 else 0.0


@kernel
def change_in(block: Table, log_delta: float) -> bool:
    """Whether the closed buckets show a change; then what came before it is dropped from them."""
    slots = (block.size - 1) // 4
    newest = block[0]
    n, successes, squares = 0.0, 0.0, 0.0
    for back in range(1, slots):
        place = int((newest - back) % slots)
        if block[1 + 3 * slots + place] == newest - back:
            n += block[1 + place]
            successes += block[1 + slots + place]
            squares += block[1 + 2 * slots + place]
    if n <= 0.0 or n * n < 2.0 * squares:
        return False
    effective = n / squares  # weighted observations are worth (sum w)^2 / sum w^2 of weight 1
    mean = min(max(successes / n, 0.0), 1.0)
    largest, split = 0.0, 0.0
    after, gained = 0.0, 0.0
    for back in range(1, slots):
        place = int((newest - back) % slots)
        if block[1 + 3 * slots + place] == newest - back:
            after += block[1 + place]
            gained += block[1 + slots + place]
            ratio = _likelihood(gained, after, mean) + _likelihood(max(successes - gained, 0.0), n - after, mean)
            if ratio > largest:
                largest, split = ratio, newest - back
    count = effective * n
    if effective * largest < math.log(3.0 * count * math.sqrt(count)) - log_delta:
        return False
    for j in range(slots):
        if block[1 + 3 * slots + j] < split:
            block[1 + j] = 0.0
            block[1 + slots + j] = 0.0
            block[1 + 2 * slots + j] = 0.0
    return True


@kernel
def bucket_at(block: Table, j: int) -> tuple[float, float, float]:
    """Weight, rewards and number of the bucket in place j."""
    slots = (block.size - 1) // 4
    return block[1 + j], block[1 + slots + j], block[1 + 3 * slots + j]


def are_buckets(blocks: Table, bucket: float, latest: float) -> bool:
    """Whether these can be arms' blocks, `[n, W]`, at the latest time known (NaN: none)."""
    weights, rewards, squares, numbers = np.split(blocks[:, 1:-1], 4, axis=1)
    newest, restarts, used = blocks[:, :1], blocks[:, -1], weights > 0.0
    places = np.broadcast_to(np.arange(weights.shape[1]), weights.shape)
    is_good = (weights >= 0.0) & (rewards >= 0.0) & (rewards <= weights * (1.0 + 1e-9)) & (squares >= 0.0)
    is_good &= (weights <= MOST) & (squares <= MOST * MOST) & (numbers == np.floor(numbers))
    is_good &= ~used | ((numbers <= newest) & (np.mod(numbers, weights.shape[1]) == places))
    last = latest if latest > 0.0 else 0.0  # events without a time, before any, are of time 0
    is_past = (newest == np.floor(newest)) & (newest <= last * (1.0 + 1e-9) / bucket + 1.0)
    is_count = (restarts >= 0.0) & (restarts == np.floor(restarts)) & (restarts < 2.0**53)
    return bool(is_good.all() and is_past.all() and is_count.all())


def new_buckets(detector: ChangeDetector | None) -> Table:
    """Make the block of a new arm."""
    return np.zeros(0 if detector is None else detector.width)

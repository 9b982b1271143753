"""Forward decay: an event of time t weighs `2^((t - landmark) / half-life)`, and all is scaled back when it is read.

So an event is added once and never touched again, and the order of events does not matter. The landmark is a whole
number of half-lives and moves by whole numbers only: powers of two, which round nothing.

References
----------
.. [1] G. Cormode, V. Shkapenyuk, D. Srivastava and B. Xu (2009), "Forward decay: a practical time decay model for
   streaming systems", ICDE.
"""

import math

from ._numba import kernel
from ._table import HALF_LIFE, LANDMARK, LATEST, Table

MAX_AHEAD = 400.0  # half-lives between landmark and event: 2^400 leaves room for sums and squares


@kernel
def note_time(table: Table, time: float) -> None:
    """Remember the latest time known; NaN is none."""
    if time > table[LATEST, -1] or (math.isnan(table[LATEST, -1]) and not math.isnan(time)):
        table[LATEST, -1] = time


@kernel
def set_landmark(table: Table, at: float) -> None:
    """Set the landmark, if there is none, at a time or at the latest one, where that is later."""
    if math.isnan(table[LANDMARK, -1]):
        latest = table[LATEST, -1]
        table[LANDMARK, -1] = math.floor((latest if latest > at else at) / table[HALF_LIFE, -1])


@kernel
def forward_weight(table: Table, at: float) -> float:
    """Weight of an event of time `at` (NaN: the latest time known), which is noted; 1 without decay.

    -1 where the landmark must move first: nothing is noted then.
    """
    half_life = table[HALF_LIFE, -1]
    if half_life <= 0.0:
        note_time(table, at)
        return 1.0
    if math.isnan(at):
        at = table[LATEST, -1]
        if math.isnan(at):
            return 1.0
    set_landmark(table, at)
    ahead = at / half_life - table[LANDMARK, -1]
    if ahead > MAX_AHEAD:
        return -1.0
    note_time(table, at)
    return float(2.0**ahead)


@kernel
def backward_scale(table: Table, now: float) -> float:
    """Factor from forward weights to what they are worth at `now`; 1 without decay.

    At the latest time known where that is later, and where `now` is NaN: no event counts more than it did.
    """
    half_life = table[HALF_LIFE, -1]
    if half_life <= 0.0:
        return 1.0
    if not now > table[LATEST, -1]:
        now = table[LATEST, -1]
    if math.isnan(now) or math.isnan(table[LANDMARK, -1]):
        return 1.0
    return float(min(2.0 ** (table[LANDMARK, -1] - now / half_life), 1.0))  # 1 while the landmark moves ahead of time

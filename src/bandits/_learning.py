"""Learning of the models of counts: kernels that check, add, and flag what must be derived anew.

The single update takes no lock: all its checks and the counter stand in one kernel that holds the GIL. A batch is
checked whole, then added in chunks. `update_timed` is the same for bandits that forget: by half-life, by window, or on
a change.
"""

import math

import numpy as np

from ._changes import change_in, note_event
from ._decay import MAX_AHEAD, forward_weight
from ._numba import kernel
from ._table import (
    BAD_REWARD,
    BAD_WEIGHT,
    CHANGED,
    DIRTY,
    EVENTS,
    FAR_AHEAD,
    FIRST,
    GROUP_BITS,
    HALF_LIFE,
    HELD,
    LANDMARK,
    LATEST,
    MODEL,
    OK,
    PENDING,
    RESOLVED,
    SHOWN,
    STALE,
    STAMP,
    WINDOW_NEXT,
    WINDOW_USED,
    Handles,
    Table,
    is_current,
)
from .models._cells import BETA, GAUSSIAN, add, supports

MAX_WEIGHT = 1e12  # the tails are exact to 1e-9 for a + b up to here
_COLUMN, _GENERATION, _REWARD, _WEIGHT = 0, 1, 2, 3  # rows of the window's ring


@kernel
def check_one(table: Table, handle: int, reward: float, weight: float) -> int:
    """Status of one event."""
    if not is_current(table, handle):
        return STALE
    if not supports(table[MODEL, -1], reward):
        return BAD_REWARD
    if not 0.0 <= weight <= MAX_WEIGHT:
        return BAD_WEIGHT
    return OK


@kernel
def _add(table: Table, column: int, reward: float, weight: float) -> None:
    """Add an event; it resolves one exposure of its arm that awaited feedback."""
    add(table[MODEL, -1], table, column, reward, weight)
    if table[PENDING, -1] > 0.0 and table[RESOLVED, column] < table[SHOWN, column]:
        table[RESOLVED, column] += 1.0
        table[PENDING, -1] -= 1.0
    table[DIRTY, column >> GROUP_BITS] = 1.0


@kernel
def update_one(table: Table, handle: int, reward: float, weight: float) -> int:
    """Learn one event of a bandit that forgets nothing; answer a status."""
    status = check_one(table, handle, reward, weight)
    if status == OK:
        _add(table, handle & 0xFFFF_FFFF, reward, weight)
        table[EVENTS, -1] += 1.0
    return status


@kernel
def check_batch(table: Table, handles: Handles, rewards: Table, weights: Table) -> tuple[int, int]:
    """Status and position of the first event that cannot be learnt, or (OK, -1). `weights [B]` or `[1]`."""
    is_good = True  # without branches, twice as fast as a search for the first bad event
    for i in range(handles.size):
        is_good &= is_current(table, handles[i])
    model = table[MODEL, -1]
    if model == BETA:
        for i in range(rewards.size):
            is_good &= (rewards[i] >= 0.0) & (rewards[i] <= 1.0)
    else:
        for i in range(rewards.size):
            is_good &= supports(model, rewards[i])
    for i in range(weights.size):
        is_good &= (weights[i] >= 0.0) & (weights[i] <= MAX_WEIGHT)
    if is_good:
        return OK, -1
    for i in range(handles.size):
        status = check_one(table, handles[i], rewards[i], weights[i if weights.size > 1 else 0])
        if status != OK:
            return status, i
    return OK, -1


@kernel
def update_batch(table: Table, handles: Handles, rewards: Table, weights: Table, start: int, stop: int) -> None:
    """Learn the checked events start ... stop - 1 of a bandit that forgets nothing."""
    step = 1 if weights.size > 1 else 0
    model = table[MODEL, -1]
    if table[PENDING, -1] > 0.0:
        for i in range(start, stop):
            _add(table, handles[i] & 0xFFFF_FFFF, rewards[i], weights[i * step])
    else:  # without a look at each arm's exposures, four times as fast
        for i in range(start, stop):
            column = handles[i] & 0xFFFF_FFFF
            add(model, table, column, rewards[i], weights[i * step])
            table[DIRTY, column >> GROUP_BITS] = 1.0
    table[EVENTS, -1] += stop - start


@kernel
def update_timed(
    table: Table,
    blocks: Table,
    ring: Table,
    handle: int,
    reward: float,
    weight: float,
    at: float,
    bucket: float,
    log_delta: float,
    note: Table,
) -> int:
    """Learn one event of a bandit that forgets; answer a status. `at` is NaN for the latest time known.

    ring: `[4, W]`, the window's events, or empty; bucket: of the change detector, seconds, or 0; note: `[2]`, where the
    arm is restarted the number of events learnt and the weight that was kept.
    """
    status = check_one(table, handle, reward, weight)
    if status != OK:
        return status
    factor = forward_weight(table, at)
    if factor < 0.0:
        return FAR_AHEAD
    column = handle & 0xFFFF_FFFF
    _add(table, column, reward, weight * factor)
    table[EVENTS, -1] += 1.0
    if ring.size > 0:
        _slide(table, ring, handle, reward, weight)
    if bucket > 0.0:
        block = blocks[column]
        if note_event(table, block, at, bucket, reward, weight) and change_in(block, log_delta):
            note[0] = table[EVENTS, -1]
            note[1] = _restart(table, block, column, bucket)
            return CHANGED
    return OK


@kernel
def update_many_timed(
    table: Table,
    blocks: Table,
    ring: Table,
    handles: Handles,
    rewards: Table,
    weights: Table,
    ats: Table,
    bucket: float,
    log_delta: float,
    notes: Table,
    start: int,
    stop: int,
) -> None:
    """Learn the checked events start ... stop - 1 of a bandit that forgets; `notes [B, 2]` as in `update_timed`.

    `weights` and `ats` are `[B]` or `[1]`.
    """
    for i in range(start, stop):
        weight, at = weights[i if weights.size > 1 else 0], ats[i if ats.size > 1 else 0]
        update_timed(table, blocks, ring, handles[i], rewards[i], weight, at, bucket, log_delta, notes[i])


@kernel
def _slide(table: Table, ring: Table, handle: int, reward: float, weight: float) -> None:
    """Take the newest event into the window and the oldest out of it.

    Each time the ring has turned once, all is added up anew, so that rounding does not build up; an arm without an
    event in the window has no evidence at all.
    """
    following = int(table[WINDOW_NEXT, -1])
    table[HELD, handle & 0xFFFF_FFFF] += 1.0  # first, as the oldest may be of the same arm
    if table[WINDOW_USED, -1] == ring.shape[1]:
        column = int(ring[_COLUMN, following])
        if table[STAMP, column] == ring[_GENERATION, following]:
            add(table[MODEL, -1], table, column, ring[_REWARD, following], -ring[_WEIGHT, following])
            table[HELD, column] -= 1.0
            _tidy(table, column)
    else:
        table[WINDOW_USED, -1] += 1.0
    ring[_COLUMN, following] = handle & 0xFFFF_FFFF
    ring[_GENERATION, following] = handle >> 32
    ring[_REWARD, following] = reward
    ring[_WEIGHT, following] = weight
    following += 1
    if following == ring.shape[1]:
        following = 0
        _add_up(table, ring)
    table[WINDOW_NEXT, -1] = following


@kernel
def _tidy(table: Table, column: int) -> None:
    """Take away what rounding leaves where events were taken back: sums of what is not negative are not."""
    table[DIRTY, column >> GROUP_BITS] = 1.0
    if table[HELD, column] <= 0.0:
        clear_evidence(table, column)
        return
    for s in range(first_evidence(table[MODEL, -1]), table.shape[0]):
        if not is_signed(table[MODEL, -1], s - FIRST):
            table[s, column] = max(table[s, column], 0.0)


@kernel
def _add_up(table: Table, ring: Table) -> None:
    """Make the evidence of all arms anew from a full window."""
    model = table[MODEL, -1]
    for j in range(ring.shape[1]):
        column = int(ring[_COLUMN, j])
        if table[STAMP, column] == ring[_GENERATION, j]:
            clear_evidence(table, column)
    for j in range(ring.shape[1]):
        column = int(ring[_COLUMN, j])
        if table[STAMP, column] == ring[_GENERATION, j]:
            add(model, table, column, ring[_REWARD, j], ring[_WEIGHT, j])


@kernel
def count_held(table: Table, ring: Table) -> None:
    """Count each arm's events in the window, after a checkpoint was read."""
    for j in range(int(table[WINDOW_USED, -1])):
        column = int(ring[_COLUMN, j])
        if 0 <= column < table.shape[1] - 1 and table[STAMP, column] == ring[_GENERATION, j]:
            table[HELD, column] += 1.0


@kernel
def clear_evidence(table: Table, column: int) -> None:
    """Forget what was learnt of a column's arm, not its prior."""
    for s in range(first_evidence(table[MODEL, -1]), table.shape[0]):
        table[s, column] = 0.0
    table[DIRTY, column >> GROUP_BITS] = 1.0


@kernel
def first_evidence(model: float) -> int:
    """First row of the evidence, which reaches to the last row."""
    return FIRST + (5 if model == GAUSSIAN else 2)


@kernel
def is_signed(model: float, row: int) -> bool:
    """Whether a row of the statistics may be negative."""
    return bool(model == GAUSSIAN and row == 6)  # the sum of distances from the origin


@kernel
def _restart(table: Table, block: Table, column: int, bucket: float) -> float:
    """Keep of an arm's evidence what came after the change, the buckets that are left; return its weight."""
    clear_evidence(table, column)
    slots = (block.size - 1) // 4
    kept = 0.0
    for j in range(slots):
        n = block[1 + j]
        if n > 0.0:
            factor = forward_weight(table, block[1 + 2 * slots + j] * bucket)
            add(table[MODEL, -1], table, column, min(block[1 + slots + j] / n, 1.0), n * factor)
            kept += n
    return kept


@kernel
def needed_move(table: Table, at: float) -> float:
    """Whole half-lives by which the landmark must move before anything of time `at`, mostly 0; it is set if it was not.

    `at` is NaN for the latest time known.
    """
    if not table[HALF_LIFE, -1] > 0.0:
        return 0.0
    if math.isnan(at):
        at = table[LATEST, -1]
    if math.isnan(at):
        return 0.0
    if math.isnan(table[LANDMARK, -1]):
        table[LANDMARK, -1] = math.floor(at / table[HALF_LIFE, -1])
    ahead = at / table[HALF_LIFE, -1] - table[LANDMARK, -1]
    return float(math.floor(ahead)) if ahead > MAX_AHEAD else 0.0


@kernel
def show(table: Table, handles: Handles, counts: Table) -> None:
    """Note that these arms are being shown and await feedback; write how often each was by now."""
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        counts[i] = 0.0
        if is_current(table, handles[i]):
            table[SHOWN, column] += 1.0
            table[PENDING, -1] += 1.0
            table[DIRTY, column >> GROUP_BITS] = 1.0
            counts[i] = table[SHOWN, column]


@kernel
def is_resolved(table: Table, handles: Handles, shown: Table) -> bool:
    """Whether none of these exposures awaits feedback any more."""
    for i in range(handles.size):
        if is_current(table, handles[i]) and table[RESOLVED, handles[i] & 0xFFFF_FFFF] < shown[i]:
            return False
    return True


@kernel
def expire(table: Table, handles: Handles, shown: Table) -> int:
    """Await no more what these arms were shown up to the counts `shown [B]`; return how many exposures that were."""
    expired = 0.0
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        if is_current(table, handles[i]) and table[RESOLVED, column] < shown[i]:
            expired += shown[i] - table[RESOLVED, column]
            table[RESOLVED, column] = shown[i]
            table[DIRTY, column >> GROUP_BITS] = 1.0
    table[PENDING, -1] -= expired
    return int(expired)


@kernel
def set_prior(table: Table, handles: Handles, values: Table) -> None:
    """Set the rows of the prior, `values [n, B]`."""
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        for s in range(values.shape[0]):
            table[FIRST + s, column] = values[s, i]
        table[DIRTY, column >> GROUP_BITS] = 1.0


def new_ring(window: int | None) -> Table:
    """Make an empty window of so many events, or none."""
    return np.zeros((4, window or 0))

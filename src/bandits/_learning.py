"""Learning of the models of counts: kernels that check, add, and flag what must be derived anew.

The single update takes no lock: all its checks and the counter stand in one kernel that holds the GIL. A batch is
checked whole, then added in chunks. `update_timed` is the same for bandits that forget: by half-life, by window, or on
a change.
"""

import math

import numpy as np

from ._changes import bucket_at, change_in, note_event
from ._decay import MAX_AHEAD, forward_weight, set_landmark
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
    LANDMARK,
    LATEST,
    MAX_WEIGHT,
    MODEL,
    OK,
    PENDING,
    STALE,
    Handles,
    Table,
    is_current,
    resolve,
)
from ._window import clear_evidence, slide
from .models._cells import BETA, add, supports


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
    resolve(table, column)
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
        slide(table, ring, handle, reward, weight)
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
def _restart(table: Table, block: Table, column: int, bucket: float) -> float:
    """Keep of an arm's evidence what came after the change, the buckets that are left; return its weight."""
    clear_evidence(table, column)
    block[-1] += 1.0
    kept = 0.0
    for j in range((block.size - 1) // 4):
        n, successes, number = bucket_at(block, j)
        if n > 0.0:
            factor = forward_weight(table, number * bucket)
            add(table[MODEL, -1], table, column, min(successes / n, 1.0), n * factor)
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
    set_landmark(table, at)
    ahead = at / table[HALF_LIFE, -1] - table[LANDMARK, -1]
    return float(np.floor(ahead)) if ahead > MAX_AHEAD else 0.0


@kernel
def set_prior(table: Table, handles: Handles, values: Table) -> None:
    """Set the rows of the prior, `values [n, B]`."""
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        for s in range(values.shape[0]):
            table[FIRST + s, column] = values[s, i]
        table[DIRTY, column >> GROUP_BITS] = 1.0

"""The k best of a stream, best first: higher score, then smaller uid, so that the order of candidates never matters.

`positions` and `scores` hold a binary heap with the worst of the best at its root, until `finish` sorts them.
"""

import math

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._table import Handles, Table

Uids = NDArray[np.uint64]


@kernel
def _is_worse(i: int, j: int, handles: Handles, uids: Uids, positions: Handles, scores: Table) -> bool:
    """Whether entry i is ranked behind entry j."""
    if scores[i] != scores[j]:
        return bool(scores[i] < scores[j])
    return bool(uids[handles[positions[i]] & 0xFFFF_FFFF] > uids[handles[positions[j]] & 0xFFFF_FFFF])


@kernel
def _swap(i: int, j: int, positions: Handles, scores: Table) -> None:
    positions[i], positions[j] = positions[j], positions[i]
    scores[i], scores[j] = scores[j], scores[i]


@kernel
def _sink(size: int, handles: Handles, uids: Uids, positions: Handles, scores: Table) -> None:
    """Let the root of a heap of `size` entries sink to its place."""
    i = 0
    while True:
        worst = 2 * i + 1
        if worst >= size:
            break
        if worst + 1 < size and _is_worse(worst + 1, worst, handles, uids, positions, scores):
            worst += 1
        if not _is_worse(worst, i, handles, uids, positions, scores):
            break
        _swap(i, worst, positions, scores)
        i = worst


@kernel
def push(
    position: int, score: float, handles: Handles, uids: Uids, filled: int, positions: Handles, scores: Table
) -> int:
    """Take in a candidate if it belongs to the best so far; return how many there are. The k-th best is at the root."""
    if filled < positions.size:
        i = filled
        positions[i] = position
        scores[i] = score
        while i > 0 and _is_worse(i, (i - 1) // 2, handles, uids, positions, scores):
            _swap(i, (i - 1) // 2, positions, scores)
            i = (i - 1) // 2
        return filled + 1
    if score < scores[0]:
        return filled
    if score == scores[0]:
        last = uids[handles[positions[0]] & 0xFFFF_FFFF]
        if uids[handles[position] & 0xFFFF_FFFF] > last:
            return filled
    positions[0] = position
    scores[0] = score
    _sink(filled, handles, uids, positions, scores)
    return filled


@kernel
def finish(handles: Handles, uids: Uids, positions: Handles, scores: Table) -> None:
    """Sort a full heap, best first."""
    for size in range(positions.size - 1, 0, -1):
        _swap(0, size, positions, scores)
        _sink(size, handles, uids, positions, scores)


@kernel
def rank_values(
    handles: Handles, uids: Uids, key: int, x: float, y: float, values: Table, positions: Handles, scores: Table
) -> None:
    """Write positions and values of the k best candidates, best first; values that are no numbers come last."""
    filled = 0
    for i in range(handles.size):
        value = -math.inf if math.isnan(values[i]) else values[i]
        if filled < positions.size or value >= scores[0]:
            filled = push(i, value, handles, uids, filled, positions, scores)
    finish(handles, uids, positions, scores)

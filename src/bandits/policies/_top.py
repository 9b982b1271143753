"""The k best, best first: higher score, then smaller uid, so that the order of candidates never matters."""

import numpy as np
from numpy.typing import NDArray

from .._numba import kernel
from .._table import Handles, Table


@kernel
def outranks(score: float, uid: int, other_score: float, other_uid: int) -> bool:
    """Whether the first of two arms is ranked before the second."""
    return score > other_score or (score == other_score and uid < other_uid)


@kernel
def push(
    position: int,
    score: float,
    handles: Handles,
    uids: NDArray[np.uint64],
    filled: int,
    positions: Handles,
    scores: Table,
) -> int:
    """Insert a candidate among the `filled` best so far, if it belongs there; return how many are filled now."""
    k = positions.size
    uid = uids[handles[position] & 0xFFFF_FFFF]
    if filled == k:
        last = uids[handles[positions[k - 1]] & 0xFFFF_FFFF]
        if not outranks(score, uid, scores[k - 1], last):
            return filled
        slot = k - 1
    else:
        slot = filled
        filled += 1
    while slot > 0 and outranks(score, uid, scores[slot - 1], uids[handles[positions[slot - 1]] & 0xFFFF_FFFF]):
        positions[slot] = positions[slot - 1]
        scores[slot] = scores[slot - 1]
        slot -= 1
    positions[slot] = position
    scores[slot] = score
    return filled

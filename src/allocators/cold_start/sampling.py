"""The sampled part of a tick: exposures for the rooms of the highest draws, without drawing every room.

Only who comes before the last one served matters, so each draw is bracketed by a quick expansion with a bound of its
error (`_ERROR`), a threshold is read off the brackets, and only rooms whose bracket straddles it, one or two in a
hundred, are drawn exactly, by the one inversion. Who is served is thus the same, bit by bit, as when all are drawn.
"""

import numpy as np
from numpy.typing import NDArray

from ...bandits import Bandit, Thompson
from ...bandits._bounds import rough_normal
from ...bandits._deciding import read
from ...bandits._families import BETA, theta_of, upper_quantile
from ...bandits._numba import free_kernel
from ...bandits._random import uniform
from ...bandits._special_laplace import normal_start
from ...bandits._table import CENTER, Handles, P, Q, R, Uids

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_ERROR = (1e-3, 0.05, 0.025)  # of the bracket, in spreads: e0 + (e1 + e2 x^4) / n^2, x the normal quantile
_LEAST = 0.5  # n = a b / (a + b) below which the expansion is of no use, and the draw is exact
_MOST = 1e12  # of a scale
_BINS = 1_024
_PASSES = 8
_PART = 7  # a bin that holds one in 2^7 of the rooms is fine enough


def share_out(
    bandit: Bandit,
    handles: Handles,
    room_for: Ints,
    available: int,
    *,
    chunk: int,
    sub_rounds: int,
    scales: Floats | None = None,
) -> Ints:
    """Give exposures to the rooms of the highest posterior draws, in several rounds of draws.

    Each round gives its even part of what is left, in the order of its draws, up to `chunk` to a room; ties go by uid.
    What the planned rounds could not place, since too few rooms had room, goes in a last round, in the order of its
    draws, to all that the rooms still take. A round takes one decision number of the bandit.

    Parameters
    ----------
    bandit
        One whose policy is `Thompson` by inversion, with a model without contexts.
    handles
        Rows of distinct rooms in it, [C].
    room_for
        Exposures that each may still be granted, [C]; none or fewer: no part in it.
    available
        Exposures to give.
    chunk
        Largest number that one draw brings a room in a planned round, at least 1.
    sub_rounds
        Planned rounds, at least 1.
    scales
        Weights in [0, 1e12], [C]: ranked is `scale_i theta_i`; 1 by default.

    Returns
    -------
    Exposures of each room, int64 [C]; their sum falls short of `available` only where no room has room left.

    Raises
    ------
    StaleRowsError
        For a row that its arm no longer owns.
    ValueError
        For arrays of other shapes, scales or numbers out of range, another policy. No decision number was taken.

    Examples
    --------
    Of ten exposures, two rounds give five each; one draw brings a room no more than five:

    >>> import numpy as np
    >>> from seedbed.allocators.cold_start.sampling import share_out
    >>> from seedbed.bandits import Bandit, Thompson
    >>> bandit = Bandit(Thompson(), arms=["a", "b", "c"], seed=7)
    >>> room_for = np.array([10, 10, 10])
    >>> grants = share_out(bandit, bandit.rows(["a", "b", "c"]), room_for, 10, chunk=5, sub_rounds=2)
    >>> int(grants.sum()), sorted(set(grants.tolist()) - {0, 5, 10})
    (10, [])
    """
    left = _checked_room(handles, room_for)
    weights = _checked_scales(handles, scales)
    if chunk < 1 or sub_rounds < 1:
        raise ValueError(f"chunk = {chunk} and sub_rounds = {sub_rounds} must be at least 1")
    if not (type(bandit.policy) is Thompson and bandit.policy.sampler == "inversion"):
        raise ValueError(f"rooms are sampled by Thompson(sampler='inversion'); got {bandit.policy!r}")
    total = int(left.sum())
    if available >= total:  # every room gets what it takes, whatever is drawn
        return left
    if available <= 0:
        return np.zeros(handles.size, np.int64)
    draws = _Draws(bandit, handles, weights)
    grants = np.zeros(handles.size, np.int64)
    for turn in range(sub_rounds + 1):
        is_planned = turn < sub_rounds
        offered = -(-available // (sub_rounds - turn)) if is_planned else available
        available -= draws.serve(bandit._next_key(), left, chunk if is_planned else total, offered, grants)
        if available <= 0:
            break
    return grants


class _Draws:
    """Beliefs about the rooms, all of one moment, and what makes their draws quick to bracket."""

    def __init__(self, bandit: Bandit, handles: Handles, scales: Floats) -> None:
        with bandit._lock:
            private = read(bandit, handles, None, 0, float("nan"), draws=True)
        table, count = private.table[:, :-1], handles.size
        self._family = int(bandit._model.family)
        self._beliefs = np.ascontiguousarray(table[[P, Q, R, CENTER]])
        self._uids, self._scales = private.uids, scales
        self._shape = np.zeros((2, count))
        if self._family == BETA:
            _shape(self._beliefs, self._shape)
        self._bounds, self._scores = np.empty((2, count)), np.empty(count)
        self._positions = np.empty(count, np.int64)

    def serve(self, key: int, left: Ints, chunk: int, offered: int, grants: Ints) -> int:
        """Serve rooms in the order of their draws until the offer is used up; return how much was given."""
        bounds, positions, scores = self._bounds, self._positions, self._scores
        beliefs = self._family, self._beliefs, self._shape, self._uids, self._scales
        _bracket(*beliefs, key, bounds)
        given, close = _serve_sure(*beliefs, key, bounds, left, chunk, offered, grants, positions, scores)
        if close:
            near = positions[:close]
            near = near[np.lexsort((self._uids[near], -scores[:close]))]
            wanted = np.minimum(left[near], chunk)
            parts = np.clip(offered - given - (np.cumsum(wanted) - wanted), 0, wanted)
            grants[near] += parts
            left[near] -= parts
            given += int(parts.sum())
        return int(given)


def _checked_room(handles: Handles, room_for: Ints) -> Ints:
    if room_for.shape != handles.shape or room_for.dtype != np.int64:
        raise ValueError(f"room_for must be int64 {list(handles.shape)}; got {room_for.dtype} {list(room_for.shape)}")
    return np.maximum(room_for, 0)


def _checked_scales(handles: Handles, scales: Floats | None) -> Floats:
    """Scales, or an empty array for none."""
    if scales is None:
        return np.empty(0)
    scales = np.ascontiguousarray(scales, np.float64)
    if scales.shape != handles.shape:
        raise ValueError(f"scales must be [{handles.size}], one a room; got {list(scales.shape)}")
    bad = np.flatnonzero(~((scales >= 0.0) & (scales <= _MOST)))
    if bad.size:
        raise ValueError(f"scales[{bad[0]}] = {scales[bad[0]]} is not in [0, {_MOST:g}]")
    return scales


@free_kernel
def _shape(beliefs: Floats, shape: Floats) -> None:
    """Write 1 / sqrt(n) and the skew of each posterior, `[2, C]`; 0 for those that are drawn exactly."""
    for i in range(shape.shape[1]):
        a, b = beliefs[0, i], beliefs[1, i]
        n = a * b / (a + b)
        shape[0, i] = 1.0 / np.sqrt(n) if n >= _LEAST else 0.0
        shape[1, i] = (b - a) / (a + b)


@free_kernel
def _score(family: int, beliefs: Floats, i: int, u: float, scales: Floats) -> float:
    """What room i is ranked by, exactly: z, which tells draws apart that round to one theta, or the scaled theta."""
    z = upper_quantile(family, beliefs[0, i], beliefs[1, i], beliefs[2, i], u)
    return float(scales[i] * theta_of(family, z)) if scales.size else float(z)


@free_kernel
def _error_of(root: float, x: float) -> float:
    """Half the width of a bracket, given 1 / sqrt(n) and the normal quantile: over 1.5 times the largest error met."""
    e0, e1, e2 = _ERROR
    square = root * root
    return float(root * (e0 + (e1 + e2 * (x * x) * (x * x)) * (square * square)))


@free_kernel
def _bracket(family: int, beliefs: Floats, shape: Floats, uids: Uids, scales: Floats, key: int, bounds: Floats) -> None:
    """Write a lower and an upper bound of what each room is ranked by, `[2, C]`; equal where it is exact."""
    low, high, roots, skews, centers = bounds[0], bounds[1], shape[0], shape[1], beliefs[3]
    for i in range(uids.size):
        low[i] = rough_normal(uniform(key, uids[i], 0))
    for i in range(uids.size):  # apart from the above: both are turned into vector instructions
        x, root, skew = low[i], roots[i], skews[i]
        error = _error_of(root, x)
        z = centers[i] + normal_start(1.0 / max(root * root, 1e-300), skew, x)
        low[i], high[i] = z - error, z + error
    if scales.size:
        for i in range(uids.size):  # theta (1 -+ 1e-9): what rounding takes in odds and back
            low[i] = scales[i] * ((1.0 - 1e-9) / (1.0 + np.exp(-low[i])))
            high[i] = scales[i] * ((1.0 + 1e-9) / (1.0 + np.exp(-high[i])))
    for i in range(uids.size):
        if roots[i] == 0.0:
            low[i] = high[i] = _score(family, beliefs, i, uniform(key, uids[i], 0), scales)


@free_kernel
def _serve_sure(
    family: int,
    beliefs: Floats,
    shape: Floats,
    uids: Uids,
    scales: Floats,
    key: int,
    bounds: Floats,
    left: Ints,
    chunk: int,
    offered: int,
    grants: Ints,
    positions: Ints,
    scores: Floats,
) -> tuple[int, int]:
    """Serve those that come before the threshold for sure; write positions and exact scores of those close to it.

    Returns
    -------
    (given, close)
        Exposures given, and how many are close.
    """
    low, high = bounds[0], bounds[1]
    total, given, close = 0, 0, 0
    for i in range(left.size):
        total += min(left[i], chunk)
    lowest, highest = -np.inf, -np.inf  # where all are served
    if total > offered:
        # whoever is below `lowest` comes behind rooms that use up the offer; whoever is above `highest` does not
        lowest = _crossing(low, left, chunk, offered)[0]
        highest = _crossing(high, left, chunk, offered)[1]
    for i in range(left.size):
        if left[i] <= 0 or high[i] < lowest:
            continue
        if total <= offered or low[i] > highest:
            wanted = min(left[i], chunk)
            grants[i] += wanted
            left[i] -= wanted
            given += wanted
        else:
            positions[close] = i
            scores[close] = _score(family, beliefs, i, uniform(key, uids[i], 0), scales)
            close += 1
    return given, close


@free_kernel
def _crossing(values: Floats, left: Ints, chunk: int, target: int) -> tuple[float, float]:
    """Least and most of a few neighbouring values, among which wants, summed from the highest value, reach the target.

    By a histogram, and one of its bin, until few are in it. A bin never grows with a smaller value, so that rounding
    does no harm.
    """
    bottom, top, above = np.inf, -np.inf, 0
    for i in range(values.size):
        if left[i] > 0:
            bottom, top = min(bottom, values[i]), max(top, values[i])
    bins = np.empty(_BINS, np.int64)
    for _ in range(_PASSES):
        per_unit = _BINS / (top - bottom)
        if not (top > bottom and per_unit < np.inf):
            break
        bins[:] = 0
        for i in range(values.size):
            if left[i] > 0 and bottom <= values[i] <= top:
                bins[min(int((values[i] - bottom) * per_unit), _BINS - 1)] += min(left[i], chunk)
        found = _BINS - 1
        while above + bins[found] < target:
            above += bins[found]
            found -= 1
        start, count, least, most = bottom, 0, np.inf, -np.inf
        for i in range(values.size):
            is_inside = left[i] > 0 and bottom <= values[i] <= top
            if is_inside and min(int((values[i] - start) * per_unit), _BINS - 1) == found:
                least, most, count = min(least, values[i]), max(most, values[i]), count + 1
        bottom, top = least, most
        if count <= values.size >> _PART:
            break
    return bottom, top

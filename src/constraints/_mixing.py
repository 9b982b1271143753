"""The best mix of arms under average costs: a linear program, in closed form where there is one resource."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..bandits._numba import kernel

Floats = NDArray[np.float64]
Uids = NDArray[np.uint64]


def best_mix(rewards: Floats, costs: Floats, rho: Floats, uids: Uids) -> Floats:
    """Maximise `sum x r` under `sum x c_j <= rho_j`, `sum x <= 1` and `x >= 0`.

    Parameters
    ----------
    rewards
        `[C]`.
    costs
        `[J, C]`, >= 0.
    rho
        `[J]`, >= 0.
    uids
        `[C]`, which decide between arms that are alike: the order of the arms does not.

    Returns
    -------
    array of float, `[C]`

    References
    ----------
    .. [1] Q. Huangfu and J. Hall (2018), "Parallelizing the dual revised simplex method", Mathematical Programming
       Computation 10 (HiGHS).
    """
    mix = np.zeros(rewards.size)
    if rho.size == 1:
        best_of_one(rewards, np.ascontiguousarray(costs[0]), uids, float(rho[0]), mix)
        return mix
    from scipy.optimize import linprog

    may = (rewards > 0.0) & ~((costs > 0.0) & (rho[:, None] <= 0.0)).any(axis=0)
    chosen = np.flatnonzero(may)
    if chosen.size == 0:
        return mix
    chosen = chosen[np.argsort(uids[chosen])]
    binding = rho > 0.0  # the others are held by leaving arms out
    bounds = np.vstack([costs[binding][:, chosen] / rho[binding, None], np.ones(chosen.size)])
    found = linprog(-rewards[chosen] / rewards[chosen].max(), bounds, np.ones(len(bounds)), method="highs")
    if found.status == 0:
        mix[chosen] = np.maximum(found.x, 0.0)
        mix /= max(1.0, float(mix.sum()))
    return mix


@kernel
def best_of_one(rewards: Floats, costs: Floats, uids: Uids, rho: float, mix: Floats) -> None:
    """Write the best mix under one cost: two arms at most, or one and nothing, whose chord lies above all points.

    Points are (cost, reward), and (0, 0) for serving nothing. From the chord between the best that costs nothing and
    the highest point, the point farthest above it takes the place of its left or right end, until none is above: few
    passes over C.
    """
    right = _farthest(rewards, costs, uids, 0.0, -np.inf, np.inf)
    if right < 0 or not rewards[right] > 0.0:
        return
    if costs[right] <= rho:
        mix[right] = 1.0
        return
    left, x, y = _farthest(rewards, costs, uids, 0.0, -np.inf, 5e-324), 0.0, 0.0  # of those that cost nothing
    if left >= 0 and rewards[left] > 0.0:
        y = rewards[left]
    else:
        left = -1
    while True:
        slope = (rewards[right] - y) / (costs[right] - x)
        between = _farthest(rewards, costs, uids, slope, x, costs[right])
        if between < 0 or not rewards[between] - y > slope * (costs[between] - x) * (1.0 + 1e-14):
            break
        if costs[between] <= rho:
            left, x, y = between, costs[between], rewards[between]
        else:
            right = between
    share = (rho - x) / (costs[right] - x)
    mix[right] = share
    if left >= 0:
        mix[left] = 1.0 - share


@kernel
def _farthest(rewards: Floats, costs: Floats, uids: Uids, slope: float, low: float, high: float) -> int:
    """Index of the largest `reward - slope * cost` of costs between; of equals the cheaper, then the lower uid."""
    best, most = -1, -np.inf
    for i in range(rewards.size):
        if low < costs[i] < high:
            value = rewards[i] - slope * costs[i]
            if value > most or (
                value == most and (costs[i] < costs[best] or (costs[i] == costs[best] and uids[i] < uids[best]))
            ):
                best, most = i, value
    return best

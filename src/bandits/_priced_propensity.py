"""Exact chances that an arm is among the k best of scores `scale_i theta_i - offset_i`: `propensity` under prices.

The sweep is that of `propensity`, in the coordinate of the score itself, in which every arm has a support of its own:
panels end at the edges of supports where a density may jump or turn. With normal scores a price only moves the normal.
"""

import math

import numpy as np

from ._families import BETA, GAMMA, NORMAL, STUDENT, log_density, upper_quantile
from ._numba import free_kernel
from ._panels import COLUMNS, NODES, TOLERANCE, Floats, Rows, carry, column_at, settle, stride
from ._special import log_beta_density, sigmoid
from .propensity import FLAW, GROWTH, MAX_PANELS, MISSING, count_above, inclusion, share_of

_TAIL = 1e-12
_SMOOTH = 30.0  # exponent of a density's edge from which on a polynomial follows it across


def priced_inclusion(family: int, parameters: Floats, scales: Floats, offsets: Floats, k: int = 1) -> Floats | None:
    """Chance of each arm to be among the k highest scores, `[C]`; None where the integral has no quick answer.

    Parameters
    ----------
    family, parameters
        As in `propensity.inclusion`: `[3, C]`.
    scales, offsets
        `[C]` each.
    k
        Number of arms that are taken, 1 to C.

    Returns
    -------
    array of float, [C], or None
        None for scores that are constants (a scale of 0), and where a density grows without bound at an edge that
        matters.

    Examples
    --------
    Two uniform draws, one of them less 1/2: it wins with a chance of 1/8.

    >>> import numpy as np
    >>> uniforms = np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    >>> priced_inclusion(BETA, uniforms, np.ones(2), np.array([0.0, 0.5])).round(9)
    array([0.875, 0.125])
    """
    size = scales.size
    if k == size:
        return np.ones(size)
    if (scales == 0.0).any():
        return None
    if family in (NORMAL, STUDENT):
        moved = np.stack([scales * parameters[0] - offsets, np.abs(scales) * parameters[1], parameters[2]])
        return inclusion(family, moved, k)
    if family not in (BETA, GAMMA):
        return None
    if (scales == scales[0]).all() and (offsets == offsets[0]).all() and scales[0] > 0.0:
        return inclusion(family, parameters, k)
    chances = np.zeros(size)
    whole = _sweep(family, np.ascontiguousarray(parameters), scales, offsets, k, chances)
    if not whole or not abs(chances.sum() - k) <= FLAW:
        return None
    return np.minimum(chances, 1.0, out=chances)


@free_kernel
def _prepare(family: int, parameters: Floats, scales: Floats, offsets: Floats) -> tuple[Floats, Floats]:
    """What the sweep knows of each arm, `[5, C]` as in `_panels.prepare`, and the edges where panels end, falling.

    Row 3 holds the log-density of the score at the center.
    """
    count = scales.size
    arms, edges = np.zeros((5, count)), np.empty(2 * count)
    filled = 0
    for j in range(count):
        p, q, r = parameters[0, j], parameters[1, j], parameters[2, j]
        scale, offset = scales[j], offsets[j]
        center = p / (p + q) if family == BETA else p / q
        spread = math.sqrt(p * q / (p + q + 1.0)) / (p + q) if family == BETA else math.sqrt(p) / q
        if family == BETA:
            z = upper_quantile(family, p, q, r, _TAIL) if scale > 0.0 else -upper_quantile(family, q, p, r, _TAIL)
            reach = sigmoid(z)
            log_peak = log_beta_density(p, q, math.log(p / q)) - math.log(center) - math.log1p(-center)
        else:
            reach = math.exp(upper_quantile(family, p, q, r, _TAIL if scale > 0.0 else 1.0 - _TAIL))
            log_peak = log_density(family, p, q, r, math.log(center)) - math.log(center)
        arms[0, j], arms[1, j] = scale * center - offset, abs(scale) * spread
        arms[2, j], arms[3, j] = scale * reach - offset, log_peak - math.log(abs(scale))
        if p < _SMOOTH:
            edges[filled] = -offset
            filled += 1
        if family == BETA and q < _SMOOTH:
            edges[filled] = scale - offset
            filled += 1
    falling = -np.sort(-edges[:filled])
    return arms, falling


@free_kernel
def _density(family: int, p: float, q: float, scale: float, center: float, log_peak: float, y: float) -> float:
    """Density of a score at y; center: the score at the mean of theta, where its log-density is log_peak."""
    middle = p / (p + q) if family == BETA else p / q
    moved = (y - center) / scale
    if middle + moved <= 0.0:
        return 0.0
    rise = (p - 1.0) * math.log1p(moved / middle)
    if family == BETA:
        if middle + moved >= 1.0:
            return 0.0
        rise += (q - 1.0) * math.log1p(-moved / (1.0 - middle))
    else:
        rise -= q * moved
    return math.exp(log_peak + rise)


@free_kernel
def _fill(
    family: int,
    parameters: Floats,
    scales: Floats,
    arms: Floats,
    who: Rows,
    z: float,
    step: float,
    density: Floats,
    survival: Floats,
) -> float:
    """Tabulate f and 1 - F of the arms `who` at the columns of the panel below z; return the largest flaw."""
    half, flaw = 0.5 * step, 0.0
    for i in range(who.size):
        j = who[i]
        survival[i] = arms[4, j]
        if arms[4, j] >= 1.0:
            density[i] = 0.0
            continue
        for m in range(COLUMNS):
            y = z + half * (column_at(m) - 1.0)
            density[i, m] = _density(family, parameters[0, j], parameters[1, j], scales[j], arms[0, j], arms[3, j], y)
        flaw += carry(i, half, density, survival)
        if not flaw <= TOLERANCE:
            break
    return flaw


@free_kernel
def _sweep(family: int, parameters: Floats, scales: Floats, offsets: Floats, k: int, chances: Floats) -> bool:
    """Add each arm's chance to be among the k best."""
    arms, edges = _prepare(family, parameters, scales, offsets)
    n_arms = scales.size
    density, survival = np.empty((n_arms, COLUMNS)), np.empty((n_arms, COLUMNS))
    before, share = np.empty((n_arms + 1, k, COLUMNS)), np.empty(n_arms)
    z, missing, limit = arms[2].max(), float(k), math.inf
    passed = 0
    for _ in range(MAX_PANELS):
        if missing <= MISSING:
            return True
        while passed < edges.size and edges[passed] >= z:
            passed += 1
        end = z - min(stride(arms, z), limit)
        at_edge = passed < edges.size and edges[passed] > end
        if at_edge:
            end = edges[passed]
        if not -math.inf < end < z:
            return False
        step = z - end
        limit = 0.5 * step
        who = np.flatnonzero(arms[2] > end)
        if not _fill(family, parameters, scales, arms, who, z, step, density, survival) <= TOLERANCE:
            continue
        settle(arms, who, end, density, survival)
        left = count_above(survival[: who.size], k, before)
        total = share_of(0.5 * step, density, survival[: who.size], k, before, share)
        if not abs(total - (missing - left)) <= TOLERANCE:
            continue
        z, missing = end, left
        limit = math.inf if at_edge else GROWTH * step
        for i in range(who.size):
            chances[who[i]] += share[i]
            arms[4, who[i]] = survival[i, NODES]
            if scales[who[i]] > 0.0 and -offsets[who[i]] >= end:  # its whole support lies above
                arms[4, who[i]] = 1.0
    return False

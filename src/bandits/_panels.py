"""Densities and tails of many arms over one panel of a sweep from the top of the line down: see `propensity`.

A panel has Gauss-Legendre nodes and its lower end. Inside it each density is the polynomial through its nodes, whose
exact integral carries `S_i = 1 - F_i` downwards: no incomplete beta is needed, and upper tails are exact to rounding.
"""

import math

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from ._families import BETA, GAMMA, NORMAL, STUDENT, center_of, log_density, spread_of, upper_quantile
from ._numba import free_kernel
from ._special import log_sigmoid, sigmoid

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

NODES = 15  # nodes a panel; with the panel's lower end 16 columns, a whole number of SIMD registers
COLUMNS = 16
_TAIL = 1e-12  # an arm is left out where its score lies above with less than this chance
TOLERANCE = 1e-9  # largest flaw of a panel
_MAX_STEPS = 200


def _panel_matrices() -> tuple[Floats, Floats, Floats]:
    """Columns (nodes and -1), `[15, 16]` integrals from a column to 1, `[15, 2]` last two Legendre coefficients.

    Of the polynomial through the nodes, on [-1, 1], by `integral of P_l from x to 1 = (P_{l-1} - P_{l+1}) / (2 l + 1)`.
    """
    nodes, weights = legendre.leggauss(NODES)
    columns = np.append(nodes[::-1], -1.0)
    order = np.arange(NODES)
    coefficients = legendre.legvander(columns[:NODES], NODES - 1) * (weights[::-1, None] * (order + 0.5))
    values = legendre.legvander(columns, NODES)
    integrals = np.empty((NODES, COLUMNS))
    integrals[0] = 1.0 - columns
    integrals[1:] = ((values[:, : NODES - 1] - values[:, 2:]) / (2 * order[1:] + 1)).T
    return columns, np.ascontiguousarray(coefficients @ integrals), coefficients[:, -2:].copy()


_AT, INTO, _LAST = _panel_matrices()


@free_kernel
def carry(i: int, half: float, density: Floats, survival: Floats) -> float:
    """Add to `survival[i]` the integral of `density[i]` from each column up; return the flaw of its polynomial."""
    even = odd = 0.0
    for n in range(NODES):
        scaled = half * density[i, n]
        even += _LAST[n, 0] * scaled
        odd += _LAST[n, 1] * scaled
        for m in range(COLUMNS):
            survival[i, m] += INTO[n, m] * scaled
    for m in range(COLUMNS):  # the polynomial of a tail may dip below zero by a rounding
        survival[i, m] = max(survival[i, m], 0.0)
    return abs(even) + abs(odd)


@free_kernel
def column_at(m: int) -> float:
    """Place of a column in a panel, from 1 at its upper end to -1 at its lower."""
    return float(_AT[m])


@free_kernel
def _statistics(family: int, z: float, x: float) -> tuple[float, float]:
    """The two functions of x in `log f(z + x) - log f(z) = c U(x) + d V(x)`: the same for all arms of a family."""
    if family == BETA:
        if abs(x) > 1.0:
            return log_sigmoid(z + x) - log_sigmoid(z), log_sigmoid(-z - x) - log_sigmoid(-z)
        return -math.log1p(sigmoid(-z) * math.expm1(-x)), -math.log1p(sigmoid(z) * math.expm1(x))
    if family == NORMAL:
        return x, x * x
    return x, math.expm1(x if family == GAMMA else -x)


@free_kernel
def _factors(family: int, p: float, q: float, r: float, z: float) -> tuple[float, float]:
    """The two factors c and d that go with `_statistics`; no family but the Student needs anything else."""
    if family == BETA:
        return p, q
    if family == NORMAL:
        return (p - z) / (q * q), -0.5 / (q * q)
    if family == GAMMA:
        return p, -q * math.exp(z)
    return -1.0, -math.exp(p - z)


@free_kernel
def _rise(family: int, p: float, q: float, r: float, z: float, x: float) -> float:
    """`log f(z + x) - log f(z)`, without the cancellation of two large logarithms."""
    if family == STUDENT:
        t = (z - p) / q
        return -0.5 * (r + 1.0) * math.log1p((x / q) * (2.0 * t + x / q) / (r + t * t))
    u, v = _statistics(family, z, x)
    c, d = _factors(family, p, q, r, z)
    return c * u + d * v


@free_kernel
def _reach(family: int, p: float, q: float, r: float, center: float, spread: float, peak: float) -> float:
    """A point above which the score lies with a chance of about `_TAIL`, without an incomplete beta or gamma.

    Gamma: Chernoff's bound, `P(X > p + sqrt(2 p t) + t) <= exp(-t)` (Boucheron, Lugosi and Massart 2013, 2.4).
    Beta: the density is log-concave, so far out `P(Z > z) <= f(z) * spread`, and after one step from anywhere above the
    mode Newton's method on log f stays above the root.
    """
    if family == GAMMA:
        return math.log((p + math.sqrt(-2.0 * p * math.log(_TAIL)) - math.log(_TAIL)) / q)
    if family != BETA:
        return upper_quantile(family, p, q, r, _TAIL)
    z = center + 7.0 * spread
    for _ in range(_MAX_STEPS):
        log_tail = peak + _rise(family, p, q, r, center, z - center) + math.log(spread)
        step = (log_tail - math.log(_TAIL)) / (p * sigmoid(-z) - q * sigmoid(z))
        z -= step
        if abs(step) < 0.25 * spread:
            break
    return z


@free_kernel
def stride(arms: Floats, z: float) -> float:
    """Width of the panel below z: two spreads of the narrowest arm at hand, more where all are far away.

    Towards an arm that is still out of reach no panel goes far beyond its reach: the nodes would miss its peak.
    """
    width = math.inf
    for j in range(arms.shape[1]):
        center, spread, reach, above = arms[0, j], arms[1, j], arms[2, j], arms[4, j]
        if above < 1.0:
            width = min(width, max(2.0 * spread, 0.5 * abs(z - center), z - reach))
    return width


@free_kernel
def fill_panel(
    family: int, parameters: Floats, arms: Floats, who: Rows, z: float, step: float, density: Floats, survival: Floats
) -> float:
    """Tabulate f and 1 - F of the arms `who` at the columns of the panel below z; return the largest flaw."""
    half = 0.5 * step
    u, v = np.empty(COLUMNS), np.empty(COLUMNS)
    for m in range(COLUMNS):
        u[m], v[m] = _statistics(family, z, half * (_AT[m] - 1.0))
    flaw = 0.0
    for i in range(who.size):
        j = who[i]
        p, q, r = parameters[0, j], parameters[1, j], parameters[2, j]
        survival[i] = arms[4, j]
        if arms[4, j] >= 1.0:
            density[i] = 0.0
            continue
        log_top = arms[3, j] + _rise(family, p, q, r, arms[0, j], z - arms[0, j])
        c, d = _factors(family, p, q, r, z)
        for m in range(COLUMNS):
            rise = c * u[m] + d * v[m] if family != STUDENT else _rise(family, p, q, r, z, half * (_AT[m] - 1.0))
            density[i, m] = math.exp(log_top + rise)
        flaw += carry(i, half, density, survival)
        if not flaw <= TOLERANCE:
            break
    return flaw


@free_kernel
def prepare(family: int, parameters: Floats) -> Floats:
    """What the sweep knows of each arm, `[5, C]`: center, spread, reach, log f at the center, `1 - F` so far."""
    arms = np.zeros((5, parameters.shape[1]))
    for j in range(arms.shape[1]):
        p, q, r = parameters[0, j], parameters[1, j], parameters[2, j]
        center, spread = center_of(family, p, q, r), spread_of(family, p, q, r)
        peak = log_density(family, p, q, r, center)
        arms[0, j], arms[1, j], arms[3, j] = center, spread, peak
        arms[2, j] = _reach(family, p, q, r, center, spread, peak)
    return arms


@free_kernel
def settle(arms: Floats, who: Rows, z: float, density: Floats, survival: Floats) -> None:
    """Let `1 - F` at the lower end z be one for arms that have been passed, so that they need no more nodes.

    A density that does not sum to one shows as an imbalance of the panel.
    """
    for i in range(who.size):
        rest = density[i, NODES] * (arms[1, who[i]] + abs(z - arms[0, who[i]]))  # bounds the mass below z
        if survival[i, NODES] > 0.5 and rest < 0.1 * _TAIL:
            survival[i, NODES] = 1.0

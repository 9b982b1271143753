"""Exact chances that an arm is among the k best when every arm draws an independent score of one family.

With f_i and F_i the density and the distribution of the score of arm i, in the coordinate of `_families`,

    P(i among the k highest) = integral of f_i(z) P(fewer than k of the others lie above z) dz.

The line is swept from the top down in panels with Gauss-Legendre nodes. Inside a panel each density is the polynomial
through its nodes, whose exact integral carries `S_i = 1 - F_i` downwards: no incomplete beta is needed, and the upper
tails are exact to rounding. The others are counted by the Poisson-binomial recursion, which for each arm is merged from
the arms before and after it: only sums of products of probabilities, so nothing cancels, in O(C k) a node.

Each panel is tested twice, and halved where it fails. The last Legendre coefficients of every density must be
negligible. And by the fundamental theorem the shares of all arms must sum to the fall of `E[max(k - N(z), 0)]`, N(z)
the number of arms above z. That expectation is what the chances still lack of their sum k; the sweep ends where it is
negligible.

Error below 1e-9 for Beta posteriors of any scale (tests/bandits/test_propensity.py). Measured: the best of 20 arms in
0.04 ms, of 100 in 0.12 ms; the best five of 20 in 0.065 ms.
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

_N = 15  # nodes a panel; with the panel's lower end 16 columns, a whole number of SIMD registers
_COLUMNS = 16
_TAIL = 1e-12  # an arm is left out where its score lies above with less than this chance
_MISSING = 1e-11  # the sweep ends where the chances lack less than this of their sum
_TOLERANCE = 1e-9  # largest flaw of a panel
_FLAW = 1e-7  # largest error of the chances' sum
_FLOOR = 1e-30  # least F: can be divided by, and changes no chance by more
_GROWTH = 1.5  # a panel may be wider than the one above it by this factor
_MAX_PANELS = 10_000
_MAX_STEPS = 200


def _panel_matrices() -> tuple[Floats, Floats, Floats]:
    """Columns (nodes and -1), `[15, 16]` integrals from a column to 1, `[15, 2]` last two Legendre coefficients.

    Of the polynomial through the nodes, on [-1, 1], by `integral of P_l from x to 1 = (P_{l-1} - P_{l+1}) / (2 l + 1)`.
    """
    nodes, weights = legendre.leggauss(_N)
    columns = np.append(nodes[::-1], -1.0)
    order = np.arange(_N)
    coefficients = legendre.legvander(columns[:_N], _N - 1) * (weights[::-1, None] * (order + 0.5))
    values = legendre.legvander(columns, _N)
    integrals = np.empty((_N, _COLUMNS))
    integrals[0] = 1.0 - columns
    integrals[1:] = ((values[:, : _N - 1] - values[:, 2:]) / (2 * order[1:] + 1)).T
    return columns, np.ascontiguousarray(coefficients @ integrals), coefficients[:, -2:].copy()


_AT, _INTO, _LAST = _panel_matrices()


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
def _stride(arms: Floats, z: float) -> float:
    """Width of the panel below z: two spreads of the narrowest arm at hand, more where all are far away.

    Towards an arm that is still out of reach no panel goes far beyond its reach: the nodes would miss its peak.
    """
    stride = math.inf
    for j in range(arms.shape[1]):
        center, spread, reach, above = arms[0, j], arms[1, j], arms[2, j], arms[4, j]
        if above < 1.0:
            stride = min(stride, max(2.0 * spread, 0.5 * abs(z - center), z - reach))
    return stride


@free_kernel
def _fill(
    family: int, parameters: Floats, arms: Floats, who: Rows, z: float, step: float, density: Floats, survival: Floats
) -> float:
    """Tabulate f and 1 - F of the arms `who` at the columns of the panel below z; return the largest flaw."""
    half = 0.5 * step
    u, v = np.empty(_COLUMNS), np.empty(_COLUMNS)
    for m in range(_COLUMNS):
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
        for m in range(_COLUMNS):
            rise = c * u[m] + d * v[m] if family != STUDENT else _rise(family, p, q, r, z, half * (_AT[m] - 1.0))
            density[i, m] = math.exp(log_top + rise)
        even = odd = 0.0
        for n in range(_N):
            scaled = half * density[i, n]
            even += _LAST[n, 0] * scaled
            odd += _LAST[n, 1] * scaled
            for m in range(_COLUMNS):
                survival[i, m] += _INTO[n, m] * scaled
        for m in range(_COLUMNS):  # the polynomial of a tail may dip below zero by a rounding
            survival[i, m] = max(survival[i, m], 0.0)
        flaw += abs(even) + abs(odd)
        if not flaw <= _TOLERANCE:
            break
    return flaw


@free_kernel
def _count(survival: Floats, k: int, before: Floats) -> float:
    """Fill `before[i, m]` with P(m of the first i arms lie above) for m < k; return what is missing below."""
    n_arms = survival.shape[0]
    before[0] = 0.0
    before[0, 0] = 1.0
    for i in range(n_arms):
        for c in range(_COLUMNS):
            before[i + 1, 0, c] = before[i, 0, c] * max(1.0 - survival[i, c], _FLOOR)
        for m in range(1, k):
            for c in range(_COLUMNS):
                above = survival[i, c]
                before[i + 1, m, c] = before[i, m, c] * max(1.0 - above, _FLOOR) + before[i, m - 1, c] * above
    missing = 0.0
    for m in range(k):
        missing += (k - m) * before[n_arms, m, _N]
    return missing


@free_kernel
def _share(half: float, density: Floats, survival: Floats, k: int, before: Floats, share: Floats) -> float:
    """Fill `share` with the panel's part of each arm's chance, by the arms before and after it; return their sum."""
    after = np.ones((k, _COLUMNS))  # P(at most m of the arms after i lie above)
    merged = np.empty(_COLUMNS)
    total = 0.0
    for i in range(survival.shape[0] - 1, -1, -1):
        merged[:] = 0.0
        for m in range(k):
            for c in range(_COLUMNS):
                merged[c] += before[i, m, c] * after[k - 1 - m, c]
        share[i] = 0.0
        for n in range(_N):
            share[i] += half * _INTO[n, _N] * density[i, n] * merged[n]
        total += share[i]
        for m in range(k - 1, 0, -1):
            for c in range(_COLUMNS):
                above = survival[i, c]
                after[m, c] = after[m, c] * max(1.0 - above, _FLOOR) + after[m - 1, c] * above
        for c in range(_COLUMNS):
            after[0, c] *= max(1.0 - survival[i, c], _FLOOR)
    return total


@free_kernel
def _add_pairs(who: Rows, half: float, density: Floats, survival: Floats, pairs: Floats) -> None:
    """Add a panel's share of `integral of (1 - F_j) / F_j * f_i / F_i * prod F_l`, at [j, i]."""
    size = who.size
    product = np.ones(_COLUMNS)
    for i in range(size):
        for m in range(_COLUMNS):
            product[m] *= max(1.0 - survival[i, m], _FLOOR)
    odds, second = np.empty((size, _N)), np.empty((size, _N))
    for i in range(size):
        for m in range(_N):
            fallen = max(1.0 - survival[i, m], _FLOOR)
            odds[i, m] = survival[i, m] / fallen
            second[i, m] = half * _INTO[m, _N] * density[i, m] * product[m] / fallen
    for j in range(size):
        for i in range(size):
            if i != j:
                total = 0.0
                for m in range(_N):
                    total += odds[j, m] * second[i, m]
                pairs[who[j], who[i]] += total


@free_kernel
def _prepare(family: int, parameters: Floats) -> Floats:
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
def _settle(arms: Floats, who: Rows, z: float, density: Floats, survival: Floats) -> None:
    """Let `1 - F` at the lower end z be one for arms that have been passed, so that they need no more nodes.

    A density that does not sum to one shows as an imbalance of the panel.
    """
    for i in range(who.size):
        rest = density[i, _N] * (arms[1, who[i]] + abs(z - arms[0, who[i]]))  # bounds the mass below z
        if survival[i, _N] > 0.5 and rest < 0.1 * _TAIL:
            survival[i, _N] = 1.0


@free_kernel
def _sweep(family: int, parameters: Floats, k: int, chances: Floats, pairs: Floats) -> bool:
    """Add each arm's chance to be among the k best, and to `pairs`, unless empty, that of being the best two."""
    arms = _prepare(family, parameters)
    n_arms = arms.shape[1]
    density, survival = np.empty((n_arms, _COLUMNS)), np.empty((n_arms, _COLUMNS))
    before, share = np.empty((n_arms + 1, k, _COLUMNS)), np.empty(n_arms)
    z, missing, limit = arms[2].max(), float(k), math.inf
    for _ in range(_MAX_PANELS):
        if missing <= _MISSING:
            return True
        end = z - min(_stride(arms, z), limit)
        if not -math.inf < end < z:  # nan, or narrower than the rounding of z
            return False
        step = z - end  # exact, which the stride was not if z is large beside it
        limit = 0.5 * step
        who = np.flatnonzero(arms[2] > end)
        if not _fill(family, parameters, arms, who, z, step, density, survival) <= _TOLERANCE:
            continue
        _settle(arms, who, end, density, survival)
        left = _count(survival[: who.size], k, before)
        total = _share(0.5 * step, density, survival[: who.size], k, before, share)
        if not abs(total - (missing - left)) <= _TOLERANCE:
            continue
        z, missing, limit = end, left, _GROWTH * step
        for i in range(who.size):
            chances[who[i]] += share[i]
            arms[4, who[i]] = survival[i, _N]
        if pairs.size > 0:
            _add_pairs(who, 0.5 * step, density, survival, pairs)
    return False


def _swept(family: int, parameters: Floats, k: int, pairs: Floats) -> Floats:
    """The chances of `_sweep`, checked."""
    chances = np.zeros(parameters.shape[1])
    if not _sweep(family, np.ascontiguousarray(parameters), k, chances, pairs) or abs(chances.sum() - k) > _FLAW:
        raise ValueError(
            f"the integral for the {chances.size} arms did not converge (the chances sum to {chances.sum()}, not {k}); "
            "their parameters must be finite, and positive where they are shapes or scales"
        )
    return np.minimum(chances, 1.0, out=chances)


def inclusion(family: int, parameters: Floats, k: int = 1) -> Floats:
    """Chance of each arm to be among the k highest of independent scores.

    Parameters
    ----------
    family : int
        Family of all scores, a constant of `_families`.
    parameters : array of float, [3, C]
        Its parameters for each arm.
    k : int
        Number of arms that are taken, 1 to C.

    Returns
    -------
    array of float, [C]
        Probabilities that sum to k, with an error below 1e-8.

    Raises
    ------
    ValueError
        k out of range, or the integral did not converge.

    Examples
    --------
    A score with the density 2 x on [0, 1] beats a uniform one with a chance of 2/3, its mean:

    >>> import numpy as np
    >>> from seedbed.bandits._families import BETA
    >>> inclusion(BETA, np.array([[2.0, 1.0], [1.0, 1.0], [0.0, 0.0]])).round(9)
    array([0.66666667, 0.33333333])
    """
    n_arms = parameters.shape[1]
    if not 1 <= k <= n_arms:
        raise ValueError(f"k must be in [1, {n_arms}], the arms; got {k}")
    if k == n_arms:
        return np.ones(n_arms)
    return _swept(family, parameters, k, np.empty((0, 0)))


def pairs(family: int, parameters: Floats) -> Floats:
    """Chance of each ordered pair of arms to be the best and the second best of independent scores.

    Parameters
    ----------
    family : int
        Family of all scores, a constant of `_families`.
    parameters : array of float, [3, C]
        Its parameters for each arm.

    Returns
    -------
    array of float, [C, C]
        At [j, i] the chance that j is the best and i the second best, the integral of `f_i (1 - F_j)` times the F of
        all others. They sum to one; a single arm has no second, and gets zero.

    Raises
    ------
    ValueError
        The integral did not converge.

    Examples
    --------
    Of three equal arms, each of the six ordered pairs is as likely:

    >>> import numpy as np
    >>> from seedbed.bandits._families import NORMAL
    >>> pairs(NORMAL, np.array([[0.0] * 3, [1.0] * 3, [0.0] * 3]))[0].round(6)
    array([0.      , 0.166667, 0.166667])
    """
    n_arms = parameters.shape[1]
    chances = np.zeros((n_arms, n_arms))
    if n_arms > 1:
        _swept(family, parameters, 2, chances)
    return chances

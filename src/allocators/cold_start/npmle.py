"""The nonparametric maximum-likelihood estimate of a population of rates, from counts (Kiefer and Wolfowitz)."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .populations import Atoms

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CELLS = 2_000  # more distinct counts than this are merged with their neighbours: 5e-9 of log-likelihood a member
_STEPS = 500  # of the solver, which needs about ten


class NotConvergedError(ValueError):
    """The solver did not reach its duality gap: no estimate is given rather than a poor one."""


def fit_npmle(
    events: ArrayLike,
    exposure: ArrayLike,
    *,
    rates: bool = False,
    grid: int = 199,
    dispersion: float = 1.0,
    tolerance: float = 1e-6,
    support: ArrayLike | None = None,
) -> Atoms:
    """Fit how true rates are spread over a population, without assuming a shape.

    Of all distributions on a grid, that under which the counts are likeliest: binomial counts of rates below 1, or
    Poisson counts. It is a handful of atoms. The log-likelihood an exposure-bearing member is within `tolerance` of
    the best possible: `max_j D(j) <= tolerance`, where `D(j) = mean_i L_i(rate_j) / f_i - 1` is the gain of moving
    weight to rate j and bounds all that is missing (the duality gap).

    Parameters
    ----------
    events, exposure
        Counts of each member, [M]; members without exposure are left out; sums of shares may be fractions.
    rates
        Whether events are Poisson over time, of any rate, and not shares of the exposures.
    grid
        Number of rates tried, evenly spaced in arcsin sqrt(rate), or sqrt(rate), in which counts are equally exact
        everywhere, from the lowest observed to the highest.
    dispersion
        Variance over mean of the number of events in a short time: events and exposure are divided by it.
    tolerance
        Largest duality gap, in log-likelihood a member.
    support
        Rates to try instead of the grid, ascending, [J].

    Returns
    -------
    Atoms

    Raises
    ------
    ValueError
        For counts that contradict each other, none at all, or if the gap is not reached.

    References
    ----------
    .. [1] J. Kiefer and J. Wolfowitz (1956), "Consistency of the maximum likelihood estimator in the presence of
       infinitely many incidental parameters", Annals of Mathematical Statistics 27.
    .. [2] B. Lindsay (1983), "The geometry of mixture likelihoods: a general theory", Annals of Statistics 11.
    .. [3] Y. Wang (2007), "On fast computation of the non-parametric maximum likelihood estimate of a mixing
       distribution", JRSS B 69.

    Examples
    --------
    Half of the members have 10 of 100, half 30 of 100. At rates .1 and .3 alone, nothing tells the first kind from
    rates of .1 nor the second from .3:

    >>> from seedbed.allocators.cold_start import fit_npmle
    >>> found = fit_npmle([10, 30, 10, 30], [100] * 4, support=[0.1, 0.3])
    >>> found.support, [round(weight, 3) for weight in found.weights]
    ((0.1, 0.3), [0.5, 0.5])
    """
    if grid < 2 or not 1.0 <= dispersion < np.inf:
        raise ValueError(f"grid = {grid} must be at least 2, and dispersion = {dispersion} at least 1")
    x, y = checked_counts(events, exposure, rates)
    x, y = x / dispersion, y / dispersion
    tried = support_grid(x, y, rates, grid) if support is None else np.asarray(support, np.float64)
    cell, x, y = tally(x, y)
    members = np.bincount(cell).astype(np.float64)
    weights, _ = solve(likelihoods(x, y, tried, rates), members / members.sum(), tolerance)
    return Atoms.of(tried, weights)


def checked_counts(events: ArrayLike, exposure: ArrayLike, rates: bool) -> tuple[Floats, Floats]:
    """Counts as arrays, without the members that have no exposure; or say what is wrong with them."""
    x, y = np.atleast_1d(np.asarray(events, np.float64)), np.atleast_1d(np.asarray(exposure, np.float64))
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"events and exposure must be of one length; got shapes {x.shape} and {y.shape}")
    fits = (x >= 0.0) & np.isfinite(x) & (y >= 0.0) & np.isfinite(y) & ((x == 0.0) | (y > 0.0))
    fits &= (x <= y) | rates
    if not bool(fits.all()):
        i = int(np.flatnonzero(~fits)[0])
        raise ValueError(f"events[{i}] = {x[i]} and exposure[{i}] = {y[i]} are no counts of one member")
    if not bool((y > 0.0).any()):
        raise ValueError("there is no member with exposure")
    return x[y > 0.0], y[y > 0.0]


def spread(rate: Any, rates: bool) -> Any:
    """The scale on which counts are equally exact everywhere: arcsin sqrt(rate) of shares, sqrt(rate) of rates."""
    return np.sqrt(rate) if rates else np.arcsin(np.sqrt(rate))


def unspread(scaled: Any, rates: bool) -> Any:
    """Inverse of `spread`."""
    return scaled**2 if rates else np.sin(scaled) ** 2


def support_grid(events: Floats, exposure: Floats, rates: bool, size: int) -> Floats:
    """Rates between the lowest and the highest observed, evenly spaced on the scale of `spread`, [size].

    A member without events may have any rate up to 1 / exposure: the lowest lies a twentieth of an event above zero.
    """
    if rates:
        observed = np.maximum(events, 0.05) / exposure
    else:
        margin = np.minimum(0.05, exposure / 3.0)
        observed = np.clip(events, margin, exposure - margin) / exposure
    low, high = spread(float(observed.min()), rates), spread(float(observed.max()), rates)
    if high - low < 1e-6:  # one rate only: look around it
        low, high = 0.9 * low, 1.1 * high if rates else min(1.1 * high, 0.5 * (high + np.pi / 2.0))
    return np.asarray(unspread(np.linspace(low, high, size), rates))


def tally(events: Floats, exposure: Floats, most: int = CELLS) -> tuple[Ints, Floats, Floats]:
    """Merge members of equal counts, and neighbours where there are too many kinds.

    Neighbours have exposures of one quantile class and observed rates of one class, and get their mean counts.

    Returns
    -------
    (cell, events, exposure)
        Cell of each member, `[M]`; counts of each cell, `[C]`.
    """
    kinds, cell = np.unique(np.stack([events, exposure], axis=1), axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    if len(kinds) > most:
        classes = max(2, int(np.sqrt(most / 4.0)))
        edges = np.unique(np.quantile(exposure, np.linspace(0.0, 1.0, classes + 1)[1:-1]))
        scaled = np.sqrt((events + 0.5) / (exposure + 0.5))
        width = max(float(np.ptp(scaled)), 1e-12)
        column = np.minimum((4 * classes * (scaled - scaled.min()) / width).astype(np.int64), 4 * classes - 1)
        _, cell = np.unique(np.searchsorted(edges, exposure) * 4 * classes + column, return_inverse=True)
    members = np.bincount(cell)
    return cell.astype(np.int64), np.bincount(cell, events) / members, np.bincount(cell, exposure) / members


def likelihoods(events: Floats, exposure: Floats, support: Floats, rates: bool) -> Floats:
    """Likelihood of each cell at each rate, as a share of its largest, `[C, J]`."""
    gain = np.log(support) if rates else np.log(support) - np.log1p(-support)
    loss = support if rates else -np.log1p(-support)
    logs = events[:, None] * gain - exposure[:, None] * loss
    return np.ascontiguousarray(np.exp(logs - logs.max(axis=1, keepdims=True)))


def solve(likelihood: Floats, shares: Floats, tolerance: float = 1e-6) -> tuple[Floats, float]:
    """Weights of the mixture under which the cells are likeliest: Wang's constrained Newton method.

    In each step the rates of locally largest gain join those in use, and a quadratic model of the log-likelihood is
    solved for weights >= 0 that sum to 1.

    Parameters
    ----------
    likelihood
        `[C, J]`.
    shares
        Of the cells, positive, which sum to 1, `[C]`.

    Returns
    -------
    (weights, gap)
        `[J]`, many of them 0; and the largest gain left.
    """
    weights = np.zeros(likelihood.shape[1])
    weights[:: max(1, likelihood.shape[1] // 20)] = 1.0
    weights /= weights.sum()
    gap = np.inf
    for _ in range(_STEPS):
        mixture = likelihood @ weights
        gain = likelihood.T @ (shares / mixture) - 1.0
        gap = float(gain.max())
        if gap <= tolerance:
            return weights, gap
        beside = np.pad(gain, 1, constant_values=-np.inf)
        peaks = (gain >= beside[:-2]) & (gain >= beside[2:]) & (gain > 0.0)
        used = np.flatnonzero((weights > 0.0) | peaks)
        goal = np.zeros_like(weights)
        goal[used] = _newton_weights(likelihood[:, used] / mixture[:, None], shares)
        weights = _between(likelihood, shares, weights, goal, gain)
    raise NotConvergedError(f"no population found: the duality gap is still {gap:.2g}, above {tolerance:.2g}")


def _newton_weights(ratios: Floats, shares: Floats) -> Floats:
    """Minimise `sum_c share_c (sum_j ratio_cj w_j - 2)^2` over w >= 0 that sum to 1, by Dax's reduction to NNLS."""
    from scipy.optimize import nnls

    triangle = np.linalg.qr(np.sqrt(shares)[:, None] * (ratios - 2.0), mode="r")
    system = np.vstack([triangle, np.ones(ratios.shape[1])])
    found = nnls(system, np.append(np.zeros(len(triangle)), 1.0))[0]
    return np.asarray(found / found.sum())


def _between(likelihood: Floats, shares: Floats, weights: Floats, goal: Floats, gain: Floats) -> Floats:
    """Largest of the steps 1, 1/2, 1/4, ... towards the goal that raises the log-likelihood as it promised."""
    here, there = likelihood @ weights, likelihood @ goal
    promise, step = float(gain @ (goal - weights)), 1.0
    while step > 1e-10:
        if float(shares @ np.log1p(step * (there - here) / here)) >= step * promise / 3.0:
            break
        step /= 2.0
    moved = weights + step * (goal - weights)
    moved[moved < 1e-14] = 0.0
    return np.asarray(moved / moved.sum())

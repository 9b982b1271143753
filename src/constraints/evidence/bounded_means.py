"""Confidence sequences of the mean of values in [0, 1], which gain by a small variance; from counts that add up."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._sequences import add_centred, capital_intervals
from .confidence_sequences import gamma_exponential_bound
from .e_processes import checked_target

Floats = NDArray[np.float64]

_NODES = np.sin(np.arange(33) * (np.pi / 64.0)) ** 2  # dense near 0 and 1, where a mean near them has its values
_NODES[-1] = 1.0
_BETS = 0.9 * 0.6 ** np.arange(16.0)  # shares of the capital, down to 4e-4: the best of a million values, nearly


def add_bernstein(counts: Floats, columns: ArrayLike, values: ArrayLike) -> None:
    """Add values in [0, 1] of the arms in `columns`, `[B]`, to counts `[3, K]`, in place: number, sum, variation.

    The variation is `sum (x - centre)^2`, the centre being the mean of what these counts held before (and half a value
    of 1). So it depends on the order of the values. Counts of replicas, each with centres of its own, add up all the
    same: a centre need only be fixed before its value is seen.

    Raises
    ------
    ValueError
        For values outside [0, 1], or columns that the counts do not have; nothing was added.
    """
    x = _values(values)
    add_centred(*checked_target(counts, columns, (3, x.size)), x)


def empirical_bernstein_interval(counts: ArrayLike, alpha: float, v_opt: float) -> tuple[Floats, Floats]:
    """Ends of a confidence sequence of the mean, `[C]` each, from counts `[3, C]` of `add_bernstein`.

    Half-width `u(V) / t`: u the gamma-exponential bound of scale 1 and level alpha / 2, V the variation, tightest
    where it is v_opt: Theorem 4 of [1]_.

    References
    ----------
    .. [1] S. R. Howard, A. Ramdas, J. McAuliffe and J. Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic
       confidence sequences", Annals of Statistics 49.

    Examples
    --------
    Of ten thousand values between .49 and .51 the interval is far shorter than the .04 of a proportion:

    >>> import numpy as np
    >>> from seedbed.constraints.evidence import add_bernstein, empirical_bernstein_interval
    >>> counts = np.zeros((3, 1))
    >>> add_bernstein(counts, np.zeros(10_000, int), np.tile([0.49, 0.51], 5_000))
    >>> lower, upper = empirical_bernstein_interval(counts, alpha=0.05, v_opt=1.0)
    >>> bool(lower[0] < 0.5 < upper[0] and upper[0] - lower[0] < 0.003)
    True
    """
    t, total, variation = _rows(counts, 3)
    fits = (t >= 0.0) & (total >= 0.0) & (total <= t) & (variation >= 0.0) & (variation <= t) & np.isfinite(t)
    if not fits.all():
        raise ValueError(f"counts[:, {int(np.argmin(fits))}] are none that `add_bernstein` leaves")
    half = gamma_exponential_bound(variation, 0.5 * alpha, v_opt, 1.0, 0.5 * alpha) / np.maximum(t, 1e-300)
    mean = total / np.maximum(t, 1e-300)
    return np.where(t > 0.0, np.maximum(mean - half, 0.0), 0.0), np.where(t > 0.0, np.minimum(mean + half, 1.0), 1.0)


def add_betting(counts: Floats, columns: ArrayLike, values: ArrayLike) -> None:
    """Add values in [0, 1] of the arms in `columns`, `[B]`, to counts `[33, K]`, in place, for `betting_interval`.

    Each counts at the two nodes around it, in shares that keep its mean. As the logarithm is concave, a bet on the
    nodes never wins more than one on the value: what was proved stays so. 0s and 1s are nodes and lose nothing.

    Raises
    ------
    ValueError
        For values outside [0, 1], or columns that the counts do not have; nothing was added.
    """
    x = _values(values)
    _, where = checked_target(counts, columns, (_NODES.size, x.size))
    node = np.minimum(np.searchsorted(_NODES, x, side="right") - 1, _NODES.size - 2)
    share = (x - _NODES[node]) / (_NODES[node + 1] - _NODES[node])
    np.add.at(counts, (node, where), 1.0 - share)
    np.add.at(counts, (node + 1, where), share)


def betting_interval(counts: ArrayLike, alpha: float) -> tuple[Floats, Floats]:
    """Ends of a confidence sequence of the mean, `[C]` each, from counts `[33, C]` of `add_betting`.

    All m against which neither side has won 2 / alpha times its stake: `mean_j prod (1 + bet_j (x / m - 1))`, and the
    same of 1 - x against 1 - m (the hedged capital of [1]_, by sixteen fixed bets).

    References
    ----------
    .. [1] I. Waudby-Smith and A. Ramdas (2024), "Estimating means of bounded random variables by betting", Journal of
       the Royal Statistical Society B 86.

    Examples
    --------
    >>> import numpy as np
    >>> from seedbed.constraints.evidence import add_betting, betting_interval
    >>> counts = np.zeros((33, 1))
    >>> add_betting(counts, np.zeros(10_000, int), np.tile([0.49, 0.51], 5_000))
    >>> lower, upper = betting_interval(counts, alpha=0.05)
    >>> bool(lower[0] < 0.5 < upper[0] and upper[0] - lower[0] < 0.009)
    True
    """
    weights = _rows(counts, _NODES.size)
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be in (0, 1); got {alpha}")
    lower, upper = np.empty(weights.shape[1]), np.empty(weights.shape[1])
    bad = capital_intervals(weights, _NODES, _BETS, math.log(2.0 / alpha), lower, upper)
    if bad >= 0:
        raise ValueError(f"counts[:, {bad}] are none that `add_betting` leaves: finite and not negative")
    return lower, upper


def _values(values: ArrayLike) -> Floats:
    x = np.array(values, np.float64, ndmin=1)
    fits = (x >= 0.0) & (x <= 1.0)
    if x.ndim != 1 or not fits.all():
        bad = int(np.argmin(fits))
        raise ValueError(f"values[{bad}] = {x.flat[bad]} is not in [0, 1], or values are not [B]")
    return x


def _rows(counts: ArrayLike, rows: int) -> Floats:
    given = np.array(counts, np.float64, order="C")
    if given.ndim != 2 or given.shape[0] != rows:
        raise ValueError(f"counts must be [{rows}, C]; got shape {given.shape}")
    return given

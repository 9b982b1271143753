"""Several objectives as one number: percentiles, and what is made of them."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..bandits._numba import kernel

Floats = NDArray[np.float64]
How = Literal["weighted", "chebyshev", "generalised_gini"]


def scalarise(
    values: ArrayLike, how: How, weights: ArrayLike | None = None, reference: ArrayLike | None = None
) -> Floats:
    """Make one number of M objectives of each candidate; more is better.

    Parameters
    ----------
    values
        `[M, C]`, comparable: percentiles, never raw units.
    how
        "weighted": `sum_k w_k f_k`. "chebyshev": `min_k w_k (f_k - z_k)`, how far the worst objective is above its
        reference. "generalised_gini": `sum_k w_k f_(k)`, f_(0) the worst objective, w decreasing: a candidate good at
        everything beats one that is very good at something.
    weights
        `[M]`, >= 0, one at least above 0; None for 1 each, and for `2^-k` with "generalised_gini".
    reference
        `[M]`, z of "chebyshev"; None for 0.

    Returns
    -------
    array of float, [C]

    Raises
    ------
    ValueError
        For weights or references that do not fit.

    References
    ----------
    .. [1] J. A. Weymark (1981), "Generalized Gini inequality indices", Mathematical Social Sciences 1.
    .. [2] R. Busa-Fekete, B. Szorenyi, P. Weng and S. Mannor (2017), "Multi-objective bandits: optimizing the
       generalized Gini index", ICML.

    Examples
    --------
    Two objectives of three candidates, the second balanced:

    >>> from seedbed.constraints import scalarise
    >>> values = [[1.0, 0.5, 0.0], [0.0, 0.5, 0.75]]
    >>> scalarise(values, "weighted", [2.0, 1.0]).tolist()
    [2.0, 1.5, 0.75]
    >>> scalarise(values, "chebyshev", reference=[0.0, 0.25]).tolist()
    [-0.25, 0.25, 0.0]
    >>> scalarise(values, "generalised_gini").tolist()
    [0.5, 0.75, 0.375]
    """
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or (not table.size and not table.shape[0]):
        raise ValueError(f"values must be [M, C], a row each objective; got shape {table.shape}")
    size = table.shape[0]
    default: Floats = np.power(0.5 if how == "generalised_gini" else 1.0, np.arange(size, dtype=np.float64))
    given = default if weights is None else _row(weights, "weights", size)
    if not (given >= 0.0).all() or not given.any():
        raise ValueError(f"weights = {given.tolist()} must be 0 or more, and one of them more")
    if reference is not None and how != "chebyshev":
        raise ValueError(f"reference is of 'chebyshev', not of {how!r}")
    if how == "weighted":
        return _sums(given, table)
    if how == "chebyshev":
        base = np.zeros(size) if reference is None else _row(reference, "reference", size)
        worst: Floats = (given[:, None] * (table - base[:, None])).min(axis=0)
        return worst
    if how != "generalised_gini":
        raise ValueError(f"how = {how!r} is none of 'weighted', 'chebyshev' and 'generalised_gini'")
    if (np.diff(given) > 0.0).any():
        raise ValueError(f"weights = {given.tolist()} must not increase: the first is that of the worst objective")
    return _sums(given, np.sort(table, axis=0))


def _sums(weights: Floats, table: Floats) -> Floats:
    """`sum_k w_k f_k`, `[C]`, added in the order of k: the same bits whatever the number of candidates."""
    total = np.zeros(table.shape[1])
    for weight, row in zip(weights, table, strict=True):
        total += weight * row
    return total


def _row(values: ArrayLike, what: str, size: int) -> Floats:
    row = np.asarray(values, np.float64)
    if row.shape != (size,) or not np.isfinite(row).all():
        raise ValueError(f"{what} must be finite, one for each of {size} objectives; got {row.tolist()}")
    return row


def percentiles(values: ArrayLike, groups: ArrayLike | None = None) -> Floats:
    """Share of its group that a value exceeds, ties by half: `(rank - 1/2) / n`, the mean rank where values are equal.

    Parameters
    ----------
    values
        `[C]` or `[M, C]`, each row for itself; infinite ones rank outermost, NaN is refused.
    groups
        `[C]` integers from 0; None for one group.

    Returns
    -------
    array of float, of the shape of values, in (0, 1)

    Examples
    --------
    >>> from seedbed.constraints import percentiles
    >>> percentiles([3.0, 1.0, 1.0, 2.0]).tolist()
    [0.875, 0.25, 0.25, 0.625]
    >>> percentiles([3.0, 1.0, 1.0, 2.0], groups=[0, 0, 1, 1]).tolist()
    [0.75, 0.25, 0.25, 0.75]
    """
    table = np.ascontiguousarray(values, np.float64)
    rows = table.reshape(-1, table.shape[-1]) if table.size else table.reshape(0, 0)
    if np.isnan(rows).any():
        raise ValueError("values hold NaN, which has no rank")
    codes = np.zeros(rows.shape[1], np.int64) if groups is None else np.ascontiguousarray(groups, np.int64)
    if codes.shape != (rows.shape[1],) or (codes < 0).any():
        raise ValueError(f"groups must be integers from 0, one for each of {rows.shape[1]} values")
    out = np.empty(rows.shape)
    n_groups = 1 + int(codes.max(initial=0))
    for row, ranked in zip(rows, out, strict=True):
        rank_within(row, np.argsort(row), codes, n_groups, ranked)
    return out.reshape(table.shape)


@kernel
def rank_within(values: Floats, order: Any, groups: NDArray[np.int64], n_groups: int, out: Floats) -> None:
    """Write percentiles: from below what is less, from above what is greater, in each group."""
    sizes = np.zeros(n_groups, np.int64)
    outer = np.zeros(n_groups, np.int64)  # of the group's values passed, those beyond the one at hand
    last = np.full(n_groups, np.nan)
    for i in order:
        group = groups[i]
        if values[i] != last[group]:
            outer[group], last[group] = sizes[group], values[i]
        out[i] = outer[group]
        sizes[group] += 1
    passed = np.zeros(n_groups, np.int64)
    last[:] = np.nan
    for i in order[::-1]:
        group = groups[i]
        if values[i] != last[group]:
            outer[group], last[group] = passed[group], values[i]
        out[i] = (out[i] + sizes[group] - outer[group]) / (2.0 * sizes[group])
        passed[group] += 1

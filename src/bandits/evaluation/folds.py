"""Folds of a log: which rows a model learns from, and which it answers."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._inputs import checked_int
from ._draws import row_draws

_NAME = "cross-fitting"  # replica name under which the folds are dealt

Ints = NDArray[np.int64]


class Part(NamedTuple):
    """What one model learns and answers.

    learnt: rows of the other folds at the position; those of all positions where there are none.
    stands_in: whether they are of all positions.
    asked: rows of the fold at the position.
    """

    learnt: Ints
    stands_in: bool
    asked: Ints


def dealt_folds(n: int, folds: int = 3, seed: int = 0) -> Ints:
    """Fold of each row, `[n]`: the rows in the order of their keyed draws, dealt in turn.

    Raises
    ------
    ValueError
        For fewer than two folds, or fewer rows than folds.

    Examples
    --------
    >>> import numpy as np
    >>> from seedbed.bandits.evaluation.folds import dealt_folds
    >>> np.bincount(dealt_folds(10, folds=3)).tolist()
    [4, 3, 3]
    """
    n = checked_int(n, "n", 0)
    folds = checked_int(folds, "folds", 2)
    if n < folds:
        raise ValueError(f"folds must be at most {n}, the rows of the log; got {folds}")
    dealt = np.empty(n, np.int64)
    dealt[np.argsort(row_draws(seed, _NAME, n), kind="stable")] = np.arange(n) % folds
    return dealt


def parts_of(n: int, positions: ArrayLike | None, folds: int | ArrayLike, seed: int) -> list[Part]:
    """Parts of a log of n rows, one a fold and position, for `cross_fitted`.

    Raises
    ------
    ValueError
        As `dealt_folds`, and for folds or positions that are not one integer a row.
    """
    if np.ndim(folds) == 0:
        fold_of = dealt_folds(n, folds, seed)  # type: ignore[arg-type]
    else:
        fold_of = checked_rows(folds, "folds", n)
        if np.unique(fold_of).size < 2:
            raise ValueError("folds must hold at least two folds; got one")
    position_of = np.zeros(n, np.int64) if positions is None else checked_rows(positions, "positions", n)
    parts = []
    for fold in np.unique(fold_of):
        others = fold_of != fold
        for position in np.unique(position_of[~others]):
            here = position_of == position
            rows = np.flatnonzero(others & here)
            stands_in = rows.size == 0
            learnt = np.flatnonzero(others) if stands_in else rows
            parts.append(Part(learnt, stands_in, np.flatnonzero(~others & here)))
    return parts


def checked_rows(values: ArrayLike, what: str, n: int) -> Ints:
    """Return integers, one a row of the log, as int64 `[n]`.

    Raises
    ------
    ValueError
        For another shape, or anything but integers.
    """
    array = np.asarray(values)
    if array.shape != (n,) or array.dtype.kind not in "iu":
        raise ValueError(f"{what} must be integers, one a row, shape ({n},); got {array.dtype} of shape {array.shape}")
    return array.astype(np.int64)

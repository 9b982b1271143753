"""Our counts beside the truth, by item and minute: a report, and corrections of what is off."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._inputs import checked_float, checked_floats
from ._joining import names_of_amounts
from ._table import Floats, Ints
from .credits import RECONCILED, Corrections, Names
from .names import as_names, checked_names

_MOST = 2.0**52  # of a count, and of a minute


class Reconciliation(NamedTuple):
    """Counts beside the truth, `[n]` each, sorted by item and minute.

    item, minute: of which either side has a count.
    ours, truth: counts; 0 where a side has none.
    difference: truth less ours.
    relative: difference over truth; infinite where there is no truth but a difference.
    is_within: whether the difference is within the tolerance.
    corrections: what to add to ours where it is not. Their ids are of item, minute, truth and ours, so that the same
        finding is applied once.
    """

    item: Names
    minute: Ints
    ours: Floats
    truth: Floats
    difference: Floats
    relative: Floats
    is_within: NDArray[np.bool_]
    corrections: Corrections

    @property
    def agrees(self) -> bool:
        """Whether all is within the tolerance."""
        return bool(self.is_within.all())


def reconcile(counts: Any, truth: Any, tolerance: float = 0.001) -> Reconciliation:
    """Lay counts beside the truth.

    Parameters
    ----------
    counts, truth
        Three columns each: items (64-bit names or text), minutes (whole numbers), counts. What stands several times is
        summed.
    tolerance
        Largest difference, as a part of the truth.

    Raises
    ------
    ValueError
        For columns of other sizes or contents.

    Examples
    --------
    >>> from seedbed.bandits.attribution import reconcile
    >>> found = reconcile(([7, 8], [0, 0], [999, 40]), ([7, 8], [0, 0], [1_000, 50]))
    >>> found.is_within.tolist(), found.difference.tolist(), found.relative.tolist()
    ([True, False], [1.0, 10.0], [0.001, 0.2])
    >>> found.corrections.item.tolist(), found.corrections.share.tolist()
    ([8], [10.0])
    """
    allowed = checked_float(tolerance, "tolerance")
    if not 0.0 <= allowed < np.inf:
        raise ValueError(f"tolerance = {allowed} must be finite and not negative")
    ours, theirs = _columns(counts, "counts"), _columns(truth, "truth")
    keys = np.concatenate([np.stack(each[:2], 1) for each in (ours, theirs)])
    cells, place = np.unique(keys, axis=0, return_inverse=True)
    place, n = place.reshape(-1), cells.shape[0]
    cells = np.ascontiguousarray(cells)
    found: Floats = np.asarray(np.bincount(place[: ours[2].size], ours[2], n), np.float64)
    true: Floats = np.asarray(np.bincount(place[ours[2].size :], theirs[2], n), np.float64)
    difference = true - found
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(difference == 0.0, 0.0, difference / true)
    is_within = np.abs(difference) <= allowed * true
    item, minute = cells[:, 0].copy(), cells[:, 1].astype(np.int64)
    off = ~is_within
    corrections = _corrections(item[off].view(np.int64), minute[off], found[off], true[off])
    return Reconciliation(item, minute, found, true, difference, relative, is_within, corrections)


def _columns(given: Any, what: str) -> tuple[Names, Names, Floats]:
    """Items and minutes as uint64, so that both stand in one array, and counts."""
    try:
        items, minutes, counts = given
    except (TypeError, ValueError):
        raise ValueError(f"{what} must be three columns: items, minutes, counts") from None
    names = as_names(checked_names(items, f"items of {what}"))
    whole = np.asarray(minutes)
    if whole.shape != names.shape or (whole.dtype.kind not in "iu" and whole.size):
        raise ValueError(f"minutes of {what} must be whole numbers, one an item, shape ({names.size},)")
    numbers = checked_floats(counts, f"counts of {what}", names.size)
    wrong = ~((numbers >= 0.0) & (numbers <= _MOST))
    if wrong.any():
        i = int(wrong.argmax())
        raise ValueError(f"counts of {what}: entry {i}, {numbers[i]}, is not a count, from 0 to 2**52")
    if whole.size and not 0 <= int(whole.min()) <= int(whole.max()) <= _MOST:
        raise ValueError(f"minutes of {what} must be in [0, 2**52]")
    return names, whole.astype(np.uint64), numbers


def _corrections(items: Ints, minutes: Ints, ours: Floats, truth: Floats) -> Corrections:
    zeros = np.zeros(items.size, np.int64)
    difference = truth - ours
    signs = np.where(difference < 0.0, -1, 1)
    ids = names_of_amounts(truth.view(np.int64), minutes, items, ours.view(np.int64), signs)
    none, nothing = zeros - 1, np.zeros(items.size)
    return Corrections(
        as_names(ids), as_names(zeros), as_names(zeros), as_names(items), none, difference, nothing, none, none,
        np.asarray(minutes * 60.0, np.float64), zeros, zeros + RECONCILED,
    )  # fmt: skip

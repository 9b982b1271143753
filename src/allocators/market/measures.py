"""Numbers by which policies that were played in the market are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import CLICKS, COMMENTS, EXPOSURES, FOLLOWS, METRICS, NEGATIVE, RETAINED, REVENUE, WATCHED, Floats

if TYPE_CHECKING:
    from .playing import Run

_RATES = {
    "retained": RETAINED,
    "clicks": CLICKS,
    "comments": COMMENTS,
    "follows": FOLLOWS,
    "negative": NEGATIVE,
    "watched": WATCHED,
    "revenue": REVENUE,
}
_BEST = 9  # decile
_GUARANTEE = 60


def measures(
    run: Run,
    *,
    guarantee: ArrayLike = 60,
    patience: float = 600.0,
    discovered: int = 500,
    graduated: ArrayLike | None = None,
    stopped: ArrayLike | None = None,
) -> dict[str, float]:
    """Measure a run.

    Parameters
    ----------
    run
        From `play`.
    guarantee
        Exposures that each room should have had: one number, or one a room, [N].
    patience
        Seconds: rooms that were open for less during the run are left out of `guaranteed`, `covered` and the
        graduation measures, since no policy could have served them.
    discovered
        Exposures from which on a room of the best tenth counts as discovered; rooms of any age count.
    graduated, stopped
        What the policy decided of each room, flags [N], if it decides such things.

    Returns
    -------
    dict of float
        * `retained`, `clicks`, `comments`, `follows`, `negative`, `watched`, `revenue`: an exposure;
        * `used`: share of the offered exposures that were handed out;
        * `guaranteed`, `covered`: share of rooms with their guaranteed exposure, and with any;
        * `guaranteed_new`: as `guaranteed`, of the rooms that opened during the run: all others come at once, when it
          begins, and no policy has the exposures to serve them within minutes;
        * `in_time`: share of the rooms that opened during the run that had 60 exposures within `patience` (and the
          minute in which they are reported);
        * `low_quality`, `harmful`: share of the exposures that rooms of low quality and harmful ones had;
        * `best_decile`: share of the exposures that the best tenth of rooms had;
        * `gini`: of exposures over rooms;
        * `minutes_to_<n>`: median over the rooms that came so far, for each milestone n;
        * `discovered`: share of the best tenth of rooms with at least so many exposures;
        * with `graduated`: `graduated`, share of rooms; `graduate_cost`, exposures of the rooms that did not graduate,
          for each that did;
        * with `stopped`: `stopped`, share of rooms; `false_kills`, share of good rooms (in the better half, and not
          harmful) that were stopped.

        NaN where nothing was there to be measured.

    Raises
    ------
    ValueError
        For arrays of other lengths.
    """
    exposures = run.counts[EXPOSURES]
    total = float(run.by_minute[EXPOSURES].sum())
    out = {name: _ratio(float(run.by_minute[row].sum()), total) for name, row in _RATES.items()}
    out["used"] = _ratio(total, float(run.offered.sum()))
    end = 60.0 * run.offered.size
    served = np.minimum(run.closes, end) - run.seen >= patience
    quota = np.broadcast_to(_of_rooms(guarantee, exposures.size, "guarantee"), exposures.shape)
    out["guaranteed"] = _mean(exposures[served] >= quota[served])
    is_new = served & (run.facts.opened >= 0.0)
    out["guaranteed_new"] = _mean(exposures[is_new] >= quota[is_new])
    out["in_time"] = _in_time(run, is_new, patience)
    out["covered"] = _mean(exposures[served] > 0)
    out["low_quality"] = _ratio(float(run.low.sum()), total)
    out["harmful"] = _ratio(float(run.harmful.sum()), total)
    best = run.truth.decile == _BEST
    out["best_decile"] = _ratio(float(exposures[best].sum()), total)
    out["gini"] = gini(exposures)
    for n, times in zip(run.milestones, run.reached, strict=True):
        came = times[~np.isnan(times)]
        out[f"minutes_to_{n}"] = float(np.median(came)) / 60.0 if came.size else float("nan")
    out["discovered"] = _mean(exposures[best] >= discovered)
    if graduated is not None:
        passed = _of_rooms(graduated, exposures.size, "graduated").astype(np.bool_)
        out["graduated"] = _mean(passed[served])
        out["graduate_cost"] = _ratio(float(exposures[~passed].sum()), float(passed.sum()))
    if stopped is not None:
        ended = _of_rooms(stopped, exposures.size, "stopped").astype(np.bool_)
        good = served & (run.truth.decile >= 5) & ~run.truth.is_harmful
        out["stopped"] = _mean(ended[served])
        out["false_kills"] = _mean(ended[good])
    return out


def _in_time(run: Run, rooms: NDArray[np.bool_], patience: float) -> float:
    if _GUARANTEE not in run.milestones:
        return float("nan")
    reached = run.reached[run.milestones.index(_GUARANTEE)]
    return _mean(reached[rooms] <= patience + 60.0)


def exposure_by_decile(run: Run) -> Floats:
    """Share of the exposures that each tenth of rooms by true quality had, `[10]`, the worst first."""
    shares = np.bincount(run.truth.decile, run.counts[EXPOSURES], 10)
    return np.asarray(shares / max(float(shares.sum()), 1.0))


def cumulative(run: Run, metric: str = "retained") -> Floats:
    """What was reported up to the end of each minute, `[T]`.

    Raises
    ------
    ValueError
        For a metric that there is not.
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}: one of {', '.join(METRICS)}")
    return np.asarray(np.cumsum(run.by_minute[METRICS.index(metric)]))


def gini(values: ArrayLike) -> float:
    """Gini coefficient of values >= 0: 0 where all are equal, towards 1 where one has everything; NaN of nothing.

    Examples
    --------
    >>> from seedbed.allocators.market.measures import gini
    >>> gini([1, 1, 1, 1]), gini([0, 0, 0, 1])
    (0.0, 0.75)
    """
    ordered = np.sort(np.asarray(values, np.float64))
    n, total = ordered.size, float(ordered.sum())
    return _ratio(float((2.0 * np.arange(1, n + 1) - n - 1.0) @ ordered), n * total)


def _of_rooms(values: ArrayLike, n: int, what: str) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.shape not in ((n,), ()) or (array.ndim == 0 and what != "guarantee"):
        raise ValueError(f"{what} must have one entry for each of the {n} rooms of the run; got shape {array.shape}")
    return array


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _mean(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if flags.size else float("nan")

"""Anytime-valid evidence against a limit: functions of additive counts, so they merge; valid at every look.

An e-process is, under its null hypothesis H0, at most 1 on average at any stopping time, so it ever reaches 1 / alpha
with probability alpha at most (Ville's inequality). H0 must hold for each event given those before it: one event, one
viewer. Weighted events void it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

from ...bandits.models.beta import Pseudocount
from ._mixtures import add_rows, log_evidence_of_counts, log_evidence_of_events, log_mean_exp

Floats = NDArray[np.float64]
Columns = NDArray[np.int64]
Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]
_BETS = 16


class EProcess(BaseModel):
    """Evidence about each of K arms, from `rows` rows of counts that only ever add up.

    `alternative` is what it gives evidence for: "above" for H0: mean <= limit, "below" for H0: mean >= limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alternative: Literal["above", "below"] = "above"

    rows: ClassVar[int]

    @property
    def exposure_metric(self) -> str | None:
        """Name of the metric that holds each event's exposure; None where each is one."""
        return None

    @property
    def _side(self) -> int:
        return 1 if self.alternative == "above" else -1

    def gather(self, values: ArrayLike, exposures: ArrayLike = 1.0) -> Floats:
        """Turn B events into what they add to the counts, `[rows, B]`.

        Raises
        ------
        ValueError
            For values that this evidence is not about.
        """
        raise NotImplementedError

    def add(self, counts: Floats, columns: ArrayLike, values: ArrayLike, exposures: ArrayLike = 1.0) -> None:
        """Add B events of the arms in `columns`, `[B]`, to counts `[rows, K]`, in place.

        Raises
        ------
        ValueError
            As `gather`, or for columns that the counts do not have; nothing was added.
        """
        rows = self.gather(values, exposures)
        add_rows(*checked_target(counts, columns, rows.shape), rows)

    def log_evidence(self, counts: ArrayLike) -> Floats:
        """`ln E` of each arm, `[C]`, from its counts so far, `[rows, C]`.

        Raises
        ------
        ValueError
            For counts that no events can have left.
        """
        given = np.array(counts, np.float64, order="C")
        if given.ndim != 2 or given.shape[0] != self.rows:
            raise ValueError(f"counts must be [{self.rows}, C] for {type(self).__name__}; got shape {given.shape}")
        out = np.empty(given.shape[1])
        bad = self._evaluate(given, out)
        if bad >= 0:
            raise ValueError(f"counts[:, {bad}] = {given[:, bad].tolist()} are none that events can have left")
        return out

    def _evaluate(self, counts: Floats, out: Floats) -> int:
        """Write ln E; answer the first bad column, or -1."""
        raise NotImplementedError


class Proportion(EProcess):
    """Is the share of events above (or below) a limit? For 0s and 1s, and for anything in [0, 1].

    A mixture of likelihood ratios of q against the limit, q ~ Beta(a, b) cut to the side of the alternative. For s in
    n = s + f, "above":

    `ln E = ln B(a + s, b + f) - ln B(a, b) + ln P(Beta(a + s, b + f) > limit) - ln P(Beta(a, b) > limit)
    - s ln limit - f ln(1 - limit)`.

    Counts: s and n.

    Parameters
    ----------
    limit
        In (0, 1).
    alternative
        "above" the limit (a harm) or "below" it (futility; a requirement that is missed).
    mixing
        (a, b): where the share is expected if it is beyond the limit. By default about twice the limit, or half of
        it; for limits above 1/2 the same of its complement.

    References
    ----------
    .. [1] J. Ville (1939), "Etude critique de la notion de collectif".
    .. [2] S. R. Howard, A. Ramdas, J. McAuliffe and J. Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic
       confidence sequences", Annals of Statistics 49.

    Examples
    --------
    Against 1/2 a success has the likelihood ratio q / (1/2), on average over q in (1/2, 1) 3/2:

    >>> import numpy as np
    >>> from seedbed.constraints import Proportion
    >>> evidence = Proportion(limit=0.5, mixing=(1.0, 1.0))
    >>> np.exp(evidence.log_evidence([[0, 1], [0, 1]])).round(9).tolist()
    [1.0, 1.5]
    """

    kind: Literal["proportion"] = "proportion"
    limit: Fraction
    mixing: tuple[Pseudocount, Pseudocount] | None = None

    rows: ClassVar[int] = 2

    @property
    def beta(self) -> tuple[float, float]:
        """The (a, b) that are used."""
        if self.mixing is not None:
            return self.mixing
        small = min(self.limit, 1.0 - self.limit)
        outwards = (self.limit <= 0.5) == (self.alternative == "above")
        rest = max((0.5 if outwards else 2.0) / small - 1.0, 1.0)
        other = min(rest, 1e12)
        return (1.0, other) if self.limit <= 0.5 else (other, 1.0)

    def gather(self, values: ArrayLike, exposures: ArrayLike = 1.0) -> Floats:
        """Turn events into counts, `[2, B]`: each of `values` in `exposures`, 0 <= values <= exposures."""
        s, n = _pairs(values, exposures)
        _require((s >= 0.0) & (s <= n) & np.isfinite(n), s, "is not in [0, its exposures]")
        return np.array((s, n))

    def _evaluate(self, counts: Floats, out: Floats) -> int:
        return int(log_evidence_of_counts(counts[0], counts[1], self.limit, *self.beta, self._side, out))


class Rate(EProcess):
    """Is the number of events for each unit of exposure above (or below) a limit? For comments a minute.

    A mixture of Poisson likelihood ratios of r against the limit, r ~ Gamma(a, rate b) cut to the side of the
    alternative. For k events in an exposure of T, with S the upper tail ("above"):

    `ln E = a ln b - ln Gamma(a) - ln S(limit; a, b) + ln Gamma(a + k) - (a + k) ln(b + T) + ln S(limit; a + k, b + T)
    - k ln limit + T limit`.

    Counts: k and T.

    Parameters
    ----------
    limit
        Events for each unit of exposure, in [1e-9, 1e9].
    alternative
        "above" or "below" the limit.
    mixing
        (a, b), shape and rate; by default (1, 1 / (2 limit)) above, (1, 2 / limit) below.
    dispersion
        Variance over mean of the number of events in a short time, >= 1, from earlier data (`estimated_dispersion`):
        k and T are divided by it. Exact for `dispersion` times a Poisson, an approximation for other laws.
    exposure
        Name of the metric that holds the exposure of each event; by default each is one unit.

    Examples
    --------
    Above a limit of 1 with mixing (1, 1): r = 1 + x, x ~ Exp(1). One unit without an event has the likelihood ratio
    exp(-x), on average 1/2:

    >>> import numpy as np
    >>> from seedbed.constraints import Rate
    >>> np.exp(Rate(limit=1.0, mixing=(1.0, 1.0)).log_evidence([[0], [1]])).round(9).tolist()
    [0.5]
    """

    kind: Literal["rate"] = "rate"
    limit: Annotated[float, Field(ge=1e-9, le=1e9)]
    mixing: tuple[Pseudocount, Pseudocount] | None = None
    dispersion: Annotated[float, Field(ge=1.0, le=1e6)] = 1.0
    exposure: str | None = None

    rows: ClassVar[int] = 2

    @property
    def exposure_metric(self) -> str | None:
        """Name of the metric that holds each event's exposure; None where each is one."""
        return self.exposure

    @property
    def gamma(self) -> tuple[float, float]:
        """The (a, b) that are used."""
        return self.mixing or (1.0, (0.5 if self.alternative == "above" else 2.0) / self.limit)

    def gather(self, values: ArrayLike, exposures: ArrayLike = 1.0) -> Floats:
        """Turn events into counts, `[2, B]`: `values` events each in `exposures` units, both >= 0."""
        k, t = _pairs(values, exposures)
        _require((k >= 0.0) & np.isfinite(k), k, "is not a finite number >= 0")
        _require((t >= 0.0) & np.isfinite(t), t, "is not a finite exposure >= 0")
        return np.array((k, t))

    def _evaluate(self, counts: Floats, out: Floats) -> int:
        side = self._side
        return int(log_evidence_of_events(counts[0], counts[1], self.limit, *self.gamma, self.dispersion, side, out))


class BoundedMean(EProcess):
    """Is the mean of values in [0, 1] above (or below) a limit? For watched fractions, which vary little.

    Sixteen fixed bets on it: `E = mean_j exp(L_j)`, `L_j = sum ln(1 + bet_j (x - limit))`, for "below" of 1 - x against
    1 - limit. Unlike `Proportion` it gains by a small variance.

    Counts: the sixteen L_j, which belong to this limit and alternative and to no other.

    Parameters
    ----------
    limit
        In (0, 1).
    alternative
        "above" or "below" the limit.

    References
    ----------
    .. [1] I. Waudby-Smith and A. Ramdas (2024), "Estimating means of bounded random variables by betting", Journal of
       the Royal Statistical Society B 86.

    Examples
    --------
    The bets against a mean of 0.45 are 1/8, 2/8, ..., 2. The last one doubles and more with each 1:

    >>> import numpy as np
    >>> from seedbed.constraints import BoundedMean
    >>> evidence = BoundedMean(limit=0.45)
    >>> np.exp(evidence.gather([1.0])[-1]).round(9).tolist()
    [2.1]
    """

    kind: Literal["bounded_mean"] = "bounded_mean"
    limit: Annotated[float, Field(ge=1e-300, lt=1.0)]  # its inverse must be a number

    rows: ClassVar[int] = _BETS

    @property
    def bets(self) -> Floats:
        """The stakes for each unit by which a value exceeds the limit, `[16]`."""
        return _bets(self.limit if self.alternative == "above" else 1.0 - self.limit)

    def gather(self, values: ArrayLike, exposures: ArrayLike = 1.0) -> Floats:
        """Turn events into gains of log-capital, `[16, B]`: each value in [0, 1] is one event."""
        x, n = _pairs(values, exposures)
        _require((x >= 0.0) & (x <= 1.0), x, "is not in [0, 1]")
        _require(n == 1.0, x, "has an exposure other than 1, which a bounded mean does not know")
        return np.log1p(self.bets[:, None] * (self._side * (x - self.limit)))

    def _evaluate(self, counts: Floats, out: Floats) -> int:
        return int(log_mean_exp(counts, out))


AnyEvidence = Annotated[Proportion | Rate | BoundedMean, Field(discriminator="kind")]


@lru_cache(maxsize=256)
def _bets(limit: float) -> Floats:
    largest = 0.9 / limit  # no value can then cost more than nine tenths of the capital
    # the best bet for a mean m is about m / limit - 1: of a small limit the linear grid has all its bets far above
    bets: Floats = np.arange(1.0, _BETS + 1.0) * (largest / _BETS)
    if limit < 0.05:
        bets = np.geomspace(0.25, largest, _BETS, dtype=np.float64)
    bets.flags.writeable = False
    return bets


def estimated_dispersion(counts: ArrayLike, exposures: ArrayLike = 1.0) -> float:
    """Variance over mean of events in short intervals, one number for all arms: Pearson's, at least 1.

    `sum (k - r_c t)^2 / (r_c t) / sum (intervals_c - 1)`, r_c the rate of an arm over all its intervals. For
    `Rate.dispersion`: of earlier data, not of those on which the evidence is taken.

    Parameters
    ----------
    counts
        Events, `[intervals, C]` or `[intervals]`.
    exposures
        Of the intervals, of the same shape or one that spreads to it; intervals without exposure do not count.

    Raises
    ------
    ValueError
        For negative or infinite numbers, or fewer than two intervals of an arm with an event.

    Examples
    --------
    3 expected in each of two intervals: (4 + 4) / 3 over one degree of freedom:

    >>> from seedbed.constraints.evidence import estimated_dispersion
    >>> round(estimated_dispersion([1, 5]), 9)
    2.666666667
    """
    k, t = np.broadcast_arrays(np.asarray(counts, np.float64), np.asarray(exposures, np.float64))
    if not bool(((k >= 0.0) & np.isfinite(k) & (t >= 0.0) & np.isfinite(t) & ((t > 0.0) | (k == 0.0))).all()):
        raise ValueError("counts and exposures must be finite and not negative, with no event in no exposure")
    k, t = (array.reshape(array.shape[0], -1) if array.ndim else array.reshape(1, 1) for array in (k, t))
    intervals = (t > 0.0).sum(axis=0)
    used = (k.sum(axis=0) > 0.0) & (intervals >= 2)
    if not used.any():
        raise ValueError("the dispersion needs an arm with an event and at least two intervals")
    k, t = k[:, used], t[:, used]
    expected = k.sum(axis=0) / t.sum(axis=0) * t
    squares = np.divide((k - expected) ** 2, expected, out=np.zeros_like(k), where=t > 0.0)
    return max(1.0, float(squares.sum() / (intervals[used] - 1).sum()))


def checked_target(counts: Floats, columns: ArrayLike, shape: tuple[int, ...]) -> tuple[Floats, Columns]:
    """Return counts `[rows, K]` and columns `[B]` to which a kernel may add `shape`, (rows, B).

    Raises
    ------
    ValueError
        For columns that the counts do not have, or counts that cannot be changed in place.
    """
    where = np.array(columns, np.int64)
    if counts.dtype != np.float64 or not counts.flags.carray or counts.shape[:-1] != shape[:1]:
        raise ValueError(f"counts must be a writable C-contiguous float64 array [{shape[0]}, K]; got {counts.shape}")
    if where.shape != shape[1:] or (where.size and not (where.min() >= 0 and where.max() < counts.shape[-1])):
        raise ValueError(f"columns must be {shape[1]} numbers in [0, {counts.shape[-1]}), one for each event")
    return counts, where


def _pairs(values: ArrayLike, exposures: ArrayLike) -> tuple[Floats, Floats]:
    first: Floats = np.atleast_1d(np.asarray(values, np.float64))
    second = np.asarray(exposures, np.float64)
    if first.ndim != 1 or (second.ndim and second.shape != first.shape):
        raise ValueError(f"values must be [B] and exposures [B] or one number; got {first.shape} and {second.shape}")
    return first, second if second.ndim else np.full(first.shape, second)


def _require(fits: NDArray[Any], values: Floats, what: str) -> None:
    if not fits.all():
        bad = int(np.argmin(fits))
        raise ValueError(f"values[{bad}] = {values[bad]} {what}")

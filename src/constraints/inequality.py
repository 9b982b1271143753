"""Inequality: how unequally exposure is spread, and a soft brake for those who have most of it."""

import math
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from ..bandits.checkpoint import require
from .attributes import Attributes
from .base import AnyState, Columns, Constraint, Exposure, Feedback, Floats, Precedence, Price, Request

_LARGEST = 2**53


def concentration(counts: ArrayLike) -> tuple[float, float]:
    """Gini coefficient and Herfindahl-Hirschman index of exposures.

    `Gini = sum_i (2 i - n - 1) x_i / (n sum x)` over the counts in growing order, i = 1 ... n: 0 where all have the
    same. `HHI = sum (x_i / sum x)^2`: 1 / n where all have the same, 1 where one has all. (0, 0) for no exposures.

    Parameters
    ----------
    counts
        Exposures of n arms or groups, `[n]`, >= 0.

    References
    ----------
    .. [1] C. Gini (1912), "Variabilita e mutabilita".
    .. [2] A. O. Hirschman (1964), "The paternity of an index", American Economic Review 54.

    Examples
    --------
    One of four has all: (2 x 4 - 4 - 1) x 8 / (4 x 8) = .75; the square of a share of 1:

    >>> from seedbed.constraints import concentration
    >>> concentration([0, 8, 0, 0])
    (0.75, 1.0)
    >>> concentration([2, 2, 2, 2])
    (0.0, 0.25)
    """
    x = np.sort(np.asarray(counts, np.float64))
    total = float(x.sum())
    if total <= 0.0:
        return 0.0, 0.0
    ranks = 2.0 * np.arange(1, x.size + 1) - x.size - 1.0
    return float(ranks @ x) / (x.size * total), float(((x / total) ** 2).sum())


class ConcentrationState(NamedTuple):
    """Exposures of K arms.

    exposures: int64 `[K]`. offered: uint8 `[K]`, 1 for an arm that was a candidate.
    """

    exposures: Columns
    offered: NDArray[np.uint8]


class Concentration(Constraint):
    """Count exposures and report how they are spread over all arms that were ever candidates; demands nothing.

    Parameters
    ----------
    by
        Attribute that names groups of arms; None for the arms themselves. Arms without it count for no group.

    Examples
    --------
    >>> from seedbed.constraints import Concentration
    >>> Concentration(by="category").kind
    'concentration'
    """

    kind: Literal["concentration"] = "concentration"
    by: str | None = None

    precedence: ClassVar[Precedence] = Precedence.SCORE

    def init(self, capacity: int) -> ConcentrationState:
        """Make a state in which nothing was served."""
        return ConcentrationState(np.zeros(capacity, np.int64), np.zeros(capacity, np.uint8))

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Count exposures."""
        if isinstance(event, Exposure):
            state.offered[event.request.columns] = 1
            state.exposures[event.columns] += 1

    def report(self, state: AnyState, attributes: Attributes) -> dict[str, Any]:
        """Gini and Herfindahl indices, the share of arms or groups ever served, and the largest share of one."""
        offered = np.flatnonzero(state.offered)
        counts = state.exposures[offered]
        if self.by is not None:
            codes = attributes.codes(self.by, offered)
            size = attributes.size(self.by)
            was_offered = np.bincount(codes, minlength=size)[1:] > 0
            counts = np.bincount(codes, counts, size)[1:][was_offered]
        gini, hhi = concentration(counts)
        total = float(counts.sum())
        return {
            "gini": gini,
            "hhi": hhi,
            "coverage": float((counts > 0).mean()) if counts.size else 0.0,
            "top_share": float(counts.max()) / total if total else 0.0,
            "count": int(counts.size),
        }

    def check_state(self, state: AnyState) -> None:
        """Refuse a loaded state that contradicts itself."""
        super().check_state(state)
        fits = bool((state.exposures >= 0).all() and (state.offered <= 1).all())
        require(fits, f"the counts of {self.name!r} are none")


class HeadCapState(NamedTuple):
    """Exposures of K arms in the current window.

    exposures: `[K]`. total: `[1]`, of all arms. window: int64 `[1]`, its index.
    """

    exposures: Floats
    total: Floats
    window: Columns


class HeadCap(Constraint):
    """Lower the score of arms that had more than enough: by the factor `min(1, (limit / x)^beta)`.

    x are an arm's exposures, or their share of all, in the current window.

    Parameters
    ----------
    limit
        Exposures, or the share, above which the factor falls, > 0.
    of
        "exposures" or "share". A share is one of at least 1 / limit exposures, so that the first do not count as many.
    window
        Seconds after which counting starts afresh, at multiples of itself; None for never.
    beta
        How steeply the factor falls: at .5, an arm with four times the limit keeps half its score.

    Examples
    --------
    >>> from seedbed.constraints import HeadCap
    >>> float(HeadCap(100.0).factor(400.0))
    0.5
    """

    kind: Literal["head_cap"] = "head_cap"
    limit: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    of: Literal["exposures", "share"] = "exposures"
    window: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None
    beta: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 0.5

    precedence: ClassVar[Precedence] = Precedence.PRICE

    def __init__(self, limit: float, **fields: Any) -> None:
        super().__init__(**{"limit": limit, **fields})

    def factor(self, x: ArrayLike) -> Any:
        """What is left of a score at x, of x's shape."""
        return (self.limit / np.maximum(x, self.limit)) ** self.beta

    def init(self, capacity: int) -> HeadCapState:
        """Make a state in which nothing was served."""
        return HeadCapState(np.zeros(capacity), np.zeros(1), np.array([-_LARGEST]))

    def fit(self, state: AnyState, capacity: int, attributes: Attributes, now: float) -> AnyState:
        """Bring a state to the number of arms, and start afresh in a new window."""
        if self.window is not None and abs(now / self.window) < _LARGEST:
            window = math.floor(now / self.window)
            if window > state.window[0]:
                state.window[0] = window
                state.exposures[:] = 0.0
                state.total[0] = 0.0
        return super().fit(state, capacity, attributes, now)

    def price(self, state: AnyState, request: Request) -> Price | None:
        """Factor of each candidate."""
        x = state.exposures[request.columns]
        if self.of == "share":
            x = x / max(float(state.total[0]), 1.0 / self.limit)
        return Price(factor=self.factor(x)) if bool((x > self.limit).any()) else None

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Count exposures."""
        if isinstance(event, Exposure):
            state.exposures[event.columns] += 1.0
            state.total[0] += event.positions.size

    def report(self, state: AnyState, attributes: Attributes) -> dict[str, Any]:
        """Number of arms above the limit, and the largest x, in the current window."""
        x = state.exposures
        if self.of == "share":
            x = x / max(float(state.total[0]), 1.0 / self.limit)
        return {"above": int((x > self.limit).sum()), "largest": float(x.max(initial=0.0))}

    def check_state(self, state: AnyState) -> None:
        """Refuse a loaded state that contradicts itself."""
        super().check_state(state)
        require(bool((state.exposures >= 0.0).all() and state.total[0] >= 0.0), f"the counts of {self.name!r} are none")

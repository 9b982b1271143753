"""Fairness: shares of exposure that hold at every step, not only in expectation."""

from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, cast

import numpy as np
from pydantic import Field, model_validator

from ..bandits._numba import kernel
from ._pouring import total_of
from .attributes import Attributes
from .base import AnyState, Columns, Constraint, Exposure, Feedback, Floats, Precedence, Request
from .drawing import Uids
from .exposure import Share

_SLACK = 1e-9  # by which a deficit may differ from its exact value, after any number of sums


class FairShareState(NamedTuple):
    """Account of K arms.

    deficit: `[K]` exposures that an arm was due so far, less those that it had.
    worst: `[1]` the largest deficit that any arm ever had after a decision in which it was a candidate.
    scaled: int64 `[1]` decisions whose fractions were more than their slots, and scaled down.
    """

    deficit: Floats
    worst: Floats
    scaled: Columns


class FairShare(Constraint):
    """Each arm has at least a fraction r of the decisions in which it is a candidate, at every step, but a tolerance.

    Its deficit `r t - N` (t such decisions, N exposures) never exceeds tolerance + 1. An arm is overdue where its
    deficit would exceed the tolerance if it were not served now. Of those overdue the one is served whose deficit would
    be the first to exceed tolerance + 1, were none served: the earliest deadline. (To serve the largest deficit is only
    known to keep within about ln K.)

    Why it holds, with one slot and the same candidates whose r sum to 1 at most: the j-th exposure of an arm is called
    for from the first t with `r t > tolerance + j - 1`, and in time until the first with `r t > tolerance + j`. Within
    any L decisions, less than `r L` of these spans lie (they begin 1 / r apart), which sum to L at most. Where no
    interval has more to serve than decisions, to serve the earliest deadline first meets every one; exposures that the
    policy gives by itself only take away from what is called for.

    The same holds while arms join or leave for good, and for each of several sets of arms that are always candidates
    together. Where the sets change at will, no rule that does not know the coming ones can promise a bound that does
    not grow with the arms; then each decision with an overdue candidate serves one, and the report says how large
    the deficits were. Slates serve up to the sum of r, rounded up, of those overdue, and any whose last decision it is;
    there the bound is not proved for sums above 1, but no search has found it exceeded.

    Parameters
    ----------
    fraction
        r of each arm, in [0, 1]: a number; the name of an attribute of numbers; or, with `by`, a map from the names of
        groups to the r of each of their arms. Where a decision's sum to more than its slots, they are scaled down.
    by
        Attribute that names the groups. Arms of others have r = 0.
    tolerance
        Exposures by which an arm may be behind before it must be served, >= 0.

    References
    ----------
    .. [1] V. Patil, G. Ghalme, V. Nair and Y. Narahari (2021), "Achieving fairness in the stochastic multi-armed bandit
       problem", Journal of Machine Learning Research 22 (174).
    .. [2] S. Baruah, N. Cohen, C. G. Plaxton and D. Varvel (1996), "Proportionate progress: a notion of fairness in
       resource allocation", Algorithmica 15.
    .. [3] M. Ajtai, J. Aspnes, M. Naor, Y. Rabani, L. Schulman and O. Waarts (1998), "Fairness in scheduling", Journal
       of Algorithms 29.

    Examples
    --------
    >>> from seedbed.constraints import FairShare
    >>> FairShare(0.1).tolerance
    1.0
    """

    kind: Literal["fair_share"] = "fair_share"
    fraction: Share | str | dict[str, Share]
    by: str | None = None
    tolerance: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1.0

    precedence: ClassVar[Precedence] = Precedence.FLOOR

    def __init__(self, fraction: float | str | dict[str, float], by: str | None = None, **fields: Any) -> None:
        super().__init__(**{"fraction": fraction, "by": by, **fields})

    @model_validator(mode="after")
    def _check_by(self) -> Self:
        if (self.by is not None) != isinstance(self.fraction, dict):
            raise ValueError("a map of fractions needs by=, the attribute that names the groups; nothing else takes it")
        return self

    def init(self, capacity: int) -> FairShareState:
        """Make a state in which nothing was due."""
        return FairShareState(np.zeros(capacity), np.zeros(1), np.zeros(1, np.int64))

    def fractions(self, request: Request) -> Floats:
        """Fraction of each candidate, `[C]`, before any scaling."""
        if isinstance(self.fraction, str):
            return np.clip(request.numbers(self.fraction), 0.0, 1.0)
        if self.by is not None:
            return request.attributes.by_group(self.by, self.fraction, 0.0)[request.codes(self.by)]
        return np.full(request.columns.size, cast(float, self.fraction))

    def demands(self, state: AnyState, request: Request) -> Columns | None:
        """Positions of those overdue that must be served now, the earliest deadline first."""
        out = np.empty(min(request.k, request.columns.size), np.int64)
        count = _overdue(
            state.deficit, request.columns, request.uids, self.fractions(request), self.tolerance, request.k, out
        )
        return out[:count] if count else None

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Count what was due and what was served."""
        if isinstance(event, Exposure):
            request = event.request
            fractions = self.fractions(request)
            _settle(state.deficit, request.columns, fractions, request.k, event.positions, state.worst, state.scaled)

    def report(self, state: AnyState, attributes: Attributes) -> dict[str, Any]:
        """Say how large deficits are and were, and how often fractions were more than the slots."""
        return {
            "largest_deficit": float(state.deficit.max(initial=0.0)),
            "worst_deficit": float(state.worst[0]),
            "bound": self.tolerance + 1.0,
            "scaled_decisions": int(state.scaled[0]),
        }


@kernel
def _scaling(fractions: Floats, k: int) -> tuple[float, float]:
    """Sum of the fractions, and the factor that brings it down to k slots where it is more."""
    total = float(total_of(fractions))
    return total, min(1.0, k / total) if total > 0.0 else 1.0


@kernel
def _overdue(
    deficit: Floats, columns: Columns, uids: Uids, fractions: Floats, tolerance: float, k: int, out: Columns
) -> int:
    """Write who must be served, by deadline, then uid; return how many."""
    total, scale = _scaling(fractions, k)
    slack = np.full(columns.size, np.inf)
    found, urgent = 0, 0
    for i in range(columns.size):
        r = fractions[i] * scale
        without = deficit[columns[i]] + r
        if r > 0.0 and without > tolerance + _SLACK:
            slack[i] = (tolerance + 1.0 - deficit[columns[i]]) / r
            found += 1
            urgent += int(without > tolerance + 1.0 + _SLACK)
    wanted = min(out.size, min(found, max(urgent, int(np.ceil(total * scale - _SLACK)))))
    for slot in range(wanted):
        first = -1
        for i in range(columns.size):
            if slack[i] < np.inf and (
                first < 0 or slack[i] < slack[first] or (slack[i] == slack[first] and uids[i] < uids[first])
            ):
                first = i
        if first < 0:  # of fractions so small that no deadline is a number
            return slot
        out[slot] = first
        slack[first] = np.inf
    return int(wanted)


@kernel
def _settle(
    deficit: Floats, columns: Columns, fractions: Floats, k: int, positions: Columns, worst: Floats, scaled: Columns
) -> None:
    """Add what was due to the deficits, take what was had."""
    total, scale = _scaling(fractions, k)
    scaled[0] += int(total > k * (1.0 + _SLACK))
    for i in range(columns.size):
        deficit[columns[i]] += fractions[i] * scale
    for position in positions:
        deficit[columns[position]] -= 1.0
    for i in range(columns.size):
        worst[0] = max(worst[0], deficit[columns[i]])

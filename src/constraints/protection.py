"""Protection: vulnerable viewers are served only arms that are known to be harmless."""

from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from ..bandits._numba import kernel
from ..bandits._special import beta_logit_quantile, sigmoid
from ..bandits.checkpoint import require
from ..bandits.models.beta import Pseudocount
from ._rates import check_proportions
from .attributes import Attributes
from .base import AnyState, Columns, Constraint, Exposure, Feedback, Floats, Mask, Precedence, Request
from .conditions import Condition, all_met, terms_of

Rate = Annotated[float, Field(gt=0.0, lt=1.0)]


class ProtectionState(NamedTuple):
    """What is known of the harm that K arms do.

    counts: `[2, K]`, weighted harms; weighted exposures without. Without the prior.
    upper: `[K]`, upper credible bound of each arm's rate of harm.
    """

    counts: Floats
    upper: Floats


class Protection(Constraint):
    """Serve some viewers only arms whose rate of harm is below a limit, with credibility `level`.

    Pessimistic: an arm of which nothing is known is blocked for them until other viewers have shown it harmless, and a
    viewer of whom nothing is known counts as one to be protected. Never relaxed.

    Parameters
    ----------
    metric
        The harm, a proportion in the `metrics` of feedback.
    limit
        The upper bound of its rate must be below, in (0, 1).
    viewer
        Conditions by attribute, as in `Rule`: who is protected. None at all: everyone; then an arm can only be shown
        harmless by feedback from elsewhere.
    level
        Credibility of the upper bound, one-sided.
    prior
        (a, b) of the Beta prior of the rate; one that is below the limit by itself protects nobody.
    unknown_viewer
        "matches" or "differs": how an attribute of the viewer counts that was not told.

    Examples
    --------
    The upper 90 % bound of Beta(1, b) is 1 - .1^(1 / b), below 2 % from b = 114 on: with the prior (1, 24), after 90
    exposures without harm.

    >>> import numpy as np
    >>> from seedbed.constraints import Protection
    >>> protection = Protection("negative", limit=0.02, viewer={"is_new": True})
    >>> state = protection.init(1)
    >>> [protection.upper_bound(0.0, n) < 0.02 for n in (89, 90)]
    [False, True]
    """

    kind: Literal["protection"] = "protection"
    metric: str = "negative"
    limit: Rate = 0.02
    viewer: dict[str, Condition] = Field(default_factory=dict)
    level: Rate = 0.9
    prior: tuple[Pseudocount, Pseudocount] = (1.0, 24.0)
    unknown_viewer: Literal["matches", "differs"] = "matches"

    precedence: ClassVar[Precedence] = Precedence.ELIGIBILITY
    relaxable: ClassVar[bool] = False

    def __init__(self, metric: str = "negative", **fields: Any) -> None:
        super().__init__(metric=metric, **fields)  # type: ignore[call-arg]

    @property
    def name(self) -> str:
        """What a report calls it."""
        return f"{self.kind}:{self.metric}"

    @property
    def metrics_read(self) -> tuple[str, ...]:
        """Names of the metrics that it reads from feedback."""
        return (self.metric,)

    @cached_property
    def _terms(self) -> list[Any]:
        return [(name, terms_of(condition)) for name, condition in self.viewer.items()]

    def upper_bound(self, harms: float, others: float) -> float:
        """Upper credible bound of the rate, from weighted exposures with and without harm."""
        return float(upper_rate(float(harms), float(others), *self.prior, self.level))

    def init(self, capacity: int) -> ProtectionState:
        """Make a state in which nothing is known."""
        return ProtectionState(np.zeros((2, capacity)), np.full(capacity, self.upper_bound(0.0, 0.0)))

    def mask(self, state: AnyState, request: Request) -> list[tuple[str, Mask]]:
        """Which candidates are harmless, `[C]`, where the viewer is protected."""
        if not all_met(self._terms, request.viewer, self.unknown_viewer == "matches"):
            return []
        keep: Mask = state.upper[request.columns] < self.limit
        return [] if keep.all() else [("PROTECTED", keep)]

    def check(self, state: AnyState, feedback: Feedback) -> None:
        """Refuse harms that are no proportions, with a ValueError."""
        check_proportions(self.metrics_read, feedback.metrics)

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Learn harms."""
        if isinstance(event, Feedback) and self.metric in event.metrics:
            note(state.counts, state.upper, event.columns, event.metrics[self.metric], event.weights, *self._numbers)

    @property
    def _numbers(self) -> tuple[float, float, float]:
        return *self.prior, self.level

    def report(self, state: AnyState, attributes: Attributes) -> dict[str, Any]:
        """Number of arms known to be harmless."""
        return {"harmless": int((state.upper < self.limit).sum())}

    def check_state(self, state: AnyState) -> None:
        """Refuse counts that are none, and bounds that are not theirs."""
        require(bool(((state.counts >= 0.0) & np.isfinite(state.counts)).all()), "a count of harms is negative")
        bounds = state.upper.copy()
        columns = np.arange(bounds.size)
        note(state.counts.copy(), bounds, columns, np.zeros(bounds.size), np.zeros(bounds.size), *self._numbers)
        require(bool(np.allclose(bounds, state.upper, rtol=1e-9)), "an upper bound of harm is not that of its counts")


@kernel
def upper_rate(harms: float, others: float, prior_yes: float, prior_no: float, level: float) -> float:
    """Quantile `level` of Beta(prior_yes + harms, prior_no + others)."""
    return float(sigmoid(beta_logit_quantile(prior_yes + harms, prior_no + others, 1.0 - level)))


@kernel
def note(
    counts: Floats,
    upper: Floats,
    columns: Columns,
    values: Floats,
    weights: Floats,
    prior_yes: float,
    prior_no: float,
    level: float,
) -> None:
    """Add harms, and bring the bounds up to them."""
    for i in range(columns.size):
        column = columns[i]
        counts[0, column] += weights[i] * values[i]
        counts[1, column] += weights[i] * (1.0 - values[i])
        upper[column] = upper_rate(counts[0, column], counts[1, column], prior_yes, prior_no, level)

"""Objective: what is ranked by, where a reward is not all that counts."""

from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ..bandits.models.beta import Pseudocount
from ._rates import RatesState, check_proportions, check_rates, drawn, means, tell
from .attributes import Attributes
from .base import AnyState, Constraint, Exposure, Feedback, Floats, Mask, Precedence, Request
from .scalarising import How, percentiles, scalarise

REWARD = "reward"  # the bandit's own, beside the metrics in feedback
Weight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Objective(Constraint):
    """Rank by several objectives: each mapped to its percentile among the candidates, then made one.

    "reward" is the bandit's own score. Any other metric is a proportion, learnt from the `metrics` of feedback: a Beta
    posterior of each arm, drawn anew for each decision, so that metrics are explored as rewards are.

    Parameters
    ----------
    metrics
        Weight of each objective, >= 0; all alike with "generalised_gini", where the worst one counts most.
    how
        "weighted", "chebyshev" or "generalised_gini"; see `scalarise`.
    minimise
        Those of the metrics of which less is better: their percentiles are turned round.
    reference
        With "chebyshev", percentile of a metric above which it counts; 0 where not given.
    by
        Name of an attribute: percentiles are taken among candidates with the same value, such as a bucket, so that
        rooms are compared with their like; None for all.
    prior
        (a, b) of the Beta prior of each metric.

    Examples
    --------
    Of two candidates the better has percentile 3/4, the other 1/4. Arm "a" has the rewards, "b" the follows, which
    count half: 3/4 + 1/8 and 1/4 + 3/8.

    >>> from seedbed.bandits import Bandit, Thompson
    >>> from seedbed.constraints import Objective
    >>> from seedbed.constraints.constrained import Constrained
    >>> objective = Objective({"reward": 1.0, "follow": 0.5})
    >>> ranker = Constrained(Bandit(Thompson(), arms=["a", "b"], seed=7), [objective])
    >>> ranker.update(["a", "b"], [1.0, 0.0], weight=[1e6, 1e6], metrics={"follow": [0.0, 1.0]})
    >>> decision = ranker.select(k=2, now=0.0)
    >>> decision.arms, decision.scores
    (['a', 'b'], [0.875, 0.625])
    """

    kind: Literal["objective"] = "objective"
    metrics: dict[str, Weight]
    how: How = "weighted"
    minimise: tuple[str, ...] = ()
    reference: dict[str, Number] = Field(default_factory=dict)
    by: str | None = None
    prior: tuple[Pseudocount, Pseudocount] = (1.0, 1.0)

    precedence: ClassVar[Precedence] = Precedence.SCORE

    def __init__(self, metrics: dict[str, float], **fields: Any) -> None:
        super().__init__(metrics=metrics, **fields)  # type: ignore[call-arg]

    @model_validator(mode="after")
    def _checked(self) -> Self:
        weights = list(self.metrics.values())
        if not any(weights):
            raise ValueError("metrics must hold one weight above 0 at least")
        if self.how == "generalised_gini" and len(set(weights)) > 1:
            raise ValueError("with 'generalised_gini' all weights of metrics must be alike: the worst counts most")
        if self.reference and self.how != "chebyshev":
            raise ValueError(f"reference is of 'chebyshev', not of {self.how!r}")
        for name in (*self.minimise, *self.reference):
            if name not in self.metrics:
                raise ValueError(f"{name!r} is none of the metrics {list(self.metrics)}")
        return self

    @property
    def metrics_read(self) -> tuple[str, ...]:
        """Names of the metrics that it reads from feedback."""
        return tuple(name for name in self.metrics if name != REWARD)

    def init(self, capacity: int) -> RatesState:
        """Make a state in which nothing is known."""
        return RatesState(np.zeros((2 * len(self.metrics_read), capacity)))

    def rescore(self, state: AnyState, request: Request, scores: Floats) -> Floats:
        """Put percentiles, made one number, in place of scores, `[C]`."""
        values = np.empty((len(self.metrics), request.columns.size))
        read = self.metrics_read
        for row, name in zip(values, self.metrics, strict=True):
            row[:] = scores if name == REWARD else drawn(state, read.index(name), request, self.prior, name)
        ranks = percentiles(values, request.codes(self.by) if self.by else None)
        for row, name in zip(ranks, self.metrics, strict=True):
            if name in self.minimise:
                row[:] = 1.0 - row
        if self.how == "generalised_gini":
            return scalarise(ranks, self.how)
        reference = [self.reference.get(name, 0.0) for name in self.metrics] if self.reference else None
        return scalarise(ranks, self.how, list(self.metrics.values()), reference)

    def check(self, state: AnyState, feedback: Feedback) -> None:
        """Refuse metrics that are no proportions, with a ValueError."""
        check_proportions(self.metrics_read, feedback.metrics)

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Learn metrics."""
        if isinstance(event, Feedback):
            tell(state, self.metrics_read, event)

    def check_state(self, state: AnyState) -> None:
        """Refuse counts that are none."""
        check_rates(state)


class EpsilonConstraint(Constraint):
    """Serve only arms whose metric is on the right side of a bound: one objective is ranked by, the others are bounds.

    The metric of an arm is its posterior mean, so the prior decides on arms of which nothing is known: on the right
    side of the bound they are explored, else they never are. A wish of the owner's, not a protection: it stands with
    the bounds of groups, and gives way where too few candidates would be left, before floors and caps do.

    Parameters
    ----------
    metric
        "reward", or the name of a proportion in the `metrics` of feedback.
    at_least, at_most
        The bound; one of the two.
    percentile
        Whether the bound is on the percentile among the candidates, rather than on the mean itself.
    by
        With `percentile`, name of an attribute: among candidates with the same value.
    prior
        (a, b) of the Beta prior of the metric.

    References
    ----------
    .. [1] Y. Y. Haimes, L. S. Lasdon and D. A. Wismer (1971), "On a bicriterion formulation of the problems of
       integrated system identification and system optimization", IEEE Transactions on Systems, Man, and Cybernetics 1.

    Examples
    --------
    >>> from seedbed.constraints import EpsilonConstraint
    >>> EpsilonConstraint("follow", at_least=0.05).reason, EpsilonConstraint("skip", at_most=0.5).reason
    ('BELOW:follow', 'ABOVE:skip')
    """

    kind: Literal["epsilon"] = "epsilon"
    metric: str
    at_least: Number | None = None
    at_most: Number | None = None
    percentile: bool = False
    by: str | None = None
    prior: tuple[Pseudocount, Pseudocount] = (1.0, 1.0)

    precedence: ClassVar[Precedence] = Precedence.GROUP

    def __init__(self, metric: str, **fields: Any) -> None:
        super().__init__(metric=metric, **fields)  # type: ignore[call-arg]

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"give one of at_least and at_most; got {self.at_least} and {self.at_most}")
        if self.by is not None and not self.percentile:
            raise ValueError(f"by = {self.by!r} is of percentile=True")
        return self

    @property
    def name(self) -> str:
        """What a decision calls it where it was relaxed."""
        return f"{self.kind}:{self.metric}"

    @property
    def reason(self) -> str:
        """Why it drops candidates."""
        return f"{'ABOVE' if self.at_least is None else 'BELOW'}:{self.metric}"

    @property
    def metrics_read(self) -> tuple[str, ...]:
        """Names of the metrics that it reads from feedback."""
        return () if self.metric == REWARD else (self.metric,)

    def init(self, capacity: int) -> RatesState:
        """Make a state in which nothing is known."""
        return RatesState(np.zeros((2 * len(self.metrics_read), capacity)))

    def mask(self, state: AnyState, request: Request) -> list[tuple[str, Mask]]:
        """Which candidates are on the right side, `[C]`."""
        values = request.means() if self.metric == REWARD else means(state, 0, request.columns, self.prior)
        if self.percentile:
            values = percentiles(values, request.codes(self.by) if self.by else None)
        least = -np.inf if self.at_least is None else self.at_least
        most = np.inf if self.at_most is None else self.at_most
        keep: Mask = (values >= least) & (values <= most)
        return [] if keep.all() else [(self.reason, keep)]

    def check(self, state: AnyState, feedback: Feedback) -> None:
        """Refuse metrics that are no proportions, with a ValueError."""
        check_proportions(self.metrics_read, feedback.metrics)

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Learn the metric."""
        if isinstance(event, Feedback):
            tell(state, self.metrics_read, event)

    def report(self, state: AnyState, attributes: Attributes) -> dict[str, Any]:
        """The bound."""
        return {"at_least": self.at_least, "at_most": self.at_most}

    def check_state(self, state: AnyState) -> None:
        """Refuse counts that are none."""
        check_rates(state)

"""Quality: how much of the exposure may go to arms of low quality, and what disliked arms lose of their score."""

from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from ..bandits._numba import kernel
from ..bandits.checkpoint import require
from .attributes import Attributes
from .base import AnyState, Columns, Constraint, Exposure, Feedback, Floats, Precedence, Price, Request

Rate = Annotated[float, Field(ge=1e-9, lt=1.0)]
Positive = Annotated[float, Field(ge=1e-6, le=1e12)]


def check_metric(feedback: Feedback, metric: str) -> None:
    """Refuse a metric that is no probability.

    Raises
    ------
    ValueError
        For a value outside [0, 1].
    """
    values = feedback.metrics.get(metric)
    if values is not None:
        wrong = ~((values >= 0.0) & (values <= 1.0))
        if wrong.any():
            raise ValueError(f"{metric}[{int(wrong.argmax())}] = {values[wrong][0]} is not in [0, 1]")


def check_counts(harms: Floats, counts: Floats, name: str) -> None:
    """Refuse, by `require`, more harm than feedback."""
    fits = bool(((harms >= 0.0) & (harms <= counts * (1.0 + 1e-9))).all())
    require(fits, f"the state of {name!r} holds more harm than feedback")


class LowQualityState(NamedTuple):
    """What is known of K arms, and the debt.

    lows, counts: `[K]` weight of the feedback that said low, and of all feedback of the metric.
    queue: `[1]` the virtual queue. totals: `[2]` low exposures, and all that they are a share of.
    """

    lows: Floats
    counts: Floats
    queue: Floats
    totals: Floats


class LowQuality(Constraint):
    """At most a share of exposures is of low quality, in the long run: held by a queue whose length is the price.

    `Q <- max(0, Q + low - share (1 - epsilon))` with each exposure; a candidate costs `weight Q u`, u its probability
    to be low, or a bound of it. As Q takes in every low exposure and lets out less than the share, the lows of T
    exposures are at most `share T - (share epsilon T - Q)`: none too many from `T = Q / (share epsilon)` on. Q stays
    below what makes low arms lose, (largest gap of scores) / (weight x gap of u), where there are others to serve.

    Parameters
    ----------
    share
        Largest share, in (0, 1).
    attribute, metric
        What says that an exposure is low, one of the two. An attribute of arms: a probability in [0, 1], or bools. Or a
        metric of feedback, in [0, 1]: then u is one of Wilson's bounds; exposures let the queue out when they are
        served, feedback fills it when it comes.
    epsilon
        Part of the share that is kept back, so that early violations are made good, in (0, 1).
    weight
        Price of a low exposure, in score, for each unit of the queue.
    bound
        "lower": 0 for an arm without feedback, so that it is tried, and the share held even where no arm is known to be
        good. "upper": 1 for such an arm: it waits while the queue is long, which is right only where enough arms are
        known to be good; else the least bad of the known is served on, and the share is not held.
    width
        Deviations of the bound.

    References
    ----------
    .. [1] X. Liu, B. Li, P. Shi and L. Ying (2021), "An efficient pessimistic-optimistic algorithm for stochastic
       linear bandits with general constraints", NeurIPS.
    .. [2] E. B. Wilson (1927), "Probable inference, the law of succession, and statistical inference", Journal of the
       American Statistical Association 22.

    Examples
    --------
    >>> from seedbed.constraints import LowQuality
    >>> LowQuality(attribute="is_low").share
    0.05
    """

    kind: Literal["low_quality"] = "low_quality"
    share: Rate = 0.05
    attribute: str | None = None
    metric: str | None = None
    epsilon: Rate = 0.05
    weight: Positive = 0.1
    bound: Literal["lower", "upper"] = "lower"
    width: Positive = 1.96

    precedence: ClassVar[Precedence] = Precedence.PRICE

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.attribute is None) == (self.metric is None):
            raise ValueError("give either attribute= or metric=: one of them says what is low")
        return self

    @property
    def metrics_read(self) -> tuple[str, ...]:
        """The metric, if any."""
        return () if self.metric is None else (self.metric,)

    def init(self, capacity: int) -> LowQualityState:
        """Make a state in which nothing was served."""
        return LowQualityState(np.zeros(capacity), np.zeros(capacity), np.zeros(1), np.zeros(2))

    def rates(self, state: AnyState, request: Request) -> Floats:
        """Probability that a candidate is of low quality, or the bound of it, `[C]`."""
        if self.attribute is not None:
            return np.clip(request.numbers(self.attribute), 0.0, 1.0)
        out = np.empty(request.columns.size)
        width = self.width if self.bound == "upper" else -self.width
        _wilson(state.lows, state.counts, request.columns, width, out)
        return out

    def price(self, state: AnyState, request: Request) -> Price | None:
        """Cost of each candidate; nothing while the queue is empty."""
        if state.queue[0] <= 0.0:
            if self.attribute is not None:  # one that is missing is told before anything is served
                request.numbers(self.attribute)
            return None
        return Price(cost=self.weight * state.queue[0] * self.rates(state, request))

    def check(self, state: AnyState, feedback: Feedback) -> None:
        """Refuse a metric that is no probability.

        Raises
        ------
        ValueError
            For a value outside [0, 1].
        """
        if self.metric is not None:
            check_metric(feedback, self.metric)

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Let the queue out for what was served, fill it with what was low."""
        drain = self.share * (1.0 - self.epsilon)
        if isinstance(event, Exposure):
            if self.attribute is None:
                state.queue[0] = max(0.0, state.queue[0] - drain * event.positions.size)
                return
            lows = self.rates(state, event.request)[event.positions]
            for low in lows.tolist():
                state.queue[0] = max(0.0, state.queue[0] + low - drain)
            state.totals[:] += lows.sum(), lows.size
        elif self.metric is not None and self.metric in event.metrics:
            lows = event.weights * event.metrics[self.metric]
            np.add.at(state.lows, event.columns, lows)
            np.add.at(state.counts, event.columns, event.weights)
            state.queue[0] += lows.sum()
            state.totals[:] += lows.sum(), event.weights.sum()

    def report(self, state: AnyState, attributes: Attributes) -> dict[str, Any]:
        """Share of exposures (of their feedback, for a metric) that was low so far, and the queue."""
        low, count = state.totals.tolist()
        return {"share": low / count if count else 0.0, "limit": self.share, "queue": float(state.queue[0])}

    def check_state(self, state: AnyState) -> None:
        """Refuse a loaded state that contradicts itself."""
        super().check_state(state)
        check_counts(state.lows, state.counts, self.name)
        check_counts(state.totals[:1], state.totals[1:], self.name)
        require(bool(state.queue[0] >= 0.0), f"the queue of {self.name!r} is below 0")


class DemotionState(NamedTuple):
    """Harm of K arms.

    harms, counts: `[K]` weight of harmful feedback, and of all feedback of the metric. totals: `[2]`, of all arms ever.
    """

    harms: Floats
    counts: Floats
    totals: Floats


class Demotion(Constraint):
    """Lower the score of arms that are disliked: by the factor `exp(-steepness max(0, (r - s) / s))`, s = soft limit.

    r is an arm's rate of harm, drawn to that of all arms, m: `r = (harms + strength m) / (n + strength)`.

    Parameters
    ----------
    metric
        The harm that is counted, in [0, 1] for each event.
    limit
        Largest acceptable rate, in (0, 1).
    soft
        Part of the limit from which on the factor falls, in (0, 1].
    steepness
        At 1, an arm with twice the soft limit keeps 1 / e of its score.
    strength
        Events for which the rate of all arms counts.

    Examples
    --------
    >>> from seedbed.constraints import Demotion
    >>> rule = Demotion("negative", limit=0.02, soft=0.5)
    >>> rule.factor([0.01, 0.02]).round(4).tolist()
    [1.0, 0.3679]
    """

    kind: Literal["demotion"] = "demotion"
    metric: str = "negative"
    limit: Rate = 0.02
    soft: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    steepness: Positive = 1.0
    strength: Positive = 100.0

    precedence: ClassVar[Precedence] = Precedence.PRICE

    def __init__(self, metric: str = "negative", **fields: Any) -> None:
        super().__init__(**{"metric": metric, **fields})

    @property
    def metrics_read(self) -> tuple[str, ...]:
        """The metric."""
        return (self.metric,)

    def factor(self, rates: Any) -> Floats:
        """What is left of a score at a rate of harm, of its shape."""
        soft = self.limit * self.soft
        return np.exp(-self.steepness * np.maximum(0.0, (np.asarray(rates) - soft) / soft))

    def init(self, capacity: int) -> DemotionState:
        """Make a state without feedback."""
        return DemotionState(np.zeros(capacity), np.zeros(capacity), np.zeros(2))

    def rates(self, state: AnyState, columns: Columns) -> Floats:
        """Rate of harm of each column, drawn to that of all arms, `[C]`."""
        pooled = state.totals[0] / state.totals[1] if state.totals[1] > 0.0 else 0.0
        rates: Floats = (state.harms[columns] + self.strength * pooled) / (state.counts[columns] + self.strength)
        return rates

    def price(self, state: AnyState, request: Request) -> Price | None:
        """Factor of each candidate; nothing while no harm was seen."""
        if state.totals[0] <= 0.0:
            return None
        return Price(factor=self.factor(self.rates(state, request.columns)))

    def check(self, state: AnyState, feedback: Feedback) -> None:
        """Refuse a metric that is no probability.

        Raises
        ------
        ValueError
            For a value outside [0, 1].
        """
        check_metric(feedback, self.metric)

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Count harm."""
        if isinstance(event, Feedback) and self.metric in event.metrics:
            harms = event.weights * event.metrics[self.metric]
            np.add.at(state.harms, event.columns, harms)
            np.add.at(state.counts, event.columns, event.weights)
            state.totals[:] += harms.sum(), event.weights.sum()

    def report(self, state: AnyState, attributes: Attributes) -> dict[str, Any]:
        """Rate of harm of all arms, and the number of arms that are demoted."""
        every = np.flatnonzero(state.counts > 0.0)
        demoted = self.rates(state, every) > self.limit * self.soft
        harms, count = state.totals.tolist()
        return {"rate": harms / count if count else 0.0, "demoted": int(demoted.sum())}

    def check_state(self, state: AnyState) -> None:
        """Refuse a loaded state that contradicts itself."""
        super().check_state(state)
        check_counts(state.harms, state.counts, self.name)
        check_counts(state.totals[:1], state.totals[1:], self.name)


@kernel
def _wilson(lows: Floats, counts: Floats, columns: Columns, width: float, out: Floats) -> None:
    """Wilson's upper bound of a rate, 1 without counts; for a negative width the lower one, 0 without."""
    square = width * width
    for i in range(columns.size):
        s, n = lows[columns[i]], counts[columns[i]]
        rate = min(s / n, 1.0) if n > 0.0 else 0.0
        root = np.sqrt(n * rate * (1.0 - rate) + 0.25 * square)
        out[i] = max(0.0, (s + 0.5 * square + width * root) / (n + square))

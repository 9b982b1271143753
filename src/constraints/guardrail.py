"""Guardrails: stops and pauses with a statistical meaning, valid at every look."""

import math
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..bandits.checkpoint import require
from ._metrics import check_metric, read_metric, touched
from .attributes import Attributes
from .base import AnyState, Constraint, Exposure, Feedback, Mask, Precedence, Request, forget
from .evidence.e_processes import AnyEvidence, EProcess, Fraction, Proportion
from .evidence.multiplicity import any_of


class GuardrailState(NamedTuple):
    """Evidence about K arms.

    counts: float64 `[R, K]`, the rows of each metric's evidence below each other.
    blocked: uint8 `[K]`, 0 where the arm may be served, else 1 + the index of the metric that had the most evidence.
    """

    counts: NDArray[np.float64]
    blocked: NDArray[np.uint8]


class Guardrail(Constraint):
    """Serve an arm no more once it is proved harmful, however often one looks.

    Evidence E against "no metric is beyond its limit", the mean over the metrics, is at least 1 / alpha with
    probability alpha at most while that is true. There are two kinds: a guardrail metric stops the arm for good, until
    `reset`; a signal metric pauses it while the evidence lasts. What an arm was not served for teaches nothing: a pause
    ends by feedback that was under way or comes from elsewhere, or by `reset`.

    Parameters
    ----------
    metric
        Name of the metric in feedback, or several names: any one harm counts.
    limit
        In place of `evidence`: a share of events above this limit is a harm.
    evidence
        `Proportion`, `Rate` or `BoundedMean`, with limit and alternative; one for all metrics, or one each.
    alpha
        Largest probability to stop an arm that is within all limits.
    action
        "stop" or "pause".
    release
        A paused arm is served again once E falls below this share of 1 / alpha; in (0, 1].

    References
    ----------
    .. [1] J. Ville (1939), "Etude critique de la notion de collectif".
    .. [2] V. Vovk and R. Wang (2021), "E-values: calibration, combination and applications", Annals of Statistics 49.

    Examples
    --------
    Eight harms in sixty exposures prove a rate above 2 %, with E = e^7.18; it stops from E = 20 = e^3 on:

    >>> import numpy as np
    >>> from seedbed.constraints import Guardrail
    >>> from seedbed.constraints.base import Feedback
    >>> guardrail = Guardrail("negative", limit=0.02)
    >>> state = guardrail.init(2)
    >>> harms = np.repeat([1.0, 0.0], [8, 52])
    >>> ones, arm = np.ones(60), np.zeros(60, int)
    >>> guardrail.observe(state, Feedback(arm, ones, ones, {}, {"negative": harms}, None, 0.0))
    >>> guardrail.log_evidence(state, np.array([0, 1])).round(2).tolist()
    [7.18, 0.0]
    >>> state.blocked.tolist()
    [1, 0]
    """

    kind: Literal["guardrail"] = "guardrail"
    metric: str | tuple[str, ...] = "negative"
    evidence: AnyEvidence | tuple[AnyEvidence, ...]
    alpha: Fraction = 0.05
    action: Literal["stop", "pause"] = "stop"
    release: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5

    precedence: ClassVar[Precedence] = Precedence.STOP
    relaxable: ClassVar[bool] = False

    def __init__(self, metric: str | tuple[str, ...] = "negative", limit: float | None = None, **fields: Any) -> None:
        if limit is not None:
            if "evidence" in fields:
                raise ValueError("a guardrail has a limit, for a share of events, or evidence with its own; give one")
            fields["evidence"] = Proportion(limit=limit)
        super().__init__(**{"metric": metric, **fields})

    @model_validator(mode="after")
    def _check_metrics(self) -> Self:
        names = self.harms
        if not 1 <= len(names) <= 255 or len(set(names)) != len(names):
            raise ValueError("metric must be a name, or 1 to 255 distinct names")
        if isinstance(self.evidence, tuple) and len(self.evidence) != len(names):
            raise ValueError(f"evidence must be one for all or one for each of {len(names)} metrics")
        return self

    @property
    def name(self) -> str:
        """What a decision calls it."""
        return "guardrail:" + "+".join(self.harms)

    @property
    def harms(self) -> tuple[str, ...]:
        """Names of the metrics that are judged."""
        return (self.metric,) if isinstance(self.metric, str) else self.metric

    @property
    def processes(self) -> tuple[EProcess, ...]:
        """The evidence of each metric."""
        return self.evidence if isinstance(self.evidence, tuple) else (self.evidence,) * len(self.harms)

    @property
    def metrics_read(self) -> tuple[str, ...]:
        """Names of the metrics that it reads from feedback, those of exposures too."""
        exposures = (process.exposure_metric for process in self.processes)
        return tuple(dict.fromkeys([*self.harms, *(name for name in exposures if name is not None)]))

    def init(self, capacity: int) -> GuardrailState:
        """Make a state without evidence."""
        rows = sum(process.rows for process in self.processes)
        return GuardrailState(np.zeros((rows, capacity)), np.zeros(capacity, np.uint8))

    def mask(self, state: GuardrailState, request: Request) -> list[tuple[str, Mask]]:
        """Which candidates may be served, by the metric that stopped or paused the others."""
        blocked = state.blocked[request.columns]
        if not blocked.any():
            return []
        word = "STOPPED" if self.action == "stop" else "PAUSED"
        keeps = ((metric, blocked != 1 + i) for i, metric in enumerate(self.harms))
        return [(f"{word}:{metric}", keep) for metric, keep in keeps if not keep.all()]

    def check(self, state: GuardrailState, feedback: Feedback) -> None:
        """Refuse values that the evidence is not about, and weights other than 1, which void it."""
        for metric, process in zip(self.harms, self.processes, strict=True):
            check_metric(metric, process, feedback)

    def observe(self, state: GuardrailState, event: Exposure | Feedback) -> None:
        """Count what came back, and look at the evidence of the arms that it is about."""
        if not isinstance(event, Feedback):
            return
        row, told = 0, False
        for metric, process in zip(self.harms, self.processes, strict=True):
            given = read_metric(metric, process, event)
            if given is not None:
                process.add(state.counts[row : row + process.rows], event.columns, *given)
                told = True
            row += process.rows
        if told:
            self._look(state, touched(event))

    def _look(self, state: GuardrailState, columns: NDArray[np.int64]) -> None:
        each = self.each(state, columns)
        total = each[0] if each.shape[0] == 1 else any_of(each)
        needed, blocked = -math.log(self.alpha), state.blocked[columns]
        if self.action == "pause":
            blocked[total < needed + math.log(self.release)] = 0
        reached = total >= needed
        if reached.any():
            most = (1 + each.argmax(axis=0)).astype(np.uint8)
            blocked = np.where((blocked == 0) & reached, most, blocked)
        state.blocked[columns] = blocked

    def each(self, state: GuardrailState, columns: NDArray[np.int64]) -> NDArray[np.float64]:
        """`ln E` of each metric and arm, `[M, C]`."""
        counts, row, each = state.counts[:, columns], 0, []
        for process in self.processes:
            each.append(process.log_evidence(counts[row : row + process.rows]))
            row += process.rows
        return np.stack(each)

    def log_evidence(self, state: GuardrailState, columns: NDArray[np.int64]) -> NDArray[np.float64]:
        """`ln E` of each arm, `[C]`, over all metrics."""
        return any_of(self.each(state, columns))

    def reset(self, state: GuardrailState, columns: NDArray[np.int64]) -> None:
        """Serve arms again, and begin their evidence anew."""
        forget(self, state, columns)

    def report(self, state: GuardrailState, attributes: Attributes) -> dict[str, Any]:
        """Number of arms stopped or paused and the largest `ln E`, by metric."""
        each = self.each(state, np.arange(state.blocked.size))
        blocked = np.bincount(state.blocked, minlength=1 + len(self.harms))[1:]
        word = "stopped" if self.action == "stop" else "paused"
        return {
            metric: {word: int(blocked[i]), "largest_log_evidence": float(each[i].max(initial=0.0))}
            for i, metric in enumerate(self.harms)
        }

    def check_state(self, state: AnyState) -> None:
        """Refuse a loaded state that contradicts itself."""
        super().check_state(state)
        require(bool((state.blocked <= len(self.harms)).all()), f"{self.name!r} blocks for a metric that it has not")
        seen = (state.counts != 0.0).any(axis=0)
        require(bool(seen[state.blocked > 0].all()), f"{self.name!r} blocks an arm without evidence")
        try:
            self.each(state, np.arange(state.blocked.size))
        except ValueError as error:
            require(False, f"{self.name!r}: {error}")

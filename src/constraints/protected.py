"""Protection: for viewers who must not be harmed, an arm is served only once it is proved harmless."""

import math
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bandits.checkpoint import require
from ._metrics import check_metric, read_metric, touched
from .attributes import Attributes
from .base import AnyState, Constraint, Exposure, Feedback, Mask, Precedence, Request
from .conditions import Condition, Terms, all_met, terms_of
from .evidence.e_processes import AnyEvidence, Fraction, Proportion


class ProtectedState(NamedTuple):
    """Evidence about K arms.

    counts: float64 `[R, K]`, the rows of the evidence.
    safe: uint8 `[K]`, 1 where the arm is proved to be within the limit.
    """

    counts: NDArray[np.float64]
    safe: NDArray[np.uint8]


class Protected(Constraint):
    """Keep arms from protected viewers until the upper bound of their harm is below a limit.

    The bound is that of a confidence sequence, so it may be looked at whenever one likes: it is below the limit where
    the evidence E against `H0: harm >= limit` is at least 1 / alpha. An arm without evidence is blocked; one whose
    bound rises above the limit again is blocked again. A harmful arm is ever served to them with probability alpha at
    most.

    Parameters
    ----------
    metric
        Name of the harm in feedback, of all viewers.
    limit
        In place of `evidence`: the share of events with the harm must be below it.
    evidence
        `Proportion`, `Rate` or `BoundedMean` for what proves an arm safe: with the alternative "below" of a harm, or
        "above" of a good.
    viewer
        Conditions by attribute, as in `Rule`: who is protected. {} protects all; then an arm can only be proved
        harmless by feedback from elsewhere.
    unknown_viewer
        "matches" or "differs": how an attribute of the viewer counts that was not told.
    alpha
        Largest probability to hold an arm beyond the limit for safe.

    Examples
    --------
    >>> import numpy as np
    >>> from seedbed.constraints import Protected
    >>> from seedbed.constraints.base import Feedback
    >>> protected = Protected("negative", limit=0.02, viewer={"is_new": True})
    >>> state = protected.init(2)
    >>> ones, arm = np.ones(400), np.zeros(400, int)
    >>> protected.observe(state, Feedback(arm, ones, ones, {}, {"negative": 0 * ones}, None, 0.0))
    >>> state.safe.tolist()
    [1, 0]
    >>> protected.protects({"is_new": True}), protected.protects({"is_new": False}), protected.protects({})
    (True, False, True)
    """

    kind: Literal["protected"] = "protected"
    metric: str = "negative"
    evidence: AnyEvidence
    viewer: dict[str, Condition]
    unknown_viewer: Literal["matches", "differs"] = "matches"
    alpha: Fraction = 0.05

    precedence: ClassVar[Precedence] = Precedence.ELIGIBILITY
    relaxable: ClassVar[bool] = False

    def __init__(self, metric: str = "negative", limit: float | None = None, **fields: Any) -> None:
        if limit is not None:
            if "evidence" in fields:
                raise ValueError("a protection has a limit, for a share of events, or evidence with its own; give one")
            fields["evidence"] = Proportion(limit=limit, alternative="below")
        super().__init__(**{"metric": metric, **fields})

    @cached_property
    def _terms(self) -> list[tuple[str, Terms]]:
        return [(name, terms_of(condition)) for name, condition in self.viewer.items()]

    @property
    def name(self) -> str:
        """What a decision calls it."""
        return f"protected:{self.metric}"

    @property
    def metrics_read(self) -> tuple[str, ...]:
        """Names of the metrics that it reads from feedback, that of exposures too."""
        exposure = self.evidence.exposure_metric
        return (self.metric,) if exposure is None else (self.metric, exposure)

    def protects(self, viewer: Any) -> bool:
        """Whether a viewer, a map of attributes, is one of the protected."""
        return all_met(self._terms, viewer, self.unknown_viewer == "matches")

    def init(self, capacity: int) -> ProtectedState:
        """Make a state without evidence, in which nothing is safe."""
        return ProtectedState(np.zeros((self.evidence.rows, capacity)), np.zeros(capacity, np.uint8))

    def mask(self, state: ProtectedState, request: Request) -> list[tuple[str, Mask]]:
        """Which candidates may be served to this viewer."""
        if not self.protects(request.viewer):
            return []
        return [("PROTECTED", state.safe[request.columns] == 1)]

    def check(self, state: ProtectedState, feedback: Feedback) -> None:
        """Refuse values that the evidence is not about, and weights other than 1, which void it."""
        check_metric(self.metric, self.evidence, feedback)

    def observe(self, state: ProtectedState, event: Exposure | Feedback) -> None:
        """Count what came back, and look at the evidence of the arms that it is about."""
        given = read_metric(self.metric, self.evidence, event) if isinstance(event, Feedback) else None
        if not isinstance(event, Feedback) or given is None:
            return
        self.evidence.add(state.counts, event.columns, *given)
        columns = touched(event)
        state.safe[columns] = self.log_evidence(state, columns) >= -math.log(self.alpha)

    def log_evidence(self, state: ProtectedState, columns: NDArray[np.int64]) -> NDArray[np.float64]:
        """`ln E` that each arm is within the limit, `[C]`."""
        return self.evidence.log_evidence(state.counts[:, columns])

    def report(self, state: ProtectedState, attributes: Attributes) -> dict[str, Any]:
        """Number of arms proved safe, and of arms with evidence that is not enough."""
        seen = (state.counts != 0.0).any(axis=0)
        return {"safe": int(state.safe.sum()), "unproved": int((seen & (state.safe == 0)).sum())}

    def check_state(self, state: AnyState) -> None:
        """Refuse a loaded state that contradicts itself."""
        super().check_state(state)
        require(bool((state.safe <= 1).all()), f"{self.name!r}: safe is neither 0 nor 1")
        try:
            log_evidence = self.log_evidence(state, np.arange(state.safe.size))
        except ValueError as error:
            require(False, f"{self.name!r}: {error}")
        # a rounding may differ between machines
        proved = log_evidence[state.safe == 1] >= -math.log(self.alpha) - 1e-6
        require(bool(proved.all()), f"{self.name!r} holds an arm for safe that is not proved to be")

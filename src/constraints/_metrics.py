"""What guardrails and protections read from feedback."""

import numpy as np
from numpy.typing import NDArray

from .base import Feedback
from .evidence.e_processes import EProcess

Floats = NDArray[np.float64]


def read_metric(metric: str, process: EProcess, feedback: Feedback) -> tuple[Floats, Floats | float] | None:
    """Values and exposures of a metric, `[B]`; None where the feedback does not tell it."""
    values = feedback.metrics.get(metric)
    if values is None:
        return None
    if process.exposure_metric is None:
        return values, 1.0
    return values, feedback.metrics[process.exposure_metric]


def touched(feedback: Feedback) -> NDArray[np.int64]:
    """Columns that feedback is about, each once."""
    return feedback.columns if feedback.columns.size == 1 else np.unique(feedback.columns)


def check_metric(metric: str, process: EProcess, feedback: Feedback) -> None:
    """Refuse what the evidence is not about, and weights other than 1.

    Raises
    ------
    ValueError
        Then nothing has changed.
    """
    if metric not in feedback.metrics:
        return
    name = process.exposure_metric
    if name is not None and name not in feedback.metrics:
        raise ValueError(f"metric {metric!r} is counted for each unit of {name!r}; give that metric with it")
    weighted = feedback.weights != 1.0
    if weighted.any():
        bad = int(np.argmax(weighted))
        raise ValueError(
            f"weights[{bad}] = {feedback.weights[bad]}: evidence about {metric!r} holds for weights of 1 alone; "
            "give feedback with other weights without this metric"
        )
    given = read_metric(metric, process, feedback)
    if given is not None:
        try:
            process.gather(*given)
        except ValueError as error:
            raise ValueError(f"metric {metric!r}: {error}") from None

"""Harms: what stops a room, each proved by evidence that may be looked at at any time."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...constraints import BoundedMean, Proportion, Rate
from .metrics import EXPOSURES, METRICS, MINUTES

Floats = NDArray[np.float64]


class Harm(BaseModel):
    """A metric and the evidence that it is where it must not be.

    Parameters
    ----------
    metric
        "negative", "retained", "follows" or "watched" (with Proportion; "watched" also with BoundedMean, which gains
        most where each viewer is observed by itself), or "comments" (with Rate, over viewer-minutes).
    evidence
        Its limit and side: `Proportion(limit=.02)` proves more than 2 %, `Proportion(limit=.1, alternative="below")`
        less than 10 %.

    Examples
    --------
    >>> from seedbed.allocators.cold_start import Harm
    >>> from seedbed.constraints import Proportion
    >>> Harm(metric="retained", evidence=Proportion(limit=0.1, alternative="below")).metric
    'retained'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Literal["negative", "retained", "follows", "watched", "comments"]
    evidence: Annotated[Proportion | Rate | BoundedMean, Field(discriminator="kind")]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        fitting = {"comments": (Rate,), "watched": (Proportion, BoundedMean)}.get(self.metric, (Proportion,))
        if not isinstance(self.evidence, fitting):
            names = " or ".join(kind.__name__ for kind in fitting)
            raise ValueError(f"evidence on {self.metric} is {names}, not {type(self.evidence).__name__}")
        if isinstance(self.evidence, Rate) and self.evidence.exposure is not None:
            raise ValueError("evidence.exposure: comments are counted over viewer-minutes; leave it out")
        return self

    def gather(self, counts: Floats) -> Floats:
        """What observations, `[M, B]`, add to the evidence's counts, `[rows, B]`."""
        values = counts[METRICS.index(self.metric)]
        exposure = counts[MINUTES] if isinstance(self.evidence, Rate) else counts[EXPOSURES]
        if not isinstance(self.evidence, BoundedMean):
            return self.evidence.gather(values, exposure)
        # several viewers observed together are one value, their mean: valid, if less telling than each by itself
        seen = exposure > 0.0
        means = np.divide(values, exposure, out=np.zeros_like(values), where=seen)
        return np.where(seen, self.evidence.gather(np.minimum(means, 1.0)), 0.0)


class HarmTable(NamedTuple):
    """Harms and the rows that each has in `Rooms.proofs`, [R, K] in all."""

    harms: tuple[Harm, ...]
    rows: tuple[slice, ...]

    @classmethod
    def of(cls, harms: Sequence[Harm]) -> "HarmTable":
        """Lay out rows."""
        ends = np.cumsum([0, *(harm.evidence.rows for harm in harms)]).tolist()
        return cls(tuple(harms), tuple(slice(low, high) for low, high in pairwise(ends)))

    @property
    def size(self) -> int:
        """Rows in all."""
        return int(self.rows[-1].stop)

    def gather(self, counts: Floats) -> Floats:
        """What observations, `[M, B]`, add to the proofs, `[R, B]`."""
        return np.concatenate([harm.gather(counts) for harm in self.harms])

    def log_evidence(self, proofs: Floats) -> Floats:
        """`ln E` of each harm, `[H, C]`, from the proofs of rooms, `[R, C]`."""
        return np.array(
            [harm.evidence.log_evidence(proofs[rows]) for harm, rows in zip(self.harms, self.rows, strict=True)]
        )


def mean_evidence(log_evidence: Floats) -> Floats:
    """`ln` of the mean over harms of E, `[C]`, from ln E, `[H, C]`: evidence that there is one of them."""
    if log_evidence.shape[0] == 1:
        return np.array(log_evidence[0])
    highest = log_evidence.max(axis=0)
    mean: Floats = highest + np.log(np.exp(log_evidence - highest).mean(axis=0))
    return mean

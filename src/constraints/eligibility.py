"""Eligibility: which arms may be served at all. Deterministic, before any sampling, never traded away."""

from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator


class EligibilityState(NamedTuple):
    """Blocks of K arms.

    blocked: uint8 `[K]`, 0 where the arm may be served, else 1 + the index of its reason.
    """

    blocked: NDArray[np.uint8]


class Eligibility(BaseModel):
    """Arms that are blocked are not served, whatever their score.

    Parameters
    ----------
    reasons
        Why an arm may be blocked: distinct names, at most 255.

    Examples
    --------
    >>> import numpy as np
    >>> from seedbed.constraints import Eligibility
    >>> eligibility = Eligibility(reasons=("COMPLIANCE", "ASLEEP"))
    >>> state = eligibility.init(3)
    >>> eligibility.block(state, np.array([1]), "ASLEEP")
    >>> eligibility.mask(state, np.array([0, 1, 2])).tolist()
    [True, False, True]
    >>> eligibility.dropped(state, np.array([0, 1, 2]))
    {'ASLEEP': 1}
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["eligibility"] = "eligibility"
    reasons: tuple[str, ...] = ("BLOCKED",)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if not 1 <= len(self.reasons) <= 255 or len(set(self.reasons)) != len(self.reasons):
            raise ValueError("reasons must be 1 to 255 distinct names")
        return self

    def init(self, capacity: int) -> EligibilityState:
        """Make a state in which all arms may be served."""
        return EligibilityState(np.zeros(capacity, np.uint8))

    def block(self, state: EligibilityState, columns: NDArray[np.int64], reason: str) -> None:
        """Serve these arms no more, for a reason that the configuration names."""
        if reason not in self.reasons:
            raise ValueError(f"reason {reason!r} is not one of {list(self.reasons)}")
        state.blocked[columns] = 1 + self.reasons.index(reason)

    def unblock(self, state: EligibilityState, columns: NDArray[np.int64]) -> None:
        """Let these arms be served again."""
        state.blocked[columns] = 0

    def mask(self, state: EligibilityState, columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the arms may be served, `[C]`."""
        keep: NDArray[np.bool_] = state.blocked[columns] == 0
        return keep

    def dropped(self, state: EligibilityState, columns: NDArray[np.int64]) -> dict[str, int]:
        """Number of the arms that may not be served, by reason."""
        counts = np.bincount(state.blocked[columns], minlength=1 + len(self.reasons))[1:]
        return {reason: int(count) for reason, count in zip(self.reasons, counts, strict=True) if count}

"""What every rule says of itself, so that `Bandit` can run it without knowing it."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from .._table import BELIEF, Table, Uids
from ._top import rank_values


class Policy(BaseModel):
    """A selection rule: frozen, without memory.

    Its kernels get `(table, handles, uids, key, version, now, x, y, ...)`: see `_beliefs.refresh` for `version` and
    `now`; x and y are the rule's two numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    terms: ClassVar[float] = BELIEF  # what it reads of the model: BELIEF or EVIDENCE
    is_deterministic: ClassVar[bool] = False  # given the state, it always chooses the same
    draws: ClassVar[bool] = False  # ranks by draws from the beliefs
    needs_propensity: ClassVar[bool] = False  # learns from rewards over the propensity of the choice

    @property
    def rule(self) -> int:
        """Number of the rule in `_rank`."""
        raise NotImplementedError

    @property
    def numbers(self) -> tuple[float, float]:
        """The numbers (x, y) that the kernels of this rule get."""
        return 0.0, 0.0

    @property
    def width(self) -> float:
        """Factor of the standard deviations of linear models."""
        return 1.0

    @property
    def reach(self) -> float | None:
        """How many deviations above its mean an arm is ranked, NaN for a keyed normal; None: it is ranked otherwise."""
        return None

    @property
    def best(self) -> Any:
        """Kernel that writes positions and scores of the k best candidates and answers a status."""
        raise NotImplementedError

    @property
    def scores(self) -> Any:
        """Kernel that writes the score of every candidate and answers a status."""
        raise NotImplementedError

    @property
    def best_of(self) -> Any:
        """Kernel that chooses k by given scores, as under prices; None where the rule does not rank by scores."""
        return rank_values

    def check_exact(self, k: int, candidates: int) -> None:
        """Refuse a slate for which the rule has no exact propensities; every other rule has them for all.

        Raises
        ------
        ValueError
            For such a slate.
        """

    def inclusion(self, beliefs: Table, family: int, uids: Uids, k: int) -> Table:
        """Probability that each candidate is among the k chosen, `[C]`, given beliefs `[3, C]` of a family."""
        raise NotImplementedError

    def priced_inclusion(
        self, beliefs: Table, family: int, uids: Uids, scales: Table, offsets: Table, k: int
    ) -> Table | None:
        """The same where score i is `scale_i draw_i - offset_i`; None where there is no exact answer."""
        return None

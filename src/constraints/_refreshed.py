"""Chances of the rule that serve many decisions, where there are too many candidates to work them out for each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .base import Columns, Floats


class Refreshed:
    """Chances of K arms as they were some decisions ago.

    chances: `[K]`, NaN where none was worked out. age: decisions since.
    """

    def __init__(self, capacity: int = 0) -> None:
        self.chances: Floats = np.full(capacity, np.nan)
        self.age = 0

    def twin(self) -> Refreshed:
        """Make a copy."""
        twin = Refreshed()
        twin.chances, twin.age = self.chances.copy(), self.age
        return twin

    def fit(self, capacity: int) -> None:
        """Make room for arms."""
        if capacity != self.chances.size:
            chances = np.full(capacity, np.nan)
            chances[: self.chances.size] = self.chances
            self.chances = chances

    def forget(self, columns: Columns) -> None:
        """Forget columns that other arms own now."""
        self.chances[columns] = np.nan

    def of(self, columns: Columns, every: int, work_out: Callable[[], Floats]) -> Floats:
        """Chances of candidates, `[C]`, not scaled; worked out anew every so many decisions, and for new candidates."""
        self.age += 1
        chances = self.chances[columns]
        if self.age > every or np.isnan(chances).any():
            chances = work_out()
            self.chances[:] = np.nan
            self.chances[columns] = chances
            self.age = 1
        if not chances.sum() > 0.0:  # of all that were likely, none is a candidate now
            return np.ones(columns.size)
        return chances

"""Probabilities of a choice under constraints: exact where there is an integral, else by replays under other keys."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..bandits._random import fold_in
from ._choosing import capped_chances, choose
from ._refreshed import Refreshed
from ._terms import Terms
from .base import Columns, Floats, Limits
from .exposure import Cap
from .simplex import floored, guarantee

EXACT, REFRESHED, MONTE_CARLO = "exact", "refreshed", "monte_carlo"
_DRAWS = 1_000  # replays of an estimate


def exact_chances(terms: Terms, rule_chances: Callable[[Columns, int], Floats]) -> Floats | None:
    """Probability that each eligible candidate is in the slate, `[C]`; None where there is no exact answer."""
    request = terms.request
    size, k = request.columns.size, request.k
    if terms.chain.mixes or any(_may_bind(limits, k) for _, limits in terms.limits):
        return None
    out = np.zeros(size)
    out[terms.musts] = 1.0
    slots = k - len(terms.musts)
    if slots == 0:
        return out
    if terms.has_caps:
        rest, p, _ = capped_chances(terms, terms.musts, rule_chances)
        out[rest] = p
        return out
    rest = np.delete(np.arange(size), terms.musts)
    chances = terms.rule_chances(rest, slots)
    if chances is None:
        return None
    if not terms.shares:
        out[rest] = chances
        return out
    return _under_floors(terms, chances) if not terms.musts else None


def _under_floors(terms: Terms, chances: Floats) -> Floats | None:
    """Probabilities where floors set something apart of one slot, or at most one slot of a slate, alike for all."""
    request = terms.request
    size, k = chances.size, request.k
    due = guarantee(terms.bounds, size)
    if k == 1:
        if not due.groups.size:
            return floored(chances, due)
        within = np.zeros(due.groups.shape)
        for j, groups in enumerate(due.groups):
            for group in np.unique(groups[due.extras[groups] > 0.0]):
                inside = np.flatnonzero(groups == group)
                own = terms.rule_chances(inside, 1)
                if own is None:
                    return None
                within[j, inside] = own
        return floored(chances, due, within)
    floors = k * due.arms
    if due.extras.any() or floors.sum() > 1.0 or not np.allclose(floors, floors[0], rtol=1e-12, atol=0.0):
        return None
    if k == size:
        return np.ones(size)
    # one arm j drawn by the floors is in, with the best k - 1 of the others: the slate is the best k where j is one of
    # them, else j takes the place of the last; and with equal floors, size - k arms j are not
    fewer = terms.rule_chances(np.arange(size), k - 1)
    if fewer is None:
        return None
    floor = float(floors[0])
    out: Floats = fewer + (chances - fewer) * (1.0 - floor * (size - k)) + floor * (1.0 - chances)
    return out


def _may_bind(limits: Limits, k: int) -> bool:
    """Whether there is a slate of k candidates that the limits would change."""
    if limits.earliest is not None or bool((limits.lower > 0.0).any()):
        return True
    most = np.zeros(limits.upper.size)
    np.maximum.at(most, limits.groups, limits.amounts)
    return bool((k * most > limits.upper).any())


def estimated_chances(terms: Terms, draws: int, rule_chances: Callable[[Columns, int], Floats]) -> Floats:
    """The same by so many replays of the choice under other keys."""
    counts = np.zeros(terms.request.columns.size)
    for draw in range(draws):
        counts[choose(terms.under(fold_in(terms.request.key, -1 - draw)), rule_chances).positions] += 1.0
    return counts / draws


def chances_of(terms: Terms, rule_chances: Callable[[Columns, int], Floats]) -> tuple[Floats, str]:
    """Probability that each eligible candidate is in the slate, `[C]`, and how it was worked out."""
    chances = exact_chances(terms, rule_chances)
    if chances is not None:
        return chances, EXACT
    return estimated_chances(terms, _DRAWS, rule_chances), MONTE_CARLO


class RuleChances:
    """Gives the chances of the rule that caps are laid on: exact for few candidates, refreshed for many.

    Whatever they are, the choice is drawn by what floors and caps make of them, so that its own propensities are exact.
    `method` says how they were worked out, where that is not exact.
    """

    def __init__(self, terms: Terms, refreshed: Refreshed) -> None:
        caps = [constraint for constraint in terms.chain.members if isinstance(constraint, Cap)]
        self._most = min((cap.max_candidates for cap in caps), default=0)
        self._every = min((cap.refresh for cap in caps), default=1)
        self._terms, self._refreshed = terms, refreshed
        self._answered: dict[tuple[int, bytes], Floats] = {}
        self.method: str | None = None

    def __call__(self, positions: Columns, k: int) -> Floats:
        """Probability that the rule takes each of these candidates for k slots, `[C]`."""
        if positions.size <= self._most:
            return self._worked_out(positions, k)
        self.method = REFRESHED
        question = k, positions.tobytes()
        if question not in self._answered:  # once a decision, which is told by what it was drawn by
            columns = self._terms.request.columns[positions]
            answer = self._refreshed.of(columns, self._every, lambda: self._worked_out(positions, k))
            self._answered[question] = answer
        return self._answered[question]

    def _worked_out(self, positions: Columns, k: int) -> Floats:
        chances = self._terms.rule_chances(positions, k)
        if chances is not None:
            return chances
        self.method = MONTE_CARLO
        counts = np.zeros(positions.size)
        for draw in range(_DRAWS):
            other = self._terms.under(fold_in(self._terms.request.key, -1 - draw))
            counts[np.searchsorted(positions, other.best_among(positions, k))] += 1.0
        return counts / _DRAWS

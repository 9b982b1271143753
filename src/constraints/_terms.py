"""One request under one key: its eligible candidates by score, and what a chain asks of the choice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..bandits._ranking import Ranking
from .base import Columns, Floats, Mask, Precedence, Request, Shares
from .chain import Chain


class Terms:
    """One request under one key: its eligible candidates by score, and what the chain asks of the choice."""

    def __init__(self, chain: Chain, request: Request, ranking: Ranking) -> None:
        self.chain, self.request, self.ranking = chain, request, ranking
        self.prices = chain.price(request)
        self._values: Floats | None = None
        rescorers = chain.rescorers()
        if rescorers:
            values = self._priced_draws()
            for constraint, state in rescorers:
                values = constraint.rescore(state, request, values)
            self._values = values
        self.is_rescored = bool(rescorers)
        self.shares = chain.shares(request)
        self.limits = chain.limits(request, Precedence.GROUP if request.k == 1 else Precedence.ELIGIBILITY)
        self.musts, self.relaxed = self._musts()

    @property
    def bounds(self) -> list[Shares]:
        """The bounds of probabilities."""
        return [shares for _, shares in self.shares]

    @property
    def has_caps(self) -> bool:
        """Whether some probability is capped."""
        return any(is_below_one(shares.cap) or is_below_one(shares.group_cap) for _, shares in self.shares)

    def best(self, n: int) -> tuple[Columns, Floats]:
        """Positions and scores of the n best."""
        if self.is_rescored and self._values is not None:
            return self.ranking.best_of(n, self._values)
        return self.ranking.best(n, *(self.prices or ()))

    def best_among(self, positions: Columns, k: int) -> Columns:
        """Positions of the k best of some candidates."""
        inner = self.ranking.among(positions)
        if self.is_rescored:
            return positions[inner.best_of(k, self.scores_of(positions))[0]]
        return positions[inner.best(k, *self._prices_of(positions))[0]]

    def scores_of(self, positions: Columns) -> Floats:
        """Scores of some candidates."""
        if self._values is None and self.ranking.is_separate:
            return self._priced(self.ranking.among(positions).draws(), positions)
        if self._values is None:
            self._values = self._priced_draws()
        found: Floats = self._values[positions]
        return found

    def under(self, key: int) -> Terms:
        """The same under another key."""
        return Terms(self.chain, replace(self.request, key=key), self.ranking.under(key))

    def rule_chances(self, positions: Columns, k: int) -> Floats | None:
        """Probability that the rule takes each of these candidates for k slots; None where there is no exact answer."""
        if self.is_rescored:
            return None
        return self.ranking.among(positions).inclusion(k, *self._prices_of(positions))

    def _prices_of(self, positions: Columns) -> tuple[Floats, ...]:
        return () if self.prices is None else tuple(array[positions] for array in self.prices)

    def _priced_draws(self) -> Floats:
        return self._priced(self.ranking.draws(), slice(None))

    def _priced(self, draws: Floats, which: Columns | slice) -> Floats:
        if self.prices is None:
            return draws
        scales, offsets = self.prices
        with np.errstate(invalid="ignore"):
            values: Floats = scales[which] * draws - offsets[which]
        return values

    def _musts(self) -> tuple[list[int], list[str]]:
        """Positions that are demanded, as many as there is room for, and who had to give way.

        A demand serves its arm for certain, so it gives way to a cap of that arm or its group.
        """
        demands = self.chain.demands(self.request)
        if not demands:
            return [], []
        demanded = {int(i): name for name, positions in reversed(demands) for i in reversed(positions.tolist())}
        order = dict.fromkeys(int(i) for _, positions in demands for i in positions)
        capped = set() if not self.has_caps else set(np.flatnonzero(_capped(self.bounds, self.request.columns.size)))
        musts = [i for i in order if i not in capped]
        relaxed = [demanded[i] for i in order if i in capped]
        if len(musts) > self.request.k:
            relaxed += [name for name, _ in demands]
        return musts[: self.request.k], list(dict.fromkeys(relaxed))


def _capped(bounds: list[Shares], size: int) -> Mask:
    """Which candidates are capped, or their group is, `[C]`."""
    capped = np.zeros(size, np.bool_)
    for shares in bounds:
        capped |= np.asarray(shares.cap) < 1.0
        if shares.groups is not None and shares.group_cap is not None:
            capped |= shares.group_cap[shares.groups] < 1.0
    return capped


def is_below_one(cap: Floats | float | None) -> bool:
    """Whether a cap, one for all or one each, binds anybody."""
    if cap is None or isinstance(cap, float):
        return cap is not None and cap < 1.0
    return bool((np.asarray(cap) < 1.0).any())

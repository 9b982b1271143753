"""How a slate is chosen among eligible candidates: demands, mixtures and prices around the bandit's own rule."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bandits._numba import kernel
from ..bandits._random import uniform
from ..bandits._ranking import Ranking
from .base import Columns, Floats, Request
from .chain import Chain

SCORE, DEMAND, MIX = "SCORE", "DEMAND", "MIX"


class Choice(NamedTuple):
    """A slate: positions among the eligible candidates, best first, with scores and why each is there.

    relaxed: names of the constraints that gave way.
    """

    positions: Columns
    scores: Floats
    reasons: list[str]
    relaxed: list[str]


class Order:
    """The eligible candidates by score, under the chain's prices, as far down as asked for."""

    def __init__(self, chain: Chain, request: Request, ranking: Ranking) -> None:
        self._ranking = ranking
        self._prices = chain.price(request)
        self._values: Floats | None = None
        rescorers = chain.rescorers()
        if rescorers:
            values = self._all()
            for constraint, state in rescorers:
                values = constraint.rescore(state, request, values)
            self._values = values

    def best(self, n: int) -> tuple[Columns, Floats]:
        """Positions and scores of the n best."""
        if self._values is not None:
            return self._ranking.best_of(n, self._values)
        return self._ranking.best(n, *(self._prices or ()))

    def scores_of(self, positions: Columns) -> Floats:
        """Scores of some candidates."""
        if self._values is None:
            self._values = self._all()
        found: Floats = self._values[positions]
        return found

    def _all(self) -> Floats:
        draws = self._ranking.draws()
        if self._prices is None:
            return draws
        scales, offsets = self._prices
        with np.errstate(invalid="ignore"):
            values: Floats = scales * draws - offsets
        return values


def choose(chain: Chain, request: Request, ranking: Ranking) -> Choice:
    """Choose the slate of a request."""
    order, k = Order(chain, request, ranking), request.k
    mixed = chain.mix(request, ranking.draws)
    if mixed is not None:
        picked = _drawn(request, mixed)
        return Choice(picked, order.scores_of(picked), [MIX] * picked.size, [])
    musts, relaxed = _musts(chain, request)
    positions, scores = order.best(k)
    if not musts:
        return Choice(positions, scores, [SCORE] * k, relaxed)
    kept = [int(i) for i in positions if i not in musts][: k - len(musts)]
    positions = np.array(kept + musts, np.int64)
    scores = order.scores_of(positions)
    by_score = np.lexsort((request.uids[positions], -scores))
    reasons = [SCORE] * len(kept) + [DEMAND] * len(musts)
    return Choice(positions[by_score], scores[by_score], [reasons[i] for i in by_score], relaxed)


def _musts(chain: Chain, request: Request) -> tuple[list[int], list[str]]:
    """Positions that are demanded, as many as there is room for, and who had to give way."""
    demands = chain.demands(request)
    musts = list(dict.fromkeys(int(i) for _, positions in demands for i in positions))
    relaxed = [name for name, _ in demands] if len(musts) > request.k else []
    return musts[: request.k], relaxed


def _drawn(request: Request, chances: Floats) -> Columns:
    """Draw one candidate, or none, by chances that sum to 1 or less."""
    picked = race(request.key, request.uids, np.ascontiguousarray(chances, np.float64))
    return np.array([picked] if picked >= 0 else [], np.int64)


@kernel
def race(key: int, uids: NDArray[np.uint64], chances: Floats) -> int:
    """Position drawn with these chances, -1 for what they lack of 1: the first of exponential clocks to ring.

    Candidate i rings at `-ln(u_i) / p_i`, u_i a uniform of its own, so that their order does not matter.
    """
    missing = 1.0
    first, earliest = -1, math.inf
    for i in range(chances.size):
        missing -= chances[i]
        if chances[i] > 0.0:
            time = -math.log(uniform(key, uids[i], 0x5EED_ACE)) / chances[i]
            if time < earliest:
                first, earliest = i, time
    if missing > 1e-9 and -math.log(uniform(key, np.uint64(0), 0x5EED_ACE)) / missing < earliest:
        return -1
    return first

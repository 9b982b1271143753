"""How a slate is chosen among eligible candidates: demands, shares, mixtures, prices and limits around the rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bandits._ranking import Ranking
from ._terms import Terms, is_below_one
from ._yielding import by_mixture, by_slate, may_stand
from .base import Columns, Floats, Request, Shares
from .chain import Chain
from .drawing import choose as draw_by_shares
from .drawing import draw_or_none, forced, is_forced, members
from .filling import fill
from .simplex import Guarantee, constrained_shares, guarantee

SCORE, DEMAND, FLOOR, SHARES, MIX = "SCORE", "DEMAND", "FLOOR", "SHARES", "MIX"
SKIPPED = "SKIPPED"  # a mixture served nobody
_NOBODY = np.uint64(0x5EED_F1FF)  # under whose name what is missing of a whole number of slots is drawn


class Choice(NamedTuple):
    """A slate: positions among the eligible candidates, best first, with scores and why each is there.

    relaxed: names of the constraints that gave way. short: why the others were dropped, where it is not full.
    """

    positions: Columns
    scores: Floats
    reasons: list[str]
    relaxed: list[str]
    short: str = "LIMITS"


NOTHING = Choice(np.empty(0, np.int64), np.empty(0), [], [])


def quick_choice(chain: Chain, request: Request, ranking: Ranking) -> Choice | None:
    """Choose where nothing but masks and prices binds this decision; None where something else may."""
    if not chain.is_plain(request.k):
        return None
    shares = chain.shares(request)
    if shares:
        floor, size = _even_floor([bounds for _, bounds in shares]), request.columns.size
        if floor is None or any(is_below_one(bounds.cap) for _, bounds in shares):
            return None
        due = request.k * floor * size
        if due > 1.0 or is_forced(request.key, due):
            return None
    positions, scores = ranking.best(request.k, *(chain.price(request) or ()))
    return Choice(positions, scores, [SCORE] * request.k, [])


def choose(terms: Terms, rule_chances: Callable[[Columns, int], Floats]) -> Choice:
    """Choose the slate of a request.

    rule_chances: gives the probability that the rule takes each of some candidates for some slots, where shares are
    capped; they need not be those of this moment.
    """
    request = terms.request
    mixed = terms.chain.mix(request, terms.ranking.draws)
    if mixed is not None:
        if terms.limits:
            mixed = np.where(may_stand(terms), mixed, 0.0)
        positions = draw_or_none(request.key, request.uids, mixed)
        gave_way = by_mixture(terms, mixed, positions)
        return Choice(positions, terms.scores_of(positions), [MIX] * positions.size, gave_way, SKIPPED)
    if not (terms.musts or terms.shares or terms.limits):
        positions, scores = terms.best(request.k)
        return Choice(positions, scores, [SCORE] * request.k, [])
    why = dict.fromkeys(terms.musts, DEMAND)
    relaxed = list(terms.relaxed)
    within = None
    if terms.shares and len(why) < request.k:
        if terms.has_caps:
            relaxed += _by_caps(terms, why, rule_chances)
        else:
            within = _by_floors(terms, why, relaxed)
    if not why and within is None and not terms.limits:
        positions, scores = terms.best(request.k)
        return Choice(positions, scores, [SCORE] * request.k, relaxed)
    slate, scores, gave_way = _filled(terms, why, within)
    gave_way += by_slate(terms, why, slate)
    return Choice(slate, scores, [why.get(i, SCORE) for i in slate.tolist()], relaxed + gave_way)


def capped_chances(
    terms: Terms, taken: list[int], rule_chances: Callable[[Columns, int], Floats]
) -> tuple[Columns, Floats, list[str]]:
    """Positions of those not taken yet, their probabilities under floors and caps, and who gave way."""
    rest = np.delete(np.arange(terms.request.columns.size), taken)
    slots = min(terms.request.k - len(taken), rest.size)
    bounds = [_only(shares, rest) for shares in terms.bounds] if taken else terms.bounds
    p, failed = constrained_shares(rule_chances(rest, slots), slots, bounds)
    return rest, p, [terms.shares[j][0] for j in failed]


def _by_caps(terms: Terms, why: dict[int, str], rule_chances: Callable[[Columns, int], Floats]) -> list[str]:
    """Fill all slots left by probabilities under floors and caps; return who gave way."""
    rest, p, relaxed = capped_chances(terms, list(why), rule_chances)
    chosen = draw_by_shares(terms.request.key, terms.request.uids[rest], p, terms.request.k - len(why))
    why.update(dict.fromkeys(rest[chosen].tolist(), SHARES))
    return relaxed


def _by_floors(terms: Terms, why: dict[int, str], relaxed: list[str]) -> Columns | None:
    """Set apart what floors are due, cheaply; return the members of a group to whom the one slot is bound."""
    request, bounds = terms.request, terms.bounds
    size = request.columns.size
    due = guarantee(bounds, size)
    if due.relaxed:
        relaxed += [name for name, _ in terms.shares]
    if request.k == 1:
        position, group = forced(request.key, request.uids, due)
        if position >= 0:
            why[position] = FLOOR
        return members(due, group) if group >= 0 else None
    for position in _floor_picks(request.key, request.uids, request.k * _spread_floors(due), request.k).tolist():
        if len(why) < request.k:
            why.setdefault(position, FLOOR)
        elif position not in why:
            relaxed += [name for name, _ in terms.shares]
    return None


def _even_floor(bounds: list[Shares]) -> float | None:
    """The floor of every candidate, where it is one for all and no group has another."""
    if any(shares.groups is not None or not isinstance(shares.floor, float) for shares in bounds):
        return None
    return max(float(shares.floor) for shares in bounds)


def _spread_floors(due: Guarantee) -> Floats:
    """Floor of each candidate where a group's is shared alike by its members, `[C]`."""
    floors = due.arms.copy()
    for partition in due.groups:
        sizes = np.bincount(partition, minlength=due.extras.size)
        floors += due.extras[partition] / sizes[partition]
    return floors


def _floor_picks(key: int, uids: NDArray[np.uint64], floors: Floats, k: int) -> Columns:
    """Candidates drawn so that each is in with the probability of its floor: as many as the floors' sum, up or down."""
    floors = np.minimum(floors, 1.0)
    total = float(floors.sum())
    if total <= 1.0:
        return draw_by_shares(key, uids, floors / total, 1) if is_forced(key, total) else np.empty(0, np.int64)
    slots = min(math.ceil(total - 1e-9), k)
    rest = max(0.0, slots - total)
    chances = np.append(floors, rest) if rest > 1e-9 else floors
    named = np.append(uids, _NOBODY) if rest > 1e-9 else uids
    picked = draw_by_shares(key, named, np.ascontiguousarray(chances), slots)
    return picked[picked < floors.size]


def _filled(terms: Terms, why: dict[int, str], within: Columns | None) -> tuple[Columns, Floats, list[str]]:
    """The slate that holds whom `why` names, under all limits, with the best of the others; and who gave way."""
    request = terms.request
    size, k = request.columns.size, request.k
    musts = np.fromiter(why, np.int64, len(why))
    limits = [limits for _, limits in terms.limits]
    if within is not None:  # one slot, of a group
        position = terms.best_among(within, 1)
        why[int(position[0])] = FLOOR
        musts = position
    if musts.size >= k and not limits:
        return (*_sorted(terms, musts), [])
    wanted = min(size, k + musts.size)
    while True:
        order, scores = terms.best(wanted)
        filled = fill(order, size, k, limits, musts if musts.size else None)
        if filled.complete:
            break
        wanted = min(size, 4 * wanted)
    positions = filled.positions
    if musts.size and not limits:
        return (*_sorted(terms, positions), [])
    relaxed = [terms.limits[j][0] for j in filled.relaxed]
    score_of = dict(zip(order.tolist(), scores.tolist(), strict=True))
    absent = np.array([i for i in positions.tolist() if i not in score_of], np.int64)
    score_of |= dict(zip(absent.tolist(), terms.scores_of(absent).tolist(), strict=True)) if absent.size else {}
    return positions, np.array([score_of[i] for i in positions.tolist()]), relaxed


def _sorted(terms: Terms, positions: Columns) -> tuple[Columns, Floats]:
    """Put candidates in the order of their scores."""
    scores = terms.scores_of(positions)
    order = np.lexsort((terms.request.uids[positions], -scores))
    return positions[order], scores[order]


def _only(shares: Shares, keep: Columns) -> Shares:
    """Bounds of some of the candidates."""

    def cut(bound: Floats | float) -> Floats | float:
        return bound if isinstance(bound, float | int) else bound[keep]

    groups = None if shares.groups is None else shares.groups[keep]
    return shares._replace(floor=cut(shares.floor), cap=cut(shares.cap), groups=groups)

"""Draws that have given probabilities exactly, keyed by the arms, so that the order of candidates does not matter."""

import numpy as np
from numpy.typing import NDArray

from ..bandits._numba import kernel
from ..bandits._random import uniform
from ._pouring import Columns, Floats
from .simplex import Guarantee

Uids = NDArray[np.uint64]

_COIN = 0x5EED_F100  # names under which the coins of a decision are keyed, beside the arms'
_GROUP = 0x5EED_F101
_NOBODY = 0x5EED_F1FF
_MIX_LANE = 0x5EED_ACE  # lane of the arms' draws by mixtures
_ROUNDING = 1e-9  # chances may lack so much of 1
_LANE = 0x5EED_F102  # lane of the arms' own draws here: policies use the low ones


def choose(key: int, uids: Uids, p: Floats, k: int) -> Columns:
    """Draw k distinct positions, candidate i with probability `p_i` exactly, whatever the order of the candidates.

    For one slot by an exponential race, `argmin -ln(u_i) / p_i`; for several by systematic sampling over the candidates
    in a keyed random order.

    Parameters
    ----------
    key
        Of the decision.
    uids
        64-bit names of the candidates, `[C]`.
    p
        Inclusion probabilities, `[C]`, in [0, 1], with sum k.
    k
        Slots, at most the candidates.

    Returns
    -------
    array of int, [k]
        In no order of merit.

    References
    ----------
    .. [1] W. G. Madow (1949), "On the theory of systematic sampling, II", Annals of Mathematical Statistics 20.
    """
    positions = np.empty(min(k, p.size), np.int64)
    if positions.size == 1:
        positions[0] = _race(key, uids, p, _LANE, 0.0)
    elif positions.size > 1:
        marks = np.empty(p.size)
        point = _marks(key, uids, marks)
        _systematic(np.argsort(marks), p, point, positions)
    return positions


def draw_or_none(key: int, uids: Uids, chances: Floats) -> Columns:
    """Draw one position by chances that sum to 1 or less, or none with what they lack of it, `[0 or 1]`."""
    missing = 1.0 - float(chances.sum())
    position = _race(key, uids, np.ascontiguousarray(chances, np.float64), _MIX_LANE, missing)
    return np.array([position] if position >= 0 else [], np.int64)


@kernel
def is_forced(key: int, total: float) -> bool:
    """Whether the floors choose, which they do with the probability that they set apart: the coin of `forced`."""
    return bool(uniform(key, _COIN, 0) < total)


def forced(key: int, uids: Uids, guaranteed: Guarantee) -> tuple[int, int]:
    """Choose by the floors alone, with the probability that they set apart, whatever the order of the candidates.

    Returns
    -------
    (position, -1) for a candidate, with probability `arms[position]`; (-1, group) for the order to choose among the
    members of a group, with probability `extras[group]`; (-1, -1) for the policy to choose among all.
    """
    if guaranteed.total <= 0.0:
        return -1, -1
    position, group = _forced(key, uids, guaranteed.arms, guaranteed.extras, guaranteed.total)
    return int(position), int(group)


def members(guaranteed: Guarantee, group: int) -> Columns:
    """Positions of the candidates of a group that `forced` returned, growing."""
    return np.flatnonzero((guaranteed.groups == group).any(axis=0))


@kernel
def _forced(key: int, uids: Uids, arms: Floats, extras: Floats, total: float) -> tuple[int, int]:
    if not is_forced(key, total):
        return -1, -1
    first, position, group = np.inf, -1, -1
    for i in range(arms.size):
        if arms[i] > 0.0:
            time = -np.log(uniform(key, uids[i], _LANE)) / arms[i]
            if time < first:
                first, position = time, i
    for g in range(extras.size):
        if extras[g] > 0.0:
            time = -np.log(uniform(key, _GROUP, g)) / extras[g]
            if time < first:
                first, position, group = time, -1, g
    return position, group


@kernel
def _race(key: int, uids: Uids, p: Floats, lane: int, missing: float) -> int:
    """Position of the first of exponential clocks to ring, at `-ln(u_i) / p_i`; -1 for that of what is missing."""
    first, position = np.inf, 0
    for i in range(p.size):
        if p[i] > 0.0:
            time = -np.log(uniform(key, uids[i], lane)) / p[i]
            if time < first:
                first, position = time, i
    if missing > _ROUNDING and -np.log(uniform(key, _NOBODY, lane)) / missing < first:
        return -1
    return position


@kernel
def _marks(key: int, uids: Uids, out: Floats) -> float:
    """Write a uniform of each candidate; return one of the decision."""
    for i in range(out.size):
        out[i] = uniform(key, uids[i], _LANE)
    return uniform(key, _COIN, 1)


@kernel
def _systematic(order: Columns, p: Floats, point: float, positions: Columns) -> None:
    """Lay the probabilities end to end in an order; take those that the points `u, u + 1, ...` fall on.

    Who has probability 1 is taken first: rounding must not drop them.
    """
    filled = 0
    for i in order:
        if p[i] >= 1.0 and filled < positions.size:
            positions[filled] = i
            filled += 1
    reached, spare = 0.0, -1
    for i in order:
        if p[i] >= 1.0 or p[i] <= 0.0:
            continue
        reached += p[i]
        if filled < positions.size and reached > point:
            positions[filled] = i
            filled += 1
            point += 1.0
        else:
            spare = i
    if filled < positions.size:  # the sum fell short of a whole number by a rounding
        positions[filled] = spare

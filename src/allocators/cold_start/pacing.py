"""Pacing: how much of a tick goes to the guaranteed floor, to whom the rest goes, and how hard the host must push."""

import numpy as np
from numpy.typing import NDArray

from ...bandits import Bandit
from ...bandits._table import Handles, columns_of
from .config import ColdStartConfig
from .reasons import BIT, Reason
from .stages import TIERS, Rooms, Stage, caps, is_live

Ints = NDArray[np.int64]
_EXTRA_ROUNDS = 4  # times `sub_rounds`, in which what capped rooms could not take is offered to others


def hand_out(
    config: ColdStartConfig,
    rooms: Rooms,
    bandit: Bandit,
    handles: Handles,
    now: float,
    available: int,
    reasons: Ints,
    scales: NDArray[np.float64] | None = None,
) -> tuple[Ints, int]:
    """Hand out a tick: first the floor of SEED, then the rest to the highest draws; note why in `reasons [K]`.

    `scales`, `[C]`, multiply the draws before they are ranked.

    Returns
    -------
    (grants, unmet)
        Exposures of each room, [C], and the demand of the floor that was not met.
    """
    columns = columns_of(handles)
    floor, demand = floor_grants(config, rooms, columns, bandit.uids(handles), now, available)
    room_for = np.minimum(caps(config, rooms, columns), config.tick_cap)
    sampled = sampled_grants(config, bandit, handles, room_for - floor, available - int(floor.sum()))
    grants = floor + sampled
    can_serve = room_for > 0
    has_ended = ~is_live(rooms, columns)
    reasons[columns[floor > 0]] |= BIT[Reason.FLOOR]
    reasons[columns[sampled > 0]] |= BIT[Reason.SAMPLED]
    left_out = Reason.NOT_SAMPLED if available > 0 else Reason.NOTHING_AVAILABLE
    reasons[columns[can_serve & (grants == 0)]] |= BIT[left_out]
    reasons[columns[~can_serve & ~has_ended]] |= BIT[Reason.AT_CAP]
    reasons[columns[has_ended]] |= rooms.why[columns[has_ended]]
    reasons[columns[floor < demand]] |= BIT[Reason.FLOOR_UNMET]
    return grants, int((demand - floor).sum())


def floor_grants(
    config: ColdStartConfig, rooms: Rooms, columns: Ints, uids: NDArray[np.uint64], now: float, available: int
) -> tuple[Ints, Ints]:
    """Share the floor among rooms in SEED, those with the least slack first.

    A room's demand is its quota not yet granted, over the ticks until its deadline, `front_load` times as much in the
    first half of its time.

    Returns
    -------
    (grants, demand)
        Exposures of each room, [C], and what it asked for; `seed_share` of the available exposures bounds the sum.
    """
    grants, demand = np.zeros(columns.size, np.int64), np.zeros(columns.size, np.int64)
    seeds = np.flatnonzero(rooms.stage[columns] == Stage.SEED)
    left = caps(config, rooms, columns[seeds])
    age = now - rooms.opened[columns[seeds]]
    ticks = np.maximum(np.ceil((config.seed_deadline - age) / config.tick_seconds), 1.0)
    front = np.where(age < config.seed_deadline / 2.0, config.front_load, 1.0)
    rate = left / ticks
    asked = np.minimum(np.ceil(rate * front).astype(np.int64), np.minimum(left, config.tick_cap))
    demand[seeds] = asked
    grants[seeds] = _urgent_first(asked, rate, uids[seeds], int(config.seed_share * available))
    return grants, demand


def _urgent_first(asked: Ints, rate: NDArray[np.float64], uids: NDArray[np.uint64], budget: int) -> Ints:
    """Share a budget among those who ask, `[C]`: the highest rates first, equals by uid.

    Only those at the rate where the budget ends need an order among themselves.
    """
    if asked.sum() <= budget:
        return asked
    order = np.argsort(-rate)
    ends = int(np.searchsorted(np.cumsum(asked[order]), budget, side="right"))
    last = rate[order[ends]]
    granted = np.where(rate > last, asked, 0)
    equals = np.flatnonzero((rate == last) & (asked > 0))
    left = budget - int(granted.sum())
    if left < equals.size:  # each asks for one at least
        equals = equals[np.argpartition(uids[equals], left)[: left + 1]]
    equals = equals[np.argsort(uids[equals])]
    before = np.cumsum(asked[equals]) - asked[equals]
    granted[equals] = np.clip(left - before, 0, asked[equals])
    return granted


def sampled_grants(config: ColdStartConfig, bandit: Bandit, handles: Handles, room_for: Ints, available: int) -> Ints:
    """Give exposures to the rooms of the highest posterior draws, in several rounds of draws.

    Parameters
    ----------
    handles
        Rows of the rooms, [C].
    room_for
        Exposures that each may still be granted in this tick, [C].
    available
        Exposures to give.

    Returns
    -------
    Exposures of each room, [C]; their sum falls short of `available` only where no room has room left.
    """
    grants = np.zeros(handles.size, np.int64)
    chunk = -(-config.tick_cap // config.sub_rounds)
    position_of = {handle: i for i, handle in enumerate(handles.tolist())}
    for turn in range((1 + _EXTRA_ROUNDS) * config.sub_rounds):
        takers = handles[grants < room_for]
        if available <= 0 or takers.size == 0:
            break
        offered = -(-available // max(config.sub_rounds - turn, 1))
        wanted_rooms = -(-offered // chunk) if turn < config.sub_rounds else takers.size
        ranked = bandit.select_rows(takers, k=min(takers.size, wanted_rooms)).rows
        chosen = np.array([position_of[handle] for handle in ranked.tolist()], np.int64)
        wanted = np.minimum(room_for[chosen] - grants[chosen], chunk)
        before = np.cumsum(wanted) - wanted
        given = np.clip(offered - before, 0, wanted)
        grants[chosen] += given
        available -= int(given.sum())
    return grants


def first_yield(config: ColdStartConfig, quota: Ints) -> tuple[NDArray[np.float64], float]:
    """Start of a room's yield estimate: half a tick's quota for half the first multiplier."""
    half_a_tick = 0.5 * config.tick_seconds / config.seed_deadline
    return np.asarray(quota * half_a_tick, np.float64), 0.5 * config.multiplier_first


def learn_yield(config: ColdStartConfig, rooms: Rooms, columns: Ints) -> None:
    """Learn what the last multipliers brought: `yielded <- d yielded + exposures`, `pushed` likewise.

    Counts, too, for how many ticks the multiplier stood at its upper bound and still did not bring what was granted.
    """
    at_max = (rooms.multiplier[columns] >= _highest(config, rooms, columns)) & is_live(rooms, columns)
    is_short = at_max & (rooms.in_flight[columns] > 0)
    rooms.ticks_at_max[columns] = np.where(is_short, rooms.ticks_at_max[columns] + 1, 0)
    pushed = columns[rooms.multiplier[columns] > 0.0]
    rooms.yielded[pushed] *= config.yield_memory
    observed = rooms.observed
    rooms.yielded[pushed] += observed[pushed] - rooms.seen[pushed]
    rooms.pushed[pushed] *= config.yield_memory
    rooms.pushed[pushed] += rooms.multiplier[pushed]
    rooms.seen[columns] = observed[columns]


def push(config: ColdStartConfig, rooms: Rooms, columns: Ints, served: NDArray[np.bool_], fade: float = 1.0) -> None:
    """Set the multipliers that will bring what is in flight: in flight over yield, within bounds.

    `fade` is the share that is left of their distance from 1, the host's own ranking, where the fleet is out of touch.

    0 where nothing is in flight, and for rooms that may not be served: blocked, stopped or exhausted ones.
    """
    wanted = np.where(served, rooms.in_flight[columns], 0).astype(np.float64)
    highest = _highest(config, rooms, columns)
    per_unit = np.maximum(rooms.yielded[columns] / rooms.pushed[columns], 1e-9)
    multiplier = np.clip(wanted / per_unit, config.multiplier_min, highest)
    if fade < 1.0:
        multiplier = 1.0 + fade * (multiplier - 1.0)
    multiplier = np.where(wanted > 0.0, multiplier, 0.0)
    rooms.multiplier[columns] = multiplier


def _highest(config: ColdStartConfig, rooms: Rooms, columns: Ints) -> NDArray[np.float64]:
    return np.where(rooms.tier[columns] == TIERS.index("S"), config.multiplier_max_s, config.multiplier_max)

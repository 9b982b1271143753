"""Handing out: how much of a tick goes to the guaranteed floor, and to whom the rest goes."""

import numpy as np
from numpy.typing import NDArray

from ...bandits import Bandit
from ...bandits._table import Handles, columns_of
from .config import ColdStartConfig
from .reasons import BIT, Reason
from .sampling import share_out
from .stages import Rooms, Stage, caps, is_live

Ints = NDArray[np.int64]


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
    sampled = share_out(
        bandit,
        handles,
        room_for - floor,
        available - int(floor.sum()),
        chunk=-(-config.tick_cap // config.sub_rounds),
        sub_rounds=config.sub_rounds,
        scales=scales,
    )
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

    A room's demand is `front_load` times its quota not yet granted over the ticks whose multipliers still bring what
    they bring before its deadline.

    Returns
    -------
    (grants, demand)
        Exposures of each room, [C], and what it asked for; `seed_share` of the available exposures bounds the sum.
    """
    grants, demand = np.zeros(columns.size, np.int64), np.zeros(columns.size, np.int64)
    seeds = np.flatnonzero(rooms.stage[columns] == Stage.SEED)
    left = caps(config, rooms, columns[seeds])
    age = now - rooms.opened[columns[seeds]]
    ticks = np.ceil((config.seed_deadline - age) / config.tick_seconds) - (config.multiplier_lag - 1)
    ticks = np.maximum(ticks, 1.0)
    rate = left / ticks
    asked = np.minimum(np.ceil(rate * config.front_load).astype(np.int64), np.minimum(left, config.tick_cap))
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

"""How a tick is decided: who is judged, who moves, who gets how much, and how hard each is pushed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...bandits._table import columns_of
from .handing_out import hand_out
from .overrides import Orders
from .plan import Columns, Plan
from .reasons import BIT, Reason
from .stages import Move, Stage, advance, extend, is_live, needed_evidence
from .yields import is_short

if TYPE_CHECKING:
    from .allocator import ColdStartAllocator

_ENOUGH = 100  # exposures of either kind of traffic before the two are compared


def plan(allocator: ColdStartAllocator, now: float, exposures: int, *, promotes: bool, fade: float) -> Plan:
    """Judge rooms with new evidence, hand out the tick, set the multipliers; under the lock, `now` being entered."""
    registry, rooms = allocator._registry, allocator._rooms
    _forget_overdue(allocator, now)
    allocator._overrides.expire(now)
    available = min(exposures, allocator.budget_available)
    ids, handles = registry.open_rooms()
    columns = columns_of(handles)
    reasons = np.zeros(rooms.stage.size, np.int64)
    if not promotes:
        reasons[columns] |= BIT[Reason.STALE]
    if registry.rules.settle(now):
        registry.follow_all_rules()
        reasons[columns] |= BIT[Reason.RULES_CHANGED]
    _judge(allocator, columns, now, reasons, promotes=promotes)
    registry.learn_yields(columns)
    reasons[columns[_is_mismatched(allocator, columns)]] |= BIT[Reason.MISMATCHED]
    keep = registry.eligibility.allows(registry.blocks, columns)
    reasons[columns[~keep]] |= BIT[Reason.BLOCKED]
    grants, floor_unmet, served = _grant(allocator, handles, keep, now, available, reasons, extends=promotes)
    multipliers = registry.push(columns, served, fade)
    short = columns[is_short(registry.paced, registry.yields, columns)]
    reasons[short] |= BIT[Reason.INSUFFICIENT_SUPPLY]
    rooms.reasons[columns] = reasons[columns]
    changes, allocator._changes = tuple(allocator._changes), []
    overrides, allocator._overrides.news = tuple(allocator._overrides.news), []
    return Plan(
        allocator.config,
        allocator.rules,
        ids,
        _plan_columns(allocator, columns, grants, multipliers, reasons),
        now=now,
        available=available,
        floor_unmet=floor_unmet,
        changes=changes,
        overrides=overrides,
    )


def _forget_overdue(allocator: ColdStartAllocator, now: float) -> None:
    ids, columns = allocator._registry.overdue(now)
    allocator._registry.forget(ids, columns)
    allocator._overrides.forget(ids, now)


def _is_mismatched(allocator: ColdStartAllocator, columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rooms whose exploration traffic stays far less than their organic one, `[C]`."""
    is_lower = np.zeros(columns.size, np.bool_)
    known = np.flatnonzero(allocator._rooms.organic[0, columns] >= _ENOUGH)
    some = columns[known]
    (shown, stayed), (own_shown, own_stayed) = allocator._rooms.counts[:2, some], allocator._rooms.organic[:, some]
    is_lower[known] = (shown >= _ENOUGH) & (stayed * own_shown < allocator.config.mismatch_below * own_stayed * shown)
    return is_lower


def _grant(
    allocator: ColdStartAllocator,
    handles: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    now: float,
    available: int,
    reasons: NDArray[np.int64],
    *,
    extends: bool,
) -> tuple[NDArray[np.int64], int, NDArray[np.bool_]]:
    """Hand out the tick: pins first, then floors and draws, then extensions of what is left; reserve it all.

    Returns
    -------
    (grants, unmet, served)
        Exposures, [C]; demand of the floor that was not met; rooms whose exposures in flight are wanted, [C].
    """
    rooms, config, bandit = allocator._rooms, allocator.config, allocator.bandit
    columns = columns_of(handles)
    orders = _orders(allocator, columns, allowed, reasons)
    grants = orders.pinned(available)
    keep = allowed & orders.is_free
    unspent = available - int(grants.sum())
    weights = allocator._registry.scales(columns, orders.weights)
    some = None if weights is None else weights[keep]
    grants[keep], floor_unmet = hand_out(config, rooms, bandit, handles[keep], now, unspent, reasons, some)
    is_spent = allocator.budget_available <= grants.sum()
    if is_spent:
        reasons[columns[keep & (grants == 0) & is_live(rooms, columns)]] |= BIT[Reason.BUDGET_SPENT]
    withheld = BIT[Reason.BUDGET_SPENT if is_spent else Reason.NOTHING_AVAILABLE]
    reasons[columns[(orders.pins > 0) & (grants == 0)]] |= withheld
    unspent = available - int(grants.sum())
    for moved in extend(config, rooms, columns[keep], unspent if extends else 0):
        _note(allocator, moved, now, reasons)
        reasons[moved.columns] &= ~BIT[Reason.CAP_REACHED]
        again = np.flatnonzero(np.isin(columns, moved.columns))
        some = None if weights is None else weights[again]
        grants[again] += hand_out(config, rooms, bandit, handles[again], now, unspent, reasons, some)[0]
    allocator._budget.reserve(allocator._spending, int(grants.sum()))
    rooms.granted[columns] += grants
    rooms.current[columns] += grants
    rooms.granted_at[columns[grants > 0]] = now
    return grants, floor_unmet, allowed & ~orders.is_killed & (is_live(rooms, columns) | (orders.pins > 0))


def _orders(
    allocator: ColdStartAllocator, columns: NDArray[np.int64], allowed: NDArray[np.bool_], reasons: NDArray[np.int64]
) -> Orders:
    """Orders in force as arrays over open rooms; note why. A stopped room takes none, an exhausted one pins."""
    orders = Orders(columns.size)
    in_force = allocator._overrides.in_force()
    if in_force:
        position_of = {column: i for i, column in enumerate(columns.tolist())}
        for column, override in zip(
            allocator._registry.columns(list(in_force)).tolist(), in_force.values(), strict=True
        ):
            position = position_of.get(column)
            if position is None or not allowed[position]:
                continue
            stage = allocator._rooms.stage[column]
            if stage <= Stage.SCALE or (stage == Stage.EXHAUSTED and override.kind == "pin"):
                reasons[column] |= BIT[orders.set(position, override)]
    return orders


def _plan_columns(
    allocator: ColdStartAllocator,
    columns: NDArray[np.int64],
    grants: NDArray[np.int64],
    multipliers: NDArray[np.float64],
    reasons: NDArray[np.int64],
) -> Columns:
    rooms = allocator._rooms
    return Columns(
        seed_quota=rooms.quota[columns],
        bucket=rooms.bucket[columns],
        stage=rooms.stage[columns],
        exposures=grants,
        traffic_multiplier=multipliers,
        probability=rooms.probability[columns],
        log_evidence=rooms.log_evidence[columns],
        evidence_needed=needed_evidence(allocator.config, rooms.restarts[columns]),
        reasons=reasons[columns],
    )


def _judge(
    allocator: ColdStartAllocator, columns: NDArray[np.int64], now: float, reasons: NDArray[np.int64], *, promotes: bool
) -> None:
    """Run the gates over rooms with new evidence, then move rooms between stages."""
    rooms, registry = allocator._rooms, allocator._registry
    changed = columns[rooms.is_new[columns]]
    if changed.size:
        registry.judge(changed)
    for moved in advance(allocator.config, rooms, columns, now, promotes=promotes):
        _note(allocator, moved, now, reasons)


def _note(allocator: ColdStartAllocator, moved: Move, now: float, reasons: NDArray[np.int64]) -> None:
    reasons[moved.columns] |= BIT[moved.reason]
    if moved.reason is Reason.PROMOTED:
        allocator._promoted += moved.columns.size
        allocator._doubt += float((1.0 - allocator._rooms.probability[moved.columns]).sum())
    allocator._changes += allocator._registry.changes(
        moved.columns, now, moved.before.name, moved.after.name, moved.reason
    )

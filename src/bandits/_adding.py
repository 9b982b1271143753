"""A bandit's sums: its own, which learning writes, and those of others, added up beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._decay import note_time
from ._learning import needed_move
from ._random import base_key
from ._sums import is_shared, note_others, put, take, width_of
from ._table import LANDMARK, Handles, Table
from .contributions import Slot
from .errors import MergeError

if TYPE_CHECKING:
    from .bandit import Bandit

ROUNDING = 1e-9  # relative, of sums that should not have shrunk


def check_additive(bandit: Bandit) -> None:
    """Refuse what has no additive form.

    Raises
    ------
    MergeError
        For EXP3, sliding windows and the hybrid model.
    """
    reason = why_not_additive(bandit)
    if reason is not None:
        raise MergeError(reason)


def why_not_additive(bandit: Bandit) -> str | None:
    """Why what the bandit learns is no sum over its events; None where it is one."""
    model = bandit._model
    if bandit._needs_propensity:
        return f"{bandit.policy.kind!r} weighs rewards by its own propensities, so that evidence does not add up"
    if model.window is not None:
        return "a sliding window is one replica's own order of events and does not add up; use half_life"
    if model.kind == "hybrid_linear":
        return "'hybrid_linear' learns its shared part net of each arm's own, which does not add up"
    return None


def own_slot(bandit: Bandit, *, hands_over: bool = False) -> tuple[Slot, float]:
    """What the bandit itself has learnt, and the latest time it knows. Under the lock."""
    ledger = bandit._ledger
    own = take(bandit._model, bandit._state, bandit.columns, hands_over=hands_over)
    resets, retracted = bandit._resets(), ledger.retracted.retracted
    if ledger.retracted.sums.size:
        rows = rows_of(bandit)
        retracted = ledger.retracted.longer(rows).net(np.arange(rows), own.landmark, resets)
    slot = Slot(own.events - ledger.others_events, own.landmark, own.sums, retracted, taken=ledger.taken)
    if resets is not None:
        slot = slot._replace(resets=resets)
    if not is_shared(bandit._model):
        for array in (array for array in slot[2:5] if array.size):
            array[bandit._arms.free] = 0  # what retired arms have left
    return slot, own.latest


def rows_of(bandit: Bandit) -> int:
    """Number of rows of sums."""
    return 1 if is_shared(bandit._model) else bandit.columns


def add_up(bandit: Bandit, rows: Handles, events: int, latest: float, *, derives: bool = True) -> None:
    """Make the others' sums anew for some rows, and what is derived from them. Under the lock."""
    make_room(bandit)
    note_others(bandit._table, float(events), latest)
    move_landmark(bandit, np.nan)
    while True:  # until no arm was restarted in between: learning takes no lock
        resets = bandit._resets()
        put(bandit._model, bandit._state, rows, others_of(bandit, rows, resets), derives=derives)
        since = bandit._resets()
        if resets is None or since is None or np.array_equal(resets, since):
            break


def others_of(bandit: Bandit, rows: Handles, resets: Handles | None) -> Table:
    """All but the own sums, of some rows. Under the lock."""
    ledger, total = bandit._ledger, rows_of(bandit)
    ledger.slots = {name: slot.longer(total) for name, slot in ledger.slots.items()}
    if ledger.retracted.sums.size:
        ledger.retracted = ledger.retracted.longer(total)
    return ledger.others(rows, float(bandit._table[LANDMARK, -1]), resets)


def make_room(bandit: Bandit) -> None:
    """Widen the blocks of a linear model for the others' sums, once. Under the lock."""
    if bandit._model.kind == "linear" and bandit._others_width == 0:
        bandit._others_width = width_of(bandit._model)
        bandit._grow(bandit._uids.size)


def or_never(landmark: float) -> float:
    """Order of landmarks, none before all others."""
    return -np.inf if np.isnan(landmark) else landmark


def bring_landmark(bandit: Bandit, landmark: float, latest: float) -> None:
    """Bring the landmark of forward decay to one that is later; nothing is rounded. Under the lock."""
    note_time(bandit._table, latest)  # first: ridges are made anew by the latest time known
    own = float(bandit._table[LANDMARK, -1])
    if np.isnan(own):
        bandit._table[LANDMARK, -1] = landmark
    elif landmark > own:
        _move(bandit, landmark - own)


def move_landmark(bandit: Bandit, at: float) -> None:
    """Move the landmark of forward decay where a time, NaN for the latest known, is too far ahead. Under the lock."""
    halvings = needed_move(bandit._table, at)
    if halvings > 0.0:
        _move(bandit, halvings)


def _move(bandit: Bandit, halvings: float) -> None:
    """Move the landmark; what was taken back before any time was known follows the sums that it is taken from."""
    retracted = bandit._ledger.retracted
    if np.isnan(retracted.landmark):
        bandit._ledger.retracted = retracted._replace(landmark=float(bandit._table[LANDMARK, -1]))
    bandit._model.move_landmark(bandit._state, halvings)


def rename(bandit: Bandit, replica: str, epoch: int) -> None:
    """Give a bandit a name that no decision was made under."""
    bandit.replica, bandit.epoch = replica, epoch
    bandit._base = base_key(bandit.seed, replica, epoch)
    bandit._counter[0] = 0

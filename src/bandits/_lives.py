"""The lives of a replica: each has a name, draws and a contribution of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._adding import add_up, make_room, own_slot, rename, rows_of, why_not_additive
from ._inputs import checked_int
from ._sums import give, width_of
from ._table import LANDMARK, RESOLVED, SHOWN
from .contributions import MAX_EPOCH, Slot, no_sums, rescale

if TYPE_CHECKING:
    from .bandit import Bandit


def reopen(bandit: Bandit, replica: str, epoch: int | None) -> None:
    """Go on under another name: the own slot is closed, draws and contribution start anew."""
    with bandit._lock:
        ledger = bandit._ledger
        first = max(ledger.next_epoch(replica), bandit.epoch + 1 if replica == bandit.replica else 0)
        epoch = checked_int(first if epoch is None else epoch, "epoch", first, MAX_EPOCH)
        has_acted = bandit.learnt or bandit._counter[0]  # under a name that must not be used again
        if has_acted and why_not_additive(bandit) is None:
            make_room(bandit)
            slot, _ = own_slot(bandit, hands_over=True)
            ledger.slots[bandit.replica, bandit.epoch] = slot
            ledger.retracted = no_sums(width_of(bandit._model))
            add_up(bandit, np.arange(rows_of(bandit)), 0, np.nan)
        ledger.whole, ledger.arranged, ledger.taken = None, 0, 0
        if replica != bandit.replica:  # it has shown nothing yet
            bandit.expire(float(np.finfo(float).max))
            bandit._table[SHOWN : RESOLVED + 1, :-1] = 0.0
        rename(bandit, replica, epoch)


def take_over(bandit: Bandit) -> None:
    """Count what earlier epochs of the replica learnt as the own."""
    with bandit._lock:
        ledger, landmark = bandit._ledger, float(bandit._table[LANDMARK, -1])
        earlier = [name for name in sorted(ledger.slots) if name[0] == bandit.replica and name[1] < bandit.epoch]
        if not earlier:
            return
        rows, resets = np.arange(rows_of(bandit)), bandit._resets()
        own, _ = own_slot(bandit)
        slots = [ledger.slots.pop(name).longer(rows.size) for name in earlier]
        none = np.zeros((0, width_of(bandit._model)))
        given, retracted = np.zeros((rows.size, none.shape[1])), np.zeros((rows.size, none.shape[1]))
        for slot in slots:
            given += slot._replace(retracted=none).net(rows, landmark, resets)
            if slot.retracted.size:
                retracted += slot._replace(sums=slot.retracted, retracted=none).net(rows, landmark, resets)
        if own.retracted.size:
            retracted += own.retracted * rescale(own.landmark, landmark)
        if retracted.any():
            ledger.retracted = Slot(0, landmark, retracted, none, own.resets)
        oldest = min(epoch - slot.taken for (_, epoch), slot in zip(earlier, slots, strict=True))
        ledger.taken = max(ledger.taken, bandit.epoch - oldest)
        ledger.whole = None
        make_room(bandit)
        give(bandit._model, bandit._state, given, resets)
        add_up(bandit, rows, 0, np.nan)

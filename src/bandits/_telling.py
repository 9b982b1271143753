"""What a bandit tells others: what it has learnt itself, and all that it has heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._adding import check_additive, own_slot, rows_of
from ._checkpointing import config_of
from ._inputs import checked_int
from ._sums import is_shared
from ._table import Handles, columns_of
from .arms import uid_array
from .contributions import Contribution, Slot, Whole, lengthen, rescale

if TYPE_CHECKING:
    from .bandit import Bandit


def contribution(bandit: Bandit, since: int | None) -> Contribution:
    """The bandit's own slot: whole, or what has changed since it had `since` events."""
    check_additive(bandit)
    since = None if since is None else checked_int(since, "since", 0)
    with bandit._lock:
        ledger, arms = bandit._ledger, bandit._arms
        slot, latest = own_slot(bandit)
        ids, columns, tombstones = list(arms.handle_of), columns_of(arms.live_handles()), list(arms.tombstones)
        generations, whole = np.array(arms.generations, np.int64), ledger.whole
        if since is not None and whole is not None and since >= whole.since and not is_shared(bandit._model):
            changed = _changed(slot, generations, whole)[columns]
            ids = [id for id, has_changed in zip(ids, changed.tolist(), strict=True) if has_changed]
            columns, start = columns[changed], whole.slot.seq
            tombstones = tombstones[max(0, whole.buried - arms.tombstones_dropped) :]
        else:
            start, buried = 0, arms.tombstones_dropped + len(tombstones)
            ledger.whole = Whole(slot, generations, buried, max(slot.seq, ledger.arranged + 1))
        return Contribution(
            config_of(bandit),
            ids,
            uid_array(tombstones, len(tombstones)),
            dict(ledger.priors),
            dict(ledger.pauses),
            latest,
            start,
            {(bandit.replica, bandit.epoch): slot if is_shared(bandit._model) else slot.at(columns)},
        )


def everything(bandit: Bandit) -> Contribution:
    """The own slot, and all that was heard of."""
    check_additive(bandit)
    with bandit._lock:
        ledger, arms, rows = bandit._ledger, bandit._arms, rows_of(bandit)
        slot, latest = own_slot(bandit)
        slots = {name: known.longer(rows) for name, known in ledger.slots.items()}
        if slot.seq:
            slots[bandit.replica, bandit.epoch] = slot
        if not is_shared(bandit._model):
            columns = columns_of(arms.live_handles())
            slots = {name: known.at(columns) for name, known in slots.items()}
        tombstones = uid_array(arms.tombstones, len(arms.tombstones))
        settings = dict(ledger.priors), dict(ledger.pauses)
        return Contribution(config_of(bandit), list(arms.handle_of), tombstones, *settings, latest, 0, slots)


def _changed(slot: Slot, generations: Handles, whole: Whole) -> Any:
    """Which columns are not as they were, `[rows]`; a landmark that moved is no change."""
    old = whole.slot.longer(slot.sums.shape[0])
    factor = rescale(old.landmark, slot.landmark)
    changed = lengthen(whole.generations + 1, generations.size) != generations + 1
    changed |= (slot.sums != old.sums * factor).any(axis=1)
    if slot.retracted.size:
        before = old.retracted * factor if old.retracted.size else 0.0
        changed |= (slot.retracted != before).any(axis=1)
    return changed | (slot.resets != old.resets) if slot.resets.size else changed

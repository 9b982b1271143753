"""Corrections: events that are taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._adding import ROUNDING, add_up, bring_landmark, check_additive, others_of, own_slot, rows_of
from ._sums import growing, is_shared
from ._table import LANDMARK, LATEST, Table, columns_of
from ._updating import is_batch
from .arms import checked_id, checked_ids
from .contributions import lengthen, rescale

if TYPE_CHECKING:
    from .bandit import Bandit


def correct(bandit: Bandit, arm: Any, reward: Any, weight: Any, context: Any, at: Any) -> None:
    """Take back events, all or nothing: they are added to sums of their own, which are subtracted."""
    check_additive(bandit)
    is_many = is_batch(arm)
    ids = checked_ids(arm, "arm", ordered=True) if is_many else [checked_id(arm, "arm")]
    with bandit._lock:
        ledger, table, model = bandit._ledger, bandit._table, bandit._model
        bandit._arms.handles(ids)
        scratch = type(bandit)(bandit.policy, arms=dict.fromkeys(ids))  # learns them, and they alone
        scratch._now = bandit._now
        scratch._table[LANDMARK, -1], scratch._table[LATEST, -1] = table[LANDMARK, -1], table[LATEST, -1]
        scratch.update(ids if is_many else ids[0], reward, weight, context, at)
        (taken, latest), (own, _) = own_slot(scratch), own_slot(bandit)
        rows = np.arange(1) if is_shared(model) else columns_of(bandit._arms.handles(scratch.arms))
        known = own.sums[rows] + others_of(bandit, rows, bandit._resets())
        lacks = _are_beyond(model, taken.sums, known * rescale(own.landmark, taken.landmark))
        if lacks.any():
            which = "the arms have" if is_shared(model) else f"arm {scratch.arms[int(lacks.argmax())]!r} has"
            raise ValueError(f"{which} not learnt as much as is taken back; nothing was changed")
        bring_landmark(bandit, taken.landmark, latest)
        landmark = float(table[LANDMARK, -1])
        retracted = lengthen(own.retracted, rows_of(bandit)) * rescale(own.landmark, landmark)
        retracted[rows] += taken.sums * rescale(taken.landmark, landmark)
        ledger.retracted = ledger.retracted._replace(landmark=landmark, sums=retracted, resets=own.resets)
        add_up(bandit, rows, len(ids), latest)


def _are_beyond(model: Any, amounts: Table, known: Table) -> NDArray[np.bool_]:
    """Which rows of amounts, `[B]`, cannot have been among what is known."""
    grows = growing(model)
    beyond = np.asarray((known[:, grows] < amounts[:, grows] * (1.0 - ROUNDING)).any(axis=1))
    if model.is_contextual:  # what is left must be a sum of squares still
        d = model.n_features
        for i in np.flatnonzero(~beyond).tolist():
            left = np.zeros((d, d))
            left[np.tril_indices(d)] = (known[i] - amounts[i])[:-d]
            try:
                np.linalg.cholesky(left + np.eye(d) * (ROUNDING * known[i][grows].sum() or 1.0))
            except np.linalg.LinAlgError:
                beyond[i] = True
    return beyond

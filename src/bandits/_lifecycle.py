"""How arms come, go, rest and start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._changes import new_buckets
from ._inputs import checked_float
from ._learning import set_prior
from ._random import ArmId
from ._sums import is_shared
from ._table import BELIEF, columns_of, occupy, vacate
from .arms import distinct, uid_array

if TYPE_CHECKING:
    from .bandit import Bandit


def add_arms(bandit: Bandit, ids: list[ArmId]) -> None:
    """Add new arms, which start from the prior."""
    with bandit._lock:
        arms, model = bandit._arms, bandit._model
        uids = arms.check_new(ids)
        bandit._ledger.arranged = bandit.learnt
        needed = arms.capacity_for(len(ids))
        if needed > bandit._uids.size:
            bandit._grow(max(needed, 2 * bandit._uids.size))
        handles = arms.assign(len(ids))
        bandit._uids[columns_of(handles)] = uid_array(uids, len(ids))
        block = model.newcomer_block() if bandit._is_contextual else new_buckets(bandit.change_detector)
        occupy(bandit._table, bandit._state.blocks, handles, model.newcomer()[:, None].copy(), block)
        arms.publish(ids, handles)


def retire_arms(bandit: Bandit, ids: list[ArmId]) -> None:
    """Forget arms for ever."""
    with bandit._lock:
        handles = bandit._arms.handles(ids)
        vacate(bandit._table, handles)
        bandit._arms.retire(ids)
        bandit._ledger.arranged = bandit.learnt
        bandit._ledger.forget(ids, columns_of(handles[:0] if is_shared(bandit._model) else handles))


def pause_arms(bandit: Bandit, ids: list[ArmId], *, is_paused: bool) -> None:
    """Take arms out of the choice, or back into it."""
    with bandit._lock:
        bandit._arms.pause(ids, is_paused)
        bandit._ledger.write(bandit._ledger.pauses, ids, (bandit.replica, bandit.epoch), [is_paused] * len(ids))


def warm_start(
    bandit: Bandit, ids: list[ArmId], strength: float, source: Iterable[ArmId] | None, mean: float | None
) -> None:
    """Give arms a prior like other arms, or of a given mean."""
    model, strength = bandit._model, checked_float(strength, "strength")
    if bandit.policy.terms != BELIEF:
        raise ValueError(f"{bandit.policy.kind!r} reads the evidence only, so that a prior would change nothing")
    if not 1e-6 <= strength <= 1e12:
        raise ValueError(f"strength = {strength} is not in [1e-6, 1e12]")
    if bandit._is_contextual:
        raise ValueError("warm_start is for models of counts; SharedLinear and HybridLinear carry over to new arms")
    if mean is not None and source is not None:
        raise ValueError("give a source or a mean, not both; nothing was changed")
    with bandit._lock:
        handles = bandit._arms.handles(ids)
        start = _pooled_mean(bandit, ids, source) if mean is None else checked_float(mean, "mean")
        prior = model.prior_like(np.full(len(ids), start), strength)
        model.check_prior(prior, _refuse)
        set_prior(bandit._table, handles, prior)
        bandit._ledger.write(bandit._ledger.priors, ids, (bandit.replica, bandit.epoch), prior.T.tolist())


def _pooled_mean(bandit: Bandit, ids: list[ArmId], source: Iterable[ArmId] | None) -> float:
    started = set(ids)
    given: Any = [id for id in bandit._handle_of if id not in started] if source is None else source
    means, weights, _ = bandit.evidence(distinct(given, "started"))
    if not weights.sum() > 0.0:
        raise ValueError("the source has no evidence to start from; nothing was changed")
    return float(np.average(means, weights=weights))


def _refuse(is_good: bool, what: str) -> None:
    if not is_good:
        raise ValueError(f"with this strength {what}; nothing was changed")

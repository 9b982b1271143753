"""What is asked for, looked up: the candidates of a request under the masks of a chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bandits import _updating
from ..bandits._deciding import checked_k
from ..bandits._inputs import checked_now
from ..bandits._random import ArmId, fold_in
from ..bandits._ranking import Ranking, uids_of
from ..bandits._table import columns_of
from ..bandits.arms import Offer
from ._terms import Terms
from .base import Floats, Request
from .chain import Chain

if TYPE_CHECKING:
    from .constrained import Constrained


class Query(NamedTuple):
    """Candidates that are not paused, their contexts, how many arms are wanted, of whom, when, and under which key.

    present: seconds, -inf where no time is known. time: what the bandit is asked at, NaN for its latest.
    """

    offered: Offer
    contexts: Floats | None
    k: int
    viewer: Mapping[str, Any]
    present: float
    time: float
    key: int


class Asked(NamedTuple):
    """A request under the masks: what is left of it, and what was dropped and relaxed."""

    request: Request
    ranking: Ranking
    ids: Sequence[ArmId]
    handles: NDArray[np.int64]
    dropped: dict[str, int]
    relaxed: list[str]


def query(
    owner: Constrained, ids: list[ArmId] | None, k: int, context: Any, now: float | None, viewer: Mapping[str, Any]
) -> Query:
    """Look candidates up and check what is asked; changes nothing. Under the locks."""
    bandit = owner.bandit
    present, time = times(owner, now)
    offered = bandit._arms.live(bandit._lock, bandit._version) if ids is None else bandit._arms.offered(ids)
    size = offered.handles.size
    wanted = min(checked_k(k, size + offered.dropped), size)
    contexts = _updating.checked_contexts(bandit, context, size + offered.dropped)
    rows = None if contexts is None else offered.rows_of(contexts)
    key = fold_in(bandit._base, int(bandit._counter[0]))
    return Query(offered, rows, wanted, viewer, present, time, key)


def times(owner: Constrained, now: float | None) -> tuple[float, float]:
    """The present, -inf where none is known, and the time that the bandit is asked at, NaN for its latest."""
    latest = owner.bandit._now
    if now is None:
        return -np.inf if latest is None else latest, float("nan")
    checked = checked_now(now, latest)
    return checked, checked


def masked(owner: Constrained, chain: Chain, asked: Query) -> Asked:
    """What is left of a request under the masks. Under the locks."""
    offered, contexts, k, viewer, present, time, key = asked
    ranking = Ranking(owner.bandit, offered.handles, offered.version, contexts, key, time)
    columns, uids = _names(owner, offered)
    request = Request(columns, uids, k, present, key, viewer, owner._attributes, ranking.means, ranking.means)
    left = chain.mask(request)
    dropped = {"paused": offered.dropped} if offered.dropped else {}
    if not left.dropped or left.keep is None:
        return Asked(request, ranking, offered.ids, offered.handles, dropped, left.relaxed)
    kept = np.flatnonzero(left.keep)
    ranking = ranking.among(kept)
    ids = [offered.ids[i] for i in kept.tolist()]
    means = ranking.means
    request = Request(
        columns[kept], uids[kept], min(k, kept.size), present, key, viewer, owner._attributes, means, means
    )
    return Asked(request, ranking, ids, offered.handles[kept], dropped | left.dropped, left.relaxed)


def peeked(
    owner: Constrained, ids: list[ArmId] | None, k: int, context: Any, now: float | None, viewer: Mapping[str, Any]
) -> tuple[Terms | None, NDArray[np.int64], int]:
    """Terms of a request that is only looked at, places of the eligible among all candidates, and their number.

    The constraints are asked through a copy of their states, as they may tidy up when time goes on.
    """
    given = list(owner.bandit._arms.handle_of) if ids is None else ids
    owner._fit()
    asked = query(owner, given, k, context, now, viewer)
    chain = owner._chain.twin()
    chain.fit(owner.bandit._uids.size, owner._attributes, asked.present)
    under = masked(owner, chain, asked)
    place = {id: i for i, id in enumerate(given)}
    kept = np.array([place[id] for id in under.ids], np.int64)
    return Terms(chain, under.request, under.ranking) if under.request.k else None, kept, len(given)


def _names(owner: Constrained, offered: Offer) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Columns and uids of candidates; those of all arms are looked up once."""
    if owner._live is None or owner._live[0] is not offered:
        names = columns_of(offered.handles), uids_of(owner.bandit, offered.handles)
        if offered.version < 0.0:
            return names
        owner._live = (offered, *names)
    return owner._live[1:]

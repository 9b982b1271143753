"""Many decisions in one call: one private copy of the arms in question, then a compiled loop without the GIL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._beliefs import gather
from ._deciding import checked_k, count
from ._inputs import checked_int, checked_now
from ._random import ArmId, fold_in_many
from ._table import EVENTS, STAMP, Handles, State, Table, Uids
from ._updating import advance
from .arms import Offer, checked_ids
from .models._linear_base import private_table
from .models._linear_cells import gather_linear
from .policies._rank import rank_many, rank_many_linear
from .records import Decision

if TYPE_CHECKING:
    from .bandit import Bandit

_NAN = float("nan")


def select_many(
    bandit: Bandit,
    candidates: Sequence[Iterable[ArmId]] | None,
    k: int,
    n: int | None,
    contexts: Any,
    now: float | None,
) -> list[Decision]:
    """Decide n requests; see `Bandit.select_many`."""
    time = _NAN if now is None else checked_now(now, bandit._now)
    if contexts is not None and not bandit._is_contextual:
        raise ValueError(f"the model {bandit._model.kind!r} takes no context; leave `contexts` out")
    size = _size(candidates, n, contexts)
    lists = None if candidates is None else _checked_lists(candidates)
    if size == 0:
        return []
    with bandit._lock:
        requests = _requests(bandit, lists, k, size)
        rows = _contexts(bandit, requests.offers, contexts) if bandit._is_contextual else None
        if bandit._is_timed:
            advance(bandit, time)
        private = _private(bandit, requests, time, rows)
        first = count(bandit._counter, size)
        if now is not None:
            bandit._now = time
    keys = np.empty(size, np.int64)
    fold_in_many(bandit._base, first, keys)
    positions, scores = np.zeros((size, requests.k), np.int64), np.zeros((size, requests.k))
    _run(bandit, requests, private, rows, keys, time, positions, scores)
    events = int(private.table[EVENTS, -1])
    return [
        _record(bandit, offered, first + i, int(keys[i]), positions[i], scores[i], events)
        for i, offered in enumerate(requests.offers)
    ]


class _Requests(NamedTuple):
    """What n requests offer: request i the columns `places[starts[i]:stops[i]]` of a table of the arms `used`."""

    offers: list[Offer]
    k: int
    used: Handles
    places: Handles
    starts: Handles
    stops: Handles
    version: float


class _Private(NamedTuple):
    """A copy of the arms in question, on which nothing else works."""

    table: Table
    blocks: Table
    shared: Table
    uids: Uids


class _Rows(NamedTuple):
    """The contexts of n requests: request i has the rows `starts[i] ... stops[i] - 1`."""

    values: Table
    starts: Handles
    stops: Handles


def _size(candidates: Sequence[Iterable[ArmId]] | None, n: int | None, contexts: Any) -> int:
    """Number of requests, which all that is given must agree on."""
    told = {}
    if n is not None:
        told["n"] = checked_int(n, "n", 0)
    for name, value in (("candidates", candidates), ("contexts", contexts)):
        if value is not None:
            if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
                raise ValueError(f"{name} must be a list, one entry a request; got {value!r:.60}")
            told[name] = len(value)
    if not told:
        raise ValueError("how many requests? pass n, candidates or contexts")
    if len(set(told.values())) > 1:
        sizes = ", ".join(f"{size} by {name}" for name, size in told.items())
        raise ValueError(f"the number of requests differs: {sizes}")
    return next(iter(told.values()))


def _checked_lists(candidates: Sequence[Iterable[ArmId]]) -> list[list[ArmId]]:
    lists = [checked_ids(ids, f"candidates[{i}]") for i, ids in enumerate(candidates)]
    for i, ids in enumerate(lists):
        if len(set(ids)) != len(ids):
            twin = next(id for j, id in enumerate(ids) if id in ids[:j])
            raise ValueError(f"candidate {twin!r} is given twice in candidates[{i}]; candidates must be distinct")
    return lists


def _requests(bandit: Bandit, lists: list[list[ArmId]] | None, k: int, size: int) -> _Requests:
    """Look up the candidates of all requests, and check k."""
    if lists is None:
        offered = bandit._arms.live(bandit._lock, bandit._version)
        k = checked_k(k, offered.handles.size + offered.dropped)
        starts = np.zeros(size, np.int64)
        every = np.arange(offered.handles.size)
        return _Requests([offered] * size, k, offered.handles, every, starts, starts + every.size, 0.0)
    offers = [bandit._arms.offered(ids) for ids in lists]
    for offered in offers:
        k = checked_k(k, offered.handles.size + offered.dropped)
    sizes = np.array([offered.handles.size for offered in offers])
    stops = np.cumsum(sizes)
    used, places = np.unique(np.concatenate([offered.handles for offered in offers]), return_inverse=True)
    return _Requests(offers, k, used, places.astype(np.int64), stops - sizes, stops, -1.0)


def _contexts(bandit: Bandit, offers: list[Offer], contexts: Any) -> _Rows:
    """Check the contexts of all requests, and lay them end to end."""
    model = bandit._model
    if contexts is None:
        raise ValueError(f"the model {model.kind!r} needs `contexts`, one a request")
    values = []
    for i, (context, offered) in enumerate(zip(contexts, offers, strict=True)):
        size = offered.handles.size + offered.dropped
        rows = offered.rows_of(model.checked_contexts(context, size, f"contexts[{i}]"))
        values.append(rows)
    sizes = np.array([rows.shape[0] for rows in values])
    stops = np.cumsum(sizes)
    return _Rows(np.ascontiguousarray(np.concatenate(values)), stops - sizes, stops)


def _private(bandit: Bandit, requests: _Requests, now: float, rows: _Rows | None) -> _Private:
    """Copy the arms in question. Under the lock."""
    state, used = bandit._state, requests.used
    table = private_table(used.size, state, bandit._model.family)
    uids = np.empty(used.size, np.uint64)
    if rows is None:
        gather(state.table, used, bandit._uids, now, table, uids)
        return _Private(table, state.blocks[:0], state.shared, uids)
    table[STAMP, :-1] = 0.0
    model = bandit._model
    blocks, shared = np.empty((used.size, state.blocks.shape[1])), np.empty(state.shared.size)
    ridge = (model.number, model.n_features, model.ridge)
    gather_linear(*state, used, bandit._uids, *ridge, table, blocks, shared, uids)
    return _Private(table, blocks, shared, uids)


def _run(
    bandit: Bandit,
    requests: _Requests,
    private: _Private,
    rows: _Rows | None,
    keys: Handles,
    now: float,
    positions: Handles,
    scores: Table,
) -> None:
    """Decide without the GIL."""
    policy, x_y = bandit.policy, bandit._numbers
    offered = (requests.places, requests.starts, requests.stops)
    if rows is None:
        rank_many(policy.rule, private.table, *offered, private.uids, keys, requests.version, *x_y, positions, scores)
        return
    model = bandit._model
    largest = int((requests.stops - requests.starts).max())
    work = private_table(largest, State(private.table, private.blocks, private.shared), model.family)
    rank_many_linear(
        policy.rule,
        private.table,
        private.blocks,
        private.shared,
        private.uids,
        requests.places,
        requests.starts,
        requests.stops,
        rows.values,
        rows.starts,
        rows.stops,
        model.n_features,
        model.ridge,
        policy.width,
        policy.draws,
        model.number,
        keys,
        now,
        *bandit._numbers,
        work,
        positions,
        scores,
    )


def _record(
    bandit: Bandit, offered: Offer, n: int, key: int, positions: Handles, scores: Table, events: int
) -> Decision:
    k = min(positions.size, offered.handles.size)
    return Decision(
        (bandit.replica, bandit.epoch, n),
        key,
        events,
        [offered.ids[position] for position in positions[:k].tolist()],
        offered.handles[positions[:k]],
        scores[:k].tolist(),
        {"paused": offered.dropped} if offered.dropped else {},
        None,
        bandit._is_deterministic,
    )

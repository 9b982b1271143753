"""How a bandit decides: candidates to handles, one kernel, a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._decay import note_time
from ._inputs import checked_int
from ._numba import kernel
from ._random import ArmId, fold_in
from ._table import BELIEF, EVENTS, STALE, Handles, State, Table, Uids
from .models._linear_base import pick_columns, private_table
from .records import Decision

if TYPE_CHECKING:
    from .bandit import Bandit

_NAN = float("nan")


@kernel
def count(counter: Handles, n: int) -> int:
    """Take the next n numbers; return the first."""
    counter[0] += n
    return counter[0] - n  # type: ignore[no-any-return]


def checked_k(k: Any, candidates: int) -> int:
    """Return k as an int in [1, candidates].

    Raises
    ------
    ValueError
        For another, or for no candidates.
    """
    if candidates == 0:
        raise ValueError("there are no candidates; add arms with `add_arms` first, or pass some")
    if type(k) is not int:
        k = checked_int(k, "k", 1)
    if not 1 <= k <= candidates:
        raise ValueError(f"k must be in [1, {candidates}], the candidates; got {k}")
    return int(k)


def terms(
    bandit: Bandit, state: State, handles: Handles, contexts: Table | None, key: int, now: float, *, draws: bool
) -> tuple[Table, Handles, Uids, float] | None:
    """What the kernels of the rule get for a contextual model: a private table, columns and uids; None when stale."""
    policy, model = bandit.policy, bandit._model
    private = private_table(handles.size, state, model.family)
    if model.fill(private, state, handles, contexts, key, now, policy.width, draws) == STALE:
        return None
    own = np.empty(handles.size, np.uint64)
    pick_columns(handles, bandit._uids, own)
    return private, np.arange(handles.size), own, 0.0


def readable(bandit: Bandit, handles: Handles) -> State:
    """The state for a read-out, which must change nothing: a copy where reading at a later time adds the ridge anew."""
    state = bandit._state
    if not (bandit._is_contextual and bandit._is_timed):
        return state
    blocks = state.blocks.copy() if state.blocks.shape[1] else state.blocks
    return state._replace(blocks=blocks, shared=state.shared.copy())


def run(
    bandit: Bandit,
    rule: Any,
    state: State,
    handles: Handles,
    version: float,
    contexts: Table | None,
    key: int,
    now: float,
    *out: Any,
) -> int:
    """Run a kernel of the rule; answer its status."""
    table, uids = state.table, bandit._uids  # in this order: growth publishes uids first
    if contexts is not None:
        private = terms(bandit, state, handles, contexts, key, now, draws=bandit.policy.draws)
        if private is None:
            return STALE
        table, handles, uids, version = private
    status: int = rule(table, handles, uids, key, version, now, *bandit._numbers, *out)
    return status


def decide(
    bandit: Bandit,
    ids: list[ArmId] | None,
    rows: Handles | None,
    k: int,
    context: Any,
    now: float,
    *,
    pending: bool,
    propensities: bool,
) -> Decision:
    """Rank and record; where the table moved or an arm was retired meanwhile, look the arms up again."""
    arms, n, contexts = bandit._arms, -1, None
    while True:
        if ids is not None:
            offered = arms.offered(ids)
        elif rows is not None:
            offered = arms.offered_rows(rows)
        else:
            offered = arms._live or arms.live(bandit._lock, bandit._version)
        names, handles, version, dropped = offered
        size = len(names)
        if dropped or type(k) is not int or not 1 <= k <= size:
            k = min(checked_k(k, size + dropped), size)
        if bandit._is_contextual:
            contexts = bandit._model.checked_contexts(context, size + dropped)
            if dropped and contexts.shape[0] > 1:
                contexts = _kept(bandit, ids, rows, contexts)
        if n < 0:
            if bandit._is_timed and now == now:
                note_time(bandit._table, now)
            n = count(bandit._counter, 1)
            key = fold_in(bandit._base, n)
        positions, scores = np.empty(k, np.int64), np.empty(k)
        if k == 0:  # all candidates are paused
            break
        status = run(bandit, bandit._best, bandit._state, handles, version, contexts, key, now, positions, scores)
        if status != STALE:
            break
        with bandit._lock:  # wait for the change to be published
            if rows is not None:
                bandit._check_current(rows)
    chosen = handles[positions]
    chances = None
    if propensities:
        chances = inclusion(bandit, handles, contexts, k, now)[positions].tolist() if k else []
    if pending and k:
        bandit._show(chosen, now)
    return Decision(
        (bandit.replica, bandit.epoch, n),
        key,
        int(bandit._table[EVENTS, -1]),
        [names[position] for position in positions.tolist()],
        chosen,
        scores.tolist(),
        {"paused": dropped} if dropped else {},
        chances,
        bandit._is_deterministic,
    )


def _kept(bandit: Bandit, ids: list[ArmId] | None, rows: Handles | None, contexts: Table) -> Table:
    """Rows of the contexts of those candidates that are not paused."""
    arms = bandit._arms
    names = [arms.id_at(h) for h in rows.tolist()] if rows is not None else list(arms.handle_of) if ids is None else ids
    return np.ascontiguousarray(contexts[[name not in arms.paused for name in names]])


def inclusion(bandit: Bandit, handles: Handles, contexts: Table | None, k: int, now: float) -> Table:
    """Probability that each candidate is among the k chosen, `[C]`."""
    policy: Any = bandit.policy
    model = bandit._model
    out: Table
    with bandit._lock:
        if policy.is_deterministic:
            positions, scores = np.empty(k, np.int64), np.empty(k)
            state = readable(bandit, handles)
            if run(bandit, bandit._best, state, handles, -1.0, contexts, 0, now, positions, scores) == STALE:
                bandit._check_current(handles)
            out = np.zeros(handles.size)
            out[positions] = 1.0
            return out
        uids = np.empty(handles.size, np.uint64)
        pick_columns(handles, bandit._uids, uids)
        if contexts is None:
            beliefs = model.beliefs(bandit._state, handles, now)
            if policy.terms != BELIEF:
                means, weights, _ = model.evidence(bandit._state, handles, now)
                beliefs[0] = means * weights
        else:
            if policy.draws and model.kind != "linear":
                raise ValueError(
                    f"draws of the model {model.kind!r} move together: their propensities have no exact integral; "
                    "use the model 'linear', or EpsilonGreedy or LinUCB with this one"
                )
            private = terms(bandit, readable(bandit, handles), handles, contexts, 0, now, draws=False)
            assert private is not None
            beliefs = np.ascontiguousarray(private[0][3:6, :-1])
    out = policy.inclusion(beliefs, model.family, uids, k)
    return out

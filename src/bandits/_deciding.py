"""How a bandit decides: candidates to handles, one kernel, a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _updating
from ._beliefs import gather
from ._inputs import checked_int
from ._numba import kernel
from ._random import ArmId, fold_in
from ._table import BELIEF, EVENTS, STALE, Handles, P, R, State, Table, Uids
from .models._linear_base import pick_columns, private_table
from .policies._lazy_linear import lazy_linear_best
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


class Private(NamedTuple):
    """What the kernels of a rule get: a table that nothing else works on, its columns, their uids and its version."""

    table: Table
    handles: Handles
    uids: Uids
    version: float


def private_of(
    bandit: Bandit, state: State, handles: Handles, contexts: Table | None, key: int, now: float, *, draws: bool
) -> Private | None:
    """Copy what a rule reads of the candidates, all of one moment; None where one of them is gone."""
    model = bandit._model
    table, uids = private_table(handles.size, state, model.family), np.empty(handles.size, np.uint64)
    if contexts is None:
        if not gather(state.table, handles, bandit._uids, now, table, uids):
            return None
    else:
        if model.fill(table, state, handles, contexts, key, now, bandit.policy.width, draws) == STALE:
            return None
        pick_columns(handles, bandit._uids, uids)
    return Private(table, np.arange(handles.size), uids, 0.0)


def readable(bandit: Bandit) -> State:
    """The state for a read-out, which must change nothing: a copy where reading at a later time adds the ridge anew."""
    state = bandit._state
    if bandit._is_contextual and bandit._is_timed:
        return state._replace(blocks=state.blocks.copy(), shared=state.shared.copy())
    return state


def read(bandit: Bandit, handles: Handles, contexts: Table | None, key: int, now: float, *, draws: bool) -> Private:
    """The same for a read-out. Under the lock."""
    private = private_of(bandit, readable(bandit), handles, contexts, key, now, draws=draws)
    if private is None:
        bandit._check_current(handles)
    assert private is not None
    return private


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
    arms, n, contexts, policy = bandit._arms, -1, None, bandit.policy
    private: Private | None = None
    while True:
        if ids is not None:
            offered = arms.offered(ids)
        elif rows is not None:
            offered = arms.offered_rows(rows)
        else:
            offered = arms._live or arms.live(bandit._lock, bandit._version)
        names, handles, version, dropped, _ = offered
        size = len(names)
        if dropped or type(k) is not int or not 1 <= k <= size:
            k = min(checked_k(k, size + dropped), size)
        if bandit._is_contextual:
            contexts = offered.rows_of(bandit._model.checked_contexts(context, size + dropped))
        if n < 0:
            if propensities:
                check_exact(bandit, k, size)
            if bandit._is_timed:
                _updating.advance(bandit, now)
            n = count(bandit._counter, 1)
            key = fold_in(bandit._base, n)
        positions, scores = np.empty(k, np.int64), np.empty(k)
        if k == 0:  # all candidates are paused
            break
        state, uids = bandit._state, bandit._uids  # in this order: growth publishes uids first
        if contexts is None and not propensities:
            status = bandit._best(state.table, handles, uids, key, version, now, *bandit._numbers, positions, scores)
        elif bandit._reach is not None and contexts is not None and not propensities:
            status = lazy_linear_best(*state[:2], handles, uids, contexts, key, *bandit._reach, positions, scores)
        else:
            private, status = private_of(bandit, state, handles, contexts, key, now, draws=policy.draws), STALE
            if private is not None:
                status = bandit._best(*private[:3], key, private.version, now, *bandit._numbers, positions, scores)
        if status != STALE:
            break
        with bandit._lock:  # wait for the change to be published
            if rows is not None:
                bandit._check_current(rows)
    chosen = handles[positions]
    chances = None
    if propensities:
        chances = inclusion(bandit, private, k)[positions].tolist() if private is not None else []
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


def check_exact(bandit: Bandit, k: int, candidates: int) -> None:
    """Refuse where the rule has no exact propensities.

    Raises
    ------
    ValueError
        For draws that move together, and where the rule says so.
    """
    model = bandit._model
    if bandit.policy.draws and model.is_contextual and model.kind != "linear":
        raise ValueError(
            f"draws of the model {model.kind!r} move together: their propensities have no exact integral; "
            "use the model 'linear', or EpsilonGreedy or LinUCB with this one"
        )
    bandit.policy.check_exact(k, candidates)


def inclusion(bandit: Bandit, private: Private, k: int) -> Table:
    """Probability that each candidate is among the k chosen, `[C]`."""
    policy, table = bandit.policy, private.table
    out: Table
    if policy.is_deterministic:
        positions, scores = np.empty(k, np.int64), np.empty(k)
        bandit._best(*private[:3], 0, private.version, _NAN, *bandit._numbers, positions, scores)
        out = np.zeros(private.handles.size)
        out[positions] = 1.0
        return out
    beliefs = np.ascontiguousarray(table[P : R + 1, :-1])
    if policy.terms != BELIEF:  # sums of rewards in place of means
        beliefs[0] = np.where(beliefs[2] > 0.0, beliefs[0], 0.0) * beliefs[2]  # untried arms have an infinite mean
    out = policy.inclusion(beliefs, bandit._model.family, private.uids, k)
    return out

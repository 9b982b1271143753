"""How a bandit learns where the plain single update does not do: batches, contexts, times, and errors that say why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._adding import move_landmark
from ._decay import note_time
from ._inputs import checked_at, checked_float, checked_floats
from ._learning import check_batch, needed_move, update_batch, update_many_timed, update_one, update_timed
from ._random import ArmId
from ._table import BAD_REWARD, BAD_WEIGHT, CHANGED, FAR_AHEAD, MAX_WEIGHT, OK, STALE, Handles, Table
from .arms import checked_id
from .errors import StaleRowsError
from .models.linear import check_many
from .records import Change

if TYPE_CHECKING:
    from .bandit import Bandit

_CHUNK = 8_192  # events that one kernel call applies while it holds the GIL
_CHUNK_OF_NUMBERS = 1_000_000  # the same for linear models, in numbers of their blocks
_NOBODY = -1  # a handle that no arm has
_NAN = float("nan")
_FLOAT64 = np.dtype(np.float64)
NO_TIME = np.array([_NAN])


def is_batch(arm: Any) -> bool:
    """Whether several ids were given rather than one."""
    return not isinstance(arm, str | bytes | int | np.integer) and np.iterable(arm)


def update_single(bandit: Bandit, arm: Any, reward: Any, weight: Any, context: Any, at: Any, propensity: Any) -> None:
    """Learn one event, all of it checked."""
    if (  # all is of the types that the kernel of a linear model takes as they are; it checks the values
        type(context) is np.ndarray
        and context.dtype is _FLOAT64
        and context.shape == bandit._shape
        and context.flags.carray
        and type(reward) is type(weight) is float
        and (type(arm) is str or type(arm) is int)
        and at is propensity is None
    ):
        learn_one, ridge = bandit._learning
        if not learn_one(*bandit._state, bandit._handle_of.get(arm, _NOBODY), reward, weight, context, _NAN, ridge):
            return  # else there is something wrong, or the landmark must move
    arm = checked_id(arm, "arm") if type(arm) is not str and type(arm) is not int else arm
    contexts = checked_contexts(bandit, context, 1)
    time = _NAN
    if at is not None:
        time = checked_float(at, "at")
        checked_at(time, 1, bandit._now)
    reward, weight = checked_float(reward, "reward"), checked_float(weight, "weight")
    if propensity is not None or bandit._needs_propensity:
        weight = _importance(bandit, weight, propensity, arm)
    context = None if contexts is None else contexts[0]
    note = np.empty(2)
    status = _learn_one(bandit, bandit._handle_of.get(arm, _NOBODY), reward, weight, context, time, note)
    if status not in (OK, CHANGED):
        with bandit._lock:  # with the structure locked, the reason is certain
            handle = bandit._handle_of.get(arm)
            if handle is None:
                raise bandit._arms.unknown(arm)
            if status == FAR_AHEAD:
                move_landmark(bandit, time)
            status = _learn_one(bandit, handle, reward, weight, context, time, note)
            if status not in (OK, CHANGED):
                raise bad_event(bandit, status, "", arm, reward, weight)
    if status == CHANGED:
        _note_change(bandit, arm, time, note)


def _learn_one(
    bandit: Bandit, handle: int, reward: float, weight: float, context: Table | None, at: float, note: Table
) -> int:
    state = bandit._state
    status: int
    if context is not None:
        learn_one, ridge = bandit._learning
        status = learn_one(*state, handle, reward, weight, context, at, ridge)
    elif bandit._is_timed:
        bucket, log_delta = bandit._detection
        status = update_timed(
            state.table, state.blocks, bandit._ring, handle, reward, weight, at, bucket, log_delta, note
        )
    else:
        status = update_one(state.table, handle, reward, weight)
    return status


def update_many(
    bandit: Bandit,
    ids: list[ArmId] | None,
    rows: Handles | None,
    rewards: Any,
    weight: Any,
    context: Any,
    at: Any,
    propensity: Any,
) -> None:
    """Learn a batch, all or nothing."""
    size = len(ids) if ids is not None else 0 if rows is None else rows.size
    ats = NO_TIME
    if at is not None:
        checked_at(at, size, bandit._now)
        ats = np.atleast_1d(np.asarray(at, np.float64)).copy()
    rewards = checked_floats(rewards, "rewards", size)
    contexts = checked_contexts(bandit, context, size)
    one_weight = np.ndim(weight) == 0
    weights = np.array([checked_float(weight, "weight")]) if one_weight else checked_floats(weight, "weight", size)
    if one_weight and not 0.0 <= weights[0] <= MAX_WEIGHT:
        raise _bad_weight(f"weight = {weights[0]}")
    with bandit._lock:
        handles = bandit._arms.handles(ids) if ids is not None else rows
        assert handles is not None
        if size and (propensity is not None or bandit._needs_propensity):
            weights = _importances(bandit, weights, propensity, handles)
        table = bandit._table
        if contexts is None:
            status, i = check_batch(table, handles, rewards, weights)
        else:
            status, i = check_many(table, handles, rewards, weights)
        if status == STALE:
            raise stale(i)
        if status:
            arm = bandit._arms.id_at(int(handles[i]))
            raise bad_event(bandit, status, f"s[{i}]", arm, float(rewards[i]), float(weights[i % weights.size]))
        if size:
            move_landmark(bandit, float(ats.max()))
            _learn_many(bandit, handles, rewards, weights, contexts, ats)


def _learn_many(
    bandit: Bandit, handles: Handles, rewards: Table, weights: Table, contexts: Table | None, ats: Table
) -> None:
    """Apply a checked batch, in chunks during which the GIL is held."""
    state, size = bandit._state, handles.size
    if contexts is not None:
        model = bandit._model
        chunk = max(1, _CHUNK_OF_NUMBERS // max(1, model.width**2))
        learnt = (state.table, state.blocks, state.shared, handles, rewards, weights, contexts, ats, model.ridge)
        for start in range(0, size, chunk):
            model.learn_many(*learnt, start, min(start + chunk, size))
    elif bandit._is_timed:
        bucket, log_delta = bandit._detection
        notes = np.zeros((size, 2))
        timed = (state.table, state.blocks, bandit._ring, handles, rewards, weights, ats, bucket, log_delta, notes)
        for start in range(0, size, _CHUNK):
            update_many_timed(*timed, start, min(start + _CHUNK, size))
        for i in np.flatnonzero(notes[:, 0]).tolist():
            arm = bandit._arms.id_at(int(handles[i]))
            if arm is not None:
                _note_change(bandit, arm, float(ats[i if ats.size > 1 else 0]), notes[i])
    else:
        for start in range(0, size, _CHUNK):
            update_batch(state.table, handles, rewards, weights, start, min(start + _CHUNK, size))


def checked_contexts(bandit: Bandit, context: Any, size: int) -> Table | None:
    """Return contexts `[1, d]` or `[size, d]`, or None for a model without."""
    if bandit._is_contextual:
        contexts: Table = bandit._model.checked_contexts(context, size)
        return contexts
    if context is not None:
        raise ValueError(f"the model {bandit._model.kind!r} takes no context; leave it out")
    return None


def _importance(bandit: Bandit, weight: float, propensity: Any, arm: ArmId) -> float:
    """Weight over the propensity of the choice."""
    if not bandit._needs_propensity:
        raise ValueError(f"{bandit.policy.kind!r} learns without propensities; leave `propensity` out")
    if propensity is None:
        live = bandit._live_ids()
        if arm not in bandit._handle_of:
            raise bandit._arms.unknown(arm)
        if arm in bandit._arms.paused:
            raise ValueError(f"arm {arm!r} is paused, so that its propensity is not known; pass `propensity`")
        return weight / float(bandit.propensities(live)[live.index(arm)])
    value = checked_float(propensity, "propensity")
    if not 0.0 < value <= 1.0:
        raise ValueError(f"propensity = {value} is not in (0, 1]")
    return weight / value


def _importances(bandit: Bandit, weights: Table, propensity: Any, handles: Handles) -> Table:
    """Weights over the propensities of a batch's choices, `[B]`."""
    if not bandit._needs_propensity:
        raise ValueError(f"{bandit.policy.kind!r} learns without propensities; leave `propensity` out")
    if propensity is None:
        raise ValueError(f"a batch of {bandit.policy.kind!r} needs `propensity`, the probability of each choice")
    one = np.ndim(propensity) == 0
    chances = np.array([checked_float(propensity, "propensity")]) if one else propensity
    chances = checked_floats(chances, "propensity", 1 if one else handles.size)
    wrong = ~((chances > 0.0) & (chances <= 1.0))
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"propensity[{i}] = {chances[i]} is not in (0, 1]")
    return np.broadcast_to(weights / chances, handles.shape).copy()  # writable, as kernels expect


def advance(bandit: Bandit, now: float) -> None:
    """Take notice of the present, where one is given, before a decision of a bandit that forgets."""
    if now == now:
        note_time(bandit._table, now)
        if needed_move(bandit._table, now) > 0.0:
            with bandit._lock:
                move_landmark(bandit, now)


def _note_change(bandit: Bandit, arm: ArmId, at: float, note: Table) -> None:
    """Record that an arm was restarted."""
    with bandit._lock:
        bandit._changes.append(Change(arm, None if at != at else at, int(note[0]), float(note[1])))


def bad_event(bandit: Bandit, status: int, index: str, arm: ArmId | None, reward: float, weight: float) -> ValueError:
    """Error for an event that a kernel refused."""
    if status == BAD_WEIGHT:
        return _bad_weight(f"weight{index} = {weight} of arm {arm!r}")
    assert status == BAD_REWARD, status
    return ValueError(f"reward{index} = {reward} of arm {arm!r} is not in {bandit._model.support}")


def _bad_weight(what: str) -> ValueError:
    return ValueError(f"{what} is not in [0, {MAX_WEIGHT:g}]")


def stale(i: int) -> StaleRowsError:
    """Error for a row whose arm is gone."""
    return StaleRowsError(f"rows[{i}] is of an arm that was retired or never was; ask `rows` again")

"""How bandits that learnt apart become one: what others tell is checked, and joined with what is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checkpointing, contributions
from ._adding import (
    ROUNDING,
    add_up,
    bring_landmark,
    check_additive,
    or_never,
    own_slot,
    rename,
    rows_of,
)
from ._learning import set_prior
from ._random import uid64
from ._sums import growing, is_shared, restart
from ._table import Handles, Table, columns_of
from ._telling import everything
from .arms import uid_array
from .checkpoint import Checkpoint, unpack
from .contributions import Contribution, Name, Slot, is_taken, lengthen, newer, rescale, taken_by
from .errors import MergeError

if TYPE_CHECKING:
    from .bandit import Bandit

_TINY = 1e-290  # the same as ROUNDING, absolute


def opened(cls: type[Bandit], source: Any) -> Bandit | Checkpoint:
    """A bandit as it is or from its checkpoint, or the checkpoint of a contribution.

    Raises
    ------
    CheckpointError
        For anything else.
    """
    if isinstance(source, cls):
        return source
    checkpoint = unpack(source, (_checkpointing.KIND, contributions.KIND), _checkpointing.MIGRATIONS)
    return _checkpointing.built(cls, checkpoint) if checkpoint.kind == _checkpointing.KIND else checkpoint


def told_by(bandit: Bandit, source: Bandit | Checkpoint) -> Contribution:
    """What a bandit or a contribution tells this one.

    Raises
    ------
    MergeError
        For another policy, model or change detector, and what does not add up.
    """
    if not isinstance(source, Checkpoint):
        told = everything(source)
        _check_config(bandit, told.config)
        return told
    _check_config(bandit, source.config)
    model = bandit._model
    form = _checkpointing.form_of(bandit, 1 if is_shared(model) else 0, np.nan)
    half_life: float | None = model.half_life
    return contributions.from_checkpoint(source, form, half_life, lambda values: _checkpointing.is_prior(model, values))


def _check_config(bandit: Bandit, config: dict[str, Any]) -> None:
    own = _checkpointing.config_of(bandit)
    if config != own:
        raise MergeError(f"only bandits of one configuration merge: {config} is not {own}; nothing was merged")


def absorb(bandit: Bandit, source: Any) -> None:
    """Take in what another tells, all or nothing."""
    check_additive(bandit)
    told = told_by(bandit, opened(type(bandit), source))
    with bandit._lock:
        check_slots(bandit, told)
        _take_in(bandit, told)


def check_slots(bandit: Bandit, told: Contribution) -> None:
    """Refuse slots that contradict those known. Under the lock.

    Raises
    ------
    MergeError
        Where two bandits go by one name, or a delta starts beyond what is known.
    """
    own_name = bandit.replica, bandit.epoch
    if is_taken(own_name, taken_by(told.slots)):
        raise MergeError(
            f"{_shown(own_name)} is this bandit, and a later life of it has taken over: what is learnt here would not "
            "count; stop this process, or go on under another name with `reopen`"
        )
    places, columns = _located(bandit, told)
    for name, slot in told.slots.items():
        if _is_known(bandit, name):
            continue
        known = own_slot(bandit)[0] if name == own_name else bandit._ledger.slots.get(name)
        seq = 0 if known is None else known.seq
        if told.since > seq:
            raise MergeError(
                f"this contribution of {_shown(name)} adds to its event {told.since}, but only {seq} are known here; "
                "ask for a whole one (`contribution()` without since)"
            )
        if name == own_name and slot.seq > seq:
            raise MergeError(
                f"{_shown(name)} is this bandit, of {seq} events, yet {slot.seq} are told of it: two go by one name, "
                "or this one was resumed from an older checkpoint; resume with from_bytes(blob, replica=...)"
            )
        if known is not None:
            if is_shared(bandit._model):
                here, there = known, slot
            else:
                here, there = known.longer(bandit.columns).at(columns), slot.at(places)
            _check_continues(bandit._model, name, here, there)


def _is_known(bandit: Bandit, name: Name) -> bool:
    """Whether a later life of a replica holds what it learnt in this one. Under the lock."""
    return is_taken(name, bandit._ledger.taken_by_all((bandit.replica, bandit.epoch)))


def _located(bandit: Bandit, told: Contribution) -> tuple[Handles, Handles]:
    """Places of those told ids that are live here, and their columns."""
    handles = np.array([bandit._handle_of.get(id, -1) for id in told.ids], np.int64)
    places = np.flatnonzero(handles >= 0)
    return places, columns_of(handles[places])


def _check_continues(model: Any, name: Name, here: Slot, there: Slot) -> None:
    """Refuse two slots of one name of which the one with more events does not continue the other."""
    if np.isnan(here.landmark) != np.isnan(there.landmark):  # one is of before any time was known to it
        return
    older, newer_ = (here, there) if here.seq <= there.seq else (there, here)
    comparable = older.resets == newer_.resets if older.resets.size else slice(None)
    grows, landmark = growing(model), max(here.landmark, there.landmark)
    before = older.sums[comparable][:, grows] * rescale(older.landmark, landmark)
    after = newer_.sums[comparable][:, grows] * rescale(newer_.landmark, landmark)
    has_shrunk = (older.seq < newer_.seq and newer_.landmark < older.landmark) or _are_less(after, before)
    if has_shrunk or (older.seq == newer_.seq and _are_less(before, after)):
        raise MergeError(
            f"two bandits both call themselves {_shown(name)}, and neither continues the other: name each, with "
            "Bandit(..., replica=...) or from_bytes(blob, replica=...); nothing was merged"
        )


def _are_less(sums: Table, than: Table) -> bool:
    """Whether a sum is less than another by more than rounding; the smallest numbers of all have no digits left."""
    return bool((sums < than * (1.0 - ROUNDING) - _TINY).any())


def _shown(name: Name) -> str:
    return f"replica {name[0]!r}, epoch {name[1]}"


def _take_in(bandit: Bandit, told: Contribution) -> None:
    """Join what is told with what is known. Under the lock."""
    _join_arms(bandit, told)
    ledger, (places, columns) = bandit._ledger, _located(bandit, told)
    news = {
        name: slot
        for name, slot in told.slots.items()
        if name != (bandit.replica, bandit.epoch)
        and not _is_known(bandit, name)
        and (name not in ledger.slots or slot.seq > ledger.slots[name].seq)
    }
    rows, before = rows_of(bandit), ledger.others_events
    ledger.slots = {name: slot.longer(rows) for name, slot in ledger.slots.items()}
    for name, slot in news.items():
        if not is_shared(bandit._model):
            slot = _aligned(slot.at(places), columns, rows, ledger.slots.get(name), told.since)
        ledger.slots[name] = slot
    if news:
        ledger.drop_taken()
        touched = np.arange(1) if is_shared(bandit._model) else columns if told.since else np.arange(rows)
        _follow(bandit, touched, told.latest)
        add_up(bandit, touched, ledger.others_events - before, told.latest)
    else:
        add_up(bandit, np.arange(0), 0, told.latest)


def _join_arms(bandit: Bandit, told: Contribution) -> None:
    """Arms and settings that others have: a retired arm stays retired, everywhere."""
    arms, ledger = bandit._arms, bandit._ledger
    buried = set(told.tombstones.tolist()) - arms.tombstones.keys()
    if buried:
        columns = columns_of(arms.live_handles())
        is_buried = np.isin(bandit._uids[columns], uid_array(buried, len(buried))).tolist()
        dead = [id for id, is_dead in zip(arms.handle_of, is_buried, strict=True) if is_dead]
        if dead:
            bandit.retire_arms(dead)
        arms.bury(buried.difference(map(uid64, dead)))
        ledger.arranged = bandit.learnt
    new = [id for id in told.ids if id not in arms.handle_of and uid64(id) not in arms.tombstones]
    if new:
        bandit.add_arms(new)
    priors = {id: write for id, write in newer(ledger.priors, told.priors).items() if id in arms.handle_of}
    pauses = {id: write for id, write in newer(ledger.pauses, told.pauses).items() if id in arms.handle_of}
    ledger.settle(ledger.priors, priors)
    ledger.settle(ledger.pauses, pauses)
    if priors:
        values = np.array([write.value for write in priors.values()], np.float64).T.copy()
        set_prior(bandit._table, arms.handles(list(priors)), values)
    for is_paused in (True, False):
        ids = [id for id, write in pauses.items() if write.value is is_paused]
        if ids:  # else the list of arms that may be chosen would be made anew for nothing
            arms.pause(ids, is_paused)


def _aligned(slot: Slot, columns: Handles, rows: int, known: Slot | None, since: int) -> Slot:
    """A slot by the bandit's columns; a delta over what is known of it."""
    width = slot.sums.shape[1]
    out = slot._replace(sums=np.zeros((rows, width)), retracted=np.zeros((0, width)))
    has_retracted = slot.retracted.size or (since and known is not None and known.retracted.size)
    if has_retracted:
        out = out._replace(retracted=np.zeros((rows, width)))
    if slot.resets.size:
        out = out._replace(resets=np.zeros(rows, np.int64))
    if since and known is not None:
        known = known.longer(rows)
        factor = rescale(known.landmark, slot.landmark)
        out.sums[:] = known.sums * factor
        if known.retracted.size:
            out.retracted[:] = known.retracted * factor
        if known.resets.size:
            out.resets[:] = known.resets
    out.sums[columns] = slot.sums
    if out.retracted.size:
        out.retracted[columns] = slot.retracted if slot.retracted.size else 0.0
    if slot.resets.size:
        out.resets[columns] = slot.resets
    return out


def _follow(bandit: Bandit, rows: Handles, told_latest: float) -> None:
    """Restart arms that others have restarted, and bring the landmark to others' latest. Under the lock."""
    ledger, table = bandit._ledger, bandit._table
    own = bandit._resets()
    if own is not None:
        latest = own[rows]
        for slot in ledger.slots.values():
            latest = np.maximum(latest, lengthen(slot.resets, rows_of(bandit))[rows])  # arms may be new
        behind = latest > own[rows]
        if behind.any():
            restart(table, bandit._state.blocks, rows[behind], latest[behind])
            ledger.arranged = bandit.learnt
    landmark = max((slot.landmark for slot in ledger.slots.values()), key=or_never, default=np.nan)
    bring_landmark(bandit, landmark, told_latest)


def merge(cls: type[Bandit], sources: Iterable[Any], replica: str) -> Bandit:
    """One bandit that has learnt what all have."""
    given = [opened(cls, source) for source in sources]
    first = next((source for source in given if not isinstance(source, Checkpoint)), None)
    if first is None:
        raise MergeError("there is no bandit to merge; pass bandits or their checkpoints, one at least")
    bandit = cls(first.policy, seed=first.seed, replica=replica, change_detector=first.change_detector)
    check_additive(bandit)
    told = sorted((told_by(bandit, source) for source in given), key=lambda each: each.since)  # deltas last
    rename(bandit, replica, 1 + max((e for each in told for r, e in each.slots if r == replica), default=-1))
    for each in told:
        check_slots(bandit, each)
        _take_in(bandit, each)
    return bandit

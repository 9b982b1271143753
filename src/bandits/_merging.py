"""How bandits that learnt apart become one: contributions taken and taken in, forks, corrections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _checkpointing, contributions
from ._adding import (
    add_up,
    bring_landmark,
    check_additive,
    make_room,
    or_never,
    others_of,
    own_slot,
    rename,
    rows_of,
    why_not_additive,
)
from ._inputs import checked_int
from ._learning import set_prior
from ._random import ArmId, uid64
from ._sums import growing, is_shared, restart, take, width_of
from ._table import LANDMARK, LATEST, RESOLVED, SHOWN, Handles, columns_of
from ._updating import is_batch
from .arms import uid_array
from .checkpoint import Checkpoint, unpack
from .contributions import MAX_EPOCH, Contribution, Name, Slot, Write, lengthen, newer, rescale
from .errors import MergeError

if TYPE_CHECKING:
    from .bandit import Bandit

_ROUNDING = 1e-9  # relative, of sums that should not have shrunk

# telling


def contribution(bandit: Bandit, since: int | None) -> Contribution:
    """The bandit's own slot: whole, or what has changed since it had `since` events."""
    check_additive(bandit)
    with bandit._lock:
        ledger, arms = bandit._ledger, bandit._arms
        slot, latest = own_slot(bandit)
        buried = arms.tombstones_dropped + len(arms.tombstones)
        ids, columns, tombstones = list(arms.handle_of), columns_of(arms.live_handles()), list(arms.tombstones)
        whole = ledger.whole
        if since is not None and whole is not None and since >= whole[0].seq and not is_shared(bandit._model):
            changed = _changed(slot, np.array(arms.generations, np.int64), whole)[columns]
            ids = [id for id, has_changed in zip(ids, changed.tolist(), strict=True) if has_changed]
            columns, start = columns[changed], whole[0].seq
            tombstones = tombstones[max(0, whole[2] - arms.tombstones_dropped) :]
        else:
            start = 0
            ledger.whole = slot, np.array(arms.generations, np.int64), buried
        return Contribution(
            _checkpointing.config_of(bandit),
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
        return Contribution(
            _checkpointing.config_of(bandit), list(arms.handle_of), tombstones, *settings, latest, 0, slots
        )


def _changed(slot: Slot, generations: Handles, whole: tuple[Slot, Handles, int]) -> Any:
    """Which columns are not as they were, `[rows]`; a landmark that moved is no change."""
    old = whole[0].longer(slot.sums.shape[0])
    factor = rescale(old.landmark, slot.landmark)
    changed = lengthen(whole[1] + 1, generations.size) != generations + 1
    changed |= (slot.sums != old.sums * factor).any(axis=1)
    if slot.retracted.size:
        before = old.retracted * factor if old.retracted.size else 0.0
        changed |= (slot.retracted != before).any(axis=1)
    return changed | (slot.resets != old.resets) if slot.resets.size else changed


# listening


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
    return contributions.from_checkpoint(
        source,
        shared=is_shared(model),
        width=width_of(model),
        resets=bandit.change_detector is not None,
        is_prior=lambda values: _checkpointing.is_prior(model, values),
    )


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
    arms, own_name = bandit._arms, (bandit.replica, bandit.epoch)
    known_ids = [i for i, id in enumerate(told.ids) if id in arms.handle_of]
    columns = columns_of(arms.handles([told.ids[i] for i in known_ids]))
    for name, slot in told.slots.items():
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
                here, there = known.longer(bandit.columns).at(columns), slot.at(np.array(known_ids, np.int64))
            _check_continues(bandit._model, name, here, there)


def _check_continues(model: Any, name: Name, here: Slot, there: Slot) -> None:
    """Refuse two slots of one name of which the one with more events does not continue the other."""
    older, newer_ = (here, there) if here.seq <= there.seq else (there, here)
    comparable = older.resets == newer_.resets if older.resets.size else slice(None)
    grows = growing(model)
    before = older.sums[comparable][:, grows] * rescale(older.landmark, newer_.landmark)
    after = newer_.sums[comparable][:, grows]
    has_shrunk = (after < before * (1.0 - _ROUNDING)).any()
    if has_shrunk or (older.seq == newer_.seq and (before < after * (1.0 - _ROUNDING)).any()):
        raise MergeError(
            f"two bandits both call themselves {_shown(name)}, and neither continues the other: name each, with "
            "Bandit(..., replica=...) or from_bytes(blob, replica=...); nothing was merged"
        )


def _shown(name: Name) -> str:
    return f"replica {name[0]!r}, epoch {name[1]}"


def _take_in(bandit: Bandit, told: Contribution) -> None:
    """Join what is told with what is known. Under the lock."""
    _join_arms(bandit, told)
    arms, ledger = bandit._arms, bandit._ledger
    kept = [i for i, id in enumerate(told.ids) if id in arms.handle_of]
    columns = columns_of(arms.handles([told.ids[i] for i in kept]))
    news = {
        name: slot
        for name, slot in told.slots.items()
        if name != (bandit.replica, bandit.epoch) and (name not in ledger.slots or slot.seq > ledger.slots[name].seq)
    }
    rows, before = rows_of(bandit), ledger.others_events
    for name, slot in news.items():
        if not is_shared(bandit._model):
            slot = _aligned(slot.at(np.array(kept, np.int64)), columns, rows, ledger.slots.get(name), told.since)
        ledger.slots[name] = slot
    if news:
        touched = np.arange(1) if is_shared(bandit._model) else columns if told.since else np.arange(rows)
        _follow(bandit, touched)
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
        arms.bury(buried)
    new = [id for id in told.ids if id not in arms.handle_of and uid64(id) not in arms.tombstones]
    if new:
        bandit.add_arms(new)
    priors = {id: write for id, write in newer(ledger.priors, told.priors).items() if id in arms.handle_of}
    pauses = {id: write for id, write in newer(ledger.pauses, told.pauses).items() if id in arms.handle_of}
    ledger.priors.update(priors)
    ledger.pauses.update(pauses)
    if priors:
        write_priors(bandit, priors)
    for is_paused in (True, False):
        arms.pause([id for id, write in pauses.items() if write.value is is_paused], is_paused)


def write_priors(bandit: Bandit, priors: dict[ArmId, Write]) -> None:
    """Set the priors of live arms. Under the lock."""
    values = np.array([write.value for write in priors.values()], np.float64).T.copy()
    set_prior(bandit._table, bandit._arms.handles(list(priors)), values)


def _aligned(slot: Slot, columns: Handles, rows: int, known: Slot | None, since: int) -> Slot:
    """A slot by the bandit's columns; a delta over what is known of it."""
    width = slot.sums.shape[1]
    out = Slot(slot.seq, slot.landmark, np.zeros((rows, width)), np.zeros((0, width)), slot.resets)
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


def _follow(bandit: Bandit, rows: Handles) -> None:
    """Restart arms that others have restarted, and bring the landmark to others' latest. Under the lock."""
    ledger, table = bandit._ledger, bandit._table
    own = bandit._resets()
    if own is not None:
        latest = own[rows]
        for slot in ledger.slots.values():
            latest = np.maximum(latest, slot.resets[rows])
        behind = latest > own[rows]
        restart(table, bandit._state.blocks, rows[behind], latest[behind])
    bring_landmark(bandit, max((slot.landmark for slot in ledger.slots.values()), key=or_never, default=np.nan))


# names


def reopen(bandit: Bandit, replica: str, epoch: int | None) -> None:
    """Go on under another name: the own slot is closed, draws and contribution start anew."""
    with bandit._lock:
        ledger = bandit._ledger
        first = max(ledger.next_epoch(replica), bandit.epoch + 1 if replica == bandit.replica else 0)
        epoch = first if epoch is None else checked_int(epoch, "epoch", first, MAX_EPOCH)
        if bandit.updates > ledger.others_events and why_not_additive(bandit) is None:
            make_room(bandit)
            slot, _ = own_slot(bandit, hands_over=True)
            ledger.slots[bandit.replica, bandit.epoch] = slot
            ledger.retracted = np.zeros((0, ledger.retracted.shape[1]))
            add_up(bandit, np.arange(rows_of(bandit)), 0, np.nan)
        ledger.whole = None
        if replica != bandit.replica:  # it has shown nothing yet
            bandit.expire(float(np.finfo(float).max))
            bandit._table[SHOWN : RESOLVED + 1, :-1] = 0.0
        rename(bandit, replica, epoch)


def merge(cls: type[Bandit], sources: Iterable[Any], replica: str) -> Bandit:
    """One bandit that has learnt what all have."""
    given = [opened(cls, source) for source in sources]
    first = next((source for source in given if not isinstance(source, Checkpoint)), None)
    if first is None:
        raise MergeError("there is no bandit to merge; pass bandits or their checkpoints, one at least")
    bandit = cls(first.policy, seed=first.seed, replica=replica, change_detector=first.change_detector)
    check_additive(bandit)
    told = [told_by(bandit, source) for source in given]
    rename(bandit, replica, 1 + max((e for each in told for r, e in each.slots if r == replica), default=-1))
    for each in told:
        check_slots(bandit, each)
        _take_in(bandit, each)
    return bandit


# corrections


def correct(bandit: Bandit, arm: Any, reward: Any, weight: Any, context: Any, at: Any) -> None:
    """Take back events, all or nothing: they are added to sums of their own, which are subtracted."""
    check_additive(bandit)
    with bandit._lock:
        ledger, table, model = bandit._ledger, bandit._table, bandit._model
        ids = list(arm) if is_batch(arm) else [arm]
        bandit._arms.handles(ids)
        scratch = type(bandit)(bandit.policy, arms=dict.fromkeys(ids))  # learns them, and they alone
        scratch._now = bandit._now
        scratch._table[LANDMARK, -1], scratch._table[LATEST, -1] = table[LANDMARK, -1], table[LATEST, -1]
        scratch.update(arm, reward, weight, context, at)
        taken, latest = own_slot(scratch)
        rows = np.arange(1) if is_shared(model) else columns_of(bandit._arms.handles(scratch.arms))
        bring_landmark(bandit, taken.landmark)
        landmark = float(table[LANDMARK, -1])
        amounts = taken.sums * rescale(taken.landmark, landmark)
        known = take(model, bandit._state, bandit.columns).sums[rows] + others_of(bandit, rows)
        grows = growing(model)
        lacks = (known[:, grows] < amounts[:, grows] * (1.0 - _ROUNDING)).any(axis=1)
        if lacks.any():
            which = "the arms have" if is_shared(model) else f"arm {scratch.arms[int(lacks.argmax())]!r} has"
            raise ValueError(f"{which} not learnt as much as is taken back; nothing was changed")
        retracted = lengthen(ledger.retracted, rows_of(bandit)) * rescale(ledger.retracted_landmark, landmark)
        retracted[rows] += amounts
        ledger.retracted, ledger.retracted_landmark = retracted, landmark
        add_up(bandit, rows, len(ids), latest)

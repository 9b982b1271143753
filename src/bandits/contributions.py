"""Contributions: what replicas that learn apart tell each other, and how it is joined.

A replica's own sums are its slot, named (replica, epoch) and numbered by the events in it. A bandit keeps the newest
slot of every name that it has heard of, and adds them up in the order of their names: so it does not matter in which
order, how often or by which way they came.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._inputs import MAX_TIME
from ._random import ArmId
from ._table import Handles, Table
from .arms import checked_ids, is_id
from .checkpoint import Checkpoint, is_count, pack, require, take

KIND = "contribution"
Name = tuple[str, int]  # replica and epoch
MAX_EPOCH = 2**53
MAX_EVENTS = 2**48  # of one replica: so that all of them are counted exactly
_NO_COUNTS = np.zeros(0, np.int64)


class Slot(NamedTuple):
    """What one replica learnt in one epoch.

    seq: number of its events; a slot of the same name with more of them replaces it.
    landmark: of forward decay, in half-lives; NaN for none.
    sums: `[rows, W]`, see `_sums`; a row an arm, or one for all.
    retracted: the same of what was taken back; `[0, W]` for nothing.
    resets: how often each arm was restarted by a change detector, `[rows]`, or `[0]` without one.
    taken: how many epochs before its own it holds, too: their own slots count no more.
    """

    seq: int
    landmark: float
    sums: Table
    retracted: Table
    resets: Handles = _NO_COUNTS
    taken: int = 0

    def net(self, rows: Handles, landmark: float, resets: Handles | None) -> Table:
        """Sums less what was taken back, of some rows, at another landmark; only powers of two enter.

        Of arms that were restarted since, which `resets [rows]` tells, nothing.
        """
        net = self.sums[rows]
        if self.retracted.size:
            net = net - self.retracted[rows]
        net = net * rescale(self.landmark, landmark)
        if resets is not None:
            net[self.resets[rows] != resets[rows]] = 0.0
        return net

    def at(self, rows: Handles) -> "Slot":
        """The same of some rows, in their order."""
        retracted = self.retracted[rows] if self.retracted.size else self.retracted
        resets = self.resets[rows] if self.resets.size else self.resets
        return self._replace(sums=self.sums[rows], retracted=retracted, resets=resets)

    def longer(self, rows: int) -> "Slot":
        """The same with room for so many rows."""
        retracted = lengthen(self.retracted, rows) if self.retracted.size else self.retracted
        resets = lengthen(self.resets, rows) if self.resets.size else self.resets
        return self._replace(sums=lengthen(self.sums, rows), retracted=retracted, resets=resets)


def no_sums(width: int) -> Slot:
    """A slot in which nothing was learnt."""
    return Slot(0, np.nan, np.zeros((0, width)), np.zeros((0, width)))


class Write(NamedTuple):
    """A setting of an arm, and when it was written: of two, the one with the larger stamp holds."""

    stamp: tuple[int, str, int]  # version, and the replica and epoch that wrote it
    value: Any


class Contribution(NamedTuple):
    """What a bandit tells others.

    config: of policy and change detector, which must be the same. ids: the arms that the rows belong to. tombstones:
    uids of retired arms. since: of a delta, the number of events in the slot that it adds to; else 0.
    """

    config: dict[str, Any]
    ids: list[ArmId]
    tombstones: NDArray[np.uint64]
    priors: dict[ArmId, Write]
    pauses: dict[ArmId, Write]
    latest: float
    since: int
    slots: dict[Name, Slot]


class Whole(NamedTuple):
    """The own slot and the state of the arms when a whole contribution was made.

    generations: of the columns. buried: how many arms had been retired. since: events that its receivers know, so that
    they know its arms, too.
    """

    slot: Slot
    generations: Handles
    buried: int
    since: int


class Ledger:
    """What a bandit keeps of others' slots, and beside its own.

    slots: by name, rows by the bandit's columns. retracted: what was taken back of its own slot, as the sums of one.
    priors, pauses: by arm, where they were ever written; version: the highest that any of them had. arranged: number of
    own events when arms last came, went or were restarted by others. taken: of the own slot. whole: of the last whole
    contribution, from which a delta starts.
    """

    def __init__(self, width: int) -> None:
        self.slots: dict[Name, Slot] = {}
        self.retracted = no_sums(width)
        self.priors: dict[ArmId, Write] = {}
        self.pauses: dict[ArmId, Write] = {}
        self.version = 0
        self.arranged = 0
        self.taken = 0
        self.whole: Whole | None = None

    @property
    def others_events(self) -> int:
        """Number of events in the slots of others."""
        return sum(slot.seq for slot in self.slots.values())

    def drop_taken(self) -> None:
        """Forget slots that later ones of their replica hold."""
        taken = taken_by(self.slots)
        self.slots = {name: slot for name, slot in self.slots.items() if not is_taken(name, taken)}

    def taken_by_all(self, own: Name) -> dict[Name, int]:
        """How many epochs before its own each slot holds, the own one with them."""
        return {**taken_by(self.slots), own: self.taken}

    def next_epoch(self, replica: str) -> int:
        """The lowest epoch of a replica after all that were heard of."""
        return 1 + max((epoch for name, epoch in self.slots if name == replica), default=-1)

    def write(self, settings: dict[ArmId, Write], ids: list[ArmId], name: Name, values: list[Any]) -> None:
        """Write a setting of some arms, under a version above all that were heard of."""
        stamp = (self.version + 1, *name)
        self.settle(settings, {id: Write(stamp, value) for id, value in zip(ids, values, strict=True)})

    def settle(self, settings: dict[ArmId, Write], writes: dict[ArmId, Write]) -> None:
        """Take over settings of some arms."""
        settings.update(writes)
        self.version = max(self.version, *(write.stamp[0] for write in writes.values()), 0)

    def forget(self, ids: list[ArmId], rows: Handles) -> None:
        """Forget retired arms, and the rows of sums that were theirs alone."""
        gone = [settings.pop(id) for settings in (self.priors, self.pauses) for id in ids if id in settings]
        if any(write.stamp[0] == self.version for write in gone):  # a checkpoint knows of the others only
            left = [write.stamp[0] for settings in (self.priors, self.pauses) for write in settings.values()]
            self.version = max(left, default=0)
        for array in (a for slot in (self.retracted, *self.slots.values()) for a in slot[2:5]):
            array[rows[rows < array.shape[0]]] = 0

    def others(self, rows: Handles, landmark: float, resets: Handles | None) -> Table:
        """Sum of all but the own sums, `[B, W]`, at a landmark; of arms restarted since, only what came after."""
        total = np.zeros((rows.size, self.retracted.sums.shape[1]))
        for name in sorted(self.slots):
            total += self.slots[name].net(rows, landmark, resets)
        if self.retracted.sums.size:
            total -= self.retracted.net(rows, landmark, resets)
        return total


def is_taken(name: Name, taken: Mapping[Name, int]) -> bool:
    """Whether a later life of the same replica holds what this one learnt; `taken` as of the slots by name."""
    return any(replica == name[0] and epoch - count <= name[1] < epoch for (replica, epoch), count in taken.items())


def taken_by(slots: Mapping[Name, Slot]) -> dict[Name, int]:
    """How many epochs before its own each slot holds."""
    return {name: slot.taken for name, slot in slots.items()}


def rescale(landmark: float, onto: float) -> float:
    """Factor from sums at one landmark to those at another."""
    return 1.0 if np.isnan(landmark) or np.isnan(onto) else float(2.0 ** (landmark - onto))


def lengthen(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return an array of at least so many rows, the new ones 0."""
    more = rows - array.shape[0]
    return np.concatenate([array, np.zeros((more, *array.shape[1:]), array.dtype)]) if more > 0 else array


def newer(known: dict[ArmId, Write], told: dict[ArmId, Write]) -> dict[ArmId, Write]:
    """Return the settings told that are later than those known."""
    return {id: write for id, write in told.items() if id not in known or write.stamp > known[id].stamp}


# as bytes


def save_slots(slots: dict[Name, Slot], values: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Write slots into a checkpoint."""
    values["slots"] = [[*name, slots[name].seq, slots[name].landmark, slots[name].taken] for name in sorted(slots)]
    for i, name in enumerate(sorted(slots)):
        for part, array in zip(("sums", "retracted", "resets"), slots[name][2:5], strict=True):
            if array.size:
                arrays[f"slot_{i}_{part}"] = array


class Form(NamedTuple):
    """What slots of a bandit look like.

    rows, width: of sums. has_resets: whether there is a change detector. landmark: the latest that a slot can have; NaN
    without decay. are_possible: whether events can have left such sums.
    """

    rows: int
    width: int
    has_resets: bool
    landmark: float
    are_possible: Callable[[Table], bool]


def load_slots(values: dict[str, Any], arrays: dict[str, Any], form: Form) -> dict[Name, Slot]:
    """Check slots of a checkpoint, and return them."""
    slots: dict[Name, Slot] = {}
    for i, entry in enumerate(take(values, "slots", lambda v: isinstance(v, list), "a list")):
        require(isinstance(entry, list) and len(entry) == 5, "a slot is not [replica, epoch, seq, landmark, taken]")
        replica, epoch, seq, landmark, taken = entry
        require(isinstance(replica, str) and is_count(epoch) and is_count(seq), "a slot's name is none")
        require(seq <= MAX_EVENTS, "a slot has more events than are ever learnt")
        require(is_count(taken) and taken <= epoch, "a slot holds more epochs than there were")
        require((replica, epoch) not in slots, "two slots have one name")
        slots[replica, epoch] = _slot(arrays, f"slot_{i}_", seq, landmark, form)._replace(taken=taken)
    require(not any(is_taken(name, taken_by(slots)) for name in slots), "a slot stands beside one that holds it")
    return slots


def load_retracted(values: dict[str, Any], arrays: dict[str, Any], form: Form) -> Slot:
    """Check what was taken back of the own slot, and return it."""
    own = {"sums": arrays["retracted"]}
    if "retracted_resets" in arrays:
        own["resets"] = arrays["retracted_resets"]
    return _slot(own, "", 0, values.get("retracted_landmark"), form)


def _slot(arrays: dict[str, Any], prefix: str, seq: int, landmark: Any, form: Form) -> Slot:
    is_landmark = type(landmark) is float and (
        np.isnan(landmark) or -np.inf < np.floor(landmark) == landmark <= form.landmark
    )
    require(is_landmark, f"landmark {landmark!r:.40} is not one that it can have")
    sums, retracted = (_table(arrays, prefix + part, form) for part in ("sums", "retracted"))
    if not sums.size:
        sums = np.zeros((form.rows, form.width))
    size = form.rows if form.has_resets else 0
    resets: Any = arrays.get(f"{prefix}resets", np.zeros(size, np.int64))
    require(resets.dtype == np.int64 and resets.shape == (size,), f"array '{prefix}resets' has no such shape")
    require(bool(((resets >= 0) & (resets < MAX_EPOCH)).all()), f"array '{prefix}resets' is not of counts")
    return Slot(seq, landmark, sums, retracted, resets)


def _table(arrays: dict[str, Any], name: str, form: Form) -> Table:
    empty = np.zeros((0, form.width))
    table: Any = arrays.get(name, empty)
    has_shape = table.dtype == np.float64 and table.shape in ((form.rows, form.width), empty.shape)
    require(has_shape, f"array {name!r} has no such shape")
    require(form.are_possible(table), f"array {name!r} is not of sums that events can leave")
    return table  # type: ignore[no-any-return]


def save_writes(writes: dict[ArmId, Write]) -> list[Any]:
    """Settings as plain values."""
    return [[id, *write.stamp, write.value] for id, write in writes.items()]


def load_writes(values: dict[str, Any], name: str, check: Any) -> dict[ArmId, Write]:
    """Check settings of a checkpoint, and return them."""
    writes = {}
    for entry in take(values, name, lambda v: isinstance(v, list), "a list"):
        require(isinstance(entry, list) and len(entry) == 5, f"one of its {name} is not of five parts")
        id, version, replica, epoch, value = entry
        is_stamp = is_count(version) and isinstance(replica, str) and is_count(epoch)
        require(is_id(id) and id not in writes and is_stamp, f"one of its {name} has no id of its own or no stamp")
        require(check(value), f"one of its {name} has an impossible value")
        writes[id] = Write((version, replica, epoch), value)
    return writes


def to_bytes(contribution: Contribution) -> bytes:
    """Write a contribution."""
    values: dict[str, Any] = {
        "ids": contribution.ids,
        "latest": contribution.latest,
        "since": contribution.since,
        "priors": save_writes(contribution.priors),
        "pauses": save_writes(contribution.pauses),
    }
    arrays: dict[str, Any] = {"tombstones": contribution.tombstones}
    save_slots(contribution.slots, values, arrays)
    return pack(Checkpoint(KIND, contribution.config, values, arrays))


def from_checkpoint(checkpoint: Checkpoint, form: Form, half_life: float | None, is_prior: Any) -> Contribution:
    """Check a contribution, and read it; `form.rows` is 1 where all arms share one, else 0."""
    values, arrays = checkpoint.values, checkpoint.arrays
    ids = take(values, "ids", lambda v: isinstance(v, list), "a list")
    try:
        ids = checked_ids(ids, "ids")
    except ValueError as error:
        require(False, f"an id is none ({error})")
    require(len(set(ids)) == len(ids), "an id stands twice")
    tombstones: Any = arrays.get("tombstones")
    require(tombstones is not None and tombstones.dtype == np.uint64 and tombstones.ndim == 1, "it has no tombstones")
    latest = take(values, "latest", lambda v: type(v) is float and not abs(v) > MAX_TIME, "a time")
    landmark = np.nan if half_life is None else latest / half_life
    slots = load_slots(values, arrays, form._replace(rows=form.rows or len(ids), landmark=landmark))
    since = take(values, "since", is_count, "a count")
    require(since == 0 or (len(slots) == 1 and not form.rows), "only one replica's arms make a delta")
    return Contribution(
        checkpoint.config,
        ids,
        tombstones,
        load_writes(values, "priors", is_prior),
        load_writes(values, "pauses", lambda value: isinstance(value, bool)),
        latest,
        since,
        slots,
    )

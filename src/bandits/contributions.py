"""Contributions: what replicas that learn apart tell each other, and how it is joined.

A replica's own sums are its slot, named (replica, epoch) and numbered by the events in it. A bandit keeps the newest
slot of every name that it has heard of, and adds them up in the order of their names: so it does not matter in which
order, how often or by which way they came.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._random import ArmId, uid64
from ._table import Handles, Table
from .arms import checked_id
from .checkpoint import Checkpoint, pack, require, take

KIND = "contribution"
Name = tuple[str, int]  # replica and epoch
MAX_EPOCH = 2**53
_NO_COUNTS = np.zeros(0, np.int64)


class Slot(NamedTuple):
    """What one replica learnt in one epoch.

    seq: number of its events; a slot of the same name with more of them replaces it.
    landmark: of forward decay, in half-lives; NaN for none.
    sums: `[rows, W]`, see `_sums`; a row an arm, or one for all.
    retracted: the same of what was taken back; `[0, W]` for nothing.
    resets: how often each arm was restarted by a change detector, `[rows]`, or `[0]` without one.
    """

    seq: int
    landmark: float
    sums: Table
    retracted: Table
    resets: Handles = _NO_COUNTS

    def net(self, rows: Handles, landmark: float) -> Table:
        """Sums less what was taken back, of some rows, at another landmark; only powers of two enter."""
        net = self.sums[rows]
        if self.retracted.size:
            net = net - self.retracted[rows]
        return net * rescale(self.landmark, landmark)

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


class Ledger:
    """What a bandit keeps of others' slots, and beside its own.

    slots: by name, rows by the bandit's columns. retracted: of its own slot, `[rows, W]` at `retracted_landmark`.
    priors, pauses: by arm, where they were ever written. whole: the own slot and the state of the arms when the last
    whole contribution was made, from which a delta starts.
    """

    def __init__(self, width: int) -> None:
        self.slots: dict[Name, Slot] = {}
        self.retracted: Table = np.zeros((0, width))
        self.retracted_landmark = np.nan
        self.priors: dict[ArmId, Write] = {}
        self.pauses: dict[ArmId, Write] = {}
        self.whole: tuple[Slot, Handles, int] | None = None

    @property
    def others_events(self) -> int:
        """Number of events in the slots of others."""
        return sum(slot.seq for slot in self.slots.values())

    def next_epoch(self, replica: str) -> int:
        """The lowest epoch of a replica after all that were heard of."""
        return 1 + max((epoch for name, epoch in self.slots if name == replica), default=-1)

    def write(self, settings: dict[ArmId, Write], ids: list[ArmId], name: Name, values: list[Any]) -> None:
        """Write a setting of some arms, under a version above all that were heard of."""
        stamps = [write.stamp[0] for writes in (self.priors, self.pauses) for write in writes.values()]
        stamp = (1 + max(stamps, default=0), *name)
        settings.update((id, Write(stamp, value)) for id, value in zip(ids, values, strict=True))

    def forget(self, ids: list[ArmId], columns: Handles) -> None:
        """Forget retired arms."""
        for id in ids:
            self.priors.pop(id, None)
            self.pauses.pop(id, None)
        for array in (self.retracted, *(a for slot in self.slots.values() for a in slot[2:])):
            array[columns[columns < array.shape[0]]] = 0

    def others(self, rows: Handles, landmark: float, resets: Handles | None) -> Table:
        """Sum of all but the own sums, `[B, W]`, at a landmark; of arms restarted since, only what came after."""
        total = np.zeros((rows.size, self.retracted.shape[1]))
        for name in sorted(self.slots):
            slot = self.slots[name]
            part = slot.net(rows, landmark)
            if resets is not None:
                part[slot.resets[rows] != resets] = 0.0
            total += part
        if self.retracted.size:
            total -= self.retracted[rows] * rescale(self.retracted_landmark, landmark)
        return total


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
    values["slots"] = [[*name, slots[name].seq, slots[name].landmark] for name in sorted(slots)]
    for i, name in enumerate(sorted(slots)):
        for part, array in zip(("sums", "retracted", "resets"), slots[name][2:], strict=True):
            if array.size:
                arrays[f"slot_{i}_{part}"] = array


def load_slots(values: dict[str, Any], arrays: dict[str, Any], rows: int, width: int, resets: bool) -> dict[Name, Slot]:
    """Check slots of a checkpoint, and return them."""
    slots: dict[Name, Slot] = {}
    for i, entry in enumerate(take(values, "slots", lambda v: isinstance(v, list), "a list")):
        require(isinstance(entry, list) and len(entry) == 4, "a slot is not [replica, epoch, seq, landmark]")
        replica, epoch, seq, landmark = entry
        require(isinstance(replica, str) and _is_count(epoch) and _is_count(seq), "a slot's name is none")
        require(type(landmark) is float and not np.isinf(landmark), "a slot's landmark is not a number")
        require((replica, epoch) not in slots, "two slots have one name")
        sums = _table(arrays, f"slot_{i}_sums", rows, width)
        retracted = _table(arrays, f"slot_{i}_retracted", rows, width)
        counts: Any = arrays.get(f"slot_{i}_resets", np.zeros(rows if resets else 0, np.int64))
        require(counts.dtype == np.int64 and counts.shape == (rows if resets else 0,), "a slot's resets have no shape")
        require(bool((counts >= 0).all()), "a slot's resets are not counts")
        if not sums.size:
            sums = np.zeros((rows, width))
        slots[replica, epoch] = Slot(seq, landmark, sums, retracted, counts)
    return slots


def load_retracted(values: dict[str, Any], arrays: dict[str, Any], rows: int, ledger: Ledger) -> None:
    """Check what was taken back of the own slot, and take it over."""
    ledger.retracted = _table(arrays, "retracted", rows, ledger.retracted.shape[1])
    ledger.retracted_landmark = values.get("retracted_landmark", np.nan)
    require(type(ledger.retracted_landmark) is float, "its retracted_landmark is not a number")
    require(not np.isinf(ledger.retracted_landmark), "its retracted_landmark is not finite")


def _table(arrays: dict[str, Any], name: str, rows: int, width: int) -> Table:
    table: Any = arrays.get(name, np.zeros((0, width)))
    require(
        table.dtype == np.float64 and table.shape in ((rows, width), (0, width)), f"array {name!r} has no such shape"
    )
    require(bool(np.isfinite(table).all()), f"array {name!r} is not finite")
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
        is_stamp = _is_count(version) and isinstance(replica, str) and _is_count(epoch)
        require(type(id) in (str, int) and is_stamp, f"one of its {name} has no id or no stamp")
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


def from_checkpoint(checkpoint: Checkpoint, *, shared: bool, width: int, resets: bool, is_prior: Any) -> Contribution:
    """Check a contribution, and read it."""
    values, arrays = checkpoint.values, checkpoint.arrays
    ids = take(values, "ids", lambda v: isinstance(v, list), "a list")
    try:
        ids = [checked_id(id, "id") for id in ids]
        uids = {uid64(id) for id in ids}
    except (ValueError, UnicodeEncodeError) as error:
        require(False, f"an id is none ({error})")
    require(len(uids) == len(ids), "an id stands twice")
    tombstones: Any = arrays.get("tombstones")
    require(tombstones is not None and tombstones.dtype == np.uint64 and tombstones.ndim == 1, "it has no tombstones")
    slots = load_slots(values, arrays, 1 if shared else len(ids), width, resets)
    since = take(values, "since", _is_count, "a count")
    require(since == 0 or (len(slots) == 1 and not shared), "only one replica's arms make a delta")
    return Contribution(
        checkpoint.config,
        ids,
        tombstones,
        load_writes(values, "priors", is_prior),
        load_writes(values, "pauses", lambda value: isinstance(value, bool)),
        take(values, "latest", lambda v: type(v) is float and not np.isinf(v), "a time"),
        since,
        slots,
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_EPOCH

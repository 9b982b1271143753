"""The checkpoint of a Durable: its bandit, where the journal goes on, and the ids of events that were taken in."""

import re
from typing import Any, NamedTuple

import numpy as np

from ..bandits import Bandit
from ..bandits.arms import is_id
from ..bandits.checkpoint import Checkpoint, pack, require, take, unpack

_KIND = "durable"
NAMED = ("update", "correct")  # what may bear the id of an event
EventId = str | int
Generations = tuple[list[EventId], list[EventId]]  # the older ids, the newer ones


class Saved(NamedTuple):
    """What a checkpoint holds: the events of `journal` from the start of `segment` on come after it."""

    bandit: Bandit
    journal: bytes
    segment: int
    seen: dict[str, Generations]


def save(bandit: bytes, journal: bytes, segment: int, seen: dict[str, Generations]) -> bytes:
    """Write a checkpoint."""
    values = {"journal": journal.hex(), "segment": segment, "seen": seen}
    return pack(Checkpoint(_KIND, {}, values, {"bandit": np.frombuffer(bandit, np.uint8)}))


def load(blob: bytes) -> Saved:
    """Check a checkpoint, and read it.

    Raises
    ------
    CheckpointError
        For anything else.
    """
    _, _, values, arrays = unpack(blob, _KIND)
    journal = take(values, "journal", _is_name, "a name")
    segment = take(values, "segment", lambda v: type(v) is int and v > 0, "the number of a segment")
    seen = take(values, "seen", _are_ids, "a map of ids")
    require("bandit" in arrays, "its bandit is missing")
    return Saved(Bandit.from_bytes(arrays["bandit"].tobytes()), bytes.fromhex(journal), segment, seen)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) is not None


def _are_ids(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != set(NAMED):
        return False
    generations = list(value.values())
    if not all(isinstance(pair, list) and list(map(type, pair)) == [list, list] for pair in generations):
        return False
    return all(is_id(id) for pair in generations for ids in pair for id in ids)

"""Arms by id: which are live, which column of the table each owns, and which ids were retired for ever."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._random import ArmId, uid64
from ._table import Handles, columns_of
from .errors import UnknownArmError

_LIMIT = 1 << 63


class Offer(NamedTuple):
    """Candidates, looked up: their ids, and their handles in the same order.

    version: of the table, where the handles are all of its columns, in order; else -1 (see `_beliefs.refresh`).
    dropped: how many were left out because they are paused.
    kept: where some were, the positions of the others among all.
    """

    ids: Sequence[ArmId]
    handles: Handles
    version: float
    dropped: int
    kept: list[int] | None = None

    def rows_of(self, contexts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rows of contexts that belong to these candidates, where there is one for each that was asked for."""
        if self.kept is None or contexts.shape[0] == 1:
            return contexts
        return np.ascontiguousarray(contexts[self.kept])


def checked_ids(ids: Iterable[Any], what: str, *, ordered: bool = False) -> list[ArmId]:
    """Return ids as plain strings and integers, or say which one is neither; `ordered` where values go with them.

    Raises
    ------
    ValueError
        For a bool, a float or anything else, or a single string where several ids are expected.
    """
    if isinstance(ids, str | bytes):
        raise ValueError(f"{what} must be several ids, not one string; write [{ids!r}]")
    if not np.iterable(ids):
        raise ValueError(f"{what} must be several ids, such as a list; got {ids!r}")
    if ordered and isinstance(ids, Set | Mapping):
        raise ValueError(f"{what} must be ordered, as values go with the ids; pass a list, not a {type(ids).__name__}")
    plain = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    types = set(map(type, plain))
    if types == {str} or (types == {int} and min(plain) >= -_LIMIT and max(plain) < _LIMIT):
        return plain
    return [checked_id(id, f"{what}[{i}]") for i, id in enumerate(plain)]


def is_id(value: Any) -> bool:
    """Whether a value of a checkpoint is the id of an arm."""
    return type(value) is str or (type(value) is int and -_LIMIT <= value < _LIMIT)


def checked_id(id: Any, what: str) -> ArmId:
    """Return one id as a plain string or integer."""
    if isinstance(id, str):
        return str.__str__(id)  # of a subclass too: that of an enum would name the member
    if isinstance(id, int | np.integer) and not isinstance(id, bool):
        if not -_LIMIT <= id < _LIMIT:
            raise ValueError(f"{what} = {id} does not fit into 64 bits; use a string")
        return int(id)
    raise ValueError(f"{what} = {id!r} is not an arm id: ids are strings or integers, not {type(id).__name__}")


def checked_candidates(candidates: Iterable[Any]) -> list[ArmId]:
    """Return the ids of candidates, none of them twice."""
    ids = checked_ids(candidates, "candidates")
    if len(set(ids)) != len(ids):
        raise ValueError(f"candidate {_first_twin(ids)!r} is given twice; candidates must be distinct")
    return ids


def distinct(ids: Iterable[Any], done: str) -> list[ArmId]:
    """Return ids, checked, none of them twice."""
    given = checked_ids(ids, "arms")
    if len(set(given)) != len(given):
        raise ValueError(f"arm {_first_twin(given)!r} is given twice; nothing was {done}")
    return given


def _first_twin(ids: Sequence[ArmId]) -> ArmId:
    """Return the first id that stands twice."""
    seen: set[ArmId] = set()
    return next(id for id in ids if id in seen or seen.add(id))  # type: ignore[func-returns-value]


class Arms:
    """Ids and their handles (`column | generation << 32`).

    An id never means another arm: retiring frees its column, which the next arm owns under a higher generation, and
    keeps its uid among the tombstones, the newest `max_tombstones` of them; `tombstones_dropped` counts the rest.

    Not thread-safe by itself: structural changes are serialised by the owner, look-ups read whole objects only.
    """

    max_tombstones = 1_000_000

    def __init__(self) -> None:
        self.handle_of: dict[ArmId, int] = {}
        self.ids: list[ArmId | None] = []  # by column
        self.generations: list[int] = []  # by column
        self.free: list[int] = []
        self.tombstones: dict[int, None] = {}
        self.tombstones_dropped = 0
        self.paused: set[ArmId] = set()
        self._live: Offer | None = None

    def __len__(self) -> int:
        return len(self.handle_of)

    def check_new(self, ids: Sequence[ArmId]) -> list[int]:
        """Check that all ids are new and distinct, and return their uids.

        Raises
        ------
        ValueError
            For an id that is live, was retired, or is given twice.
        """
        try:
            uids = [uid64(id) for id in ids]
        except UnicodeEncodeError as error:
            raise ValueError(f"arm {error.object!r} is not valid Unicode; nothing was added") from None
        seen: dict[int, ArmId] = {}
        for id, uid in zip(ids, uids, strict=True):
            if id in self.handle_of:
                raise ValueError(f"arm {id!r} is already among the {len(self)} arms; nothing was added")
            if uid in self.tombstones:
                raise ValueError(
                    f"arm {id!r} was retired, and an id never means another arm; give the new arm a new id"
                )
            if uid in seen:
                raise ValueError(f"arm {id!r} is given twice; nothing was added")
            seen[uid] = id
        return uids

    def capacity_for(self, more: int) -> int:
        """Columns needed when `more` arms come."""
        return len(self.ids) + max(0, more - len(self.free))

    def assign(self, count: int) -> Handles:
        """Take columns for new arms: freed ones first, under a new generation. Published by `publish`."""
        reused = self.free[len(self.free) - count :] if count <= len(self.free) else list(self.free)
        del self.free[len(self.free) - len(reused) :]
        for column in reused:
            self.generations[column] += 1
        fresh = range(len(self.ids), len(self.ids) + count - len(reused))
        self.ids.extend([None] * len(fresh))
        self.generations.extend([0] * len(fresh))
        columns = [*reused, *fresh]
        return np.array([column | self.generations[column] << 32 for column in columns], np.int64)

    def publish(self, ids: Sequence[ArmId], handles: Handles) -> None:
        """Make new arms visible to look-ups."""
        for id, handle in zip(ids, handles.tolist(), strict=True):
            self.ids[handle & 0xFFFF_FFFF] = id
            self.handle_of[id] = handle
        self._live = None

    def retire(self, ids: Sequence[ArmId]) -> None:
        """Forget live arms for ever; their columns are free for others."""
        for id in ids:
            column = self.handle_of.pop(id) & 0xFFFF_FFFF
            self.ids[column] = None
            self.free.append(column)
            self.paused.discard(id)
        self.bury(map(uid64, ids))
        self._live = None

    def bury(self, uids: Iterable[int]) -> None:
        """Remember the uids of arms that are retired, here or elsewhere."""
        self.tombstones.update(dict.fromkeys(uids))
        excess = max(0, len(self.tombstones) - self.max_tombstones)
        for uid in list(islice(self.tombstones, excess)):
            del self.tombstones[uid]
        self.tombstones_dropped += excess

    def live(self, lock: AbstractContextManager[Any], version: Callable[[], float]) -> Offer:
        """All arms that may be chosen now; made anew, under the owner's lock, only after a structural change."""
        live = self._live
        if live is None:
            with lock:
                live = self.offered(list(self.handle_of))
                if not live.dropped and np.array_equal(columns_of(live.handles), np.arange(live.handles.size)):
                    live = live._replace(version=version())
                self._live = live
        return live

    def offered(self, ids: Sequence[ArmId]) -> Offer:
        """Those of the candidates that may be chosen now.

        Raises
        ------
        UnknownArmError
            For an id that names no live arm.
        """
        handles, paused = self.handles(ids), self.paused
        if not paused:
            return Offer(ids, handles, -1.0, 0)
        keep = [i for i, id in enumerate(ids) if id not in paused]
        return Offer([ids[i] for i in keep], handles[keep], -1.0, len(ids) - len(keep), keep)

    def offered_rows(self, rows: Handles) -> Offer:
        """Those of the current rows that may be chosen now. Under the owner's lock."""
        return self.offered([id for id in map(self.id_at, rows.tolist()) if id is not None])

    def live_handles(self) -> Handles:
        """Handles of all arms that are not retired, in the order in which they came."""
        return np.array(list(self.handle_of.values()), np.int64)

    def pause(self, ids: Sequence[ArmId], is_paused: bool) -> None:
        """Take live arms out of the choice, or back into it."""
        self.handles(ids)
        self.paused = self.paused | set(ids) if is_paused else self.paused - set(ids)
        self._live = None

    def handles(self, ids: Sequence[ArmId]) -> Handles:
        """Handles of live arms, int64 `[B]`.

        Raises
        ------
        UnknownArmError
            For an id that names no live arm.
        """
        if len(ids) < 2:  # of which `itemgetter`, the fastest look-up there is, makes no tuple
            return np.array([self._handle(id) for id in ids], np.int64)
        try:
            return np.array(itemgetter(*ids)(self.handle_of), np.int64)
        except KeyError as error:
            raise self.unknown(error.args[0]) from None

    def _handle(self, id: ArmId) -> int:
        handle = self.handle_of.get(id)
        if handle is None:
            raise self.unknown(id)
        return handle

    def id_at(self, handle: int) -> ArmId | None:
        """Id of the arm that the handle names, or None where it is not there any more."""
        column = handle & 0xFFFF_FFFF
        if column >= len(self.ids) or self.generations[column] != handle >> 32:
            return None
        return self.ids[column]

    def unknown(self, id: ArmId) -> UnknownArmError:
        """Error for an id that names no live arm."""
        if self.was_retired(id):
            return UnknownArmError(f"arm {id!r} was retired; drop it from the request")
        return UnknownArmError(
            f"unknown arm {id!r}: not among the {len(self)} arms of this bandit; add it with `add_arms` first"
        )

    def was_retired(self, id: ArmId) -> bool:
        """Whether the id was that of an arm which is gone."""
        try:
            return uid64(id) in self.tombstones
        except UnicodeEncodeError:  # an id that could never be added
            return False


def are_distinct(values: NDArray[Any]) -> bool:
    """Whether no value stands twice; by sorting, which is quicker than `np.unique`."""
    ordered = np.sort(values)
    return not (ordered[1:] == ordered[:-1]).any()


def uid_array(uids: Iterable[int], count: int) -> NDArray[np.uint64]:
    """Pack uids for kernels, uint64 `[count]`."""
    return np.fromiter(uids, np.uint64, count)

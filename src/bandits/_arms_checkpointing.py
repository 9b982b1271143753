"""The arms' part of a checkpoint: ids, columns, generations, tombstones. What is as in a new bandit is left out."""

from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._random import uid64
from .arms import Arms, are_distinct, checked_id, uid_array
from .checkpoint import is_count, require, take

_LOOKED_AT = 1_000  # uids made anew
_PLAIN: tuple[set[type], ...] = ({str}, {NoneType}, {str, NoneType}, set())  # types of ids that need no second look


def save_arms(arms: Arms, values: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Write the arms as they are now; the owner holds its lock."""
    values["ids"] = list(arms.ids)
    values["tombstones_dropped"] = arms.tombstones_dropped
    values["paused"] = sorted(arms.handle_of[id] & 0xFFFF_FFFF for id in arms.paused)
    if arms.free or arms.tombstones or arms.tombstones_dropped:  # else columns were taken in order
        values["order"] = [handle & 0xFFFF_FFFF for handle in arms.handle_of.values()]
        values["free"] = list(arms.free)
        arrays["generations"] = np.array(arms.generations, np.int64)
        arrays["tombstones"] = uid_array(arms.tombstones, len(arms.tombstones))


def load_arms(values: dict[str, Any], arrays: dict[str, Any]) -> Arms:
    """Check the arms, and build them."""
    arms = Arms()
    arms.ids = _ids(take(values, "ids", lambda v: isinstance(v, list), "a list"))
    size = len(arms.ids)
    if "order" in values or "free" in values or None in arms.ids:
        is_live = np.array([id is not None for id in arms.ids], bool)
        live, order, free = np.flatnonzero(is_live), _columns(values.get("order")), _columns(values.get("free"))
        has_all = np.array_equal(np.sort(order), live) and np.array_equal(np.sort(free), np.flatnonzero(~is_live))
        require(has_all, "its columns contradict its ids")
        names = [arms.ids[i] for i in order.tolist()]
    else:  # columns were taken in order, and none was given back
        live = order = np.arange(size)
        free, names = live[:0], arms.ids
    generations = _array(arrays, "generations", np.int64, np.zeros(size, np.int64))
    tombstones = _array(arrays, "tombstones", np.uint64, np.zeros(0, np.uint64))
    uids = _array(arrays, "uids", np.uint64, None)
    require(generations.shape == (size,) and uids.shape == (size,), "its columns contradict its ids")
    require(tombstones.ndim == 1, "its tombstones are no list")
    require(bool(((generations >= 0) & (generations < 1 << 30)).all()), "a generation is out of range")
    require(are_distinct(tombstones), "an arm was retired twice")
    require(are_distinct(uids[live]), "two arms have one uid")
    require(not tombstones.size or not np.isin(uids[live], tombstones).any(), "a live arm is among its tombstones")
    handles: Any = (
        (order | generations[order] << 32).tolist() if generations.any() or names is not arms.ids else range(size)
    )
    arms.handle_of = dict(zip(names, handles, strict=True))
    require(len(arms.handle_of) == live.size, "an id stands twice")
    some = range(0, live.size, 1 + live.size // _LOOKED_AT)  # all would take longer than the rest: a microsecond each
    are_own = all(uid64(names[i]) == int(uids[order[i]]) for i in some)
    require(are_own, "a uid is not that of its arm's id")
    arms.generations = generations.tolist()
    arms.free = free.tolist()
    arms.tombstones = dict.fromkeys(tombstones.tolist())
    arms.tombstones_dropped = take(values, "tombstones_dropped", is_count, "a count")
    if not (arms.free or arms.tombstones or arms.tombstones_dropped):  # then the order is not written again
        is_plain = np.array_equal(order, live) and not generations.any()
        require(is_plain, "its columns contradict its tombstones: none was ever given back")
    paused = _columns(take(values, "paused", lambda v: isinstance(v, list), "a list of live columns"))
    require(bool(np.isin(paused, live).all()), "its paused is not a list of live columns")
    arms.paused = {arms.ids[column] for column in paused.tolist()}
    return arms


def _ids(ids: list[Any]) -> list[Any]:
    if set(map(type, ids)) in _PLAIN:
        return ids
    try:
        return [None if id is None else checked_id(id, "id") for id in ids]
    except ValueError as error:
        require(False, str(error))
        raise


def _columns(values: Any) -> NDArray[np.int64]:
    """Columns as an array; what is no list of them becomes one that contradicts everything."""
    is_list = isinstance(values, list) and set(map(type, values)) <= {int}
    if not is_list or (values and not 0 <= min(values) <= max(values) < 1 << 32):
        return np.array([-1])
    return np.array(values, np.int64)


def _array(arrays: dict[str, Any], name: str, dtype: Any, default: Any) -> NDArray[Any]:
    array: Any = arrays.get(name, default)
    require(array is not None and array.dtype == np.dtype(dtype), f"array {name!r} is missing or of another type")
    return array  # type: ignore[no-any-return]

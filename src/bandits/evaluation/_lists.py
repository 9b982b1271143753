"""Recommended lists and what was relevant, checked, for the measures of `ranking`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._inputs import checked_int
from .._random import ArmId

Floats = NDArray[np.float64]
Recommended = Sequence[Sequence[ArmId]] | NDArray[Any]
Relevant = Sequence[Collection[ArmId] | Mapping[ArmId, float]] | NDArray[Any]


class Found(NamedTuple):
    """What the measures are made of.

    gains: `[n, m]` of the first m <= k places, zero where a list has ended.
    best: `[n, p]` largest gains of all ids, best first, p <= k.
    relevant: `[n]` number of relevant ids.
    """

    gains: Floats
    best: Floats
    relevant: NDArray[np.int64]


def found_in(recommended: Recommended, relevant: Relevant, k: int) -> Found:
    """Gains of the first k places of each list, and what could be had.

    Raises
    ------
    ValueError
        As `ranking_measures`.
    """
    k = checked_int(k, "k", 1)
    if isinstance(recommended, np.ndarray) and isinstance(relevant, np.ndarray):
        return _of_arrays(recommended, relevant, k)
    lists = _lists(recommended, k)
    if len(relevant) != len(lists):
        raise ValueError(f"relevant must have one entry for each of the {len(lists)} lists; got {len(relevant)}")
    maps = [_gains(entry, i) for i, entry in enumerate(relevant)]
    gains = np.zeros((len(lists), max(map(len, lists))))
    best = np.zeros((len(lists), min(k, max(1, max(map(len, maps))))))
    for i, (ids, gain_of) in enumerate(zip(lists, maps, strict=True)):
        gains[i, : len(ids)] = [gain_of.get(id, 0.0) for id in ids]
        largest = sorted(gain_of.values(), reverse=True)[:k]
        best[i, : len(largest)] = largest
    return Found(gains, best, np.array([len(gain_of) for gain_of in maps], np.int64))


def _of_arrays(recommended: NDArray[Any], relevant: NDArray[Any], k: int) -> Found:
    gains = np.asarray(relevant, np.float64)
    if recommended.ndim != 2 or recommended.dtype.kind not in "iu" or recommended.size == 0:
        raise ValueError(
            f"recommended must be integers [n, L], not empty, beside an array of gains; got {recommended.dtype} of "
            f"shape {recommended.shape}"
        )
    if gains.ndim != 2 or len(gains) != len(recommended):
        raise ValueError(f"relevant must be gains [{len(recommended)}, K]; got shape {gains.shape}")
    rows = recommended.astype(np.int64)
    if rows.min() < 0 or rows.max() >= gains.shape[1]:
        raise ValueError(f"recommended must be rows in [0, {gains.shape[1]}), the arms of `relevant`")
    ordered = np.sort(rows, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if twice.any():
        raise ValueError(f"recommended[{int(twice.argmax())}] holds a row twice; a list shows an arm once")
    wrong = ~((gains >= 0.0) & np.isfinite(gains)).all(axis=1)
    if wrong.any():
        raise ValueError(f"relevant[{int(wrong.argmax())}] holds a gain that is not a finite number >= 0")
    best = -np.sort(-gains, axis=1)[:, :k]
    return Found(np.take_along_axis(gains, rows[:, :k], 1), best, np.count_nonzero(gains > 0.0, axis=1))


def _lists(recommended: Recommended, k: int) -> list[list[ArmId]]:
    """The first k ids of each list, checked."""
    lists: list[list[ArmId]] = []
    for i, given in enumerate(recommended):
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise ValueError(f"recommended[{i}] = {given!r} is not a list of ids")
        ids = given.tolist() if isinstance(given, np.ndarray) else list(given)
        if not ids:
            raise ValueError(f"recommended[{i}] is empty; leave such requests out, or count them apart")
        if len(set(ids)) != len(ids):
            twice = next(id for j, id in enumerate(ids) if id in ids[:j])
            raise ValueError(f"recommended[{i}] holds {twice!r} twice; a list shows an id once")
        lists.append(ids[:k])
    if not lists:
        raise ValueError("recommended is empty; give at least one list")
    return lists


def _gains(entry: Any, i: int) -> dict[ArmId, float]:
    """Gain of each relevant id, above zero."""
    if isinstance(entry, str) or not isinstance(entry, Iterable):
        raise ValueError(f"relevant[{i}] = {entry!r} is neither a set of ids nor a map from id to gain")
    if not isinstance(entry, Mapping):
        return dict.fromkeys(entry.tolist() if isinstance(entry, np.ndarray) else entry, 1.0)
    for id, gain in entry.items():
        if not 0.0 <= gain < np.inf:
            raise ValueError(f"relevant[{i}][{id!r}] = {gain} is not a finite gain >= 0")
    return {id: float(gain) for id, gain in entry.items() if gain > 0.0}


def exposures(recommended: Recommended, catalogue: Iterable[ArmId], k: int) -> NDArray[np.int64]:
    """How many lists show each id of the catalogue among their first k."""
    ids_of_all = catalogue.tolist() if isinstance(catalogue, np.ndarray) else catalogue
    place = {id: i for i, id in enumerate(dict.fromkeys(ids_of_all))}
    counts = np.zeros(len(place), np.int64)
    for i, ids in enumerate(_lists(recommended, checked_int(k, "k", 1))):
        for id in ids:
            if id not in place:
                raise ValueError(f"recommended[{i}] holds {id!r}, which is not among the {len(place)} of the catalogue")
            counts[place[id]] += 1
    return counts

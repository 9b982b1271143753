"""How good were the lists? Precision, recall, hits and NDCG at k, and how much of the catalogue was shown.

A measure is the mean over the lists; `ranking_measures` gives it list by list. Two ways to say what came:

* ids: `recommended` holds one list of distinct ids a request, best first; `relevant` one set of ids, each of gain 1, or
  one map from id to gain >= 0, a request.
* arrays: `recommended` holds rows, integers `[n, L]`, and `relevant` gains of all K arms, `[n, K]`.

An id is relevant where its gain is above zero. Only the first k of a list count. A list of fewer than k is taken as it
is: the places that it leaves empty earn nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._inputs import checked_int
from .._random import ArmId

Floats = NDArray[np.float64]
Recommended = Sequence[Sequence[ArmId]] | NDArray[Any]
Relevant = Sequence[Collection[ArmId] | Mapping[ArmId, float]] | NDArray[Any]


class RankingMeasures(NamedTuple):
    """Measures of each of n lists, `[n]` each.

    precision: relevant ids among the first k, over k.
    recall: relevant ids among the first k, over all relevant ids; NaN where no id is relevant.
    hit_rate: 1 where a relevant id is among the first k, else 0.
    ndcg: discounted gain over that of the best order; NaN where no id is relevant.
    """

    precision: Floats
    recall: Floats
    hit_rate: Floats
    ndcg: Floats


class _Found(NamedTuple):
    """What the measures are made of.

    gains: `[n, m]` of the first m <= k places, zero where a list has ended.
    best: `[n, p]` largest gains of all ids, best first, p <= k.
    relevant: `[n]` number of relevant ids.
    """

    gains: Floats
    best: Floats
    relevant: NDArray[np.int64]


def ranking_measures(recommended: Recommended, relevant: Relevant, k: int) -> RankingMeasures:
    """Precision, recall, hit rate and NDCG of each list at k.

    Parameters
    ----------
    recommended
        Lists of ids, or integers `[n, L]`, best first.
    relevant
        Sets of ids or maps from id to gain, one a list, or gains `[n, K]`.
    k
        Places that count, >= 1.

    Raises
    ------
    ValueError
        For k < 1, no lists, an empty list, an id twice in one list, unequal numbers of lists, and gains that are
        negative or not finite.

    Examples
    --------
    Of two relevant ids one stands at position 1 of three, so DCG = 1 / log2(3) and the ideal is 1 + 1 / log2(3):

    >>> from seedbed.bandits.evaluation.ranking import ranking_measures
    >>> [round(float(value[0]), 6) for value in ranking_measures([["a", "b", "c"]], [{"b", "z"}], k=3)]
    [0.333333, 0.5, 1.0, 0.386853]
    """
    found = _found(recommended, relevant, k)
    hits = np.count_nonzero(found.gains > 0.0, axis=1)
    recall, ndcg = np.full((2, hits.size), np.nan)
    some = found.relevant > 0
    recall[some] = hits[some] / found.relevant[some]
    # gains over the largest: neither sum can then vanish or overflow
    top = found.best[some, :1]
    ndcg[some] = _discounted(found.gains[some] / top) / _discounted(found.best[some] / top)
    return RankingMeasures(hits / k, recall, np.where(hits > 0, 1.0, 0.0), ndcg)


def precision(recommended: Recommended, relevant: Relevant, k: int) -> float:
    """Mean share of relevant ids among k places: `|first k and relevant| / k`.

    Parameters and errors as in `ranking_measures`.

    Examples
    --------
    >>> from seedbed.bandits.evaluation.ranking import precision
    >>> precision([["a", "b"], ["c", "d"]], [{"a"}, {"c", "d"}], k=2)
    0.75
    """
    return float(ranking_measures(recommended, relevant, k).precision.mean())


def recall(recommended: Recommended, relevant: Relevant, k: int) -> float:
    """Mean share of the relevant ids that are among the first k: `|first k and relevant| / |relevant|`.

    Raises
    ------
    ValueError
        As `ranking_measures`, and where a list has no relevant id: its recall is not defined.

    Examples
    --------
    >>> from seedbed.bandits.evaluation.ranking import recall
    >>> recall([["a", "b"], ["c", "d"]], [{"a", "z"}, {"c"}], k=2)
    0.75
    """
    return _mean(ranking_measures(recommended, relevant, k).recall, "recall")


def hit_rate(recommended: Recommended, relevant: Relevant, k: int) -> float:
    """Share of the lists with at least one relevant id among the first k.

    Parameters and errors as in `ranking_measures`.

    Examples
    --------
    >>> from seedbed.bandits.evaluation.ranking import hit_rate
    >>> hit_rate([["a", "b"], ["c", "d"]], [{"b"}, {"z"}], k=2)
    0.5
    """
    return float(ranking_measures(recommended, relevant, k).hit_rate.mean())


def ndcg(recommended: Recommended, relevant: Relevant, k: int) -> float:
    """Mean normalised discounted cumulative gain: `DCG / ideal DCG`, both over k places.

    `DCG = sum of gain / log2(position + 2)` over the first k positions, counted from 0; the ideal is that of the k
    largest gains of all ids, best first. Gains are linear: pass `2**grade - 1` for the exponential ones.

    Raises
    ------
    ValueError
        As `ranking_measures`, and where a list has no relevant id: its ideal is zero.

    References
    ----------
    .. [1] K. Jarvelin and J. Kekalainen (2002), "Cumulated gain-based evaluation of IR techniques", ACM Transactions on
       Information Systems 20.

    Examples
    --------
    The gains 1 and 3 in the wrong order: (1 + 3 / log2(3)) / (3 + 1 / log2(3)):

    >>> from seedbed.bandits.evaluation.ranking import ndcg
    >>> round(ndcg([["a", "b"]], [{"a": 1.0, "b": 3.0}], k=2), 6)
    0.796708
    """
    return _mean(ranking_measures(recommended, relevant, k).ndcg, "ndcg")


def coverage(recommended: Recommended, catalogue: Iterable[ArmId], k: int) -> float:
    """Share of the catalogue that is among the first k of at least one list.

    Raises
    ------
    ValueError
        As `ranking_measures`, and for an id that is not in the catalogue.

    Examples
    --------
    >>> from seedbed.bandits.evaluation.ranking import coverage
    >>> coverage([["a", "b"], ["a", "c"]], catalogue=["a", "b", "c", "d"], k=1)
    0.25
    """
    return float(np.mean(_exposures(recommended, catalogue, k) > 0))


def exposure_gini(recommended: Recommended, catalogue: Iterable[ArmId], k: int) -> float:
    """Gini coefficient of the exposures of the catalogue's ids among the first k: 0 equal, 1 - 1 / K all on one.

    `sum over i of (2 i - K - 1) x_i / (K sum x)`, x_1 <= ... <= x_K the numbers of lists that show each id.

    Raises
    ------
    ValueError
        As `coverage`.

    Examples
    --------
    Exposures 0, 0, 1, 1 of four ids: (1 * 1 + 3 * 1) / (4 * 2):

    >>> from seedbed.bandits.evaluation.ranking import exposure_gini
    >>> exposure_gini([["a", "b"]], catalogue=["a", "b", "c", "d"], k=2)
    0.5
    """
    x = np.sort(_exposures(recommended, catalogue, k))
    weights = 2.0 * np.arange(1, x.size + 1) - x.size - 1.0
    return float(weights @ x / (x.size * x.sum()))


def _mean(values: Floats, what: str) -> float:
    missing = np.isnan(values)
    if missing.any():
        bad = int(missing.argmax())
        raise ValueError(
            f"relevant[{bad}] holds no id with a gain above zero, so that its {what} is not defined; leave out such "
            f"lists ({np.count_nonzero(missing)} of {values.size})"
        )
    return float(values.mean())


def _discounted(gains: Floats) -> Floats:
    total: Floats = gains @ (1.0 / np.log2(np.arange(2.0, gains.shape[1] + 2.0)))
    return total


def _found(recommended: Recommended, relevant: Relevant, k: int) -> _Found:
    k = checked_int(k, "k", 1)
    if isinstance(recommended, np.ndarray) and isinstance(relevant, np.ndarray):
        return _found_in_arrays(recommended, relevant, k)
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
    return _Found(gains, best, np.array([len(gain_of) for gain_of in maps], np.int64))


def _found_in_arrays(recommended: NDArray[Any], relevant: NDArray[Any], k: int) -> _Found:
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
    return _Found(np.take_along_axis(gains, rows[:, :k], 1), best, np.count_nonzero(gains > 0.0, axis=1))


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


def _exposures(recommended: Recommended, catalogue: Iterable[ArmId], k: int) -> NDArray[np.int64]:
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

"""How good were the lists? Precision, recall, hits and NDCG at k, and how much of the catalogue was shown.

A measure is the mean over the lists; `ranking_measures` gives it list by list. Two ways to say what came:

* ids: `recommended` holds one list of distinct ids a request, best first; `relevant` one set of ids, each of gain 1, or
  one map from id to gain >= 0, a request.
* arrays: `recommended` holds rows, integers `[n, L]`, and `relevant` gains of all K arms, `[n, K]`.

An id is relevant where its gain is above zero. Only the first k of a list count. A list of fewer than k is taken as it
is: the places that it leaves empty earn nothing.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._random import ArmId
from ._lists import Recommended, Relevant, exposures, found_in

Floats = NDArray[np.float64]


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
    found = found_in(recommended, relevant, k)
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
    return float(np.mean(exposures(recommended, catalogue, k) > 0))


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
    x = np.sort(exposures(recommended, catalogue, k))
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

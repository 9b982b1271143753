import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from bandits.evaluation import naive_ranking as naive
from seedbed.bandits.evaluation.ranking import (
    coverage,
    exposure_gini,
    hit_rate,
    ndcg,
    precision,
    ranking_measures,
    recall,
)

IDS = [*range(6), "0", "1", "a"]
GAINS = st.one_of(st.sampled_from([0.0, 1.0, 1e-300, 1e300]), st.floats(0.0, 10.0, allow_subnormal=False))


@st.composite
def logs(draw):
    n = draw(st.integers(1, 5))
    lists = [draw(st.lists(st.sampled_from(IDS), min_size=1, unique=True)) for _ in range(n)]
    gains = [draw(st.dictionaries(st.sampled_from([*IDS, "never shown"]), GAINS)) for _ in range(n)]
    return lists, gains, draw(st.integers(1, 12))


@settings(max_examples=60)
@given(logs())
def test_measures_are_those_of_their_definitions(log):
    lists, gains, k = log
    found = ranking_measures(lists, gains, k)
    for i, (ids, gain_of) in enumerate(zip(lists, gains, strict=True)):
        expected = [math.nan if x is None else x for x in naive.measures(ids, gain_of, k)]
        np.testing.assert_allclose([measure[i] for measure in found], expected, rtol=1e-12, atol=1e-300)


@settings(max_examples=60)
@given(logs())
def test_a_set_is_a_map_of_ones_and_an_array_a_map_by_rows(log):
    lists, gains, k = log
    sets = [{id for id, gain in gain_of.items() if gain > 0} for gain_of in gains]
    ones = [dict.fromkeys(ids, 1.0) for ids in sets]
    for got, expected in zip(ranking_measures(lists, sets, k), ranking_measures(lists, ones, k), strict=True):
        np.testing.assert_array_equal(got, expected)
    place = {id: row for row, id in enumerate([*IDS, "never shown"])}
    length = min(map(len, lists))
    rows = np.array([[place[id] for id in ids[:length]] for ids in lists])
    array = np.zeros((len(lists), len(place)))
    for i, gain_of in enumerate(gains):
        for id, gain in gain_of.items():
            array[i, place[id]] = gain
    by_ids = ranking_measures([ids[:length] for ids in lists], gains, k)
    for got, expected in zip(ranking_measures(rows, array, k), by_ids, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("k", [1, 3, 10, 40])
def test_ndcg_is_that_of_scikit_learn(k):
    rng = np.random.default_rng(7)
    gains = rng.integers(0, 4, (50, 30)).astype(float)
    scores = rng.random((50, 30))
    rows = np.argsort(-scores, axis=1)
    assert ndcg(rows, gains, k) == pytest.approx(ndcg_score(gains, scores, k=k), rel=1e-12)
    lists = [[f"item {row}" for row in line] for line in rows]
    maps = [{f"item {row}": gain for row, gain in enumerate(line)} for line in gains]
    assert ndcg(lists, maps, k) == pytest.approx(ndcg_score(gains, scores, k=k), rel=1e-12)


def test_means_by_hand():
    lists, relevant = [["a", "b", "c"], ["d", "a"]], [{"c", "x"}, {"d"}]
    assert precision(lists, relevant, 2) == (0 + 1 / 2) / 2
    assert precision(lists, relevant, 3) == pytest.approx((1 / 3 + 1 / 3) / 2)
    assert recall(lists, relevant, 3) == (1 / 2 + 1) / 2
    assert hit_rate(lists, relevant, 1) == 1 / 2
    # the ideal of the first list has both relevant ids, though its two places could not hold "x"
    ideal = 1 + 1 / math.log2(3)
    assert ndcg(lists, relevant, 3) == pytest.approx((1 / math.log2(4) / ideal + 1) / 2)


def test_the_ideal_is_cut_at_k():
    assert ndcg([["a"]], [{"a", "b", "c"}], 1) == 1.0


@settings(max_examples=60)
@given(logs())
def test_coverage_and_gini(log):
    lists, _, k = log
    shown = [sum(id in ids[:k] for ids in lists) for id in IDS]
    assert coverage(lists, IDS, k) == sum(count > 0 for count in shown) / len(IDS)
    assert exposure_gini(lists, [*IDS, *IDS[:3]], k) == pytest.approx(naive.gini(shown), abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([["a"]], [{"a"}], 0), "k must be at least 1; got 0"),
        (([["a"]], [{"a"}], 1.0), "k = 1.0 is not an integer"),
        (([["a", "b", "a"]], [{"a"}], 1), "recommended[0] holds 'a' twice"),
        (([["a"], []], [{"a"}, {"a"}], 1), "recommended[1] is empty"),
        (([], [], 1), "recommended is empty"),
        ((["ab"], [{"a"}], 1), "recommended[0] = 'ab' is not a list of ids"),
        (([["a"]], ["a"], 1), "relevant[0] = 'a' is neither a set"),
        (([["a"]], [{"a"}, {"b"}], 1), "one entry for each of the 1 lists; got 2"),
        (([["a"]], [{"a": -1.0}], 1), "relevant[0]['a'] = -1.0 is not a finite gain"),
        (([["a"]], [{"a": math.nan}], 1), "is not a finite gain"),
        ((np.array([[0, 0]]), np.ones((1, 2)), 1), "recommended[0] holds a row twice"),
        ((np.array([[0, 2]]), np.ones((1, 2)), 1), "rows in [0, 2)"),
        ((np.array([[0, -1]]), np.ones((1, 2)), 1), "rows in [0, 2)"),
        ((np.array([[0.0, 1.0]]), np.ones((1, 2)), 1), "must be integers [n, L]"),
        ((np.array([[0, 1]]), np.ones((2, 2)), 1), "relevant must be gains [1, K]"),
        ((np.array([[0, 1]]), np.array([[1.0, np.inf]]), 1), "relevant[0] holds a gain"),
    ],
)
def test_what_is_wrong_is_named(arguments, says):
    with pytest.raises(ValueError) as error:
        ranking_measures(*arguments)
    assert says in str(error.value)


def test_lists_without_relevant_ids():
    lists, relevant = [["a"], ["b"]], [{"a"}, set()]
    found = ranking_measures(lists, relevant, 1)
    assert np.isnan([found.recall[1], found.ndcg[1]]).all()
    assert precision(lists, relevant, 1) == 0.5
    for measure in (recall, ndcg):
        with pytest.raises(ValueError, match=r"relevant\[1\] holds no id .* leave out such lists \(1 of 2\)"):
            measure(lists, relevant, 1)
    with pytest.raises(ValueError, match="holds 'b', which is not among the 1 of the catalogue"):
        coverage(lists, ["a"], 1)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seedbed.constraints import percentiles, scalarise

HOWS = ["weighted", "chebyshev", "generalised_gini"]


def test_by_hand():
    """Candidates (.9, .1), (.4, .4) and (.2, .6)."""
    values = [[0.9, 0.4, 0.2], [0.1, 0.4, 0.6]]
    for how, weights, reference, expected in [
        ("weighted", None, None, [1.0, 0.8, 0.8]),
        ("weighted", [1, 0.5], None, [0.95, 0.6, 0.5]),
        ("chebyshev", None, None, [0.1, 0.4, 0.2]),
        ("chebyshev", [1, 4], None, [0.4, 0.4, 0.2]),
        ("chebyshev", [1, 2], [0.4, 0.2], [-0.2, 0.0, -0.2]),
        ("generalised_gini", None, None, [0.1 + 0.45, 0.4 + 0.2, 0.2 + 0.3]),
        ("generalised_gini", [2, 1], None, [0.2 + 0.9, 0.8 + 0.4, 0.4 + 0.6]),
        ("generalised_gini", [1, 1], None, [1.0, 0.8, 0.8]),
        ("generalised_gini", [1, 0], None, [0.1, 0.4, 0.2]),
    ]:
        assert scalarise(values, how, weights, reference).tolist() == pytest.approx(expected), (how, weights)


unit = st.floats(0.0, 1.0)
tables = st.integers(1, 4).flatmap(
    lambda m: st.lists(st.lists(unit, min_size=m, max_size=m), min_size=1, max_size=6)
)  # a row each candidate


@given(tables, st.lists(st.floats(0.01, 5.0), min_size=4, max_size=4), st.lists(unit, min_size=4, max_size=4))
def test_against_plain_python(table, weights, reference):
    m = len(table[0])
    weights, reference = weights[:m], reference[:m]
    falling = sorted(weights, reverse=True)
    values = np.array(table).T
    expected = {
        "weighted": [sum(w * f for w, f in zip(weights, row, strict=True)) for row in table],
        "chebyshev": [min(w * (f - z) for w, f, z in zip(weights, row, reference, strict=True)) for row in table],
        "generalised_gini": [sum(w * f for w, f in zip(falling, sorted(row), strict=True)) for row in table],
    }
    assert scalarise(values, "weighted", weights) == pytest.approx(expected["weighted"], abs=1e-12)
    assert scalarise(values, "chebyshev", weights, reference) == pytest.approx(expected["chebyshev"], abs=1e-12)
    assert scalarise(values, "generalised_gini", falling) == pytest.approx(expected["generalised_gini"], abs=1e-12)


@given(st.lists(unit, min_size=2, max_size=5), st.integers(0, 4), st.integers(0, 4), st.floats(0.0, 1.0))
def test_gini_prefers_balanced_candidates(row, i, j, share):
    """To move some of one objective to another that has less never loses; the order of objectives is all the same."""
    i, j = i % len(row), j % len(row)
    rich, poor = (i, j) if row[i] >= row[j] else (j, i)
    moved = share * (row[rich] - row[poor]) / 2
    balanced = list(row)
    if rich != poor:
        balanced[rich] -= moved
        balanced[poor] += moved
    before, after, turned = scalarise(np.array([row, balanced, row[::-1]]).T, "generalised_gini")
    assert after >= before - 1e-12
    assert turned == before


def test_gini_tells_equal_sums_apart():
    assert scalarise([[1.0, 0.5], [0.0, 0.5]], "generalised_gini").tolist() == [0.5, 0.75]


@pytest.mark.parametrize("how", HOWS)
def test_more_is_better(how):
    rng = np.random.default_rng(4)
    values = rng.random((3, 200))
    more = values + rng.random((3, 200))
    assert (scalarise(more, how) >= scalarise(values, how)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], "weighted"), "a row each objective"),
        (([[1.0], [2.0]], "weighted", [1.0]), "one for each of 2 objectives"),
        (([[1.0], [2.0]], "weighted", [1.0, -1.0]), "must be 0 or more"),
        (([[1.0], [2.0]], "weighted", [0.0, 0.0]), "one of them more"),
        (([[1.0], [2.0]], "weighted", [np.nan, 1.0]), "finite"),
        (([[1.0], [2.0]], "weighted", None, [0.0, 0.0]), "is of 'chebyshev'"),
        (([[1.0], [2.0]], "chebyshev", None, [0.0]), "reference must be finite, one for each"),
        (([[1.0], [2.0]], "generalised_gini", [1.0, 2.0]), "must not increase"),
        (([[1.0], [2.0]], "product"), "is none of"),
    ],
)
def test_what_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        scalarise(*arguments)


steps = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, 2.0, np.inf])


@given(st.lists(st.tuples(steps, st.integers(0, 3)), max_size=40))
def test_percentiles_are_mean_ranks(pairs):
    values = np.array([value for value, _ in pairs])
    groups = np.array([group for _, group in pairs], np.int64)
    expected = np.empty(values.size)
    for group in set(groups.tolist()):
        own = groups == group
        expected[own] = (stats.rankdata(values[own]) - 0.5) / own.sum()
    assert percentiles(values, groups).tolist() == pytest.approx(expected.tolist(), abs=1e-15)
    if values.size:
        everyone = (stats.rankdata(values) - 0.5) / values.size
        assert percentiles([values, -values]).tolist() == [
            pytest.approx(everyone.tolist()), pytest.approx((1 - everyone).tolist())
        ]  # fmt: skip


def test_percentiles_refuse():
    with pytest.raises(ValueError, match="NaN"):
        percentiles([1.0, np.nan])
    for groups in ([0], [0, -1]):
        with pytest.raises(ValueError, match="groups must be integers"):
            percentiles([1.0, 2.0], groups)

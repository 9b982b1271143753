import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from constraints import naive_filling as naive
from seedbed.constraints.base import Limits
from seedbed.constraints.filling import _arrange, _fill, _judge, _needs, fill


def array(values, kind=np.int64):
    return np.array(values, kind)


def limits_of(groups, upper, lower, **more):
    groups = array(groups)
    amounts = array(more.pop("amounts", [1.0] * groups.size), float)
    return Limits(groups, amounts, array(upper, float), array(lower, float), **more)


@st.composite
def orders(draw, most=8):
    size = draw(st.integers(1, most))
    return array(draw(st.permutations(range(size)))), draw(st.integers(1, 5))


def bounds(draw, groups, count, **more):
    upper = draw(st.lists(st.sampled_from([0, 1, 2, 3, np.inf]), min_size=count, max_size=count))
    lower = draw(st.lists(st.sampled_from([0, 0, 1, 2, 3]), min_size=count, max_size=count))
    return limits_of(groups, upper, [min(low, high) for low, high in zip(lower, upper, strict=True)], **more)


@st.composite
def one_grouping(draw):
    order, k = draw(orders())
    return order, k, [bounds(draw, draw(st.lists(st.integers(0, 2), min_size=order.size, max_size=order.size)), 3)]


@st.composite
def nested_groupings(draw):
    """Each group of the first lies in one of the second, and these in one of the third."""
    order, k = draw(orders())
    fine = draw(st.lists(st.integers(0, 4), min_size=order.size, max_size=order.size))
    into = draw(st.lists(st.integers(0, 2), min_size=5, max_size=5))
    again = draw(st.lists(st.integers(0, 1), min_size=3, max_size=3))
    middle = [into[g] for g in fine]
    found = [
        bounds(draw, fine, 5),
        bounds(draw, middle, 3),
        bounds(draw, [again[g] for g in middle], 2),
    ]
    return order, k, draw(st.permutations(found))


@st.composite
def positions_only(draw):
    order, k = draw(orders())
    earliest = draw(st.lists(st.integers(0, 4), min_size=order.size, max_size=order.size))
    return order, k, [limits_of([0] * order.size, [np.inf], [0], earliest=array(earliest))]


def check_against_all(problem):
    order, k, limits = problem
    k = min(k, order.size)
    expected = naive.best(order.tolist(), k, limits)
    slate, complete, relaxed = fill(order, order.size, k, limits)
    assert complete
    assert slate.size == k
    if expected is not None:
        assert slate.tolist() == expected
        assert relaxed == ()
    assert relaxed == tuple(j for j, limit in enumerate(limits) if not naive.keeps(slate.tolist(), limit))


@settings(max_examples=150)
@given(one_grouping())
def test_one_grouping_against_all_slates(problem):
    check_against_all(problem)


@settings(max_examples=200)
@given(nested_groupings())
def test_nested_groupings_against_all_slates(problem):
    check_against_all(problem)


def test_a_thousand_random_nested_groupings_against_all_slates():
    """As above, drawn faster and with tighter bounds."""
    rng = np.random.default_rng(8)
    met = 0
    for _ in range(1000):
        size, k = int(rng.integers(3, 9)), int(rng.integers(2, 5))
        fine = rng.integers(0, 4, size)
        middle = rng.integers(0, 2, 4)[fine]
        found = []
        for groups, count, top in ((fine, 4, 2), (middle, 2, 3)):
            upper = rng.integers(1, top + 2, count)
            found.append(limits_of(groups, upper, np.minimum(rng.integers(0, top + 1, count), upper)))
        problem = rng.permutation(size), k, found
        met += naive.best(problem[0].tolist(), min(k, size), found) is not None
        check_against_all(problem)
    assert met > 200


@given(positions_only())
def test_first_positions_against_all_slates(problem):
    check_against_all(problem)


@st.composite
def anything(draw):
    """Groups that overlap, amounts, first positions, bounds that may give way and others, arms that must be there."""
    order, k = draw(orders(most=10))
    size, found = order.size, []
    for _ in range(draw(st.integers(1, 3))):
        groups = draw(st.lists(st.integers(0, 2), min_size=size, max_size=size))
        more = {"relaxable": draw(st.booleans())}
        if draw(st.booleans()):
            more["amounts"] = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.7]), min_size=size, max_size=size))
        if draw(st.booleans()):
            more["earliest"] = array(draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
        found.append(bounds(draw, groups, 3, **more))
    must = array(draw(st.lists(st.integers(0, size - 1), max_size=3, unique=True)))
    return order, k, found, must if must.size else None


def has_room(slate, i, limit):
    used = sum(limit.amounts[x] for x in slate if limit.groups[x] == limit.groups[i])
    return used + limit.amounts[i] <= limit.upper[limit.groups[i]]


@settings(max_examples=150)
@given(anything())
def test_hard_limits_hold_and_the_report_is_true(problem):
    order, k, limits, must = problem
    slate, complete, relaxed = fill(order, order.size, k, limits, must)
    chosen, wanted = slate.tolist(), min(k, order.size)
    assert complete
    assert len(chosen) == len(set(chosen)) <= wanted
    assert relaxed == tuple(j for j, limit in enumerate(limits) if not naive.keeps(chosen, limit))
    hard = [limit for limit in limits if not limit.relaxable]
    for limit in hard:
        no_lower = limit._replace(lower=np.zeros(limit.lower.size))
        assert naive.keeps(chosen, no_lower, slack=1e-12)
    if all(limit.earliest is None for limit in hard):
        assert len(chosen) == wanted or not any(
            all(has_room(chosen, i, limit) for limit in hard) for i in order.tolist() if i not in chosen
        )
        there = []
        for i in [] if must is None else must.tolist():
            if len(there) < wanted and all(has_room(there, i, limit) for limit in hard):
                there.append(i)
        assert set(there) <= set(chosen)


@settings(max_examples=100)
@given(anything())
def test_a_prefix_tells_the_same_or_asks_for_more(problem):
    order, k, limits, must = problem
    if must is not None:
        must = must[:1]
    whole = fill(order, order.size, k, limits, must).positions.tolist()
    for n in range(order.size):
        slate, complete, _ = fill(order[:n], order.size, k, limits, must)
        if complete:
            assert slate.tolist() == whole


@settings(max_examples=50)
@given(anything(), st.randoms(use_true_random=False))
def test_renumbered_candidates_give_the_same_slate(problem, random):
    order, k, limits, must = problem
    number = array(random.sample(range(order.size), order.size))  # of each position, the new one
    inverse = np.argsort(number)
    moved = [
        limit._replace(
            groups=limit.groups[inverse],
            amounts=limit.amounts[inverse],
            earliest=None if limit.earliest is None else limit.earliest[inverse],
        )
        for limit in limits
    ]
    slate = fill(order, order.size, k, limits, must).positions
    again = fill(number[order], order.size, k, moved, None if must is None else number[must]).positions
    assert again.tolist() == number[slate].tolist()


def test_prefixes_suffice_where_bounds_allow():
    """Ten of a thousand; the music that is needed stands at rank 12."""
    groups = np.zeros(1000, np.int64)
    groups[12::10] = 1
    bound = limits_of(groups, [np.inf, np.inf], [0, 1])
    order = np.arange(1000)
    assert not fill(order[:10], 1000, 10, [bound]).complete
    slate, complete, relaxed = fill(order[:20], 1000, 10, [bound])
    assert (slate.tolist(), complete, relaxed) == ([*range(9), 12], True, ())
    assert fill(order[:10], 1000, 10, []).positions.tolist() == list(range(10))
    assert not fill(order[:9], 1000, 10, []).complete


def test_a_nested_need_is_counted_once():
    """Two of group A, one of them of A1, and two of B1 within B: four in all, so that nothing else fits into four."""
    fine = limits_of([0, 1, 1, 2, 2, 3], [np.inf] * 4, [0, 0, 2, 1])  # rest, rest of A, B1, A1
    coarse = limits_of([0, 1, 1, 2, 2, 1], [np.inf] * 3, [0, 2, 0])  # rest, A, B
    slate, _, relaxed = fill(np.arange(6), 6, 4, [fine, coarse])
    assert (slate.tolist(), relaxed) == ([1, 3, 4, 5], ())


def test_room_is_kept_within_a_group():
    """Two of A at most, one of them of A1, which comes last."""
    fine = limits_of([0, 0, 0, 0, 1], [np.inf] * 2, [0, 1])
    coarse = limits_of([1, 1, 1, 0, 1], [np.inf, 2.0], [0, 0])
    slate, _, relaxed = fill(np.arange(5), 5, 3, [fine, coarse])
    assert (slate.tolist(), relaxed) == ([0, 3, 4], ())


def test_more_needed_than_there_are_slots():
    """Two of each of two groups, three slots: all go to them, none to the best arm."""
    bound = limits_of([0, 1, 1, 2, 2], [np.inf] * 3, [0, 2, 2])
    slate, complete, relaxed = fill(np.arange(5), 5, 3, [bound])
    assert (slate.tolist(), complete, relaxed) == ([1, 2, 3], True, (0,))


def test_what_gives_way_first():
    """Three slots; group 1 needs one that has no room under a hard bound: the need gives way, the hard bound holds."""
    need = limits_of([0, 0, 0, 1], [2.0, 9.0], [0, 1])
    hard = limits_of([0, 0, 0, 1], [9.0, 0.0], [0, 0], relaxable=False)
    slate, _, relaxed = fill(np.arange(4), 4, 3, [need, hard])
    assert (slate.tolist(), relaxed) == ([0, 1, 2], (0,))
    slate, _, relaxed = fill(np.arange(4), 4, 3, [need._replace(relaxable=False), hard])
    assert (slate.tolist(), relaxed) == ([0, 1], (0,))


def test_a_first_position_moves_an_arm_down():
    """An arm that may stand third at the earliest; in a slate of two it gives way to others, or breaks the bound."""
    wait = limits_of([1, 0, 0, 0], [np.inf, 1.0], [0, 0], earliest=array([2, 0, 0, 0]))
    assert fill(np.arange(4), 4, 3, [wait])[0].tolist() == [1, 2, 0]
    assert fill(np.arange(4), 4, 2, [wait])[0].tolist() == [1, 2]
    slate, _, relaxed = fill(np.arange(4), 4, 2, [wait], array([0]))
    assert (slate.tolist(), relaxed) == ([1, 0], (0,))
    slate, _, relaxed = fill(np.arange(4), 4, 2, [wait._replace(relaxable=False)], array([0]))
    assert (slate.tolist(), relaxed) == ([1, 2], ())


def test_what_must_be_there():
    bound = limits_of([0, 0, 1, 1], [1.0, 1.0], [0, 0])
    slate, _, relaxed = fill(np.arange(2), 4, 2, [bound], array([3, 2]))
    assert (slate.tolist(), relaxed) == ([3, 2], (0,))  # behind the order given, as given
    slate, _, relaxed = fill(np.arange(4), 4, 2, [bound], array([3, 2]))
    assert (slate.tolist(), relaxed) == ([2, 3], (0,))
    slate, _, relaxed = fill(np.arange(4), 4, 2, [bound._replace(relaxable=False)], array([3, 2]))
    assert (slate.tolist(), relaxed) == ([0, 3], ())


def test_one_signature_each():
    for function in (_arrange, _fill, _judge, _needs):
        assert len(function.signatures) == 1

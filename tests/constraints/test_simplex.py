import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constraints import naive_simplex as naive
from seedbed.bandits._random import fold_in_many, uid64
from seedbed.constraints._pouring import group_sums, pour, total_of
from seedbed.constraints.base import Shares
from seedbed.constraints.drawing import choose, forced, members
from seedbed.constraints.simplex import constrained_shares, floored, guarantee

UIDS = np.array([uid64(f"arm {i}") for i in range(20)], np.uint64)
DRAWS = 100_000


def keys(n=DRAWS, seed=5):
    out = np.empty(n, np.int64)
    fold_in_many(seed, 0, out)
    return out.tolist()


@st.composite
def problems(draw, least_weight=0.0):
    """Propensities, slots, and bounds of each sort under one grouping."""
    size = draw(st.integers(2, 8))
    weights = st.one_of(
        st.floats(max(least_weight, 1e-3), 1.0), st.sampled_from([max(least_weight, x) for x in (0, 1)])
    )
    w = np.array(draw(st.lists(weights, min_size=size, max_size=size)))
    w[0] = max(w[0], 1e-3)
    k = draw(st.integers(1, min(3, size)))
    groups = np.array(draw(st.lists(st.integers(0, 2), min_size=size, max_size=size)))
    share = st.one_of(st.just(0.0), st.floats(0.0, 1.0 / size), st.floats(0.0, 0.6))
    cap = st.one_of(st.just(1.0), st.floats(1.0 / size, 1.0), st.floats(0.0, 0.6))
    floor, caps = (np.array(draw(st.lists(x, min_size=size, max_size=size))) for x in (share, cap))
    floors_of, caps_of = (np.array(draw(st.lists(x, min_size=3, max_size=3))) for x in (share, cap))
    return w, k, floor, caps, groups, floors_of, caps_of


def apart(floor, caps, groups, floors_of, caps_of):
    return [
        Shares(floor=floor),
        Shares(cap=caps),
        Shares(groups=groups, group_floor=floors_of),
        Shares(groups=groups.copy(), group_cap=caps_of),
    ]


@settings(max_examples=60)
@given(problems(least_weight=1e-3))
def test_bounds_that_can_be_kept_are_kept_as_by_bisection(problem):
    w, k, *bounds = problem
    p, relaxed = constrained_shares(w, k, apart(*bounds))
    if naive.can_be_kept(k, *bounds):
        assert relaxed == ()
        np.testing.assert_allclose(p, naive.constrained(w.tolist(), k, *bounds), atol=1e-9)


@settings(max_examples=100)
@given(problems())
def test_caps_are_kept_whatever_the_floors(problem):
    w, k, floor, caps, groups, floors_of, caps_of = problem
    relaxed = constrained_shares(w, k, apart(floor, caps, groups, floors_of, caps_of))[1]
    none = np.zeros(w.size)
    if naive.can_be_kept(k, none, caps, groups, np.zeros(3), caps_of):
        assert set(relaxed) <= {0, 2}
    if naive.can_be_kept(k, none, caps, none.astype(int), np.zeros(1), np.ones(1)):
        assert 1 not in relaxed


def test_floors_of_arms_give_way_to_a_cap_of_their_group():
    """Floors .4 and .2 in a group of .3: half of each."""
    shares = [
        Shares(floor=np.array([0.4, 0.2, 0.0])),
        Shares(groups=np.array([0, 0, 1]), group_cap=np.array([0.3, 1.0])),
    ]
    p, relaxed = constrained_shares(np.array([0.0, 0.5, 0.5]), 1, shares)
    assert relaxed == (0,)
    np.testing.assert_allclose(p, [0.2, 0.1, 0.7])


def test_groups_that_overlap_by_hand():
    """Alike weights; rows {a, b} .2, columns {a, c} .4: a = b = .1, then c stops at .3, and d has the rest."""
    shares = [
        Shares(groups=np.array([0, 0, 1, 1]), group_cap=np.array([0.2, 1.0])),
        Shares(groups=np.array([0, 1, 0, 1]), group_cap=np.array([0.4, 1.0])),
    ]
    p, relaxed = constrained_shares(np.full(4, 0.25), 1, shares)
    assert relaxed == ()
    np.testing.assert_allclose(p, [0.1, 0.1, 0.3, 0.5])


def test_groups_that_overlap_and_leave_no_room_give_way_by_hand():
    """{a, b} .5 and {b, c} .3 hold .65 together (b = c = .15, a = .35); the .35 left goes to all alike."""
    shares = [
        Shares(groups=np.array([0, 0, 1]), group_cap=np.array([0.5, 1.0])),
        Shares(groups=np.array([0, 1, 1]), group_cap=np.array([1.0, 0.3])),
    ]
    p, relaxed = constrained_shares(np.ones(3), 1, shares)
    assert relaxed == (0, 1)
    np.testing.assert_allclose(p, np.array([0.35, 0.15, 0.15]) + 0.35 / 3)


def test_the_oracle_is_met_often_enough():
    """The share of generated problems whose bounds can be kept, so that the test above looks at some."""
    rng = np.random.default_rng(3)
    met = 0
    for _ in range(200):
        w, groups = rng.dirichlet(np.ones(8) * 0.3) + 1e-3, rng.integers(0, 3, 8)
        k = int(rng.integers(1, 4))
        floor, caps = rng.uniform(0, 0.06, 8), rng.uniform(0.1, 0.6, 8)
        floors_of, caps_of = rng.uniform(0, 0.35, 3), rng.uniform(0.3, 0.9, 3)
        bounds = floor, caps, groups, floors_of, caps_of
        if naive.can_be_kept(k, *bounds):
            met += 1
            p, relaxed = constrained_shares(w, k, apart(*bounds))
            assert relaxed == ()
            np.testing.assert_allclose(p, naive.constrained(w.tolist(), k, *bounds), atol=1e-9)
    assert met > 40


@settings(max_examples=100)
@given(problems(), problems(), st.randoms(use_true_random=False))
def test_sums_ranges_reports_and_order(problem, other, random):
    """Also of bounds that cannot be kept, weights of 0, and groups that overlap."""
    w, k, *bounds = problem
    size = w.size
    groups = np.resize(other[4], size)
    shares = [*apart(*bounds), Shares(groups=groups, group_floor=other[5], group_cap=other[6])]
    p, relaxed = constrained_shares(w, k, shares)
    assert abs(total_of(p) - k) < 1e-12
    assert ((p >= 0.0) & (p <= 1.0)).all()
    assert relaxed == tuple(j for j, share in enumerate(shares) if not naive.keeps(p, k, share))
    order = np.array(random.sample(range(size), size))
    moved = [
        Shares(floor=bounds[0][order]),
        Shares(cap=bounds[1][order]),
        Shares(groups=bounds[2][order], group_floor=bounds[3]),
        Shares(groups=bounds[2][order], group_cap=bounds[4]),
        Shares(groups=groups[order], group_floor=other[5], group_cap=other[6]),
    ]
    np.testing.assert_allclose(constrained_shares(w[order], k, moved)[0], p[order], atol=1e-9)


@settings(max_examples=100)
@given(problems())
def test_without_caps_it_is_the_mixture(problem):
    w, _, floor, _, groups, floors_of, _ = problem
    shares = [Shares(floor=floor), Shares(groups=groups, group_floor=floors_of)]
    guaranteed = guarantee(shares, w.size)
    p, relaxed = constrained_shares(w, 1, shares)
    assert bool(relaxed) == guaranteed.relaxed
    np.testing.assert_allclose(floored(w, guaranteed), p, atol=1e-12)


def test_caps_win_over_floors_and_both_over_the_impossible():
    w = np.array([0.5, 0.3, 0.2])
    p, relaxed = constrained_shares(w, 1, [Shares(floor=np.array([0.4, 0, 0])), Shares(cap=np.array([0.1, 1, 1]))])
    assert relaxed == (0,)
    np.testing.assert_allclose(p, [0.1, 0.54, 0.36])
    p, relaxed = constrained_shares(w, 1, [Shares(floor=0.5)])  # 1.5 in all: a third each
    assert relaxed == (0,)
    np.testing.assert_allclose(p, [1 / 3] * 3)
    p, relaxed = constrained_shares(w, 1, [Shares(cap=np.array([0.1, 0.2, 0.2]))])  # .5 in all: twice that
    assert relaxed == (0,)
    np.testing.assert_allclose(p, [0.2, 0.4, 0.4])
    groups = np.array([0, 0, 1])
    p, relaxed = constrained_shares(w, 1, [Shares(groups=groups, group_cap=np.array([0.25, 0.25]))])
    assert relaxed == (0,)
    np.testing.assert_allclose(p, [0.3125, 0.1875, 0.5])
    p, relaxed = constrained_shares(
        w,
        1,
        [Shares(groups=groups, group_floor=np.array([0.6, 0.0])), Shares(groups=groups, group_cap=np.array([0.3, 1]))],
    )
    assert relaxed == (0,)
    np.testing.assert_allclose(p, [0.1875, 0.1125, 0.7])


def test_slates_by_hand():
    """Three slots of four: a floor of .1 is .3 of an exposure; nobody has more than one."""
    p, relaxed = constrained_shares(np.array([1.0, 1.0, 1.0, 0.0]), 3, [Shares(floor=0.1)])
    assert relaxed == ()
    np.testing.assert_allclose(p, [0.9, 0.9, 0.9, 0.3])
    p, relaxed = constrained_shares(np.array([1.0, 1.0, 0.5, 0.5]), 3, [Shares(floor=np.array([0.3, 0, 0, 0]))])
    assert relaxed == ()
    np.testing.assert_allclose(p, [1.0, 1.0, 0.5, 0.5])
    p, relaxed = constrained_shares(
        np.array([1.0, 1.0, 0.5, 0.5]), 3, [Shares(groups=np.array([0, 0, 1, 1]), group_cap=np.array([0.5, 1.0]))]
    )
    assert relaxed == ()
    np.testing.assert_allclose(p, [0.75] * 4)


def test_propensities_that_sum_to_one_but_nearly():
    """As quadrature gives them: the sum is exact all the same."""
    w = np.array([0.5, 0.3, 0.2]) * (1.0 + 1e-6)
    for shares in ([], [Shares(floor=0.1)], [Shares(cap=0.4)]):
        assert abs(total_of(constrained_shares(w, 1, shares)[0]) - 1.0) < 1e-15
    assert abs(total_of(floored(w, guarantee([Shares(floor=0.1)], 3))) - 1.0) < 1e-15


def test_many_candidates_and_tiny_weights():
    rng = np.random.default_rng(2)
    w = 10.0 ** rng.uniform(-300, 0, 500)
    groups = rng.integers(0, 20, 500)
    shares = [Shares(cap=0.01), Shares(groups=groups, group_cap=np.full(20, 0.06)), Shares(floor=1e-4)]
    for k in (1, 5):
        p, relaxed = constrained_shares(w, k, shares)
        assert relaxed == ()
        assert abs(total_of(p) - k) < 1e-12


def matches(counts, p, n):
    """Whether counts of n draws are those of probabilities, each within five deviations."""
    sure = (p <= 0.0) | (p >= 1.0)
    np.testing.assert_array_equal(counts[sure], np.round(n * p[sure]))
    z = (counts[~sure] - n * p[~sure]) / np.sqrt(n * p[~sure] * (1.0 - p[~sure]))
    assert np.abs(z).max() < 5.0


GROUPS = np.array([0, 0, 0, 1, 1, 2, 2, 2])
BOUNDS = {
    "arm floors": [Shares(floor=0.05)],
    "group floors": [Shares(groups=GROUPS, group_floor=np.array([0.0, 0.2, 0.1]))],
    "arm caps": [Shares(cap=0.2)],
    "group caps": [Shares(groups=GROUPS, group_cap=np.array([0.3, 1.0, 0.5]))],
    "both": [
        Shares(floor=0.02, cap=0.3),
        Shares(groups=GROUPS, group_floor=np.array([0.0, 0.2, 0.1]), group_cap=np.array([0.4, 1.0, 1.0])),
    ],
}


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("bounds", BOUNDS.values(), ids=BOUNDS)
def test_frequencies_are_propensities(bounds, k):
    w = np.array([0.45, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.0])
    p, relaxed = constrained_shares(w if k == 1 else np.minimum(1.0, 3 * w), k, bounds)
    assert relaxed == ()
    assert abs(total_of(p) - k) < 1e-12
    chosen = np.array([choose(key, UIDS[:8], p, k) for key in keys()])
    assert all(len(set(row)) == k for row in chosen[:1000].tolist())
    matches(np.bincount(chosen.ravel(), minlength=8), p, DRAWS)


def test_certain_candidates_are_always_there():
    p = np.array([1.0, 0.5, 0.25, 0.25, 1.0, 0.0])
    chosen = np.array([choose(key, UIDS[:6], p, 3) for key in keys(20_000)])
    matches(np.bincount(chosen.ravel(), minlength=6), p, 20_000)


@pytest.mark.parametrize("name", ["arm floors", "group floors", "both"])
def test_forced_and_policy_together_have_the_propensities(name):
    """The policy's choice within a group is not in proportion to its choice among all, as Thompson's is not."""
    bounds = [Shares(share.floor, 1.0, share.groups, share.group_floor) for share in BOUNDS[name]]
    guaranteed = guarantee(bounds, 8)
    w = np.array([0.45, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.0])
    alone = np.array([0.2, 0.2, 0.6, 0.9, 0.1, 0.4, 0.4, 0.2])
    p = floored(w, guaranteed, np.array([alone] * len(guaranteed.groups)).reshape(-1, 8))
    assert abs(total_of(p) - 1.0) < 1e-12
    counts = np.zeros(8)
    for key, policy_key in zip(keys(), keys(seed=6), strict=True):
        position, group = forced(key, UIDS[:8], guaranteed)
        if group >= 0:
            inside = members(guaranteed, group)
            position = inside[choose(policy_key, UIDS[inside], alone[inside], 1)[0]]
        elif position < 0:
            position = choose(policy_key, UIDS[:8], w, 1)[0]
        counts[position] += 1
    matches(counts, p, DRAWS)


@settings(max_examples=100)
@given(problems(), st.integers(-(2**63), 2**63 - 1), st.randoms(use_true_random=False))
def test_draws_do_not_depend_on_the_order(problem, key, random):
    w, k, floor, _, groups, floors_of, _ = problem
    order = np.array(random.sample(range(w.size), w.size))
    p, _ = constrained_shares(w, k, [])
    uids = UIDS[: w.size]
    first = set(choose(key, uids, p, k).tolist())
    assert first == set(order[choose(key, uids[order], p[order], k)].tolist())
    assert len(first) == k
    here = guarantee([Shares(floor=floor), Shares(groups=groups, group_floor=floors_of)], w.size)
    there = guarantee([Shares(floor=floor[order]), Shares(groups=groups[order], group_floor=floors_of)], w.size)
    (position, group), (moved, moved_group) = forced(key, uids, here), forced(key, uids[order], there)
    assert group == moved_group
    assert position == (order[moved] if moved >= 0 else -1)
    if group >= 0:
        assert set(members(here, group)) == set(order[members(there, group)])


def test_nothing_is_forced_without_floors():
    assert forced(1, UIDS[:3], guarantee([Shares(cap=0.5)], 3)) == (-1, -1)
    assert forced(1, UIDS[:3], guarantee([], 3)) == (-1, -1)


def test_a_group_without_candidates_is_due_nothing():
    share = Shares(groups=np.array([0, 0]), group_floor=np.array([0.0, 0.9]))
    assert guarantee([share], 2).total == 0.0
    assert constrained_shares(np.array([0.5, 0.5]), 1, [share])[1] == ()


def test_one_signature_each():
    for function in (pour, group_sums, total_of):
        assert len(function.signatures) == 1

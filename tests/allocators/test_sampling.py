import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from allocators import naive_sampling as naive
from seedbed.allocators.cold_start import sampling
from seedbed.allocators.cold_start.sampling import share_out
from seedbed.bandits import UCB1, Bandit, Beta, GammaPoisson, StaleRowsError, Thompson
from seedbed.bandits._bounds import rough_normal
from seedbed.bandits._families import BETA, theta_of, upper_quantile
from seedbed.bandits._random import uniform
from seedbed.bandits._special_laplace import normal_start
from seedbed.bandits.policies._lazy import draws


def bandit_of(successes, failures, prior=(4.76, 15.24)):
    rooms = list(range(len(successes)))
    bandit = Bandit(Thompson(model=Beta(prior=prior)), arms=rooms, seed=11)
    bandit.update(rooms, np.ones(len(rooms)), np.asarray(successes, float))
    bandit.update(rooms, np.zeros(len(rooms)), np.asarray(failures, float))
    return bandit


def world(count, seed, untouched, prior=(4.76, 15.24)):
    rng = np.random.Generator(np.random.PCG64(seed))
    seen = rng.integers(1, 2_000, count) * (rng.random(count) >= untouched)
    good = rng.binomial(seen, rng.beta(*np.maximum(prior, 0.5), count))
    return bandit_of(good, seen - good, prior), rng


def orders_of(bandit, handles, scales=None):
    """The order of each coming decision, from a twin that draws every room."""
    twin = Bandit.from_bytes(bandit.to_bytes())
    position = {handle: i for i, handle in enumerate(handles.tolist())}
    uids = twin._uids[handles & 0xFFFF_FFFF]
    while True:
        decision = twin.select_rows(handles, k=handles.size)
        if scales is None:
            yield [position[handle] for handle in decision.rows.tolist()]
        else:
            theta = np.empty(handles.size)
            draws(twin._state.table, handles, twin._uids, decision.key, 0.0, theta)
            yield naive.by_score((scales * theta).tolist(), uids)


def assert_same(bandit, handles, room_for, available, chunk, sub_rounds, scales=None):
    orders = orders_of(bandit, handles, scales)
    wanted = naive.share_out(orders, room_for.tolist(), available, chunk, sub_rounds)
    got = share_out(bandit, handles, room_for, available, chunk=chunk, sub_rounds=sub_rounds, scales=scales)
    assert got.tolist() == wanted
    assert got.sum() == min(max(available, 0), np.maximum(room_for, 0).sum())


@given(
    st.integers(1, 60),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([(4.76, 15.24), (0.9, 3.0), (0.3, 1.2), (0.02, 0.5), (18.2, 5_382.0)]),
    st.floats(-0.1, 1.1),
    st.integers(1, 12),
    st.integers(1, 8),
    st.sampled_from(["none", "some", "equal", "zeros"]),
)
def test_who_is_served_is_who_would_be_if_all_were_drawn(count, seed, untouched, prior, part, chunk, sub_rounds, kind):
    bandit, rng = world(count, seed, untouched, prior)
    handles = bandit.rows(list(rng.permutation(count).tolist()))
    room_for = rng.integers(-2, 60, count)
    available = math.floor(part * np.maximum(room_for, 0).sum())
    scales = {
        "none": None,
        "some": rng.uniform(0.2, 5.0, count),
        "equal": np.ones(count),
        "zeros": rng.uniform(0.2, 5.0, count) * (rng.random(count) < 0.5),
    }[kind]
    assert_same(bandit, handles, room_for, available, chunk, sub_rounds, scales)


@pytest.mark.parametrize("untouched", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("is_scaled", [False, True])
def test_many_rooms(untouched, is_scaled):
    """Enough rooms that histograms, brackets and thresholds all have work to do."""
    bandit, rng = world(5_000, 3, untouched)
    handles = bandit.rows(list(range(5_000)))
    scales = rng.uniform(0.3, 3.0, 5_000) if is_scaled else None
    for per_room in (0.03, 0.7, 5.0, 30.0):
        room_for = rng.integers(0, 61, 5_000)
        assert_same(bandit, handles, room_for, int(5_000 * per_room), 10, 6, scales)


def test_rooms_far_from_all_others_do_no_harm():
    """One posterior far off stretches the histogram over 1e5 times the width of the others."""
    good = np.full(3_000, 200.0)
    bad = np.full(3_000, 600.0)
    good[0], bad[0] = 0.0, 1e9
    good[1], bad[1] = 1e9, 0.0
    bandit = bandit_of(good, bad)
    handles = bandit.rows(list(range(3_000)))
    assert_same(bandit, handles, np.full(3_000, 60), 3_000, 10, 6)
    assert_same(bandit, handles, np.full(3_000, 60), 3_000, 10, 6, np.linspace(1e-9, 1e9, 3_000))


def test_other_models():
    rooms = list(range(40))
    bandit = Bandit(Thompson(model=GammaPoisson()), arms=rooms, seed=2)
    bandit.update(rooms, np.arange(40.0))
    handles = bandit.rows(rooms)
    assert_same(bandit, handles, np.full(40, 20), 300, 5, 4)
    assert_same(bandit, handles, np.full(40, 20), 300, 5, 4, np.linspace(1.0, 2.0, 40))


def test_by_hand():
    """Two rooms with room for 6 and 1, five exposures, chunk 2, two rounds.

    The first round offers 3, in whatever order: one room wants 2, the other 1. Of the second, which offers 2, the
    larger takes 2, for no room is left in the smaller: 4 and 1.
    """
    bandit = bandit_of([5, 5], [5, 5])
    grants = share_out(bandit, bandit.rows([0, 1]), np.array([6, 1]), 5, chunk=2, sub_rounds=2)
    assert grants.tolist() == [4, 1]
    assert bandit._counter[0] == 2


def test_what_planned_rounds_cannot_place_is_given_in_one_more():
    """Room 0 may take 100, the others 1 each: three rounds bring at most 3 x 2 to room 0, the last one the rest."""
    bandit = bandit_of([5] * 4, [5] * 4)
    handles = bandit.rows([0, 1, 2, 3])
    room_for = np.array([100, 1, 1, 1])
    grants = share_out(bandit, handles, room_for, 90, chunk=2, sub_rounds=3)
    assert grants.tolist() == [87, 1, 1, 1]
    assert bandit._counter[0] == 4
    assert room_for.tolist() == [100, 1, 1, 1]


def test_nothing_is_drawn_where_nothing_is_to_be_decided():
    bandit = bandit_of([5] * 4, [5] * 4)
    handles = bandit.rows([0, 1, 2, 3])
    room_for = np.array([3, 0, -5, 2])
    assert share_out(bandit, handles, room_for, 5, chunk=1, sub_rounds=2).tolist() == [3, 0, 0, 2]
    assert share_out(bandit, handles, room_for, 0, chunk=1, sub_rounds=2).tolist() == [0, 0, 0, 0]
    assert share_out(bandit, handles[:0], room_for[:0], 9, chunk=1, sub_rounds=2).tolist() == []
    assert bandit._counter[0] == 0


def test_rounds_take_decision_numbers_and_resume_from_a_checkpoint():
    bandit, _ = world(50, 5, 0.5)
    handles = bandit.rows(list(range(50)))
    room_for = np.full(50, 10)
    first = share_out(bandit, handles, room_for, 60, chunk=2, sub_rounds=6)
    assert bandit._counter[0] == 6
    twin = Bandit.from_bytes(bandit.to_bytes())
    again = share_out(bandit, handles, room_for, 60, chunk=2, sub_rounds=6)
    assert again.tolist() == share_out(twin, handles, room_for, 60, chunk=2, sub_rounds=6).tolist()
    assert again.tolist() != first.tolist()
    assert bandit.select().decision_id == twin.select().decision_id == ("0", 0, 12)


def test_the_order_of_rooms_does_not_matter():
    bandit, rng = world(300, 6, 0.5)
    twin = Bandit.from_bytes(bandit.to_bytes())
    room_for, order = rng.integers(1, 40, 300), rng.permutation(300)
    handles = bandit.rows(list(range(300)))
    straight = share_out(bandit, handles, room_for, 900, chunk=5, sub_rounds=6)
    shuffled = share_out(twin, handles[order], room_for[order], 900, chunk=5, sub_rounds=6)
    assert shuffled.tolist() == straight[order].tolist()


def test_a_room_is_served_as_often_as_it_is_believed_to_be_among_the_best():
    """Against exact propensities: of 3 exposures, one a room, over 4,000 rounds; z < 5 each."""
    bandit = bandit_of([0, 3, 9, 20, 1, 0], [0, 9, 25, 70, 2, 6])
    handles = bandit.rows(list(range(6)))
    chances = bandit.propensities(k=3)
    served = sum(share_out(bandit, handles, np.ones(6, np.int64), 3, chunk=1, sub_rounds=1) for _ in range(4_000))
    z = (served - 4_000 * chances) / np.sqrt(4_000 * chances * (1.0 - chances))
    assert np.abs(z).max() < 5.0


def beliefs_of(a, b):
    center = np.log(a / b)
    beliefs, shape = np.stack([a, b, np.zeros_like(a), center]), np.empty((2, a.size))
    sampling._shape(beliefs, shape)
    return beliefs, shape


@pytest.mark.parametrize("is_scaled", [False, True])
def test_brackets_hold_every_draw(is_scaled):
    """All n = a b / (a + b) from 1e-2 to 1e8, all skews, uniforms down to 1e-15: with a third of the error to spare."""
    rng = np.random.Generator(np.random.PCG64(8))
    count = 300_000
    n, mean = 10.0 ** rng.uniform(-2, 8, count), 1.0 / (1.0 + np.exp(rng.uniform(-9, 9, count)))
    n[: count // 2] = 10.0 ** rng.uniform(-0.31, 1.5, count // 2)  # where the bound is needed most
    a, b = n / (1.0 - mean), n / mean
    beliefs, shape = beliefs_of(a, b)
    uids = rng.integers(0, 2**63, count).astype(np.uint64)
    scales = rng.uniform(0.1, 3.0, count) if is_scaled else np.empty(0)
    exact, bounds = np.empty(count), np.empty((2, count))
    sampling._bracket(BETA, beliefs, shape, uids, scales, 5, bounds)
    for i in range(count):
        z = upper_quantile(BETA, a[i], b[i], 0.0, uniform(5, uids[i], 0))
        exact[i] = scales[i] * theta_of(BETA, z) if is_scaled else z
    assert ((bounds[0] <= exact) & (exact <= bounds[1])).all()
    is_exact = shape[0] == 0.0
    assert (is_exact == (a * b / (a + b) < 0.5)).all()
    assert (bounds[0, is_exact] == exact[is_exact]).all()
    if not is_scaled:
        middle, half = bounds.mean(axis=0)[~is_exact], 0.5 * (bounds[1] - bounds[0])[~is_exact]
        assert (np.abs(exact[~is_exact] - middle) <= 2.0 / 3.0 * half + 1e-14 * np.abs(middle)).all()


def test_brackets_hold_rare_draws():
    """Uniforms that hardly ever come, far into both tails."""
    far = np.concatenate([norm.sf(np.linspace(3.0, 7.9, 200)), norm.cdf(np.linspace(-7.9, -3.0, 200))])
    tails = np.concatenate([np.maximum(far[:200], 2.0**-53), 1.0 - np.maximum(far[200:], 2.0**-53)])
    for n in (0.5, 0.7, 1.0, 1.6, 3.0, 6.0, 20.0, 1e3, 1e6):
        for mean in (1e-4, 0.02, 0.24, 0.5, 0.9, 0.9999):
            a, b = n / (1.0 - mean), n / mean
            for u in tails:
                x = rough_normal(u)
                z = math.log(a / b) + normal_start(n, (b - a) / (a + b), x)
                assert abs(z - upper_quantile(BETA, a, b, 0.0, u)) <= sampling._error_of(1.0 / math.sqrt(n), x)


@pytest.mark.parametrize("untouched", [0.0, 0.5, 1.0])
def test_few_rooms_are_drawn_exactly(untouched):
    """At most one in 33 of the rooms is close to the threshold, whatever part of them is served."""
    bandit, _ = world(10_000, 7, untouched)
    rounds = sampling._Draws(bandit, bandit.rows(list(range(10_000))), np.empty(0))
    beliefs = rounds._family, rounds._beliefs, rounds._shape, rounds._uids, rounds._scales
    for offered in (100, 10_000, 50_000, 99_000):
        sampling._bracket(*beliefs, 77, rounds._bounds)
        left, grants = np.full(10_000, 60), np.zeros(10_000, np.int64)
        given, close = sampling._serve_sure(
            *beliefs, 77, rounds._bounds, left, 10, offered, grants, rounds._positions, rounds._scores
        )
        assert 0 < close <= 300
        assert given <= offered <= given + 10 * close


def test_far_rooms_leave_few_to_draw_exactly():
    """Two posteriors far off, so that all others fall into a bin or two of the first histogram: it is refined."""
    good, bad = np.full(5_000, 200.0), np.full(5_000, 600.0)
    good[0], bad[0] = 0.0, 1e11
    bandit = bandit_of(good, bad, (1e-3, 1.0))
    rounds = sampling._Draws(bandit, bandit.rows(list(range(5_000))), np.empty(0))
    beliefs = rounds._family, rounds._beliefs, rounds._shape, rounds._uids, rounds._scales
    sampling._bracket(*beliefs, 78, rounds._bounds)
    assert np.ptp(rounds._bounds) > 1_000 * np.ptp(rounds._bounds[:, 1:])
    left, grants = np.full(5_000, 60), np.zeros(5_000, np.int64)
    _, close = sampling._serve_sure(
        *beliefs, 78, rounds._bounds, left, 10, 9_000, grants, rounds._positions, rounds._scores
    )
    assert 0 < close <= 150


def test_refusals_take_no_decision_number():
    bandit = bandit_of([5] * 3, [5] * 3)
    handles, room_for = bandit.rows([0, 1, 2]), np.full(3, 9)

    def refused(match, *, room_for=room_for, chunk=1, sub_rounds=1, scales=None, bandit=bandit, error=ValueError):
        with pytest.raises(error, match=match):
            share_out(bandit, handles, room_for, 5, chunk=chunk, sub_rounds=sub_rounds, scales=scales)
        assert bandit._counter[0] == 0

    refused(r"room_for must be int64 \[3\]; got int64 \[2\]", room_for=room_for[:2])
    refused(r"room_for must be int64 \[3\]; got float64 \[3\]", room_for=room_for * 1.0)
    refused("chunk = 0 and sub_rounds = 1 must be at least 1", chunk=0)
    refused("chunk = 1 and sub_rounds = 0 must be at least 1", sub_rounds=0)
    refused(r"scales must be \[3\], one a room; got \[2\]", scales=np.ones(2))
    refused(r"scales\[1\] = -1.0 is not in \[0, 1e\+12\]", scales=np.array([1.0, -1.0, np.nan]))
    refused(r"scales\[2\] = nan", scales=np.array([1.0, 0.0, np.nan]))
    for policy in (UCB1(), Thompson(sampler="gamma")):
        refused("sampled by Thompson", bandit=Bandit(policy, arms=[0, 1, 2]))
    bandit.retire_arms([1])
    refused("row", error=StaleRowsError)

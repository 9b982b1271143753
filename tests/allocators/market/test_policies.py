"""The policies of the market: legal, resumable, and each what its name says."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.allocators.market import MarketConfig, Playing, View, play
from seedbed.allocators.market.base import EXPOSURES, METRICS, RETAINED, REVENUE, Rooms
from seedbed.allocators.market.lineup import POLICIES, fit_history, history_of
from seedbed.allocators.market.policies import (
    EBThompson,
    KLUCBRanking,
    Pools,
    RouteA,
    RouteB,
    RouteM,
    StagePartitioned,
    Uniform,
    spread,
    take_turns,
)

SMALL = MarketConfig(rooms_per_day=6_000, exposures_per_day=3_000_000)
FROM_BYTES = {
    "M": RouteM.from_bytes,
    "kl-ucb": KLUCBRanking.from_bytes,
    "eb-thompson": EBThompson.from_bytes,
    "partitioned": StagePartitioned.from_bytes,
}


@cache
def fitted():
    return fit_history(SMALL, seed=0, minutes=180)


def view_of(counts, *, exposures=1_000, **facts):
    n = counts.shape[1]
    columns = {name: np.zeros(n, np.int64) for name in ("creator", "bucket", "tier")}
    columns |= {name: np.zeros(n) for name in ("content_score", "creator_score", "opened")}
    rooms = Rooms(**{**columns, "is_new": np.zeros(n, bool), **facts})
    return View(60.0, exposures, np.arange(n), np.arange(0), np.arange(0), rooms, counts)


def counted(**rows):
    n = len(next(iter(rows.values())))
    counts = np.zeros((len(METRICS), n))
    for name, values in rows.items():
        counts[METRICS.index(name)] = values
    return counts


@given(
    st.lists(st.floats(0.0, 100.0), min_size=1, max_size=20),
    st.integers(0, 500),
    st.none() | st.integers(1, 50),
)
def test_spread_gives_all_that_can_be_given_in_proportion(weights, total, most):
    weights = np.round(np.array(weights), 3)
    given_ = spread(weights, total, most)
    wanted = int((weights > 0.0).sum())
    assert given_.sum() == (min(total, wanted * (total if most is None else most)) if wanted else 0)
    assert (given_[weights == 0.0] == 0).all() and (given_ >= 0).all()
    if most is None and wanted:
        assert np.abs(given_ - weights / weights.sum() * total).max() < 1.0
    elif most is not None:
        assert given_.max() <= most


def test_turns_are_taken_in_order():
    assert take_turns(np.array([2, 0]), 4, 100).tolist() == [40, 0, 60, 0]


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_plays_legally_and_stops_and_resumes_to_the_identical_rest(name):
    """The market refuses what is illegal; a twin of the sixth minute plays on as if nothing had happened."""
    policy = POLICIES[name](SMALL, fitted(), 3)
    playing = Playing(policy, SMALL, 3, 19.5)
    for _ in range(15):
        assert playing.step().counts[EXPOSURES].sum() > 0
    twin = Playing.from_bytes(playing.to_bytes(), FROM_BYTES.get(name, lambda _: policy))
    for one in (playing, twin):
        for _ in range(15):
            one.step()
    np.testing.assert_array_equal(playing.run().counts, twin.run().counts)
    assert playing.to_bytes() == twin.to_bytes()
    assert playing.run().measures()["used"] > 0.3


def test_route_a_favours_newcomers_whatever_they_are_like():
    view = view_of(counted(exposures=[9, 9]), is_new=np.array([True, False]), tier=np.array([3, 3]))
    assert RouteA(boost=4.0).allocate(view).tolist() == [800, 200]


def test_route_b_follows_revenue_alone():
    counts = counted(exposures=[100, 100, 0], retained=[90, 0, 0], revenue=[0.0, 30.0, 0.0])
    assert RouteB().allocate(view_of(counts, exposures=100)).tolist() == [0, 60, 40]


def test_pools_ask_for_the_bar_at_the_end_of_each():
    """In the first pool, at its end below the bar, at its end above it, beyond the last."""
    counts = counted(exposures=[50, 100, 100, 20_000], retained=[0, 4, 6, 9_000])
    assert Pools(bar=0.05).allocate(view_of(counts)).tolist() == [50, 0, 60, 0]


def test_uniform_is_uniform():
    assert Uniform().allocate(view_of(counted(exposures=[1, 2, 3, 4]), exposures=10)).tolist() == [3, 3, 2, 2]


def test_the_best_known_rooms_are_preferred_by_those_that_rank():
    run = play(POLICIES["eb-thompson"](SMALL, fitted(), 4), SMALL, 4, 90, start_hour=20.0)
    plain = play(Uniform(), SMALL, 4, 90, start_hour=20.0)
    assert run.measures()["retained"] > 1.15 * plain.measures()["retained"]


def test_route_m_gives_new_rooms_their_guarantee_in_time_and_plain_thompson_does_not():
    m, plain = (
        play(POLICIES[name](SMALL, fitted(), 5), SMALL, 5, 120, start_hour=19.0).measures()
        for name in ("M", "eb-thompson")
    )
    assert m["in_time"] > 0.97
    assert plain["in_time"] < 0.8
    assert m["harmful"] < plain["harmful"]


def test_history_is_that_of_the_rooms_that_were_seen():
    run = play(Uniform(), SMALL, 7, 30, start_hour=20.0)
    history = history_of(run, [bucket.name for bucket in SMALL.buckets])
    seen = run.counts[EXPOSURES] >= 20
    assert history.exposures.sum() == run.counts[EXPOSURES, seen].sum()
    assert history.retained.sum() == run.counts[RETAINED, seen].sum()
    assert len(set(history.buckets)) > 1
    assert run.counts[REVENUE].sum() > 0

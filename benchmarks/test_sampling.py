"""The sampled part of a tick: six rounds, ten exposures a draw, beside drawing and sorting all rooms in each round."""

from functools import cache

import numpy as np
import pytest

from seedbed.allocators.cold_start.sampling import share_out
from seedbed.bandits import Bandit, Beta, Thompson
from seedbed.bandits.policies._lazy import draws

KINDS = {"cold": 1.0, "half untouched": 0.5, "warm": 0.0}  # share of untouched rooms


@cache
def world(rooms, kind, prior=(4.76, 15.24)):
    """Rooms with up to 2,000 viewers each, but for the untouched ones."""
    rng = np.random.Generator(np.random.PCG64(1))
    ids = list(range(rooms))
    bandit = Bandit(Thompson(model=Beta(prior=prior)), arms=ids, seed=1, capacity=rooms)
    seen = rng.integers(50, 2_000, rooms) * (rng.random(rooms) >= KINDS[kind])
    good = rng.binomial(seen, rng.beta(*prior, rooms))
    bandit.update(ids, np.ones(rooms), good.astype(float))
    bandit.update(ids, np.zeros(rooms), (seen - good).astype(float))
    return bandit, bandit.rows(ids), rng.uniform(0.5, 2.0, rooms)


def share_out_fully(bandit, handles, room_for, available, chunk, sub_rounds):
    """The same by the definition."""
    grants, theta = np.zeros(handles.size, np.int64), np.empty(handles.size)
    for turn in range(sub_rounds):
        offered = -(-available // (sub_rounds - turn))
        draws(bandit._state.table, handles, bandit._uids, bandit._next_key(), 0.0, theta)
        order = np.argsort(-theta)
        wanted = np.minimum(room_for - grants, chunk)[order]
        given = np.clip(offered - (np.cumsum(wanted) - wanted), 0, wanted)
        grants[order] += given
        available -= int(given.sum())
    return grants


@pytest.mark.parametrize("per_room", [1, 20])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rooms", [1_000, 10_000, 100_000])
@pytest.mark.parametrize("way", ["share_out", "share_out, weighted", "all drawn and sorted"])
def test_sampling(benchmark, way, rooms, kind, per_room):
    benchmark.group = f"sampled part of a tick, {rooms:>6} rooms, {kind}, {per_room:>2} exposures a room"
    bandit, handles, weights = world(rooms, kind)
    room_for, available = np.full(rooms, 60), rooms * per_room
    scales = weights if way == "share_out, weighted" else None

    def sample():
        if way == "all drawn and sorted":
            return share_out_fully(bandit, handles, room_for, available, 10, 6)
        return share_out(bandit, handles, room_for, available, chunk=10, sub_rounds=6, scales=scales)

    grants = benchmark.pedantic(sample, rounds=5 if "all" in way else 10, warmup_rounds=1)
    assert grants.sum() == available


@pytest.mark.parametrize("rooms", [10_000, 100_000])
def test_sampling_of_extreme_newcomers(benchmark, rooms):
    """A prior so wide that no bracket is of use: every untouched room is drawn."""
    benchmark.group = f"sampled part of a tick, {rooms:>6} rooms, cold, prior Beta(.4, 2)"
    bandit, handles, _ = world(rooms, "cold", (0.4, 2.0))
    benchmark.pedantic(
        lambda: share_out(bandit, handles, np.full(rooms, 60), rooms, chunk=10, sub_rounds=6), rounds=5, warmup_rounds=1
    )

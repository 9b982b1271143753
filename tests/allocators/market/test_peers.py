"""Peers in the market, by a script and by MABWiser itself."""

import numpy as np
import pytest
from allocators.market.policies_for_tests import SMALL
from mabwiser.mab import MAB as MABWiser
from mabwiser.mab import LearningPolicy as MABWiserPolicy

from seedbed.allocators.market import Playing, Report, Rooms, View, play
from seedbed.allocators.market.base import METRICS
from seedbed.allocators.market.peers import Peer
from seedbed.bandits.adapters import MAB, LearningPolicy


class Scripted:
    """Ranks rooms by their number, the other way round in every second ranking; notes what it is told."""

    def __init__(self, rooms):
        self.rooms, self.told, self.turns = set(rooms), [], 0

    def add_arm(self, arm):
        self.rooms.add(arm)

    def remove_arm(self, arm):
        self.rooms.remove(arm)

    def partial_fit(self, decisions, rewards):
        self.told.append((decisions, rewards))

    def predict_expectations(self):
        self.turns += 1
        return {room: (-1.0) ** self.turns * room for room in self.rooms}


def view_of(rooms, exposures):
    n = len(rooms)
    columns = {name: np.zeros(n, np.int64) for name in ("creator", "bucket", "tier")}
    columns |= {name: np.zeros(n) for name in ("content_score", "creator_score", "opened")}
    facts = Rooms(**columns, is_new=np.zeros(n, bool))
    none = np.arange(0)
    return View(0.0, exposures, np.array(rooms), none, none, facts, np.zeros((len(METRICS), n)))


def test_a_script_by_hand():
    policy = Peer(Scripted)
    assert policy.allocate(view_of([3, 5, 8], 9)).tolist() == [3, 3, 3]  # nothing is known yet
    counts = np.zeros((len(METRICS), 3))
    counts[0], counts[2] = [2, 0, 3], [1, 0, 3]
    policy.learn(Report(60.0, np.array([3, 5, 8]), counts))
    assert policy.peer.told == [([3, 3, 8, 8, 8], [1, 0, 1, 1, 1])]
    # six rankings share 90: 15 each, ten to the first and five to the second, room 3 first in three, room 9 in three
    assert policy.allocate(view_of([3, 8, 9], 90)).tolist() == [30, 30, 30]
    assert policy.peer.rooms == {3, 8, 9}
    assert policy.allocate(view_of([3, 9], 1_000)).tolist() == [60, 60]
    with pytest.raises(ValueError, match="without checkpoints"):
        policy.to_bytes()


@pytest.mark.parametrize(
    "make",
    [
        lambda rooms: MABWiser(rooms, MABWiserPolicy.ThompsonSampling(), seed=1),
        lambda rooms: MABWiser(rooms, MABWiserPolicy.UCB1(alpha=0.5), seed=1),
        lambda rooms: MAB(rooms, LearningPolicy.ThompsonSampling(), seed=1),
    ],
    ids=["MABWiser Thompson", "MABWiser UCB1", "ours by its face"],
)
def test_peers_play(make):
    run = play(Peer(make), SMALL, 1, 20, start_hour=20.0)
    assert run.measures()["used"] > 0.9
    assert run.counts[0].max() > 3 * np.median(run.counts[0])


def test_a_play_of_a_peer_has_no_checkpoint():
    playing = Playing(Peer(Scripted), SMALL, 1)
    playing.step()
    with pytest.raises(ValueError, match="without checkpoints"):
        playing.to_bytes()

"""Replicas that meet in a store: what they learn, what they survive, how stale they are."""

import numpy as np
import pytest

from seedbed.bandits import EXP3, UCB1, Bandit, MergeError, Thompson
from seedbed.storage import Fleet, MemoryStore, SQLiteStore, StoreUnavailableError

IDS = ["a", "b", "c"]


def replica(name, **keywords):
    return Bandit(Thompson(), IDS, seed=3, replica=name, **keywords)


class Away(MemoryStore):
    """A store that fails while it is told to."""

    is_away = False

    def _check(self):
        if self.is_away:
            raise StoreUnavailableError("cannot do anything: away; nothing was written")

    def get(self, key, *, previous=False):
        self._check()
        return super().get(key, previous=previous)

    def put(self, key, blob, *, expected=None):
        self._check()
        return super().put(key, blob, expected=expected)

    def list(self, prefix=""):
        self._check()
        return super().list(prefix)


def test_everyone_learns_what_anyone_has_learnt():
    store, one = MemoryStore(), replica("one")
    bandits = [replica(f"eu-{i}") for i in range(4)]
    fleets = [Fleet(bandit, store, "rooms") for bandit in bandits]
    rng = np.random.Generator(np.random.PCG64(1))
    for turn in range(400):
        i, arm, reward = rng.integers(4), IDS[rng.integers(3)], float(rng.integers(2))
        bandits[i].update(arm, reward)
        one.update(arm, reward)
        fleets[rng.integers(4)].sync(now=float(turn))
    for fleet in fleets * 2:
        assert fleet.sync(now=1000.0).error is None
    for bandit in bandits:
        np.testing.assert_array_equal(bandit.evidence(), one.evidence())
        assert bandit.updates == 400


def test_a_replica_that_learns_nothing_writes_once():
    fleet = Fleet(replica("eu-1"), MemoryStore(), "rooms")
    assert fleet.sync(now=0.0).published > 0
    assert fleet.sync(now=1.0).published == 0


def test_only_what_changed_is_written():
    store, bandit = MemoryStore(), replica("eu-1")
    bandit.add_arms([f"room-{i}" for i in range(1000)])
    fleet, other = Fleet(bandit, store, "rooms"), Fleet(replica("eu-2"), store, "rooms")
    bandit.update("b", 1.0)  # so that to have heard of it is to have heard of the arms
    whole = fleet.sync(now=0.0).published
    assert other.sync(now=0.0).heard == ("eu-1/0",)
    assert fleet.sync(now=1.0).published < 500
    assert fleet.sync(now=1.0).published == 0
    bandit.update("a", 1.0)
    delta = fleet.sync(now=2.0)
    assert (delta.reached, delta.heard, delta.error) == (True, (), None)
    assert 0 < delta.published < whole / 20
    assert other.sync(now=2.0).heard == ("eu-1/0",)
    assert other.sync(now=3.0).heard == ()
    assert other.bandit.evidence(["a"])[1] == 1.0
    bandit.update(list(bandit.arms), np.ones(len(bandit)))
    assert fleet.sync(now=4.0).published > whole / 2  # a delta would be as long
    bandit.update("b", 1.0)
    fleet.sync(now=5.0)
    other.sync(now=5.0)
    assert other.bandit.updates == bandit.updates


def test_arms_and_settings_travel():
    store = MemoryStore()
    one, two = replica("eu-1"), replica("eu-2")
    fleets = [Fleet(one, store, "rooms"), Fleet(two, store, "rooms")]
    one.update("a", 1.0)
    one.add_arms(["new"])
    one.retire_arms(["b"])
    one.pause_arms(["c"])
    one.warm_start(["new"], strength=5.0, source=["a"])
    for fleet in fleets:
        fleet.sync(now=1.0)
    assert (two.arms, two.paused) == (["a", "c", "new"], ["c"])
    assert two.mean(["new"]) == one.mean(["new"])


def test_a_store_that_is_away_is_survived():
    store = Away()
    bandit = replica("eu-1")
    fleet, other = Fleet(bandit, store, "rooms", now=0.0, stale_after=300.0), Fleet(replica("eu-2"), store, "rooms")
    assert fleet.sync(now=10.0).reached
    store.is_away = True
    bandit.update("a", 1.0)
    report = fleet.sync(now=100.0)
    assert (report.reached, report.published, report.heard) == (False, 0, ())
    assert "away" in report.error
    assert fleet.staleness(now=310.0) == 300.0
    assert [fleet.is_stale(now) for now in (5.0, 310.0, 310.1)] == [False, False, True]
    with pytest.raises(StoreUnavailableError):
        Fleet(replica("eu-3"), store, "rooms")
    store.is_away = False
    assert fleet.sync(now=400.0).reached
    assert not fleet.is_stale(400.0)
    other.sync(now=400.0)
    assert other.bandit.updates == 1


def test_a_restart_takes_another_epoch_and_finds_what_it_had_published(tmp_path):
    store = SQLiteStore(tmp_path / "state.db")
    first = Fleet(replica("eu-1"), store, "rooms")
    first.bandit.update("a", 1.0)
    first.sync(now=0.0)
    first.bandit.update("a", 1.0)  # and dies before it can tell
    second = Fleet(replica("eu-1"), store, "rooms")
    assert (first.bandit.epoch, second.bandit.epoch) == (0, 1)
    second.bandit.update("b", 1.0)
    assert second.sync(now=1.0).heard == ("eu-1/0",)
    assert second.bandit.evidence()[1].tolist() == [1.0, 1.0, 0.0]
    assert second.bandit.select().key != first.bandit.select().key


def test_another_configuration_is_reported_and_the_rest_heard():
    store = MemoryStore()
    fleet = Fleet(replica("eu-1"), store, "rooms")
    Fleet(Bandit(UCB1(), IDS, replica="eu-2"), store, "rooms").sync(now=0.0)
    third = Fleet(replica("eu-3"), store, "rooms")
    third.bandit.update("a", 1.0)
    third.sync(now=0.0)
    store.put("rooms/eu-4/0/whole", b"nothing")
    report = fleet.sync(now=0.0)
    assert (report.reached, report.heard) == (True, ("eu-3/0",))
    assert "eu-2/0: only bandits of one configuration merge" in report.error
    assert "eu-4/0: this checkpoint cannot be read" in report.error
    assert fleet.bandit.updates == 1


def test_what_does_not_merge_is_refused_before_anything_is_written():
    store = MemoryStore()
    with pytest.raises(MergeError, match="does not add up"):
        Fleet(Bandit(EXP3(), IDS, replica="eu-1"), store, "rooms")
    assert store.list() == {}


def test_a_name_that_is_no_key_is_refused():
    with pytest.raises(ValueError, match="cannot name keys"):
        Fleet(replica("eu/1"), MemoryStore(), "rooms")


def test_restarts_do_not_add_up():
    """The newest life holds what the earlier ones learnt, and their keys are emptied."""
    store, other = MemoryStore(), None
    for life in range(4):
        fleet = Fleet(replica("eu-1"), store, "rooms")
        fleet.bandit.update("a", 1.0)
        assert fleet.sync(now=float(life)).error is None
        assert fleet.bandit.learnt == fleet.bandit.updates == life + 1
        other = other or Fleet(replica("eu-2"), store, "rooms")
        other.sync(now=float(life))
        assert other.bandit.heard == {("eu-1", life): life + 1}
    newcomer = Fleet(replica("eu-3"), store, "rooms")
    newcomer.sync(now=9.0)
    assert newcomer.bandit.evidence(["a"])[1] == 4.0
    assert [key for key in store.list("rooms/eu-1/") if store.get(key).blob and "whole" in key] == [
        "rooms/eu-1/3/whole"
    ]


def test_an_earlier_life_that_cannot_be_read_is_kept_until_it_can():
    store = MemoryStore()
    first = Fleet(replica("eu-1"), store, "rooms")
    first.bandit.update("a", 1.0)
    first.sync(now=0.0)
    whole = store.get("rooms/eu-1/0/whole").blob
    store.put("rooms/eu-1/0/whole", whole[:-1])
    second = Fleet(replica("eu-1"), store, "rooms")
    second.bandit.update("b", 1.0)
    for _ in range(2):
        report = second.sync(now=1.0)
        assert "eu-1/0: this checkpoint cannot be read" in report.error
    store.put("rooms/eu-1/0/whole", whole)
    assert second.sync(now=2.0).error is None
    assert second.bandit.evidence()[1].tolist() == [1.0, 1.0, 0.0]
    assert (second.bandit.heard, second.bandit.learnt) == ({}, 2)


def test_a_life_that_goes_on_after_its_successor_began_is_told_so():
    store = MemoryStore()
    first = Fleet(replica("eu-1"), store, "rooms")
    first.bandit.update("a", 1.0)
    first.sync(now=0.0)
    second = Fleet(replica("eu-1"), store, "rooms")
    second.sync(now=1.0)
    report = first.sync(now=2.0)
    assert "a later life of it has taken over" in report.error

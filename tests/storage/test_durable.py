"""A bandit that survives: nothing acknowledged is lost, nothing counted twice, and replay is exact."""

import itertools
import os
import shutil
import subprocess
import sys
import threading
import warnings
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seedbed.storage.durable
import seedbed.storage.journal
from seedbed.bandits import (
    EXP3,
    Bandit,
    Beta,
    ChangeDetector,
    CheckpointError,
    Gaussian,
    HybridLinear,
    Linear,
    LinUCB,
    SharedLinear,
    Thompson,
    UnknownArmError,
)
from seedbed.bandits.checkpoint import unpack
from seedbed.bandits.errors import MergeError
from seedbed.storage import (
    ConflictError,
    Durable,
    Fleet,
    FolderStore,
    JournalError,
    MemoryStore,
    Recovery,
    SQLiteStore,
    StoreError,
    StoreUnavailableError,
)

IDS = ["a", "b", 3]


class Life:
    """A place where bandits are opened again and again, as they are or as a crash at this moment would leave them."""

    def __init__(self, path, make=lambda: Bandit(Thompson(), IDS, seed=7)):
        self.path, self.make, self.copies = Path(path), make, itertools.count()
        self.stack = ExitStack()

    def open(self, path="now", store=None, **options):
        path = self.path / path
        path.mkdir(exist_ok=True)
        store = FolderStore(path / "store") if store is None else store
        return self.stack.enter_context(
            Durable.open(store, "bandit", journal=path / "journal", create=self.make, **options)
        )

    def crashed(self):
        """Copy the files as they are now; the process goes on, and does not count any more."""
        copy = f"crash-{next(self.copies)}"
        shutil.copytree(self.path / "now", self.path / copy)
        return copy

    def after_crash(self, **options):
        return self.open(self.crashed(), **options)

    def journal(self, path="now"):
        """The last segment."""
        return max((self.path / path / "journal").glob("*.journal"), key=lambda file: int(file.stem))


@pytest.fixture
def life(tmp_path):
    life = Life(tmp_path)
    with life.stack:
        yield life


def comparable(bandit, *, renamed=False):
    """All that a journal brings back: not the count of decisions, nor exposures that await feedback."""
    if renamed:
        bandit = Bandit.from_bytes(bandit.to_bytes())
        bandit.reopen()
    checkpoint = unpack(bandit.to_bytes(), "bandit")
    values = {name: repr(value) for name, value in checkpoint.values.items() if name not in ("decisions", "shown")}
    arrays = {
        name: (array.dtype.str, array.shape, array.tobytes())
        for name, array in checkpoint.arrays.items()
        if name not in ("exposures", "shown_handles", "shown_counts", "cells")
    }
    cells = checkpoint.arrays["cells"].copy()
    cells[3] = 0.0  # pending
    return checkpoint.config, values, arrays, cells.tobytes()


def assert_survives(life, durable):
    """What a crash leaves is what there is, in the next epoch."""
    again = life.after_crash()
    assert comparable(again.bandit) == comparable(durable.bandit, renamed=True)
    assert again.bandit.epoch == durable.bandit.epoch + 1
    return again


BANDITS = {
    "beta": lambda: Bandit(Thompson(), IDS),
    "gaussian": lambda: Bandit(Thompson(model=Gaussian()), IDS),
    "decayed": lambda: Bandit(Thompson(model=Beta(half_life=10.0)), IDS),
    "decayed fast": lambda: Bandit(Thompson(model=Beta(half_life=0.01)), IDS),
    "window": lambda: Bandit(Thompson(model=Beta(window=7)), IDS),
    "detector": lambda: Bandit(Thompson(), IDS, change_detector=ChangeDetector(bucket=2.0, window=5, delta=0.5)),
    "exp3": lambda: Bandit(EXP3(), IDS),
    "linear": lambda: Bandit(LinUCB(n_features=3), IDS),
    "shared linear": lambda: Bandit(LinUCB(model=SharedLinear(n_features=3)), IDS),
    "hybrid": lambda: Bandit(LinUCB(model=HybridLinear(n_features=2, n_shared=1)), IDS),
}


class Player:
    """Does to a durable bandit whatever it is told, with numbers of its own."""

    def __init__(self, durable, seed):
        self.durable, self.rng, self.now, self.new = durable, np.random.Generator(np.random.PCG64(seed)), 0.0, 0
        model = durable.bandit.policy.model
        self.width = model.width if model.is_contextual else None

    def event(self, size=None):
        bandit, shape = self.durable.bandit, () if size is None else (size,)
        arms = [bandit.arms[i] for i in self.rng.integers(len(bandit.arms), size=shape or 1)]
        event = {"arm": arms if size is not None else arms[0], "reward": self.rng.random(shape).round(3)}
        event["weight"] = float(self.rng.integers(3))
        if size is None:
            event["reward"] = float(event["reward"])
        if self.width is not None:
            event["context"] = self.rng.normal(size=(*shape, self.width))
        if self.rng.random() < 0.5:
            event["at"] = self.now + self.rng.uniform(-9.0, 5.0)
        known = size is None and event["arm"] not in bandit.paused  # else its propensity is not
        if bandit.policy.needs_propensity and (not known or self.rng.random() < 0.5):
            event["propensity"] = 0.25
        return event

    def select(self):
        """Which no journal knows of, though it moves time on and leaves exposures behind."""
        self.now += self.rng.exponential(3.0)
        context = {} if self.width is None else {"context": self.rng.normal(size=self.width)}
        self.durable.bandit.select(now=self.now, pending=bool(self.rng.random() < 0.5), **context)

    def update(self):
        self.durable.update(**self.event())

    def batch(self):
        self.durable.update(**self.event(size=int(self.rng.integers(4))))

    def correct(self):
        event = self.event()
        self.durable.update(**event)
        event.pop("propensity", None)
        with suppress(MergeError, ValueError):  # what does not add up, or was forgotten
            self.durable.correct(**event)

    def add(self):
        self.new += 1
        self.durable.add_arms([f"new-{self.new}"])

    def retire(self):
        if len(self.durable.bandit.arms) > 2:
            self.durable.retire_arms(self.durable.bandit.arms[-1:])

    def pause(self):
        self.durable.pause_arms(self.durable.bandit.arms[1:2])

    def resume(self):
        self.durable.resume_arms(self.durable.bandit.arms)

    def warm_start(self):
        with suppress(ValueError):  # of a model that has none, or without evidence
            self.durable.warm_start(self.durable.bandit.arms[:1], strength=2.5)

    def expire(self):
        self.durable.expire(self.now, horizon=3.0)

    def checkpoint(self):
        self.durable.checkpoint()


DEEDS = ["select", "update", "update", "batch", "correct", "add", "retire", "pause", "resume", "warm_start", "expire"]
DEEDS += ["select", "update", "checkpoint"]


@pytest.mark.parametrize("kind", BANDITS)
@settings(max_examples=8)
@given(deeds=st.lists(st.sampled_from(DEEDS), min_size=10, max_size=60), seed=st.integers(0, 2**32))
def test_replay_is_exact(kind, deeds, seed, tmp_path_factory):
    life = Life(tmp_path_factory.mktemp("life"), BANDITS[kind])
    with life.stack:
        player = Player(life.open(fsync="never"), seed)
        for deed in [*deeds, "update"]:  # by which also what decisions told of time is known
            getattr(player, deed)()
        assert_survives(life, player.durable)


@pytest.mark.parametrize("kind", ["beta", "decayed", "linear"])
def test_many_crashes_in_a_row(kind, tmp_path):
    """Each is a new epoch, and nothing is lost or counted twice on the way."""
    life, twin, rng = Life(tmp_path, BANDITS[kind]), BANDITS[kind](), np.random.Generator(np.random.PCG64(3))
    with life.stack:
        durable = life.open()
        for turn in range(12):
            for _ in range(int(rng.integers(9))):
                event = Player(durable, int(rng.integers(2**32))).event()
                durable.update(**event)
                twin.update(**event)
            if turn % 3 == 2:
                durable.checkpoint()
            assert durable.bandit.epoch == turn + 1
            durable.close()
            durable = life.open()
        context = {} if kind != "linear" else {"context": [1.0, 0.5, 0.2]}
        np.testing.assert_allclose(durable.bandit.mean(**context), twin.mean(**context), rtol=1e-12)
        assert durable.bandit.updates == twin.updates


def test_decayed_linear_sums_are_exact_whatever_was_read(life):
    """Its inverse is mended when it is read at a later time; the evidence is the sum of the events."""
    life.make = lambda: Bandit(LinUCB(model=Linear(n_features=2, half_life=5.0)), IDS)
    durable, now = life.open(), 0.0
    for i in range(40):
        now += 1.5
        durable.bandit.select(context=[1.0, 0.5], now=now)
        durable.update(IDS[i % 3], 0.5, context=[1.0, i / 40])
    bandit = life.after_crash().bandit
    durable.bandit.reopen()
    for name in ((bandit.replica, 1),):
        there, here = bandit._ledger.slots[name], durable.bandit._ledger.slots[name]
        assert there.sums.tobytes() == here.sums.tobytes()
        assert there.landmark == here.landmark
    np.testing.assert_allclose(bandit.mean(context=[1.0, 0.5]), durable.bandit.mean(context=[1.0, 0.5]), rtol=0.1)


def test_a_time_that_was_valid_is_valid_again(life):
    """Decisions are in no journal, but the times up to which they had moved the present are."""
    life.make = BANDITS["decayed"]
    durable = life.open()
    durable.bandit.select(now=10.0)
    durable.update("a", 1.0, at=12.0)
    durable.bandit.select(now=100_000.0)
    durable.update("a", 1.0, at=100_005.0)
    durable.update(["a", "b"], [1.0, 0.0], at=[100_004.0, 3.0])
    durable.correct("b", 0.0, at=3.0)
    with pytest.raises(ValueError, match=r"at = 100005.5 is more than 5 s after the latest now, 100000.0"):
        durable.update("a", 1.0, at=100_005.5)
    again = assert_survives(life, durable)
    with pytest.raises(ValueError, match=r"now = 99999.0 runs backwards"):
        again.bandit.select(now=99_999.0)
    with pytest.raises(ValueError, match="more than 5 s after"):
        again.update("a", 1.0, at=100_005.5)


def test_what_was_left_out_is_what_it_was(life):
    """The latest time and a propensity hang on decisions, which are in no journal."""
    for kind in ("decayed", "detector"):
        life.make = BANDITS[kind]
        durable, bare = life.open(kind), BANDITS[kind]()
        for i in range(30):
            for bandit in (durable.bandit, bare):
                bandit.select(now=2.0 * i)
            durable.update("a", float(i < 15))
            bare.update("a", float(i < 15))
        np.testing.assert_array_equal(durable.bandit.evidence(), bare.evidence())
        assert [change.event for change in durable.bandit.changes] == [change.event for change in bare.changes]
    life.make = BANDITS["exp3"]
    durable, bare = life.open("exp3"), BANDITS["exp3"]()
    for _ in range(20):
        for bandit in (durable.bandit, bare):
            bandit.select(pending=True)
        durable.update("a", 0.5)
        bare.update("a", 0.5)
    np.testing.assert_array_equal(durable.bandit.evidence(), bare.evidence())
    durable.close()
    np.testing.assert_array_equal(life.open("exp3").bandit.evidence(), bare.evidence())
    durable = life.open("paused")
    durable.pause_arms(["a"])
    with pytest.raises(ValueError, match="arm 'a' is paused, so that its propensity is not known"):
        durable.update("a", 0.5)


@pytest.mark.parametrize("kind", ["decayed", "detector", "exp3 decayed"])
def test_a_decision_between_two_steps_of_an_update(life, kind, monkeypatch):
    """It moves the present on, after the times were written down and before the event is learnt."""
    life.make = {**BANDITS, "exp3 decayed": lambda: Bandit(EXP3(model=Beta(half_life=10.0)), IDS)}[kind]
    durable, now = life.open(), itertools.count(1)
    real = seedbed.storage.durable.pack
    durable.bandit.select(now=0.5)

    def pack(event):
        durable.bandit.select(now=3.0 * next(now))
        return real(event)

    monkeypatch.setattr(seedbed.storage.durable, "pack", pack)
    for i in range(30):
        durable.update("ab"[i % 2], 1.0, at=3.0 * i + 7.5 if i % 5 == 0 else None)
        durable.update(["a", "b"], [0.5, 0.25], propensity=0.5 if kind == "exp3 decayed" else None)
    monkeypatch.undo()
    durable.update("a", 1.0)
    assert_survives(life, durable)


# recovery


def test_first_opening(life):
    durable = life.open()
    assert durable.recovery == Recovery(None, False, 0, 0, 0)
    assert FolderStore(life.path / "now" / "store").list() == {"bandit": 2}
    assert (durable.replica, durable.epoch, durable.learnt) == ("0", 1, 0)
    assert durable.bandit.arms == IDS
    assert repr(durable).startswith("Durable(Bandit(")


def test_reopening(life):
    durable = life.open()
    durable.update("a", 1.0)
    version = durable.checkpoint()
    for _ in range(3):
        durable.update("b", 1.0)
    durable.add_arms(["new"])
    durable.close()
    life.make = None  # it is not asked again
    durable = life.open()
    assert durable.recovery == Recovery(version, False, 4, 0, 0)
    assert durable.bandit.updates == 4
    assert durable.epoch == 2
    durable.close()
    durable = life.open()
    assert durable.recovery == Recovery(version + 1, False, 0, 0, 0)
    assert durable.bandit.updates == 4
    assert durable.epoch == 3


@pytest.mark.parametrize("when", ["just opened", "after events", "after a checkpoint", "after many"])
@pytest.mark.parametrize("damage", ["flipped", "another kind", "of no bandit"])
def test_the_generation_before_brings_back_everything(life, when, damage):
    durable = life.open()
    durable.update("a", 1.0, event_id="one")
    if when != "just opened":
        durable.checkpoint()
        durable.update(["a", "b"], [0.0, 1.0], event_id=2)
        for _ in range(1 if when == "after events" else 2 if when == "after a checkpoint" else 5):
            durable.checkpoint()
            durable.update(3, 1.0)
    copy = life.crashed()
    store = FolderStore(life.path / copy / "store")
    newest = store.list()["bandit"]
    file = store.path / "bandit+" / f"{newest}.blob"
    if damage == "flipped":
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    else:
        os.rename(file.with_name(f"{newest - 1}.blob"), life.path / "kept")
        file.unlink()
        blob = durable.bandit.to_bytes() if damage == "another kind" else b"junk"
        (store.path / "bandit+" / f"{newest - 1}.blob").write_bytes((life.path / "kept").read_bytes())
        store.put("bandit", blob, expected=newest - 1)
    again = life.open(copy)
    assert again.recovery.used_previous
    assert again.recovery.version == newest - 1
    expected = Bandit.from_bytes(durable.bandit.to_bytes())
    expected.reopen()
    assert comparable(again.bandit) == comparable(expected)
    assert not again.update("a", 1.0, event_id="one")
    assert store.get("bandit").version == store.get("bandit", previous=True).version + 1 == newest + 2
    again.close()
    assert life.open(copy).recovery.version == newest + 2


def test_a_store_that_is_away_is_not_damaged(life, monkeypatch):
    durable = life.open()
    durable.update("a", 1.0)
    durable.close()
    get = FolderStore.get

    def away(store, key, *, previous=False):
        if not previous:
            raise StoreUnavailableError("cannot read: away; nothing was read")
        return get(store, key, previous=previous)

    monkeypatch.setattr(FolderStore, "get", away)
    with pytest.raises(StoreUnavailableError, match="away"):
        life.open()
    monkeypatch.undo()
    assert life.open().recovery == Recovery(2, False, 1, 0, 0)


def test_both_generations_damaged(life):
    life.open().close()
    for file in (life.path / "now" / "store" / "bandit+").iterdir():
        os.truncate(file, 40)
    for _ in range(2):
        with pytest.raises(StoreError, match="version 1 of key 'bandit' is corrupt"):
            life.open()


def test_a_checkpoint_of_something_else(life):
    store = MemoryStore()
    store.put("bandit", Bandit(Thompson()).to_bytes())
    with pytest.raises(CheckpointError, match="it is of kind 'bandit', not 'durable'"):
        life.open(store=store)
    assert store.list() == {"bandit": 1}


def test_segments_are_kept_for_two_generations(life):
    durable = life.open()
    for turn in range(6):
        durable.update("a", 1.0)
        durable.checkpoint()
        assert len(durable._journal.segments) == 2, turn
    durable.close()
    assert len(life.open()._journal.segments) == 2


def test_a_store_without_the_key_of_a_journal(life):
    life.open().close()
    with pytest.raises(StoreError, match=r"MemoryStore.* has no 'bandit', which Journal.* goes on from"):
        life.open(store=MemoryStore())
    assert life.open().recovery.version == 2


def test_another_journal(life):
    life.open().close()
    life.open("other").close()
    with pytest.raises(JournalError, match="is not the journal that 'bandit' of FolderStore"):
        life.open("other", store=FolderStore(life.path / "now" / "store"))
    shutil.rmtree(life.path / "now" / "journal")
    with pytest.raises(JournalError, match="is not the journal that 'bandit' of FolderStore"):
        life.open()


def test_a_segment_that_is_gone(life):
    durable = life.open()
    durable.update("a", 1.0)
    copy = life.crashed()
    life.journal(copy).unlink()
    with pytest.raises(JournalError, match=r"segment 2 of the journal .* is missing"):
        life.open(copy)


def test_changes_by_other_ways_are_told(life):
    durable = life.open()
    durable.bandit.add_arms(["new"])
    durable.update("new", 1.0)
    with pytest.raises(JournalError, match=r"unknown arm 'new'.*was the bandit changed by other ways than its Durable"):
        life.after_crash()


def test_every_opening_that_dies_is_an_epoch_of_its_own(life, monkeypatch):
    """Before the checkpoint that names the epoch is written, nothing is decided in it."""
    durable = life.open()
    durable.update("a", 1.0)
    durable.close()
    for epoch in (2, 3):
        monkeypatch.setattr(FolderStore, "put", lambda *_, **__: (_ for _ in ()).throw(StoreUnavailableError("away")))
        with pytest.raises(StoreUnavailableError, match="away"):
            life.open()
        monkeypatch.undo()
        copy = life.crashed()
        assert life.open(copy).epoch == epoch + 1
        assert life.open(life.crashed()).bandit.updates == 1


def test_one_process_at_a_time(life):
    durable = life.open()
    with pytest.raises(StoreUnavailableError, match="another writer has held"):
        life.open()
    durable.update("a", 1.0)
    durable.close()
    durable.close()
    assert life.open().bandit.updates == 1


def test_two_lives_of_one_key(life):
    """A copy of the journal on another machine: the first to write a checkpoint goes on, the other stops."""
    store = MemoryStore()
    first = life.open(store=store)
    first.update("a", 1.0)
    second = life.open(life.crashed(), store=store)
    second.update("b", 1.0)
    with pytest.raises(ConflictError, match="someone wrote meanwhile"):
        first.checkpoint()
    for refused in (lambda: first.update("a", 1.0), first.checkpoint):
        with pytest.raises(JournalError, match=r"takes nothing any more .*someone wrote meanwhile"):
            refused()
    second.checkpoint()


# torn and damaged journals


@pytest.fixture
def quick_disk(monkeypatch):
    """One that need not outlive the machine."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def test_cut_at_every_byte(life, quick_disk):
    """What was acknowledged before the cut is there; nothing else is."""
    durable = life.open()
    size = life.journal().stat().st_size
    states, sizes = [comparable(durable.bandit, renamed=True)], [size]
    deeds = [
        lambda: durable.update("a", 1.0, event_id="one"),
        lambda: durable.update(["a", "b"], np.array([1.0, 0.5]), weight=2.0),
        lambda: durable.add_arms(["new"]),
        lambda: durable.retire_arms([3]),
        lambda: durable.update("new", 1.0, at=7.0),
    ]
    for deed in deeds:
        deed()
        states.append(comparable(durable.bandit, renamed=True))
        sizes.append(life.journal().stat().st_size)
    copy = life.crashed()
    content = life.journal(copy).read_bytes()
    shutil.copytree(life.path / copy, life.path / "kept")
    for size in range(len(content) + 1):
        shutil.rmtree(life.path / copy)
        shutil.copytree(life.path / "kept", life.path / copy)
        life.journal(copy).write_bytes(content[:size])
        again = life.open(copy, fsync="never")
        whole = max(sum(end <= size for end in sizes), 1) - 1
        assert again.recovery.replayed == whole
        assert again.recovery.torn == (size - sizes[whole] if size >= sizes[0] else size)
        assert comparable(again.bandit) == states[whole]
        again.close()


@pytest.mark.parametrize("step", range(3))
def test_flipped_bytes(life, step, quick_disk):
    """A flipped byte is refused or, in the last event, cut off and told; never learnt."""
    durable = life.open()
    sizes = [life.journal().stat().st_size]
    for i in range(4):
        durable.update(IDS[i % 3], 1.0)
        sizes.append(life.journal().stat().st_size)
    copy = life.crashed()
    content = life.journal(copy).read_bytes()
    shutil.copytree(life.path / copy, life.path / "kept")
    for place in range(step, len(content), 3):
        shutil.rmtree(life.path / copy)
        shutil.copytree(life.path / "kept", life.path / copy)
        flipped = bytearray(content)
        flipped[place] ^= 0x40
        life.journal(copy).write_bytes(flipped)
        if place < sizes[-2]:
            with pytest.raises(JournalError, match="segment 2 of the journal"):
                life.open(copy)
        else:
            again = life.open(copy)
            assert again.recovery.torn == sizes[-1] - sizes[-2]
            assert again.bandit.updates == 3
            again.close()


# ids of events


def test_an_event_is_learnt_once(life):
    durable = life.open()
    assert durable.update("a", 1.0, event_id="one") is True
    assert durable.update("a", 1.0, event_id="one") is False
    assert durable.update(["a", "b"], [1.0, 1.0], event_id=1) is True
    assert durable.update("b", 0.0, event_id=1) is False
    assert durable.update("a", 1.0, event_id="1") is True
    assert durable.update("a", 1.0) is True
    assert durable.update("a", 1.0) is True
    assert durable.correct("a", 1.0, event_id="one") is True
    assert durable.correct("a", 1.0, event_id="one") is False
    assert durable.bandit.updates == 7
    for again in (life.after_crash(), life.after_crash(fsync="never")):
        assert not again.update("a", 1.0, event_id="one")
        assert not again.update("a", 1.0, event_id=1)
        assert not again.correct("a", 1.0, event_id="one")
        assert again.update("a", 1.0, event_id="two")
        assert again.bandit.updates == 8
    durable.checkpoint()
    assert not life.after_crash().update("a", 1.0, event_id="1")


def test_what_was_refused_may_come_again(life):
    durable = life.open()
    with pytest.raises(ValueError, match="is not in"):
        durable.update("a", 2.0, event_id="one")
    assert durable.update("a", 1.0, event_id="one")


def test_ids_are_remembered_in_two_generations(life):
    durable = life.open(remember=3)
    for i in range(6):
        assert durable.update("a", 1.0, event_id=i)
    for again in (durable, life.after_crash(remember=3)):
        for i in range(6):
            assert not again.update("a", 1.0, event_id=i)
    durable.update("a", 1.0, event_id=6)
    durable.checkpoint()
    again = life.after_crash(remember=3)
    for i in range(3, 7):
        assert not again.update("a", 1.0, event_id=i)
    for i in range(3):  # which is too long ago
        assert again.update("a", 1.0, event_id=i)
    assert again.bandit.updates == 10


def test_an_event_that_stands_twice_in_the_journal(life):
    durable = life.open()
    durable.update("a", 1.0, event_id="one")
    durable._seen["update"].newer.clear()
    durable.update("a", 1.0, event_id="one")
    again = life.after_crash()
    assert again.recovery == Recovery(2, False, 1, 1, 0)
    assert again.bandit.updates == 1


@pytest.mark.parametrize("id", [1.5, True, b"x", ("a", 1), 2**64])
def test_odd_event_ids(life, id):
    durable = life.open()
    with pytest.raises(ValueError, match="event_id = "):
        durable.update("a", 1.0, event_id=id)
    assert durable.bandit.updates == 0


# what is refused


BAD = {
    "unknown arm": (UnknownArmError, lambda durable: durable.update("x", 1.0)),
    "reward": (ValueError, lambda durable: durable.update("a", 1.5)),
    "reward of text": (ValueError, lambda durable: durable.update("a", "high")),
    "weight": (ValueError, lambda durable: durable.update("a", 1.0, weight=-1.0)),
    "batch": (ValueError, lambda durable: durable.update(["a", "b"], [1.0, 1.5])),
    "map": (ValueError, lambda durable: durable.update({"a": 1, "b": 2}, [1.0, 1.0])),
    "lengths": (ValueError, lambda durable: durable.update(["a", "b"], [1.0])),
    "bytes": (ValueError, lambda durable: durable.update(b"a", 1.0)),
    "context": (ValueError, lambda durable: durable.update("a", 1.0, context=[1.0])),
    "propensity": (ValueError, lambda durable: durable.update("a", 1.0, propensity=0.5)),
    "time": (ValueError, lambda durable: durable.update("a", 1.0, at=float("nan"))),
    "surrogate": (UnknownArmError, lambda durable: durable.update("\ud800", 1.0)),
    "no such event": (ValueError, lambda durable: durable.correct("a", 1.0)),
    "known arm": (ValueError, lambda durable: durable.add_arms(["new", "a"])),
    "one string": (ValueError, lambda durable: durable.add_arms("new")),
    "retired": (UnknownArmError, lambda durable: durable.retire_arms(["a", "x"])),
    "paused": (UnknownArmError, lambda durable: durable.pause_arms(["x"])),
    "resumed": (UnknownArmError, lambda durable: durable.resume_arms(["x"])),
    "strength": (ValueError, lambda durable: durable.warm_start(["a"], strength=0.0)),
    "no evidence": (ValueError, lambda durable: durable.warm_start(["a"], strength=1.0)),
    "horizon": (ValueError, lambda durable: durable.expire(1.0, horizon=-1.0)),
    "contribution": (CheckpointError, lambda durable: durable.absorb(b"junk")),
    "epoch": (ValueError, lambda durable: durable.reopen(epoch=0)),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_call_raises_the_bandits_own_error_and_leaves_no_trace(life, bad):
    durable = life.open()
    kind, call = BAD[bad]
    before, size = durable.bandit.to_bytes(), life.journal().stat().st_size
    with pytest.raises(kind) as told:
        call(durable)
    with pytest.raises(kind) as own:
        call(Bandit.from_bytes(before))
    assert str(told.value) == str(own.value)
    assert durable.bandit.to_bytes() == before
    assert life.journal().stat().st_size == size
    durable.update("a", 1.0)


def test_what_has_no_order_is_no_batch(life):
    durable = life.open()
    with pytest.raises(ValueError, match="arm must be ordered"):
        durable.update({"a", "b"}, [1.0, 1.0])


@pytest.mark.parametrize("value", [object(), 10**30, 1j, [object()]])
def test_what_is_no_plain_data(life, value):
    durable = life.open()
    with pytest.raises(ValueError, match="only numbers, text, arrays and lists of these can be journaled"):
        durable.update("a", value)
    assert durable.update("a", 1.0)


class Name(str):
    pass


@pytest.mark.parametrize(
    "arms",
    [
        ["a", "b"],
        ("a", "b"),
        (id for id in ["a", "b"]),
        np.array(["a", "b"]),
        np.array(["a", 3], object),
        np.array([3, 3]),
        np.array([3], np.int32),
        [np.int64(3), Name("a")],
        range(3, 4),
        [],
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "numbers",
    [np.ones, lambda n: [True] * n, lambda n: np.ones(2 * n, np.float32)[::2], lambda n: [np.float64(1.0)] * n],
)
def test_all_that_a_bandit_takes(life, arms, numbers):
    durable = life.open()
    arms = list(arms) if not isinstance(arms, np.ndarray | list | tuple | range) else arms
    one = iter(arms) if isinstance(arms, list) else arms
    durable.update(one, numbers(len(arms)), numbers(len(arms)))
    assert durable.bandit.updates == len(arms)
    durable.retire_arms({"a"})
    durable.pause_arms({"b": 1}.keys())
    assert_survives(life, durable)


def test_contexts_of_all_kinds(life):
    life.make = lambda: Bandit(LinUCB(n_features=2), IDS)
    durable = life.open()
    for context in ([1, 2], (1.0, 2.0), np.array([1, 2]), np.ones(2, np.float32), np.ones(4)[::2], [True, False]):
        durable.update("a", 1, context=context)
        durable.update(["a", "b"], [1.0, 0.5], context=np.asfortranarray(np.ones((2, 2))) * np.asarray(context))
    durable.update([], [], context=np.ones((0, 2), np.float32))
    assert_survives(life, durable)


# how it fails


def test_it_is_on_disk_before_it_is_acknowledged(life, monkeypatch):
    steps, fsync = [], os.fsync
    durable = life.open()
    monkeypatch.setattr(os, "fsync", lambda file: (steps.append(os.fstat(file).st_size), fsync(file)))
    for i in range(3):
        durable.update("a", 1.0, event_id=i)
        assert steps == [life.journal().stat().st_size]
        steps.clear()
        durable.update("a", 1.0, event_id=i)
        assert steps == []
    durable.contribution()
    assert steps == []


def test_an_event_seen_before_waits_for_the_disk_too(life, monkeypatch):
    """Else the answer might be: it is known, and after a crash it is not."""
    durable = life.open()
    syncing, go, answers = threading.Event(), threading.Event(), []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (syncing.set(), go.wait(10.0), fsync(file)))
    jobs = [threading.Thread(target=lambda: answers.append(durable.update("a", 1.0, event_id=1))) for _ in range(2)]
    told = threading.Thread(target=lambda: answers.append(durable.contribution()))
    jobs[0].start()
    assert syncing.wait(10.0)
    jobs[1].start()
    told.start()
    told.join(0.05)
    assert answers == []
    go.set()
    for job in (*jobs, told):
        job.join()
    assert sorted(answer for answer in answers if type(answer) is bool) == [False, True]


def test_after_a_failure_nothing_is_taken(life, monkeypatch):
    durable = life.open()
    durable.update("a", 1.0, event_id=1)
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(StoreUnavailableError, match="it may have been written: open it anew to know"):
        durable.update("a", 1.0, event_id=2)
    monkeypatch.undo()
    state = durable.bandit.to_bytes()
    for call in (
        lambda: durable.update("b", 1.0),
        lambda: durable.update("b", 1.0, event_id=1),
        lambda: durable.add_arms(["x"]),
        durable.checkpoint,
    ):
        with pytest.raises(JournalError, match="takes nothing any more"):
            call()
    assert durable.bandit.to_bytes() == state
    durable.close()
    again = life.open()
    assert not again.update("a", 1.0, event_id=2)
    assert again.bandit.updates == 2


def test_an_interruption_leaves_bandit_and_journal_together(life, monkeypatch):
    durable = life.open()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(durable._journal, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        durable.update("a", 1.0, event_id=1)
    monkeypatch.undo()
    with pytest.raises(JournalError, match="takes nothing any more"):
        durable.update("a", 1.0, event_id=1)
    durable.close()
    again = life.open()
    assert again.bandit.updates == 0
    assert again.update("a", 1.0, event_id=1)


class Failing(MemoryStore):
    """A store whose next put fails, before or after it is done."""

    fails = None

    def put(self, key, blob, *, expected=None):
        fails, self.fails = self.fails, None
        if fails == "before":
            raise StoreUnavailableError("away; nothing was written")
        version = super().put(key, blob, expected=expected)
        if fails == "after":
            raise StoreUnavailableError("away; it may have been written: read it again")
        return version


@pytest.mark.parametrize("fails", ["before", "after"])
def test_a_store_that_is_away(life, fails):
    """The journal goes on, and the next checkpoint is good, whether or not the last one was written."""
    store = Failing()
    durable = life.open(store=store)
    for _ in range(3):
        durable.update("a", 1.0)
        store.fails = fails
        with pytest.raises(StoreUnavailableError, match="away"):
            durable.checkpoint()
        durable.update("b", 1.0)
    version = store.list()["bandit"]
    durable.close()
    again = life.open(store=store)
    assert again.bandit.updates == 6
    store.fails = fails
    with pytest.raises(StoreUnavailableError, match="away"):
        again.checkpoint()
    again.update("a", 1.0)
    assert again.checkpoint() == version + (3 if fails == "after" else 2)
    again.update("a", 1.0)
    again.close()
    assert life.open(store=store).bandit.updates == 8


def test_checkpoints_by_the_way(life):
    store = Failing()
    durable = life.open(store=store, every=5)
    version = store.list()["bandit"]
    for _ in range(12):
        durable.update("a", 1.0)
    assert store.list()["bandit"] == version + 2
    assert durable._journal.frames == 2
    store.fails = "before"
    with pytest.warns(RuntimeWarning, match="a checkpoint was put off: away") as told:
        for _ in range(3):
            assert durable.update("a", 1.0, event_id=f"event-{_}")
    assert told[0].filename == __file__
    for _ in range(5):
        durable.update("a", 1.0)
    assert store.list()["bandit"] == version + 3
    durable.close()
    assert life.open(store=store).bandit.updates == 20


@pytest.mark.parametrize("options", [{"every": 0}, {"every": 1.5}, {"remember": 0}, {"fsync": "often"}])
def test_odd_options(life, options):
    with pytest.raises(ValueError, match=r"every|remember|fsync"):
        life.open(**options)
    life.open()


# threads, fleets, processes


@pytest.fixture
def switch_often():
    """Let threads interrupt each other between almost any two bytecodes."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_checkpoint_beside_updates(life, switch_often):
    """Every event is in the state that is written or in the journal after it, never in neither or both."""
    store = MemoryStore()
    durable = life.open(store=store, fsync="never")
    threads = [threading.Thread(target=lambda: [durable.update("a", 1.0) for _ in range(500)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        durable.checkpoint()
    for thread in threads:
        thread.join()
    durable.close()
    assert life.open(store=store).bandit.updates == 1500


@pytest.mark.parametrize("fsync", ["always", 0.001, "never"])
def test_threads_beside_checkpoints_and_decisions(life, fsync, switch_often):
    life.make = BANDITS["decayed"]
    durable = life.open(fsync=fsync, every=40, store=SQLiteStore(life.path / "state.db"))
    errors, done = [], threading.Event()

    def learn(name):
        try:
            for i in range(60):
                assert durable.update(IDS[i % 3], 1.0, event_id=f"{name}-{i}")
                assert not durable.update(IDS[i % 3], 1.0, event_id=f"{name}-{i}")
        except BaseException as error:
            errors.append(error)

    def decide():
        now = 0.0
        while not done.is_set():
            now += 0.5
            durable.bandit.select(now=now)

    threads = [threading.Thread(target=learn, args=(name,)) for name in range(6)]
    deciding = threading.Thread(target=decide)
    deciding.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    deciding.join()
    assert errors == []
    durable.update("a", 1.0)
    durable.close()
    again = life.open(store=SQLiteStore(life.path / "state.db"))
    assert comparable(again.bandit) == comparable(durable.bandit, renamed=True)
    assert again.bandit.updates == 361


def test_a_member_of_a_fleet(life):
    """What it has heard, and arms that it has heard of, are there after a crash; what it told is counted once."""
    life.make = lambda: Bandit(Thompson(), IDS, replica="eu-1")
    store, other = MemoryStore(), Bandit(Thompson(), [*IDS, "x"], replica="eu-2")
    durable = life.open()
    fleets = [Fleet(durable, store, "rooms"), Fleet(other, store, "rooms")]
    durable.update("a", 1.0)
    other.update("x", 1.0)
    for fleet in fleets * 2:
        assert fleet.sync(now=0.0).error is None
    durable.update("x", 0.0)
    durable.absorb(other)
    durable.correct("x", 1.0)
    fleets[0].sync(now=1.0)
    again = assert_survives(life, durable)
    again.update("x", 1.0)
    fleet = Fleet(again, store, "rooms")
    fleet.sync(now=2.0)
    fleets[1].sync(now=2.0)
    np.testing.assert_array_equal(other.evidence(), again.bandit.evidence(other.arms))
    assert other.updates == again.bandit.updates == 5
    durable.reopen("eu-3", epoch=4)
    assert (life.after_crash().replica, durable.epoch) == ("eu-3", 4)


def test_ten_kills():
    """Of a real process, at random times, before random lines, in the middle of writes."""
    script = Path(__file__).parents[2] / "benchmarks" / "crashes.py"
    ran = subprocess.run([sys.executable, script, "10"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "10 kills in " in ran.stdout


def test_it_stays_light_until_it_is_asked_for():
    code = "import sys, seedbed.storage as s; s.Journal; print('numpy' in sys.modules); s.Durable; s.Recovery"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "False\n"
    with pytest.raises(AttributeError, match="has no attribute 'Durables'"):
        _ = seedbed.storage.Durables


def test_nothing_warns(life):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        life.open().close()

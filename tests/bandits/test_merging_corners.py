"""Corners of merging: arms that go, landmarks that move, arms that restart, messages that tell a part or a lie."""

import struct
from hashlib import blake2b

import msgpack
import numpy as np
import pytest

from seedbed.bandits import Bandit, Beta, ChangeDetector, LinUCB, Thompson
from seedbed.bandits.errors import CheckpointError, MergeError
from seedbed.bandits.models import Gaussian, Linear, SharedLinear

HASTY = Thompson(model=Beta(half_life=1.0))


def replicas(policy, names="abc", arms=("x", "y"), **keywords):
    return [Bandit(policy, arms, replica=name, **keywords) for name in names]


def changed(blob, change):
    """A checkpoint with other content under a checksum that matches."""
    fields = msgpack.unpackb(blob[20:-16], strict_map_key=False)
    change(fields)
    body = msgpack.packb(fields)
    head = struct.pack("<8sIQ", b"SEEDBED\x1a", 3, len(body)) + body
    return head + blake2b(head, digest_size=16).digest()


def test_shared_evidence_of_others_outlives_any_arm():
    a, b = replicas(LinUCB(model=SharedLinear(n_features=2)), "ab")
    b.update("y", 1.0, context=[1.0, 2.0])
    a.absorb(b)
    a.retire_arms(["x"])
    assert Bandit.merge([a]).mean(["y"], context=[1.0, 1.0]) == b.mean(["y"], context=[1.0, 1.0]) != 0.0


def test_what_a_retired_arm_has_left_is_handed_to_nobody():
    bandit = Bandit(Thompson(), ["x"])
    bandit.update("x", 1.0)
    bandit.retire_arms(["x"])
    bandit.reopen()
    bandit.add_arms(["y"])  # in the same column
    assert Bandit.from_bytes(bandit.to_bytes()).evidence(["y"])[1] == [0.0]


def test_an_old_slot_told_back_thousands_of_half_lives_later():
    a, b, _ = replicas(HASTY)
    a.update("x", 1.0, at=0.0)
    b.absorb(a)
    a.select(now=5000.0)
    a.absorb(b)
    b.absorb(a)
    assert a.heard == {}
    assert b.evidence(["x"])[1] == [0.0]


def test_what_was_learnt_before_any_time_was_known_is_no_conflict():
    a, b, c = replicas(HASTY)
    a.update("x", 1.0)
    b.absorb(a)
    c.update("x", 1.0, at=3000.0)
    a.update("x", 1.0, at=0.0)
    a.absorb(c)  # by whose time nothing is left of it
    a.update("y", 1.0, at=3000.0)
    b.absorb(a.contribution())
    assert b.heard == {("a", 0): 3}
    a.update(["x"] * 3, [1.0] * 3)
    before = a.evidence(["x"])[1]
    a.absorb(c)
    assert a.evidence(["x"])[1] == before == [4.0]


def test_a_correction_before_any_time_was_known_decays_like_the_rest():
    a, b, _ = replicas(HASTY)
    a.update(["x"] * 3, [1.0] * 3)
    a.correct("x", 1.0)
    a.update("y", 1.0, at=0.0)
    a.update(["x"] * 5, [1.0] * 5, at=500.0)
    a.absorb(b)
    assert a.evidence(["x"])[1] == [5.0]


@pytest.mark.parametrize("model", [Linear(n_features=2, half_life=1.0), SharedLinear(n_features=2, half_life=1.0)])
def test_ridges_stand_however_far_the_time_moves(model):
    a, b, c = replicas(LinUCB(model=model))
    context = [1.0, 1.0]
    a.update("x", 1.0, context=[1.0, 2.0], at=0.0)
    b.absorb(a)
    b.select(context=context, now=3000.0)
    c.absorb(b)  # told of a time long after all that was learnt
    a.update("x", 1.0, context=[1.0, 2.0], at=3000.0)  # beyond which `y` has no evidence
    for bandit in (b, c):
        np.testing.assert_allclose(bandit.scores(["y"], context=context), np.sqrt(2.0))
    for bandit in (a, b, c):
        twin = Bandit.from_bytes(bandit.to_bytes())
        np.testing.assert_array_equal(twin.scores(context=context), bandit.scores(context=context))
    a.update("x", 1.0, context=context, at=1e15)
    assert np.isfinite(Bandit.from_bytes(a.to_bytes()).scores(context=context)).all()


@pytest.mark.parametrize("model", [Linear(n_features=3), SharedLinear(n_features=3)])
def test_a_correction_heard_of_before_what_it_corrects(model):
    a, b, c = replicas(LinUCB(model=model))
    context = [1.0, 2.0, -1.0]
    a.update("x", 1.0, weight=3.0, context=context)
    b.absorb(a)
    b.correct("x", 1.0, weight=3.0, context=context)
    c.update("x", 1.0, context=[0.0, 0.0, 1.0])
    alone = c.scores(["x"], context=context)
    c.absorb(b.contribution())
    np.testing.assert_allclose(c.scores(["x"], context=context), alone, rtol=1e-12)
    twin = Bandit.from_bytes(c.to_bytes())
    for bandit in (c, twin):
        bandit.absorb(a)
        np.testing.assert_allclose(bandit.scores(["x"], context=context), alone, rtol=1e-12)


def test_a_correction_of_a_context_never_learnt_is_refused():
    bandit = Bandit(LinUCB(n_features=2), ["x"])
    bandit.update(["x", "x"], [1.0, 1.0], context=np.eye(2))
    with pytest.raises(ValueError, match="not learnt as much"):
        bandit.correct("x", 1.0, context=[1.0, 1.0])
    bandit.correct("x", 1.0, context=[1.0, 0.0])


def test_a_refused_correction_moves_no_landmark():
    for bandit in (Bandit(HASTY, ["x"]), Bandit(HASTY, ["x"])):
        before = bandit.to_bytes()
        with pytest.raises(ValueError, match="not learnt as much"):
            bandit.correct("x", 1.0, weight=5.0, at=500.0)
        assert bandit.to_bytes() == before
        bandit.update("x", 1.0, at=0.0)


def test_corrections_take_ids_as_updates_do():
    bandit = Bandit(Thompson(), ["x", "y"])
    bandit.update("x", 1.0)
    bandit.correct((id for id in ["x"]), [1.0])
    assert bandit.evidence(["x"])[1] == [0.0]
    for wrong in (True, None, [["x"]]):
        with pytest.raises(ValueError, match="is not an arm id"):
            bandit.correct(wrong, [1.0])


def test_a_correction_ends_with_what_it_corrects():
    """An arm that restarts forgets what was taken back, too."""
    a, other = replicas(Thompson(), "ab", change_detector=ChangeDetector())
    a.update(["x"] * 5, [0.0] * 5, at=0.0)
    a.correct(["x"] * 5, [0.0] * 5, at=0.0)
    for minute in range(12):
        a.update(["x"] * 20, [float(minute < 6)] * 20, at=60.0 * minute)
    a.update("x", 0.0, at=60.0 * 13)
    assert len(a.changes) == 1
    kept = a.evidence(["x"])
    a.absorb(other)
    for bandit in (a, Bandit.merge([a]), Bandit.from_bytes(a.to_bytes())):
        np.testing.assert_array_equal(bandit.evidence(["x"]), kept)


def test_slots_with_restarts_heard_of_before_an_arm_came():
    a, b, c = replicas(Thompson(), change_detector=ChangeDetector())
    for bandit in (a, b):
        bandit.update("x", 1.0, at=0.0)
    c.absorb(a)
    c.add_arms(["z"])
    c.absorb(b)
    assert c.evidence()[1].tolist() == [2.0, 0.0, 0.0]


def test_a_delta_tells_of_arms_that_came_without_an_event():
    a, b, _ = replicas(Thompson(), arms=())
    a.add_arms(["x", "y"])
    a.contribution()  # to somebody else
    a.update("x", 1.0)
    b.absorb(a.contribution(since=0))
    assert b.arms == ["x", "y"]
    a.add_arms(["z"])
    a.contribution()
    a.update("x", 1.0)
    b.absorb(a.contribution(since=1))
    assert b.arms == ["x", "y", "z"]
    a.retire_arms(["z"])
    a.contribution()
    a.update("x", 1.0)
    b.absorb(a.contribution(since=2))
    assert b.arms == ["x", "y"]
    for wrong in ("a", True, 1.5, -1):
        with pytest.raises(ValueError, match="since"):
            a.contribution(since=wrong)


def test_a_merge_takes_deltas_in_any_order():
    a, b, _ = replicas(Thompson())
    a.update("x", 1.0)
    whole = a.contribution()
    a.update("x", 1.0)
    delta = a.contribution(since=1)
    assert [Bandit.merge(given).updates for given in ([b, whole, delta], [delta, b, whole])] == [2, 2]


def test_a_name_once_left_is_not_taken_again():
    bandit = Bandit(Thompson(), ["x", "y"])
    key = bandit.select().key
    bandit.reopen("other")
    bandit.reopen("0")
    assert bandit.epoch == 1
    assert bandit.select().key != key
    bandit.reopen(epoch=2**53)
    with pytest.raises(ValueError, match="epoch must be in"):
        bandit.reopen()
    assert Bandit.from_bytes(bandit.to_bytes()).epoch == 2**53


def test_many_tombstones_are_dropped_at_once():
    a, b, _ = replicas(Thompson(), arms=range(100_000))
    a._arms.max_tombstones = 10
    b.retire_arms(range(100_000))
    a.absorb(b)
    assert (a.arms, len(a._arms.tombstones), a._arms.tombstones_dropped) == ([], 10, 99_990)


def _sums(value):
    def change(fields):
        dtype, shape, data = fields["arrays"]["slot_0_sums"]
        fields["arrays"]["slot_0_sums"] = [dtype, shape, struct.pack("<d", value) + data[8:]]

    return change


def _slot(place, value):
    def change(fields):
        fields["values"]["slots"][0][place] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _sums(-1.0),
        _sums(1e300),
        _sums(np.nan),
        _slot(2, 2**53),
        _slot(1, 2**53 + 1),
        _slot(3, 1.0),
        _slot(3, 0.5),
        _slot(3, 1e300),
    ],
)
@pytest.mark.parametrize("policy", [Thompson(), Thompson(model=Gaussian()), LinUCB(n_features=2)], ids=str)
def test_sums_that_no_events_leave_are_refused(policy, change):
    a, b, _ = replicas(policy)
    a.update("x", 1.0, **({"context": [1.0, 1.0]} if policy.model.is_contextual else {}))
    before = b.to_bytes()
    with pytest.raises(CheckpointError):
        b.absorb(changed(a.contribution(), change))
    fork = Bandit.from_bytes(a.to_bytes(), replica="d")
    with pytest.raises(CheckpointError):
        Bandit.from_bytes(changed(fork.to_bytes(), change))
    assert b.to_bytes() == before


def test_a_landmark_that_runs_backwards_is_a_conflict():
    a, b, _ = replicas(HASTY)
    a.update("x", 1.0, at=5000.0)
    b.absorb(a)
    a.update("x", 1.0)
    with pytest.raises(MergeError, match="neither continues"):
        b.absorb(changed(a.contribution(), _slot(3, 0.0)))


def test_a_new_arm_is_told_where_another_replica_is_known():
    """The slots of others were too short for its column: half of the message was taken in, then an IndexError."""
    a, b, c = replicas(Thompson(), change_detector=ChangeDetector(window=2))
    b.update("x", 1.0)
    c.add_arms(["z"])
    c.update("z", 1.0)
    a.absorb(b)
    a.absorb(c)
    assert a.mean(["x", "z"]).tolist() == [2 / 3, 2 / 3]


def test_more_restarts_than_can_be_counted_are_refused():
    a, b, _ = replicas(Thompson(), change_detector=ChangeDetector(window=2))
    b.update("x", 1.0)
    before = a.to_bytes()
    with pytest.raises(CheckpointError, match="not of counts"):
        a.absorb(changed(b.contribution(), _resets(2**53)))
    assert a.to_bytes() == before
    a.absorb(changed(b.contribution(), _resets(2**53 - 1)))
    assert Bandit.from_bytes(a.to_bytes()).to_bytes() == a.to_bytes()


def _resets(count):
    return lambda f: f["arrays"].update(slot_0_resets=["<i8", [2], struct.pack("<2q", count, 0)])


def test_a_time_that_is_none_leaves_no_bits():
    """The bits of another's NaN went into the checkpoint, which was not the same once it was read."""
    a, b, _ = replicas(Thompson())
    b.update("x", 1.0)
    none = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0099_0000_0000))[0]
    a.absorb(changed(b.contribution(), lambda f: f["values"].update(latest=none)))
    assert Bandit.from_bytes(a.to_bytes()).to_bytes() == a.to_bytes()


LIVES = {
    "taken = 1 is not a count": lambda f: f["values"].update(taken=1),
    "one life holds what another has learnt": lambda f: f["values"].update(
        epoch=1, taken=1, slots=[["a", 0, 1, float("nan"), 0]]
    ),
    "one life holds what another": lambda f: f["values"].update(slots=[["a", 1, 1, float("nan"), 1]]),
    "more events than can be told": lambda f: f["arrays"]["cells"].__setitem__(
        2, struct.pack("<6d", 2.0**48 + 1.0, float("nan"), float("nan"), 0.0, 0.0, 0.0)
    ),
    "no id of its own": lambda f: f["values"].update(pauses=2 * [["x", 1, "a", 0, True]]),
    "no id of its own or": lambda f: f["values"].update(pauses=[[2**63, 1, "a", 0, True]]),
}


@pytest.mark.parametrize("message", LIVES)
def test_what_could_not_be_told_or_told_apart_is_refused(message):
    bandit = Bandit(Thompson(), ["x", "y"], replica="a")
    bandit.update("x", 1.0)
    with pytest.raises(CheckpointError, match=message):
        Bandit.from_bytes(changed(bandit.to_bytes(), LIVES[message]))

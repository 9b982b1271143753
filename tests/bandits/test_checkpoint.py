from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.bandits import Bandit, ChangeDetector, CheckpointError, Thompson
from seedbed.bandits.checkpoint import Checkpoint, pack, unpack

GOLDEN = Path(__file__).parents[1] / "golden"


def sample():
    bandit = Bandit(Thompson(), ["a", 1, "1", "gone"], seed=2**64 - 1, replica="eu-3")
    bandit.update(["a", 1, "1"], [1.0, 0.5, 0.0], weight=[1.0, 3.0, 2.0])
    bandit.retire_arms(["gone"])
    bandit.select(now=12.5)
    return bandit


BLOB = sample().to_bytes()


def test_round_trip_is_exact():
    twin = Bandit.from_bytes(BLOB)
    assert twin.to_bytes() == BLOB
    assert (twin.arms, twin.seed, twin.replica, twin.updates) == (["a", 1, "1"], 2**64 - 1, "eu-3", 3)
    with pytest.raises(ValueError, match="retired"):
        twin.add_arms(["gone"])
    with pytest.raises(ValueError, match="runs backwards"):
        twin.select(now=12.0)


def test_many_arms_round_trip():
    bandit = Bandit(Thompson(), range(10_000))
    bandit.retire_arms(range(0, 10_000, 3))
    bandit.add_arms([f"x{i}" for i in range(100)])
    twin = Bandit.from_bytes(bandit.to_bytes())
    assert twin.select(k=50).arms == bandit.select(k=50).arms
    twin.add_arms(["y"])
    bandit.add_arms(["y"])
    assert twin.to_bytes() == bandit.to_bytes()


@given(st.integers(0, len(BLOB) - 1), st.integers(1, 255))
def test_every_altered_byte_is_refused(position, flip):
    altered = bytearray(BLOB)
    altered[position] ^= flip
    with pytest.raises(CheckpointError, match="nothing was loaded"):
        Bandit.from_bytes(bytes(altered))


@pytest.mark.parametrize("length", range(0, len(BLOB), 7))
def test_every_truncation_is_refused(length):
    with pytest.raises(CheckpointError, match="truncated"):
        Bandit.from_bytes(BLOB[:length])


def test_trailing_bytes_are_refused():
    with pytest.raises(CheckpointError, match="followed by other bytes"):
        Bandit.from_bytes(BLOB + b"x")


def test_other_kinds_and_formats_are_refused():
    with pytest.raises(CheckpointError, match="'stone', not 'bandit'"):
        Bandit.from_bytes(pack(Checkpoint("stone", {}, {}, {})))
    newer = bytearray(BLOB)
    newer[8] = 9
    with pytest.raises(CheckpointError, match="format 9 is newer than 3"):
        Bandit.from_bytes(bytes(newer))
    with pytest.raises(CheckpointError, match="starts with"):
        Bandit.from_bytes(b"PK\x03\x04" + BLOB[4:])


def rewritten(change):
    """The sample with its content changed and its checksum right."""
    checkpoint = unpack(BLOB, "bandit")
    change(checkpoint)
    return pack(checkpoint)


CONTRADICTIONS = [
    ("a statistic is not finite", lambda c: c.arrays["evidence"].__setitem__((0, 0), np.nan)),
    ("evidence is out of range", lambda c: c.arrays["evidence"].__setitem__((0, 0), -1.0)),
    ("prior is out of range", lambda c: c.arrays.__setitem__("prior", np.zeros((2, 4)))),
    ("another type or shape", lambda c: c.arrays.__setitem__("evidence", np.zeros((4, 2)))),
    ("'uids' is missing", lambda c: c.arrays.pop("uids")),
    ("columns contradict", lambda c: c.values["ids"].append("b")),
    ("columns contradict", lambda c: c.values["order"].reverse() or c.values["order"].append(0)),
    ("stands twice", lambda c: c.values["ids"].__setitem__(1, "a")),
    ("not an arm id", lambda c: c.values["ids"].__setitem__(0, 1.5)),
    ("seed is missing", lambda c: c.values.pop("seed")),
    ("seed = -1", lambda c: c.values.__setitem__("seed", -1)),
    ("decisions = 'x'", lambda c: c.values.__setitem__("decisions", "x")),
    ("now = nan", lambda c: c.values.__setitem__("now", float("nan"))),
    ("tombstones", lambda c: c.arrays.__setitem__("tombstones", np.zeros((1, 1), np.uint64))),
    ("replica of list", lambda c: c.values.__setitem__("replica", nested(10))),
    ("two arms have one uid", lambda c: c.arrays["uids"].__setitem__(slice(None), 0)),
    ("among its tombstones", lambda c: c.arrays.__setitem__("tombstones", c.arrays["uids"][:1].copy())),
    ("evidence is out of range", lambda c: c.arrays["evidence"].__setitem__((0, 0), 1e308)),
    ("exposures are no counts", lambda c: c.arrays.__setitem__("exposures", np.full((2, 4), 0.5))),
    ("more exposures were resolved", lambda c: c.arrays.__setitem__("exposures", np.array([[0.0] * 4, [5.0] * 4]))),
    ("exposures contradict their sum", lambda c: c.arrays.__setitem__("exposures", np.array([[5.0] * 4, [0.0] * 4]))),
    ("exposures contradict each other", lambda c: c.values.__setitem__("shown", [[1.0, 1]])),
    ("events is not a count", lambda c: c.arrays["cells"].__setitem__(0, -1.0)),
    ("events is not a number", lambda c: c.arrays["cells"].__setitem__(0, np.nan)),
    ("window is longer", lambda c: c.arrays["cells"].__setitem__(5, 3.0)),
    ("paused", lambda c: c.values.__setitem__("paused", [99])),
    ("changes are no records", lambda c: c.values.__setitem__("changes", [1])),
    ("change detector is not one", lambda c: c.config.__setitem__("change_detector", {"bucket": -1.0})),
    ("generation is out of range", lambda c: c.arrays["generations"].__setitem__(0, -1)),
    ("policy is not one", lambda c: c.config["policy"].__setitem__("kind", "magic")),
    ("policy is not one", lambda c: c.config["policy"].__setitem__("model", {"kind": "beta", "prior": [0, 1]})),
]


@pytest.mark.parametrize(("message", "change"), CONTRADICTIONS, ids=[m for m, _ in CONTRADICTIONS])
def test_contradictions_are_refused(message, change):
    with pytest.raises(CheckpointError, match=message):
        Bandit.from_bytes(rewritten(change))


def test_malformed_bodies_are_refused():
    good = {"kind": "bandit", "config": {}, "values": {}, "arrays": {}}
    bad_bodies = [
        b"\xc1",
        msgpack.packb([1]),
        msgpack.packb({**good, "extra": 1}),
        msgpack.packb({**good, "values": []}),
        msgpack.packb({**good, "arrays": {"x": ["<f8", [2], b"123"]}}),
        msgpack.packb({**good, "arrays": {"x": ["<f8", [-1], b""]}}),
        msgpack.packb({**good, "arrays": {"x": ["|O", [1], b"12345678"]}}),
        msgpack.packb({**good, "arrays": {"x": ["<f8", [2**40, 2**40], b""]}}),
        msgpack.packb({**good, "arrays": {"x": [["<f8"], [1], b"12345678"]}}),
        msgpack.packb({**good, "arrays": {"x": ["<f8", [0, 2**63], b""]}}),
        msgpack.packb({**good, "arrays": {"x": ["<f8", [0, 10**18, 10**18], b""]}}),
        msgpack.packb({**good, "arrays": {1: ["<f8", [0], b""]}}),
        msgpack.packb({**good, "kind": nested(300)}),
        b"\x81" * 2_000,
    ]
    for body in bad_bodies:
        with pytest.raises(CheckpointError):
            unpack(framed(body), "bandit")


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def framed(body):
    import hashlib
    import struct

    head = struct.pack("<8sIQ", b"SEEDBED\x1a", 1, len(body)) + body
    return head + hashlib.blake2b(head, digest_size=16).digest()


def test_golden_bandit_of_format_1():
    """Written by the first version; read for ever."""
    bandit = Bandit.from_bytes((GOLDEN / "bandit-1.seedbed").read_bytes())
    assert bandit.arms == ["a", 1, "1"]
    decision = bandit.select(k=3)
    assert decision.decision_id == ("eu-3", 0, 1)
    assert decision.arms == GOLDEN_ARMS
    assert decision.scores == pytest.approx(GOLDEN_SCORES, rel=1e-12)


GOLDEN_ARMS = [1, "a", "1"]
GOLDEN_SCORES = [0.8097896402848199, 0.7538331648867153, 0.17065683446342075]


def test_golden_bandits_of_formats_2_and_3():
    """Decay, a change detector, a pause and a pending exposure; a linear model; a window."""
    bandit = golden("bandit")
    assert (bandit.paused, bandit.pending) == (["p"], 1)
    assert bandit.change_detector == ChangeDetector(window=4)
    decision = bandit.select(k=3)
    assert decision.arms == [1, "a", "1"]
    wanted = [0.7124071230977186, 0.3786581461927984, 0.2348063048839686]
    assert decision.scores == pytest.approx(wanted, rel=1e-12)
    linear = golden("bandit-linear").scores(context=[0.5, 1.0])
    assert linear.tolist() == pytest.approx([0.8731021312543051, 1.118033988749895], rel=1e-12)
    window = golden("bandit-window")
    assert window.scores().tolist() == pytest.approx([4.177410022515475, -0.8225899774845253], rel=1e-12)
    window.update("b", 0.0)  # the first of the window's two events is forgotten
    assert window.mean().tolist() == pytest.approx([3.0 / 1.01, 0.0])


def test_golden_fleet_of_format_3():
    """Two replicas with decay and detectors: a warm start, a pause, a retired arm, a correction, a delta."""
    blob = (GOLDEN / "bandit-fleet-3.seedbed").read_bytes()
    bandit = Bandit.from_bytes(blob)
    assert bandit.to_bytes() == blob
    told = [(GOLDEN / f"contribution{part}-3.seedbed").read_bytes() for part in ("", "-delta")]
    bandit.absorb(told[1])
    assert (bandit.heard, bandit.learnt, bandit.paused) == ({("eu-1", 0): 4}, 3, ["p"])
    decision = bandit.select(k=4)
    assert decision.arms == ["new", 1, "1", "a"]
    wanted = [0.7464593020882403, 0.6866114575323993, 0.5192266686410458, 0.3774201969388887]
    assert decision.scores == pytest.approx(wanted, rel=1e-12)
    assert Bandit.from_bytes(blob, replica="eu-2").heard == {("eu-1", 0): 3, ("eu-2", 0): 3}
    bandit.absorb(told[0])  # its own, told before


def golden(name):
    """Read golden files of one state, in format 2 and in format 3, which this version writes byte for byte."""
    blob = (GOLDEN / f"{name}-3.seedbed").read_bytes()
    assert Bandit.from_bytes((GOLDEN / f"{name}-2.seedbed").read_bytes()).to_bytes() == blob
    bandit = Bandit.from_bytes(blob)
    assert bandit.to_bytes() == blob
    return bandit

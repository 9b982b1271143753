"""Corrupt checkpoints are refused, or decode to an object that works: a sharp part of benchmarks/corruption.py."""

import struct
import tracemalloc
from pathlib import Path

import corruption
import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.bandits import (
    UCB1,
    Bandit,
    Beta,
    ChangeDetector,
    CheckpointError,
    GammaPoisson,
    Gaussian,
    HybridLinear,
    Linear,
    LinUCB,
    SharedLinear,
    Thompson,
)
from seedbed.bandits._linalg import others_width
from seedbed.bandits.checkpoint import pack, unpack
from seedbed.constraints import StopLoss

CORPUS = Path(__file__).parent / "corpus"
KINDS = corruption.specimens()
CASES = 1_500


def test_corruptions_are_refused_or_harmless():
    outcomes, _, wrong = corruption.run(CASES, seed=1)
    assert wrong == []
    by_result = {result: sum(n for case, n in outcomes.items() if case[2] == result) for result in corruption.RESULTS}
    assert by_result["refused"] > 0.7 * CASES
    assert by_result["usable"] > 0.05 * CASES  # else the corruptions are too coarse to find anything


def test_every_specimen_is_valid():
    for name, blob in KINDS.items():
        loader = corruption.loader_of(name)
        assert isinstance(loader, corruption.Receiver) or loader.from_bytes(blob).to_bytes() == blob
        assert corruption.signed(corruption.encoded(corruption.decoded(blob))) == blob
        assert corruption.outcome(blob, loader) == "usable"


def test_specimens_are_inputs_of_the_fuzzer_too():
    for name, data in corruption.to_inputs().items():
        assert corruption.from_input(data) == (corruption.loader_of(name), KINDS[name])


def test_messages_say_what_they_should():
    """Else a refusal of everything would pass: in whole, as news, with a slot that holds others and one corrected."""
    fields = {name: unpack(blob, ("bandit", "contribution")) for name, blob in KINDS.items() if "detector" in name}
    assert fields["told news, detector"].values["since"] > 0
    assert fields["told, detector"].values["slots"][0][4] == 1
    assert "slot_0_retracted" in fields["told, detector"].arrays
    assert len(fields["fleet, detector"].values["slots"]) == 3
    assert any(name.endswith("resets") for name in fields["fleet, detector"].arrays)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*")), ids=lambda path: path.name[:12])
def test_inputs_found_by_the_fuzzer(path):
    loader, blob = corruption.from_input(path.read_bytes())
    assert corruption.outcome(blob, loader) in ("refused", "usable")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_any_value_in_any_place(data, name):
    tree = corruption.decoded(KINDS[name])
    holder, i = data.draw(st.sampled_from(corruption.places(tree)))
    holder[i] = data.draw(values)
    assert corruption.outcome(corruption.signed(corruption.encoded(tree)), corruption.loader_of(name))


@given(st.binary(max_size=200))
def test_any_bytes_as_a_body(body):
    with pytest.raises(CheckpointError):
        Bandit.from_bytes(corruption.signed(body))


@given(values)
def test_well_formed_is_what_msgpack_reads(value):
    """Of one value, cut anywhere or followed by more: the look ahead agrees with the decoder."""
    from seedbed.bandits._msgpack import MAX_DEPTH, first_fault

    def depth(v):
        inner = v.values() if isinstance(v, dict) else v if isinstance(v, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    body = msgpack.packb(value)
    for part in {body, body[: len(body) // 2], body[:-1], body + b"\xc0"} - {b""}:
        try:
            msgpack.unpackb(part, strict_map_key=False)
            is_whole = depth(value) <= MAX_DEPTH
        except (ValueError, msgpack.UnpackException):
            is_whole = False
        assert (first_fault(np.frombuffer(part, np.uint8)) == 0) == is_whole


SCALARS = [1.5, 2**64 - 1, -(2**63), 2**31, -129, 200, *("x" * n for n in (40, 300, 70_000)), b"x" * 300]


@pytest.mark.parametrize("packed", [*SCALARS, [1] * 20, [0] * 70_000], ids=range(12))
def test_every_length_of_a_value_is_understood(packed):
    from seedbed.bandits._msgpack import first_fault

    body = msgpack.packb([packed, {str(i): i for i in range(20)}])
    assert first_fault(np.frombuffer(body, np.uint8)) == 0
    assert first_fault(np.frombuffer(body[:-1], np.uint8)) == 1
    single = np.frombuffer(msgpack.packb(1.0, use_single_float=True), np.uint8)
    assert first_fault(single) == 0


def bomb(depth, length):
    """Lists inside each other that each declare as many elements as there are bytes."""
    return struct.pack(">BI", 0xDD, length) * depth + b"\xc0" * (length - 5 * depth)


LARGE = {
    "a list of 2^32": b"\xdd\xff\xff\xff\xff" + b"\xc0" * 5,
    "a map of 2^32": b"\xdf\xff\xff\xff\xff" + b"\xc0" * 5,
    "bytes of 2^32": b"\xc6\xff\xff\xff\xff" + b"\xc0" * 5,
    "lists of 100,000 in each other": bomb(400, 100_000),
    "a deep one": b"\x91" * 200_000 + b"\xc0",
}


def changed(name, change):
    checkpoint = unpack(KINDS[name], ("bandit", "cold_start", "contribution", "durable"))
    change(checkpoint)
    return pack(checkpoint)


def model(**fields):
    return lambda c: c.config["policy"].__setitem__("model", fields)


def many_arms(c):
    c.values["ids"] = [f"x{i}" for i in range(1_000)]
    c.arrays["uids"] = np.arange(1_000, dtype=np.uint64)
    c.config["policy"]["model"]["n_features"] = 4_096


HUGE = {
    "linear: 10^9 features": ("linear", model(kind="linear", n_features=10**9)),
    "linear: 4,096 features": ("linear", model(kind="linear", n_features=4_096)),
    "linear: 4,096 features of 1,000 arms": ("exp3", many_arms),
    "shared: 4,096 features": ("shared linear", model(kind="shared_linear", n_features=4_096)),
    "hybrid: 4,096 features": ("hybrid linear", model(kind="hybrid_linear", n_features=4_096, n_shared=4_096)),
    "window of 10^8": ("beta, window", model(kind="beta", window=10**8)),
    "window of 2^40": ("beta, window", model(kind="beta", window=2**40)),
    "detector of 10^4": ("beta, detector", lambda c: c.config["change_detector"].__setitem__("window", 10_000)),
    "detector of 2^40": ("beta, detector", lambda c: c.config["change_detector"].__setitem__("window", 2**40)),
    "detector's bucket": ("beta, detector", lambda c: c.config["change_detector"].__setitem__("bucket", 1e-300)),
}


@pytest.mark.parametrize("name", [*LARGE, *HUGE])
def test_what_is_declared_takes_no_memory(name):
    """Refused before more is taken than a small multiple of the file."""
    blob = corruption.signed(LARGE[name]) if name in LARGE else changed(*HUGE[name])
    with pytest.raises(CheckpointError):
        Bandit.from_bytes(KINDS["beta"][:-1])  # all is imported and compiled
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            Bandit.from_bytes(blob)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000 + 20 * len(blob)
    finally:
        tracemalloc.stop()


def put(array, place, number):
    return lambda c: c.arrays[array].__setitem__(place, number)


def zero_tombstones(c):
    c.values.update(order=[1, 0, 2, 3, 4], free=[])
    c.arrays.update(generations=np.zeros(5, np.int64), tombstones=np.zeros(0, np.uint64))


def detected(c):
    c.config.update(change_detector={"window": 4})
    c.arrays["blocks"] = np.zeros((c.arrays["uids"].size, 22))


def far_ahead(c):
    """Its product with the newest bucket's number was no number any more."""
    c.config["change_detector"].update(bucket=1.7e308)


CONTRADICTIONS = [
    ("columns contradict its tombstones", "exp3", zero_tombstones),
    ("retired twice", "beta", lambda c: c.arrays.update(tombstones=np.repeat(c.arrays["tombstones"], 2))),
    ("generation is out of range", "beta", put("generations", 0, 2**30)),
    ("not that of its arm", "beta", put("uids", 0, 5)),
    ("change_detector works with", "gaussian", detected),
    ("no array of priors", "linear, decay", lambda c: c.arrays.update(prior=np.zeros((0, c.arrays["uids"].size)))),
    ("holds what is no event", "beta, window", put("window", (0, 1), 1e300)),
    ("holds what is no event", "beta, window", put("window", (0, 1), 0.5)),
    ("holds what is no event", "beta, window", put("window", (1, 1), -1.0)),
    ("holds what is no event", "beta, window", put("window", (2, 1), 2.0)),
    ("holds what is no event", "beta, window", put("window", (3, 1), -1.0)),
    ("window contradicts itself", "beta, window", put("cells", 5, 4.0)),
    ("window contradicts itself", "beta, window", put("cells", 4, 1.0)),
    ("buckets contradict", "beta, detector", put("blocks", (0, 0), 1e300)),
    ("buckets contradict", "beta, detector", put("blocks", (0, 2), -1.0)),
    ("buckets contradict", "beta, detector", put("blocks", (0, 17), 0.5)),
    ("landmark is not one", "beta", put("cells", 1, 3.0)),
    ("landmark contradicts", "beta, decay", put("cells", 1, -1e6)),
    ("landmark contradicts", "beta, decay", put("cells", 1, 1e6)),
    ("latest is not a time", "beta, decay", put("cells", 2, 1e300)),
    ("now = 1e\\+300", "beta", lambda c: c.values.update(now=1e300)),
    ("evidence is out of range", "beta, decay", put("evidence", (0, 0), 1e150)),
    ("evidence is out of range", "gaussian", put("evidence", (1, 0), 1e200)),
    ("is no number", "gaussian", lambda c: c.arrays["evidence"].__setitem__((slice(None), 0), [1e-320, 1.0, 1.0])),
    ("exposures are no counts", "beta", put("exposures", (0, 0), 1e300)),
    ("exposures contradict each other", "beta", put("shown_counts", 0, 9.0)),
    ("exposures are no counts", "beta", put("shown_counts", 0, -1.0)),
    ("exposures are not in order", "beta", lambda c: c.values["shown"].reverse()),
    ("exposures are not in order", "beta", lambda c: c.values["shown"][0].__setitem__(0, float("nan"))),
    ("of arms that never were", "beta", put("shown_handles", 0, 3 + 2 * 2**32)),
    ("of arms that never were", "beta", put("shown_handles", 0, 1_000)),
    ("changes are no records", "beta", lambda c: c.values["changes"].append([["a"], None, 1, 1.0])),
    ("changes are no records", "beta", lambda c: c.values["changes"].append(["a", float("nan"), 1, 1.0])),
    ("block is no regression", "linear", put("blocks", (0, -1), -1e300)),
    ("block is no regression", "linear", put("blocks", (0, -2), 0.0)),
    ("block is no regression", "linear", put("blocks", (0, 0), -1.0)),
    ("arms share is no regression", "shared linear", put("shared", -2, -1.0)),
    ("configuration is not one", "cold start", lambda c: c.config.update(prior=[1e-9, 1.0])),
    ("configuration is not one", "cold start", lambda c: c.config.update(block_reasons=["X", "X"])),
    ("configuration is not one", "cold start", lambda c: c.config.update(seed_deadline=1e-300)),
    ("change detector", "cold start", lambda c: c.values.update(bandit=KINDS["beta, detector"])),
    ("no id, or an id no room", "cold start", put("quota", 0, 0)),
    ("open and closed", "cold start", put("closed", 0, 5.0)),
    ("seen too much", "cold start", put("yield_seen", 0, 2**52)),
    ("buckets contradict", "told all, detector", far_ahead),
    ("journal = 'x' is not a name", "durable", lambda c: c.values.update(journal="x")),
    ("journal = '.*' is not a name", "durable", lambda c: c.values.update(journal="zz" * 16)),
    ("segment = 0 is not the number", "durable", lambda c: c.values.update(segment=0)),
    ("seen of dict is not a map of ids", "durable", lambda c: c.values["seen"].update(update=[["x"], [["y"]]])),
    ("seen of dict is not a map of ids", "durable", lambda c: c.values["seen"].update(update=[["x"], 5])),
    ("seen of dict is not a map of ids", "durable", lambda c: c.values["seen"].update(update=["x"])),
    ("bandit is missing", "durable", lambda c: c.arrays.clear()),
    ("change has a field", "cold start", lambda c: c.values["changes"][0].update(room=True)),
    ("change has other counts", "cold start", lambda c: c.values["changes"][0].update(counts={})),
    ("change is out of range", "cold start", lambda c: c.values["changes"][0].update(at=float("nan"))),
]


@pytest.mark.parametrize(("message", "name", "change"), CONTRADICTIONS, ids=[f"{n}: {m}" for m, n, _ in CONTRADICTIONS])
def test_contradictions_are_refused(message, name, change):
    with pytest.raises(CheckpointError, match=message):
        corruption.loader_of(name).from_bytes(changed(name, change))


def test_a_name_cannot_stand_twice():
    tree = corruption.decoded(KINDS["beta"])
    values = dict(tree)["values"]
    values.append(corruption.Pair(["seed", 5]))
    with pytest.raises(CheckpointError, match="stands twice"):
        Bandit.from_bytes(corruption.signed(corruption.encoded(tree)))


@pytest.mark.parametrize("time", [1e16, -1e300, float("nan")])
def test_times_beyond_what_can_be_counted_are_refused(time):
    """They ended in an AssertionError, or in means that were no numbers."""
    bandit = Bandit(Thompson(model=Beta(half_life=60.0)), ["a"])
    with pytest.raises(ValueError, match="not a finite time"):
        bandit.update("a", 1.0, at=time)
    with pytest.raises(ValueError, match="not a finite time"):
        bandit.select(now=time)
    assert bandit.updates == 0


@pytest.mark.parametrize("time", [1e15, -1e15])
def test_the_largest_times_are_counted(time):
    detector = ChangeDetector(bucket=0.001, window=4)
    bandit = Bandit(Thompson(model=Beta(half_life=0.001)), ["a"], change_detector=detector)
    bandit.update("a", 1.0, at=0.0)
    bandit.update("a", 1.0, at=time)
    assert np.isfinite(bandit.mean()).all()
    assert Bandit.from_bytes(bandit.to_bytes()).to_bytes() == bandit.to_bytes()


@pytest.mark.parametrize("make", [
    lambda: Beta(half_life=1e-4),
    lambda: ChangeDetector(bucket=1e-4),
    lambda: StopLoss(mixing=(1e-300, 1.0)),
    lambda: ColdStartConfig(tick_seconds=1e-300),
    lambda: ColdStartConfig(tick_seconds=1e300),
    lambda: ColdStartConfig(multiplier_max=1e300),
])  # fmt: skip
def test_configurations_that_could_not_be_read_back_are_refused(make):
    with pytest.raises(ValueError, match=r"(greater|less) than or equal"):
        make()


def test_decay_that_begins_with_the_latest_time_known():
    """A checkpoint made between a time and its landmark: the landmark is not set before the latest time."""
    bandit = Bandit(Thompson(model=Beta(half_life=1.0)), ["a"])
    checkpoint = unpack(bandit.to_bytes(), "bandit")
    checkpoint.arrays["cells"][2] = 5_000.0
    twin = Bandit.from_bytes(pack(checkpoint))
    twin.select(now=1.0)
    twin.update("a", 1.0, at=3.0)
    assert Bandit.from_bytes(twin.to_bytes()).to_bytes() == twin.to_bytes()


def test_a_tick_with_all_rooms_paused_in_the_bandit():
    allocator = ColdStartAllocator.from_bytes(KINDS["cold start"])
    allocator.bandit.pause_arms(allocator.bandit.arms)
    again = ColdStartAllocator.from_bytes(allocator.to_bytes())
    assert sum(record.exposures for record in again.tick(now=560.0, exposures=400).values()) >= 0


MODELS = [Linear(n_features=3), SharedLinear(n_features=3), HybridLinear(n_features=3, n_shared=2)]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.kind)
def test_sizes_are_those_of_the_state(model):
    state = Bandit(LinUCB(model=model), ["a"])._state
    others = others_width(model.n_features) if model.kind == "shared_linear" else 0
    assert model.sizes == (state.blocks.shape[1], state.shared.size - others)


def test_a_window_that_is_not_full_is_read():
    bandit = Bandit(UCB1(model=Gaussian(window=5)), ["a", "b"])
    for i in range(4):
        bandit.update("ab"[i % 2], float(i))
        assert Bandit.from_bytes(bandit.to_bytes()).to_bytes() == bandit.to_bytes()


FORGETFUL = {
    "beta": Thompson(),
    "beta, decay": Thompson(model=Beta(half_life=60.0)),
    "beta, quick decay": Thompson(model=Beta(half_life=0.001)),
    "beta, window": Thompson(model=Beta(window=5)),
    "gaussian": UCB1(model=Gaussian()),
    "gaussian, decay": UCB1(model=Gaussian(half_life=60.0)),
    "gaussian, window": UCB1(model=Gaussian(window=5)),
    "gamma-poisson, window": UCB1(model=GammaPoisson(window=5)),
    "linear, decay": LinUCB(model=Linear(n_features=2, half_life=60.0)),
    "shared, decay": LinUCB(model=SharedLinear(n_features=2, half_life=60.0)),
    "hybrid": LinUCB(model=HybridLinear(n_features=1, n_shared=1)),
    "detector": Thompson(),
    "detector, decay": Thompson(model=Beta(half_life=60.0)),
}


@pytest.mark.parametrize("name", FORGETFUL)
def test_every_history_can_be_read_back(name):
    """None of the ranges is too narrow: 60 histories with the largest, smallest and oddest of what is accepted."""
    policy = FORGETFUL[name]
    kind, is_linear = policy.model.kind, policy.model.is_contextual
    rewards = {"beta": [0.0, 1.0, 0.5, 1e-300], "gamma_poisson": [0.0, 1.0, 1e12]}.get(kind, [0.0, 1.0, -1e9, 1e9, 3.7])
    weights, times = [0.0, 1.0, 1.0, 1e-9, 0.3, 1e12], [0.0, 3.0, 61.0, -50.0, 1e4, 1e9, -1e15, 1e15 - 1.0]
    detector = ChangeDetector(bucket=10.0, window=4) if "detector" in name else None
    for seed in range(60):
        rng = np.random.default_rng(seed)
        bandit = Bandit(policy, range(4), change_detector=detector)
        horizon = times[: 2 + seed % 7]
        for i in range(40):
            context = {"context": rng.choice([-1.0, 0.0, 0.5, 1e3], size=2)} if is_linear else {}
            at = None if rng.random() < 0.4 else float(rng.choice(horizon)) + float(rng.choice([0.0, 0.5, 1.0]))
            try:
                if rng.random() < 0.2:
                    bandit.select(k=2, now=at, pending=True, **context)
                else:
                    arm, reward, weight = rng.choice(bandit.arms), rng.choice(rewards), rng.choice(weights)
                    bandit.update(int(arm), float(reward), float(weight), at=at, **context)
            except ValueError as error:
                assert "runs backwards" in str(error) or "after the latest now" in str(error)
            if rng.random() < 0.05:
                bandit.retire_arms(bandit.arms[:1])
                bandit.add_arms([100 + i])
            if rng.random() < 0.05:
                bandit.expire(float(rng.choice(horizon)))
        blob = bandit.to_bytes()
        assert Bandit.from_bytes(blob).to_bytes() == blob

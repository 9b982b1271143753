"""Corrupt checkpoints by the thousand: each must be refused, or decode to an object that works.

A contribution must be refused and leave who was told as it was, or be absorbed and leave a bandit that works.
`python benchmarks/corruption.py [N] [SEED]` makes N corruptions (100,000 by default) and prints what became of them.
Damage by chance leaves a wrong checksum; the corruptions of the tree repair it, as a forger or a faulty writer would.
"""

import copy
import faulthandler
import resource
import struct
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from typing import Any, Self

import chains
import msgpack
import numpy as np

from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.allocators.cold_start import Atoms, BetaPopulation, BucketRules, GammaPopulation, Gate, Harm, Rules
from seedbed.bandits import (
    EXP3,
    KLUCB,
    UCB1,
    Bandit,
    BayesUCB,
    Beta,
    ChangeDetector,
    CheckpointError,
    EpsilonGreedy,
    GammaPoisson,
    Gaussian,
    HybridLinear,
    Linear,
    LinThompson,
    LinUCB,
    SharedLinear,
    Thompson,
    TopTwo,
    UnknownArmError,
)
from seedbed.bandits._seen import Seen
from seedbed.bandits.attribution import (
    Attribution,
    AttributionConfig,
    Condition,
    DelayCurve,
    ExposureLedger,
    LedgerConfig,
    Rule,
    RuleSet,
    Tally,
)
from seedbed.bandits.errors import MergeError
from seedbed.constraints import BoundedMean, Constrained
from seedbed.storage import _saved

HEAD, CHECKSUM = 20, 16
SECONDS = 60  # after which a case is taken for a hang
MEMORY = 12 << 30  # bytes of addresses
Random = np.random.Generator


class Pairs(list[Any]):
    """A map as a list of pairs, so that a name can stand twice."""


class Pair(list[Any]):
    """Name and value."""


def pairs(*items: Any) -> Pairs:
    """A map of these names and values."""
    return Pairs(Pair(item) for item in items)


# valid checkpoints, small ones of every kind


def _learnt(policy: Any, *, width: int = 0, at: float | None = None, replica: str = "eu-3", **options: Any) -> Bandit:
    bandit = Bandit(policy, ["a", 1, "1", "gone", "p"], seed=2**64 - 1, replica=replica, **options)
    for i in range(7):
        context = np.linspace(-1.0, 1.0, width) + 0.1 * i if width else None
        time = None if at is None else at + 30.0 * i
        needed = {"propensity": 0.5} if policy.needs_propensity else {}
        bandit.update(("a", 1, "1", "p")[i % 4], float(i % 2), 1.0 + i % 3, context=context, at=time, **needed)
    return bandit


def _with_lives(bandit: Bandit, **options: Any) -> Bandit:
    bandit.retire_arms(["gone"])
    bandit.pause_arms(["p"])
    bandit.select(now=12.5, pending=True, **options)
    bandit.select(now=13.5, k=2, pending=True, **options)
    bandit.add_arms(["new", "newer"])
    return bandit


def _detected() -> Bandit:
    bandit = _learnt(Thompson(model=Beta()), change_detector=ChangeDetector(bucket=10.0, window=4), at=0.0)
    for i in range(200):
        bandit.update("a", float(i >= 100), at=240.0 + i)
    return bandit


def _fleet(policy: Any, *, width: int = 0, at: float | None = None, **options: Any) -> tuple[Bandit, bytes, bytes]:
    """One that has heard of two others, and all, and the news, that one of them tells: with corrections and lives."""
    timed = {"width": width, "at": at, **options}
    one, two, three = (_learnt(policy, replica=f"eu-{i}", **timed) for i in range(1, 4))
    context = np.linspace(-1.0, 1.0, width) if width else None
    event = {"context": context, "at": at}
    for bandit in (one, three):
        bandit.correct("a", 0.0, **event)
        bandit.reopen()
        bandit.take_over()
        bandit.update("a", 1.0, **event)
    for i in range(200 if options else 0):
        two.update("a", float(i >= 100), at=240.0 + i)
    one.absorb(two)
    one.absorb(three.contribution())
    one.reopen()
    one.correct(1, 1.0, 2.0, context=None if context is None else context + 0.1, at=None if at is None else at + 30.0)
    since = three.learnt
    three.update("p", 1.0, **event)
    three.correct("a", 1.0, **event)
    news = three.contribution(since)
    if not width:
        three.warm_start(["1"], strength=5.0, source=["a", "p"])
    three.pause_arms(["a"])
    three.retire_arms(["1"])
    three.add_arms(["x"])
    return _with_lives(one, **({} if context is None else {"context": context})), three.contribution(), news


@cache
def _fleets() -> dict[str, tuple[Bandit, bytes, bytes]]:
    detector = ChangeDetector(bucket=10.0, window=4)
    return {
        "beta": _fleet(Thompson()),
        "gaussian": _fleet(BayesUCB(model=Gaussian())),
        "decay": _fleet(Thompson(model=Beta(half_life=60.0)), at=0.0),
        "detector": _fleet(Thompson(model=Beta(half_life=60.0)), at=0.0, change_detector=detector),
        "linear": _fleet(LinUCB(model=Linear(n_features=2)), width=2),
        "shared linear": _fleet(LinThompson(model=SharedLinear(n_features=2, half_life=60.0)), width=2, at=0.0),
    }


def _told() -> dict[str, bytes]:
    """What members of fleets save, and are told."""
    blobs = {}
    for name, (bandit, whole, news) in _fleets().items():
        blobs |= {f"fleet, {name}": bandit.to_bytes(), f"told, {name}": whole, f"told news, {name}": news}
    return blobs | {"told all, detector": _fleets()["detector"][0].to_bytes()}


class Receiver:
    """Reads what a bandit is told: one that has learnt something takes it in, all or nothing."""

    def __init__(self, told: bytes) -> None:
        self.told = told

    def from_bytes(self, blob: bytes) -> Bandit:
        """A bandit that has absorbed it."""
        bandit = Bandit.from_bytes(self.told)
        try:
            bandit.absorb(blob)
        except (CheckpointError, MergeError):
            assert bandit.to_bytes() == self.told, "refused, yet something has changed"
            raise
        saved = bandit.to_bytes()
        bandit.absorb(blob)
        assert bandit.to_bytes() == saved, "told twice, it is another"
        return bandit


class Resumed:
    """What the checkpoint of a Durable holds."""

    def __init__(self, saved: _saved.Saved) -> None:
        self.saved = saved
        for older, newer in saved.seen.values():
            assert all(id in Seen(1, older, newer) for id in older + newer)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Read it."""
        return cls(_saved.load(blob))

    def to_bytes(self) -> bytes:
        """Write it."""
        return _saved.save(self.saved.bandit.to_bytes(), *self.saved[1:])


def _rooms() -> ColdStartAllocator:
    config = ColdStartConfig(budget={"limit": 5_000, "window": 600.0}, block_reasons=("X", "Y"))
    allocator = ColdStartAllocator(config, seed=42)
    allocator.open([f"r{i}" for i in range(6)], now=0.0, bucket="music", content_score=0.5)
    allocator.open("s", now=0.0, tier="S")
    for tick in range(1, 9):
        plan = allocator.tick(now=60.0 * tick, exposures=400)
        for i, (room, record) in enumerate(plan.items()):
            shown = record.exposures // 2
            counts = {"exposures": shown, "retained": shown * i // 8, "negative": shown // 9 if room == "r3" else 0}
            allocator.observe(room, at=60.0 * tick + 1.0, **counts)
    allocator.close("r1", now=500.0)
    allocator.block("r2", now=500.0, reason="Y")
    return allocator


def _ruled() -> ColdStartAllocator:
    """With rules, several gates and harms, orders that hold and held, and a change detector that has fired."""
    comments = Gate(metric="comments", bar=0.02, population=GammaPopulation(shape=2.0, rate=60.0), dispersion=2.0)
    harm = Harm(metric="watched", evidence=BoundedMean(limit=0.1, alternative="below"))
    detector = ChangeDetector(bucket=60.0, window=4)
    config = ColdStartConfig(
        gates=(comments,), harms=(harm,), change_detector=detector, multiplier_lag=2, budget={"limit": 9_999}
    )
    allocator = ColdStartAllocator(config, seed=5, replica="eu-1")
    populations = (Atoms(support=(0.2, 0.4), weights=(0.5, 0.5)), BetaPopulation(a=3.0, b=7.0))
    retained = [Gate(metric="retained", bar=0.3, population=population) for population in populations]
    named = zip(("", "music"), retained, strict=True)
    buckets = tuple(BucketRules(name=name, gates=(gate, comments)) for name, gate in named)
    allocator.use_rules(Rules(version="w1", buckets=buckets))
    allocator.open(["a", 2, "c"], now=0.0, bucket=["music/zh", "talk", ""], tier=["S", "B", "C"])
    for tick in range(1, 9):
        allocator.tick(now=60.0 * tick, exposures=200)
        counts = {"comments": 1, "watched": [9.5, 6.25, 1.0], "minutes": 31.5, "negative": [0, 1, 0]}
        retained_now = [40 if tick < 5 else 0, 6, 4]
        allocator.observe(["a", 2, "c"], at=60.0 * tick + 30.0, exposures=40, retained=retained_now, **counts)
    allocator.observe(2, at=330.0, exposures=50, retained=9, source="organic")
    allocator.use_rules(Rules(version="w2", buckets=buckets[:1], valid_from=1e6))
    for now in (500.0, 510.0):
        allocator.override("a", "pin", value=7, now=now, actor="ann", reason="campaign")
    allocator.override("c", "ban", now=510.0, actor="ann", reason="complaint", ttl=60.0)
    allocator.block(2, now=511.0)
    return allocator


def _joined() -> dict[str, bytes]:
    """An attribution with rules, versions, late events, evictions, passes and a log; and a tally that has been read."""
    config = AttributionConfig(
        windows={"order": 600.0, "gift": 60.0}, channels=("feed", "push"), touches=12, conversions=6, credits=16,
        orders=4, order_memory=900.0, longest_path=4, passes=(100.0, 1_000.0), corrections=9, lateness=30.0,
    )  # fmt: skip
    large = Rule(when=Condition(min_value=2.0, segments=("vip", 7)), model="position", channels=("feed",))
    rules = (Rule(when=Condition(kinds=("order",)), rules=(large, Rule(model="linear"))), Rule())
    versions = [RuleSet(version="v1", rules=rules), RuleSet(version="v2", rules=(Rule(),), valid_to=50.0, priority=1)]
    attribution, tally = Attribution(config, versions), Tally(ids=8)
    for i in range(12):
        at = 40.0 * i
        times = np.array([at, at - 5.0 * i, at + 2.0])
        attribution.touch([1, 1, 2], ["a", "b", "a"], times, [2 * i, 2 * i + 1, 2 * i], [0, -1, 1], now=at)
        orders, values = np.array([2 * i, 2 * i - 1, 2 * i - 1], np.int64), np.array([1.0, 3.0, 3.0])
        late = np.array([at + 3.0, at - 20.0 * i, at + (100.0 if i == 9 else 1.0)])
        segments = np.array([7, 7, 8])
        tally.apply(attribution.convert(orders, [1, 2, 1], ["a", "a", "b"], late, ["order", "gift", "order"], values,
                                        segments))  # fmt: skip
        if i in (4, 7):
            tally.apply(attribution.settle(at))
            tally.batch(["a"])
    attribution.deactivate("v2")
    empty = {"attribution, empty": Attribution().to_bytes(), "tally, empty": Tally().to_bytes()}
    return {"attribution": attribution.to_bytes(), "tally": tally.to_bytes(), **empty}


_CURVE = DelayCurve.fit([1.0, 5.0, 20.0, 60.0], horizon=100.0)


def _awaited(how: str) -> bytes:
    """A ledger of exposures that has settled or taught some, with censored, evicted, early, held and late ones."""
    aggregation: Any = "first" if how == "teach" else "sum"
    ledger = ExposureLedger(
        LedgerConfig(horizon=100.0, late="correct", aggregation=aggregation, capacity=9, remember=12)
    )
    bandit = Bandit(Thompson(), arms=["a", 1])
    for i in range(12):
        at = 20.0 * i
        ledger.show(i, ["a", 1], at=at)
        ledger.reward(i + 1, "a", 1.0, at=at + 22.0, event_id=i)
        ledger.reward(max(i - 2, 0), 1, 0.5, at=at - 35.0, event_id="x")
        if i == 5:
            ledger.censor(4, "a", at=at)
            ledger.censor(3, "a", at=at)
        if how == "teach":
            ledger.teach(bandit, at, _CURVE)
        elif i % 3:
            ledger.settle(at)
    ledger.reward(6, 1, 1.0, at=125.0)
    return ledger.to_bytes()


def specimens() -> dict[str, bytes]:
    """A valid checkpoint of each kind."""
    bandits = {
        "beta": _with_lives(_learnt(Thompson())),
        "beta, decay": _with_lives(_learnt(Thompson(model=Beta(half_life=60.0)), at=0.0)),
        "beta, window": _with_lives(_learnt(UCB1(model=Beta(window=4)))),
        "beta, detector": _detected(),
        "gaussian": _with_lives(_learnt(BayesUCB(model=Gaussian()))),
        "gaussian, window": _learnt(EpsilonGreedy(model=Gaussian(window=4))),
        "gamma-poisson, decay": _learnt(KLUCB(model=GammaPoisson(half_life=60.0)), at=0.0),
        "gamma-poisson": _with_lives(_learnt(TopTwo(model=GammaPoisson()))),
        "exp3": _learnt(EXP3()),
        "linear": _with_lives(_learnt(LinUCB(model=Linear(n_features=2)), width=2), context=[1.0, 0.5]),
        "linear, decay": _learnt(LinThompson(model=Linear(n_features=2, half_life=60.0)), width=2, at=0.0),
        "shared linear": _learnt(LinThompson(model=SharedLinear(n_features=2, half_life=60.0)), width=2, at=0.0),
        "hybrid linear": _learnt(LinUCB(model=HybridLinear(n_features=2, n_shared=1)), width=3),
        "no arms": Bandit(Thompson()),
    }
    bandits["beta"].warm_start(["new"], strength=5.0)
    blobs = {name: bandit.to_bytes() for name, bandit in bandits.items()}
    seen = {"update": (["view-1", 7], ["view-2"]), "correct": ([], ["view-1"])}
    blobs["durable"] = _saved.save(blobs["beta"], bytes(range(16)), 3, seen)
    return {
        **blobs,
        **_told(),
        "cold start": _rooms().to_bytes(),
        "cold start, rules": _ruled().to_bytes(),
        "cold start, no rooms": ColdStartAllocator().to_bytes(),
        **{f"constrained, {name}": make().to_bytes() for name, make in chains.CHAINS.items()},
        **_joined(),
        **{f"exposure ledger, {how}": _awaited(how) for how in ("settle", "teach")},
        "exposure ledger, empty": ExposureLedger(LedgerConfig(horizon=1.0)).to_bytes(),
    }


# trees and bytes


def decoded(blob: bytes) -> Any:
    """The body of a checkpoint, a checkpoint inside it decoded as well."""
    tree = msgpack.unpackb(blob[HEAD:-CHECKSUM], strict_map_key=False, object_pairs_hook=lambda items: pairs(*items))
    for pair in dict(tree)["values"]:
        if pair[0] == "bandit":
            pair[1] = decoded(pair[1])
    return tree


def encoded(tree: Any, inside: bool = False) -> bytes:
    """Bytes of a tree, whatever it holds; a map of the four parts inside another becomes a checkpoint."""
    packer = msgpack.Packer(unicode_errors="surrogatepass")
    if isinstance(tree, Pairs):
        body = packer.pack_map_header(len(tree)) + b"".join(encoded(item, True) for pair in tree for item in pair)
        is_checkpoint = inside and len(tree) > 2 and tree[0][0] == "kind" and tree[-1][0] == "arrays"
        return bytes(packer.pack(signed(body)) if is_checkpoint else body)
    if isinstance(tree, list):
        return bytes(packer.pack_array_header(len(tree)) + b"".join(encoded(item, True) for item in tree))
    return bytes(packer.pack(tree))


def signed(body: bytes, version: int = 3) -> bytes:
    """A frame around a body, with the right checksum."""
    head = struct.pack("<8sIQ", b"SEEDBED\x1a", version, len(body)) + body
    return head + blake2b(head, digest_size=CHECKSUM).digest()


def to_input(blob: bytes) -> bytes:
    """A fuzzer's input: a byte that says which kind and format (see `from_input`), and the body."""
    body = blob[HEAD:-CHECKSUM]
    return bytes([2 * (blob[8] == 1) + (b"cold_start" in body[:40])]) + body


def to_inputs() -> dict[str, bytes]:
    """Inputs of all that is told, and of a Durable's checkpoint."""
    blobs, names = specimens(), list(_fleets())
    kinds = {name: 4 + 16 * names.index(name.split(", ")[1]) for name in blobs if name.startswith("told")}
    return {name: bytes([kind]) + blobs[name][HEAD:-CHECKSUM] for name, kind in {**kinds, "durable": 8}.items()}


def from_input(data: bytes) -> tuple[Any, bytes]:
    """What reads an input, and the checkpoint; checksums are repaired, also of one inside.

    The first byte: 1, a cold start; 2, of format 1; 4, what the bandit of a fleet is told, 16 times its number; 8, a
    Durable's.
    """
    body = bytearray(data[1:])
    start = body.find(b"SEEDBED\x1a")
    if start >= 0 and len(body) >= start + HEAD:
        end = start + HEAD + struct.unpack_from("<Q", body, start + 12)[0]
        if end + CHECKSUM <= len(body):
            body[end : end + CHECKSUM] = blake2b(body[start:end], digest_size=CHECKSUM).digest()
    loader: Any = ColdStartAllocator if data[0] & 1 else Resumed if data[0] & 8 else Bandit
    if data[0] & 4:
        loader = list(_receivers().values())[(data[0] >> 4) % len(_fleets())]
    return loader, signed(bytes(body), 1 if data[0] & 2 else 3)


def places(tree: Any) -> list[tuple[Any, int]]:
    """Every value in a tree, as the list or pair that holds it and the index there."""
    out = []
    for holder, i in [(pair, 1) for pair in tree] if isinstance(tree, Pairs) else [(tree, i) for i in range(len(tree))]:
        out.append((holder, i))
        if isinstance(holder[i], list):
            out += places(holder[i])
    return out


def _in_lists(tree: Any) -> list[tuple[Any, int]]:
    """The places that are elements of lists."""
    return [(holder, i) for holder, i in places(tree) if not isinstance(holder, Pair)]


def _arrays(tree: Any) -> list[Any]:
    """Every array in a tree that has entries: [dtype, shape, bytes]."""
    found = [holder[i] for holder, i in places(tree) if isinstance(holder[i], list) and len(holder[i]) == 3]
    return [a for a in found if isinstance(a[2], bytes) and isinstance(a[0], str) and isinstance(a[1], list) and a[2]]


def _one(rng: Random, items: list[Any]) -> Any:
    return items[int(rng.integers(len(items)))]


STRANGE: list[Any] = [
    0, 1, -1, 2, 7, 255, 2**31 - 1, 2**31, 2**32, 2**40, 10**9, 2**53, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1,
    -(2**63), 0.0, -0.0, 0.5, 1.0, -1.0, 1e-300, 5e-324, 1e15, 1e16, 1e24, 1e160, 1e300, 1.7e308, float("nan"),
    float("inf"), float("-inf"), None, True, False, "", "x", "a", "\ud800", "\U0001f3b2", "x" * 300, b"", b"\xff" * 8,
    [], [None], [[]], ["a", 1], pairs(), pairs(("x", 1)), pairs((1, 1)), msgpack.ExtType(5, b"x"),
    msgpack.Timestamp(1), "beta", "gaussian", "linear", "thompson", "ucb1",
]  # fmt: skip
NUMBERS = [x for x in STRANGE if isinstance(x, int | float) and not isinstance(x, bool)]

# the corruptions; the first ones leave the checksum as it was


def flip(rng: Random, blob: bytes, other: bytes) -> bytes:
    """Flip a bit."""
    at, out = int(rng.integers(len(blob))), bytearray(blob)
    out[at] ^= 1 << int(rng.integers(8))
    return bytes(out)


def overwrite(rng: Random, blob: bytes, other: bytes) -> bytes:
    """Write noise over a part."""
    at = int(rng.integers(len(blob)))
    noise = rng.bytes(int(rng.integers(1, 40)))
    return (blob[:at] + noise + blob[at + len(noise) :])[: len(blob)]


def truncate(rng: Random, blob: bytes, other: bytes) -> bytes:
    """Cut the end off."""
    return blob[: int(rng.integers(len(blob)))]


def splice(rng: Random, blob: bytes, other: bytes) -> bytes:
    """Go on with another checkpoint."""
    return blob[: int(rng.integers(len(blob)))] + other[int(rng.integers(len(other))) :]


def resign_flip(rng: Random, blob: bytes, other: bytes) -> bytes:
    """Change a byte or two of the body."""
    body = bytearray(blob[HEAD:-CHECKSUM])
    for _ in range(int(rng.integers(1, 3))):
        body[int(rng.integers(len(body)))] = int(rng.integers(256))
    return signed(bytes(body), _one(rng, [1, 2, 3, 3]))


def resign_resize(rng: Random, blob: bytes, other: bytes) -> bytes:
    """Take bytes out of the body, put some in, or go on with the body of another checkpoint."""
    body, other = blob[HEAD:-CHECKSUM], other[HEAD:-CHECKSUM]
    start, stop = sorted(rng.integers(len(body), size=2).tolist())
    end = body[stop:] if rng.random() < 0.7 else other[int(rng.integers(len(other))) :]
    return signed(body[:start] + rng.bytes(int(rng.integers(4))) + end)


def retype(rng: Random, tree: Any, other: Any) -> None:
    """Put something strange in some place."""
    holder, i = _one(rng, places(tree))
    holder[i] = copy.deepcopy(_one(rng, STRANGE))


def renumber(rng: Random, tree: Any, other: Any) -> None:
    """Change a number to a strange one."""
    holder, i = _one(rng, [(h, i) for h, i in places(tree) if type(h[i]) in (int, float)])
    kinds = [x for x in NUMBERS if type(x) is type(holder[i])]
    holder[i] = _one(rng, kinds if rng.random() < 0.8 else NUMBERS)


def drop(rng: Random, tree: Any, other: Any) -> None:
    """Leave an element of a list out."""
    holder, i = _one(rng, _in_lists(tree))
    del holder[i]


def drop_name(rng: Random, tree: Any, other: Any) -> None:
    """Leave a name out of a map."""
    chosen = _one(rng, _maps(tree))
    del chosen[int(rng.integers(len(chosen)))]


def _maps(tree: Any) -> list[Any]:
    return [tree, *(h[i] for h, i in places(tree) if isinstance(h[i], Pairs) and h[i])]


def duplicate(rng: Random, tree: Any, other: Any) -> None:
    """Say something twice: an element of a list, or a name, as it is or under another."""
    if rng.random() < 0.5:
        holder, i = _one(rng, _in_lists(tree))
        holder.insert(int(rng.integers(len(holder) + 1)), copy.deepcopy(holder[i]))
        return
    chosen = _one(rng, _maps(tree))
    pair = copy.deepcopy(_one(rng, chosen))
    if rng.random() < 0.5:
        pair[0] = _one(rng, ["x", "prior", "exposures", "shown", "order", "free", 1])
    chosen.append(pair)


def swap(rng: Random, tree: Any, other: Any) -> None:
    """Exchange two values."""
    (h, i), (g, j) = _one(rng, places(tree)), _one(rng, places(tree))
    h[i], g[j] = copy.deepcopy(g[j]), copy.deepcopy(h[i])


def graft(rng: Random, tree: Any, other: Any) -> None:
    """Put in a piece of another checkpoint, under the same name where there is one."""
    giver, j = _one(rng, places(other))
    if isinstance(giver, Pair):
        same = [h for h, _ in places(tree) if isinstance(h, Pair) and h[0] == giver[0]]
        if same:
            _one(rng, same)[1] = copy.deepcopy(giver[1])
            return
    holder, i = _one(rng, places(tree))
    holder[i] = copy.deepcopy(giver[j])


def deepen(rng: Random, tree: Any, other: Any) -> None:
    """Wrap something in many lists."""
    holder, i = _one(rng, places(tree))
    for _ in range(int(_one(rng, [1, 2, 5, 10, 15, 20, 100]))):
        holder[i] = [holder[i]]


def reshape(rng: Random, tree: Any, other: Any) -> None:
    """Declare another shape or dtype of an array; at times with the bytes that it asks for."""
    arrays = _arrays(tree)
    if not arrays:
        return
    array = _one(rng, arrays)
    if rng.random() < 0.4:
        array[0] = _one(rng, ["<f8", "<i8", "<u8", "|u1", "|b1", ">f8", "|O", "<f4", ""])
    else:
        sizes = [0, 1, 2, 3, 5, 8, len(array[2]), 2**31 - 1, 2**31, 2**32, 2**63, 2**64 - 1, -1, 1.0]
        array[1] = [_one(rng, sizes) for _ in range(int(rng.integers(4)))]
    if rng.random() < 0.5:
        wanted = np.prod([n for n in array[1] if isinstance(n, int) and 0 <= n < 100]) * 8
        array[2] = (array[2] * 100)[: int(min(wanted, 10_000))]


def alter_entries(rng: Random, tree: Any, other: Any) -> None:
    """Change entries of an array."""
    arrays = [a for a in _arrays(tree) if a[0] in ("<f8", "<i8", "<u8", "|u1", "|b1")]
    if not arrays:
        return
    array = _one(rng, arrays)
    size = {"<f8": 8, "<i8": 8, "<u8": 8}.get(array[0], 1)
    data = bytearray(array[2])
    for _ in range(int(rng.integers(1, 4))):
        at = size * int(rng.integers(len(data) // size)) if len(data) >= size else 0
        if size == 1:
            data[at : at + 1] = rng.bytes(1)
        elif array[0] == "<f8":
            old = struct.unpack_from("<d", data, at)[0] if len(data) >= 8 else 0.0
            near = [old + 1.0, -old, old * 2.0, old + 0.5, old * 1e10]
            data[at : at + 8] = struct.pack("<d", float(_one(rng, NUMBERS if rng.random() < 0.7 else near)))
        else:
            old = struct.unpack_from("<Q", data, at)[0] if len(data) >= 8 else 0
            near = [old + 1, old - 1, old ^ 1 << 32, old ^ 2, int(rng.integers(16)), int(rng.integers(16)) << 32]
            number = _one(rng, [x for x in NUMBERS if isinstance(x, int)] if rng.random() < 0.5 else near)
            data[at : at + 8] = struct.pack("<Q", int(number) & (2**64 - 1))
    array[2] = bytes(data[: len(array[2])])


DAMAGE: dict[str, Callable[[Random, bytes, bytes], bytes]] = {
    "bit flipped": flip,
    "part overwritten": overwrite,
    "truncated": truncate,
    "spliced": splice,
}
RESIGNED: dict[str, Callable[[Random, bytes, bytes], bytes]] = {
    "re-signed: bytes changed": resign_flip,
    "re-signed: resized": resign_resize,
}
TREES: dict[str, Callable[[Random, Any, Any], None]] = {
    "re-signed: retyped": retype,
    "re-signed: renumbered": renumber,
    "re-signed: dropped": drop,
    "re-signed: name dropped": drop_name,
    "re-signed: doubled": duplicate,
    "re-signed: swapped": swap,
    "re-signed: grafted": graft,
    "re-signed: nested": deepen,
    "re-signed: reshaped": reshape,
    "re-signed: entries": alter_entries,
}
ALL = [*DAMAGE, *RESIGNED, *TREES]


def corrupt(name: str, rng: Random, blob: bytes, other: bytes) -> bytes:
    """Make one corruption of a checkpoint; `other` is one to take pieces from."""
    if name in DAMAGE:
        return DAMAGE[name](rng, blob, other)
    if name in RESIGNED:
        return RESIGNED[name](rng, blob, other)
    tree, pieces = decoded(blob), decoded(other)
    for _ in range(1 if rng.random() < 0.8 else 2):
        TREES[name](rng, tree, pieces)
    return signed(encoded(tree))


# what becomes of it


def outcome(blob: bytes, loader: Any, valid: bytes | None = None) -> str:
    """Read a corrupt checkpoint: "refused", or "usable" once it was put to work; anything else raises.

    `valid` is given where the checksum was not repaired: then nothing else may be read.
    """
    try:
        thing = loader.from_bytes(blob)
    except CheckpointError:
        return "refused"
    except MergeError:
        assert isinstance(loader, Receiver), "no bandit was to be merged"
        return "refused"
    if valid is not None:
        assert blob == valid, "read though it was altered"
        return "unchanged"
    saved = thing.to_bytes()
    loader = type(thing)
    twin = loader.from_bytes(saved)
    assert twin.to_bytes() == saved, "saved and read again, it is another"
    if loader is Bandit:
        _use_bandit(thing, twin)
    elif loader is Constrained:
        _use_constrained(thing, twin)
    elif loader is Resumed:
        _use_bandit(thing.saved.bandit, twin.saved.bandit)
    elif loader is Attribution:
        _use_attribution(thing, twin)
    elif loader is Tally:
        _use_tally(thing, twin)
    elif loader is ExposureLedger:
        _use_ledger(thing, twin)
    else:
        _use_allocator(thing, twin)
    return "usable"


def _documented(call: Callable[[], Any]) -> Any:
    """Call; None for an error that the documentation names."""
    try:
        return call()
    except CheckpointError:
        raise
    except UnknownArmError:
        return None
    except ValueError as error:
        assert not isinstance(error, UnicodeError), error
        return None


def _same(x: Any, y: Any) -> bool:
    return bool(np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True))


def _use_bandit(bandit: Bandit, twin: Bandit) -> None:
    """Do everything that a host does; what was read must agree with its own twin."""
    for name in ("arms", "paused", "pending", "updates", "changes", "columns", "seed", "replica"):
        assert repr(getattr(bandit, name)) == repr(getattr(twin, name)), name
    model = bandit.policy.model
    linear = model.is_contextual
    options = {"context": np.linspace(-0.5, 1.0, model.width)} if linear else {}
    ids = bandit.arms
    if ids:
        means = bandit.mean(ids, **options)
        assert _same(means, twin.mean(ids, **options)), "means"
        assert linear or np.isfinite(means).all(), "a mean is not a number"
        assert _same(bandit.scores(ids, **options), twin.scores(ids, **options)), "scores"
    now = bandit._now if bandit._now is not None else 0.0
    _documented(lambda: bandit.select(now=now + 1.0, pending=True, propensities=len(ids) < 9, **options))
    _documented(lambda: bandit.select(k=max(len(ids) // 2, 1), **options))
    _documented(lambda: bandit.select_many(n=2, **({"contexts": [options["context"]] * 2} if linear else {})))
    for arm in ids[:3]:
        _documented(lambda arm=arm: bandit.update(arm, 1.0, at=now, **options))
        _documented(lambda arm=arm: bandit.update([arm, arm], [0.0, 1.0], weight=2.0, at=now + 2.0, **options))
        _documented(lambda arm=arm: bandit.update([arm], [0.0], propensity=0.5))
    _documented(lambda: bandit.expire(now + 10.0))
    assert bandit.pending >= 0, "fewer than no exposures are awaited"
    if model.window is not None and model.window < 100 and ids:
        for i in range(model.window + 1):
            bandit.update(ids[i % len(ids)], 1.0)
    _documented(lambda: bandit.warm_start(ids[:1], strength=3.0))
    _documented(lambda: bandit.retire_arms(ids[:1]))
    _documented(lambda: bandit.add_arms(["brand", "new"]))
    _documented(lambda: bandit.resume_arms(bandit.paused))
    _documented(lambda: bandit.correct("brand", 1.0, at=now, **options))
    _documented(lambda: _go_on_in_a_fleet(bandit))
    means = _documented(lambda: bandit.mean(**options))
    assert linear or means is None or np.isfinite(means).all(), "a mean is not a number any more"
    if not linear and _can_count_on(bandit):
        Bandit.from_bytes(bandit.to_bytes())


def _go_on_in_a_fleet(bandit: Bandit) -> None:
    """Tell others, and go on in another life."""
    told = bandit.contribution()
    if _can_count_on(bandit):
        new = Bandit(bandit.policy, replica="new", change_detector=bandit.change_detector)
        new.absorb(told)
        new.absorb(bandit)
    bandit.reopen()
    bandit.take_over()
    bandit.reopen("another")


def _can_count_on(bandit: Bandit) -> bool:
    """Whether its counts are not at the end of what is written, which no history reaches."""
    known = [count for name, slot in bandit._ledger.slots.items() for count in (name[1], 32 * slot.seq, *slot.resets)]
    resets = bandit._resets()
    counts = [*known, 32 * bandit.learnt, bandit._ledger.version, bandit.epoch, *([] if resets is None else resets)]
    most = 2**53 - 10_000
    return max(bandit.updates, bandit._counter[0], bandit._table[1:3].max(), *counts) < most


def _raised(call: Callable[[], Any]) -> Any:
    """Call; None for an error that the library itself raises and explains, not one that numpy stumbles over."""
    try:
        return call()
    except CheckpointError:
        raise
    except (UnknownArmError, ValueError) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        assert (last.line or "").startswith("raise"), f"{type(error).__name__}: {error} ({last.filename}:{last.lineno})"
        return None


def _use_constrained(constrained: Constrained, twin: Constrained) -> None:
    """Serve viewers, tell, give back, change arms; what was read must decide as its own twin does."""
    bandit = constrained.bandit
    model = bandit.policy.model
    width = model.width if model.is_contextual else 0
    one, two = ({"context": [[0.5] * width] * n if n > 1 else [0.5] * width} if width else {} for n in (1, 2))
    now = bandit._now if bandit._now is not None else 0.0
    known, resources = constrained._chain.metrics_read, constrained._chain.resources_read
    metrics = {name: value for name, value in chains.METRICS.items() if name in known}
    assert repr(constrained.report()) == repr(twin.report()), "reports"
    for i, k in enumerate((1, 3)):
        viewer = {"id": ("ann", 7)[i], "is_new": i == 0, "age": 16 + 4 * i}
        asked = {"now": now + 1.0 + i, "viewer": viewer, **one}
        chances = _raised(lambda k=k, a=asked: constrained.propensities(k=k, draws=3, **a))
        assert chances is None or ((chances >= 0.0) & (chances <= 1.0 + 1e-9)).all(), "a propensity is none"
        _raised(lambda a=asked: constrained.scores(**a))
        decision, other = (
            _raised(lambda c=c, k=k, a=asked: c.select(k=k, pending=True, **a)) for c in (constrained, twin)
        )
        if i == 0 and decision is not None:
            assert (decision.arms, decision.dropped) == (other.arms, other.dropped), "decisions"
        arms = decision.arms if decision else constrained.arms
        for arm in arms[:2]:
            told = {"cost": {name: 1.5 for name in resources} or None, "metrics": metrics or None}
            _raised(lambda a=arm, t=told, d=decision: constrained.update(a, 1.0, at=now, decision=d, **t, **one))
            _raised(lambda a=arm, t=told: constrained.update([a, a], [0.0, 1.0], at=now + 2.0, **t, **two))
        if decision is not None:
            _raised(lambda d=decision: constrained.refund(d))
    ids = constrained.arms
    for call in (
        lambda: constrained.describe(ids[:2], topic="brand", creator="new", price=1.0),
        lambda: constrained.block(ids[:1]),
        lambda: constrained.unblock(ids[:1]),
        lambda: constrained.give_back("leased", constrained.unused("leased", now=now + 3.0), now=now + 3.0),
        lambda: constrained.grant("leased", 5, now=now + 4.0),
        lambda: constrained.retire_arms(ids[:1]),
        lambda: constrained.add_arms([f"new {i}" for i in range(20)], topic="newest", creator="x", price=1.0, low=0.5),
        lambda: constrained.expire(now + 10.0),
        lambda: constrained.select(k=2, now=now + 20.0, viewer={"id": "ann"}, **one),
        lambda: constrained.select(k=2, now=now + 1e6, viewer={"id": 7}, **one),
        lambda: constrained.select(k=1, now=now + 1e6, **one),
    ):
        _raised(call)
    constrained.report()
    if (
        not width
        and _can_count_on(bandit)
        and max(map(_largest, constrained._chain.states), default=0) < 2**53 - 10_000
    ):
        Constrained.from_bytes(constrained.to_bytes())


def _largest(state: Any) -> float:
    """Largest integer in a state, but for 64-bit names and links."""
    whole = [
        array for name, array in state._asdict().items() if array.dtype == np.int64 and name not in ("heads", "links")
    ]
    return max((int(np.abs(array).max(initial=0)) for array in whole), default=0)


def _use_allocator(allocator: ColdStartAllocator, twin: ColdStartAllocator) -> None:
    """Run a few ticks; what was read must plan as its own twin does."""
    _use_bandit(Bandit.from_bytes(allocator.bandit.to_bytes()), Bandit.from_bytes(twin.bandit.to_bytes()))
    now = allocator._now if allocator._now is not None else 0.0
    for i in range(1, 4):
        plan = _documented(lambda i=i: allocator.tick(now=now + 60.0 * i, exposures=500))
        if i == 1:
            again = _documented(lambda: twin.tick(now=now + 60.0, exposures=500))
            assert repr(plan and list(plan.items())) == repr(again and list(again.items())), "plans"
        for room, record in list(plan.items())[:4] if plan else []:
            shown = record.exposures
            _documented(
                lambda r=room, n=shown, i=i: allocator.observe(r, at=now + 60.0 * i, exposures=n, retained=n // 2)
            )
        _documented(lambda i=i: allocator.open(f"new {i}", now=now + 60.0 * i))
    rooms = allocator.bandit.arms
    _documented(lambda: allocator.release(rooms[0], exposures=1) if rooms else None)
    _documented(lambda: allocator.close(rooms[:1], now=now + 300.0))
    _documented(lambda: allocator.tick(now=now + 1e6, exposures=500))
    if _can_count_on(allocator.bandit):
        ColdStartAllocator.from_bytes(allocator.to_bytes())


def _use_attribution(attribution: Attribution, twin: Attribution) -> None:
    """Take events and settle, in both: what was read must do what its own twin does, and credits must sum to 1."""
    config = attribution.config
    start = max(attribution.watermark, 0.0) + 1_000.0
    start = max(start, attribution._now or 0.0)
    for each in (attribution, twin):
        assert len(each) <= config.touches
        assert each.kept <= config.conversions
    n = 3 * min(config.touches, 10)
    results = []
    for each in (attribution, twin):
        out: list[Any] = [each.corrections(), _documented(lambda e=each: e.settle(start))]
        if start < 1e14:
            at = start + np.arange(n) % 7
            each.touch(np.arange(n) % 2 + 1, ["a"] * n, at, np.arange(n), -1, now=start + 10.0)
            orders = np.arange(n) + 1_000
            kinds = np.arange(n) % len(config.windows)
            credits = each.convert(orders, np.arange(n) % 2 + 1, ["a"] * n, at + 1.0, kinds, 2.0, np.full(n, 7))
            sums = np.bincount(credits.row, credits.share)
            assert ((sums == 0.0) | (sums == 1.0)).all(), "the credits of a conversion do not sum to 1"
            out += [credits, _documented(lambda e=each: e.settle(start + 1e9))]
            Tally().apply(credits)
        assert all(column.size == out[0][0].size for column in out[0]), "columns"
        results.append(out)
    assert repr([x and [c.tolist() for c in x] for x in results[0]]) == repr(
        [x and [c.tolist() for c in x] for x in results[1]]
    ), "twins do not do the same"
    assert attribution.counts == twin.counts, "twins do not count the same"
    if max(attribution.counts.values()) < 2**53:
        Attribution.from_bytes(attribution.to_bytes())


def _use_tally(tally: Tally, twin: Tally) -> None:
    """Apply, and read."""
    attribution = Attribution()
    attribution.touch([1, 2, 3], ["a", "b", "new"], [0.0, 0.0, 0.0], [1, 2, 3])
    credits = attribution.convert([1, 2, 3], [1, 2, 3], ["a", "b", "new"], [1.0, 1.0, 1.0], "order", 2.5)
    for each in (tally, twin):
        before = each.applied
        n = each.apply(credits)
        assert each.apply(credits) == 0 or each.ids < 3, "applied twice"
        assert each.applied >= before + n
    assert repr(tally.counts()) == repr(twin.counts()), "twins do not count the same"
    batch, other = tally.batch(["a", "b", "new", "nobody"]), twin.batch(["a", "b", "new", "nobody"])
    assert repr(batch) == repr(other), "twins do not read the same"
    assert ((batch.gained >= 0.0) & (batch.lost >= 0.0)).all(), "less than nothing"
    assert not tally.batch(["a", "b", "new"]).arms, "read twice"
    if max(tally.applied, tally.duplicates, tally.forgotten) < 2**53:
        Tally.from_bytes(tally.to_bytes())


def _use_ledger(ledger: ExposureLedger, twin: ExposureLedger) -> None:
    """Show, reward, censor, settle or teach, in both."""
    config = ledger.config
    now = ledger._now if ledger._now is not None else 0.0
    curve = DelayCurve.fit([1.0], horizon=config.horizon) if config.horizon >= 1.0 else _CURVE
    results = []
    for each in (ledger, twin):
        out: list[Any] = [each.pending, each.counts]
        bandit = Bandit(Thompson(), arms=["a", 1])
        out.append(_raised(lambda e=each: e.show(1_000, ["a", 1], at=now + 1.0)))
        out.append(_raised(lambda e=each: e.reward(1_000, 1, 1.0, at=now + 2.0, event_id="y")))
        out.append(_raised(lambda e=each: e.reward(6, "a", 0.25, at=now, event_id="z")))
        out.append(_raised(lambda e=each: e.censor(None, ["a"], at=now + 3.0)))
        out.append(_raised(lambda e=each: repr(e.effective(now + 1.0, curve))))
        for later in (now + 1.0, now + 2.0 * config.horizon + 10.0):
            if each._mode != "teach":
                settled = _raised(lambda e=each, t=later: e.settle(t))
                if settled is not None:
                    assert np.isfinite(settled.rewards).all()
                    assert len(settled.arms) == settled.rewards.size == settled.at.size
                out.append(repr(settled))
            else:
                out.append(_documented(lambda e=each, t=later, b=bandit: e.teach(b, t, curve)))
        out += [each.pending, each.counts]
        results.append(out)
    assert repr(results[0]) == repr(results[1]), "twins do not do the same"
    assert ledger.pending <= config.capacity, "more are pending than can be"
    if max(ledger.counts.values()) < 2**53:
        ExposureLedger.from_bytes(ledger.to_bytes())


@cache
def _receivers() -> dict[str, Receiver]:
    return {name: Receiver(bandit.to_bytes()) for name, (bandit, _, _) in _fleets().items()}


def loader_of(name: str) -> Any:
    """What reads a specimen."""
    if name.startswith("told"):
        return _receivers()[name.split(", ")[1]]
    if name.startswith("constrained"):
        return Constrained
    if name.startswith("attribution"):
        return Attribution
    if name.startswith("tally"):
        return Tally
    if name.startswith("exposure ledger"):
        return ExposureLedger
    return ColdStartAllocator if name.startswith("cold") else Resumed if name == "durable" else Bandit


def run(count: int, seed: int = 2026, report: Callable[[int], None] = lambda i: None) -> tuple[Counter, dict, list]:
    """Make and read corruptions: outcomes by (specimen, corruption, outcome), slowest seconds, and what went wrong."""
    kinds = specimens()
    names = list(kinds)
    outcomes: Counter[tuple[str, str, str]] = Counter()
    slowest: dict[str, float] = {}
    wrong: list[tuple[str, str, int, str, bytes]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(count):
            rng = np.random.default_rng([seed, i])  # so that each case can be made again alone
            name, how = names[i % len(names)], ALL[i // len(names) % len(ALL)]
            same_kind = [n for n in names if loader_of(n) is loader_of(name)]
            blob = corrupt(how, rng, kinds[name], kinds[_one(rng, same_kind)])
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            start = time.perf_counter()
            try:
                result = outcome(blob, loader_of(name), kinds[name] if how in DAMAGE else None)
            except Exception as error:  # whatever is no CheckpointError is a finding
                result = "WRONG"
                wrong.append((name, how, i, f"{type(error).__name__}: {error}", blob))
            slowest[how] = max(slowest.get(how, 0.0), time.perf_counter() - start)
            faulthandler.cancel_dump_traceback_later()
            outcomes[name, how, result] += 1
            report(i)
    return outcomes, slowest, wrong


RESULTS = ("refused", "unchanged", "usable", "WRONG")


def table(outcomes: Counter, slowest: dict[str, float]) -> str:
    """Outcomes by corruption, then by specimen, as a Markdown table."""
    lines = ["| corruption or kind | cases | " + " | ".join(RESULTS) + " | slowest, ms |", "|---" * 7 + "|"]
    for key, labels in ((1, ALL), (0, sorted({name for name, _, _ in outcomes}))):
        for label in labels:
            counts = Counter()
            for case, n in outcomes.items():
                if case[key] == label:
                    counts[case[2]] += n
            cells = " | ".join(f"{counts[result]:,}" for result in RESULTS)
            longest = f"{1e3 * slowest[label]:.0f}" if label in slowest else ""
            lines.append(f"| {label} | {counts.total():,} | {cells} | {longest} |")
    return "\n".join(lines)


def main() -> int:
    """Run, print, and fail where something was neither refused nor usable."""
    count, seed = (int(text) for text in (sys.argv[1:] + ["100000", "2026"][len(sys.argv) - 1 :])[:2])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    start = time.time()
    outcomes, slowest, wrong = run(count, seed)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count:,} corruptions, seed {seed}, in {time.time() - start:.0f} s; at most {peak:,.0f} MB\n")
    print(table(outcomes, slowest))
    for name, how, i, error, _ in wrong[:50]:
        print(f"WRONG: {name}, {how}, case {i}: {error:.200}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

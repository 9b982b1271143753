"""Checkpoints of Constrained: exact, read for ever, and refused where they contradict themselves."""

import tracemalloc
from pathlib import Path

import chains
import numpy as np
import pytest

from seedbed.bandits import Bandit, CheckpointError, Thompson
from seedbed.bandits.checkpoint import Checkpoint, pack, unpack
from seedbed.constraints import Baseline, Budget, Constrained, DualPrice, Eligibility, FairShare

GOLDEN = Path(__file__).parents[1] / "golden"
RICH = (GOLDEN / "constrained-3.seedbed").read_bytes()
PLACES = {constraint.name: i for i, constraint in enumerate(Constrained.from_bytes(RICH)._chain.members)}


@pytest.fixture(scope="module")
def specimens():
    return {name: make().to_bytes() for name, make in chains.CHAINS.items()}


@pytest.mark.parametrize("name", chains.CHAINS)
def test_round_trip_is_exact(name, specimens):
    one, two = Constrained.from_bytes(specimens[name]), Constrained.from_bytes(specimens[name])
    assert one.to_bytes() == specimens[name]
    k = 1 if "stock" in name else 2
    context = {"context": [0.5, 1.0]} if name == "linear" else {}
    for now in (120.0, 500.0, 5_000.0) if len(one) > 1 else ():
        chosen = [each.select(k=k, now=now, viewer={"id": "ann"}, **context) for each in (one, two)]
        assert chosen[0].arms == chosen[1].arms
        two = Constrained.from_bytes(two.to_bytes())
        assert one.to_bytes() == two.to_bytes() and one.report() == two.report()


def test_every_kind_is_in_a_specimen(specimens):
    """So that none is left out of the corruptions."""
    from seedbed.constraints._constrained_checkpointing import AnyConstraint

    kinds = {each.kind for blob in specimens.values() for each in Constrained.from_bytes(blob).constraints}
    union = AnyConstraint.__origin__.__args__
    assert kinds == {sort.model_fields["kind"].default for sort in union}


def test_golden_file_of_format_3():
    """Of `chains.rich()`: written once, read for ever."""
    constrained = Constrained.from_bytes(RICH)
    assert constrained.to_bytes() == RICH
    assert constrained.arms == ["a", 1, "1", "p", "b", "new"]
    report = constrained.report()
    assert report["guardrail:negative+comments"]["negative"]["stopped"] == 1
    assert report["budget:money:creator"]["reserved"] == 16.5
    decisions = [constrained.select(k=3, now=120.0 + i, viewer={"id": "ann", "age": 30}) for i in range(3)]
    assert [decision.arms for decision in decisions] == GOLDEN_ARMS
    assert [decision.dropped for decision in decisions] == GOLDEN_DROPPED
    assert np.concatenate([decision.scores for decision in decisions]) == pytest.approx(GOLDEN_SCORES, rel=1e-9)


GOLDEN_ARMS = [[1, "a", "new"], [1, "a", "new"], []]
GOLDEN_DROPPED = [
    {"paused": 1, "BLOCKED": 1, "STOPPED:negative": 1},
    {"paused": 1, "BLOCKED": 1, "STOPPED:negative": 1},
    {"paused": 1, "BLOCKED": 1, "FREQUENCY": 3, "STOPPED:negative": 1},
]
GOLDEN_SCORES = [
    0.03688302449854623,
    0.002353052622844354,
    -0.012958870709332649,
    0.03828125448376186,
    0.021893137376594658,
    -0.01823854627783692,
]


def put(name, place, number):
    """Change an entry of an array, named by the constraint and the field."""
    constraint, field = name.rsplit(".", 1)
    return lambda c: c.arrays[f"{PLACES.get(constraint, constraint)}.{field}"].__setitem__(place, number)


def twice(c):
    """One viewer stands twice in a table."""
    viewers, heads = (c.arrays[f"{PLACES['frequency']}.{field}"] for field in ("viewers", "heads"))
    used, links = (c.arrays[f"{PLACES['frequency']}.{field}"] for field in ("used", "links"))
    live = np.flatnonzero(heads[0] >> 32 == used[0, 2])
    free = np.setdiff1d(np.arange(heads.shape[1]), live)[0]
    viewers[0, free], heads[0, free] = viewers[0, live[0]], heads[0, live[0]]
    used[0, 1] += 1
    assert used[0, 1] <= used[0, 0] and links.size


def far_ahead(c):
    """Windows that cannot be told apart at the budget's time."""
    budget = next(each for each in c.config["constraints"] if each.get("resource") == "exposures")
    budget["window"] = 1e-3
    c.arrays[f"{PLACES['budget:exposures']}.clock"][0] = 2.0**60


def resized(name, shape):
    constraint, field = name.rsplit(".", 1)
    key = f"{PLACES[constraint]}.{field}"
    return lambda c: c.arrays.__setitem__(key, np.zeros(shape, c.arrays[key].dtype))


CONTRADICTIONS = [
    ("a frequency table is inconsistent", put("frequency.heads", (0, 3), (2**31 - 2) << 32 | 1)),
    ("a frequency table is inconsistent", put("frequency.links", (0, 0), 1 << 32 | 1)),
    ("a frequency table is inconsistent", put("frequency.used", (0, 1), 0)),
    ("a frequency table is inconsistent", put("frequency.used", (0, 2), 2**31)),
    ("no such generation", put("frequency.counts", 0, 2)),
    ("count of a frequency table", put("frequency.counts", 4, 2**62)),
    ("does not stand where", twice),
    ("another type or shape", resized("frequency.arms", (2, 1))),
    ("another type or shape", resized("budget:exposures.accounts", (5, 0))),
    ("contradicts its exposures", put("budget:money:creator.clock", 4, 3.0)),
    ("not of whole numbers", put("budget:money:creator.reservations", (2, 0), 0.5)),
    ("an impossible arm", put("budget:money:creator.reservations", (0, 0), 1e300 ** 0 * 2.0**31)),
    ("no known state", put("budget:money:creator.reservations", (8, 0), 3.0)),
    ("out of order", put("budget:money:creator.numbers", 0, 2**50)),
    ("account that is none", put("budget:money:creator.arms", (1, 0), 64.0)),
    ("too far from 0", far_ahead),
    ("not finite, or out of range", put("fair_share.deficit", 0, np.nan)),
    ("not finite, or out of range", put("explore_slots.exposures", 0, 2**62)),
    ("not finite, or out of range", put("eligibility.served", 0, -(2**62))),
    ("a block has an unknown reason", put("eligibility.blocked", 0, 3)),
    ("a metric that it has not", put("guardrail:negative+comments.blocked", 0, 3)),
    ("none that events can have left", put("guardrail:negative+comments.counts", (0, 0), 1e9)),
    ("not proved to be", put("protected:negative.safe", 0, 1)),
    ("rewards of a baseline", put("baseline.counts", (1, 0), 1e9)),
    ("a bound of a baseline", put("baseline.lower", 0, 1.5)),
    ("multiplier of 'money' is out of range", put("dual_price.totals", 0, 3.0)),
    ("traffic of 'money'", put("dual_price.totals", 9, 0.0)),
    ("more harm than feedback", put("demotion.harms", 0, 1e9)),
    ("queue of 'low_quality'", put("low_quality.queue", 0, -1.0)),
    ("a count of a metric", put("epsilon:follow.counts", (0, 0), -1.0)),
    ("has a value without a name", lambda c: c.arrays["attribute.topic"].__setitem__(0, 9.0)),
    ("has no array", lambda c: c.values["names"].update(x=["y"])),
    ("arrays of no constraint", lambda c: c.arrays.update(x=np.zeros(1))),
    ("of another type or shape", lambda c: c.arrays.update({"attribute.price": np.full(6, 1e300)})),
    ("do not fit its attributes", lambda c: (c.values["names"].update(stock=["x"]), c.arrays.update(
        {"attribute.stock": np.ones(6)}))),
    ("not those of this version", lambda c: c.config["constraints"].append({"kind": "magic"})),
    ("not those of this version", lambda c: c.config.update(constraints=[[[]]])),
    ("it lacks arrays", lambda c: c.config["constraints"].extend([{"kind": "frequency", "limit": 1}] * 20)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "change"), CONTRADICTIONS, ids=[f"{i}-{m}" for i, (m, _) in enumerate(CONTRADICTIONS)]
)
def test_contradictions_are_refused(message, change):
    checkpoint = unpack(RICH, "constrained")
    change(checkpoint)
    with pytest.raises(CheckpointError, match=message):
        Constrained.from_bytes(pack(checkpoint))


def many_rows(c):
    """Small in the file, were they multiplied: 3,000 arms by 4 x 3,000 numbers."""
    c.config["constraints"] = [{"kind": "knapsack", "inventory": {f"r{i}": 1.0 for i in range(3_000)}, "decisions": 9}]
    c.values["bandit"] = Bandit(Thompson(), range(3_000)).to_bytes()
    c.arrays.clear()
    c.arrays.update({"0.decisions": np.zeros(1), "0.resources": np.zeros((3, 3_000)), "0.arms": np.zeros((1, 1))})


def many_tables(c):
    c.config["constraints"] = [{"kind": "frequency", "limit": 1}] * 2_000
    c.arrays.clear()


@pytest.mark.parametrize("change", [many_rows, many_tables])
def test_what_is_declared_takes_no_memory(change):
    checkpoint = Checkpoint("constrained", {}, {"names": {}, "bandit": Bandit(Thompson()).to_bytes()}, {})
    change(checkpoint)
    blob = pack(checkpoint)
    Constrained.from_bytes(RICH)  # all is imported and compiled
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            Constrained.from_bytes(blob)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000 + 60 * len(blob)  # of models
    finally:
        tracemalloc.stop()


def test_a_chance_is_a_probability(specimens):
    checkpoint = unpack(specimens["capped"], "constrained")
    checkpoint.arrays["chances"][0] = 1.5
    with pytest.raises(CheckpointError, match="chances"):
        Constrained.from_bytes(pack(checkpoint))


def test_what_could_not_be_read_back_is_refused():
    constrained = Constrained(Bandit(Thompson(), ["a"]), [DualPrice("money", limit=9, decisions=9, per="feedback")])
    with pytest.raises(ValueError, match="2\\*\\*53"):
        constrained.update("a", 1.0, cost=1e300)
    with pytest.raises(ValueError, match="not finite, or beyond"):
        constrained.describe(["a"], price=1e300)
    constrained.update("a", 1.0, cost=2.0**53)
    assert Constrained.from_bytes(constrained.to_bytes()).to_bytes() == constrained.to_bytes()
    for make in (
        lambda: DualPrice("money", limit=9, decisions=9, window=1e-300),
        lambda: DualPrice("money", rate=1e-300),
        lambda: Budget("money", limit=9, expiry=1e300),
    ):
        with pytest.raises(ValueError, match=r"(greater|less) than or equal"):
            make()


def test_fractions_whose_deadlines_are_no_numbers_demand_nobody():
    constrained = Constrained(Bandit(Thompson(), ["a", "b"]), [FairShare(5e-324, tolerance=0.0)])
    constrained._chain.states[0].deficit[:] = 0.5
    constrained._chain.states[0].deficit[:1] = -1e60
    assert len(constrained.select(k=2).arms) == 2


def test_constraints_are_read_in_the_order_given():
    """Not in that of precedence, which is that of the arrays."""
    given = [FairShare(0.1), Baseline("a"), Eligibility()]
    constrained = Constrained.from_bytes(Constrained(Bandit(Thompson(), ["a"]), given).to_bytes())
    assert list(constrained.constraints) == given
    assert next(iter(unpack(constrained.to_bytes(), "constrained").arrays)) == "0.blocked"

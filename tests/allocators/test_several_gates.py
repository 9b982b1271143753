"""Several metrics, several harms, organic traffic and drift."""

import numpy as np
import pytest

from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.allocators.cold_start import Atoms, BetaPopulation, GammaPopulation, Gate, Harm
from seedbed.bandits import ChangeDetector
from seedbed.constraints import BoundedMean, Proportion, Rate

FOLLOWS = Gate(metric="follows", bar=0.05, population=BetaPopulation(a=2.0, b=38.0))
COMMENTS = Gate(metric="comments", bar=0.03, population=GammaPopulation(shape=2.0, rate=60.0), dispersion=2.0)
WATCHED = Gate(metric="watched", bar=0.2, population=Atoms(support=(0.1, 0.3), weights=(0.5, 0.5)))


def watch(allocator, ticks, *, start=1, **rates):
    """Tick; the room answers with exactly these rates; return the last plan's record and all changes."""
    changes = []
    for tick in range(start, start + ticks):
        plan = allocator.tick(now=60.0 * tick, exposures=1_000)
        changes += plan.changes
        shown = plan["r"].exposures
        counts = {name: rate * shown for name, rate in rates.items()}
        whole = {name: round(v) if name not in ("watched", "minutes") else v for name, v in counts.items()}
        allocator.observe("r", at=60.0 * tick, exposures=shown, **whole)
    return plan["r"], changes


def opened(**numbers):
    allocator = ColdStartAllocator(ColdStartConfig(scale_cap=None, **numbers), seed=7)
    allocator.open("r", now=0.0)
    return allocator


@pytest.mark.parametrize(
    ("gate", "good", "bad"),
    [
        (FOLLOWS, {"follows": 0.2}, {"follows": 0.0}),
        (COMMENTS, {"comments": 0.2, "minutes": 1.0}, {"comments": 0.0, "minutes": 1.0}),
        (WATCHED, {"watched": 0.5}, {"watched": 0.1}),
    ],
)
def test_a_room_is_promoted_when_it_passes_all_gates_and_not_before(gate, good, bad):
    record, changes = watch(opened(gates=(gate,)), 10, retained=0.6, **good)
    assert record.stage == "SCALE"
    assert record.scale_policy["bars"] == {"retained": 0.30, gate.metric: gate.bar}
    record, changes = watch(opened(gates=(gate,)), 10, retained=0.6, **bad)
    assert "PROMOTED" not in [change.reason for change in changes]
    record, changes = watch(opened(gates=(gate,)), 10, retained=0.1, **good)
    assert "PROMOTED" not in [change.reason for change in changes]


def test_the_probability_of_a_room_is_that_of_its_worst_gate():
    allocator = opened(gates=(FOLLOWS, COMMENTS))
    allocator.observe("r", at=0.0, exposures=80, retained=20, follows=5, comments=4, minutes=90.0)
    allocator.tick(now=60.0, exposures=0)
    (retained,) = ColdStartConfig().all_gates
    each = [retained.probability([20], [80]), FOLLOWS.probability([5], [80]), COMMENTS.probability([4], [90.0])]
    assert allocator.tick(now=61.0, exposures=0).columns()["probability"][0] == min(each)[0]


@pytest.mark.parametrize(
    ("harm", "bad"),
    [
        (Harm(metric="retained", evidence=Proportion(limit=0.2, alternative="below")), {"retained": 0.05}),
        (Harm(metric="watched", evidence=BoundedMean(limit=0.3, alternative="below")), {"watched": 0.05}),
        (Harm(metric="comments", evidence=Rate(limit=0.5)), {"comments": 2.0, "minutes": 1.0}),
    ],
)
def test_a_room_is_stopped_by_any_harm(harm, bad):
    numbers = {"harms": (harm,), "demote_below": 0.0, "futile_below": 0.0}
    fine = {"retained": 0.6, "watched": 0.6, "minutes": 1.0}
    record, _ = watch(opened(**numbers), 30, **fine)
    assert record.stage == "SCALE"
    record, _ = watch(opened(**numbers), 30, **{**fine, **bad})
    assert record.stage == "STOPPED"
    assert record.reason_codes == ("STOP_LOSS",)
    assert record.stop_rule["metrics"] == ["negative", harm.metric]


def test_evidence_of_several_harms_is_their_mean():
    below = Harm(metric="retained", evidence=Proportion(limit=0.2, alternative="below"))
    allocator = opened(harms=(below,))
    allocator.observe("r", at=0.0, exposures=60, retained=4, negative=3)
    record = allocator.tick(now=60.0, exposures=0)["r"]
    each = [
        np.exp(Proportion(limit=0.02, mixing=(1.0, 24.0)).log_evidence([[3.0], [60.0]])),
        np.exp(below.evidence.log_evidence([[4.0], [60.0]])),
    ]
    assert record.stop_rule["evidence"] == pytest.approx(np.mean(each), rel=1e-12)


def test_viewers_observed_one_by_one_prove_a_low_watched_share_sooner():
    """Sixteen bets on each of 40 viewers grow faster than on one mean of 40."""
    harm = Harm(metric="watched", evidence=BoundedMean(limit=0.3, alternative="below"))
    one, many = opened(harms=(harm,)), opened(harms=(harm,))
    one.observe("r", at=0.0, exposures=40, watched=4.0)
    many.observe(["r"] * 40, at=0.0, exposures=1, watched=0.1)
    found = [a.tick(now=60.0, exposures=0)["r"].stop_rule["evidence"] for a in (one, many)]
    assert found[0] < 2.0
    assert found[1] > 20.0


def test_organic_traffic_is_compared_and_not_learnt():
    allocator = opened()
    for tick in range(1, 4):
        allocator.tick(now=60.0 * tick, exposures=1_000)
        allocator.observe("r", at=60.0 * tick, exposures=40, retained=8)
        allocator.observe("r", at=60.0 * tick, exposures=400, retained=200, source="organic")
    assert allocator.bandit.updates == 6  # three times retained and not, of exploration alone
    record = allocator.tick(now=240.0, exposures=1_000)["r"]
    assert "MISMATCHED" in record.reason_codes  # .2 against .5
    explanation = allocator.explain("r")
    assert explanation.counts["exposures"] == 120
    allocator.observe("r", at=240.0, exposures=2_000, retained=0, source="organic")
    assert "MISMATCHED" not in allocator.tick(now=300.0, exposures=1_000)["r"].reason_codes
    with pytest.raises(ValueError, match="neither 'exploration' nor 'organic'; nothing was counted"):
        allocator.observe("r", at=300.0, exposures=1, source="paid")


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"watched": 11.0}, "watched = 11 of room 'r' is more than its exposures, 10; nothing was counted"),
        ({"watched": -1.0}, "watched = -1.0 is not in"),
        ({"minutes": float("nan")}, "minutes"),
        ({"minutes": [1.0, 2.0]}, "minutes"),
    ],
)
def test_bad_amounts_are_refused_before_anything_is_counted(counts, message):
    allocator = opened()
    before = allocator.to_bytes()
    with pytest.raises(ValueError, match=message):
        allocator.observe("r", at=0.0, exposures=10, **counts)
    assert allocator.to_bytes() == before


def test_a_change_of_retention_starts_the_evidence_afresh():
    """From .6 to .1: SCALE falls back with the reason CHANGED, on what came after the change, at a higher price."""
    allocator = opened(change_detector=ChangeDetector(bucket=60.0, window=15))
    record, _ = watch(allocator, 12, retained=0.6)
    assert record.stage == "SCALE"
    assert record.stop_rule["evidence_needed"] == 40.0  # alpha / 2 for the first start
    record, changes = watch(allocator, 8, start=13, retained=0.1)
    assert "CHANGED" in [change.reason for change in changes]
    assert record.stage != "SCALE"
    assert record.stop_rule["evidence_needed"] == 80.0
    (restart,) = allocator.bandit.changes
    learned = allocator._rooms.learned[:2, 0]
    assert learned[0] < allocator._rooms.counts[0, 0]
    assert learned[1] / learned[0] < 0.2
    twin = ColdStartAllocator.from_bytes(allocator.to_bytes())
    assert twin.tick(now=2_000.0, exposures=99).columns().keys() and twin.explain("r") is not None
    assert restart.arm == "r"


def test_quota_by_tier():
    allocator = ColdStartAllocator(ColdStartConfig(quota_tiers=(300, 100, 0, 0)), seed=7)
    allocator.open(["s", "a", "b"], now=0.0, tier=["S", "A", "B"], content_score=[0.1, 0.1, 0.5])
    plan = allocator.tick(now=60.0, exposures=100)
    assert [plan[room].seed_quota for room in "sab"] == [420, 220, 200]
    with pytest.raises(ValueError, match="one a room, 2; got 1"):
        allocator.open(["x", "y"], now=60.0, tier=["S"])


def test_rooms_of_a_weak_bucket_are_found_by_the_bucket_relative_objective():
    """Equal evidence relative to the bar is equal, whatever the bar; draws alone favour the bucket of high rates."""
    from seedbed.allocators.cold_start import BucketRules, Rules

    def gate(bar, a):
        return Gate(metric="retained", bar=bar, population=BetaPopulation(a=a, b=20.0 - a))

    rules = Rules(
        version="1",
        buckets=(BucketRules(name="", gates=(gate(0.4, 6.0),)), BucketRules(name="weak", gates=(gate(0.1, 1.5),))),
    )
    shares = []
    for objective in ("global", "bucket_relative"):
        allocator = ColdStartAllocator(ColdStartConfig(objective=objective, seed_share=0.0), seed=7)
        allocator.use_rules(rules)
        allocator.open(range(100), now=0.0, bucket=["strong", "weak"] * 50)
        exposures = allocator.tick(now=60.0, exposures=1_200).columns()["exposures"]
        shares.append(exposures[1::2].sum() / exposures.sum())
    assert shares[0] < 0.1
    assert 0.4 < shares[1] < 0.9


def test_viewers_of_several_minutes_in_one_call_are_no_change():
    """Told in their order in time: a minute whose stayers alone are told would look like a change."""
    allocator, rng = opened(change_detector=ChangeDetector(bucket=60.0, window=15)), np.random.default_rng(0)
    for call in range(12):
        allocator.tick(now=300.0 * call, exposures=0)
        at, retained = np.sort(300.0 * (call + rng.random(200))), rng.random(200) < 0.4
        allocator.observe(["r"] * 200, at=at, exposures=1, retained=retained)
    assert allocator._rooms.restarts[0] == 0
    assert allocator._rooms.learned[0, 0] == 2_400.0


def changed(**numbers):
    """A room whose retention falls from .6 to .1, up to the report that tells."""
    allocator = opened(change_detector=ChangeDetector(bucket=60.0, window=15), **numbers)
    for tick in range(20):
        allocator.tick(now=60.0 * tick, exposures=0)
        rate = 0.6 if tick < 10 else 0.1
        allocator.observe("r", at=60.0 * tick, exposures=40, retained=int(40 * rate), follows=4, watched=10.0)
        if allocator._rooms.restarts[0]:
            break
    return allocator


def test_after_a_change_no_gate_sees_viewers_without_what_they_did():
    """Of follows since the change nothing is known: viewers without them would prove that there were none."""
    assert changed()._rooms.learned[:2, 0].tolist() == [80.0, 8.0]
    allocator = changed(gates=(FOLLOWS,))
    assert not allocator._rooms.learned[:, 0].any()
    allocator.tick(now=1_260.0, exposures=0)
    standing = allocator.explain("r").gates[1]
    assert standing.probability == pytest.approx(FOLLOWS.probability([0], [0])[0])


def test_a_change_does_not_undo_a_proof_of_harm():
    """Enough evidence when the change is noticed, though no tick has looked at it yet."""
    allocator = opened(change_detector=ChangeDetector(bucket=60.0, window=15))
    allocator.tick(now=0.0, exposures=0)
    for minute in range(10):
        counts = {"retained": 24, "negative": 8} if minute < 5 else {}
        allocator.observe("r", at=60.0 * minute, exposures=40, **counts)
    assert len(allocator.bandit.changes) == 1
    plan = allocator.tick(now=600.0, exposures=0)
    assert plan["r"].stage == "STOPPED"
    assert plan["r"].stop_rule["evidence"] >= plan["r"].stop_rule["evidence_needed"]


def test_the_objective_takes_bars_however_low():
    """A bar of 1e-15 must not make a draw over it larger than what may be ranked."""
    from seedbed.allocators.cold_start import BucketRules, Rules

    def of(name, bar):
        population = BetaPopulation(a=9e11, b=9e11) if name else BetaPopulation(a=3.0, b=7.0)
        return BucketRules(name=name, gates=(Gate(metric="retained", bar=bar, population=population),))

    allocator = ColdStartAllocator(ColdStartConfig(objective="bucket_relative"), seed=7)
    allocator.use_rules(Rules(version="1", buckets=(of("", 0.3), of("low", 1e-15))))
    allocator.open(range(10), now=0.0, bucket=["", "low"] * 5)
    allocator.override(1, "weight", value=1_000.0, now=0.0, actor="ann", reason="campaign")
    assert allocator.tick(now=60.0, exposures=100).granted == 100


def test_what_the_bandit_refuses_is_not_counted():
    """All or nothing, whatever the reason."""
    allocator = opened(change_detector=ChangeDetector(bucket=60.0, window=15))
    allocator.tick(now=60.0, exposures=100)
    allocator.bandit.select(["r"], now=10.0)  # whose clock then is behind
    before = allocator.to_bytes()
    with pytest.raises(ValueError, match="after the latest now"):
        allocator.observe("r", at=60.0, exposures=10, retained=3)
    assert allocator.to_bytes() == before


def test_forged_proofs_are_refused():
    from seedbed.allocators.cold_start import _checkpointing
    from seedbed.bandits import CheckpointError
    from seedbed.bandits.checkpoint import pack, unpack

    for forged in (1e300, 1e19, -1.0):
        checkpoint = unpack(opened().to_bytes(), _checkpointing.KIND)
        checkpoint.arrays["proofs"][1, 0] = forged
        try:
            evidence = ColdStartAllocator.from_bytes(pack(checkpoint)).tick(now=60.0, exposures=9)["r"].stop_rule
        except CheckpointError:
            continue
        assert 0.0 <= evidence["evidence"] < 1.0

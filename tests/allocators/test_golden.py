"""Files of earlier versions are read for ever; a change of what is decided is a `Replay` line in the changelog."""

import hashlib
import json
from pathlib import Path

import pytest

from seedbed.allocators import ColdStartAllocator
from seedbed.cli import main

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples" / "data"


def written():
    """An allocator with everything that a checkpoint holds; from it the golden file was written, once."""
    from seedbed.allocators import ColdStartConfig
    from seedbed.allocators.cold_start import Atoms, BetaPopulation, BucketRules, GammaPopulation, Gate, Harm, Rules
    from seedbed.bandits import ChangeDetector
    from seedbed.constraints import BoundedMean

    comments = Gate(metric="comments", bar=0.02, population=GammaPopulation(shape=2.0, rate=60.0), dispersion=2.0)
    harm = Harm(metric="watched", evidence=BoundedMean(limit=0.1, alternative="below"))
    config = ColdStartConfig(
        gates=(comments,),
        harms=(harm,),
        change_detector=ChangeDetector(window=4),
        multiplier_lag=2,
        budget={"limit": 9_999},
    )
    allocator = ColdStartAllocator(config, seed=5, replica="eu-1")
    retained = (Atoms(support=(0.2, 0.4), weights=(0.5, 0.5)), BetaPopulation(a=3.0, b=7.0))
    buckets = (
        BucketRules(name="", gates=(Gate(metric="retained", bar=0.3, population=retained[0]), comments)),
        BucketRules(name="music", gates=(Gate(metric="retained", bar=0.35, population=retained[1]), comments)),
    )
    allocator.use_rules(Rules(version="w1", buckets=buckets, made_from={"log": "week 1"}))
    allocator.open(["a", 2, "c"], now=0.0, bucket=["music/zh", "talk", ""], tier=["S", "B", "C"])
    for tick in range(1, 6):
        allocator.tick(now=60.0 * tick, exposures=200)
        counts = {"exposures": 20, "retained": [12, 6, 4], "comments": 1, "watched": [9.5, 6.25, 1.0], "minutes": 31.5}
        allocator.observe(["a", 2, "c"], at=60.0 * tick + 30.0, **counts)
    allocator.observe(2, at=330.0, exposures=50, retained=9, source="organic")
    allocator.use_rules(Rules(version="w2", buckets=buckets[:1], valid_from=1e6))
    allocator.override("a", "pin", value=7, now=331.0, actor="ann", reason="campaign")
    allocator.override("c", "ban", now=331.0, actor="ann", reason="complaint", ttl=60.0)
    allocator.block(2, now=332.0)
    return allocator


def test_golden_allocator_with_rules():
    blob = (ROOT / "tests" / "golden" / "cold-start-rules-3.seedbed").read_bytes()
    allocator = ColdStartAllocator.from_bytes(blob)
    assert allocator.to_bytes() == blob
    assert len(written().to_bytes()) == len(blob)
    plan = allocator.tick(now=360.0, exposures=400)
    assert {room: (record.stage, record.exposures, record.reason_codes) for room, record in plan.items()} == {
        "a": ("VERIFY", 7, ("PINNED",)),
        2: ("VERIFY", 0, ("BLOCKED",)),
        "c": ("EXHAUSTED", 0, ("FUTILE",)),
    }
    assert plan.rules == "w1"
    assert allocator.bandit.change_detector is not None


@pytest.mark.parametrize("version", [1, 2, 3])
def test_golden_allocator_of_each_format(version):
    """One state, written in each format."""
    golden = ROOT / "tests" / "golden"
    allocator = ColdStartAllocator.from_bytes((golden / f"cold-start-{version}.seedbed").read_bytes())
    latest = ColdStartAllocator.from_bytes((golden / "cold-start-3.seedbed").read_bytes())
    assert allocator.to_bytes() == latest.to_bytes()
    plan = allocator.tick(now=540.0, exposures=400)
    assert {room: (record.stage, record.exposures) for room, record in plan.items()} == {
        "r0": ("EXHAUSTED", 0),
        "r2": ("EXHAUSTED", 0),
        "r3": ("STOPPED", 0),
        "r4": ("VERIFY", 0),
        "r5": ("VERIFY", 0),
        "r6": ("SCALE", 43),
        "r7": ("SCALE", 57),
        "r8": ("SCALE", 60),
        "r9": ("SCALE", 60),
        "r10": ("SCALE", 60),
        "r11": ("SCALE", 60),
        "s": ("SCALE", 60),
    }
    assert plan["r2"].reason_codes == ("BLOCKED",)


def test_golden_replay_of_the_real_log(capsys, tmp_path):
    """What each item was granted in each tick, as a digest."""
    log, women = DATA / "open-bandit-random-all.csv.gz", DATA / "open-bandit-counts-women.csv"
    assert main(["replay", str(log), "--population", str(women), "--out", str(tmp_path), "--seed", "42"]) == 0
    capsys.readouterr()
    digest = hashlib.sha256()
    for line in (tmp_path / "decisions.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["event"] == "grant":
            digest.update(f"{record['tick']} {record['item']} {record['granted']} {record['rewards']}\n".encode())
    assert digest.hexdigest()[:16] == "06c09824eb405ee7"

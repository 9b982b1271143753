"""Files of earlier versions are read for ever; a change of what is decided is a `Replay` line in the changelog."""

import hashlib
import json
from pathlib import Path

import pytest

from seedbed.allocators import ColdStartAllocator
from seedbed.cli import main

ROOT = Path(__file__).parents[2]
DATA = ROOT / "examples" / "data"


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

"""A long log decided again in another process: `python benchmarks/verifying.py [decisions]` prints what came of it.

A bandit under constraints serves arms that come and go and whose rates drift, with forgetting and change detection,
slates, exact propensities, pauses, blocks, refunds and late rewards; all of it is logged. Another process
decides everything again.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from seedbed.bandits import Bandit, Beta, ChangeDetector, Thompson
from seedbed.constraints import Budget, Cap, Constrained, Eligibility, Floor, FrequencyCap, Guardrail
from seedbed.storage import DecisionLog, DecisionReader, Logged

SECONDS = 0.25  # between decisions
VERIFY = """
import sys
from seedbed.constraints import Constrained
from seedbed.storage import verify
print(verify(sys.argv[1], load=Constrained.from_bytes))
"""


def ranker():
    """A ranker of 60 arms."""
    policy = Thompson(model=Beta(half_life=900.0))
    bandit = Bandit(
        policy, [f"arm-{i}" for i in range(60)], seed=7, replica="eu-1", change_detector=ChangeDetector(bucket=10.0)
    )
    constraints = [
        Eligibility(),
        Guardrail("harm", limit=0.05),
        Budget("exposures", limit=330, window=60.0),
        FrequencyCap(limit=40, window=600.0),
        Cap(0.4),
        Floor(0.005),
    ]
    return Constrained(bandit, constraints)


def play(path, decisions, *, seed=1, **options):
    """Serve and learn so many times through a log; return how often each thing happened."""
    rng = np.random.default_rng(seed)
    rates = {}
    happened = dict.fromkeys(("decisions", "arms come", "arms gone", "rewards", "refunds"), 0)
    with DecisionLog(path, **options) as log:
        logged = Logged(ranker(), log)
        newest = len(logged)
        for step in range(decisions):
            now = step * SECONDS
            offered = rng.choice(len(logged.arms), 12, replace=False)
            names = logged.arms
            arms = [names[i] for i in offered]
            viewer = {"id": f"viewer-{rng.integers(300)}"}
            decision = logged.select(
                arms, int(rng.integers(1, 4)), now=now, viewer=viewer, pending=True, propensities=step % 10 == 0
            )
            happened["decisions"] += 1
            if decision.arms and rng.random() < 0.02:
                logged.refund(decision)
                happened["refunds"] += 1
            elif decision.arms:
                _learn(logged, decision, rates, rng, now, happened)
            if step % 50 == 49:
                _change(logged, rng, now, newest)
                newest += 1
                happened["arms come"] += 1
                happened["arms gone"] += 1
    return happened


def _learn(logged, decision, rates, rng, now, happened):
    """Rates drift as random walks, and jump now and then."""
    for arm in decision.arms:
        rate = rates.get(arm, rng.beta(2, 8))
        rates[arm] = rng.beta(2, 8) if rng.random() < 0.002 else float(np.clip(rate + rng.normal(0, 0.005), 0.01, 0.95))
    rewards = [float(rng.random() < rates[arm]) for arm in decision.arms]
    harms = [float(rng.random() < 0.01) for _ in rewards]
    late = float(rng.exponential(5.0))
    logged.update(decision.arms, rewards, at=max(now - late, 0.0), metrics={"harm": harms}, decision=decision)
    happened["rewards"] += len(rewards)


def _change(logged, rng, now, newest):
    """One arm comes, one goes; some are paused or blocked for a while."""
    logged.add_arms([f"arm-{newest}"])
    if newest % 3 == 0:
        logged.warm_start([f"arm-{newest}"], strength=10.0, mean=0.2)
    logged.retire_arms([logged.arms[int(rng.integers(20))]])
    logged.resume_arms(logged.paused)
    one, other = rng.choice(len(logged.arms), 2, replace=False)
    logged.pause_arms([logged.arms[one]])
    logged.block([logged.arms[other]])
    logged.unblock([logged.arms[other]])
    logged.expire(now, horizon=30.0)


def again(path):
    """Verify in another process."""
    return subprocess.run([sys.executable, "-c", VERIFY, str(path)], capture_output=True, text=True, check=True).stdout


def report(decisions=100_000):
    """Text for the evidence: a log of so many decisions, decided again in another process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        start = time.perf_counter()
        happened = play(path, decisions, segment_bytes=8 * 2**20, compress=True)
        made = time.perf_counter()
        found = again(path).strip()
        done = time.perf_counter()
        size = sum(file.stat().st_size for file in path.iterdir())
        segments = len([file for file in path.iterdir() if ".journal" in file.name])
        empty = sum(not each.arms for each in DecisionReader(path).decisions())
        counts = ", ".join(f"{name} {count:,}" for name, count in happened.items())
    return (
        f"{counts}; {empty:,} decisions without arms. {segments} segments, {size / 2**20:.1f} MiB, compressed. Played "
        f"in {made - start:.0f} s, verified in another process in {done - made:.0f} s:\n\n```text\n{found}\n```"
    )


if __name__ == "__main__":
    print(report(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))

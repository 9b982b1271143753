"""The long experiments behind `make evidence`: results, seeds, machine and versions go into EVIDENCE.md."""

import importlib.metadata
import platform
import subprocess
import sys
import time
from pathlib import Path

import conserving
import delayed
import evaluating
import market
import numpy as np
import open_bandit
import pacing
import promoting
import redelivering
import thresholds
import verifying
from rich.progress import track

from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.allocators.market import MarketConfig, calibration
from seedbed.allocators.replay import Queues, Replay, oracle_allocation, uniform_allocation
from seedbed.bandits import KLUCB, UCB1, Thompson
from seedbed.bandits.simulation import Bernoulli, simulate
from seedbed.constraints import StopLoss

ROOT = Path(__file__).resolve().parents[1]
PROBLEMS = {
    ".1 ... .9": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    ".01, .02, .3 ... .795, .8, .805": [0.01, 0.02, 0.3, 0.4, 0.5, 0.6, 0.795, 0.8, 0.805],
    ".01 x 3, .02 x 3, .05 x 2, .1": [0.01] * 3 + [0.02] * 3 + [0.05] * 2 + [0.1],
}
POLICIES = {"Thompson": Thompson(), "KL-UCB": KLUCB(), "UCB1, alpha = 1/2": UCB1(alpha=0.5)}


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def regrets():
    """Mean final regret, T = 10,000, 2,000 runs each: seeds 0 ... 1,999."""
    rows = []
    for name, means in PROBLEMS.items():
        world = Bernoulli(means)
        for rule, policy in POLICIES.items():
            runs = simulate(policy, world, 10_000, range(2_000), progress=lambda s, n=f"{rule}, {name}": track(s, n))
            error = runs.regret.std(ddof=1) / np.sqrt(runs.regret.size)
            deviation = f"{runs.regret.std(ddof=1):.1f}"
            rows.append([name, rule, f"{runs.regret.mean():.2f} +- {error:.2f}", deviation, f"{world.lai_robbins:.2f}"])
    return table(["means", "policy", "mean regret +- standard error", "sd of a run", "Lai-Robbins constant"], rows)


def stops():
    """Share of 100,000 rooms stopped, looks every 10 viewers; limit 2 %, Beta(1, 24), alpha 5 %; seed 2026."""
    rule, rng, rows = StopLoss(), np.random.default_rng(2026), []
    for rate in track([0.01, 0.02, 0.03, 0.04, 0.06, 0.10], "stop-loss"):
        harms = rng.binomial(10, rate, size=(100_000, 200)).cumsum(axis=1)
        viewers = np.arange(10, 2_001, 10)
        fired = np.concatenate([rule.fires(part, viewers) for part in np.array_split(harms, 20)])
        first = np.where(fired.any(axis=1), fired.argmax(axis=1), 10**9)
        median = "-" if (first < 10**9).mean() < 0.5 else f"{viewers[int(np.median(first))]}"
        rows.append(
            [f"{rate:.0%}", f"{fired[:, :100].any(axis=1).mean():.2%}", f"{fired.any(axis=1).mean():.2%}", median]
        )
    return table(["rate", "stopped within 1,000 viewers", "within 2,000", "median viewers at the stop"], rows)


def conservations():
    """A baseline (alpha 5 %, delta 1 %) that is the best of ten arms: .5, .2 x 5, 0 x 4; 20,000 steps, seeds from 0."""
    return table(conserving.HEAD, conserving.rows(200))


def read_counts(name):
    """Items, successes and failures of a table of counts."""
    counts = np.loadtxt(ROOT / "examples" / "data" / name, delimiter=",", skiprows=1, dtype=np.int64)
    return [str(item) for item in counts[:, 0]], counts[:, 1], counts[:, 2]


def counts_replays():
    """Uplift over uniform allocation, 300,000 exposures over the 80 items, seeds 0 ... 19, by exposures a tick."""
    items, successes, failures = read_counts("open-bandit-counts-all.csv")
    _, good, bad = read_counts("open-bandit-counts-women.csv")
    rows = []
    for label, change, tick in (
        ("feed", {}, 1_000),
        ("feed", {}, 2_000),
        ("feed", {}, 5_000),
        ("feed without extension", {"extension": 0}, 1_000),
        ("feed, false_promotion = .25", {"false_promotion": 0.25}, 1_000),
        ("feed, verify_cap = 3,000", {"verify_cap": 3_000}, 1_000),
    ):
        config = ColdStartConfig.feed(budget={"limit": 300_000}, **change).fitted(good, good + bad)
        uplifts, spent, promoted, below = [], [], [], []
        for seed in track(range(20), f"{label}, {tick} a tick"):
            queues = Queues.from_counts(items, successes, failures, seed)
            replay = Replay(ColdStartAllocator(config, seed=seed), queues, tick)
            names = set()
            while not replay.is_over:
                names |= {change.room for change in replay.step().plan.changes if change.reason == "PROMOTED"}
            uniform = uniform_allocation(queues.lengths, 300_000)
            uplifts.append(replay.rewards.sum() / queues.rewards_of(uniform) - 1)
            spent.append(replay.taken.sum() / 300_000)
            rates = dict(zip(queues.items, queues.rates, strict=True))
            promoted.append(len(names))
            below.append(sum(rates[name] < config.bar for name in names))
        mean, half = np.mean(uplifts), 2.093 * np.std(uplifts, ddof=1) / np.sqrt(20)
        share = sum(below) / max(sum(promoted), 1)
        rows.append(
            [label, tick, f"{mean:+.1%} ({mean - half:+.1%} to {mean + half:+.1%})", f"{np.mean(spent):.0%}",
             f"{np.mean(promoted):.1f}", f"{share:.0%}"]
        )  # fmt: skip
    oracle = oracle_allocation(queues.rates, queues.lengths, 300_000)
    ceiling = queues.rates @ oracle / (queues.rates @ uniform) - 1
    head = [
        "allocator",
        "exposures a tick",
        "rewards over uniform (95 %)",
        "budget used",
        "promoted a run",
        "below the bar",
    ]
    return table(head, rows) + f"\n\nThe oracle, who knows all rates, expects {ceiling:+.1%}."


def printed(*command):
    """What a script prints; one that fails ends the run."""
    print(" ".join(command), flush=True)
    return subprocess.run([sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def kills():
    """200 kills -9 of a process with a journal, at random instants (`benchmarks/crashes.py`)."""
    return printed("benchmarks/crashes.py", "200")


def corruptions():
    """100,000 corruptions of checkpoints and contributions of every kind (`benchmarks/corruption.py`)."""
    return printed("benchmarks/corruption.py", "100000")


def fleets():
    """Eight processes on one Redis that sync every 1,600 decisions, one killed and restarted twice; eight seeds."""
    return printed("benchmarks/fleets.py", "8")


def budgets():
    """Budgets of 5,000 decisions by dual prices and re-solved programs (`benchmarks/knapsack.py`), 20 seeds each."""
    return printed("benchmarks/knapsack.py", "20")


def merges():
    """20,000 random histories of five replicas: messages doubled, reordered, late and lost, processes that crash."""
    test = "tests/bandits/test_merging.py::test_every_replica_knows_what_it_has_heard_of"
    return "```text\n" + printed("-m", "pytest", "-q", "--hypothesis-profile=evidence", test).strip() + "\n```"


def markets():
    """All policies in the simulated market, a day of 20,000 rooms and 10 M exposures, seeds 0 ... 19."""
    return market.rows(20)


def calibrations():
    """The simulated market beside published figures: a day of 20,000 rooms under uniform exposure, seed 0."""
    rows = []
    for row in calibration(MarketConfig(), seed=0):
        ends = sorted(set(row.published))
        told = " to ".join(f"{end:,.4g}" for end in ends)
        simulated = "-" if np.isnan(row.simulated) else f"{row.simulated:,.4g}"
        verdict = "yes" if row.is_inside else "no"
        rows.append([row.quantity, told, simulated, f"{row.tolerance:.0%}", verdict, row.source, row.note])
    return table(["quantity", "published", "simulated", "tolerance", "inside", "source", "note"], rows)


def promotions():
    """40 replicates of 5,000 rooms a world, looked at every minute; the gate's population fitted to 5,000 others."""
    return table(promoting.HEAD, promoting.rows(40))


def coverages():
    """Bars fitted to 200 histories of 8 buckets, 100 resamples of creators each (`benchmarks/thresholds.py`)."""
    return table(thresholds.HEAD, thresholds.rows(200))


def quotas():
    """Quotas of 60 to 500 by multipliers over ten ticks, 100,000 rooms a row (`benchmarks/pacing.py`)."""
    return table(pacing.HEAD, pacing.rows(100_000))


def evaluations():
    """The Open Bandit sample: estimates beside those that were published (`benchmarks/open_bandit.py`)."""
    return open_bandit.page(table)


def intervals():
    """Intervals of doubly robust and weighted estimates over 1,000 simulated logs (`benchmarks/evaluating.py`)."""
    return table(evaluating.HEAD, evaluating.coverage()) + "\n\n" + evaluating.TEXT


def delays():
    """Intervals of rates while rewards are on their way, 500 logs a row (`benchmarks/delayed.py`)."""
    found = delayed.rows(500, lambda cells, text: track(cells, text))
    return table(delayed.HEAD, found) + "\n\n" + delayed.text(found)


def deliveries():
    """50 kills -9 of a process that attributes, each followed by re-delivery (`benchmarks/redelivering.py`)."""
    return redelivering.report(50)


def verifications():
    """A log of 100,000 decisions, decided again in another process (`benchmarks/verifying.py`)."""
    return verifying.report(100_000)


SECTIONS = {
    "Regret": regrets,
    "Stop-loss": stops,
    "Conservative exploration": conservations,
    "Calibration": calibrations,
    "Simulated market": markets,
    "Promotions": promotions,
    "Fitted thresholds": coverages,
    "Paced quotas": quotas,
    "Replay of production counts": counts_replays,
    "Open Bandit sample": evaluations,
    "Intervals of evaluation": intervals,
    "Delayed rewards": delays,
    "Verified log": verifications,
    "Re-delivered events": deliveries,
    "Crashes": kills,
    "Corruptions": corruptions,
    "Merges": merges,
    "Fleets": fleets,
    "Budgeted pricing": budgets,
}
PAGE = ROOT / "benchmarks" / "EVIDENCE.md"


def main():
    """Run everything, or the sections named, and write them into the page."""
    unknown = set(sys.argv[1:]) - set(SECTIONS)
    if unknown:
        raise SystemExit(f"there is no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("seedbed", "numpy", "scipy", "numba")
    )
    machine = f"{platform.machine()} {platform.system()}, Python {platform.python_version()}, {versions}"
    written = {}
    for part in PAGE.read_text().split("\n## ")[1:] if PAGE.exists() else []:
        title, _, text = part.partition("\n")
        written[title] = text.strip()
    for title in sys.argv[1:] or SECTIONS:
        start, job = time.time(), SECTIONS[title]
        result = job().strip()
        when = f"{time.strftime('%Y-%m-%d')}, {(time.time() - start) / 60:.0f} minutes"
        written[title] = f"{job.__doc__} ({when})\n\n{result}"
        page = ["# Evidence", f"Written by `make evidence` on {machine}."]
        page += [f"## {name}\n\n{written[name]}" for name in SECTIONS if name in written]
        PAGE.write_text("\n\n".join(page) + "\n")
        print(f"{title}: {when}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

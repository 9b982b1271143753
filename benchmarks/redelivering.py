"""Kill -9 of a process that attributes, again and again: `python benchmarks/redelivering.py [kills [seed]]`.

A process reads batches of events from a file, applies what they earn to a tally, and saves both from time to time,
under two keys of a store, the tally first. SIGKILL hits it, every other time at a random moment, else where it
has come to a random point: before a step, or after it has saved the one and not the other. The next one resumes from
what was saved and is delivered everything since, in batches of another size. In the end the tally must be that of a run
that was never interrupted, and the attribution, too. Prints a table.
"""

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from itertools import count, repeat
from pathlib import Path

import msgpack
import numpy as np

from seedbed.bandits.attribution import Attribution, AttributionConfig, Condition, Rule, RuleSet, Tally
from seedbed.storage import FolderStore, SQLiteStore

STORES = {"folder": FolderStore, "sqlite": SQLiteStore}
STEPS, BATCH, SAVE = 1_500, 40, 25  # of one history; events of a step at most; steps between two checkpoints
END = 1e6  # when all has been settled
CONFIG = AttributionConfig(
    windows={"order": 600.0, "gift": 60.0}, channels=("feed", "push"), lateness=30.0, touches=5_000, conversions=2_000,
    orders=3_000, order_memory=900.0, longest_path=16, passes=(100.0, 900.0),
)  # fmt: skip
LARGE = Rule(when=Condition(min_value=3.0), model="position")
VERSIONS = [
    RuleSet(version="linear", rules=(LARGE, Rule(model="linear"))),
    RuleSet(version="first", rules=(Rule(when=Condition(kinds=("gift",)), model="first_click"),), priority=1),
]


def write_history(path, seed, steps=STEPS):
    """Steps as [what, present, columns or version], one MessagePack value each; late, early, doubled, out of order."""
    draw = np.random.Generator(np.random.PCG64(seed))
    sent = []
    with path.open("wb") as file:
        for i in range(steps):
            now, n = 2.0 * i, int(draw.integers(1, BATCH))
            at = now - np.where(draw.random(n) < 0.2, draw.exponential(60.0, n), draw.uniform(-8.0, 2.0, n))
            columns = [draw.integers(0, 60, n), draw.integers(0, 5, n), at]
            if i % 40 == 39:
                step = ["settle", now, []]
            elif i % 301 == 300:
                step = ["deactivate" if i // 301 % 2 else "activate", now, ["first"]]
            elif draw.random() < 0.1 and sent:
                step = [*sent[int(draw.integers(len(sent)))]]
                step[1] = now
            elif i % 3:
                step = ["touch", now, [*columns, draw.integers(0, 10**6, n), draw.integers(-1, 2, n)]]
            else:
                orders = draw.integers(0, 10**6, n)
                step = ["convert", now, [orders, *columns, draw.integers(0, 2, n), draw.integers(1, 6, n)]]
            step[2] = [column.tolist() if isinstance(column, np.ndarray) else column for column in step[2]]
            sent += [step] * (step[0] in ("touch", "convert"))
            file.write(msgpack.packb(step))
        file.write(msgpack.packb(["settle", END, []]))


def deliver(attribution, tally, step, size):
    """One step, its events in batches of a size; what comes out is applied."""
    what, now, given = step
    if what == "settle":
        tally.apply(attribution.settle(now))
    elif what == "activate":
        attribution.activate(VERSIONS[1])
    elif what == "deactivate":
        attribution.deactivate(*given)
    else:
        for start in range(0, len(given[0]), size):
            some = [column[start : start + size] for column in given]
            if what == "touch":
                users, items, at, decisions, channels = some
                attribution.touch(users, items, at, decisions, channels, now=now)
            else:
                tally.apply(attribution.convert(*some, now=now))


def live(history, folder, store, size, points=None):
    """Resume, and go on to the end of the history, saving now and then, or die after so many points.

    The position in the history is saved with the attribution.
    """
    left = count(points, -1) if points is not None else repeat(1)

    def at_a_point():
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    folder.mkdir(parents=True, exist_ok=True)
    kept = STORES[store](folder / "state")
    saved, tallied = kept.get("attribution"), kept.get("tally")
    attribution, tally, position = Attribution(CONFIG, VERSIONS), Tally(), 0
    if saved is not None:
        position, blob = msgpack.unpackb(saved.blob)
        attribution = Attribution.from_bytes(blob)
    if tallied is not None:  # it may be ahead of the attribution: what it has seen already it knows by its ids
        tally = Tally.from_bytes(tallied.blob)
    with history.open("rb") as file:
        for i, step in enumerate(msgpack.Unpacker(file)):
            if i < position:
                continue
            at_a_point()
            deliver(attribution, tally, step, size)
            if (i + 1) % SAVE == 0 or step[1] == END:
                kept.put("tally", tally.to_bytes())
                at_a_point()
                kept.put("attribution", msgpack.packb([i + 1, attribution.to_bytes()]))
    return attribution, tally


def forked(seconds, *arguments):
    """Run `live` in a process of its own, killed after so many seconds, if any; return whether it was killed."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            live(*arguments)
            code = 0
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"it did not resume, or failed: exit code {code}")
    return code != 0


def rows(kills, seed=0, steps=STEPS, *, timed=True):
    """Counts by store: kills, histories that were finished, conversions, and tallies or attributions that differ."""
    draw, found = np.random.Generator(np.random.PCG64(seed)), {}
    with tempfile.TemporaryDirectory() as path:
        for number in count():
            if sum(row["kills"] for row in found.values()) >= kills:
                return found
            store = list(STORES)[number % len(STORES)]
            row = found.setdefault(store, Counter())
            folder, history = Path(path) / str(number), Path(path) / f"{number}.events"
            write_history(history, [seed, number], steps)
            start = time.perf_counter()
            calm, expected = live(history, folder / "calm", store, BATCH)
            took = time.perf_counter() - start
            for _ in range(min(10, -(-kills // 2))):
                if sum(each["kills"] for each in found.values()) < kills:
                    arguments = history, folder / "killed", store, int(draw.integers(1, BATCH))
                    if timed and row["kills"] % 2:
                        row["kills"] += forked(draw.uniform(0.0, 0.4 * took), *arguments)
                    else:
                        row["kills"] += forked(None, *arguments, int(draw.integers(steps // 6)))
                    saved = STORES[store](folder / "killed" / "state").get("attribution")
                    row["resumed in the middle"] += saved is not None and msgpack.unpackb(saved.blob)[0] <= steps
            attribution, tally = live(history, folder / "killed", store, BATCH)
            row["histories"] += 1
            row["conversions"] += attribution.counts["conversions"]
            row["corrections"] += attribution.counts["changed"]
            row["told twice"] += tally.duplicates
            row["other tallies"] += any((x != y).any() for x, y in zip(tally.counts(), expected.counts(), strict=True))
            row["other attributions"] += attribution.to_bytes() != calm.to_bytes()


HEAD = (
    "kills", "histories", "resumed in the middle", "conversions", "corrections", "told twice", "other tallies",
    "other attributions",
)  # fmt: skip


def report(kills, seed=0, steps=STEPS, *, timed=True):
    """The table, in Markdown; a difference ends the run."""
    found = rows(kills, seed, steps, timed=timed)
    lines = [["store", *HEAD], ["---"] * (1 + len(HEAD))]
    lines += [[store, *(f"{row[name]:,}" for name in HEAD)] for store, row in found.items()]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    if any(row["other tallies"] + row["other attributions"] for row in found.values()):
        raise SystemExit(text)
    return text


if __name__ == "__main__":
    kills, seed = (*map(int, sys.argv[1:]), *(50, 0)[len(sys.argv) - 1 :])
    print(report(kills, seed))

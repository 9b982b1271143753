"""Learning without a context: one event, and batches."""

import operator
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from measuring import Clock, Job, Result
from references import Array, BareBandit, Rows, events, million

from seedbed.bandits import Bandit, Thompson
from seedbed.bandits._numba import kernel

IDS = [f"arm-{i}" for i in range(1_000)]
SINGLE, BATCH, LARGE = 2_000, 100_000, 1_000_000


def each(update: Job, arms: list[str], rewards: list[Any]) -> Job:
    """A job that updates one event after the other."""

    def job() -> None:
        for arm, reward in zip(arms, rewards, strict=True):
            update(arm, reward)

    return job


@kernel
def pairs_batch(table: Array, rows: Rows, rewards: Array) -> None:
    """The plain loop over `[K, 2]`, one cache line an event."""
    for i in range(rows.size):
        table[rows[i], 0] += rewards[i]
        table[rows[i], 1] += 1.0 - rewards[i]


@kernel
def rows_batch(table: Array, rows: Rows, rewards: Array) -> None:
    """The plain loop over `[2, K]`, the layout of ours."""
    for i in range(rows.size):
        table[0, rows[i]] += rewards[i]
        table[1, rows[i]] += 1.0 - rewards[i]


def single(clock: Clock) -> Iterator[Result]:
    """One event a call."""
    from river import bandit, proba

    rows, rewards = events(len(IDS), SINGLE)
    names, values = [IDS[row] for row in rows], rewards.tolist()
    ours, river = Bandit(Thompson(), IDS), bandit.ThompsonSampling(reward_obj=proba.Beta(), seed=1)
    for beside, limit, reference in (
        ("river", 1.0, each(river.update, names, [int(value) for value in values])),
        ("a bare kernel", None, each(BareBandit(IDS).update, names, values)),
    ):
        yield clock.compare(
            "one update, 1,000 random ids", limit, each(ours.update, names, values), beside, reference, per=SINGLE
        )


def batches(clock: Clock) -> Iterator[Result]:
    """Batches, an event."""
    many, ids = million()
    for name, bandit, arms, count, limit in (
        ("1,000,000 arms", many, ids, LARGE, 1.0 / 0.7),
        ("1,000 arms", Bandit(Thompson(), IDS), IDS, BATCH, None),
    ):
        rows, rewards = events(len(arms), count)
        handles = bandit.rows(arms)[rows]
        for beside, loop, table, most in (
            ("plain loop, same layout", rows_batch, np.zeros((2, len(arms))), limit),
            ("plain loop, [K, 2]", pairs_batch, np.zeros((len(arms), 2)), None),
        ):
            yield clock.compare(
                f"batch from rows, {name}, an event",
                most,
                partial(bandit.update_rows, handles, rewards),
                beside,
                partial(loop, table, rows, rewards),
                per=count,
            )


def ids(clock: Clock) -> Iterator[Result]:
    """A batch from a list of ids, an event."""
    rows, rewards = events(len(IDS), BATCH)
    names, bandit, row_of = [IDS[row] for row in rows], Bandit(Thompson(), IDS), {id: row for row, id in enumerate(IDS)}
    table = np.zeros((2, len(IDS)))

    def reference() -> None:
        rows_batch(table, np.array(operator.itemgetter(*names)(row_of)), rewards)

    yield clock.compare(
        "batch from a list of ids, 1,000 arms, an event",
        None,
        lambda: bandit.update(names, rewards),
        "itemgetter(*ids)(dict) + plain loop",
        reference,
        per=BATCH,
        seconds=0.12e-6,
    )


SUBJECT = (single, batches, ids)

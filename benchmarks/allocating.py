"""Ticks and gates of the cold-start allocator, and a day of the simulated market."""

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
from measuring import Clock, Result, duration
from scipy.special import betaincc

from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.allocators.cold_start import Atoms, BetaPopulation, Gate
from seedbed.allocators.cold_start.gates import GateTable
from seedbed.allocators.market import MarketConfig, play
from seedbed.allocators.market.policies import Uniform

ROUNDS = 6
KINDS = {
    "all rooms new": ColdStartConfig(seed_deadline=1e9),
    "all past SEED": ColdStartConfig(seed_done=1e-9, quota_min=1, verify_cap=10**6, scale_cap=None, futile_below=0.0),
}


def allocator_of(rooms: int, kind: str) -> ColdStartAllocator:
    """One with live rooms of up to 500 viewers each, or none in new ones."""
    allocator = ColdStartAllocator(KINDS[kind], seed=1)
    ids = list(range(rooms))
    allocator.open(ids, now=0.0)
    if kind != "all rooms new":
        rng = np.random.Generator(np.random.PCG64(1))
        shown = rng.integers(20, 500, rooms)
        allocator.observe(ids, at=0.0, exposures=shown, retained=rng.binomial(shown, rng.beta(4.76, 15.24, rooms)))
    allocator.tick(now=0.0, exposures=rooms)
    return allocator


def ticks(clock: Clock) -> Iterator[Result]:
    """A tick after a tenth of the rooms were seen, beside the bare draws of all rooms by numpy, six times."""
    for rooms, limit in ((10_000, 5e-3), (100_000, 50e-3)):
        for kind in KINDS:
            allocator, minutes = allocator_of(rooms, kind), count(1)
            rng = np.random.Generator(np.random.PCG64(2))
            fast = np.random.Generator(np.random.SFC64(3))
            a, b = rng.uniform(5.0, 100.0, (2, rooms))

            def observe(allocator: Any = allocator, rooms: int = rooms, rng: Any = rng) -> float:
                some = rng.choice(rooms, rooms // 10, replace=False)
                seen = {"exposures": 5, "retained": rng.integers(0, 3, some.size)}
                allocator.observe(some.tolist(), at=0.0, **seen)
                return 60.0 * next(minutes)  # noqa: B023

            def tick(now: float, allocator: Any = allocator, rooms: int = rooms) -> None:
                allocator.tick(now=now, exposures=rooms)

            def draw(now: float, fast: Any = fast, a: Any = a, b: Any = b) -> None:
                for _ in range(ROUNDS):
                    fast.beta(a, b)

            name = f"tick of {rooms:,} live rooms, a tenth seen since the last, {kind}"
            beside = "6 x Generator(SFC64).beta of all"
            yield clock.compare(name, None, tick, beside, draw, prepare=observe, seconds=limit)


def gates(clock: Clock) -> Iterator[Result]:
    """Gates of 10,000 changed rooms, one metric."""
    rng = np.random.Generator(np.random.PCG64(4))
    shown = rng.integers(20, 500, 10_000).astype(np.float64)
    good = np.floor(shown * rng.beta(4.76, 15.24, 10_000))
    places = np.zeros(10_000, np.int64)
    grid = np.linspace(0.005, 0.995, 199)
    populations = {
        "a Beta": BetaPopulation(a=4.76, b=15.24),
        "199 atoms": Atoms.of(grid, np.exp(-0.5 * ((grid - 0.24) / 0.1) ** 2) + 1e-4),
    }
    for name, population in populations.items():
        table = GateTable([Gate(metric="retained", bar=0.3, population=population)])
        yield clock.compare(
            f"gate of 10,000 changed rooms, population {name}",
            None,
            lambda table=table: table.judge(good, shown, places),
            "scipy.special.betaincc",
            lambda: betaincc(4.76 + good, 15.24 + shown - good, 0.3),
            seconds=12e-3,
        )


def market(clock: Clock) -> Iterator[Result]:
    """A day of the simulated market under uniform exposure, once."""
    config = MarketConfig()
    play(Uniform(), config, 0, 1)
    start = time.perf_counter()
    run = play(Uniform(), config, 1)
    taken = time.perf_counter() - start
    rooms, exposures = run.counts.shape[1], int(run.counts[0].sum())
    name = f"a simulated day, {rooms:,} rooms, {exposures:,} exposures"
    yield Result(name, duration(taken), "", "", "20 s", taken <= 20.0)


SUBJECT = (ticks, gates, market)

"""One tick of the cold-start allocator."""

import numpy as np
import pytest

from seedbed.allocators import ColdStartAllocator, ColdStartConfig


@pytest.mark.parametrize("rooms", [1_000, 10_000])
def test_tick(benchmark, rooms):
    benchmark.group = f"a tick of {rooms:>6} live rooms, a tenth with new evidence"
    config = ColdStartConfig(seed_deadline=1e9, scale_cap=None, tick_cap=6)
    allocator = ColdStartAllocator(config, seed=1)
    ids = list(range(rooms))
    allocator.open(ids, now=0.0)
    rng = np.random.Generator(np.random.PCG64(1))
    clock = iter(range(1, 10**9))

    def observe():
        shown = rng.choice(rooms, rooms // 10, replace=False)
        some = [ids[i] for i in shown]
        allocator.observe(some, at=0.0, exposures=5, retained=rng.integers(0, 3, len(some)))

    def tick():
        allocator.tick(now=60.0 * next(clock), exposures=rooms)

    benchmark.pedantic(tick, setup=observe, rounds=20, warmup_rounds=1)

"""An evening of new live rooms: seed, verify, scale, stop; a checkpoint in the middle."""

from collections import Counter

import numpy as np

from seedbed.allocators import ColdStartAllocator, ColdStartConfig

world = np.random.default_rng(1)
rooms = [f"room-{i}" for i in range(200)]
retention = dict(zip(rooms, world.beta(4.76, 15.24, 200), strict=True))
harm = dict(zip(rooms, np.where(world.random(200) < 0.05, 0.08, 0.004), strict=True))

allocator = ColdStartAllocator(ColdStartConfig(budget={"limit": 60_000}), seed=7)
for room in rooms:
    allocator.open(room, now=0.0, bucket="music/zh/cn", content_score=float(world.random()))

served = Counter()
for minute in range(1, 31):
    now = 60.0 * minute
    plan = allocator.tick(now=now, exposures=2_000)
    for room, ask in plan.items():
        if ask.exposures:
            viewers = int(ask.exposures * world.uniform(0.8, 1.0))  # the host delivers most of what was asked
            served[room] += viewers
            allocator.observe(
                room,
                at=now + 30.0,
                exposures=viewers,
                retained=world.binomial(viewers, retention[room]),
                negative=world.binomial(viewers, harm[room]),
            )
    for change in plan.changes:
        if change.after == "STOPPED":
            print(f"minute {minute}: {change.room} stopped, evidence {change.evidence:.0f}, {change.counts}")
    if minute == 15:
        allocator = ColdStartAllocator.from_bytes(allocator.to_bytes())  # the service restarts: nothing changes

print("rooms by stage:", dict(Counter(ask.stage for ask in plan.values())))
kept = sum(served[room] * retention[room] for room in rooms) / served.total()
print(f"retention of served viewers {kept:.3f}, of rooms on average {np.mean(list(retention.values())):.3f}")

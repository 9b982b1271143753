"""A ranker that a two-sided market can run: newcomers get their share, viewers are protected, the budget holds."""

import numpy as np

from seedbed.bandits import Bandit, Beta, Thompson
from seedbed.constraints import (
    Budget,
    Concentration,
    Constrained,
    Eligibility,
    FairShare,
    FrequencyCap,
    Guardrail,
    Rule,
    Slate,
)

world = np.random.default_rng(3)
rooms = [f"room-{i}" for i in range(60)]
retained = dict(zip(rooms, world.beta(4.0, 12.0, 60), strict=True))
harm = dict(zip(rooms, np.where(np.arange(60) % 20 == 7, 0.15, 0.004), strict=True))

ranker = Constrained(
    Bandit(Thompson(model=Beta(prior=(1.0, 3.0))), arms=rooms, seed=7),
    [
        Eligibility(rules=(Rule(reason="HARD_GIFTS", viewer={"is_new": True}, arm={"gifts": "hard"}),)),
        FrequencyCap(3, window=3_600.0),  # of one room to one viewer
        Guardrail("negative", limit=0.02),  # stops a room once its harm is proved, at any look
        Budget("exposures", limit=300, window=60.0),  # of all rooms, a minute
        Budget("exposures", limit=40, window=60.0, by="creator"),
        FairShare(0.01),  # each room at least a hundredth of the decisions, at every step
        Slate(by="category", upper=2),
        Concentration(),
    ],
)
ranker.describe(
    rooms,
    category=[("music", "games", "talk")[i % 3] for i in range(60)],
    creator=[f"creator-{i // 2}" for i in range(60)],
    gifts=["hard" if i % 10 == 0 else "soft" for i in range(60)],
)

served = kept = 0
for second in range(1_200):
    viewer = {"id": f"viewer-{world.integers(400)}", "is_new": bool(world.random() < 0.3)}
    decision = ranker.select(k=4, now=float(second), viewer=viewer)
    for room in decision.arms:
        stays = world.random() < retained[room]
        bad = world.random() < harm[room]
        ranker.update(room, float(stays), metrics={"negative": float(bad)}, decision=decision)
        served, kept = served + 1, kept + stays
    if second == 600:
        ranker = Constrained.from_bytes(ranker.to_bytes())  # the service restarts: nothing changes

print(f"{served} exposures, retention {kept / served:.3f}; of rooms on average {np.mean(list(retained.values())):.3f}")
for name, told in ranker.report().items():
    print(f"{name}: {told}")
print("last decision:", decision.arms, decision.reasons, decision.dropped, decision.relaxed)

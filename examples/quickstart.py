"""Choose among three arms, learn from what came back, save and resume."""

import numpy as np

from seedbed.bandits import Bandit, Beta, Thompson

rates = {"a": 0.05, "b": 0.10, "c": 0.20}
world = np.random.default_rng(1)

bandit = Bandit(Thompson(model=Beta(prior=(1.0, 1.0))), arms=rates, seed=7)
shown = dict.fromkeys(rates, 0)
for _ in range(2_000):
    arm = bandit.select().arms[0]
    bandit.update(arm, reward=float(world.random() < rates[arm]))
    shown[arm] += 1
print("shown", shown)
print("estimated", dict(zip(bandit.arms, bandit.mean().round(3).tolist(), strict=True)))

bandit.add_arms(["newcomer"])
blob = bandit.to_bytes()
twin = Bandit.from_bytes(blob)
print("next, twice the same:", bandit.select().arms, twin.select().arms)

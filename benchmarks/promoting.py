"""Are promotions as often false as was asked for? Rooms of a known population, looked at every minute.

The population of the gate is fitted (`fit_rules`) to 5,000 other rooms of the same world with 60 to 500 exposures each.
"""

import numpy as np
from rich.progress import track

from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.allocators.cold_start import BucketRules, Fitting, History, Rules, fit_rules

BAR = 0.30


def beta_world(rng, size):
    return rng.beta(4.76, 15.24, size)


def two_points(low, high, share):
    def world(rng, size):
        return np.where(rng.random(size) < share, high, low)

    return world


WORLDS = {
    "Beta(4.76, 15.24)": beta_world,
    "70 % at .20, 30 % at .40": two_points(0.20, 0.40, 0.3),
    "50 % at .28, 50 % at .34": two_points(0.28, 0.34, 0.5),
    "80 % at .25, 20 % at .32": two_points(0.25, 0.32, 0.2),
}
AT_THE_BAR = {"70 % at .298, 30 % at .40 (reported only)": two_points(0.298, 0.40, 0.3)}


def play(world, seed, rooms=5_000, ticks=40):
    """Promote rooms of a world: the share below the bar among the promoted, what was expected of it, and power.

    Returns
    -------
    (promoted, false, expected, found)
        Rooms ever promoted, those of them at or below the bar, the sum of 1 - P at first promotion, and the share of
        the rooms above the bar that were promoted.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    shown = rng.integers(60, 500, 5_000)
    history = History(list(range(5_000)), [""] * 5_000, shown, rng.binomial(shown, world(rng, 5_000)))
    fitted, _ = fit_rules(history, version="history", fitting=Fitting(resamples=20))
    gate = fitted.buckets[0].gates[0].model_copy(update={"bar": BAR})
    config = ColdStartConfig(seed_deadline=1e6, stop={"limit": 0.5}, verify_cap=2_000, scale_cap=3_000)
    allocator = ColdStartAllocator(config, seed=seed)
    allocator.use_rules(Rules(version="fitted", buckets=(BucketRules(name="", gates=(gate,)),)))
    rates, ids = world(rng, rooms), list(range(rooms))
    allocator.open(ids, now=0.0)
    first = {}
    for tick in range(1, ticks + 1):
        plan = allocator.tick(now=60.0 * tick, exposures=10**7)
        for change in plan.changes:
            if change.reason == "PROMOTED":
                first.setdefault(change.room, change.probability)
        given = plan.columns()["exposures"]
        allocator.observe(ids, at=60.0 * tick, exposures=given, retained=rng.binomial(given, rates))
    promoted = np.array(list(first), np.int64)
    false = int((rates[promoted] <= BAR).sum())
    expected = float(sum(1.0 - probability for probability in first.values()))
    return promoted.size, false, expected, (promoted.size - false) / max(int((rates > BAR).sum()), 1)


def rows(replicates):
    """One row a world: realised and expected share of false promotions over replicates, seeds from 0."""
    found = []
    for name, world in (WORLDS | AT_THE_BAR).items():
        runs = np.array([play(world, seed) for seed in track(range(replicates), name)])
        promoted, false, expected = runs[:, :3].sum(axis=0)
        share, error = false / promoted, np.std(runs[:, 1] / runs[:, 0], ddof=1) / np.sqrt(replicates)
        found.append(
            [name, f"{promoted / replicates:.0f}", f"{share:.3f} +- {error:.3f}", f"{expected / promoted:.3f}",
             f"{runs[:, 3].mean():.1%}"]
        )  # fmt: skip
    return found


HEAD = ["world, bar .30, q = .10", "promoted of 5,000", "false", "expected (mean of 1 - P)", "of those above the bar"]

"""Where a researcher starts: a market, a policy of one's own, and an honest comparison. Cells are marked `# %%`.

It is small, so that it runs in seconds. For the real thing take `MarketConfig()` as it is (20,000 rooms and ten million
exposures a day), MINUTES = 1_440 and 20 seeds, and let `seedbed simulate` play them in parallel.
"""

# %% A market: everything follows from its seed. Every number has a name, and a source or the word "assumption"
import numpy as np
from scipy.stats import t

from seedbed.allocators.market import METRICS, Market, MarketConfig, exposure_by_decile, play
from seedbed.allocators.market.lineup import POLICIES, fit_history

config = MarketConfig(rooms_per_day=4_000, exposures_per_day=2_000_000)
HOUR, MINUTES, SEEDS = 20.0, 60, range(4)
EXPOSURES, RETAINED = METRICS.index("exposures"), METRICS.index("retained")

view = Market(config, seed=0, start_hour=HOUR).view()
print(f"at {HOUR:.0f} h: {view.rooms.size} rooms open, {view.exposures} exposures in the first minute")
print(
    "newcomers:",
    f"{view.facts.is_new.mean():.0%};",
    "watch time:",
    MarketConfig.model_fields["watch_median"].description,
)

# %% History: uniform exposure in another market of the same kind. Never fit on the market in which you compare
fitted = fit_history(config, seed=0, minutes=60, start_hour=18.0)
a, b = fitted.prior
print(f"retained viewers an exposure: Beta({a:.2f}, {b:.1f}), mean {a / (a + b):.4f}; the bar is {fitted.bar:.4f}")


# %% A policy is a function from what is seen of a minute to exposures of each open room ...
def follow_the_scores(view):
    """Exposures in proportion to the predictions: fractions are rounded at random, and right on average."""
    weight = view.facts.content_score + view.facts.creator_score
    return view.exposures * weight / weight.sum()


# ... or an object that also keeps something: `learn` is told what came back, `to_bytes` makes it resumable.
class MyThompson:
    """Gives the minute to the rooms of the highest draws, 60 exposures each. Change what you doubt."""

    def __init__(self, prior, seed):
        self.prior, self.chance = prior, np.random.default_rng(seed)

    def allocate(self, view):
        """Exposures of each open room, [R]."""
        shown, retained = view.counts[EXPOSURES], view.counts[RETAINED]
        draws = self.chance.beta(self.prior[0] + retained, self.prior[1] + shown - retained)
        given = np.zeros(view.rooms.size, np.int64)
        given[np.argsort(-draws)] = np.clip(view.exposures - 60 * np.arange(draws.size), 0, 60)
        return given

    def learn(self, report):
        """Nothing: the next view has all counts. Here goes what you learn besides."""

    def to_bytes(self):
        """Nothing that is worth keeping."""
        return b""


contestants = {
    "scores": lambda seed: follow_the_scores,
    "my Thompson": lambda seed: MyThompson(fitted.prior, seed),
    "allocator": lambda seed: POLICIES["M"](config, fitted, seed),  # or A, B, pools, kl-ucb, eb-thompson, ...
    "uniform": lambda seed: POLICIES["uniform"](config, fitted, seed),
}

# %% Play all in the same markets: a room that is given the same does the same, so differences are those of policies
runs = {
    name: [play(make(seed), config, seed, MINUTES, start_hour=HOUR) for seed in SEEDS]
    for name, make in contestants.items()
}
MEASURES = ("retained", "guaranteed", "negative", "low_quality", "discovered", "gini")
table = {name: [run.measures() for run in played] for name, played in runs.items()}
print("\n" + " " * 12 + "".join(f"{measure:>12}" for measure in MEASURES))
for name, played in table.items():
    print(f"{name:12}" + "".join(f"{np.mean([one[measure] for one in played]):12.4f}" for measure in MEASURES))


# %% In pairs: the difference within each seed, and a 95 % interval over seeds, which are the unit, not viewers
def paired(one, other, measure):
    """Mean difference and half the width of its interval."""
    gaps = np.array([x[measure] - y[measure] for x, y in zip(table[one], table[other], strict=True)])
    return gaps.mean(), t.ppf(0.975, gaps.size - 1) * gaps.std(ddof=1) / np.sqrt(gaps.size)


print()
for one, other in (("allocator", "uniform"), ("allocator", "my Thompson"), ("my Thompson", "scores")):
    for measure in ("retained", "guaranteed"):
        gap, half = paired(one, other, measure)
        verdict = "no difference is shown" if abs(gap) <= half else "more" if gap > 0.0 else "less"
        print(f"{one} - {other}, {measure}: {gap:+.4f} +- {half:.4f}: {verdict}")

# %% Who got the exposures? Tenths of rooms by true quality, which no policy is told, the worst first
print("\nshare of exposures by tenth of true quality, worst to best, %")
for name, played in runs.items():
    shares = np.mean([exposure_by_decile(run) for run in played], axis=0)
    print(f"{name:12}" + "".join(f"{100.0 * share:7.1f}" for share in shares))

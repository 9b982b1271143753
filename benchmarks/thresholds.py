"""How often the intervals of fitted bars cover the true bar of their bucket: `python benchmarks/thresholds.py [fits]`.

A simulated hierarchy of 8 buckets whose means differ a little (standard deviation .15 of the logits), each of 300 to
3,000 rooms of 60 to 300 viewers; half of the variance of the rooms is that of their creators, of three rooms each.
"""

import sys
import time

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from seedbed.allocators.cold_start.bars import percentile_interval, quantile_bars, smooth_populations

LEVEL, BUCKETS, RESAMPLES, PULL = 0.75, 8, 100, 200.0
GRID = np.linspace(-8.0, 8.0, 4_001)
HUMPS = 0.6 * ndtr((GRID + 0.8) / 0.35) + 0.4 * ndtr((GRID - 1.2) / 0.4)
WORLDS = {
    "logit-normal, mean near .25": (0.25, 0.48, lambda u: ndtri(u)),
    "logistic logits, mean near .60": (0.60, 0.30, lambda u: logit(u)),
    "two humps, mean near .25": (0.25, 0.48, lambda u: np.interp(u, HUMPS, GRID)),
    "rare: logit-normal, mean near .02": (0.02, 0.60, lambda u: ndtri(u)),
}
HEAD = ["rates", "bar", "covered at 95 %", "z", "mean error of the bar", "mean width"]


def bucket(rng, world, centre):
    """Counts, creators and the true bar of one bucket."""
    _, deviation, quantile = WORLDS[world]
    size = int(np.exp(rng.uniform(np.log(300), np.log(3_000))))
    of_each = rng.geometric(1 / 3, size)
    creators = np.repeat(np.arange(size), of_each)[:size]
    score = np.sqrt(0.5) * rng.normal(size=size)[creators] + np.sqrt(0.5) * rng.normal(size=size)
    viewers = rng.integers(60, 301, size)
    retained = rng.binomial(viewers, expit(centre + deviation * quantile(ndtr(score))))
    return retained.astype(float), viewers.astype(float), creators, float(expit(centre + deviation * quantile(LEVEL)))


def drawn_to_parent(own, parent, rooms):
    """Quantiles of populations that are mixed with their parent's, sample by sample, `[S]`."""
    found = []
    for s in range(own.weights.shape[1]):
        edges = np.union1d(own.edges, parent.edges)
        parts = [np.interp(edges, p.edges, np.append(0.0, np.cumsum(p.weights[:, s]))) for p in (own, parent)]
        mixed = (rooms * parts[0] + PULL * parts[1]) / (rooms + PULL)
        found.append(np.interp(LEVEL, mixed, edges))
    return np.array(found)


def coverage(world, fits, seed=0):
    """Of the bucket's own bar, as it is fitted, and of one drawn to the parent: [fits x 8] of (hit, error, width)."""
    own_rows, drawn_rows = [], []
    for fit in range(fits):
        rng = np.random.Generator(np.random.PCG64([seed, fit]))
        made = [bucket(rng, world, logit(WORLDS[world][0]) + 0.15 * rng.normal()) for _ in range(BUCKETS)]
        owners = [one[2] + 10_000 * b for b, one in enumerate(made)]
        everyone = np.unique(np.concatenate(owners), return_inverse=True)[1]
        whole = [np.concatenate([one[i] for one in made]) for i in (0, 1)]
        parent = smooth_populations(*whole, everyone, key=fit, resamples=RESAMPLES)
        for b, (events, exposure, creators, truth) in enumerate(made):
            key = 1_000_000 + BUCKETS * fit + b
            own = smooth_populations(events, exposure, creators, key=key, resamples=RESAMPLES)
            for rows, bars in (
                (own_rows, quantile_bars(own, LEVEL)),
                (drawn_rows, drawn_to_parent(own, parent, events.size)),
            ):
                low, high = percentile_interval(bars[1:], 0.95)
                rows.append((low <= truth <= high, bars[0] / truth - 1.0, (high - low) / truth))
    return np.array(own_rows, float), np.array(drawn_rows, float)


def rows(fits):
    """A row a world and construction."""
    table = []
    for world in WORLDS:
        for name, found in zip(("of its own rooms", "drawn to the parent"), coverage(world, fits), strict=True):
            share, error, width = found.mean(axis=0)
            z = (share - 0.95) / np.sqrt(0.95 * 0.05 / len(found))
            table.append([world, name, f"{share:.1%}", f"{z:+.1f}", f"{error:+.2%}", f"{width:.1%}"])
            print(*table[-1], sep=" | ", flush=True)
    return table


if __name__ == "__main__":
    start = time.process_time()
    rows(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
    print(f"{time.process_time() - start:.0f} s of one core")

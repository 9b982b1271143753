"""Do intervals of a rate cover it while rewards are on their way? `python benchmarks/delayed.py [LOGS]`.

Each log has its own exposures, rewards, and delay curve, estimated from ten times as many conversions as there are
rewards to be expected. The horizon is 1; delays beyond it are drawn again, so that p is the rate within it.
"""

import sys

import numpy as np
from scipy.special import betainc

from seedbed.bandits.attribution import DelayCurve, effective

RATES = (0.02, 0.1, 0.3, 0.5, 0.8)
TARGET = 20  # rewards to be expected
CONVERSIONS = 10  # times as many delays for the curve
SHAPES = {
    "exponential": lambda rng, n: rng.exponential(1.0, n),
    "lognormal": lambda rng, n: np.exp(rng.normal(-1.5, 2.0, n)),
    "gift": lambda rng, n: np.where(rng.random(n) < 0.86, 0.0, gift_delays(rng, n)),
}
MIXES = {  # ages of the exposures, in horizons
    "young": lambda rng, n: rng.uniform(0.0, 0.3, n),
    "uniform": lambda rng, n: rng.uniform(0.0, 1.0, n),
    "half": lambda rng, n: rng.uniform(0.0, 2.0, n),
    "burst": lambda rng, n: np.where(rng.random(n) < 0.5, 2.0, rng.uniform(0.0, 0.05, n)),
}
WAYS = ("score", "beta", "likelihood", "without w", "without the curve's error", "naive")
HEAD = ["delay", "ages", "p", *WAYS]


def gift_delays(rng, n):
    """Delays of the gifts that do not come at once: quantiles 2/7, 9/14 and 13/14 as published, of a 3-hour window."""
    at = np.log([1.0, 1_021.0, 3_003.0, 8_617.0, 10_800.0])
    return np.exp(np.interp(rng.random(n), [0.0, 2 / 7, 9 / 14, 13 / 14, 1.0], at)) / 10_800.0


def draw(rng, shape, n):
    """Delays within the horizon, `[n]`."""
    delays = SHAPES[shape](rng, n)
    while (late := delays > 1.0).any():
        delays[late] = SHAPES[shape](rng, int(late.sum()))
    return delays


def coverage(shape, mix, p, logs, seed, target=TARGET, conversions=CONVERSIONS, level=0.95, likelihood=False):
    """Share of the logs whose interval holds p, by way."""
    rng = np.random.default_rng([seed, list(SHAPES).index(shape), list(MIXES).index(mix), round(1_000 * p)])
    long_run = np.sort(draw(rng, shape, 100_000))
    old = MIXES[mix](rng, 100_000)
    shown = int(np.ceil(target / (p * np.searchsorted(long_run, old, side="right").mean() / long_run.size)))
    hits, tail = dict.fromkeys(WAYS, 0), (1.0 - level) / 2.0
    for _ in range(logs):
        ages = MIXES[mix](rng, shown)
        came = (rng.random(shown) < p) & (draw(rng, shape, shown) <= ages)
        curve = DelayCurve.fit(draw(rng, shape, conversions * target), 1.0)
        s, known = int(came.sum()), effective(ages, came, curve, level=level)
        a, b = known.evidence
        hits["score"] += known.lower <= p <= known.upper
        hits["beta"] += tail <= betainc(1.0 + a, 1.0 + b, p) <= 1.0 - tail
        n = known.n_eff
        hits["without w"] += tail <= betainc(1.0 + s, 1.0 + max(n - s, 0.0), p) <= 1.0 - tail
        sure = p_shrunk(s, n)
        w = (1.0 - sure) / (1.0 - sure * known.F2)
        rough = betainc(1.0 + w * s, 1.0 + w * max(n - s, 0.0), p)
        hits["without the curve's error"] += tail <= rough <= 1.0 - tail
        hits["naive"] += tail <= betainc(1.0 + s, 1.0 + shown - s, p) <= 1.0 - tail
        if likelihood:
            exact = effective(ages, came, curve, level=level, method="likelihood")
            hits["likelihood"] += exact.lower <= p <= exact.upper
    return {way: number / logs for way, number in hits.items()}


def p_shrunk(s, n):
    """The estimate that stands in the weight."""
    return (1.0 + s) / (2.0 + max(n, s))


def rows(logs, progress=lambda cells, _: cells):
    """Coverage of every shape, mix and rate; seed 2026."""
    cells = [(shape, mix, p) for shape in SHAPES for mix in MIXES for p in RATES]
    found = []
    for shape, mix, p in progress(cells, "delayed rewards"):
        covered = coverage(shape, mix, p, logs, 2026, likelihood=mix == "young")  # the slow one where it matters
        shares = [f"{covered[way]:.1%}" if way != "likelihood" or mix == "young" else "-" for way in WAYS]
        found.append([shape, mix, p, *shares])
    return found


def text(found):
    """What the rows say: the range of each way over all cells."""
    lines = []
    for i, way in enumerate(WAYS):
        values = [float(row[3 + i].rstrip("%")) for row in found if row[3 + i] != "-"]
        lines.append(f"{way}: {min(values):.1f} to {max(values):.1f} %")
    return "; ".join(lines)


if __name__ == "__main__":
    found = rows(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
    for line in [HEAD, *found]:
        print(" | ".join(map(str, line)))
    print(text(found))

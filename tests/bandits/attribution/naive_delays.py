"""Product-limit estimators and posteriors, term by term from their definitions."""

import math


def share_within(delays, ages, horizon, t):
    """Lagakos et al. (1988): the product over the delays u in (t, horizon] of 1 - d(u) / Y(u)."""
    pairs = [(d, min(a, horizon)) for d, a in zip(delays, ages, strict=True) if d <= horizon]
    if t < min(d for d, _ in pairs):
        return 0.0
    share = 1.0
    for u in {d for d, _ in pairs if d > t}:
        died = sum(d == u for d, _ in pairs)
        share *= 1.0 - died / sum(d <= u <= a for d, a in pairs)
    return share


def survival(durations, observed, horizon, t):
    """Kaplan and Meier (1958), rewards after the horizon left out."""
    left = 1.0
    for u in {d for d, o in zip(durations, observed, strict=True) if o and d <= min(t, horizon)}:
        died = sum(d == u and o for d, o in zip(durations, observed, strict=True))
        left *= 1.0 - died / sum(d >= u for d in durations)
    return left


def effective(ages, curve, s, prior):
    """N, F2 and w with a curve that is known for certain."""
    shares = [curve(a) for a in ages]
    n = sum(shares)
    f2 = sum(f * f for f in shares) / n
    p = (prior[0] + s) / (prior[0] + prior[1] + max(n, s))
    return n, f2, (1 - p) / (1 - p * f2)


def likelihood_quantiles(shares, rewarded, prior, level, points=200_001):
    """Mean and quantiles of the posterior under prod (p F)^s (1 - p F)^(n - s), midpoints of a grid of p."""
    grid = [(i + 0.5) / points for i in range(points)]
    logs = []
    for p in grid:
        log = (prior[0] - 1) * math.log(p) + (prior[1] - 1) * math.log1p(-p)
        for f, s in zip(shares, rewarded, strict=True):
            log += math.log(p * f) if s else math.log1p(-p * f)
        logs.append(log)
    top = max(logs)
    weights = [math.exp(log - top) for log in logs]
    total, so_far, quantiles = sum(weights), 0.0, []
    for p, weight in zip(grid, weights, strict=True):
        so_far += weight
        while len(quantiles) < 2 and so_far >= total * ((1 - level) / 2, (1 + level) / 2)[len(quantiles)]:
            quantiles.append(p)
    return sum(p * w for p, w in zip(grid, weights, strict=True)) / total, *quantiles

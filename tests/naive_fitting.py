"""Thresholds from history in plain Python, from the mathematics."""

import math


def likelihood(x, n, rate, rates=False):
    """Of one member's counts, without what does not depend on the rate."""
    if rates:
        return math.exp(x * math.log(rate) - n * rate)
    return math.exp(x * math.log(rate) + (n - x) * math.log(1.0 - rate))


def log_likelihood(events, exposure, support, weights, rates=False):
    """Mean over members."""
    total = 0.0
    for x, n in zip(events, exposure, strict=True):
        total += math.log(sum(w * likelihood(x, n, p, rates) for p, w in zip(support, weights, strict=True)))
    return total / len(events)


def gain(events, exposure, support, weights, rate, rates=False):
    """Directional derivative of the log-likelihood towards one rate."""
    total = 0.0
    for x, n in zip(events, exposure, strict=True):
        mixture = sum(w * likelihood(x, n, p, rates) for p, w in zip(support, weights, strict=True))
        total += likelihood(x, n, rate, rates) / mixture
    return total / len(events) - 1.0


def em(events, exposure, times, support, weights, steps, rates=False):
    """Steps of EM for members that each count `times` times."""
    weights = list(weights)
    for _ in range(steps):
        fresh = [0.0] * len(weights)
        for x, n, t in zip(events, exposure, times, strict=True):
            parts = [w * likelihood(x, n, p, rates) for p, w in zip(support, weights, strict=True)]
            for j, part in enumerate(parts):
                fresh[j] += t * part / sum(parts)
        weights = [w / sum(times) for w in fresh]
    return weights


def renewal_reward(support, weights, bar, n, length):
    """Reward an exposure where rooms above the bar are kept: the formula as it is published."""
    mean = sum(p * w for p, w in zip(support, weights, strict=True))
    above = [(p, w) for p, w in zip(support, weights, strict=True) if p >= bar]
    share = sum(w for _, w in above)
    kept = sum(p * w for p, w in above)
    return (n * mean + (length - n) * kept) / (n + share * (length - n))


def dersimonian_laird(values, variances):
    """tau^2 without regressors, and the shrunk values."""
    w = [1.0 / v for v in variances]
    mean = sum(a * b for a, b in zip(w, values, strict=True)) / sum(w)
    q = sum(a * (b - mean) ** 2 for a, b in zip(w, values, strict=True))
    tau2 = max(0.0, (q - (len(values) - 1)) / (sum(w) - sum(a * a for a in w) / sum(w)))
    w = [1.0 / (v + tau2) for v in variances]
    mean = sum(a * b for a, b in zip(w, values, strict=True)) / sum(w)
    return tau2, [(tau2 * y + v * mean) / (tau2 + v) for y, v in zip(values, variances, strict=True)]

"""Off-policy estimators as the papers write them, in plain Python; an unlimited weight is None."""

import math
from itertools import product


def ips(rewards, propensities, target, clip=None):
    """(1 / n) sum min(pi / mu, clip) r."""
    return sum(cut(p / m, clip) * r for r, m, p in zip(rewards, propensities, target, strict=True)) / len(rewards)


def snips(rewards, propensities, target, clip=None):
    weights = [cut(p / m, clip) for m, p in zip(propensities, target, strict=True)]
    return sum(w * r for w, r in zip(weights, rewards, strict=True)) / sum(weights)


def cut(weight, clip):
    return weight if clip is None or weight <= clip else clip


def dm(target, model):
    return sum(sum(p * q for p, q in zip(*row, strict=True)) for row in zip(target, model, strict=True)) / len(target)


def corrections(rewards, action, propensities, target, model, clip=None):
    """(w, r - q) of each row."""
    rows = zip(rewards, action, propensities, target, model, strict=True)
    return [(cut(pi[a] / m, clip), r - q[a]) for r, a, m, pi, q in rows]


def dr(rewards, action, propensities, target, model, clip=None):
    pairs = corrections(rewards, action, propensities, target, model, clip)
    return dm(target, model) + sum(w * e for w, e in pairs) / len(rewards)


def sndr(rewards, action, propensities, target, model, clip=None):
    pairs = corrections(rewards, action, propensities, target, model, clip)
    return dm(target, model) + sum(w * e for w, e in pairs) / sum(w for w, _ in pairs)


def switch_dr(rewards, action, propensities, target, model, tau):
    pairs = corrections(rewards, action, propensities, target, model)
    return dm(target, model) + sum(w * e for w, e in pairs if w <= tau) / len(rewards)


def dr_os(rewards, action, propensities, target, model, lambda_):
    pairs = corrections(rewards, action, propensities, target, model)
    return dm(target, model) + sum(lambda_ * w / (w * w + lambda_) * e for w, e in pairs) / len(rewards)


def effective_sample_size(weights):
    return sum(weights) ** 2 / sum(w * w for w in weights)


def slope(target, model, pairs, shrink, grid):
    """Su et al. (2020): the least limit, from the largest down, whose interval still meets all those before it."""
    base = [sum(p * q for p, q in zip(*row, strict=True)) for row in zip(target, model, strict=True)]
    intervals, chosen = [], None
    for limit in grid:
        terms = [b + shrink(w, limit) * e for b, (w, e) in zip(base, pairs, strict=True)]
        reach = 2 * 1.96 * math.sqrt(variance(terms) / len(terms))
        intervals.append((mean(terms) - reach, mean(terms) + reach))
        if max(low for low, _ in intervals) > min(high for _, high in intervals):
            return chosen
        chosen = limit
    return chosen


def mean(values):
    return sum(values) / len(values)


def variance(values):
    """With n below."""
    middle = mean(values)
    return sum((v - middle) ** 2 for v in values) / len(values)


def hall(values, quantile):
    """Hall's interval of a mean by bisection of his cubic, at +-`quantile`."""
    n, middle = len(values), mean(values)
    deviation = math.sqrt(variance(values))
    skew = mean([(v - middle) ** 3 for v in values]) / deviation**3 / math.sqrt(n)
    skew *= ((n - 1) / n) ** 1.5  # of the deviation with n - 1 below
    error = deviation / math.sqrt(n - 1)

    def transformed(t):
        return t + skew * t * t / 3 + skew * skew * t**3 / 27 + skew / 6

    def inverse(x):
        low, high = -1e6, 1e6
        for _ in range(200):
            half = (low + high) / 2
            low, high = (half, high) if transformed(half) < x else (low, half)
        return low

    return middle - error * inverse(quantile), middle - error * inverse(-quantile)


def worlds(contexts, logging, reward):
    """Every log of one decision a context: its chance, arms and rewards. Bernoulli rewards `reward[context][arm]`."""
    sizes = [range(len(logging[c])) for c in contexts]
    for arms in product(*sizes):
        for rewards in product((0, 1), repeat=len(contexts)):
            chance = 1.0
            for c, a, r in zip(contexts, arms, rewards, strict=True):
                chance *= logging[c][a] * (reward[c][a] if r else 1 - reward[c][a])
            yield chance, arms, rewards

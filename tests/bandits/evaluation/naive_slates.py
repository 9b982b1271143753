"""Slates by enumeration: every slate of a small world, its probability and its mean reward."""

from itertools import permutations

import numpy as np


def chances(weights, length):
    """Plackett-Luce: the probability of every ordered slate, `{slate: [p of each arm given those above]}`."""
    out = {}
    for slate in permutations(range(len(weights)), length):
        steps, left = [], sum(weights)
        for arm in slate:
            steps.append(weights[arm] / left)
            left -= weights[arm]
        out[slate] = steps
    return out


def marginals(slates, n_arms, length):
    """P(arm at position), `[length, n_arms]`."""
    q = np.zeros((length, n_arms))
    for slate, steps in slates.items():
        for place, arm in enumerate(slate):
            q[place, arm] += np.prod(steps)
    return q


def pseudo_inverse_weights(q, n_arms, length):
    """`q' pinv(G) s` of every slate under uniform logging, by numpy's pinv of the whole matrix."""
    slates = list(permutations(range(n_arms), length))
    indicators = np.zeros((len(slates), length * n_arms))
    for i, slate in enumerate(slates):
        for place, arm in enumerate(slate):
            indicators[i, place * n_arms + arm] = 1.0
    second = indicators.T @ indicators / len(slates)
    return slates, indicators @ np.linalg.pinv(second, rcond=1e-10) @ q.reshape(-1)

"""Requests made by hand, for constraints without a bandit."""

import numpy as np

from seedbed.bandits._random import uid64
from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Exposure, Feedback, Request


def described(capacity, **values):
    """Attributes of arms; None for an arm without one."""
    attributes = Attributes(capacity)
    for name, given in values.items():
        for column, value in enumerate(given):
            if value is not None:
                attributes.set(np.array([column]), attributes.checked({name: value}, 1))
    return attributes


def asked(columns, attributes=None, *, ids=None, viewer=None, now=0.0, k=1, key=7, means=None):
    """A request for candidates, whose ids are their columns where no other are given."""
    columns = np.array(columns, np.int64)
    names = columns.tolist() if ids is None else ids
    uids = np.array([uid64(id) for id in names], np.uint64)
    attributes = Attributes(int(columns.max(initial=-1)) + 1) if attributes is None else attributes
    return Request(columns, uids, k, now, key, viewer or {}, attributes, means or (lambda: np.full(columns.size, 0.5)))


def served(request, *positions, number=0):
    """The exposure of some of the candidates."""
    return Exposure(number, request, np.array(positions, np.int64))


def told(columns, rewards=None, *, weights=None, metrics=None, at=0.0):
    """Feedback on arms."""
    columns = np.array(columns, np.int64)
    rewards = np.zeros(columns.size) if rewards is None else np.array(rewards, np.float64)
    weights = np.ones(columns.size) if weights is None else np.array(weights, np.float64)
    metrics = {name: np.array(values, np.float64) for name, values in (metrics or {}).items()}
    return Feedback(columns, rewards, weights, {}, metrics, None, at)

"""Requests and what comes of them, for tests of single constraints."""

import numpy as np

from seedbed.bandits._random import uid64
from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Exposure, Feedback, Request


def attributes_of(size, **values):
    """Attributes of `size` arms."""
    attributes = Attributes(size)
    attributes.set(np.arange(size), attributes.checked(values, size))
    return attributes


def request_of(columns, k=1, attributes=None, now=0.0, key=1):
    """A request of candidates by column."""
    columns = np.array(columns, np.int64)
    uids = np.array([uid64(int(column)) for column in columns], np.uint64)
    attributes = Attributes(int(columns.max(initial=0)) + 1) if attributes is None else attributes
    return Request(columns, uids, k, now, key, {}, attributes, lambda: np.zeros(columns.size))


def exposure_of(request, *positions):
    return Exposure(0, request, np.array(positions, np.int64))


def feedback_of(columns, at=0.0, weights=None, **metrics):
    """Feedback of columns, with metrics."""
    columns = np.array(columns, np.int64)
    ones = np.ones(columns.size)
    weights = ones if weights is None else np.array(weights, float)
    values = {name: np.array(value, float) for name, value in metrics.items()}
    return Feedback(columns, 0.0 * ones, weights, {}, values, None, at)

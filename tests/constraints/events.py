"""Requests and feedback for tests of single constraints."""

import numpy as np

from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Feedback, Request

K = 4


def request(columns=range(K), viewer=None):
    columns = np.array(columns, np.int64)
    return Request(columns, columns.astype(np.uint64), 1, 0.0, 7, viewer or {}, Attributes(K), lambda: np.zeros(K))


def feedback(columns, weights=1.0, **metrics):
    size = len(columns)
    given = {name: np.broadcast_to(np.asarray(values, float), size).copy() for name, values in metrics.items()}
    weights = np.broadcast_to(np.asarray(weights, float), size).copy()
    return Feedback(np.array(columns, np.int64), np.zeros(size), weights, {}, given, None, 0.0)

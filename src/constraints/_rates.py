"""Rates of named metrics: a Beta posterior of each metric and arm, from feedback."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bandits._numba import kernel
from ..bandits._random import fold_in, uniform
from ..bandits._special import beta_logit_quantile
from ..bandits.checkpoint import require
from .base import Columns, Feedback, Floats

Prior = tuple[float, float]


class RatesState(NamedTuple):
    """What is known of M metrics of K arms.

    counts: `[2 M, K]`, for each metric: weighted sum of its values, and of 1 - its values; without the prior.
    """

    counts: Floats


def tell(state: RatesState, names: tuple[str, ...], feedback: Feedback) -> None:
    """Take in the metrics that came back."""
    for i, name in enumerate(names):
        values = feedback.metrics.get(name)
        if values is not None:
            add(state.counts, i, feedback.columns, values, feedback.weights)


def check_proportions(names: tuple[str, ...], metrics: Mapping[str, Floats]) -> None:
    """Refuse values of metrics outside [0, 1]."""
    for name in names:
        values = metrics.get(name)
        i = -1 if values is None else first_outside(values)
        if values is not None and i >= 0:
            raise ValueError(f"metrics[{name!r}][{i}] = {values[i]} is not a proportion, in [0, 1]")


def check_rates(state: RatesState) -> None:
    """Refuse loaded counts that are negative, or larger than any history of weights makes them."""
    fits = (state.counts >= 0.0) & (state.counts <= 1e30)
    require(bool(fits.all()), "a count of a metric is negative, or out of range")


def means(state: RatesState, index: int, columns: Columns, prior: Prior) -> Floats:
    """Posterior means of a metric, `[C]`."""
    out = np.empty(columns.size)
    write_means(state.counts, index, columns, *prior, out)
    return out


def name_key(name: str) -> int:
    """63-bit name of a metric, under which its draws are keyed: the same whatever other metrics there are."""
    digest = blake2b(name.encode(), digest_size=8, person=b"seedbed-metric")
    return int.from_bytes(digest.digest(), "little") >> 1


@kernel
def first_outside(values: Floats) -> int:
    """Position of the first value that is not in [0, 1]; -1 for none."""
    for i in range(values.size):
        if not 0.0 <= values[i] <= 1.0:
            return i
    return -1


@kernel
def write_means(counts: Floats, index: int, columns: Columns, prior_yes: float, prior_no: float, out: Floats) -> None:
    """Write posterior means of a metric."""
    for i in range(columns.size):
        yes = prior_yes + counts[2 * index, columns[i]]
        out[i] = yes / (yes + prior_no + counts[2 * index + 1, columns[i]])


@kernel
def add(counts: Floats, index: int, columns: Columns, values: Floats, weights: Floats) -> None:
    """Add the values of one metric."""
    for i in range(columns.size):
        counts[2 * index, columns[i]] += weights[i] * values[i]
        counts[2 * index + 1, columns[i]] += weights[i] * (1.0 - values[i])


@kernel
def draw(
    counts: Floats,
    index: int,
    columns: Columns,
    uids: NDArray[np.uint64],
    prior_yes: float,
    prior_no: float,
    key: int,
    name: int,
    out: Floats,
) -> None:
    """Write the logit of one draw from the posterior of each candidate."""
    own = fold_in(key, name)
    for i in range(columns.size):
        yes = prior_yes + counts[2 * index, columns[i]]
        no = prior_no + counts[2 * index + 1, columns[i]]
        out[i] = beta_logit_quantile(yes, no, uniform(own, uids[i], 0))


def drawn(state: RatesState, index: int, request: Any, prior: Prior, name: str) -> Floats:
    """Logits of keyed draws of a metric, `[C]`."""
    out = np.empty(request.columns.size)
    draw(state.counts, index, request.columns, request.uids, *prior, request.key, name_key(name), out)
    return out

"""All rules behind one number, for loops that are compiled whole: many requests in one call, and simulation."""

import numpy as np

from .._numba import free_kernel
from .._table import Handles, Table, Uids
from ..models._linear_cells import fill_any
from ._gammas import gamma_best
from .bayes_ucb import bayes_ucb_best
from .epsilon_greedy import epsilon_greedy_best
from .exp3 import exp3_best
from .kl_ucb import kl_ucb_best
from .linear import lin_ucb_best
from .thompson import thompson_best
from .top_two import top_two_best
from .ucb1 import ucb1_best


@free_kernel
def rank(
    rule: int,
    table: Table,
    handles: Handles,
    uids: Uids,
    key: int,
    version: float,
    now: float,
    x: float,
    y: float,
    positions: Handles,
    scores: Table,
) -> int:
    """Run the kernel `best` of the rule with this number."""
    if rule == 0:
        return thompson_best(table, handles, uids, key, version, now, x, y, positions, scores)
    if rule == 1:
        return ucb1_best(table, handles, uids, key, version, now, x, y, positions, scores)
    if rule == 2:
        return kl_ucb_best(table, handles, uids, key, version, now, x, y, positions, scores)
    if rule == 3:
        return bayes_ucb_best(table, handles, uids, key, version, now, x, y, positions, scores)
    if rule == 4:
        return epsilon_greedy_best(table, handles, uids, key, version, now, x, y, positions, scores)
    if rule == 5:
        return exp3_best(table, handles, uids, key, version, now, x, y, positions, scores)
    if rule == 6:
        return top_two_best(table, handles, uids, key, version, now, x, y, positions, scores)
    if rule == 7:
        return lin_ucb_best(table, handles, uids, key, version, now, x, y, positions, scores)
    return gamma_best(table, handles, uids, key, version, now, x, y, positions, scores)


@free_kernel
def rank_many(
    rule: int,
    table: Table,
    handles: Handles,
    starts: Handles,
    stops: Handles,
    uids: Uids,
    keys: Handles,
    version: float,
    x: float,
    y: float,
    positions: Handles,
    scores: Table,
) -> None:
    """Rank n requests on a private table; request i has the candidates `handles[starts[i]:stops[i]]`.

    positions, scores: `[n, k]`; a request with fewer candidates than k fills as many.
    """
    for i in range(starts.size):
        candidates = handles[starts[i] : stops[i]]
        k = min(positions.shape[1], candidates.size)
        if k > 0:
            found, points = positions[i][:k], scores[i][:k]
            rank(rule, table, candidates, uids, keys[i], version, 0.0, x, y, found, points)


@free_kernel
def rank_many_linear(
    rule: int,
    table: Table,
    blocks: Table,
    shared: Table,
    uids: Uids,
    handles: Handles,
    starts: Handles,
    stops: Handles,
    contexts: Table,
    first_row: Handles,
    last_row: Handles,
    features: int,
    ridge: float,
    width: float,
    draws: bool,
    model: int,
    keys: Handles,
    now: float,
    x: float,
    y: float,
    work: Table,
    positions: Handles,
    scores: Table,
) -> None:
    """The same for a linear model: work is a private table of derived rows, wide enough for each request."""
    every = np.arange(work.shape[1] - 1)
    names = np.empty(every.size, np.uint64)
    for i in range(starts.size):
        candidates = handles[starts[i] : stops[i]]
        k = min(positions.shape[1], candidates.size)
        if k == 0:
            continue
        rows = contexts[first_row[i] : last_row[i]]
        fill_any(model, table, blocks, shared, candidates, rows, features, ridge, keys[i], now, width, draws, work)
        for j in range(candidates.size):
            names[j] = uids[candidates[j]]
        found, points = positions[i][:k], scores[i][:k]
        rank(rule, work, every[: candidates.size], names, keys[i], 0.0, 0.0, x, y, found, points)

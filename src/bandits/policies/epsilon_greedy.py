"""Epsilon-greedy: mostly the highest posterior mean, sometimes any arm."""

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from .._beliefs import refresh
from .._families import mean_of
from .._numba import free_kernel, kernel
from .._random import uniform
from .._table import FAMILY, OK, STALE, Handles, P, Q, R, Table, Uids
from ..models import AnyModel, Beta
from ._base import Policy
from ._top import rank_values

_COIN = 0x5EED_C014  # name under which the coins of the slots are keyed, beside the arms'


class EpsilonGreedy(Policy):
    """Fill each slot with the best arm left, or with probability epsilon with any arm left.

    The best is that of the highest posterior mean. Each slot of a slate has its own coin, so that epsilon never makes a
    whole list random. `P(i) = epsilon / C + (1 - epsilon) [i is best]` for one slot.

    Parameters
    ----------
    epsilon
        Probability that a slot explores, in [0, 1].
    model
        What is believed of each arm: any model.

    Examples
    --------
    >>> from seedbed.bandits import Bandit, EpsilonGreedy
    >>> bandit = Bandit(EpsilonGreedy(epsilon=0.1), arms=["a", "b"])
    >>> bandit.update("a", 1.0)
    >>> bandit.propensities().round(6).tolist()
    [0.95, 0.05]
    """

    kind: Literal["epsilon_greedy"] = "epsilon_greedy"
    epsilon: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    model: Annotated[AnyModel, Field(discriminator="kind")] = Beta()

    @property
    def numbers(self) -> tuple[float, float]:
        """Epsilon."""
        return self.epsilon, 0.0

    @property
    def rule(self) -> int:
        """Number of the rule in `_rank`."""
        return 4

    @property
    def best(self) -> Any:
        """Kernel that writes positions and scores of the k chosen candidates and answers a status."""
        return epsilon_greedy_best

    @property
    def scores(self) -> Any:
        """Kernel that writes the posterior mean of every candidate."""
        return mean_scores

    @property
    def best_of(self) -> Any:
        """Kernel that fills the slots by given scores."""
        return fill_slots

    def inclusion(self, beliefs: Table, family: int, uids: Uids, k: int) -> Table:
        """Probability that each candidate is among the k chosen, `[C]`."""
        return self.priced_inclusion(beliefs, family, uids, np.ones(uids.size), np.zeros(uids.size), k)

    def priced_inclusion(self, beliefs: Table, family: int, uids: Uids, scales: Table, offsets: Table, k: int) -> Table:
        """The same where the best is that of the highest `scale_i mean_i - offset_i`."""
        means = np.empty(beliefs.shape[1])
        _means(family, beliefs, means)
        order = np.lexsort((uids, -(scales * means - offsets)))
        out = np.empty(means.size)
        by_rank = np.empty(means.size)
        _inclusion_by_rank(self.epsilon, k, by_rank)
        out[order] = by_rank
        return out


@free_kernel
def _means(family: int, beliefs: Table, out: Table) -> None:
    for i in range(out.size):
        out[i] = mean_of(family, beliefs[0, i], beliefs[1, i], beliefs[2, i])


@free_kernel
def _inclusion_by_rank(epsilon: float, k: int, out: Table) -> None:
    """Probability that the arm of each rank is taken: `left[m]` is that of m better arms left and it not yet taken."""
    count = out.size
    for rank in range(count):
        left = np.zeros(count + 1)
        left[rank] = 1.0
        for slot in range(k):
            remaining = count - slot
            after = np.zeros(count + 1)
            for better in range(max(0, rank - slot), min(rank, remaining - 1) + 1):
                worse = remaining - 1 - better
                any_arm = left[better] * epsilon / remaining
                if worse > 0:
                    after[better] += any_arm * worse
                if better > 0:
                    after[better - 1] += any_arm * better + left[better] * (1.0 - epsilon)
            left = after
        out[rank] = 1.0 - left.sum()


@kernel
def _mean_scores(table: Table, handles: Handles, out: Table) -> None:
    family = int(table[FAMILY, -1])
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        out[i] = mean_of(family, table[P, column], table[Q, column], table[R, column])


@kernel
def mean_scores(
    table: Table, handles: Handles, uids: Uids, key: int, version: float, now: float, x: float, y: float, out: Table
) -> int:
    """Write the posterior mean of each candidate."""
    if not refresh(table, handles, version, now):
        return STALE
    _mean_scores(table, handles, out)
    return OK


@kernel
def epsilon_greedy_best(
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
    """Fill the slots one after the other; x is epsilon."""
    if not refresh(table, handles, version, now):
        return STALE
    means = np.empty(handles.size)
    _mean_scores(table, handles, means)
    fill_slots(handles, uids, key, x, y, means, positions, scores)
    return OK


@kernel
def fill_slots(
    handles: Handles, uids: Uids, key: int, x: float, y: float, values: Table, positions: Handles, scores: Table
) -> None:
    """Fill each slot with the candidate of the highest value left, or with probability x with any."""
    rank_values(handles, uids, key, x, y, values, positions, scores)
    greedy = positions.copy()
    is_taken = np.zeros(handles.size, np.bool_)
    following = 0
    for slot in range(positions.size):
        if uniform(key, _COIN, slot) < x:
            chosen = _any_left(handles, uids, key, slot, is_taken)
        else:
            while is_taken[greedy[following]]:
                following += 1
            chosen = greedy[following]
        is_taken[chosen] = True
        positions[slot] = chosen
        scores[slot] = values[chosen]


@kernel
def _any_left(handles: Handles, uids: Uids, key: int, slot: int, is_taken: NDArray[np.bool_]) -> int:
    """Position of the untaken candidate whose uniform of this slot is the highest."""
    chosen = 0
    highest = -1.0
    for i in range(handles.size):
        if not is_taken[i]:
            u = uniform(key, uids[handles[i] & 0xFFFF_FFFF], 1 + slot)
            if u > highest:
                highest = u
                chosen = i
    return chosen

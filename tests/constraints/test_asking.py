import numpy as np
import pytest

from seedbed.bandits import Bandit, Beta, Linear, Thompson
from seedbed.constraints import Constrained, Eligibility
from seedbed.constraints._asking import masked, query
from seedbed.constraints.base import Request


@pytest.mark.parametrize("rows", [0, 1, 6])
@pytest.mark.parametrize("blocked", [[], [1, 4]])
def test_the_means_of_some_are_those_among_all(rows, blocked):
    """With contexts of each candidate, one for all, and none; of some, of all in another order, and of none."""
    rng = np.random.default_rng(3)
    contexts = rng.normal(size=(rows, 2)) if rows else None
    ranker = Constrained(
        Bandit(Thompson(model=Linear(n_features=2) if rows else Beta()), range(6), seed=1), [Eligibility()]
    )
    for arm in range(6):
        for _ in range(arm + 1):
            ranker.update(arm, float(rng.random() < 0.8), context=rng.normal(size=2) if rows else None)
    ranker.block(blocked)
    context = contexts[0] if rows == 1 else contexts
    request = masked(ranker, ranker._chain, query(ranker, None, 1, context, None, {})).request
    everyone = request.means()
    assert everyone.size == 6 - len(blocked) == np.unique(everyone).size
    for positions in ([2], [3, 0], list(reversed(range(everyone.size))), []):
        found = request.means_of(np.array(positions, np.int64))
        np.testing.assert_array_equal(found, everyone[positions])


def test_means_that_only_come_together_are_picked_from():
    columns = np.arange(3)
    request = Request(columns, columns.astype(np.uint64), 1, 0.0, 0, {}, None, lambda: np.array([0.1, 0.2, 0.3]))
    assert request.means_of(np.array([2, 0])).tolist() == [0.3, 0.1]

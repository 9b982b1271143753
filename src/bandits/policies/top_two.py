"""Top-two Thompson sampling: find the best arm soon, by giving its strongest rival a turn."""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from .._beliefs import refresh
from .._numba import kernel
from .._random import fold_in, uniform
from .._table import OK, STALE, Handles, Table, Uids
from ..models import AnyModel, Beta
from ..propensity import inclusion, pairs
from ._base import Policy
from ._lazy import lazy_best
from .thompson import thompson_scores

_COIN = 0x5EED_C014  # name under which the coin of a slot is keyed, beside the arms'


class TopTwo(Policy):
    """Choose the best arm of a posterior draw, or with probability 1 - beta the best of another draw that is not it.

    Draws are repeated until another arm is best, `rounds` times at most; then the second best of the last one is taken.
    Each further slot of a slate is such a choice among the arms left.

    Parameters
    ----------
    beta
        Probability of the leader, in (0, 1].
    rounds
        Most draws for a rival, >= 1.
    model
        What is believed of each arm: any model.

    References
    ----------
    .. [1] D. Russo (2020), "Simple Bayesian algorithms for best-arm identification", Operations Research 68.

    Examples
    --------
    With two arms and beta = 1/2, either is chosen half the time, whatever is believed:

    >>> from seedbed.bandits import Bandit, TopTwo
    >>> bandit = Bandit(TopTwo(), arms=["a", "b"])
    >>> bandit.update(["a", "b"], [1.0, 0.0], weight=50.0)
    >>> bandit.propensities().round(6).tolist()
    [0.5, 0.5]
    """

    kind: Literal["top_two"] = "top_two"
    beta: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    rounds: Annotated[int, Field(ge=1, le=10_000)] = 100
    model: Annotated[AnyModel, Field(discriminator="kind")] = Beta()

    draws = True

    @property
    def numbers(self) -> tuple[float, float]:
        """Probability of the leader, and rounds."""
        return self.beta, float(self.rounds)

    @property
    def rule(self) -> int:
        """Number of the rule in `_rank`."""
        return 6

    @property
    def best(self) -> Any:
        """Kernel that writes positions and scores of the k chosen candidates and answers a status."""
        return top_two_best

    @property
    def scores(self) -> Any:
        """Kernel that writes the draw of every candidate, in which the first slot's leader is the highest."""
        return thompson_scores

    @property
    def best_of(self) -> None:
        """No kernel: the choice is no ranking."""
        return None

    def check_exact(self, k: int, candidates: int) -> None:
        """Refuse slates, but of all candidates."""
        if 1 < k < candidates:
            raise ValueError(f"top-two Thompson has exact propensities for 1 slot or all {candidates}, not for k = {k}")

    def inclusion(self, beliefs: Table, family: int, uids: Uids, k: int) -> Table:
        """Probability that each candidate is chosen, `[C]`.

        With p_j = P(j best) and s_ji = P(j best, i second), over R rounds:
        `P(i) = beta p_i + (1 - beta) sum_j p_j (p_i (1 + p_j + ... + p_j^(R-1)) + p_j^(R-1) s_ji)`, j other than i.
        """
        count = beliefs.shape[1]
        if k == count:
            return np.ones(count)
        best = inclusion(family, beliefs, 1)
        last = best ** (self.rounds - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            tries = np.where(best < 1.0, (1.0 - best**self.rounds) / (1.0 - best), float(self.rounds))
        rivals = best[:, None] * (tries[:, None] * best[None, :] + last[:, None] * pairs(family, beliefs))
        np.fill_diagonal(rivals, 0.0)
        out: Table = self.beta * best + (1.0 - self.beta) * rivals.sum(axis=0)
        return out


@kernel
def top_two_best(
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
    """Fill the slots one after the other; x is the probability of the leader, y the number of rounds."""
    if not refresh(table, handles, version, now):
        return STALE
    rest = handles.copy()  # of which the first `count` are left, `place` their positions
    place = np.arange(handles.size)
    leader, rivals = np.empty(1, np.int64), np.empty(2, np.int64)
    score, rival_scores = np.empty(1), np.empty(2)
    count = handles.size
    for slot in range(positions.size):
        base = key if slot == 0 else fold_in(key, -slot)
        left = rest[:count]
        is_dense = slot == 0 and version >= 0.0
        lazy_best(table, left, uids, base, 0.0, is_dense, leader, score)
        chosen = leader[0]
        if count > 1 and uniform(base, _COIN, 0) >= x:
            for turn in range(int(y)):
                lazy_best(table, left, uids, fold_in(base, 1 + turn), 0.0, is_dense, rivals, rival_scores)
                if rivals[0] != leader[0]:
                    break
            j = 0 if rivals[0] != leader[0] else 1
            chosen, score[0] = rivals[j], rival_scores[j]
        positions[slot] = place[chosen]
        scores[slot] = score[0]
        for i in range(chosen, count - 1):  # close the gap, so that the order stays
            rest[i] = rest[i + 1]
            place[i] = place[i + 1]
        count -= 1
    return OK

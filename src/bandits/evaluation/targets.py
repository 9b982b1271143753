"""What a policy would choose: the probabilities that it is evaluated by."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._inputs import checked_int
from .._random import ArmId
from ..bandit import Bandit


def rank_probabilities(
    bandit: Bandit,
    k: int,
    candidates: Iterable[ArmId] | None = None,
    *,
    context: Any = None,
    now: float | None = None,
) -> NDArray[np.float64]:
    """Probability that each candidate stands at each position of a slate of k, `[C, k]`; exact, and changes nothing.

    `P(i at position l) = P(i among the l + 1 best) - P(i among the l best)`: every rule fills a slate from the top
    down, whatever its length. The target of a log with positions `[n]`, counted from 0, is
    `rank_probabilities(bandit, k)[:, positions].T`.

    Parameters
    ----------
    bandit
        The policy to evaluate, with what it believes.
    k
        Length of the slate, 1 to C.
    candidates, context, now
        As for `Bandit.propensities`, to which lines and their order belong.

    Returns
    -------
    array of float, [C, k]
        Columns sum to one. Within 1e-6, as `Bandit.propensities`.

    Raises
    ------
    UnknownArmError, ValueError
        As `Bandit.propensities`, where the rule has no exact propensities for slates of 1 to k.

    Examples
    --------
    Three arms of which nothing is known stand anywhere as likely:

    >>> from seedbed.bandits import Bandit, Thompson
    >>> from seedbed.bandits.evaluation.targets import rank_probabilities
    >>> rank_probabilities(Bandit(Thompson(), arms=["a", "b", "c"]), k=2).round(6)[0].tolist()
    [0.333333, 0.333333]
    """
    ids = None if candidates is None else list(candidates)
    lengths = range(1, checked_int(k, "k", 1) + 1)
    among = [bandit.propensities(ids, length, context=context, now=now) for length in lengths]
    chances: NDArray[np.float64] = np.diff(np.array(among), axis=0, prepend=0.0).T
    return np.ascontiguousarray(np.clip(chances, 0.0, 1.0))

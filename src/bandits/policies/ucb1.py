"""UCB1: mean plus a Hoeffding radius. It reads the evidence only, not the prior."""

import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from .._beliefs import refresh, total_weight
from .._numba import kernel
from .._table import EVIDENCE, OK, STALE, Handles, P, Q, Table, Uids
from ..models import AnyCountModel, Beta
from ._base import Policy
from ._top import finish, push

NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
_BLOCK = 512


class UCB1(Policy):
    """Rank arms by mean plus a Hoeffding radius.

    `score_i = mean_i + alpha sqrt(2 ln N / n_i)`, n_i the weight of an arm's rewards and N their sum over the
    candidates; an untried arm scores infinity. alpha = 1/2 gives `mean + sqrt(ln N / (2 n))`.

    Parameters
    ----------
    alpha
        Width of the radius, >= 0: for rewards of another range than [0, 1], times that range.
    model
        Where the evidence is kept: Beta, Gaussian or GammaPoisson; its prior is not read.

    References
    ----------
    .. [1] P. Auer, N. Cesa-Bianchi and P. Fischer (2002), "Finite-time analysis of the multiarmed bandit problem",
       Machine Learning 47.
    .. [2] A. Garivier and E. Moulines (2011), "On upper-confidence bound policies for switching bandit problems", ALT:
       with a `window` in the model.

    Examples
    --------
    Arm a: 1 reward of 2; N = 2, so its score is 1/2 + sqrt(2 ln 2 / 2) = 1.3326; b is untried:

    >>> from seedbed.bandits import Bandit, UCB1
    >>> bandit = Bandit(UCB1(), arms=["a", "b"])
    >>> bandit.update(["a", "a"], [1.0, 0.0])
    >>> bandit.scores().round(4).tolist()
    [1.3326, inf]
    """

    kind: Literal["ucb1"] = "ucb1"
    alpha: NonNegative = 1.0
    model: Annotated[AnyCountModel, Field(discriminator="kind")] = Beta()

    terms = EVIDENCE
    is_deterministic = True

    @property
    def numbers(self) -> tuple[float, float]:
        """The width."""
        return self.alpha, 0.0

    @property
    def rule(self) -> int:
        """Number of the rule in `_rank`."""
        return 1

    @property
    def best(self) -> Any:
        """Kernel that writes positions and scores of the k best candidates and answers a status."""
        return ucb1_best

    @property
    def scores(self) -> Any:
        """Kernel that writes the upper bound of every candidate."""
        return ucb1_scores


@kernel
def log_total(table: Table, handles: Handles, is_dense: bool) -> float:
    """Logarithm of the weight of the candidates' rewards, 0 below weight 1."""
    return math.log(max(total_weight(table, handles, is_dense), 1.0))


@kernel
def ucb1_scores(
    table: Table, handles: Handles, uids: Uids, key: int, version: float, now: float, x: float, y: float, out: Table
) -> int:
    """Write `mean + alpha sqrt(2 ln N / n)` of each candidate; x is alpha."""
    if not refresh(table, handles, version, now):
        return STALE
    radius = x * math.sqrt(2.0 * log_total(table, handles, version >= 0.0))
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        out[i] = table[P, column] + radius * table[Q, column]
    return OK


@kernel
def ucb1_best(
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
    """Rank by `ucb1_scores`."""
    if not refresh(table, handles, version, now):
        return STALE
    radius = x * math.sqrt(2.0 * log_total(table, handles, version >= 0.0))
    rank_linear(table, handles, uids, radius, version >= 0.0, positions, scores)
    return OK


@kernel
def rank_linear(
    table: Table, handles: Handles, uids: Uids, radius: float, is_dense: bool, positions: Handles, scores: Table
) -> None:
    """Rank by `P + radius Q`, a block at a time: its largest score tells whether any can be among the best."""
    filled = 0
    bounds = np.empty(min(_BLOCK, handles.size))
    for start in range(0, handles.size, _BLOCK):
        size = min(_BLOCK, handles.size - start)
        if is_dense:
            means, widths = table[P][start : start + size], table[Q][start : start + size]
            for i in range(size):
                bounds[i] = means[i] + radius * widths[i]
        else:
            for i in range(size):
                column = handles[start + i] & 0xFFFF_FFFF
                bounds[i] = table[P, column] + radius * table[Q, column]
        if filled == positions.size and block_max(bounds, size) < scores[0]:
            continue
        for i in range(size):
            if filled < positions.size or bounds[i] >= scores[0]:
                filled = push(start + i, bounds[i], handles, uids, filled, positions, scores)
    finish(handles, uids, positions, scores)


@kernel
def block_max(values: Table, size: int) -> float:
    """Largest of the first values: in eight running maxima, since one alone waits for itself."""
    whole = size - size % 8
    m0 = m1 = m2 = m3 = m4 = m5 = m6 = m7 = -math.inf
    for i in range(0, whole, 8):
        m0 = values[i] if values[i] > m0 else m0
        m1 = values[i + 1] if values[i + 1] > m1 else m1
        m2 = values[i + 2] if values[i + 2] > m2 else m2
        m3 = values[i + 3] if values[i + 3] > m3 else m3
        m4 = values[i + 4] if values[i + 4] > m4 else m4
        m5 = values[i + 5] if values[i + 5] > m5 else m5
        m6 = values[i + 6] if values[i + 6] > m6 else m6
        m7 = values[i + 7] if values[i + 7] > m7 else m7
    largest = max(max(max(m0, m4), max(m2, m6)), max(max(m1, m5), max(m3, m7)))
    for i in range(whole, size):
        largest = max(largest, values[i])
    return largest

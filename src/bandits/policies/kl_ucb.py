"""KL-UCB: the largest mean that the evidence does not refute. It reads the evidence only, not the prior."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field

from .._beliefs import refresh
from .._numba import kernel
from .._special import kl_bernoulli, kl_upper_bernoulli
from .._table import CONSTANT, EVIDENCE, MODEL, OK, STALE, Handles, P, R, Table, Uids
from ..models import AnyCountModel, Beta
from ..models._cells import BETA, GAUSSIAN
from ._base import Policy
from ._top import finish, push
from .ucb1 import NonNegative, log_total

_MAX_STEPS = 200


class KLUCB(Policy):
    """Rank arms by the largest mean that the evidence does not refute, in Kullback-Leibler divergence.

    `score_i = max {q : n_i kl(mean_i, q) <= ln t + c ln ln t}`, n_i the weight of an arm's rewards and t their sum over
    the candidates (`ln ln t` counts as 0 below t = e); an untried arm scores infinity. kl is that of the model's
    family: of Bernoulli distributions for Beta, of Poisson ones for GammaPoisson, and for Gaussian `(q - mean)^2 / (2
    variance)` where the variance is given. Where it is not, `score = mean + s sqrt(exp(2 level / (n - 2)) - 1)`, s^2
    the mean square about the mean and level = ln t + c ln ln t, which is infinite up to n = 2.

    Parameters
    ----------
    c
        Weight of `ln ln t`, >= 0; 0 is what is best in practice.
    variance
        Known variance of the rewards, for Gaussian only.
    model
        Where the evidence is kept: Beta, Gaussian or GammaPoisson; its prior is not read.

    References
    ----------
    .. [1] A. Garivier and O. Cappe (2011), "The KL-UCB algorithm for bounded stochastic bandits and beyond", COLT.
    .. [2] W. Cowan, J. Honda and M. N. Katehakis (2018), "Normal bandits of unknown means and variances", JMLR 18.

    Examples
    --------
    A certain arm cannot be better than 1:

    >>> from seedbed.bandits import Bandit, KLUCB
    >>> bandit = Bandit(KLUCB(), arms=["a"])
    >>> bandit.update(["a", "a"], [1.0, 1.0])
    >>> bandit.scores().tolist()
    [1.0]
    """

    kind: Literal["kl_ucb"] = "kl_ucb"
    c: NonNegative = 0.0
    variance: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None
    model: Annotated[AnyCountModel, Field(discriminator="kind")] = Beta()

    terms = EVIDENCE
    is_deterministic = True

    def model_post_init(self, _: Any) -> None:
        """Refuse a variance that would not be read."""
        if self.variance is not None and self.model.kind != "gaussian":
            raise ValueError(f"variance is read with the model gaussian only, not with {self.model.kind}; leave it out")

    @property
    def numbers(self) -> tuple[float, float]:
        """Weight of the second logarithm, and the known variance or 0."""
        return self.c, self.variance or 0.0

    @property
    def rule(self) -> int:
        """Number of the rule in `_rank`."""
        return 2

    @property
    def best(self) -> Any:
        """Kernel that writes positions and scores of the k best candidates and answers a status."""
        return kl_ucb_best

    @property
    def scores(self) -> Any:
        """Kernel that writes the index of every candidate."""
        return kl_ucb_scores


@kernel
def kl_poisson(p: float, q: float) -> float:
    """Kullback-Leibler divergence `q - p + p ln(p / q)` of Poisson distributions."""
    if p <= 0.0:
        return q
    return max(q - p + p * math.log(p / q), 0.0) if q > 0.0 else math.inf


@kernel
def kl_upper_poisson(p: float, level: float) -> float:
    """The largest q >= p with `kl_poisson(p, q) <= level`: Newton's method from the right, where kl is convex in q."""
    if level <= 0.0:
        return p
    q = p + level + math.sqrt(level * (level + 2.0 * p))  # kl >= (q - p)^2 / (2 q), whose root this is
    for _ in range(_MAX_STEPS):
        step = (kl_poisson(p, q) - level) * q / (q - p)
        q -= step
        if step <= 1e-15 * q:
            break
    return max(q, p)


@kernel
def _index(model: float, mean: float, n: float, variance: float, known: float, level: float) -> float:
    """The KL-UCB index of one arm."""
    if n <= 0.0:
        return math.inf
    if model == BETA:
        return kl_upper_bernoulli(mean, level / n)
    if model == GAUSSIAN:
        if known > 0.0:
            return mean + math.sqrt(2.0 * known * level / n)
        if n <= 2.0:
            return math.inf
        return mean + math.sqrt(variance * math.expm1(2.0 * level / (n - 2.0)))
    return kl_upper_poisson(mean, level / n)


@kernel
def _is_refuted(model: float, mean: float, n: float, threshold: float, level: float) -> bool:
    """Whether the index is surely below the threshold, for two logarithms instead of a root."""
    if n <= 0.0 or not threshold > mean:
        return False
    if model == BETA:
        return bool(n * kl_bernoulli(mean, min(threshold, 1.0)) > level * (1.0 + 1e-9) + 1e-12)
    return False


@kernel
def _level(table: Table, handles: Handles, is_dense: bool, c: float) -> float:
    log_t = log_total(table, handles, is_dense)
    return log_t + c * math.log(log_t) if log_t > 1.0 else log_t


@kernel
def kl_ucb_scores(
    table: Table, handles: Handles, uids: Uids, key: int, version: float, now: float, x: float, y: float, out: Table
) -> int:
    """Write the index of each candidate; x is c, y the known variance."""
    if not refresh(table, handles, version, now):
        return STALE
    level = _level(table, handles, version >= 0.0, x)
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        out[i] = _index(table[MODEL, -1], table[P, column], table[R, column], table[CONSTANT, column], y, level)
    return OK


@kernel
def kl_ucb_best(
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
    """Rank by `kl_ucb_scores`, without the root for arms that cannot be among the best."""
    if not refresh(table, handles, version, now):
        return STALE
    level = _level(table, handles, version >= 0.0, x)
    model = table[MODEL, -1]
    filled = 0
    for i in range(handles.size):
        column = handles[i] & 0xFFFF_FFFF
        mean, n = table[P, column], table[R, column]
        if filled == positions.size and _is_refuted(model, mean, n, scores[0], level):
            continue
        score = _index(model, mean, n, table[CONSTANT, column], y, level)
        filled = push(i, score, handles, uids, filled, positions, scores)
    finish(handles, uids, positions, scores)
    return OK

"""Baseline: exploration that never costs more than a share of what today's choice would have earned, at any time."""

import math
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..bandits._numba import kernel
from ..bandits._random import uid64
from ..bandits._special import log_beta
from ..bandits.checkpoint import require
from ._rates import first_outside
from .attributes import Attributes
from .base import AnyState, Columns, Constraint, Exposure, Feedback, Floats, Mask, Precedence, Request, grown

Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Counts = NDArray[np.int64]
_PLAYS, _OWN, _CREDIT, _LOW, _HIGH, _RANKED = range(6)
_STEPS = 60
_EXACT = 1e-13


class BaselineState(NamedTuple):
    """What is proved of K arms, and what they have earned at least.

    plays: int64 `[K]`, exposures.
    counts: `[2, K]`, rewards heard of; their sum.
    lower, upper: `[K]`, best bounds of the mean reward so far; upper only where the baseline's mean is not known.
    ranks: int64 `[K]`, order in which arms were first heard of, from 1; 0 for not yet.
    is_baseline: uint8 `[K]`, 1 for the baseline's column.
    totals: `[6]`: exposures; those of the baseline; sum over the other arms, gone ones too, of exposures x lower bound;
        lower and upper bound of the baseline's mean; arms heard of.
    """

    plays: Counts
    counts: Floats
    lower: Floats
    upper: Floats
    ranks: Counts
    is_baseline: NDArray[np.uint8]
    totals: Floats


class Baseline(Constraint):
    """Serve an arm only if all served so far, and it, earn at least 1 - alpha of what the baseline arm would have.

    For rewards in [0, 1], in expectation, at every decision, with probability 1 - delta over all of them. With N_j
    exposures of arm j, lower bounds L_j of the means and mu the baseline's, one of t exposures may be arm i where

    `sum_j N_j L_j + L_i + (N_0 - (1 - alpha) t) mu >= 0`.

    An unknown mu is taken where this is least: at its upper bound where its factor is negative, else at its lower one.
    Exposures without feedback count as any other of their arm (0 while nothing of it is known). For a slate of k, t
    grows by k and each arm must bring a k-th of what is missing, so that any of those that are left are safe together.
    Bounds are beta-binomial confidence sequences, that of the r-th arm heard of at delta / (r (r + 1)).

    The baseline itself always may be served. Offer it in every request: this is never relaxed, so where it is missing
    or not eligible only safe arms are left, perhaps none, and a slate may be shorter than k.

    Parameters
    ----------
    arm
        Id of the arm that is served today.
    mean
        Its mean reward, where known.
    alpha
        Largest share of the baseline's earnings that may be lost.
    delta
        Largest probability that this fails at any time.

    References
    ----------
    .. [1] Y. Wu, R. Shariff, T. Lattimore and C. Szepesvari (2016), "Conservative bandits", ICML.
    .. [2] S. R. Howard, A. Ramdas, J. McAuliffe and J. Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic
       confidence sequences", Annals of Statistics 49.

    Examples
    --------
    At alpha = .25 each exposure of the baseline puts a quarter of mu aside, and an arm of which nothing is known costs
    3/4 of mu: it may be served as the fourth.

    >>> from seedbed.constraints import Baseline
    >>> baseline = Baseline("today", mean=0.5, alpha=0.25)
    >>> state = baseline.init(2)
    >>> needed = []
    >>> for _ in range(4):
    ...     needed.append(baseline.needed(state))
    ...     state.totals[:2] += 1
    >>> needed
    [0.375, 0.25, 0.125, 0.0]
    """

    kind: Literal["baseline"] = "baseline"
    arm: str | int
    mean: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    alpha: Share = 0.05
    delta: Share = 0.01

    precedence: ClassVar[Precedence] = Precedence.CAP
    relaxable: ClassVar[bool] = False

    def __init__(self, arm: str | int, **fields: Any) -> None:
        super().__init__(arm=arm, **fields)  # type: ignore[call-arg]

    @cached_property
    def _uid(self) -> np.uint64:
        return np.uint64(uid64(self.arm))

    def init(self, capacity: int) -> BaselineState:
        """Make a state in which nothing was served."""
        low, high = (0.0, 1.0) if self.mean is None else (self.mean, self.mean)
        return BaselineState(
            np.zeros(capacity, np.int64),
            np.zeros((2, capacity)),
            np.zeros(capacity),
            np.ones(capacity),
            np.zeros(capacity, np.int64),
            np.zeros(capacity, np.uint8),
            np.array([0.0, 0.0, 0.0, low, high, 0.0]),
        )

    def fit(self, state: AnyState, capacity: int, attributes: Attributes, now: float) -> BaselineState:
        """Make room for arms."""
        fitted: BaselineState = state if state.plays.size == capacity else grown(self, state, capacity)
        return fitted

    def surplus(self, state: BaselineState, more: int = 0) -> float:
        """What was earned at least, beyond what must have been after so many more exposures that earn nothing."""
        plays, own, credit, low, high, _ = state.totals.tolist()
        factor = own - (1.0 - self.alpha) * (plays + more)
        return float(credit + factor * (high if factor < 0.0 else low))

    def needed(self, state: BaselineState, k: int = 1) -> float:
        """Least lower bound that an arm must have to be one of k served now; 0 or less for any."""
        return -self.surplus(state, k) / k

    def mask(self, state: AnyState, request: Request) -> list[tuple[str, Mask]]:
        """Which candidates are safe, `[C]`."""
        needed = self.needed(state, max(1, min(request.k, request.columns.size)))
        if needed <= 0.0:
            return []
        # any j <= k of those left are safe together: where `needed` is (1 - alpha) mu or more, each loses nothing;
        # else each of the k - j that are not served leaves (1 - alpha) mu, which is more than `needed`
        keep = np.empty(request.columns.size, np.bool_)
        dropped = find_safe(request.columns, request.uids, self._uid, state.lower, needed, keep)
        return [("UNSAFE", keep)] if dropped else []

    def check(self, state: AnyState, feedback: Feedback) -> None:
        """Refuse what the bounds do not hold for.

        Raises
        ------
        ValueError
            For a reward outside [0, 1], or a weight other than 1.
        """
        i = first_outside(feedback.rewards)
        if i >= 0:
            raise ValueError(f"rewards[{i}] = {feedback.rewards[i]} is not in [0, 1], which a baseline's bounds need")
        if (feedback.weights != 1.0).any():
            i = int((feedback.weights != 1.0).argmax())
            raise ValueError(f"weights[{i}] = {feedback.weights[i]} is not 1, which a baseline's bounds need")

    def observe(self, state: AnyState, event: Exposure | Feedback) -> None:
        """Count exposures; learn bounds from rewards."""
        log_needed = -math.log(self.delta)
        if isinstance(event, Feedback):
            learn(event.columns, event.rewards, log_needed, self.mean is None, *state)
            return
        request = event.request
        meet(request.columns, request.uids, self._uid, log_needed, self.mean is None, *state)
        serve(event.columns, *state)

    def report(self, state: AnyState, attributes: Attributes) -> dict[str, Any]:
        """Exposures, those of the baseline, bounds of its mean, and what was earned at least beyond what must be."""
        plays, own, _, low, high, _ = state.totals.tolist()
        mean = {"low": low, "high": high}
        return {"plays": int(plays), "baseline": int(own), "mean": mean, "surplus": self.surplus(state)}

    def check_state(self, state: AnyState) -> None:
        """Refuse bounds and counts that no history gives."""
        super().check_state(state)
        plays, own, credit, low, high, ranked = state.totals.tolist()
        counts = bool((state.plays >= 0).all()) and 0 <= own <= plays and credit >= 0 and ranked >= 0
        require(counts and bool((state.ranks >= 0).all()), "a count of a baseline is negative")
        n, rewards = state.counts
        require(bool(((rewards >= 0.0) & (rewards <= n)).all()), "rewards of a baseline are not in [0, 1]")
        all_bounds = np.concatenate([state.lower, state.upper, [low, high]])
        require(bool(((all_bounds >= 0.0) & (all_bounds <= 1.0)).all()), "a bound of a baseline is not in [0, 1]")
        require(bool((state.is_baseline <= 1).all()), "a mark of a baseline is neither 0 nor 1")


@kernel
def find_safe(columns: Columns, uids: NDArray[np.uint64], uid: Any, lower: Floats, needed: float, keep: Mask) -> int:
    """Write which candidates have the bound, or are the baseline; answer how many are not."""
    dropped = 0
    for i in range(columns.size):
        keep[i] = lower[columns[i]] >= needed or uids[i] == uid
        dropped += not keep[i]
    return dropped


@kernel
def lower_bound(successes: float, failures: float, log_needed: float) -> float:
    """Lower end of {p : ln B(1/2 + s, 1/2 + f) - ln pi - s ln p - f ln(1 - p) < log_needed}.

    The two-sided beta-binomial confidence sequence at `exp(-log_needed)`. In x = ln p the left side is convex, and the
    start, which leaves out what is not negative, lies left of the root: Newton's method never passes it.
    """
    if successes <= 0.0:
        return 0.0
    excess = log_beta(0.5 + successes, 0.5 + failures) - math.log(math.pi) - log_needed
    x = excess / successes
    for _ in range(_STEPS):
        p = math.exp(x)
        if p >= 1.0:
            break
        step = (excess - successes * x - failures * math.log1p(-p)) / (successes - failures * p / (1.0 - p))
        if not step > _EXACT:
            break
        x += step
    return min(math.exp(x), 1.0)


@kernel
def settle(
    column: int,
    log_needed: float,
    is_unknown: bool,
    plays: Counts,
    counts: Floats,
    lower: Floats,
    upper: Floats,
    ranks: Counts,
    is_baseline: NDArray[np.uint8],
    totals: Floats,
) -> None:
    """Bring the bounds of an arm up to its counts; those known before stay where they are better."""
    n, successes = counts[0, column], counts[1, column]
    share = log_needed + math.log(ranks[column] * (ranks[column] + 1.0))
    bound = max(lower[column], lower_bound(successes, n - successes, share))
    if is_baseline[column] == 0:
        totals[_CREDIT] += plays[column] * (bound - lower[column])
    lower[column] = bound
    if is_unknown:
        upper[column] = min(upper[column], 1.0 - lower_bound(n - successes, successes, share))
        if is_baseline[column]:
            totals[_LOW], totals[_HIGH] = lower[column], upper[column]


@kernel
def rank(column: int, ranks: Counts, totals: Floats) -> None:
    """Number an arm when it is first heard of: before its bound can depend on what it earns."""
    if ranks[column] == 0:
        totals[_RANKED] += 1.0
        ranks[column] = int(totals[_RANKED])


@kernel
def meet(
    columns: Columns,
    uids: NDArray[np.uint64],
    uid: Any,
    log_needed: float,
    is_unknown: bool,
    plays: Counts,
    counts: Floats,
    lower: Floats,
    upper: Floats,
    ranks: Counts,
    is_baseline: NDArray[np.uint8],
    totals: Floats,
) -> None:
    """Learn in which column the baseline stands."""
    for i in range(columns.size):
        if uids[i] == uid:
            if is_baseline[columns[i]] == 0:
                is_baseline[columns[i]] = 1
                if ranks[columns[i]] > 0:
                    settle(columns[i], log_needed, is_unknown, plays, counts, lower, upper, ranks, is_baseline, totals)
            return


@kernel
def learn(
    columns: Columns,
    rewards: Floats,
    log_needed: float,
    is_unknown: bool,
    plays: Counts,
    counts: Floats,
    lower: Floats,
    upper: Floats,
    ranks: Counts,
    is_baseline: NDArray[np.uint8],
    totals: Floats,
) -> None:
    """Take in rewards."""
    for i in range(columns.size):
        column = columns[i]
        rank(column, ranks, totals)
        counts[0, column] += 1.0
        counts[1, column] += rewards[i]
        settle(column, log_needed, is_unknown, plays, counts, lower, upper, ranks, is_baseline, totals)


@kernel
def serve(
    columns: Columns,
    plays: Counts,
    counts: Floats,
    lower: Floats,
    upper: Floats,
    ranks: Counts,
    is_baseline: NDArray[np.uint8],
    totals: Floats,
) -> None:
    """Count exposures."""
    for column in columns:
        rank(column, ranks, totals)
        totals[_PLAYS] += 1.0
        plays[column] += 1
        if is_baseline[column]:
            totals[_OWN] += 1.0
        else:
            totals[_CREDIT] += lower[column]

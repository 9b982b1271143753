"""Replay of a log: play a policy that learns over logged rows, and keep those that it would have chosen itself.

Where arms were logged uniformly at random, the rows on which the policy's choice is the logged arm are what it would
have met online: they count, and teach it; the others never happened. A log of K arms is worth one row in K.

Another thing than `seedbed.allocators.replay`, in which an exposure consumes its item's next row: that one drops no
row, but knows of no context.

References
----------
.. [1] L. Li, W. Chu, J. Langford and X. Wang (2011), "Unbiased offline evaluation of contextual-bandit-based news
   article recommendation algorithms", WSDM.
.. [2] T. Mandel, Y.-E. Liu, E. Brunskill and Z. Popovic (2016), "Offline evaluation of online reinforcement learning
   algorithms", AAAI (rejection sampling for logs that are not uniform).
"""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._inputs import checked_float
from .._random import ArmId
from ..arms import checked_ids
from ..records import Decision
from ._checks import check_inside, checked_column, checked_propensities
from ._draws import row_draws
from .estimate import Estimate, Options, resolved, summarise

_NAME = "matching"  # replica name under which the rejections are keyed

Floats = NDArray[np.float64]
Kept = NDArray[np.bool_]


def replay(
    chooser: Any,
    arms: Sequence[ArmId] | NDArray[Any],
    rewards: ArrayLike,
    propensities: ArrayLike,
    *,
    contexts: ArrayLike | None = None,
    candidates: Sequence[Sequence[ArmId]] | None = None,
    least_propensity: float | None = None,
    **options: Unpack[Options],
) -> Estimate:
    """Mean reward of a policy while it learns, from the rows of a log that it would have chosen itself.

    A row is kept where the policy chooses the logged arm and a draw, keyed by the seed and the row's number, falls
    below `least_propensity / propensity`; under uniform logging that is always. Kept rows are taught to the policy, and
    their mean reward is the value. Their number is `effective_sample_size`; `mean_weight` is the share of rows that
    were kept over the share expected, `least_propensity`.

    Parameters
    ----------
    chooser
        An object with `select` and `update`, such as a `Bandit`, which is taught; or a function from a row's number to
        an arm.
    arms
        Ids of the logged arms, `[n]`, in the order of the log.
    rewards
        `[n]`.
    propensities
        Probability that the log's policy chose the arm, one for all or `[n]`: one over the candidates in a uniform log.
    contexts
        Features, `[n, d]` or `[n, C, d]`, passed to the chooser as `context`. For `[n, C, d]` the row of the logged arm
        among its candidates is taught.
    candidates
        Arms that were to choose from, one list a row; by default the chooser's own.
    least_propensity
        A bound below which no propensity lies, of any arm in any context: the least of the log by default, which is
        too high where an arm is so unlikely that the log does not show it.
    **options
        As for `ips`; `seed` keys the rejections too. Rewards of a policy that learns depend on each other, by what it
        has learnt: the interval takes them as if they did not.

    Returns
    -------
    Estimate

    Raises
    ------
    ValueError
        For no rows, shapes that do not fit, propensities outside (0, 1], a bound above one of them, and a chooser that
        is none. Then nothing was taught.

    Examples
    --------
    The policy that always shows "a" keeps rows 0 and 3:

    >>> from seedbed.bandits.evaluation import matching
    >>> log = ["a", "b", "b", "a"]
    >>> e = matching.replay(lambda row: "a", log, rewards=[1, 1, 1, 0], propensities=0.5)
    >>> e.value, round(e.effective_sample_size, 6), e.mean_weight
    (0.5, 2.0, 1.0)
    """
    ids = checked_ids(arms.tolist() if isinstance(arms, np.ndarray) else arms, "arms")
    rest, (low, high) = resolved(options)
    earned = checked_column(rewards, "rewards", len(ids))
    chances = np.full(len(ids), propensities) if np.ndim(propensities) == 0 else propensities
    chances = checked_propensities(chances, len(ids))
    if rest["interval"] == "empirical_bernstein":
        check_inside(earned, low, high)
    least = _least(chances, least_propensity)
    for name, given in (("contexts", contexts), ("candidates", candidates)):
        if given is not None and len(given) != len(ids):  # type: ignore[arg-type]
            raise ValueError(f"{name} must have one entry for each of the {len(ids)} rows; got {len(given)}")  # type: ignore[arg-type]
    features = None if contexts is None else np.asarray(contexts, np.float64)
    if features is not None and (features.ndim not in (2, 3) or (features.ndim == 3 and candidates is None)):
        raise ValueError(f"contexts must be [n, d], or [n, C, d] beside candidates; got shape {features.shape}")
    accepted = row_draws(rest["seed"], _NAME, len(ids)) < least / chances
    kept = _play(chooser, ids, earned, accepted, features, candidates)
    weights = kept / least
    ends = (min(0.0, low / least), max(0.0, high / least))
    return summarise("replay", None, weights * earned, weights, weights, rewards=kept * earned, term_range=ends, **rest)


def _play(
    chooser: Any,
    ids: list[ArmId],
    rewards: Floats,
    accepted: Kept,
    contexts: Floats | None,
    candidates: Sequence[Sequence[ArmId]] | None,
) -> Kept:
    """Which rows were kept; each was taught."""
    learns = hasattr(chooser, "select") and hasattr(chooser, "update")
    if isinstance(chooser, type) or not (learns or callable(chooser)):
        raise ValueError(f"chooser = {chooser!r:.200} must have `select` and `update`, or be a function of the row")
    if not learns and (contexts is not None or candidates is not None):
        raise ValueError("a function of the row gets no contexts or candidates; let it look them up by the row")
    choose: Callable[[int], Any] = chooser
    if learns:
        choose = lambda i: chooser.select(**_named(contexts, candidates, i))  # noqa: E731
    kept = np.zeros(len(ids), np.bool_)
    for i, logged in enumerate(ids):
        chosen = choose(i)
        if isinstance(chosen, Decision):
            chosen = chosen.arms[0] if chosen.arms else None
        kept[i] = accepted[i] and chosen == logged and isinstance(chosen, str) == isinstance(logged, str)
        if kept[i] and learns:
            chooser.update(logged, float(rewards[i]), **_taught(contexts, candidates, i, logged))
    return kept


def _named(contexts: Floats | None, candidates: Sequence[Sequence[ArmId]] | None, i: int) -> dict[str, Any]:
    """What the chooser is told of row i, by name."""
    told: dict[str, Any] = {} if candidates is None else {"candidates": candidates[i]}
    return told if contexts is None else {**told, "context": contexts[i]}


def _taught(
    contexts: Floats | None, candidates: Sequence[Sequence[ArmId]] | None, i: int, logged: ArmId
) -> dict[str, Any]:
    """The context of the logged arm in row i, by name."""
    if contexts is None:
        return {}
    if contexts.ndim == 2 or candidates is None:
        return {"context": contexts[i]}
    return {"context": contexts[i, list(candidates[i]).index(logged)]}


def _least(propensities: Floats, bound: float | None) -> float:
    smallest = float(propensities.min())
    if bound is None:
        return smallest
    bound = checked_float(bound, "least_propensity")
    if not 0.0 < bound <= smallest * (1.0 + 1e-9):  # 1 - .8 is less than .2
        raise ValueError(f"least_propensity = {bound} must be in (0, {smallest}], the least that was logged")
    return bound

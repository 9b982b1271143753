"""The value of a policy that shows L arms at once, from the log of another, with the reward of each position.

What a position's reward depends on decides which weights are enough, from the most data to the least:

* `iips`: on its own arm and position. One weight a position, of marginal propensities.
* `rips`: on its own arm and those above it, as where people read downwards. Weights grow with the position.
* `slate_ips`: on the whole slate. One weight a slate, the product over its positions.
* `pseudo_inverse`: only a slate's total reward is known, a sum of what each arm adds at its position.

A slate that is shorter than L is filled up with reward 0 and both propensities 1. Clipping is of each weight, after
products. Self-normalised, a position's weights are divided by their mean: a small bias for less variance.

References
----------
.. [1] S. Li, Y. Abbasi-Yadkori, B. Kveton, S. Muthukrishnan, V. Vinay and Z. Wen (2018), "Offline evaluation of ranking
   policies with click models", KDD.
.. [2] J. McInerney, B. Brost, P. Chandar, R. Mehrotra and B. Carterette (2020), "Counterfactual evaluation of slate
   recommendations with sequential reward interactions", KDD.
.. [3] A. Swaminathan, A. Krishnamurthy, A. Agarwal, M. Dudik, J. Langford, D. Jose and I. Zitouni (2017), "Off-policy
   evaluation for slate recommendation", NeurIPS.
"""

from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._checks import check_inside, checked_limit
from .estimate import Estimate, Options, effective_sample_size, refusal, resolved, summarise

Floats = NDArray[np.float64]


class _Log(NamedTuple):
    """Rewards, logged and target propensities, `[n, L]` each, checked."""

    rewards: Floats
    propensities: Floats
    target: Floats


def iips(
    rewards: ArrayLike,
    propensities: ArrayLike,
    target_propensities: ArrayLike,
    *,
    self_normalised: bool = False,
    clip: float | None = None,
    **options: Unpack[Options],
) -> Estimate:
    """Mean total reward of a slate by a weight a position: `mean of sum w_l r_l`, `w_l = target_l / logged_l`.

    Right where a position's reward depends on its own arm and position only.

    Parameters
    ----------
    rewards
        `[n, L]`. To weigh positions, multiply them.
    propensities
        `[n, L]`, each the probability that the logging policy shows this arm at this position.
    target_propensities
        `[n, L]`, the same under the evaluated policy.
    self_normalised
        Whether to divide the weights of each position by their mean.
    clip
        Largest weight; None for none.
    **options
        As for `ips`: `level`, `interval`, `seed`, `min_ess`, and `reward_range`, that of one position (of the slate for
        `slate_ips` and `pseudo_inverse`).

    Returns
    -------
    Estimate
        Its weights' diagnostics are those of the worst position, as one that is noise makes the sum noise.

    Raises
    ------
    ValueError
        For shapes that do not fit, or propensities outside (0, 1], targets outside [0, 1].

    Examples
    --------
    Weights 2 and 1 of the first slate, 0 and 1 of the second: (2 * 1 + 1 * 1 + 0 * 1 + 1 * 0) / 2:

    >>> from seedbed.bandits.evaluation.slates import iips
    >>> iips([[1, 1], [1, 0]], [[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.5], [0.0, 0.5]]).value
    1.5
    """
    log = _checked(rewards, propensities, target_propensities)
    return _sum("iips", log.rewards, log.target / log.propensities, self_normalised, clip, options)


def rips(
    rewards: ArrayLike,
    propensities: ArrayLike,
    target_propensities: ArrayLike,
    *,
    self_normalised: bool = False,
    clip: float | None = None,
    **options: Unpack[Options],
) -> Estimate:
    """Mean total reward of a slate by weights of all positions down to each: `w_l = product to l of target / logged`.

    Right where a position's reward depends on its own arm and those above it (the reward-interaction, or cascade,
    model).

    Parameters
    ----------
    rewards
        `[n, L]`.
    propensities
        `[n, L]`, each the probability of this arm at this position given the arms above it.
    target_propensities
        `[n, L]`, the same under the evaluated policy.
    self_normalised, clip, **options
        As for `iips`.

    Raises
    ------
    ValueError
        As `iips`.

    Examples
    --------
    The weights 2 and 1/2 of one slate become 2 and 1:

    >>> from seedbed.bandits.evaluation.slates import rips
    >>> rips([[1, 1], [0, 0]], [[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.25], [0.0, 0.5]]).value
    1.5
    """
    log = _checked(rewards, propensities, target_propensities)
    weights = np.cumprod(log.target / log.propensities, axis=1)
    return _sum("rips", log.rewards, weights, self_normalised, clip, options)


def slate_ips(
    rewards: ArrayLike,
    propensities: ArrayLike,
    target_propensities: ArrayLike,
    *,
    self_normalised: bool = False,
    clip: float | None = None,
    **options: Unpack[Options],
) -> Estimate:
    """Mean total reward of a slate by one weight a slate: target over logged probability of the whole slate.

    Right whatever the rewards depend on, and noise but for short slates of few arms.

    Parameters
    ----------
    rewards
        `[n, L]`.
    propensities
        `[n]`, the probability of the whole slate; or `[n, L]`, each that of this arm given those above it.
    target_propensities
        The same under the evaluated policy.
    self_normalised, clip, **options
        As for `iips`.

    Raises
    ------
    ValueError
        As `iips`.

    Examples
    --------
    Weights 2 * 1/2 and 0 of the slates: (1 * 2 + 0) / 2:

    >>> from seedbed.bandits.evaluation.slates import slate_ips
    >>> slate_ips([[1, 1], [0, 0]], [[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.25], [0.0, 0.5]]).value
    1.0
    """
    totals = _table(rewards, "rewards").sum(axis=1, keepdims=True)
    logged, target = (_columns(each) for each in (propensities, target_propensities))
    log = _checked(np.repeat(totals, logged.shape[-1], axis=1), logged, target)
    weights = np.prod(log.target / log.propensities, axis=1, keepdims=True)
    return _sum("slate_ips", totals, weights, self_normalised, clip, options)


def per_position(
    rewards: ArrayLike,
    propensities: ArrayLike,
    target_propensities: ArrayLike,
    *,
    self_normalised: bool = False,
    clip: float | None = None,
    **options: Unpack[Options],
) -> list[Estimate]:
    """Mean reward of each position by its own weights: what `iips` adds up, one estimate a position.

    Parameters and errors as for `iips`.

    Examples
    --------
    >>> from seedbed.bandits.evaluation.slates import per_position
    >>> [e.value for e in per_position([[1, 1], [1, 0]], [[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.5], [0.0, 0.5]])]
    [1.0, 0.5]
    """
    log = _checked(rewards, propensities, target_propensities)
    weights = log.target / log.propensities
    return [
        _sum(
            f"iips[{place}]",
            log.rewards[:, place : place + 1],
            weights[:, place : place + 1],
            self_normalised,
            clip,
            options,
        )
        for place in range(weights.shape[1])
    ]


def pseudo_inverse(
    rewards: ArrayLike,
    target_propensities: ArrayLike,
    target_inclusion: ArrayLike,
    n_candidates: ArrayLike,
    **options: Unpack[Options],
) -> Estimate:
    """Mean total reward of a slate, logged uniformly without repetition, where arms add to it by their positions.

    The weight of a slate is `q' pinv(G) s`: s the indicator of its arms at their positions, q its expectation under the
    evaluated policy, G = E[s s'] under the logging one. For slates of L of m candidates, all orders equally likely,
    with A the sum of q over the slate's places and B that of its arms' probabilities to be shown at all,

    `w = 1 + (m - 1) (A - B / L) + m (m - 1) / (L (m - L)) (B - L^2 / m)`, the last term zero for m = L.

    Parameters
    ----------
    rewards
        Total of a slate `[n]`, or `[n, L]`.
    target_propensities
        `[n, L]`, probability under the evaluated policy of this arm at this position.
    target_inclusion
        `[n, L]`, probability under the evaluated policy of this arm at any position.
    n_candidates
        m, one number or `[n]`, at least L.
    **options
        As for `iips`. Weights may be negative.

    Raises
    ------
    ValueError
        For shapes that do not fit, probabilities outside [0, 1], or fewer candidates than positions.

    Examples
    --------
    For one position it is the plain importance weight, here 4 * 1/2:

    >>> from seedbed.bandits.evaluation.slates import pseudo_inverse
    >>> pseudo_inverse([1.0, 0.0], [[0.5], [0.5]], [[0.5], [0.5]], 4).value
    1.0
    """
    totals = np.asarray(rewards, np.float64)
    totals = totals.sum(axis=1) if totals.ndim == 2 else totals
    at_place, anywhere = (
        _table(target_propensities, "target_propensities"),
        _table(target_inclusion, "target_inclusion"),
    )
    if totals.shape != at_place.shape[:1] or at_place.shape != anywhere.shape:
        raise ValueError(
            f"rewards must be [n] or [n, L], target_propensities and target_inclusion [n, L]; got shapes "
            f"{np.shape(rewards)}, {at_place.shape} and {anywhere.shape}"
        )
    for name, array in (("target_propensities", at_place), ("target_inclusion", anywhere)):
        _require((array >= 0.0) & (array <= 1.0), array, name, "[0, 1]")
    _require(np.isfinite(totals), totals, "rewards", "the finite numbers")
    size = at_place.shape[1]
    m = np.broadcast_to(np.asarray(n_candidates, np.float64), totals.shape)
    _require((m >= size) & (m % 1.0 == 0.0), m, "n_candidates", f"the integers of at least {size}, the positions")
    a, b = at_place.sum(axis=1), anywhere.sum(axis=1)
    spare = np.where(m > size, m - size, np.inf)
    weights = 1.0 + (m - 1.0) * (a - b / size) + m * (m - 1.0) / (size * spare) * (b - size * size / m)
    rest, span = resolved(options)
    if rest["interval"] == "empirical_bernstein":
        check_inside(totals, *span)
    ends = np.outer([weights.min(), weights.max()], span)
    rewarded = np.abs(totals)
    term_range = (float(ends.min()), float(ends.max()))
    return summarise(
        "pseudo_inverse", None, weights * totals, None, weights, rewards=rewarded, term_range=term_range, **rest
    )


def _sum(
    method: str, rewards: Floats, raw: Floats, self_normalised: bool, clip: float | None, options: Options
) -> Estimate:
    """Estimate of the sum over positions of `mean of w_l r_l`; the diagnostics are those of the worst position."""
    rest, span = resolved(options)
    limit = checked_limit(clip, "clip")
    used = np.minimum(raw, limit)
    terms = used * rewards
    if self_normalised:
        means = np.maximum(used.mean(axis=0), np.finfo(float).tiny)
        ratios = terms.mean(axis=0) / means
        # what each slate adds to the ratios, to first order: their mean is the estimate, their spread its error
        terms = ratios + used * (rewards - ratios) / means
        method = f"self_normalised_{method}"
    if rest["interval"] == "empirical_bernstein":
        if self_normalised:
            raise ValueError("interval = 'empirical_bernstein' is for means, not for weights that are self-normalised")
        check_inside(rewards.ravel(), *span)
    most = np.minimum(raw.max(axis=0), limit)
    worst = _worst(used, raw, rest["min_ess"])
    return summarise(
        method,
        None,
        terms.sum(axis=1),
        None,
        np.ascontiguousarray(used[:, worst]),
        unclipped=np.ascontiguousarray(raw[:, worst]),
        rewards=np.abs(rewards).sum(axis=1),
        term_range=(min(0.0, float(most.sum() * span[0])), max(0.0, float(most.sum() * span[1]))),
        **rest,
    )


def _worst(used: Floats, raw: Floats, min_ess: float) -> int:
    """The first position whose weights carry no answer, else that of the least effective sample size."""
    columns = range(used.shape[1])
    sizes = [effective_sample_size(used[:, place]) for place in columns]
    return next(
        (place for place in columns if refusal(used[:, place], raw[:, place], None, min_ess)), int(np.argmin(sizes))
    )


def _checked(rewards: ArrayLike, propensities: ArrayLike, target_propensities: ArrayLike) -> _Log:
    log = _Log(
        _table(rewards, "rewards"),
        _table(propensities, "propensities"),
        _table(target_propensities, "target_propensities"),
    )
    if not log.rewards.shape == log.propensities.shape == log.target.shape:
        raise ValueError(
            f"rewards, propensities and target_propensities must have one shape [n, L]; got {log.rewards.shape}, "
            f"{log.propensities.shape} and {log.target.shape}"
        )
    _require(np.isfinite(log.rewards), log.rewards, "rewards", "the finite numbers")
    _require((log.propensities > 0.0) & (log.propensities <= 1.0), log.propensities, "propensities", "(0, 1]")
    _require((log.target >= 0.0) & (log.target <= 1.0), log.target, "target_propensities", "[0, 1]")
    return log


def _columns(values: ArrayLike) -> NDArray[Any]:
    """One probability a slate as a column."""
    array = np.asarray(values)
    return array[:, None] if array.ndim == 1 else array


def _table(values: ArrayLike, what: str) -> Floats:
    array = np.asarray(values)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "biuf":
        raise ValueError(f"{what} must be numbers [n, L], not empty; got {array.dtype} of shape {array.shape}")
    return array.astype(np.float64)


def _require(fits: NDArray[np.bool_], values: Floats, what: str, where: str) -> None:
    if not fits.all():
        bad = tuple(int(i) for i in np.argwhere(~fits)[0])
        raise ValueError(f"{what}[{', '.join(map(str, bad))}] = {values[bad]} is not in {where}")

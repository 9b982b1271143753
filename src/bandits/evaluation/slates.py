"""The value of a policy that shows L arms at once, from the log of another, with the reward of each position.

What a position's reward depends on decides which weights are enough, from the most data to the least:

* `iips`: on its own arm and position. One weight a position, of marginal propensities.
* `rips`: on its own arm and those above it, as where people read downwards. Weights grow with the position.
* `slate_ips`: on the whole slate. One weight a slate, the product over its positions.
* `pseudo_inverse`, in `slate_totals`: only the total is known, a sum of what each arm adds at its position.

A slate that is shorter than L is filled up with reward 0 and both propensities 1. Clipping is of each weight, after
products. Self-normalised, a position's weights are divided by their mean: a small bias for less variance.

References
----------
.. [1] S. Li, Y. Abbasi-Yadkori, B. Kveton, S. Muthukrishnan, V. Vinay and Z. Wen (2018), "Offline evaluation of ranking
   policies with click models", KDD.
.. [2] J. McInerney, B. Brost, P. Chandar, R. Mehrotra and B. Carterette (2020), "Counterfactual evaluation of slate
   recommendations with sequential reward interactions", KDD.
"""

from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._checks import check_inside, checked_limit
from ._slate_checks import checked_slates, columns, table_of
from .estimate import Estimate, Options, effective_sample_size, refusal, resolved, summarise

Floats = NDArray[np.float64]


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
    log = checked_slates(rewards, propensities, target_propensities)
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
    log = checked_slates(rewards, propensities, target_propensities)
    weights = np.cumprod(log.target / log.propensities, axis=1, dtype=np.float64)
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
    totals = table_of(rewards, "rewards").sum(axis=1, keepdims=True)
    logged, target = columns(propensities), columns(target_propensities)
    log = checked_slates(np.repeat(totals, logged.shape[-1], axis=1), logged, target)
    weights: Floats = np.prod(log.target / log.propensities, axis=1, keepdims=True)
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
    log = checked_slates(rewards, propensities, target_propensities)
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

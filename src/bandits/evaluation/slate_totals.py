"""The value of a policy that shows L arms at once, where only the total reward of a slate is known.

References
----------
.. [1] A. Swaminathan, A. Krishnamurthy, A. Agarwal, M. Dudik, J. Langford, D. Jose and I. Zitouni (2017), "Off-policy
   evaluation for slate recommendation", NeurIPS.
"""

from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from ._checks import check_inside
from ._slate_checks import require, table_of
from .estimate import Estimate, Options, resolved, summarise


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

    >>> from seedbed.bandits.evaluation.slate_totals import pseudo_inverse
    >>> pseudo_inverse([1.0, 0.0], [[0.5], [0.5]], [[0.5], [0.5]], 4).value
    1.0
    """
    totals = np.asarray(rewards, np.float64)
    totals = totals.sum(axis=1) if totals.ndim == 2 else totals
    at_place, anywhere = (
        table_of(target_propensities, "target_propensities"),
        table_of(target_inclusion, "target_inclusion"),
    )
    if totals.shape != at_place.shape[:1] or at_place.shape != anywhere.shape:
        raise ValueError(
            f"rewards must be [n] or [n, L], target_propensities and target_inclusion [n, L]; got shapes "
            f"{np.shape(rewards)}, {at_place.shape} and {anywhere.shape}"
        )
    for name, array in (("target_propensities", at_place), ("target_inclusion", anywhere)):
        require((array >= 0.0) & (array <= 1.0), array, name, "[0, 1]")
    require(np.isfinite(totals), totals, "rewards", "the finite numbers")
    size = at_place.shape[1]
    m = np.broadcast_to(np.asarray(n_candidates, np.float64), totals.shape)
    require((m >= size) & (m % 1.0 == 0.0), m, "n_candidates", f"the integers of at least {size}, the positions")
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

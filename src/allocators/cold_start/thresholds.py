"""What the population is like: the prior of a newcomer, fitted by moments."""

import numpy as np
from numpy.typing import ArrayLike


def fit_beta_moments(successes: ArrayLike, trials: ArrayLike) -> tuple[float, float]:
    """Fit the Beta distribution of rates over a population from counts, by moments.

    The spread of the observed rates is more than that of the true ones by the noise of each count, which Kleinman's
    estimator takes off. Every member weighs the same: where a policy gave more exposure to better members, weights by
    exposure would describe its choices, not the population.

    Parameters
    ----------
    successes, trials
        Counts of each member, [M]; members without trials are left out; at least two are needed.

    Returns
    -------
    (a, b)
        Prior successes and failures. Where the counts show no spread beyond noise, a + b is the sum of the trials.

    Raises
    ------
    ValueError
        For counts that contradict each other, or too few of them.

    References
    ----------
    .. [1] J. C. Kleinman (1973), "Proportions with extraneous variance: single and independent samples", JASA 68.

    Examples
    --------
    Rates .2, .3 and .4, each so well known that noise hardly matters: mean .3, variance .01 = .3 x .7 / 21, hence a
    strength a + b near 20:

    >>> from seedbed.allocators.cold_start.thresholds import fit_beta_moments
    >>> a, b = fit_beta_moments([200_000, 300_000, 400_000], [1_000_000] * 3)
    >>> round(a / (a + b), 3), round(a + b, 1)
    (0.3, 20.0)
    """
    s, n = np.atleast_1d(np.asarray(successes, np.float64)), np.atleast_1d(np.asarray(trials, np.float64))
    if s.shape != n.shape or s.ndim != 1:
        raise ValueError(f"successes and trials must be of one length; got shapes {s.shape} and {n.shape}")
    if not bool(((s >= 0.0) & (s <= n) & np.isfinite(n)).all()):
        raise ValueError("successes must be counts in [0, trials]")
    s, n = s[n > 0.0], n[n > 0.0]
    if s.size < 2 or not 0.0 < s.sum() < n.sum():
        raise ValueError("at least two members with trials are needed, with a success and a failure among them")
    p = s / n
    weight = 1.0 / p.size
    mean = float(p.mean())
    noise = weight * (1.0 - weight) * float((1.0 / n).sum())
    unit = mean * (1.0 - mean)
    if noise > 0.999 * (1.0 - weight):
        raise ValueError("nearly all members have a single trial, from which no spread can be told; pass larger counts")
    correlation = (float(p.var()) - unit * noise) / (unit * (1.0 - weight - noise))
    correlation = min(max(correlation, 1.0 / (1.0 + float(n.sum()))), 1.0 - 1e-9)
    strength = 1.0 / correlation - 1.0
    return mean * strength, (1.0 - mean) * strength

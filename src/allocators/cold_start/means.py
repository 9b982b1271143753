"""Mean rates of buckets: as counted, and shrunk to what their category, language and region let expect."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def cluster_mean(rates: Floats, creators: Ints) -> tuple[float, float]:
    """Mean of rooms' rates, each room weighing the same, and its variance, with creators as the independent units.

    Examples
    --------
    Two creators of one room each, rates .2 and .4: the variance is that of the mean of two, .02 / 2.

    >>> import numpy as np
    >>> from seedbed.allocators.cold_start.means import cluster_mean
    >>> [round(value, 9) for value in cluster_mean(np.array([0.2, 0.4]), np.array([0, 1]))]
    [0.3, 0.01]
    """
    mean = float(rates.mean())
    sums = np.bincount(np.unique(creators, return_inverse=True)[1].reshape(-1), rates - mean)
    if sums.size < 2:
        return mean, np.inf
    return mean, float((sums**2).sum()) / rates.size**2 * sums.size / (sums.size - 1)


def shrunk_means(buckets: Sequence[str], means: Floats, variances: Floats, rates: bool = False) -> tuple[Floats, float]:
    """Means drawn towards a fit by main effects, the more the less is known of each.

    `y_b = logit(mean_b) ~ N(x_b' beta, tau^2 + variance of y_b)`, x_b the parts of the bucket's name (category,
    language, region); tau^2 by DerSimonian and Laird; ln in place of logit for rates that may exceed 1. Where the
    buckets are too few for main effects, all are drawn to one mean.

    Parameters
    ----------
    buckets
        Names of B buckets.
    means, variances
        Of each, [B]; a variance may be infinite. Those without, or of mean 0 or 1, get what the fit expects.

    Returns
    -------
    (shrunk, tau2)
        Means [B], and the variance between buckets that main effects do not explain, of the logits.

    References
    ----------
    .. [1] R. DerSimonian and N. Laird (1986), "Meta-analysis in clinical trials", Controlled Clinical Trials 7.
    """
    slope = means if rates else means * (1.0 - means)
    known = (slope > 0.0) & np.isfinite(variances) & (variances > 0.0)
    if not known.any():
        return means.copy(), 0.0
    y, v = np.zeros(means.size), np.full(means.size, np.inf)
    y[known] = np.log(means[known]) - (0.0 if rates else np.log1p(-means[known]))
    v[known] = variances[known] / slope[known] ** 2
    x = _design(buckets)
    if np.linalg.matrix_rank(x[known]) >= known.sum():
        x = x[:, :1]
    weight = np.where(known, 1.0 / v, 0.0)
    bread = np.linalg.pinv(x.T @ (weight[:, None] * x))
    excess = float(weight @ (y - x @ (bread @ (x.T @ (weight * y)))) ** 2) - (
        known.sum() - np.linalg.matrix_rank(bread)
    )
    unit = float(weight.sum() - np.trace(bread @ (x.T @ ((weight**2)[:, None] * x))))
    tau2 = max(0.0, excess / unit) if unit > 0.0 else 0.0
    weight = np.where(known, 1.0 / (tau2 + v), 0.0)
    expected = x @ (np.linalg.pinv(x.T @ (weight[:, None] * x)) @ (x.T @ (weight * y)))
    own = np.where(known, tau2 * weight, 0.0)
    found = own * y + (1.0 - own) * expected
    return np.asarray(np.exp(found) if rates else 1.0 / (1.0 + np.exp(-found))), tau2


def _design(buckets: Sequence[str]) -> Floats:
    """One column of ones, and one for each part of the names but the first of its place, `[B, P]`."""
    parts = [name.split("/") for name in buckets]
    columns = [np.ones(len(parts))]
    for place in range(max(map(len, parts))):
        values = sorted({part[place] for part in parts if len(part) > place})
        columns += [np.array([float(len(p) > place and p[place] == value) for p in parts]) for value in values[1:]]
    return np.stack(columns, axis=1)

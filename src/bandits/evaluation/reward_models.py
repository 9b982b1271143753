"""Expected rewards of every arm in every row of a log, each learnt without the row's own reward.

Direct and doubly robust estimators want such estimates. One that has seen the reward that it stands in for makes
intervals too short and DR biased; so the rows are dealt into folds, and the rows of a fold are answered by a model of
the other folds (cross-fitting). Folds are dealt by draws keyed by the seed and the row's number: the same seed, the
same folds, sizes that differ by one at most. Where rows hang together (those of one user), pass folds of your own that
keep them together.

References
----------
.. [1] V. Chernozhukov, D. Chetverikov, M. Demirer, E. Duflo, C. Hansen, W. Newey and J. Robins (2018),
   "Double/debiased machine learning for treatment and structural parameters", Econometrics Journal 21.
.. [2] Y. Narita, S. Yasui and K. Yata (2021), "Debiased off-policy evaluation for recommendation systems", RecSys.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._inputs import checked_float, checked_int
from ._checks import checked_column
from .folds import checked_rows, parts_of

INSTALL = "pip install 'seedbed[learn]'"
MOST_DENSE = 256  # arms: one-hot columns of more are sparse, as most learners would spend their time on zeros

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def cross_fitted(
    estimator: Any,
    contexts: ArrayLike | None,
    action: ArrayLike,
    rewards: ArrayLike,
    n_arms: int,
    *,
    arm_features: ArrayLike | None = None,
    positions: ArrayLike | None = None,
    folds: int | ArrayLike = 3,
    seed: int = 0,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Floats:
    """Expected reward of every arm in every row, by any scikit-learn estimator, cross-fitted.

    The estimator is cloned for each fold, and position, and fitted on rows `[context, features of the arm]`. Arms are
    asked one by one, so that beside the answer only one row an event is held. Where the rewards to learn from are all
    the same, such as no click at all, their value is the answer; where a position has none in the other folds, the mean
    reward of the other folds.

    Parameters
    ----------
    estimator
        A regressor; or a classifier with `predict_proba`, whose answer is `sum of class * probability`: for rewards 0
        and 1 the probability of 1. Give it a `random_state` if it draws.
    contexts
        Features of each row, `[n, d]`; None for none.
    action
        Row of the logged arm, `[n]`, in [0, K).
    rewards
        `[n]`.
    n_arms
        K.
    arm_features
        `[K, f]`; by default an arm is one of K indicator columns (a sparse matrix above 256 arms).
    positions
        Position of each row, integers `[n]`: then a position has a model of its own, and a row's answer is for its
        logged position.
    folds
        Number of folds, dealt by `dealt_folds`; or the fold of each row, integers `[n]`.
    seed
        Key of the folds.
    progress
        Wraps the parts to fit, one a fold and position, to show progress, such as `rich.progress.track`.

    Returns
    -------
    array of float, [n, K]

    Raises
    ------
    ImportError
        Without scikit-learn, with the line that installs it.
    ValueError
        For shapes that do not fit, an action out of range, numbers that are not finite, an estimator that is none, and
        answers that are not finite.

    Examples
    --------
    Without context, least squares on indicators answer with each arm's mean in the other fold:

    >>> from sklearn.linear_model import LinearRegression
    >>> from seedbed.bandits.evaluation.reward_models import cross_fitted
    >>> model = LinearRegression(fit_intercept=False)
    >>> cross_fitted(model, None, [0, 1, 0, 1], [1, 2, 3, 4], 2, folds=[0, 0, 1, 1]).round(9).tolist()
    [[3.0, 4.0], [3.0, 4.0], [1.0, 2.0], [1.0, 2.0]]
    """
    try:
        from sklearn.base import clone, is_classifier
    except ImportError as error:
        raise ImportError(f"cross_fitted needs scikit-learn; install it with: {INSTALL}") from error
    arms, y, n_arms = _checked(action, rewards, n_arms)
    x = _checked_table(np.empty((arms.size, 0)) if contexts is None else contexts, "contexts", arms.size, "row")
    features = None
    if arm_features is not None:
        features = _checked_table(arm_features, "arm_features", n_arms, "arm")
    if x.shape[1] == 0 and features is not None and features.shape[1] == 0:
        raise ValueError("contexts and arm_features hold no column; leave arm_features out to tell arms apart")
    classifies = not isinstance(estimator, type) and hasattr(estimator, "fit") and is_classifier(estimator)
    needed = ("fit", "predict_proba" if classifies else "predict")
    if isinstance(estimator, type) or not all(hasattr(estimator, name) for name in needed):
        raise ValueError(f"estimator = {estimator!r:.200} must be a scikit-learn estimator with {' and '.join(needed)}")
    out = np.empty((arms.size, n_arms))
    parts = parts_of(arms.size, positions, folds, seed)
    for part in progress(range(len(parts))):
        rows, stands_in, asked = parts[part]
        if stands_in or np.ptp(y[rows]) == 0.0:
            out[asked] = y[rows].mean()
        else:
            model = clone(estimator).fit(_design(x[rows], arms[rows], features, n_arms), y[rows])
            _predict(model, classifies, x[asked], features, n_arms, asked, out)
    return out


def arm_means(
    action: ArrayLike,
    rewards: ArrayLike,
    n_arms: int,
    *,
    positions: ArrayLike | None = None,
    folds: int | ArrayLike = 3,
    seed: int = 0,
    strength: float | None = None,
) -> Floats:
    """Expected reward of every arm in every row without any features: cross-fitted means drawn to the common one.

    Of the other folds' rows, n_a of the arm with the sum s_a, and m their mean over all arms:
    `(s_a + strength * m) / (n_a + strength)`. For rewards 0 and 1 that is the posterior mean of the prior
    Beta(strength m, strength (1 - m)), for others that of a normal prior worth `strength` observations.

    Parameters
    ----------
    action, rewards, n_arms, positions, folds, seed
        As in `cross_fitted`.
    strength
        Observations that the prior is worth, >= 0. By default the variance within arms over that between arms, by the
        moments of a one-way layout; where no difference between arms shows, every arm gets m.

    Returns
    -------
    array of float, [n, K]

    Raises
    ------
    ValueError
        As `cross_fitted`, for a negative strength.

    Examples
    --------
    Row 0 learns from rows 2 and 3: m = 1/2, one success of arm 0 and one failure of arm 1:

    >>> from seedbed.bandits.evaluation.reward_models import arm_means
    >>> arm_means([0, 1, 0, 1], [1, 1, 1, 0], 2, folds=[0, 0, 1, 1], strength=2.0)[0].round(6).tolist()
    [0.666667, 0.333333]
    """
    arms, y, n_arms = _checked(action, rewards, n_arms)
    if strength is not None:
        strength = checked_float(strength, "strength")
        if not 0.0 <= strength < math.inf:
            raise ValueError(f"strength = {strength} must be a finite number of observations, >= 0")
    out = np.empty((arms.size, n_arms))
    for rows, stands_in, asked in parts_of(arms.size, positions, folds, seed):
        counts, sums = np.zeros(n_arms), np.zeros(n_arms)
        if not stands_in:
            counts += np.bincount(arms[rows], minlength=n_arms)
            sums += np.bincount(arms[rows], y[rows], n_arms)
        worth = _strength(counts, sums, y[rows]) if strength is None else strength
        mean = y[rows].mean()
        if math.isinf(worth):
            out[asked] = mean
        else:
            total = counts + worth  # of zero where nothing is known of an arm: it gets the common mean
            out[asked] = np.divide(sums + worth * mean, total, out=np.full(n_arms, mean), where=total > 0.0)
    return out


def _strength(counts: Floats, sums: Floats, y: Floats) -> float:
    """Variance within arms over variance between arms; infinite where no difference shows."""
    seen = counts > 0.0
    n, k = counts.sum(), int(seen.sum())
    if k < 2 or n <= k:
        return math.inf
    means = sums[seen] / counts[seen]
    common = sums.sum() / n
    between = float(counts[seen] @ (means - common) ** 2)
    within = max(float(((y - common) ** 2).sum()) - between, 0.0) / (n - k)
    variance = (between - (k - 1) * within) / (n - float(counts @ counts) / n)
    return within / variance if variance > 0.0 else math.inf


def _design(x: Floats, arms: Ints, features: Floats | None, n_arms: int) -> Any:
    """`[context, features of the arm]` of each row; sparse where the arms are many indicators."""
    if features is not None:
        return np.hstack([x, features[arms]])
    if n_arms <= MOST_DENSE:
        return np.hstack([x, np.eye(n_arms)[arms]])
    from scipy.sparse import csr_array, hstack

    indicators = csr_array((np.ones(arms.size), arms, np.arange(arms.size + 1)), shape=(arms.size, n_arms))
    return hstack([csr_array(x), indicators], format="csr") if x.shape[1] else indicators


def _predict(
    model: Any, classifies: bool, x: Floats, features: Floats | None, n_arms: int, asked: Ints, out: Floats
) -> None:
    """Write `out[asked]`, arm by arm; without contexts all rows have one answer."""
    if x.shape[1] == 0:
        out[asked] = _answer(model, classifies, _design(np.empty((n_arms, 0)), np.arange(n_arms), features, n_arms))
        return
    for arm in range(n_arms):
        rows = _design(x, np.full(asked.size, arm), features, n_arms)
        out[asked, arm] = _answer(model, classifies, rows)


def _answer(model: Any, classifies: bool, rows: Any) -> Floats:
    if classifies:
        answers = np.asarray(model.predict_proba(rows), np.float64) @ np.asarray(model.classes_, np.float64)
    else:
        answers = np.asarray(model.predict(rows), np.float64)
    if answers.shape != (rows.shape[0],) or not np.isfinite(answers).all():
        raise ValueError(
            f"{type(model).__name__} must answer with one finite number a row; got shape {answers.shape} for "
            f"{rows.shape[0]} rows, {np.count_nonzero(~np.isfinite(answers))} of them not finite"
        )
    return answers


def _checked(action: ArrayLike, rewards: ArrayLike, n_arms: int) -> tuple[Ints, Floats, int]:
    y = checked_column(rewards, "rewards")
    n_arms = checked_int(n_arms, "n_arms", 1)
    arms = checked_rows(action, "action", y.size)
    wrong = (arms < 0) | (arms >= n_arms)
    if wrong.any():
        bad = int(wrong.argmax())
        raise ValueError(f"action[{bad}] = {arms[bad]} is not in [0, {n_arms}), the arms")
    return arms, y, n_arms


def _checked_table(values: ArrayLike, what: str, n: int, each: str) -> Floats:
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or len(table) != n:
        raise ValueError(
            f"{what} must hold one line of features for each {each}, shape ({n}, d); got shape {table.shape}"
        )
    if not np.isfinite(table).all():
        bad = int(np.argmin(np.isfinite(table).all(axis=1)))
        raise ValueError(f"{what}[{bad}] holds a number that is not finite")
    return table

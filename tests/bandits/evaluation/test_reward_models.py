import builtins
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from bandits.evaluation import naive_models as naive
from seedbed.bandits.evaluation.folds import dealt_folds
from seedbed.bandits.evaluation.reward_models import arm_means, cross_fitted

N, K, D = 240, 5, 3


@pytest.fixture(autouse=True)
def one_thread():
    with threadpool_limits(1):  # on problems this small threads only wait for each other
        yield


def log(seed=1, n=N, k=K):
    rng = np.random.default_rng(seed)
    contexts, action = rng.normal(size=(n, D)), rng.integers(0, k, n)
    rewards = rng.random(n) < 1 / (1 + np.exp(-contexts[:, 0] - action + 2))
    return contexts, action, rewards.astype(float), rng.integers(0, 3, n)


def by_hand(estimator, contexts, action, rewards, k, features, positions, folds):
    """Every third row, by a model of its own."""
    out = np.empty((len(action), k))
    rows = np.hstack([contexts, features[action]])
    for i in range(0, len(action), 3):
        others = (folds != folds[i]) & (positions == positions[i])
        model = estimator().fit(rows[others], rewards[others])
        asked = np.array([np.concatenate([contexts[i], features[arm]]) for arm in range(k)])
        out[i] = model.predict_proba(asked)[:, 1] if hasattr(model, "predict_proba") else model.predict(asked)
    return out[::3]


@pytest.mark.parametrize("estimator", [LogisticRegression, lambda: Ridge(alpha=0.5)])
@pytest.mark.parametrize("with_features", [False, True])
def test_each_row_is_answered_by_a_model_of_the_other_folds_at_its_position(estimator, with_features):
    contexts, action, rewards, positions = log(n=90)
    features = np.random.default_rng(3).normal(size=(K, 2))
    got = cross_fitted(
        estimator(), contexts, action, rewards, K, arm_features=features if with_features else None, positions=positions
    )
    used = features if with_features else np.eye(K)
    expected = by_hand(estimator, contexts, action, rewards, K, used, positions, dealt_folds(90))
    np.testing.assert_allclose(got[::3], expected, atol=1e-6)


@pytest.mark.parametrize("fold", [0, 2])
def test_no_reward_of_a_fold_reaches_its_own_answers(fold):
    contexts, action, rewards, positions = log()
    folds = dealt_folds(N)
    for changed in (np.where(folds == fold, 1.0 - rewards, rewards), np.where(folds == fold, 0.0, rewards)):
        for made in (
            lambda y: cross_fitted(Ridge(), contexts, action, y, K, positions=positions),
            lambda y: arm_means(action, y, K),
        ):
            before, after = made(rewards), made(changed)
            np.testing.assert_array_equal(before[folds == fold], after[folds == fold])
            assert (before[folds != fold] != after[folds != fold]).any(axis=1).all()


def test_folds_are_keyed_even_and_fair():
    folds = dealt_folds(1_000, 3, seed=4)
    np.testing.assert_array_equal(folds, dealt_folds(1_000, 3, seed=4))
    assert sorted(np.bincount(folds)) == [333, 333, 334]
    assert dealt_folds(8, 3, seed=0).tolist() == [2, 1, 0, 0, 1, 2, 1, 0]
    assert (folds != dealt_folds(1_000, 3, seed=5)).any()
    # over seeds, two rows share a fold with the chance 332.667 / 999
    together = np.mean([len({*dealt_folds(1_000, 3, seed=s)[[0, 1]]}) == 1 for s in range(1_000)])
    chance = (333 * 332 * 2 + 334 * 333) / (1_000 * 999)
    assert abs(together - chance) < 5 * np.sqrt(chance * (1 - chance) / 1_000)
    contexts, action, rewards, _ = log()
    by_number = cross_fitted(LogisticRegression(), contexts, action, rewards, K, folds=4, seed=9)
    by_array = cross_fitted(LogisticRegression(), contexts, action, rewards, K, folds=dealt_folds(N, 4, 9))
    np.testing.assert_array_equal(by_number, by_array)


@settings(max_examples=60)
@given(st.data())
def test_arm_means_are_those_of_the_definition(data):
    n = data.draw(st.integers(4, 12))
    rows = [data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)) for _ in range(2)]
    folds = [0, 1, *data.draw(st.lists(st.integers(0, 3), min_size=n - 2, max_size=n - 2))]
    rewards = data.draw(st.lists(st.floats(-2, 2), min_size=n, max_size=n))
    strength = data.draw(st.sampled_from([0.0, 0.5, 10.0]))
    got = arm_means(rows[0], rewards, 4, positions=rows[1], folds=folds, strength=strength)
    expected = [[naive.arm_mean(i, rows[0], rewards, rows[1], folds, strength, a) for a in range(4)] for i in range(n)]
    np.testing.assert_allclose(got, expected, atol=1e-12)


@settings(max_examples=60)
@given(st.data())
def test_the_strength_is_that_of_the_textbook(data):
    n = data.draw(st.integers(8, 30))
    action = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    rewards = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    folds = np.arange(n) % 2
    strength = naive.strength([(action[i], rewards[i]) for i in range(n) if folds[i] == 1])
    got = arm_means(action, rewards, 4, folds=folds)[0]
    if strength is None:
        np.testing.assert_allclose(got, np.mean(rewards[1::2]), atol=1e-12)
    else:
        np.testing.assert_allclose(got, arm_means(action, rewards, 4, folds=folds, strength=strength)[0], atol=1e-9)


def test_the_strength_found_predicts_better_than_none_and_nearly_as_well_as_the_true_one():
    """Rates of arms ~ Beta(2, 8), so that the true strength is 10."""
    rng = np.random.default_rng(8)
    rates = rng.beta(2.0, 8.0, 400)
    action = np.repeat(np.arange(400), 30)
    rewards = (rng.random(action.size) < rates[action]).astype(float)
    error = [np.mean((arm_means(action, rewards, 400, strength=s)[0] - rates) ** 2) for s in (None, 10.0, 0.0)]
    # Bayes risk: E[p (1 - p)] / (n + 10), n = 20 rows of the other folds; the plain mean's: E[p (1 - p)] / n
    variance = 2 * 8 / (10 * 11)
    assert abs(error[1] - variance / 30) < 5 * np.sqrt(2 / 400) * variance / 30
    assert error[0] < 1.05 * error[1] and error[2] > 1.2 * error[1]


def test_arms_that_do_not_differ_get_one_mean():
    got = arm_means(
        np.tile([0, 1], 50), np.tile([0.0, 0.0, 1.0, 1.0], 25), 3, folds=np.tile([0, 0, 0, 0, 1, 1, 1, 1, 1, 1], 10)
    )
    assert (got == got[:, :1]).all()


def test_rewards_without_a_class_are_answered_by_their_mean():
    contexts, action, rewards, positions = log()
    rewards[positions == 2] = 0.0
    rewards[np.flatnonzero(positions == 1)] = 1.0
    with pytest.raises(ValueError):  # what the estimator itself says to one class
        LogisticRegression().fit(contexts[positions == 2], rewards[positions == 2])
    got = cross_fitted(LogisticRegression(), contexts, action, rewards, K, positions=positions)
    assert (got[positions == 2] == 0.0).all() and (got[positions == 1] == 1.0).all()
    assert np.unique(got[positions == 0]).size > 100


def test_a_position_without_rows_in_other_folds_is_answered_by_the_mean_of_all():
    contexts, action, rewards, _ = log()
    positions, folds = np.zeros(N, int), dealt_folds(N)
    positions[folds == 1] = np.where(np.arange((folds == 1).sum()) == 0, 7, 0)
    lonely = int(np.flatnonzero(positions == 7)[0])
    mean = rewards[folds != 1].mean()
    for got in (
        cross_fitted(LogisticRegression(), contexts, action, rewards, K, positions=positions),
        arm_means(action, rewards, K, positions=positions),
    ):
        np.testing.assert_allclose(got[lonely], mean)
        assert np.isfinite(got).all()


def test_many_arms_are_sparse_indicators_with_the_same_answers(monkeypatch):
    contexts, action, rewards, _ = log(k=40)
    dense = cross_fitted(Ridge(), contexts, action, rewards, 40)
    alone = cross_fitted(Ridge(), None, action, rewards, 40)
    monkeypatch.setattr("seedbed.bandits.evaluation.reward_models.MOST_DENSE", 10)
    seen = []

    class Spy(Ridge):
        def fit(self, X, y):
            seen.append(type(X).__name__)
            return super().fit(X, y)

    np.testing.assert_allclose(cross_fitted(Spy(), contexts, action, rewards, 40), dense, atol=1e-4)
    np.testing.assert_allclose(cross_fitted(Spy(), None, action, rewards, 40), alone, atol=1e-4)
    assert set(seen) == {"csr_array"}


def test_classes_other_than_0_and_1_count_by_their_value():
    ratings = np.array([1.0, 1.0, 5.0, 3.0] * 10)
    got = cross_fitted(DummyClassifier(), None, np.zeros(40, int), ratings, 1, folds=np.arange(40) // 20)
    np.testing.assert_allclose(got, 2.5)


def test_other_estimators_and_inputs_stay_as_they_were():
    contexts, action, rewards, _ = log()
    copies = [a.copy() for a in (contexts, action, rewards)]
    model = HistGradientBoostingClassifier(max_iter=5, random_state=0)
    wrapped = []
    got = cross_fitted(model, contexts, action, rewards, K, progress=lambda parts: wrapped.extend(parts) or parts)
    assert got.shape == (N, K) and ((got > 0) & (got < 1)).all()
    assert wrapped == [0, 1, 2] and not hasattr(model, "classes_")
    for array, copy in zip((contexts, action, rewards), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


class Broken(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        return self

    def predict(self, X):
        return np.full(len(X), np.nan)


CONTEXTS, ACTION, REWARDS, _ = log()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"estimator": LinearRegression}, "must be a scikit-learn estimator with fit and predict"),
        ({"estimator": LinearSVC()}, "with fit and predict_proba"),
        ({"estimator": Broken()}, "Broken must answer with one finite number a row"),
        (
            {"contexts": CONTEXTS[:-1]},
            "contexts must hold one line of features for each row, shape (240, d); got shape (239",
        ),
        ({"contexts": np.where(np.arange(N) == 5, np.nan, CONTEXTS[:, 0])[:, None]}, "contexts[5] holds a number"),
        ({"action": ACTION + 1}, "is not in [0, 5), the arms"),
        ({"action": ACTION * 1.0}, "action must be integers, one a row, shape (240,); got float64"),
        ({"rewards": np.where(np.arange(N) == 7, np.inf, REWARDS)}, "rewards[7] = inf"),
        ({"rewards": []}, "rewards are empty"),
        ({"n_arms": 0}, "n_arms must be at least 1; got 0"),
        ({"arm_features": np.ones((4, 2))}, "arm_features must hold one line of features for each arm, shape (5, d)"),
        ({"contexts": None, "arm_features": np.ones((5, 0))}, "hold no column"),
        ({"positions": np.zeros(3, int)}, "positions must be integers, one a row"),
        ({"folds": 1}, "folds must be at least 2; got 1"),
        ({"folds": 241}, "folds must be at most 240, the rows of the log; got 241"),
        ({"folds": np.zeros(N, int)}, "folds must hold at least two folds"),
        ({"folds": np.zeros(3, int)}, "folds must be integers, one a row"),
        ({"seed": -1}, "seed must be in [0,"),
    ],
)
def test_what_is_wrong_is_named(change, says):
    arguments = {
        "estimator": LogisticRegression(), "contexts": CONTEXTS, "action": ACTION, "rewards": REWARDS, "n_arms": K
    }  # fmt: skip
    with pytest.raises(ValueError) as error:
        cross_fitted(**{**arguments, **change})
    assert says in str(error.value)


def test_a_strength_that_is_none_is_named():
    with pytest.raises(ValueError, match=r"strength = -1\.0 must be a finite number"):
        arm_means([0, 1], [0.0, 1.0], 2, folds=2, strength=-1.0)


def test_without_scikit_learn_the_error_says_what_installs_it(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest, **named):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest, **named)

    for name in [name for name in sys.modules if name.startswith("sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"pip install 'seedbed\[learn\]'"):
        cross_fitted(LinearRegression(), None, [0, 1], [0.0, 1.0], 2, folds=2)

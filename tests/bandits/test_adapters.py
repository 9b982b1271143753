"""MABWiser's and river's faces: by hand, and beside the real ones where they are installed."""

import copy
import math
from collections import Counter

import numpy as np
import pytest

from seedbed.bandits import KLUCB, UCB1, Bandit, Gaussian, LinUCB, UnknownArmError
from seedbed.bandits.adapters import MAB, LearningPolicy, RiverPolicy

CONTEXTS = [[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]


# by hand


def test_ucb1_by_hand():
    """a: mean 1/2, n = 2; b: mean 1, n = 1; N = 3; c untried. Then b gets -1: mean 0, n = 2, N = 4."""
    mab = MAB(["a", "b", "c"], LearningPolicy.UCB1(alpha=2))
    mab.fit(["a", "a", "b"], [1, 0, 1])
    radius = 2 * math.sqrt(2 * math.log(3))
    expected = {"a": 0.5 + radius / math.sqrt(2), "b": 1 + radius, "c": math.inf}
    assert mab.predict_expectations() == pytest.approx(expected, rel=1e-12)
    assert mab.predict() == "c"
    mab.partial_fit(["b"], [-1.0])
    mab.remove_arm("c")
    radius = 2 * math.sqrt(2 * math.log(4))
    assert mab.predict_expectations() == pytest.approx(
        {"a": 0.5 + radius / math.sqrt(2), "b": radius / math.sqrt(2)}, rel=1e-12
    )
    assert mab.predict() == "a"


def test_epsilon_greedy_expects_the_means():
    """Means (20 + 17 + 9) / 3 and 25; an untried arm has 0, which beats -1."""
    mab = MAB(["Arm1", "Arm2", "Arm3"], LearningPolicy.EpsilonGreedy(epsilon=0.0))
    mab.fit(["Arm1", "Arm1", "Arm2", "Arm1"], [20, 17, 25, 9])
    assert mab.predict_expectations() == pytest.approx({"Arm1": 46 / 3, "Arm2": 25.0, "Arm3": 0.0}, rel=1e-14)
    assert mab.predict() == "Arm2"
    mab.fit(["Arm1", "Arm2"], [-1, -2])
    assert mab.predict() == "Arm3"


def test_lin_ucb_by_hand():
    """One reward 1 at (1, 0), l2 = 1: A = diag(2, 1), so at (1, 1) 1/2 + sqrt(1/2 + 1); untried sqrt(2)."""
    mab = MAB([1, 2], LearningPolicy.LinUCB(alpha=1.0))
    mab.fit([1], [1.0], [[1.0, 0.0]])
    assert mab.predict_expectations([[1.0, 1.0]]) == pytest.approx({1: 0.5 + math.sqrt(1.5), 2: math.sqrt(2)}, rel=1e-9)
    assert mab.predict([[1.0, 1.0], [-1.0, 0.0]]) == [1, 2]


def test_thompson_by_hand():
    """Binarized 20, 17, 9 at 15 are 1, 1, 0: Beta(3, 2), of mean 3/5."""
    seen = []

    def binarizer(arm, reward):
        seen.append((arm, reward))
        return reward > 15

    mab = MAB(["a", "b"], LearningPolicy.ThompsonSampling(binarizer))
    mab.fit(np.array(["a", "a", "a"]), np.array([20, 17, 9]))
    assert seen == [("a", 20), ("a", 17), ("a", 9)]
    assert mab.bandit.mean(["a", "b"]).tolist() == [0.6, 0.5]
    draws = mab.predict_expectations([[0]] * 4000)
    for arm, mean, variance in (("a", 0.6, 0.04), ("b", 0.5, 1 / 12)):
        assert abs(np.mean([draw[arm] for draw in draws]) - mean) < 5 * math.sqrt(variance / 4000)
    mab.add_arm("c", binarizer=lambda arm, reward: reward < 15)
    mab.partial_fit(["c", "c"], [9, 20])
    assert mab.bandit.mean(["c"]).tolist() == [0.5]
    mab.add_arm("d")
    mab.partial_fit(["b"], [9])
    assert mab.bandit.mean(["b"]).tolist() == [2 / 3]


def test_lin_ts_draws_have_mean_and_deviation():
    """A = diag(2, 1): at (2, 0) N(1, alpha^2 * 2); each row and each call draws anew."""
    mab = MAB(["a", "b"], LearningPolicy.LinTS(alpha=0.5))
    mab.fit(["a"], [1.0], [[1.0, 0.0]])
    draws = np.array([row["a"] for row in mab.predict_expectations([[2.0, 0.0]] * 4000)])
    assert abs(draws.mean() - 1.0) < 5 * math.sqrt(0.5 / 4000)
    assert abs(draws.var() - 0.5) < 5 * 0.5 * math.sqrt(2 / 4000)
    again = mab.predict_expectations([[2.0, 0.0]])["a"]
    assert again not in draws


def test_epsilon_and_random_choose_any_arm():
    for policy, share in ((LearningPolicy.EpsilonGreedy(epsilon=0.5), 0.75), (LearningPolicy.Random(), 0.5)):
        mab = MAB(["a", "b"], policy, seed=5)
        mab.fit(["a", "b"], [1.0, 0.0])
        chosen = mab.predict([[0.0]] * 4000).count("a") / 4000
        assert abs(chosen - share) < 5 * math.sqrt(share * (1 - share) / 4000)


def test_shapes_of_answers():
    for mab in (MAB(["a", "b"], LearningPolicy.UCB1()), MAB(["a", "b"], LearningPolicy.LinGreedy(epsilon=0.0))):
        assert mab.predict(CONTEXTS[:1]) in ("a", "b")
        assert len(mab.predict(CONTEXTS)) == 3
        assert list(mab.predict_expectations(CONTEXTS[:1])) == ["a", "b"]
        assert [list(row) for row in mab.predict_expectations(np.asfortranarray(CONTEXTS))] == [["a", "b"]] * 3


def test_before_any_data_and_the_number_of_features():
    mab = MAB(["a", "b"], LearningPolicy.LinUCB())
    assert mab.predict([[1.0, 2.0, 2.0]]) in ("a", "b")
    assert mab.predict_expectations([[0.0, 2.0]]) == pytest.approx({"a": 2.0, "b": 2.0})
    mab.partial_fit(["a", "b", "a"], [1, 0, 1], CONTEXTS)
    assert mab.bandit.policy.model.n_features == 2
    with pytest.raises(ValueError, match=r"shape"):
        mab.partial_fit(["a"], [1], [[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match=r"shape"):
        mab.predict([[1.0, 2.0, 3.0]])
    assert mab.bandit.updates == 3
    mab.fit(["a"], [1], [[1.0, 2.0, 3.0]])
    assert mab.bandit.policy.model.n_features == 3
    assert mab.bandit.policy.alpha == 1.0
    assert MAB(["a"], LearningPolicy.ThompsonSampling()).predict() == "a"


def test_plain_sequences_of_contexts():
    """Several numbers with several decisions are a column, with one decision a row."""
    mab = MAB(["a", "b"], LearningPolicy.LinGreedy(epsilon=0.0))
    mab.fit(["a", "a"], [1.0, 1.0], [1.0, 2.0])
    assert mab.predict_expectations([1.0, 3.0]) == [
        pytest.approx({"a": 0.5, "b": 0.0}),  # (1 + 2) / (1 + 1 + 4)
        pytest.approx({"a": 1.5, "b": 0.0}),
    ]
    mab.fit(["a"], [1.0], [1.0, 0.0])
    assert mab.predict_expectations([1.0, 0.0]) == pytest.approx({"a": 0.5, "b": 0.0})


def test_fit_forgets_and_partial_fit_does_not():
    mab = MAB(["a", "b"], LearningPolicy.EpsilonGreedy(0.0))
    mab.fit(["a", "b"], [4.0, 1.0])
    mab.partial_fit(["a"], [2.0])
    assert mab.predict_expectations() == pytest.approx({"a": 3.0, "b": 1.0})
    mab.fit(["b"], [1.0])
    assert mab.predict_expectations() == pytest.approx({"a": 0.0, "b": 1.0})


def test_a_fit_before_every_choice_still_explores():
    """The draws go on after a fit: else the same arm would win each time."""
    mab = MAB(["a", "b"], LearningPolicy.ThompsonSampling(), seed=1)
    chosen = Counter()
    for _ in range(60):
        mab.fit(["a", "b"], [1, 1])
        chosen[mab.predict()] += 1
    assert min(chosen["a"], chosen["b"]) >= 10
    twins = [MAB(["a", "b"], LearningPolicy.ThompsonSampling(), seed=9) for _ in range(2)]
    assert twins[0].predict([[0]] * 50) == twins[1].predict([[0]] * 50)


def test_arms_come_and_go_and_ids_are_never_reused():
    mab = MAB([1, "1"], LearningPolicy.UCB1())
    mab.fit([1, "1", 1], [1.0, 0.0, 1.0])
    assert mab.bandit.mean([1, "1"]).round(3).tolist() == [1.0, 0.0]
    mab.add_arm(2)
    assert mab.arms == [1, "1", 2]
    assert mab.predict() == 2
    mab.remove_arm("1")
    mab.bandit.pause_arms([2])
    for _ in range(2):
        assert mab.arms == [1, 2]
        assert mab.predict() == 1
        assert list(mab.predict_expectations()) == [1]
        with pytest.raises(ValueError, match="'1' was retired"):
            mab.add_arm("1")
        mab.fit([1], [0.0])
    with pytest.raises(UnknownArmError, match="'1' was retired"):
        mab.remove_arm("1")


BAD_FITS = [
    ((["a", "x"], [1, 0], None), UnknownArmError, "unknown arm 'x'"),
    ((["a", "b"], [1], None), ValueError, "one entry for each id"),
    ((["a"], [math.nan], None), ValueError, r"rewards\[0\] = nan of arm 'a'"),
    ((["a", "b"], [0, 2], None), ValueError, r"rewards\[1\] = 2.0 of arm 'b' is not in \[0, 1\]"),
    (("a", [1], None), ValueError, "not one string"),
    (({"a"}, [1], None), ValueError, "must be ordered"),
    (([1.5], [1], None), ValueError, r"decisions\[0\] = 1.5 is not an arm id"),
    ((["a"], [1], [[1.0]]), ValueError, "takes no context"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_FITS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_bad_fit_changes_nothing(method, call, error, message):
    mab = MAB(["a", "b"], LearningPolicy.ThompsonSampling())
    mab.fit(["a"], [1])
    bandit, before = mab.bandit, mab.bandit.to_bytes()
    with pytest.raises(error, match=message):
        getattr(mab, method)(*call)
    assert mab.bandit is bandit
    assert bandit.to_bytes() == before


def test_bad_contexts():
    mab = MAB(["a", "b"], LearningPolicy.LinTS())
    for contexts, message in (
        (None, "reads contexts; pass `contexts`"),
        ([[[1.0]]], r"rows of features, shape \(n, d\); got shape \(1, 1, 1\)"),
        ([], "got shape"),
        ([[1.0], [1.0, 2.0]], "shape"),
        ([["x"]], "must be numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            mab.fit(["a"], [1], contexts)
        with pytest.raises(ValueError, match=message):
            mab.predict(contexts)
    with pytest.raises(ValueError, match="shape"):
        mab.fit(["a", "b"], [1, 2], [1.0, 2.0, 3.0])
    assert mab.bandit.updates == 0


def test_what_is_not_offered_says_so():
    for name in ("Popularity", "Softmax"):
        with pytest.raises(ValueError, match="there are no Softmax and Popularity; use ThompsonSampling"):
            getattr(LearningPolicy, name)()
    with pytest.raises(ValueError, match="ridge"):
        LearningPolicy.LinUCB(l2_lambda=0)
    with pytest.raises(ValueError, match="epsilon"):
        LearningPolicy.EpsilonGreedy(epsilon=2)
    with pytest.raises(ValueError, match="cannot be called"):
        LearningPolicy.ThompsonSampling(binarizer=3)
    with pytest.raises(ValueError, match="no neighborhood policies"):
        MAB(["a"], LearningPolicy.UCB1(), object())
    with pytest.raises(ValueError, match="is not a policy"):
        MAB(["a"], LearningPolicy.UCB1)
    mab = MAB(["a"], LearningPolicy.UCB1())
    for extra in ({"scaler": object()}, {"binarizer": lambda arm, reward: 1}):
        with pytest.raises(ValueError, match="not offered"):
            mab.add_arm("b", **extra)
    mab = MAB(["a"], LearningPolicy.ThompsonSampling())
    with pytest.raises(ValueError, match="cannot be called"):
        mab.add_arm("b", binarizer=3)
    assert mab.arms == ["a"]
    with pytest.raises(ValueError, match="no candidates"):
        MAB([], LearningPolicy.UCB1()).predict()


def test_any_policy_of_ours_will_do():
    mab = MAB(["a", "b"], KLUCB())
    mab.fit(["a", "b"], [1, 0])
    assert mab.predict() == "a"
    assert isinstance(mab.bandit, Bandit)


# river by hand


def test_river_by_hand():
    """UCB1: a has 1/2 + sqrt(2 ln 3 / 2) = 1.55, b 0 + sqrt(2 ln 3) = 1.48; among b and c, c is untried."""
    policy = RiverPolicy(UCB1(), seed=6)
    assert policy.ranking == []
    assert policy.pull(["a", "b"]) in ("a", "b")
    for arm, reward in (("a", 1), ("a", 0), ("b", 0)):
        assert policy.update(arm, reward) is None
    assert policy.pull(["a", "b"]) == "a"
    assert policy.pull(["b"]) == "b"
    assert policy.pull(iter(["b", "c", "b"])) == "c"
    policy.update("d", 1.0, w=3.0)
    assert policy.bandit.mean(["d"]).tolist() == [0.8]  # (1 + 3) / (2 + 3)
    assert policy.ranking == ["d", "a", "c", "b"]  # 4/5, 1/2, 1/2, 1/3
    assert policy._n == 4
    clone = policy.clone()
    assert (clone.ranking, clone.bandit.policy, clone.bandit.seed) == ([], UCB1(), 6)


def test_river_ids_and_errors():
    policy = RiverPolicy(UCB1())
    assert policy.pull(range(3)) in (0, 1, 2)
    policy.update(np.int64(1), 1.0)
    policy.update("1", 0.0)
    assert policy.ranking == [1, 0, 2, "1"]
    for arm, reward, message in (("new", 2.0, r"\[0, 1\]"), (True, 1.0, "not an arm id"), (("a", "b"), 1.0, "arm id")):
        with pytest.raises(ValueError, match=message):
            policy.update(arm, reward)
    with pytest.raises(ValueError, match="weight"):
        policy.update("new", 1.0, w=-1.0)
    for arms, message in (([], "no candidates"), ([0, None], "not an arm id"), ("ab", "not one string")):
        with pytest.raises(ValueError, match=message):
            policy.pull(arms)
    policy.bandit.retire_arms([2])
    with pytest.raises(ValueError, match="2 was retired"):
        policy.pull([0, 2, 5])
    assert policy.bandit.arms == [0, 1, "1"]
    assert policy._n == 2
    with pytest.raises(ValueError, match="reads a context"):
        RiverPolicy(LinUCB(n_features=2))


# beside the real ones


@pytest.fixture
def log():
    rng = np.random.default_rng(20)
    return rng.choice(["a", "b", "c"], 80), rng.normal(2.0, 3.0, 80), rng.normal(size=(80, 4)), rng.normal(size=(6, 4))


def both(name, arms=("a", "b", "c"), **numbers):
    theirs = pytest.importorskip("mabwiser.mab")
    his = theirs.MAB(list(arms), getattr(theirs.LearningPolicy, name)(**numbers), seed=3)
    return his, MAB(arms, getattr(LearningPolicy, name)(**numbers), seed=3)


def assert_same(his, ours, contexts=None, **tolerance):
    expected, got = his.predict_expectations(contexts), ours.predict_expectations(contexts)
    assert type(got) is type(expected)
    for theirs, mine in zip(*((x if isinstance(x, list) else [x]) for x in (expected, got)), strict=True):
        assert list(mine) == list(theirs)
        assert mine == pytest.approx({arm: float(value) for arm, value in theirs.items()}, **tolerance)
    assert ours.predict(contexts) == his.predict(contexts)


@pytest.mark.parametrize(("name", "numbers"), [("UCB1", {"alpha": 1.3}), ("EpsilonGreedy", {"epsilon": 0.0})])
def test_as_mabwiser_without_contexts(name, numbers, log):
    arms, rewards, _, contexts = log
    pair = both(name, **numbers)
    for mab in pair:
        mab.fit(arms[:50], rewards[:50])
    assert_same(*pair, rel=1e-12)
    for mab in pair:
        mab.partial_fit(arms[50:].tolist(), rewards[50:].tolist())
    for rows in (None, contexts, contexts[:1]):
        assert_same(*pair, rows, rel=1e-12)
    for mab in pair:
        mab.fit(arms[40:], rewards[40:])
    assert_same(*pair, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("LinUCB", {"alpha": 1.3, "l2_lambda": 2.5}),
        ("LinGreedy", {"epsilon": 0.0, "l2_lambda": 0.5}),
        ("LinTS", {"alpha": 1e-10, "l2_lambda": 0.7}),
    ],
)
def test_as_mabwiser_with_contexts(name, numbers, log):
    arms, rewards, rows, contexts = log
    pair = both(name, **numbers)
    for mab in pair:
        mab.fit(arms[:50], rewards[:50], rows[:50])
        mab.partial_fit(arms[50:], rewards[50:], rows[50:])
    for some in (contexts, contexts[:1], contexts.tolist(), np.asfortranarray(contexts)):
        assert_same(*pair, some, rel=1e-8, abs=1e-8)


def test_draws_as_mabwisers(log):
    """Means and deviations of 4,000 draws at one context."""
    arms, rewards, rows, contexts = log
    for name, numbers, learnt, given in (
        ("LinTS", {"alpha": 0.8, "l2_lambda": 2.0}, (rewards, rows), contexts[:1].repeat(4000, 0)),
        ("ThompsonSampling", {}, ((rewards > 3).astype(int),), np.zeros((4000, 1))),
    ):
        pair = both(name, **numbers)
        for mab in pair:
            mab.fit(arms, *learnt)
        his, ours = (np.array([list(row.values()) for row in mab.predict_expectations(given)]) for mab in pair)
        error = np.sqrt((his.var(0) + ours.var(0)) / 4000)
        assert (abs(his.mean(0) - ours.mean(0)) < 5 * error).all()
        assert (abs(np.log(his.std(0) / ours.std(0))) < 5 / math.sqrt(4000)).all()  # > 3.5 of its deviations


def test_untried_arms_as_documented():
    """MABWiser: 0 in UCB1, alpha sqrt(l2 x'x) in LinUCB; here infinity and alpha sqrt(x'x / l2)."""
    his, ours = both("UCB1")
    his.fit(["a"], [1])
    ours.fit(["a"], [1])
    assert (his.predict_expectations()["b"], ours.predict_expectations()["b"]) == (0, math.inf)
    his, ours = both("LinUCB", l2_lambda=4.0)
    for mab in (his, ours):
        mab.fit(["a"], [1], [[1.0, 0.0]])
    his, ours = (mab.predict_expectations([[1.0, 0.0]]) for mab in (his, ours))
    assert (his["b"], ours["b"]) == pytest.approx((2.0, 0.5))
    assert ours["a"] == pytest.approx(his["a"])


def test_pandas_is_taken_as_mabwiser_takes_it(log):
    pandas = pytest.importorskip("pandas")
    arms, rewards, rows, contexts = log
    pair = both("LinUCB")
    for mab in pair:
        mab.fit(pandas.Series(arms), pandas.Series(rewards), pandas.DataFrame(rows))
        mab.partial_fit(pandas.Series(["a"]), pandas.Series([1.0]), pandas.Series(rows[0]))
    assert_same(*pair, pandas.DataFrame(contexts), rel=1e-8)
    assert_same(*pair, pandas.Series(contexts[0]), rel=1e-8)
    pair = both("LinUCB", arms=(1, 2))
    for mab in pair:
        mab.fit(pandas.Series([1, 2, 1]), pandas.Series([1.0, 2.0, 3.0]), pandas.Series([1.0, 2.0, 4.0]))
    assert_same(*pair, pandas.Series([0.5, 3.0]), rel=1e-8)


class Env:
    """As much of a gymnasium environment as `river.bandit.evaluate` uses: two arms, rates 0.2 and 0.8."""

    class Actions:
        n = np.int64(2)

        def seed(self, seed):
            pass

    def __init__(self):
        self.action_space = self.Actions()

    def reset(self, seed):
        self.rng, self.steps = np.random.default_rng(seed), 0

    def step(self, arm):
        self.steps += 1
        return None, float(self.rng.random() < (0.2, 0.8)[arm]), False, self.steps == 200, {}


def test_in_rivers_evaluate():
    bandit = pytest.importorskip("river.bandit")
    proba = pytest.importorskip("river.proba")
    policies = [
        RiverPolicy(seed=4),
        bandit.ThompsonSampling(reward_obj=proba.Beta(), seed=4),
        RiverPolicy(UCB1(model=Gaussian())),
    ]
    trace = list(bandit.evaluate(policies, Env(), n_episodes=3, seed=1))
    assert len(trace) == 3 * 3 * 200
    for i in range(3):
        last = [step["reward_stat"] for step in trace if step["policy_idx"] == i and step["step"] == 199]
        assert np.mean(last) > 125  # 160 at best, 100 by chance
    assert [policy._n for policy in policies] == [0, 0, 0]  # clones were played


def test_in_rivers_offline_evaluation():
    """Arms a, b alternate and both are offered; only what was pulled is learnt."""
    bandit = pytest.importorskip("river.bandit")
    history = [(["a", "b"], None, "ab"[i % 2], float(i % 2)) for i in range(400)]
    policy = RiverPolicy(seed=2)
    total, used = bandit.evaluate_offline(policy, copy.deepcopy(history))
    assert used == policy._n == policy.bandit.updates
    assert 100 < used < 300
    assert total.get() > 0.8 * used
    assert policy.ranking == ["b", "a"]


def test_ranking_as_rivers():
    bandit = pytest.importorskip("river.bandit")
    his, ours = bandit.EpsilonGreedy(epsilon=0.0, seed=1), RiverPolicy(LearningPolicy.EpsilonGreedy(0.0))
    rng = np.random.default_rng(3)
    for arm in rng.choice(["a", "b", "c", "d"], 100).tolist():
        reward = rng.normal(ord(arm) % 3)
        his.update(arm, reward)
        ours.update(arm, reward)
    assert ours.ranking == his.ranking
    assert ours.pull(["a", "b", "c", "d"]) == his.pull(["a", "b", "c", "d"])

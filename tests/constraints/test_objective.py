import math

import numpy as np
import pytest
from asking import asked, described, told
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from seedbed.bandits import Bandit, CheckpointError, Thompson
from seedbed.constraints import EpsilonConstraint, Objective, percentiles, scalarise
from seedbed.constraints._rates import draw, name_key
from seedbed.constraints.base import Precedence
from seedbed.constraints.constrained import Constrained

MANY = 100_000  # events that leave no doubt


def convinced(constraint, capacity, **rates):
    """A state in which metrics of arms are as good as known."""
    state = constraint.init(capacity)
    for name, values in rates.items():
        for column, rate in enumerate(values):
            constraint.observe(state, told([column], weights=[MANY], metrics={name: [rate]}))
    return state


def test_by_hand():
    """Rewards rank b < c < a, follows a < b < c: percentiles 5/6, 1/6, 1/2 and 1/6, 1/2, 5/6."""
    scores = np.array([3.0, 1.0, 2.0])
    for how, weights, expected in [
        ("weighted", (1.0, 1.0), [6, 4, 8]),
        ("weighted", (1.0, 0.5), [5.5, 2.5, 5.5]),
        ("chebyshev", (1.0, 1.0), [1, 1, 3]),
        ("chebyshev", (1.0, 4.0), [4, 1, 3]),
        ("generalised_gini", (1.0, 1.0), [3.5, 2.5, 5.5]),
    ]:
        objective = Objective({"reward": weights[0], "follow": weights[1]}, how=how)
        state = convinced(objective, 3, follow=[0.1, 0.2, 0.3])
        found = objective.rescore(state, asked([0, 1, 2]), scores) * 6
        assert found.tolist() == pytest.approx(expected), how


def test_what_is_better_low():
    objective = Objective({"reward": 1.0, "skip": 2.0}, minimise=("skip",))
    state = convinced(objective, 3, skip=[0.1, 0.2, 0.3])
    found = objective.rescore(state, asked([0, 1, 2]), np.array([3.0, 2.0, 1.0])) * 6
    assert found.tolist() == pytest.approx([5 + 10, 3 + 6, 1 + 2])


def test_reference_of_chebyshev():
    objective = Objective({"reward": 1.0, "follow": 1.0}, how="chebyshev", reference={"reward": 0.5})
    state = convinced(objective, 2, follow=[0.9, 0.1])
    found = objective.rescore(state, asked([0, 1]), np.array([0.0, 1.0]))
    assert found.tolist() == pytest.approx([min(0.25 - 0.5, 0.75), min(0.75 - 0.5, 0.25)])


def test_arms_are_compared_with_their_like():
    """Alone in its bucket an arm is in its middle; an arm without one is compared with others without."""
    objective = Objective({"follow": 1.0}, by="bucket")
    attributes = described(5, bucket=["x", "x", "y", None, None])
    state = convinced(objective, 5, follow=[0.1, 0.2, 0.9, 0.8, 0.7])
    found = objective.rescore(state, asked(range(5), attributes), np.zeros(5))
    assert found.tolist() == [0.25, 0.75, 0.5, 0.75, 0.25]


@given(st.integers(-(2**63), 2**63 - 1), st.randoms(use_true_random=False))
def test_draws_do_not_depend_on_the_company(key, shuffled):
    """Nor on the order of candidates, nor on other metrics."""
    one = Objective({"follow": 1.0})
    two = Objective({"reward": 1.0, "skip": 1.0, "follow": 1.0})
    order = list(range(6))
    shuffled.shuffle(order)
    request, other = asked(range(6), key=key), asked(order, key=key)
    state = one.init(6)
    scores = one.rescore(state, request, np.zeros(6))
    assert one.rescore(state, other, np.zeros(6)).tolist() == scores[order].tolist()
    mixed = two.rescore(two.init(6), other, np.zeros(6)) - 0.5
    skips = Objective({"skip": 1.0}).rescore(state, request, np.zeros(6))
    assert mixed.tolist() == pytest.approx((scores + skips)[order].tolist())


def test_draws_follow_the_posterior():
    """Kolmogorov-Smirnov of 20,000 draws from Beta(1 + 3, 2 + 9), over keys."""
    counts = np.array([[3.0], [9.0]])
    out, found = np.empty(1), []
    for key in range(20_000):
        draw(counts, 0, np.array([0]), np.array([77], np.uint64), 1.0, 2.0, key, name_key("follow"), out)
        found.append(1 / (1 + math.exp(-out[0])))
    assert stats.kstest(found, stats.beta(4, 11).cdf).pvalue > 1e-6


def test_metrics_are_learnt_by_arm_with_weights():
    objective = Objective({"reward": 1.0, "follow": 1.0, "skip": 1.0})
    assert objective.metrics_read == ("follow", "skip")
    state = objective.init(3)
    objective.observe(state, told([1, 1, 2], weights=[1.0, 2.0, 1.0], metrics={"skip": [1.0, 0.25, 0.0]}))
    objective.observe(state, told([0]))
    assert state.counts.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1.5, 0], [0, 1.5, 1]]
    twin = objective.load(objective.save(state, 3), 3)
    assert np.array_equal(twin.counts, state.counts)


@pytest.mark.parametrize("constraint", [Objective({"follow": 1.0}), EpsilonConstraint("follow", at_least=0.1)])
@pytest.mark.parametrize("value", [1.5, -0.5, math.nan])
def test_metrics_that_are_no_proportions(constraint, value):
    with pytest.raises(ValueError, match=r"metrics\['follow'\]\[1\] = .* is not a proportion"):
        constraint.check(constraint.init(2), told([0, 1], metrics={"follow": [0.5, value]}))
    constraint.check(constraint.init(2), told([0, 1], metrics={"follow": [0.0, 1.0]}))


@pytest.mark.parametrize("constraint", [Objective({"follow": 1.0}), EpsilonConstraint("follow", at_least=0.1)])
@pytest.mark.parametrize("value", [-0.5, math.nan, math.inf])
def test_counts_that_cannot_be(constraint, value):
    arrays = constraint.save(constraint.init(2), 2)
    constraint.load({"counts": arrays["counts"].copy()}, 2)
    arrays["counts"][0, 1] = value
    with pytest.raises(CheckpointError):
        constraint.load(arrays, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"metrics": {}},
        {"metrics": {"reward": 0.0}},
        {"metrics": {"reward": -1.0}},
        {"metrics": {"reward": 1.0}, "minimise": ("skip",)},
        {"metrics": {"reward": 1.0}, "how": "chebyshev", "reference": {"skip": 0.5}},
        {"metrics": {"reward": 1.0}, "reference": {"reward": 0.5}},
        {"metrics": {"reward": 1.0, "skip": 2.0}, "how": "generalised_gini"},
    ],
)
def test_objectives_that_contradict_themselves(wrong):
    with pytest.raises(ValidationError):
        Objective(**wrong)


def test_chosen_by_reward_and_follows():
    """Arm 0 has the rewards, arm 1 the follows, arm 2 nearly both: what is chosen is what the weights say."""
    for metrics, how, best in [
        ({"reward": 1.0, "follow": 0.1}, "weighted", 0),
        ({"reward": 0.1, "follow": 1.0}, "weighted", 1),
        ({"reward": 1.0, "follow": 1.0}, "generalised_gini", 2),
        ({"reward": 1.0, "follow": 1.0}, "chebyshev", 2),
    ]:
        ranker = Constrained(Bandit(Thompson(), arms=range(3), seed=3), [Objective(metrics, how=how)])
        for arm, reward, follow in [(0, 0.8, 0.1), (1, 0.1, 0.8), (2, 0.6, 0.6)]:
            ranker.update(arm, reward, weight=MANY, metrics={"follow": follow})
        assert ranker.select(now=0.0).arms == [best]


def test_scores_are_those_of_the_functions():
    ranker = Constrained(Bandit(Thompson(), arms=range(4), seed=3), [Objective({"reward": 1.0, "follow": 3.0})])
    for arm in range(4):
        ranker.update(arm, 0.2 * arm, weight=MANY, metrics={"follow": 1.0 - 0.3 * arm})
    decision = ranker.select(k=4, now=0.0)
    values = percentiles([[0.2 * arm for arm in decision.arms], [1.0 - 0.3 * arm for arm in decision.arms]])
    assert decision.scores == pytest.approx(scalarise(values, "weighted", [1.0, 3.0]).tolist())


# bounds


def kept(constraint, state, request):
    masks = constraint.mask(state, request)
    return [True] * request.columns.size if not masks else masks[0][1].tolist()


def test_bounds_by_hand():
    """Beta(1, 1) and 2 follows of 4 events: 3/6; none of 4: 1/6; nothing known: 1/2."""
    state = EpsilonConstraint("follow", at_least=0.5).init(3)
    EpsilonConstraint("follow", at_least=0.5).observe(
        state, told([0, 0, 0, 0, 1, 1, 1, 1], metrics={"follow": [1, 0, 0, 1, 0, 0, 0, 0]})
    )
    request = asked([2, 1, 0])
    for bound, expected in [
        ({"at_least": 0.5}, [True, False, True]),
        ({"at_least": 0.51}, [False, False, False]),
        ({"at_most": 1 / 6}, [False, True, False]),
        ({"at_most": 0.5}, [True, True, True]),
        ({"at_least": 0.5, "prior": (1.0, 9.0)}, [False, False, False]),
        ({"at_least": 0.2, "prior": (1.0, 9.0)}, [False, False, True]),
        ({"at_least": 0.5, "percentile": True}, [True, False, True]),
        ({"at_most": 0.5, "percentile": True}, [False, True, False]),
    ]:
        constraint = EpsilonConstraint("follow", **bound)
        assert kept(constraint, state, request) == expected, bound
        assert all(reason == constraint.reason for reason, _ in constraint.mask(state, request))


def test_bounds_of_the_reward_and_within_groups():
    request = asked(
        [0, 1, 2, 3], described(4, bucket=["x", "x", "y", "y"]), means=lambda: np.array([0.1, 0.2, 0.8, 0.9])
    )
    constraint = EpsilonConstraint("reward", at_least=0.5)
    assert constraint.metrics_read == ()
    assert kept(constraint, constraint.init(4), request) == [False, False, True, True]
    constraint = EpsilonConstraint("reward", at_least=0.5, percentile=True, by="bucket")
    assert kept(constraint, constraint.init(4), request) == [False, True, False, True]


def test_bounds_give_way_where_too_few_are_left():
    constraint = EpsilonConstraint("follow", at_least=0.5)
    assert constraint.precedence == Precedence.GROUP and constraint.relaxable
    ranker = Constrained(Bandit(Thompson(), arms=range(3), seed=3), [constraint])
    for arm, follow in enumerate([1.0, 0.0, 0.0]):
        ranker.update(arm, 0.5, weight=MANY, metrics={"follow": follow})
    one = ranker.select(k=1, now=0.0)
    assert one.arms == [0] and one.dropped == {"BELOW:follow": 2} and one.relaxed == ()
    two = ranker.select(k=2, now=0.0)
    assert len(two.arms) == 2 and two.dropped == {} and two.relaxed == ("epsilon:follow",)


@pytest.mark.parametrize("wrong", [{}, {"at_least": 0.1, "at_most": 0.2}, {"at_least": 0.1, "by": "bucket"}])
def test_bounds_that_are_none(wrong):
    with pytest.raises(ValidationError):
        EpsilonConstraint("follow", **wrong)

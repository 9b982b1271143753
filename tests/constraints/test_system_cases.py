"""The chain where its parts met badly: a refusal must change nothing, and who gives way must be named."""

import copy

import numpy as np
import pytest

from seedbed.bandits import Bandit, Beta, LinThompson, Thompson
from seedbed.constraints import (
    Budget,
    Cap,
    Concentration,
    Eligibility,
    FairShare,
    Floor,
    FrequencyCap,
    Knapsack,
    LowQuality,
    Protected,
    Slate,
    Value,
)
from seedbed.constraints.constrained import Constrained


def ranker_of(*constraints, arms=4, model=None, **attributes):
    ranker = Constrained(Bandit(Thompson(model=model or Beta()), arms=range(arms), seed=1), constraints)
    if attributes:
        ranker.describe(range(arms), **attributes)
    return ranker


def check_refused(ranker, match, **asked):
    """A refused request leaves every byte as it was."""
    before = ranker.to_bytes()
    with pytest.raises(ValueError, match=match):
        ranker.select(**asked)
    assert ranker.to_bytes() == before


def test_an_arm_of_unknown_quality_is_refused_before_anything_is_counted():
    check_refused(ranker_of(FairShare(0.1), LowQuality(attribute="is_low")), "is_low", now=0.0)


@pytest.mark.parametrize("constraint", [LowQuality(attribute="x"), FairShare("x")], ids=lambda each: each.name)
def test_where_nobody_is_eligible_nobody_lacks_an_attribute(constraint):
    ranker = ranker_of(Eligibility(), constraint)
    ranker.block(range(4))
    decision = ranker.select(k=2, now=0.0)
    assert decision.arms == [] and decision.dropped == {"BLOCKED": 4}
    assert ranker.propensities(k=2).tolist() == [0.0] * 4


def test_groups_written_in_numbers_are_refused_before_a_viewer_is_counted():
    check_refused(ranker_of(FairShare(0.1), FrequencyCap(1, by="x"), x=1.0), "holds numbers", now=0.0, viewer={"id": 1})


def test_a_time_too_far_off_for_a_window_lets_no_evidence_decay():
    ranker = ranker_of(Budget(limit=5, window=1e-3), model=Beta(half_life=1.0))
    ranker.select(now=0.0)
    ranker.update(0, 1.0)
    check_refused(ranker, "too far from 0", now=1e14)
    assert ranker.mean([0]).tolist() == [2.0 / 3.0]


def test_propensities_beside_a_decision_are_those_it_was_drawn_by():
    """Chances of the rule are worked out every third decision: not between the draw and its report."""
    asked, plain = ranker_of(Cap(0.5, max_candidates=2, refresh=3)), ranker_of(Cap(0.5, max_candidates=2, refresh=3))
    for step in range(12):
        for ranker in (asked, plain):
            ranker.update([step % 4] * 20, [float(step % 3 == 0)] * 20)
        told = copy.deepcopy(asked).propensities(now=float(step))
        decision = asked.select(now=float(step), propensities=True)
        assert decision.propensities == [told[decision.arms[0]]]
        assert decision.arms == plain.select(now=float(step)).arms  # nor do later decisions change by the asking


def test_a_mixture_serves_nobody_whom_a_hard_limit_forbids():
    slate = Slate(by="group", upper={"a": 0}, relaxable_upper=False)
    ranker = ranker_of(Knapsack({"units": 100}, decisions=100), slate, group=["a", "a", "a", "b"])
    served = [ranker.select(now=0.0) for _ in range(40)]
    assert {arm for decision in served for arm in decision.arms} == {3}
    assert {decision.relaxed for decision in served} == {()}


def test_a_mixture_names_the_floors_demands_and_limits_that_it_does_not_heed():
    """Arm 0 sells for ten times as much, so the mixture serves it alone."""
    given = [
        Knapsack({"units": 1_000}, decisions=100, value="price"),
        Floor(0.1),
        FairShare(0.2),
        Slate(by="g", lower=1),
    ]
    ranker = ranker_of(*given, price=[10.0, 1.0, 1.0, 1.0], g=["a", "b", "b", "b"])
    ranker.update(list(range(4)), [1.0] * 4, weight=[1e6] * 4)
    first, *_, last = [ranker.select(now=0.0) for _ in range(10)]
    assert first.arms == last.arms == [0]
    assert first.relaxed == ("floor", "slate")  # no arm is overdue yet
    assert last.relaxed == ("floor", "fair_share", "slate")


def test_a_demand_gives_way_to_a_cap_and_beats_a_floor():
    """With one slot an arm that is demanded has probability 1: above a cap of .5, and the others have none."""
    ranker = ranker_of(FairShare(0.25, tolerance=0.0), Cap(0.5))
    assert {ranker.select(now=0.0).relaxed for _ in range(8)} == {("fair_share",)}
    assert ranker.propensities().max() <= 0.5 + 1e-12
    ranker = ranker_of(FairShare(0.25, tolerance=0.0), Floor(0.1))
    assert {ranker.select(now=0.0).relaxed for _ in range(8)} == {("floor",)}
    ranker = ranker_of(FairShare({"a": 0.5}, by="g", tolerance=0.0), Cap({"a": 0.4}, by="g"), g=["a", "a", "b", "b"])
    assert {ranker.select(k=2, now=0.0).relaxed for _ in range(8)} == {(), ("fair_share",)}  # () where none is overdue


def test_a_demand_without_room_is_named():
    """Both arms of account a are overdue, and it has room for one."""
    given = [FairShare({"a": 1.0}, by="g", tolerance=0.0), Budget("units", limit=1, window=1.0, by="g")]
    ranker = ranker_of(*given, g=["a", "a", "b", "b"])
    for now in range(4):
        decision = ranker.select(k=2, now=float(now))
        assert sorted(arm // 2 for arm in decision.arms) == [0, 1]
        assert decision.relaxed == ("fair_share",)


def test_floors_and_caps_without_room_are_named():
    """All of both slots go by shares: where two of one account are drawn, the second gives way to the budget."""
    for share in (Floor(0.25), Cap(0.3)):
        ranker = ranker_of(share, Budget("units", limit=1, window=1.0, by="g"), g=["a", "a", "b", "b"])
        decisions = [ranker.select(k=2, now=float(now)) for now in range(40)]
        assert all(sorted(arm // 2 for arm in decision.arms) == [0, 1] for decision in decisions)
        assert {decision.relaxed for decision in decisions} == {(), (share.name,)}


def test_masks_leave_the_draws_of_contexts_alone():
    """Blocked arms leave the others their draws: the choice is that of a request for the others."""
    context = np.random.default_rng(3).normal(size=(6, 3))
    blocked = Constrained(Bandit(LinThompson(n_features=3), arms=range(6), seed=4), [Eligibility()])
    blocked.block([0, 3])
    left = [1, 2, 4, 5]
    for _ in range(10):
        twin = copy.deepcopy(blocked)
        decision, other = blocked.select(k=3, context=context), twin.select(left, 3, context=context[left])
        assert decision.arms == other.arms and decision.scores == other.scores
        assert decision.dropped == {"BLOCKED": 2}
        blocked.update(decision.arms[0], 1.0, context=context[decision.arms[0]])


def test_learning_is_all_or_nothing():
    """What the bandit refuses no constraint has seen, and the other way round."""
    ranker = ranker_of(Budget("coins", limit=9, cost=2.0, per="feedback"), Value("price"), price=1.0)
    decision = ranker.select(now=0.0)
    before = ranker.to_bytes()
    for reward, cost in ((2.0, 1.0), (float("nan"), 1.0), (1.0, -1.0), (1.0, float("nan"))):
        with pytest.raises(ValueError):
            ranker.update(decision.arms[0], reward, cost=cost, decision=decision)
        with pytest.raises(ValueError):
            ranker.update([0, 1], [1.0, reward], cost=[1.0, cost], decision=decision)
    assert ranker.to_bytes() == before


def test_arms_may_join_after_a_checkpoint():
    """A checkpoint holds the columns in use: all states must grow again, not only those that fit the time."""
    ranker = Constrained.from_bytes(ranker_of(Protected("harm", limit=0.5, viewer={}), Concentration()).to_bytes())
    ranker.add_arms(range(4, 15))
    ranker.update([14] * 60, [0.0] * 60, metrics={"harm": 0.0})
    assert ranker.select([14, 3], now=0.0).arms == [14]


def test_a_time_that_is_refused_does_not_keep_states_from_growing():
    ranker = ranker_of(Budget(limit=5, window=1e-3), Concentration())
    ranker.bandit.add_arms(range(4, 40))
    with pytest.raises(ValueError, match="too far from 0"):
        ranker.select(now=1e14)
    assert ranker.select([39], now=0.0).arms == [39]


def test_an_arm_in_the_column_of_another_begins_anew():
    ranker = ranker_of(Eligibility(), Budget("units", limit=1, by="arm"))
    assert [ranker.select([arm], now=0.0).arms for arm in range(4)] == [[0], [1], [2], [3]]
    ranker.block([2])
    ranker.retire_arms([2])
    ranker.add_arms(["new"])
    assert ranker.bandit.columns == 4
    assert ranker.select(["new"], now=0.0).arms == ["new"]
    assert ranker.select(now=0.0).dropped == {"BUDGET_SPENT": 4}


def test_what_is_told_and_given_back_is_of_the_decision_that_is_named():
    ranker = ranker_of(Budget("coins", limit=9, cost=2.0, per="feedback"))
    first, second = ranker.select(now=0.0), ranker.select(now=1.0)
    ranker.update(first.arms[0], 1.0, cost=0.5, decision=first)
    assert ranker.report()["budget:coins"]["reserved"] == 2.0
    assert ranker.refund(first) == {"budget:coins": 0.5}
    assert ranker.refund(second.decision_id) == {"budget:coins": 2.0}
    with pytest.raises(ValueError, match="backwards"):
        ranker.select(now=0.5)

"""The chain where its parts met badly: a refusal must change nothing, and who gives way must be named."""

import copy

import numpy as np
import pytest

from seedbed.bandits import Bandit, Beta, LinThompson, Thompson
from seedbed.constraints import (
    Budget,
    Cap,
    Eligibility,
    FairShare,
    Floor,
    FrequencyCap,
    Knapsack,
    LowQuality,
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

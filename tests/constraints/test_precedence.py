"""What is never traded: whatever is asked, nothing is served that eligibility forbids, however few are left."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.bandits import Bandit, Thompson
from seedbed.constraints import (
    Baseline,
    Between,
    Eligibility,
    EpsilonConstraint,
    FrequencyCap,
    Objective,
    Protected,
    Rule,
)
from seedbed.constraints.constrained import Constrained

HARD = Rule(reason="NEW_VIEWER", viewer={"is_new": True}, arm={"gift": "hard"})
SIZE = 6
requests = st.lists(
    st.tuples(
        st.sets(st.integers(0, SIZE - 1), min_size=1),
        st.integers(1, 4),
        st.booleans(),
        st.integers(0, 2),
        st.floats(0.0, 20.0),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(["hard", "soft"]), min_size=SIZE, max_size=SIZE),
    st.lists(st.integers(0, 3), min_size=SIZE, max_size=SIZE),
    st.sets(st.integers(0, SIZE - 1)),
    st.floats(0.0, 1.0),
    st.permutations(range(4)),
    requests,
)
def test_what_is_not_eligible_is_never_served(gifts, stock, asleep, bound, order, asked):
    """A bound that nearly no arm meets gives way; status, rules, stock and frequency never do, and are all named."""
    eligibility = Eligibility(reasons=("ASLEEP",), stock="stock", rules=(HARD,))
    constraints = [eligibility, FrequencyCap(1, window=30.0), EpsilonConstraint("follow", at_least=bound)]
    constraints.append(Protected("harm", limit=0.9, viewer={}))
    ranker = Constrained(Bandit(Thompson(), arms=range(SIZE), seed=2), [constraints[i] for i in order])
    ranker.describe(range(SIZE), gift=gifts, stock=stock)
    if asleep:
        ranker.block(asleep, "ASLEEP")
    ranker.update(list(range(SIZE)), [0.0] * SIZE, metrics={"follow": 0.0})
    events = [arm for arm in range(SIZE) for _ in range(60)]  # enough to prove harmless whoever is not arm 3
    ranker.update(events, [0.0] * len(events), metrics={"harm": [float(arm == 3) for arm in events]})
    left, seen, now = dict(enumerate(stock)), set(), 0.0
    for candidates, k, is_new, viewer, passed in asked:
        if (now + passed) // 30 > now // 30:
            seen.clear()
        now += passed
        reasons = {}
        for arm in candidates:
            found = {
                "ASLEEP": arm in asleep,
                "SOLD_OUT": left[arm] < 1,
                "NEW_VIEWER": is_new and gifts[arm] == "hard",
                "FREQUENCY": (viewer, arm) in seen,
                "PROTECTED": arm == 3,
            }
            if any(found.values()):
                reasons[arm] = {reason for reason, holds in found.items() if holds}
        k = min(k, len(candidates))
        decision = ranker.select(sorted(candidates), k, now=now, viewer={"id": viewer, "is_new": is_new})
        allowed = candidates - set(reasons)
        assert set(decision.arms) <= allowed
        assert len(decision.arms) == min(k, len(allowed))
        assert set(decision.relaxed) <= {"epsilon:follow"}
        strict = sum(count for reason, count in decision.dropped.items() if reason != "BELOW:follow")
        assert strict == len(reasons)
        assert set(decision.dropped) - {"BELOW:follow"} <= set().union(*reasons.values())
        for arm in decision.arms:
            left[arm] -= 1
            seen.add((viewer, arm))


def test_a_cap_gives_way_to_eligibility_alone():
    """The baseline is blocked: then nothing is safe, and nothing is served."""
    eligibility = Eligibility()
    ranker = Constrained(Bandit(Thompson(), arms=["today", "b"], seed=2), [Baseline("today"), eligibility])
    assert ranker.select(k=2, now=0.0).arms == ["today"]
    eligibility.block(ranker._chain.states[0], np.array([0]), "BLOCKED")
    decision = ranker.select(k=2, now=0.0)
    assert decision.arms == [] and decision.dropped == {"BLOCKED": 1, "UNSAFE": 1} and decision.relaxed == ()


@pytest.mark.parametrize(
    "constraint",
    [
        Eligibility(reasons=("A", "B"), opens="o", closes="c", stock="s", rules=(HARD,)),
        FrequencyCap(2, 60.0, by="creator", max_entries=10),
        Protected("harm", limit=0.1, viewer={"age": Between(high=17), "tier": ("a", 1)}),
        Baseline(7, mean=0.5),
        Baseline("7", alpha=0.1, delta=0.2),
        Objective({"reward": 1.0, "skip": 0.5}, how="chebyshev", minimise=("skip",), reference={"skip": 0.5}, by="b"),
        EpsilonConstraint("follow", at_most=0.5, percentile=True, by="b"),
    ],
    ids=lambda constraint: constraint.name,
)
def test_configurations_survive_plain_values(constraint):
    plain = json.loads(json.dumps(constraint.model_dump(mode="json")))
    assert type(constraint).model_validate(plain) == constraint
    assert type(constraint).model_validate(plain).init(2)._fields == constraint.init(2)._fields

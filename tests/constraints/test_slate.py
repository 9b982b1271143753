import numpy as np
import pytest
from constraints.served import attributes_of, exposure_of, feedback_of, request_of

from seedbed.bandits.errors import CheckpointError
from seedbed.constraints import Cap, Concentration, Demotion, ExploreSlots, FairShare, Floor, HeadCap, LowQuality, Slate
from seedbed.constraints.base import capacity_of, forget
from seedbed.constraints.filling import fill

ATTRIBUTES = attributes_of(5, category=["music", "talk", "music", "games", "talk"], low=[0.0, 1.0, 0.0, 1.0, 0.5])


def test_bounds_of_named_groups_and_of_each():
    request = request_of([4, 3, 2, 1, 0], k=3, attributes=ATTRIBUTES)
    limits = Slate(by="category", lower={"music": 1}, upper=2).limits(None, request)
    assert limits.groups.tolist() == [2, 3, 1, 2, 1]
    assert limits.upper.tolist() == [np.inf, 2.0, 2.0, 2.0]
    assert limits.lower.tolist() == [0.0, 1.0, 0.0, 0.0]
    assert (limits.amounts.tolist(), limits.relaxable) == ([1.0] * 5, True)
    limits = Slate(by="category", lower=1, upper={"talk": 1, "unheard": 3}, relaxable_upper=False).limits(None, request)
    assert limits.upper.tolist() == [np.inf, np.inf, 1.0, np.inf]
    assert limits.lower.tolist() == [0.0, 1.0, 1.0, 1.0]
    assert not limits.relaxable
    assert fill(np.arange(5), 5, 3, [limits]).positions.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "fields",
    [
        {"lower": 3, "upper": 2},
        {"lower": {"a": 3}, "upper": 2},
        {"lower": 2, "upper": {"a": 1}},
        {"lower": {"a": 3}, "upper": {"a": 2}},
        {"lower": -1},
        {"upper": {"a": 0.5}},
    ],
)
def test_bad_bounds(fields):
    with pytest.raises(ValueError, match="validation error"):
        Slate(by="category", **fields)
    assert Slate(by="category", lower={"a": 3}, upper={"b": 2}).lower == {"a": 3}


def test_new_arms_stand_far_down_and_few():
    """Arm 0 is best, and new; so are 1 and 2: one of them, third at the earliest."""
    rule = ExploreSlots(below=2, min_position=2)
    request = request_of(range(5), k=3, attributes=ATTRIBUTES)
    state = rule.init(5)
    for _ in range(2):
        rule.observe(state, exposure_of(request, 3, 4))
    rule.observe(state, exposure_of(request, 1))
    limits = rule.limits(state, request)
    assert limits.groups.tolist() == [1, 1, 1, 0, 0]
    assert limits.earliest.tolist() == [2, 2, 2, 0, 0]
    assert fill(np.arange(5), 5, 3, [limits]).positions.tolist() == [3, 4, 0]
    assert rule.report(state, ATTRIBUTES) == {"new": 1}
    rule.observe(state, exposure_of(request, 1))
    assert rule.limits(state, request).groups.tolist() == [1, 0, 1, 0, 0]
    assert ExploreSlots(below=2).limits(state, request).earliest is None


EVERY = [
    Floor(0.1),
    Cap(0.5, by="category"),
    FairShare(0.2),
    Concentration(),
    HeadCap(1.0, window=10.0),
    LowQuality(attribute="low"),
    LowQuality(metric="bad"),
    Demotion("bad"),
    Slate(by="category", upper=2),
    ExploreSlots(below=3),
]


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.kind)
def test_a_saved_state_goes_on_alike_and_columns_are_forgotten(rule):
    request = request_of(range(5), k=2, attributes=ATTRIBUTES)
    state = rule.fit(rule.init(0), 8, ATTRIBUTES, 1.0)
    for _ in range(3):
        rule.observe(state, exposure_of(request, 3, 1))
        rule.observe(state, feedback_of([3, 1], bad=[1.0, 0.0]))
    again = rule.fit(rule.load(rule.save(state, 5), 5), 8, ATTRIBUTES, 1.0)
    assert rule.report(again, ATTRIBUTES) == rule.report(state, ATTRIBUTES)
    for name in state._fields:
        np.testing.assert_array_equal(getattr(again, name), getattr(state, name))
        assert getattr(again, name).dtype == getattr(state, name).dtype
    assert type(rule).model_validate(rule.model_dump()) == rule
    assert type(rule).model_validate_json(rule.model_dump_json()) == rule
    if capacity_of(rule, state) >= 0:
        forget(rule, state, np.array([3]))
        fresh = rule.init(8)
        for name in state._fields:
            if getattr(state, name).shape[-1] == 8:
                assert getattr(state, name)[3] == getattr(fresh, name)[3]
                assert (getattr(state, name)[:3] == getattr(again, name)[:3]).all()


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (Concentration(), "exposures"),
        (HeadCap(1.0), "exposures"),
        (HeadCap(1.0), "total"),
        (LowQuality(metric="bad"), "queue"),
        (LowQuality(metric="bad"), "lows"),
        (LowQuality(metric="bad"), "totals"),
        (Demotion(), "harms"),
        (Demotion(), "totals"),
        (ExploreSlots(below=3), "exposures"),
    ],
)
def test_saved_states_that_contradict_themselves_are_refused(rule, name):
    arrays = rule.save(rule.init(3), 3)
    arrays[name][0] = -1
    with pytest.raises(CheckpointError):
        rule.load(arrays, 3)

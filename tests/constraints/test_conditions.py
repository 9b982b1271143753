import numpy as np
import pytest
from asking import described
from pydantic import ValidationError

from seedbed.constraints import Between, Rule

YES, NO = True, False


@pytest.mark.parametrize(
    ("condition", "value", "matches", "differs"),
    [
        # a value
        (True, True, YES, YES),
        (True, False, NO, NO),
        (True, 1, YES, YES),
        (True, 1.0, YES, YES),
        (True, np.True_, YES, YES),
        (1, True, YES, YES),
        (1, 2, NO, NO),
        ("hard", "hard", YES, YES),
        ("hard", "soft", NO, NO),
        # one of several
        (("hard", "auction"), "auction", YES, YES),
        (("hard", "auction"), "soft", NO, NO),
        ((1, 2), 2.0, YES, YES),
        ((1, "x"), "x", YES, YES),
        ((1, "x"), 1, YES, YES),
        ((1, "x"), 2, NO, NO),
        # a range, both ends included
        (Between(low=13, high=17), 13, YES, YES),
        (Between(low=13, high=17), 17.0, YES, YES),
        (Between(low=13, high=17), 12.9, NO, NO),
        (Between(high=17), -5, YES, YES),
        (Between(low=13), 10**9, YES, YES),
        # not told, or nothing that the condition could judge: as the rule says
        (True, None, YES, NO),
        (True, float("nan"), YES, NO),
        (True, "yes", YES, NO),
        ("hard", 3, YES, NO),
        (Between(low=13), "13", YES, NO),
        (Between(low=13), [14], YES, NO),
    ],
)
def test_conditions_on_viewers(condition, value, matches, differs):
    told = {} if value is None else {"x": value}
    assert Rule(reason="R", viewer={"x": condition}).applies(told) is matches
    assert Rule(reason="R", viewer={"x": condition}, unknown_viewer="differs").applies(told) is differs
    assert Rule(reason="R", viewer={"x": condition}).applies({"x": value}) is matches


@pytest.mark.parametrize(
    ("condition", "values", "matches", "differs"),
    [
        ("hard", ["hard", "soft", None], [YES, NO, YES], [YES, NO, NO]),
        (("hard", "auction"), ["auction", "soft", None], [YES, NO, YES], [YES, NO, NO]),
        ("unheard", ["hard", "soft", None], [NO, NO, YES], [NO, NO, NO]),
        (True, [1, 0, None], [YES, NO, YES], [YES, NO, NO]),
        (False, [1, 0, None], [NO, YES, YES], [NO, YES, NO]),
        ((1, 3), [1, 2, 3], [YES, NO, YES], [YES, NO, YES]),
        (Between(low=2), [1, 2, None], [NO, YES, YES], [NO, YES, NO]),
        (Between(low=2, high=2), [1, 2, 3], [NO, YES, NO], [NO, YES, NO]),
        ((7, "hard"), ["hard", "soft", None], [YES, NO, YES], [YES, NO, NO]),
        # never given, or of another sort
        ("hard", [None, None, None], [YES, YES, YES], [NO, NO, NO]),
        ("hard", [1, 2, 3], [YES, YES, YES], [NO, NO, NO]),
        (True, ["a", "b", "c"], [YES, YES, YES], [NO, NO, NO]),
        (Between(low=0), ["a", "b", "c"], [YES, YES, YES], [NO, NO, NO]),
    ],
)
def test_conditions_on_arms(condition, values, matches, differs):
    attributes = described(3, x=values)
    assert Rule(reason="R", arm={"x": condition}).holds(attributes).tolist() == matches
    assert Rule(reason="R", arm={"x": condition}, unknown_arm="differs").holds(attributes).tolist() == differs


def test_all_conditions_must_hold():
    rule = Rule(
        reason="R", viewer={"is_new": True, "age": Between(high=17)}, arm={"gift": "hard", "level": Between(low=3)}
    )
    assert rule.applies({"is_new": True, "age": 17})
    assert not rule.applies({"is_new": True, "age": 18})
    assert not rule.applies({"is_new": False, "age": 17})
    assert not rule.applies({"age": 18})  # one condition is known not to hold
    arms = described(4, gift=["hard", "hard", "soft", None], level=[3, 2, 3, 3])
    assert rule.holds(arms).tolist() == [True, False, False, True]


def test_no_condition_holds_for_all():
    assert Rule(reason="R", arm={"x": 1}).applies({})
    assert Rule(reason="R", viewer={"x": 1}).holds(described(2)).tolist() == [True, True]


@pytest.mark.parametrize(
    "wrong",
    [
        {"viewer": {}, "arm": {}},
        {"arm": {"x": ()}},
        {"arm": {"x": float("nan")}},
        {"arm": {"x": None}},
        {"arm": {"x": {"low": 3, "high": 2}}},
        {"arm": {"x": {}}},
        {"arm": {"x": {"low": float("inf")}}},
        {"arm": {"x": 1}, "unknown_arm": "maybe"},
        {"arm": {"x": 1}, "reason": ""},
    ],
)
def test_rules_that_say_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        Rule(**{"reason": "R", **wrong})


def test_a_rule_survives_plain_values():
    rule = Rule(reason="R", viewer={"a": True, "b": 1, "c": 1.5, "d": "x"}, arm={"e": ("x", 2), "f": Between(low=0)})
    again = Rule.model_validate(rule.model_dump(mode="json"))
    assert again == rule
    assert type(again.viewer["a"]) is bool and type(again.viewer["b"]) is int and again.arm["f"] == Between(low=0)

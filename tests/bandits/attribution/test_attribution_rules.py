"""Rules by hand: which version and which leaf counts."""

import math

import pytest
from pydantic import ValidationError

from seedbed.bandits.attribution import Attribution, AttributionConfig, Condition, Rule, RuleSet, names_of

CONFIG = AttributionConfig(windows={"order": 1e3, "gift": 1e3}, channels=("search", "feed"))
ANY = (Rule(),)


def used(rule_sets, at=10.0, kind="order", value=1.0, segment=None, channel=None):
    """(version, leaf) that credits a conversion, or None."""
    attribution = Attribution(CONFIG, rule_sets)
    attribution.touch([1], [2], [at - 1.0], [3], channel)
    segments = None if segment is None else [segment]
    credits = attribution.convert([1], [1], [2], [at], kind, value, segments)
    if not credits.id.size:
        return None
    return attribution.rule_sets[credits.rule_set[0]].version, int(credits.rule[0])


def test_the_highest_priority_then_the_latest_then_the_last_name_counts():
    a = RuleSet(version="a", rules=ANY, priority=1, valid_from=0.0)
    b = RuleSet(version="b", rules=ANY, priority=1, valid_from=5.0)
    c = RuleSet(version="c", rules=ANY, priority=0, valid_from=9.0)
    d = RuleSet(version="d", rules=ANY, priority=1, valid_from=5.0)
    for order in ([a, b, c, d], [d, c, b, a]):
        assert used(order) == ("d", 0)
    assert used([a, b, c]) == ("b", 0)
    assert used([a, b, c], at=4.0) == ("a", 0)
    assert used([a, c]) == ("a", 0)


def test_a_version_counts_from_its_first_second_to_before_its_last():
    one = RuleSet(version="one", rules=ANY, valid_from=10.0, valid_to=20.0)
    assert [used([one], at=at) is not None for at in (9.999, 10.0, 19.999, 20.0)] == [False, True, True, False]


def test_a_version_without_a_leaf_leaves_it_to_the_next():
    gifts = RuleSet(version="gifts", rules=(Rule(when=Condition(kinds=("gift",))),), priority=5)
    rest = RuleSet(version="rest", rules=ANY)
    assert used([gifts, rest], kind="gift") == ("gifts", 0)
    assert used([gifts, rest], kind="order") == ("rest", 0)
    assert used([gifts], kind="order") is None


def test_the_first_leaf_counts_and_all_conditions_above_it_hold():
    tree = Rule(
        when=Condition(kinds=("order",), min_value=1.0),
        rules=(
            Rule(when=Condition(max_value=5.0, segments=("new", 7))),
            Rule(when=Condition(min_value=0.5, max_value=9.0), rules=(Rule(when=Condition(segments=("new",))), Rule())),
        ),
    )
    sets = [RuleSet(version="v", rules=(tree, Rule(when=Condition(kinds=("gift",)))))]
    new = int(names_of(["new"])[0])
    assert used(sets, value=5.0, segment=7) == ("v", 0)
    assert used(sets, value=1.0, segment="new") == ("v", 0)
    assert used(sets, value=5.5, segment=new) == ("v", 1)
    assert used(sets, value=5.5, segment="old") == ("v", 2)
    assert used(sets, value=5.5) == ("v", 2)  # without a segment none is asked for
    assert used(sets, value=0.75) is None  # the node's least counts
    assert used(sets, value=9.5) is None
    assert used(sets, kind="gift", value=0.0) == ("v", 3)


def test_segments_of_node_and_leaf_must_both_hold():
    inner = Rule(when=Condition(segments=("b", "c")))
    sets = [RuleSet(version="v", rules=(Rule(when=Condition(segments=("a", "b")), rules=(inner,)),))]
    assert [used(sets, segment=each) is not None for each in "abc"] == [False, True, False]
    never = Rule(when=Condition(segments=("a",)), rules=(Rule(when=Condition(segments=("c",))),))
    assert used([RuleSet(version="v", rules=(never,))], segment="a") is None


def test_channels_of_the_leaf_or_of_its_node():
    sets = [RuleSet(version="v", rules=(Rule(channels=("feed",), rules=(Rule(),)),))]
    assert [used(sets, channel=each) is not None for each in ("search", "feed", None)] == [False, True, False]
    sets = [RuleSet(version="v", rules=(Rule(channels=("feed",), rules=(Rule(channels=("search",)),)),))]
    assert used(sets, channel="search") is not None
    assert used([RuleSet(version="v", rules=ANY)], channel=None) is not None


def test_versions_are_kept_under_their_names():
    attribution = Attribution(CONFIG)
    assert attribution.active == ("default",)
    attribution.activate(RuleSet(version="v", rules=ANY))
    attribution.activate(RuleSet(version="v", rules=ANY))
    assert attribution.active == ("default", "v")
    with pytest.raises(ValueError, match="version 'v' is known with other content"):
        attribution.activate(RuleSet(version="v", rules=ANY, priority=1))
    attribution.deactivate("default")
    with pytest.raises(KeyError, match="'default' is not active; active are v"):
        attribution.deactivate("default")
    attribution.activate(attribution.rule_sets[0])
    assert attribution.active == ("default", "v")
    with pytest.raises(ValueError, match="not a RuleSet"):
        attribution.activate("v")


@pytest.mark.parametrize(("rule", "message"), [
    (Rule(when=Condition(kinds=("ordr",))), "rule set 'w', leaf 0: kind 'ordr' is not among 'order', 'gift'"),
    (Rule(channels=("tv",)), "rule set 'w', leaf 0: channel 'tv' is not among 'search', 'feed'"),
])  # fmt: skip
def test_names_that_the_configuration_does_not_know_are_refused(rule, message):
    attribution = Attribution(CONFIG)
    with pytest.raises(ValueError, match=message):
        attribution.activate(RuleSet(version="w", rules=(rule,)))
    assert (attribution.active, len(attribution.rule_sets)) == (("default",), 1)


DEEP = Rule(rules=(Rule(rules=(Rule(rules=(Rule(rules=ANY),)),)),))


@pytest.mark.parametrize("settings", [
    {"rules": ()}, {"rules": (DEEP,)}, {"version": ""}, {"valid_from": 5.0, "valid_to": 5.0}, {"valid_from": math.nan},
    {"color": 1}, {"rules": ({"split": (0.5, 0.5, 0.5)},)}, {"rules": ({"model": "best"},)}, {"priority": 0.5},
    {"rules": ({"when": {"kinds": ()}},)}, {"rules": ({"when": {"segments": (2**64,)}},)},
    {"rules": ({"when": {"min_value": math.inf}},)},
])  # fmt: skip
def test_rule_sets_that_cannot_be_are_refused(settings):
    with pytest.raises(ValidationError):
        RuleSet(**({"version": "v", "rules": ANY} | settings))


def test_the_deepest_trees_survive_a_checkpoint():
    rule = Rule(when=Condition(kinds=("order",), segments=("a",)))
    for _ in range(3):
        rule = Rule(when=Condition(kinds=("order",)), rules=(rule,))
    attribution = Attribution(CONFIG, [RuleSet(version="v", rules=(rule,))])
    assert Attribution.from_bytes(attribution.to_bytes()).rule_sets == attribution.rule_sets

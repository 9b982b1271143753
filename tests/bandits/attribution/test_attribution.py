"""Attribution by hand: each rule of the description in a case whose answer can be seen."""

import itertools
import math
import threading
from fractions import Fraction

import numpy as np
import pytest

from seedbed.bandits import CheckpointError
from seedbed.bandits._random import mix64
from seedbed.bandits.attribution import Attribution, AttributionConfig, Rule, RuleSet, Tally, names_of, reconcile
from seedbed.bandits.attribution._orders import CURRENT, home
from seedbed.bandits.attribution._table import COUNTS
from seedbed.bandits.checkpoint import pack, unpack

CONFIG = AttributionConfig(windows={"order": 100.0, "gift": 10.0}, channels=("search", "feed"), passes=(50.0, 500.0))


def ruled(model, config=CONFIG, **rule):
    return Attribution(config, [RuleSet(version="v", rules=(Rule(model=model, **rule),))])


def path(attribution, times, user=1, item=2, channels=None, first=1):
    """Touches of one key, decisions 1, 2..."""
    n = len(times)
    attribution.touch([user] * n, [item] * n, np.array(times, float), np.arange(first, first + n), channels)


def earn(attribution, at, order=1, kind="order", user=1, item=2, **options):
    credits = attribution.convert([order], [user], [item], [at], kind, **options)
    return dict(zip(credits.decision.tolist(), credits.share.tolist(), strict=True))


def test_models_by_hand():
    for model, shares in (
        ("last_click", {4: 1.0}),
        ("first_click", {1: 1.0}),
        ("linear", {1: 0.25, 2: 0.25, 3: 0.25, 4: 0.25}),
    ):
        attribution = ruled(model)
        path(attribution, [10.0, 20.0, 30.0, 40.0])
        assert earn(attribution, 50.0) == shares
    attribution = ruled("position", split=(0.5, 0.25, 0.25))
    path(attribution, [10.0, 20.0, 30.0, 40.0])
    assert earn(attribution, 50.0) == {1: 0.5, 2: 0.125, 3: 0.125, 4: 0.25}


def test_the_first_click_window_is_counted_back_from_the_conversion():
    """The bug: a window that the first touch opens, which older touches keep open or reset."""
    attribution = ruled("first_click")
    path(attribution, [0.0, 90.0, 180.0])
    assert earn(attribution, 100.0, order=1) == {1: 1.0}  # 0 is just inside
    assert earn(attribution, 100.5, order=2) == {2: 1.0}  # and now outside: the window did not begin with it
    assert earn(attribution, 185.0, order=3) == {2: 1.0}  # 90 is in, though a window opened at 0 is long over
    assert earn(attribution, 195.0, order=4) == {3: 1.0}  # 90 is out, though 180 came within 100 s of it
    assert earn(attribution, 280.0, order=5) == {3: 1.0}
    assert earn(attribution, 281.0, order=6) == {}
    assert attribution.counts["unattributed"] == 1


def test_a_window_includes_both_ends_and_nothing_after_the_conversion():
    attribution = ruled("linear")
    path(attribution, [10.0, 20.0, 20.5])
    assert earn(attribution, 20.0, kind="gift") == {1: 0.5, 2: 0.5}
    assert earn(attribution, 9.5, order=2, kind="gift") == {}


def test_ties_go_by_time_then_priority_then_decision():
    attribution = ruled("last_click")
    path(attribution, [10.0, 10.0, 10.0], channels=["feed", "search", "feed"])
    assert earn(attribution, 20.0) == {2: 1.0}  # search comes first in the configuration
    attribution = ruled("first_click")
    path(attribution, [10.0, 10.0, 10.0], channels=["feed", "search", "feed"])
    assert earn(attribution, 20.0) == {1: 1.0}
    attribution = ruled("last_click")
    path(attribution, [10.0, 10.0], channels=[-1, 1])
    assert earn(attribution, 20.0) == {2: 1.0}
    attribution = ruled("last_click")
    attribution.touch([1, 1], [2, 2], [10.0, 10.0], np.array([2**63, 5], np.uint64))
    assert earn(attribution, 20.0) == {2**63: 1.0}  # names are unsigned


def test_one_decision_through_two_channels_counts_once():
    attribution = ruled("linear")
    attribution.touch([1] * 3, [2] * 3, [10.0, 20.0, 20.0], [7, 8, 7], ["search", "feed", "feed"])
    attribution.touch([1], [2], [20.0], [7], "search")
    credits = attribution.convert([1], [1], [2], [30.0], "order")
    assert credits.decision.tolist() == [7, 8]
    assert credits.channel.tolist() == [0, 1]  # at its last touch, by search
    assert credits.share.tolist() == [0.5, 0.5]


def test_joined_by_user_all_items_share():
    attribution = ruled("linear", CONFIG.model_copy(update={"join": "user"}))
    attribution.touch([1, 1, 2], [5, 6, 5], [1.0, 2.0, 3.0], [1, 1, 1])
    credits = attribution.convert([1], [1], [99], [10.0], "order")
    assert credits.item.tolist() == [6, 5]  # one decision may show several items


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 100, 255, 256])
@pytest.mark.parametrize("rule", [
    {"model": "linear"}, {"model": "position"}, {"model": "position", "split": (1 / 3, 1 / 3, 1 / 3)},
    {"model": "position", "split": (0.1, 0.7, 0.2)}, {"model": "position", "split": (0.0, 1.0, 0.0)},
])  # fmt: skip
def test_shares_sum_to_exactly_one_in_any_order(n, rule):
    attribution = ruled(**rule)
    path(attribution, np.arange(n) / 10.0)
    shares = list(earn(attribution, 60.0).values())
    assert sum(map(Fraction, shares)) == 1
    for order in (shares, shares[::-1], sorted(shares), sorted(shares, reverse=True)):
        assert sum(order) == 1.0
        assert np.sum(order) == 1.0
        assert list(itertools.accumulate(order))[-1] == 1.0
    assert all(share > 0.0 for share in shares)


def test_of_a_path_of_two_the_middle_goes_to_both_in_proportion():
    for split, first in (
        ((0.6, 0.2, 0.2), 0.75),
        ((0.0, 1.0, 0.0), 0.5),
        ((1.0, 0.0, 0.0), 1.0),
        ((0.0, 0.5, 0.5), None),
    ):
        attribution = ruled("position", split=split)
        path(attribution, [1.0, 2.0])
        assert earn(attribution, 3.0).get(1) == first


def test_what_rounding_leaves_goes_to_the_latest_of_the_largest_shares():
    attribution = ruled("position", split=(0.0, 1.0, 0.0))
    path(attribution, [1.0, 2.0, 3.0, 4.0, 5.0])
    third = 2**32 // 3
    assert earn(attribution, 6.0) == {4: (third + 1) / 2**32, 3: third / 2**32, 2: third / 2**32}


def test_several_passes_that_are_due_at_once_are_one():
    attribution = ruled("last_click")
    path(attribution, [1.0])
    earn(attribution, 10.0)
    attribution.touch([1], [2], [5.0], [9])
    found = attribution.settle(10_000.0)
    assert (found.decision.tolist(), found.number.tolist()) == ([1, 9], [2, 2])
    assert attribution.counts["passes"] == 1
    assert attribution.kept == 0


def test_credits_kept_are_as_many_as_there_is_room_for():
    attribution = ruled("linear", CONFIG.model_copy(update={"longest_path": 2, "credits": 5}))
    path(attribution, [1.0, 2.0])
    for order in range(4):
        earn(attribution, 3.0, order)
    assert attribution.kept == 2
    assert attribution.counts["evicted_conversions"] == 2
    attribution.settle(60.0)
    earn(attribution, 61.0, 10)
    assert attribution.counts["evicted_conversions"] == 3


def test_a_decision_that_moves_to_another_channel_is_taken_back_and_given_anew():
    attribution, tally = ruled("last_click"), Tally(ids=9)
    attribution.touch([1], [2], [10.0], [7], "feed")
    tally.apply(attribution.convert([1], [1], [2], [20.0], "order"))
    attribution.touch([1], [2], [15.0], [7], "search")
    found = attribution.settle(70.0)
    assert (found.share.tolist(), found.channel.tolist()) == ([-1.0, 1.0], [1, 0])
    assert tally.apply(found) == 2  # under two ids
    assert tally.counts().net.tolist() == [1.0]


def test_touches_and_orders_delivered_again_change_nothing_but_are_counted():
    attribution = ruled("linear")
    path(attribution, [1.0, 2.0])
    path(attribution, [1.0, 2.0])
    assert earn(attribution, 3.0) == {1: 0.5, 2: 0.5}
    assert earn(attribution, 3.0) == {}
    assert earn(attribution, 4.0) == {}
    counts = attribution.counts
    assert (counts["touches"], counts["conversions"], counts["duplicates"]) == (2, 1, 4)


def test_orders_are_known_for_a_generation_at_least():
    config = AttributionConfig(windows={"order": 1e6}, orders=3, order_memory=100.0, passes=(), lateness=1e6)
    attribution = ruled("last_click", config)
    path(attribution, [0.0])
    assert all(earn(attribution, float(order), order) for order in range(6))  # two generations of three
    assert not any(earn(attribution, 6.0, order) for order in range(6))
    assert earn(attribution, 7.0, 6)
    assert attribution.counts["evicted_orders"] == 3
    assert earn(attribution, 8.0, 0)  # forgotten
    assert not earn(attribution, 8.0, 3)
    assert earn(attribution, 110.0, 100)  # by time: a new generation
    assert not earn(attribution, 110.0, 0)
    assert earn(attribution, 210.0, 101)
    assert earn(attribution, 211.0, 0)


def test_late_conversions_earn_by_corrections():
    attribution = ruled("last_click", CONFIG.model_copy(update={"lateness": 30.0}))
    path(attribution, [1.0, 100.0])
    assert attribution.watermark == 70.0
    assert earn(attribution, 70.0, order=1) == {1: 1.0}
    assert earn(attribution, 69.0, order=2) == {}
    found = attribution.corrections()
    assert (found.order.tolist(), found.share.tolist(), found.reason.tolist()) == ([2], [1.0], [1])
    assert attribution.corrections().id.size == 0
    assert attribution.counts["late_conversions"] == 1


def test_a_late_touch_is_counted_and_found_by_the_pass():
    attribution = ruled("last_click", CONFIG.model_copy(update={"lateness": 30.0}))
    path(attribution, [1.0])
    given = attribution.convert([1], [1], [2], [60.0], "order", values=8.0)
    assert given.decision.tolist() == [1]
    attribution.touch([1], [2], [20.0], [9], now=60.0)
    assert attribution.counts["late_touches"] == 1
    assert attribution.settle(109.9).id.size == 0
    found = attribution.settle(110.0)
    assert found.decision.tolist() == [1, 9]
    assert found.share.tolist() == [-1.0, 1.0]
    assert found.value.tolist() == [-8.0, 8.0]
    assert found.number.tolist() == [1, 1]
    assert attribution.settle(110.0).id.size == 0  # once
    attribution.touch([1], [2], [30.0], [10])
    assert attribution.settle(561.0).decision.tolist() == [9, 10]
    attribution.touch([1], [2], [40.0], [11])
    assert attribution.settle(10_000.0).id.size == 0  # all passes are over
    assert attribution.kept == 0


def test_events_from_the_future_are_refused_into_the_log():
    attribution = ruled("last_click")
    path(attribution, [1.0])
    attribution.touch([1, 1], [2, 2], [2.0, 10.0], [5, 6], now=4.0)
    credits = attribution.convert([1, 2], [1, 1], [2, 2], [9.5, 3.0], "order", now=4.0)
    assert (credits.row.tolist(), credits.decision.tolist()) == ([1], [5])
    found = attribution.corrections()
    assert found.reason.tolist() == [3, 3]
    assert found.order.tolist() == [0, 1]
    assert found.decision.tolist() == [6, 0]
    assert not found.share.any()
    assert attribution.counts["future"] == 2
    assert attribution.counts["touches"] == 2
    assert earn(attribution, 9.5, order=1, now=5.0) == {5: 1.0}  # later it is not from the future any more


def test_rolled_back_rules_are_corrected():
    attribution = ruled("first_click")
    path(attribution, [1.0, 2.0])
    attribution.activate(RuleSet(version="w", rules=(Rule(),), priority=1))
    credits = attribution.convert([1], [1], [2], [3.0], "order")
    assert (credits.decision.tolist(), credits.rule_set.tolist()) == ([2], [1])
    attribution.deactivate("w")
    assert attribution.active == ("v",)
    found = attribution.settle(60.0)
    assert (found.decision.tolist(), found.share.tolist()) == ([2, 1], [-1.0, 1.0])
    assert found.rule_set.tolist() == [1, 0]


def test_memory_is_bounded_and_counted():
    config = CONFIG.model_copy(update={"touches": 3, "conversions": 2, "credits": 256, "corrections": 2})
    attribution = ruled("linear", config)
    path(attribution, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert len(attribution) == 3
    assert list(earn(attribution, 6.0)) == [5, 4, 3]
    for order in range(2, 5):
        earn(attribution, 6.0, order)
    assert attribution.kept == 2
    attribution.touch([1], [2], [5.5], [9])
    found = attribution.settle(60.0)
    assert found.id.size == 0  # touches of the window have gone: what they earned is not taken back
    assert attribution.counts["blind_passes"] == 2
    counts = attribution.counts
    assert (counts["evicted_touches"], counts["evicted_conversions"]) == (3, 2)
    attribution.touch(range(3), range(3), [1e3] * 3, [1, 2, 3], now=60.0)
    assert attribution.counts["evicted_corrections"] == 1
    assert attribution.corrections().decision.tolist() == [2, 3]


def test_a_path_is_cut_to_its_latest_touches():
    attribution = ruled("linear", CONFIG.model_copy(update={"longest_path": 3}))
    path(attribution, [1.0, 2.0, 3.0, 4.0])
    assert list(earn(attribution, 5.0)) == [4, 3, 2]
    assert attribution.counts["cut_paths"] == 1
    assert list(earn(attribution, 3.0, order=2)) == [3, 2, 1]
    assert attribution.counts["cut_paths"] == 1


@pytest.mark.parametrize(("model", "earners"), [("first_click", {2: 1.0}), ("last_click", {4: 1.0}),
                                                ("position", {4: 0.4, 3: 0.2, 2: 0.4})])  # fmt: skip
def test_a_cut_path_is_shared_as_its_rule_says(model, earners):
    attribution = ruled(model, CONFIG.model_copy(update={"longest_path": 3}))
    path(attribution, [1.0, 2.0, 3.0, 4.0])
    assert earn(attribution, 5.0) == pytest.approx(earners)
    assert attribution.settle(1e6).id.size == 0


def test_no_event_is_led_past_more_touches_than_may_be():
    attribution = ruled("last_click", CONFIG.model_copy(update={"longest_path": 2, "longest_walk": 2}))
    path(attribution, [1.0])
    earned = earn(attribution, 2.0)
    path(attribution, [5.0, 6.0, 4.0], first=2)  # the third is led past two
    assert attribution.counts["buried_touches"] == 0
    path(attribution, [3.0, 6.0], first=5)  # and this one would be past three
    assert (attribution.counts["buried_touches"], attribution.counts["touches"], len(attribution)) == (1, 5, 5)
    assert earned == {1: 1.0}
    assert earn(attribution, 2.0, order=2) == {}
    assert attribution.counts["cut_paths"] == 1
    assert attribution.settle(1e6).id.size == 0  # what was given is not taken back for touches that stand too deep
    assert attribution.counts["blind_passes"] == 2
    assert Attribution.from_bytes(attribution.to_bytes()).to_bytes() == attribution.to_bytes()


def unmixed(z):
    """The integer that `mix64` mixes to z."""
    z ^= z >> 31 ^ z >> 62
    z = z * pow(0x94D0_49BB_1331_11EB, -1, 2**64) % 2**64
    z ^= z >> 27 ^ z >> 54
    z = z * pow(0xBF58_476D_1CE4_E5B9, -1, 2**64) % 2**64
    return z ^ z >> 30 ^ z >> 60


def test_ids_cannot_be_chosen_to_stand_in_one_place():
    """Where a hash is known, ids are easily found whose searches begin in the same slot: each would take n steps."""
    ids = np.array([unmixed(i << 32) for i in range(1, 2_001)], np.uint64)
    assert [int(mix64(each)) for each in ids[:9]] == [i << 32 for i in range(1, 10)]
    attribution = Attribution(CONFIG.model_copy(update={"join": "user", "touches": 3_000, "orders": 3_000}))
    attribution.touch(ids, ids, 1.0, ids)
    attribution.convert(ids, ids, ids, 2.0, "order")
    state = attribution._state
    names = state.names[state.cells[CURRENT]]
    slots, starts = np.flatnonzero(state.slots[:, 1]), state.slots[state.slots[:, 1] != 0, 0]
    assert slots.size == 2_000
    assert ((slots - starts) % state.slots.shape[0]).max() < 300  # about 30 where they are spread, and 2,000 if not
    slots = np.flatnonzero(names)
    starts = np.array([home(name, state.cells, names.size - 1) for name in names[slots]])
    assert slots.size == 2_000
    assert ((slots - starts) % names.size).max() < 300


def test_text_names_are_those_of_arms():
    attribution = ruled("last_click")
    attribution.touch(["ann"], ["room"], 1.0, [3])
    credits = attribution.convert(np.array(["o"]), names_of(["ann"]), ["room"], 2.0, "order")
    assert credits.item.tolist() == names_of(["room"]).tolist()
    assert credits.order.tolist() == names_of(["o"]).tolist()


KERNELS = ("_table", "_orders", "_path", "_keeping", "_joining", "_settling")


def test_each_kernel_has_one_signature_whatever_is_passed():
    import importlib

    attribution = ruled("linear")
    readonly = np.arange(4)
    readonly.setflags(write=False)
    for users in (readonly, np.arange(8, dtype=np.uint64)[::2], np.arange(4, dtype=np.int32), [1, 2, 3, 4], "abcd"):
        users = list(users) if isinstance(users, str) else users
        for at in (np.arange(4), np.arange(8.0)[::2], [1, 2, 3, 4], 3, np.float32(3)):
            attribution.touch(users, users, at, users, ["feed"] * 4)
            attribution.touch(users, users, at, users, np.array([0, 1, -1, 0], np.int8))
            for kinds in ("order", ["order"] * 4, np.array(["gift"] * 4), np.zeros(4, np.uint8), 0):
                attribution.convert(users, users, users, at, kinds, values=at, segments=users)
                attribution.convert(users, users, users, at, kinds)
    attribution.touch([5, 5], [5, 5], [-1_010.0, -1_001.0], [8, 9])
    attribution.convert(
        [50, 51, 52], [5, 1, 5], [5, 1, 5], [-1_000.0, 3.0, -1_000.0], "order"
    )  # late and in time, mixed
    assert attribution.corrections().id.size > 1
    attribution.settle(100)
    Attribution.from_bytes(attribution.to_bytes())
    reconcile(([2, 3], [1, 1], [2, 2]), ([2, 3], [1, 1], [5, 1]))
    seen = 0
    for name in KERNELS:
        module = importlib.import_module(f"seedbed.bandits.attribution.{name}")
        for value in vars(module).values():
            if hasattr(value, "signatures") and value.py_func.__module__ == module.__name__:
                seen += 1
                assert len(value.signatures) <= 1, (name, value, value.signatures)
    assert seen > 20


GOOD = {"orders": [1, 2], "users": [1, 1], "items": [2, 2], "at": [3.0, 4.0], "kinds": "order"}


@pytest.mark.parametrize(("changed", "message"), [
    ({"orders": [1.0, 2.0]}, "orders must be 64-bit names or text; got float64"),
    ({"orders": 5}, r"orders must have one entry for each event; got shape \(\)"),
    ({"users": [1]}, r"users must have one entry for each event, shape \(2,\); got shape \(1,\)"),
    ({"items": [True, False]}, "items must be 64-bit names"),
    ({"at": [1.0, math.nan]}, "at = nan is not a finite time"),
    ({"at": [1.0]}, r"shape \(2,\); got shape \(1,\)"),
    ({"kinds": "ordr"}, "unknown kind 'ordr': the configuration names 'order', 'gift'"),
    ({"kinds": ["order", "x"]}, "unknown kind 'x'"),
    ({"kinds": [0, 2]}, r"kinds\[1\] = 2 is not in \[0, 1\]"),
    ({"kinds": [0, -1]}, r"kinds\[1\] = -1 is not in"),
    ({"kinds": [0.0, 1.0]}, "kinds must be names or their positions; got float64"),
    ({"values": [1.0, math.inf]}, r"values\[1\] = inf is not a finite number"),
    ({"values": [1.0]}, "values must have one entry"),
    ({"segments": [1]}, "segments must have one entry"),
    ({"now": math.nan}, "now = nan is not a finite time"),
    ({"now": 1.0}, "now = 1.0 runs backwards: the latest was 2.0"),
])  # fmt: skip
def test_bad_input_is_named_before_anything_changes(changed, message):
    attribution = ruled("linear")
    attribution.touch([1], [2], [1.0], [1], now=2.0)
    before = attribution.to_bytes()
    with pytest.raises(ValueError, match=message):
        attribution.convert(**(GOOD | changed))
    if not {"orders", "users", "kinds", "values", "segments"} & set(changed):
        with pytest.raises(ValueError, match=message):
            events = {name: GOOD[name] for name in ("users", "items", "at")} | {"decisions": [1, 2]} | changed
            attribution.touch(**events)
    assert attribution.to_bytes() == before
    attribution.convert(**GOOD)


def test_unknown_channels_are_named():
    attribution = ruled("linear")
    with pytest.raises(ValueError, match="unknown channel 'tv': the configuration names 'search', 'feed'"):
        attribution.touch([1], [2], [3.0], [4], "tv")
    with pytest.raises(ValueError, match=r"channels\[0\] = 2 is not in \[-1, 1\]"):
        attribution.touch([1], [2], [3.0], [4], [2])
    assert attribution.counts["touches"] == 0


@pytest.mark.parametrize(("settings", "message"), [
    ({"windows": {}}, "windows"),
    ({"windows": {"order": 0.0}}, "windows"), ({"windows": {"order": math.inf}}, "windows"),
    ({"channels": ("a", "a")}, "a name stands twice"), ({"passes": (5.0, 5.0)}, "must rise"),
    ({"credits": 5}, "at least longest_path"), ({"touches": 0}, "touches"), ({"lateness": -1.0}, "lateness"),
    ({"join": "item"}, "join"), ({"color": 1}, "color"), ({"channels": tuple(map(str, range(63)))}, "channels"),
])  # fmt: skip
def test_configurations_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AttributionConfig(**settings)


def test_the_most_channels_and_kinds_work():
    many = tuple(map(str, range(62)))
    config = AttributionConfig(channels=many, windows=dict.fromkeys(many, 10.0))
    attribution = ruled("linear", config, channels=(many[0], many[61]))
    attribution.touch([1] * 62, [2] * 62, 1.0, range(62), many)
    credits = attribution.convert([1], [1], [2], 2.0, many[61])
    assert sorted(credits.channel.tolist()) == [0, 61]


def lived():
    """Something of everything."""
    config = CONFIG.model_copy(
        update={"touches": 6, "lateness": 5.0, "corrections": 5, "orders": 50, "conversions": 50}
    )
    attribution = Attribution(config, [RuleSet(version="v", rules=(Rule(model="linear"), Rule()))])
    path(attribution, [1.0, 2.0, 3.0, 4.0, 30.0], channels=[0, 1, -1, 0, 1])
    attribution.convert([1, 2, 0], [1] * 3, [2] * 3, [5.0, 31.0, 32.0], "order", segments=["a"] * 3, now=40.0)
    attribution.touch([3] * 3, [4] * 3, [41.0, 42.0, 1e6], [1, 2, 3])
    attribution.activate(RuleSet(version="w", rules=(Rule(model="first_click", channels=("feed",)),), priority=2))
    attribution.deactivate("v")
    return attribution


def test_a_checkpoint_holds_all():
    attribution = lived()
    twin = Attribution.from_bytes(attribution.to_bytes())
    assert twin.to_bytes() == attribution.to_bytes()
    assert twin.counts == attribution.counts
    assert twin.rule_sets == attribution.rule_sets
    assert twin.active == ("w",)
    for each in (attribution, twin):
        path(each, [33.0])
    for ours, theirs in zip(attribution.settle(100.0), twin.settle(100.0), strict=True):
        assert ours.tolist() == theirs.tolist()
    assert twin.to_bytes() == attribution.to_bytes()


def test_bytes_that_were_cut_or_altered_are_refused():
    blob = lived().to_bytes()
    for end in range(0, len(blob), 97):
        with pytest.raises(CheckpointError):
            Attribution.from_bytes(blob[:end])
    for place in range(0, len(blob), 97):
        with pytest.raises(CheckpointError):
            Attribution.from_bytes(blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :])


ODD = {np.dtype(np.int64): (-1, 0, 3, 2**40, -(2**63)), np.dtype(np.uint64): (0, 2**64 - 1),
       np.dtype(np.float64): (math.nan, math.inf, -1.0, 1e300)}  # fmt: skip


def broken():
    """Checkpoints whose checksum is right and whose content is not."""
    whole = unpack(lived().to_bytes(), "attribution")
    for name, array in whole.arrays.items():
        for odd in ODD[array.dtype]:
            for place in range(array.size):
                changed = array.copy()
                changed.flat[place] = odd
                if not np.array_equal(changed, array):
                    yield f"{name}[{place}] = {odd}", whole._replace(arrays=whole.arrays | {name: changed})
        for changed in (array[:-1], array[:0], np.concatenate([array, array]), array.astype("u1"), array.T.copy()):
            if changed.shape != array.shape or changed.dtype != array.dtype:
                yield f"{name} {changed.shape}", whole._replace(arrays=whole.arrays | {name: changed})
        yield f"no {name}", whole._replace(arrays={k: v for k, v in whole.arrays.items() if k != name})
    for name, value in whole.values.items():
        for odd in (None, -1, 2**70 if value is None else 1e300, "x", [], {}, math.nan):
            yield f"{name} = {odd}", whole._replace(values=whole.values | {name: odd})
    for name in whole.values["counts"]:
        yield name, whole._replace(values=whole.values | {"counts": whole.values["counts"] | {name: -1}})
    for name, value in whole.config["attribution"].items():
        for odd in (None, 1, 3.0, (), "user"):
            if odd != value:
                config = whole.config["attribution"] | {name: odd}
                yield f"{name} = {odd}", whole._replace(config=whole.config | {"attribution": config})
    for odd in (None, [], [None], [{}], whole.config["rule_sets"][:1], whole.config["rule_sets"] * 2):
        yield f"rule sets {odd}", whole._replace(config=whole.config | {"rule_sets": odd})


def test_content_that_contradicts_itself_is_refused_or_harmless():
    refused = usable = 0
    for _, checkpoint in broken():
        try:
            blob = pack(checkpoint)
        except (OverflowError, TypeError):
            continue
        try:
            attribution = Attribution.from_bytes(blob)
        except CheckpointError:
            refused += 1
            continue
        usable += 1
        path(attribution, [50.0, 51.0, 52.0, 53.0, 54.0])
        earn(attribution, 60.0, order=77)
        attribution.corrections()
        now = max(attribution._now or 0.0, 100.0)
        attribution.settle(now)
        assert Attribution.from_bytes(attribution.to_bytes()).to_bytes() == attribution.to_bytes()
    assert refused > 300
    assert usable > 100


def test_counts_are_named():
    assert set(Attribution().counts) == set(COUNTS)
    assert all(type(each) is int for each in Attribution().counts.values())


def test_threads_lose_nothing():
    attribution = ruled("last_click")
    earned = []

    def work(number):
        for i in range(40):
            names = np.arange(50) + 1_000 * number
            attribution.touch(names, names, float(i), np.arange(50) + 50 * i)
            credits = attribution.convert(names * 100 + i, names, names, i + 0.5, "order")
            earned.append(credits.share.sum())
            attribution.counts, attribution.active, attribution.corrections()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(attribution) == attribution.counts["touches"] == 4 * 40 * 50
    assert attribution.counts["conversions"] == attribution.kept == 8_000
    assert sum(earned) == 8_000


def test_text_and_numbers_do_not_mix():
    """numpy would make text of the numbers, and `1` and `"1"` are two."""
    attribution = Attribution()
    with pytest.raises(ValueError, match=r"users mix text and 1, whose names differ"):
        attribution.touch([1, "a"], ["x", "x"], 0.0, [1, 2])
    assert attribution.counts["touches"] == 0

"""Operators' orders and versions of the rules."""

import pytest

from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.allocators.cold_start import Atoms, BetaPopulation, BucketRules, Gate, Rules, read_rules, write_rules
from seedbed.bandits import UnknownArmError

WHO = {"actor": "ann", "reason": "campaign"}


def opened(rooms=("a", "b"), **numbers):
    allocator = ColdStartAllocator(ColdStartConfig(**numbers), seed=7)
    allocator.open(list(rooms), now=0.0)
    return allocator


def rules(version="1", bar=0.3, **times):
    gate = Gate(metric="retained", bar=bar, population=BetaPopulation(a=4.76, b=15.24))
    return Rules(version=version, buckets=(BucketRules(name="", gates=(gate,)),), **times)


def test_kill_ban_pin_and_their_precedence():
    allocator = opened("abcd")
    allocator.tick(now=60.0, exposures=400)
    allocator.override("a", "kill", now=61.0, **WHO)
    allocator.override("b", "ban", now=61.0, **WHO)
    allocator.override("c", "pin", value=77, now=61.0, **WHO)
    plan = allocator.tick(now=120.0, exposures=400)
    assert [plan[room].exposures for room in "abc"] == [0, 0, 77]
    assert plan["a"].traffic_multiplier == 0.0
    assert plan["b"].traffic_multiplier > 0.0  # what is in flight may arrive
    assert [plan[room].reason_codes for room in "abc"] == [("KILLED",), ("BANNED",), ("PINNED",)]
    assert [(order.room, order.kind, order.actor) for order in plan.overrides] == [
        ("a", "kill", "ann"),
        ("b", "ban", "ann"),
        ("c", "pin", "ann"),
    ]
    allocator.override("b", "pin", value=5, now=121.0, **WHO)
    allocator.override("c", "kill", now=121.0, **WHO)
    plan = allocator.tick(now=180.0, exposures=400)
    assert [plan[room].exposures for room in "abc"] == [0, 5, 0]
    assert plan.granted <= 400


def test_pins_go_first_past_caps_and_not_past_the_budget_nor_a_stop():
    allocator = opened("abc", budget={"limit": 1_000}, verify_cap=500, quota_max=500)
    allocator.override("a", "pin", value=700, now=0.0, **WHO)
    allocator.override("b", "pin", value=700, now=0.0, **WHO)
    plan = allocator.tick(now=60.0, exposures=5_000)
    assert [plan[room].exposures for room in "abc"] == [700, 300, 0]
    allocator.observe("a", at=60.0, exposures=200, retained=20, negative=60)
    allocator.release("b", exposures=300)
    plan = allocator.tick(now=120.0, exposures=5_000)
    assert plan["a"].stage == "STOPPED"
    assert plan["a"].exposures == 0
    assert plan["b"].exposures == 300


def test_orders_end_by_time_or_by_hand_and_it_is_recorded():
    allocator = opened()
    allocator.override("a", "ban", now=0.0, ttl=100.0, **WHO)
    allocator.override("b", "ban", now=0.0, **WHO)
    assert {order.room for order in allocator.overrides} == {"a", "b"}
    assert len(allocator.tick(now=60.0, exposures=200).overrides) == 2
    allocator.lift("b", now=61.0, actor="bob")
    plan = allocator.tick(now=120.0, exposures=200)
    assert [(order.room, order.ended, order.ended_by) for order in plan.overrides] == [
        ("b", 61.0, "bob"),
        ("a", 100.0, ""),
    ]
    assert plan["a"].exposures > 0
    assert allocator.overrides == ()
    allocator.lift("a", now=121.0, actor="bob")
    assert allocator.tick(now=180.0, exposures=200).overrides == ()


@pytest.mark.parametrize("kind", ["pin", "weight"])
def test_what_operators_force_is_charged_and_evidence_of_harm_but_not_learnt(kind):
    allocator = opened(["a"])
    allocator.override("a", kind, value=10, now=0.0, ttl=200.0, **WHO)
    allocator.tick(now=60.0, exposures=1_000)
    allocator.observe("a", at=70.0, exposures=10, retained=9, negative=1)
    room = allocator._rooms
    assert room.counts[0, 0] == 10.0
    assert room.learned[0, 0] == 0.0
    assert room.proofs[:, 0].tolist() == [1.0, 10.0]
    assert allocator.bandit.updates == 0
    allocator.observe("a", at=250.0, exposures=10, retained=9)  # granted in the last tick of the order
    assert room.learned[0, 0] == 0.0
    allocator.observe("a", at=270.0, exposures=10, retained=9)
    assert room.learned[:2, 0].tolist() == [10.0, 9.0]


def test_a_weight_moves_the_share_of_a_room():
    shares = []
    for weight in (0.1, 10.0):
        allocator = opened(range(40), seed_share=0.0)
        allocator.override(0, "weight", value=weight, now=0.0, **WHO)
        shares.append(allocator.tick(now=60.0, exposures=600)[0].exposures)
    assert shares == [0, 60]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "boost"}, "kind = 'boost' is not one of"),
        ({"kind": "kill", "value": 3.0}, "a kill has none; leave it out"),
        ({"kind": "pin"}, "value, exposures a tick,"),
        ({"kind": "pin", "value": 1.5}, "value, exposures a tick,"),
        ({"kind": "weight", "value": 0.0}, "not a factor in"),
        ({"kind": "weight"}, "not a factor in"),
        ({"kind": "ban", "actor": " "}, "actor is empty"),
        ({"kind": "ban", "reason": ""}, "reason is empty"),
        ({"kind": "ban", "ttl": 0.0}, "ttl = 0.0 is not"),
        ({"kind": "ban", "now": -1.0}, "now"),
    ],
)
def test_orders_that_make_no_sense_change_nothing(arguments, message):
    allocator = opened()
    allocator.tick(now=60.0, exposures=0)
    before = allocator.to_bytes()
    with pytest.raises(ValueError, match=message):
        allocator.override("a", **{"now": 61.0, **WHO, **arguments})
    with pytest.raises(UnknownArmError):
        allocator.override(["a", "x"], "ban", now=61.0, **WHO)
    with pytest.raises(ValueError, match="kind = 'boost'"):
        allocator.lift("a", now=61.0, actor="ann", kind="boost")
    assert allocator.to_bytes() == before


def test_rules_come_into_force_at_the_next_tick_and_can_be_taken_back():
    allocator = opened(["a"])
    allocator.observe("a", at=0.0, exposures=100, retained=30)
    low = allocator.tick(now=60.0, exposures=0).columns()["probability"][0]
    allocator.use_rules(rules("easy", bar=0.1))
    assert allocator.rules.version == "config"
    plan = allocator.tick(now=120.0, exposures=0)
    assert plan.rules == allocator.rules.version == "easy"
    assert "RULES_CHANGED" in plan["a"].reason_codes
    assert plan["a"].scale_policy["bar"] == 0.1
    assert plan["a"].scale_policy["probability"] > 0.9 > low
    assert plan["a"].stage == "SCALE"
    assert allocator.roll_back() == "easy"
    assert allocator.tick(now=180.0, exposures=0).columns()["probability"][0] == low
    with pytest.raises(ValueError, match="no version to go back from"):
        allocator.roll_back()
    allocator.use_rules(rules("easy", bar=0.1))
    with pytest.raises(ValueError, match="version 'easy' is known with another content"):
        allocator.use_rules(rules("easy", bar=0.2))
    with pytest.raises(ValueError, match="version 'config' is known"):
        allocator.use_rules(rules("config", bar=0.2))
    with pytest.raises(ValueError, match="are not Rules"):
        allocator.use_rules({"version": "2"})


def test_rules_hold_for_their_time_only():
    allocator = opened(["a"])
    allocator.use_rules(rules("day", bar=0.2))
    allocator.use_rules(rules("evening", bar=0.25, valid_from=100.0, valid_until=200.0))
    assert [allocator.tick(now=now, exposures=0).rules for now in (60.0, 120.0, 199.0, 200.0)] == [
        "day",
        "evening",
        "evening",
        "day",
    ]


def test_rooms_get_the_rules_and_the_prior_of_their_bucket():
    def of(name, bar, support):
        population = Atoms(support=support, weights=(0.5, 0.5))
        return BucketRules(name=name, gates=(Gate(metric="retained", bar=bar, population=population),))

    allocator = opened([])
    allocator.use_rules(
        Rules(
            version="1",
            buckets=(of("", 0.2, (0.1, 0.3)), of("music", 0.3, (0.2, 0.4)), of("music/zh", 0.4, (0.3, 0.5))),
        )
    )
    allocator.tick(now=0.0, exposures=0)
    allocator.open(list("abc"), now=1.0, bucket=["music/zh/cn", "music/en", "talk"])
    plan = allocator.tick(now=60.0, exposures=0)
    assert [plan[room].scale_policy["bar"] for room in "abc"] == [0.4, 0.3, 0.2]
    assert allocator.bandit.mean(list("abc")) == pytest.approx([0.4, 0.3, 0.2])
    allocator.roll_back()
    allocator.tick(now=120.0, exposures=0)
    assert allocator.bandit.mean(list("abc")) == pytest.approx([0.238] * 3)


def test_the_twin_of_a_checkpoint_has_rules_orders_and_their_past():
    allocator = opened("abc")
    allocator.use_rules(rules("day", bar=0.2))
    allocator.tick(now=60.0, exposures=100)
    allocator.use_rules(rules("later", bar=0.4, valid_from=200.0))
    allocator.override("a", "pin", value=9, now=61.0, ttl=70.0, **WHO)
    allocator.override("b", "weight", value=2.0, now=61.0, **WHO)
    allocator.lift("b", now=62.0, actor="bob")
    twin = ColdStartAllocator.from_bytes(allocator.to_bytes())
    assert twin.to_bytes() == allocator.to_bytes()
    for now in (120.0, 180.0, 240.0):
        plans = [one.tick(now=now, exposures=100) for one in (allocator, twin)]
        assert plans[0].overrides == plans[1].overrides
        assert plans[0].rules == plans[1].rules == ("later" if now > 200.0 else "day")
        assert dict(plans[0]) == dict(plans[1])
        for one in (allocator, twin):
            one.observe("a", at=now, exposures=9, retained=5)
    assert twin.to_bytes() == allocator.to_bytes()


def test_explanations_say_why_and_what_would_change_it():
    allocator = opened(["a", "b"], seed_deadline=1e6, seed_done=0.8)
    allocator.observe("a", at=0.0, exposures=90, retained=30)
    allocator.tick(now=60.0, exposures=100)
    allocator.override("a", "weight", value=2.0, now=61.0, **WHO)
    told = allocator.explain("a")
    (gate,) = told.gates
    assert (told.stage, told.seed_quota, told.counts["retained"], told.rules) == ("VERIFY", 100, 30, "config")
    assert gate.rate == pytest.approx((4.76 + 30) / (20 + 90))
    rate, config = gate.rate, allocator.config

    def probability(more):
        return config.all_gates[0].probability([30 + rate * more], [90 + more])[0]

    assert gate.more > 0
    assert probability(gate.more) >= 0.9 > probability(gate.more - 1)
    assert "campaign" in told.next[0]
    assert any("more viewers" in sentence for sentence in told.next)
    assert all(sentence.endswith(".") for sentence in told.because)
    text = str(told)
    assert "VERIFY" in text and "against a bar of 0.3" in text
    import json

    assert json.loads(json.dumps(told.as_dict()))["gates"][0]["bar"] == 0.3
    allocator.observe("b", at=60.0, exposures=100, retained=10, negative=30)
    allocator.tick(now=120.0, exposures=100)
    told = allocator.explain("b")
    assert told.stage == "STOPPED"
    assert told.evidence >= told.evidence_needed
    assert told.next == ("Nothing in this session: a stop is final.",)
    allocator.close("b", now=121.0)
    assert allocator.explain("b").stage == "CLOSED"
    with pytest.raises(UnknownArmError):
        allocator.explain("x")


def test_the_expected_number_of_false_promotions_is_kept():
    allocator = opened(["a"])
    allocator.observe("a", at=0.0, exposures=100, retained=50)
    plan = allocator.tick(now=60.0, exposures=100)
    (doubt,) = [1.0 - change.probability for change in plan.changes if change.reason == "PROMOTED"]
    assert allocator.promotions == 1
    assert allocator.expected_false_promotions == doubt


def test_a_pin_goes_on_past_the_end_of_a_stage():
    allocator = opened(["a"], verify_cap=500, quota_max=500, flight_seconds=0.0, futile_below=0.0)
    allocator.override("a", "pin", value=300, now=0.0, **WHO)
    for tick in range(1, 6):
        record = allocator.tick(now=60.0 * tick, exposures=1_000)["a"]
        assert record.exposures == 300
        assert record.reason_codes[-1] == "PINNED"
        assert record.traffic_multiplier > 0.0
        allocator.observe("a", at=60.0 * tick, exposures=300, retained=60)
    assert record.stage == "EXHAUSTED"
    assert allocator.tick(now=360.0, exposures=0)["a"].reason_codes == ("NOTHING_AVAILABLE", "PINNED")
    allocator.lift("a", now=361.0, actor="ann")
    record = allocator.tick(now=420.0, exposures=1_000)["a"]
    assert (record.exposures, record.traffic_multiplier) == (0, 0.0)
    assert allocator.explain("a").next == ("Nothing in this session, but for an operator's pin.",)


def test_times_of_past_orders_are_merged_and_bounded():
    """Whether a viewer was forced is told as from the whole list, but for gaps of long ago."""
    allocator, naive = opened(["a"]), []
    for i in range(200):
        allocator.override("a", "pin", value=1, now=100.0 * i, ttl=150.0, **WHO)
        if i % 3 == 0:
            allocator.override("a", "weight", value=2.0, now=100.0 * i, ttl=150.0, **WHO)
        naive.append((100.0 * i, 100.0 * i + 100.0))
    assert len(allocator._overrides.forced["a"]) <= 3
    for i in range(100):
        allocator.override("a", "pin", value=1, now=30_000.0 + 1_000.0 * i, ttl=100.0, **WHO)
        allocator.lift("a", now=30_050.0 + 1_000.0 * i, actor="ann")
        naive.append((30_000.0 + 1_000.0 * i, 30_050.0 + 1_000.0 * i))
    assert len(allocator._overrides.forced["a"]) <= 32
    for at in [*range(0, 20_000, 37), *range(115_000, 130_000, 37)]:
        expected = any(start <= at < end + 60.0 for start, end in naive)
        assert allocator._overrides.is_forced("a", float(at), 60.0) == expected
    twin = ColdStartAllocator.from_bytes(allocator.to_bytes())
    assert twin.to_bytes() == allocator.to_bytes()


def test_forced_exposures_are_on_their_way_for_as_long_as_reports_take():
    allocator = opened(["a"], multiplier_lag=3)
    allocator.override("a", "pin", value=10, now=0.0, ttl=100.0, **WHO)
    for at, learned in ((279.0, 0.0), (280.0, 5.0)):
        allocator.observe("a", at=at, exposures=5, retained=1)
        assert allocator._rooms.learned[0, 0] == learned


def test_an_order_ends_at_a_time_that_can_be_saved():
    allocator = opened(["a"])
    for now, ttl in ((1e15, 60.0), (9e14, 1e-3)):
        with pytest.raises(ValueError, match="which is no later time that can be told"):
            allocator.override("a", "ban", now=now, ttl=ttl, **WHO)


def test_old_versions_of_the_rules_are_forgotten_and_the_one_in_force_is_not():
    allocator = opened(["a"])
    allocator.use_rules(rules("first", bar=0.2))
    allocator.tick(now=1.0, exposures=0)
    for i in range(250):
        allocator.use_rules(rules(f"v{i}", valid_from=1e6))
    book = allocator._registry.rules
    assert len(book.versions) <= 102
    assert set(book.used) <= set(book.versions)
    assert allocator.rules.version == "first"
    twin = ColdStartAllocator.from_bytes(allocator.to_bytes())
    assert twin.to_bytes() == allocator.to_bytes()
    assert [one.tick(now=2.0, exposures=0).rules for one in (allocator, twin)] == ["first"] * 2
    plan = allocator.tick(now=1e6, exposures=0)
    assert plan.rules == "v249"
    allocator.use_rules(rules("v249", valid_from=1e6))
    assert "RULES_CHANGED" not in allocator.tick(now=1e6, exposures=0)["a"].reason_codes


@pytest.mark.parametrize(
    "made_from", [{"x": b"\xff"}, {"x": object()}, {"x": float("nan")}, {"x": 2**70}, {"x": "\ud800"}, {"x": {1, 2}}]
)
def test_rules_that_could_not_be_saved_are_refused(made_from):
    allocator = opened(["a"])
    with pytest.raises(ValueError, match="made_from of version '1' cannot be saved"):
        allocator.use_rules(rules("1", made_from=made_from))
    assert allocator.to_bytes()
    allocator.use_rules(rules("1", made_from={"log": ["week 1", 2.5, None, {"rows": 7}]}))
    assert ColdStartAllocator.from_bytes(allocator.to_bytes()).to_bytes() == allocator.to_bytes()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("value", 2.0**40, "a wrong value"),  # of a weight
        ("kind", "kill", "a wrong value"),
        ("kind", "pin", "times are missing"),  # twice the order, once its times
        ("until", 7.0, "times are missing"),
    ],
)
def test_forged_orders_are_refused(field, value, message):
    """What no history leaves would fail much later, in a tick."""
    from seedbed.allocators.cold_start import _checkpointing
    from seedbed.bandits import CheckpointError
    from seedbed.bandits.checkpoint import pack, unpack

    allocator = opened()
    allocator.override("a", "weight", value=2.0, now=0.0, **WHO)
    checkpoint = unpack(allocator.to_bytes(), _checkpointing.KIND)
    orders = checkpoint.values["overrides"]
    orders.append({**orders[0], field: value})
    if message == "a wrong value" or field == "until":
        del orders[0]
    with pytest.raises(CheckpointError, match=message):
        ColdStartAllocator.from_bytes(pack(checkpoint))


def test_a_rules_file_from_the_future_is_refused_and_the_last_good_one_kept(tmp_path):
    allocator, path = opened(["a"]), tmp_path / "rules.json"
    write_rules(rules("good", bar=0.2), path)
    allocator.use_rules(read_rules(path))
    assert allocator.tick(now=60.0, exposures=0).rules == "good"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2').replace('"good"', '"next"'))
    with pytest.raises(ValueError, match=r"rules\.json.*format 2 is newer than 1, the newest read here"):
        allocator.use_rules(read_rules(path))
    path.write_text(path.read_text().replace('"format": 2', '"format": 1').replace("0.2", "1.2", 1))
    with pytest.raises(ValueError, match=r"rules\.json.*line \d+.*buckets"):
        allocator.use_rules(read_rules(path))
    plan = allocator.tick(now=120.0, exposures=0)
    assert (plan.rules, plan["a"].scale_policy["bar"]) == ("good", 0.2)

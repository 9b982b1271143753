import numpy as np
import pytest

from seedbed.allocators import ColdStartAllocator, ColdStartConfig, Stage, StageChange
from seedbed.bandits import CheckpointError, UnknownArmError
from seedbed.bandits.checkpoint import pack, unpack


def opened(config=None, rooms=("room-1", "room-2"), **scores):
    allocator = ColdStartAllocator(config, seed=7)
    allocator.open(list(rooms), now=0.0, **scores)
    return allocator


def play(allocator, room, ticks, rate, *, negative=0.0, start=1, exposures=5_000):
    """Tick, and let the room answer with exactly these rates; return its stages."""
    stages = []
    for tick in range(start, start + ticks):
        plan = allocator.tick(now=60.0 * tick, exposures=exposures)
        stages.append(plan[room].stage)
        shown = plan[room].exposures
        allocator.observe(
            room, at=60.0 * tick + 1, exposures=shown, retained=round(rate * shown), negative=round(negative * shown)
        )
    return stages


def test_the_hosts_view():
    """The example of the public face, number by number."""
    allocator = ColdStartAllocator(ColdStartConfig(), seed=7)
    allocator.open("room-1", now=0.0, bucket="music/zh/cn", tier="B", content_score=0.4, creator_score=0.2)
    plan = allocator.tick(now=60.0, exposures=5_000)
    room = plan["room-1"]
    assert room.seed_quota == 100 + 200 * 0.4 + 200 * 0.2 == 220
    assert type(room.seed_quota) is int
    assert room.stage == "SEED"
    assert room.exposures == plan.granted == 60
    assert type(room.traffic_multiplier) is float
    assert 0.1 <= room.traffic_multiplier <= 3.0
    assert room.reason_codes == ("FLOOR", "SAMPLED")
    assert room.scale_policy["bar"] == 0.30
    assert room.scale_policy["needed"] == 0.9
    assert room.stop_rule["evidence_needed"] == 20.0
    assert room.stop_rule["evidence"] == 1.0
    assert (room.stop_rule["metric"], room.stop_rule["limit"]) == ("negative", 0.02)
    allocator.observe("room-1", at=75.0, exposures=40, retained=12, comments=3, follows=1, negative=0)
    allocator.close("room-1", now=900.0, reason="ended")
    assert len(allocator) == 0
    assert ColdStartAllocator.from_bytes(allocator.to_bytes()).to_bytes() == allocator.to_bytes()


def test_a_plan_is_a_read_only_mapping_over_columns():
    allocator = opened()
    plan = allocator.tick(now=60.0, exposures=100)
    assert list(plan) == ["room-1", "room-2"]
    assert len(plan) == 2
    columns = plan.columns()
    assert columns["room"] == ["room-1", "room-2"]
    assert columns["exposures"].sum() == plan.granted
    with pytest.raises(ValueError, match="read-only"):
        columns["exposures"][0] = 1
    with pytest.raises(TypeError):
        plan["room-1"] = None
    with pytest.raises(KeyError, match="not in this plan"):
        plan["room-3"]
    assert "room-3" not in plan
    assert all(record.reason_codes for record in plan.values())
    before = columns["exposures"].copy()
    allocator.observe("room-1", at=61.0, exposures=5)
    allocator.tick(now=120.0, exposures=100)
    np.testing.assert_array_equal(plan.columns()["exposures"], before)


def test_a_good_room_is_seeded_verified_and_scaled_to_its_cap():
    allocator = opened(rooms=["good"])
    stages = play(allocator, "good", 60, 0.45)
    order = [stage for i, stage in enumerate(stages) if i == 0 or stage != stages[i - 1]]
    assert order == ["SEED", "SCALE", "EXHAUSTED"]
    assert allocator.tick(now=9_000.0, exposures=10)["good"].reason_codes == ("CAP_REACHED",)


def test_a_replica_out_of_touch_promotes_nobody_and_leaves_the_ranking_to_the_host():
    """Floors hold; multipliers go to 1 within ten minutes; all is made good when the fleet is heard of again."""
    config = ColdStartConfig(verify_cap=2_000)
    fresh, stale = (opened(config, rooms=["good", "new"]) for _ in range(2))
    for tick in range(1, 13):
        now, staleness = 60.0 * tick, 60.0 * tick + 240.0
        plans = [fresh.tick(now=now, exposures=100), stale.tick(now=now, exposures=100, staleness=staleness)]
        record = plans[1]["good"]
        assert ("STALE" in record.reason_codes) == (staleness > 300.0)
        assert record.stage != "SCALE"
        fade = min(max(1.0 - (staleness - 300.0) / 600.0, 0.0), 1.0)
        if record.traffic_multiplier > 0.0:
            assert abs(record.traffic_multiplier - 1.0) <= 7.0 * fade
        for allocator, plan in zip((fresh, stale), plans, strict=True):
            shown = plan["good"].exposures
            allocator.observe("good", at=now, exposures=shown, retained=shown * 6 // 10)
    assert plans[0]["good"].stage == "SCALE"
    assert plans[1]["good"].traffic_multiplier == 1.0
    assert stale._rooms.granted[:2].min() >= 100  # the floor of the newcomer too
    assert stale.tick(now=780.0, exposures=100, staleness=0.0)["good"].stage == "SCALE"
    for bad in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="staleness"):
            stale.tick(now=840.0, exposures=100, staleness=bad)


def test_a_poor_room_gives_up():
    allocator = opened(rooms=["poor"])
    stages = play(allocator, "poor", 10, 0.10)
    assert stages[-1] == "EXHAUSTED"
    record = allocator.tick(now=700.0, exposures=100)["poor"]
    assert (record.exposures, record.traffic_multiplier, record.reason_codes) == (0, 0.0, ("FUTILE",))


def test_a_room_at_the_bar_ends_at_the_cap_of_verify():
    allocator = opened(ColdStartConfig(bar=0.30, prior=(30.0, 70.0)), rooms=["mean"])
    stages = play(allocator, "mean", 20, 0.30)
    assert "SCALE" not in stages
    assert stages[-1] == "EXHAUSTED"
    counts = allocator._rooms.counts[0, 0]
    assert counts == 600


def test_harm_stops_a_room_for_good_whatever_its_rate():
    allocator = opened(rooms=["bad"])
    changes = []
    for tick in range(1, 12):
        plan = allocator.tick(now=60.0 * tick, exposures=5_000)
        changes += plan.changes
        shown = plan["bad"].exposures
        allocator.observe("bad", at=60.0 * tick, exposures=shown, retained=shown // 2, negative=shown // 10)
    stop = next(change for change in changes if change.after == "STOPPED")
    assert stop.reason == "STOP_LOSS"
    assert stop.evidence >= 20.0
    assert stop.counts["negative"] * 10 == stop.counts["exposures"] - stop.counts["exposures"] % 10
    record = plan["bad"]
    assert (record.stage, record.exposures, record.traffic_multiplier) == ("STOPPED", 0, 0.0)
    assert record.reason_codes == ("STOP_LOSS",)
    allocator.observe("bad", at=800.0, exposures=500, retained=500)
    assert allocator.tick(now=900.0, exposures=100)["bad"].stage == "STOPPED"


def test_a_scaled_room_that_falls_is_verified_again():
    allocator = opened(ColdStartConfig(verify_cap=2_000), rooms=["falls"])
    assert play(allocator, "falls", 8, 0.5)[-1] == "SCALE"
    changes = []
    for tick in range(9, 40):
        plan = allocator.tick(now=60.0 * tick, exposures=100)
        changes += [(change.before, change.after, change.reason) for change in plan.changes]
        allocator.observe("falls", at=60.0 * tick, exposures=plan["falls"].exposures, retained=0)
    assert ("SCALE", "VERIFY", "DEMOTED") in changes


def test_a_room_without_viewers_leaves_seed_at_its_deadline():
    allocator = opened(rooms=["empty"])
    reasons = []
    for tick in range(1, 12):
        plan = allocator.tick(now=60.0 * tick, exposures=100)
        reasons += [(change.reason, change.at) for change in plan.changes]
    assert reasons == [("LOW_SUPPLY", 600.0)]


def test_every_change_carries_its_reason_and_counts():
    allocator = opened(rooms=["good"])
    changes = []
    for tick in range(1, 8):
        plan = allocator.tick(now=60.0 * tick, exposures=5_000)
        changes += plan.changes
        shown = plan["good"].exposures
        allocator.observe("good", at=60.0 * tick, exposures=shown, retained=shown // 2)
    assert [(c.before, c.after, c.reason) for c in changes] == [
        ("SEED", "VERIFY", "SEED_DONE"),
        ("VERIFY", "SCALE", "PROMOTED"),
    ]
    whole = {"exposures": 100, "retained": 50, "comments": 0, "follows": 0, "negative": 0}
    assert changes[0].counts == {**whole, "watched": 0.0, "minutes": 0.0}
    assert all(type(changes[0].counts[name]) is int for name in whole)
    assert changes[1].probability > 0.9
    allocator.close("good", now=480.0, reason="host left")
    closing = allocator.tick(now=481.0, exposures=1).changes[-1]
    assert (closing.before, closing.after, closing.reason) == ("SCALE", "CLOSED", "host left")


def test_exposures_observed_twice_as_often_as_granted_are_counted_and_charged():
    config = ColdStartConfig(budget={"limit": 100})
    allocator = opened(config, rooms=["eager"])
    assert allocator.tick(now=60.0, exposures=1_000).granted == 60
    allocator.observe("eager", at=61.0, exposures=90, retained=30)
    assert allocator.tick(now=120.0, exposures=1_000).granted == 10
    allocator.observe("eager", at=121.0, exposures=50, retained=15)
    plan = allocator.tick(now=180.0, exposures=1_000)
    assert plan.granted == plan.available == allocator.budget_available == 0
    assert allocator.budget_spent == 140
    assert "BUDGET_SPENT" in plan["eager"].reason_codes
    assert allocator._registry.config.budget.overrun(allocator._spending) == 40


def test_released_exposures_go_to_others():
    allocator = opened(ColdStartConfig(budget={"limit": 60}, tick_cap=60), rooms=["a"])
    assert allocator.tick(now=60.0, exposures=100).granted == 60
    allocator.open("b", now=61.0)
    assert allocator.tick(now=120.0, exposures=100).granted == 0
    with pytest.raises(ValueError, match="60 are in flight"):
        allocator.release("a", exposures=61)
    allocator.observe("a", at=121.0, exposures=20)
    allocator.release("a", exposures=40)
    assert allocator.tick(now=180.0, exposures=100).granted == 40


def test_what_was_granted_in_an_earlier_window_is_not_granted_again_in_this_one():
    allocator = opened(ColdStartConfig(budget={"limit": 50, "window": 600.0}), rooms=["a", "b"])
    assert allocator.tick(now=540.0, exposures=100).granted == 50
    assert allocator.tick(now=600.0, exposures=30).granted == 30
    flights = allocator._rooms.in_flight[:2].copy()
    assert flights.sum() == 80
    allocator.release(["a", "b"], exposures=flights)
    assert allocator.tick(now=660.0, exposures=100).granted == 50


def test_blocked_rooms_get_nothing():
    allocator = opened(ColdStartConfig(block_reasons=("COMPLIANCE", "ASLEEP")))
    allocator.block("room-1", now=30.0, reason="ASLEEP")
    plan = allocator.tick(now=60.0, exposures=100)
    assert plan["room-1"].exposures == 0
    assert plan["room-1"].reason_codes == ("BLOCKED",)
    assert plan["room-2"].exposures == 60
    allocator.unblock("room-1", now=90.0)
    assert allocator.tick(now=120.0, exposures=100)["room-1"].exposures > 0
    with pytest.raises(ValueError, match="'X' is not one of"):
        allocator.block("room-1", now=130.0, reason="X")


def test_tier_s_is_pushed_harder_and_short_supply_is_said():
    allocator = ColdStartAllocator(seed=1)
    allocator.open("s", now=0.0, tier="S")
    allocator.open("b", now=0.0, tier="B")
    for tick in range(1, 6):
        plan = allocator.tick(now=60.0 * tick, exposures=1_000)
        allocator.observe(["s", "b"], at=60.0 * tick, exposures=1)
    assert plan["s"].traffic_multiplier == 8.0
    assert plan["b"].traffic_multiplier == 3.0
    assert "INSUFFICIENT_SUPPLY" in plan["b"].reason_codes


def test_a_room_that_delivers_is_not_short_of_supply():
    allocator = opened(rooms=["fine"])
    play(allocator, "fine", 6, 0.4)
    assert "INSUFFICIENT_SUPPLY" not in allocator.tick(now=420.0, exposures=100)["fine"].reason_codes


def test_the_multiplier_follows_what_a_room_yields():
    """A room that brings 40 exposures a unit of multiplier is pushed by 1.5 for 60."""
    allocator = opened(ColdStartConfig(scale_cap=None), rooms=["rich"])
    for tick in range(1, 30):
        plan = allocator.tick(now=60.0 * tick, exposures=60)
        shown = round(40 * plan["rich"].traffic_multiplier)
        allocator.observe("rich", at=60.0 * tick, exposures=shown, retained=shown // 2)
    assert plan["rich"].traffic_multiplier == pytest.approx(1.5, rel=0.05)


def test_the_floor_serves_the_least_slack_first_and_says_what_it_could_not():
    config = ColdStartConfig(seed_share=1.0, tick_cap=60)
    allocator = ColdStartAllocator(config, seed=1)
    allocator.open("small", now=0.0)
    allocator.open("large", now=0.0, content_score=1.0, creator_score=1.0)
    plan = allocator.tick(now=60.0, exposures=50)
    assert plan["large"].exposures == 50  # 500 / 9 ticks x 1.4, capped, comes before 100 / 9 x 1.4
    assert plan["small"].exposures == 0
    assert plan.floor_unmet == 60 + 16 - 50
    assert "FLOOR_UNMET" in plan["small"].reason_codes


def test_unspent_ticks_extend_the_most_promising_rooms():
    config = ColdStartConfig.feed(extension=100, tick_cap=1_000, bar=0.3, prior=(30.0, 70.0), verify_cap=500)
    allocator = opened(config, rooms=["better", "worse"])
    events = []
    for tick in range(1, 8):
        plan = allocator.tick(now=60.0 * tick, exposures=1_200)
        events += [(change.room, change.reason) for change in plan.changes]
        for room, rate in (("better", 0.31), ("worse", 0.29)):
            shown = plan[room].exposures
            allocator.observe(room, at=60.0 * tick, exposures=shown, retained=round(rate * shown))
    assert ("better", "EXTENDED") in events
    assert events.index(("better", "EXTENDED")) > events.index(("better", "CAP_REACHED"))


def test_the_live_preset_never_extends():
    allocator = opened(ColdStartConfig(bar=0.30, prior=(30.0, 70.0)), rooms=["mean"])
    play(allocator, "mean", 25, 0.30)
    assert allocator._rooms.counts[0, 0] == 600


def test_rooms_are_forgotten_after_their_time_for_feedback():
    allocator = opened()
    allocator.tick(now=60.0, exposures=100)
    allocator.close("room-1", now=100.0)
    allocator.observe("room-1", at=90.0, exposures=10, retained=1)
    assert "room-1" not in allocator.tick(now=120.0, exposures=100)
    allocator.tick(now=701.0, exposures=100)
    with pytest.raises(UnknownArmError, match="closed over 600 s ago"):
        allocator.observe("room-1", at=90.0, exposures=1)
    with pytest.raises(ValueError, match="room 'room-1' was open before; an id never means another room"):
        allocator.open("room-1", now=800.0)
    allocator.open("room-3", now=800.0)  # takes the column of room-1, with nothing left in it
    record = allocator.tick(now=860.0, exposures=100)["room-3"]
    assert (record.stage, record.seed_quota) == ("SEED", 100)
    assert ColdStartAllocator.from_bytes(allocator.to_bytes()).to_bytes() == allocator.to_bytes()


def test_same_seed_same_plans_and_order_of_rooms_is_irrelevant():
    rooms = [f"r{i}" for i in range(40)]
    one, other = opened(rooms=rooms), opened(rooms=rooms[::-1])
    for tick in range(1, 15):
        a, b = (allocator.tick(now=60.0 * tick, exposures=500) for allocator in (one, other))
        assert {room: a[room] for room in rooms} == {room: b[room] for room in rooms}
        shown = [a[room].exposures for room in rooms]
        kept = [int(n * (0.1 + 0.01 * i)) for i, n in enumerate(shown)]
        for allocator in (one, other):
            allocator.observe(rooms, at=60.0 * tick, exposures=shown, retained=kept)


def test_a_resumed_twin_plans_the_same():
    rooms = [f"r{i}" for i in range(30)]
    config = ColdStartConfig(budget={"limit": 2_000, "window": 300.0})
    allocator = opened(config, rooms=rooms)
    for tick in range(1, 25):
        twin = ColdStartAllocator.from_bytes(allocator.to_bytes())
        a, b = (each.tick(now=60.0 * tick, exposures=400) for each in (allocator, twin))
        assert a.changes == b.changes
        assert all((x == y).all() for x, y in zip(a._columns, b._columns, strict=True))
        shown = [a[room].exposures if room in a else 0 for room in rooms]
        known = [room for room in rooms if room in a]
        allocator.observe(known, at=60.0 * tick, exposures=[n for n, r in zip(shown, rooms, strict=True) if r in a])
        if tick == 12:
            allocator.close(["r3", "r4"], now=60.0 * tick)
            allocator.open("late", now=60.0 * tick, tier="S")


def test_many_rooms():
    allocator = opened(rooms=range(3_000), content_score=np.linspace(0, 1, 3_000))
    plan = allocator.tick(now=60.0, exposures=20_000)
    assert plan.granted == 20_000
    quotas = plan.columns()["seed_quota"]
    assert (quotas.min(), quotas.max()) == (100, 300)


GOOD = {"at": 60.0, "exposures": 10, "retained": 1, "comments": 0, "follows": 0, "negative": 0}
BAD_OBSERVATIONS = [
    ("room-9", {}, KeyError, "unknown room 'room-9'"),
    ("room-1", {"exposures": -1}, ValueError, "exposures = -1 is not a count"),
    ("room-1", {"comments": -1}, ValueError, "comments = -1"),
    ("room-1", {"retained": 11}, ValueError, "retained = 11 of room 'room-1' is more than its exposures, 10"),
    ("room-1", {"follows": 11}, ValueError, "follows = 11"),
    ("room-1", {"negative": 11}, ValueError, "negative = 11"),
    ("room-1", {"retained": 0.5}, ValueError, "whole numbers"),
    ("room-1", {"retained": float("nan")}, ValueError, "whole numbers"),
    ("room-1", {"retained": "1"}, ValueError, "whole numbers"),
    ("room-1", {"retained": None}, ValueError, "whole numbers"),
    ("room-1", {"at": 1e9}, ValueError, "more than 600 s after the latest now"),
    ("room-1", {"at": float("nan")}, ValueError, "not a finite time"),
    ("room-1", {"at": None}, ValueError, "not a time"),
    (["room-1", "room-9"], {}, KeyError, "room-9"),
    (["room-1", "room-2"], {"retained": [1, 11]}, ValueError, "of room 'room-2'"),
    (["room-1", "room-2"], {"retained": [1]}, ValueError, r"shape \(2,\)"),
    (True, {}, ValueError, "not an arm id"),
    (None, {}, ValueError, "not an arm id"),
]


@pytest.mark.parametrize(("room", "change", "error", "message"), BAD_OBSERVATIONS)
def test_bad_observations_change_nothing(room, change, error, message):
    allocator = opened()
    allocator.tick(now=60.0, exposures=100)
    before = allocator.to_bytes()
    with pytest.raises(error, match=message):
        allocator.observe(room, **{**GOOD, **change})
    assert allocator.to_bytes() == before


BAD_CALLS = [
    (lambda a: a.tick(now=59.0, exposures=1), "runs backwards"),
    (lambda a: a.tick(now=float("nan"), exposures=1), "finite"),
    (lambda a: a.tick(now=61.0, exposures=-1), "at least 0|in \\["),
    (lambda a: a.tick(now=61.0, exposures=1.5), "not an integer"),
    (lambda a: a.open("room-1", now=61.0), "already known"),
    (lambda a: a.open(["x", "x"], now=61.0), "given twice"),
    (lambda a: a.open("x", now=59.0), "runs backwards"),
    (lambda a: a.open("x", now=61.0, tier="Z"), "tier = 'Z'"),
    (lambda a: a.open("x", now=61.0, content_score=1.5), "content_score = 1.5"),
    (lambda a: a.open("x", now=61.0, creator_score=float("nan")), "creator_score = nan"),
    (lambda a: a.open(["x", "y"], now=61.0, content_score=[0.1]), "one entry for each id"),
    (lambda a: a.open("x", now=61.0, bucket=3), "bucket"),
    (lambda a: a.open(1.5, now=61.0), "not an arm id"),
    (lambda a: a.close("x", now=61.0), "unknown room"),
    (lambda a: a.close("room-1", now=59.0), "runs backwards"),
    (lambda a: a.close(["room-1", "room-1"], now=61.0), "given twice"),
    (lambda a: a.close("room-1", now=61.0, reason=3), "reason"),
    (lambda a: a.release("room-1", exposures=10_000), "in flight"),
    (lambda a: a.release(["room-1", "room-1"], exposures=1), "given twice"),
    (lambda a: a.release("room-1", exposures=-1), "not a count"),
    (lambda a: a.block("room-1", now=59.0), "runs backwards"),
    (lambda a: a.observe({"room-1", "room-2"}, at=60.0, exposures=[1, 2]), "must be ordered"),
    (lambda a: a.open({"x": 1}, now=61.0), "must be ordered"),
]


@pytest.mark.parametrize(("call", "message"), BAD_CALLS, ids=[message for _, message in BAD_CALLS])
def test_bad_calls_change_nothing(call, message):
    allocator = opened()
    allocator.tick(now=60.0, exposures=100)
    before = allocator.to_bytes()
    with pytest.raises((ValueError, KeyError), match=message):
        call(allocator)
    assert allocator.to_bytes() == before


def test_a_closed_room_is_not_closed_again():
    allocator = opened()
    allocator.close("room-1", now=5.0)
    with pytest.raises(ValueError, match=r"was closed at 5\.0"):
        allocator.close(["room-2", "room-1"], now=6.0)
    assert len(allocator) == 1


def test_damaged_checkpoints_are_refused():
    allocator = opened(ColdStartConfig(budget={"limit": 100}))
    allocator.tick(now=60.0, exposures=100)
    blob = allocator.to_bytes()
    for position in range(0, len(blob), 37):
        damaged = bytearray(blob)
        damaged[position] ^= 0x55
        with pytest.raises(CheckpointError):
            ColdStartAllocator.from_bytes(bytes(damaged))
        with pytest.raises(CheckpointError):
            ColdStartAllocator.from_bytes(blob[:position])


def test_stage_numbers_are_part_of_the_checkpoint_format():
    assert [stage.name for stage in Stage] == ["SEED", "VERIFY", "SCALE", "STOPPED", "EXHAUSTED"]


@pytest.mark.parametrize("why", ["stopped", "blocked"])
def test_a_room_that_may_not_be_served_is_not_pushed_either(why):
    allocator = opened(rooms=["r"])
    assert allocator.tick(now=60.0, exposures=1_000)["r"].exposures == 60
    if why == "stopped":
        allocator.observe("r", at=61.0, exposures=40, negative=30)
    else:
        allocator.block("r", now=61.0)
    for tick in range(2, 8):
        record = allocator.tick(now=60.0 * tick, exposures=1_000)["r"]
        assert (record.exposures, record.traffic_multiplier) == (0, 0.0)
        assert record.reason_codes == (("STOP_LOSS",) if why == "stopped" else ("BLOCKED",))


@pytest.mark.parametrize("window", [None, 1_000.0])
def test_exposures_shown_before_the_first_tick_are_charged_too(window):
    allocator = opened(ColdStartConfig(budget={"limit": 100, "window": window}))
    allocator.observe("room-1", at=0.0, exposures=80)
    assert allocator.tick(now=1.0, exposures=1_000).granted == 20


def test_an_extension_never_passes_the_cap_of_scale():
    allocator = opened(ColdStartConfig(scale_cap=1_000, extension=200), rooms=["r"])
    granted, reasons = 0, []
    for tick in range(1, 40):
        plan = allocator.tick(now=60.0 * tick, exposures=500)
        granted += plan["r"].exposures
        reasons += [change.reason for change in plan.changes]
        allocator.observe("r", at=60.0 * tick, exposures=plan["r"].exposures, retained=plan["r"].exposures // 2)
    assert granted == 1_000
    assert reasons == ["SEED_DONE", "PROMOTED", "CAP_REACHED"]


def test_what_a_forgotten_room_had_in_flight_stays_spent():
    allocator = opened(ColdStartConfig(budget={"limit": 100}, feedback_window=10.0), rooms=["r"])
    granted = allocator.tick(now=1.0, exposures=1_000).granted
    allocator.close("r", now=2.0)
    allocator.open("s", now=2.0)
    assert granted + sum(allocator.tick(now=t, exposures=1_000).granted for t in (20.0, 80.0, 140.0)) == 100


@pytest.mark.parametrize("sub_rounds", [1, 6])
def test_exposures_are_left_over_only_where_no_room_has_room(sub_rounds):
    config = ColdStartConfig(quota_base=61, quota_content=0, quota_creator=0, sub_rounds=sub_rounds)
    allocator = opened(config, rooms=range(60))
    assert allocator.tick(now=1.0, exposures=3_600).granted == 3_600
    assert allocator.tick(now=2.0, exposures=60).granted == 60


def test_a_tick_at_an_impossible_time_changes_nothing():
    allocator = opened(ColdStartConfig(budget={"limit": 9, "window": 1e-6}, feedback_window=0.0))
    allocator.close("room-2", now=0.0)
    before = allocator.to_bytes()
    with pytest.raises(ValueError, match="pass seconds"):
        allocator.tick(now=1e14, exposures=5)
    assert allocator.to_bytes() == before


def test_an_empty_batch_of_observations():
    allocator = opened()
    before = allocator.to_bytes()
    allocator.observe([], at=0.0, exposures=[], retained=[])
    assert allocator.to_bytes() == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: a.open("x", now=0.0, bucket="\ud800"), "not valid Unicode"),
        (lambda a: a.open("\ud800", now=0.0), "not valid Unicode"),
        (lambda a: a.close("room-1", now=0.0, reason="\ud800"), "not valid Unicode"),
        (lambda a: a.observe("room-1", at=0.0, exposures=float("inf")), "whole numbers"),
        (lambda a: a.observe("room-1", at=0.0, exposures=1e300), "whole numbers"),
        (lambda a: a.observe("room-1", at=[0.0, 0.0], exposures=1), r"shape \(1,\)"),
        (lambda a: a.observe("room-1", at=0.0, exposures=2**53), "not a count"),
        (lambda a: a.observe(["room-1"] * 9_010, at=0.0, exposures=10**12), "would exceed"),
    ],
)
def test_more_bad_calls_change_nothing(call, message):
    allocator = opened()
    before = allocator.to_bytes()
    with pytest.raises(ValueError, match=message):
        call(allocator)
    assert allocator.to_bytes() == before


def contradictions():
    """Changes of a checkpoint's content that no history can have left."""
    yield from ((name, value) for name, value in (("opened", np.nan), ("yield_brought", np.nan), ("quota", -1)))
    yield from (("granted", 2**62), ("yield_ticks_at_max", -5), ("probability", 7.0), ("log_evidence", np.nan))
    yield from (("yield_pushed", 0.0), ("extra", 2**62), ("stage", 9), ("why", -1), ("current", 10**6), ("opened", 1e9))


@pytest.mark.parametrize(("name", "value"), list(contradictions()))
def test_contradicting_checkpoints_are_refused(name, value):
    allocator = opened(ColdStartConfig(budget={"limit": 100}))
    allocator.tick(now=60.0, exposures=100)
    checkpoint = unpack(allocator.to_bytes(), "cold_start")
    checkpoint.arrays[name][0] = value
    with pytest.raises(CheckpointError):
        ColdStartAllocator.from_bytes(pack(checkpoint))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.arrays["spending"].__setitem__(1, 0),
        lambda c: c.arrays["spending"].__setitem__(0, 2**62),
        lambda c: c.arrays["counts"].__setitem__((3, 0), 50),
        lambda c: c.arrays.pop("blocked"),
        lambda c: c.arrays["blocked"].__setitem__(0, 9),
        lambda c: c.values["changes"].append(None),
        lambda c: c.values["changes"].append(dict.fromkeys(StageChange.__slots__)),
        lambda c: c.values["buckets"].pop(),
        lambda c: c.values.__setitem__("bandit", b""),
        lambda c: c.config.__setitem__("budget", {"limit": 5, "self": 2}),
        lambda c: c.config.__setitem__("bar", 2.0),
    ],
)
def test_more_contradicting_checkpoints_are_refused(change):
    allocator = opened(ColdStartConfig(budget={"limit": 100}))
    allocator.tick(now=60.0, exposures=100)
    checkpoint = unpack(allocator.to_bytes(), "cold_start")
    change(checkpoint)
    with pytest.raises(CheckpointError):
        ColdStartAllocator.from_bytes(pack(checkpoint))


def test_harm_that_gathers_slowly_stops_a_room_at_evidence_20_and_not_before():
    allocator = opened(ColdStartConfig(stop={"limit": 0.02}, scale_cap=None), rooms=["r"])
    seen, stopped_at = 0, None
    for tick in range(1, 60):
        record = allocator.tick(now=60.0 * tick, exposures=1_000)["r"]
        assert (record.stage == "STOPPED") == (record.stop_rule["evidence"] >= 20.0)
        if record.stage == "STOPPED":
            stopped_at = seen
            break
        shown = record.exposures
        harm = int(0.045 * (seen + shown)) - int(0.045 * seen)
        allocator.observe("r", at=60.0 * tick, exposures=shown, retained=(shown - harm) // 2, negative=harm)
        seen += shown
    assert stopped_at is not None
    assert stopped_at > 200


def test_one_lucky_draw_does_not_spend_the_tick():
    """100 equal rooms, 600 exposures, at most 60 a room: 6 draws of 10 rooms each, 47 rooms on average."""
    allocator = opened(ColdStartConfig(seed_share=0.0), rooms=range(100))
    exposures = allocator.tick(now=60.0, exposures=600).columns()["exposures"]
    assert exposures.sum() == 600
    assert (exposures > 0).sum() > 30
    assert set((exposures % 10).tolist()) == {0}


def test_a_room_at_its_cap_waits_for_what_is_in_flight():
    allocator = opened(ColdStartConfig(prior=(30.0, 70.0)), rooms=["r"])
    tick = granted = 0
    while granted < 600:
        tick += 1
        shown = allocator.tick(now=60.0 * tick, exposures=1_000)["r"].exposures
        granted += shown
        if granted < 600:  # the last grant is not reported
            allocator.observe("r", at=60.0 * tick, exposures=shown, retained=round(0.3 * shown))
    stages = [allocator.tick(now=60.0 * tick, exposures=1_000)["r"].stage for tick in range(tick + 1, tick + 6)]
    assert stages == ["VERIFY", "VERIFY", "EXHAUSTED", "EXHAUSTED", "EXHAUSTED"]  # after 180 s in flight


@pytest.mark.parametrize("config", [{"bar": 0.2}, ColdStartConfig.live])
def test_something_else_than_a_configuration_is_refused(config):
    with pytest.raises(ValueError, match="is not a ColdStartConfig"):
        ColdStartAllocator(config)

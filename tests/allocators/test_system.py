"""The whole allocator beside a ledger in plain Python, through any sequence of calls."""

import math
import threading

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scipy.stats import beta

from seedbed.allocators import ColdStartAllocator, ColdStartConfig
from seedbed.allocators.cold_start import BetaPopulation, BucketRules, Gate, Harm, Rules
from seedbed.bandits import ChangeDetector, UnknownArmError
from seedbed.constraints import BoundedMean, Proportion

TICK = 60.0
SHARED = {
    "quota_base": 12,
    "quota_content": 20,
    "quota_creator": 0,
    "quota_min": 5,
    "quota_max": 40,
    "verify_cap": 60,
    "scale_cap": 120,
    "tick_cap": 10,
    "seed_deadline": 300.0,
    "feedback_window": 240.0,
    "flight_seconds": 120.0,
    "block_reasons": ("A", "B"),
    "prior": (3.0, 7.0),
}
WATCHED = Harm(metric="watched", evidence=BoundedMean(limit=0.05, alternative="below"))
LOW = Harm(metric="retained", evidence=Proportion(limit=0.05, alternative="below"))
FOLLOWS = Gate(metric="follows", bar=0.02, population=BetaPopulation(a=1.0, b=30.0))
CONFIGS = {
    "plain": {},
    "window": {"budget": {"limit": 150, "window": 600.0}, "extension": 15},
    "limit": {"budget": {"limit": 400}, "seed_share": 0.6, "multiplier_lag": 2},
    "drift": {"change_detector": ChangeDetector(bucket=60.0, window=5, delta=0.5), "extension": 7, "harms": (LOW,)},
    "several": {"gates": (FOLLOWS,), "harms": (WATCHED,), "objective": "bucket_relative", "extension": 30},
    "all": {
        "change_detector": ChangeDetector(bucket=60.0, window=5, delta=0.5),
        "gates": (FOLLOWS,),
        "harms": (WATCHED, LOW),
        "budget": {"limit": 90, "window": 240.0},
        "multiplier_lag": 3,
    },
}


def bucket(name, bar, a, more=()):
    population = BetaPopulation(a=a, b=12.0 - a)
    return BucketRules(name=name, gates=(Gate(metric="retained", bar=bar, population=population), *more))


VERSIONS = [
    Rules(version="easy", buckets=(bucket("", 0.1, 4.0), bucket("x", 0.15, 3.0))),
    Rules(version="hard", buckets=(bucket("", 0.6, 4.0), bucket("x/y", 0.5, 2.0)), valid_until=1_500.0),
    Rules(version="two", buckets=(bucket("", 0.3, 3.0, (FOLLOWS,)),), valid_from=400.0),
]
NAMES = [version.version for version in VERSIONS]


class Room:
    """What is told of one room: plain lists and numbers."""

    def __init__(self, now, quota, bucket):
        self.opened, self.quota, self.bucket = now, quota, bucket
        self.closed = None
        self.blocked = self.stopped = False
        self.flight = []  # the window in which each exposure in flight was granted, the oldest first
        self.seen = [0, 0, 0]  # exposures, retained, follows
        self.learned = [0, 0, 0]
        self.orders = {}  # kind to (value, until)
        self.forced = []  # [start, end] of each pin and weight

    @property
    def granted(self):
        return self.seen[0] + len(self.flight)

    def end(self, kind, now):
        if kind in self.orders:
            _, until, span = self.orders.pop(kind)
            span[1] = min(until, now)

    def prevailing(self):
        return next((kind for kind in ("kill", "pin", "ban", "weight") if kind in self.orders), None)


class System(RuleBasedStateMachine):
    """Any calls in any order; the ledger knows what must be."""

    @initialize(name=st.sampled_from(sorted(CONFIGS)))
    def begin(self, name):
        self.config = ColdStartConfig(**{**SHARED, **CONFIGS[name]})
        self.allocator = ColdStartAllocator(self.config, seed=11)
        self.now, self.rooms, self.count, self.spent = 0.0, {}, 0, 0
        self.used, self.in_force = ["config"], "config"
        self.versions = {rules.version: rules for rules in VERSIONS}
        self.forgotten = set()

    # the ledger

    def window(self):
        budget = self.config.budget
        return 0 if budget is None or budget.window is None else int(self.now // budget.window)

    def pass_time(self, seconds):
        before = self.window()
        self.now += seconds
        if self.window() != before:
            self.spent = 0

    def left(self):
        return 2**53 - 1 - self.spent if self.config.budget is None else max(self.config.budget.limit - self.spent, 0)

    def opened(self):
        return [id for id, room in self.rooms.items() if room.closed is None]

    def gates(self, room):
        if self.in_force == "config":
            return self.config.all_gates
        rules = self.versions[self.in_force]
        names = {found.name: found for found in rules.buckets}
        parts = room.bucket.split("/")
        named = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
        return next(names[name] for name in [*named, ""] if name in names).gates

    # calls

    @rule(step=st.sampled_from([0.0, 1.0, 30.0]), content=st.sampled_from([0.0, 0.3, 1.0]), data=st.data())
    def open(self, step, content, data):
        self.pass_time(step)
        ids = [f"r{self.count + i}" for i in range(data.draw(st.integers(1, 3)))]
        self.count += len(ids)
        name = data.draw(st.sampled_from(["", "x", "x/y/z", "other"]))
        self.allocator.open(ids, now=self.now, content_score=content, bucket=name)
        for id in ids:
            self.rooms[id] = Room(self.now, min(max(round(12 + 20 * content), 5), 40), name)
        with pytest.raises(ValueError, match="already known"):
            self.allocator.open(ids[-1], now=self.now)

    @precondition(lambda self: self.opened())
    @rule(step=st.sampled_from([0.0, 5.0]), data=st.data())
    def close(self, step, data):
        self.pass_time(step)
        id = data.draw(st.sampled_from(self.opened()))
        self.allocator.close(id, now=self.now)
        self.rooms[id].closed = self.now
        with pytest.raises(ValueError, match="was closed"):
            self.allocator.override(id, "ban", now=self.now, actor="a", reason="b")

    @precondition(lambda self: self.opened())
    @rule(data=st.data(), blocks=st.booleans())
    def block(self, data, blocks):
        id = data.draw(st.sampled_from(self.opened()))
        if blocks:
            self.allocator.block(id, now=self.now, reason="B")
        else:
            self.allocator.unblock(id, now=self.now)
        self.rooms[id].blocked = blocks

    @precondition(lambda self: self.opened())
    @rule(
        data=st.data(),
        kind=st.sampled_from(["kill", "pin", "pin", "ban", "weight"]),
        ttl=st.sampled_from([1.0, 60.0, 120.0, 500.0]),
    )
    def override(self, data, kind, ttl):
        id = data.draw(st.sampled_from(self.opened()))
        value = {"pin": data.draw(st.sampled_from([0, 3, 25, 200])), "weight": 0.5}.get(kind)
        self.allocator.override(id, kind, value=value, now=self.now, ttl=ttl, actor="ann", reason="why")
        room, span = self.rooms[id], [self.now, self.now + ttl]
        room.end(kind, self.now)
        room.orders[kind] = value, self.now + ttl, span
        if kind in ("pin", "weight"):
            room.forced.append(span)

    @precondition(lambda self: self.rooms)
    @rule(data=st.data(), kind=st.sampled_from([None, "pin", "kill", "weight"]))
    def lift(self, data, kind):
        id = data.draw(st.sampled_from(sorted(self.rooms)))
        self.allocator.lift(id, kind=kind, now=self.now, actor="bob")
        for some in ("kill", "pin", "ban", "weight") if kind is None else [kind]:
            self.rooms[id].end(some, self.now)

    @precondition(lambda self: self.rooms)
    @rule(
        data=st.data(),
        late=st.sampled_from([0.0, 0.0, 10.0, 90.0, 400.0]),
        share=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
        negative=st.sampled_from([0, 0, 0, 0, 3]),
        once=st.booleans(),
    )
    def observe(self, data, late, share, negative, once):
        id = data.draw(st.sampled_from(sorted(self.rooms)))
        room, at = self.rooms[id], self.now - late
        shown = data.draw(st.integers(0, len(room.flight) + 5))
        counts = [shown, round(share * shown), shown // 7]
        more = {"negative": min(negative, shown), "watched": 0.5 * shown}
        if once:
            self.allocator.observe(id, at=at, exposures=shown, retained=counts[1], follows=counts[2], **more)
        elif shown:
            each = {"retained": [int(i < counts[1]) for i in range(shown)]}
            each["follows"] = [int(i < counts[2]) for i in range(shown)]
            each["negative"] = [int(i < more["negative"]) for i in range(shown)]
            self.allocator.observe([id] * shown, at=[at] * shown, exposures=1, watched=0.5, **each)
        flight = TICK * self.config.multiplier_lag
        is_forced = any(start <= at < end + flight for start, end in room.forced)
        room.seen = [a + b for a, b in zip(room.seen, counts, strict=True)]
        if not is_forced:
            room.learned = [a + b for a, b in zip(room.learned, counts, strict=True)]
        excess = max(shown - len(room.flight), 0)
        self.spent += excess
        del room.flight[: shown - excess]

    @precondition(lambda self: self.rooms)
    @rule(data=st.data())
    def observe_organic(self, data):
        id = data.draw(st.sampled_from(sorted(self.rooms)))
        self.allocator.observe(id, at=self.now, exposures=200, retained=190, source="organic")

    @precondition(lambda self: self.rooms)
    @rule(data=st.data())
    def release(self, data):
        id = data.draw(st.sampled_from(sorted(self.rooms)))
        room = self.rooms[id]
        amount = data.draw(st.integers(0, len(room.flight)))
        with pytest.raises(ValueError, match="nothing was released"):
            self.allocator.release(id, exposures=len(room.flight) + 1)
        self.allocator.release(id, exposures=amount)
        given_back = [room.flight.pop() for _ in range(amount)]
        self.spent -= given_back.count(self.window())

    @rule(i=st.integers(0, 2))
    def use_rules(self, i):
        self.allocator.use_rules(VERSIONS[i])
        self.used = [name for name in self.used if name != NAMES[i]] + [NAMES[i]]

    @rule()
    def roll_back(self):
        if len(self.used) > 1:
            assert self.allocator.roll_back() == self.used.pop()
            return
        with pytest.raises(ValueError, match="no version to go back from"):
            self.allocator.roll_back()

    @rule()
    def resume(self):
        blob = self.allocator.to_bytes()
        self.allocator = ColdStartAllocator.from_bytes(blob)
        assert self.allocator.to_bytes() == blob

    @precondition(lambda self: self.rooms)
    @rule(data=st.data())
    def explain(self, data):
        id = data.draw(st.sampled_from(sorted(self.rooms)))
        told, room = self.allocator.explain(id), self.rooms[id]
        assert (told.granted, told.seed_quota, told.counts["exposures"]) == (room.granted, room.quota, room.seen[0])
        assert told.because
        assert (told.stage == "CLOSED") == (room.closed is not None)
        assert str(told) and told.as_dict()
        assert {order.kind for order in told.overrides} == set(room.orders)

    @rule(
        step=st.sampled_from([0.0, TICK, TICK, TICK, 100.0, 500.0]),
        offered=st.sampled_from([0, 7, 40, 40, 1_000]),
        staleness=st.sampled_from([0.0, 0.0, 0.0, 700.0]),
        twice=st.booleans(),
    )
    def tick(self, step, offered, staleness, twice):
        self.pass_time(step)
        twin = ColdStartAllocator.from_bytes(self.allocator.to_bytes()) if twice else None
        if self.allocator._now is not None:
            with pytest.raises(ValueError, match="runs backwards"):
                self.allocator.tick(now=self.allocator._now - 1.0, exposures=1)
        plan = self.allocator.tick(now=self.now, exposures=offered, staleness=staleness)
        if twin is not None:
            again = twin.tick(now=self.now, exposures=offered, staleness=staleness)
            assert repr(list(again.items())) == repr(list(plan.items()))
            assert (again.changes, again.overrides) == (plan.changes, plan.overrides)
        self.follow(plan, offered)

    def follow(self, plan, offered):
        """Check a plan, and take it into the ledger."""
        for id in [id for id, room in self.rooms.items() if room.closed is not None]:
            if self.rooms[id].closed + self.config.feedback_window < self.now:
                del self.rooms[id]
                self.forgotten.add(id)
        for room in self.rooms.values():
            for kind in [kind for kind, (_, until, _) in room.orders.items() if until <= self.now]:
                room.end(kind, self.now)
        valid = [name for name in self.used if name == "config" or self.versions[name].holds_at(self.now)]
        self.in_force = valid[-1]
        assert plan.rules == self.in_force
        assert list(plan) == self.opened()
        assert plan.available == min(offered, self.left())
        assert plan.granted == sum(record.exposures for record in plan.values()) <= plan.available
        self.check_pins(plan)
        self.check_floor(plan)
        for id, record in plan.items():
            self.check_record(self.rooms[id], record, plan)
        for id, record in plan.items():
            self.rooms[id].flight += [self.window()] * record.exposures
        self.spent += plan.granted

    def pins(self, plan):
        return {
            id: self.rooms[id].orders["pin"][0]
            for id, record in plan.items()
            if self.rooms[id].prevailing() == "pin" and record.stage != "STOPPED" and not self.rooms[id].blocked
        }

    def check_pins(self, plan):
        available = plan.available
        for id, value in self.pins(plan).items():
            assert plan[id].exposures == min(value, available)
            available -= plan[id].exposures

    def free(self, plan):
        """Rooms that the draws decide about, and what each may still be given."""
        caps = {"SEED": None, "VERIFY": self.config.verify_cap, "SCALE": self.config.scale_cap}
        return {
            id: (self.rooms[id].quota if record.stage == "SEED" else caps[record.stage]) - self.rooms[id].granted
            for id, record in plan.items()
            if record.stage in caps and not self.rooms[id].blocked and self.rooms[id].prevailing() in (None, "weight")
        }

    def check_floor(self, plan):
        config, free = self.config, self.free(plan)
        available = plan.available - sum(plan[id].exposures for id in self.pins(plan))
        asked = {}
        for id, left in free.items():
            if plan[id].stage == "SEED":
                age = self.now - self.rooms[id].opened
                ticks = max(math.ceil((config.seed_deadline - age) / TICK) - (config.multiplier_lag - 1), 1)
                left = max(left, 0)
                asked[id] = min(math.ceil(left / ticks * config.front_load), left, config.tick_cap)
        floor = min(sum(asked.values()), int(config.seed_share * available))
        assert plan.floor_unmet == sum(asked.values()) - floor
        assert sum(plan[id].exposures for id in asked) >= floor
        if plan.floor_unmet == 0:
            assert all(plan[id].exposures >= wanted for id, wanted in asked.items())
        if plan.granted < plan.available:  # then nobody free has room left
            for id, left in free.items():
                assert plan[id].exposures >= min(max(left, 0), config.tick_cap)

    def check_record(self, room, record, plan):
        codes, kind = record.reason_codes, room.prevailing()
        assert codes
        assert record.seed_quota == room.quota
        assert math.isfinite(record.traffic_multiplier) and record.traffic_multiplier >= 0.0
        room.stopped |= record.stage == "STOPPED"
        assert (record.stage == "STOPPED") == room.stopped
        if room.stopped or room.blocked or kind == "kill":
            assert (record.exposures, record.traffic_multiplier) == (0, 0.0)
            assert codes != ("RULES_CHANGED",)
        if room.blocked:
            assert "BLOCKED" in codes
        if kind == "ban" or (kind != "pin" and record.stage == "EXHAUSTED"):
            assert record.exposures == 0
        if record.exposures and kind != "pin":
            assert record.exposures <= self.config.tick_cap
            extended = self.config.scale_cap if self.config.extension else self.config.verify_cap
            cap = {"SEED": room.quota, "VERIFY": extended, "SCALE": self.config.scale_cap}[record.stage]
            assert room.granted + record.exposures <= cap
        if record.exposures:
            assert {"PINNED", "FLOOR", "SAMPLED"} & set(codes)
        probability = record.scale_policy["probability"]
        column = self.allocator._registry.columns([next(id for id, r in self.rooms.items() if r is room)])[0]
        if not self.allocator._rooms.restarts[column]:
            rates = [(gate, room.learned[{"retained": 1, "follows": 2}[gate.metric]]) for gate in self.gates(room)]
            expected = min(
                float(beta.sf(gate.bar, gate.population.a + s, gate.population.b + room.learned[0] - s))
                for gate, s in rates
            )
            assert probability == pytest.approx(expected, rel=1e-6, abs=1e-12)

    # what always holds

    @invariant()
    def counts_agree(self):
        if not hasattr(self, "allocator"):
            return
        allocator = self.allocator
        assert len(allocator) == len(self.opened())
        assert allocator.budget_spent == self.spent
        assert allocator.budget_available == self.left()
        assert {(order.room, order.kind) for order in allocator.overrides} == {
            (id, kind) for id, room in self.rooms.items() for kind in room.orders
        }
        state = allocator._rooms
        for id, room in self.rooms.items():
            (column,) = allocator._registry.columns([id]).tolist()
            assert state.granted[column] == room.granted
            assert state.current[column] == room.flight.count(self.window())
            assert state.counts[[0, 1, 3], column].tolist() == room.seen
            learned = state.learned[[0, 1, 3], column].tolist()
            if state.restarts[column]:
                assert all(a <= b for a, b in zip(learned, room.learned, strict=True))
            else:
                assert learned == room.learned
            if not allocator._registry.rules.counts_others or not state.restarts[column]:
                mean, weight, _ = allocator.bandit.evidence([id])[:, 0].tolist()
                assert weight == pytest.approx(learned[0])
                assert mean * weight == pytest.approx(learned[1], abs=1e-6)

    @invariant()
    def the_forgotten_are_unknown(self):
        for id in getattr(self, "forgotten", ()):
            with pytest.raises(UnknownArmError):
                self.allocator.observe(id, at=self.now, exposures=1)


System.TestCase.settings = settings(max_examples=40, stateful_step_count=35, deadline=None)
TestSystem = System.TestCase


def test_threads_leave_what_some_order_of_their_calls_would():
    """Every call of every thread is counted once; grants never exceed what was offered."""
    config = ColdStartConfig(**SHARED, change_detector=ChangeDetector(bucket=60.0, window=5), budget={"limit": 3_000})
    allocator = ColdStartAllocator(config, seed=3)
    rooms = [f"r{i}" for i in range(12)]
    allocator.open(rooms, now=0.0)
    errors, plans = [], []

    def guarded(work):
        def run():
            try:
                for i in range(60):
                    work(i)
            except Exception as error:  # a thread's error would be lost
                errors.append(error)

        return threading.Thread(target=run)

    def observing(i):
        allocator.observe(rooms, at=0.0, exposures=2, retained=1, follows=[i % 2] * 12)

    def ordering(i):
        allocator.override(rooms[i % 12], ("pin", "weight")[i % 2], value=1, now=100.0, actor="a", reason="b")
        allocator.lift(rooms[i % 12], now=100.0, actor="a")

    def coming(i):
        allocator.open(f"n{i}", now=100.0)
        allocator.close(f"n{i}", now=100.0)

    def reading(i):
        counts = allocator.explain(rooms[i % 12]).counts
        assert counts["retained"] * 2 == counts["exposures"]
        assert 0 <= allocator.budget_available <= 3_000  # each is whole by itself; the two are not read at once
        assert allocator.budget_spent >= 0
        assert len(allocator) >= 12
        assert all(order.ended is None for order in allocator.overrides)

    def ticking(i):
        plans.append(allocator.tick(now=100.0, exposures=40))
        ColdStartAllocator.from_bytes(allocator.to_bytes())

    threads = [guarded(work) for work in (observing, observing, ordering, coming, reading, ticking)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(plans) == 60
    assert all(plan.granted <= 40 for plan in plans)
    state = allocator._rooms
    assert state.counts[[0, 1, 3], :12].tolist() == [[240.0] * 12, [120.0] * 12, [60.0] * 12]
    assert allocator.budget_spent == int(state.granted.sum())
    assert sum(len(plan.changes) for plan in plans) + len(allocator.pending_changes) >= 60
    assert len(allocator) == 12


@pytest.mark.parametrize("detector", [None, ChangeDetector(bucket=60.0, window=15, delta=0.05)])
def test_rooms_that_do_no_harm_are_rarely_stopped_through_restarts_and_several_harms(detector):
    """Each harm exactly at its limit, 80 looks, a retention that turns every 15 minutes: at most .05 + 3 sigma."""
    rooms, rng = 600, np.random.default_rng(4)
    follows = Harm(metric="follows", evidence=Proportion(limit=0.05, alternative="below"))
    watched = Harm(metric="watched", evidence=BoundedMean(limit=0.3, alternative="below"))
    allocator = ColdStartAllocator(ColdStartConfig(harms=(follows, watched), change_detector=detector), seed=1)
    allocator.open(range(rooms), now=0.0)
    for minute in range(80):
        rates = {"retained": 0.15 if minute // 15 % 2 else 0.6, "negative": 0.02, "follows": 0.05, "watched": 0.3}
        counts = {name: rng.binomial(20, rate, rooms) for name, rate in rates.items()}
        allocator.observe(range(rooms), at=60.0 * minute, exposures=20, **counts)
        plan = allocator.tick(now=60.0 * minute + 1.0, exposures=0)
    stopped = float((plan.columns()["stage"] == 3).mean())
    assert 0.0 < stopped <= 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / rooms)
    assert (allocator._rooms.restarts[:rooms].mean() > 3.0) == (detector is not None)


@pytest.mark.parametrize("lag", [1, 2])
def test_rooms_get_their_quota_from_the_floor_alone_and_little_more(lag):
    """A host that answers multipliers with Poisson exposures, nothing beyond the floor; rooms that can be supplied."""
    rooms, rng = 1_500, np.random.default_rng(5)
    config = ColdStartConfig(
        seed_done=1.0, seed_share=1.0, multiplier_lag=lag, quota_base=60, quota_content=440, futile_below=0.0
    )
    allocator = ColdStartAllocator(config, seed=1)
    allocator.open(range(rooms), now=0.0, content_score=rng.random(rooms))
    state = allocator._rooms
    quota = state.quota[:rooms].copy()
    per_unit = quota / (10 * 2.0) * np.exp(0.3 * rng.standard_normal(rooms))
    reports = []
    for minute in range(10):
        left = np.maximum(quota - state.granted[:rooms], 0)
        asked = np.ceil(left / max(10 - minute - (lag - 1), 1) * 1.4).astype(int)
        plan = allocator.tick(now=60.0 * minute, exposures=int(np.minimum(asked, np.minimum(left, 60)).sum()))
        assert plan.floor_unmet == 0
        reports.append(rng.poisson(per_unit * plan.columns()["traffic_multiplier"]))
        if minute >= lag - 1:
            allocator.observe(range(rooms), at=60.0 * minute + 59.0, exposures=reports[minute - lag + 1])
    seen = state.counts[0, :rooms]
    in_all = np.sum(reports, axis=0)
    supplied = per_unit * 3.0 * (11 - lag) >= 1.2 * quota
    assert supplied.mean() > 0.5
    assert (seen >= 0.95 * quota)[supplied].mean() >= 0.98
    assert (np.maximum(in_all - quota, 0.0) / quota).mean() <= 0.05

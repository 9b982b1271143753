"""Whatever the host does within its grants, no exposure too many is ever handed out."""

from hypothesis import given
from hypothesis import strategies as st

from seedbed.allocators import ColdStartAllocator, ColdStartConfig

ROOMS = [f"r{i}" for i in range(6)]
ACTION = st.one_of(
    st.tuples(st.just("tick"), st.integers(0, 400), st.floats(1, 200)),
    st.tuples(st.just("observe"), st.sampled_from(ROOMS), st.floats(0, 1)),
    st.tuples(st.just("release"), st.sampled_from(ROOMS), st.floats(0, 1)),
    st.tuples(st.just("close"), st.sampled_from(ROOMS), st.floats(0, 50)),
    st.tuples(st.just("open"), st.sampled_from(ROOMS), st.floats(0, 50)),
    st.tuples(st.just("restart"), st.none(), st.none()),
)
CONFIGS = st.builds(
    lambda limit, window, cap, base: ColdStartConfig(
        budget={"limit": limit, "window": window},
        tick_cap=cap,
        quota_base=base,
        quota_min=10,
        verify_cap=500,
        feedback_window=120.0,
        bar=0.2,
    ),
    st.integers(0, 900),
    st.sampled_from([None, 100.0, 400.0]),
    st.integers(1, 90),
    st.integers(10, 300),
)


class Ledger:
    """What the host was granted, remembered unit by unit: room -> windows of its grants in flight, oldest first."""

    def __init__(self, config):
        self.config = config
        self.flights = {}
        self.spent = {}

    def grant(self, room, count, now):
        window = self.config.budget.window_at(now)
        self.flights.setdefault(room, []).extend([window] * count)
        self.spent[window] = self.spent.get(window, 0) + count

    def deliver(self, room, share):
        count = int(share * len(self.flights.get(room, [])))
        if count:
            del self.flights[room][:count]
        return count

    def release(self, room, share):
        flights = self.flights.get(room, [])
        count = int(share * len(flights))
        for window in flights[len(flights) - count :]:
            self.spent[window] -= 1
        del flights[len(flights) - count :]
        return count


@given(CONFIGS, st.lists(ACTION, max_size=50))
def test_the_budget_is_never_overspent_by_one_exposure(config, actions):
    allocator, ledger, now = ColdStartAllocator(config, seed=1), Ledger(config), 0.0
    names, serial = {}, 0
    for kind, what, number in actions:
        if kind == "restart":
            allocator = ColdStartAllocator.from_bytes(allocator.to_bytes())
        elif kind == "tick":
            now += number
            plan = allocator.tick(now=now, exposures=what)
            columns = plan.columns()
            for room, granted in zip(columns["room"], columns["exposures"].tolist(), strict=True):
                assert 0 <= granted <= config.tick_cap
                ledger.grant(room, granted, now)
            assert plan.granted <= what
            assert plan.granted <= plan.available
            assert all(spent <= config.budget.limit for spent in ledger.spent.values())
            assert allocator._spending is not None
            assert config.budget.spent(allocator._spending) <= config.budget.limit
            assert config.budget.overrun(allocator._spending) == 0
        elif kind == "open" and what not in names:
            serial += 1
            now += number
            names[what] = f"{what}/{serial}"
            allocator.open(names[what], now=now, content_score=0.5)
        elif kind == "close" and what in names:
            now += number
            allocator.close(names.pop(what), now=now)  # what it has in flight stays spent
        elif kind == "observe" and what in names:
            shown = ledger.deliver(names[what], number)
            allocator.observe(names[what], at=now, exposures=shown, retained=shown // 3)
        elif kind == "release" and what in names:
            allocator.release(names[what], exposures=ledger.release(names[what], number))


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0, 1.2)), min_size=1, max_size=40))
def test_no_room_gets_more_than_its_stage_allows(ticks):
    """Hosts that deliver less or more than they were granted."""
    config = ColdStartConfig(bar=0.2)
    allocator = ColdStartAllocator(config, seed=2)
    allocator.open(ROOMS, now=0.0)
    granted = dict.fromkeys(ROOMS, 0)
    for i, (exposures, delivery) in enumerate(ticks, start=1):
        plan = allocator.tick(now=60.0 * i, exposures=exposures)
        for room in ROOMS:
            record = plan[room]
            granted[room] += record.exposures
            cap = {"SEED": record.seed_quota, "VERIFY": config.verify_cap, "SCALE": config.scale_cap}.get(record.stage)
            assert record.exposures == 0 if cap is None else granted[room] <= cap
            shown = int(record.exposures * delivery)
            allocator.observe(room, at=60.0 * i, exposures=shown, retained=shown // 4)

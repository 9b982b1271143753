import math

import numpy as np
import pacing
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from allocators import naive_yields as naive
from seedbed.allocators.cold_start.yields import (
    PacedQuota,
    Yields,
    first,
    grown,
    is_short,
    learn,
    new_yields,
    plan_shares,
    push,
)

ROOM = np.array([0])


def opened(rule, quotas, ticks=10.0):
    yields, columns = new_yields(len(quotas), rule.lag), np.arange(len(quotas))
    first(rule, yields, columns, np.array(quotas), ticks)
    return yields, columns


def pushed(rule, yields, target, **how):
    return float(push(rule, yields, ROOM, np.array([target]), **how)[0])


def test_by_hand():
    """Quota 100 over 10 ticks: A = 5, B = 1, yield 5. Missing 30 asks for 6, clipped to 3; 9 come instead of 15.

    Then A = .7 x 5 + 9 = 12.5, B = .7 + 3 = 3.7; the 21 missing ask for 21 x 3.7 / 12.5 = 6.216, half of it for 3.
    """
    rule = PacedQuota()
    yields, columns = opened(rule, [100])
    assert (yields.brought[0], yields.pushed[0]) == (5.0, 1.0)
    assert pushed(rule, yields, 30) == 3.0
    learn(rule, yields, columns, np.array([9]))
    assert (yields.brought[0], yields.pushed[0]) == (12.5, 3.7)
    assert pushed(rule, yields, 30, plan_share=0.25) == pytest.approx(0.25 * 21 * 3.7 / 12.5, rel=1e-15)
    assert pushed(rule, yields, 9) == 0.0


def test_what_is_on_its_way_is_not_missing():
    """Lag 2, yield 5: 10 wanted, m = 2. Before they are seen, 15 wanted: 10 are coming, so m = 1; then nothing is."""
    rule = PacedQuota(lag=2)
    yields, columns = opened(rule, [100])
    assert pushed(rule, yields, 10) == 2.0
    learn(rule, yields, columns, np.array([0]))
    assert (yields.brought[0], yields.pushed[0]) == (5.0, 1.0)  # nothing could have come yet
    assert pushed(rule, yields, 15) == 1.0
    learn(rule, yields, columns, np.array([10]))
    assert yields.brought[0] / yields.pushed[0] == pytest.approx(5.0)
    assert pushed(rule, yields, 15) == 0.0


def test_counts_that_restart_take_nothing_from_the_yield():
    """A reset of the room's counts, 9 -> 2, is no negative exposure: A = .7 x 12.5 + 0."""
    rule = PacedQuota()
    yields, columns = opened(rule, [100])
    for seen in (9, 2):
        assert pushed(rule, yields, 90) == 3.0
        learn(rule, yields, columns, np.array([seen]))
    assert yields.brought[0] == pytest.approx(0.7 * 12.5)
    assert yields.seen[0] == 2


def test_tier_s_is_pushed_harder():
    rule = PacedQuota()
    yields, columns = opened(rule, [100, 100])
    multipliers = push(rule, yields, columns, np.array([500, 500]), highest=rule.highest(np.array([False, True])))
    assert multipliers.tolist() == [3.0, 8.0] == yields.multiplier.tolist()


def test_supply_is_insufficient_after_three_ticks_at_the_upper_bound():
    rule = PacedQuota()
    yields, columns = opened(rule, [100])
    found = []
    for seen in (0, 3, 6, 9, 12):
        learn(rule, yields, columns, np.array([seen]))
        assert pushed(rule, yields, 60) == 3.0
        found.append(bool(is_short(rule, yields, columns)[0]))
    assert found == [False, False, False, True, True]
    learn(rule, yields, columns, np.array([60]))
    assert pushed(rule, yields, 60) == 0.0
    assert not is_short(rule, yields, columns)[0]


def test_a_room_that_delivers_at_the_upper_bound_is_not_short():
    """Each tick asks for 30 more than was seen, and gets them."""
    rule = PacedQuota(multiplier_max=2.9)
    yields, columns = opened(rule, [100])
    for tick in range(6):
        learn(rule, yields, columns, np.array([30 * tick]))
        assert pushed(rule, yields, 30 * tick + 30) >= 2.9
        assert yields.ticks_at_max[0] == 0


def test_out_of_touch_multipliers_go_to_one():
    rule = PacedQuota()
    for fade, multiplier in ((1.0, 3.0), (0.5, 2.0), (0.0, 1.0)):
        yields, _ = opened(rule, [100])
        assert pushed(rule, yields, 60, fade=fade) == multiplier
    assert pushed(rule, opened(rule, [100])[0], 0, fade=0.0) == 0.0


def test_plan_shares_by_hand():
    """1.4 / 10, 1.4 / 2; at most all of it, and no less when time is over."""
    assert plan_shares([10, 2, 1, 0, -3]).tolist() == [1.4 / 10, 1.4 / 2, 1.0, 1.0, 1.0]
    assert plan_shares(4, 1.0) == 0.25
    with pytest.raises(ValueError, match=r"front_load = 0.9 must be at least 1"):
        plan_shares(4, 0.9)


TICK = st.tuples(
    st.integers(0, 80),  # exposures that come
    st.integers(-90, 150),  # by which the target rises; it falls where grants are released
    st.floats(0.05, 1.0),  # plan share
    st.sampled_from([1.0, 1.0, 0.4, 0.0]),  # fade
    st.booleans(),
)


@given(
    st.integers(1, 4),
    st.floats(0.0, 0.95),
    st.lists(st.tuples(st.integers(1, 500), st.lists(TICK, min_size=7, max_size=7)), min_size=1, max_size=4),
    st.booleans(),
)
def test_as_the_formulas_say(lag, memory, rooms, is_tier_s):
    rule = PacedQuota(lag=lag, memory=memory)
    quotas = [quota for quota, _ in rooms]
    yields, columns = opened(rule, quotas)
    twins = [naive.Room(quota, 10.0, lag, memory, 0.5, 2.0) for quota in quotas]
    highest = rule.highest(np.full(len(rooms), is_tier_s))
    seen, target = np.zeros(len(rooms), np.int64), np.zeros(len(rooms), np.int64)
    for tick in range(7):
        came, rise, share, fade, served = (
            list(part) for part in zip(*(ticks[tick] for _, ticks in rooms), strict=True)
        )
        seen, target = seen + came, target + rise
        learn(rule, yields, columns, seen)
        got = push(
            rule, yields, columns, target,
            served=np.array(served), highest=highest, plan_share=np.array(share), fade=fade[0],
        )  # fmt: skip
        for i, twin in enumerate(twins):
            twin.learn(int(seen[i]))
            wanted = twin.push(int(target[i]), 8.0 if is_tier_s else 3.0, 0.1, share[i], fade[0], served[i])
            assert got[i] == pytest.approx(wanted, rel=1e-12, abs=0.0)
            assert yields.ticks_at_max[i] == twin.at_max
            assert got[i] == 0.0 or 0.1 <= got[i] <= (8.0 if is_tier_s else 3.0)
            assert got[i] == 0.0 or (served[i] and seen[i] < target[i])
        assert yields.multiplier.tolist() == got.tolist()


def steady(rule, quota, factor, ticks=10):
    """A room whose yield is constant, `factor` times the first guess: what its ticks planned, and all that came."""
    yields, columns = opened(rule, [quota], ticks)
    per_unit, sent, plans = factor * quota / (ticks * rule.multiplier_first), [], []
    for tick in range(2 * ticks):
        seen = math.floor(per_unit * sum(sent[: max(tick - rule.lag + 1, 0)]) + 1e-9)
        learn(rule, yields, columns, np.array([seen]))
        believed = float(yields.brought[0] / yields.pushed[0])
        sent.append(pushed(rule, yields, quota, plan_share=plan_shares(max(ticks - tick - rule.lag + 1, 1))))
        plans.append(believed * sent[-1])
        assert sent[-1] == 0.0 or seen < quota
    return plans, per_unit * sum(sent)


@given(st.integers(1, 2), st.integers(60, 500), st.floats(0.05, 4.0), st.booleans())
def test_overshoot_is_at_most_two_ticks_plan(lag, quota, factor, is_wide):
    """Constant yield, up to four times what is first believed: the overshoot is at most twice a tick's largest plan."""
    plans, total = steady(PacedQuota(lag=lag, multiplier_max=1e3 if is_wide else 3.0), quota, factor)
    assert total - quota <= 2.0 * max(plans)


@given(st.integers(1, 5), st.integers(60, 500))
def test_a_known_constant_yield_is_hardly_overshot(lag, quota):
    """Whatever the lag: by what the least multiplier brings, and by one more, since reports are whole numbers."""
    rule = PacedQuota(lag=lag)
    _, total = steady(rule, quota, 1.0)
    assert quota - 1.0 <= total <= quota + 1.0 + lag + lag * rule.multiplier_min * quota / 20.0


@pytest.mark.parametrize(("lag", "plan"), [(1, "loaded"), (1, "half"), (1, "loaded grants"), (2, "loaded")])
def test_quotas_come_in_time(lag, plan):
    """20,000 rooms: more than 98 % of those supplied get 95 % in time, and the mean overshoot is below 5 %, z > 5 each.

    Of the rooms that are not supplied, most are found short of supply.
    """
    found = pacing.study(PacedQuota(lag=lag), plan, rooms=20_000, lag=lag)
    served = found.is_served[found.is_supplied]
    assert (served.mean() - 0.98) / math.sqrt(0.98 * 0.02 / served.size) > 5.0
    assert (0.05 - found.overshoot.mean()) / (found.overshoot.std() / math.sqrt(20_000)) > 5.0
    assert found.is_short[~found.is_supplied].mean() > 0.7


def test_columns_grow():
    rule = PacedQuota(lag=3)
    yields, columns = opened(rule, [100, 200])
    push(rule, yields, columns, np.array([10, 10]))
    larger = grown(yields, 5)
    assert [array.shape[-1] for array in larger] == [5] * 6
    for old, new in zip(yields, larger, strict=True):
        assert new[..., :2].tolist() == old.tolist()
        assert not new[..., 2:].any()


def test_a_new_room_forgets_the_columns_former_one():
    rule = PacedQuota(lag=2)
    yields, columns = opened(rule, [100])
    for seen in (0, 3, 6, 9, 9):
        learn(rule, yields, columns, np.array([seen]))
        pushed(rule, yields, 400)
    first(rule, yields, columns, np.array([60]), 10.0)
    for old, new in zip(yields, opened(rule, [60])[0], strict=True):
        assert old.tolist() == new.tolist()


def test_refusals_change_nothing():
    rule = PacedQuota()
    yields, columns = opened(rule, [100, 200])
    push(rule, yields, columns, np.array([10, 10]))
    before = Yields(*(array.copy() for array in yields))
    two, three = np.array([1, 1]), np.array([1, 1, 1])
    for match, call in (
        (r"quota must be \[2\], one a room; got \[3\]", lambda: first(rule, yields, columns, three, 10.0)),
        (r"quota = 0 must be at least 1", lambda: first(rule, yields, columns, two * 0, 10.0)),
        (r"ticks = 0.0 must be positive", lambda: first(rule, yields, columns, two, 0.0)),
        (r"ticks = nan must be positive", lambda: first(rule, yields, columns, two, math.nan)),
        (r"seen must be \[2\]", lambda: learn(rule, yields, columns, three)),
        (r"target must be \[2\]", lambda: push(rule, yields, columns, three)),
        (r"highest must be \[2\]", lambda: push(rule, yields, columns, two, highest=np.ones(3))),
        (r"served must be \[2\]", lambda: push(rule, yields, columns, two, served=np.ones(1, bool))),
        (r"plan_share must be in", lambda: push(rule, yields, columns, two, plan_share=0.0)),
        (r"plan_share must be in", lambda: push(rule, yields, columns, two, plan_share=np.array([0.5, 1.1]))),
        (r"plan_share must be in", lambda: push(rule, yields, columns, two, plan_share=np.full(3, 0.5))),
        (r"fade = 1.5 is not in", lambda: push(rule, yields, columns, two, fade=1.5)),
        (r"highest = 0.05 is below multiplier_min", lambda: push(rule, yields, columns, two, highest=two * 0.05)),
    ):
        with pytest.raises(ValueError, match=match):
            call()
        for old, new in zip(before, yields, strict=True):
            assert old.tolist() == new.tolist()
    with pytest.raises(ValidationError, match="multiplier_min is above an upper bound"):
        PacedQuota(multiplier_min=4.0)

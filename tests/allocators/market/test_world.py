"""The market: its rooms, what comes of exposures, and that it keeps its promises."""

import math

import numpy as np
import pytest
from allocators.market.policies_for_tests import SMALL, Climber, uniform
from scipy.stats import kstest, norm

from allocators.market import naive_answer
from seedbed.allocators.market import METRICS, Market, MarketConfig, _kernels, _opening
from seedbed.allocators.market._samples import single_gifts
from seedbed.allocators.market._supply import apportion, checked_exposures
from seedbed.bandits._random import base_key, fold_in
from seedbed.bandits.checkpoint import unpack
from seedbed.bandits.errors import CheckpointError

E, CLICKS, RETAINED, COMMENTS, FOLLOWS, NEGATIVE, WATCHED, MINUTES, GIFTS, REVENUE = range(10)
EVENTS = slice(0, 8)  # all that is reported at once


def played(config, seed, minutes, policy=uniform, hour=0.0):
    market = Market(config, seed, hour)
    reports = [market.serve(policy(market.view())) for _ in range(minutes)]
    return market, reports


@pytest.fixture(scope="module")
def day():
    market = Market(SMALL, 3)
    views, reports = [], []
    while not market.is_over():
        views.append(market.view())
        reports.append(market.serve(uniform(views[-1])))
    return market, views, reports


def test_outcomes_are_those_of_the_definitions():
    """Every count of three minutes of large and small exposures, by scipy's quantiles at the same uniforms."""
    market = Market(SMALL, 11, 20.0)
    config, r = SMALL, market._rates
    columns = {"click": 0, "watch": 1, "comment": 2, "gift": 3, "negative": 4, "audience": 5}
    lit = 0
    for minute in range(3):
        view = market.view()
        exposures = np.arange(view.rooms.size, dtype=np.int64) % 13
        exposures[5] = 300
        tired = market._state[_kernels.TIRED].copy()
        report = market.serve(exposures)
        key = fold_in(fold_in(base_key(11, "market", 0), 2), minute)
        for i, room in enumerate(view.rooms.tolist()):
            if not exposures[i]:
                continue
            state = dict(zip(("drift", "highlight"), market._state[:2, room], strict=True))
            state["tired"] = tired[room] * 0.5 ** (1.0 / 30.0)
            lit += state["highlight"] > 0
            row = {name: market._opening.numbers[at, room] for name, at in columns.items()}
            cohort, is_new = (market._opening.integers[at, room] for at in (_opening.COHORT, _opening.NEW))
            expected = naive_answer.answer(config, r, key, room, int(exposures[i]), row, state, cohort, is_new, 20)
            found = report.counts[:, np.searchsorted(report.rooms, room)]
            np.testing.assert_allclose(found[EVENTS], expected[:8], rtol=1e-9)
            assert found[GIFTS] >= 0
    assert lit > 0  # highlights were among them


def test_matched_audiences_tire_and_recover():
    """m matched of an audience A: m / (60 A) more tired; half of it is gone after 30 minutes."""
    config = SMALL.model_copy(update={"drift": 0.0, "highlights_per_hour": 0.0})
    market = Market(config, 1)
    view = market.view()
    at = int(np.argmax(market.closes()[view.rooms]))
    room = view.rooms[at]
    alone = np.zeros(view.rooms.size, np.int64)
    alone[at] = 300
    market.serve(alone)
    audience = market.audiences()[room] * market._rates.present[0][market._opening.integers[_opening.COHORT, room]]
    share = config.newcomer_matched_share if view.facts.is_new[at] else config.matched_share
    tired = share * min(300.0, audience) / (60.0 * audience)
    assert market._state[_kernels.TIRED, room] == pytest.approx(tired)
    for _ in range(30):
        market.serve(np.zeros(market.view().rooms.size, np.int64))
    assert market._state[_kernels.TIRED, room] == pytest.approx(tired / 2.0)


def test_rooms_come_and_go(day):
    market, views, _ = day
    live = set()
    highest = -1
    for minute, view in enumerate(views):
        assert view.now == 60.0 * minute
        live = (live - set(view.closed.tolist())) | set(view.opened.tolist())
        assert sorted(live) == view.rooms.tolist()
        if view.opened.size:
            assert view.opened.min() > highest  # a number is never used again
            highest = int(view.opened.max())
        creators = view.facts.creator
        assert np.unique(creators).size == creators.size  # nobody streams twice at a time
        assert (view.facts.opened <= view.now).all()
    assert sum(view.opened.size for view in views[1:]) + (views[0].facts.opened > -60.0).sum() == pytest.approx(
        2_000, 1
    )
    facts = market.facts(np.arange(market.n_rooms))
    lengths = market._opening.integers[_opening.CLOSES] - market._opening.integers[_opening.OPENS]
    assert lengths.min() >= 5
    assert lengths.max() <= 720
    z = (facts.is_new.mean() - 0.1) / math.sqrt(0.09 / facts.is_new.size)
    assert abs(z) < 5.0
    first = np.unique(facts.creator, return_index=True)[1]
    assert facts.is_new[np.setdiff1d(np.arange(facts.is_new.size), first)].sum() == 0  # new but once


def test_the_hours_shape_supply(day):
    _, views, _ = day
    offered = np.array([view.exposures for view in views]).reshape(24, 60).sum(1)
    assert offered.sum() == SMALL.exposures_per_day
    assert set(np.argsort(offered)[-4:].tolist()) == {12, 20, 21, 22}
    hours = np.array(SMALL.hours)
    np.testing.assert_allclose(offered, SMALL.exposures_per_day * hours / hours.sum(), atol=60)
    assert Market(SMALL, 3, 20.0).view().exposures > 3 * Market(SMALL, 3, 4.0).view().exposures


@pytest.mark.parametrize("hour", [0.0, 7.25, 23.5])
def test_a_day_is_apportioned_whole(hour):
    hours = np.arange(1.0, 25.0)
    each = apportion(12_345, hours, hour, 0, 1_440)
    assert each.sum() == 12_345
    assert (each >= 0).all()
    start = int(hour * 60)
    assert each[-1] == pytest.approx(12_345 * hours[(start + 1_439) // 60 % 24] / (60.0 * hours.sum()), abs=1.01)
    np.testing.assert_array_equal(apportion(12_345, hours, hour, -10, 1_450)[:10], each[-10:])


def test_streamers_keep_their_quality(tmp_path):
    """Two rooms of one streamer have correlated quality, as the configuration says; two of different ones have not."""
    config = SMALL.model_copy(update={"rooms_per_creator_day": 3.0, "rooms_per_day": 20_000})
    market = Market(config, 5)
    integers, watch = market._opening.integers, market._opening.numbers[_opening.WATCH]
    shifts = np.array([b.watch_shift for b in config.buckets])[integers[_opening.BUCKET]]
    quality = (watch - shifts) / config.watch_spread
    order = np.argsort(integers[_opening.STREAMER], kind="stable")
    same = integers[_opening.STREAMER][order][1:] == integers[_opening.STREAMER][order][:-1]
    same[1:] &= ~same[:-1]  # pairs that share no room
    pairs = quality[order][:-1][same], quality[order][1:][same]
    n = same.sum()
    assert n > 3_000
    found = np.arctanh(np.corrcoef(*pairs)[0, 1])
    assert abs(found - np.arctanh(0.7)) < 5.0 / math.sqrt(n - 3.0)
    rooms = np.unique(integers[_opening.STREAMER], return_index=True)[1]
    assert kstest(quality[rooms], "norm").pvalue > 1e-6
    assert abs(np.log(market._opening.pool.audience[:10_000] / 20.0).std() - 0.92) < 5.0 * 0.92 / math.sqrt(20_000)


def test_scores_predict_quality_as_told():
    market = Market(MarketConfig(), 6)
    facts = market.facts(np.arange(market.n_rooms))
    everything = market._opening
    integers, numbers = everything.integers, everything.numbers
    shifts = np.array([b.watch_shift for b in MarketConfig().buckets])[integers[_opening.BUCKET]]
    quality = numbers[_opening.WATCH] - shifts
    new = integers[_opening.NEW].astype(bool)
    for name, who, rho in (
        (_opening.CONTENT, new | ~new, 0.4),
        (_opening.CREATOR, ~new, 0.5 * math.sqrt(0.7)),
        (_opening.CREATOR, new, 0.1 * math.sqrt(0.7)),
    ):
        scores = numbers[name, who]
        assert kstest(scores, "uniform").pvalue > 1e-6 or name == _opening.CREATOR  # streamers come more than once
        found = np.corrcoef(norm.ppf(scores), quality[who])[0, 1]
        # a streamer's rooms share a score: at most 3 rooms a streamer on average, so the sd is at most twice
        assert abs(np.arctanh(found) - np.arctanh(rho)) < 2.0 * 5.0 / math.sqrt(who.sum())
    assert ((facts.content_score > 0.0) & (facts.content_score < 1.0)).all()
    shares = np.bincount(facts.tier[~facts.is_new], minlength=4) / (~facts.is_new).sum()
    np.testing.assert_allclose(shares, [0.01, 0.05, 0.2, 0.74], atol=0.02)
    assert (facts.tier[facts.is_new] == 3).all()


def test_reports_add_up(day):
    market, views, reports = day
    total = np.zeros_like(market.counts)
    for view, report in zip(views, reports, strict=True):
        np.testing.assert_array_equal(view.counts, total[:, view.rooms])
        assert (np.diff(report.rooms) > 0).all()
        assert (report.counts.sum(0) > 0).all()
        total[:, report.rooms] += report.counts
    np.testing.assert_array_equal(market.counts, total)
    exposures, clicks, retained, follows, watched = total[[E, CLICKS, RETAINED, FOLLOWS, WATCHED]]
    assert exposures.sum() == SMALL.exposures_per_day
    assert (clicks <= exposures).all()
    assert (retained <= clicks).all()
    assert (follows <= retained).all()
    assert (total[NEGATIVE] <= exposures).all()
    assert (watched <= clicks).all()
    assert (watched >= retained * 0.2 - 1e-9).all()  # a minute of five
    assert (total[MINUTES] >= retained).all()
    assert ((total[REVENUE] > 0.0) == (total[GIFTS] > 0.0)).all()
    assert (total >= 0.0).all()


def test_gifts_come_late_and_all_of_them(day):
    """86 % at once; also of rooms that have closed; the rest is on its way at the end."""
    _, views, reports = day
    closed_before = sum(
        report.counts[GIFTS, ~np.isin(report.rooms, view.rooms)].sum()
        for view, report in zip(views, reports, strict=True)
    )
    assert closed_before > 0
    market = Market(SMALL.model_copy(update={"gifts_per_click": 0.5}), 3, 12.0)
    at_once = market.serve(uniform(market.view())).counts[GIFTS].sum()
    late = market._pending.due.size
    n = at_once + late
    # a delay below half a minute counts as none: 60 s is the smallest but for a sliver of .001
    assert abs(late / n - 0.14) < 5.0 * math.sqrt(0.14 * 0.86 / n) + 0.001
    due = int(market._pending.due.max()) + 1
    later = [market.serve(np.zeros(market.view().rooms.size, np.int64)) for _ in range(due - 1)]
    assert sum(report.counts[GIFTS].sum() for report in later) == late
    assert market._pending.due.size == 0
    delays, _ = single_gifts(SMALL, 0)
    assert np.quantile(delays, 0.9) == pytest.approx(1_021.0, rel=0.05)


def test_the_same_comes_of_the_same_exposures_whatever_others_get():
    """Common random numbers: half of the rooms are given the same by two policies, the others not."""

    def other(view):
        exposures = uniform(view)
        odd = view.rooms % 2 == 1
        exposures[odd] = exposures[odd] // 3
        return exposures

    (one, _), (two, _) = played(SMALL, 4, 120), played(SMALL, 4, 120, other)
    even = np.arange(0, one.n_rooms, 2)
    # with whole shares the remainder goes to the first rooms: the same in both
    np.testing.assert_array_equal(one.counts[:, even], two.counts[:, even])
    assert (one.counts[E, 1::2].sum()) > 2 * two.counts[E, 1::2].sum()
    assert one.view().rooms.tolist() == two.view().rooms.tolist()


def test_more_exposures_bring_no_fewer_viewers():
    """The same uniform at a larger n: in one minute, of a room without saturation."""
    config = SMALL.model_copy(update={"audience_median": 1e6, "exposures_per_day": 10**8})
    clicks = []
    for n in (1, 3, 10):
        market = Market(config, 8)
        market.serve(np.full(market.view().rooms.size, n))
        clicks.append(market.counts[[CLICKS, RETAINED]])
    assert (clicks[0] <= clicks[1]).all()
    assert (clicks[1] <= clicks[2]).all()
    assert clicks[2].sum() > clicks[0].sum()


def test_the_order_of_rooms_is_of_no_account():
    market, twin = Market(SMALL, 9), Market(SMALL, 9)
    view = market.view()
    exposures = uniform(view)
    keep = market._state.copy()
    key = fold_in(market._keys[2], 0)
    outs = []
    for order in (np.arange(view.rooms.size), np.random.default_rng(0).permutation(view.rooms.size)):
        out = np.empty((10, view.rooms.size))
        state = keep.copy()
        r, opening = twin._rates, twin._opening
        _kernels.answer(
            key, view.rooms[order], exposures[order], opening.numbers, opening.integers[_opening.COHORT],
            opening.integers[_opening.NEW], state, r.own, r.mixed[0], r.present[0], r.positions, twin._settings, out,
        )  # fmt: skip
        back = np.empty_like(out)
        back[:, order] = out
        outs.append((back, state))
    np.testing.assert_array_equal(outs[0][0], outs[1][0])
    np.testing.assert_array_equal(outs[0][1], outs[1][1])


def test_concentrating_stops_paying():
    """60 viewers of each of the truly best rooms are worth more each than all viewers in the very best room."""

    def best(cap):
        market = Market(SMALL, 2, 20.0)
        for _ in range(120):
            view = market.view()
            order = np.argsort(-market.truth().retained[view.rooms])
            exposures = np.zeros(view.rooms.size, np.int64)
            exposures[order] = np.clip(view.exposures - cap * np.arange(order.size), 0, cap)
            market.serve(exposures)
        return market.counts[RETAINED].sum() / market.counts[E].sum()

    everyone = played(SMALL, 2, 120, hour=20.0)[0].counts.sum(1)
    assert best(60) > 1.2 * everyone[RETAINED] / everyone[E]
    assert best(60) > 1.2 * best(10**6)


def test_truth_is_what_fresh_mixed_viewers_do():
    """Rates of rooms with no matched viewers, no drift, no highlights, in the mean over hours: z < 5 for the sum."""
    config = SMALL.model_copy(
        update={"matched_share": 0.0, "newcomer_matched_share": 0.0, "drift": 0.0, "highlights_per_hour": 0.0,
                "audience_median": 1e6, "exposures_per_day": 10**9, "position_factors": (1.0,),
                "cohorts": (SMALL.cohorts[1].model_copy(update={"share": 1.0}),)}
    )  # fmt: skip
    market, _ = played(config, 12, 60, lambda view: np.full(view.rooms.size, 200))
    truth, counts = market.truth(), market.counts
    for rate, row in ((truth.clicked, CLICKS), (truth.retained, RETAINED), (truth.negative, NEGATIVE)):
        expected, variance = counts[E] * rate, counts[E] * rate * (1.0 - rate)
        z = (counts[row] - expected)[variance > 0] / np.sqrt(variance[variance > 0])
        assert abs((counts[row] - expected).sum()) < 5.0 * math.sqrt(variance.sum())
        assert abs((z**2).mean() - 1.0) < 5.0 * math.sqrt(3.0 / z.size) + (0.5 if row == NEGATIVE else 0.0)
    assert (truth.negative[truth.is_harmful] > 0.05).all()


def test_truth_ranks_rooms():
    market = Market(MarketConfig(), 7, 12.0)
    truth = market.truth()
    facts = market.facts(np.arange(market.n_rooms))
    assert truth.clicked.size == market.n_rooms == facts.creator.size
    assert abs(truth.is_low.mean() - 0.1) < 5.0 * math.sqrt(0.09 / truth.is_low.size)
    for bucket in range(len(market.buckets)):
        here = facts.bucket == bucket
        everywhere = market._opening.integers[_opening.BUCKET] == bucket  # all of the day, later ones too
        assert market._truth.is_low[everywhere].sum() == math.ceil(0.1 * everywhere.sum())
        assert truth.retained[here & truth.is_low].max() < truth.retained[here & ~truth.is_low].min()
    assert truth.retained[truth.decile == 3].max() <= truth.retained[truth.decile == 4].min()
    assert 0.4 < truth.retained.std() / truth.retained.mean() < 0.6
    assert abs(truth.is_harmful.mean() - 0.01) < 5.0 * math.sqrt(0.0099 / truth.is_harmful.size)
    before = truth.decile
    market.serve(uniform(market.view()))
    np.testing.assert_array_equal(market.truth().decile[: before.size], before)  # ranks stay


def test_what_is_shown_is_the_callers_own():
    market, twin = Market(SMALL, 1), Market(SMALL, 1)
    for _ in range(3):
        view = market.view()
        exposures = uniform(view)
        given = exposures.copy()
        for array in (view.rooms, view.opened, view.closed, view.counts, view.facts.creator, view.facts.content_score):
            array[...] = 0
        report = market.serve(exposures)
        np.testing.assert_array_equal(exposures, given)
        np.testing.assert_array_equal(report.counts, twin.serve(uniform(twin.view())).counts)
        report.counts[...] = 0
        market.counts[...] = 0
    assert market.to_bytes() == twin.to_bytes()


def test_bad_exposures_are_named_and_nothing_is_served():
    market = Market(SMALL, 1)
    n, offered = market.view().rooms.size, market.view().exposures
    before = market.to_bytes()
    one = np.zeros(n)
    one[2] = -1
    for exposures, message in (
        (np.zeros(n + 1), rf"one entry for each open room, shape \({n},\); got shape \({n + 1},\)"),
        (one, r"exposures\[2\] = -1.0 of room 2 is not a finite number >= 0"),
        (np.where(one < 0, np.nan, 0.0), r"exposures\[2\] = nan of room 2"),
        (np.where(one < 0, offered + 1, 0), f"add up to {offered + 1}, above the {offered} that"),
        (["1"] * n, "must be numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            market.serve(exposures)
    assert market.to_bytes() == before
    with pytest.raises(KeyError, match="numbers of rooms seen"):
        market.facts([10**6])
    for hour in (24.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"start_hour must be in \[0, 24\)"):
            Market(SMALL, 1, hour)
    with pytest.raises(ValueError, match="seed"):
        Market(SMALL, -1)


def test_fractions_are_rounded_right_on_average():
    rooms = np.arange(5)
    wanted = np.array([0.2, 0.7, 1.1, 0.0, 2.5])
    grid = (np.arange(2_000) + 0.5) / 2_000
    given = np.array([checked_exposures(wanted, rooms, 5, u) for u in grid])
    assert (abs(given - wanted) < 1.0).all()
    np.testing.assert_allclose(given.mean(0), wanted, atol=1e-3)
    assert set(given.sum(1).tolist()) == {4, 5}
    assert checked_exposures(np.full(7, 5 / 7), np.arange(7), 5, 0.999).sum() == 5


def test_resumes_in_the_middle_of_a_day():
    market, _ = played(SMALL, 13, 200, hour=19.0)
    blob = market.to_bytes()
    twin = Market.from_bytes(blob)
    assert twin.to_bytes() == blob
    assert market._pending.due.size > 0
    for _ in range(40):
        view, again = market.view(), twin.view()
        for name in ("now", "exposures", "rooms", "opened", "closed", "counts"):
            np.testing.assert_array_equal(getattr(view, name), getattr(again, name))
        one, two = market.serve(uniform(view)), twin.serve(uniform(again))
        np.testing.assert_array_equal(one.rooms, two.rooms)
        np.testing.assert_array_equal(one.counts, two.counts)
    assert twin.to_bytes() == market.to_bytes()


def test_days_follow_each_other_and_resume():
    """The second day is laid down when it comes; streamers come back."""
    config = MarketConfig(rooms_per_day=200, exposures_per_day=20_000)
    market = Market(config, 1)
    blob = {}
    while not market.is_over(1):
        if market.minutes in (0, 1_439, 1_440, 1_441):
            blob[market.minutes] = market.to_bytes()
        market.serve(uniform(market.view()))
    for minutes, start in blob.items():
        twin = Market.from_bytes(start)
        assert twin.minutes == minutes
        while not twin.is_over(1):
            twin.serve(uniform(twin.view()))
        assert twin.to_bytes() == market.to_bytes()
    assert market.counts[E].sum() == 40_000
    assert not market.is_over(2)
    creators = market.facts(np.arange(market.n_rooms)).creator
    opened = market.facts(np.arange(market.n_rooms)).opened
    assert np.intersect1d(creators[opened > 86_400], creators[opened < 86_400]).size > 0


def test_broken_checkpoints_are_refused():
    from seedbed.bandits.checkpoint import pack

    market, _ = played(SMALL, 1, 30, hour=20.0)
    whole = market.to_bytes()
    for blob in (whole[:-1], b"", whole[:100] + b"x" + whole[101:]):
        with pytest.raises(CheckpointError, match="nothing was loaded"):
            Market.from_bytes(blob)

    def broken(change, message):
        checkpoint = unpack(whole, "market")
        change(checkpoint)
        with pytest.raises(CheckpointError, match=message):
            Market.from_bytes(pack(checkpoint))

    broken(lambda c: c.values.update(minutes=-1), "minutes")
    broken(lambda c: c.values.update(minutes=31), "'counts' is of other rooms")
    broken(lambda c: c.values.pop("seed"), "seed is missing")
    broken(lambda c: c.values.update(start_hour=24.0), "start_hour")
    broken(lambda c: c.config.update(rooms_per_day=0), "configuration is not one of a market")
    broken(lambda c: c.config.update(surprise=1), "configuration is not one of a market")
    broken(lambda c: c.arrays.pop("state"), "'state' is of other rooms")
    broken(lambda c: c.arrays["state"].fill(np.nan), "'state' is not finite")
    broken(lambda c: c.arrays["room"].fill(10**6), "gifts are of other rooms")
    broken(lambda c: c.arrays["due"].fill(3), "gifts are of other rooms")
    broken(lambda c: c.arrays.update(value=np.ones(1)), "gifts have different lengths")


def test_a_seed_is_a_world():
    one, two = played(SMALL, 1, 5)[0], played(SMALL, 2, 5)[0]
    assert one.to_bytes() == played(SMALL, 1, 5)[0].to_bytes()
    assert one.counts[CLICKS].sum() != two.counts[CLICKS].sum()


def test_a_market_without_rooms_goes_on():
    config = MarketConfig(rooms_per_day=1, exposures_per_day=1_440, room_minutes_max=5)
    market = Market(config, 0)
    empty = 0
    while not market.is_over():
        view = market.view()
        empty += view.rooms.size == 0
        market.serve(np.full(view.rooms.size, min(view.exposures, 1)))
    assert empty > 1_000
    assert len(METRICS) == market.counts.shape[0]


def test_one_signature_each():
    played(SMALL, 1, 2, Climber().allocate)
    # those that Python calls; numba makes what they call of literals once for each literal
    for function in (_kernels.answer, _kernels.evolve, _kernels.price, _opening._fill, _opening._settle):
        assert len(function.signatures) == 1

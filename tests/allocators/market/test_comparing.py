"""The paired comparison: arithmetic by hand, the market by its signs, and no result that depends on who plays it."""

import dataclasses
import math
import statistics
import sys

import joblib
import numpy as np
import pytest
from allocators.market.policies_for_tests import SMALL, make_climber, make_uniform
from joblib._parallel_backends import ThreadingBackend

from seedbed.allocators.market import Comparison, MarketConfig, Result, compare, play
from seedbed.allocators.market.comparing import Interval, interval
from seedbed.allocators.market.lineup import POLICIES, fit_history, fitted_by, route_m
from seedbed.allocators.market.policies import RouteM
from seedbed.allocators.market.results import MINUTES_KEPT, SCALE, SEED, STOPPED, play_one

HOUR = MarketConfig(rooms_per_day=8_000, exposures_per_day=4_000_000)  # of which an evening's hour meets 1,000 rooms
T_975 = {1: 12.706204736432095, 2: 4.302652729911275, 3: 3.182446305284263}  # quantiles of Student's t


@pytest.fixture(scope="module")
def fitted():
    return fit_history(SMALL, 1, 60)


@pytest.fixture(scope="module")
def hour():
    return compare(list(POLICIES), HOUR, range(3), 60, start_hour=19.0)


def naive_interval(values):
    half = T_975[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def test_interval_is_student_s():
    for values in ([0.3, 0.9], [1.0, 2.0, 4.0], [0.1, 0.5, -2.0, 7.0]):
        found = interval(values)
        assert (found.low, found.high) == pytest.approx(naive_interval(values))
        assert (found.mean, found.n) == (pytest.approx(statistics.fmean(values)), len(values))
    assert interval([1.0, math.nan, 2.0, 4.0]) == interval([1.0, 2.0, 4.0])
    one = interval([3.0])
    assert (one.mean, one.n, one.sign) == (3.0, 1, 0)
    assert math.isnan(one.low)
    assert math.isnan(interval([math.nan]).mean)


def test_sign_is_that_of_an_interval_clear_of_zero():
    cases = ((0.1, 0.2), 1), ((-0.2, -0.1), -1), ((-0.1, 0.2), 0), ((math.nan, math.nan), 0), ((0.0, 0.1), 0)
    for (low, high), sign in cases:
        assert Interval((low + high) / 2, low, high, 3).sign == sign


def made_up(fitted, **policies):
    """A comparison from retained rates by replicate, the rest being the same."""
    results = {}
    for name, rates in policies.items():
        for seed, rate in enumerate(rates):
            kept = {"retained": rate, "negative": 0.001, "low_quality": 0.04}
            results[name, seed] = Result(name, seed, kept, 10, np.full(10, 0.1), np.zeros((6, 5)), None, None, ())
    seeds = tuple(range(len(next(iter(policies.values())))))
    return Comparison(tuple(policies), seeds, SMALL, 5, 0.0, fitted, results)


def test_differences_are_paired(fitted):
    """A difference of .01 that is always there shows, however much the markets themselves differ."""
    found = made_up(fitted, M=[0.05, 0.20, 0.35], A=[0.04, 0.191, 0.339])
    assert found.difference("A", "M").sign == -1
    assert found.difference("A", "M")[1:3] == pytest.approx(naive_interval([-0.01, -0.009, -0.011]))
    assert found.relative("A", "M")[1:3] == pytest.approx(naive_interval([-0.2, -0.045, -11 / 350]))
    assert found.mean("A", "retained")[1:3] == pytest.approx(naive_interval([0.04, 0.191, 0.339]))
    assert math.isnan(found.mean("A", "graduated").mean)


def test_verdict_says_what_the_intervals_say(fitted):
    rates = {"M": [0.05, 0.06, 0.07], "A": [0.04, 0.05, 0.06], "B": [0.03, 0.06, 0.09], "pools": [0.06, 0.07, 0.08]}
    assert made_up(fitted, **rates).verdict() == (
        "M retains more viewers an exposure than A; fewer than pools (each paired 95 % interval is clear of zero); "
        "against B the interval holds zero: undecided. M: negative feedback 0.10%, inside the limit of 2% and "
        "low-quality share 4.00%, inside the limit of 5%."
    )
    undecided = made_up(fitted, M=rates["M"], B=rates["B"]).verdict()
    assert undecided.startswith("Against B the interval holds zero: undecided. M: ")
    fewer = made_up(fitted, first=rates["A"], second=rates["M"])
    assert fewer.reference == "first"
    assert fewer.verdict().startswith("first retains fewer viewers an exposure than second (each")
    one = made_up(fitted, M=[0.05], A=[0.04], B=[0.06]).verdict()
    assert one.startswith("One replicate carries no interval, so any difference may be chance: M retained more")
    assert "exposure than A; M: negative" in one
    tight = dataclasses.replace(made_up(fitted, **rates), low_quality_limit=0.03)
    assert "low-quality share 4.00%, ABOVE the limit of 3%" in tight.verdict()
    assert not tight.kept("M")["low_quality"].is_inside
    assert tight.kept("M")["negative"].is_inside


def test_an_hour_of_a_thousand_rooms(hour):
    """M retains more than A, B, uniform and KL-UCB, within the guardrails; what is there is the same for all."""
    for name in ("A", "B", "uniform", "kl-ucb"):
        assert hour.difference("M", name).mean > 0.0, name
    assert hour.relative("M", "eb-thompson").mean > 0.95 - 1.0
    assert all(kept.is_inside for kept in hour.kept("M").values())
    assert not hour.kept("uniform")["low_quality"].is_inside
    assert hour.mean("M", "guaranteed").mean > 0.95
    assert hour.mean("M", "guaranteed").mean > hour.mean("eb-thompson", "guaranteed").mean
    assert hour.mean("M", "false_kills").mean == 0.0
    for seed in hour.seeds:
        one = hour.results["M", seed]
        assert 900 < one.n_rooms < 1_200
        for name in hour.policies:
            other = hour.results[name, seed]
            assert (other.policy, other.seed, other.n_rooms) == (name, seed, one.n_rooms)
            for row in ("offered", "open_rooms"):
                i = MINUTES_KEPT.index(row)
                np.testing.assert_array_equal(other.by_minute[i], one.by_minute[i])
    assert len({hour.results["M", seed].by_minute[0].sum() for seed in hour.seeds}) == 1
    assert len({hour.results["M", seed].n_rooms for seed in hour.seeds}) > 1


def test_stages_are_those_of_the_open_rooms(hour):
    for seed in hour.seeds:
        m = hour.results["M", seed]
        np.testing.assert_array_equal(m.stages.sum(0), m.by_minute[MINUTES_KEPT.index("open_rooms")])
        assert m.reached[SEED] == m.n_rooms
        assert m.reached[SCALE] > 0
        assert (m.reached >= m.stages.max(1)).all()
        assert hour.results["uniform", seed].stages is None


def test_lives_show_what_they_are_shown_for(hour):
    promoted, stopped = hour.lives()
    assert (promoted.end, stopped.end) == ("promoted", "stopped")
    first = int(np.flatnonzero(promoted.stage == SCALE)[0])
    assert promoted.probability[first] >= promoted.needed > promoted.probability[:first].max()
    first = int(np.flatnonzero(stopped.stage == STOPPED)[0])
    assert stopped.evidence[first] >= stopped.evidence_needed > stopped.evidence[:first].max()
    assert (stopped.stage[first:] == STOPPED).all()
    assert stopped.exposures[first:].sum() == 0
    assert stopped.is_harmful
    run = play(route_m(HOUR, hour.fitted, 0), HOUR, 0, 60, start_hour=19.0)
    for life in hour.lives():
        assert life.exposures.sum() == run.counts[0, life.room]
        assert life.minute[0] == run.seen[life.room] / 60.0
        assert (np.diff(life.minute) == 1).all()
        assert life.seen_retained == run.counts[2, life.room] / run.counts[0, life.room]
        assert life.retained == run.truth.retained[life.room]
        rules = hour.fitted.rules
        assert life.bar == rules.buckets[rules.index(life.bucket)].gates[0].bar
    assert all(not hour.results["M", seed].lives for seed in (1, 2))


def test_outcomes_are_those_of_the_changes(fitted):
    """Flags and quotas against the recorded changes and plans, also after a resume in the middle."""
    policy = route_m(SMALL, fitted, 3, quota_base=30, quota_min=30)
    quota, twin = {}, None

    def watched(view):
        given = policy.allocate(view)
        quota.update({room: plan.seed_quota for room, plan in policy._plan.items()})
        standing = policy.standing()
        assert standing.stage.tolist() == [
            SEED + ("SEED", "VERIFY", "SCALE", "STOPPED", "EXHAUSTED").index(policy._plan[room].stage)
            for room in standing.rooms.tolist()
        ]
        return given

    class Watched:
        allocate, learn, to_bytes = staticmethod(watched), staticmethod(policy.learn), staticmethod(policy.to_bytes)

    assert policy.standing() is None
    run = play(Watched(), SMALL, 3, 120, start_hour=19.0)
    n = run.seen.size
    outcomes = policy.outcomes(n)
    assert outcomes.quota.tolist() == [quota[room] for room in range(n)]
    assert len(set(quota.values())) > 5
    promoted = {change.room for change in policy.changes if change.reason == "PROMOTED"}
    stopped = {change.room for change in policy.changes if change.after == "STOPPED"}
    assert promoted
    assert set(np.flatnonzero(outcomes.graduated).tolist()) == promoted
    assert set(np.flatnonzero(outcomes.stopped).tolist()) == stopped
    twin = RouteM.from_bytes(policy.to_bytes())
    for own, other in zip(outcomes, twin.outcomes(n), strict=True):
        np.testing.assert_array_equal(own, other)
    assert policy.outcomes(n + 3).quota[n:].tolist() == [0, 0, 0]


def test_own_quota_is_measured(fitted):
    scarce = SMALL.model_copy(update={"exposures_per_day": 250_000})
    policy = route_m(scarce, fitted, 3)
    found = play_one("M", policy, scarce, 3, 60, 19.0)
    run = play(route_m(scarce, fitted, 3), scarce, 3, 60, start_hour=19.0)
    quota = policy.outcomes(found.n_rooms).quota
    served = [i for i in range(found.n_rooms) if min(run.closes[i], 3_600.0) - run.seen[i] >= 600.0]
    served = [i for i in served if run.facts.opened[i] >= 0.0]  # not those that were there at the start
    for name, share in (("quota", 1.0), ("quota_95", 0.95)):
        expected = statistics.fmean(run.counts[0, i] >= share * quota[i] for i in served)
        assert found.measures[name] == pytest.approx(expected), name
    assert found.measures["quota"] < found.measures["quota_95"]  # or else the two could not be told apart
    np.testing.assert_array_equal(found.by_minute[MINUTES_KEPT.index("retained")], run.by_minute[2])
    np.testing.assert_array_equal(found.by_minute[MINUTES_KEPT.index("low_quality")], run.low)


OWN = {"climber": make_climber, "mine": make_uniform, "M": route_m}


def assert_same(one, other):
    assert list(one.results) == list(other.results)
    for key, result in one.results.items():
        assert repr(result.measures) == repr(other.results[key].measures), key
        np.testing.assert_array_equal(result.by_minute, other.results[key].by_minute)
        assert len(result.lives) == len(other.results[key].lives)


class Counting(ThreadingBackend):
    """A backend as a cluster's would be: known by name only."""

    played = 0

    def submit(self, func, callback=None):
        Counting.played += 1
        return super().submit(func, callback)


def test_who_plays_makes_no_difference(fitted):
    told, given = [], {"fitted": fitted, "start_hour": 19.0}
    here = compare(OWN, SMALL, [5, 6], 15, progress=lambda *pair: told.append(pair), **given)
    assert [done for done, _ in told] == list(range(1, 91))
    assert {total for _, total in told} == {90}
    assert list(here.results) == [(name, seed) for name in OWN for seed in (5, 6)]
    told.clear()
    assert_same(here, compare(OWN, SMALL, [5, 6], 15, n_jobs=2, progress=lambda *pair: told.append(pair), **given))
    assert told == [(15.0 * i, 90) for i in range(1, 7)]
    joblib.register_parallel_backend("counting", Counting)
    with joblib.parallel_config("counting", n_jobs=2):
        assert_same(here, compare(OWN, SMALL, [5, 6], 15, n_jobs=None, **given))
    assert Counting.played > 0


def test_without_joblib(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    found = compare(["uniform"], SMALL, [1], 2, fitted=fitted, n_jobs=None)
    assert found.lives() == ()
    with pytest.raises(
        ValueError, match=r"n_jobs = 2 needs joblib; install it with: pip install 'seedbed\[parallel\]'"
    ):
        compare(["uniform"], SMALL, [1], 2, fitted=fitted, n_jobs=2)


def test_history_is_another_market_and_can_be_given_as_rules(fitted):
    once = compare(["M"], SMALL, [4], 3, history_minutes=60)
    assert once.fitted == fit_history(SMALL, 4, 60)
    assert once.fitted != fitted
    assert fitted_by(fitted.rules) == fitted
    changed = route_m(SMALL, fitted, 0, quota_base=70, quota_max=170)
    assert (changed.allocator.config.quota_base, changed.allocator.config.bar) == (70, fitted.bar)


@pytest.mark.parametrize(
    ("policies", "options", "message"),
    [
        (["M", "C"], {}, "there is no policy 'C'; there are M, A, B, uniform"),
        (["M", "M"], {}, "a policy is named twice: M, M"),
        ([], {}, "give one name or more"),
        ("M", {}, "give one name or more"),
        (["M"], {"seeds": []}, "seeds must be distinct, at least one"),
        (["M"], {"seeds": [1, 1]}, "seeds must be distinct"),
        (["M"], {"seeds": [-1]}, r"seeds\[0\]"),
        (["M"], {"minutes": 0}, "minutes"),
        (["M"], {"negative_limit": 0.0}, r"negative_limit must be in \(0, 1\]"),
        (["M"], {"low_quality_limit": 2.0}, "low_quality_limit must be in"),
    ],
)
def test_what_is_refused(policies, options, message):
    with pytest.raises(ValueError, match=message):
        compare(policies, SMALL, **{"seeds": [1], "minutes": 5, **options})

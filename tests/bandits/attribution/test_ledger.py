"""The ledger: each exposure settled once, come what may; what is taught before that is right."""

import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandits.attribution import naive_ledger as naive
from seedbed.bandits import EXP3, Bandit, Beta, ChangeDetector, CheckpointError, Gaussian, Thompson, UnknownArmError
from seedbed.bandits.attribution import DelayCurve, DelayCurves, ExposureLedger, LedgerConfig, decision_name, effective
from seedbed.bandits.checkpoint import pack, unpack
from seedbed.storage import Durable, SQLiteStore

HORIZON = 10.0
CURVE = DelayCurve.fit([0.5, 1.0, 1.0, 2.0, 4.0, 8.0], HORIZON)
HOWS, LATES = st.sampled_from(["first", "sum", "max"]), st.sampled_from(["drop", "correct"])


def made(**changes):
    return ExposureLedger(LedgerConfig(horizon=HORIZON, **changes))


def told(settled):
    rows = zip(settled.arms, settled.rewards.tolist(), settled.at.tolist(), strict=True)
    c = settled.revisions
    corrected = zip(c.arms, c.old.tolist(), c.new.tolist(), c.at.tolist(), strict=True)
    return sorted(rows, key=repr), sorted(corrected, key=repr)


def learn(bandit, settled):
    """What a host does with what is settled."""
    bandit.update(settled.arms, settled.rewards, settled.weights, at=settled.at)
    c = settled.revisions
    bandit.correct(c.arms, c.old, at=c.at)
    bandit.update(c.arms, c.new, at=c.at)


names, arms, moments = st.integers(0, 4), st.sampled_from(["a", "b", 1]), st.integers(0, 30).map(float)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("show"), names, arms, moments),
        st.tuples(st.just("show"), names, arms, moments),
        st.tuples(st.just("reward"), names, arms, st.sampled_from([1.0, 0.0, 0.5, 1.0, 2.5, -1.0]), moments,
                  st.sampled_from([None, 1, 2, "1"])),
        st.tuples(st.just("reward"), names, arms, st.just(1.0), moments, st.just(None)),
        st.tuples(st.just("censor"), names, arms, moments),
        st.tuples(st.just("settle"), st.floats(0.0, 12.0)),
        st.tuples(st.just("save")),
    ),
    max_size=60,
)  # fmt: skip


def play(ledger, oracle, actions, check=lambda ledger, now: None):
    """Do the same to both, and compare all that they say; return the ledger, which may have been resumed."""
    now = 0.0
    for kind, *what in [*actions, ("settle", 0.0), ("settle", 100.0), ("settle", 0.0)]:
        if kind == "show":
            assert ledger.show(*what) == oracle.show(*what)
        elif kind == "reward":
            assert ledger.reward(*what[:4], event_id=what[4]) == oracle.reward(*what)
        elif kind == "censor":
            ledger.censor(*what)
            oracle.censor(*what)
        elif kind == "save":
            ledger = ExposureLedger.from_bytes(ledger.to_bytes())
        else:
            now += what[0]
            assert told(ledger.settle(now)) == oracle.settle(now)
            check(ledger, now)
    return ledger


@given(steps, HOWS, LATES, st.sampled_from([0.0, 0.25]))
def test_any_history_is_settled_as_the_naive_ledger_does(actions, how, late, default):
    oracle = naive.NaiveLedger(HORIZON, default, late, how)
    ledger = play(made(aggregation=how, late=late, default_reward=default), oracle, actions)
    counts, outcomes = ledger.counts, Counter(oracle.outcomes)
    for name in ("early", "beyond", "censored_before", "late_dropped", "late_corrected", "extra"):
        assert counts[name] == outcomes[name], name
    assert counts["rewards"] == outcomes["taken"]
    assert counts["shown"] == len(oracle.shown) == counts["settled"] + counts["censored"]
    assert (ledger.pending, counts["held"], counts["evicted"], counts["shown_too_late"]) == (0, 0, 0, 0)


def is_binary(action):
    return action[0] != "reward" or action[3] in (0.0, 0.5, 1.0)


@given(steps, LATES)
def test_what_is_known_by_now_is_that_of_all_exposures(actions, late):
    oracle = naive.NaiveLedger(HORIZON, late=late)

    def check(ledger, now):
        known = ledger.effective(now, CURVE, ["a", "b", 1, "never shown"], prior=(2.0, 3.0), level=0.9)
        for arm, found in known.items():
            pairs = oracle.seen(arm, now)
            ages, s = [age for age, _ in pairs], sum(value for _, value in pairs)
            expected = effective(ages, s, CURVE, (2.0, 3.0), 0.9)
            for field in ("successes", "n_eff", "weight", "mean", "lower", "upper", "F2"):
                assert getattr(found, field) == pytest.approx(getattr(expected, field), rel=1e-9, abs=1e-12), field
        everything = ledger.effective(now, CURVE, prior=(2.0, 3.0), level=0.9)
        assert set(everything) <= set(known)
        assert all(known[arm] == found for arm, found in everything.items())

    play(made(late=late), oracle, [action for action in actions if is_binary(action)], check)


keys = st.sets(st.tuples(names, arms), min_size=1, max_size=8)
rewards = st.lists(st.tuples(names, arms, st.sampled_from([1.0, 0.5, 3.0, -1.0]), moments), max_size=20)


def net(settlements):
    """What a bandit has learnt of each arm in the end: number and sum of rewards."""
    number, total = Counter(), Counter()
    for settled in settlements:
        told, corrected = (
            zip(part.arms, *rest, strict=True)
            for part, rest in (
                (settled, [settled.rewards]),
                (settled.revisions, [settled.revisions.new - settled.revisions.old]),
            )
        )
        for arm, reward in told:
            number[arm] += 1
            total[arm] += reward
        for arm, change in corrected:
            total[arm] += change
    return number, {arm: pytest.approx(value, abs=1e-9) for arm, value in total.items()}


@given(keys, rewards, HOWS, st.randoms(use_true_random=False))
def test_what_comes_of_it_depends_on_no_order(shown, came, how, random):
    """Exposures and named rewards in any order, twice each; but for which of several is the first to arrive."""
    if how == "first":
        came = list({reward[:2]: reward for reward in came}.values())
    events = [("show", name, arm, 3.0 * name) for name, arm in sorted(shown, key=repr)]
    events += [("reward", *reward, i) for i, reward in enumerate(came)]
    events, outcomes = events + events, []
    for _ in range(2):
        ledger = made(aggregation=how)
        for kind, *what in events:
            if kind == "show":
                ledger.show(*what)
            else:
                ledger.reward(*what[:4], event_id=what[4])
        outcomes.append(told(ledger.settle(100.0))[0])
        random.shuffle(events)
    assert outcomes[0] == [(arm, pytest.approx(reward), at) for arm, reward, at in outcomes[1]]


@given(keys, rewards, HOWS, st.lists(st.floats(0.0, 15.0), min_size=20, max_size=20))
def test_corrections_end_where_punctuality_does(shown, came, how, steps):
    """However late rewards arrive, what is taught in the end is what a settlement after all of them would teach."""
    ends = []
    for is_punctual in (True, False):
        ledger, now, settlements = made(aggregation=how, late="correct"), 0.0, []
        for name, arm in shown:
            ledger.show(name, arm, 3.0 * name)
        for (name, arm, value, at), step in zip(came, steps, strict=False):
            if (name, arm) in shown:
                ledger.reward(name, arm, value, at)
            now += step
            if not is_punctual:
                settlements.append(ledger.settle(now))
        settlements += [ledger.settle(1_000.0), ledger.settle(1_000.0)]
        ends.append(net(settlements))
    assert ends[0][0] == ends[1][0] == Counter(arm for _, arm in shown)
    assert {arm: approx.expected for arm, approx in ends[0][1].items()} == ends[1][1]


def test_by_hand_first():
    ledger = made()
    assert ledger.show(("0", 0, 1), ["a", "b"], 0.0) == 2
    assert ledger.show(("0", 0, 1), ["a", "c"], 1.0) == 1
    assert ledger.reward(decision_name(("0", 0, 1)), "a", 1.0, 2.0) == "taken"
    assert ledger.reward(("0", 0, 1), "a", 0.5, 3.0) == "extra"
    assert told(ledger.settle(3.0)) == ([("a", 1.0, 2.0)], [])
    assert told(ledger.settle(9.9)) == ([], [])
    assert told(ledger.settle(10.0)) == ([("b", 0.0, 10.0)], [])
    assert ledger.pending == 1
    assert told(ledger.settle(11.0)) == ([("c", 0.0, 11.0)], [])


@pytest.mark.parametrize(("how", "total"), [("sum", 5.0), ("max", 3.0), ("first", 2.0)])
def test_by_hand_aggregation_and_correction(how, total):
    ledger = made(aggregation=how, late="correct", default_reward=0.5)
    ledger.show([1, 2], ["a", "a"], [0.0, 0.0])
    ledger.reward(1, "a", 2.0, 1.0, event_id="x")
    ledger.reward(1, "a", 2.0, 1.0, event_id="x")
    ledger.reward(1, "a", 3.0, 9.0, event_id="y")
    first = ledger.settle(10.0)
    assert sorted(first.rewards.tolist()) == sorted([total, 0.5])
    assert ledger.reward(2, "a", 4.0, 10.0, event_id="z") == "late_corrected"
    assert ledger.reward(2, "a", 4.0, 10.1, event_id="w") == "beyond"
    second = ledger.settle(12.0)
    assert told(second) == ([], [("a", 0.5, 4.0, 10.0)])
    assert second.revisions.event_ids == [first.event_ids[-1][:-1] + "1"]
    assert told(ledger.settle(12.0)) == ([], [])


def test_rewards_before_their_exposure_are_held():
    ledger = made()
    assert ledger.reward(1, "a", 1.0, 5.0) == "held"
    assert ledger.reward(2, "a", 1.0, 5.0) == "held"
    assert ledger.counts["held"] == 2
    ledger.show(1, "a", 3.0)
    assert ledger.settle(14.9).arms == ["a"]
    assert ledger.counts["held"] == 1
    ledger.settle(15.0)  # an exposure of before 5 s can come no more
    assert (ledger.counts["held"], ledger.counts["unknown"]) == (0, 1)
    assert ledger.reward(3, "a", 1.0, 5.0) == "unknown"


def test_full_ledgers_let_the_oldest_go_and_say_so():
    ledger = made(capacity=3, remember=2)
    ledger.show(range(5), ["a"] * 5, [4.0, 3.0, 2.0, 1.0, 5.0])
    assert (ledger.pending, ledger.counts["evicted"]) == (3, 2)
    assert ledger.reward(3, "a", 1.0, 1.0) == "late_dropped"
    assert ledger.show(3, "a", 1.0) == 0
    settled = ledger.settle(14.0)
    assert (settled.evicted, told(settled)[0]) == (2, [("a", 0.0, 13.0), ("a", 0.0, 14.0)])
    assert ledger.settle(14.0).evicted == 0
    assert ledger.show(2, "a", 2.0) == 0  # forgotten, and not settled again
    assert ledger.counts["shown_too_late"] == 1
    for i in range(9):
        ledger.reward(100 + i, "b", 1.0, 20.0, event_id=i)
    assert (ledger.counts["held"], ledger.counts["unknown"]) == (3, 6)
    assert sum(map(len, (ledger._seen.older, ledger._seen.newer))) <= 4
    assert len(ledger._settled) <= 2


def test_events_are_remembered_for_two_generations():
    """Of two each: the newest three are known for certain, the first of five is new again."""
    ledger = made(aggregation="sum", remember=2)
    ledger.show(1, "a", 0.0)

    def again(event):
        return ledger.reward(1, "a", 1.0, 1.0, event_id=event)

    assert [again(event) for event in (1, 2, 3)] == ["taken"] * 3
    ledger = ExposureLedger.from_bytes(ledger.to_bytes())
    assert [again(event) for event in (1, 2, 3)] == ["duplicate"] * 3
    assert [again(event) for event in (4, 5)] == ["taken"] * 2
    assert [again(event) for event in (3, 4, 5, 1)] == ["duplicate"] * 3 + ["taken"]


def test_a_reward_that_was_taken_is_told_though_its_exposure_went():
    ledger = made(capacity=1)
    ledger.show(1, "a", 0.0)
    ledger.reward(1, "a", 1.0, 1.0)
    ledger.show(2, "b", 2.0)
    assert told(ledger.settle(3.0)) == ([("a", 1.0, 1.0)], [])
    assert told(ledger.settle(12.0)) == ([("b", 0.0, 12.0)], [])


def test_closed_rooms_give_no_evidence():
    ledger = made()
    ledger.show([1, 2, 3], ["a", "a", "b"], 0.0)
    ledger.reward(1, "a", 1.0, 2.0)
    assert ledger.censor(None, "a", 4.0) == 2
    assert ledger.censor(None, "a", 5.0) == 0  # again, later: nothing new
    assert ledger.reward(2, "a", 1.0, 4.5) == "censored_before"
    known = ledger.effective(6.0, CURVE)
    assert known["a"].n_eff == pytest.approx(2 * 5 / 6)  # seen for 4 of the 6 s
    assert told(ledger.settle(10.0))[0] == [("a", 1.0, 2.0), ("b", 0.0, 10.0)]
    assert ledger.effective(50.0, CURVE)["a"].n_eff == pytest.approx(2 * 5 / 6)
    assert (ledger.counts["censored"], ledger.counts["settled"]) == (1, 2)


def test_censoring_takes_no_side():
    """Rooms that close in the middle of the horizon: settled, the rate is too high; what is known by now is right."""
    rng, n, p = np.random.default_rng(8), 4_000, 0.3
    curve = DelayCurve.fit(rng.exponential(4.0, 20_000).clip(0.0, 9.99), HORIZON)
    ledger, bandit = made(), Bandit(Thompson(), ["a"])
    delays = np.where(rng.random(n) < p, rng.permutation(rng.exponential(4.0, n).clip(0.0, 9.99)), 99.0)
    ends = rng.uniform(0.0, 6.0, n)
    ledger.show(range(n), ["a"] * n, 0.0)
    for i in np.argsort(delays).tolist():
        if delays[i] < 99.0 and delays[i] <= ends[i]:
            ledger.reward(i, "a", 1.0, float(delays[i]))
    for i in range(n):
        ledger.censor(i, "a", float(ends[i]))
    known = ledger.effective(20.0, curve)["a"]
    error = np.sqrt(p * (1.0 - p * known.F2) / known.n_eff + p * p * 0.0001)
    assert abs(known.successes / known.n_eff - p) < 5.0 * error
    learn(bandit, ledger.settle(20.0))
    assert bandit.mean(["a"])[0] > 0.9  # nothing but the rewarded ones is left


def day(seed, rooms=3, n=400, spread=100.0):
    """Exposures over `spread` seconds, and what comes of them: (moment, what)."""
    rng = np.random.default_rng(seed)
    rates, events = rng.uniform(0.05, 0.9, rooms), []
    for i in range(n):
        room, at = int(rng.integers(rooms)), float(rng.uniform(0.0, spread))
        events.append((at, ("show", i, room, at)))
        if rng.random() < rates[room]:
            delay = float(min(rng.exponential(4.0), 9.9))
            events.append((at + delay, ("reward", i, room, 1.0, at + delay)))
    return sorted(events)


def evidence(bandit):
    mean, weight, _ = bandit.evidence()
    return np.array([mean * weight, weight - mean * weight])


@pytest.mark.parametrize("seed", range(3))
def test_taught_a_bandit_has_what_is_known_by_now_and_at_last_what_plain_updates_give(seed):
    ledger, bandit, plain = made(), Bandit(Thompson(), range(3)), Bandit(Thompson(), range(3))
    won, shown = Counter(), Counter()
    events, looks = day(seed), list(np.arange(0.0, 131.0, 1.7))
    for moment, (kind, *what) in [*events, (200.0, ("end", 0, 0))]:
        while looks and looks[0] < moment:
            now = looks.pop(0)
            ledger.teach(bandit, now, CURVE)
            known = ledger.effective(now, CURVE)
            expected = np.array([known[arm].evidence if arm in known else (0.0, 0.0) for arm in range(3)]).T
            np.testing.assert_allclose(evidence(bandit), expected, atol=1.1 * 2.0**-21, rtol=1e-12)
            if now % 3.4 < 1.0:  # saved and resumed together
                ledger = ExposureLedger.from_bytes(ledger.to_bytes())
                bandit = Bandit.from_bytes(bandit.to_bytes())
        if kind == "show":
            ledger.show(*what)
            shown[what[1]] += 1
        elif kind == "reward":
            ledger.reward(*what)
            won[what[1]] += 1
    ledger.teach(bandit, 210.0, CURVE)
    for room in range(3):
        plain.update([room] * shown[room], np.arange(shown[room]) < won[room])
    np.testing.assert_array_equal(evidence(bandit), evidence(plain))
    np.testing.assert_array_equal(bandit.mean(), plain.mean())
    assert ledger.teach(bandit, 220.0, CURVE) == 0


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0.0, 15.0), st.sampled_from([0.0, 1e-9, 0.1, 1 / 3, 0.7, 1.0])),
                max_size=40), st.floats(1e-6, 1e6))  # fmt: skip
def test_no_rounding_makes_a_bandit_refuse_a_correction(events, elsewhere):
    """Rewards of any fraction, evidence that grows and shrinks, and other evidence beside it."""
    ledger, bandit = made(late="correct"), Bandit(Thompson(), ["a", "b"])
    bandit.update(["a", "b", "a"], [0.1, 1.0, 0.7], elsewhere)
    before, now = evidence(bandit), 0.0
    for i, (arm, later, reward) in enumerate(events):
        ledger.show(i, "ab"[arm], now)
        ledger.show(1_000 + i, "ab"[arm], now)
        now += later
        if reward:
            ledger.reward(i, "ab"[arm], reward, now - later / 2)
        ledger.teach(bandit, now, CURVE)
        if i % 7 == 3:
            ledger.censor(None, "ab"[arm], now)
    ledger.teach(bandit, now + 20.0, CURVE)
    known = ledger.effective(now + 20.0, CURVE)
    expected = np.array([known[arm].evidence if arm in known else (0.0, 0.0) for arm in "ab"]).T
    np.testing.assert_allclose(evidence(bandit) - before, expected, atol=1e-6 + 1e-9 * elsewhere)


def test_late_corrections_reach_a_taught_bandit():
    ledger, bandit = made(late="correct"), Bandit(Thompson(), ["a"])
    ledger.show([1, 2], ["a", "a"], 0.0)
    ledger.teach(bandit, 10.0, CURVE)
    np.testing.assert_array_equal(evidence(bandit), [[0.0], [2.0]])
    ledger.reward(1, "a", 1.0, 4.0)
    assert ledger.teach(bandit, 11.0, CURVE) == 1
    np.testing.assert_array_equal(evidence(bandit), [[1.0], [1.0]])


def test_arms_come_and_go():
    ledger, bandit = made(), Bandit(Thompson(), ["a", "b"])
    ledger.show(1, ["a", "b"], 0.0)
    ledger.teach(bandit, 3.0, CURVE)
    bandit.retire_arms(["a"])
    ledger.teach(bandit, 4.0, CURVE)
    ledger.reward(1, "a", 1.0, 4.0)
    ledger.teach(bandit, 30.0, CURVE)
    ledger.teach(bandit, 31.0, CURVE)
    assert set(ledger.effective(31.0, CURVE)) == {"b"}
    np.testing.assert_array_equal(evidence(bandit), [[0.0], [1.0]])
    ledger.show(2, "nobody", 31.0)
    state = bandit.to_bytes(), ledger.to_bytes()
    with pytest.raises(UnknownArmError, match="nobody"):
        ledger.teach(bandit, 32.0, CURVE)
    assert (bandit.to_bytes(), ledger.to_bytes()) == state
    bandit.add_arms(["nobody"])
    assert ledger.teach(bandit, 32.0, CURVE) == 1


def test_curves_by_arm():
    slow = DelayCurve.fit([9.0], HORIZON)
    curves = DelayCurves(CURVE, {"b": slow})
    ledger, bandit = made(), Bandit(Thompson(), ["a", "b"])
    ledger.show(1, ["a", "b"], 0.0)
    ledger.teach(bandit, 2.0, curves)
    np.testing.assert_allclose(evidence(bandit)[1] > 0.0, [True, False])


def test_a_bandit_that_was_not_taught_is_noticed():
    ledger, bandit = made(), Bandit(Thompson(), ["a"])
    ledger.show([1, 2], ["a", "a"], 0.0)
    ledger.teach(bandit, 5.0, CURVE)
    ledger.reward(1, "a", 1.0, 5.0)
    ledger.reward(2, "a", 1.0, 5.0)
    other = Bandit(Thompson(), ["a"])
    state = other.to_bytes()
    with pytest.raises(ValueError, match="not learnt as much"):
        ledger.teach(other, 6.0, CURVE)
    assert other.to_bytes() == state
    assert ledger.teach(bandit, 6.0, CURVE) == 1


def test_a_durable_bandit_learns_each_event_once(tmp_path):
    """Killed after any event and settled again from the last checkpoint of the ledger: nothing is lost or doubled."""
    ledger = made(late="correct")
    ledger.show([1, 2, 3], ["a", "a", "b"], 0.0)
    ledger.reward(1, "a", 1.0, 1.0)
    saved = ledger.to_bytes()
    store = SQLiteStore(tmp_path / "s.db")
    for lives in range(4):
        ledger = ExposureLedger.from_bytes(saved)
        with Durable.open(store, "k", journal=tmp_path / "j", create=lambda: Bandit(Thompson(), ["a", "b"])) as d:
            done = 0
            for now in (10.0, 12.0):
                settled = ledger.settle(now)
                c = settled.revisions
                rows = zip(settled.arms, settled.rewards, settled.at, settled.event_ids, strict=True)
                for arm, reward, at, id in rows:
                    if done == lives:
                        break
                    d.update(arm, float(reward), at=float(at), event_id=id)
                    done += 1
                for arm, old, new, at, id in zip(c.arms, c.old, c.new, c.at, c.event_ids, strict=True):
                    d.correct(arm, float(old), at=float(at), event_id=id)
                    d.update(arm, float(new), at=float(at), event_id=id)
                if now == 10.0 and lives == 3:
                    ledger.reward(2, "a", 1.0, 5.0)
            bandit = d.bandit
    np.testing.assert_array_equal(evidence(bandit), [[2.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: x.show(("0", 0), "a", 0.0), "decision_id"),
        (lambda x: x.show([1, 2], ["a"], 0.0), "one for each of the 1"),
        (lambda x: x.show(1.5, "a", 0.0), "decisions = 1.5"),
        (lambda x: x.show(-1, "a", 0.0), "not in"),
        (lambda x: x.show([True], ["a"], 0.0), "decision_id"),
        (lambda x: x.show([1, 2], ["a", 0.5], 0.0), "not an arm id"),
        (lambda x: x.show([1, 2], ["a", "\ud800"], 0.0), "Unicode"),
        (lambda x: x.show([1, 2], ["a", "b"], [0.0, np.nan]), "at = nan"),
        (lambda x: x.reward(1, "a", np.inf, 0.0), "is not in"),
        (lambda x: x.reward(1, "a", np.nan, 0.0), "is not in"),
        (lambda x: x.reward(1, "a", "1", 0.0), "not a number"),
        (lambda x: x.reward(1, "a", 1.0, 1e16), "at = "),
        (lambda x: x.reward(1, "a", 1.0, 0.0, event_id=0.5), "event_id"),
        (lambda x: x.reward(1, ["a"], 1.0, 0.0), "not an arm id"),
        (lambda x: x.settle(4.0), "runs backwards"),
        (lambda x: x.settle(np.nan), "now = nan"),
        (lambda x: x.teach(Bandit(Thompson(), ["a"]), 9.0, CURVE), "used by `settle`"),
        (lambda x: x.effective(9.0, DelayCurve.fit([1.0], 5.0)), "horizon is 5.0"),
        (lambda x: x.effective(9.0, lambda age: 1.0), "neither a DelayCurve"),
        (lambda x: ExposureLedger({"horizon": 3.0}), "not a LedgerConfig"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(call, said):
    ledger = made()
    ledger.show(0, "a", 0.0)
    ledger.settle(5.0)
    before = ledger.to_bytes()
    with pytest.raises(ValueError, match=said):
        call(ledger)
    assert ledger.to_bytes() == before


@pytest.mark.parametrize(
    ("bandit", "changes", "said"),
    [
        (Bandit(Thompson(model=Gaussian()), ["a"]), {}, "'beta'"),
        (Bandit(Thompson(model=Beta(half_life=60.0)), ["a"]), {}, "half_life"),
        (Bandit(Thompson(), ["a"], change_detector=ChangeDetector(bucket=60.0)), {}, "change_detector"),
        (Bandit(Thompson(model=Beta(window=10)), ["a"]), {}, "window"),
        (Bandit(EXP3(), ["a"]), {}, "exp3"),
        (Bandit(Thompson(), ["a"]), {"aggregation": "sum"}, "aggregation"),
        (Bandit(Thompson(), ["a"]), {"default_reward": 0.5}, "default_reward"),
    ],
    ids=lambda x: x.policy.kind if isinstance(x, Bandit) else str(x),
)
def test_what_cannot_be_taught_is_refused(bandit, changes, said):
    ledger = made(**changes)
    ledger.show(1, "a", 0.0)
    with pytest.raises(ValueError, match=said):
        ledger.teach(bandit, 1.0, CURVE)
    assert bandit.updates == 0
    ledger.settle(1.0)  # nothing has been decided


def test_rewards_that_are_no_fractions_cannot_be_foreseen():
    ledger = made()
    ledger.show([1, 2], ["a", "a"], 0.0)
    ledger.reward(1, "a", 1.5, 1.0)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        ledger.effective(2.0, CURVE)


def test_batches_of_rewards():
    ledger = made()
    ledger.show(np.array([1, 2, 2**63], np.uint64), ["a", "b", "c"], np.zeros(3))
    taken = ledger.reward_many([1, 2, 2**63, 1], ["a", "b", "c", "a"], np.ones(4), 1.0, event_ids=["x", "y", "z", "x"])
    assert (taken, ledger.counts["duplicate"]) == (3, 1)


class Overtaken:
    """A lock that another thread gets first."""

    def __init__(self, ledger, first):
        self.ledger, self.first, self.lock = ledger, first, ledger._lock

    def __enter__(self):
        self.ledger._lock = self.lock
        self.first()
        self.lock.acquire()

    def __exit__(self, *failed):
        self.lock.release()


def test_a_present_that_another_thread_has_passed_runs_backwards():
    curve = DelayCurve.fit([1.0], horizon=10.0)
    for how in (
        lambda ledger, now: ledger.settle(now),
        lambda ledger, now: ledger.teach(Bandit(Thompson()), now, curve),
    ):
        ledger = ExposureLedger(LedgerConfig(horizon=10.0))
        ledger._lock = Overtaken(ledger, lambda ledger=ledger, how=how: how(ledger, 9.0))
        with pytest.raises(ValueError, match="runs backwards"):
            how(ledger, 5.0)
        assert ledger._now == 9.0


def test_threads_settle_each_exposure_once():
    ledger, results = made(), []

    def work(k):
        for i in range(300):
            ledger.show(1_000 * k + i, "a", 0.0)
            ledger.reward(1_000 * k + i, "a", 1.0, 1.0, event_id=i)
            ledger.reward(1_000 * (k ^ 1) + i, "a", 1.0, 1.0, event_id=i)
            if i % 50 == 0:
                results.append(ledger.settle(2.0).arms)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.append(ledger.settle(20.0).arms)
    assert sum(map(len, results)) == 1_200 == ledger.counts["rewards"]
    assert ledger.counts["duplicate"] == 1_200


# checkpoints


def busy():
    """A ledger that has one of everything."""
    ledger = made(late="correct", capacity=4, remember=6)
    ledger.show(range(6), ["a", "b", "ä", 1, "a", "b"], [0.0, 1.0, 2.0, 3.0, 20.0, 21.0])
    ledger.settle(12.0)
    ledger.reward(4, "a", 1.0, 22.0, event_id=7)
    ledger.reward(9, "b", 1.0, 22.0)
    ledger.censor(3, 1, 9.0)
    ledger.settle(14.0)
    ledger.reward(2, "ä", 1.0, 4.0, event_id="x")
    ledger.reward(5, "b", 0.5, 22.0)
    ledger.show([6, 7, 8, 10], ["a"] * 4, 30.0)  # 4 and 5 go before they are told
    for i in range(9):
        ledger.reward(6, "a", 0.0, 31.0, event_id=f"e{i}")
    ledger.show(range(11, 16), ["c"] * 5, 31.0)  # and are forgotten
    return ledger


def test_a_resumed_twin_goes_on_the_same():
    ledger = busy()
    blob = ledger.to_bytes()
    twin = ExposureLedger.from_bytes(blob)
    assert twin.to_bytes() == blob
    assert (twin.config, twin.counts, twin.pending) == (ledger.config, ledger.counts, ledger.pending)
    for one in (ledger, twin):
        one.show(9, "b", 21.5)
        one.reward(9, "b", 0.25, 22.5)
    for now in (32.0, 60.0):
        one, other = ledger.settle(now), twin.settle(now)
        assert told(one) == told(other)
        assert (one.event_ids, one.revisions.event_ids) == (other.event_ids, other.revisions.event_ids)
    assert twin.to_bytes() == ledger.to_bytes() != blob


def changes_of(checkpoint):
    """Checkpoints that contradict themselves, each by one change; what is said."""

    def with_(kind, name, value):
        part = {**getattr(checkpoint, kind), name: value}
        return checkpoint._replace(**{kind: part})

    def cell(name, index, value):
        array = checkpoint.arrays[name].copy()
        array[index] = value
        return with_("arrays", name, array)

    for name, array in checkpoint.arrays.items():
        lacking = {other: kept for other, kept in checkpoint.arrays.items() if other != name}
        yield checkpoint._replace(arrays=lacking)
        yield with_("arrays", name, array.reshape(1, *array.shape)[..., :0] if array.ndim == 1 else array[:, :1])
        yield with_("arrays", name, array.view(np.int64 if array.dtype.kind != "i" else np.uint64))
        if array.size and name.split("_")[-1] in ("arm", "fresh", "corrected"):
            yield cell(name, 0, -1)
            yield cell(name, 0, 99)
        if array.size and array.dtype.kind == "f":
            yield cell(name, (0, 1), np.inf)
            yield cell(name, (0, 0), np.nan)
    for name in checkpoint.values:
        yield checkpoint._replace(values={k: v for k, v in checkpoint.values.items() if k != name})
        yield with_("values", name, [1.5])
        yield with_("values", name, None if name != "now" else "soon")
    for name, value in (("arms", ["a", "a"]), ("arms", ["\ud800"]), ("pending", 5), ("remembered", 3), ("mode", "both"),
                        ("counts", {}), ("counts", {**checkpoint.values["counts"], "shown": -1})):  # fmt: skip
        yield with_("values", name, value)
    for row, column, value in ((0, 1, 1.0), (0, 2, -1.0), (0, 2, 99.0), (0, 3, -1.0), (0, 3, np.nan), (0, 4, np.inf)):
        yield cell("floats", (row, column), value)
    for column, value in ((0, -1), (1, 2**60), (2, 1), (2, 7)):
        yield cell("counts", (0, column), value)
    yield cell("counts", (-1, 2), 0)
    yield cell("names", slice(None), 3)
    yield cell("seen_newer", slice(None), 3)
    yield with_("arrays", "fresh", np.zeros(1, np.int64))
    yield with_("arrays", "corrected", np.zeros(1, np.int64))
    yield with_("arrays", "corrected", np.zeros(0, np.int64))
    for name, value in (
        ("horizon", -1.0),
        ("horizon", "10"),
        ("capacity", 1),
        ("remember", 1),
        ("late", "x"),
        ("y", 1),
    ):
        yield with_("config", name, value)


def test_checkpoints_that_contradict_themselves_are_refused():
    ledger = busy()
    blob = ledger.to_bytes()
    checkpoint = unpack(blob, "exposure_ledger")
    assert checkpoint.values["remembered"] == len(checkpoint.arrays["names"]) - 1  # corrected and forgotten
    assert len(checkpoint.arrays["held"]) == 1
    assert len(checkpoint.arrays["seen_older"]) == 6
    accepted = []
    for i, changed in enumerate(changes_of(checkpoint)):
        try:
            bad = pack(changed)
        except UnicodeEncodeError:  # cannot be written at all
            continue
        try:
            ExposureLedger.from_bytes(bad)
            accepted.append((i, changed))
        except CheckpointError as error:
            assert "nothing was loaded" in str(error)
    assert [i for i, _ in accepted] == []
    for broken in (blob[:-1], blob[:40] + b"x" + blob[41:], b"", Bandit(Thompson()).to_bytes(), None):
        with pytest.raises(CheckpointError):
            ExposureLedger.from_bytes(broken)


def test_decisions_themselves_will_do():
    """Beside their ids and names."""
    bandit, ledger = Bandit(Thompson(), ["a", "b"]), ExposureLedger(LedgerConfig(horizon=10.0))
    one, other = bandit.select(), bandit.select()
    assert ledger.show(one, one.arms, at=0.0) == 1
    assert ledger.show([other, one.decision_id], [other.arms[0], one.arms[0]], at=0.0) == 1
    assert ledger.reward(other, other.arms[0], 1.0, at=1.0) == "taken"


def test_what_cannot_be_taught_says_so():
    ledger = ExposureLedger(LedgerConfig(horizon=10.0))
    curve = DelayCurve.fit([1.0, 2.0], 10.0)
    with pytest.raises(ValueError, match=r"is not a Bandit; of a bandit under constraints pass its `bandit`"):
        ledger.teach("bandit", 0.0, curve)

"""Replicas that learn apart and merge: laws over random histories, forks, corrections, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import EventLogs

from seedbed.bandits import EXP3, UCB1, Bandit, Beta, ChangeDetector, EpsilonGreedy, LinThompson, LinUCB, Thompson
from seedbed.bandits.errors import CheckpointError, MergeError, UnknownArmError
from seedbed.bandits.models import GammaPoisson, Gaussian, HybridLinear, SharedLinear

IDS = ["a", "b", 3]
COUNTS = [Thompson(), UCB1(), Thompson(model=Gaussian()), Thompson(model=GammaPoisson()), EpsilonGreedy()]
DECAYED = [Thompson(model=Beta(half_life=60.0)), Thompson(model=Gaussian(half_life=60.0))]
LINEAR = [LinUCB(n_features=3), LinThompson(n_features=3), LinUCB(model=SharedLinear(n_features=3))]
DECAYED_LINEAR = [LinUCB(model=SharedLinear(n_features=3, half_life=60.0))]
named = {"ids": lambda p: f"{p.kind}-{p.model.kind}-{p.model.half_life}"}


def replicas(policy, count=3, ids=IDS, **keywords):
    return [Bandit(policy, ids, seed=5, replica=f"eu-{i}", **keywords) for i in range(count)]


def trained(policy, events=300):
    """Three replicas, and one bandit that has seen all their events."""
    rng = np.random.Generator(np.random.PCG64(4))
    apart, one = replicas(policy), Bandit(policy, IDS, seed=5)
    for _ in range(events):
        keywords = {"context": rng.normal(size=3)} if policy.model.is_contextual else {}
        if policy.model.half_life is not None:
            keywords["at"] = float(rng.uniform(0.0, 1e5))
        arm, reward = IDS[rng.integers(3)], float(rng.integers(2))
        for bandit in (apart[rng.integers(3)], one):
            bandit.update(arm, reward, weight=2.0, **keywords)
    return apart, one


def summary(bandit):
    """All that decisions read."""
    model = bandit.policy.model
    if model.is_contextual:
        contexts = np.eye(3)[:, None, :].repeat(len(bandit), axis=1)
        return np.array([bandit.mean(context=context) for context in contexts])
    return np.concatenate([bandit.evidence(bandit.arms), bandit.mean(bandit.arms)[None]])


@pytest.mark.parametrize("policy", COUNTS, **named)
def test_a_merge_is_the_single_process_exactly(policy):
    apart, one = trained(policy)
    fleet = Bandit.merge(apart)
    np.testing.assert_array_equal(summary(fleet), summary(one))
    assert (fleet.updates, fleet.learnt, fleet.arms) == (one.updates, 0, one.arms)
    np.testing.assert_array_equal(summary(apart[0]), summary(Bandit.from_bytes(apart[0].to_bytes())))


@pytest.mark.parametrize("policy", DECAYED + LINEAR + DECAYED_LINEAR, **named)
def test_a_merge_is_the_single_process_up_to_rounding(policy):
    """Under forward decay, and where an inverse is made anew."""
    apart, one = trained(policy)
    np.testing.assert_allclose(summary(Bandit.merge(apart)), summary(Bandit.merge([one])), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("policy", COUNTS + DECAYED + LINEAR + DECAYED_LINEAR, **named)
def test_order_repetition_and_grouping_do_not_matter(policy):
    """Bit for bit: slots are added in the order of their names."""
    a, b, c = trained(policy)[0]
    wanted = summary(Bandit.merge([a, b, c]))
    for group in (
        [c, b, a],
        [a, a, b.to_bytes(), c, b],
        [Bandit.merge([a, b]), c],
        [a, Bandit.merge([c, b]).to_bytes()],
    ):
        merged = Bandit.merge(group)
        np.testing.assert_array_equal(summary(merged)[:, [merged.arms.index(id) for id in IDS]], wanted)
    again = Bandit.merge([Bandit.merge([a, b, c])])
    assert again.heard == Bandit.merge([a, b, c]).heard


@pytest.mark.parametrize("policy", COUNTS + DECAYED + LINEAR + DECAYED_LINEAR, **named)
def test_a_bandit_that_has_merged_resumes_exactly(policy):
    a, b, c = trained(policy)[0]
    a.absorb(b.contribution())
    a.absorb(c)
    event = {"context": np.ones(3)} if policy.model.is_contextual else {}
    for _ in range(150):  # beyond the next refresh of an inverse
        a.update("a", 1.0, **event)
    twin = Bandit.from_bytes(a.to_bytes())
    assert twin.to_bytes() == a.to_bytes()
    for _ in range(3):
        for bandit in (a, twin):
            bandit.update("b", 0.0, **event)
        assert twin.select(**event).scores == a.select(**event).scores
    np.testing.assert_array_equal(summary(twin), summary(a))


@pytest.mark.parametrize("policy", COUNTS + DECAYED + LINEAR + DECAYED_LINEAR, **named)
def test_a_delta_says_what_has_changed(policy):
    a, b, c = trained(policy)[0]
    b.absorb(a.contribution())
    seen, event = a.learnt, {"context": np.ones(3)} if policy.model.is_contextual else {}
    a.update(3, 1.0, **event)
    delta = a.contribution(since=seen)
    if policy.model.kind != "shared_linear":
        assert len(delta) < len(a.contribution())
        with pytest.raises(MergeError, match="only 0 are known here"):
            c.absorb(delta)
    b.absorb(delta)
    b.absorb(delta)
    merged, wanted = Bandit.merge([b]), Bandit.merge([a, b])
    np.testing.assert_array_equal(summary(merged), summary(wanted))
    assert b.heard["eu-0", 0] == seen + 1


@pytest.mark.parametrize("policy", COUNTS + DECAYED + LINEAR + DECAYED_LINEAR, **named)
def test_what_is_taken_back_was_never_learnt(policy):
    (a, b, c), one = trained(policy)
    event = {"context": [1.0, 2.0, -1.0]} if policy.model.is_contextual else {}
    if policy.model.half_life is not None:
        event["at"] = 5e4
    a.update("a", 1.0, weight=3.0, **event)
    b.absorb(a)
    b.correct("a", 1.0, weight=3.0, **event)  # what another has learnt
    a.absorb(b)
    a.absorb(c)
    for bandit in (a, Bandit.merge([a, b, c]), Bandit.merge([c, b, a.contribution()])):
        tolerance = {"rtol": 1e-9, "atol": 1e-12} if event else {"rtol": 0.0}
        np.testing.assert_allclose(summary(bandit), summary(Bandit.merge([one])), **tolerance)
    before = b.to_bytes()
    event.pop("at", None)
    with pytest.raises(ValueError, match="not learnt as much"):
        b.correct("a", 1.0, weight=1e9, **event)
    with pytest.raises(UnknownArmError):
        b.correct("zz", 1.0, **event)
    assert b.to_bytes() == before


def test_bounds_of_inverses_do_not_outlive_what_was_taken_back():
    """The quick choice refuses arms by a bound of their inverse, which grows where evidence goes."""
    rng = np.random.Generator(np.random.PCG64(2))
    ids = [f"arm-{i}" for i in range(40)]
    bandit, other = (Bandit(LinUCB(n_features=4, alpha=3.0), ids, replica=name) for name in ("eu-1", "eu-2"))
    other.update(ids, rng.random(len(ids)), context=rng.normal(size=(len(ids), 4)))
    bandit.absorb(other.contribution())
    many, rewards = ids * 100, rng.random(100 * len(ids))  # an inverse is made anew after 100 events
    contexts = rng.normal(size=(len(many), 4))
    bandit.update(many, rewards, context=contexts)
    bandit.select(context=contexts[0])
    bandit.correct(many, rewards, context=contexts)
    for context in contexts[:20]:
        decision = bandit.select(k=5, context=context)
        assert decision.scores == np.sort(bandit.scores(context=context))[::-1][:5].tolist()


def test_a_batch_of_corrections_is_all_or_nothing():
    bandit = Bandit(Thompson(), IDS)
    bandit.update(["a", "b"], [1.0, 0.0])
    with pytest.raises(ValueError, match="arm 'b' has not learnt as much"):
        bandit.correct(["a", "b"], [1.0, 1.0])
    bandit.correct(["a", "b"], [1.0, 0.0])
    assert bandit.evidence()[1].tolist() == [0.0, 0.0, 0.0]
    assert bandit.updates == bandit.learnt == 4


OPERATIONS = ["learn"] * 6 + ["tell", "tell", "tell_since", "hear", "hear", "hear", "save", "crash", "correct"]
OPERATIONS += ["add", "retire", "pause", "warm"]


@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 4), st.integers(0, 10**6)), max_size=80))
def test_every_replica_knows_what_it_has_heard_of(history):
    """Five replicas; messages are duplicated, reordered, delayed and dropped; processes crash."""
    logs, sent = EventLogs(), []
    fleet = replicas(Thompson(), 5)
    saved = {i: bandit.to_bytes() for i, bandit in enumerate(fleet)}
    for turn, (operation, i, x) in enumerate(history):
        bandit, name = fleet[i], (fleet[i].replica, fleet[i].epoch)
        live = bandit.arms
        arm = live[x % len(live)] if live else None
        if operation == "learn" and live:
            reward, weight = float(x % 2), float(1 + x % 3)
            bandit.update(arm, reward, weight=weight)
            logs.append(name, arm, reward, weight)
        elif operation == "correct" and logs.own(name, live):
            arm, reward, weight = logs.own(name, live)[-1]
            bandit.correct(arm, reward, weight=weight)
            logs.append(name, arm, reward, -weight)
        elif operation == "tell":
            sent.append(bandit.contribution() if x % 3 else bandit.to_bytes())
        elif operation == "tell_since":
            sent.append(bandit.contribution(since=x % (bandit.learnt + 1)))
        elif operation == "hear" and sent:
            message = sent[x % len(sent)]
            try:
                bandit.absorb(message)
            except MergeError as error:  # a delta, of which the part before was dropped
                assert "adds to its event" in str(error)
        elif operation == "save":
            saved[i] = bandit.to_bytes()
        elif operation == "crash":
            fleet[i] = Bandit.from_bytes(saved[i], replica=bandit.replica, epoch=1 + logs.last_epoch(bandit.replica))
            logs.start((fleet[i].replica, fleet[i].epoch))
        elif operation == "add":
            bandit.add_arms([f"new-{turn}"])
        elif operation == "retire" and len(live) > 1:
            bandit.retire_arms([arm])
        elif operation == "pause" and live:
            (bandit.pause_arms if x % 2 else bandit.resume_arms)([arm])
        elif operation == "warm" and bandit.evidence(live)[1].sum() > 0.0:
            bandit.warm_start([arm], strength=float(1 + x % 5), source=live)
        logs.check(fleet[i])
    for group in (fleet, fleet[::-1], [Bandit.merge(fleet[:2]).to_bytes(), *fleet[1:], Bandit.merge(fleet[3:])]):
        merged = Bandit.merge(group)
        logs.check(merged)
        known = set.union(*(set(bandit.arms) for bandit in fleet))
        assert set(merged.arms) == {id for id in known if not any(bandit.was_retired(id) for bandit in fleet)}
        by_id = np.argsort([str(id) for id in merged.arms])
        state = [summary(merged)[:, by_id].tolist(), sorted(map(str, merged.paused)), merged.heard]
        assert state == logs.remembered(state)


def test_forks_do_not_explore_in_lock_step():
    (a, b, c), _ = trained(Thompson())
    fleet = Bandit.merge([a, b, c])
    blob = fleet.to_bytes()
    twins = [Bandit.from_bytes(blob), Bandit.from_bytes(blob)]
    assert [t.select().key for t in twins] == [fleet.select().key] * 2
    forks = [Bandit.from_bytes(blob, replica="us-1"), Bandit.from_bytes(blob, replica="us-2")]
    again = Bandit.from_bytes(forks[0].to_bytes(), replica="us-1")
    keys = {bandit.select().key for bandit in [fleet, *forks, again]}
    assert len(keys) == 4
    assert (again.replica, again.epoch) == ("us-1", 1)
    assert [fork.learnt for fork in forks] == [0, 0]
    forks[0].update("a", 1.0)
    forks[1].update("a", 1.0)
    assert Bandit.merge([fleet, *forks]).updates == fleet.updates + 2


@pytest.mark.parametrize("policy", [EXP3(), UCB1(model=Beta(window=10))], **named)
def test_what_does_not_add_up_goes_on_under_another_name(policy):
    bandit = Bandit(policy, IDS, seed=5)
    bandit.update("a", 1.0)
    fork = Bandit.from_bytes(bandit.to_bytes(), replica="us-1")
    assert fork.select().key != bandit.select().key
    np.testing.assert_array_equal(fork.evidence(), bandit.evidence())
    assert Bandit.from_bytes(fork.to_bytes()).to_bytes() == fork.to_bytes()


def test_a_fork_awaits_nothing_and_a_recovered_bandit_does():
    bandit = Bandit(Thompson(), IDS, replica="x")
    bandit.select(pending=True)
    assert Bandit.from_bytes(bandit.to_bytes(), replica="x").pending == 1
    assert Bandit.from_bytes(bandit.to_bytes(), replica="y").pending == 0


def test_a_result_of_a_merge_can_learn_and_merge_on():
    a, b = replicas(Thompson(), 2)
    a.update("a", 1.0)
    fleet = Bandit.merge([a, b])
    fleet.update("a", 0.0)
    second = Bandit.merge([fleet, a])
    assert (second.replica, second.epoch) == ("merged", 1)
    assert second.evidence(["a"])[:2].tolist() == [[0.5], [2.0]]


def test_two_of_one_name_are_told_apart():
    one, two = Bandit(Thompson(), IDS), Bandit(Thompson(), IDS)
    one.update("a", 1.0)
    two.update("b", 1.0)
    with pytest.raises(MergeError, match="two bandits both call themselves replica '0', epoch 0"):
        Bandit.merge([one, two])
    two.update("b", 1.0)
    with pytest.raises(MergeError, match="neither continues the other"):
        Bandit.merge([one, two])
    with pytest.raises(MergeError, match="two go by one name"):
        one.absorb(two)
    before = one.to_bytes()
    with pytest.raises(MergeError):
        one.absorb(two)
    assert one.to_bytes() == before


def test_what_does_not_add_up_is_refused():
    for policy, reason in (
        (EXP3(), "propensities"),
        (UCB1(model=Beta(window=10)), "sliding window"),
        (LinUCB(model=HybridLinear(n_features=2, n_shared=1)), "hybrid_linear"),
    ):
        bandit = Bandit(policy, IDS)
        for act in (lambda b: Bandit.merge([b]), Bandit.contribution, lambda b: b.correct("a", 1.0)):
            with pytest.raises(MergeError, match=reason):
                act(bandit)
    with pytest.raises(MergeError, match="one configuration"):
        Bandit.merge([Bandit(Thompson(), IDS), Bandit(UCB1(), IDS)])
    with pytest.raises(MergeError, match="no bandit to merge"):
        Bandit.merge([])
    with pytest.raises(MergeError, match="one at least"):
        Bandit.merge([Bandit(Thompson(), IDS).contribution()])
    with pytest.raises(CheckpointError, match="bytes are needed"):
        Bandit.merge([7])
    with pytest.raises(ValueError, match="pass `replica` too"):
        Bandit.from_bytes(Bandit(Thompson()).to_bytes(), epoch=3)
    with pytest.raises(ValueError, match="epoch must be in"):
        Bandit(Thompson()).reopen(epoch=0)


def test_an_arm_retired_anywhere_stays_retired():
    a, b = replicas(Thompson(), 2)
    a.retire_arms(["b"])
    b.update("b", 1.0)
    b.add_arms(["new"])
    for merged in (Bandit.merge([a, b]), Bandit.merge([b, a])):
        assert set(merged.arms) == {"a", 3, "new"}
        assert merged.was_retired("b")
    b.absorb(a)
    assert b.arms == ["a", 3, "new"]
    b.add_arms(["newer"])  # in the column that 'b' has left
    assert b.evidence(["newer"])[1].tolist() == [0.0]
    a.absorb(b)
    a.update("newer", 1.0)
    b.absorb(a.contribution())
    assert b.evidence(["newer"])[1].tolist() == [1.0]


def test_settings_are_the_last_writers():
    a, b = replicas(Thompson(), 2)
    a.update("a", 1.0)
    a.warm_start(["b"], strength=10.0, source=["a"])
    b.absorb(a)
    assert b.mean(["b"]) == a.mean(["b"])
    b.update("a", 0.0)
    b.warm_start(["b"], strength=4.0, source=["a"])
    b.pause_arms(["a"])
    for merged in (Bandit.merge([a, b]), Bandit.merge([b, a])):
        assert merged.mean(["b"]) == b.mean(["b"])  # never the sum
        assert merged.paused == ["a"]
    a.absorb(b)
    a.resume_arms(["a"])
    b.absorb(a.contribution())
    assert (a.paused, b.paused) == ([], [])


def test_of_settings_written_at_once_the_same_holds_everywhere():
    a, b = replicas(Thompson(), 2)
    for bandit, reward in ((a, 1.0), (b, 0.0)):
        bandit.update("a", reward)
        bandit.warm_start(["b"], strength=10.0, source=["a"])
        bandit.pause_arms(["a"])
    b.resume_arms(["a"])
    one, two = Bandit.merge([a, b]), Bandit.merge([b, a])
    assert one.mean(["b"]) == two.mean(["b"]) == b.mean(["b"])  # of equal versions that of the later name
    a.absorb(b)
    b.absorb(a)
    assert a.mean(["b"]) == b.mean(["b"])
    assert one.paused == two.paused == a.paused == b.paused == []


def change(bandit, start):
    """Rewards that change from 1 to 0, so that the detector restarts arm 'a'."""
    for minute in range(12):
        bandit.update(["a"] * 20, [float(minute < 6)] * 20, at=start + 60.0 * minute)
    bandit.update("a", 0.0, at=start + 60.0 * 13)


def test_the_replica_that_saw_a_change_is_believed():
    a, b = replicas(Thompson(), 2, change_detector=ChangeDetector())
    b.update(["a", "b"], [1.0, 1.0], at=30.0)
    change(a, 0.0)
    assert [c.arm for c in a.changes] == ["a"]
    after = a.evidence(["a"])
    fleet = Bandit.merge([b, a])
    np.testing.assert_array_equal(fleet.evidence(["a"]), after)  # nothing of what b knows from before
    assert fleet.evidence(["b"])[1].tolist() == [1.0]
    b.absorb(a.contribution())
    b.update("a", 1.0, at=900.0)  # what it learns from then on counts
    a.absorb(b)
    np.testing.assert_array_equal(a.evidence(["a"]), b.evidence(["a"]))
    assert a.evidence(["a"])[1] == after[1] + 1.0
    change(a, 3000.0)
    assert len(a.changes) == 3
    b.absorb(a)
    np.testing.assert_array_equal(a.evidence(["a"]), b.evidence(["a"]))


def test_decay_is_read_at_the_latest_time_that_any_knows():
    a, b = replicas(Thompson(model=Beta(half_life=10.0)), 2)
    a.update("a", 1.0, at=0.0)
    b.update("b", 1.0, at=1e6)  # 100,000 half-lives later
    fleet = Bandit.merge([a, b])
    assert fleet.evidence()[1].tolist() == [0.0, 1.0, 0.0]
    c, d = replicas(Thompson(model=Beta(half_life=10.0)), 2)
    c.update("a", 1.0, at=0.0)
    d.update("b", 1.0, at=10.0)
    assert Bandit.merge([c, d]).evidence()[1].tolist() == [0.5, 1.0, 0.0]


def test_merging_goes_on_while_others_decide_and_learn():
    """Single updates take no lock: none is lost between what is handed over and what is added up."""
    import threading

    policy = Thompson()
    bandit, other = replicas(policy, 2)
    done, errors = threading.Event(), []

    def learn():
        try:
            for _ in range(20_000):
                bandit.update("a", 1.0)
                other.update("a", 1.0)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=learn) for _ in range(4)]
    for thread in threads:
        thread.start()
    heard = 0
    while any(thread.is_alive() for thread in threads):
        bandit.absorb(other.contribution(since=heard))
        heard = bandit.heard.get(("eu-1", 0), 0)
        bandit.select()
    done.set()
    for thread in threads:
        thread.join()
    bandit.absorb(other.contribution())
    assert not errors
    assert bandit.evidence(["a"])[1] == 160_000.0
    assert (bandit.learnt, bandit.updates) == (80_000, 160_000)


@pytest.mark.parametrize("policy", COUNTS + DECAYED + LINEAR + DECAYED_LINEAR, **named)
def test_a_later_life_takes_over_what_the_earlier_ones_learnt(policy):
    """Restarts do not add up, and whoever hears of both counts each event once."""
    (a, b, c), one = trained(policy)
    event = {"context": [1.0, 2.0, -1.0]} if policy.model.is_contextual else {}
    if policy.model.half_life is not None:
        event["at"] = 5e4
    a.update("b", 1.0, weight=2.0, **event)
    a.correct("b", 1.0, weight=2.0, **event)
    first, wanted = a.to_bytes(), summary(Bandit.merge([one]))
    second = Bandit.from_bytes(first, replica="eu-0")
    middle = second.contribution()
    third = Bandit.from_bytes(second.to_bytes(), replica="eu-0")
    assert (third.epoch, third.learnt) == (2, 0)
    third.take_over()
    third.take_over()
    assert third.heard == {}
    assert third.learnt == a.learnt
    tolerance = {"rtol": 1e-9, "atol": 1e-12} if event else {"rtol": 0.0}
    np.testing.assert_allclose(summary(third), summary(Bandit.merge([a])), **tolerance)
    told = third.contribution()
    for group in ([b, c, told], [a, b, c, told, middle], [c, told, first, b], [b, c, third.to_bytes(), first, middle]):
        merged = Bandit.merge(group)
        np.testing.assert_allclose(summary(merged)[:, [merged.arms.index(id) for id in IDS]], wanted, **tolerance)
        assert set(merged.heard) == {("eu-0", 2), ("eu-1", 0), ("eu-2", 0)}
    twin = Bandit.from_bytes(third.to_bytes())
    assert twin.to_bytes() == third.to_bytes()
    assert Bandit.merge([twin, first, b, c]).heard == merged.heard
    before = third.to_bytes()
    third.absorb(first)  # what it has taken over already
    assert third.to_bytes() == before
    with pytest.raises(MergeError, match="a later life of it has taken over"):
        a.absorb(told)

"""The contract that every policy keeps with every model, as functions of a policy."""

import tempfile
import threading

import naive
import numpy as np

from seedbed.bandits import Bandit
from seedbed.storage import DecisionLog, Logged, verify

IDS = tuple("abcdefgh")


def run_together(*jobs):
    """Run jobs, a thread each, and fail where one of them does."""
    failures = []

    def guarded(job):
        try:
            job()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def context_of(policy, count, seed=11):
    """A context for each of `count` candidates or events, as keywords of `select`; none where none is read."""
    if not policy.model.is_contextual:
        return {}
    rng = np.random.Generator(np.random.PCG64(seed))
    return {"context": rng.normal(size=(count, policy.model.width))}


def one_context(policy, seed=11):
    """The same, for one event, or one for all candidates."""
    return {name: rows[0] for name, rows in context_of(policy, 1, seed).items()}


def learning(policy, count, seed=11):
    """What `update` needs beside arms and rewards, for a batch."""
    keywords = context_of(policy, count, seed)
    if policy.needs_propensity:
        keywords["propensity"] = 0.25
    return keywords


def trained(policy, ids=IDS, seed=3, events=200):
    """A bandit that has learnt something of all arms but the last."""
    bandit = Bandit(policy, ids, seed=seed)
    rng = np.random.Generator(np.random.PCG64(5))
    chosen = [ids[i] for i in rng.integers(0, len(ids) - 1, events)]
    bandit.update(chosen, rng.random(events).round(2), **learning(policy, events))
    return bandit


def state(bandit):
    """All of a bandit, comparable."""
    return bandit.to_bytes()


def inputs_are_untouched(policy):
    bandit = trained(policy)
    arms, rewards, weights = ["a", "b"], np.array([1.0, 0.0]), np.array([1.0, 2.0])
    candidates, rows = ["c", "a"], bandit.rows(["c", "a"])
    contexts, events = context_of(policy, 2), learning(policy, 2)
    kept = list(arms), rewards.copy(), weights.copy(), list(candidates), rows.copy()
    kept_contexts = {name: rows.copy() for name, rows in contexts.items()}
    bandit.update(arms, rewards, weight=weights, **events)
    bandit.select(candidates, **contexts)
    bandit.select_rows(rows, **contexts)
    bandit.update_rows(rows, rewards, **events)
    for before, after in zip(kept, (arms, rewards, weights, candidates, rows), strict=True):
        np.testing.assert_array_equal(before, after)
    for name, before in kept_contexts.items():
        np.testing.assert_array_equal(before, contexts[name])


def results_are_not_aliases(policy):
    bandit = trained(policy)
    every = context_of(policy, len(IDS))
    decision, before = bandit.select(k=2, **every), state(bandit)
    decision.arms.clear()
    decision.rows[:] = -1
    bandit.arms.clear()
    bandit.scores(**every)[:] = 0.0
    bandit.mean(**every)[:] = 0.0
    assert state(bandit) == before


def batch_equals_single_events(policy):
    one, many = trained(policy), trained(policy)
    arms, rewards, contexts = ["a", "b", "a", "c"], [1.0, 0.0, 0.25, 0.5], learning(policy, 4)
    for i, (arm, reward) in enumerate(zip(arms, rewards, strict=True)):
        event = {name: rows[i] if name == "context" else rows for name, rows in contexts.items()}
        one.update(arm, reward, weight=2.0, **event)
    many.update(arms, rewards, weight=2.0, **contexts)
    assert state(one) == state(many)


def order_of_events_is_irrelevant(policy):
    """Exactly for counts; to rounding where an inverse follows the events."""
    if policy.model.window is not None:
        return  # which forgets the oldest
    one, other = Bandit(policy, ["a", "b"]), Bandit(policy, ["a", "b"])
    arms, rewards, contexts = ["a", "b", "a", "b"], [1.0, 0.0, 0.25, 0.5], learning(policy, 4)
    backwards = {name: rows[::-1] if name == "context" else rows for name, rows in contexts.items()}
    one.update(arms, rewards, **contexts)
    other.update(arms[::-1], rewards[::-1], **backwards)
    point = context_of(policy, 2, seed=7)
    np.testing.assert_allclose(one.scores(**point), other.scores(**point), rtol=1e-10)
    if not policy.model.is_contextual:
        assert state(one) == state(other)


def same_key_same_decision(policy):
    one, other = trained(policy), trained(policy)
    every = context_of(policy, len(IDS))
    for _ in range(20):
        assert one.select(k=3, **every).arms == other.select(k=3, **every).arms


def order_of_candidates_is_irrelevant(policy):
    one, other = trained(policy), trained(policy)
    ids, every = one.arms, context_of(policy, len(IDS))
    for turn in range(len(ids)):
        turned = {name: np.roll(rows, -turn, axis=0) for name, rows in every.items()}
        a, b = one.select(ids, k=4, **every), other.select(ids[turn:] + ids[:turn], k=4, **turned)
        assert (a.arms, a.scores) == (b.arms, b.scores)


def adding_candidates_moves_no_draw(policy):
    bandit = trained(policy)
    common = one_context(policy)
    few = dict(zip(["a", "b"], bandit.scores(["a", "b"], **common), strict=True))
    bandit.add_arms(["new"])
    if policy.draws:  # the bounds of UCB depend on the total of the candidates
        more = dict(zip(["new", "b", "a"], bandit.scores(["new", "b", "a"], **common), strict=True))
        assert {id: more[id] for id in few} == few


def selection_is_the_best_of_all_scores(policy):
    if policy.kind in ("epsilon_greedy", "top_two"):
        return  # choose arms that do not score highest, on purpose
    bandit = trained(policy)
    for i in range(50):
        every = context_of(policy, len(IDS), seed=i)
        scores = bandit.scores(**every)
        decision = bandit.select(k=5, **every)
        assert decision.arms == naive.best(bandit.arms, scores.tolist(), 5)
        assert decision.scores == sorted(scores.tolist(), reverse=True)[:5]


def a_slate_is_distinct_and_in_range(policy):
    bandit = trained(policy)
    every = context_of(policy, len(IDS))
    for k in range(1, len(IDS) + 1):
        assert len(set(bandit.select(k=k, **every).arms)) == k
    assert sorted(bandit.select(k=len(IDS), **every).arms) == sorted(IDS)


def rows_and_ids_agree(policy):
    by_id, by_row = trained(policy), trained(policy)
    ids, contexts, events = ["d", "b", "a"], context_of(policy, 3), learning(policy, 3)
    a, b = by_id.select(ids, k=2, **contexts), by_row.select_rows(by_row.rows(ids), k=2, **contexts)
    assert (a.arms, a.scores, a.rows.tolist()) == (b.arms, b.scores, b.rows.tolist())
    by_id.update(ids, [1.0, 0.5, 0.0], **events)
    by_row.update_rows(by_row.rows(ids), [1.0, 0.5, 0.0], **events)
    assert state(by_id) == state(by_row)


def many_requests_equal_single_ones(policy):
    one, many = trained(policy), trained(policy)
    lists = [["a", "b", "h"], ["c", "d"], list(IDS)]
    contexts = [context_of(policy, len(ids), seed=i) for i, ids in enumerate(lists)]
    rows = {"contexts": [c["context"] for c in contexts]} if contexts[0] else {}
    singles = [one.select(ids, k=2, **c) for ids, c in zip(lists, contexts, strict=True)]
    assert [vars_of(d) for d in many.select_many(lists, 2, **rows)] == [vars_of(d) for d in singles]
    common = [one_context(policy, seed=i) for i in range(5)]
    rows = {"contexts": np.array([c["context"] for c in common])} if common[0] else {"n": 5}
    singles = [one.select(k=3, **c) for c in common]
    assert [vars_of(d) for d in many.select_many(None, 3, **rows)] == [vars_of(d) for d in singles]
    assert state(one) == state(many)


def vars_of(decision):
    """A decision, comparable."""
    chosen = decision.rows.tolist(), decision.state_version, decision.deterministic
    return decision.decision_id, decision.key, decision.arms, decision.scores, *chosen


def a_resumed_twin_decides_the_same(policy):
    bandit = trained(policy)
    bandit.select(**one_context(policy), pending=True)
    bandit.retire_arms(["c"])
    bandit.add_arms(["z", 5])
    bandit.pause_arms(["d"])
    twin = Bandit.from_bytes(state(bandit))
    assert twin.pending == bandit.pending
    assert twin.paused == bandit.paused == ["d"]
    for reward in (1.0, 0.0, 1.0):
        a, b = (x.select(k=3, **one_context(policy)) for x in (bandit, twin))
        assert vars_of(a) == vars_of(b)
        bandit.update(a.arms, [reward] * 3, **learning(policy, 3))
        twin.update(b.arms, [reward] * 3, **learning(policy, 3))
    assert state(bandit) == state(twin)


def a_bad_batch_changes_nothing(policy):
    bandit = trained(policy)
    before = state(bandit)
    nan, big = float("nan"), 1e300
    cases = [
        (["a", "b"], [1.0, big], 1.0, {}),
        (["a", "b"], [1.0, nan], 1.0, {}),
        (["a", "b"], ["1.0", "2.0"], 1.0, {}),
        (["a", "nobody"], [1.0, 1.0], 1.0, {}),
        (["a", "b"], [1.0, 1.0], [1.0, -1.0], {}),
        (["a", "b"], [1.0, 1.0], [1.0, nan], {}),
        (["a", "b"], [1.0], 1.0, {}),
        (["a", "b"], [1.0, 1.0], 1.0, {"at": [0.0, nan]}),
        (["a", "b"], [1.0, 1.0], 1.0, {"context": np.zeros((3, 3))}),
        (["a", "b"], [1.0, 1.0], 1.0, {"context": np.full((2, 3), nan)}),
        (["a", "b"], [1.0, 1.0], 1.0, {"context": np.full((2, 3), np.inf)}),
        (["a", "b"], [1.0, 1.0], 1.0, {"context": [["x"] * 3] * 2}),
        (["a", "b"], [1.0, 1.0], 1.0, {"propensity": [0.5, 0.0]}),
    ]
    for arms, rewards, weight, extra in cases:
        try:
            bandit.update(arms, rewards, weight=weight, **{**learning(policy, len(arms)), **extra})
        except (ValueError, KeyError):
            assert state(bandit) == before, (arms, rewards, weight, extra)
        else:
            raise AssertionError(f"accepted {arms}, {rewards}, {weight}, {extra}")
    for arm, reward in (("a", nan), ("a", big), ("a", None), ("nobody", 1.0), (True, 1.0), (1.5, 1.0)):
        try:
            bandit.update(arm, reward, **one_context(policy))
        except (ValueError, KeyError):
            assert state(bandit) == before, (arm, reward)
        else:
            raise AssertionError(f"accepted {arm}, {reward}")


def an_untried_arm_gets_its_chance(policy):
    """Also while all others earn what the prior expects."""
    if policy.model.kind == "shared_linear":
        return  # arms are told apart by their features alone: with equal ones, none is untried
    bandit = Bandit(policy, IDS, seed=3)
    one = one_context(policy)
    expected = float(bandit.mean(**one)[0])
    batch = {name: np.tile(rows, (8, 1)) for name, rows in one.items()}
    if policy.needs_propensity:
        batch["propensity"] = 1 / 8
    bandit.update(bandit.arms, [expected] * 8, weight=20.0, **batch)
    bandit.add_arms(["new"])
    chosen = set()
    for _ in range(2_000):
        arm = bandit.select(**one).arms[0]
        chosen.add(arm)
        if arm == "new":
            break
        bandit.update(arm, expected, **one)
    assert "new" in chosen


def paused_arms_are_left_out_and_counted(policy):
    bandit = trained(policy)
    bandit.pause_arms(["a", "h"])
    every = context_of(policy, len(IDS))
    decision = bandit.select(IDS, k=8, **every)
    assert sorted(decision.arms) == sorted(set(IDS) - {"a", "h"})
    assert decision.dropped == {"paused": 2}
    assert "a" not in bandit.select(k=6, **every).arms
    alone = bandit.select(["a"], **one_context(policy))
    assert (alone.arms, alone.scores, alone.dropped) == ([], [], {"paused": 1})
    bandit.resume_arms(["a", "h"])
    assert sorted(bandit.select(k=8, **every).arms) == sorted(IDS)


def propensities_sum_to_k(policy):
    bandit = trained(policy)
    every = context_of(policy, len(IDS))
    before = state(bandit)
    for k in (1, 3, 8):
        try:
            chances = bandit.propensities(k=k, **every)
        except ValueError as error:
            assert "exact" in str(error)  # says why there are none
            continue
        assert ((chances >= 0.0) & (chances <= 1.0)).all()
        np.testing.assert_allclose(chances.sum(), k, atol=1e-6)
        decision = bandit.select(k=k, **every, propensities=True)
        assert decision.deterministic == policy.is_deterministic
        if policy.is_deterministic:
            assert decision.propensities == [1.0] * k
        own = dict(zip(IDS, chances.tolist(), strict=True))
        np.testing.assert_allclose(decision.propensities, [own[arm] for arm in decision.arms], rtol=1e-9)
        before = state(bandit)
    assert state(bandit) == before


def a_logged_run_is_decided_again(policy):
    """Bit by bit, state and all, with arms that come and go, in segments that each begin with the state."""
    exact = not policy.model.is_contextual and policy.kind != "top_two"
    times = policy.model.half_life is not None or policy.model.window is not None
    with tempfile.TemporaryDirectory() as path:
        with DecisionLog(path, segment_bytes=2_000) as log:
            ranker = Logged(trained(policy), log)
            for i in range(12):
                now = {"now": 10.0 * i} if times else {}
                decision = ranker.select(ranker.arms[:4], 2, propensities=exact, **now, **context_of(policy, 4, i))
                at = {"at": 10.0 * i} if times else {}
                ranker.update(decision.arms, [1.0, 0.0], decision=decision, **at, **learning(policy, 2, i))
                ranker.update(ranker.arms[-1], 1.0, **at, **one_context(policy, i))
                ranker.add_arms([f"new-{i}"])
                ranker.retire_arms([ranker.arms[i % 3]])
            ranker.select_many(n=3, contexts=context_of(policy, 3)["context"] if policy.model.is_contextual else None)
        found = verify(path)
    assert found.difference is None
    assert (found.decisions, found.calls) == (15, 61)
    assert found.checkpoints > 2


def all_checks():
    """Every check of the contract."""
    return (
        inputs_are_untouched,
        results_are_not_aliases,
        batch_equals_single_events,
        order_of_events_is_irrelevant,
        same_key_same_decision,
        order_of_candidates_is_irrelevant,
        adding_candidates_moves_no_draw,
        selection_is_the_best_of_all_scores,
        a_slate_is_distinct_and_in_range,
        rows_and_ids_agree,
        a_logged_run_is_decided_again,
        many_requests_equal_single_ones,
        a_resumed_twin_decides_the_same,
        a_bad_batch_changes_nothing,
        an_untried_arm_gets_its_chance,
        paused_arms_are_left_out_and_counted,
        propensities_sum_to_k,
    )

"""The contract that every policy keeps, as functions of a policy."""

import naive
import numpy as np

from seedbed.bandits import Bandit


def trained(policy, ids=tuple("abcdefgh"), seed=3, events=200):
    """A bandit that has learnt something of all arms but the last."""
    bandit = Bandit(policy, ids, seed=seed)
    rng = np.random.Generator(np.random.PCG64(5))
    chosen = [ids[i] for i in rng.integers(0, len(ids) - 1, events)]
    bandit.update(chosen, rng.random(events).round(2))
    return bandit


def state(bandit):
    """All of a bandit, comparable."""
    return bandit.to_bytes()


def inputs_are_untouched(policy):
    bandit = trained(policy)
    arms, rewards, weights = ["a", "b"], np.array([1.0, 0.0]), np.array([1.0, 2.0])
    candidates, rows = ["c", "a"], bandit.rows(["c", "a"])
    kept = list(arms), rewards.copy(), weights.copy(), list(candidates), rows.copy()
    bandit.update(arms, rewards, weight=weights)
    bandit.select(candidates)
    bandit.select_rows(rows)
    bandit.update_rows(rows, rewards)
    for before, after in zip(kept, (arms, rewards, weights, candidates, rows), strict=True):
        np.testing.assert_array_equal(before, after)


def results_are_not_aliases(policy):
    bandit = trained(policy)
    decision, before = bandit.select(k=2), state(bandit)
    decision.arms.clear()
    decision.rows[:] = -1
    bandit.arms.clear()
    bandit.scores()[:] = 0.0
    bandit.mean()[:] = 0.0
    assert state(bandit) == before


def batch_equals_single_events(policy):
    one, many = trained(policy), trained(policy)
    arms, rewards = ["a", "b", "a", "c"], [1.0, 0.0, 0.25, 0.5]
    for arm, reward in zip(arms, rewards, strict=True):
        one.update(arm, reward, weight=2.0)
    many.update(arms, rewards, weight=2.0)
    assert state(one) == state(many)


def order_of_events_is_irrelevant(policy):
    one, other = Bandit(policy, ["a", "b"]), Bandit(policy, ["a", "b"])
    arms, rewards = ["a", "b", "a", "b"], [1.0, 0.0, 0.25, 0.5]
    one.update(arms, rewards)
    other.update(arms[::-1], rewards[::-1])
    assert state(one) == state(other)


def same_key_same_decision(policy):
    one, other = trained(policy), trained(policy)
    for _ in range(20):
        assert one.select(k=3).arms == other.select(k=3).arms


def order_of_candidates_is_irrelevant(policy):
    one, other = trained(policy), trained(policy)
    ids = one.arms
    for turn in range(len(ids)):
        a, b = one.select(ids, k=4), other.select(ids[turn:] + ids[:turn], k=4)
        assert (a.arms, a.scores) == (b.arms, b.scores)


def adding_candidates_moves_no_draw(policy):
    bandit = trained(policy)
    few = dict(zip(["a", "b"], bandit.scores(["a", "b"]), strict=True))
    bandit.add_arms(["new"])
    if policy.kind == "thompson":  # the bounds of UCB depend on the total of the candidates
        more = dict(zip(["new", "b", "a"], bandit.scores(["new", "b", "a"]), strict=True))
        assert {id: more[id] for id in few} == few


def selection_is_the_best_of_all_scores(policy):
    bandit = trained(policy)
    for _ in range(50):
        ids = bandit.arms
        scores = bandit.scores()
        decision = bandit.select(k=5)
        assert decision.arms == naive.best(ids, scores.tolist(), 5)
        assert decision.scores == sorted(scores.tolist(), reverse=True)[:5]


def rows_and_ids_agree(policy):
    by_id, by_row = trained(policy), trained(policy)
    ids = ["d", "b", "a"]
    a, b = by_id.select(ids, k=2), by_row.select_rows(by_row.rows(ids), k=2)
    assert (a.arms, a.scores, a.rows.tolist()) == (b.arms, b.scores, b.rows.tolist())
    by_id.update(ids, [1.0, 0.5, 0.0])
    by_row.update_rows(by_row.rows(ids), [1.0, 0.5, 0.0])
    assert state(by_id) == state(by_row)


def a_resumed_twin_decides_the_same(policy):
    bandit = trained(policy)
    bandit.select()
    bandit.retire_arms(["c"])
    bandit.add_arms(["z", 5])
    twin = Bandit.from_bytes(state(bandit))
    for reward in (1.0, 0.0, 1.0):
        a, b = bandit.select(k=3), twin.select(k=3)
        assert (a.decision_id, a.key, a.arms, a.scores) == (b.decision_id, b.key, b.arms, b.scores)
        bandit.update(a.arms, [reward] * 3)
        twin.update(b.arms, [reward] * 3)
    assert state(bandit) == state(twin)


def a_bad_batch_changes_nothing(policy):
    bandit = trained(policy)
    before = state(bandit)
    for arms, rewards, weight in (
        (["a", "b"], [1.0, 3.0], 1.0),
        (["a", "b"], [1.0, float("nan")], 1.0),
        (["a", "nobody"], [1.0, 1.0], 1.0),
        (["a", "b"], [1.0, 1.0], [1.0, -1.0]),
        (["a", "b"], [1.0], 1.0),
    ):
        try:
            bandit.update(arms, rewards, weight=weight)
        except (ValueError, KeyError):
            assert state(bandit) == before
        else:
            raise AssertionError(f"accepted {arms}, {rewards}, {weight}")


def an_untried_arm_gets_its_chance(policy):
    """Also while all others earn what the prior expects."""
    a, b = policy.model.prior
    bandit = Bandit(policy, list("abcdefgh"), seed=3)
    bandit.update(bandit.arms, [a / (a + b)] * 8, weight=20.0)
    bandit.add_arms(["new"])
    chosen = set()
    for _ in range(2_000):
        arm = bandit.select().arms[0]
        chosen.add(arm)
        bandit.update(arm, a / (a + b))
    assert "new" in chosen


def all_checks():
    """Every check of the contract, by name."""
    names = (
        inputs_are_untouched,
        results_are_not_aliases,
        batch_equals_single_events,
        order_of_events_is_irrelevant,
        same_key_same_decision,
        order_of_candidates_is_irrelevant,
        adding_candidates_moves_no_draw,
        selection_is_the_best_of_all_scores,
        rows_and_ids_agree,
        a_resumed_twin_decides_the_same,
        a_bad_batch_changes_nothing,
        an_untried_arm_gets_its_chance,
    )
    return names

"""Floors and caps on the probability simplex, through the face: propensities sum to k and are the frequencies."""

import numpy as np
import pytest

from seedbed.bandits import UCB1, Bandit, EpsilonGreedy, LinThompson, Thompson
from seedbed.constraints import Cap, Constrained, DualPrice, FairShare, Floor, Knapsack, Objective, Slate, Value

ARMS = [f"a{i}" for i in range(6)]
DRAWS = 8_000


def made(*constraints, policy=None, arms=ARMS, seed=7, events=40):
    policy = policy or Thompson()
    bandit = Bandit(policy, arms=arms, seed=seed)
    rng = np.random.default_rng(0)
    for i, arm in enumerate(arms):
        rewards = (rng.random(events) < 0.2 + 0.5 * i / len(arms)).astype(float)
        extra = {"context": rng.normal(size=(events, 2))} if policy.model.is_contextual else {}
        bandit.update([arm] * events, rewards, **extra)
    ranker = Constrained(bandit, constraints)
    ranker.describe(
        arms, sort=[("x", "y", "z")[i % 3] for i in range(len(arms))], price=np.linspace(2.0, 1.0, len(arms))
    )
    return ranker


def frequencies(ranker, k, draws=DRAWS, **extra):
    counts = dict.fromkeys(ranker.arms, 0)
    for _ in range(draws):
        for arm in ranker.select(k=k, **extra).arms:
            counts[arm] += 1
    return np.array(list(counts.values())) / draws


def z_scores(observed, chances, draws=DRAWS):
    return np.abs(observed - chances) / np.sqrt(np.maximum(chances * (1.0 - chances), 1.0 / draws) / draws)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(
    "constraints",
    [
        (Floor(0.05),),
        (Cap(0.3),),
        (Floor(0.05), Cap(0.35)),
        (Floor({"x": 0.3}, by="sort"), Cap({"z": 0.5}, by="sort")),
        (Cap(0.4), Value("price")),
    ],
    ids=repr,
)
def test_they_are_frequencies(constraints, k):
    ranker = made(*constraints)
    chances = ranker.propensities(k=k)
    assert abs(chances.sum() - k) < 1e-12
    assert z_scores(frequencies(ranker, k), chances).max() < 5.0


@pytest.mark.parametrize(
    "constraints", [(Floor({"x": 0.3}, by="sort"),), (Floor({"x": 0.2, "y": 0.1}, by="sort"), Floor(0.02))], ids=repr
)
def test_floors_of_groups_are_frequencies(constraints):
    ranker = made(*constraints)
    chances = ranker.propensities()
    assert abs(chances.sum() - 1.0) < 1e-12
    assert chances[[0, 3]].sum() >= 0.2 - 1e-12
    assert z_scores(frequencies(ranker, 1), chances).max() < 5.0


@pytest.mark.parametrize("policy", [UCB1(), EpsilonGreedy(epsilon=0.2), LinThompson(2)], ids=lambda policy: policy.kind)
def test_other_rules_are_bounded_too(policy):
    extra = {"context": [1.0, -0.5]} if policy.model.is_contextual else {}
    ranker = made(Floor(0.03), Cap(0.5), policy=policy)
    chances = ranker.propensities(**extra)
    assert abs(chances.sum() - 1.0) < 1e-12
    assert chances.min() >= 0.03 - 1e-12
    assert chances.max() <= 0.5 + 1e-12
    assert z_scores(frequencies(ranker, 1, **extra), chances).max() < 5.0


def test_a_floor_by_hand():
    """Five candidates share .1 each; the rest of the half goes as the rule has it."""
    free, bound = made(), made(Floor(0.1))
    np.testing.assert_allclose(bound.propensities(ARMS[:5]), 0.1 + 0.5 * free.propensities(ARMS[:5]), atol=1e-12)


def test_floors_that_do_not_fit_are_scaled_and_named():
    ranker = made(Floor(0.5))
    np.testing.assert_allclose(ranker.propensities(), np.full(6, 1.0 / 6.0), atol=1e-12)
    assert ranker.select().relaxed == ("floor",)
    assert ranker.select(ARMS[:2]).relaxed == ()


def test_caps_that_do_not_fit_are_raised_and_named():
    ranker = made(Cap(0.1))
    np.testing.assert_allclose(ranker.propensities(), np.full(6, 1.0 / 6.0), atol=1e-12)
    assert ranker.select().relaxed == ("cap",)


def test_a_decision_tells_its_propensities():
    ranker = made(Floor(0.05), Cap(0.35))
    chances = dict(zip(ARMS, ranker.propensities(k=2), strict=True))
    decision = ranker.select(k=2, propensities=True)
    assert decision.propensity_method == "exact"
    assert decision.propensities == pytest.approx([chances[arm] for arm in decision.arms], abs=1e-12)
    assert set(decision.reasons) == {"SHARES"}


def test_many_candidates_follow_chances_of_some_decisions_ago():
    """The choice is drawn by what the cap makes of those, so that its propensities are exact; and it says so."""
    arms = [f"a{i}" for i in range(30)]
    ranker = made(Cap(0.1, max_candidates=20, refresh=1_000_000), arms=arms)
    first = ranker.select(propensities=True)
    assert first.propensity_method == "refreshed"
    chances = ranker.propensities()
    assert abs(chances.sum() - 1.0) < 1e-12
    ranker.update([arms[0]] * 500, [1.0] * 500)  # not heard of yet
    np.testing.assert_array_equal(ranker.propensities(), chances)
    twin = Constrained.from_bytes(ranker.to_bytes())
    np.testing.assert_array_equal(twin.propensities(), chances)
    observed = frequencies(ranker, 1, draws=4_000)
    assert z_scores(observed, chances, 4_000).max() < 5.0
    assert ranker.select(arms[:20]).propensity_method == "exact"


def test_refreshed_chances_are_worked_out_anew():
    arms = [f"a{i}" for i in range(30)]
    ranker = made(Cap(0.5, max_candidates=20, refresh=3), arms=arms)
    ranker.select()
    before = ranker.propensities()
    ranker.update([arms[0]] * 5_000, [1.0] * 5_000)
    for _ in range(2):
        ranker.select()
    after = ranker.propensities()
    assert before[0] < 0.01
    assert after[0] == pytest.approx(0.5, abs=1e-9)
    ranker.add_arms(["new"])  # of whom no chance is known
    assert ranker.propensities()[-1] > 0.0


def test_caps_over_what_has_no_integral():
    ranker = made(Cap(0.4), Objective({"reward": 1.0}, by="sort"))
    decision = ranker.select(propensities=True)
    assert decision.propensity_method == "monte_carlo"
    assert ranker.propensities().max() <= 0.4 + 1e-12


def test_what_has_no_exact_answer_says_so():
    for constraints, k in (
        ((Slate(by="sort", upper=1),), 3),
        ((Objective({"reward": 1.0}),), 1),
        ((Knapsack({"stock": 100}, decisions=200),), 1),
        ((Floor(0.05), FairShare(0.1, tolerance=0.0)), 3),
        ((Floor({"x": 0.2}, by="sort"),), 2),
    ):
        ranker = made(*constraints)
        with pytest.raises(ValueError, match="pass draws=1000"):
            ranker.propensities(k=k)
        estimate = ranker.propensities(k=k, draws=1_500)
        observed = np.zeros(6)
        for n in range(1_500):  # of twins, as what is served changes the next decision
            twin = ranker if constraints[0].kind in ("slate", "objective") else made(*constraints, seed=100 + n)
            observed[[ARMS.index(arm) for arm in twin.select(k=k).arms]] += 1
            if n == 250 and twin is not ranker:
                break
        size = n + 1
        spread = np.sqrt(np.maximum(estimate * (1.0 - estimate), 1.0 / size) * (1.0 / size + 1.0 / 1_500))
        assert (np.abs(observed / size - estimate) < 5.0 * spread).all()


def test_prices_move_the_chances():
    ranker = made(DualPrice("money", limit=100.0, decisions=1_000, cost="price", largest=2.0))
    before = ranker.propensities()
    for _ in range(200):  # each costs ten times what it may
        ranker.select()
    after = ranker.propensities()
    assert abs(after.sum() - 1.0) < 1e-12
    assert after[5] > before[5]  # the cheapest
    assert ranker.report()["dual_price"]["lambda"] > 0.1

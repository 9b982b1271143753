"""The chain around a bandit: decides as it does where nothing binds; and who gives way where not all can be met."""

from typing import Literal, NamedTuple

import numpy as np
import pytest
from checks import run_together
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.bandits import (
    EXP3,
    UCB1,
    Bandit,
    Beta,
    ChangeDetector,
    CheckpointError,
    EpsilonGreedy,
    Gaussian,
    LinThompson,
    StaleRowsError,
    Thompson,
    TopTwo,
    UnknownArmError,
)
from seedbed.constraints.base import Constraint, Exposure, Limits, Precedence, Price, Shares
from seedbed.constraints.constrained import Constrained
from seedbed.constraints.guardrail import Guardrail

IDS = [f"arm-{i}" for i in range(8)]


class Counts(NamedTuple):
    """exposures, feedback: `[K]`."""

    exposures: np.ndarray
    feedback: np.ndarray


class Rule(Constraint):
    """A constraint whose every answer is configured, and that counts what it is told."""

    kind: Literal["rule"] = "rule"
    label: str = "rule"
    level: Precedence = Precedence.ELIGIBILITY
    gives_way: bool = False
    blocked: tuple[int, ...] = ()  # columns
    costs: tuple[float, ...] = ()
    factors: tuple[float, ...] = ()
    wanted: tuple[int, ...] = ()  # columns
    upper: float = np.inf

    @property
    def precedence(self):
        return self.level

    @property
    def relaxable(self):
        return self.gives_way

    @property
    def name(self):
        return self.label

    @property
    def resources_read(self):
        return ("money",)

    @property
    def metrics_read(self):
        return ("harm",)

    def init(self, capacity):
        return Counts(np.zeros(capacity), np.zeros(capacity))

    def mask(self, state, request):
        return [(self.label.upper(), ~np.isin(request.columns, self.blocked))] if self.blocked else []

    def price(self, state, request):
        if not self.costs and not self.factors:
            return None
        costs, factors = np.zeros(64), np.ones(64)
        costs[: len(self.costs)], factors[: len(self.factors)] = self.costs, self.factors
        return Price(factor=factors[request.columns], cost=costs[request.columns])

    def demands(self, state, request):
        return np.flatnonzero(np.isin(request.columns, self.wanted))

    def limits(self, state, request):
        ones = np.ones(request.columns.size)
        return Limits(
            np.zeros(ones.size, np.int64), ones, np.array([self.upper]), np.zeros(1), relaxable=self.gives_way
        )

    def observe(self, state, event):
        if isinstance(event, Exposure):
            state.exposures[event.columns] += 1.0
        else:
            np.add.at(state.feedback, event.columns, event.metrics.get("harm", 0.0))

    def report(self, state, attributes):
        return {"exposures": state.exposures.sum(), "feedback": state.feedback.sum()}


class Quiet(Constraint):
    """A constraint that says nothing."""

    kind: Literal["quiet"] = "quiet"

    @property
    def precedence(self):
        return Precedence.CAP

    def init(self, capacity):
        return Counts(np.zeros(capacity), np.zeros(3))


class Floors(Constraint):
    """A floor, as the simplest constraint of one's own."""

    kind: Literal["floors"] = "floors"
    least: float

    @property
    def precedence(self):
        return Precedence.FLOOR

    def init(self, capacity):
        return Counts(np.zeros(0), np.zeros(0))

    def shares(self, state, request):
        return Shares(floor=self.least)


def made(*constraints, policy=None, seed=7, ids=IDS, learnt=True):
    bandit = Bandit(policy or Thompson(), arms=ids, seed=seed)
    if learnt:
        rng = np.random.default_rng(1)
        chosen = [ids[i] for i in rng.integers(0, len(ids), 300)]
        bandit.update(chosen, (rng.random(300) < 0.3).astype(float), **_extra(policy))
    return Constrained(bandit, constraints)


def _extra(policy):
    if policy is None or not policy.model.is_contextual:
        return {"propensity": 0.5} if policy is not None and policy.needs_propensity else {}
    return {"context": np.random.default_rng(2).normal(size=(300, policy.model.width))}


POLICIES = [
    Thompson(),
    Thompson(model=Gaussian()),
    Thompson(sampler="gamma"),
    Thompson(model=Beta(half_life=50.0)),
    UCB1(),
    EpsilonGreedy(epsilon=0.3),
    TopTwo(),
    EXP3(),
    LinThompson(3),
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.kind}-{policy.model.kind}")
def test_decides_as_the_bandit_where_nothing_binds(policy):
    free, bound = made(policy=policy).bandit, made(Quiet(), policy=policy)
    context = {"context": [0.3, -1.0, 0.5]} if policy.model.is_contextual else {}
    for n in range(40):
        candidates = None if n % 3 else IDS[n % 5 :]
        expected = free.select(candidates, k=1 + n % 3, now=float(n), pending=n % 2 == 0, **context)
        decision = bound.select(candidates, k=1 + n % 3, now=float(n), pending=n % 2 == 0, **context)
        for name in ("decision_id", "key", "state_version", "arms", "scores", "dropped", "deterministic"):
            assert getattr(decision, name) == getattr(expected, name)
        assert decision.rows.tolist() == expected.rows.tolist()
        assert decision.relaxed == ()
        if decision.arms:
            extra = {"propensity": 0.5} if policy.needs_propensity else context
            free.update(expected.arms[0], 1.0, at=float(n), **extra)
            bound.update(decision.arms[0], 1.0, at=float(n), **extra)
    assert free.to_bytes() == bound.bandit.to_bytes()
    np.testing.assert_array_equal(free.scores(**context), bound.scores(**context))


def test_who_may_not_be_served_is_dropped_and_counted_once():
    first = Rule(label="first", blocked=(0, 1))
    second = Rule(label="second", level=Precedence.STOP, blocked=(1, 2, 3))
    ranker = made(second, first)  # the order in which they are passed does not matter
    ranker.pause_arms([IDS[7]])
    decision = ranker.select(k=8)
    assert set(decision.arms) == set(IDS[4:7])
    assert decision.dropped == {"paused": 1, "FIRST": 2, "SECOND": 2}
    assert decision.relaxed == ()


def test_nobody_is_left():
    ranker = made(Rule(blocked=tuple(range(8))))
    decision = ranker.select(k=2)
    assert (decision.arms, decision.scores, decision.dropped) == ([], [], {"RULE": 8})
    assert ranker.select(k=2).decision_id[2] == 1
    assert ranker.propensities(k=2).tolist() == [0.0] * 8
    assert ranker.scores().tolist() == [-np.inf] * 8


@settings(max_examples=200)
@given(
    blocked=st.lists(st.frozensets(st.integers(0, 7)), min_size=1, max_size=5),
    levels=st.lists(st.sampled_from(Precedence), min_size=5, max_size=5),
    gives_way=st.lists(st.booleans(), min_size=5, max_size=5),
    k=st.integers(1, 8),
)
def test_precedence_is_never_inverted(blocked, levels, gives_way, k):
    """Against the definition: strict masks hold; of the others each holds unless it would leave too few."""
    rules = [
        Rule(label=f"r{i}", blocked=tuple(sorted(who)), level=levels[i], gives_way=gives_way[i])
        for i, who in enumerate(blocked)
    ]
    decision = made(*rules, learnt=False).select(k=k)
    left = set(range(8))
    for rule in rules:
        left -= set(rule.blocked) if not rule.gives_way else set()
    least = min(k, len(left))
    expected = []
    for rule in sorted((rule for rule in rules if rule.gives_way), key=lambda rule: rule.level):
        if rule.blocked and len(left - set(rule.blocked)) < least:
            expected.append(rule.label)
        else:
            left -= set(rule.blocked)
    assert list(decision.relaxed) == expected
    assert len(decision.arms) == least
    assert {IDS.index(arm) for arm in decision.arms} <= left
    assert sum(decision.dropped.values()) == 8 - len(left)


def test_prices_and_factors_by_hand():
    """Scores are draws times factors less costs."""
    ranker = made(Rule(costs=(0.5, 0.0, 9.0)), Rule(label="worth", factors=(2.0, 3.0)))
    draws = ranker.bandit.scores()
    expected = draws * np.array([2.0, 3.0, *[1.0] * 6]) - np.array([0.5, 0.0, 9.0, *[0.0] * 5])
    np.testing.assert_allclose(ranker.scores(), expected, rtol=1e-15)
    decision = ranker.select(k=8)
    assert decision.arms == [IDS[i] for i in np.argsort(-expected)]
    np.testing.assert_allclose(decision.scores, np.sort(expected)[::-1], rtol=1e-15)


@pytest.mark.parametrize("policy", [TopTwo(), EXP3()])
def test_rules_that_cannot_be_priced_are_refused(policy):
    with pytest.raises(ValueError, match="does not rank by scores"):
        made(Rule(costs=(1.0,)), policy=policy).select()


def test_demands_are_served_first_and_no_more_than_fit():
    ranker = made(Rule(wanted=(2, 5, 6)))
    decision = ranker.select(k=4)
    assert {IDS[2], IDS[5], IDS[6]} < set(decision.arms)
    assert sorted(decision.reasons) == ["DEMAND", "DEMAND", "DEMAND", "SCORE"]
    assert decision.scores == sorted(decision.scores, reverse=True)
    assert ranker.propensities(k=4)[[2, 5, 6]].tolist() == [1.0, 1.0, 1.0]
    decision = ranker.select(k=2)
    assert decision.arms == [IDS[2], IDS[5]] or decision.arms == [IDS[5], IDS[2]]
    assert decision.relaxed == ("rule",)


def test_hard_limits_make_a_slate_shorter_and_soft_ones_give_way():
    decision = made(Rule(upper=2.0)).select(k=5)
    assert (len(decision.arms), decision.dropped, decision.relaxed) == (2, {"LIMITS": 6}, ())
    decision = made(Rule(upper=2.0, gives_way=True)).select(k=5)
    assert (len(decision.arms), decision.dropped, decision.relaxed) == (5, {}, ("rule",))


def test_order_of_candidates_does_not_matter():
    rng = np.random.default_rng(3)
    rules = (Rule(costs=(0.1, 0.0, 0.2)), Floors(least=0.05), Rule(label="two", blocked=(6,), upper=3.0))
    one, two = made(*rules), made(*rules)
    for _ in range(200):
        shuffled = [IDS[i] for i in rng.permutation(8)]
        assert one.select(IDS, k=2).arms == two.select(shuffled, k=2).arms


def test_what_is_observed():
    ranker = made(Rule(), learnt=False)
    ranker.select(k=3)
    ranker.update(IDS[1], 1.0, metrics={"harm": 2.0})
    ranker.update([IDS[1], IDS[1], IDS[3]], [0.0, 1.0, 1.0], metrics={"harm": [1.0, 0.5, 4.0]}, cost=1.0)
    assert ranker.report() == {"rule": {"exposures": 3.0, "feedback": 7.5}}
    assert ranker.updates == 4


def test_an_arm_that_takes_a_column_starts_afresh():
    ranker = made(Rule(), learnt=False)
    ranker.describe(IDS, price=1.0, sort="old")
    ranker.update(IDS[2], 1.0, metrics={"harm": 5.0})
    ranker.retire_arms([IDS[2]])
    ranker.add_arms(["new"], price=2.0)
    assert ranker.report()["rule"]["feedback"] == 0.0
    column = int(ranker.bandit.rows(["new"])[0]) & 0xFFFF_FFFF
    assert column == 2
    assert ranker._attributes.numbers("price", np.array([2])).tolist() == [2.0]
    assert ranker._attributes.codes("sort", np.array([2])).tolist() == [0]


def test_arms_added_to_the_bandit_itself_are_seen():
    ranker = made(Rule(), learnt=False)
    ranker.bandit.add_arms(range(100))
    ranker.update(99, 1.0, metrics={"harm": 1.0})
    assert len(ranker.select(k=108).arms) == 108
    assert ranker.report()["rule"] == {"exposures": 108.0, "feedback": 1.0}


BAD = [
    (lambda ranker: ranker.update(IDS[0], 2.0, metrics={"harm": 1.0}), ValueError, "reward"),
    (lambda ranker: ranker.update("x", 1.0), UnknownArmError, "unknown arm"),
    (lambda ranker: ranker.update(IDS[0], 1.0, metrics={"x": 1.0}), ValueError, "no constraint reads the metric 'x'"),
    (lambda ranker: ranker.update(IDS[0], 1.0, metrics={"harm": np.nan}), ValueError, "not a finite number"),
    (lambda ranker: ranker.update(IDS[0], 1.0, metrics=3), ValueError, "is not a map"),
    (lambda ranker: ranker.update(IDS[0], 1.0, cost=-1.0), ValueError, "0 or more"),
    (lambda ranker: ranker.update(IDS[0], 1.0, cost={"time": 1.0}), ValueError, "no constraint reads the resource"),
    (lambda ranker: ranker.update(IDS[:2], [1.0, 0.0], cost=[1.0]), ValueError, "one entry for each id"),
    (lambda ranker: ranker.update(IDS[0], 1.0, decision=("1", 0, 0)), ValueError, "report it there"),
    (lambda ranker: ranker.update(IDS[0], 1.0, decision=("0", 1, 0)), ValueError, "never made"),
    (lambda ranker: ranker.update(IDS[0], 1.0, decision=3), ValueError, "neither a Decision nor its id"),
    (lambda ranker: ranker.select(k=9), ValueError, "k must be"),
    (lambda ranker: ranker.select(["x"]), UnknownArmError, "unknown arm"),
    (lambda ranker: ranker.select(now=-1.0), ValueError, "runs backwards"),
    (lambda ranker: ranker.select(viewer="v1"), ValueError, "not a map of attributes"),
    (lambda ranker: ranker.describe(["x"], price=1.0), UnknownArmError, "unknown arm"),
    (lambda ranker: ranker.describe(IDS[:2], price=[1.0]), ValueError, "one value for each"),
    (lambda ranker: ranker.describe(IDS, price=np.inf), ValueError, "not finite"),
    (lambda ranker: ranker.describe(IDS, price="high"), ValueError, "holds numbers"),
    (lambda ranker: ranker.describe(IDS, sort=[1.0] * 8), ValueError, "holds names"),
    (
        lambda ranker: ranker.describe(IDS, sort=["x"] * 7 + [None]),
        ValueError,
        "sort = None: this attribute holds names",
    ),
    (lambda ranker: ranker.add_arms(["new"], price="high"), ValueError, "holds numbers"),
    (lambda ranker: ranker.add_arms([IDS[0]], price=1.0), ValueError, "already among"),
    (lambda ranker: ranker.propensities(k=4), ValueError, "pass draws=1000"),
]


@pytest.mark.parametrize("call, error, message", BAD)
def test_a_bad_call_changes_nothing(call, error, message):
    ranker = made(Rule(upper=3.0))
    ranker.describe(IDS, price=1.0, sort="x")
    ranker.select(now=0.0)
    before = ranker.to_bytes()
    with pytest.raises(error, match=message):
        call(ranker)
    assert ranker.to_bytes() == before


def test_rows_and_many_requests_are_as_ids_and_single_ones():
    one, two = made(Rule(costs=(0.1,))), made(Rule(costs=(0.1,)))
    rows = one.rows(IDS[2:6])
    assert one.select_rows(rows, 2, now=1.0).arms == two.select(IDS[2:6], 2, now=1.0).arms
    one.update_rows(rows, [1.0, 0.0, 1.0, 0.0], metrics={"harm": 1.0})
    two.update(IDS[2:6], [1.0, 0.0, 1.0, 0.0], metrics={"harm": 1.0})
    many = one.select_many([IDS[:3], IDS[4:]], 2, now=2.0, viewers=[{"id": 1}, None])
    assert [each.arms for each in many] == [two.select(ids, 2, now=2.0).arms for ids in (IDS[:3], IDS[4:])]
    assert [each.arms for each in one.select_many(n=3)] == [two.select().arms for _ in range(3)]
    assert one.to_bytes() == two.to_bytes()
    with pytest.raises(ValueError, match="how many requests"):
        one.select_many([IDS], n=2)
    one.retire_arms([IDS[2]])
    with pytest.raises(StaleRowsError):
        one.select_rows(rows)


def test_bad_constraints():
    with pytest.raises(ValueError, match=r"constraints\[1\] = 3 is not a constraint"):
        Constrained(Bandit(Thompson()), [Rule(), 3])
    with pytest.raises(ValueError, match="is not a Bandit"):
        Constrained(Thompson())


def test_a_resumed_twin_decides_the_same():
    rules = [Rule(costs=(0.1, 0.0, 0.2), blocked=(6,)), Floors(least=0.05), Rule(label="rule", upper=2.0)]
    ranker = made(*rules)
    ranker.describe(IDS, price=np.arange(8.0), sort=list("aabbccdd"))
    ranker.select(k=2, now=5.0)
    ranker.retire_arms([IDS[1]])
    twin = Constrained.from_bytes(ranker.to_bytes(), constraints=rules)
    assert twin.to_bytes() == ranker.to_bytes()
    for n in range(30):
        one, two = ranker.select(k=3, now=6.0 + n), twin.select(k=3, now=6.0 + n)
        assert (one.arms, one.scores, one.reasons) == (two.arms, two.scores, two.reasons)
        for each in (ranker, twin):
            each.update(one.arms[0], 1.0, metrics={"harm": 1.0}, decision=one)
    assert twin.report() == ranker.report()
    assert twin.to_bytes() == ranker.to_bytes()


def test_checkpoints_of_classes_of_ones_own_need_them():
    ranker = made(Rule(blocked=(1,)))
    with pytest.raises(CheckpointError, match="constraints"):
        Constrained.from_bytes(ranker.to_bytes())
    with pytest.raises(ValueError, match="not those of the checkpoint"):
        Constrained.from_bytes(ranker.to_bytes(), constraints=[Rule(blocked=(2,))])
    with pytest.raises(CheckpointError, match="of kind 'bandit'"):
        Constrained.from_bytes(ranker.bandit.to_bytes())


def test_looking_changes_nothing():
    ranker = made(Rule(costs=(0.1,)), Floors(least=0.01))
    ranker.select(now=1.0)
    before = ranker.to_bytes()
    ranker.propensities(now=100.0)
    ranker.propensities(k=3, draws=20, now=100.0)
    ranker.scores(now=100.0)
    ranker.mean()
    ranker.evidence()
    ranker.report()
    assert ranker.to_bytes() == before


FREQUENCIES = [
    ((), Thompson(), 1),
    ((Rule(costs=(0.2, 0.0, 0.1)),), Thompson(), 2),
    ((Rule(factors=(2.0, 0.5)),), Thompson(model=Gaussian()), 1),
    ((Rule(costs=(0.2, 0.0, 0.1)),), EpsilonGreedy(epsilon=0.4), 2),
    ((Rule(blocked=(1, 2), wanted=(5,)),), Thompson(), 3),
    ((Floors(least=0.05),), Thompson(), 1),
    ((Floors(least=0.02),), Thompson(), 3),
    ((Floors(least=0.02),), EpsilonGreedy(epsilon=0.2), 2),
    ((Floors(least=0.3),), Thompson(), 1),
    ((Floors(least=0.05), Rule(costs=(0.3,), blocked=(4,))), Thompson(), 1),
]


@pytest.mark.parametrize("rules, policy, k", FREQUENCIES)
def test_propensities_are_frequencies(rules, policy, k):
    draws = 6_000
    ranker = made(*rules, policy=policy)
    chances = ranker.propensities(k=k)
    assert abs(chances.sum() - k) < 1e-12
    counts = np.zeros(8)
    for _ in range(draws):
        decision = ranker.select(k=k)
        counts[[IDS.index(arm) for arm in decision.arms]] += 1
    z = (counts / draws - chances) / np.sqrt(np.maximum(chances * (1.0 - chances), 1.0 / draws) / draws)
    assert np.abs(z).max() < 5.0
    estimate = ranker.propensities(k=k, draws=2_000)
    spread = np.sqrt(np.maximum(chances * (1.0 - chances), 1.0 / 2_000) / 2_000)
    assert (np.abs(estimate - chances) < 5.0 * spread).all()
    decision = ranker.select(k=k, propensities=True)
    assert decision.propensity_method == "exact"
    np.testing.assert_allclose(decision.propensities, chances[[IDS.index(arm) for arm in decision.arms]], rtol=1e-9)


def test_propensities_of_a_decision_that_has_no_exact_ones():
    ranker = made(Rule(upper=2.0))
    decision = ranker.select(k=4, propensities=True)
    assert decision.propensity_method == "monte_carlo"
    assert len(decision.propensities) == len(decision.arms) == 2
    assert all(0.0 < chance <= 1.0 for chance in decision.propensities)


def test_threads_lose_nothing():
    ranker = made(Rule(), learnt=False)

    def serve():
        for _ in range(300):
            for arm in ranker.select(k=2, now=1.0).arms:
                ranker.update(arm, 1.0, metrics={"harm": 1.0})

    def change():
        for n in range(60):
            ranker.add_arms([f"new-{n}"])
            ranker.describe([f"new-{n}"], price=1.0)

    run_together(serve, serve, serve, change)
    assert ranker.report()["rule"] == {"exposures": 1800.0, "feedback": 1800.0}
    assert ranker.updates == 1800


def test_a_bandit_with_a_change_detector_is_constrained_too():
    bandit = Bandit(Thompson(), arms=IDS, change_detector=ChangeDetector())
    ranker = Constrained(bandit, [Rule(costs=(0.1,))])
    for n in range(50):
        ranker.update(ranker.select(now=float(n)).arms[0], 1.0, at=float(n))
    assert Constrained.from_bytes(ranker.to_bytes(), constraints=ranker.constraints).updates == 50


@pytest.mark.parametrize("at", (3, [3, 4], np.array([3, 4], np.int32)))
def test_times_may_be_integers(at):
    """They overflowed where nothing had happened before."""
    constrained = Constrained(Bandit(Thompson(), ["a", "b"]), [Guardrail("harm", limit=0.1)])
    arms = ["a", "b"] if np.ndim(at) else "a"
    constrained.update(
        arms, 1.0 if arms == "a" else [1.0, 0.0], metrics={"harm": 0.0 if arms == "a" else [0.0] * 2}, at=at
    )
    assert constrained.updates == (1 if arms == "a" else 2)

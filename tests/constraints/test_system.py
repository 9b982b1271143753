"""The whole chain, of any constraints, through any history: what is promised of it holds at every step."""

import contextlib
import copy

import numpy as np
import pytest
from constraints.naive_ledger import NaiveBudget
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seedbed.bandits import Bandit, Beta, EpsilonGreedy, Thompson
from seedbed.constraints import (
    Baseline,
    Budget,
    Cap,
    Concentration,
    Demotion,
    DualPrice,
    Eligibility,
    EpsilonConstraint,
    ExploreSlots,
    FairShare,
    Floor,
    FrequencyCap,
    Guardrail,
    HeadCap,
    Knapsack,
    LowQuality,
    Objective,
    Protected,
    Rule,
    Slate,
    Value,
)
from seedbed.constraints.constrained import Constrained

HARD = Rule(reason="NEW_VIEWER", viewer={"is_new": True}, arm={"gift": "hard"})
ELIGIBILITY = Eligibility(reasons=("BLOCKED", "ASLEEP"), opens="opens", stock="stock", rules=(HARD,))
BUDGETS = [
    Budget("exposures", limit=7, window=20.0),
    Budget("coins", limit=6, by="creator", cost="price", per="feedback", expiry=15.0),
    Budget("gems", limit=2, by="arm", per="feedback", window=40.0, expiry=10.0),
    Budget("sales", limit=8, per="reward", expiry=30.0),
    Budget("tokens", limit=4, rate=0.5),
    Budget("paced", limit=10, window=20.0, curve=(0.0, 1.0)),
    Budget("leased", limit=20, window=25.0, leased=True),
]
MASKS = [FrequencyCap(2, window=30.0), FrequencyCap(4, by="creator"), Guardrail("harm", limit=0.1)]
MASKS += [Protected("harm", limit=0.5, viewer={"is_new": True}), Baseline(0), EpsilonConstraint("follow", at_least=0.4)]
SHARES = [Floor(0.05), Floor({"a": 0.3}, by="creator"), Cap(0.6), Cap({"a": 0.5}, by="creator"), FairShare(0.15)]
STRICT = Slate(by="category", upper=2, relaxable_upper=False)
LOOSE = Slate(by="creator", lower={"a": 1}, upper=2)
SLATES = [STRICT, LOOSE, ExploreSlots(below=3, min_position=1)]
SCORES = [DualPrice("money", limit=50, decisions=50, cost="price"), Value("price"), HeadCap(3.0), Demotion("harm")]
SCORES += [LowQuality(attribute="quality", share=0.2), Concentration(by="creator")]
ALONE = [Objective({"reward": 1.0, "follow": 0.5}), Knapsack({"units": 30}, decisions=60, costs={"units": "price"})]
POLICIES = [Thompson(model=Beta()), Thompson(model=Beta(half_life=30.0)), EpsilonGreedy(epsilon=0.2, model=Beta())]
RELAXABLE = {"epsilon:follow", "floor", "cap", "fair_share", "slate", "explore_slots"}

some = st.integers(0, 2**16)  # what is chosen by it depends on what there is


def subset(parts, most):
    return st.lists(st.sampled_from(parts), max_size=most, unique_by=id)


class Market(RuleBasedStateMachine):
    """A ranker, beside a ledger of its own."""

    @initialize(
        budgets=subset(BUDGETS, 4), masks=subset(MASKS, 3), shares=subset(SHARES, 2), slates=subset(SLATES, 2),
        scores=subset(SCORES, 2), alone=st.sampled_from([None, None, None, *ALONE]), policy=st.sampled_from(POLICIES),
        order=st.randoms(use_true_random=False),
    )  # fmt: skip
    def begin(self, budgets, masks, shares, slates, scores, alone, policy, order):
        if alone is not None:  # a cap on an objective has to replay it a thousand times for each decision
            shares = [share for share in shares if not isinstance(share, Cap)]
        parts = [ELIGIBILITY, *budgets, *masks, *shares, *slates, *scores, *([alone] if alone else [])]
        order.shuffle(parts)
        self.parts, self.is_single = parts, isinstance(alone, Knapsack)
        self.ranker = Constrained(Bandit(policy, arms=[], seed=5), parts)
        self.ledgers = [NaiveBudget(budget) for budget in budgets]
        self.now = self.latest = 0.0
        self.about, self.served, self.blocked, self.harmed, self.told = {}, {}, {}, {}, set()
        self.seen, self.paused, self.decisions, self.next, self.spare = {}, set(), [], 0, []
        self.add(6, 0)

    def has(self, *kinds):
        return [part for part in self.parts if isinstance(part, kinds)]

    # arms

    @rule(count=st.integers(1, 2), some=some)
    def add(self, count, some):
        ids = list(range(self.next, self.next + count))
        self.next += count
        about = [
            {
                "creator": "ab"[(some + id) % 2],
                "category": "xyz"[id % 3],
                "price": [0.5, 1.0, 2.0][(some + id) % 3],
                "quality": [0.0, 1.0][id % 2],
                "gift": ["soft", "hard"][(some + id) % 5 == 0],
                "stock": 3.0 + (some + id) % 9,
                "opens": self.now + 10.0 * ((some + id) % 4 == 0),
            }
            for id in ids
        ]
        self.ranker.add_arms(ids, **{name: [each[name] for each in about] for name in about[0]})
        for id, each in zip(ids, about, strict=True):
            self.about[id], self.served[id], self.harmed[id] = each, 0, [0, 0]

    @rule(some=some)
    def retire(self, some):
        if len(self.about) > 4:
            id = sorted(self.about)[1 + some % (len(self.about) - 1)]  # not the baseline
            self.ranker.retire_arms([id])
            for kept in (self.about, self.served, self.harmed, self.blocked):
                kept.pop(id, None)
            self.paused.discard(id)

    @rule(some=some, creator=st.sampled_from("abc"), price=st.sampled_from([0.5, 1.0, 2.0]))
    def describe(self, some, creator, price):
        id = sorted(self.about)[some % len(self.about)]
        self.ranker.describe([id], creator=creator, price=price)
        self.about[id] |= {"creator": creator, "price": price}

    @rule(some=some, reason=st.sampled_from(["BLOCKED", "ASLEEP", None, "paused", "resumed"]))
    def close(self, some, reason):
        ids = [id for id in sorted(self.about) if some >> id % 16 & 1]
        if reason == "paused":
            self.ranker.pause_arms(ids)
            self.paused |= set(ids)
        elif reason == "resumed":
            self.ranker.resume_arms(ids)
            self.paused -= set(ids)
        elif reason:
            self.ranker.block(ids, reason)
            self.blocked |= dict.fromkeys(ids, reason)
        else:
            self.ranker.unblock(ids)
            for id in ids:
                self.blocked.pop(id, None)

    # choosing

    def forbidden(self, id, viewer):
        """Whether eligibility, frequency or a stop forbids an arm for certain."""
        about = self.about[id]
        for cap in self.has(FrequencyCap):
            who = about[cap.by] if cap.by else id
            window = 0 if cap.window is None else self.now // cap.window
            if "id" in viewer and self.seen.get((cap, viewer["id"], who, window), 0) >= cap.limit:
                return True
        harms, fine = self.harmed[id]
        is_stopped = self.has(Guardrail) and id in self.told
        is_unproved = self.has(Protected) and viewer.get("is_new", True) and harms + fine == 0
        return bool(
            id in self.blocked
            or id in self.paused
            or self.now < about["opens"]
            or self.served[id] >= about["stock"]
            or (viewer.get("is_new") and about["gift"] == "hard")
            or is_stopped
            or is_unproved
        )

    @rule(
        some=some, size=st.integers(1, 8), k=st.integers(1, 4), passed=st.sampled_from([None, 0.0, 1.0, 4.0, 30.0]),
        viewer=st.sampled_from([{}, {"id": 1}, {"id": 1, "is_new": False}, {"id": 2, "is_new": True}]),
        looks=st.integers(0, 3), is_twin=st.integers(0, 3),
    )  # fmt: skip
    def select(self, some, size, k, passed, viewer, looks, is_twin):
        ids = [id for _, id in sorted((id * 7919 + some * 31 & 1023, id) for id in self.about)][:size]
        k = 1 if self.is_single or looks == 0 else min(k, len(ids))
        now = None if passed is None and self.latest > 0.0 else self.now + (passed or 0.0)
        self.now = self.now if now is None else now
        self.latest = max(self.latest, self.now)
        asked = {"now": now, "viewer": viewer}
        forbidden = [self.forbidden(id, viewer) for id in ids]
        chances = self.look(ids, asked, forbidden) if looks == 0 else None
        twin = Constrained.from_bytes(self.ranker.to_bytes()) if is_twin == 0 else None
        decision = self.ranker.select(ids, k, **asked)
        if twin is not None:
            other = twin.select(ids, k, **asked)
            told = ("arms", "scores", "dropped", "relaxed", "reasons", "key")
            assert all(getattr(other, name) == getattr(decision, name) for name in told)
            assert twin.to_bytes() == self.ranker.to_bytes()
            self.ranker = twin
        assert not [id for id, is_so in zip(ids, forbidden, strict=True) if is_so and id in decision.arms]
        assert set(decision.arms) <= set(ids) and len(set(decision.arms)) == len(decision.arms) <= k
        assert len(decision.reasons) == len(decision.scores) == len(decision.arms)
        if chances is not None and chances[0]:
            assert all(chances[1][ids.index(arm)] > 0.0 for arm in decision.arms)
        self.count_dropped(ids, k, decision)
        self.keeps_limits(ids, k, decision)
        self.note(decision, viewer)

    def look(self, ids, asked, forbidden):
        """Probabilities sum to 1 or, where it may serve nobody, less; asking for them changes nothing."""
        before, is_exact = self.ranker.to_bytes(), True
        try:
            p = self.ranker.propensities(ids, **asked)
        except ValueError as error:
            assert "draws=1000" in str(error)
            p, is_exact = self.ranker.propensities(ids, draws=20, **asked), False
        assert self.ranker.to_bytes() == before
        assert (p >= 0.0).all() and (p <= 1.0 + 1e-12).all() and not p[forbidden].any()
        scores = self.ranker.scores(ids, **asked)
        assert np.isneginf(scores[forbidden]).all() and self.ranker.to_bytes() == before
        if is_exact and not np.isneginf(scores).all():
            assert abs(p.sum() - 1.0) < 1e-12
        return is_exact, p

    def count_dropped(self, ids, k, decision):
        """Each candidate that was dropped counts once; all that were not served, where the slate is short."""
        dropped = sum(decision.dropped.values())
        assert all(count > 0 for count in decision.dropped.values())
        assert decision.dropped.get("paused", 0) == len(set(ids) & self.paused)
        if len(decision.arms) < k:
            assert len(ids) == len(decision.arms) + dropped
        else:
            assert dropped <= len(ids) - k and not {"LIMITS", "SKIPPED"} & set(decision.dropped)

    def keeps_limits(self, ids, k, decision):
        """Hard limits hold; soft ones hold, or are named. Nothing else is ever named."""
        named, arms = set(decision.relaxed), decision.arms
        assert named <= RELAXABLE & {part.name for part in self.parts}
        counts = {by: [self.about[arm][by] for arm in arms] for by in ("category", "creator")}
        if STRICT in self.parts:
            assert all(counts["category"].count(group) <= 2 for group in "xyz")
        if LOOSE in self.parts and "slate" not in named:
            assert all(counts["creator"].count(group) <= 2 for group in "abc")
            waiting = [id for id in ids if self.about[id]["creator"] == "a" and id not in self.paused]
            assert "a" in counts["creator"] or not waiting or decision.dropped or not arms
        if self.has(ExploreSlots) and "explore_slots" not in named:
            new = [place for place, arm in enumerate(arms) if self.served[arm] < 3]
            assert len(new) <= 1 and new != [0]

    def note(self, decision, viewer):
        number = decision.decision_id
        for arm in decision.arms:
            about = self.about[arm]
            self.served[arm] += 1
            for cap in self.has(FrequencyCap):
                who = about[cap.by] if cap.by else arm
                window = 0 if cap.window is None else self.now // cap.window
                entry = cap, viewer.get("id"), who, window
                self.seen[entry] = self.seen.get(entry, 0) + 1
            for ledger in self.ledgers:
                ledger.serve(number, arm, about["creator"], about["price"], self.now)
        if decision.arms:
            self.decisions.append(decision)
        for ledger in self.ledgers:
            ledger.check(self.now, is_serving=bool(decision.arms))

    # learning

    @precondition(lambda self: self.decisions)
    @rule(
        some=some, is_known=st.booleans(), reward=st.sampled_from([0.0, 0.5, 1.0]), harm=st.booleans(),
        cost=st.sampled_from([None, 0.0, 0.1, 0.25]), late=st.sampled_from([-20.0, 0.0, 4.0]),
    )  # fmt: skip
    def update(self, some, is_known, reward, harm, cost, late):
        """Feedback of a decision or of none, once or more, of all its arms that are there, at any time near."""
        decision = self.decisions[-1 - some % min(len(self.decisions), 6)]
        arms = [arm for arm in decision.arms if arm in self.about]
        if not arms:
            return
        known = self.ranker._chain
        metrics = {name: float(harm) for name in known.metrics_read & {"harm", "follow"}}
        read = known.resources_read & {"coins", "gems"} if cost is not None else set()
        at = self.now + late
        self.ranker.update(
            arms, [reward] * len(arms), at=at, metrics=metrics, cost=dict.fromkeys(read, cost),
            decision=decision if is_known else None,
        )  # fmt: skip
        self.latest = max(self.latest, at)
        for arm in arms:
            if "harm" in metrics:
                self.harmed[arm][not harm] += 1
            for ledger in self.ledgers:
                ledger.tell(arm, reward, cost, decision.decision_id if is_known else None, self.latest)

    @rule(some=some)
    def prove_harmful(self, some):
        """Sixty harms in a row prove a rate above a tenth, after whatever few came before."""
        id = sorted(self.about)[some % len(self.about)]
        if "harm" in self.ranker._chain.metrics_read and not self.has(*[type(led.budget) for led in self.ledgers]):
            metrics = {name: [1.0] * 60 for name in self.ranker._chain.metrics_read & {"harm"}}
            self.ranker.update([id] * 60, [0.0] * 60, metrics=metrics)
            self.harmed[id][0] += 60
            if self.harmed[id][1] < 20:
                self.told.add(id)

    @precondition(lambda self: self.decisions)
    @rule(some=some, are_all=st.booleans())
    def refund(self, some, are_all):
        decision = self.decisions[-1 - some % min(len(self.decisions), 6)]
        arms = None if are_all else [arm for arm in decision.arms[:1] if arm in self.about]
        given = self.ranker.refund(decision, arms)
        again = self.ranker.refund(decision, arms)
        assert all(units >= 0.0 for units in given.values()) and not any(again.values())
        for ledger in self.ledgers:
            ledger.refund(decision.decision_id, arms)

    @rule(amount=st.integers(0, 6), passed=st.sampled_from([0.0, 5.0]), is_back=st.booleans())
    def lease(self, amount, passed, is_back):
        for ledger in self.ledgers:
            if ledger.budget.leased:
                self.now += passed
                self.latest = max(self.latest, self.now)
                amount = min(amount, self.ranker.unused("leased", now=self.now)) if is_back else amount
                with contextlib.suppress(ValueError):  # more than the limit
                    (self.ranker.give_back if is_back else self.ranker.grant)("leased", amount, now=self.now)
                    ledger.grant(-amount if is_back else amount, self.now)

    # what is wrong

    @rule(which=st.integers(0, 7), some=some)
    def refuse(self, which, some):
        """What is refused changes nothing."""
        ids, ranker = sorted(self.about), self.ranker
        id = ids[some % len(ids)]
        calls = [
            lambda: ranker.select([id, "nobody"], now=self.now),
            lambda: ranker.select([id], 2, now=self.now + 50.0),
            lambda: ranker.select([id, id], now=self.now),
            lambda: ranker.select(ids, now=float("nan")),
            lambda: ranker.update([id, id], [1.0, 7.0], metrics=dict.fromkeys(ranker._chain.metrics_read, 1.0)),
            lambda: ranker.update(id, 1.0, metrics={"unheard": 1.0}),
            lambda: ranker.update(id, 1.0, decision=("elsewhere", 0, 0)),
            lambda: ranker.describe([id], price=9.0, creator=7.0),
        ]
        before = ranker.to_bytes()
        with pytest.raises((ValueError, KeyError)):
            calls[which]()
        assert ranker.to_bytes() == before

    @rule()
    def lack(self):
        """An arm whose price is not known is refused before anything is counted, until it is told."""
        self.select(0, 8, 1, 0.0, {}, looks=1, is_twin=1)  # what has expired by now is settled
        id = self.next
        self.add(1, 0)
        self.ranker.retire_arms([id])
        for kept in (self.about, self.served, self.harmed):
            kept.pop(id)
        self.ranker.add_arms([self.next])  # nothing is known of it, though the other's column is its own
        known, refused = self.now, True
        before = self.ranker.to_bytes()
        try:
            copy.deepcopy(self.ranker).select([self.next], now=known)
            refused = False
        except ValueError as error:
            assert "describe" in str(error)
        if refused:
            with pytest.raises(ValueError, match="describe"):
                self.ranker.select([self.next], now=known)
            assert self.ranker.to_bytes() == before
        self.ranker.retire_arms([self.next])
        self.next += 1

    @invariant()
    def reports(self):
        """It can always be told how things stand, and what is told of budgets is not below what was spent."""
        if not hasattr(self, "ranker"):
            return
        report = self.ranker.report()
        assert len(report) == len(self.parts)
        for ledger in self.ledgers:
            ledger.check(self.now, is_serving=False)
            told = report[ledger.budget.name]
            assert told["spent"] >= 0.0 and told["reserved"] >= 0.0
            if not ledger.excess:
                assert told["overrun"] == 0.0


TestMarket = Market.TestCase
TestMarket.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def stream(constraints, tight, usage, k=1):
    """Usage of the one constraint, loose and tightened, of the same requests and answers."""
    used = []
    for given in tight:
        ranker = Constrained(Bandit(Thompson(model=Beta()), arms=range(6), seed=9), [*constraints, given])
        ranker.describe(range(6), creator=list("aabbcc"), price=[0.5, 1.0, 2.0, 0.5, 1.0, 2.0])
        total = 0.0
        for step in range(300):
            decision = ranker.select(k=k, now=0.25 * step)
            for arm in decision.arms:
                total += usage(arm)
                ranker.update(arm, float((7 * arm + step) % 10 < arm + 2), decision=decision)
        used.append(total)
    return used


@pytest.mark.parametrize("others", [[], [Floor(0.05), FairShare(0.1)], [Slate(by="creator", upper=1)]])
@pytest.mark.parametrize(
    "tight",
    [
        [Budget("units", limit=limit, window=10.0, cost="price") for limit in (20, 12, 7, 3, 0)],
        [Budget("units", limit=30, rate=rate, cost="price") for rate in (4.0, 2.0, 0.5)],
        [Budget("units", limit=limit, by="creator", per="reward", cost="price") for limit in (90, 40, 10)],
    ],
    ids=["window", "rate", "creator"],
)
def test_a_tighter_budget_is_used_no_more(others, tight):
    """Each is used to its end by 300 requests, which ask for more, so the order of the limits is that of usage."""
    price = [0.5, 1.0, 2.0, 0.5, 1.0, 2.0]
    for k in (1, 3):
        used = stream(others, tight, lambda arm: price[arm], k)
        if tight[0].per == "exposure":
            assert used == sorted(used, reverse=True) and used[-1] < used[0]
        else:
            assert used[-1] < used[0]


def test_a_tighter_cap_or_floor_moves_its_probability_one_way():
    """At each step of one history, the best arm's chance falls with its cap, the worst one's rises with its floor."""
    for kind, sign, shares in ((Cap, -1.0, (1.0, 0.7, 0.4, 0.2)), (Floor, 1.0, (0.0, 0.02, 0.1, 0.16))):
        chances = []
        for share in shares:
            ranker = Constrained(Bandit(Thompson(model=Beta()), arms=range(6), seed=9), [kind(share)])
            for arm in range(6):
                ranker.update([arm] * 20, [float(i < 2 * arm + 5) for i in range(20)])
            chances.append(ranker.propensities(now=0.0))
            assert abs(chances[-1].sum() - 1.0) < 1e-12
        watched = 5 if kind is Cap else 0
        assert (np.diff([p[watched] for p in chances]) * sign > 0.0).all()


@pytest.mark.parametrize("constraints", [[Floor(0.06), Cap(0.4)], [Floor({"a": 0.3}, by="creator"), Cap(0.35)]])
def test_propensities_are_the_frequencies_of_choices(constraints):
    """Of 4,000 decisions without feedback, each arm has its share, z < 5, under a budget that shuts one arm."""
    sold_out = Budget("units", limit=1.5, cost="price")
    ranker = Constrained(Bandit(Thompson(model=Beta()), arms=range(5), seed=9), [*constraints, sold_out])
    ranker.describe(range(5), creator=list("aabbb"), price=[0.0, 0.0, 0.0, 0.0, 2.0])
    ranker.update([0, 1, 2, 3] * 5, [0.0, 0.0, 1.0, 0.0] * 5)
    p, counts, n = ranker.propensities(now=0.0), np.zeros(5), 4_000
    for _ in range(n):
        counts[ranker.select(now=0.0).arms[0]] += 1
    assert abs(p.sum() - 1.0) < 1e-12 and p[4] == counts[4] == 0.0
    assert (np.abs(counts - n * p)[:4] / np.sqrt(n * p * (1.0 - p))[:4] < 5.0).all()


@pytest.mark.parametrize("k", [1, 2])
def test_a_fair_share_is_never_behind_by_more_than_its_tolerance_and_one(k):
    """Those who are masked are owed nothing, so budgets and blocks beside it leave the bound as it is."""
    eligibility, budget = Eligibility(), Budget("units", limit=10 * k, window=20.0)
    ranker = Constrained(
        Bandit(Thompson(model=Beta()), arms=range(6), seed=9), [FairShare(k / 6, tolerance=0.5), eligibility, budget]
    )
    ranker.block([5])
    for step in range(400):
        decision = ranker.select(k=k, now=float(step))
        assert decision.relaxed == ()
        for arm in decision.arms:
            ranker.update(arm, float(arm == 0), decision=decision)
    report = ranker.report()["fair_share"]
    assert 0.5 < report["worst_deficit"] <= report["bound"] + 1e-9

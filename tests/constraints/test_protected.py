import math

import numpy as np
import pytest
from constraints.events import K, feedback, request
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.bandits import Bandit, Thompson
from seedbed.bandits.errors import CheckpointError
from seedbed.constraints import BoundedMean, Guardrail, Proportion, Protected, Rate
from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Exposure, Precedence
from seedbed.constraints.constrained import Constrained

NEW = {"is_new": True}
RULE = Protected("negative", limit=0.3, viewer=NEW, alpha=0.2)

batches = st.lists(st.lists(st.tuples(st.integers(0, K - 1), st.booleans()), min_size=1, max_size=20), max_size=10)


@settings(max_examples=60)
@given(batches)
def test_it_is_what_a_naive_reading_says(history):
    """An arm is served to the protected while the evidence that it is within the limit is 1 / alpha or more."""
    state, tally = RULE.init(K), [[0, 0] for _ in range(K)]
    for batch in history:
        arms, harms = zip(*batch, strict=True)
        RULE.check(state, feedback(arms, negative=harms))
        RULE.observe(state, feedback(arms, negative=harms))
        for arm, harm in batch:
            tally[arm][0] += harm
            tally[arm][1] += 1
        process = Proportion(limit=0.3, alternative="below")
        safe = [math.exp(process.log_evidence([[s], [n]])[0]) >= 1 / 0.2 for s, n in tally]
        ((reason, keep),) = RULE.mask(state, request(viewer=NEW))
        assert (reason, keep.tolist()) == ("PROTECTED", safe)
        assert RULE.mask(state, request(viewer={"is_new": False})) == []
        assert RULE.report(state, Attributes(K)) == {
            "safe": sum(safe),
            "unproved": sum(n > 0 and not is_safe for (_, n), is_safe in zip(tally, safe, strict=True)),
        }


def test_without_evidence_nothing_is_safe_and_proof_can_be_lost():
    state = RULE.init(K)
    seen = []
    for batch in (feedback([0], negative=0), feedback([0] * 30, negative=0), feedback([0] * 30, negative=1)):
        seen.append(RULE.mask(state, request([0, 1], NEW))[0][1].tolist())
        RULE.observe(state, batch)
    seen.append(RULE.mask(state, request([0, 1], NEW))[0][1].tolist())
    assert seen == [[False, False], [False, False], [True, False], [False, False]]


def test_harmful_arms_are_served_with_small_probability():
    """2,000 arms at the limit, 50 looks: at most alpha + 3 standard errors of them are ever held for safe."""
    rule, rng = Protected("negative", limit=0.1, viewer=NEW), np.random.Generator(np.random.PCG64(3))
    state, ever = rule.init(2_000), np.zeros(2_000, bool)
    for _ in range(50):
        harms = (rng.random(20_000) < 0.1).astype(float)
        rule.observe(state, feedback(np.tile(np.arange(2_000), 10), negative=harms))
        ever |= state.safe == 1
    assert 0 < ever.mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2_000)


def test_who_is_protected():
    rule = Protected(limit=0.1, viewer={"is_new": True, "region": ("a", "b"), "level": (1, 2)})
    known = {"is_new": True, "region": "b", "level": 2, "id": 7}
    assert rule.protects(known)
    for change in ({"is_new": False}, {"region": "c"}, {"level": 3}):
        assert not rule.protects(known | change)
    assert rule.protects({"is_new": True, "region": "a"})  # who is not known is protected
    assert not Protected(limit=0.1, viewer=NEW, unknown_viewer="differs").protects({})
    assert Protected(limit=0.1, viewer={}).protects({})
    assert Protected.model_validate(rule.model_dump(mode="json")) == rule


def test_other_evidence():
    rate = Protected("gifts", evidence=Rate(limit=2.0, alternative="below", exposure="minutes"), viewer=NEW)
    assert rate.metrics_read == ("gifts", "minutes") and RULE.metrics_read == ("negative",)
    good = Protected("watched", evidence=BoundedMean(limit=0.3), viewer=NEW)
    state = good.init(K)
    good.observe(state, feedback([2] * 40, watched=0.8))
    assert state.safe.tolist() == [0, 0, 1, 0]


def test_other_events_change_nothing():
    state = RULE.init(K)
    RULE.observe(state, feedback([0] * 99, likes=0))
    RULE.observe(state, Exposure(1, request(), np.array([0])))
    RULE.check(state, feedback([0], weights=2.0, likes=1))
    assert not state.counts.any() and not state.safe.any()
    for bad in (feedback([0], weights=2.0, negative=0), feedback([0], negative=2)):
        with pytest.raises(ValueError, match="negative"):
            RULE.check(state, bad)


def test_configuration():
    assert (RULE.name, RULE.precedence, RULE.relaxable) == ("protected:negative", Precedence.ELIGIBILITY, False)
    assert RULE.evidence == Proportion(limit=0.3, alternative="below")
    for bad in (
        {"viewer": NEW},
        {"limit": 0.1},
        {"limit": 0.1, "viewer": {"is_new": ()}},
        {"limit": 0.1, "viewer": {"is_new": None}},
        {"limit": 0.1, "evidence": Proportion(limit=0.1), "viewer": NEW},
    ):
        with pytest.raises(ValueError, match=r"validation error|give one"):
            Protected(**bad)


def test_a_state_is_saved_loaded_and_grown():
    state = RULE.init(K)
    RULE.observe(state, feedback([1] * 30, negative=0))
    saved = RULE.save(state, 3)
    assert RULE.load(saved, 3).safe.tolist() == [0, 1, 0]
    assert RULE.fit(state, 6, Attributes(6), 0.0).safe.tolist() == [0, 1, 0, 0, 0, 0]
    for name, column, value in (("safe", 1, 2), ("safe", 0, 1), ("counts", 0, np.inf), ("counts", 0, -1.0)):
        broken = {key: array.copy() for key, array in saved.items()}
        broken[name][..., column] = value
        with pytest.raises(CheckpointError):
            RULE.load(broken, 3)


def test_guardrails_and_protection_in_a_chain():
    """Through the face of `Constrained`: who is stopped, paused or unproved is dropped, and the reason counted."""
    constraints = [
        Guardrail("signal", limit=0.1, action="pause"),
        Protected("negative", limit=0.3, viewer=NEW),
        Guardrail("negative", limit=0.02),
    ]
    ranker = Constrained(Bandit(Thompson(), arms=["good", "bad", "odd", "unknown"], seed=3), constraints)
    ranker.update(["good"] * 40, [1.0] * 40, metrics={"negative": [0.0] * 40, "signal": [0.0] * 40})
    ranker.update(["bad"] * 8, [1.0] * 8, metrics={"negative": [1.0] * 8})
    ranker.update(["odd"] * 8, [1.0] * 8, metrics={"signal": [1.0] * 8})
    everyone, new = (ranker.select(k=4, now=0.0, viewer=viewer) for viewer in ({"is_new": False}, NEW))
    assert set(everyone.arms) == {"good", "unknown"}
    assert everyone.dropped == {"STOPPED:negative": 1, "PAUSED:signal": 1}
    assert list(new.arms) == ["good"] and new.dropped["PROTECTED"] == 3
    before = ranker.report()
    with pytest.raises(ValueError, match="negative"):
        ranker.update(["good"], [1.0], metrics={"negative": [3.0]})
    assert ranker.report() == before
    twin = Constrained.from_bytes(ranker.to_bytes())
    assert twin.constraints == ranker.constraints and twin.report() == before
    assert list(twin.select(k=4, now=0.0, viewer=NEW).arms) == ["good"]

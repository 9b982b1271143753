import math

import numpy as np
import pytest
from constraints.events import K, feedback, request
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.bandits.errors import CheckpointError
from seedbed.constraints import BoundedMean, Guardrail, Proportion, Rate
from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Exposure, Precedence


def served(guardrail, state, columns=range(K)):
    keep = np.ones(len(columns), bool)
    for _, mask in guardrail.mask(state, request(columns)):
        keep &= mask
    return keep.tolist()


events = st.lists(
    st.lists(st.tuples(st.integers(0, K - 1), st.booleans(), st.booleans()), min_size=1, max_size=12), max_size=12
)


@pytest.mark.parametrize("action", ["stop", "pause"])
@settings(max_examples=60)
@given(batches=events, resets=st.lists(st.integers(0, K - 1), max_size=2))
def test_it_is_what_a_naive_reading_says(action, batches, resets):
    """After every batch: count, average E over the metrics, stop for good or pause until E falls below the release."""
    limits = {"a": 0.2, "b": 0.3}
    rule = Guardrail(("a", "b"), evidence=tuple(Proportion(limit=x) for x in limits.values()), alpha=0.3, action=action)
    state = rule.init(K)
    tally = {(arm, name): [0, 0] for arm in range(K) for name in limits}
    out = dict.fromkeys(range(K))
    for step, batch in enumerate(batches):
        arms, a, b = zip(*batch, strict=True)
        event = feedback(arms, a=a, b=b)
        rule.check(state, event)
        rule.observe(state, event)
        for arm, *harms in batch:
            for name, harm in zip(limits, harms, strict=True):
                tally[arm, name][0] += harm
                tally[arm, name][1] += 1
        for arm in set(arms):
            each = {
                name: math.exp(Proportion(limit=limits[name]).log_evidence([[s], [n]])[0])
                for (where, name), (s, n) in tally.items()
                if where == arm
            }
            mean = sum(each.values()) / 2
            if action == "pause" and mean < 0.5 / 0.3:
                out[arm] = None
            if out[arm] is None and mean >= 1 / 0.3:
                out[arm] = max(each, key=each.get)
        assert served(rule, state) == [out[arm] is None for arm in range(K)]
        reasons = {reason: keep.tolist() for reason, keep in rule.mask(state, request())}
        word = "STOPPED" if action == "stop" else "PAUSED"
        assert reasons == {
            f"{word}:{name}": [out[arm] != name for arm in range(K)] for name in limits if name in out.values()
        }
        if step == 5:
            for arm in resets:
                rule.reset(state, np.array([arm]))
                out[arm] = None
                tally |= {(arm, name): [0, 0] for name in limits}


def test_a_stopped_arm_stays_stopped_and_a_paused_one_returns():
    """E is 20 and more after ten harms; 400 times no harm later it is nearly nothing."""
    for action, comes_back in (("stop", False), ("pause", True)):
        rule = Guardrail("negative", limit=0.02, action=action)
        state = rule.init(K)
        rule.observe(state, feedback([1] * 10, negative=1))
        assert served(rule, state) == [True, False, True, True]
        assert rule.mask(state, request([0, 2])) == []
        rule.observe(state, feedback([1] * 2_000, negative=0))
        assert served(rule, state)[1] is comes_back


def test_a_pause_is_released_below_its_level_only():
    """Between the release, here 2 of 20, and 20 a paused arm stays paused and a served one served."""
    rule = Guardrail("negative", limit=0.1, action="pause", release=0.1)
    state, seen = rule.init(1), []
    for harm in [1] * 4 + [0] * 60 + [1] * 2:
        rule.observe(state, feedback([0], negative=harm))
        seen.append((math.exp(rule.log_evidence(state, np.array([0]))[0]), served(rule, state, [0])[0]))
    paused = False
    for evidence, is_served in seen:
        paused = evidence >= 20 or (paused and evidence >= 2)
        assert is_served is not paused
    assert any(2 < evidence < 20 and not is_served for evidence, is_served in seen)
    assert any(2 < evidence < 20 and is_served for evidence, is_served in seen)


def test_each_kind_of_evidence():
    rule = Guardrail(
        ("watched", "reports", "comments"),
        evidence=(
            BoundedMean(limit=0.3, alternative="below"),
            Proportion(limit=0.02),
            Rate(limit=2.0, alternative="below", exposure="minutes"),
        ),
    )
    assert rule.metrics_read == ("watched", "reports", "comments", "minutes")
    state = rule.init(K)
    assert state.counts.shape == (16 + 2 + 2, K)
    event = feedback([0, 2, 2], reports=[0, 1, 0], comments=[1, 2, 3], watched=[0.2, 0.4, 1.0], minutes=[1, 0.5, 3])
    rule.check(state, event)
    rule.observe(state, event)
    assert state.counts[16:, 2].tolist() == [1.0, 2.0, 5.0, 3.5]
    wanted = [
        process.log_evidence(rows)
        for process, rows in zip(rule.processes, np.split(state.counts, [16, 18]), strict=True)
    ]
    np.testing.assert_array_equal(rule.each(state, np.arange(K)), wanted)
    mean = np.log(np.mean(np.exp(wanted), axis=0))
    np.testing.assert_allclose(rule.log_evidence(state, np.arange(K)), mean, rtol=1e-12, atol=1e-12)
    rule.observe(state, feedback([3] * 40, watched=0.05))  # what is not told is not counted
    assert not state.counts[16:, 3].any()
    assert [reason for reason, _ in rule.mask(state, request())] == ["STOPPED:watched"]
    assert rule.report(state, Attributes(K))["watched"]["stopped"] == 1


def test_merged_counts_give_the_same_evidence():
    rule = Guardrail("negative", limit=0.02)
    whole, left, right = (rule.init(K) for _ in range(3))
    harms = (np.arange(90) % 7 == 0).astype(float)
    for state, part in ((whole, slice(None)), (left, slice(30)), (right, slice(30, None))):
        rule.observe(state, feedback(np.arange(90)[part] % K, negative=harms[part]))
    merged = whole._replace(counts=left.counts + right.counts)
    columns = np.arange(K)
    assert rule.log_evidence(merged, columns).tobytes() == rule.log_evidence(whole, columns).tobytes()


def test_other_events_change_nothing():
    rule, state = Guardrail("negative", limit=0.02), Guardrail("negative", limit=0.02).init(K)
    rule.observe(state, feedback([0, 1], likes=1))
    rule.observe(state, Exposure(1, request(), np.array([0])))
    rule.check(state, feedback([0, 1], weights=3.0, likes=1))
    assert not state.counts.any() and not state.blocked.any()


@pytest.mark.parametrize(
    ("event", "what"),
    [
        (feedback([0, 1], weights=[1, 2], negative=0), r"weights\[1\] = 2.0.*'negative'"),
        (feedback([0, 1], negative=[0, 1.5]), r"metric 'negative': values\[1\] = 1.5"),
        (feedback([0], negative=np.nan), "metric 'negative'"),
        (feedback([0], negative=0, comments=1), "'comments' is counted for each unit of 'minutes'"),
        (feedback([0], comments=1, minutes=-1), "metric 'comments'"),
    ],
)
def test_bad_feedback_is_refused(event, what):
    rule = Guardrail(("negative", "comments"), evidence=(Proportion(limit=0.02), Rate(limit=2.0, exposure="minutes")))
    state = rule.init(K)
    with pytest.raises(ValueError, match=what):
        rule.check(state, event)
    assert not state.counts.any()


def test_configuration():
    rule = Guardrail("negative", limit=0.02)
    assert rule == Guardrail(metric="negative", evidence={"kind": "proportion", "limit": 0.02})
    assert rule == Guardrail.model_validate(rule.model_dump(mode="json"))
    assert (rule.name, rule.precedence, rule.relaxable) == ("guardrail:negative", Precedence.STOP, False)
    many = Guardrail(("a", "b"), evidence=(Rate(limit=3.0), BoundedMean(limit=0.5)), action="pause")
    assert Guardrail.model_validate_json(many.model_dump_json()) == many
    for bad in (
        {},
        {"limit": 0.02, "evidence": Proportion(limit=0.02)},
        {"limit": 0.02, "alpha": 1.0},
        {"limit": 0.02, "release": 1.5},
        {"limit": 0.02, "action": "warn"},
        {"metric": ("a", "a"), "limit": 0.02},
        {"metric": (), "limit": 0.02},
        {"metric": ("a", "b"), "evidence": (Proportion(limit=0.02),)},
    ):
        with pytest.raises(ValueError, match=r"validation error|give one"):
            Guardrail(**bad)


def test_a_state_is_saved_loaded_and_grown():
    rule = Guardrail("negative", limit=0.02)
    state = rule.init(K)
    rule.observe(state, feedback([1] * 10, negative=1))
    saved = rule.save(state, 3)
    assert served(rule, rule.load(saved, 3), range(3)) == [True, False, True]
    grown = rule.fit(state, 9, Attributes(9), 0.0)
    assert grown.counts.shape == (2, 9) and grown.blocked.tolist() == [0, 1, *[0] * 7]
    for name, column, value in (
        ("blocked", 1, 2),  # of a metric that there is not
        ("blocked", 0, 1),  # without evidence
        ("counts", 0, -1.0),
        ("counts", 1, np.nan),
    ):
        broken = {key: array.copy() for key, array in saved.items()}
        broken[name][..., column] = value
        with pytest.raises(CheckpointError):
            rule.load(broken, 3)

import numpy as np
import pytest
from asking import asked, told
from scipy import stats

from seedbed.bandits import Bandit, CheckpointError, Thompson
from seedbed.constraints import Between, Protection
from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Precedence, forget
from seedbed.constraints.constrained import Constrained

NEW = {"is_new": True}


def test_bounds_are_quantiles():
    for harms, others, level in [(0, 0, 0.9), (0, 90, 0.9), (3, 500, 0.95), (20.5, 1.5, 0.5)]:
        expected = stats.beta(1.0 + harms, 24.0 + others).ppf(level)
        assert Protection(level=level).upper_bound(harms, others) == pytest.approx(expected, rel=1e-9)


def test_blocked_until_shown_harmless():
    protection = Protection(limit=0.02, viewer=NEW)
    state = protection.init(3)
    protection.observe(state, told(np.zeros(90), metrics={"negative": np.zeros(90)}))
    protection.observe(state, told(np.ones(89), metrics={"negative": np.zeros(89)}))
    for viewer, expected in [
        (NEW, [False, True, False]),
        ({"is_new": False}, [True, True, True]),
        ({}, [False, True, False]),
        ({"id": "x"}, [False, True, False]),
    ]:
        masks = protection.mask(state, asked([2, 0, 1], viewer=viewer))
        assert ([True] * 3 if not masks else masks[0][1].tolist()) == expected
        assert all(reason == "PROTECTED" for reason, _ in masks)
    assert protection.report(state, Attributes()) == {"harmless": 1}
    protection.observe(state, told([0], metrics={"negative": [1.0]}))
    assert not protection.mask(state, asked([0], viewer=NEW))[0][1].any()
    protection.observe(state, told([1], weights=[5.0], metrics={"negative": [0.0]}))
    assert protection.mask(state, asked([1], viewer=NEW)) == []
    forget(protection, state, np.array([1]))
    assert not protection.mask(state, asked([1], viewer=NEW))[0][1].any()


def test_only_those_who_are_known_to_need_it():
    protection = Protection(viewer={"age": Between(high=17)}, unknown_viewer="differs")
    state = protection.init(1)
    assert protection.mask(state, asked([0])) == []
    assert protection.mask(state, asked([0], viewer={"age": 18})) == []
    assert len(protection.mask(state, asked([0], viewer={"age": 17}))) == 1


def test_never_relaxed():
    assert Protection.precedence == Precedence.ELIGIBILITY and not Protection.relaxable
    ranker = Constrained(Bandit(Thompson(), arms=["a", "b"], seed=1), [Protection(viewer=NEW)])
    decision = ranker.select(viewer=NEW, now=0.0)
    assert decision.arms == [] and decision.dropped == {"PROTECTED": 2} and decision.relaxed == ()
    ranker.update(["b"] * 90, [0.0] * 90, metrics={"negative": 0.0})
    assert ranker.select(k=2, viewer=NEW, now=0.0).arms == ["b"]
    assert len(ranker.select(k=2, viewer={"is_new": False}, now=0.0).arms) == 2
    with pytest.raises(ValueError, match="is not a proportion"):
        ranker.update("b", 0.0, metrics={"negative": 2.0})


def test_saved_bounds_are_those_of_their_counts():
    protection = Protection()
    state = protection.init(2)
    protection.observe(state, told([0, 1, 1], metrics={"negative": [0.0, 0.5, 1.0]}))
    arrays = protection.save(state, 2)
    twin = protection.load({name: array.copy() for name, array in arrays.items()}, 2)
    assert np.array_equal(twin.upper, state.upper)
    for name, value in [("upper", 0.0), ("counts", -1.0), ("counts", np.inf)]:
        wrong = {key: array.copy() for key, array in arrays.items()}
        wrong[name][..., 0] = value
        with pytest.raises(CheckpointError):
            protection.load(wrong, 2)

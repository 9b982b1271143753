import math

import numpy as np
import pytest
from asking import asked, described, served
from hypothesis import given
from hypothesis import strategies as st

from seedbed.bandits import CheckpointError
from seedbed.constraints import Between, Eligibility, Rule
from seedbed.constraints.base import Precedence, forget

NEWCOMERS = Rule(reason="NEW_VIEWER", viewer={"is_new": True}, arm={"gift": "hard"})
FLAG = Rule(reason="COMPLIANCE", arm={"is_cleared": False})


def dropped(eligibility, state, request):
    """Names of the reason that drops each candidate, None for none; each under one reason at most."""
    out = [None] * request.columns.size
    masks = eligibility.mask(state, request)
    assert len({reason for reason, _ in masks}) == len(masks)
    for reason, keep in masks:
        assert keep.dtype == np.bool_ and not keep.all()
        for i in np.flatnonzero(~keep):
            assert out[i] is None
            out[i] = reason
    return out


def test_blocked_arms_are_masked_and_counted_by_reason():
    eligibility = Eligibility(reasons=("COMPLIANCE", "ASLEEP"))
    state = eligibility.init(5)
    eligibility.block(state, np.array([1, 2]), "ASLEEP")
    eligibility.block(state, np.array([4]), "COMPLIANCE")
    everyone = np.arange(5)
    assert eligibility.allows(state, everyone).tolist() == [True, False, False, True, False]
    assert eligibility.blocks(state, everyone) == {"COMPLIANCE": 1, "ASLEEP": 2}
    assert dropped(eligibility, state, asked([4, 3, 2])) == ["COMPLIANCE", None, "ASLEEP"]
    eligibility.unblock(state, np.array([2, 3]))
    assert eligibility.allows(state, np.array([2, 1])).tolist() == [True, False]
    assert eligibility.mask(state, asked([0, 2, 3])) == []


def test_unknown_reasons_are_refused():
    eligibility = Eligibility()
    state = eligibility.init(2)
    with pytest.raises(ValueError, match="'LATE' is not one of"):
        eligibility.block(state, np.array([0]), "LATE")
    assert eligibility.allows(state, np.array([0, 1])).all()


@pytest.mark.parametrize("reasons", [(), ("A", "A"), tuple(map(str, range(256)))])
def test_bad_reasons(reasons):
    with pytest.raises(ValueError, match="distinct names"):
        Eligibility(reasons=reasons)


def test_too_many_rules():
    Eligibility(rules=(FLAG,) * 64)
    with pytest.raises(ValueError, match="more than 64"):
        Eligibility(rules=(FLAG,) * 65)


def test_eligibility_is_never_relaxed():
    assert Eligibility.precedence == Precedence.ELIGIBILITY == min(Precedence)
    assert not Eligibility.relaxable


def test_schedule():
    """Open from its opening second, closed from its closing one."""
    eligibility = Eligibility(opens="live", closes="ends")
    attributes = described(4, live=[10.0, None, 10.0, None], ends=[20.0, 20.0, None, None])
    state = eligibility.fit(eligibility.init(4), 4, attributes, 0.0)
    table = {
        -math.inf: [False, True, False, True],
        9.9: [False, True, False, True],
        10.0: [True, True, True, True],
        19.9: [True, True, True, True],
        20.0: [False, False, True, True],
    }
    for now, is_open in table.items():
        expected = [None if o else "NOT_OPEN" for o in is_open]
        assert dropped(eligibility, state, asked(range(4), attributes, now=now)) == expected, now


def test_stock_runs_out_and_is_refilled():
    eligibility = Eligibility(stock="units")
    attributes = described(4, units=[2, 0, None, 1.5])
    state = eligibility.fit(eligibility.init(4), 4, attributes, 0.0)
    request = asked([3, 2, 1, 0], attributes)
    assert dropped(eligibility, state, request) == [None, None, "SOLD_OUT", None]
    eligibility.observe(state, served(request, 0, 3))
    assert dropped(eligibility, state, request) == ["SOLD_OUT", None, "SOLD_OUT", None]
    eligibility.observe(state, served(request, 1, 3))
    assert dropped(eligibility, state, request) == ["SOLD_OUT", None, "SOLD_OUT", "SOLD_OUT"]
    assert eligibility.left(state, attributes).tolist() == [0.0, 0.0, math.inf, 0.5]
    assert eligibility.report(state, attributes) == {"blocked": {}, "sold_out": 3}
    attributes.set(np.array([0]), attributes.checked({"units": 5}, 1))
    state = eligibility.fit(state, 4, attributes, 0.0)
    assert dropped(eligibility, state, request) == ["SOLD_OUT", None, "SOLD_OUT", None]
    assert eligibility.left(state, attributes)[0] == 3.0


@pytest.mark.parametrize("name", ["opens", "closes", "stock"])
def test_names_are_no_times_or_stocks(name):
    eligibility = Eligibility(**{name: "x"})
    with pytest.raises(ValueError, match="attribute 'x' holds names; give numbers"):
        eligibility.fit(eligibility.init(2), 2, described(2, x=["noon", "one"]), 0.0)


def test_rules_of_the_roadmap():
    """No new viewers into hard-gift rooms; and no arm without its flag, for anyone."""
    eligibility = Eligibility(rules=(NEWCOMERS, FLAG))
    attributes = described(4, gift=["hard", "soft", "hard", None], is_cleared=[True, True, None, True])
    state = eligibility.fit(eligibility.init(4), 4, attributes, 0.0)
    table = [
        ({"is_new": True}, ["NEW_VIEWER", None, "NEW_VIEWER", "NEW_VIEWER"]),
        ({"is_new": False}, [None, None, "COMPLIANCE", None]),
        ({}, ["NEW_VIEWER", None, "NEW_VIEWER", "NEW_VIEWER"]),
        (None, ["NEW_VIEWER", None, "NEW_VIEWER", "NEW_VIEWER"]),
    ]
    for viewer, expected in table:
        assert dropped(eligibility, state, asked(range(4), attributes, viewer=viewer)) == expected


def test_rules_of_one_reason_count_together():
    hard = Rule(reason="PROTECTED", viewer={"is_new": True}, arm={"gift": "hard"})
    late = Rule(reason="PROTECTED", viewer={"age": Between(high=17)}, arm={"hour": Between(low=22)})
    eligibility = Eligibility(reasons=("PROTECTED",), rules=(hard, late))
    attributes = described(4, gift=["hard", "soft", "soft", "soft"], hour=[20, 23, 20, 20])
    state = eligibility.fit(eligibility.init(4), 4, attributes, 0.0)
    eligibility.block(state, np.array([3]), "PROTECTED")
    request = asked(range(4), attributes, viewer={"is_new": True, "age": 15})
    assert dropped(eligibility, state, request) == ["PROTECTED", "PROTECTED", None, "PROTECTED"]


def test_new_and_changed_arms_are_judged_anew():
    eligibility = Eligibility(rules=(FLAG,))
    attributes = described(2, is_cleared=[True, False])
    state = eligibility.fit(eligibility.init(2), 2, attributes, 0.0)
    eligibility.block(state, np.array([0]), "BLOCKED")
    attributes.fit(4)
    state = eligibility.fit(state, 4, attributes, 0.0)
    expected = ["BLOCKED", "COMPLIANCE", "COMPLIANCE", "COMPLIANCE"]
    assert dropped(eligibility, state, asked(range(4), attributes)) == expected
    attributes.set(np.array([1, 3]), attributes.checked({"is_cleared": True}, 2))
    state = eligibility.fit(state, 4, attributes, 0.0)
    assert dropped(eligibility, state, asked(range(4), attributes)) == ["BLOCKED", None, "COMPLIANCE", None]
    # other arms own columns 0 and 3 now
    forget(eligibility, state, np.array([0, 3]))
    attributes.forget(np.array([0, 3]))
    state = eligibility.fit(state, 4, attributes, 0.0)
    assert dropped(eligibility, state, asked(range(4), attributes)) == ["COMPLIANCE", None, "COMPLIANCE", "COMPLIANCE"]


def test_arms_beyond_the_attributes():
    """Nothing is known of them, as of arms without attributes."""
    eligibility = Eligibility(rules=(FLAG, NEWCOMERS), opens="x", stock="y")
    attributes = described(1, is_cleared=[True], x=[-5.0], y=[1])
    state = eligibility.fit(eligibility.init(3), 3, attributes, 0.0)
    request = asked(range(3), attributes, viewer={"is_new": False})
    assert dropped(eligibility, state, request) == [None, "COMPLIANCE", "COMPLIANCE"]


def test_resumed_state_judges_alike():
    eligibility = Eligibility(rules=(FLAG, NEWCOMERS), stock="units")
    attributes = described(3, is_cleared=[True, False, True], gift=["hard", "hard", "soft"], units=[1, 1, 1])
    state = eligibility.fit(eligibility.init(5), 5, attributes, 0.0)
    eligibility.block(state, np.array([2]), "BLOCKED")
    eligibility.observe(state, served(asked([0], attributes), 0))
    arrays = eligibility.save(state, 3)
    twin = eligibility.load({name: array.copy() for name, array in arrays.items()}, 3)
    again = eligibility.save(twin, 3)
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)
    # however often other attributes change before its first decision
    for _ in range(int(state.seen[0]) + 3):
        fitted = eligibility.fit(eligibility.load(arrays, 3), 3, attributes, 0.0)
        assert dropped(eligibility, fitted, asked(range(3), attributes)) == ["SOLD_OUT", "COMPLIANCE", "BLOCKED"]
        attributes.version = (attributes.version + 1) % 5


def test_what_is_derived_is_not_believed():
    """A file that says that no rule holds, of the very version at hand, lifts no protection."""
    eligibility = Eligibility(rules=(FLAG,))
    attributes = described(2, is_cleared=[True, False])
    arrays = eligibility.save(eligibility.init(2), 2)
    arrays["held"][:], arrays["seen"][:] = 0, attributes.version
    state = eligibility.fit(eligibility.load(arrays, 2), 2, attributes, 0.0)
    assert dropped(eligibility, state, asked([0, 1], attributes)) == [None, "COMPLIANCE"]


def test_rules_about_viewers_alone_hold_for_arms_that_come_later():
    closed = Rule(reason="MINOR", viewer={"age": Between(high=17)}, unknown_arm="differs")
    eligibility = Eligibility(rules=(closed,))
    attributes = described(1, level=[1])
    state = eligibility.fit(eligibility.init(1), 1, attributes, 0.0)
    state = eligibility.fit(state, 3, attributes, 0.0)
    for age, expected in [(17, ["MINOR"] * 3), (18, [None] * 3)]:
        assert dropped(eligibility, state, asked(range(3), attributes, viewer={"age": age})) == expected


@pytest.mark.parametrize(("name", "value"), [("blocked", 2), ("served", -1)])
def test_states_that_cannot_be(name, value):
    eligibility = Eligibility()
    arrays = eligibility.save(eligibility.init(2), 2)
    arrays[name][1] = value
    with pytest.raises(CheckpointError):
        eligibility.load(arrays, 2)


values = st.none() | st.sampled_from(["hard", "soft"])
numbers = st.none() | st.integers(0, 3)


@given(
    st.lists(st.tuples(st.booleans(), values, numbers, numbers, numbers, numbers), min_size=1, max_size=8),
    st.fixed_dictionaries({}, optional={"is_new": st.booleans(), "age": st.integers(0, 3)}),
    st.integers(0, 3),
    st.sampled_from(["matches", "differs"]),
    st.sampled_from(["matches", "differs"]),
    st.randoms(use_true_random=False),
)
def test_against_plain_python(arms, viewer, now, unknown_viewer, unknown_arm, shuffled):
    """First blocked, then closed, then sold out, then the rules in their order; whatever the candidates' order."""
    unknown = {"unknown_viewer": unknown_viewer, "unknown_arm": unknown_arm}
    rules = (
        Rule(reason="ONE", viewer={"is_new": True, "age": Between(low=1, high=2)}, arm={"gift": "hard"}, **unknown),
        Rule(reason="TWO", viewer={"age": (0, 3)}, arm={"level": (1, 2), "gift": ("hard", "soft")}, **unknown),
    )
    eligibility = Eligibility(opens="opens", closes="closes", stock="units", rules=rules)
    gift, level, opens, closes, units = ([arm[i] for arm in arms] for i in range(1, 6))
    attributes = described(len(arms), gift=gift, level=level, opens=opens, closes=closes, units=units)
    state = eligibility.fit(eligibility.init(len(arms)), len(arms), attributes, now)
    eligibility.block(state, np.flatnonzero([arm[0] for arm in arms]), "BLOCKED")
    eligibility.observe(state, served(asked(range(len(arms)), attributes), 0))

    def meets(value, test, how):
        return how == "matches" if value is None else test(value)

    def reason(i):
        blocked, gift, level, opens, closes, units = arms[i]
        is_new, age = viewer.get("is_new"), viewer.get("age")
        if blocked:
            return "BLOCKED"
        if (opens is not None and now < opens) or (closes is not None and now >= closes):
            return "NOT_OPEN"
        if units is not None and units - (i == 0) < 1:
            return "SOLD_OUT"
        young = meets(is_new, lambda v: v, unknown_viewer) and meets(age, lambda v: 1 <= v <= 2, unknown_viewer)
        if young and meets(gift, lambda v: v == "hard", unknown_arm):
            return "ONE"
        if meets(age, lambda v: v in (0, 3), unknown_viewer) and meets(level, lambda v: v in (1, 2), unknown_arm):
            return "TWO" if meets(gift, lambda v: True, unknown_arm) else None
        return None

    order = list(range(len(arms)))
    shuffled.shuffle(order)
    found = dropped(eligibility, state, asked(order, attributes, viewer=viewer, now=now))
    assert found == [reason(i) for i in order]

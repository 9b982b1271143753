import math
from collections import Counter
from unittest import mock

import numpy as np
import pytest
from asking import asked, described, served
from hypothesis import given
from hypothesis import strategies as st

from seedbed.bandits import CheckpointError
from seedbed.constraints import FrequencyCap, frequency
from seedbed.constraints.attributes import Attributes
from seedbed.constraints.base import Precedence


def kept(cap, state, request):
    masks = cap.mask(state, request)
    if not masks:
        return [True] * request.columns.size
    [(reason, keep)] = masks
    assert reason == "FREQUENCY" and not keep.all()
    return keep.tolist()


def show(cap, state, columns, **more):
    """Serve arms to a viewer; the state after it, brought to size as the chain does."""
    request = asked(columns, **more)
    state = cap.fit(state, 0, request.attributes, request.now)
    cap.observe(state, served(request, *range(len(columns))))
    return state


def test_by_hand():
    cap = FrequencyCap(limit=2, window=60.0)
    state = cap.init(3)
    ann, ben = {"id": "ann"}, {"id": "ben"}
    assert kept(cap, state, asked([0, 1], viewer=ann, now=1.0)) == [True, True]
    state = show(cap, state, [0, 1], viewer=ann, now=1.0)
    assert kept(cap, state, asked([0, 1], viewer=ann, now=1.0)) == [True, True]
    state = show(cap, state, [0], viewer=ann, now=2.0)
    assert kept(cap, state, asked([1, 0, 2], viewer=ann, now=59.9)) == [True, False, True]
    assert kept(cap, state, asked([1, 0, 2], viewer=ben, now=59.9)) == [True, True, True]
    assert kept(cap, state, asked([0], viewer=ann, now=60.0)) == [True]
    assert cap.report(state, Attributes()) == {"entries": 2, "dropped": 0, "anonymous": 0}
    state = show(cap, state, [0], viewer=ann, now=60.0)
    assert cap.report(state, Attributes())["entries"] == 1


def test_it_is_never_relaxed():
    assert FrequencyCap.precedence == Precedence.ELIGIBILITY
    assert not FrequencyCap.relaxable


def test_viewers_without_an_id_are_counted_and_not_capped():
    cap = FrequencyCap(limit=1)
    state = show(cap, cap.init(1), [0, 1])
    state = show(cap, state, [0], viewer={"is_new": True})
    assert kept(cap, state, asked([0, 1])) == [True, True]
    assert cap.report(state, Attributes()) == {"entries": 0, "dropped": 0, "anonymous": 3}


@pytest.mark.parametrize("id", [True, 1.5, 2**63, b"x", ("a",)])
def test_ids_that_are_none(id):
    cap = FrequencyCap(limit=1)
    with pytest.raises(ValueError, match="is neither a string nor an integer"):
        cap.mask(cap.init(1), asked([0], viewer={"id": id}))


def test_ids_one_and_text_one_differ():
    cap = FrequencyCap(limit=1)
    state = show(cap, cap.init(1), [0], viewer={"id": 1})
    assert kept(cap, state, asked([0], viewer={"id": "1"})) == [True]
    assert kept(cap, state, asked([0], viewer={"id": np.int64(1)})) == [False]


def test_before_any_time_is_known():
    cap = FrequencyCap(limit=1, window=10.0)
    state = show(cap, cap.init(1), [0], viewer={"id": 1}, now=-math.inf)
    assert kept(cap, state, asked([0], viewer={"id": 1}, now=-math.inf)) == [False]
    assert kept(cap, state, asked([0], viewer={"id": 1}, now=-1e9)) == [True]


def test_caps_of_a_group():
    """Arms 0 and 1 are of one creator; 3 and 4 of none, and count alone."""
    cap = FrequencyCap(limit=1, by="creator")
    assert cap.name == "frequency:creator"
    attributes = described(5, creator=["x", "x", "y", None, None])
    state = show(cap, cap.init(5), [0, 3], attributes=attributes, viewer={"id": 1})
    assert kept(cap, state, asked(range(5), attributes, viewer={"id": 1})) == [False, False, True, False, True]


def test_what_is_forgotten_is_the_oldest_and_is_said():
    """Room for 2 x 2 pairs: the fifth takes the place of the first two, unless they were served again."""
    cap = FrequencyCap(limit=1, max_entries=4)
    state = cap.init(1)
    for viewer in range(4):
        state = show(cap, state, [0], viewer={"id": viewer})
    assert [kept(cap, state, asked([0], viewer={"id": v})) for v in range(4)] == [[False]] * 4
    assert cap.report(state, Attributes()) == {"entries": 4, "dropped": 0, "anonymous": 0}
    state = show(cap, state, [0], viewer={"id": 4})
    assert [kept(cap, state, asked([0], viewer={"id": v})) for v in range(5)] == [[True]] * 2 + [[False]] * 3
    assert cap.report(state, Attributes()) == {"entries": 3, "dropped": 2, "anonymous": 0}
    state = show(cap, state, [0], viewer={"id": 2})  # moves to the newer half, with its count
    state = show(cap, state, [0], viewer={"id": 5})
    assert cap.report(state, Attributes()) == {"entries": 3, "dropped": 3, "anonymous": 0}
    assert [kept(cap, state, asked([0], viewer={"id": v})) for v in range(6)] == [
        [True], [True], [False], [True], [False], [False]
    ]  # fmt: skip


shows = st.lists(
    st.tuples(st.integers(0, 6), st.lists(st.integers(0, 9), min_size=1, max_size=9, unique=True), st.floats(0.0, 4.0)),
    max_size=60,
)


@given(shows, st.integers(1, 4), st.sampled_from([None, 10.0, 50.0]), st.booleans())
def test_against_a_dictionary(history, limit, window, grows):
    """`grows` starts with room for sixteen pairs, so that tables are moved again and again."""
    with mock.patch.object(frequency, "_LEAST", 16 if grows else frequency._LEAST):
        against_a_dictionary(history, limit, window)


def against_a_dictionary(history, limit, window):
    cap = FrequencyCap(limit=limit, window=window, max_entries=500)
    state = cap.init(10)
    now, counts, latest = 0.0, Counter(), 0
    for viewer, arms, passed in history:
        now += passed
        index = 0 if window is None else now // window
        if index != latest:
            counts.clear()
            latest = index
        request = asked(range(10), viewer={"id": viewer}, now=now)
        state = cap.fit(state, 10, request.attributes, now)
        expected = [counts[viewer, arm] < limit for arm in range(10)]
        assert kept(cap, state, request) == expected
        cap.observe(state, served(request, *arms))
        counts.update((viewer, arm) for arm in arms)
        assert cap.report(state, Attributes())["entries"] == len(counts)
    assert cap.report(state, Attributes())["dropped"] == 0
    arrays = cap.save(state, 10)
    twin = cap.load({name: array.copy() for name, array in arrays.items()}, 10)
    for viewer in range(7):
        request = asked(range(10), viewer={"id": viewer}, now=now)
        assert kept(cap, twin, request) == kept(cap, state, request)


@given(shows, st.integers(1, 4), st.sampled_from([None, 50.0]), st.integers(2, 40))
def test_two_generations_against_two_dictionaries(history, limit, window, most):
    """What is served again moves to the newer one with its count; a full one becomes the older, which is dropped."""
    cap = FrequencyCap(limit, window, max_entries=most)
    state = cap.init(10)
    now, newer, older, dropped, latest = 0.0, {}, {}, 0, 0
    for viewer, arms, passed in history:
        now += passed
        index = 0 if window is None else now // window
        if index != latest:
            newer, older, latest = {}, {}, index
        state = show(cap, state, arms, viewer={"id": viewer}, now=now)
        for arm in arms:
            before = newer.get((viewer, arm)) or older.pop((viewer, arm), 0)
            if (viewer, arm) not in newer and len(newer) == most // 2:
                dropped += len(older)
                newer, older = {}, newer
            newer[viewer, arm] = before + 1
        counts = older | newer
        expected = [counts.get((viewer, arm), 0) < limit for arm in range(10)]
        assert kept(cap, state, asked(range(10), viewer={"id": viewer}, now=now)) == expected
        report = cap.report(state, Attributes())
        assert (report["entries"], report["dropped"]) == (len(counts), dropped)


def test_a_crowd():
    """20,000 viewers, two arms each, then each arm once more: tables grow to a million slots, nothing is lost."""
    cap = FrequencyCap(limit=2, max_entries=100_000)
    state = cap.init(1)
    for viewer in range(20_000):
        state = show(cap, state, [viewer % 7, 7 + viewer % 5], viewer={"id": viewer})
    for viewer in range(0, 20_000, 2):
        state = show(cap, state, [viewer % 7], viewer={"id": viewer})
    assert cap.report(state, Attributes()) == {"entries": 40_000, "dropped": 0, "anonymous": 0}
    request = asked(range(12))
    for viewer in range(0, 20_000, 501):
        request.viewer = {"id": viewer}
        expected = [viewer % 2 == 1 or arm != viewer % 7 for arm in range(12)]
        assert kept(cap, state, request) == expected


def test_a_window_in_which_stamps_run_out():
    cap = FrequencyCap(limit=1, window=1.0)
    state = cap.init(1)
    state.counts[2] = 2**31 - 2
    for now in range(5):
        state = show(cap, state, [0], viewer={"id": 1}, now=float(now))
        assert kept(cap, state, asked([0, 1], viewer={"id": 1}, now=float(now))) == [False, True]
        assert kept(cap, state, asked([0, 1], viewer={"id": 2}, now=float(now))) == [True, True]
        assert kept(cap, state, asked([0, 1], viewer={"id": 1}, now=now + 1.0)) == [True, True]
    assert state.counts[2] < 100


def mended(name, index, value):
    def change(arrays):
        arrays[name][index] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        mended("used", (0, 0), 3_000),
        mended("used", (0, 1), 0),
        mended("used", (1, 2), 0),
        mended("counts", 0, 2),
        mended("counts", 3, -1),
        mended("counts", 5, 9),
        mended("links", (0, 0), 1),
        mended("links", (0, 1), -1),
        lambda arrays: arrays["heads"].__setitem__(np.nonzero(arrays["heads"]), 1 << 32 | 900),
        lambda arrays: arrays["heads"].fill(1 << 32 | 1),
        lambda arrays: arrays.update(arms=arrays["arms"][:, :-1].copy()),
        lambda arrays: arrays.update(viewers=arrays["viewers"][:, :-1].copy(), heads=arrays["heads"][:, :-1].copy()),
    ],
)
def test_tables_that_cannot_be(change):
    cap = FrequencyCap(limit=1)
    state = show(cap, cap.init(1), [0, 1], viewer={"id": 1})
    arrays = cap.save(state, 1)
    cap.load({name: array.copy() for name, array in arrays.items()}, 1)
    change(arrays)
    with pytest.raises(CheckpointError):
        cap.load(arrays, 1)

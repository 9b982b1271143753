import numpy as np
import pytest
from constraints.served import attributes_of, exposure_of, request_of
from hypothesis import given
from hypothesis import strategies as st

from seedbed.constraints import Concentration, HeadCap, concentration


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30))
def test_against_all_pairs(counts):
    """Gini: half the mean difference of two, over the mean. HHI: the chance that two exposures are of one arm."""
    gini, hhi = concentration(counts)
    n, total = len(counts), sum(counts)
    if total == 0:
        assert (gini, hhi) == (0.0, 0.0)
        return
    assert gini == pytest.approx(sum(abs(x - y) for x in counts for y in counts) / (2 * n * total), abs=1e-12)
    assert hhi == pytest.approx(sum((x / total) ** 2 for x in counts))


def test_report_of_arms_and_groups():
    """Arms 0, 1, 2 were candidates, 3 never; exposures 3, 1, 0."""
    attributes = attributes_of(4, category=["a", "b", "a", "c"])
    request = request_of([0, 1, 2], attributes=attributes)
    arms, groups = Concentration(), Concentration(by="category")
    states = arms.init(4), groups.init(4)
    for position in (0, 0, 1, 0):
        for constraint, state in zip((arms, groups), states, strict=True):
            constraint.observe(state, exposure_of(request, position))
    assert arms.report(states[0], attributes) == pytest.approx(
        {"gini": 0.5, "hhi": 0.625, "coverage": 2 / 3, "top_share": 0.75, "count": 3}
    )
    assert groups.report(states[1], attributes) == pytest.approx(
        {"gini": 0.25, "hhi": 0.625, "coverage": 1.0, "top_share": 0.75, "count": 2}
    )
    assert arms.report(arms.init(0), attributes)["count"] == 0


def test_head_cap_by_exposures():
    """Limit 4, exposures 16 and 3: factors sqrt(4 / 16) and 1."""
    cap, request = HeadCap(4.0), request_of([2, 0])
    state = cap.fit(cap.init(3), 3, request.attributes, 0.0)
    assert cap.price(state, request) is None
    for n in range(16):
        cap.observe(state, exposure_of(request, *([0, 1] if n < 3 else [0])))
    assert cap.price(state, request).factor.tolist() == [0.5, 1.0]
    assert cap.report(state, request.attributes) == {"above": 1, "largest": 16.0}
    steep = HeadCap(4.0, beta=2.0)
    assert steep.price(state, request).factor.tolist() == [0.0625, 1.0]


def test_head_cap_by_share():
    """One of two exposures counts as one of ten; 8 of 20 are four times a tenth."""
    cap, request = HeadCap(0.1, of="share"), request_of([0, 1])
    state = cap.init(2)
    cap.observe(state, exposure_of(request, 0))
    cap.observe(state, exposure_of(request, 1))
    assert cap.price(state, request) is None
    state.exposures[:], state.total[:] = [8.0, 2.0], 20.0
    np.testing.assert_allclose(cap.price(state, request).factor, [0.5, 1.0])
    assert cap.report(state, request.attributes) == {"above": 1, "largest": 0.4}


def test_head_cap_starts_afresh_in_a_window():
    cap, request = HeadCap(1.0, window=60.0), request_of([0])
    state = cap.fit(cap.init(1), 1, request.attributes, -np.inf)
    state = cap.fit(state, 1, request.attributes, 59.0)
    for _ in range(4):
        cap.observe(state, exposure_of(request, 0))
    state = cap.fit(state, 1, request.attributes, 59.9)
    assert cap.price(state, request).factor.tolist() == [0.5]
    state = cap.fit(state, 2, request.attributes, 60.0)
    assert (cap.price(state, request), state.total[0], state.exposures.size) == (None, 0.0, 2)
    for fields in ({"limit": 0.0}, {"limit": 1.0, "window": 0.0}, {"limit": 1.0, "beta": -1.0}):
        with pytest.raises(ValueError, match="validation error"):
            HeadCap(**fields)

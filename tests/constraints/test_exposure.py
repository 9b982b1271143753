import pytest
from constraints.served import attributes_of, request_of

from seedbed.constraints import Cap, Floor


def test_floors_and_caps_as_shares():
    attributes = attributes_of(4, category=["music", "talk", "music", "games"])
    request = request_of([3, 0, 1], attributes=attributes)
    assert Floor(0.01).shares(None, request).floor == 0.01
    assert Cap(0.4).shares(None, request).cap == 0.4
    share = Floor({"music": 0.2, "unheard": 0.9}, by="category").shares(None, request)
    assert share.groups.tolist() == [3, 1, 2]
    assert share.group_floor.tolist() == [0.0, 0.2, 0.0, 0.0]
    assert share.group_cap is None
    share = Cap(0.3, by="category").shares(None, request)
    assert share.group_cap.tolist() == [1.0, 0.3, 0.3, 0.3]  # 1: arms without a category are in no group
    share = Floor(0.1, by="never given").shares(None, request)
    assert (share.groups.tolist(), share.group_floor.tolist()) == ([0, 0, 0], [0.0])


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), {"a": 2.0}, {"a": 0.5}, "half"])
def test_bad_shares(share):
    for constraint in (Floor, Cap):
        with pytest.raises(ValueError, match="validation error"):
            constraint(share)

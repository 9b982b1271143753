import numpy as np
import pytest

from seedbed.constraints import Eligibility


def test_blocked_arms_are_masked_and_counted_by_reason():
    eligibility = Eligibility(reasons=("COMPLIANCE", "ASLEEP"))
    state = eligibility.init(5)
    eligibility.block(state, np.array([1, 2]), "ASLEEP")
    eligibility.block(state, np.array([4]), "COMPLIANCE")
    everyone = np.arange(5)
    assert eligibility.mask(state, everyone).tolist() == [True, False, False, True, False]
    assert eligibility.dropped(state, everyone) == {"COMPLIANCE": 1, "ASLEEP": 2}
    eligibility.unblock(state, np.array([2, 3]))
    assert eligibility.mask(state, np.array([2, 1])).tolist() == [True, False]


def test_unknown_reasons_are_refused():
    eligibility = Eligibility()
    state = eligibility.init(2)
    with pytest.raises(ValueError, match="'LATE' is not one of"):
        eligibility.block(state, np.array([0]), "LATE")
    assert eligibility.mask(state, np.array([0, 1])).all()


@pytest.mark.parametrize("reasons", [(), ("A", "A")])
def test_bad_reasons(reasons):
    with pytest.raises(ValueError, match="distinct names"):
        Eligibility(reasons=reasons)

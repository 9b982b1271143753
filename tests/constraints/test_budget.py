import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.constraints import Budget

STEPS = st.lists(
    st.tuples(st.sampled_from(["reserve", "release", "advance"]), st.integers(0, 60), st.floats(0, 30)), max_size=60
)


@given(st.integers(0, 100), st.sampled_from([None, 10.0]), STEPS)
def test_never_overspent_in_any_window(limit, window, steps):
    """Against a ledger that remembers every unit with its window."""
    budget = Budget("exposures", limit=limit, window=window)
    state, now = budget.init(), 0.0
    budget.advance(state, budget.window_at(now))
    spent = 0
    for kind, amount, delay in steps:
        if kind == "advance":
            before = budget.window_at(now)
            now += delay
            assert budget.advance(state, budget.window_at(now)) == (budget.window_at(now) > before)
            spent = 0 if budget.window_at(now) > before else spent
        elif kind == "reserve" and amount <= limit - spent:
            budget.reserve(state, amount)
            spent += amount
        elif kind == "release" and amount <= spent:
            budget.release(state, amount)
            spent -= amount
        else:
            call = budget.reserve if kind == "reserve" else budget.release
            with pytest.raises(ValueError, match="cannot"):
                call(state, amount)
        assert budget.spent(state) == spent <= limit
        assert budget.available(state) == limit - spent
        assert budget.overrun(state) == 0


def test_charges_beyond_the_limit_are_noted():
    budget = Budget(limit=10)
    state = budget.init()
    budget.reserve(state, 8)
    budget.charge(state, 5)
    assert (budget.spent(state), budget.available(state), budget.overrun(state)) == (13, 0, 3)
    budget.charge(state, 2)
    assert budget.overrun(state) == 5


def test_windows_by_hand():
    budget = Budget("exposures", limit=5, window=60.0)
    state = budget.init()
    assert budget.advance(state, budget.window_at(59.0))
    budget.reserve(state, 5)
    assert not budget.advance(state, budget.window_at(59.9))
    assert budget.available(state) == 0
    assert budget.advance(state, budget.window_at(60.0))
    assert budget.available(state) == 5


@pytest.mark.parametrize(
    "fields", [{"limit": -1}, {"limit": float("inf")}, {"limit": 5, "window": 0.0}, {}, {"limit": 1, "x": 1}]
)
def test_bad_numbers(fields):
    with pytest.raises(ValueError, match="validation error"):
        Budget("exposures", **fields)

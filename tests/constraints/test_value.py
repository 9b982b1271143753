import pytest

from seedbed.bandits import Bandit, Thompson
from seedbed.constraints import Value
from seedbed.constraints.constrained import Constrained


def test_scores_are_draws_times_values():
    values = {"a": 2.0, "b": 0.5, "c": 3.0}
    ranker = Constrained(Bandit(Thompson(), arms=values, seed=3), [Value("price")])
    ranker.describe(list(values), price=list(values.values()))
    plain = Bandit(Thompson(), arms=values, seed=3)
    for _ in range(20):
        found, draws = ranker.select(k=3), plain.select(k=3)
        by_arm = dict(zip(draws.arms, draws.scores, strict=True))
        assert found.scores == pytest.approx([by_arm[arm] * values[arm] for arm in found.arms], rel=1e-14)
        assert found.arms == sorted(values, key=lambda arm: -by_arm[arm] * values[arm])


def test_a_candidate_without_a_value_is_refused():
    ranker = Constrained(Bandit(Thompson(), arms=["a", "b"]), [Value("price")])
    ranker.describe(["a"], price=1.0)
    with pytest.raises(ValueError, match="1 of the candidates have no 'price'"):
        ranker.select()
    assert ranker.select(["a"]).arms == ["a"]

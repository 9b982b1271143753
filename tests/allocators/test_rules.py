import pytest

from seedbed.allocators.cold_start import BetaPopulation, BucketRules, GammaPopulation, Gate, Rules

POPULATION = BetaPopulation(a=2.0, b=5.0)
RETAINED = Gate(metric="retained", bar=0.3, population=POPULATION)
FOLLOWS = Gate(metric="follows", bar=0.02, population=POPULATION)


def rules(*names, **fields):
    return Rules(version="v", buckets=tuple(BucketRules(name=name, gates=(RETAINED,)) for name in names), **fields)


def test_the_most_specific_bucket_is_found():
    one = rules("", "a", "a/b", "a/b/c", "ab")
    for bucket, index in (
        ("a/b/c", 3), ("a/b/d", 2), ("a/b", 2), ("a/x/c", 1), ("a", 1), ("ab/c", 4), ("abc", 0), ("x/y/z", 0), ("", 0),
    ):  # fmt: skip
        assert one.index(bucket) == index


def test_the_window_is_half_open():
    one = rules("", valid_from=10.0, valid_until=20.0)
    assert [one.holds_at(now) for now in (9.9, 10.0, 19.9, 20.0)] == [False, True, True, False]
    assert rules("").holds_at(-1e9)


def test_bad_rules():
    with pytest.raises(ValueError, match="no bucket ''"):
        rules("a")
    with pytest.raises(ValueError, match="one name"):
        rules("", "a", "a")
    with pytest.raises(ValueError, match="not before"):
        rules("", valid_from=3.0, valid_until=3.0)
    with pytest.raises(ValueError, match="different metrics"):
        Rules(
            version="v",
            buckets=(BucketRules(name="", gates=(RETAINED,)), BucketRules(name="a", gates=(RETAINED, FOLLOWS))),
        )
    for gates in ((FOLLOWS,), (RETAINED, RETAINED), ()):
        with pytest.raises(ValueError, match=r"'retained' first|at least 1"):
            BucketRules(name="", gates=gates)
    with pytest.raises(ValueError, match="frozen"):
        rules("").version = "w"
    with pytest.raises(ValueError, match="below 1"):
        Gate(metric="retained", bar=1.0, population=POPULATION)
    with pytest.raises(ValueError, match="may exceed 1"):
        Gate(metric="comments", bar=1.0, population=POPULATION)
    with pytest.raises(ValueError, match="dispersion is for comments"):
        Gate(metric="retained", bar=0.5, population=POPULATION, dispersion=2.0)
    assert Gate(metric="comments", bar=3.0, population=GammaPopulation(shape=1.0, rate=1.0), dispersion=2.0).is_rate

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seedbed.bandits._random import base_key, fold_in, signed, uid64, uniform

BITS = st.integers(0, 2**64 - 1)


@given(BITS, st.integers(0, 2**53))
def test_fold_in_equals_naive(key, n):
    assert fold_in(signed(key), n) == naive.fold_in(key, n)


@given(BITS, BITS, st.integers(0, 100))
def test_uniform_equals_naive(key, uid, lane):
    u = uniform(signed(key), np.uint64(uid), lane)
    assert u == naive.uniform(key, uid, lane)
    assert 0.0 < u < 1.0


@given(st.integers(0, 3), st.integers(0, 3))
def test_extreme_bits_stay_inside_the_open_interval(low, high):
    assert (np.float64(low) + 0.5) * 2.0**-52 > 0.0
    assert (np.float64(2**52 - 1 - high) + 0.5) * 2.0**-52 < 1.0


def test_uid_tells_types_and_ids_apart():
    ids = [1, "1", -1, "-1", "", 0, "i1", 2**63 - 1, -(2**63)]
    assert len({uid64(id) for id in ids}) == len(ids)
    assert all(uid64(id) == naive.uid64(id) for id in ids)


def test_keys_of_replicas_and_epochs_differ():
    keys = {base_key(seed, replica, epoch) for seed in (0, 1) for replica in ("0", "1", "") for epoch in (0, 1)}
    assert len(keys) == 12


def test_draws_are_uniform_along_arms_decisions_and_lanes():
    base = base_key(42, "0", 0)
    key = fold_in(base, 0)
    along_arms = [uniform(key, np.uint64(uid64(i)), 0) for i in range(20_000)]
    along_decisions = [uniform(fold_in(base, n), np.uint64(uid64("a")), 0) for n in range(20_000)]
    along_lanes = [uniform(key, np.uint64(uid64("a")), lane) for lane in range(20_000)]
    for draws in (along_arms, along_decisions, along_lanes):
        assert stats.kstest(draws, "uniform").pvalue > 1e-6
        pairs = np.corrcoef(draws[:-1], draws[1:])[0, 1]
        assert abs(pairs) * np.sqrt(len(draws)) < 5.0


def test_golden_draws_of_key_42():
    """A change here is a `Replay` line in the changelog: logged decisions would not replay any more."""
    base = base_key(42, "0", 0)
    assert base == GOLDEN_BASE
    assert [
        uniform(fold_in(base, n), np.uint64(uid64(id)), 0) for n, id in ((0, "a"), (1, "a"), (0, 1))
    ] == GOLDEN_DRAWS


GOLDEN_BASE = -5240950831762786044
GOLDEN_DRAWS = [0.5925538506195175, 0.20245788380727847, 0.9322170775687092]

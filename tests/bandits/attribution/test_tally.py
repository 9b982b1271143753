"""The tally beside a dict; each id once, in any order, across checkpoints."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedbed.bandits import Bandit, Beta, CheckpointError, Thompson
from seedbed.bandits.attribution import Attribution, Corrections, Tally, names_of, reconcile
from seedbed.bandits.attribution.credits import KINDS
from seedbed.bandits.checkpoint import pack, unpack

amounts = st.lists(
    st.tuples(
        st.integers(0, 30), st.sampled_from((0, 5, 2**64 - 1)), st.integers(-(2**33), 2**33).map(lambda n: n / 2.0**32)
    ),
    max_size=12,
)


def corrections(rows):
    """Id, item, share; value is twice the share, the rest nothing."""
    ids, items, shares = zip(*rows, strict=True) if rows else ((), (), ())
    columns = [np.zeros(len(rows), kind) for kind in KINDS]
    some = Corrections(*columns)
    share = np.array(shares, float)
    return some._replace(id=np.array(ids, np.uint64), item=np.array(items, np.uint64), share=share, value=2.0 * share)


@settings(max_examples=60)
@given(st.lists(amounts, max_size=5), st.data())
def test_as_a_dict(batches, data):
    tally, seen, given_, taken = Tally(ids=500), set(), {}, {}
    for batch in batches:
        new = 0
        for id, item, share in batch:
            if id not in seen:
                seen.add(id)
                new += 1
                side = given_ if share > 0 else taken
                if share:
                    given_.setdefault(item, Fraction(0))
                    taken.setdefault(item, Fraction(0))
                    side[item] += abs(Fraction(share))
        assert tally.apply(corrections(batch)) == new
        if data.draw(st.booleans()):
            blob = tally.to_bytes()
            tally = Tally.from_bytes(blob)
            assert tally.to_bytes() == blob
    counts = tally.counts()
    assert counts.item.tolist() == sorted(given_)
    for i, item in enumerate(counts.item.tolist()):
        assert Fraction(counts.given[i]) == given_[item]
        assert Fraction(counts.taken[i]) == taken[item]
        assert counts.value[i] == pytest.approx(2.0 * float(given_[item] - taken[item]))
        assert counts.net[i] == counts.given[i] - counts.taken[i]
    assert tally.applied == len(seen)
    assert tally.duplicates == sum(map(len, batches)) - len(seen)


def test_sums_are_exact_beyond_what_floats_hold():
    tally = Tally()
    shares = [2.0**40, 2.0**-32, 2.0**-32, 1.0 - 2.0**-32]
    tally.apply(corrections([(i, 1, share) for i, share in enumerate(shares)]))
    tally.apply(corrections([(10, 1, -(2.0**40)), (11, 1, -1.0)]))
    whole, part = tally._sums[0, :, 0]
    assert (whole, part) == (2**40 + 1, 1)
    assert tally.batch([]).arms == []


def test_ids_are_known_for_a_generation_at_least_and_those_forgotten_counted():
    tally = Tally(ids=3)
    for id in range(6):
        assert tally.apply(corrections([(id, 1, 1.0)])) == 1
    assert tally.apply(corrections([(id, 1, 1.0) for id in range(6)])) == 0
    assert tally.forgotten == 0
    assert tally.apply(corrections([(6, 1, 1.0)])) == 1
    assert tally.forgotten == 3
    assert tally.apply(corrections([(0, 1, 1.0), (3, 1, 1.0)])) == 1


def test_what_arms_gained_and_lost_feeds_a_bandit():
    bandit, tally = Bandit(Thompson(model=Beta()), ["a", 7]), Tally(ids=9)
    a, seven = names_of(["a", 7]).tolist()
    tally.apply(corrections([(1, a, 0.5), (2, a, 0.5), (3, seven, 1.0), (4, 99, 1.0)]))
    batch = tally.batch(bandit.arms)
    assert (batch.arms, batch.gained.tolist(), batch.lost.tolist()) == (["a", 7], [1.0, 1.0], [0.0, 0.0])
    bandit.update(batch.arms, np.ones(2), weight=batch.gained)
    assert tally.batch(bandit.arms).arms == []
    tally.apply(corrections([(5, a, -0.25), (6, 99, 1.0)]))
    batch = Tally.from_bytes(tally.to_bytes()).batch(bandit.arms)  # what was read is remembered
    assert (batch.arms, batch.gained.tolist(), batch.lost.tolist()) == (["a"], [0.0], [0.25])
    bandit.correct(batch.arms, np.ones(1), weight=batch.lost)
    assert bandit.mean(["a", 7]) == pytest.approx([(1.0 + 0.75) / (2.0 + 0.75), 2.0 / 3.0])


def test_credits_and_reconciliations_are_applied_alike():
    attribution, tally = Attribution(), Tally()
    attribution.touch([1], [2], [0.0], [3])
    credits = attribution.convert([1, 2], [1, 1], [2, 2], [60.0, 61.0], "order", values=[3.0, 4.0])
    assert tally.apply(credits) == 2
    found = reconcile(([2], [1], [2]), ([2], [1], [5]))
    assert tally.apply(found.corrections) == 1
    assert tally.apply(reconcile(([2], [1], [2]), ([2], [1], [5])).corrections) == 0
    assert tally.counts().given.tolist() == [5.0]
    assert tally.counts().value.tolist() == [7.0]


def test_sums_stay_such_that_they_can_be_read_again():
    tally, some = Tally(), corrections([(1, 7, 1.0), (2, 7, 1.0)])
    with pytest.raises(ValueError, match="values 1e15 in size"):
        tally.apply(some._replace(value=np.full(2, 1.7e308)))
    tally.apply(some._replace(value=np.full(2, 1e15)))
    assert Tally.from_bytes(tally.to_bytes()).counts().value.tolist() == [2e15]


def test_capacities_that_no_memory_holds_are_refused(monkeypatch):
    def none_left(capacity):
        raise MemoryError

    blobs = Tally().to_bytes(), Attribution().to_bytes()
    for module in ("tally", "_state"):
        monkeypatch.setattr(f"seedbed.bandits.attribution.{module}.new_generations", none_left)
    for cls, blob in zip((Tally, Attribution), blobs, strict=True):
        with pytest.raises(CheckpointError, match="no memory here"):
            cls.from_bytes(blob)


def test_what_is_no_amount_is_refused():
    tally = Tally()
    with pytest.raises(ValueError, match="neither Credits nor Corrections"):
        tally.apply([1, 2])
    for share in (np.nan, np.inf, 2.0**53):
        with pytest.raises(ValueError, match="must be finite"):
            tally.apply(corrections([(1, 1, share)]))
    with pytest.raises(ValueError, match=r"ids must be in \[1"):
        Tally(ids=0)
    assert (tally.applied, tally.counts().item.size) == (0, 0)


def test_altered_bytes_are_refused_or_harmless():
    tally = Tally(ids=4)
    tally.apply(corrections([(id, id % 3, 1.5 - id) for id in range(7)]))
    tally.batch([])
    blob = tally.to_bytes()
    for place in range(0, len(blob), 11):
        with pytest.raises(CheckpointError):
            Tally.from_bytes(blob[:place])
        with pytest.raises(CheckpointError):
            Tally.from_bytes(blob[:place] + bytes([blob[place] ^ 4]) + blob[place + 1 :])
    whole, refused = unpack(blob, "tally"), 0
    for name, array in whole.arrays.items():
        for changed in (array[:-1], np.zeros(9, array.dtype), -np.ones_like(array.astype(float)), array[::-1].copy()):
            try:
                twin = Tally.from_bytes(pack(whole._replace(arrays=whole.arrays | {name: changed})))
            except CheckpointError:
                refused += 1
            else:
                twin.apply(corrections([(77, 1, 1.0)]))
                twin.counts()
    assert refused >= 12
    for name in whole.values:
        for odd in (-1, None, 0.5, 2**60):
            with pytest.raises(CheckpointError):
                Tally.from_bytes(pack(whole._replace(values=whole.values | {name: odd})))


def naive_reconciliation(counts, truth, tolerance):
    """{(item, minute): (ours, truth, within)}."""
    sides = []
    for side in (counts, truth):
        sums = {}
        for item, minute, count in side:
            sums[item, minute] = sums.get((item, minute), 0) + count
        sides.append(sums)
    return {
        key: (sides[0].get(key, 0), sides[1].get(key, 0),
              abs(sides[0].get(key, 0) - sides[1].get(key, 0)) <= tolerance * sides[1].get(key, 0))
        for key in sorted({*sides[0], *sides[1]})
    }  # fmt: skip


cells = st.lists(st.tuples(st.sampled_from((0, 3, 2**63)), st.integers(0, 2), st.integers(0, 2_000)), max_size=8)


@settings(max_examples=60)
@given(cells, cells, st.sampled_from((0.0, 0.001, 0.5)))
def test_reconciliation_as_dicts(counts, truth, tolerance):
    def columns(side):
        return [np.array([row[j] for row in side], kind) for j, kind in enumerate((np.uint64, np.int64, float))]

    found, expected = (
        reconcile(columns(counts), columns(truth), tolerance),
        naive_reconciliation(counts, truth, tolerance),
    )
    keys = list(zip(found.item.tolist(), found.minute.tolist(), strict=True))
    assert keys == list(expected)
    assert list(zip(found.ours, found.truth, found.is_within, strict=True)) == list(expected.values())
    assert found.agrees == all(within for *_, within in expected.values())
    assert (found.difference == found.truth - found.ours).all()
    off = {key: true - ours for key, (ours, true, within) in expected.items() if not within}
    fixed = found.corrections
    named = zip(fixed.item.tolist(), (fixed.at / 60.0).tolist(), strict=True)
    assert dict(zip(named, fixed.share.tolist(), strict=True)) == off
    assert len(set(fixed.id.tolist())) == len(off)
    again = reconcile(columns(counts[::-1]), columns(truth[::-1]), tolerance).corrections
    assert again.id.tolist() == fixed.id.tolist()
    if off:
        other = reconcile(columns(counts), columns([*truth, *((*key, 1) for key in off)]), tolerance).corrections
        assert not set(other.id.tolist()) & set(fixed.id.tolist())


def test_relative_differences():
    found = reconcile(([1, 2, 3], [0, 0, 0], [1, 0, 2]), ([1, 2], [0, 0], [4, 0]))
    assert found.relative.tolist() == [0.75, 0.0, -np.inf]
    assert found.is_within.tolist() == [False, True, False]


@pytest.mark.parametrize(("counts", "message"), [
    (5, "counts must be three columns"), (([1], [0]), "counts must be three columns"),
    (([1.0], [0], [1]), "items of counts must be 64-bit names"), (([1], [0.5], [1]), "minutes of counts must be whole"),
    (([1], [-1], [1]), r"minutes of counts must be in \[0"), (([1], [0], [-1]), "counts of counts: entry 0, -1.0"),
    (([1], [0], [np.nan]), "entry 0, nan"), (([1], [0, 1], [1]), "one an item"),
    (([1], [0], [1, 2]), "one entry for each"),
])  # fmt: skip
def test_columns_that_cannot_be_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        reconcile(counts, ([1], [0], [1]))
    with pytest.raises(ValueError, match="tolerance"):
        reconcile(([1], [0], [1]), ([1], [0], [1]), tolerance=-1.0)

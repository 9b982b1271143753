"""The decision log: what was appended is read, as records and as columns; torn tails, damage, rotation, compression."""

import json
import math
import shutil
import threading

import msgpack
import numpy as np
import pytest
from checks import run_together

from seedbed.bandits import Bandit, Decision, Thompson, UnknownArmError
from seedbed.storage import DecisionLog, DecisionReader, Journal, JournalError, LoggedDecision, LoggedReward
from seedbed.storage._entries import DECISION_FIELDS, HEAD, fields_of
from seedbed.storage._packing import pack, unpack
from seedbed.storage.decision_log import versions

NO_ROWS = np.empty(0, np.int64)


def decision(n=0, arms=("a",), **fields):
    """A decision made up by hand."""
    fields = {"scores": [0.5 + i for i in range(len(arms))], **fields}
    return Decision(("eu", 2, n), 7 * n - 3, 10 + n, list(arms), NO_ROWS, **fields)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


def read(path):
    return list(DecisionReader(path))


def test_what_was_appended_is_read(path):
    """Every field, by hand; the hash of the candidates is BLAKE2b-64 of them as msgpack."""
    first = decision(
        0,
        ("a", 7),
        dropped={"paused": 2},
        propensities=[0.25, 0.5],
        deterministic=True,
        relaxed=("floor",),
        reasons=("SCORE", "FLOOR"),
        propensity_method="monte_carlo",
    )
    with DecisionLog(path) as log:
        log.append(
            first,
            at=60.0,
            candidates=(id for id in ["a", 7, "c"]),
            keep_candidates=True,
            context=[1.0, 2.0],
            policy="v1",
            rules="r2",
            stages=["SEED", "SCALE"],
            positions=[3, 5],
        )
        log.reward(first, 7, 2.0, at=61.5)
        log.reward(("eu", 2, 9), "a", 1)
        log.append(decision(1, ()))
        log.append(decision(2), forced=[True], candidates=["a"])
    one, reward, other, empty, last = read(path)
    assert one == LoggedDecision(
        ("eu", 2, 0), 60.0, -3, 10, "v1", "r2", one.candidates_hash, 3, ("a", 7),
        (0.5, 1.5), (0.25, 0.5), "monte_carlo", True, ("SEED", "SCALE"), ("SCORE", "FLOOR"), (False, True), (3, 5),
        {"paused": 2}, ("floor",), [1.0, 2.0], ("a", 7, "c"),
    )  # fmt: skip
    assert reward == LoggedReward(("eu", 2, 0), 7, 2.0, 61.5)
    assert (other.decision_id, other.arm, other.reward, math.isnan(other.at)) == (("eu", 2, 9), "a", 1.0, True)
    assert (empty.arms, empty.candidates_hash, empty.n_candidates, math.isnan(empty.at)) == ((), None, None, True)
    assert (last.forced, last.n_candidates, last.candidates, last.context) == ((True,), 1, None, None)


def test_the_hash_of_candidates_by_hand(path):
    from hashlib import blake2b

    with DecisionLog(path) as log:
        log.append(decision(), candidates=["a", 7, "c"])
        log.append(decision(), candidates=["c", 7, "a"])
    expected = blake2b(b"\x93\xa1a\x07\xa1c", digest_size=8).digest()
    hashes = [each.candidates_hash for each in read(path)]
    assert hashes[0] == int.from_bytes(expected, "little")
    assert hashes[0] != hashes[1]


def test_columns_by_hand(path):
    """Rewards of one arm of one decision add up; those of a decision that is not there are in no row."""
    with DecisionLog(path) as log:
        both = decision(0, ("a", "b"), propensities=[0.2, 0.4])
        log.append(both, at=1.0, candidates=["a", "b", "c"], stages=["SEED", "SCALE"])
        log.append(decision(1, (), dropped={"BUDGET_SPENT": 3}), at=2.0)
        log.append(decision(2, ("b",)), forced=[True])
        for reward in (1.0, 0.5):
            log.reward(both, "b", reward)
        log.reward(("eu", 2, 99), "b", 5.0)
    reader = DecisionReader(path)
    arms = reader.columns()
    assert arms["n"].tolist() == [0, 0, 2]
    assert arms["arm"].tolist() == ["a", "b", "b"]
    assert arms["position"].tolist() == [0, 1, 0]
    assert arms["score"].tolist() == [0.5, 1.5, 0.5]
    assert arms["stage"].tolist() == ["SEED", "SCALE", ""]
    assert arms["forced"].tolist() == [False, False, True]
    assert arms["n_candidates"].tolist() == [3, 3, -1]
    assert arms["rewards"].tolist() == [0, 2, 0]
    np.testing.assert_array_equal(arms["propensity"], [0.2, 0.4, np.nan])
    np.testing.assert_array_equal(arms["reward"], [np.nan, 1.5, np.nan])
    np.testing.assert_array_equal(arms["at"], [1.0, 1.0, np.nan])
    decisions = reader.columns("decision")
    assert decisions["n"].tolist() == [0, 1, 2]
    assert decisions["chosen"].tolist() == [2, 0, 1]
    assert [json.loads(text) for text in decisions["dropped"]] == [{}, {"BUDGET_SPENT": 3}, {}]
    np.testing.assert_array_equal(decisions["reward"], [1.5, np.nan, np.nan])
    with pytest.raises(ValueError, match="per = 'room' is neither 'arm' nor 'decision'"):
        reader.columns("room")


def test_an_empty_log_has_the_same_columns(path, tmp_path):
    with DecisionLog(path), DecisionLog(tmp_path / "other") as log:
        log.append(decision())
    for per in ("arm", "decision"):
        empty, full = DecisionReader(path).columns(per), DecisionReader(tmp_path / "other").columns(per)
        assert list(empty) == list(full)
        assert [column.dtype for column in empty.values()] == [column.dtype for column in full.values()]
        assert {column.size for column in empty.values()} == {0}


def test_tables_of_other_libraries(path):
    with DecisionLog(path) as log:
        log.append(decision(0, ("a", "b"), propensities=[0.2, 0.4]), candidates=["a", "b"])
        log.reward(("eu", 2, 0), "b", 1.0)
    reader = DecisionReader(path)
    columns = reader.columns()
    pandas, polars, arrow = reader.to_pandas(), reader.to_polars(), reader.to_arrow()
    assert list(pandas.columns) == polars.columns == arrow.column_names == list(columns)
    for name, column in columns.items():
        if name not in ("reward", "at"):  # which are not told: NaN
            assert pandas[name].tolist() == polars[name].to_list() == arrow[name].to_pylist() == column.tolist()
    assert polars["reward"].to_list()[1] == 1.0
    assert polars["candidates_hash"].to_list() == [columns["candidates_hash"][0]] * 2


def test_arms_of_two_sorts_are_no_column_of_arrow(path):
    """`1` and `"1"` differ: to write both as text would make them one."""
    with DecisionLog(path) as log:
        log.append(decision(0, (1, "1")))
    reader = DecisionReader(path)
    assert reader.to_pandas()["arm"].tolist() == [1, "1"]
    for make in (reader.to_arrow, reader.to_polars):
        with pytest.raises(ValueError, match="both strings and integers"):
            make()


def test_without_the_extra_it_says_what_to_install(path, monkeypatch):
    with DecisionLog(path):
        pass
    for name in ("pandas", "polars", "pyarrow", "zstandard"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    reader = DecisionReader(path)
    for make in (reader.to_pandas, reader.to_polars, reader.to_arrow):
        with pytest.raises(ImportError, match=r"pip install 'seedbed\[frames\]'"):
            make()
    with pytest.raises(ImportError, match=r"pip install 'seedbed\[zstd\]'"):
        DecisionLog(path, compress=True)
    with DecisionLog(path):  # it was let go of
        pass


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda log: log.append("a"), "decision = 'a' is not a Decision"),
        (lambda log: log.append(decision(), stages=["SEED", "SEED"]), "stages has 2 entries for 1 chosen arms"),
        (lambda log: log.append(decision(), forced=[]), "forced has 0 entries for 1 chosen arms"),
        (lambda log: log.append(decision(), positions=[0, 1]), "positions has 2 entries"),
        (lambda log: log.append(decision(), at="now"), "at = 'now' is not a number"),
        (lambda log: log.append(decision(), candidates=["a", None]), r"candidates\[1\] = None"),
        (lambda log: log.append(decision(), context=[object()]), "only numbers, text, arrays"),
        (lambda log: log.reward(decision(), "b", 1.0), r"arm 'b' is not among the arms of this decision, \['a'\]"),
        (lambda log: log.reward("a", "b", 1.0), "neither a Decision nor its id"),
        (lambda log: log.reward(("eu", 1.0, 2), "b", 1.0), "neither a Decision nor its id"),
        (lambda log: log.reward(("eu", True, 2), "b", 1.0), "neither a Decision nor its id"),
        (lambda log: log.reward(decision(), "a", "1"), "reward = '1' is not a number"),
        (lambda log: log.reward(decision(), 1.5, 1.0), "arm = 1.5"),
    ],
)
def test_bad_input_writes_nothing(path, call, message):
    with DecisionLog(path) as log:
        before = log._journal.position
        with pytest.raises((ValueError, UnknownArmError), match=message):
            call(log)
        assert log._journal.position == before


@pytest.mark.parametrize("options", [{"segment_bytes": 10}, {"keep": 0}, {"segment_bytes": 1e6}, {"fsync": "often"}])
def test_bad_options_are_refused(path, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        DecisionLog(path, **options)


def test_no_log_is_no_log(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(JournalError, match="there is no decision log in"):
            DecisionReader(path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (b"first", "cannot be read|is no decision log"),
        (pack({"kind": 1}), "is no decision log"),
        (pack([]), "is no decision log"),
        (pack([17, 1]), "is no decision log"),
        (pack([True]), "is no decision log"),
        (pack([HEAD]), "is no decision log"),
        (pack([HEAD, 1, 5]), "is no decision log"),
        (pack([1, True]), "is no decision log"),
        (pack([3]), "is no decision log"),
        (pack([HEAD, 2, {}]), "layout 2, newer than 1"),
        (pack([3, [1, 2]]), "an entry of this log is no decision"),
        (pack([3, [["eu", 1, 2]]]), "an entry of this log is no decision"),
        (pack([2, "select"]), "an entry of this log is no call"),
        (pack([2, "select", [], {}, [["eu", 1]]]), "an entry of this log is no call"),
        (pack([2, "select", [], {}, [], 5]), "an entry of this log is no call"),
        (pack([2, "select", [], {}, [], [5]]), "an entry of this log is no call"),
        (pack([2, "select", [], {5: 1}, []]), "an entry of this log is no call"),
        (pack([2, "update", ["a"], {}, [["eu", 1, 2]]]), "an update of this log tells no rewards"),
        (pack([2, "update", [{}, 1.0], {}, [["eu", 1, 2]]]), "an update of this log tells no rewards"),
        (pack([4, ["eu", 1, 2]]), "is no reward"),
        (pack([4, ["eu", 1, 2], {}, 1.0, 1.0]), "is no reward"),
        (msgpack.packb([3, msgpack.ExtType(9, b"")]), "cannot be read"),
    ],
)
def test_entries_that_are_none(path, entry, message):
    with Journal(path) as journal:
        journal.append(entry)
    with pytest.raises(JournalError, match=message):
        read(path)


def test_entries_of_a_later_version_have_more_fields_and_older_ones_fewer(path):
    fields = unpack(pack(fields_of(decision(3), candidates=["a"], keep_candidates=True)))
    with Journal(path) as journal:
        journal.append(pack([HEAD, 1, versions(), "more"]))
        journal.append(pack([3, [*fields, "more"], "more"]))
        journal.append(pack([3, fields[:-2]]))
        journal.append(pack([4, ["eu", 2, 3], "a", 1.0, 2.0, "more"]))
    whole, older, reward = read(path)
    assert whole.candidates == ("a",)
    assert (older.candidates, older.context, older.arms) == (None, None, ("a",))
    assert reward.at == 2.0
    assert len(fields) == len(DECISION_FIELDS)


def test_a_torn_tail_is_left_out_and_the_log_goes_on(path, tmp_path):
    """Cut at every byte of the last two entries."""
    with DecisionLog(path) as log:
        ends = [log._journal.position[1]]
        for n in range(3):
            log.append(decision(n))
            ends.append(log._journal.position[1])
    content = (path / "1.journal").read_bytes()
    for size in range(ends[1], len(content)):
        (path / "1.journal").write_bytes(content[:size])
        kept = sum(end <= size for end in ends[1:])
        reader = DecisionReader(path)
        assert [each.decision_id[2] for each in reader] == list(range(kept))
        assert reader.torn == size - ends[kept]
        with DecisionLog(path) as log:
            assert log.torn == size - ends[kept]
            log.append(decision(9))
        assert [each.decision_id[2] for each in read(path)] == [*range(kept), 9]


def test_a_head_that_was_torn_is_written_again(path):
    for size in range(40):
        with DecisionLog(path):
            pass
        content = (path / "1.journal").read_bytes()
        (path / "1.journal").write_bytes(content[:size])
        assert read(path) == []
        with DecisionLog(path) as log:
            log.append(decision(1))
        assert [each.decision_id[2] for each in read(path)] == [1]
        shutil.rmtree(path)


def test_damage_is_refused(path):
    with DecisionLog(path, fsync="always") as log:
        for n in range(3):
            log.append(decision(n))
    content = bytearray((path / "1.journal").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "1.journal").write_bytes(content)
    with pytest.raises(JournalError, match=r"segment 1 of the journal .* is damaged at byte"):
        read(path)


def test_only_the_last_segment_may_be_torn(path):
    with DecisionLog(path, segment_bytes=2_000) as log:
        for n in range(30):
            log.append(decision(n))
    content = (path / "1.journal").read_bytes()
    (path / "1.journal").write_bytes(content[:-3])
    with pytest.raises(JournalError, match=r"segment 1 of the journal .* is damaged at byte"):
        read(path)


def test_a_closed_segment_cut_between_frames_is_noticed(path):
    with DecisionLog(path, segment_bytes=2_000) as log:
        ends = []
        for n in range(30):
            log.append(decision(n))
            ends.append(log._journal.position)
    content, end = (path / "1.journal").read_bytes(), [place for segment, place in ends if segment == 1][-2]
    (path / "1.journal").write_bytes(content[:end])
    with pytest.raises(JournalError, match=f"was closed with {len(content)} bytes and has {end}; restore the file"):
        read(path)


@pytest.mark.parametrize("compress", [False, True])
def test_segments_are_closed_when_full_and_read_in_order(path, compress):
    """Each begins with its head, so that older ones may go; compressed ones read the same."""
    with DecisionLog(path, segment_bytes=2_000, compress=compress) as log:
        for n in range(100):
            log.append(decision(n))
        segments = log._journal.segments
    assert len(segments) > 3
    names = sorted(file.name for file in path.iterdir() if file.name != "lock")
    if compress:
        assert f"{segments[0]}.journal.zst" in names
        assert f"{segments[0]}.journal" not in names
        with DecisionLog(path, compress=True):  # what was not compressed yet
            pass
        names = {file.name for file in path.iterdir()}
        assert names == {"lock", f"{segments[-1]}.journal", *(f"{n}.journal.zst" for n in segments[:-1])}
    assert [each.decision_id[2] for each in read(path)] == list(range(100))
    heads = [entry for entry in DecisionReader(path).entries() if entry[0] == HEAD]
    closed = [None, *(len(DecisionReader(path)._segments.content(number)) for number in segments[:-1])]
    assert heads[: len(segments)] == [[HEAD, 1, versions(), size] for size in closed]
    assert len(heads) == len(segments) + 1 + 2 * compress  # one for each opening and closing


def test_as_many_segments_are_kept_as_wanted(path):
    with DecisionLog(path, segment_bytes=2_000, keep=2) as log:
        for n in range(100):
            log.append(decision(n))
        assert len(log._journal.segments) == 2
    numbers = [each.decision_id[2] for each in read(path)]
    assert numbers == list(range(numbers[0], 100))
    assert numbers[0] > 50


def test_a_crash_between_compressing_and_removing_changes_nothing(path):
    with DecisionLog(path, segment_bytes=2_000, compress=True) as log:
        for n in range(30):
            log.append(decision(n))
        last = log._journal.segments[-1]
        content = log._journal._files.content(1)
    (path / "1.journal").write_bytes(content)
    assert [each.decision_id[2] for each in read(path)] == list(range(30))
    with DecisionLog(path, compress=True):
        pass
    assert not (path / "1.journal").exists()
    with DecisionLog(path, segment_bytes=1_024, keep=1) as log:
        for n in range(30):
            log.append(decision(n))
    assert not (path / "1.journal.zst").exists()
    assert last


def test_a_damaged_compressed_segment_is_refused(path):
    from seedbed.storage import StoreError

    with DecisionLog(path, segment_bytes=2_000, compress=True) as log:
        for n in range(30):
            log.append(decision(n))
    packed = bytearray((path / "1.journal.zst").read_bytes())
    for place in range(0, len(packed), 37):
        packed[place] ^= 1
        (path / "1.journal.zst").write_bytes(packed)
        with pytest.raises(StoreError, match=r"1.journal.zst is damaged|segment 1 of the journal"):
            read(path)
        packed[place] ^= 1


def test_a_log_that_is_being_written_can_be_read(path):
    """Threads write, segments close and are compressed; a reader sees a beginning of each thread's entries."""
    threads, each, seen = 3, 300, []
    stop = threading.Event()
    with DecisionLog(path, segment_bytes=4_000, compress=True) as log:

        def write(replica):
            for n in range(each):
                log.append(Decision((replica, 0, n), 0, 0, ["a"], NO_ROWS, [0.0]))

        def look():
            while not stop.is_set():
                counts = {}
                for one in DecisionReader(path).decisions():
                    replica, _, n = one.decision_id
                    assert n == counts.get(replica, 0)
                    counts[replica] = n + 1
                seen.append(sum(counts.values()))

        looking = threading.Thread(target=look)
        looking.start()
        run_together(*(lambda name=f"r{i}": write(name) for i in range(threads)))
        stop.set()
        looking.join()
    assert seen == sorted(seen)
    assert len(read(path)) == threads * each


def test_two_processes_cannot_write_one_log(path):
    from seedbed.storage import StoreUnavailableError

    with DecisionLog(path), pytest.raises(StoreUnavailableError, match="another writer has held"):
        DecisionLog(path)


def test_a_real_decision_and_its_reward(path):
    bandit = Bandit(Thompson(), ["a", "b", "c"], seed=3)
    with DecisionLog(path) as log:
        made = [bandit.select(["a", "b"], propensities=True) for _ in range(20)]
        for each in made:
            log.append(each, candidates=["a", "b"])
            log.reward(each, each.arms[0], 1.0)
    columns = DecisionReader(path).columns()
    assert columns["arm"].tolist() == [each.arms[0] for each in made]
    assert columns["propensity"].tolist() == [each.propensities[0] for each in made]
    assert columns["key"].tolist() == [each.key for each in made]
    assert columns["reward"].tolist() == [1.0] * 20


def test_a_closed_segment_that_lost_its_header(tmp_path):
    """What is shorter than a header was torn only where nothing follows."""
    with DecisionLog(tmp_path, segment_bytes=1024) as log:
        bandit = Bandit(Thompson(), ["a", "b"])
        for _ in range(20):
            log.append(bandit.select())
    file = tmp_path / "1.journal"
    for size in (20, 0):
        file.write_bytes(file.read_bytes()[:size])
        with pytest.raises(JournalError, match=f"segment 1 .* cannot be read: it has {size} bytes"):
            list(DecisionReader(tmp_path))


def test_a_record_of_no_plan(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(pack([2, "tick", [], {}, [], [], None, {"a": 1}]))
    with pytest.raises(JournalError, match="a record of this log is of no plan"):
        DecisionReader(tmp_path).plans()

"""The journal: what was acknowledged is there, what was torn is cut off and told, what is damaged is refused."""

import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from io import FileIO

import pytest
from checks import run_together

import seedbed.storage.journal
from seedbed.storage import Journal, JournalError, StoreUnavailableError
from seedbed.storage._frames import HEADER

EVENTS = [b"first", b"second" * 10, b"\0", b"\xc1SBF" * 5, b"last"]
ALL = len(EVENTS)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "journal"


def written(path, fsync="always", events=EVENTS):
    """Make a journal, and return where its events end."""
    with Journal(path, fsync=fsync) as journal:
        return [journal.position[1], *(journal.append(event)[1] for event in events)]


def last(path):
    return max(path.glob("*.journal"), key=lambda file: int(file.stem))


def contents(path):
    with Journal(path) as journal:
        return list(journal.read())


def flip(file, place):
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def test_what_was_appended_is_read(path):
    with Journal(path) as journal:
        assert journal.segments == [1]
        assert list(journal.read()) == []
        for event in EVENTS[:2]:
            journal.append(event)
        assert (journal.frames, journal.rotate(), journal.frames) == (2, 2, 0)
        journal.append(EVENTS[2])
    with Journal(path) as journal:
        assert (journal.torn, journal.frames, journal.segments) == (0, 1, [1, 2])
        journal.append(EVENTS[3])
        assert journal.rotate() == 3
        assert list(journal.read()) == EVENTS[:4]
        assert list(journal.read(2)) == EVENTS[2:4]
        assert list(journal.read(3)) == []
        journal.drop(before=2)
        assert journal.segments == [2, 3]
        assert list(journal.read()) == EVENTS[2:4]
        name = journal.name
    with Journal(path) as journal:
        assert journal.name == name
        assert list(journal.read()) == EVENTS[2:4]
    assert repr(journal) == f"Journal({str(path)!r}, fsync='always')"


@pytest.mark.parametrize("fsync", ["always", "never"])
@pytest.mark.parametrize("earlier", [0, 1])
def test_cut_at_every_byte(path, fsync, earlier):
    """All whole frames stay, what is left of the next is told, and the journal goes on."""
    with Journal(path, fsync=fsync) as journal:
        for _ in range(earlier):
            journal.append(b"earlier")
            journal.rotate()
    ends = written(path, fsync)
    content = last(path).read_bytes()
    for size in range(len(content)):
        last(path).write_bytes(content[:size])
        kept = sum(end <= size for end in ends[1:])
        with Journal(path, fsync=fsync) as journal:
            assert journal.frames == kept
            assert journal.torn == (size - ends[kept] if size >= HEADER.size else size)
            assert list(journal.read()) == [b"earlier"] * earlier + EVENTS[:kept]
            journal.append(b"next")
        assert contents(path) == [b"earlier"] * earlier + [*EVENTS[:kept], b"next"]


def test_every_flipped_byte_is_noticed(path):
    """In the last frame it is as if torn; before it, and in the header, refused: segment and byte are told."""
    ends = written(path)
    content = last(path).read_bytes()
    for place in range(len(content)):
        last(path).write_bytes(content)
        flip(last(path), place)
        frame = sum(end <= place for end in ends) - 1
        if frame == ALL - 1:
            assert contents(path) == EVENTS[:-1]
            continue
        why = "cannot be read: its " if frame < 0 else f"is damaged at byte {ends[frame]}: .* restore the file"
        damaged = last(path).read_bytes()
        with pytest.raises(JournalError, match=f"segment 1 of the journal .* {why}"):
            Journal(path)
        assert last(path).read_bytes() == damaged


@pytest.mark.parametrize("place", [-1, 70])
def test_no_segment_but_the_last_may_be_torn(path, place):
    written(path)
    with Journal(path) as journal:
        journal.rotate()
        journal.append(b"next")
    for damage in (lambda file: flip(file, place), lambda file: os.truncate(file, file.stat().st_size - 1)):
        kept = last(path).with_name("1.journal").read_bytes()
        damage(path / "1.journal")
        with Journal(path) as journal:
            assert list(journal.read(2)) == [b"next"]
            with pytest.raises(JournalError, match=r"segment 1 of the journal .* is damaged at byte"):
                list(journal.read())
        (path / "1.journal").write_bytes(kept)


def test_the_segment_that_is_being_written_is_not_compressed(path):
    written(path)
    with Journal(path) as journal:
        with pytest.raises(ValueError, match=r"segment 1 of the journal .* is still being written"):
            journal.compress(1)
        journal.rotate()
        journal.compress(1)
        journal.compress(1)
        assert not (path / "1.journal").exists()
        assert list(journal.read()) == EVENTS


def test_segments_that_are_missing_or_of_another_journal(path, tmp_path):
    with Journal(path) as journal:
        for event in EVENTS[:3]:
            journal.append(event)
            journal.rotate()
    (path / "2.journal").rename(tmp_path / "kept")
    with Journal(path) as journal:
        assert list(journal.read(3)) == EVENTS[2:3]
        for first in (1, 2, 9):
            with pytest.raises(JournalError, match=rf"segment {max(first, 2)} .* is missing; it has \[1, 3, 4\]"):
                list(journal.read(first))
    with Journal(tmp_path / "other") as journal:
        journal.rotate()
    for stranger, why in (
        (tmp_path / "other" / "2.journal", "cut short or of another journal"),
        (path / "3.journal", "its header is damaged"),
    ):
        shutil.copy(stranger, path / "2.journal")
        with Journal(path) as journal, pytest.raises(JournalError, match=f"segment 2 .* {why}"):
            list(journal.read())


def test_a_newer_format(path):
    written(path)
    content = bytearray(last(path).read_bytes())
    content[7] = 2
    last(path).write_bytes(content)
    with pytest.raises(JournalError, match="its format 2 is newer than 1, the newest read here"):
        Journal(path)


def test_a_tail_of_zeros_or_of_stale_frames_is_cut(path):
    """As file systems leave it when the power fails: the length is there before the bytes."""
    ends = written(path)
    with Journal(path) as journal:
        journal.rotate()
    stale = (path / "1.journal").read_bytes()
    for tail in (bytes(5_000), stale[HEADER.size :], stale[ends[2] :], os.urandom(999)):
        with open(path / "2.journal", "ab") as file:
            file.write(tail)
        with Journal(path) as journal:
            assert journal.torn == len(tail)
            assert list(journal.read()) == EVENTS


def test_a_frame_at_another_place_is_none(path):
    ends = written(path, "never")
    with open(last(path), "ab") as file:
        file.write(last(path).read_bytes()[ends[0] : ends[1]])
    with Journal(path) as journal:
        assert journal.torn == ends[1] - ends[0]
        assert list(journal.read()) == EVENTS


@pytest.mark.parametrize("fsync", ["never", 60.0])
def test_events_that_did_not_reach_the_disk_in_order(path, fsync):
    """Nobody was told that they had: the power may fail with the second of two pages on disk and not the first."""
    ends = written(path, fsync)
    flip(last(path), ends[1])
    with Journal(path, fsync=fsync) as journal:
        assert list(journal.read()) == EVENTS[:1]
        assert journal.torn == ends[-1] - ends[1]


def test_what_was_forced_to_disk_may_not_be_damaged(path):
    with Journal(path, fsync="never") as journal:
        journal.append(b"first")
    ends = written(path, "never")
    flip(last(path), ends[0] - 1)
    with pytest.raises(JournalError, match=f"segment 1 .* is damaged at byte {HEADER.size}"):
        Journal(path)


@pytest.fixture
def steps(monkeypatch):
    """What is done to files, in order."""
    steps = []
    fsync = os.fsync

    class Recorded(FileIO):
        def write(self, data):
            steps.append("write")
            return super().write(data)

    monkeypatch.setattr(os, "fsync", lambda file: (steps.append("fsync"), fsync(file)))
    monkeypatch.setattr(seedbed.storage.journal, "FileIO", Recorded)
    return steps


@pytest.mark.parametrize(
    ("fsync", "expected"), [("always", ["write", "fsync"]), ("never", ["write"]), (60.0, ["write"])]
)
def test_bytes_are_on_disk_before_they_are_acknowledged(path, steps, fsync, expected):
    with Journal(path, fsync=fsync) as journal:
        steps.clear()
        for event in EVENTS:
            journal.append(event)
            assert steps == expected
            assert (path / "1.journal").read_bytes().endswith(event)
            steps.clear()
        journal.rotate()
        assert steps == ["fsync"] * 3  # of what is full, the new one, its name
        steps.clear()
        journal.append(b"x")
        assert steps == expected
        steps.clear()
    assert steps == ([] if fsync == "always" else ["fsync"])


def test_at_most_so_many_seconds_later(path, steps):
    with Journal(path, fsync=0.02) as journal:
        for _ in range(3):
            steps.clear()
            for event in EVENTS:
                journal.append(event)
            deadline = time.monotonic() + 10.0
            while "fsync" not in steps[-1:] and time.monotonic() < deadline:
                time.sleep(0.005)
            assert steps.count("fsync") <= 2
            assert steps[-1] == "fsync"


def test_eight_threads_share_their_fsyncs(path, monkeypatch):
    synced = []
    with Journal(path) as journal:
        monkeypatch.setattr(os, "fsync", lambda file: (time.sleep(0.002), synced.append(file)))

        def job(name):
            for i in range(25):
                position = journal.append(f"{name}-{i}".encode())
                assert journal._synced >= position

        run_together(*[lambda name=name: job(name) for name in range(8)])
        assert len(synced) <= 100  # of 200; alone each would pay 25
        read = list(journal.read())
        assert sorted(read) == sorted(f"{name}-{i}".encode() for name in range(8) for i in range(25))
        for name in range(8):
            own = [event for event in read if event.startswith(b"%d-" % name)]
            assert own == [f"{name}-{i}".encode() for i in range(25)]


@pytest.mark.parametrize("fsync", ["always", 0.001, "never"])
def test_threads_beside_rotation(path, fsync):
    with Journal(path, fsync=fsync) as journal:
        done = threading.Event()

        def job(name):
            for i in range(100):
                journal.append(b"%d-%d" % (name, i))

        def turn():
            while not done.is_set():
                journal.rotate()

        turning = threading.Thread(target=turn)
        turning.start()
        run_together(*[lambda name=name: job(name) for name in range(4)])
        done.set()
        turning.join()
        assert len(journal.segments) > 2
    assert sorted(contents(path)) == sorted(b"%d-%d" % (name, i) for name in range(4) for i in range(100))


class Failing(FileIO):
    """A file on a disk that is soon full: it takes a part, then nothing."""

    left = 10**9

    def write(self, data):
        if len(data) > Failing.left:
            taken, Failing.left = Failing.left, 0
            if not taken:
                raise OSError(28, "No space left on device")
            return super().write(data[:taken])
        Failing.left -= len(data)
        return super().write(data)


def test_a_full_disk(path, monkeypatch):
    monkeypatch.setattr(seedbed.storage.journal, "FileIO", Failing)
    monkeypatch.setattr(Failing, "left", 10**9)
    with Journal(path) as journal:
        journal.append(b"first")
        Failing.left = 15
        with pytest.raises(StoreUnavailableError, match=r"No space left on device; it may have been written: open it"):
            journal.append(b"second")
        Failing.left = 10**9
        size = last(path).stat().st_size
        for refused in (lambda: journal.append(b"third"), journal.rotate, journal.check):
            with pytest.raises(
                JournalError, match=r"takes nothing any more \(.*No space.*; nothing was written; open it"
            ):
                refused()
        assert last(path).stat().st_size == size
    with Journal(path) as journal:
        assert journal.torn == 15
        assert list(journal.read()) == [b"first"]
        journal.append(b"fourth")
    assert contents(path) == [b"first", b"fourth"]


def test_short_writes_are_carried_on(path, monkeypatch):
    class Short(FileIO):
        def write(self, data):
            return super().write(data[:7])

    monkeypatch.setattr(seedbed.storage.journal, "FileIO", Short)
    written(path)
    assert contents(path) == EVENTS


@pytest.mark.parametrize("act", [lambda journal: journal.append(b"second"), lambda journal: journal.rotate()])
def test_an_fsync_that_fails_is_not_tried_again(path, monkeypatch, act):
    calls, real = [], os.fsync

    def fail(file):
        calls.append(file)
        raise OSError(5, "Input/output error")

    with Journal(path) as journal:
        journal.append(b"first")
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(StoreUnavailableError, match="Input/output error; it may have been written"):
            act(journal)
        monkeypatch.setattr(os, "fsync", real)
        with pytest.raises(JournalError, match="takes nothing any more"):
            act(journal)
    assert len(calls) == 1
    assert contents(path)[:1] == [b"first"]


def test_a_late_fsync_that_fails_is_told_to_the_next(path, monkeypatch):
    with Journal(path, fsync=0.001) as journal:
        monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        journal.append(b"first")
        deadline = time.monotonic() + 10.0
        while journal._failure is None and time.monotonic() < deadline:
            time.sleep(0.001)
        with pytest.raises(JournalError, match="Input/output error"):
            journal.append(b"second")


def test_all_who_wait_are_told_of_a_failure(path, monkeypatch):
    answers = []
    with Journal(path) as journal:

        def fail(file):
            time.sleep(0.02)
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", fail)

        def job():
            try:
                answers.append(journal.append(b"x"))
            except (StoreUnavailableError, JournalError) as error:
                answers.append(type(error))

        run_together(*[job] * 8)
    assert sorted(map(str, answers)) == sorted(map(str, [StoreUnavailableError, *[JournalError] * 7]))


def test_an_interruption_may_leave_half_a_frame(path, monkeypatch):
    class Interrupted(FileIO):
        def write(self, data):
            if b"second" in bytes(data):
                super().write(data[:9])
                raise KeyboardInterrupt
            return super().write(data)

    monkeypatch.setattr(seedbed.storage.journal, "FileIO", Interrupted)
    with Journal(path) as journal:
        journal.append(b"first")
        with pytest.raises(KeyboardInterrupt):
            journal.append(b"second")
        with pytest.raises(JournalError, match="takes nothing any more"):
            journal.append(b"third")
    assert contents(path) == [b"first"]


def test_one_at_a_time(path):
    with Journal(path) as journal:
        with pytest.raises(StoreUnavailableError, match=r"cannot open the journal .* another writer has held"):
            Journal(path)
        journal.append(b"first")
    assert contents(path) == [b"first"]


HOLD = """
import sys, time
from seedbed.storage import Journal
journal = Journal(sys.argv[1])
journal.append(b"first")
print("held", flush=True)
time.sleep(60)
"""


def test_a_process_that_is_killed_lets_go(path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreUnavailableError, match="another writer has held"):
            Journal(path)
        holder.kill()
    assert contents(path) == [b"first"]


def test_what_cannot_be_opened_is_left_unlocked(path):
    ends = written(path)
    flip(last(path), ends[0])
    for _ in range(2):
        with pytest.raises(JournalError, match="is damaged"):
            Journal(path)
    flip(last(path), ends[0])
    assert contents(path) == EVENTS


def test_closing(path):
    journal = Journal(path, fsync=60.0)
    journal.append(b"first")
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match=r"takes nothing any more \(it is closed\)"):
        journal.append(b"second")
    with suppress(FileNotFoundError):
        (path / "writing").unlink()
    assert contents(path) == [b"first"]


@pytest.mark.parametrize("fsync", ["sometimes", 0.0, -1.0, float("nan"), float("inf"), None, True])
def test_odd_policies(path, fsync):
    with pytest.raises(ValueError, match="is neither 'always' nor 'never' nor a number of seconds"):
        Journal(path, fsync=fsync)
    assert not path.exists()


def test_a_path_that_is_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailableError, match=r"cannot open the journal .*file.* nothing was read"):
        Journal(tmp_path / "file")

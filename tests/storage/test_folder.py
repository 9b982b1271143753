import errno
import os
import shutil
import stat

import pytest

from seedbed.storage import FolderStore, StoreError, StoreUnavailableError
from seedbed.storage._lock import locked


@pytest.fixture
def store(tmp_path):
    store = FolderStore(tmp_path / "deep" / "folder", timeout=0.05)
    store.put("a", b"one")
    store.put("a", b"two")
    return store


def newest(store):
    return store.path / "a+" / "2.blob"


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "magic": lambda store: flip(newest(store), 0),
    "version": lambda store: flip(newest(store), 8),
    "checksum": lambda store: flip(newest(store), 16),
    "blob": lambda store: flip(newest(store), -1),
    "truncated": lambda store: os.truncate(newest(store), 33),
    "empty": lambda store: os.truncate(newest(store), 0),
    "longer": lambda store: newest(store).write_bytes(newest(store).read_bytes() + b"\0"),
    "another version": lambda store: shutil.copy(newest(store).with_name("1.blob"), newest(store)),
    "another key": lambda store: (
        (store.put("b", b"1"), store.put("b", b"2")) and shutil.copy(store.path / "b+" / "2.blob", newest(store))
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_told_and_not_skipped(store, damage):
    damage(store)
    with pytest.raises(StoreError, match=r"version 2 of key 'a' is corrupt.*other generation may still be good.*previ"):
        store.get("a")
    assert store.get("a", previous=True) == (b"one", 1)
    assert store.list()["a"] == 2
    assert store.put("a", b"three", expected=2) == 3
    assert store.get("a") == (b"three", 3)
    with pytest.raises(StoreError, match="version 2 of key 'a' is corrupt"):
        store.get("a", previous=True)


def test_what_is_not_its_own_is_ignored(store):
    for name in ("3.blob~", "03.blob", "x.blob", "4.tmp"):
        (store.path / "a+" / name).write_bytes(b"junk")
    (store.path / "README").write_bytes(b"junk")
    (store.path / "b+").mkdir()
    (store.path / "writing").write_bytes(b"left by a crash")
    assert store.list() == {"a": 2}
    assert store.get("a") == (b"two", 2)
    assert store.get("b") is None
    store.put("b", b"one", expected=0)
    assert not (store.path / "writing").exists()


def test_two_generations_are_kept(store):
    for _ in range(5):
        store.put("a", b"")
    assert sorted(os.listdir(store.path / "a+")) == ["6.blob", "7.blob"]


def test_a_writer_that_waits_too_long_says_so_and_readers_do_not_wait(store):
    with locked(store.path / "lock", 1.0):
        with pytest.raises(StoreUnavailableError, match=r"another writer has held .* 0.05 s; nothing was written"):
            store.put("a", b"three")
        assert store.get("a") == (b"two", 2)
        assert store.list() == {"a": 2}
    store.put("a", b"three", expected=2)


def test_it_waits_for_a_writer_in_another_process(store, start, medium, tmp_path):
    medium["folder"] = lambda: (FolderStore, {"path": str(store.path)})
    holder = start(
        "folder",
        "import time\nfrom seedbed.storage._lock import locked\n"
        "with locked(store.path / 'lock', 1.0):\n    print('held', flush=True)\n    time.sleep(60)",
        stdout=-1,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StoreUnavailableError, match="another writer has held"):
        store.put("a", b"three")
    holder.kill()
    holder.wait()
    assert store.put("a", b"three", expected=2) == 3


def fail_to_sync(monkeypatch, on_folders):
    real = os.fsync

    def fsync(file):
        if stat.S_ISDIR(os.fstat(file).st_mode) == on_folders:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_full_disk_before_the_new_name(store, monkeypatch):
    fail_to_sync(monkeypatch, on_folders=False)
    with pytest.raises(StoreUnavailableError, match=r"cannot write key 'a' .*No space left.*; nothing was written"):
        store.put("a", b"three")
    assert store.get("a") == (b"two", 2)
    assert not (store.path / "writing").exists()


def test_a_failure_after_the_new_name(store, monkeypatch):
    fail_to_sync(monkeypatch, on_folders=True)
    with pytest.raises(StoreUnavailableError, match="it may have been written: read it again") as told:
        store.put("a", b"three")
    assert isinstance(told.value.__cause__, OSError)
    assert store.get("a") == (b"three", 3)


def test_bytes_are_on_disk_before_their_name_and_the_name_before_the_end(store, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(file):
        steps.append("fsync folder" if stat.S_ISDIR(os.fstat(file).st_mode) else f"fsync {os.fstat(file).st_size}")
        fsync(file)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("replace"), replace(*paths)))
    store.put("a", b"three")
    assert steps == [f"fsync {32 + len(b'three')}", "replace", "fsync folder", "fsync folder"]


def test_a_path_that_is_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailableError, match=r"cannot open the store .*file.* nothing was written"):
        FolderStore(tmp_path / "file")


def test_a_key_that_is_a_file(store):
    (store.path / "b+").write_bytes(b"")
    with pytest.raises(StoreUnavailableError, match=r"cannot read key 'b'.*nothing was read"):
        store.get("b")


def test_the_path_outlives_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = FolderStore("here")
    store.put("a", b"one")
    monkeypatch.chdir("/")
    assert store.get("a") == (b"one", 1)
    assert repr(store) == f"FolderStore({str(tmp_path / 'here')!r})"

import sqlite3
from contextlib import closing

import pytest

from seedbed.storage import SQLiteStore, StoreError, StoreUnavailableError


@pytest.fixture
def store(tmp_path):
    store = SQLiteStore(tmp_path / "state.db", timeout=0.05)
    store.put("a", b"one")
    return store


def test_the_file_says_how_it_is_written(store):
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with store._connected("ask", "") as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_two_generations_are_kept(store):
    for _ in range(5):
        store.put("a", b"")
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT version FROM generations").fetchall() == [(5,), (6,)]


def test_a_writer_that_waits_too_long_says_so_and_readers_do_not_wait(store):
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match=r"write key 'a' .*database is locked; nothing was written"):
            store.put("a", b"two")
        assert store.get("a") == (b"one", 1)
        assert store.list() == {"a": 1}
    assert store.put("a", b"two", expected=1) == 2


def test_a_commit_that_fails_may_have_been_written(store, monkeypatch):
    class Failing(sqlite3.Connection):
        def execute(self, statement, *arguments):
            if statement == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(statement, *arguments)

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *arguments, **named: real(*arguments, **named, factory=Failing))
    with pytest.raises(StoreUnavailableError, match="disk I/O error; it may have been written: read it again"):
        store.put("a", b"two")
    assert store.get("a") == (b"one", 1)


def test_a_path_that_cannot_be_opened(tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "state.db"):
        with pytest.raises(StoreUnavailableError, match=r"cannot open .*; nothing was written"):
            SQLiteStore(path)


def test_a_file_that_is_something_else(tmp_path):
    (tmp_path / "text").write_text("not a database " * 100)
    with pytest.raises(StoreError, match="file is not a database; nothing was written") as told:
        SQLiteStore(tmp_path / "text")
    assert not isinstance(told.value, StoreUnavailableError)


def test_a_damaged_file_is_told(store):
    for _ in range(2):
        store.put("a", bytes(100_000))
    content = bytearray(store.path.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    store.path.write_bytes(content)
    with pytest.raises(StoreError, match="malformed; nothing was read"):
        store.get("a")


def test_memory_is_a_file_like_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore(":memory:")
    store.put("a", b"one")
    assert store.get("a") == (b"one", 1)
    assert repr(store) == f"SQLiteStore({str(tmp_path / ':memory:')!r})"

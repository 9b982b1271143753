"""SQLiteStore: one file, written by transactions."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ._lock import locked
from .errors import StoreError, unavailable
from .store import UNREAD, UNSURE, UNWRITTEN, Store, Versioned, check_key, check_put, next_version

_TABLE = """
    CREATE TABLE IF NOT EXISTS generations
    (key TEXT NOT NULL, version INTEGER NOT NULL, blob BLOB NOT NULL, PRIMARY KEY (key, version))
"""


class SQLiteStore(Store):
    """A store in one SQLite file, for all processes of one machine: the default of a service.

    What is written is on disk when `put` returns; readers and the one writer do not wait for each other. Every call
    opens the file anew, so that a store may be shared by threads, carried over a fork, and need not be closed.

    Parameters
    ----------
    path
        The file, on a local disk; made where it is missing, in a folder that exists.
    timeout
        Seconds to wait for other writers.

    Raises
    ------
    StoreUnavailableError
        When the file cannot be opened.
    StoreError
        When the file is something else.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from seedbed.storage import SQLiteStore
    >>> with TemporaryDirectory() as folder:
    ...     version = SQLiteStore(f"{folder}/state.db").put("rooms/eu-1", b"state")
    ...     SQLiteStore(f"{folder}/state.db").get("rooms/eu-1")
    Versioned(blob=b'state', version=1)
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 10.0) -> None:
        self.path = Path(path).absolute()
        self.timeout = timeout
        with (
            unavailable(OSError, f"open {self.path}", UNWRITTEN),
            locked(Path(f"{self.path}-lock"), timeout),
            self._connected("open", UNWRITTEN) as connection,
        ):
            # one at a time: two that turn a new file to WAL at once are refused without a wait. The file remembers it
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_TABLE)

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self.path)!r})"

    def get(self, key: str, *, previous: bool = False) -> Versioned | None:
        """Read the newest generation of a key, or the one before it; see `Store.get`."""
        check_key(key)
        query = "SELECT blob, version FROM generations WHERE key = ? ORDER BY version DESC LIMIT 1 OFFSET ?"
        with self._connected(f"read key {key!r} of", UNREAD) as connection:
            row = connection.execute(query, (key, int(previous))).fetchone()
        return row and Versioned(*row)

    def put(self, key: str, blob: bytes, *, expected: int | None = None) -> int:
        """Replace the newest generation of a key; see `Store.put`."""
        check_put(key, blob, expected)
        with self._connected(f"write key {key!r} to", UNWRITTEN) as connection:
            connection.execute("BEGIN IMMEDIATE")
            found = connection.execute("SELECT max(version) FROM generations WHERE key = ?", (key,)).fetchone()[0]
            version = next_version(key, found or 0, expected)
            connection.execute("INSERT INTO generations VALUES (?, ?, ?)", (key, version, blob))
            connection.execute("DELETE FROM generations WHERE key = ? AND version < ?", (key, version - 1))
            with unavailable(sqlite3.OperationalError, f"write key {key!r} to {self.path}", UNSURE):
                connection.execute("COMMIT")
        return version

    def list(self, prefix: str = "") -> dict[str, int]:
        """Versions of all keys that start with a prefix."""
        with self._connected("list", UNREAD) as connection:
            rows = connection.execute("SELECT key, max(version) FROM generations GROUP BY key").fetchall()
        return {key: version for key, version in rows if key.startswith(prefix)}

    @contextmanager
    def _connected(self, doing: str, left: str) -> Iterator[sqlite3.Connection]:
        """Connect for one call; what is not committed at its end is rolled back."""
        try:
            with (
                unavailable(sqlite3.OperationalError, f"{doing} {self.path}", left),
                closing(sqlite3.connect(self.path, self.timeout, isolation_level=None)) as connection,
            ):
                connection.execute("PRAGMA synchronous = FULL")
                yield connection
        except sqlite3.DatabaseError as error:
            raise StoreError(f"cannot {doing} {self.path}: {error}; {left}") from error

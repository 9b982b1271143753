"""Store: what every store does, and the rules that all of them share."""

import re
from typing import NamedTuple, Protocol

from .errors import ConflictError

UNREAD, UNWRITTEN = "nothing was read", "nothing was written"
UNSURE = "it may have been written: read it again"

_LONGEST = 120  # as a file name, where an upper-case letter takes two characters, it stays within 255
_SEGMENT = r"(?!\.\.?(?:/|$))[A-Za-z0-9._-]+"
_KEY = re.compile(f"{_SEGMENT}(?:/{_SEGMENT})*")


class Versioned(NamedTuple):
    """One generation of a key: its bytes, and how many times the key had been written then."""

    blob: bytes
    version: int


class Store(Protocol):
    """Versioned blobs by key. Any number of threads and processes may call it.

    A key is written whole or not at all, and each time its version grows by one. It cannot be removed: its versions
    would start afresh, and a reader who remembers one could not tell the new from the old. An empty blob may stand
    for nothing.

    Keys are segments of letters, digits, `.`, `_` and `-`, joined by `/`, of 120 characters at most.

    Examples
    --------
    >>> from seedbed.storage import ConflictError, MemoryStore
    >>> store = MemoryStore()
    >>> store.put("rooms/eu-1", b"first")
    1
    >>> blob, version = store.get("rooms/eu-1")
    >>> store.put("rooms/eu-1", blob + b", second", expected=version)
    2
    >>> store.get("rooms/eu-1", previous=True)
    Versioned(blob=b'first', version=1)
    >>> try:
    ...     store.put("rooms/eu-1", b"of one who read the first", expected=version)
    ... except ConflictError as error:
    ...     print(error)
    key 'rooms/eu-1' is at version 2, not 1: someone wrote meanwhile; read it again
    >>> store.list("rooms/")
    {'rooms/eu-1': 2}
    """

    def get(self, key: str, *, previous: bool = False) -> Versioned | None:
        """Read the newest generation of a key, or the one before it; None where there is none.

        Raises
        ------
        ValueError
            For what is not a key.
        StoreError
            When the bytes are damaged; the other generation may still be good.
        StoreUnavailableError
            When the medium fails.
        """

    def put(self, key: str, blob: bytes, *, expected: int | None = None) -> int:
        """Replace the newest generation of a key, which becomes the one before; return the new version.

        Parameters
        ----------
        key
            What to write.
        blob
            Its bytes, any number.
        expected
            Version to be replaced; 0: the key must not exist; None: whatever is there.

        Raises
        ------
        ValueError, TypeError
            For what is not a key, a version or bytes. Nothing was written.
        ConflictError
            When the key is at another version than expected. Nothing was written.
        StoreUnavailableError
            When the medium fails; the message says whether it may have been written.
        """

    def list(self, prefix: str = "") -> dict[str, int]:
        """Versions of all keys that start with a prefix, so that a reader fetches only what changed.

        Raises
        ------
        StoreUnavailableError
            When the medium fails.
        """


def check_key(key: str) -> None:
    """Refuse what is not a key."""
    if not isinstance(key, str) or len(key) > _LONGEST or not _KEY.fullmatch(key):
        raise ValueError(
            f"key = {key!r:.150} is not a key: segments of letters, digits, '.', '_' and '-', none of them '.' or '..',"
            f" joined by '/', of {_LONGEST} characters at most"
        )


def check_put(key: str, blob: bytes, expected: int | None) -> None:
    """Refuse what cannot be put."""
    check_key(key)
    if not isinstance(blob, bytes):
        raise TypeError(f"blob must be bytes, not {type(blob).__name__}")
    if expected is not None and (type(expected) is not int or expected < 0):
        raise ValueError(f"expected = {expected!r} is not a version: 0 or more, or None for any")


def next_version(key: str, found: int, expected: int | None) -> int:
    """Version that a put makes of the one it found; ConflictError when another was expected."""
    if expected not in (None, found):
        raise ConflictError(
            f"key {key!r} is at version {found}, not {expected}: someone wrote meanwhile; read it again"
        )
    return found + 1

"""FolderStore: files that survive a crash at any instant."""

import os
import re
import struct
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from .._files import sync_folders, write_file
from ._lock import locked
from .errors import StoreError, unavailable
from .store import UNREAD, UNSURE, UNWRITTEN, Store, Versioned, check_key, check_put, next_version

_HEADER = struct.Struct("<8sQ16s")  # magic with the format, version, checksum; the blob follows
_MAGIC = b"SEEDSTO\x01"
_GENERATION = re.compile(r"([1-9][0-9]*)\.blob")


class FolderStore(Store):
    """A store in a folder, for one machine or a file system that several share and that honours locks and fsync.

    A key is a folder of its own that holds a file a generation, named by its version. A put writes a new file, forces
    it to disk and only then gives it its name, so that a reader needs no lock and a crash at any instant leaves the
    newest generation or the one before it, whole. Writers wait for each other.

    Parameters
    ----------
    path
        The folder; made where it is missing.
    timeout
        Seconds that a put waits for other writers.

    Raises
    ------
    StoreUnavailableError
        When the folder cannot be made.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from seedbed.storage import FolderStore
    >>> with TemporaryDirectory() as path:
    ...     version = FolderStore(path).put("rooms/eu-1", b"state")
    ...     FolderStore(path).get("rooms/eu-1")
    Versioned(blob=b'state', version=1)
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout: float = 10.0) -> None:
        self.path = Path(path).absolute()
        self.timeout = timeout
        with unavailable(OSError, f"open the store {self.path}", UNWRITTEN):
            self.path.mkdir(parents=True, exist_ok=True)
            sync_folders(self.path.parent)

    def __repr__(self) -> str:
        return f"FolderStore({str(self.path)!r})"

    def get(self, key: str, *, previous: bool = False) -> Versioned | None:
        """Read the newest generation of a key, or the one before it; see `Store.get`."""
        check_key(key)
        seen = -1
        with unavailable(OSError, f"read key {key!r} of {self.path}", UNREAD):
            while True:
                newest = self._newest(key)
                version = newest - previous
                try:
                    content = self._file(key, version).read_bytes()
                except FileNotFoundError:
                    if newest == seen:  # it is not there; else it was replaced since we looked
                        return None
                    seen = newest
                else:
                    return Versioned(_checked_blob(key, version, content), version)

    def put(self, key: str, blob: bytes, *, expected: int | None = None) -> int:
        """Replace the newest generation of a key; see `Store.put`."""
        check_put(key, blob, expected)
        doing = f"write key {key!r} to {self.path}"
        with unavailable(OSError, doing, UNWRITTEN), locked(self.path / "lock", self.timeout):
            version = next_version(key, self._newest(key), expected)
            file = self._file(key, version)
            file.parent.mkdir(exist_ok=True)
            unnamed = self.path / "writing"  # one a store: what a crash leaves of it, the next put writes over
            try:
                write_file(unnamed, _header(key, version, blob), blob)
                with unavailable(OSError, doing, UNSURE):
                    os.replace(unnamed, file)
                    sync_folders(file.parent, self.path)
            finally:
                unnamed.unlink(missing_ok=True)
            self._sweep(key, version - 1)
        return version

    def list(self, prefix: str = "") -> dict[str, int]:
        """Versions of all keys that start with a prefix."""
        with unavailable(OSError, f"list {self.path}", UNREAD):
            keys = [_key(name) for name in os.listdir(self.path) if name.endswith("+")]
            versions = {key: self._newest(key) for key in keys if key.startswith(prefix)}
        return {key: version for key, version in versions.items() if version}

    def _file(self, key: str, version: int) -> Path:
        return self.path / _folder_name(key) / f"{version}.blob"

    def _versions(self, key: str) -> Iterable[int]:
        try:
            names = os.listdir(self.path / _folder_name(key))
        except FileNotFoundError:
            names = []
        return (int(match[1]) for match in map(_GENERATION.fullmatch, names) if match)

    def _newest(self, key: str) -> int:
        return max(self._versions(key), default=0)

    def _sweep(self, key: str, kept: int) -> None:
        for version in self._versions(key):
            if version < kept:
                with suppress(OSError):  # on Windows one cannot remove what a reader has open; the next put will
                    self._file(key, version).unlink(missing_ok=True)


def _folder_name(key: str) -> str:
    """Name of a key's folder, also where names differ by more than case; no other name there ends with a plus."""
    return re.sub("[A-Z]", lambda letter: "=" + letter[0].lower(), key).replace("/", ",") + "+"


def _key(folder_name: str) -> str:
    return re.sub("=(.)", lambda letter: letter[1].upper(), folder_name[:-1].replace(",", "/"))


def _header(key: str, version: int, blob: bytes | memoryview) -> bytes:
    digest = blake2b(f"{key} {version} ".encode(), digest_size=16)
    digest.update(blob)
    return _HEADER.pack(_MAGIC, version, digest.digest())


def _checked_blob(key: str, version: int, content: bytes) -> bytes:
    blob = memoryview(content)[_HEADER.size :]
    if content[: _HEADER.size] != _header(key, version, blob):
        raise StoreError(
            f"version {version} of key {key!r} is corrupt: its checksum does not match; "
            "nothing was read; the other generation may still be good: see `previous`"
        )
    return bytes(blob)

"""Segments: the files of a journal, to be read; nothing here locks or changes them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ._frames import HEADER, name_in, scan, seed_of, was_on_disk
from ._zstd import decompressed
from .errors import JournalError, unavailable
from .store import UNREAD

_FILE = re.compile(r"([1-9][0-9]*)\.journal(\.zst)?")


class Segments:
    """The segments of a journal in a folder; a closed one may be compressed.

    path: the folder. torn: bytes at the end of the last segment that the latest reading left out. before: bytes of the
    segment before the one being read, None for the first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn = 0
        self.before: int | None = None

    @property
    def numbers(self) -> list[int]:
        """Numbers of the segments there are."""
        return sorted({int(match[1]) for match in map(_FILE.fullmatch, os.listdir(self.path)) if match})

    def file(self, number: int) -> Path:
        """Where a segment is written; compressed, `.zst` is added."""
        return self.path / f"{number}.journal"

    def files(self, number: int) -> tuple[Path, Path]:
        """Where a segment may be: as written, and compressed."""
        plain = self.file(number)
        return plain, plain.with_name(plain.name + ".zst")

    def content(self, number: int) -> bytes:
        """Bytes of a segment as they were written."""
        plain, compressed = self.files(number)
        with unavailable(OSError, f"read {plain}", UNREAD):
            try:
                return plain.read_bytes()
            except FileNotFoundError:
                return decompressed(compressed)

    def name(self, number: int, content: bytes) -> bytes:
        """Name of the journal that a segment belongs to, by its header."""
        try:
            if len(content) < HEADER.size:
                raise ValueError(f"it has {len(content)} bytes, less than its header")
            return name_in(content, number)
        except ValueError as error:
            raise JournalError(f"segment {number} of the journal {self.path} cannot be read: {error}") from None

    def checked_seed(self, number: int, content: bytes, name: bytes) -> int:
        """Where the checksums of a segment start from, once it is known to be of the journal of that name."""
        if len(content) < HEADER.size or self.name(number, content) != name:
            raise JournalError(f"segment {number} of the journal {self.path} is cut short or of another journal")
        return seed_of(content)

    def read(self, first: int | None = None, name: bytes | None = None, *, tail: bool = False) -> Iterator[bytes]:
        """All events from the start of a segment on, by default of the oldest there is.

        Parameters
        ----------
        first
            Number of a segment.
        name
            Name that they must all bear; by default that of the first.
        tail
            Whether the end of the last may be torn, or in the making; `torn` tells how many bytes were left out.

        Raises
        ------
        JournalError
            For a segment that is missing or damaged.
        """
        numbers = self.numbers
        if not numbers:
            raise JournalError(f"there is no journal in {self.path}")
        first, last = numbers[0] if first is None else first, numbers[-1]
        self.torn, self.before = 0, None
        for number in range(first, max(last, first) + 1):
            if number not in numbers:
                raise JournalError(f"segment {number} of the journal {self.path} is missing; it has {numbers}")
            content = self.content(number)
            if tail and number == last and len(content) < HEADER.size:
                self.torn = len(content)
                return
            name = self.name(number, content) if name is None else name
            seed = self.checked_seed(number, content, name)
            payloads, end = scan(content, seed)
            if end < len(content):
                if not tail or number < last or was_on_disk(content, seed, end):
                    raise self.damaged(number, end)
                self.torn = len(content) - end
            yield from payloads
            self.before = end

    def damaged(self, number: int, place: int) -> JournalError:
        """What is raised for a segment of which a frame is not good, though it should be."""
        return JournalError(
            f"segment {number} of the journal {self.path} is damaged at byte {place}: what stood there had reached the "
            "disk, and events follow; nothing was changed; restore the file"
        )

"""Journal: what happened since the last checkpoint, in files that only grow."""

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path
from threading import Condition, Lock, Timer
from types import TracebackType
from typing import Literal, NoReturn, Self

from .._files import sync_folders, write_file
from ._frames import HEADER, frame, header, scan, seed_of, was_on_disk
from ._lock import locked
from ._segments import Segments
from ._zstd import compress
from .errors import JournalError, StoreError, StoreUnavailableError, unavailable
from .store import UNREAD

Policy = Literal["always", "never"] | float
Position = tuple[int, int]  # number of a segment, and bytes of it


class Journal:
    """An append-only log of bytes in a folder, one file a segment, for any number of threads of one process.

    What is appended goes straight to the file, so that the death of the process loses none of it. A crash in the
    middle of an append leaves a torn tail, which is cut off at the next opening. What had reached the disk and is not
    there any more is damage, and refused.

    Parameters
    ----------
    path
        The folder, on a local disk; made where it is missing. One process at a time has it open.
    fsync
        When an event is forced to disk, to outlive the machine too: "always", before `append` returns, one fsync for
        all threads that wait; a number, at most so many seconds later; "never", when the system sees fit.

    Attributes
    ----------
    torn : int
        Bytes of a torn tail that opening has cut off.
    frames : int
        Events in the last segment.
    name : bytes
        16 bytes that tell this journal from all others.

    Raises
    ------
    ValueError
        For another `fsync`.
    StoreUnavailableError
        When the folder cannot be used, or another process has it open.
    JournalError
        When the last segment is damaged.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from seedbed.storage import Journal
    >>> with TemporaryDirectory() as path:
    ...     with Journal(path) as journal:
    ...         position = journal.append(b"first"), journal.rotate(), journal.append(b"second")
    ...     with Journal(path) as journal:
    ...         list(journal.read())
    [b'first', b'second']
    """

    def __init__(self, path: str | os.PathLike[str], *, fsync: Policy = "always") -> None:
        is_period = isinstance(fsync, int | float) and not isinstance(fsync, bool) and 0.0 < fsync < math.inf
        if fsync not in ("always", "never") and not is_period:
            raise ValueError(f"fsync = {fsync!r} is neither 'always' nor 'never' nor a number of seconds")
        self.path = Path(path).absolute()
        self._files = Segments(self.path)
        self.fsync = fsync
        self.torn = self.frames = 0
        self._failure: BaseException | None = None
        self._timer: Timer | None = None
        self._writing, self._turn = Lock(), Condition(Lock())  # to write; to fsync: taken in this order
        self._is_syncing = False
        self._file: FileIO
        self._end: Position
        self._synced: Position
        with ExitStack() as held, unavailable(OSError, f"open the journal {self.path}", UNREAD):
            self.path.mkdir(parents=True, exist_ok=True)
            sync_folders(self.path.parent)
            held.enter_context(locked(self.path / "lock", 0.0))
            self._open_last()
            self._held = held.pop_all()

    def __repr__(self) -> str:
        return f"Journal({str(self.path)!r}, fsync={self.fsync!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def segments(self) -> list[int]:
        """Numbers of the segments there are."""
        return self._files.numbers

    @property
    def position(self) -> Position:
        """Where the next event will stand."""
        return self._end

    def append(self, payload: bytes) -> Position:
        """Write an event, and return once it is as safe as `fsync` says.

        Raises
        ------
        StoreUnavailableError
            When the disk fails. The event may have been written; the journal takes nothing any more.
        JournalError
            When it has failed before, or is closed. Nothing was written.
        """
        position = self.write(payload)
        self.wait(position)
        return position

    def write(self, payload: bytes) -> Position:
        """Write an event; return where it ends, to `wait` for."""
        with self._writing:
            self.check()
            try:
                (segment, place), (_, synced) = self._end, self._synced
                left = memoryview(frame(payload, self._seed, place, synced))
                place += len(left)
                while left:
                    left = left[self._file.write(left) :]
                self._end = segment, place
                self.frames += 1
                if not isinstance(self.fsync, str) and self._timer is None:
                    self._timer = Timer(self.fsync, self._sync_late)
                    self._timer.daemon = True
                    self._timer.start()
            except BaseException as error:  # an interruption too may leave half a frame
                self._fail(error)
        return segment, place

    def wait(self, position: Position) -> None:
        """Wait until what stands before a position is as safe as `fsync` says."""
        if self.fsync == "always":
            self._sync(position)

    def sync(self) -> None:
        """Force what there is to disk, whatever `fsync` says: from then on what is missing of it is damage."""
        self._sync(self._end)

    def rotate(self) -> int:
        """Force what there is to disk and start a new segment; return its number."""
        with self._alone():
            self.check()
            try:
                os.fsync(self._file.fileno())
                full = self._file
                self._start(self._end[0] + 1)
                full.close()
            except BaseException as error:
                self._fail(error)
            return self._end[0]

    def drop(self, before: int) -> None:
        """Remove the segments before one."""
        for number in self.segments:
            if number < before:
                for file in self._files.files(number):
                    with suppress(OSError):  # the next time, then
                        file.unlink()

    def compress(self, number: int) -> None:
        """Compress a segment before the last, by zstandard (an extra); it is read as before."""
        if number >= self._end[0]:
            raise ValueError(f"segment {number} of the journal {self.path} is still being written")
        plain, compressed = self._files.files(number)
        with unavailable(OSError, f"compress {plain}", UNREAD):
            if plain.exists():
                compress(plain, compressed)
                sync_folders(self.path)
                plain.unlink()

    def read(self, first: int | None = None) -> Iterator[bytes]:
        """All events from the start of a segment on, by default of the oldest there is.

        Raises
        ------
        JournalError
            For a segment that is missing or damaged.
        """
        return self._files.read(first, self.name)

    @property
    def is_open(self) -> bool:
        """Whether it takes events: it has neither failed nor been closed."""
        return self._failure is None

    def check(self) -> None:
        """Refuse to go on after a failure."""
        if self._failure is not None:
            raise JournalError(
                f"the journal {self.path} takes nothing any more ({self._failure}); nothing was written; open it anew"
            )

    def refuse(self, why: BaseException) -> None:
        """Take nothing any more."""
        self._failure = self._failure or why

    def close(self) -> None:
        """Force everything to disk, and let others open the journal."""
        if self._timer is not None:
            self._timer.cancel()
        with self._held:
            try:
                if self._failure is None:
                    self._sync(self._end)
            finally:
                with self._alone():
                    self.refuse(ValueError("it is closed"))
                    self._file.close()

    def _sync(self, position: Position) -> None:
        with self._turn:
            self._turn.wait_for(lambda: not self._is_syncing or self._synced >= position)
            if self._synced >= position:  # another's fsync has done for this thread, too
                return
            self.check()
            self._is_syncing, end = True, self._end
        try:
            os.fsync(self._file.fileno())
            self._synced = end
        except BaseException as error:  # never tried again: the system may have dropped what it could not write
            self._fail(error)
        finally:
            with self._turn:
                self._is_syncing = False
                self._turn.notify_all()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep everyone from the file."""
        with self._writing, self._turn:
            self._turn.wait_for(lambda: not self._is_syncing)
            yield

    def _sync_late(self) -> None:
        self._timer = None  # first, so that an event which comes now has a timer of its own
        with suppress(StoreError):  # whoever writes next is told
            self._sync(self._end)

    def _fail(self, error: BaseException) -> NoReturn:
        self.refuse(error)
        if isinstance(error, OSError):
            raise StoreUnavailableError(
                f"cannot write to the journal {self.path}: {error}; it may have been written: open it anew to know"
            ) from error
        raise error

    def _open_last(self) -> None:
        """Open the last segment at the end of what is good in it."""
        files, numbers = self._files, self.segments
        number = numbers[-1] if numbers else 1
        content = files.content(number) if numbers else b""
        if len(content) < HEADER.size:
            self.torn = len(content)
            self.name = files.name(numbers[-2], files.content(numbers[-2])) if numbers[1:] else os.urandom(16)
            self._start(number)
            return
        self.name = files.name(number, content)
        self._seed = files.checked_seed(number, content, self.name)
        payloads, end = scan(content, self._seed)
        if was_on_disk(content, self._seed, end):
            raise files.damaged(number, end)
        self._file = FileIO(files.file(number), "a")
        self._file.truncate(end)
        os.fsync(self._file.fileno())
        self.torn, self.frames = len(content) - end, len(payloads)
        self._end = self._synced = number, end

    def _start(self, number: int) -> None:
        """Go on in a new segment, whose name is on disk before anything is in it."""
        head, unnamed = header(number, self.name), self.path / "writing"
        write_file(unnamed, head)
        os.replace(unnamed, self._files.file(number))
        sync_folders(self.path)
        self._file, self._seed, self.frames = FileIO(self._files.file(number), "a"), seed_of(head), 0
        self._end = self._synced = number, len(head)

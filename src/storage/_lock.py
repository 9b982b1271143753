"""A lock between all threads of all processes, held by the kernel: who dies lets go of it."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.002  # seconds

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: int) -> bool:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _unlock(file: int) -> None:
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def locked(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock of a file, which stays behind and means nothing by itself.

    Raises
    ------
    TimeoutError
        When another thread or process holds it for all of `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # opened anew each time, so threads exclude each other too
    try:
        while not _try_lock(file):
            if time.monotonic() >= deadline:
                waited = f" for {timeout} s" if timeout else ": it is open in this process or in another"
                raise TimeoutError(f"another writer has held {path}{waited}")
            time.sleep(_PAUSE)
        try:
            yield
        finally:
            _unlock(file)  # closing is not enough: a process forked meanwhile holds the file open
    finally:
        os.close(file)

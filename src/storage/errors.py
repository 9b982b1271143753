"""What can go wrong with a store, by a name of its own, and what was written then."""

from collections.abc import Iterator
from contextlib import contextmanager


class StoreError(Exception):
    """A store that cannot do what it was asked for; this very class: what it holds is damaged or not its own."""


class ConflictError(StoreError):
    """A key at another version than expected. Nothing was written."""


class StoreUnavailableError(StoreError):
    """A disk, a server or a lock that fails. The message says whether anything may have been written."""


class JournalError(StoreError):
    """A journal that is damaged, or that takes nothing any more; the message says why."""


@contextmanager
def unavailable(failures: type[Exception] | tuple[type[Exception], ...], doing: str, left: str) -> Iterator[None]:
    """Raise failures of the medium as StoreUnavailableError: what was being done, why it failed, what it left."""
    try:
        yield
    except failures as error:
        raise StoreUnavailableError(f"cannot {doing}: {error}; {left}") from error

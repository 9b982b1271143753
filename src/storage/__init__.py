"""Where bytes go: versioned blobs by key, replaced by compare-and-set, the generation before kept."""

from typing import TYPE_CHECKING

from .errors import ConflictError, JournalError, StoreError, StoreUnavailableError
from .fleet import Fleet, Sync
from .folder import FolderStore
from .journal import Journal
from .leases import Leases
from .memory import MemoryStore
from .redis import RedisStore
from .sqlite import SQLiteStore
from .store import Store, Versioned

if TYPE_CHECKING:
    from .durable import Durable, Recovery

__all__ = [
    "ConflictError",
    "Durable",
    "Fleet",
    "FolderStore",
    "Journal",
    "JournalError",
    "Leases",
    "MemoryStore",
    "Recovery",
    "RedisStore",
    "SQLiteStore",
    "Store",
    "StoreError",
    "StoreUnavailableError",
    "Sync",
    "Versioned",
]


def __getattr__(name: str) -> object:
    """Import what needs all of `bandits` when it is asked for: the stores are light."""
    if name in ("Durable", "Recovery"):
        from . import durable

        return getattr(durable, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Where bytes go: versioned blobs by key, replaced by compare-and-set, the generation before kept."""

from .errors import ConflictError, StoreError, StoreUnavailableError
from .fleet import Fleet, Sync
from .folder import FolderStore
from .leases import Leases
from .memory import MemoryStore
from .redis import RedisStore
from .sqlite import SQLiteStore
from .store import Store, Versioned

__all__ = [
    "ConflictError",
    "Fleet",
    "FolderStore",
    "Leases",
    "MemoryStore",
    "RedisStore",
    "SQLiteStore",
    "Store",
    "StoreError",
    "StoreUnavailableError",
    "Sync",
    "Versioned",
]

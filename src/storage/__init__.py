"""Where bytes go: versioned blobs by key, replaced by compare-and-set, the generation before kept."""

from .errors import ConflictError, StoreError, StoreUnavailableError
from .folder import FolderStore
from .memory import MemoryStore
from .redis import RedisStore
from .sqlite import SQLiteStore
from .store import Store, Versioned

__all__ = [
    "ConflictError",
    "FolderStore",
    "MemoryStore",
    "RedisStore",
    "SQLiteStore",
    "Store",
    "StoreError",
    "StoreUnavailableError",
    "Versioned",
]

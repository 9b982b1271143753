"""Where bytes go: versioned blobs by key, replaced by compare-and-set, the generation before kept."""

from importlib import import_module
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
    from ._entries import LoggedCall, LoggedDecision, LoggedReward
    from .decision_log import DecisionLog
    from .decision_reader import DecisionReader
    from .durable import Durable, Recovery
    from .logged import Logged
    from .recovering import recover
    from .verifying import Difference, Verification, verify

__all__ = [
    "ConflictError",
    "DecisionLog",
    "DecisionReader",
    "Difference",
    "Durable",
    "Fleet",
    "FolderStore",
    "Journal",
    "JournalError",
    "Leases",
    "Logged",
    "LoggedCall",
    "LoggedDecision",
    "LoggedReward",
    "MemoryStore",
    "Recovery",
    "RedisStore",
    "SQLiteStore",
    "Store",
    "StoreError",
    "StoreUnavailableError",
    "Sync",
    "Verification",
    "Versioned",
    "recover",
    "verify",
]
_MODULES = {
    "DecisionLog": "decision_log",
    "DecisionReader": "decision_reader",
    "Difference": "verifying",
    "Durable": "durable",
    "Logged": "logged",
    "LoggedCall": "_entries",
    "LoggedDecision": "_entries",
    "LoggedReward": "_entries",
    "Recovery": "durable",
    "Verification": "verifying",
    "recover": "recovering",
    "verify": "verifying",
}


def __getattr__(name: str) -> object:
    """Import what needs all of `bandits` when it is asked for: the stores are light."""
    if name in _MODULES:
        return getattr(import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

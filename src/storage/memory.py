"""MemoryStore: for tests, and for threads of one process."""

import threading

from .store import Store, Versioned, check_key, check_put, next_version


class MemoryStore(Store):
    """A store that lives and dies with its process.

    Examples
    --------
    >>> from seedbed.storage import MemoryStore
    >>> store = MemoryStore()
    >>> store.put("bandit", b"state", expected=0)
    1
    >>> store.get("bandit")
    Versioned(blob=b'state', version=1)
    """

    def __init__(self) -> None:
        self._generations: dict[str, tuple[Versioned, ...]] = {}  # oldest first, two at most
        self._lock = threading.Lock()

    def get(self, key: str, *, previous: bool = False) -> Versioned | None:
        """Read the newest generation of a key, or the one before it; see `Store.get`."""
        check_key(key)
        generations = self._generations.get(key, ())
        return generations[-1 - previous] if len(generations) > previous else None

    def put(self, key: str, blob: bytes, *, expected: int | None = None) -> int:
        """Replace the newest generation of a key; see `Store.put`."""
        check_put(key, blob, expected)
        with self._lock:
            kept = self._generations.get(key, ())[-1:]
            version = next_version(key, kept[0].version if kept else 0, expected)
            self._generations[key] = (*kept, Versioned(blob, version))
        return version

    def list(self, prefix: str = "") -> dict[str, int]:
        """Versions of all keys that start with a prefix."""
        with self._lock:
            return {
                key: generations[-1].version for key, generations in self._generations.items() if key.startswith(prefix)
            }

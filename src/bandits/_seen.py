"""Ids that were seen lately, in bounded memory."""

from collections.abc import Iterable
from typing import Generic, TypeVar

Id = TypeVar("Id", bound=str | int)


class Seen(Generic[Id]):
    """The latest ids: two generations of `limit` at most, of which the older goes when the newer is full."""

    def __init__(self, limit: int, older: Iterable[Id] = (), newer: Iterable[Id] = ()) -> None:
        self._limit = limit
        self.older, self.newer = dict.fromkeys(older), dict.fromkeys(newer)

    def __contains__(self, id: Id) -> bool:
        return id in self.newer or id in self.older

    def add(self, id: Id) -> bool:
        """Remember an id; False where it is remembered already."""
        if id in self:
            return False
        if len(self.newer) >= self._limit:
            self.older, self.newer = self.newer, {}
        self.newer[id] = None
        return True

    def generations(self) -> tuple[list[Id], list[Id]]:
        """All ids, as `Seen` takes them."""
        return list(self.older), list(self.newer)

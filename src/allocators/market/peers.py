"""Peers in the market: any object with MABWiser's face, MABWiser's own or `bandits.adapters.MAB`."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .base import EXPOSURES, RETAINED, Ints, Report, View
from .policies import CHUNK, SUB_ROUNDS, Uniform, take_turns


class HasExpectations(Protocol):
    """What is asked of a peer: the part of MABWiser's `MAB` that knows of arms, rewards and expectations."""

    def add_arm(self, arm: Any) -> None:
        """Let an arm in."""

    def remove_arm(self, arm: Any) -> None:
        """Let an arm go."""

    def partial_fit(self, decisions: Any, rewards: Any) -> None:
        """Learn rewards, one a decision."""

    def predict_expectations(self) -> Any:
        """What arms are ranked by, by arm: a draw, a bound or a mean."""


class Peer:
    """A peer plays: an arm is a room, a reward a retained viewer.

    Six times a minute rooms are ranked by `predict_expectations`, and each of the first gets ten exposures, up to 60 a
    minute, as for the other policies that rank. Until the first rewards are in, all rooms get the same.

    Parameters
    ----------
    make
        Function from the ids of the first rooms, integers, to the peer.

    Examples
    --------
    >>> from seedbed.allocators.market import MarketConfig, play
    >>> from seedbed.allocators.market.peers import Peer
    >>> from seedbed.bandits.adapters import MAB, LearningPolicy
    >>> small = MarketConfig(rooms_per_day=300, exposures_per_day=150_000)
    >>> run = play(Peer(lambda rooms: MAB(rooms, LearningPolicy.ThompsonSampling())), small, seed=1, minutes=5)
    >>> bool(run.measures()["used"] > 0.9)
    True
    """

    def __init__(self, make: Callable[[Sequence[int]], HasExpectations]) -> None:
        self._make = make
        self.peer: HasExpectations | None = None
        self._arms: set[int] = set()
        self._has_learnt = False

    def allocate(self, view: View) -> Ints:
        """Exposures of each open room, [R]."""
        peer = self._follow(view)
        if not self._has_learnt:
            return Uniform().allocate(view)
        given, left = np.zeros(view.rooms.size, np.int64), view.exposures
        for turn in range(SUB_ROUNDS):
            expectations = peer.predict_expectations()
            values = np.array([expectations[room] for room in view.rooms.tolist()], np.float64)
            more = take_turns(np.argsort(-values, kind="stable"), values.size, -(-left // (SUB_ROUNDS - turn)), CHUNK)
            given += more
            left -= int(more.sum())
        return given

    def _follow(self, view: View) -> HasExpectations:
        """Let rooms come and go."""
        rooms = view.rooms.tolist()
        if self.peer is None:
            self.peer = self._make(rooms)
            self._arms = set(rooms)
        for room in self._arms.difference(rooms):
            self.peer.remove_arm(room)
        for room in [room for room in rooms if room not in self._arms]:
            self.peer.add_arm(room)
        self._arms = set(rooms)
        return self.peer

    def learn(self, report: Report) -> None:
        """Learn each viewer: retained or not."""
        known = np.array([room in self._arms for room in report.rooms.tolist()], np.bool_)
        rooms = report.rooms[known]
        shown, retained = (report.counts[row, known].astype(np.int64) for row in (EXPOSURES, RETAINED))
        if self.peer is None or shown.sum() == 0:
            return
        each: NDArray[np.int64] = np.stack([retained, shown - retained]).T.reshape(-1)
        self.peer.partial_fit(np.repeat(rooms, shown).tolist(), np.repeat(np.tile([1, 0], rooms.size), each).tolist())
        self._has_learnt = True

    def to_bytes(self) -> bytes:
        """Refuse: a peer's state is its own."""
        raise ValueError("a peer's state is not ours to write: play it without checkpoints")

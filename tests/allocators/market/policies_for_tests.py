"""Simple policies, and a small market of the usual density."""

import numpy as np

from seedbed.allocators.market import MarketConfig

SMALL = MarketConfig(rooms_per_day=2_000, exposures_per_day=1_000_000)


def uniform(view):
    """The same for each room, in whole exposures; the rest goes to the first ones."""
    n = view.rooms.size
    return view.exposures // n + (np.arange(n) < view.exposures % n)


class Climber:
    """Half for all alike, half for the room with the most retained viewers a click so far; it learns from reports."""

    def __init__(self, totals=None):
        self.totals = np.zeros((2, 0)) if totals is None else totals

    def allocate(self, view):
        exposures = view.exposures // 2 // view.rooms.size + np.zeros(view.rooms.size, np.int64)
        self._grow(int(view.rooms.max()))
        clicks, retained = self.totals[:, view.rooms]
        exposures[np.argmax((retained + 1.0) / (clicks + 10.0))] += view.exposures // 2
        return exposures

    def learn(self, report):
        self._grow(int(report.rooms.max(initial=0)))
        self.totals[:, report.rooms] += report.counts[1:3]

    def _grow(self, room):
        self.totals = np.pad(self.totals, ((0, 0), (0, max(room + 1 - self.totals.shape[1], 0))))

    def to_bytes(self):
        return self.totals.tobytes()

    @classmethod
    def from_bytes(cls, blob):
        return cls(np.frombuffer(blob).reshape(2, -1).copy())


def make_climber(config, fitted, seed):
    """A maker that other processes can import."""
    return Climber()


def make_uniform(config, fitted, seed):
    """A maker that other processes can import."""
    return uniform

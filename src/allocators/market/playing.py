"""Play a policy in the market, minute by minute; stop and resume it anywhere."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...bandits._inputs import checked_int
from ...bandits.checkpoint import Checkpoint, pack, require, take, unpack
from .base import EXPOSURES, METRICS, Floats, Ints, MarketPolicy, Report, Rooms, View
from .measures import measures
from .parameters import MarketConfig
from .truth import Truth
from .world import Market

KIND = "market_play"
MILESTONES = (1, 60, 100, 200, 500, 1_000, 3_000)
_SERIES = ("offered", "n_open", "low", "harmful")

Allocate = Callable[[View], NDArray[Any]]
Progress = Callable[[Sequence[int]], Iterable[int]]


@dataclass(frozen=True, slots=True)
class Run:
    """What came of playing a policy for T minutes, in which N rooms were seen.

    Parameters
    ----------
    config, seed, start_hour
        Of the market.
    counts
        All that was reported of each room, `[M, N]`, rows in the order of METRICS.
    facts, truth
        Of the rooms, `[N]`.
    seen, closes
        Second at which each room was first shown to the policy, and at which it closed or will close, `[N]`.
    milestones, reached
        Numbers of exposures, [P]; seconds after `seen` at which each room had them, `[P, N]`, NaN where it has not.
    by_minute
        All that was reported in each minute, `[M, T]`.
    offered, n_open, low, harmful
        Of each minute, `[T]`: exposures offered, rooms open, exposures of rooms of low quality and of harmful ones.
    """

    config: MarketConfig
    seed: int
    start_hour: float
    counts: Floats
    facts: Rooms
    truth: Truth
    seen: Floats
    closes: Floats
    milestones: tuple[int, ...]
    reached: Floats
    by_minute: Floats
    offered: Ints
    n_open: Ints
    low: Ints
    harmful: Ints

    def measures(self, **options: Any) -> dict[str, float]:
        """Numbers by which policies are compared; see `measures.measures`."""
        return measures(self, **options)


class Playing:
    """A market and a policy in it.

    Parameters
    ----------
    policy
        A MarketPolicy; or a function from view to exposures, which then learns from the view's counts alone.
    config, seed, start_hour
        Of the market.
    milestones
        Numbers of exposures whose times are noted, rising.

    Examples
    --------
    >>> import numpy as np
    >>> from seedbed.allocators.market import MarketConfig, Playing
    >>> def uniform(view):
    ...     return np.full(view.rooms.size, view.exposures / view.rooms.size)
    >>> playing = Playing(uniform, MarketConfig(rooms_per_day=2_000, exposures_per_day=10**6), seed=1)
    >>> for _ in range(10):
    ...     report = playing.step()
    >>> run = playing.run()
    >>> bool(run.by_minute[0].sum() == run.offered.sum()), run.measures()["used"]
    (True, 1.0)
    """

    def __init__(
        self,
        policy: MarketPolicy | Allocate,
        config: MarketConfig,
        seed: int,
        start_hour: float = 0.0,
        milestones: Sequence[int] = MILESTONES,
    ) -> None:
        steps = [checked_int(n, f"milestones[{i}]", 1) for i, n in enumerate(milestones)]
        if sorted(set(steps)) != steps:
            raise ValueError(f"milestones must rise; got {steps}")
        self._set(policy, Market(config, seed, start_hour), tuple(steps))

    def _set(self, policy: MarketPolicy | Allocate, market: Market, milestones: tuple[int, ...]) -> None:
        if not callable(getattr(policy, "allocate", policy)):
            raise ValueError(f"policy = {policy!r:.80} must have `allocate`, or be a function from view to exposures")
        self.policy = policy
        self.market = market
        self.milestones = milestones
        self._reached = np.empty((len(milestones), 0))
        self._seen = np.empty(0)
        self._by_minute: list[Floats] = []
        self._series: list[tuple[int, ...]] = []

    def step(self) -> Report:
        """Play one minute."""
        view = self.market.view()
        new = self.market.n_rooms - self._seen.size
        self._seen = np.concatenate([self._seen, np.full(new, view.now)])
        self._reached = np.pad(self._reached, ((0, 0), (0, new)), constant_values=np.nan)
        allocate: Any = getattr(self.policy, "allocate", self.policy)
        had = view.counts[EXPOSURES].copy()
        exposures = allocate(view)
        report = self.market.serve(exposures)
        self._note(view, had, report)
        if hasattr(self.policy, "learn"):
            self.policy.learn(report)
        return report

    def _note(self, view: View, had: Floats, report: Report) -> None:
        """Keep what measures need of this minute."""
        shown = report.counts[EXPOSURES]
        truth = self.market.truth()
        before = np.zeros(self._seen.size)
        before[view.rooms] = had
        before = before[report.rooms]
        for p, n in enumerate(self.milestones):
            passed = report.rooms[(before < n) & (before + shown >= n)]
            self._reached[p, passed] = report.now - self._seen[passed]
        low, harmful = (int(shown[flags[report.rooms]].sum()) for flags in (truth.is_low, truth.is_harmful))
        self._by_minute.append(report.counts.sum(1))
        self._series.append((view.exposures, view.rooms.size, low, harmful))

    def run(self) -> Run:
        """What came of it so far."""
        market, n = self.market, self._seen.size
        series = self._arrays()
        return Run(
            market.config,
            market.seed,
            market.start_hour,
            market.counts[:, :n],
            market.facts(np.arange(n)),
            market.truth().first(n),
            self._seen.copy(),
            market.closes()[:n],
            self.milestones,
            self._reached.copy(),
            series["by_minute"],
            *(series[name] for name in _SERIES),
        )

    def _arrays(self) -> dict[str, NDArray[Any]]:
        by_minute = np.array(self._by_minute).reshape(-1, len(METRICS)).T.copy()
        series = np.array(self._series, np.int64).reshape(-1, len(_SERIES)).T
        return {"by_minute": by_minute, **{name: series[i].copy() for i, name in enumerate(_SERIES)}}

    def to_bytes(self) -> bytes:
        """Write a checkpoint of the market, the policy (nothing, for a function) and what was noted."""
        policy = self.policy.to_bytes() if hasattr(self.policy, "to_bytes") else b""
        values = {"market": self.market.to_bytes(), "policy": policy, "milestones": list(self.milestones)}
        arrays = {**self._arrays(), "seen": self._seen, "reached": self._reached}
        return pack(Checkpoint(KIND, {}, values, arrays))

    @classmethod
    def from_bytes(cls, blob: bytes, policy_from_bytes: Callable[[bytes], MarketPolicy | Allocate]) -> Self:
        """Resume exactly.

        Parameters
        ----------
        blob
            From `to_bytes`.
        policy_from_bytes
            Makes the policy from what its own `to_bytes` wrote; for a function, `lambda _: function`.

        Raises
        ------
        CheckpointError
            For bytes that are no whole checkpoint of a play.
        """
        _, _, values, arrays = unpack(blob, KIND)
        market = Market.from_bytes(take(values, "market", lambda v: isinstance(v, bytes), "bytes"))
        state = take(values, "policy", lambda v: isinstance(v, bytes), "bytes")
        steps = take(values, "milestones", _rising, "a rising list of counts")
        minutes, seen = market.minutes, arrays.get("seen", np.empty(0))
        shapes: dict[str, tuple[int, ...]] = {"by_minute": (len(METRICS), minutes), "reached": (len(steps), seen.size)}
        shapes |= {name: (minutes,) for name in _SERIES}
        for name, shape in shapes.items():
            array = arrays.get(name, np.empty(0))
            dtype = np.int64 if name in _SERIES else np.float64
            require(array.shape == shape and array.dtype == dtype, f"array {name!r} is of another play")
        require(
            seen.ndim == 1 and seen.dtype == np.float64 and seen.size <= market.n_rooms, "'seen' is of another play"
        )
        playing = cls.__new__(cls)
        playing._set(policy_from_bytes(state), market, tuple(steps))
        playing._seen, playing._reached = seen, arrays["reached"]
        playing._by_minute = list(arrays["by_minute"].T.copy())
        playing._series = [tuple(row) for row in np.array([arrays[name] for name in _SERIES]).T.tolist()]
        return playing


def _rising(value: Any) -> bool:
    counts = isinstance(value, list) and all(type(n) is int and n > 0 for n in value)
    return counts and sorted(set(value)) == value


def play(
    policy: MarketPolicy | Allocate,
    config: MarketConfig,
    seed: int,
    minutes: int = 1_440,
    *,
    start_hour: float = 0.0,
    milestones: Sequence[int] = MILESTONES,
    progress: Progress | None = None,
    checkpoint: Callable[[bytes], None] | None = None,
    checkpoint_minutes: int = 60,
) -> Run:
    """Play a policy in a fresh market.

    Parameters
    ----------
    policy
        A fresh MarketPolicy; or a function from view to exposures.
    config, seed, start_hour
        Of the market.
    minutes
        How long.
    milestones
        Numbers of exposures whose times are noted.
    progress
        Wraps the minutes to show progress, such as `rich.progress.track` or `tqdm`.
    checkpoint
        Is given the bytes of the play every `checkpoint_minutes`; `Playing.from_bytes` resumes from them.

    Returns
    -------
    Run
    """
    minutes = checked_int(minutes, "minutes", 1)
    every = checked_int(checkpoint_minutes, "checkpoint_minutes", 1)
    playing = Playing(policy, config, seed, start_hour, milestones)
    for minute in (progress or iter)(range(minutes)):
        playing.step()
        if checkpoint is not None and (minute + 1) % every == 0:
            checkpoint(playing.to_bytes())
    return playing.run()

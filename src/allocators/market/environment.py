"""The market as a Gymnasium environment: a score for each open room, minute by minute; needs `seedbed[gym]`."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...bandits._inputs import checked_float, checked_int
from ._supply import DAY
from .base import EXPOSURES, METRICS, NEGATIVE, RETAINED, Floats, Ints, View
from .parameters import MarketConfig
from .world import Market

try:
    import gymnasium
except ImportError as error:
    raise ImportError("gymnasium is not installed, which MarketEnv needs: pip install 'seedbed[gym]'") from error

FEATURES: Final = (
    "open",  # 1 if a room has the slot; all else is 0 if none has
    "age",  # share of a day since it opened
    "exposures",  # so far, on a logarithmic scale: 0 for none, 1 for a million
    "retained",  # viewers retained, an exposure so far
    "negative",  # negative feedback, an exposure so far
    "content_score",
    "creator_score",
    "tier",  # 0 for S, 1/3 for A, 2/3 for B, 1 for C
    "newcomer",  # 1 if it is the streamer's first session
    "offered",  # exposures that all rooms together may get in this minute, on the same scale as `exposures`
)
NAME: Final = "seedbed/Market-v0"
_MOST: Final = np.log1p(1e6)
_EMPTY: Final = -1
_SMALL: Final = MarketConfig(rooms_per_day=2_000, exposures_per_day=1_000_000)

Observation = NDArray[np.float32]
Action = NDArray[np.floating[Any]]


class MarketEnv(gymnasium.Env[Observation, Action]):
    """Hand out the exposures of a market minute by minute; what counts is how many viewers stay.

    A room takes the lowest free slot when it opens and keeps it until it closes. While all slots are taken, further
    rooms wait, in the order in which they opened, and are shown to nobody: choose `max_rooms` above the number of
    rooms that are open at a time (`info["waiting"]` says whether that holds). At the default configuration these are
    30 to 230, by the hour.

    The action is a score a slot, in [0, 1]: each minute's exposures are shared out in proportion to the scores of the
    slots that are taken. If all of these are 0, nobody is shown anything. The observation is `[max_rooms, F]`, a row a
    slot, a column for each of `FEATURES`, all in [0, 1]. The reward is

        1,000 x (retained - negative_penalty x negative) / offered,

    in viewers of the minute and the exposures offered in it, whether they were used or not; 0 if none were. An episode
    never terminates; it is truncated after `minutes`.

    Parameters
    ----------
    config
        Of the market; by default one of 2,000 rooms and a million exposures a day.
    max_rooms
        Number of slots.
    minutes
        Length of an episode.
    start_hour
        Hour of the day, [0, 24), at which episodes start; the option "start_hour" of `reset` prevails.
    negative_penalty
        Retained viewers that one negative feedback costs. The default is an assumption: at 10, an average room loses
        about a quarter of what it earns, and a harmful one far more than it earns.
    render_mode
        None: there is nothing to be seen.

    Examples
    --------
    >>> import numpy as np
    >>> from seedbed.allocators.market import MarketEnv
    >>> env = MarketEnv(max_rooms=64, minutes=2)
    >>> observation, info = env.reset(seed=1, options={"start_hour": 4.0})
    >>> observation.shape, info["open"], info["waiting"]
    ((64, 10), 50, 0)
    >>> observation, reward, terminated, truncated, info = env.step(np.ones(64))
    >>> reward == 1_000.0 * (info["retained"] - 10.0 * info["negative"]) / info["offered"]
    True
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  (declared so by gymnasium)

    def __init__(
        self,
        config: MarketConfig | None = None,
        *,
        max_rooms: int = 256,
        minutes: int = 60,
        start_hour: float = 0.0,
        negative_penalty: float = 10.0,
        render_mode: None = None,
    ) -> None:
        self.config = _SMALL if config is None else config
        self.max_rooms = checked_int(max_rooms, "max_rooms", 1, 10**6)
        self.minutes = checked_int(minutes, "minutes", 1)
        self.start_hour = _checked_hour(start_hour)
        self.negative_penalty = checked_float(negative_penalty, "negative_penalty")
        if not 0.0 <= self.negative_penalty < np.inf:
            raise ValueError(f"negative_penalty = {negative_penalty} is not a finite number >= 0")
        if render_mode is not None:
            raise ValueError(f"render_mode = {render_mode!r}: there is nothing to be seen; leave it out")
        self.render_mode = None
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (self.max_rooms, len(FEATURES)), np.float32)
        self.action_space = gymnasium.spaces.Box(0.0, 1.0, (self.max_rooms,), np.float32)
        self.market: Market | None = None
        self._slots: Ints = np.full(self.max_rooms, _EMPTY, np.int64)  # number of the room in each

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Open another market.

        Parameters
        ----------
        seed
            Of the market, as for `play`, so that both can be compared in pairs; and of those of the episodes to come,
            which are drawn if it is None.
        options
            "start_hour": for this episode alone.

        Returns
        -------
        (observation, info)
            See `step`.
        """
        given = dict(options or {})
        hour = _checked_hour(given.pop("start_hour", self.start_hour))
        if given:
            raise ValueError(f"unknown option {next(iter(given))!r}: the one there is is 'start_hour'")
        super().reset(seed=seed)
        market = int(self.np_random.integers(2**63)) if seed is None else seed
        self.market = Market(self.config, market, hour)
        self._slots[:] = _EMPTY
        view = self._seat()
        return self._observe(view), self._info(view, np.zeros(len(METRICS)), 0)

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Show rooms to viewers for a minute.

        Parameters
        ----------
        action
            A score a slot, `[max_rooms]`, in [0, 1].

        Returns
        -------
        (observation, reward, terminated, truncated, info)
            `info` has the number of each metric in the minute, by name; `offered`, what could have been shown in it;
            and of the minute to come: `now`, seconds; `seed`, the market's; `open` and `waiting`, numbers of rooms with
            and without a slot; `rooms`, the room of each slot, -1 for none; `counts`, all that was reported of it,
            `[M, max_rooms]`.

        Raises
        ------
        ValueError
            For another action. No time has passed.
        gymnasium.error.ResetNeeded
            Before the first `reset`, and when the episode is over.
        """
        market = self.market
        if market is None or market.minutes >= self.minutes:
            raise gymnasium.error.ResetNeeded("the episode is over, or has not begun: call `reset` first")
        scores = self._checked_scores(action)
        view = market.view()
        score = np.zeros(view.rooms.size)
        taken = np.flatnonzero(self._slots != _EMPTY)
        score[np.searchsorted(view.rooms, self._slots[taken])] = scores[taken]
        total = float(score.sum())
        report = market.serve(score / total * view.exposures if total > 0.0 else score)
        minute = report.counts.sum(1)
        gain = float(minute[RETAINED]) - self.negative_penalty * float(minute[NEGATIVE])
        reward = 1_000.0 * gain / view.exposures if view.exposures else 0.0
        after = self._seat()
        truncated = market.minutes >= self.minutes
        return self._observe(after), reward, False, truncated, self._info(after, minute, view.exposures)

    def _checked_scores(self, action: Action) -> Floats:
        given = np.asarray(action)
        if given.shape != (self.max_rooms,) or given.dtype.kind not in "iuf":
            raise ValueError(
                f"action must be a number a slot, shape ({self.max_rooms},); got {given.dtype}, shape {given.shape}"
            )
        scores = given.astype(np.float64)
        wrong = np.flatnonzero(~((scores >= 0.0) & (scores <= 1.0)))
        if wrong.size:
            raise ValueError(f"action[{wrong[0]}] = {scores[wrong[0]]} is not in [0, 1]")
        return scores

    def _seat(self) -> View:
        """Free the slots of rooms that have closed, give them to those that wait; show the market."""
        assert self.market is not None
        view = self.market.view()
        slots = self._slots
        slots[~np.isin(slots, view.rooms)] = _EMPTY
        free = np.flatnonzero(slots == _EMPTY)
        waiting = np.setdiff1d(view.rooms, slots)
        n = min(free.size, waiting.size)
        slots[free[:n]] = waiting[:n]
        return view

    def _observe(self, view: View) -> Observation:
        """What the agent sees of each slot, `[max_rooms, F]`."""
        out = np.zeros((self.max_rooms, len(FEATURES)))
        taken = np.flatnonzero(self._slots != _EMPTY)
        at = np.searchsorted(view.rooms, self._slots[taken])
        facts, counts = view.facts, view.counts[:, at]
        shown = np.maximum(counts[EXPOSURES], 1.0)
        columns = (
            np.ones(taken.size),
            (view.now - facts.opened[at]) / (60.0 * DAY),
            np.log1p(counts[EXPOSURES]) / _MOST,
            counts[RETAINED] / shown,
            counts[NEGATIVE] / shown,
            facts.content_score[at],
            facts.creator_score[at],
            facts.tier[at] / 3.0,
            facts.is_new[at],
            np.full(taken.size, np.log1p(view.exposures) / _MOST),
        )
        out[taken] = np.array(columns, np.float64).T
        return np.clip(out, 0.0, 1.0).astype(np.float32)

    def _info(self, view: View, minute: Floats, offered: int) -> dict[str, Any]:
        assert self.market is not None
        taken = np.flatnonzero(self._slots != _EMPTY)
        counts = np.zeros((len(METRICS), self.max_rooms))
        counts[:, taken] = view.counts[:, np.searchsorted(view.rooms, self._slots[taken])]
        return {
            **dict(zip(METRICS, minute.tolist(), strict=True)),
            "offered": offered,
            "now": view.now,
            "seed": self.market.seed,
            "open": int(taken.size),
            "waiting": int(view.rooms.size - taken.size),
            "rooms": self._slots.copy(),
            "counts": counts,
        }


def register() -> None:
    """Make the environment known to `gymnasium.make` as "seedbed/Market-v0"; more than once does no harm.

    Examples
    --------
    >>> import gymnasium
    >>> from seedbed.allocators.market.environment import register
    >>> register()
    >>> gymnasium.make("seedbed/Market-v0", max_rooms=64).observation_space.shape
    (64, 10)
    """
    if NAME not in gymnasium.registry:
        gymnasium.register(NAME, entry_point=f"{MarketEnv.__module__}:{MarketEnv.__name__}")


def _checked_hour(hour: Any) -> float:
    checked = checked_float(hour, "start_hour")
    if not 0.0 <= checked < 24.0:
        raise ValueError(f"start_hour must be in [0, 24); got {hour}")
    return checked

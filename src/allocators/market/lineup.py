"""The line-up: policies by name, each made ready on the history of another market."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..cold_start import ColdStartConfig, Fitting, History, Rules, fit_rules
from ..cold_start.populations import moment_beta
from .base import COMMENTS, EXPOSURES, FOLLOWS, MINUTES, RETAINED, WATCHED, MarketPolicy
from .parameters import MarketConfig
from .playing import Allocate, Progress, Run, play
from .policies import EBThompson, KLUCBRanking, Pools, RouteA, RouteB, RouteM, StagePartitioned, Uniform

_HISTORY = 2**63  # added to a seed for the market that came before, so that no room is met twice


class Fitted(NamedTuple):
    """What history says: rules by bucket, and of all rooms the Beta of the retained rate and the bar."""

    rules: Rules
    prior: tuple[float, float]
    bar: float


def history_of(run: Run, buckets: list[str], least: int = 20) -> History:
    """The rooms of a run as a history from which thresholds are fitted: those with so many exposures, or more."""
    rooms = np.flatnonzero(run.counts[EXPOSURES] >= least)
    counts = run.counts[:, rooms]
    return History(
        creators=run.facts.creator[rooms].tolist(),
        buckets=[buckets[place] for place in run.facts.bucket[rooms].tolist()],
        exposures=counts[EXPOSURES],
        retained=counts[RETAINED],
        follows=counts[FOLLOWS],
        watched=counts[WATCHED],
        comments=counts[COMMENTS],
        minutes=counts[MINUTES],
    )


def fit_history(
    config: MarketConfig,
    seed: int = 0,
    minutes: int = 240,
    *,
    start_hour: float = 18.0,
    fitting: Fitting | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Play uniform exposure in another market of the same kind, and fit thresholds to what came of it.

    Parameters
    ----------
    config
        Of the market; its rooms are others than those of the same seed.
    seed
        Integer in [0, 2**63).
    minutes, start_hour
        How much history, and from when.
    fitting
        How thresholds are fitted; by default retention alone, with 100 resamples.
    """
    run = play(Uniform(), config, _HISTORY + seed, minutes, start_hour=start_hour, progress=progress)
    history = history_of(run, [bucket.name for bucket in config.buckets])
    rules, _ = fit_rules(history, version="history", fitting=fitting or Fitting(resamples=100))
    return fitted_by(rules)


def live_config(**changes: Any) -> ColdStartConfig:
    """The allocator's numbers for this market: a guarantee of 60 exposures, up to 100 by scores.

    Four viewers in a hundred are retained, so that a promotion takes a thousand exposures and more: VERIFY must be long
    enough for it. The caps were chosen in markets of other seeds than those of `make evidence`.
    """
    numbers: dict[str, Any] = {
        "quota_base": 60,
        "quota_content": 20,
        "quota_creator": 20,
        "quota_min": 60,
        "quota_max": 100,
        "seed_done": 1.0,
        "verify_cap": 3_000,
        "scale_cap": None,
        "futile_below": 0.005,
    }
    return ColdStartConfig.live(**{**numbers, **changes})


def route_m(market: MarketConfig, fitted: Fitted, seed: int, **changes: Any) -> RouteM:
    """Route M on fitted rules, with changes to the allocator's numbers for this market."""
    config = live_config(**{"prior": fitted.prior, "bar": fitted.bar, **changes})
    return RouteM(config, [bucket.name for bucket in market.buckets], fitted.rules, seed)


def fitted_by(rules: Rules) -> Fitted:
    """What given rules say of all rooms, in place of history."""
    gate = rules.buckets[rules.index("")].gates[0]
    return Fitted(rules, moment_beta(gate.population), gate.bar)


MakePolicy = Callable[[MarketConfig, Fitted, int], MarketPolicy | Allocate]

POLICIES: dict[str, MakePolicy] = {
    "M": route_m,
    "A": lambda market, fitted, seed: RouteA(),
    "B": lambda market, fitted, seed: RouteB(),
    "uniform": lambda market, fitted, seed: Uniform(),
    "pools": lambda market, fitted, seed: Pools(fitted.bar),
    "kl-ucb": lambda market, fitted, seed: KLUCBRanking(seed),
    "eb-thompson": lambda market, fitted, seed: EBThompson(fitted.prior, seed),
    "partitioned": lambda market, fitted, seed: StagePartitioned(fitted.prior, fitted.bar, seed=seed),
}

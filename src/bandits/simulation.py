"""Simulated worlds with known means, and the loop that plays a policy in them, compiled."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ._inputs import checked_int
from ._learning import update_one
from ._numba import free_kernel
from ._random import base_key, fold_in, uniform
from ._special import kl_bernoulli
from ._table import Handles, Table
from .bandit import Bandit
from .policies import AnyPolicy
from .policies._base import Policy
from .policies._rank import rank
from .records import Decision

_WORLD = "simulation"  # replica name under which the world's own draws are keyed


class Chooser(Protocol):
    """What can be played: anything that selects an arm and learns its reward."""

    def select(self) -> Decision | int:
        """Choose among the arms 0 ... K - 1: the arm, or a record with it in `arms`."""

    def update(self, arm: int, reward: float) -> None:
        """Learn one reward."""


class Bernoulli(BaseModel):
    """K arms with rewards 0 or 1; the arms' ids are 0 ... K - 1.

    The j-th reward of an arm is the same for every policy played under one seed, so that policies compare in pairs.

    Parameters
    ----------
    means
        Probability of a reward of each arm, [K].

    Examples
    --------
    >>> from seedbed.bandits.simulation import Bernoulli
    >>> round(Bernoulli([.1, .2, .3, .4, .5, .6, .7, .8, .9]).lai_robbins, 6)
    7.516516
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["bernoulli"] = "bernoulli"
    means: tuple[Annotated[float, Field(ge=0.0, le=1.0)], ...] = Field(min_length=1)

    def __init__(self, means: Sequence[float], **fields: Any) -> None:
        super().__init__(means=tuple(means), **fields)

    @property
    def lai_robbins(self) -> float:
        """Sum of gap / kl(mean, best): the regret of any consistent policy grows at least as this times ln T.

        References
        ----------
        .. [1] T. L. Lai and H. Robbins (1985), "Asymptotically efficient adaptive allocation rules", Advances in
           Applied Mathematics 6.
        """
        best = max(self.means)
        return math.fsum((best - mean) / kl_bernoulli(mean, best) for mean in self.means if mean < best)


class Simulation(NamedTuple):
    """What came of S runs.

    regret: `[S]` final pseudo-regret of each run, `sum over arms of gap x times chosen`.
    pulls: `[S, K]` times that each arm was chosen.
    at: `[P]` steps, log-spaced, at which the regret was noted; the last is the horizon.
    curve: `[S, P]` pseudo-regret after so many steps.
    """

    regret: NDArray[np.float64]
    pulls: NDArray[np.int64]
    at: NDArray[np.int64]
    curve: NDArray[np.float64]


def simulate(
    chooser: AnyPolicy | Callable[[int], Chooser],
    environment: Bernoulli,
    horizon: int,
    seeds: Iterable[int],
    *,
    points: int = 50,
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> Simulation:
    """Play a policy against an environment, once a seed.

    Parameters
    ----------
    chooser
        A policy, played in a compiled loop that decides exactly as `Bandit(policy, range(K), seed=seed)` would; or a
        function from seed to any object with `select` and `update`, played in Python.
    environment
        The world.
    horizon
        Steps of a run, >= 1.
    seeds
        One run each.
    points
        Number of steps at which the regret is noted.
    progress
        Wraps the seeds to show progress, such as `rich.progress.track` or `tqdm`.

    Returns
    -------
    Simulation

    Examples
    --------
    >>> from seedbed.bandits import Thompson
    >>> from seedbed.bandits.simulation import Bernoulli, simulate
    >>> runs = simulate(Thompson(), Bernoulli([.2, .8]), horizon=1_000, seeds=range(10))
    >>> bool((runs.pulls[:, 1] > 800).all())
    True
    """
    horizon = checked_int(horizon, "horizon", 1)
    if not isinstance(environment, Bernoulli):
        raise ValueError(f"environment = {environment!r} is not one, such as Bernoulli([.1, .5])")
    if not np.iterable(seeds):
        raise ValueError(f"seeds must be several integers, one a run; write range({seeds}) or [{seeds}]")
    checked = [checked_int(seed, f"seeds[{i}]", 0, 2**64 - 1) for i, seed in enumerate(seeds)]
    if not checked:
        raise ValueError("seeds is empty; give one a run")
    at = np.unique(np.geomspace(1, horizon, checked_int(points, "points", 1)).round().astype(np.int64))
    at[-1] = horizon
    means = np.array(environment.means)
    pulls = np.zeros((len(checked), means.size), np.int64)
    curve = np.zeros((len(checked), at.size))
    is_policy = isinstance(chooser, Policy)
    if not is_policy and (not callable(chooser) or isinstance(chooser, type(Policy))):
        raise ValueError(f"chooser = {chooser!r} must be a policy, or a function from seed to an object with select")
    if is_policy and chooser.model.kind != "beta":  # type: ignore[union-attr]
        raise ValueError(f"this environment's rewards are 0 or 1; play it with the model 'beta', not {chooser.model!r}")  # type: ignore[union-attr]
    compiled = is_policy and not chooser.needs_propensity and _forgets_nothing(chooser.model)  # type: ignore[union-attr]
    if is_policy and not compiled:
        policy: Any = chooser
        chooser = lambda seed: Bandit(policy, range(means.size), seed=seed)  # noqa: E731
    run: Iterator[int] = iter(progress(range(len(checked))))
    for s in run:
        world = base_key(checked[s], _WORLD, 0)
        if compiled:
            _play_compiled(chooser, means, horizon, checked[s], world, at, pulls[s], curve[s])  # type: ignore[arg-type]
        else:
            _play(chooser(checked[s]), means, horizon, world, at, pulls[s], curve[s])  # type: ignore[operator]
    return Simulation(curve[:, -1].copy(), pulls, at, curve)


def _forgets_nothing(model: Any) -> bool:
    return model.half_life is None and model.window is None


def _play_compiled(
    policy: AnyPolicy, means: Table, horizon: int, seed: int, world: int, at: Handles, pulls: Handles, curve: Table
) -> None:
    bandit = Bandit(policy, range(means.size), seed=seed)
    x, y = policy.numbers
    version = bandit._version()
    uids = bandit._uids
    base = base_key(seed, "0", 0)
    _loop(policy.rule, x, y, bandit._table, uids, version, means, horizon, base, world, at, pulls, curve)


def _play(chooser: Chooser, means: Table, horizon: int, world: int, at: Handles, pulls: Handles, curve: Table) -> None:
    gaps = means.max() - means
    regret, noted = 0.0, 0
    for t in range(horizon):
        chosen = chooser.select()
        arm = chosen.arms[0] if isinstance(chosen, Decision) else chosen
        if type(arm) is not int or not 0 <= arm < means.size:
            raise ValueError(f"the chooser chose arm {arm!r}; an environment's arms are 0 ... {means.size - 1}")
        chooser.update(arm, 1.0 if uniform(world, arm, int(pulls[arm])) < means[arm] else 0.0)
        pulls[arm] += 1
        regret += gaps[arm]
        if t + 1 == at[noted]:
            curve[noted] = regret
            noted += 1


@free_kernel
def _loop(
    rule: int,
    x: float,
    y: float,
    table: Table,
    uids: NDArray[np.uint64],
    version: float,
    means: Table,
    horizon: int,
    base: int,
    world: int,
    at: Handles,
    pulls: Handles,
    curve: Table,
) -> None:
    handles = np.arange(means.size)
    gaps = means.max() - means
    positions = np.empty(1, np.int64)
    scores = np.empty(1)
    regret = 0.0
    noted = 0
    for t in range(horizon):
        rank(rule, table, handles, uids, fold_in(base, t), version, math.nan, x, y, positions, scores)
        arm = positions[0]
        reward = 1.0 if uniform(world, np.uint64(arm), pulls[arm]) < means[arm] else 0.0
        update_one(table, arm, reward, 1.0)
        pulls[arm] += 1
        regret += gaps[arm]
        if t + 1 == at[noted]:
            curve[noted] = regret
            noted += 1

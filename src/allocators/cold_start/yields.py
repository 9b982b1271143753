"""Paced quotas: how hard the host must push a room so that what was promised to it arrives, and no more.

A room's yield, exposures that a unit of the traffic multiplier brings in a tick, is learnt from what its multipliers
brought; the next multiplier is what the missing exposures ask for, those on their way not counted as missing.
"""

from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Factor = Annotated[float, Field(ge=1e-6, le=1e6)]

_LEAST_YIELD = 1e-9  # of a room that brought nothing for long


class PacedQuota(BaseModel):
    """Gamma-Poisson yield, and the multiplier that brings what is missing.

    With x the exposures that came since the last tick and m the multiplier that can have brought them,

    ``A <- memory A + x,  B <- memory B + m,  yield = A / B``

    ``missing = max(target - seen - yield * sum of multipliers still in flight, 0)``

    ``multiplier = clip(plan_share * missing / yield, multiplier_min, highest)``, and 0 where nothing is missing.

    Parameters
    ----------
    lag
        Ticks from a multiplier to the report of what it brought: 1 if all is reported by the next tick.
    memory
        Share of the evidence on a room's yield that is kept from tick to tick.
    prior_ticks
        Weight of the first guess, in ticks.
    multiplier_first, multiplier_min, multiplier_max, multiplier_max_s
        Multiplier under which an even share of the quota is expected at first; bounds; the upper bound of tier S.
    short_after
        Ticks at the upper bound, with exposures still missing, after which a room's supply is insufficient.

    Examples
    --------
    A quota of 100 over 10 ticks is expected to yield 100 / 10 / 2 = 5 a tick and unit of the multiplier; a tick's ten
    are then pushed by 2:

    >>> import numpy as np
    >>> from seedbed.allocators.cold_start.yields import PacedQuota, first, learn, new_yields, push
    >>> rule, room = PacedQuota(), np.array([0])
    >>> yields = new_yields(1)
    >>> first(rule, yields, room, quota=np.array([100]), ticks=10.0)
    >>> push(rule, yields, room, target=np.array([10])).tolist()
    [2.0]

    Twenty come instead of ten, so A / B is (.7 x 5 + 20) / (.7 x 1 + 2) = 8.7, and the target is seen:

    >>> learn(rule, yields, room, seen=np.array([20]))
    >>> round(float(yields.brought[0] / yields.pushed[0]), 1)
    8.7
    >>> push(rule, yields, room, target=np.array([20])).tolist()
    [0.0]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["paced_quota"] = "paced_quota"
    lag: Annotated[int, Field(ge=1, le=60)] = 1
    memory: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.7
    prior_ticks: Annotated[float, Field(gt=0.0, le=1e3)] = 0.5
    multiplier_first: Factor = 2.0
    multiplier_min: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.1
    multiplier_max: Factor = 3.0
    multiplier_max_s: Factor = 8.0
    short_after: Annotated[int, Field(ge=1, le=10_000)] = 3

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.multiplier_min > min(self.multiplier_max, self.multiplier_max_s):
            raise ValueError("multiplier_min is above an upper bound of the multiplier")
        return self

    def highest(self, is_tier_s: Flags) -> Floats:
        """Upper bound of each room's multiplier, [C]."""
        return np.where(is_tier_s, self.multiplier_max_s, self.multiplier_max)


class Yields(NamedTuple):
    """What is known of the yield of K rooms.

    brought, pushed: float64 `[K]` A and B, exposures and the multipliers behind them.
    sent: float64 `[lag, K]` the latest multipliers, the newest first.
    seen: int64 `[K]` exposures seen until the last tick.
    target: int64 `[K]` exposures that the latest multiplier was to complete.
    ticks_at_max: int64 `[K]` ticks in a row at the upper bound that left some of their target missing.
    """

    brought: Floats
    pushed: Floats
    sent: Floats
    seen: Ints
    target: Ints
    ticks_at_max: Ints

    @property
    def multiplier(self) -> Floats:
        """The latest multiplier of each room, `[K]`."""
        latest: Floats = self.sent[0]
        return latest


def new_yields(capacity: int, lag: int = 1) -> Yields:
    """Make columns without rooms."""
    return Yields(
        np.zeros(capacity),
        np.zeros(capacity),
        np.zeros((lag, capacity)),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
        np.zeros(capacity, np.int64),
    )


def grown(yields: Yields, capacity: int) -> Yields:
    """Copy into larger columns."""
    larger = new_yields(capacity, yields.sent.shape[0])
    for old, new in zip(yields, larger, strict=True):
        new[..., : old.shape[-1]] = old
    return larger


def first(rule: PacedQuota, yields: Yields, columns: Ints, quota: Ints, ticks: float) -> None:
    """Let rooms in, with the guess that `multiplier_first` brings the quota in so many ticks.

    Parameters
    ----------
    columns
        Of the rooms, [C]; what stood there is forgotten.
    quota
        Exposures, at least 1, [C].
    ticks
        From a room's opening to its deadline.

    Raises
    ------
    ValueError
        For other shapes, a quota below 1 or ticks that are not positive. Nothing was changed.
    """
    _check(columns, quota, "quota")
    if not 0.0 < ticks < np.inf:
        raise ValueError(f"ticks = {ticks} must be positive and finite")
    if (quota < 1).any():
        raise ValueError(f"quota = {quota[quota < 1][0]} must be at least 1")
    for array in yields:
        array[..., columns] = 0
    yields.brought[columns] = rule.prior_ticks * quota / ticks
    yields.pushed[columns] = rule.prior_ticks * rule.multiplier_first


def learn(rule: PacedQuota, yields: Yields, columns: Ints, seen: Ints) -> None:
    """Learn what came since the last tick, once a tick, before `push`.

    What comes while no multiplier can have brought it (late reports) says nothing of the yield, but is seen.

    Parameters
    ----------
    columns
        Of distinct rooms, [C].
    seen
        Exposures of each that were reported, all in all, [C].

    Raises
    ------
    ValueError
        For other shapes. Nothing was changed.
    """
    _check(columns, seen, "seen")
    sent = yields.sent[-1, columns]
    has_pushed = sent > 0.0
    pushed = columns[has_pushed]
    yields.brought[pushed] *= rule.memory
    yields.brought[pushed] += np.maximum(seen - yields.seen[columns], 0)[has_pushed]
    yields.pushed[pushed] *= rule.memory
    yields.pushed[pushed] += sent[has_pushed]
    yields.seen[columns] = seen


def push(
    rule: PacedQuota,
    yields: Yields,
    columns: Ints,
    target: Ints,
    *,
    served: Flags | None = None,
    highest: Floats | None = None,
    plan_share: ArrayLike = 1.0,
    fade: float = 1.0,
) -> Floats:
    """Set the multipliers until the next tick, once a tick, and count ticks at the upper bound.

    Parameters
    ----------
    columns
        Of distinct rooms, [C].
    target
        Exposures that each should have seen, all in all: by the next tick, or later with a `plan_share`, [C].
    served
        False for rooms that may not be served, [C]: their multiplier is 0; all may by default.
    highest
        Upper bound of each multiplier, [C]; `rule.multiplier_max` by default.
    plan_share
        Share of what is missing that this tick should bring, in (0, 1]; one for all or [C].
    fade
        Share that is left of a multiplier's distance from 1, the host's own ranking, in [0, 1].

    Returns
    -------
    Multipliers, float64 [C]; 0 where the target is seen, or all that is missing is on its way.

    Raises
    ------
    ValueError
        For other shapes, shares or bounds out of range. Nothing was changed.
    """
    bound = np.full(columns.size, rule.multiplier_max) if highest is None else highest
    is_served = np.ones(columns.size, np.bool_) if served is None else served
    shares = np.asarray(plan_share, np.float64)
    for values, name in ((target, "target"), (bound, "highest"), (is_served, "served")):
        _check(columns, values, name)
    if shares.shape not in ((), columns.shape) or not ((shares > 0.0) & (shares <= 1.0)).all():
        raise ValueError(f"plan_share must be in (0, 1], one for all or [{columns.size}]")
    if not 0.0 <= fade <= 1.0:
        raise ValueError(f"fade = {fade} is not in [0, 1]")
    if not (bound >= rule.multiplier_min).all():
        raise ValueError(f"highest = {bound.min()} is below multiplier_min = {rule.multiplier_min}")
    missing, per_unit = _missing(yields, columns, target)
    wants = is_served & (missing > 0.0)
    multiplier = np.clip(shares * missing / per_unit, rule.multiplier_min, bound)
    if fade < 1.0:
        multiplier = 1.0 + fade * (multiplier - 1.0)
    multiplier[~wants] = 0.0
    before = np.minimum(yields.target[columns], target)  # what is new to the target was not asked for yet
    at_max = is_served & (yields.sent[0, columns] >= bound) & (_missing(yields, columns, before)[0] > 0.0)
    yields.ticks_at_max[columns] = np.where(at_max, yields.ticks_at_max[columns] + 1, 0)
    yields.target[columns] = target
    yields.sent[1:, columns] = yields.sent[:-1, columns]
    yields.sent[0, columns] = multiplier
    return multiplier


def is_short(rule: PacedQuota, yields: Yields, columns: Ints) -> Flags:
    """Whether the supply of rooms is insufficient: the upper bound did not bring them enough for long, [C]."""
    short: Flags = yields.ticks_at_max[columns] >= rule.short_after
    return short


def plan_shares(ticks_left: ArrayLike, front_load: float = 1.4) -> Floats:
    """Share of what is missing that a tick should bring: `front_load` times an even share of the ticks left, at most 1.

    Loaded to the end, not in the first half only: so what chance withholds still finds a tick that makes it good.

    Parameters
    ----------
    ticks_left
        Ticks whose multipliers still bring what they bring in time, this one included, [C]: with a lag of 2 ticks one
        fewer than until the deadline.
    front_load
        At least 1.

    Examples
    --------
    >>> from seedbed.allocators.cold_start.yields import plan_shares
    >>> plan_shares([10, 2, 1]).round(2).tolist()
    [0.14, 0.7, 1.0]
    """
    if not 1.0 <= front_load < np.inf:
        raise ValueError(f"front_load = {front_load} must be at least 1")
    return np.minimum(front_load / np.maximum(np.asarray(ticks_left, np.float64), 1.0), 1.0)


def _missing(yields: Yields, columns: Ints, target: Ints) -> tuple[Floats, Floats]:
    """Exposures neither seen nor on their way, and the yields, [C] each."""
    with np.errstate(invalid="ignore"):
        per_unit = np.fmax(yields.brought[columns] / yields.pushed[columns], _LEAST_YIELD)
    coming = per_unit * yields.sent[:-1, columns].sum(axis=0)
    return np.maximum(target - yields.seen[columns] - coming, 0.0), per_unit


def _check(columns: Ints, values: NDArray[Any], name: str) -> None:
    if values.shape != columns.shape:
        raise ValueError(f"{name} must be [{columns.size}], one a room; got {list(values.shape)}")

"""How long rewards take: the distribution of the delay between exposure and reward, and how well it is known."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._inputs import checked_float, checked_floats, checked_int

Floats = NDArray[np.float64]

LEAST = 200  # conversions of a group, for a curve of its own: a standard error of 3.5 points at the median


@dataclass(frozen=True, slots=True, eq=False)
class DelayCurve:
    """Share of the rewards that have come by a given age of their exposures: F(age), with F(horizon) = 1.

    Rewards later than the horizon W count for nothing, here and in all that uses the curve: where p is the probability
    that an exposure is ever rewarded and G the distribution of the delay, F = G / G(W), and what is estimated with its
    help is p G(W), the probability of a reward within the horizon.

    Make one by `fit` or `kaplan_meier`. The errors of F at different ages go together: F(t_i) is off by
    `near_i E_i + far_i E_m`, with E a walk of independent steps whose variance up to t_i is `spread_i`.

    Parameters
    ----------
    times
        Where F steps, seconds, ascending, `[m]`.
    cdf
        F at these times, `[m]`; before the first of them 0.
    horizon
        Seconds.
    n
        Number of conversions that it was estimated from.
    near, far, spread
        Its errors, `[m]` each.

    References
    ----------
    .. [1] E. L. Kaplan and P. Meier (1958), "Nonparametric estimation from incomplete observations", JASA 53.
    .. [2] S. W. Lagakos, L. M. Barraj and V. De Gruttola (1988), "Nonparametric analysis of truncated survival data,
       with application to AIDS", Biometrika 75.

    Examples
    --------
    Four delays, all within the horizon:

    >>> from seedbed.bandits.attribution import DelayCurve
    >>> curve = DelayCurve.fit([0.0, 1.0, 1.0, 4.0], horizon=10.0)
    >>> curve([0.0, 0.9, 1.0, 10.0]).tolist()
    [0.25, 0.25, 0.75, 1.0]
    """

    times: Floats
    cdf: Floats
    horizon: float
    n: int
    near: Floats = field(repr=False)
    far: Floats = field(repr=False)
    spread: Floats = field(repr=False)

    def __post_init__(self) -> None:
        for array in (self.times, self.cdf, self.near, self.far, self.spread):
            array.setflags(write=False)

    @classmethod
    def fit(cls, delays: ArrayLike, horizon: float, *, ages: ArrayLike | None = None) -> Self:
        """Estimate the curve from conversions: the delay of each, and the age that its exposure has by now.

        Young exposures show short delays only, so that without their ages the curve would rise too fast. With them it
        is the product-limit estimator in reversed time: a delay u is compared with the delays of at most u of
        exposures that are as old as u at least. Where all are as old as the horizon, that is the share of delays.

        Fit it on conversions alone, of one kind: a delay that goes together with the arm is no common one.

        Parameters
        ----------
        delays
            Seconds between exposure and reward, not negative, `[n]`; those beyond the horizon are left out.
        horizon
            Seconds after which a reward counts for nothing.
        ages
            Seconds since each of these exposures was shown, at least its delay, `[n]`; by default the horizon or more.

        Raises
        ------
        ValueError
            For bad numbers, no delay within the horizon, or too few exposures as old as the horizon to say how many
            rewards come late.
        """
        end = _checked_horizon(horizon)
        given = checked_floats(delays, "delays", np.size(delays))
        old = np.maximum(given, end) if ages is None else checked_floats(ages, "ages", given.size)
        _require((given >= 0.0) & np.isfinite(given), given, "delays", "a number of seconds, not negative")
        _require(old >= given, old, "ages", "as old as its delay")
        kept = given <= end
        given, old = given[kept], np.minimum(old[kept], end)
        if not given.size:
            raise ValueError(f"none of the {kept.size} delays is within the horizon of {end} s; there is no curve")
        times, events = np.unique(given, return_counts=True)
        at_risk = np.cumsum(events) - np.searchsorted(np.sort(old), times, side="left")
        left = (at_risk - events).astype(np.float64)
        short = np.flatnonzero(left[1:] <= 0.0)
        if short.size or old.max() < end:
            until = times[1 + short[-1]] if short.size else old.max()
            raise ValueError(
                f"no two conversions of exposures older than {until:g} s to compare with: the horizon of {end:g} s is "
                "too long for exposures this young; wait, or shorten it"
            )
        left[0] = np.inf  # nothing is known, nor asked, of what is before the first
        cdf = np.append(np.cumprod((1.0 - events[1:] / at_risk[1:])[::-1])[::-1], 1.0)
        return cls(times, cdf, end, given.size, near=-cdf, far=cdf, spread=np.cumsum(events / (at_risk * left)))

    @classmethod
    def kaplan_meier(cls, durations: ArrayLike, observed: ArrayLike, horizon: float) -> Self:
        """Estimate the curve from exposures: how long each was followed, and whether that ended with its reward.

        Kaplan and Meier's estimator of all rewards, made to end at 1: F(t) = (1 - S(t)) / (1 - S(horizon)). It needs no
        ages, and all exposures, the many without reward among them.

        Parameters
        ----------
        durations
            Seconds from showing to the reward, or to when it was last known that there was none, `[n]`.
        observed
            Whether it was the reward, `[n]`.
        horizon
            Seconds after which a reward counts for nothing.

        Raises
        ------
        ValueError
            For bad numbers, no reward within the horizon, or no exposure that was followed so long.
        """
        end = _checked_horizon(horizon)
        given = checked_floats(durations, "durations", np.size(durations))
        _require((given >= 0.0) & np.isfinite(given), given, "durations", "a number of seconds, not negative")
        is_reward = checked_floats(observed, "observed", given.size) != 0.0
        is_reward &= given <= end
        if not is_reward.any():
            raise ValueError(f"none of the {given.size} exposures had a reward within {end} s; there is no curve")
        if given.max() < end and not is_reward[given == given.max()].all():
            raise ValueError(f"no exposure was followed for the horizon of {end} s, the longest for {given.max()} s")
        times, events = np.unique(given[is_reward], return_counts=True)
        at_risk = given.size - np.searchsorted(np.sort(given), times, side="left")
        survival = np.cumprod(1.0 - events / at_risk)
        left = np.where(at_risk > events, at_risk - events, np.inf)  # where none is left, S is 0 for certain
        ever = 1.0 - survival[-1]
        cdf = (1.0 - survival) / ever
        spread = np.cumsum(events / (at_risk * left))
        near, far = survival / ever, -cdf * (survival[-1] / ever)
        return cls(times, cdf, end, int(is_reward.sum()), near, far, spread)

    def __call__(self, ages: ArrayLike) -> Floats:
        """F at these ages, seconds, of any shape; 0 below 0, and 1 from the horizon on."""
        given = np.asarray(ages, np.float64)
        if np.isnan(given).any():
            raise ValueError("an age is not a number")
        steps = np.append(0.0, self.cdf)[np.searchsorted(self.times, given, side="right")]
        shares: Floats = np.where(given >= self.horizon, 1.0, steps)
        return shares

    @property
    def standard_errors(self) -> Floats:
        """Standard error of F at its times, `[m]`."""
        own, total = self.spread, self.spread[-1]
        errors: Floats = np.sqrt((self.near + self.far) ** 2 * own + self.far**2 * (total - own))
        return errors

    def variance(self, ages: ArrayLike, weights: ArrayLike = 1.0) -> float:
        """Variance of `sum weight F(age)`, from the error of the curve alone.

        Parameters
        ----------
        ages
            Seconds, `[B]`.
        weights
            One for all or `[B]`.
        """
        given = np.asarray(ages, np.float64).reshape(-1)
        amounts = np.broadcast_to(np.asarray(weights, np.float64), given.shape)
        index = np.searchsorted(self.times, given, side="right") - 1
        index[given >= self.horizon] = self.times.size - 1
        order = np.argsort(index, kind="stable")
        order = order[index[order] >= 0]  # before the first time F is 0
        index, amounts = index[order], amounts[order]
        far = float(amounts @ self.far[index])
        near = np.cumsum((amounts * self.near[index])[::-1])[::-1]
        steps = np.diff(self.spread[index], prepend=0.0)
        total = self.spread[-1] - (self.spread[index[-1]] if index.size else 0.0)
        return float(steps @ (near + far) ** 2 + total * far**2)


class DelayCurves:
    """Delay curves by group, such as the kind of event or the size of the room; a pooled one for the others.

    Parameters
    ----------
    pooled
        The curve of all conversions.
    by_group
        Curves of the groups that have one of their own.

    Examples
    --------
    >>> from seedbed.bandits.attribution import DelayCurves
    >>> delays = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    >>> curves = DelayCurves.fit(delays, ["follow"] * 4 + ["gift"] * 2, horizon=10.0, least=3)
    >>> curves["follow"].n, curves["gift"].n, curves["unheard of"].n
    (4, 6, 6)
    """

    def __init__(self, pooled: DelayCurve, by_group: dict[Hashable, DelayCurve]) -> None:
        self.pooled = pooled
        self.by_group = dict(by_group)

    @classmethod
    def fit(
        cls,
        delays: ArrayLike,
        groups: Sequence[Any],
        horizon: float,
        *,
        ages: ArrayLike | None = None,
        least: int = LEAST,
    ) -> Self:
        """Estimate a curve of all, and one of each group with at least `least` conversions within the horizon.

        A group whose exposures are too young for a curve of its own has the pooled one.

        Raises
        ------
        ValueError
            As `DelayCurve.fit`, of all together.
        """
        least = checked_int(least, "least", 1)
        pooled = DelayCurve.fit(delays, horizon, ages=ages)
        given = np.asarray(delays, np.float64)
        old = None if ages is None else np.asarray(ages, np.float64)
        if len(groups) != given.size:
            raise ValueError(f"groups must have one entry for each of the {given.size} delays; got {len(groups)}")
        members: dict[Hashable, list[int]] = {}
        for i, group in enumerate(groups):
            members.setdefault(group, []).append(i)
        by_group = {}
        for group, rows in members.items():
            if (given[rows] <= pooled.horizon).sum() >= least:
                try:
                    by_group[group] = DelayCurve.fit(given[rows], horizon, ages=None if old is None else old[rows])
                except ValueError:  # its exposures are too young
                    continue
        return cls(pooled, by_group)

    def __getitem__(self, group: Hashable) -> DelayCurve:
        return self.by_group.get(group, self.pooled)


def _checked_horizon(horizon: Any) -> float:
    end = checked_float(horizon, "horizon")
    if not 0.0 < end < np.inf:
        raise ValueError(f"horizon = {end} must be a positive number of seconds")
    return end


def _require(is_good: NDArray[np.bool_], values: Floats, what: str, wanted: str) -> None:
    if not is_good.all():
        i = int(np.flatnonzero(~is_good)[0])
        raise ValueError(f"{what}[{i}] = {values[i]} is not {wanted}")

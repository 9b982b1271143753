"""Paced quotas: how many rooms get theirs in time, by how much is it overshot? `python benchmarks/pacing.py [ROOMS]`.

Rooms with quotas of 60 to 500 over ten ticks. A room's own yield is lognormal around what its quota expects and, with a
drift, walks from tick to tick; what its multiplier brings is Poisson and is reported `lag` ticks later. A room is
supplied if multipliers at the upper bound throughout would have brought 1.2 times its quota in time.
"""

import sys
from typing import NamedTuple

import numpy as np

from seedbed.allocators.cold_start.yields import PacedQuota, first, is_short, learn, new_yields, plan_shares, push

TICKS = 10
LEAST, MOST = 60, 500
TICK_CAP = 60
HEAD = [
    "case",
    "plan",
    "lag",
    "rooms supplied",
    "of these, 95 % of the quota in time",
    "the same, quota below 100",
    "mean overshoot",
    "found short of supply: rooms not supplied",
    "rooms supplied",
]


class Outcome(NamedTuple):
    """Of each room, [rooms]: quota, whether it is supplied, exposures in time and in all, and INSUFFICIENT_SUPPLY."""

    quota: np.ndarray
    is_supplied: np.ndarray
    in_time: np.ndarray
    seen: np.ndarray
    is_short: np.ndarray

    @property
    def is_served(self):
        """Whether a room got 95 % of its quota in time."""
        return self.in_time >= 0.95 * self.quota

    @property
    def overshoot(self):
        """Exposures beyond the quota, over the quota."""
        return np.maximum(self.seen - self.quota, 0) / self.quota


def study(rule, plan="loaded", *, rooms=20_000, lag=1, spread=0.3, drift=0.0, seed=1):
    """Play ten ticks, and wait for the last reports.

    rule: the PacedQuota, whose lag is what it believes; lag: the true one; spread, drift: standard deviations of the
    logarithm of a room's yield, and of its step from tick to tick.

    plan: "even" share of what is missing; "half": 1.4 times as much in the first half of the time; "loaded": always
    (`plan_shares`); "grants" and "loaded grants": the target is what a floor of "half" or "loaded" has granted so far,
    at most 60 a tick, whatever was seen, as in the allocator.
    """
    rng, everyone = np.random.default_rng(seed), np.arange(rooms)
    quota = rng.integers(LEAST, MOST + 1, rooms)
    per_unit = quota / (TICKS * rule.multiplier_first) * np.exp(spread * rng.standard_normal(rooms))
    yields = new_yields(rooms, rule.lag)
    first(rule, yields, everyone, quota, TICKS)
    reports = np.zeros((TICKS + lag, rooms), np.int64)
    granted, supply, short = np.zeros(rooms, np.int64), np.zeros(rooms), np.zeros(rooms, bool)
    for tick in range(TICKS):
        learn(rule, yields, everyone, reports[: tick + 1].sum(axis=0))
        left = max(TICKS - tick - rule.lag + 1, 1)
        even, loaded = np.float64(1.0 / left), plan_shares(left)
        share = even if plan == "even" or ("loaded" not in plan and 2 * tick >= TICKS) else loaded
        if "grants" in plan:
            missing = quota - granted
            granted += np.minimum(np.ceil(share * missing).astype(np.int64), np.minimum(missing, TICK_CAP))
            multiplier = push(rule, yields, everyone, granted)
        else:
            multiplier = push(rule, yields, everyone, quota, plan_share=share)
        short |= is_short(rule, yields, everyone)
        if tick + lag <= TICKS:
            supply += per_unit * rule.multiplier_max
        reports[tick + lag] += rng.poisson(per_unit * multiplier)  # of which the row 0 stays empty
        per_unit = per_unit * np.exp(drift * rng.standard_normal(rooms))
    in_time = reports[: TICKS + 1].sum(axis=0)
    return Outcome(quota, supply >= 1.2 * quota, in_time, reports.sum(axis=0), short)


CASES = [
    *[("as designed", plan, 1, {}, {}) for plan in ("even", "half", "loaded", "grants", "loaded grants")],
    *[("as designed", plan, 2, {}, {}) for plan in ("even", "half", "loaded", "grants", "loaded grants")],
    ("yields within 20 %", "loaded", 1, {}, {"spread": 0.2}),
    ("yields within 50 %", "loaded", 1, {}, {"spread": 0.5}),
    ("yields walk 10 % a tick", "loaded", 1, {}, {"drift": 0.1}),
    ("yields walk 10 % a tick", "loaded", 2, {}, {"drift": 0.1}),
    ("yields walk 30 % a tick", "loaded", 1, {}, {"drift": 0.3}),
    ("the same, memory .5", "loaded", 1, {"memory": 0.5}, {"drift": 0.3}),
    ("the same, memory .85", "loaded", 1, {"memory": 0.85}, {"drift": 0.3}),
    ("memory .5", "loaded", 1, {"memory": 0.5}, {}),
    ("memory .85", "loaded", 1, {"memory": 0.85}, {}),
    ("first guess weighs two ticks", "loaded", 1, {"prior_ticks": 2.0}, {}),
    ("multiplier_min .5", "loaded", 1, {"multiplier_min": 0.5}, {}),
    ("believes in a lag of 2", "loaded", 1, {"lag": 2}, {}),
    ("believes in a lag of 1", "loaded", 2, {"lag": 1}, {}),
]


def rows(rooms=100_000):
    """The rows of `HEAD`, seed 1 each."""
    lines = []
    for name, plan, lag, numbers, world in CASES:
        found = study(PacedQuota(**{"lag": lag, **numbers}), plan, rooms=rooms, lag=lag, **world)
        supplied, small = found.is_supplied, found.is_supplied & (found.quota < 100)
        served = found.is_served
        lines.append(
            [
                name,
                plan,
                lag,
                f"{supplied.mean():.1%}",
                f"{served[supplied].mean():.2%}",
                f"{served[small].mean():.2%}",
                f"{found.overshoot.mean():.2%}",
                f"{found.is_short[~supplied].mean():.1%}",
                f"{found.is_short[supplied].mean():.2%}",
            ]
        )
    return lines


if __name__ == "__main__":
    for line in [HEAD, *rows(*map(int, sys.argv[1:]))]:
        print(" | ".join(map(str, line)))

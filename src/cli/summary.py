"""What a replay showed, in numbers: a plain map that is written as JSON and printed as tables."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..allocators import Stage
from ..allocators.replay import Replay, oracle_allocation, uniform_allocation

CONFIDENCE = 0.95


def summarise(replay: Replay, changes: Sequence[dict[str, Any]], uplifts: Sequence[float | None]) -> dict[str, Any]:
    """Compare a finished replay with uniform allocation, the log itself and the ceiling, on the same budget."""
    config, queues = replay.allocator.config, replay.queues
    limit, uniform = _uniform(replay)
    oracle = oracle_allocation(queues.rates, queues.lengths, limit)
    total = int(queues.lengths.sum())
    lines = {
        "allocator": (int(replay.rewards.sum()), int(replay.taken.sum())),
        "uniform": (queues.rewards_of(uniform), int(uniform.sum())),
        "oracle": (queues.rewards_of(oracle), int(oracle.sum())),
        "whole_log": (queues.rewards_of(queues.lengths), total),
    }
    promoted = sorted({change["room"] for change in changes if change["reason"] == "PROMOTED"})
    rates = dict(zip(queues.items, queues.rates.tolist(), strict=True))
    summary: dict[str, Any] = {
        "items": len(queues.items),
        "ticks": replay.ticks,
        **{name: _line(rewards, exposures) for name, (rewards, exposures) in lines.items()},
        "item_mean_rate": float(queues.rates.mean()),
        "budget": {"limit": limit, "used": int(replay.taken.sum())},
        "dry_under_uniform": int((uniform == queues.lengths).sum()),
        "bar": config.bar,
        "prior": list(config.prior),
        "stages": _stages(replay, changes),
        "promoted": {item: rates[item] for item in promoted},
        "promoted_below_bar": sum(rates[item] < config.bar for item in promoted),
        "stops": [change for change in changes if change["after"] == "STOPPED"],
        "negatives": int(replay.negatives.sum()),
        "uplift": _uplift(lines["allocator"][0], lines["uniform"][0]),
        "oracle_uplift": _uplift(float(queues.rates @ oracle), float(queues.rates @ uniform)),
        "difference": newcombe(*lines["allocator"], *lines["uniform"]),
        "paired": _paired(uplifts),
    }
    summary["verdict"] = _verdict(summary)
    return summary


def uplift(replay: Replay) -> float | None:
    """Rewards of the allocator over those of uniform allocation of one budget, less one; None if that earns none."""
    return _uplift(float(replay.rewards.sum()), replay.queues.rewards_of(_uniform(replay)[1]))


def _uniform(replay: Replay) -> tuple[int, NDArray[np.int64]]:
    """The replay's budget, and its uniform allocation among the items."""
    budget, lengths = replay.allocator.config.budget, replay.queues.lengths
    limit = int(lengths.sum()) if budget is None else int(budget.limit)
    return limit, uniform_allocation(lengths, limit)


def _uplift(value: float, reference: float) -> float | None:
    return value / reference - 1.0 if reference else None


def _line(rewards: int, exposures: int) -> dict[str, Any]:
    rate = rewards / exposures if exposures else 0.0
    return {"exposures": exposures, "rewards": rewards, "rate": rate, "interval": wilson(rewards, exposures)}


def _stages(replay: Replay, changes: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Items, exposures and rewards by the stage in which they ended, and why they came into it."""
    used_up = replay.taken == replay.queues.lengths
    why = {change["room"]: change for change in changes if change["after"] != "CLOSED"}  # the last one stays
    table: dict[str, dict[str, Any]] = {}
    for stage in Stage:
        of_stage = replay.stages == stage
        table[stage.name] = {
            "items": int(of_stage.sum()),
            "used_up": int((of_stage & used_up).sum()),
            "exposures": int(replay.taken[of_stage].sum()),
            "rewards": int(replay.rewards[of_stage].sum()),
            "reasons": dict(Counter(change["reason"] for change in why.values() if change["after"] == stage.name)),
        }
    return table


def wilson(successes: int, trials: int) -> list[float]:
    """Wilson's 95 % interval of a rate."""
    from scipy.stats import binomtest

    if trials == 0:
        return [0.0, 1.0]
    interval = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return [float(interval.low), float(interval.high)]


def newcombe(s1: int, n1: int, s2: int, n2: int) -> list[float]:
    """Newcombe's 95 % interval of a difference of two rates, from independent samples.

    References
    ----------
    .. [1] R. G. Newcombe (1998), "Interval estimation for the difference between independent proportions: comparison
       of eleven methods", Statistics in Medicine 17 (method 10).
    """
    if n1 == 0 or n2 == 0:
        return [-1.0, 1.0]
    (l1, u1), (l2, u2) = wilson(s1, n1), wilson(s2, n2)
    p1, p2 = s1 / n1, s2 / n2
    low = p1 - p2 - math.hypot(p1 - l1, u2 - p2)
    high = p1 - p2 + math.hypot(u1 - p1, p2 - l2)
    return [low, high]


def _paired(uplifts: Sequence[float | None]) -> dict[str, Any] | None:
    """Mean of paired uplifts with Student's 95 % interval; None where one of them is not defined."""
    from scipy.stats import t

    values = np.array([value for value in uplifts if value is not None])
    if values.size < len(uplifts) or values.size == 0:
        return None
    mean = float(values.mean())
    half = math.inf
    if values.size > 1:
        half = float(t.ppf(0.5 + CONFIDENCE / 2.0, values.size - 1) * values.std(ddof=1) / math.sqrt(values.size))
    return {
        "seeds": int(values.size),
        "mean": mean,
        "interval": [mean - half, mean + half] if math.isfinite(half) else None,
        "each": values.tolist(),
    }


def _verdict(summary: dict[str, Any]) -> str:
    paired = summary["paired"]
    if paired is not None and paired["interval"] is not None:
        low, high = paired["interval"]
        if low <= 0.0 <= high:
            return f"not enough evidence: over {paired['seeds']} seeds the interval of the uplift includes 0"
        word = "more" if low > 0.0 else "fewer"
        return (
            f"{word} rewards than uniform allocation: {paired['mean']:+.1%} "
            f"(95 % interval {low:+.1%} to {high:+.1%}, paired over {paired['seeds']} seeds; "
            f"the oracle, who knows all rates, expects {summary['oracle_uplift'] or 0.0:+.1%})"
        )
    low, high = summary["difference"]
    if low <= 0.0 <= high:
        return (
            f"not enough evidence: with {summary['allocator']['rewards']} and {summary['uniform']['rewards']} rewards "
            f"the difference to uniform allocation lies anywhere in {100 * low:+.3f} to {100 * high:+.3f} "
            "percentage points"
        )
    word = "higher" if low > 0.0 else "lower"
    return (
        f"{word} reward rate than uniform allocation: {summary['allocator']['rate']:.3%} against "
        f"{summary['uniform']['rate']:.3%}, {100 * low:+.3f} to {100 * high:+.3f} percentage points (95 % interval)"
    )

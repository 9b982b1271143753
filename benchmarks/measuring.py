"""Measure jobs beside each other in one run: interleaved repeats, ratio of minima.

Minima of interleaved repeats move by 2 % on a loaded machine, where means move by 34 % and more. Where a ratio is above
its limit, all is repeated, twice at most, and the minima are taken over all repeats.
"""

import gc
import time
from collections.abc import Callable
from typing import Any, NamedTuple

Job = Callable[..., Any]

ATTEMPTS = 3
SAMPLE = 5e-4  # seconds that one sample lasts at least: less than a slice of the scheduler's
BUDGET = 3.0  # seconds for one attempt


class Result(NamedTuple):
    """One line of the table."""

    target: str
    ours: str
    beside: str
    ratio: str
    limit: str
    holds: bool | None  # None where nothing but the figure is asked for


class Clock:
    """Times jobs.

    repeats: samples of each job in one attempt, fewer where they are long.
    """

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats

    def times(self, *jobs: Job, prepare: Job | None = None) -> list[float]:
        """Least seconds of one call of each job; with `prepare`, each call gets an argument made outside its time."""
        once = [seconds(job, 1, prepare) for _ in range(2) for job in jobs][len(jobs) :]
        counts = [1 if prepare else max(1, int(SAMPLE / t)) for t in once]
        cost = sum(count * t for count, t in zip(counts, once, strict=True))
        repeats = max(3, min(self.repeats, int(BUDGET / cost)))
        gc.collect()
        gc.disable()
        samples = [[seconds(job, n, prepare) for job, n in zip(jobs, counts, strict=True)] for _ in range(repeats)]
        gc.enable()
        return [min(each) for each in zip(*samples, strict=True)]

    def least(self, *jobs: Job) -> list[float]:
        """Least seconds over all attempts, for jobs too long for many repeats."""
        return [min(each) for each in zip(*(self.times(*jobs) for _ in range(ATTEMPTS)), strict=True)]

    def compare(
        self,
        target: str,
        limit: float | None,
        ours: Job,
        beside: str,
        reference: Job,
        *,
        per: int = 1,
        prepare: Job | None = None,
        seconds: float | None = None,
    ) -> Result:
        """Ours beside a reference: `limit` is for the ratio, `seconds` for ours; per: events that one call handles."""
        ours_best = reference_best = float("inf")
        for _ in range(ATTEMPTS):
            pair = self.times(ours, reference, prepare=prepare)
            ours_best, reference_best = min(ours_best, pair[0] / per), min(reference_best, pair[1] / per)
            holds = judge(ours_best, reference_best, limit, seconds)
            if holds is not False:
                break
        return result(target, ours_best, beside, reference_best, limit=limit, seconds=seconds)


def seconds(job: Job, count: int, prepare: Job | None = None) -> float:
    """Seconds that one of `count` calls takes."""
    if prepare is not None:
        argument = prepare()
        start = time.perf_counter()
        job(argument)
        return time.perf_counter() - start
    start = time.perf_counter()
    for _ in range(count):
        job()
    return (time.perf_counter() - start) / count


def judge(ours: float, reference: float, limit: float | None, seconds: float | None) -> bool | None:
    """Whether the limits hold; None without any."""
    if limit is None and seconds is None:
        return None
    return (limit is None or ours <= limit * reference) and (seconds is None or ours <= seconds)


def result(
    target: str,
    ours: float,
    beside: str,
    reference: float,
    *,
    limit: float | None = None,
    seconds: float | None = None,
) -> Result:
    """Line of the table for two times in seconds."""
    limits = [f"{limit:.3g} x"] if limit is not None else []
    limits += [duration(seconds)] if seconds is not None else []
    return Result(
        target,
        duration(ours),
        f"{beside}: {duration(reference)}",
        f"{ours / reference:.3g}",
        ", ".join(limits),
        judge(ours, reference, limit, seconds),
    )


def duration(value: float) -> str:
    """Seconds for a reader."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"

"""Fitting: rules with bars and populations of all buckets, from the history of earlier rooms."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...bandits._random import base_key
from .bars import percentile_interval, quantile_bars, renewal_bars, smooth_populations
from .findings import INSUFFICIENT, Finding, Fitting, InsufficientError
from .gates import Gate
from .history import History
from .means import cluster_mean, shrunk_means
from .npmle import likelihoods, solve, support_grid, tally
from .populations import Atoms
from .rules import BucketRules, Rules

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Progress = Callable[[int, int], None]

_GRID = 199
_STEPS = 400  # of EM towards the population of a gate: 20 still show the Beta they begin with


class _Task(NamedTuple):
    """One metric in one bucket: counts divided by their dispersion, and creators 0 ... K - 1, `[R]`."""

    bucket: str
    metric: str
    events: Floats
    exposure: Floats
    creators: Ints


class _Fit(NamedTuple):
    weights: Floats
    bar: float | None
    interval: tuple[float, float] | None
    why: str


def fit_rules(
    history: History,
    *,
    version: str,
    fitting: Fitting | None = None,
    valid_from: float | None = None,
    valid_until: float | None = None,
    made_from: dict[str, Any] | None = None,
    n_jobs: int = 1,
    progress: Progress | None = None,
) -> tuple[Rules, list[Finding]]:
    """Fit populations and bars of every bucket, and of all that stand above one.

    A bucket's population is moved by EM from a Beta (or Gamma) distribution towards the likeliest one (`fit_npmle`),
    and mixed with its parent's; its bar and the bar's interval
    come from its own rooms alone, smoothed (`bars.py`): intervals of 95 % then cover the bucket's true quantile in 94.5
    to 94.8 % of cases; of populations drawn to the parent, in 85 to 88 % (`benchmarks/thresholds.py`).
    An INSUFFICIENT bucket takes its parent's gate.

    Parameters
    ----------
    history
        Rooms that were seeded.
    version
        Name of the rules.
    fitting
        The numbers; None for the defaults.
    valid_from, valid_until
        Seconds between which the rules may be in force.
    made_from
        Plain values to be kept in the rules beside the findings, such as the log's name and digest and the
        version of seedbed.
    n_jobs
        Processes, by joblib (`seedbed[parallel]`); results do not depend on it.
    progress
        Called with the number of fits done and their total.

    Returns
    -------
    (Rules, list of Finding)
        Findings by metric, then by bucket, parents first.

    Raises
    ------
    InsufficientError
        If the history as a whole is INSUFFICIENT for a metric.
    ValueError
        For a metric of which the history has no counts.
    """
    fitting = fitting or Fitting()
    tasks, supports = _tasks(history, fitting)
    jobs = ((task, supports[task.metric], fitting) for task in tasks)
    fits = {}
    for task, fit in zip(tasks, _run(jobs, n_jobs), strict=True):
        fits[task.metric, task.bucket] = fit
        if progress is not None:
            progress(len(fits), len(tasks))
    findings = _findings(tasks, fits)
    for finding in findings:
        if finding.bucket == "" and finding.flag:
            raise InsufficientError(
                f"all rooms together do not carry a bar for {finding.metric}: {finding.why}; no rules were made",
                findings,
            )
    origin = {
        **(made_from or {}),
        "fitting": fitting.model_dump(mode="json"),
        "findings": [asdict(finding) for finding in findings],
    }
    rules = Rules(
        version=version,
        valid_from=valid_from,
        valid_until=valid_until,
        buckets=tuple(_gates(history, fitting, findings, fits, supports)),
        made_from=origin,
    )
    return rules, findings


def _tasks(history: History, fitting: Fitting) -> tuple[list[_Task], dict[str, Floats]]:
    """What is to be fitted, parents first, and the common grid of each metric."""
    tasks: list[_Task] = []
    supports: dict[str, Floats] = {}
    seen = history.exposures >= fitting.least_exposures
    for metric in fitting.metrics:
        events, exposure = history.counts(metric)
        usable = seen & (exposure > 0.0)
        if not usable.any():
            raise ValueError(f"there is no room of {fitting.least_exposures} exposures or more to fit {metric} from")
        supports[metric] = support_grid(events[usable], exposure[usable], metric == "comments", _GRID)
        for bucket, below in history.rooms_below.items():
            rooms = below[usable[below]]
            if rooms.size:
                creators = np.unique(history.creator_index[rooms], return_inverse=True)[1].reshape(-1)
                tasks.append(_Task(bucket, metric, events[rooms], exposure[rooms], creators))
    return tasks, supports


def _run(jobs: Iterable[tuple[_Task, Floats, Fitting]], n_jobs: int) -> Iterator[_Fit]:
    if n_jobs == 1:
        return (_fit(*job) for job in jobs)
    try:
        from joblib import Parallel, delayed
    except ImportError:
        raise ValueError(f"n_jobs = {n_jobs} needs joblib; install it with: pip install 'seedbed[parallel]'") from None
    results: Iterator[_Fit] = Parallel(n_jobs=n_jobs, return_as="generator")(delayed(_fit)(*job) for job in jobs)
    return results


def _fit(task: _Task, support: Floats, fitting: Fitting) -> _Fit:
    """Fit the population of one bucket on the common grid, its bar and the bar's interval."""
    rates = task.metric == "comments"
    weights = _population(task, support, fitting, rates)
    rooms, creators = task.events.size, int(task.creators.max()) + 1
    if rooms < fitting.least_rooms:
        return _Fit(weights, None, None, f"{rooms:,} rooms, fewer than {fitting.least_rooms:,}")
    if creators < fitting.needed_creators:
        return _Fit(weights, None, None, f"{creators:,} creators, fewer than {fitting.needed_creators:,}")
    key = base_key(fitting.seed, f"{task.metric}:{task.bucket}", 0)
    smooth = smooth_populations(
        task.events, task.exposure, task.creators, key=key, resamples=fitting.resamples, rates=rates
    )
    if fitting.bar == "quantile":
        bars = quantile_bars(smooth, fitting.quantile, rates)
    else:
        bars = renewal_bars(smooth, fitting.seed_length, fitting.remaining)
    low, high = percentile_interval(bars[1:], fitting.confidence)
    width = (high - low) / bars[0]
    why = f"the interval is {width:.0%} of the bar wide, more than {fitting.widest:.0%}"
    return _Fit(weights, float(bars[0]), (low, high), why if width > fitting.widest else "")


def _population(task: _Task, support: Floats, fitting: Fitting, rates: bool) -> Floats:
    """Weights of the common grid's rates in one bucket, `[J]`."""
    if fitting.population == "smooth":
        counts = task.events, task.exposure, task.creators
        smooth = smooth_populations(*counts, key=0, resamples=0, rates=rates, steps=_STEPS, support=support)
        return smooth.weights[:, 0]
    cell, x, y = tally(task.events, task.exposure)
    return solve(likelihoods(x, y, support, rates), np.bincount(cell) / cell.size)[0]


def _findings(tasks: list[_Task], fits: dict[tuple[str, str], _Fit]) -> list[Finding]:
    findings = []
    for metric in dict.fromkeys(task.metric for task in tasks):
        of_metric = [task for task in tasks if task.metric == metric]
        means = np.array([cluster_mean(t.events / t.exposure, t.creators) for t in of_metric])
        shrunk = _shrunk(of_metric, means, metric == "comments")
        taken: dict[str, str] = {}
        for i, task in enumerate(of_metric):
            fit = fits[metric, task.bucket]
            taken[task.bucket] = taken[parent(task.bucket)] if fit.why and task.bucket else task.bucket
            low, high = fit.interval or (None, None)
            found = Finding(
                bucket=task.bucket,
                metric=metric,
                rooms=task.events.size,
                creators=int(task.creators.max()) + 1,
                mean=float(means[i, 0]),
                shrunk_mean=float(shrunk[i]),
                bar=fit.bar,
                low=low,
                high=high,
                flag=INSUFFICIENT if fit.why else "",
                why=fit.why,
                taken_from=taken[task.bucket],
            )
            findings.append(found)
    return findings


def _shrunk(tasks: list[_Task], means: Floats, rates: bool) -> Floats:
    """Shrunk means: of the buckets that rooms stand in by the model, of those above by their rooms."""
    names = [task.bucket for task in tasks]
    leaves = [i for i, name in enumerate(names) if not any(other != name and is_below(other, name) for other in names)]
    shrunk = means[:, 0].copy()
    shrunk[leaves] = shrunk_means([names[i] for i in leaves], means[leaves, 0], means[leaves, 1], rates)[0]
    for i, name in enumerate(names):
        if i not in leaves:
            below = [j for j in leaves if is_below(names[j], name)]
            shrunk[i] = np.average(shrunk[below], weights=[tasks[j].events.size for j in below])
    return shrunk


def parent(bucket: str) -> str:
    """Bucket above one: "a/b" of "a/b/c", "" of "a"."""
    return bucket.rpartition("/")[0]


def is_below(bucket: str, other: str) -> bool:
    """Whether a bucket is another one or stands below it."""
    return not other or bucket == other or bucket.startswith(other + "/")


def _gates(
    history: History,
    fitting: Fitting,
    findings: list[Finding],
    fits: dict[tuple[str, str], _Fit],
    supports: dict[str, Floats],
) -> Iterator[BucketRules]:
    """Rules of each bucket: its own gates, and its parent's where it is INSUFFICIENT."""
    gates: dict[tuple[str, str], Gate] = {}
    mixed: dict[tuple[str, str], Floats] = {}
    for finding in findings:
        metric, bucket = finding.metric, finding.bucket
        own, rooms = fits[metric, bucket], finding.rooms
        above = mixed.get((metric, parent(bucket))) if bucket else None
        weights = (
            own.weights if above is None else (rooms * own.weights + fitting.pull * above) / (rooms + fitting.pull)
        )
        mixed[metric, bucket] = weights
        if not finding.flag and own.bar is not None:
            gates[metric, bucket] = Gate(
                metric=finding.metric,
                bar=own.bar,
                population=Atoms.of(supports[metric], weights),
                dispersion=history.dispersion if metric == "comments" else 1.0,
            )
    for bucket in dict.fromkeys(finding.bucket for finding in findings):
        yield BucketRules(name=bucket, gates=tuple(_nearest(gates, metric, bucket) for metric in fitting.metrics))


def _nearest(gates: dict[tuple[str, str], Gate], metric: str, bucket: str) -> Gate:
    """Gate of a bucket, or of the nearest above it that has one."""
    while (metric, bucket) not in gates:
        bucket = parent(bucket)
    return gates[metric, bucket]

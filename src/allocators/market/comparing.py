"""Compare policies in the same simulated markets: paired replicates, with intervals over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from ...bandits._inputs import checked_float, checked_int
from .base import Floats
from .lineup import POLICIES, Fitted, MakePolicy, fit_history
from .parameters import MarketConfig
from .results import Life, Result, play_one

Progress = Callable[[float, int], None]  # minutes of all plays that are over, and how many there are
_Job = tuple[str, MakePolicy, MarketConfig, Fitted, int, int, float, bool]


class Interval(NamedTuple):
    """Mean over n replicates and its Student interval; NaN bounds for one replicate, which carries none."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def sign(self) -> int:
        """1 or -1 where the interval is clear of zero, else 0."""
        return int(self.low > 0.0) - int(self.high < 0.0)


def interval(values: Any, confidence: float = 0.95) -> Interval:
    """Mean and Student interval of replicates; those that are NaN do not count.

    Examples
    --------
    With 1, 2, 3: mean 2, standard error 1 / sqrt(3), and 4.3027 is the 97.5 % quantile for two degrees of freedom.

    >>> from seedbed.allocators.market.comparing import interval
    >>> [round(number, 4) for number in interval([1.0, 2.0, 3.0])]
    [2.0, -0.4841, 4.4841, 3]
    """
    some = np.asarray(values, np.float64)
    some = some[~np.isnan(some)]
    if some.size < 2:
        return Interval(float(some[0]) if some.size else math.nan, math.nan, math.nan, some.size)
    half = float(student.ppf(0.5 + confidence / 2.0, some.size - 1) * some.std(ddof=1) / math.sqrt(some.size))
    mean = float(some.mean())
    return Interval(mean, mean - half, mean + half, some.size)


class Kept(NamedTuple):
    """A measure against its limit: the interval over replicates, and whether its mean is inside."""

    value: Interval
    limit: float
    is_inside: bool


@dataclass(frozen=True)
class Comparison:
    """Policies that were played in the same markets.

    Parameters
    ----------
    policies
        Names, in the order in which they were given.
    seeds
        Of the markets; all policies played in each, and the differences are taken in each.
    config, minutes, start_hour, fitted
        What was played, and what history told the policies.
    results
        By (policy, seed).
    negative_limit, low_quality_limit
        Guardrails: largest share of exposures with negative feedback, and of exposures that rooms of low quality had.
    """

    policies: tuple[str, ...]
    seeds: tuple[int, ...]
    config: MarketConfig
    minutes: int
    start_hour: float
    fitted: Fitted
    results: dict[tuple[str, int], Result]
    negative_limit: float = 0.02
    low_quality_limit: float = 0.05

    @property
    def reference(self) -> str:
        """The policy to which the others are compared: M, or the first."""
        return "M" if "M" in self.policies else self.policies[0]

    def of(self, policy: str) -> list[Result]:
        """Results of a policy, in the order of the seeds."""
        return [self.results[policy, seed] for seed in self.seeds]

    def values(self, policy: str, measure: str) -> Floats:
        """A measure of a policy in each replicate, `[n]`; NaN where it was not measured."""
        return np.array([result.measures.get(measure, math.nan) for result in self.of(policy)])

    def mean(self, policy: str, measure: str) -> Interval:
        """A measure of a policy: mean and interval over replicates."""
        return interval(self.values(policy, measure))

    def difference(self, policy: str, reference: str, measure: str = "retained") -> Interval:
        """Policy minus reference, each replicate in its own market: mean and interval over replicates."""
        return interval(self.values(policy, measure) - self.values(reference, measure))

    def relative(self, policy: str, reference: str, measure: str = "retained") -> Interval:
        """Difference over the reference's value of the same replicate: mean and interval over replicates."""
        own, other = self.values(policy, measure), self.values(reference, measure)
        with np.errstate(divide="ignore", invalid="ignore"):
            return interval(np.where(other == 0.0, math.nan, own / other - 1.0))

    def kept(self, policy: str) -> dict[str, Kept]:
        """Negative feedback and the low-quality share of a policy against their limits."""
        limits = {"negative": self.negative_limit, "low_quality": self.low_quality_limit}
        found = {measure: self.mean(policy, measure) for measure in limits}
        return {measure: Kept(found[measure], limit, found[measure].mean <= limit) for measure, limit in limits.items()}

    def stages(self, policy: str) -> tuple[Floats, Floats] | None:
        """Open rooms by stage and minute, `[5, T]`, and rooms that were ever in each, `[5]`: means over replicates.

        None for a policy without stages.
        """
        results = self.of(policy)
        open_rooms = [result.stages for result in results if result.stages is not None]
        ever = [result.reached for result in results if result.reached is not None]
        return (np.mean(open_rooms, axis=0), np.mean(ever, axis=0)) if ever else None

    def lives(self) -> tuple[Life, ...]:
        """Of a room that was promoted and of one that was stopped, by the first policy with stages, first seed."""
        return next((lives for policy in self.policies if (lives := self.of(policy)[0].lives)), ())

    def verdict(self) -> str:
        """What the intervals say, in a few sentences."""
        return verdict(self)


def compare(
    policies: Sequence[str] | Mapping[str, MakePolicy],
    config: MarketConfig,
    seeds: Iterable[int],
    minutes: int = 1_440,
    *,
    start_hour: float = 0.0,
    fitted: Fitted | None = None,
    history_minutes: int = 240,
    n_jobs: int | None = 1,
    progress: Progress | None = None,
    negative_limit: float = 0.02,
    low_quality_limit: float = 0.05,
) -> Comparison:
    """Play policies in the same markets: each policy in each seed's market is a job of its own.

    Parameters
    ----------
    policies
        Names of the line-up; or names with what makes each: a function from (config, fitted, seed) to a policy, or to a
        function from view to exposures. With several processes it must be one that they can import.
    config, minutes, start_hour
        Of the markets.
    seeds
        Distinct, one a replicate. A seed's market is the same for all policies.
    fitted
        What history told the policies; by default `fit_history` plays `history_minutes` in another market.
    n_jobs
        Processes, by joblib (`seedbed[parallel]`); None for what `joblib.parallel_config` says, which may name a
        cluster's backend; 1 for this process alone. Results do not depend on it.
    progress
        Is told how many minutes of all plays are over, and how many there are: each minute in this process, each play
        elsewhere.

    Raises
    ------
    ValueError
        For an unknown name, no seeds or the same seed twice. Nothing was played.

    Examples
    --------
    >>> from seedbed.allocators.market import MarketConfig, compare
    >>> config = MarketConfig(rooms_per_day=1_000, exposures_per_day=400_000)
    >>> found = compare(["pools", "uniform"], config, seeds=[1, 2], minutes=30, start_hour=19.0)
    >>> found.reference, found.results["uniform", 2].measures["used"]
    ('pools', 1.0)
    """
    makers = _makers(policies)
    seeds = [checked_int(seed, f"seeds[{i}]", 0, 2**63 - 1) for i, seed in enumerate(seeds)]
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be distinct, at least one; got {seeds}")
    minutes = checked_int(minutes, "minutes", 1)
    for limit, what in ((negative_limit, "negative_limit"), (low_quality_limit, "low_quality_limit")):
        if not 0.0 < checked_float(limit, what) <= 1.0:
            raise ValueError(f"{what} must be in (0, 1]; got {limit}")
    if fitted is None:
        fitted = fit_history(config, seeds[0], history_minutes)
    jobs: list[_Job] = [
        (name, make, config, fitted, seed, minutes, start_hour, seed == seeds[0])
        for seed in seeds
        for name, make in makers.items()
    ]
    found = {}
    for result in _run(jobs, n_jobs, progress):
        found[result.policy, result.seed] = result
    ordered = {(name, seed): found[name, seed] for name in makers for seed in seeds}
    return Comparison(
        tuple(makers),
        tuple(seeds),
        config,
        minutes,
        float(start_hour),
        fitted,
        ordered,
        float(negative_limit),
        float(low_quality_limit),
    )


def _makers(policies: Sequence[str] | Mapping[str, MakePolicy]) -> dict[str, MakePolicy]:
    if not policies or isinstance(policies, str):
        raise ValueError(f"policies = {policies!r}: give one name or more in a list, or names with their makers")
    if isinstance(policies, Mapping):
        return dict(policies)
    for name in policies:
        if name not in POLICIES:
            raise ValueError(f"there is no policy {name!r}; there are {', '.join(POLICIES)}")
    if len(set(policies)) != len(policies):
        raise ValueError(f"a policy is named twice: {', '.join(policies)}")
    return {name: POLICIES[name] for name in policies}


def _play(job: _Job, after_minute: Callable[[int], None] | None = None) -> Result:
    name, make, config, fitted, seed, minutes, start_hour, lives = job
    policy = make(config, fitted, seed)
    return play_one(name, policy, config, seed, minutes, start_hour, lives=lives, after_minute=after_minute)


def _run(jobs: list[_Job], n_jobs: int | None, progress: Progress | None) -> Iterator[Result]:
    """Play all, in whatever order they end."""
    minutes = jobs[0][5]
    total = minutes * len(jobs)
    tell = progress or (lambda done, total: None)
    if n_jobs != 1:
        try:
            from joblib import Parallel, delayed
        except ImportError:
            if n_jobs is not None:
                message = f"n_jobs = {n_jobs} needs joblib; install it with: pip install 'seedbed[parallel]'"
                raise ValueError(message) from None
        else:
            plays = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(delayed(_play)(job) for job in jobs)
            for i, result in enumerate(plays):
                tell(float((i + 1) * minutes), total)
                yield result
            return
    for i, job in enumerate(jobs):

        def after_minute(minute: int, before: int = i * minutes) -> None:
            tell(float(before + minute), total)

        yield _play(job, after_minute)


def verdict(found: Comparison) -> str:
    """Say what the intervals of a comparison say of its reference."""
    own = found.reference
    others = [name for name in found.policies if name != own]
    limits = found.kept(own)
    states = [
        f"{what} {kept.value.mean:.2%}, {'inside' if kept.is_inside else 'ABOVE'} the limit of {100.0 * kept.limit:g}%"
        for what, kept in (("negative feedback", limits["negative"]), ("low-quality share", limits["low_quality"]))
    ]
    guard = f"{own}: {' and '.join(states)}."
    to_own = {name: found.relative(name, own) for name in others}  # as tables show it
    if len(found.seeds) == 1:
        ahead = [name for name, d in to_own.items() if d.mean < 0.0]
        said = f"{own} retained more viewers an exposure than {_listed(ahead)}; " if ahead else ""
        return f"One replicate carries no interval, so any difference may be chance: {said}{guard}"
    groups = {s: [name for name, d in to_own.items() if d.sign == -s] for s in (1, -1, 0)}
    parts = []
    if groups[1]:
        parts.append(f"{own} retains more viewers an exposure than {_listed(groups[1])}")
    if groups[-1]:
        parts.append(
            f"{'fewer' if groups[1] else f'{own} retains fewer viewers an exposure'} than {_listed(groups[-1])}"
        )
    if parts:
        parts[-1] += " (each paired 95 % interval is clear of zero)"
    if groups[0]:
        undecided = f"against {_listed(groups[0])} the interval holds zero: undecided"
        parts.append(undecided if parts else undecided[0].upper() + undecided[1:])
    return f"{'; '.join(parts)}. {guard}" if parts else guard


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"

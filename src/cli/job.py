"""What a replay is to play: every option of the command resolved, and checked before anything is written."""

import argparse
from typing import Any, NamedTuple

from .. import __version__
from ..allocators import ColdStartAllocator, ColdStartConfig
from ..allocators.replay import Queues, Replay
from ..bandits._inputs import checked_int
from .logs import Columns, Counts, Rows, digest, read_counts, read_log
from .settings import pairs_of, reported

_LARGEST_LOG = 500_000_000  # an urn takes 26 bytes an exposure while it is shuffled


class Job(NamedTuple):
    """What is to be replayed, with every option resolved."""

    log: Rows | Counts
    config: ColdStartConfig
    tick_exposures: int
    seed: int
    seeds: int
    facts: dict[str, Any]  # plain values, all that the result depends on; a resumed replay must agree on it

    def queues(self, seed: int) -> Queues:
        """The log as queues; the order of urns depends on the seed, that of rows does not."""
        if isinstance(self.log, Counts):
            return Queues.from_counts(self.log.items, self.log.successes, self.log.failures, seed)
        return Queues.from_rows(self.log.items, self.log.rewards, self.log.negatives)

    def replay(self, queues: Queues, seed: int) -> Replay:
        """A fresh replay of it."""
        return Replay(ColdStartAllocator(self.config, seed=seed), queues, self.tick_exposures)


def numbers() -> list[str]:
    """Names of the allocator's numbers that `--set` takes."""
    return [name for name in ColdStartConfig.model_fields if name not in ("kind", "budget")]


def prepare(options: argparse.Namespace) -> Job:
    """Read the log and resolve every option."""
    for name in ("ticks", "seeds", "checkpoint_every"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1; got {value}")
    checked_int(options.seed, "--seed", 0, 2**64 - options.seeds)
    if options.tick_exposures is not None:
        checked_int(options.tick_exposures, "--tick-exposures", 1, 2**53)
    log = _checked_log(options)
    total = len(log.items) if isinstance(log, Rows) else int(log.successes.sum() + log.failures.sum())
    if total > _LARGEST_LOG:
        raise ValueError(f"{options.log} counts {total:,} exposures; at most {_LARGEST_LOG:,} can be replayed")
    budget = total // 2 if options.budget is None else options.budget
    if not 1 <= budget <= total:
        raise ValueError(f"--budget must be in [1, {total}], the exposures of the log; got {budget}")
    config, population = _fitted(options, _config(options, budget), log)
    facts = {
        "seedbed": __version__,
        "log": {"name": options.log.name, "digest": digest(options.log), "exposures": total},
        "kind": "counts" if isinstance(log, Counts) else "rows",
        "population": population,
        "budget": budget,
        "tick_exposures": 2 * config.tick_cap if options.tick_exposures is None else options.tick_exposures,
        "seed": options.seed,
        "seeds": options.seeds,
        "at_position": options.at_position,
        "columns": _columns(options)._asdict(),
        "uniform_logging": _uniformity(log),
        "has_negatives": isinstance(log, Rows) and log.negatives is not None,
        "config": config.model_dump(mode="json"),
    }
    return Job(log, config, facts["tick_exposures"], options.seed, options.seeds, facts)


def _checked_log(options: argparse.Namespace) -> Rows | Counts:
    """Read the log and refuse options that do not fit it, and rows that were not logged uniformly."""
    log = read_log(options.log, _columns(options), options.at_position)
    if isinstance(log, Counts):
        if options.at_position is not None or options.negative_column is not None or options.biased:
            raise ValueError("--at-position, --negative-column and --biased are for logs of rows, not of counts")
        return log
    if options.seeds > 1:
        raise ValueError("--seeds repeats the draw of urns; a log of rows has one order only, so leave it out")
    if log.propensities is not None and log.propensities[0] != log.propensities[1] and not options.biased:
        low, high = log.propensities
        raise ValueError(
            f"{options.log} was not logged uniformly: its propensities range from {low:g} to {high:g}, so its rows "
            "are no fair sample of what an item earns; use a uniform log, or accept the bias with --biased"
        )
    return log


def _fitted(options: argparse.Namespace, config: ColdStartConfig, log: Rows | Counts) -> tuple[ColdStartConfig, str]:
    """Take prior and bar from the population, where one is given, unless they were set; and say where they are from."""
    if options.population is None:
        return config, "prior and bar stated by the preset"
    if digest(options.population) == digest(options.log):
        raise ValueError("--population is the log itself; a bar must come from data that is not being played")
    counts = read_counts(options.population, _columns(options))
    _check_apart(counts, log)
    explicit: dict[str, Any] = {name: getattr(config, name) for name in ("prior", "bar") if name in _pairs(options)}
    fitted = config.fitted(counts.successes, counts.successes + counts.failures)
    return (
        ColdStartConfig(**{**dict(fitted), **explicit}),
        f"fitted to the {len(counts.items)} items of {options.population.name}",
    )


def _uniformity(log: Rows | Counts) -> str:
    """What is known of how the log was made, on which the replay's fairness rests."""
    if isinstance(log, Counts):
        return "urns of counts: not needed"
    if log.propensities is None:
        return "taken on trust: the log has no propensities"
    low, high = log.propensities
    return "checked: all propensities are equal" if low == high else f"BIASED: propensities from {low:g} to {high:g}"


def _check_apart(population: Counts, log: Rows | Counts) -> None:
    """Refuse a population whose rows are rows of the log: its bar would have seen the answer."""
    if isinstance(log, Counts):
        played = set(zip(log.successes.tolist(), log.failures.tolist(), strict=True))
        pairs = zip(population.successes.tolist(), population.failures.tolist(), strict=True)
        same = sum(pair in played for pair in pairs if min(pair) > 0)
        if 2 * same > len(population.items):
            raise ValueError(
                f"{same} of the {len(population.items)} rows of --population have the counts of a row of the log; "
                "a bar must come from data that is not being played"
            )


def _columns(options: argparse.Namespace) -> Columns:
    names = ("item", "reward", "time", "position", "propensity", "negative", "successes", "failures")
    return Columns(*(getattr(options, f"{name}_column") for name in names))


def _pairs(options: argparse.Namespace) -> dict[str, Any]:
    if any(text.partition("=")[0] == "budget" and "=" in text for text in options.set):
        raise ValueError("--set budget: the budget of a replay is set by --budget")
    return pairs_of(options.set, "--set", numbers())


def _config(options: argparse.Namespace, budget: int) -> ColdStartConfig:
    pairs = {**_pairs(options), "budget": {"resource": "exposures", "limit": budget}}
    with reported("--set"):
        return ColdStartConfig.feed(**pairs) if options.preset == "feed" else ColdStartConfig.live(**pairs)

"""`seedbed replay LOG`: play the cold-start allocator over a log, and say honestly what came of it."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .. import __version__
from ..allocators import ColdStartAllocator, ColdStartConfig, StageChange
from ..allocators.cold_start.reasons import names_of
from ..allocators.replay import Queues, Replay, Step
from ..bandits import CheckpointError
from ..bandits._inputs import checked_int
from ..bandits.checkpoint import take
from .logs import Columns, Counts, Rows, digest, read_counts, read_log
from .report import show
from .summary import summarise, uplift

_LARGEST_LOG = 500_000_000  # an urn takes 26 bytes an exposure while it is shuffled
DECISIONS, CHECKPOINT, SUMMARY = "decisions.jsonl", "checkpoint.seedbed", "summary.json"


def register(commands: Any) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "replay",
        help="play the cold-start allocator over a log",
        description="Play the three-stage cold-start allocator over a log. A log of ROWS (CSV or CSV.gz with time, "
        "item, position, reward and, where logged, propensity and negative feedback) must have been logged uniformly: "
        "an exposure given to an item consumes its next unread row. A log of COUNTS (item, successes, failures) is "
        "replayed as an urn an item, drawn empty in an order keyed by the seed.",
        epilog="example: seedbed replay log.csv --preset live --reward-column stayed --set bar=0.25 "
        "--set 'stop={\"limit\": 0.01}'. The numbers that --set knows: " + ", ".join(_numbers()) + ".",
    )
    parser.add_argument("log", type=Path, metavar="LOG", help="the log, CSV or CSV.gz")
    parser.add_argument("--out", type=Path, help="folder for results; default: replay- and the log's name")
    parser.add_argument("--resume", action="store_true", help="continue from the folder's checkpoint")
    parser.add_argument("--force", action="store_true", help="replace the results in the folder")
    parser.add_argument(
        "--preset", choices=("feed", "live"), default="feed", help="numbers of the allocator (default: feed)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one number of the allocator, as JSON"
    )
    parser.add_argument("--population", type=Path, help="counts of other items, to fit prior and bar; not the log")
    parser.add_argument("--budget", type=int, help="exposures to spend; default: half of the log")
    parser.add_argument("--tick-exposures", type=int, help="exposures offered in a tick; default: twice the tick cap")
    parser.add_argument("--seed", type=int, default=0, help="seed of all draws (default: 0)")
    parser.add_argument("--seeds", type=int, default=1, help="repeat counts with so many seeds, for a paired interval")
    parser.add_argument("--ticks", type=int, help="stop after so many ticks, with a checkpoint to resume from")
    parser.add_argument("--checkpoint-every", type=int, default=100, metavar="TICKS", help="default: 100")
    parser.add_argument("--biased", action="store_true", help="replay a log in spite of unequal propensities")
    parser.add_argument("--at-position", type=int, metavar="N", help="use only rows shown at this position")
    names = parser.add_argument_group("columns of the log")
    names.add_argument("--item-column", metavar="NAME", help="default: item_id in rows, item in counts")
    names.add_argument("--reward-column", default="click", metavar="NAME", help="0 or 1; default: click")
    names.add_argument(
        "--time-column", default="timestamp", metavar="NAME", help="seconds or ISO 8601; default: timestamp"
    )
    names.add_argument("--position-column", metavar="NAME", help="default: position, if there is one")
    names.add_argument("--propensity-column", metavar="NAME", help="default: propensity, if there is one")
    names.add_argument("--negative-column", metavar="NAME", help="negative feedback, 0 or 1; default: none")
    names.add_argument(
        "--successes-column", default="successes", metavar="NAME", help="of a log of counts; default: successes"
    )
    names.add_argument(
        "--failures-column", default="failures", metavar="NAME", help="of a log of counts; default: failures"
    )
    parser.set_defaults(run=run)


def _numbers() -> list[str]:
    return [name for name in ColdStartConfig.model_fields if name not in ("kind", "budget")]


class Job(NamedTuple):
    """What is to be replayed, with every option resolved."""

    log: Rows | Counts
    config: ColdStartConfig
    tick_exposures: int
    seed: int
    seeds: int
    facts: dict[str, Any]  # all that the result depends on; a resumed replay must agree on it

    def queues(self, seed: int) -> Queues:
        """The log as queues; the order of urns depends on the seed, that of rows does not."""
        if isinstance(self.log, Counts):
            return Queues.from_counts(self.log.items, self.log.successes, self.log.failures, seed)
        return Queues.from_rows(self.log.items, self.log.rewards, self.log.negatives)


def run(options: argparse.Namespace) -> int:
    """Replay, write the results, show them."""
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 100)
    folder = options.out or Path("replay-" + options.log.name.split(".")[0])
    job = prepare(options)
    _check_folder(folder, options.resume, options.force)
    queues = job.queues(job.seed)
    Replay(ColdStartAllocator(job.config, seed=job.seed), queues, job.tick_exposures)  # whatever is wrong shows now
    folder.mkdir(parents=True, exist_ok=True)
    replay, changes, written = _begin(folder, job, queues, options.resume)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("exposures", total=job.facts["budget"], completed=int(replay.taken.sum()))
        last_tick = None if options.ticks is None else replay.ticks + options.ticks
        with (folder / DECISIONS).open("r+b") as decisions:
            decisions.truncate(written)
            decisions.seek(written)
            while not replay.is_over and replay.ticks != last_tick:
                step = replay.step()
                changes.extend(asdict(change) for change in step.plan.changes)
                _write_step(decisions.write, queues, step)
                progress.update(task, completed=int(replay.taken.sum()))
                if step.tick % options.checkpoint_every == 0:
                    _save(folder, job, replay, changes, decisions)
            _save(folder, job, replay, changes, decisions)
            if (
                replay.is_over
            ):  # after the checkpoint, which a later --resume starts from, so that they stand there once
                _write_changes(decisions.write, replay.ticks, replay.allocator.pending_changes)
        if not replay.is_over:
            _say(
                console, f"Stopped after tick {replay.ticks}; continue with --resume. Checkpoint: {folder / CHECKPOINT}"
            )
            return 0
        uplifts: list[float | None] = [uplift(replay, queues)] if job.seeds > 1 else []
        task = progress.add_task("seeds", total=job.seeds, completed=1, visible=job.seeds > 1)
        for seed in range(job.seed + 1, job.seed + job.seeds):
            uplifts.append(_uplift_of(job, seed))
            progress.advance(task)
    summary = {**job.facts, **summarise(replay, queues, changes, uplifts)}
    _write(folder / SUMMARY, json.dumps(summary, indent=1, allow_nan=False).encode() + b"\n")
    show(summary, console)
    _say(console, f"Decisions, checkpoint and summary: {folder}")
    return 0


def _say(console: Console, text: str) -> None:
    """Print a line that holds names from outside, which are no markup."""
    console.print(text, highlight=False, markup=False)


def prepare(options: argparse.Namespace) -> Job:
    """Read the log and resolve every option."""
    for name in ("ticks", "seeds", "checkpoint_every"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1; got {value}")
    checked_int(options.seed, "--seed", 0, 2**64 - options.seeds)
    if options.tick_exposures is not None:
        checked_int(options.tick_exposures, "--tick-exposures", 1, 2**53)
    log = read_log(options.log, _columns(options), options.at_position)
    if isinstance(log, Rows):
        if options.seeds > 1:
            raise ValueError("--seeds repeats the draw of urns; a log of rows has one order only, so leave it out")
        if log.propensities is not None and log.propensities[0] != log.propensities[1] and not options.biased:
            low, high = log.propensities
            raise ValueError(
                f"{options.log} was not logged uniformly: its propensities range from {low:g} to {high:g}, so its rows "
                "are no fair sample of what an item earns; use a uniform log, or accept the bias with --biased"
            )
    elif options.at_position is not None or options.negative_column is not None or options.biased:
        raise ValueError("--at-position, --negative-column and --biased are for logs of rows; this is one of counts")
    total = len(log.items) if isinstance(log, Rows) else int(log.successes.sum() + log.failures.sum())
    if total > _LARGEST_LOG:
        raise ValueError(f"{options.log} counts {total:,} exposures; at most {_LARGEST_LOG:,} can be replayed")
    budget = total // 2 if options.budget is None else options.budget
    if not 1 <= budget <= total:
        raise ValueError(f"--budget must be in [1, {total}], the exposures of the log; got {budget}")
    config = _config(options, budget)
    population = "prior and bar stated by the preset"
    if options.population is not None:
        if digest(options.population) == digest(options.log):
            raise ValueError("--population is the log itself; a bar must come from data that is not being played")
        counts = read_counts(options.population, _columns(options))
        _check_apart(counts, log)
        explicit: dict[str, Any] = {name: getattr(config, name) for name in ("prior", "bar") if name in _pairs(options)}
        fitted = config.fitted(counts.successes, counts.successes + counts.failures)
        config = type(config)(**{**dict(fitted), **explicit})
        population = f"fitted to the {len(counts.items)} items of {options.population.name}"
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
    pairs: dict[str, Any] = {}
    for text in options.set:
        name, separator, value = text.partition("=")
        if not separator:
            raise ValueError(f"--set {text!r} is not NAME=VALUE")
        if name == "budget":
            raise ValueError("--set budget: the budget of a replay is set by --budget")
        if name not in _numbers():
            raise ValueError(f"--set {name}: no such number; there are {', '.join(_numbers())}")
        try:
            pairs[name] = json.loads(value)
        except json.JSONDecodeError:
            pairs[name] = value
    return pairs


def _config(options: argparse.Namespace, budget: int) -> ColdStartConfig:
    from pydantic import ValidationError

    pairs = {**_pairs(options), "budget": {"resource": "exposures", "limit": budget}}
    try:
        return ColdStartConfig.feed(**pairs) if options.preset == "feed" else ColdStartConfig.live(**pairs)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the numbers together"
        raise ValueError(f"--set: {where}: {first['msg']}") from None


def _check_folder(folder: Path, resume: bool, force: bool) -> None:
    if resume and not (folder / CHECKPOINT).is_file():
        raise ValueError(f"{folder} holds no checkpoint to resume from")
    if not resume and not force and any((folder / name).exists() for name in (CHECKPOINT, DECISIONS, SUMMARY)):
        raise ValueError(f"{folder} holds a replay already; continue it with --resume, or replace it with --force")


def _begin(folder: Path, job: Job, queues: Queues, resume: bool) -> tuple[Replay, list[dict[str, Any]], int]:
    if not resume:
        for name in (SUMMARY, CHECKPOINT):
            (folder / name).unlink(missing_ok=True)
        (folder / DECISIONS).write_bytes(b"")
        replay = Replay(ColdStartAllocator(job.config, seed=job.seed), queues, job.tick_exposures)
        return replay, [], 0
    try:
        replay, values = Replay.from_bytes((folder / CHECKPOINT).read_bytes(), queues)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / CHECKPOINT}: {error}") from None
    facts = take(values, "facts", lambda v: isinstance(v, dict), "a map")
    for name, value in json.loads(json.dumps(job.facts)).items():
        if facts.get(name) != value:
            raise CheckpointError(
                f"the checkpoint in {folder} was made with {name} = {facts.get(name)!r:.200}, "
                f"now it is {value!r:.200}; resume with the same log and options"
            )
    written = take(values, "written", lambda v: type(v) is int and v >= 0, "a count")
    if (folder / DECISIONS).stat().st_size < written:
        raise CheckpointError(f"{folder / DECISIONS} is shorter than its checkpoint says; replay anew with --force")
    return replay, take(values, "changes", lambda v: isinstance(v, list), "a list"), written


def _uplift_of(job: Job, seed: int) -> float | None:
    queues = job.queues(seed)
    replay = Replay(ColdStartAllocator(job.config, seed=seed), queues, job.tick_exposures)
    while not replay.is_over:
        replay.step()
    return uplift(replay, queues)


def _write_step(write: Callable[[bytes], Any], queues: Queues, step: Step) -> None:
    """Log the changes of stage that a tick decided, then what each item was granted and what came of it."""
    _write_changes(write, step.tick, step.plan.changes)
    plan = step.plan.columns()
    position_of = {item: i for i, item in enumerate(queues.items)}
    for j in np.flatnonzero(plan["exposures"]).tolist():
        i = position_of[plan["room"][j]]
        record = {
            "tick": step.tick,
            "event": "grant",
            "item": plan["room"][j],
            "granted": int(plan["exposures"][j]),
            "exposures": int(step.exposures[i]),
            "rewards": int(step.rewards[i]),
            "negatives": int(step.negatives[i]),
            "traffic_multiplier": float(plan["traffic_multiplier"][j]),
            "reason_codes": names_of(int(plan["reasons"][j])),
        }
        write(json.dumps(record).encode() + b"\n")


def _write_changes(write: Callable[[bytes], Any], tick: int, changes: Iterable[StageChange]) -> None:
    for change in changes:
        fields = asdict(change)
        record = {"tick": tick, "event": "stage", "item": fields.pop("room"), **fields}
        write(json.dumps(record).encode() + b"\n")


def _save(folder: Path, job: Job, replay: Replay, changes: list[dict[str, Any]], decisions: Any) -> None:
    """Write the checkpoint, after the decisions that it counts are on the disk."""
    decisions.flush()
    os.fsync(decisions.fileno())
    facts = json.loads(json.dumps(job.facts))
    _write(folder / CHECKPOINT, replay.to_bytes(facts=facts, changes=changes, written=decisions.tell()))


def _write(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that no reader ever sees half of it."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)

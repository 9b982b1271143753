"""`seedbed replay LOG`: play the cold-start allocator over a log, and say honestly what came of it."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .._files import replace_file
from ..allocators import StageChange
from ..allocators.cold_start.reasons import names_of
from ..allocators.replay import Queues, Replay, Step
from ..bandits import CheckpointError
from ..bandits.checkpoint import take
from .job import Job, numbers, prepare
from .report import show
from .summary import summarise, uplift

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
        "--set 'stop={\"limit\": 0.01}'. The numbers that --set knows: " + ", ".join(numbers()) + ".",
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


def run(options: argparse.Namespace) -> int:
    """Replay, write the results, show them."""
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 100)
    folder = options.out or Path("replay-" + options.log.name.split(".")[0])
    job = prepare(options)
    _check_folder(folder, options.resume, options.force)
    queues = job.queues(job.seed)
    fresh = job.replay(queues, job.seed)  # before the folder is touched: whatever is wrong shows now
    folder.mkdir(parents=True, exist_ok=True)
    replay, changes, written = _resume(folder, job, queues) if options.resume else _begin(folder, fresh)
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
                _write_step(decisions.write, step)
                progress.update(task, completed=int(replay.taken.sum()))
                if step.tick % options.checkpoint_every == 0:
                    _save(folder, job, replay, changes, decisions)
            _save(folder, job, replay, changes, decisions)
            if replay.is_over:  # below what the checkpoint counts, so that a later --resume writes them once
                _write_changes(decisions.write, replay.ticks, replay.allocator.pending_changes)
        if not replay.is_over:
            _say(console, f"Stopped after tick {replay.ticks}; continue with --resume. See {folder / CHECKPOINT}")
            return 0
        uplifts: list[float | None] = [uplift(replay)] if job.seeds > 1 else []
        task = progress.add_task("seeds", total=job.seeds, completed=1, visible=job.seeds > 1)
        for seed in range(job.seed + 1, job.seed + job.seeds):
            uplifts.append(_uplift_of(job, seed))
            progress.advance(task)
    summary = {**job.facts, **summarise(replay, changes, uplifts)}
    replace_file(folder / SUMMARY, json.dumps(summary, indent=1, allow_nan=False).encode() + b"\n")
    show(summary, console)
    _say(console, f"Decisions, checkpoint and summary: {folder}")
    return 0


def _say(console: Console, text: str) -> None:
    """Print a line that holds names from outside, which are no markup."""
    console.print(text, highlight=False, markup=False)


def _check_folder(folder: Path, resume: bool, force: bool) -> None:
    if resume and not (folder / CHECKPOINT).is_file():
        raise ValueError(f"{folder} holds no checkpoint to resume from")
    if not resume and not force and any((folder / name).exists() for name in (CHECKPOINT, DECISIONS, SUMMARY)):
        raise ValueError(f"{folder} holds a replay already; continue it with --resume, or replace it with --force")


def _begin(folder: Path, fresh: Replay) -> tuple[Replay, list[dict[str, Any]], int]:
    """Clear the folder for a fresh replay; no changes of stage yet, no byte of decisions."""
    for name in (SUMMARY, CHECKPOINT):
        (folder / name).unlink(missing_ok=True)
    (folder / DECISIONS).write_bytes(b"")
    return fresh, [], 0


def _resume(folder: Path, job: Job, queues: Queues) -> tuple[Replay, list[dict[str, Any]], int]:
    """Read the folder's checkpoint: the replay, its changes of stage, and how many bytes of decisions it counts."""
    try:
        replay, values = Replay.from_bytes((folder / CHECKPOINT).read_bytes(), queues)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / CHECKPOINT}: {error}") from None
    facts = take(values, "facts", lambda v: isinstance(v, dict), "a map")
    for name, value in job.facts.items():
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
    replay = job.replay(job.queues(seed), seed)
    while not replay.is_over:
        replay.step()
    return uplift(replay)


def _write_step(write: Callable[[bytes], Any], step: Step) -> None:
    """Log the changes of stage that a tick decided, then what each item was granted and what came of it."""
    _write_changes(write, step.tick, step.plan.changes)
    plan = step.plan.columns()
    for j in np.flatnonzero(plan["exposures"]).tolist():
        i = step.positions[j]
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
    replace_file(folder / CHECKPOINT, replay.to_bytes(facts=job.facts, changes=changes, written=decisions.tell()))

"""`seedbed simulate`: play policies in the same simulated live markets, and say what the difference is."""

import argparse
import functools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..allocators.cold_start import ColdStartConfig, read_rules
from ..allocators.market import Comparison, MarketConfig, compare
from ..allocators.market.lineup import POLICIES, Fitted, MakePolicy, fit_history, fitted_by, live_config, route_m
from ..bandits._inputs import checked_float, checked_int
from . import pictures
from .market_report import show
from .market_summary import MINUTES, SUMMARY, summarise, write_minutes, write_summary
from .policy_file import parsed
from .settings import pairs_of, reported

DAY = 1_440
PER_ROOM = 500  # exposures a day for each room that opens, unless said otherwise
EVENING = 19.0
_PICTURES = ("deciles.png", "retained.png", "guardrails.png", "stages-*.png", "lives.png")
_OF_RULES = ("kind", "bar", "prior", "gates")  # what the rules in force say, not the configuration


def register(commands: Any) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "simulate",
        help="compare policies in a simulated live market",
        description="Play policies in the same simulated two-sided live markets, one a replicate, and compare them: "
        "paired differences with 95 % intervals over the replicates, guarantees and guardrails, creator-side measures. "
        f"Policies: {', '.join(POLICIES)}; M is the three-stage allocator, A gives every newcomer more, B goes by "
        "revenue. Before, uniform exposure is played in another market; from it thresholds and priors are fitted.",
        epilog="example: seedbed simulate --days 1 --policy M --policy A --policy B --replicates 20 --jobs 2. The "
        "processes are joblib's; to play on a cluster call seedbed.allocators.market.compare within "
        "joblib.parallel_config.",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--days", type=int, metavar="N", help="how long is played; default: 1")
    length.add_argument("--minutes", type=int, metavar="N", help="the same in minutes")
    parser.add_argument(
        "--start-hour", type=float, metavar="H", help=f"default: 0; {EVENING:g} when less than a day is played"
    )
    parser.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="NAME",
        help="may be repeated; default: all. FILE.py:NAME plays your own function from view to exposures, or a class "
        "with allocate and learn; it RUNS that file",
    )
    parser.add_argument("--replicates", type=int, default=5, metavar="N", help="markets, seeds upwards (default: 5)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first market (default: 0)")
    parser.add_argument("--rooms", type=int, metavar="N", help="rooms that open in a day; default: 20,000")
    parser.add_argument("--exposures", type=int, metavar="N", help=f"offered in a day; default: {PER_ROOM} a room")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one number of the market, as JSON"
    )
    parser.add_argument(
        "--set-m", action="append", default=[], metavar="NAME=VALUE", help="one number of the allocator M, as JSON"
    )
    parser.add_argument("--rules", type=Path, metavar="FILE", help="thresholds, such as `seedbed thresholds` writes")
    parser.add_argument(
        "--history-minutes", type=int, default=240, metavar="N", help="played to fit thresholds (default: 240)"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes; -1 for all cores (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("simulation"), metavar="FOLDER", help="default: simulation")
    parser.add_argument("--force", action="store_true", help="replace the results in the folder")
    parser.add_argument(
        "--plots",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="pictures in the folder; default: if matplotlib is installed",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Play, write the results, show them."""
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120)
    minutes, start_hour = _length(options)
    config = _market(options)
    rules = None if options.rules is None else fitted_by(read_rules(options.rules))
    makers = _policies(options)
    _check(options)
    if options.plots:
        pictures.require("--plots")
    options.out.mkdir(parents=True, exist_ok=True)
    found = _play(options, console, makers, config, minutes, start_hour, rules)
    given = {name: value for name, value in vars(options).items() if name != "run"}
    for pattern in (SUMMARY, MINUTES, *_PICTURES):  # of an earlier simulation
        for path in options.out.glob(pattern):
            path.unlink()
    written = [SUMMARY, MINUTES]
    write_minutes(found, options.out / MINUTES)
    if options.plots or (options.plots is None and pictures.is_installed()):
        from .market_plots import draw

        written += draw(found, options.out)
    write_summary(summarise(found, given), options.out / SUMMARY)
    show(found, console)
    console.print(f"Written into {options.out}: {', '.join(written)}", highlight=False, markup=False)
    if options.plots is None and not pictures.is_installed():
        console.print(f"For pictures install matplotlib: {pictures.INSTALL}", highlight=False, markup=False)
    return 0


def _length(options: argparse.Namespace) -> tuple[int, float]:
    for name in ("days", "minutes"):
        if getattr(options, name) is not None:
            checked_int(getattr(options, name), f"--{name}", 1, 10_000)
    minutes = options.minutes or DAY * (options.days or 1)
    start_hour = options.start_hour
    if start_hour is None:
        start_hour = EVENING if minutes < DAY else 0.0
    if not 0.0 <= checked_float(start_hour, "--start-hour") < 24.0:
        raise ValueError(f"--start-hour must be in [0, 24); got {start_hour:g}")
    return minutes, start_hour


def _market(options: argparse.Namespace) -> MarketConfig:
    names = [name for name in MarketConfig.model_fields if name != "kind"]
    numbers = pairs_of(options.set, "--set", names)
    for option, name in (("rooms", "rooms_per_day"), ("exposures", "exposures_per_day")):
        value = getattr(options, option)
        if value is not None:
            if name in numbers:
                raise ValueError(f"--{option} and --set {name} say the same; give one of them")
            numbers[name] = checked_int(value, f"--{option}", 1)
    rooms = numbers.get("rooms_per_day")
    if "exposures_per_day" not in numbers and type(rooms) is int:
        numbers["exposures_per_day"] = PER_ROOM * rooms
    with reported("--set"):
        return MarketConfig(**numbers)


def _policies(options: argparse.Namespace) -> dict[str, MakePolicy]:
    names = [name for name in ColdStartConfig.model_fields if name not in _OF_RULES]
    changes = pairs_of(options.set_m, "--set-m", names)
    with reported("--set-m"):
        live_config(**changes)
    makers: dict[str, MakePolicy] = {}
    for text in options.policy or POLICIES:
        own = parsed(text)
        name = text if own is None else own.name
        if name in makers:
            raise ValueError(f"--policy {text}: there are two policies named {name!r}")
        if own is not None:
            own.load()
            makers[name] = own
        elif name in POLICIES:
            makers[name] = functools.partial(route_m, **changes) if name == "M" and changes else POLICIES[name]
        else:
            raise ValueError(
                f"--policy {text}: there is no such policy; there are {', '.join(POLICIES)}, "
                "and FILE.py:NAME for one of your own"
            )
    if changes and "M" not in makers:
        raise ValueError("--set-m is for the policy M, which is not played")
    return makers


def _check(options: argparse.Namespace) -> None:
    checked_int(options.replicates, "--replicates", 1, 100_000)
    checked_int(options.seed, "--seed", 0, 2**63 - options.replicates)
    checked_int(options.history_minutes, "--history-minutes", 1, 100_000)
    if options.jobs == 0:
        raise ValueError("--jobs must be 1 or more, or -1 for all cores; got 0")
    if (options.out / SUMMARY).exists() and not options.force:
        raise ValueError(f"{options.out} holds a simulation already; replace it with --force")


def _play(
    options: argparse.Namespace,
    console: Console,
    makers: dict[str, MakePolicy],
    config: MarketConfig,
    minutes: int,
    start_hour: float,
    fitted: Fitted | None,
) -> Comparison:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        if fitted is None:
            task = progress.add_task("minutes of history", total=options.history_minutes)

            def watched(steps: Sequence[int]) -> Iterator[int]:
                yield from _counted(steps, lambda: progress.advance(task))

            fitted = fit_history(config, options.seed, options.history_minutes, progress=watched)
        plays = f"minutes of {len(makers) * options.replicates} plays"
        task = progress.add_task(plays, total=minutes * len(makers) * options.replicates)
        return compare(
            makers,
            config,
            range(options.seed, options.seed + options.replicates),
            minutes,
            start_hour=start_hour,
            fitted=fitted,
            n_jobs=options.jobs,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )


def _counted(steps: Iterable[int], tell: Any) -> Iterator[int]:
    for step in steps:
        yield step
        tell()

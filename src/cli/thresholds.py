"""`seedbed thresholds LOG`: fit bars and populations from earlier rooms, and write them as rules."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from .. import __version__
from ..allocators.cold_start import Finding, Fitting, History, InsufficientError, Rules, fit_rules, write_rules
from . import pictures
from .history import HistoryColumns, HistoryLog, read_history
from .logs import digest, time_of

_DEFAULTS = Fitting()


def register(commands: Any) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "thresholds",
        help="fit the bars of every bucket from earlier rooms",
        description="Fit populations and bars of every bucket from a log of earlier rooms (CSV or CSV.gz): one row a "
        "room, or one a room and minute, with the room's creator and bucket (or category, language, region) and its "
        "counts of exploration traffic. All rooms that were seeded belong in it, not only those that were promoted. "
        "Buckets whose history does not carry a bar are INSUFFICIENT and take their parent's.",
        epilog="example: seedbed thresholds rooms.csv.gz --metric follows --version 2026-week-30 --plot bars.png",
    )
    parser.add_argument("log", type=Path, metavar="LOG", help="the log, CSV or CSV.gz")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="rules file; default: thresholds-, the log's name, .json"
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="picture of bars and populations, such as bars.png")
    parser.add_argument(
        "--plot-bucket", default="", metavar="NAME", help="whose population is drawn; default: all rooms"
    )
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        choices=("retained", "follows", "watched", "comments"),
        help="a gate beside that of retained viewers; may be repeated",
    )
    parser.add_argument("--bar", choices=("quantile", "renewal"), default="quantile", help="default: quantile")
    parser.add_argument("--population", choices=("smooth", "likeliest"), default="smooth", help="default: smooth")
    for name, kind, text in (
        ("quantile", float, "share of the rooms below the bar"),
        ("seed-length", float, "for renewal: exposures of a room's seeding"),
        ("remaining", float, "for renewal: exposures that a room can take, all in all"),
        ("resamples", int, "of the bootstrap over creators"),
        ("confidence", float, "of the intervals"),
        ("seed", int, "of the resamples"),
        ("pull", float, "rooms of the parent's population that are mixed into a bucket's"),
        ("least-exposures", int, "rooms of fewer are left out"),
        ("least-rooms", int, "a bucket of fewer is INSUFFICIENT"),
        ("least-creators", int, "a bucket of fewer is INSUFFICIENT"),
        ("widest", float, "share of the bar above which its interval is INSUFFICIENT"),
    ):
        default = getattr(_DEFAULTS, name.replace("-", "_"))
        shown = "50, and 500 for renewal" if default is None else f"{default:g}"
        parser.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=f"{text}; default: {shown}")
    parser.add_argument("--version", help="name of the rules; default: the log's name and digest")
    parser.add_argument("--valid-from", metavar="TIME", help="seconds or ISO 8601 from which the rules may be in force")
    parser.add_argument("--valid-until", metavar="TIME", help="seconds or ISO 8601 at which they no longer may")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes; -1 for all cores; default: 1")
    names = parser.add_argument_group("columns of the log")
    for field in ("room", "creator", "exposures", "retained", "follows", "watched", "comments", "minutes"):
        names.add_argument(f"--{field}-column", default=field, metavar="NAME", help=f"default: {field}")
    names.add_argument(
        "--bucket-column", metavar="NAME", help="such as music/zh/cn; default: bucket, else category, language, region"
    )
    names.add_argument("--source-column", metavar="NAME", help="default: source, if there is one")
    names.add_argument(
        "--source",
        default="exploration",
        metavar="VALUE",
        help="rows of other sources do not count; default: exploration",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Fit, show, write."""
    console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120)
    name = options.log.name.split(".")[0]
    out = options.out or Path(f"thresholds-{name}.json")
    _check_files(out, options.plot, options.force)
    fitting = _fitting(options)
    draw = None if options.plot is None else _drawing()
    window = [_time(options, field) for field in ("valid_from", "valid_until")]
    columns = HistoryColumns(*(getattr(options, f"{field}_column") for field in HistoryColumns._fields))
    log = read_history(options.log, columns, fitting.metrics, options.source)
    if options.plot is not None and options.plot_bucket not in log.history.rooms_below:
        raise ValueError(f"--plot-bucket {options.plot_bucket!r}: the log has no such bucket")
    key = digest(options.log)
    try:
        rules, findings = _fit(
            options, console, log.history, fitting, options.version or f"{name}-{key[:8]}", window, key
        )
    except InsufficientError as error:
        _show(console, error.findings, fitting)
        raise
    if draw is not None:
        draw(options.plot, log.history, rules, findings, options.plot_bucket)
    write_rules(rules, out)
    _show(console, findings, fitting)
    _summarise(console, log, findings, fitting)
    console.print(f"Rules {rules.version!r}: {out}", highlight=False, markup=False)
    return 0


def _fit(
    options: argparse.Namespace,
    console: Console,
    history: History,
    fitting: Fitting,
    version: str,
    window: list[float | None],
    key: str,
) -> tuple[Rules, list[Finding]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("populations", total=None)
        return fit_rules(
            history,
            version=version,
            fitting=fitting,
            valid_from=window[0],
            valid_until=window[1],
            made_from={"log": options.log.name, "digest": key, "source": options.source, "seedbed": __version__},
            n_jobs=options.jobs,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )


def _check_files(out: Path, plot: Path | None, force: bool) -> None:
    for path in (out, plot):
        if path is not None and path.exists() and not force:
            raise ValueError(f"{path} is there already; replace it with --force")
        if path is not None and not path.parent.is_dir():
            raise ValueError(f"{path}: there is no folder {path.parent}")


def _fitting(options: argparse.Namespace) -> Fitting:
    """Numbers from the options, or the first that is wrong by the option's name."""
    given = {name: getattr(options, name) for name in Fitting.model_fields if name not in ("kind", "metrics")}
    metrics = tuple(dict.fromkeys(("retained", *options.metric)))
    try:
        return Fitting(metrics=metrics, **given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = "".join(f"--{str(part).replace('_', '-')} {first['input']}: " for part in first["loc"][:1])
        raise ValueError(option + first["msg"].removeprefix("Value error, ")) from None


def _time(options: argparse.Namespace, field: str) -> float | None:
    text = getattr(options, field)
    try:
        return None if text is None else time_of(text)
    except ValueError as error:
        raise ValueError(f"--{field.replace('_', '-')} {text!r} {error}") from None


def _drawing() -> Callable[..., None]:
    """What draws the picture, before anything is fitted in vain."""
    pictures.require("--plot")
    from .threshold_plot import draw

    return draw


def _show(console: Console, findings: Sequence[Finding], fitting: Fitting) -> None:
    """Print a table a metric."""
    bar = f"{fitting.quantile:g} quantile" if fitting.bar == "quantile" else "renewal"
    for metric in fitting.metrics:
        per = "a viewer-minute" if metric == "comments" else "an exposure"
        table = Table(title=f"{metric} {per}: {bar} of each bucket")
        for heading in (
            "bucket",
            "rooms",
            "creators",
            "mean",
            "shrunk",
            "bar",
            f"{100.0 * fitting.confidence:.4g} % interval",
            "",
        ):
            table.add_column(heading, justify="left" if heading in ("bucket", "") else "right")
        for finding in findings:
            if finding.metric == metric:
                table.add_row(*_row(finding))
        console.print(table)
        for finding in findings:
            if finding.metric == metric and finding.flag:
                taken = f"; takes the gate of {finding.taken_from or 'all rooms'}" if finding.bucket else ""
                line = f"{finding.bucket or 'all rooms'}: {finding.why}{taken}"
                console.print(line, highlight=False, markup=False, soft_wrap=True)


def _row(finding: Finding) -> tuple[str, ...]:
    interval = "-" if finding.low is None else f"{_rate(finding, finding.low)} - {_rate(finding, finding.high)}"
    return (
        escape(finding.bucket) or "all rooms",
        f"{finding.rooms:,}",
        f"{finding.creators:,}",
        _rate(finding, finding.mean),
        _rate(finding, finding.shrunk_mean),
        _rate(finding, finding.bar),
        interval,
        finding.flag,
    )


def _rate(finding: Finding, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if finding.metric == "comments" else f"{value:.2%}"


def _summarise(console: Console, log: HistoryLog, findings: Sequence[Finding], fitting: Fitting) -> None:
    insufficient = sum(bool(finding.flag) for finding in findings)
    history = log.history
    short = int((history.exposures < fitting.least_exposures).sum())
    lines = [
        f"{len(findings) - insufficient} of {len(findings)} bars are carried by their own rooms; "
        f"{insufficient} are INSUFFICIENT and take their parent's.",
        f"{history.n_rooms:,} rooms in {log.rows:,} rows; {log.elsewhere:,} rows of other sources and {short:,} rooms "
        f"of fewer than {fitting.least_exposures} exposures do not count.",
    ]
    if "comments" in fitting.metrics:
        how = (
            "estimated from the minutes" if log.rows > history.n_rooms else "the log has no rows a minute to tell more"
        )
        lines.append(f"Comments are {history.dispersion:.3g} times as dispersed as Poisson counts ({how}).")
    for line in lines:
        console.print(line, highlight=False, markup=False)

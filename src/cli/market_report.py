"""Tables of a simulated comparison, for people."""

from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..allocators.market import Comparison, Interval


def show(found: Comparison, console: Console) -> None:
    """Print what a comparison showed."""
    console.print(_policies(found))
    for policy in found.policies:
        if "graduated" in found.of(policy)[0].measures:
            console.print(_creators(found, policy))
    fitted = found.fitted
    a, b = fitted.prior
    console.print(
        f"Bar of all rooms {fitted.bar:.3%}, prior Beta({a:.4g}, {b:.4g}); rules {fitted.rules.version!r}.",
        markup=False,
        highlight=False,
    )
    console.print(f"[bold]Verdict: {escape(found.verdict())}[/bold]", highlight=False)


def _policies(found: Comparison) -> Table:
    n = len(found.seeds)
    rooms = np.mean([result.n_rooms for result in found.of(found.reference)])
    length = f"{found.minutes / 1_440:g} days" if found.minutes % 1_440 == 0 else f"{found.minutes} minutes"
    if found.minutes == 1_440:
        length = "a day"
    table = Table(
        title=f"{length[0].upper()}{length[1:]} from {_clock(found.start_hour)}: {rooms:,.0f} rooms, means over {n} "
        f"paired replicate{'s' if n > 1 else ''}",
        caption=f"retained: viewers who stayed for a minute, of all to whom a room was shown; to {found.reference}: "
        + ("relative, with its 95 % interval over the replicates; " if n > 1 else "relative; ")
        + "guaranteed: rooms with 60 exposures; discovered: of the best tenth, rooms with 500; revenue: median gifts "
        f"for 1,000 exposures. ! is above the limit ({100.0 * found.low_quality_limit:g}% low quality, "
        f"{100.0 * found.negative_limit:g}% negative).",
    )
    headings = (
        "policy",
        "retained",
        f"to {found.reference}",
        "guaran-\nteed",
        "low\nquality",
        "nega-\ntive",
        "dis-\ncovered",
        "covered",
        "Gini",
        "revenue",
        "used",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "policy" else "right", no_wrap=True)
    for policy in found.policies:
        mean = {measure: found.mean(policy, measure).mean for measure in found.of(policy)[0].measures}
        kept = found.kept(policy)
        flag = {measure: "" if kept[measure].is_inside else " !" for measure in kept}
        to = "" if policy == found.reference else _relative(found.relative(policy, found.reference))
        table.add_row(
            escape(policy),
            f"{mean['retained']:.2%}",
            to,
            f"{mean['guaranteed']:.1%}",
            f"{mean['low_quality']:.1%}{flag['low_quality']}",
            f"{mean['negative']:.2%}{flag['negative']}",
            f"{mean['discovered']:.1%}",
            f"{mean['covered']:.1%}",
            f"{mean['gini']:.2f}",
            f"{1_000.0 * mean['revenue']:.0f}",
            f"{mean['used']:.1%}",
        )
    return table


def _clock(hour: float) -> str:
    minutes = round(60.0 * hour)
    return f"{minutes // 60}:{minutes % 60:02d}"


def _relative(interval: Interval) -> str:
    if interval.n < 2:
        return f"{interval.mean:+.1%}"
    return f"{interval.mean:+.1%} ± {100.0 * (interval.high - interval.mean):.1f}"


def _creators(found: Comparison, policy: str) -> Table:
    """What streamers and their operators ask of a policy with stages."""
    table = Table(title=f"For creators: what {policy} did with rooms")
    for heading in ("", "mean", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "" else "right")
    share: Callable[[float], str] = "{:.1%}".format
    rows: list[tuple[str, str, Callable[[float], str]]] = [
        (
            f"minutes_to_{n}",
            f"minutes to {n:,} viewer{'s' if n > 1 else ''}, median of the rooms that had them",
            "{:.1f}".format,
        )
        for n in (60, 100, 500, 1_000)
    ]
    rows += [
        ("quota", "new rooms that got their own seed quota", share),
        ("quota_95", "new rooms that got 95 % of it", share),
        ("graduated", "rooms that graduated (were promoted)", share),
        ("graduate_cost", "exposures of the others, for each that graduated", "{:,.0f}".format),
        ("stopped", "rooms that were stopped for harm", "{:.2%}".format),
        ("false_kills", "good rooms that were stopped (false kills)", "{:.2%}".format),
    ]
    for measure, text, form in rows:
        value = found.mean(policy, measure)
        mean = "-" if value.n == 0 else form(value.mean)
        low, high = (
            max(value.low, 0.0),
            value.high if "minutes" in measure or "cost" in measure else min(value.high, 1.0),
        )
        table.add_row(text, mean, "-" if value.n < 2 else f"{form(low)} to {form(high)}")
    return table

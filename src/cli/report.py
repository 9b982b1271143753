"""Tables of a replay, for people."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def show(summary: dict[str, Any], console: Console) -> None:
    """Print what a replay showed."""
    console.print(_rates(summary))
    console.print(_stages(summary))
    if summary["promoted"]:
        console.print(_promotions(summary))
    _stops(summary, console)
    budget = summary["budget"]
    line = (
        f"Budget: {budget['used']:,} of {budget['limit']:,} exposures used in {summary['ticks']:,} ticks. "
        f"Bar {summary['bar']:.3%}, prior Beta({summary['prior'][0]:.4g}, {summary['prior'][1]:.4g}), "
        f"{summary['population']}."
    )
    console.print(line, markup=False)
    console.print(f"[bold]Verdict: {summary['verdict']}.[/bold]")


def _rates(summary: dict[str, Any]) -> Table:
    table = Table(title=f"Reward rates, {summary['items']} items")
    for heading in ("", "exposures", "rewards", "rate", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "" else "right")
    names = {
        "allocator": "allocator",
        "uniform": f"uniform allocation ({summary['dry_under_uniform']} items run dry)",
        "oracle": "oracle: the best items first, in hindsight",
        "whole_log": "the whole log, weighted as it was logged",
    }
    for key, name in names.items():
        line = summary[key]
        low, high = line["interval"]
        table.add_row(
            name, f"{line['exposures']:,}", f"{line['rewards']:,}", f"{line['rate']:.3%}", f"{low:.3%} to {high:.3%}"
        )
    table.add_row("unweighted mean of the items", "", "", f"{summary['item_mean_rate']:.3%}", "")
    return table


def _stages(summary: dict[str, Any]) -> Table:
    table = Table(title="Items by the stage in which they ended")
    for heading in ("stage", "items", "used up", "exposures", "rewards", "rate"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for name, row in summary["stages"].items():
        rate = f"{row['rewards'] / row['exposures']:.3%}" if row["exposures"] else ""
        table.add_row(
            name, f"{row['items']}", f"{row['used_up']}", f"{row['exposures']:,}", f"{row['rewards']:,}", rate
        )
    return table


def _promotions(summary: dict[str, Any]) -> Table:
    below = summary["promoted_below_bar"]
    table = Table(title=f"Promoted to SCALE: {len(summary['promoted'])} items, {below} of them below the bar in truth")
    table.add_column("item")
    table.add_column("rate over the whole log", justify="right")
    for item, rate in sorted(summary["promoted"].items(), key=lambda pair: -pair[1]):
        table.add_row(escape(item), f"{rate:.3%}")
    return table


def _stops(summary: dict[str, Any], console: Console) -> None:
    if not summary["has_negatives"]:
        console.print("Stops: none possible, the log has no negative feedback.")
        return
    if not summary["stops"]:
        console.print(f"Stops: none; {summary['negatives']:,} negative reactions.")
        return
    table = Table(title="Stopped by the stop-loss")
    for heading in ("item", "at, s", "reason", "exposures", "negative", "evidence"):
        table.add_column(heading, justify="left" if heading in ("item", "reason") else "right")
    for stop in summary["stops"]:
        counts = stop["counts"]
        table.add_row(
            escape(str(stop["room"])),
            f"{stop['at']:,.0f}",
            stop["reason"],
            f"{counts['exposures']:,}",
            f"{counts['negative']:,}",
            f"{stop['evidence']:.3g}",
        )
    console.print(table)

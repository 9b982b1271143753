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
    if summary["kind"] == "rows":
        console.print(f"Uniform logging: {summary['uniform_logging']}.")
    rate, bar = summary["item_mean_rate"], summary["bar"]
    if not bar / 5.0 <= rate <= 5.0 * bar:
        console.print(
            f"Note: the items earn {rate:.3%} on average, far from the bar of {bar:.3%}; "
            "choose another --preset, or give a --population."
        )
    paired = summary["paired"]
    if paired is not None and summary["uplift"] is not None:
        lowest, highest = min(paired["each"]), max(paired["each"])
        console.print(
            f"The seed shown: {summary['uplift']:+.1%} rewards over uniform; "
            f"all {paired['seeds']}: {paired['mean']:+.1%} on average, {lowest:+.1%} to {highest:+.1%}."
        )
    console.print(f"[bold]Verdict: {summary['verdict']}.[/bold]")


def _seed(summary: dict[str, Any]) -> str:
    """Which of several runs a table shows."""
    return f", seed {summary['seed']} of {summary['seeds']} seeds" if summary["seeds"] > 1 else ""


def _rates(summary: dict[str, Any]) -> Table:
    table = Table(title=f"Reward rates, {summary['items']} items{_seed(summary)}")
    for heading in ("", "exposures", "rewards", "rate", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "" else "right")
    names = {
        "allocator": "allocator",
        "uniform": f"uniform ({summary['dry_under_uniform']} items run dry)",
        "oracle": "oracle, best items first",
        "whole_log": "the whole log as logged",
    }
    for key, name in names.items():
        line = summary[key]
        low, high = line["interval"]
        table.add_row(
            name, f"{line['exposures']:,}", f"{line['rewards']:,}", f"{line['rate']:.3%}", f"{low:.3%} to {high:.3%}"
        )
    table.add_row("unweighted item mean", "", "", f"{summary['item_mean_rate']:.3%}", "")
    return table


def _stages(summary: dict[str, Any]) -> Table:
    caption = "stages follow outcomes, so their rates compare nothing: the table above does"
    table = Table(title=f"Items by the stage in which they ended{_seed(summary)}", caption=caption)
    for heading in ("stage", "items", "log used up", "exposures", "rewards", "rate", "came into it by"):
        table.add_column(heading, justify="left" if heading in ("stage", "came into it by") else "right")
    for name, row in summary["stages"].items():
        rate = f"{row['rewards'] / row['exposures']:.3%}" if row["exposures"] else ""
        why = ", ".join(f"{reason} {count}" for reason, count in row["reasons"].items())
        counts = (row["items"], row["used_up"], row["exposures"], row["rewards"])
        table.add_row(name, *(f"{count:,}" for count in counts), rate, why)
    return table


def _promotions(summary: dict[str, Any]) -> Table:
    below = summary["promoted_below_bar"]
    table = Table(title=f"Promoted: {len(summary['promoted'])}, below the bar: {below}")
    table.add_column("item")
    table.add_column("rate over the whole log", justify="right")
    for item, rate in sorted(summary["promoted"].items(), key=lambda pair: -pair[1]):
        table.add_row(escape(item), f"{rate:.3%}")
    return table


def _stops(summary: dict[str, Any], console: Console) -> None:
    if not summary["has_negatives"]:
        console.print("Stops: none possible, no column of negative feedback was named (--negative-column).")
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

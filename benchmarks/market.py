"""All policies in the simulated market: 20 paired replicates of a day of 20,000 rooms and 10 M exposures.

`python benchmarks/market.py [REPLICATES [MINUTES]]` prints the tables; fewer are for trying it out.
"""

import sys

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from seedbed.allocators.market import MarketConfig, compare
from seedbed.allocators.market.lineup import POLICIES

HEAD = [
    "policy",
    "retained an exposure",
    "M over it",
    "60 exposures",
    "in 10 minutes",
    "low quality",
    "negative",
    "best tenth found",
    "Gini",
    "revenue of 1,000",
    "budget used",
]
CREATORS = {
    "minutes_to_60": ("minutes to 60 viewers, median", "{:.1f}"),
    "minutes_to_100": ("minutes to 100 viewers, median", "{:.1f}"),
    "minutes_to_500": ("minutes to 500 viewers, median of the rooms that had them", "{:.1f}"),
    "minutes_to_1000": ("minutes to 1,000 viewers, median of the rooms that had them", "{:.1f}"),
    "quota": ("new rooms that got their own seed quota", "{:.2%}"),
    "quota_95": ("new rooms that got 95 % of it", "{:.2%}"),
    "covered": ("rooms that got any exposure", "{:.2%}"),
    "graduated": ("rooms that were promoted", "{:.2%}"),
    "graduate_cost": ("exposures of the others, for each promoted", "{:,.0f}"),
    "stopped": ("rooms that were stopped for harm", "{:.2%}"),
    "false_kills": ("good rooms that were stopped", "{:.3%}"),
}


def played(replicates, minutes=1_440, n_jobs=2, **options):
    """Play all policies; seeds from 0."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("minutes of all plays", total=None)
        return compare(
            list(POLICIES),
            MarketConfig(**options),
            range(replicates),
            minutes,
            n_jobs=n_jobs,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )


def span(interval, form, is_share=False):
    """Mean and interval, as text."""
    if interval.n < 2:
        return form.format(interval.mean)
    low, high = interval.low, interval.high
    if is_share:
        low, high = max(low, 0.0), min(high, 1.0)
    return f"{form.format(interval.mean)} ({form.format(low)} to {form.format(high)})"


def policy_rows(found):
    """A row a policy: means over the replicates, and M over the policy with its interval."""
    rows = []
    for policy in found.policies:
        mean = {measure: found.mean(policy, measure).mean for measure in found.of(policy)[0].measures}
        kept = found.kept(policy)
        over = "" if policy == "M" else span(found.relative("M", policy), "{:+.1%}")
        rows.append(
            [
                policy,
                f"{mean['retained']:.3%}",
                over,
                f"{mean['guaranteed']:.1%}",
                f"{mean['in_time']:.1%}",
                f"{mean['low_quality']:.2%}" + ("" if kept["low_quality"].is_inside else " (above)"),
                f"{mean['negative']:.3%}" + ("" if kept["negative"].is_inside else " (above)"),
                f"{mean['discovered']:.1%}",
                f"{mean['gini']:.2f}",
                f"{1_000.0 * mean['revenue']:.0f}",
                f"{mean['used']:.1%}",
            ]
        )
    return rows


def creator_rows(found):
    """A row a measure of what M did with rooms: mean and interval over the replicates."""
    return [[text, span(found.mean("M", measure), form, "%" in form)] for measure, (text, form) in CREATORS.items()]


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def plainly(found):
    """What plain Thompson does with newcomers, which the design expected to be worse in the end."""
    ever, soon = (found.mean("eb-thompson", measure).mean for measure in ("guaranteed", "in_time"))
    return (
        f"Plain Thompson gives {ever:.0%} of the rooms 60 exposures in the end, not well under half of them as in the "
        "worlds that the design was tried in: there 24 viewers in a hundred were retained, here 4, so that a draw "
        f"needs some hundred exposures to tell a room from the others. Within ten minutes it is {soon:.0%}."
    )


def rows(replicates, minutes=1_440, **options):
    """Both tables and what the intervals say, as Markdown."""
    found = played(replicates, minutes, **options)
    rooms = sum(result.n_rooms for result in found.of("M")) / len(found.seeds)
    a, b = found.fitted.prior
    lines = [
        f"{len(found.seeds)} paired replicates of {minutes:,} minutes, {rooms:,.0f} rooms each; intervals are 95 % "
        f"over the replicates. Thresholds fitted on another market: bar of all rooms {found.fitted.bar:.3%}, prior "
        f"Beta({a:.3g}, {b:.4g}). Low quality at most {found.low_quality_limit:.0%}, negative feedback at most "
        f"{found.negative_limit:.0%}.",
        table(HEAD, policy_rows(found)),
        table(["creators, under M", "mean (95 %)"], creator_rows(found)),
        found.verdict(),
        plainly(found),
    ]
    return "\n\n".join(lines)


if __name__ == "__main__":
    print(rows(*(int(number) for number in sys.argv[1:3] or ["20"])))

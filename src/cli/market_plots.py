"""Pictures of a simulated comparison: stages, deciles, retained viewers, guardrails, and the lives of two rooms."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..allocators.market import Comparison
from ..allocators.market.comparing import interval
from ..allocators.market.results import MINUTES_KEPT, STAGES
from .life_plot import draw_lives
from .pictures import GREY, RED, STAGE_COLORS, new_figure, policy_colors, write

Floats = NDArray[np.float64]
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440)  # minutes between times on an axis
_ROUND = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


def draw(found: Comparison, folder: Path) -> list[str]:
    """Draw all that there is to draw into a folder; return the names of the files."""
    drawn = {"deciles.png": _deciles(found), "retained.png": _retained(found), "guardrails.png": _guardrails(found)}
    for policy in found.policies:
        stages = found.stages(policy)
        if stages is not None:
            drawn[f"stages-{policy}.png"] = _stages(found, policy, *stages)
    if found.lives():
        drawn["lives.png"] = draw_lives(found)
    for name, figure in drawn.items():
        write(figure, folder / name)
    return list(drawn)


def _of(found: Comparison) -> str:
    n = len(found.seeds)
    return f"mean of {n} replicates" if n > 1 else "one replicate"


def hours_of(found: Comparison, minute: Any) -> Floats:
    """Hours of the day at some minutes."""
    return np.asarray(found.start_hour + np.asarray(minute, np.float64) / 60.0)


def clock(panel: Any, found: Comparison) -> None:
    """Write the time of day below a panel whose axis counts hours."""
    step = next(
        (step for step in _STEPS if found.minutes / step <= 8), _STEPS[-1] * -(-found.minutes // (8 * _STEPS[-1]))
    )
    first = 60.0 * found.start_hour
    marks = np.arange(math.ceil(first / step) * step, first + found.minutes + 1e-9, step)
    panel.set_xticks(marks / 60.0, [f"{int(mark // 60) % 24}:{int(mark % 60):02d}" for mark in marks.tolist()])
    panel.set_xlabel("time of day")


def _lines(panel: Any, title: str, ylabel: str) -> None:
    panel.set_title(title, loc="left", fontsize=11)
    panel.set_ylabel(ylabel)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)


def _stages(found: Comparison, policy: str, rooms: Floats, reached: Floats) -> Any:
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(11.0, 4.2)
    over_time, ever = figure.subplots(1, 2, width_ratios=(1.9, 1.0))
    hours = hours_of(found, 1.0 + np.arange(found.minutes))
    colors = [STAGE_COLORS[stage] for stage in STAGES]
    over_time.stackplot(hours, rooms, colors=colors, labels=STAGES, linewidth=0)
    _lines(over_time, f"{policy}: open rooms by stage, {_of(found)}", "open rooms")
    over_time.yaxis.set_major_formatter("{x:,.0f}")
    over_time.set_xlim(hours[0], hours[-1])
    over_time.set_ylim(0, 1.22 * rooms.sum(0).max())
    handles, names = over_time.get_legend_handles_labels()
    over_time.legend(handles, names, ncols=5, fontsize=8, frameon=False, loc="upper left", columnspacing=1.2)
    clock(over_time, found)
    places = np.arange(len(STAGES))
    ever.barh(places, reached, color=colors)
    total = max(float(np.mean([result.n_rooms for result in found.of(policy)])), 1.0)
    for place, count in zip(places, reached.tolist(), strict=True):
        ever.text(count + 0.01 * total, place, f"{count:,.0f} ({count / total:.1%})", va="center", fontsize=9)
    ever.set_yticks(places, STAGES)
    ever.invert_yaxis()
    ever.set_xlim(0, 1.38 * max(reached.max(), 1.0))
    _lines(ever, f"ever in the stage, of {total:,.0f} rooms", "")
    ever.set_xlabel("rooms")
    ever.xaxis.set_major_formatter("{x:,.0f}")
    ever.xaxis.set_major_locator(MaxNLocator(4))
    ever.grid(axis="y", visible=False)
    return figure


def _deciles(found: Comparison) -> Any:
    figure = new_figure(8.5, 4.6)
    panel = figure.subplots()
    colors = policy_colors(found.policies)
    places = np.arange(1, 11)
    for policy in found.policies:
        shares = np.array([result.deciles for result in found.of(policy)])
        strong = policy == found.reference
        panel.plot(
            places,
            100.0 * shares.mean(0),
            "o-",
            color=colors[policy],
            linewidth=2.6 if strong else 1.4,
            markersize=5.5 if strong else 3.5,
            zorder=3 if strong else 2,
            label=policy,
        )
    panel.axhline(10.0, color=GREY, linestyle=":", linewidth=1.0, zorder=1)
    _lines(panel, f"Who is shown: exposures by true quality, {_of(found)}", "share of the exposures, %")
    panel.set_ylim(bottom=0.0)
    panel.set_xticks(places, ["worst\ntenth", *map(str, range(2, 10)), "best\ntenth"])
    panel.set_xlabel("rooms by true rate of retained viewers, tenths")
    panel.legend(fontsize=9, frameon=False, loc="upper left")
    return figure


def _retained(found: Comparison) -> Any:
    """Differences: the totals themselves lie too close together to be told apart."""
    base = "uniform" if "uniform" in found.policies else found.reference
    others = [policy for policy in found.policies if policy != base] or [base]
    figure = new_figure(9.5, 4.8)
    panel = figure.subplots()
    colors = policy_colors(found.policies)
    hours = hours_of(found, np.arange(found.minutes + 1))
    row = MINUTES_KEPT.index("retained")
    total = {
        policy: np.cumsum([np.append(0.0, result.by_minute[row]) for result in found.of(policy)], axis=1)
        for policy in found.policies
    }
    alone = others == [base]
    ends = []
    for policy in others:
        each = total[policy] if alone else total[policy] - total[base]
        mean, half = each.mean(0), interval(each[:, -1])
        if len(found.seeds) > 1:
            error = (half.high - half.mean) * each.std(0, ddof=1) / max(float(each[:, -1].std(ddof=1)), 1e-12)
            panel.fill_between(hours, mean - error, mean + error, color=colors[policy], alpha=0.15, linewidth=0)
        panel.plot(hours, mean, color=colors[policy], linewidth=2.6 if policy == found.reference else 1.5)
        ends.append((float(mean[-1]), policy))
    _label_ends(panel, ends, float(hours[-1]), colors)
    if not alone:
        panel.axhline(0.0, color=GREY, linewidth=1.0)
    what = "Retained viewers so far" if alone else f"Retained viewers so far, more than {base}"
    bands = ", bands: 95 % over replicates" if len(found.seeds) > 1 else ""
    _lines(panel, f"{what}: {_of(found)}{bands}", "viewers who stayed for a minute")
    panel.yaxis.set_major_formatter("{x:,.0f}")
    panel.set_xlim(hours[0], hours[-1] + 0.16 * (hours[-1] - hours[0]))
    clock(panel, found)
    return figure


def _label_ends(panel: Any, ends: list[tuple[float, str]], x: float, colors: dict[str, str]) -> None:
    """Names at the ends of lines, pushed apart where they would overlap."""
    low, high = panel.get_ylim()
    gap, last = 0.048 * (high - low), -np.inf
    for value, policy in sorted(ends):
        last = max(value, last + gap)
        panel.annotate(
            policy,
            (x, value),
            (x + 0.025 * (panel.get_xlim()[1] - panel.get_xlim()[0]), last),
            color=colors[policy],
            va="center",
            fontsize=9,
            arrowprops={"arrowstyle": "-", "color": colors[policy], "linewidth": 0.6},
        )


def _guardrails(found: Comparison) -> Any:
    figure = new_figure(9.5, 8.2)
    panels = figure.subplots(3, 1, sharex=True)
    colors = policy_colors(found.policies)
    width = 60 if found.minutes >= 360 else 10 if found.minutes >= 60 else 1
    starts = np.arange(0, found.minutes, width)
    middles = hours_of(found, (starts + np.minimum(starts + width, found.minutes)) / 2.0)
    rows = {name: i for i, name in enumerate(MINUTES_KEPT)}
    for policy in found.policies:
        sums = np.add.reduceat(np.sum([result.by_minute for result in found.of(policy)], axis=0), starts, axis=1)
        shown = np.maximum(sums[rows["exposures"]], 1.0)
        strong = policy == found.reference
        style = {"color": colors[policy], "linewidth": 2.6 if strong else 1.3, "zorder": 3 if strong else 2}
        panels[0].plot(middles, 100.0 * sums[rows["exposures"]] / sums[rows["offered"]], label=policy, **style)
        panels[1].plot(middles, 100.0 * sums[rows["low_quality"]] / shown, **style)
        panels[2].plot(middles, 100.0 * np.maximum(sums[rows["negative"]] / shown, 1e-5), **style)
    for panel, limit in ((panels[1], found.low_quality_limit), (panels[2], found.negative_limit)):
        panel.axhline(100.0 * limit, color=RED, linestyle="--", linewidth=1.2)
        panel.text(
            middles[0], 100.0 * limit, f"limit {100.0 * limit:g} %", color=RED, fontsize=8, ha="left", va="bottom"
        )
    by = "hour" if width == 60 else f"{width} minutes" if width > 1 else "minute"
    _lines(panels[0], f"Budget used, in each {by}, {_of(found)}", "of the offered exposures, %")
    _lines(panels[1], "Exposures of rooms of low quality (the worst tenth of their bucket)", "of the exposures, %")
    _lines(panels[2], "Negative feedback, on a logarithmic scale", "of the exposures, %")
    panels[0].set_ylim(0.0, 106.0)
    panels[1].set_ylim(0.0, 1.15 * max(panels[1].get_ylim()[1], 100.0 * found.low_quality_limit))
    panels[2].set_yscale("log")
    low, high = 0.8 * panels[2].get_ylim()[0], 1.3 * max(panels[2].get_ylim()[1], 100.0 * found.negative_limit)
    panels[2].set_yticks([mark for mark in _ROUND if low <= mark <= high])
    panels[2].set_yticks([], minor=True)
    panels[2].set_ylim(low, high)
    panels[2].yaxis.set_major_formatter("{x:g}")
    panels[0].legend(fontsize=9, frameon=False, ncols=min(len(found.policies), 8), loc="lower left")
    clock(panels[2], found)
    return figure

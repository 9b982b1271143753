"""Picture of fitted thresholds: the bar and interval of every bucket, and one bucket's population."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..allocators.cold_start import Atoms, Finding, History, Rules
from ..allocators.cold_start.bars import smooth_populations
from .pictures import BLUE, GREY, RED, new_figure, write


def draw(path: Path, history: History, rules: Rules, findings: Sequence[Finding], bucket: str) -> None:
    """Draw a row of two panels a metric, and write the picture in one step.

    Parameters
    ----------
    path
        Its ending names the format.
    bucket
        Whose population is drawn.
    """
    metrics = list(dict.fromkeys(finding.metric for finding in findings))
    of_metric = [[finding for finding in findings if finding.metric == metric] for metric in metrics]
    height = max(3.2, 1.2 + 0.24 * max(map(len, of_metric)))
    figure = new_figure(11.0, height * len(metrics))
    panels = figure.subplots(len(metrics), 2, squeeze=False, width_ratios=(1.1, 1.0))
    for row, (metric, own) in enumerate(zip(metrics, of_metric, strict=True)):
        _draw_bars(panels[row, 0], own, metric)
        _draw_population(panels[row, 1], history, rules, own, metric, bucket)
    write(figure, path)


def _draw_bars(panel: Any, findings: Sequence[Finding], metric: str) -> None:
    findings = sorted(findings, key=lambda finding: finding.bucket)
    bars = {finding.bucket: finding.bar for finding in findings}
    for place, finding in enumerate(findings):
        first = place == 0
        panel.plot(finding.mean, place, "|", color=GREY, markersize=9, label="mean rate" if first else None)
        if finding.bar is not None and finding.low is not None and finding.high is not None:
            color = RED if finding.flag else BLUE
            panel.plot([finding.low, finding.high], [place, place], color=color, linewidth=2.5, alpha=0.55)
            panel.plot(finding.bar, place, "o", color=color, markersize=4.5)
        if finding.flag and bars.get(finding.taken_from) is not None:
            panel.plot(bars[finding.taken_from], place, "o", markerfacecolor="none", color=RED, markersize=4.5)
    panel.plot([], [], "o-", color=BLUE, markersize=4.5, label="bar and interval")
    panel.plot([], [], "o", markerfacecolor="none", color=RED, markersize=4.5, label="INSUFFICIENT: parent's bar")
    names = [finding.bucket or "all rooms" for finding in findings]
    panel.set_yticks(range(len(findings)), names, fontsize=8)
    panel.tick_params(axis="y", length=0)
    panel.invert_yaxis()
    panel.grid(axis="x", alpha=0.3)
    panel.set_xlabel(f"{_unit(metric)}, by bucket")
    panel.legend(fontsize=7, ncols=3, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)


def _draw_population(
    panel: Any, history: History, rules: Rules, findings: Sequence[Finding], metric: str, bucket: str
) -> None:
    """Draw observed rates, the smooth population of the bucket's own rooms, and the atoms of the gate."""
    events, exposure = history.counts(metric)
    rooms = history.rooms_below[bucket]
    least = rules.made_from["fitting"]["least_exposures"]
    rooms = rooms[(history.exposures[rooms] >= least) & (exposure[rooms] > 0.0)]
    gate = next(gate for gate in rules.buckets[rules.index(bucket)].gates if gate.metric == metric)
    if rooms.size:
        rates = metric == "comments"
        smooth = smooth_populations(
            events[rooms], exposure[rooms], np.zeros(rooms.size, np.int64), key=0, resamples=0, rates=rates
        )
        observed = events[rooms] / exposure[rooms]
        bins = min(60, max(10, int(2.0 * rooms.size ** (1 / 3))))
        panel.hist(observed, bins=bins, density=True, color=GREY, alpha=0.35, label="observed rates")
        density = smooth.weights[:, 0] / np.diff(smooth.edges)
        panel.plot(smooth.rates, density, color=BLUE, label="true rates, smoothed (the bar is theirs)")
    panel.set_ylabel("density")
    panel.set_xlabel(_unit(metric))
    panel.set_title(f"{metric}: population of {bucket or 'all rooms'}, {rooms.size:,} rooms", loc="left")
    if isinstance(gate.population, Atoms):
        twin = panel.twinx()
        twin.vlines(gate.population.support, 0.0, gate.population.weights, color=RED, linewidth=1.0)
        twin.set_ylim(0.0, 2.0 * max(gate.population.weights))
        twin.set_ylabel("share of the gate's atoms", color=RED)
        panel.plot([], [], color=RED, linewidth=1.0, label="population of the gate, drawn to the parent's")
    panel.axvline(gate.bar, color="black", linestyle="--", linewidth=1.0, label=f"bar {gate.bar:.4g}")
    panel.legend(fontsize=7, loc="upper right")


def _unit(metric: str) -> str:
    return "comments a viewer-minute" if metric == "comments" else f"{metric} an exposure"

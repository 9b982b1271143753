"""Picture of one room's life: what it was given, what was believed of it, and what was proved against it."""

from typing import Any

import numpy as np

from ..allocators.market import Comparison, Life
from ..allocators.market.results import STAGES
from .pictures import BLUE, GREY, RED, STAGE_COLORS, new_figure

_PALE = 0.25


def draw_lives(found: Comparison) -> Any:
    """Draw a column of three panels for each life."""
    from matplotlib.patches import Rectangle

    lives = found.lives()
    figure = new_figure(6.2 * len(lives), 7.4)
    panels = figure.subplots(3, len(lives), squeeze=False, sharex="col")
    for column, life in enumerate(lives):
        _draw(panels[:, column], life)
    patches = [Rectangle((0, 0), 1, 1, facecolor=STAGE_COLORS[stage], alpha=_PALE) for stage in STAGES]
    figure.legend(patches, STAGES, ncols=len(STAGES), fontsize=9, frameon=False, loc="outside lower center")
    return figure


def _draw(panels: Any, life: Life) -> None:
    minutes = life.minute - life.minute[0]
    harm = ", harmful" if life.is_harmful else ""
    panels[0].set_title(
        f"Room {life.room} ({life.bucket}), {life.end}; bar {life.bar:.1%}\n"
        f"retained {life.seen_retained:.1%} of {life.exposures.sum():,}, negative {life.seen_negative:.1%}\n"
        f"truly, of fresh unmatched viewers: {life.retained:.1%}, {life.negative:.1%}{harm}",
        loc="left",
        fontsize=10.5,
    )
    panels[0].bar(minutes, life.exposures, width=1.0, color=BLUE)
    panels[0].set_ylabel("exposures in the minute")
    panels[1].plot(minutes, life.probability, color=BLUE, drawstyle="steps-mid")
    panels[1].set_ylim(-0.03, 1.08)
    panels[1].set_ylabel("P(above the bar)")
    _line(panels[1], life.needed, f"promoted at {life.needed:g}", GREY)
    _line(panels[1], life.demote_below, f"taken back below {life.demote_below:g}", GREY)
    panels[2].plot(minutes, np.maximum(life.evidence, 1e-3), color=RED, drawstyle="steps-mid")
    panels[2].set_yscale("log")
    low, high = panels[2].get_ylim()
    panels[2].set_ylim(min(low, 0.1), 3.0 * max(high, life.evidence_needed))
    panels[2].set_ylabel("evidence of harm (E)")
    panels[2].yaxis.set_major_formatter("{x:g}")
    _line(panels[2], life.evidence_needed, f"stopped at {life.evidence_needed:g}", RED)
    panels[2].set_xlabel("minutes since it was first seen")
    changes = np.flatnonzero(np.diff(life.stage)) + 1
    for first, last in zip([0, *changes], [*changes, minutes.size], strict=True):
        for panel in panels:
            panel.axvspan(
                minutes[first] - 0.5,
                minutes[last - 1] + 0.5,
                color=STAGE_COLORS[STAGES[life.stage[first]]],
                alpha=_PALE,
                linewidth=0,
                zorder=0,
            )
    for panel in panels:
        panel.set_xlim(minutes[0] - 0.5, minutes[-1] + 0.5)
        panel.spines[["top", "right"]].set_visible(False)


def _line(panel: Any, height: float, text: str, color: str) -> None:
    panel.axhline(height, color=color, linestyle="--", linewidth=1.0)
    panel.annotate(
        text,
        (1.0, height),
        (-3, 2),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8,
        color=color,
    )

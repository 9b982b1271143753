"""Picture of estimates: a panel a policy, a line an estimator, with its interval."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..bandits.evaluation import Estimate
from .pictures import BLUE, GREY, RED, new_figure, write


def draw(
    path: Path,
    names: Sequence[str],
    found: Sequence[Sequence[Estimate]],
    refusals: Sequence[str | None],
    logged: Estimate,
) -> None:
    """Draw the estimates of each policy beside what was logged, and write the picture in one step.

    Parameters
    ----------
    path
        Its ending names the format.
    names
        Of the policies, [P].
    found
        Estimates of each policy, [P].
    refusals
        Why the log carries no answer, or None, [P].
    logged
        What was earned as it was logged.
    """
    figure = new_figure(8.0, 0.9 + 2.6 * len(names))
    panels = figure.subplots(len(names), 1, squeeze=False, sharex=False)[:, 0]
    for panel, name, estimates, why in zip(panels, names, found, refusals, strict=True):
        _draw_panel(panel, name, estimates, why is None, logged)
    panels[-1].set_xlabel("reward a row")
    handles = {
        text: handle for panel in panels for handle, text in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    write(figure, path)


def _draw_panel(panel: Any, name: str, estimates: Sequence[Estimate], is_answer: bool, logged: Estimate) -> None:
    panel.axvspan(logged.lower, logged.upper, color=GREY, alpha=0.15, linewidth=0)
    panel.axvline(logged.value, color=GREY, linewidth=1.0, label="as logged, and its interval")
    for place, each in enumerate(estimates):
        color = BLUE if is_answer and each.is_answer else RED
        panel.plot([each.lower, each.upper], [place, place], color=color, linewidth=2.5, alpha=0.55)
        panel.plot(each.value, place, "o", color=color, markersize=5)
    for color, text in ((BLUE, "estimate and interval"), (RED, "no answer")):
        if any((is_answer and each.is_answer) == (color == BLUE) for each in estimates):
            panel.plot([], [], "o-", color=color, markersize=5, label=text)
    panel.set_yticks(range(len(estimates)), [each.method for each in estimates])
    panel.tick_params(axis="y", length=0)
    panel.invert_yaxis()
    panel.grid(axis="x", alpha=0.3)
    panel.set_title(name, loc="left", fontsize=10)

"""Pictures by matplotlib: made without a screen, and written in one step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

BLUE, GREY, RED = "#3060a0", "#8a8a8a", "#b03030"
STAGE_COLORS = {
    "SEED": "#9ecae1",
    "VERIFY": "#3182bd",
    "SCALE": "#2ca25f",
    "STOPPED": "#c0392b",
    "EXHAUSTED": "#bdbdbd",
}
_POLICIES = {
    "M": "#1f4e9c",
    "A": "#e08214",
    "B": "#b2182b",
    "uniform": "#7f7f7f",
    "pools": "#1b9e77",
    "kl-ucb": "#a6761d",
    "eb-thompson": "#7b3294",
    "partitioned": "#17becf",
}
_OTHERS = ("#000000", "#e7298a", "#66a61e", "#a05d56", "#5254a3", "#d6616b")
INSTALL = "pip install 'seedbed[plots]'"


def is_installed() -> bool:
    """Whether there is a matplotlib to draw with."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def require(option: str) -> None:
    """Refuse an option that asks for pictures where matplotlib is missing."""
    if not is_installed():
        raise ValueError(f"{option} needs matplotlib; install it with: {INSTALL}")


def policy_colors(policies: Sequence[str]) -> dict[str, str]:
    """A colour for each policy, always the same for those of the line-up."""
    others = [policy for policy in policies if policy not in _POLICIES]
    return {**_POLICIES, **{policy: _OTHERS[i % len(_OTHERS)] for i, policy in enumerate(others)}}


def new_figure(width: float, height: float) -> Any:
    """An empty figure of so many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write(figure: Any, path: Path) -> None:
    """Write a picture whose name's ending tells the format; no reader ever sees half of it."""
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, format=path.suffix.removeprefix(".") or "png", dpi=130)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

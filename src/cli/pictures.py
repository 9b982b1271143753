"""Pictures by matplotlib: made without a screen, and written in one step."""

from pathlib import Path
from typing import Any

BLUE, GREY, RED = "#3060a0", "#8a8a8a", "#b03030"
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

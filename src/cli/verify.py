"""`seedbed verify LOG`: decide everything in a log again, and name the first difference."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from ..allocators import ColdStartAllocator
from ..bandits import Bandit, CheckpointError
from ..bandits.checkpoint import config_of
from ..constraints import Constrained
from ..storage import StoreError, verify
from ..storage.logged import Ranker

_LOADERS: dict[str, Any] = {
    "bandit": Bandit.from_bytes,
    "constrained": Constrained.from_bytes,
    "cold_start": ColdStartAllocator.from_bytes,
}


def register(commands: Any) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "verify",
        help="decide everything in a decision log again, bit by bit",
        description="Decide everything again that a `seedbed.storage.Logged` has logged: decisions of a bandit, with "
        "or without constraints, and plans of an allocator. Each must come out as it was logged, bit by bit, on the "
        "same build; else the first difference is named, and the exit code is 1.",
        epilog="example: seedbed verify logs/eu-1",
    )
    parser.add_argument("log", type=Path, metavar="LOG", help="folder of the log")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="state to begin from, in place of the first that the log holds"
    )
    parser.set_defaults(run=run)


def load(blob: bytes) -> Ranker:
    """Make whatever a checkpoint is of."""
    kind = config_of(blob)["kind"]
    if kind not in _LOADERS:
        raise CheckpointError(f"this checkpoint is of kind {kind!r}, not one of {', '.join(_LOADERS)}")
    ranker: Ranker = _LOADERS[kind](blob)
    return ranker


def run(options: argparse.Namespace) -> int:
    """Verify, and say what was found."""
    console = Console(soft_wrap=True)
    checkpoint = None if options.checkpoint is None else options.checkpoint.read_bytes()
    try:
        found = verify(
            options.log,
            checkpoint=checkpoint,
            load=load,
            progress=lambda entries: track(entries, "deciding again", console=console, transient=True),
        )
    except (StoreError, CheckpointError) as error:
        raise ValueError(str(error)) from None
    said = (
        f"{found.decisions:,} decisions, {found.plans:,} plans, {found.calls:,} calls, {found.checkpoints} checkpoints"
    )
    left_out = ""
    if found.apart:
        left_out += f"; left out: {found.apart:,} entries logged without the state to decide them again"
    if found.torn:
        left_out += f"; left out: {found.torn:,} bytes at the end, torn by a crash or still being written"
    if found.difference is not None:
        console.print(f"DIFFERENT: {found.difference}", markup=False)
        console.print(f"up to there all agreed: {said}{left_out}")
        return 1
    console.print(f"all agree, bit by bit: {said}{left_out}")
    return 0

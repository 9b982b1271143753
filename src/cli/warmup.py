"""`seedbed warmup`: compile and cache every kernel before a service takes traffic."""

import argparse
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.progress import track
from rich.table import Table

from .._warmup import warm_up
from ..allocators import ColdStartConfig
from ..bandits import (
    EXP3,
    KLUCB,
    UCB1,
    AnyPolicy,
    BayesUCB,
    EpsilonGreedy,
    GammaPoisson,
    Gaussian,
    LinThompson,
    LinUCB,
    Thompson,
    TopTwo,
)
from ..bandits.attribution import AttributionConfig

KNOWN: dict[str, tuple[Any, ...]] = {  # the number of features makes no difference to what is compiled
    "thompson": (Thompson(), Thompson(model=Gaussian()), Thompson(model=GammaPoisson())),
    "top_two": (TopTwo(),),
    "ucb1": (UCB1(),),
    "kl_ucb": (KLUCB(),),
    "bayes_ucb": (BayesUCB(),),
    "lin_ucb": (LinUCB(n_features=2),),
    "lin_thompson": (LinThompson(n_features=2),),
    "epsilon_greedy": (EpsilonGreedy(),),
    "exp3": (EXP3(),),
    "cold_start": (ColdStartConfig(),),
    "attribution": (AttributionConfig(),),
}


def register(commands: Any) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "warmup",
        help="compile and cache kernels before a service takes traffic",
        description="Compile every kernel that the given configurations will use, and cache it on disk (in the folder "
        "NUMBA_CACHE_DIR, where set): run it as the user, and with the folder, of the service.",
        epilog="example: seedbed warmup thompson cold_start policy.json",
    )
    parser.add_argument(
        "configs",
        nargs="*",
        metavar="CONFIG",
        help=f"one of {', '.join(KNOWN)}, or a JSON file with a policy as its `model_dump_json()` writes it; "
        "default: all of these names",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compile, and show how long each took."""
    console = Console()
    names = options.configs or list(KNOWN)
    configs = [(name, config) for name in names for config in _read(name)]
    table = Table("configuration", "model", "seconds", box=None)
    for name, config in track(configs, description="compiling", console=console, transient=True):
        model = "" if isinstance(config, ColdStartConfig | AttributionConfig) else config.model.kind
        table.add_row(name, model, f"{warm_up(config):.1f}")
    console.print(table)
    return 0


def _read(name: str) -> tuple[Any, ...]:
    """Configurations of a name or a file."""
    if name in KNOWN:
        return KNOWN[name]
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"{name!r} is neither a file nor one of {', '.join(KNOWN)}")
    try:
        return (TypeAdapter(AnyPolicy).validate_python(json.loads(path.read_text())),)
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise ValueError(f"{name} holds no policy: {error}") from None

"""A market as bytes: what became of its rooms; the rooms themselves follow from the seed."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...bandits.checkpoint import Checkpoint, pack, require, take
from ._kernels import STATES
from .base import METRICS
from .parameters import MarketConfig

KIND = "market"
_LONGEST = 1_440 * 3_660  # minutes


def packed(config: MarketConfig, values: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    """Write a checkpoint."""
    return pack(Checkpoint(KIND, config.model_dump(mode="json"), values, arrays))


def parts(checkpoint: Checkpoint) -> tuple[MarketConfig, int, float, int]:
    """Configuration, seed, hour of the start and minutes played, or refuse the checkpoint."""
    config, values = config_of(checkpoint.config), checkpoint.values
    seed = take(values, "seed", lambda v: type(v) is int and 0 <= v < 2**64, "a seed")
    hour = take(values, "start_hour", lambda v: type(v) is float and 0.0 <= v < 24.0, "an hour")
    minutes = take(values, "minutes", lambda v: type(v) is int and 0 <= v <= _LONGEST, "a count of minutes")
    return config, seed, hour, minutes


def config_of(fields: dict[str, Any]) -> MarketConfig:
    """Read the configuration, or refuse the checkpoint."""
    fault = ""
    try:
        return MarketConfig.model_validate_json(json.dumps(fields))
    except (ValueError, TypeError) as error:
        fault = f"{error!s:.200}"
    require(False, f"its configuration is not one of a market ({fault})")
    raise AssertionError  # `require` has raised


def check_arrays(arrays: dict[str, NDArray[Any]], n: int, minutes: int) -> None:
    """Refuse arrays that no market of n rooms leaves after so many minutes."""
    for name, rows in (("counts", len(METRICS)), ("state", STATES)):
        array = arrays.get(name, np.empty(0))
        require(array.dtype == np.float64 and array.shape == (rows, n), f"array {name!r} is of other rooms")
        require(bool(np.isfinite(array).all()), f"array {name!r} is not finite")
    due, room, value = (arrays.get(name, np.empty(0)) for name in ("due", "room", "value"))
    require(due.dtype == room.dtype == np.int64 and value.dtype == np.float64, "its gifts have other dtypes")
    require(due.ndim == 1 and due.shape == room.shape == value.shape, "its gifts have different lengths")
    known = (room >= 0) & (room < n) & (due >= minutes) & np.isfinite(value) & (value > 0.0)
    require(bool(known.all()), "its gifts are of other rooms")

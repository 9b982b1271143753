"""What is told of a decision or of feedback, checked before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bandits import Decision
from ..bandits._inputs import checked_float, checked_floats
from .base import Floats

if TYPE_CHECKING:
    from ..bandits import Bandit
    from .chain import Chain

EPOCH = 2**40  # numbers of decisions of one epoch
_LARGEST = 2.0**53  # of costs and metrics
_NOTHING: Mapping[str, Any] = {}


def checked_viewer(viewer: Any) -> Mapping[str, Any]:
    """Return the attributes of a viewer; none where there is none."""
    if viewer is None:
        return _NOTHING
    if not isinstance(viewer, Mapping):
        raise ValueError(f'viewer = {viewer!r:.80} is not a map of attributes, such as {{"id": "v1", "is_new": True}}')
    return viewer


def checked_costs(chain: Chain, cost: Any, size: int) -> dict[str, Floats]:
    """Return costs by resource, `[size]` each, >= 0."""
    if cost is None:
        return {}
    resources = chain.resources_read
    if not isinstance(cost, Mapping):
        if len(resources) != 1:
            known = f"{sorted(resources)}" if resources else "none"
            raise ValueError(f"cost = {cost!r:.40}: of which resource? pass a map; those that are read are {known}")
        cost = {next(iter(resources)): cost}
    return _checked_values(cost, resources, "cost", "resource", size, least=0.0)


def checked_metrics(chain: Chain, metrics: Any, size: int) -> dict[str, Floats]:
    """Return metrics by name, `[size]` each."""
    if metrics is None:
        return {}
    return _checked_values(metrics, chain.metrics_read, "metrics", "metric", size, least=-np.inf)


def number_of(bandit: Bandit, decision: Any) -> int:
    """Number of a decision of this bandit, growing over its epochs."""
    id = decision.decision_id if isinstance(decision, Decision) else decision
    if not (isinstance(id, tuple | list) and len(id) == 3 and type(id[1]) is int and type(id[2]) is int):
        raise ValueError(f"decision = {decision!r:.80} is neither a Decision nor its id (replica, epoch, n)")
    replica, epoch, number = id
    if replica != bandit.replica:
        raise ValueError(f"decision {id} was made by replica {replica!r}; report it there: its reservations are")
    if not (0 <= epoch <= bandit.epoch and 0 <= number < EPOCH):
        raise ValueError(f"decision {id} was never made by this bandit, of epoch {bandit.epoch}")
    return epoch * EPOCH + number


def spread(values: Any, what: str, size: int) -> Floats:
    """Return one number for all, or one for each, as `[size]`."""
    if np.ndim(values) == 0:
        return np.full(size, checked_float(values, what))
    return checked_floats(values, what, size)


def _checked_values(given: Any, known: set[str], what: str, sort: str, size: int, *, least: float) -> dict[str, Floats]:
    """Return numbers by name, `[size]` each."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} = {given!r:.60} is not a map from {sort} to numbers")
    checked = {}
    for name, values in given.items():
        if name not in known:
            listed = f"those that are read are {sorted(known)}" if known else "none is read"
            raise ValueError(f"no constraint reads the {sort} {name!r}; {listed}")
        numbers = spread(values, f"{what}[{name!r}]", size)
        wrong = ~((numbers >= max(least, -_LARGEST)) & (numbers <= _LARGEST))
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            bound = (
                "a finite number within +-2**53"
                if least == -np.inf
                else f"a finite number, {least:g} or more, up to 2**53"
            )
            raise ValueError(f"{what}[{name!r}][{i}] = {numbers[i]} is not {bound}; nothing was learnt")
        checked[name] = numbers
    return checked

"""Who gave way in a choice: what demands, floors, caps and limits were not met by whom was served."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ._terms import Terms
from .base import Columns, Floats, Mask
from .simplex import keeps


def may_stand(terms: Terms) -> Mask:
    """Which candidates could be a slate of one under the limits that never give way, `[C]`."""
    may = np.ones(terms.request.columns.size, np.bool_)
    for _, limits in terms.limits:
        if not limits.relaxable:
            may &= limits.amounts <= limits.upper[limits.groups]
            if limits.earliest is not None:
                may &= limits.earliest <= 0
    return may


def by_mixture(terms: Terms, chances: Floats, positions: Columns) -> list[str]:
    """Names of those that a mixture, which decides alone, did not heed."""
    served = positions.tolist()
    names = [name for name, shares in terms.shares if not keeps(chances, 1.0, shares)]
    if terms.musts and served != terms.musts[:1]:
        names += _demanding(terms)
    for name, limits in terms.limits:
        groups = limits.groups[served]
        counts = np.bincount(groups, minlength=limits.lower.size)
        is_late = limits.earliest is not None and bool((limits.earliest[served] > 0).any())
        is_over = bool((limits.amounts[served] > limits.upper[groups]).any())
        if is_late or is_over or bool((limits.lower > counts)[limits.groups].any()):
            names.append(name)
    return names


def by_slate(terms: Terms, why: Mapping[int, str], slate: Columns) -> list[str]:
    """Names of those whose arms found no room in a slate, and of bounds that those demanded break."""
    if not why:
        return []
    served = set(slate.tolist())
    absent = [position for position in why if position not in served]
    names = _demanding(terms) if any(position in terms.musts for position in absent) else []
    if any(position not in terms.musts for position in absent):
        return names + [name for name, _ in terms.shares]
    if terms.musts and terms.shares:
        certain = np.zeros(terms.request.columns.size)
        certain[terms.musts] = 1.0
        k = terms.request.k
        for name, shares in terms.shares:
            # floors may still be met by the slots that are left
            broken = shares if len(terms.musts) == k else shares._replace(floor=0.0, group_floor=None)
            if not keeps(certain, float(k), broken):
                names.append(name)
    return names


def _demanding(terms: Terms) -> list[str]:
    return [name for name, _ in terms.chain.demands(terms.request)]

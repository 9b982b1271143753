"""What a journal must know to do again exactly what was done to a bandit: its times, and what a call left out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._adding import bring_landmark
from ._decay import note_time
from ._inputs import LATENESS
from ._table import LANDMARK, LATEST
from ._updating import is_batch

if TYPE_CHECKING:
    from .bandit import Bandit

Times = tuple[float | None, float | None, float | None]  # latest now, latest time known, landmark of forward decay


def times_of(bandit: Bandit) -> Times:
    """What the bandit knows of time: decisions move it on, and they are in no journal."""
    latest, landmark = float(bandit._table[LATEST, -1]), float(bandit._table[LANDMARK, -1])
    return bandit._now, None if math.isnan(latest) else latest, None if math.isnan(landmark) else landmark


@contextmanager
def as_of(bandit: Bandit, times: Times) -> Iterator[None]:
    """Do again what was done at these times; no time of an event is refused, as none was refused then."""
    now, latest, landmark = times
    if landmark is None:
        note_time(bandit._table, math.nan if latest is None else latest)
    else:
        bring_landmark(bandit, landmark, math.nan if latest is None else latest)
    bandit._now = None
    yield
    bandit._now = now


def filled_in(
    bandit: Bandit, times: Times, arm: Any, reward: Any, weight: Any, context: Any, at: Any, *propensity: Any
) -> tuple[Any, ...]:
    """Arguments of `update` or `correct`, with time and propensity as these would take them where they are left out.

    Said outright they stay what they were, while decisions of other threads move the latest time on.
    """
    now, latest, _ = times
    if at is None and bandit._is_timed and latest is not None:
        at = latest if now is None else min(latest, now + LATENESS)
    if propensity == (None,) and bandit._needs_propensity and not is_batch(arm):
        live = bandit._live_ids()
        if arm in live and arm not in bandit._arms.paused:  # else `update` says what is wrong
            propensity = (float(bandit.propensities(live)[live.index(arm)]),)
    return arm, reward, weight, context, at, *propensity

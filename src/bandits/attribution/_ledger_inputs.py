"""Checks of what a ledger is told."""

from typing import Any

import numpy as np

from .._inputs import MAX_TIME, checked_float, checked_floats
from .._random import ArmId
from ..arms import checked_id, checked_ids
from .names import decision_name, is_decision


def checked_arms(arms: Any) -> list[ArmId]:
    """Ids of one arm or of several."""
    if type(arms) is str and arms.isascii():  # the most common one, at a fifth of the time
        return [arms]
    is_one = isinstance(arms, str) or not np.iterable(arms)
    ids = [checked_id(arms, "arm")] if is_one else checked_ids(arms, "arms", ordered=True)
    for id in ids:
        if isinstance(id, str) and not id.isascii():
            try:
                id.encode()
            except UnicodeEncodeError:
                raise ValueError(f"arm {id!r} is not valid Unicode; nothing was noted") from None
    return ids


def checked_names(decisions: Any, size: int) -> list[int]:
    """Names of decisions: of one, for all, or of one each."""
    if type(decisions) is int and 0 <= decisions < 1 << 64:
        return [decisions] * size
    if is_decision(decisions) or isinstance(decisions, int | np.integer) or hasattr(decisions, "decision_id"):
        return [_name(decisions)] * size
    if isinstance(decisions, str | bytes) or not np.iterable(decisions):
        raise ValueError(f"decisions = {decisions!r:.80} is neither a decision's id, nor its name, nor several")
    names = [_name(decision) for decision in decisions]
    if len(names) != size:
        raise ValueError(f"decisions must be one or one for each of the {size} arms; got {len(names)}")
    return names


def _name(decision: Any) -> int:
    if isinstance(decision, int | np.integer) and not isinstance(decision, bool):
        if not 0 <= decision < 1 << 64:
            raise ValueError(f"the name {decision} of a decision is not in [0, 2**64)")
        return int(decision)
    return decision_name(decision)


def checked_times(at: Any, size: int) -> list[float]:
    """Times, one for all or one each."""
    if type(at) is float and abs(at) <= MAX_TIME:
        return [at] * size
    times = [checked_float(at, "at")] * size if np.ndim(at) == 0 else checked_floats(at, "at", size).tolist()
    for time in times:
        if not abs(time) <= MAX_TIME:
            raise ValueError(f"at = {time} is not a finite time in seconds, up to {MAX_TIME:g}")
    return times

"""Records: what was decided, frozen, one small object a decision."""

from dataclasses import dataclass, field

from ._random import ArmId
from ._table import Handles


@dataclass(frozen=True, slots=True)
class Decision:
    """The arms chosen by one `select`, best first.

    Parameters
    ----------
    decision_id
        (replica, epoch, n), unique in a fleet.
    key
        64-bit key of the decision's draws, in [-2**63, 2**63): with the state it replays the decision.
    state_version
        Number of events the bandit had learnt from.
    arms
        Ids, best first; empty when nothing was eligible.
    rows
        Their rows, int64 `[k]`, for hosts that keep rows.
    scores
        What was ranked (a posterior draw, an upper bound), one an arm.
    dropped
        Number of candidates dropped, by reason.
    """

    decision_id: tuple[str, int, int]
    key: int
    state_version: int
    arms: list[ArmId]
    rows: Handles
    scores: list[float]
    dropped: dict[str, int] = field(default_factory=dict)

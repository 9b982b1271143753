"""Records: what was decided or noticed, frozen, one small object each."""

from dataclasses import dataclass, field

from ._random import ArmId
from ._table import Handles

MOST_CHANGES = 10_000  # remembered by a bandit


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
    propensities
        Probability that each of the arms is among the k chosen, where asked for.
    deterministic
        Whether the rule would have chosen the same whatever the key: such choices are of no use to off-policy
        evaluation.
    relaxed
        Names of the constraints that had to give way, as not all could be met.
    reasons
        Why each arm was chosen, under constraints: SCORE, FLOOR, DEMAND, SHARES or MIX.
    propensity_method
        How the propensities were worked out: "exact"; "refreshed", exact under shares that follow chances worked out
        some decisions ago; or "monte_carlo", replays of the decision under other keys.
    """

    decision_id: tuple[str, int, int]
    key: int
    state_version: int
    arms: list[ArmId]
    rows: Handles
    scores: list[float]
    dropped: dict[str, int] = field(default_factory=dict)
    propensities: list[float] | None = None
    deterministic: bool = False
    relaxed: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    propensity_method: str = "exact"


@dataclass(frozen=True, slots=True)
class Change:
    """An arm's rate has changed: it was restarted from what came after.

    Parameters
    ----------
    arm
        Id of the arm.
    at
        Time of the event that showed it, seconds; None where times are not given.
    event
        Number of events the bandit had learnt by then.
    kept
        Weight of the observations that were kept.
    """

    arm: ArmId
    at: float | None
    event: int
    kept: float

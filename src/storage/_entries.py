"""Entries of a decision log: what stands in a frame, as bytes and as records. docs/decision-log-format.md says it all.

An entry is a msgpack list: its kind, then its fields by position. Fields are only ever added, at the end, so that older
entries lack them and newer ones have more than is read here.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from typing import Any

import msgpack

from ..bandits import Decision
from ..bandits._random import ArmId
from .errors import JournalError

LAYOUT = 1
HEAD, CHECKPOINT, CALL, DECISION, REWARD = range(5)  # kinds of entries
_FIELDS = ((int, dict), (bool, bytes), (str,), (list,), (list,))  # that each kind begins with
FORCED = frozenset(("FLOOR", "DEMAND", "PINNED"))  # reasons that are no choice of the rule

DecisionId = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """A decision as it was logged.

    Parameters
    ----------
    decision_id
        (replica, epoch, n).
    at
        Seconds; NaN where no time was told.
    key, state_version
        Of the draws, and number of events learnt: see `Decision`.
    policy, rules
        Versions of the configuration and of the rules in force.
    candidates_hash
        BLAKE2b-64 of the candidates as a msgpack list, in their order; None where all arms were offered.
    n_candidates
        How many were offered; None where that was not told.
    arms, scores, propensities
        Chosen, best first; propensities None where they were not asked for.
    propensity_method
        "exact", "refreshed" or "monte_carlo".
    deterministic
        Whether the rule would have chosen the same whatever the key.
    stages, reasons
        One an arm, or none.
    forced
        Whether each arm was chosen by a guarantee or an order, not by the rule.
    positions
        Places in the slate, from 0.
    dropped
        Number of candidates dropped, by reason.
    relaxed
        Constraints that gave way.
    context
        Features, `[d]` or `[C, d]`, or None.
    candidates
        The candidates, where they were logged.
    """

    decision_id: DecisionId
    at: float
    key: int
    state_version: int
    policy: str
    rules: str
    candidates_hash: int | None
    n_candidates: int | None
    arms: tuple[ArmId, ...]
    scores: tuple[float, ...]
    propensities: tuple[float, ...] | None
    propensity_method: str
    deterministic: bool
    stages: tuple[str, ...]
    reasons: tuple[str, ...]
    forced: tuple[bool, ...]
    positions: tuple[int, ...]
    dropped: dict[str, int]
    relaxed: tuple[str, ...]
    context: Any = None
    candidates: tuple[ArmId, ...] | None = None


@dataclass(frozen=True, slots=True)
class LoggedReward:
    """A reward as it was logged: of which decision and arm, how much, when (NaN: not told)."""

    decision_id: DecisionId
    arm: ArmId
    reward: float
    at: float


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A call that changed a ranker, as it was logged.

    method, arguments, named: what was called, and with what. decisions: those that the call learnt of. decided: what it
    decided, as field lists. answer: another answer, where it is plain. record: of an allocator's plan. error: name of
    the exception by which the ranker refused it, or empty.
    """

    method: str
    arguments: list[Any]
    named: dict[str, Any]
    decisions: list[DecisionId]
    decided: list[list[Any]] = field(default_factory=list)
    answer: Any = None
    record: dict[str, Any] | None = None
    error: str = ""


DECISION_FIELDS = tuple(each.name for each in fields(LoggedDecision))


def is_entry(entry: Any) -> bool:
    """Whether what was read is an entry: a known kind, and the fields that it begins with."""
    if not isinstance(entry, list) or not entry or type(entry[0]) is not int or not 0 <= entry[0] < len(_FIELDS):
        return False
    kinds = _FIELDS[entry[0]]
    return len(entry) > len(kinds) and all(map(isinstance, entry[1:], kinds))


def name_of(candidates: Sequence[ArmId]) -> int:
    """64-bit name of a list of candidates."""
    packed = msgpack.packb(list(candidates), unicode_errors="surrogatepass")
    return int.from_bytes(blake2b(packed, digest_size=8).digest(), "little")


def fields_of(
    decision: Decision,
    *,
    at: float | None = None,
    policy: str = "",
    rules: str = "",
    candidates: Sequence[ArmId] | None = None,
    n_candidates: int | None = None,
    stages: Iterable[str] = (),
    forced: Iterable[bool] | None = None,
    positions: Iterable[int] | None = None,
    context: Any = None,
    keep_candidates: bool = False,
) -> list[Any]:
    """Fields of a decision, in the order of `DECISION_FIELDS`."""
    reasons = decision.reasons
    if forced is None:
        forced = [reason in FORCED for reason in reasons]
    return [
        decision.decision_id,
        math.nan if at is None else at,
        decision.key,
        decision.state_version,
        policy,
        rules,
        None if candidates is None else name_of(candidates),
        n_candidates if candidates is None else len(candidates),
        decision.arms,
        decision.scores,
        decision.propensities,
        decision.propensity_method,
        decision.deterministic,
        list(stages),
        reasons,
        list(forced),
        list(range(len(decision.arms)) if positions is None else positions),
        decision.dropped,
        decision.relaxed,
        context,
        list(candidates) if keep_candidates and candidates is not None else None,
    ]


def decision_of(read: list[Any]) -> LoggedDecision:
    """Make the record of fields that were read.

    Raises
    ------
    JournalError
        For fields that are none of a decision.
    """
    try:
        named = dict(zip(DECISION_FIELDS, read, strict=False))
        replica, epoch, n = named["decision_id"]
        named["decision_id"] = (str(replica), int(epoch), int(n))
        for name in ("arms", "scores", "propensities", "stages", "reasons", "forced", "positions", "relaxed"):
            named[name] = None if named[name] is None else tuple(named[name])
        if named.get("candidates") is not None:
            named["candidates"] = tuple(named["candidates"])
        return LoggedDecision(**named)
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError(f"an entry of this log is no decision: {error}") from None


def id_of(decision: Any) -> DecisionId:
    """Id of a decision, which may be given in its place.

    Raises
    ------
    ValueError
        For anything else.
    """
    id = decision.decision_id if isinstance(decision, Decision | LoggedDecision) else decision
    if (
        isinstance(id, tuple | list)
        and len(id) == 3
        and isinstance(id[0], str)
        and all(isinstance(part, int) and not isinstance(part, bool) for part in id[1:])
    ):
        return id[0], id[1], id[2]
    raise ValueError(f"decision = {decision!r:.80} is neither a Decision nor its id (replica, epoch, n)")


def ids_of(decision: Any) -> list[DecisionId]:
    """Ids of a decision, of a list of them, or of none."""
    if decision is None:
        return []
    if isinstance(decision, list) and not (len(decision) == 3 and isinstance(decision[0], str)):
        return [id_of(each) for each in decision]
    return [id_of(decision)]


def record_of(answer: Any) -> dict[str, Any] | None:
    """Plain values of a plan: of what can tell them by `as_record`."""
    tell = getattr(answer, "as_record", None)
    record: Mapping[str, Any] | None = None if tell is None else tell()
    return None if record is None else dict(record)

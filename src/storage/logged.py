"""Logged: a ranker whose decisions and changes are all logged, so that each can be decided again."""

import inspect
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from math import inf
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel

from ..bandits import Bandit, CheckpointError, Decision
from ..bandits._inputs import LATENESS
from ..bandits.checkpoint import config_of
from ._entries import CALL, CHECKPOINT, DECISION, DecisionId, LoggedCall, fields_of, id_of, ids_of, record_of
from ._packing import pack, unpack
from .decision_log import DecisionLog
from .decision_reader import DecisionReader, call_of
from .errors import JournalError, StoreError

CHANGES = frozenset(
    (
        *("select", "select_rows", "select_many", "update", "update_rows", "correct", "expire", "refund", "grant"),
        *("add_arms", "retire_arms", "pause_arms", "resume_arms", "warm_start", "describe", "block", "unblock"),
        *("give_back", "absorb", "reopen", "take_over"),
        *("open", "close", "override", "lift", "use_rules", "roll_back", "observe", "release", "tick"),
    )
)


_TELLS = frozenset(("update", "correct", "refund"))  # calls that may name a decision


class Ranker(Protocol):
    """What can be logged: a `Bandit`, a `Constrained`, a `ColdStartAllocator`; whatever resumes exactly from bytes."""

    def to_bytes(self) -> bytes:
        """Write a checkpoint."""


class Logged:
    """A ranker, and a log of all that is decided and learnt through it.

    The face is the ranker's own: every method of it may be called here. Those that change it are logged with their
    arguments and answers, one after the other under one lock, beside a checkpoint at the start and in each new segment:
    `verify` decides all of it again. Changes must all go through this object.

    `update` and `correct` take `decision`, the decision (or its id) that the events belong to, or a list of one an
    event, of any ranker: so the log knows what each decision earned. Threads may each read a clock of their own for
    `now`: one that is up to 5 s behind the latest counts as the latest.

    Parameters
    ----------
    ranker
        A bandit, a bandit under constraints, an allocator.
    log
        Of this ranker alone.
    policy
        Version of the configuration, to be logged with each decision; by default a digest of it.
    strict
        Whether a failing disk fails the call, whose effect stands. Else it is warned of once, and `lost` counts what is
        not in the log.

    Attributes
    ----------
    ranker
        The ranker itself, to read.
    lost : int
        Calls since the log failed, which are not in it.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from seedbed.bandits import Bandit, Thompson
    >>> from seedbed.storage import DecisionLog, Logged, verify
    >>> with TemporaryDirectory() as path:
    ...     with DecisionLog(path) as log:
    ...         ranker = Logged(Bandit(Thompson(), arms=["a", "b"], seed=7), log)
    ...         for _ in range(100):
    ...             decision = ranker.select(propensities=True)
    ...             ranker.update(decision.arms[0], 1.0, decision=decision)
    ...         ranker.add_arms(["c"])
    ...     verification = verify(path)
    >>> verification.decisions, verification.calls, verification.difference
    (100, 201, None)
    """

    def __init__(self, ranker: Ranker, log: DecisionLog, *, policy: str | None = None, strict: bool = True) -> None:
        for needed in ("to_bytes", "from_bytes"):
            if not hasattr(ranker, needed):
                raise ValueError(f"ranker = {ranker!r:.80} has no {needed}: it cannot be decided again")
        self.ranker: Any = ranker
        self.lost = 0
        self._log = log
        self._strict = strict
        self._takes_decision = takes_decision(ranker)
        self._now = -inf
        self._lock = threading.RLock()
        if not isinstance(log, DecisionLog):
            raise ValueError(f"log = {log!r:.80} is not a DecisionLog; pass DecisionLog(path)")
        with self._lock, log._lock:
            if log._opening is not None:
                raise ValueError(f"{log!r} is the log of another ranker; give each its own")
            check_lives(ranker, log)
            blob = ranker.to_bytes()
            self.policy = digest_of(blob) if policy is None else policy
            log._write(pack([CHECKPOINT, True, blob]))
            log._opening = lambda: pack([CHECKPOINT, False, ranker.to_bytes()])

    def __repr__(self) -> str:
        return f"Logged({self.ranker!r}, {self._log!r})"

    def __len__(self) -> int:
        return len(self.ranker)

    def __getattr__(self, name: str) -> Any:
        if name == "ranker":  # while it is being made, or copied
            raise AttributeError(name)
        value = getattr(self.ranker, name)
        return partial(self._do, name) if name in CHANGES else value

    def _do(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Change the ranker and write it down; a call that the ranker refuses, too: it may have moved the time on.

        What is done is what can be read back from the log, so that deciding again cannot differ.
        """
        if method == "refund":  # the one whose first argument is a decision
            arguments, named = (), dict(zip(("decision", "arms"), arguments, strict=False)) | named
        given = named.pop("decision", None) if method in _TELLS else None
        decisions = ids_of(given)
        if self._takes_decision and len(decisions) > 1:
            raise ValueError("this ranker settles one decision an update; call `update` once for each")
        arguments, named = tuple(map(_kept, arguments)), {name: _kept(value) for name, value in named.items()}
        if method != "refund" and decisions:
            check_events(arguments[0] if arguments else named.get("arm"), decisions, given)
        with self._lock, self._log._lock:
            self._logged(self._log._roll_if_full)
            now = None if method == "expire" else named.get("now")  # whose `now` may be any time
            if isinstance(now, int | float) and now < self._now <= now + LATENESS:
                named["now"] = now = self._now
            packed = _packed(arguments, named)
            if packed is not None:
                arguments, named = unpack(packed)
            try:
                answer = call(self.ranker, self._takes_decision, method, arguments, named, decisions)
            except Exception as error:
                if packed is not None:
                    refused = [CALL, method, arguments, named, decisions, [], None, None, type(error).__name__]
                    self._logged(lambda: self._log._journal.write(pack(refused)))
                raise
            except BaseException as error:  # an interruption: the ranker may be ahead of its log
                self._log._journal.refuse(error)
                raise
            if isinstance(now, int | float):  # which the ranker took
                self._now = float(now)
            told = self._answered(answer, named)
            if packed is None:  # what it decided is in the log all the same
                entries = [*([DECISION, fields] for fields in told[0]), [CHECKPOINT, True, self.ranker.to_bytes()]]
            else:
                entries = [[CALL, method, arguments, named, decisions, *told]]
            position = self._logged(lambda: [self._log._journal.write(pack(entry)) for entry in entries][-1])
        if position is not None:
            self._logged(lambda: self._log._journal.wait(position))
        return answer

    def _answered(self, answer: Any, named: dict[str, Any]) -> list[Any]:
        return answered(answer, named, self.policy, getattr(getattr(self.ranker, "rules", None), "version", ""), self)

    def _logged(self, write: Callable[[], Any]) -> Any:
        """Write to the log; where that fails the call stands all the same."""
        try:
            return write()
        except StoreError as error:
            if self._strict:
                raise
            if not self.lost:
                warnings.warn(f"decisions are no longer logged: {error}", RuntimeWarning, stacklevel=4)
            self.lost += 1
        return None


def _kept(value: Any) -> Any:
    """What can be read twice: once to be written, once by the ranker."""
    return list(value) if isinstance(value, Iterator) else value


def check_events(arms: Any, decisions: list[DecisionId], given: Any) -> None:
    """Check that a list of decisions has one for each event, and that decisions are of the arms that they are told of.

    Raises
    ------
    ValueError
        Where some reward would be of no decision.
    """
    events: list[Any] = list(arms) if isinstance(arms, list | tuple | np.ndarray) else [arms]
    if len(decisions) not in (1, len(events)):
        raise ValueError(
            f"decision has {len(decisions)} entries for {len(events)} events; give one an event, or one for all"
        )
    for arm, decision in zip(events, given if isinstance(given, list) else [given] * len(events), strict=False):
        if isinstance(decision, Decision) and arm not in decision.arms:
            raise ValueError(f"arm {arm!r} is not among the arms of its decision, {decision.arms!r:.80}")


def _packed(arguments: Sequence[Any], named: dict[str, Any]) -> bytes | None:
    """Bytes of what was asked for; None for what is no plain value, such as rules: the state after it is logged."""
    if any(isinstance(value, BaseModel) for value in (*arguments, *named.values())):  # which would pass for lists
        return None
    try:
        return pack([arguments, named])
    except ValueError:
        return None


def takes_decision(ranker: Any) -> bool:
    """Whether the ranker's own `update` asks for the decision."""
    update = getattr(ranker, "update", None)
    return update is not None and "decision" in inspect.signature(update).parameters


def check_lives(ranker: Any, log: DecisionLog) -> None:
    """Refuse a ranker whose decisions would bear ids that are in its log already.

    Raises
    ------
    ValueError
        For one that goes on where the last in the log began.
    """
    bandit, last = getattr(ranker, "bandit", ranker), None
    for kind, *fields in DecisionReader(log._journal.path).entries(since_checkpoint=True):
        if kind == CALL and fields[4]:
            last = id_of(fields[4][-1][0])
    if last is None or not isinstance(bandit, Bandit):
        return
    replica, epoch, n = last
    if bandit.replica == replica and (bandit.epoch, int(bandit._counter[0])) <= (epoch, n):
        raise ValueError(
            f"this log holds decisions of replica {replica!r}, epoch {epoch} up to {n}, which would be made again; go "
            "on with `recover`, under another replica, or in another folder"
        )


def loaded(load: Callable[[bytes], Ranker], blob: bytes) -> Ranker:
    """Make the ranker of a checkpoint.

    Raises
    ------
    CheckpointError
        For one that `load` cannot read; with what to pass.
    """
    try:
        return load(blob)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; pass load=..., such as load=Constrained.from_bytes, for its kind") from None


def logged_call(fields: list[Any]) -> LoggedCall:
    """Make the record of a call, one that may be done again.

    Raises
    ------
    JournalError
        For fields that are none, and for a method that nobody logs.
    """
    done = call_of(fields)
    if done.method not in CHANGES:
        raise JournalError(f"a call of this log is of {done.method!r:.80}, which is nothing that is logged")
    return done


def call(
    ranker: Any, takes: bool, method: str, arguments: Sequence[Any], named: dict[str, Any], decisions: list[DecisionId]
) -> Any:
    """Do what was asked for."""
    if len(decisions) == 1 and (method == "refund" or (takes and method == "update")):
        named = named | {"decision": decisions[0]}
    return getattr(ranker, method)(*arguments, **named)


def answered(answer: Any, named: dict[str, Any], policy: str, rules: str, ranker: Any) -> list[Any]:
    """What a call decided, another plain answer, and the record of a plan: fields of its entry."""
    decided = [answer] if isinstance(answer, Decision) else answer
    if isinstance(decided, list) and decided and isinstance(decided[0], Decision):
        at, live = named.get("now"), len(ranker)
        return [[fields_of(each, at=at, policy=policy, rules=rules, n_candidates=live) for each in decided], None, None]
    record = record_of(answer)
    return [[], None if record is not None else answer, record]


def digest_of(blob: bytes) -> str:
    """Name of the configuration in a checkpoint: 16 hexadecimal digits."""
    return blake2b(pack(config_of(blob)), digest_size=8).hexdigest()

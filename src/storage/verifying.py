"""Verify: decide everything in a log again, and compare bit by bit."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..bandits import Bandit
from ._entries import CALL, CHECKPOINT, DECISION_FIELDS, HEAD, DecisionId
from ._packing import pack, unpack
from .decision_log import versions
from .decision_reader import DecisionReader
from .errors import JournalError
from .logged import Ranker, answered, call, loaded, logged_call, takes_decision

Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that came out otherwise than it was logged.

    Parameters
    ----------
    call
        Number of the call in the log, from 1.
    method
        What was called.
    decision_id
        Of the decision, where it is one.
    field
        What differs: a field of the decision, "answer", "state" at a checkpoint, or "error".
    logged, decided
        What the log has, and what came out now.
    build
        Versions and machine that the log was written with, where they are not those of here.
    """

    call: int
    method: str
    decision_id: DecisionId | None
    field: str
    logged: Any
    decided: Any
    build: dict[str, Any]

    def __str__(self) -> str:
        of = "" if self.decision_id is None else f" of decision {self.decision_id}"
        built = ", ".join(f"{name} {version}" for name, version in self.build.items())
        why = f"; it was written with {built}" if built else ""
        return (
            f"call {self.call} ({self.method}): {self.field}{of} was logged as {self.logged!r:.120} and came out as "
            f"{self.decided!r:.120}{why}"
        )


@dataclass(frozen=True, slots=True)
class Verification:
    """What verifying a log has found.

    decisions, plans, calls, checkpoints: how many agreed, bit by bit; plans are an allocator's, calls are all.
    apart: entries without the state to decide them again, such as decisions logged by `DecisionLog.append`. torn: bytes
    at the end that were left out. difference: the first one, or None.
    """

    decisions: int
    plans: int
    calls: int
    checkpoints: int
    apart: int
    torn: int
    difference: Difference | None


def verify(
    path: str | os.PathLike[str],
    *,
    checkpoint: bytes | None = None,
    load: Callable[[bytes], Ranker] = Bandit.from_bytes,
    progress: Progress = iter,
) -> Verification:
    """Decide everything in the log of a `Logged` again, up to the first difference.

    Bit-exact on the same build; on another machine or with other versions of numpy and numba, rounding may differ.

    Parameters
    ----------
    path
        Folder of the log.
    checkpoint
        To begin from in place of the first that the log holds: the state before its first call.
    load
        Makes a ranker of a checkpoint, such as `Constrained.from_bytes`.
    progress
        Wraps the entries to show progress, such as `rich.progress.track`.

    Raises
    ------
    JournalError
        For a log that is damaged, or that has no checkpoint to begin from.
    CheckpointError
        For a checkpoint of something else than `load` makes.
    """
    reader = DecisionReader(path)
    again = _Again(load, None if checkpoint is None else load(checkpoint))
    for entry in progress(reader.entries()):
        again.take(entry)
        if again.difference is not None:
            break
    if again.ranker is None:
        raise JournalError(
            f"the log {reader.path} has no checkpoint to decide again from; pass the one from before its first call, "
            "or write it by `Logged`"
        )
    found = again.decisions, again.plans, again.calls, again.checkpoints, again.apart
    return Verification(*found, reader.torn, again.difference)


class _Again:
    """The ranker that decides again, and what has agreed so far."""

    def __init__(self, load: Callable[[bytes], Ranker], ranker: Ranker | None) -> None:
        self._load = load
        self.ranker: Any = ranker
        self._given = ranker is not None
        self._takes = takes_decision(ranker)
        self._build: dict[str, Any] = {}
        self.decisions = self.plans = self.calls = self.checkpoints = self.apart = 0
        self.difference: Difference | None = None

    def take(self, entry: list[Any]) -> None:
        kind, *fields = entry
        if kind == HEAD:
            here = versions()
            self._build = {name: value for name, value in fields[1].items() if here.get(name) != value}
        elif kind == CHECKPOINT:
            self._take_checkpoint(*fields[:2])
        elif kind == CALL and self.ranker is not None:
            self._take_call(fields)
        else:
            self.apart += 1

    def _take_checkpoint(self, begins: bool, blob: bytes) -> None:
        if self._given and self.calls == 0:  # the one that was given stands for the first
            self._given = False
        elif begins or self.ranker is None:
            self.ranker = loaded(self._load, blob)
            self._takes = takes_decision(self.ranker)
        elif (state := self.ranker.to_bytes()) != blob:
            self._differ("checkpoint", None, "state", f"{len(blob)} bytes", f"{len(state)} other bytes")
            return
        self.checkpoints += 1

    def _take_call(self, fields: list[Any]) -> None:
        logged = logged_call(fields)
        self.calls += 1
        ids = logged.decisions
        try:
            answer = call(self.ranker, self._takes, logged.method, logged.arguments, logged.named, ids)
        except Exception as error:
            if type(error).__name__ != logged.error:
                self._differ(logged.method, None, "error", logged.error or None, error)
            return
        if logged.error:
            self._differ(logged.method, None, "error", logged.error, None)
            return
        policy, rules = "", ""
        if logged.decided:  # these name what was in force, and are not decided again
            policy, rules = logged.decided[0][4:6]
        decided, other, record = unpack(pack(answered(answer, logged.named, policy, rules, self.ranker)))
        for was, now in zip(logged.decided, decided, strict=False):
            for name, old, new in zip(DECISION_FIELDS, was, now, strict=False):
                if pack(old) != pack(new):
                    self._differ(logged.method, tuple(was[0]), name, old, new)
                    return
        for name, old, new in (
            ("number of decisions", len(logged.decided), len(decided)),
            ("answer", logged.answer, other),
            *_parts(logged.record, record),
        ):
            if pack(old) != pack(new):
                self._differ(logged.method, None, name, old, new)
                return
        self.decisions += len(decided)
        self.plans += record is not None

    def _differ(self, method: str, id: Any, field: str, logged: Any, decided: Any) -> None:
        self.difference = Difference(self.calls, method, id, field, logged, decided, self._build)


def _parts(was: dict[str, Any] | None, now: dict[str, Any] | None) -> list[tuple[str, Any, Any]]:
    """What two plans say of each thing."""
    if was is None or now is None:
        return [("plan", was, now)]
    return [(name, was.get(name), now.get(name)) for name in was | now]

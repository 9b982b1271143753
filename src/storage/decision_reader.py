"""DecisionReader: a decision log as records, as columns, and as tables of pandas, polars and Arrow."""

import json
import math
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..bandits._random import ArmId
from ..bandits.arms import checked_id, checked_ids
from ._entries import (
    CALL,
    CHECKPOINT,
    DECISION,
    DECISION_FIELDS,
    FORCED,
    HEAD,
    LAYOUT,
    REWARD,
    DecisionId,
    LoggedCall,
    LoggedDecision,
    LoggedReward,
    decision_of,
    id_of,
    is_entry,
    name_of,
)
from ._packing import unpack
from ._segments import Segments
from .errors import JournalError

Columns = dict[str, NDArray[Any]]
_OBJECTS = frozenset(
    ("replica", "policy", "rules", "arm", "stage", "reason", "propensity_method", "relaxed", "dropped")
)
_TEXT_OF_ONE = {"stage": "stages", "reason": "reasons"}


class DecisionReader:
    """Reads a decision log, one that is being written too; changes nothing.

    Parameters
    ----------
    path
        Folder of the log.

    Attributes
    ----------
    torn : int
        Bytes at the end that the latest reading left out: torn by a crash, or still being written.

    Raises
    ------
    JournalError
        While reading: for a log that is damaged, or written by a newer layout.
    StoreUnavailableError
        While reading: when the disk fails.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._segments = Segments(self.path)
        if not self.path.is_dir() or not self._segments.numbers:
            raise JournalError(f"there is no decision log in {self.path}")

    def __repr__(self) -> str:
        return f"DecisionReader({str(self.path)!r})"

    @property
    def torn(self) -> int:
        """Bytes at the end that the latest reading left out."""
        return self._segments.torn

    def entries(self, *, since_checkpoint: bool = False) -> Iterator[list[Any]]:
        """Entries as they stand in the frames, checked to be lists that start with a known kind.

        since_checkpoint: of the last segment that holds a checkpoint, and of those after it; else all.
        """
        first = None
        for number in reversed(self._segments.numbers) if since_checkpoint else ():
            first = number
            if any(entry[0] == CHECKPOINT for entry in islice(self._entries(number), 2)):
                break
        yield from self._entries(first)

    def _entries(self, first: int | None) -> Iterator[list[Any]]:
        for payload in self._segments.read(first, tail=True):
            try:
                entry = unpack(payload)
            except (ValueError, TypeError) as error:
                raise JournalError(f"an entry of the log {self.path} cannot be read: {error}") from None
            if not is_entry(entry):
                raise JournalError(f"{self.path} is no decision log: an entry of it is {entry!r:.80}")
            if entry[0] == HEAD:
                self._check_head(entry)
            yield entry

    def _check_head(self, entry: list[Any]) -> None:
        """Check the layout, and that the segment before is as long as it was when it was closed."""
        if entry[1] > LAYOUT:
            raise JournalError(f"the log {self.path} has layout {entry[1]}, newer than {LAYOUT}, the newest read")
        closed, before = entry[3] if len(entry) > 3 else None, self._segments.before
        if closed is not None and before is not None and closed != before:
            raise JournalError(
                f"a segment of the log {self.path} is cut short: it was closed with {closed} bytes and has {before}; "
                "restore the file"
            )

    def __iter__(self) -> Iterator[LoggedDecision | LoggedReward | LoggedCall]:
        """Decisions, rewards and calls, in the order in which they were logged; what a call decided comes after it."""
        for kind, *fields in self.entries():
            if kind == DECISION:
                yield decision_of(fields[0])
            elif kind == REWARD:
                yield _reward_of(fields)
            elif kind == CALL:
                call = call_of(fields)
                yield call
                yield from map(decision_of, _with_offers(call))
                yield from _rewards_of(call)

    def decisions(self) -> Iterator[LoggedDecision]:
        """The decisions, in the order in which they were logged."""
        return (each for each in self if isinstance(each, LoggedDecision))

    def rewards(self) -> Iterator[LoggedReward]:
        """The rewards whose decision was told, in the order in which they were logged."""
        return (each for each in self if isinstance(each, LoggedReward))

    def columns(self, per: Literal["arm", "decision"] = "arm") -> Columns:
        """The log as arrays, one row a chosen arm or one a decision; texts and ids as arrays of objects.

        `reward` is what the decision's arm earned in all, NaN where nothing was told; `rewards` how often it was told.
        A decision with no arms has a row only per decision; `dropped` is JSON.
        """
        if per not in ("arm", "decision"):
            raise ValueError(f"per = {per!r} is neither 'arm' nor 'decision'")
        rows: dict[str, list[Any]] = {}
        keys: list[tuple[DecisionId, ArmId | None]] = []
        earned: dict[tuple[DecisionId, ArmId | None], tuple[float, int]] = {}
        for each in self:
            if isinstance(each, LoggedReward):
                for arm in (each.arm, None):
                    total, count = earned.get((each.decision_id, arm), (0.0, 0))
                    earned[each.decision_id, arm] = total + each.reward, count + 1
            elif isinstance(each, LoggedDecision):
                for key, row in _rows(each, per):
                    keys.append(key)
                    for name, value in row.items():
                        rows.setdefault(name, []).append(value)
        told = [earned.get(key, (math.nan, 0)) for key in keys]
        names = rows if rows else _rows_of_nothing(per)
        columns = {name: _array(name, values) for name, values in names.items()}
        columns["reward"] = np.array([total for total, _ in told], np.float64)
        columns["rewards"] = np.array([count for _, count in told], np.int64)
        return columns

    def plans(self) -> Columns:
        """Plans of an allocator, one row a room and tick: `at`, `rules`, `room`, `stage`, `reasons`, numbers.

        `forced`: whether a guarantee or an order had a part in it.
        """
        parts: dict[str, list[NDArray[Any]]] = {}
        for each in self:
            if isinstance(each, LoggedCall) and each.record is not None:
                try:
                    rows = _plan_rows(each.record)
                except (KeyError, TypeError, ValueError, IndexError) as error:
                    raise JournalError(f"a record of this log is of no plan: {error!r}") from None
                for name, column in rows.items():
                    parts.setdefault(name, []).append(column)
        return {name: np.concatenate(columns) for name, columns in parts.items()}

    def to_pandas(self, per: Literal["arm", "decision"] = "arm") -> Any:
        """`columns` as a pandas DataFrame; needs the extra `frames`."""
        return _library("pandas").DataFrame(self.columns(per))

    def to_polars(self, per: Literal["arm", "decision"] = "arm") -> Any:
        """`columns` as a polars DataFrame; needs the extra `frames`."""
        return _library("polars").DataFrame({name: _plain(name, each) for name, each in self.columns(per).items()})

    def to_arrow(self, per: Literal["arm", "decision"] = "arm") -> Any:
        """`columns` as a table of Arrow; needs the extra `frames`."""
        return _library("pyarrow").table({name: _plain(name, each) for name, each in self.columns(per).items()})


def call_of(fields: list[Any]) -> LoggedCall:
    """Make the record of a call.

    Raises
    ------
    JournalError
        For fields that are none of a call.
    """
    try:
        method, arguments, named, decisions, *rest = fields
        call = LoggedCall(method, list(arguments), dict(named), [id_of(id) for id in decisions], *rest[:4])
        decided = isinstance(call.decided, list) and all(isinstance(each, list) for each in call.decided)
        if not decided or not isinstance(call.record, dict | None) or not all(isinstance(name, str) for name in named):
            raise TypeError("what it decided is no list of fields, or its record or a name is none")
        if not isinstance(call.error, str):
            raise TypeError("what it was refused by is no name")
        return call
    except (TypeError, ValueError) as error:
        raise JournalError(f"an entry of this log is no call: {error}") from None


def _reward_of(fields: list[Any]) -> LoggedReward:
    try:
        id, arm, reward, at = fields[:4]
        return LoggedReward(id_of(id), checked_id(arm, "arm"), float(reward), float(at))
    except (TypeError, ValueError) as error:
        raise JournalError(f"an entry of this log is no reward: {error}") from None


def _with_offers(call: LoggedCall) -> Iterator[list[Any]]:
    """Fields of what a call decided, with the candidates and the context that stand among its arguments."""
    given = dict(zip(("candidates", "k"), call.arguments, strict=False)) | call.named
    many = call.method == "select_many"
    offered, seen = given.get("candidates"), given.get("contexts" if many else "context")
    rows = given["candidates"] if call.method == "select_rows" and call.arguments else given.get("rows")
    for i, fields in enumerate(call.decided):
        decided = dict(zip(DECISION_FIELDS, fields, strict=False))
        decided["context"] = seen[i] if many and seen is not None else seen
        if rows is not None:
            decided["n_candidates"] = len(rows)
        elif offered is not None:
            one = list(offered[i] if many else offered)
            decided |= {"candidates": one, "candidates_hash": name_of(one), "n_candidates": len(one)}
        yield list(decided.values())


def _rewards_of(call: LoggedCall) -> Iterator[LoggedReward]:
    """What an update says that decisions earned, or a correction that they did not."""
    if call.method not in ("update", "correct") or not call.decisions or call.error:
        return
    sign = 1.0 if call.method == "update" else -1.0
    told = dict(zip(("arm", "reward", "weight", "context", "at"), call.arguments, strict=False)) | call.named
    try:
        arms = checked_ids(told["arm"] if isinstance(told["arm"], list | np.ndarray) else [told["arm"]], "arm")
        rewards = np.broadcast_to(np.asarray(told["reward"], np.float64), len(arms)).tolist()
        at = told.get("at")
        times = np.broadcast_to(np.asarray(math.nan if at is None else at, np.float64), len(arms)).tolist()
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError(f"an update of this log tells no rewards: {error}") from None
    decisions = call.decisions * len(arms) if len(call.decisions) == 1 else call.decisions
    for id, arm, reward, time in zip(decisions, arms, rewards, times, strict=False):
        yield LoggedReward(id, arm, sign * reward, time)


def _rows(decision: LoggedDecision, per: str) -> Iterator[tuple[tuple[DecisionId, ArmId | None], dict[str, Any]]]:
    """Rows of one decision, and what their rewards are told by."""
    replica, epoch, n = decision.decision_id
    whole = {
        "replica": replica,
        "epoch": epoch,
        "n": n,
        "at": decision.at,
        "key": decision.key,
        "state_version": decision.state_version,
        "policy": decision.policy,
        "rules": decision.rules,
        "candidates_hash": 0 if decision.candidates_hash is None else decision.candidates_hash,
        "n_candidates": -1 if decision.n_candidates is None else decision.n_candidates,
        "chosen": len(decision.arms),
        "propensity_method": decision.propensity_method,
        "deterministic": decision.deterministic,
        "relaxed": "|".join(decision.relaxed),
    }
    if per == "decision":
        yield (decision.decision_id, None), whole | {"dropped": json.dumps(decision.dropped)}
        return
    for i, arm in enumerate(decision.arms):
        yield (
            (decision.decision_id, arm),
            whole
            | {
                "arm": arm,
                "position": decision.positions[i],
                "score": decision.scores[i],
                "propensity": math.nan if decision.propensities is None else decision.propensities[i],
                "forced": bool(decision.forced and decision.forced[i]),
                **{name: (getattr(decision, many) or [""] * (i + 1))[i] for name, many in _TEXT_OF_ONE.items()},
            },
        )


def _rows_of_nothing(per: str) -> dict[str, list[Any]]:
    """Columns of an empty log."""
    decision = LoggedDecision(
        ("", 0, 0), 0.0, 0, 0, "", "", None, None, ("",), (0.0,), None, "", False, (), (), (), (0,), {}, ()
    )
    return {name: [] for _, row in _rows(decision, per) for name in row}


def _array(name: str, values: list[Any]) -> NDArray[Any]:
    if name in _OBJECTS:
        array = np.empty(len(values), object)
        array[:] = values
        return array
    if name in ("deterministic", "forced"):
        return np.array(values, np.bool_)
    if name in ("at", "score", "propensity"):
        return np.array(values, np.float64)
    return np.array(values, np.uint64 if name == "candidates_hash" else np.int64)


def _plain(name: str, column: NDArray[Any]) -> Any:
    """A column that tables of one type a column can hold."""
    if column.dtype != object:
        return column
    values = column.tolist()
    if name == "arm" and len({type(value) for value in values}) > 1:
        raise ValueError("arms are both strings and integers, which one column cannot hold; use `columns` or pandas")
    return values


def _plan_rows(record: dict[str, Any]) -> Columns:
    """Rows of one plan, with names in place of numbers."""
    rooms = np.empty(len(record["room"]), object)
    rooms[:] = record["room"]
    stages = np.array(record["stage_names"], object)
    reasons, forced = np.empty(rooms.size, object), np.zeros(rooms.size, np.bool_)
    bits = np.asarray(record["reasons"])
    for value in np.unique(bits).tolist():
        names = [name for i, name in enumerate(record["reason_names"]) if value >> i & 1]
        reasons[bits == value] = "|".join(names)
        forced[bits == value] = not FORCED.isdisjoint(names)
    numbers = ("seed_quota", "exposures", "traffic_multiplier", "probability", "log_evidence", "evidence_needed")
    return {
        "at": np.full(rooms.size, record["now"], np.float64),
        "rules": np.full(rooms.size, record["rules"], object),
        "room": rooms,
        "stage": stages[np.asarray(record["stage"])],
        "reasons": reasons,
        "forced": forced,
        **{name: np.asarray(record[name]) for name in numbers},
    }


def _library(name: str) -> Any:
    """A library of tables.

    Raises
    ------
    ImportError
        Where it is not installed; with what to do.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(f"this needs {name}; install it with: pip install 'seedbed[frames]'") from None

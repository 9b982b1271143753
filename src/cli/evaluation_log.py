"""What `seedbed evaluate` reads: a CSV of rows or a decision log, as the arrays of one log."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bandits import evaluation
from ..bandits._random import ArmId
from ..storage import DecisionReader, LoggedDecision, LoggedReward, StoreError
from .logs import CsvTable, count

_MOST_CELLS = 200_000_000  # of rows x arms

Floats = NDArray[np.float64]


class Names(NamedTuple):
    """Columns of a CSV; None for the usual name, where there is such a column. contexts: features of a row."""

    item: str
    reward: str
    propensity: str
    position: str | None
    contexts: list[str]


class EvaluationLog(NamedTuple):
    """A log of n rows, one an arm that was shown.

    arms: the K ids. action: `[n]` rows of `arms`. rewards, propensities: `[n]`. positions: `[n]` from 0, where the
    propensities are those of an arm at its position. length: arms of the longest slate. contexts: `[n, d]` or None.
    offers: for each row which of `offered` it chose among; None where all arms were offered to all rows.
    offered: (candidates, length of the slate, context) of decisions. notes: what was left out, for people.
    """

    arms: list[ArmId]
    action: NDArray[np.int64]
    rewards: Floats
    propensities: Floats
    positions: NDArray[np.int64] | None
    length: int
    contexts: Floats | None
    offers: NDArray[np.int64] | None
    offered: list[tuple[tuple[ArmId, ...], int, Any]]
    notes: list[str]


def read_evaluation_log(path: Path, names: Names, default_reward: float) -> EvaluationLog:
    """Read a folder as a decision log, anything else as CSV.

    Raises
    ------
    ValueError
        For what cannot be read, or cannot be evaluated: with where it stands, and what to do.
    """
    if path.is_dir():
        if names.contexts:
            raise ValueError("--context-column is for logs in CSV; a decision log holds its contexts itself")
        try:
            return _of_decisions(path, default_reward)
        except StoreError as error:
            raise ValueError(str(error)) from None
    return _of_rows(path, names)


def _of_rows(path: Path, names: Names) -> EvaluationLog:
    table = CsvTable(path)
    if names.propensity not in table.header:
        raise ValueError(
            f"{path}: there is no column {names.propensity!r} among {table.header}: without the propensities of what "
            "was logged no policy can be evaluated; name the column with --propensity-column"
        )
    item, reward, propensity = (table.index(name) for name in (names.item, names.reward, names.propensity))
    place = table.optional("position") if names.position is None else table.index(names.position)
    features = [table.index(name) for name in names.contexts]
    items, rewards, propensities, positions = [], [], [], []
    contexts: list[list[str]] = []
    for line, cells in table.rows():
        if not cells[item]:
            table.refuse(line, item, "is empty")
        items.append(cells[item])
        rewards.append(table.cell(line, reward, cells, _number))
        propensities.append(table.cell(line, propensity, cells, _number))
        if not 0.0 < propensities[-1] <= 1.0:
            table.refuse(line, propensity, f"{cells[propensity]!r} is not a probability in (0, 1]")
        positions.append(0 if place is None else table.cell(line, place, cells, count))
        contexts.append([cells[feature] for feature in features])
    if not items:
        raise ValueError(f"{path}: there is no row below the header")
    arms = sorted(set(items), key=_natural)
    row_of = {arm: row for row, arm in enumerate(arms)}
    places = np.array(positions, np.int64)
    places -= places.min()  # the first is 0 or 1
    return EvaluationLog(
        list(arms),
        np.array([row_of[each] for each in items], np.int64),
        np.array(rewards),
        np.array(propensities),
        None if place is None else places,
        int(places.max()) + 1,
        _indicators(contexts) if features else None,
        None,
        [],
        [],
    )


def _of_decisions(path: Path, default_reward: float) -> EvaluationLog:
    """One row an arm that was chosen by chance, with its share of the slate as propensity."""
    reader = DecisionReader(path)
    earned: dict[tuple[Any, ArmId], float] = {}
    kept: list[LoggedDecision] = []
    sure = mute = empty = 0
    for each in reader:
        if isinstance(each, LoggedReward):
            key = each.decision_id, each.arm
            earned[key] = earned.get(key, 0.0) + each.reward
        elif isinstance(each, LoggedDecision):
            empty += not each.arms
            sure += bool(each.arms) and each.deterministic
            mute += bool(each.arms) and not each.deterministic and each.propensities is None
            if each.arms and not each.deterministic and each.propensities is not None:
                kept.append(each)
    if mute:
        raise ValueError(
            f"{path}: {mute} decisions have no propensities, so no policy can be evaluated; log decisions made by "
            "`select(propensities=True)`"
        )
    known = {arm for each in kept for arm in each.arms}
    lacking = [each for each in kept if each.candidates is None and each.n_candidates not in (None, len(known))]
    if lacking:
        raise ValueError(
            f"{path}: {len(lacking)} decisions chose among all {lacking[0].n_candidates} arms that there were, and "
            f"{len(known)} arms are known from the log: as arms came and went, nobody can say which were offered; log "
            "decisions with their candidates, `select(candidates)`"
        )
    if not kept:
        raise ValueError(f"{path}: there are no decisions that were left to chance: nothing tells of another policy")
    unheard = sum((each.decision_id, arm) not in earned for each in kept for arm in each.arms)
    notes = [
        (empty, "decisions without arms are left out"),
        (sure, "decisions without chance are left out"),
        (reader.torn, "bytes at the end were torn by a crash, or are still being written: left out"),
        (
            sum(len(each.arms) > 1 for each in kept),
            "decisions are on several arms: intervals take the arms of one as independent",
        ),
        (unheard, f"chosen arms have no reward in the log: each counts as {default_reward:g}"),
    ]
    return _table_of(kept, earned, default_reward, [f"{n:,} {what}" for n, what in notes if n])


def _table_of(
    kept: list[LoggedDecision], earned: dict[tuple[Any, ArmId], float], default_reward: float, notes: list[str]
) -> EvaluationLog:
    row_of: dict[ArmId, int] = {}
    offers: dict[Any, int] = {}
    offered: list[tuple[tuple[ArmId, ...], int, Any]] = []
    action, rewards, propensities, which, contexts = [], [], [], [], []
    everyone = tuple(dict.fromkeys(arm for each in kept for arm in each.arms))
    for each in kept:
        candidates = everyone if each.candidates is None else each.candidates
        context = None if each.context is None else np.asarray(each.context, np.float64)
        key = candidates, len(each.arms), None if context is None else context.tobytes()
        place = offers.setdefault(key, len(offers))
        if place == len(offered):
            offered.append((candidates, len(each.arms), context))
        for arm in candidates:
            row_of.setdefault(arm, len(row_of))
        assert each.propensities is not None
        for arm, propensity in zip(each.arms, each.propensities, strict=True):
            action.append(row_of.setdefault(arm, len(row_of)))
            rewards.append(earned.get((each.decision_id, arm), default_reward))
            propensities.append(propensity / len(each.arms))
            which.append(place)
            contexts.append(context)
    is_plain = all(context is not None and context.ndim == 1 for context in contexts)
    return EvaluationLog(
        list(row_of),
        np.array(action, np.int64),
        np.array(rewards),
        np.array(propensities),
        None,
        1,
        np.array(contexts) if is_plain else None,
        np.array(which, np.int64),
        offered,
        notes,
    )


def implausible(log: EvaluationLog) -> str | None:
    """Why the propensities cannot be true, by the arms' names; None where they may be, or nobody can tell."""
    if any(len(candidates) != len(log.arms) for candidates, _, _ in log.offered):
        return None
    return evaluation.implausible(log.action, log.propensities, len(log.arms), arms=log.arms)


def check_size(log: EvaluationLog, arms: int) -> None:
    """Refuse more rows times arms than fit into memory."""
    if log.action.size * arms > _MOST_CELLS:
        raise ValueError(
            f"{log.action.size:,} rows of {arms:,} arms are more than {_MOST_CELLS:,} probabilities; evaluate a part"
        )


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isfinite(value):
        return value
    raise ValueError("is not a number")


def _natural(text: str) -> tuple[int, int, str]:
    return (0, int(text), text) if text.isascii() and text.isdigit() else (1, 0, text)


def _indicators(rows: list[list[str]]) -> Floats:
    """Features as numbers: a column that is none of numbers becomes one of 0 and 1 for each value but the first."""
    columns: list[Floats] = []
    for texts in zip(*rows, strict=True):
        try:
            columns.append(np.array([[_number(text)] for text in texts]))
        except ValueError:
            values, which = np.unique(texts, return_inverse=True)
            columns.append(np.eye(values.size)[which][:, 1:])
    return np.hstack(columns)

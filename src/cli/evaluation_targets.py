"""Policies that `seedbed evaluate` can evaluate, as probabilities over the rows of a log."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..bandits import Bandit, CheckpointError, Thompson
from ..bandits._random import ArmId
from ..bandits.evaluation import rank_probabilities
from .evaluation_log import EvaluationLog, check_size
from .logs import CsvTable

Floats = NDArray[np.float64]


class Target(NamedTuple):
    """A policy on a log: name; chances `[n, K]` of the arms, in rows that sum to one; arms, those of the log first."""

    name: str
    chances: Floats
    arms: list[ArmId]


def read_target(text: str, log: EvaluationLog) -> Target:
    """Read a policy: "uniform", a CSV of beliefs or probabilities, or the checkpoint of a bandit.

    Raises
    ------
    ValueError
        For anything else, and for a policy that cannot choose what was offered.
    """
    if text == "uniform":
        check_size(log, len(log.arms))
        return Target(text, _uniform(log), log.arms)
    path, _, condition = (text, "", "") if Path(text).is_file() else text.rpartition(":")
    if not Path(path).is_file():
        raise ValueError(f"--policy {text!r} is neither 'uniform' nor a file")
    name = Path(path).name + (f":{condition}" if condition else "")
    content = Path(path).read_bytes()
    if content.startswith(b"SEEDBED"):
        try:
            return _of_bandit(name, Bandit.from_bytes(content), log)
        except CheckpointError as error:
            hint = (
                "; of a bandit under constraints save `ranker.bandit.to_bytes()`"
                if "'constrained'" in str(error)
                else ""
            )
            raise ValueError(f"--policy {path}: {error}{hint}") from None
    return _of_table(name, CsvTable(Path(path)), condition, log)


def _uniform(log: EvaluationLog) -> Floats:
    n, arms = log.action.size, len(log.arms)
    if log.offers is None:
        return np.full((n, arms), 1.0 / arms)
    row_of = {arm: row for row, arm in enumerate(log.arms)}
    each = np.zeros((len(log.offered), arms))
    for chances, (candidates, _, _) in zip(each, log.offered, strict=True):
        chances[[row_of[arm] for arm in candidates]] = 1.0 / len(candidates)
    spread: Floats = each[log.offers]
    return spread


def _of_table(name: str, table: CsvTable, condition: str, log: EvaluationLog) -> Target:
    """A CSV with a column of items, and of probabilities, or of the parameters of Thompson sampling."""
    item = table.index("item" if "item" in table.header else "item_id")
    where = _condition(table, condition)
    kinds: tuple[tuple[str, ...], ...] = (("probability",), ("alpha", "beta"), ("successes", "failures"))
    columns = next((kind for kind in kinds if set(kind) <= set(table.header)), ())
    if not columns:
        raise ValueError(
            f"{table.path}: a policy needs a column 'probability', columns 'alpha' and 'beta', or 'successes' and "
            f"'failures' beside its items; it has {table.header}"
        )
    places = [table.index(column) for column in columns]
    rows: dict[ArmId, list[float]] = {}
    for line, cells in table.rows():
        if where is not None and cells[where[0]] != where[1]:
            continue
        if cells[item] in rows:
            hint = "" if where else "; keep the lines of one policy by FILE:COLUMN=VALUE"
            table.refuse(line, item, f"{cells[item]!r} is the item of an earlier line too{hint}")
        rows[cells[item]] = [table.cell(line, place, cells, _not_negative) for place in places]
    if not rows:
        raise ValueError(f"{table.path}: no line is of this policy")
    if columns == ("probability",):
        return _fixed(name, rows, log)
    prior = 1.0 if columns[0] == "successes" else 0.0
    bandit = Bandit(Thompson(), list(rows))
    for arm, (good, bad) in rows.items():
        a, b = good + prior, bad + prior
        if min(a, b) <= 0.0:
            raise ValueError(f"{table.path}: item {arm!r}: {columns[0]} and {columns[1]} must be above 0")
        bandit.warm_start([arm], strength=a + b, mean=a / (a + b))
    return _of_bandit(name, bandit, log)


def _condition(table: CsvTable, text: str) -> tuple[int, str] | None:
    if not text:
        return None
    column, separator, value = text.partition("=")
    if not separator:
        raise ValueError(f"--policy: {text!r} is not COLUMN=VALUE")
    return table.index(column), value


def _fixed(name: str, rows: dict[ArmId, list[float]], log: EvaluationLog) -> Target:
    arms, n_own = _all_arms(log, list(rows))
    chances = np.array([rows.get(arm, [0.0])[0] for arm in arms])
    if abs(chances.sum() - 1.0) > 1e-6:
        raise ValueError(f"--policy {name}: its probabilities sum to {chances.sum():.6g}, not to 1")
    check_size(log, len(arms))
    if log.offers is None:
        return Target(name, np.broadcast_to(chances / chances.sum(), (log.action.size, len(arms))).copy(), arms)
    if chances[n_own:].sum() > 1e-6:
        raise ValueError(
            f"--policy {name}: {chances[n_own:].sum():.2%} of its probability is on items that the log never offered, "
            f"such as {arms[n_own]!r}; check the ids"
        )
    offered = _uniform(log) > 0.0
    spread = np.where(offered, chances[:n_own], 0.0)
    sums = spread.sum(axis=1)
    if not sums.all():
        raise ValueError(f"--policy {name}: nothing that was offered to some decisions has a probability above 0")
    full = np.zeros((log.action.size, len(arms)))
    full[:, :n_own] = spread / sums[:, None]
    return Target(name, full, arms)


def _of_bandit(name: str, bandit: Bandit, log: EvaluationLog) -> Target:
    """Exact chances of a bandit as it stands."""
    known = set(bandit.arms)
    of_log = log.arms
    if not known & set(of_log):
        of_log = [int(arm) if isinstance(arm, str) and arm.isdigit() else arm for arm in of_log]
    if not known & set(of_log):
        raise ValueError(f"--policy {name}: it knows none of the arms of the log, such as {log.arms[0]!r}")
    as_known = dict(zip(log.arms, of_log, strict=True))
    if log.offers is not None:
        return Target(name, _of_offers(name, bandit, log, as_known, known), log.arms)
    if bandit.policy.model.is_contextual:
        return Target(name, _of_contexts(name, bandit, log, of_log, known), log.arms)
    arms, _ = _all_arms(log._replace(arms=list(of_log)), [arm for arm in bandit.arms if arm not in bandit.paused])
    check_size(log, len(arms))
    able = [arm for arm in arms if arm in known and arm not in bandit.paused]
    ranks = np.zeros((len(arms), log.length))
    ranks[[arm in set(able) for arm in arms]] = rank_probabilities(bandit, log.length, able)
    positions = np.zeros(log.action.size, np.int64) if log.positions is None else log.positions
    return Target(name, np.ascontiguousarray(ranks[:, positions].T), arms)


def _of_offers(
    name: str, bandit: Bandit, log: EvaluationLog, as_known: dict[ArmId, ArmId], known: set[ArmId]
) -> Floats:
    """Chances in each distinct situation: candidates, length of the slate, context."""
    check_size(log, len(log.arms))
    row_of, paused = {arm: row for row, arm in enumerate(log.arms)}, set(bandit.paused)
    each = np.zeros((len(log.offered), len(log.arms)))
    for chances, (candidates, k, context) in zip(each, log.offered, strict=True):
        able = [arm for arm in candidates if as_known[arm] in known and as_known[arm] not in paused]
        if len(able) < k:
            raise ValueError(
                f"--policy {name}: it knows {len(able)} of {len(candidates)} candidates of a decision on {k}"
            )
        given = {} if context is None or not bandit.policy.model.is_contextual else {"context": context}
        chances[[row_of[arm] for arm in able]] = bandit.propensities([as_known[arm] for arm in able], k, **given) / k
    spread: Floats = each[log.offers]
    return spread


def _of_contexts(name: str, bandit: Bandit, log: EvaluationLog, of_log: list[ArmId], known: set[ArmId]) -> Floats:
    """Chances of a bandit that reads contexts, in each row; for one arm a row."""
    if log.contexts is None:
        raise ValueError(f"--policy {name}: its model reads a context; name the columns of the log by --context-column")
    if log.positions is not None and log.length > 1:
        raise ValueError(f"--policy {name}: positions of slates with contexts are not evaluated")
    able = [row for row, arm in enumerate(of_log) if arm in known]
    check_size(log, len(log.arms))
    chances = np.zeros((log.action.size, len(log.arms)))
    for row, context in enumerate(log.contexts):
        chances[row, able] = bandit.propensities([of_log[each] for each in able], context=context)
    return chances


def _all_arms(log: EvaluationLog, others: list[ArmId]) -> tuple[list[ArmId], int]:
    """Arms of the log, then those that only the policy knows; and how many the log has."""
    return list(dict.fromkeys([*log.arms, *others])), len(log.arms)


def _not_negative(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if 0.0 <= value < math.inf:
        return value
    raise ValueError("is not a number, 0 or more")

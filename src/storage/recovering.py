"""Recover: the ranker that a log tells of, as it stood at the log's end."""

import os
from collections.abc import Callable
from typing import Any

from ..bandits import Bandit
from ._entries import CALL, CHECKPOINT
from .decision_reader import DecisionReader
from .errors import JournalError
from .logged import Ranker, call, loaded, logged_call, takes_decision


def recover(path: str | os.PathLike[str], *, load: Callable[[bytes], Ranker] = Bandit.from_bytes) -> Any:
    """Bring back the ranker of a `Logged` whose process has died: its last checkpoint, and all calls since.

    What was acknowledged is there; with `fsync="always"` after the death of the machine too. Its bandit starts the next
    epoch, with draws of its own, as a decision whose entry was torn may have been served. Open the log again, and
    wrap the ranker in a `Logged`, to go on.

    Parameters
    ----------
    path
        Folder of the log.
    load
        Makes a ranker of a checkpoint, such as `Constrained.from_bytes`.

    Raises
    ------
    JournalError
        For a log that is damaged, that has no checkpoint, or whose calls cannot be done again.
    CheckpointError
        For a checkpoint of something else than `load` makes.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from seedbed.bandits import Bandit, Thompson
    >>> from seedbed.storage import DecisionLog, Logged, recover
    >>> with TemporaryDirectory() as path:
    ...     with DecisionLog(path) as log:
    ...         Logged(Bandit(Thompson(), arms=["a", "b"]), log).update("a", 1.0)
    ...     bandit = recover(path)
    >>> bandit.updates, bandit.epoch
    (1, 1)
    """
    reader = DecisionReader(path)
    ranker: Any = None
    takes = False
    for kind, *fields in reader.entries(since_checkpoint=True):
        if kind == CHECKPOINT:
            ranker = loaded(load, fields[1])
            takes = takes_decision(ranker)
        elif kind == CALL and ranker is not None:
            done = logged_call(fields)
            try:
                call(ranker, takes, done.method, done.arguments, done.named, done.decisions)
            except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
                if not done.error:
                    raise JournalError(f"a call of {reader.path} cannot be done again: {error}") from error
    if ranker is None:
        raise JournalError(f"the log {reader.path} has no checkpoint to recover from; only a `Logged` writes one")
    getattr(ranker, "bandit", ranker).reopen()
    return ranker

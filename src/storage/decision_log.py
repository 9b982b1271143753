"""DecisionLog: every decision and what came back, in files that only grow."""

import os
import platform
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import numba
import numpy as np

from .. import __version__
from ..bandits import Decision
from ..bandits._inputs import checked_float, checked_int
from ..bandits._random import ArmId
from ..bandits.arms import checked_id, checked_ids
from . import _entries
from ._packing import pack
from ._zstd import zstandard
from .errors import StoreError
from .journal import Journal, Policy


def versions() -> dict[str, Any]:
    """What a decision may depend on, besides its state: the build."""
    return {
        "seedbed": __version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


class DecisionLog:
    """An append-only log of decisions and rewards in a folder, for any number of threads of one process.

    Framed msgpack, in segments that are closed when full. A crash leaves at most a torn tail, which is cut off at the
    next opening. `DecisionReader` reads it, while it is being written too. `Logged` writes it by itself, with all that
    is needed to decide again.

    Parameters
    ----------
    path
        The folder, on a local disk; made where it is missing. One process at a time has it open: give each its own.
    fsync
        When an entry is forced to disk: see `Journal`. By default when the system sees fit, which outlives the death of
        the process.
    segment_bytes
        Size of a segment, from which on the next is begun.
    keep
        Segments that are kept, the one being written among them; by default all.
    compress
        Whether closed segments are compressed, in the background, by zstandard (an extra).

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from seedbed.bandits import Bandit, Thompson
    >>> from seedbed.storage import DecisionLog, DecisionReader
    >>> bandit = Bandit(Thompson(), arms=["a", "b", "c"], seed=7)
    >>> with TemporaryDirectory() as path:
    ...     with DecisionLog(path) as log:
    ...         decision = bandit.select(["a", "b"], propensities=True)
    ...         log.append(decision, at=60.0, candidates=["a", "b"])
    ...         log.reward(decision, decision.arms[0], 1.0, at=75.0)
    ...     columns = DecisionReader(path).columns()
    >>> columns["propensity"].round(6).tolist(), columns["reward"].tolist(), columns["n_candidates"].tolist()
    ([0.5], [1.0], [2])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fsync: Policy = "never",
        segment_bytes: int = 64 * 2**20,
        keep: int | None = None,
        compress: bool = False,
    ) -> None:
        self.segment_bytes = checked_int(segment_bytes, "segment_bytes", 1024)
        self.keep = None if keep is None else checked_int(keep, "keep", 1)
        self.compress = compress
        if compress:
            zstandard()
        self._lock = threading.RLock()
        self._opening: Callable[[], bytes] | None = None  # writes what each segment begins with, after its head
        self._compressing: threading.Thread | None = None
        self._opened = 0  # bytes that this segment began with, which do not count
        self._journal = Journal(path, fsync=fsync)
        try:
            self._write_head() if self._journal.frames else self._begin()
            self._compress_closed()
        except BaseException:
            self._journal.close()
            raise

    def __repr__(self) -> str:
        return f"DecisionLog({str(self._journal.path)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def torn(self) -> int:
        """Bytes of a torn tail that opening has cut off."""
        return self._journal.torn

    def append(
        self,
        decision: Decision,
        *,
        at: float | None = None,
        candidates: Iterable[ArmId] | None = None,
        keep_candidates: bool = False,
        context: Any = None,
        policy: str = "",
        rules: str = "",
        stages: Sequence[str] | None = None,
        forced: Sequence[bool] | None = None,
        positions: Sequence[int] | None = None,
    ) -> None:
        """Log a decision.

        Parameters
        ----------
        decision
            From `select`.
        at
            Seconds, when it was made.
        candidates
            What was offered, [C]: its number and hash are logged, and with `keep_candidates` all of it.
        context
            Features, `[d]` or `[C, d]`.
        policy, rules
            Versions that were in force, by names of yours.
        stages, forced, positions
            One an arm: the stage it was chosen for, whether it was no choice of the rule (by default what the reasons
            FLOOR and DEMAND say), its place in the slate.

        Raises
        ------
        ValueError
            For anything that is not so. Nothing was written.
        StoreUnavailableError
            When the disk fails. The log takes nothing any more.
        """
        if not isinstance(decision, Decision):
            raise ValueError(f"decision = {decision!r:.80} is not a Decision")
        chosen = len(decision.arms)
        for name, given in (("stages", stages), ("forced", forced), ("positions", positions)):
            if given is not None and len(given) != chosen:
                raise ValueError(f"{name} has {len(given)} entries for {chosen} chosen arms; give one an arm")
        fields = _entries.fields_of(
            decision,
            at=None if at is None else checked_float(at, "at"),
            policy=policy,
            rules=rules,
            candidates=None if candidates is None else checked_ids(candidates, "candidates"),
            stages=() if stages is None else stages,
            forced=forced,
            positions=positions,
            context=context,
            keep_candidates=keep_candidates,
        )
        self._write(pack([_entries.DECISION, fields]))

    def reward(self, decision: Any, arm: ArmId, reward: float, *, at: float | None = None) -> None:
        """Log what a decision (or its id) earned by one of its arms; several rewards of one arm add up.

        Raises
        ------
        ValueError
            For anything else. Nothing was written.
        """
        time = float("nan") if at is None else checked_float(at, "at")
        fields = [_entries.id_of(decision), checked_id(arm, "arm"), checked_float(reward, "reward"), time]
        if isinstance(decision, Decision) and arm not in decision.arms:
            raise ValueError(f"arm {arm!r} is not among the arms of this decision, {decision.arms!r:.80}")
        self._write(pack([_entries.REWARD, *fields]))

    def close(self) -> None:
        """Force everything to disk, and let others open the log."""
        with self._lock:
            if self._compressing is not None:
                self._compressing.join()
                self._compress_all(self._journal.position[0])
            try:
                if self._journal.is_open:
                    self._journal.sync()
                    self._write_head()  # vouches for all before it: what is damaged later is not taken for torn
            finally:
                self._journal.close()

    # the one way of every entry

    def _write(self, entry: bytes) -> None:
        with self._lock:
            self._roll_if_full(len(entry))
            position = self._journal.write(entry)
        self._journal.wait(position)

    def _roll_if_full(self, coming: int = 0) -> None:
        """Begin a segment where the last is full. Under the lock."""
        if self._journal.position[1] - self._opened + coming <= self.segment_bytes:
            return
        closed = self._journal.position[1]
        self._journal.rotate()
        self._begin(closed)
        if self.keep is not None:
            self._journal.drop(before=self._journal.position[0] - self.keep + 1)
        self._compress_closed()

    def _begin(self, closed: int | None = None) -> None:
        """Write what each segment begins with; closed: bytes of the one before."""
        self._write_head(closed)
        if self._opening is not None:
            self._journal.write(self._opening())
        self._opened = self._journal.position[1]

    def _write_head(self, closed: int | None = None) -> None:
        self._journal.write(pack([_entries.HEAD, _entries.LAYOUT, versions(), closed]))

    def _compress_closed(self) -> None:
        """Compress closed segments in the background, where no one is at it."""
        if not self.compress or (self._compressing is not None and self._compressing.is_alive()):
            return
        self._compressing = threading.Thread(target=self._compress_all, args=(self._journal.position[0],), daemon=True)
        self._compressing.start()

    def _compress_all(self, before: int) -> None:
        for number in self._journal.segments:
            if number < before:
                try:
                    self._journal.compress(number)
                except StoreError:  # it is read as well as it is; tried again when the next segment is closed
                    return

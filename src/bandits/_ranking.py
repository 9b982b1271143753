"""The candidates of one decision, ranked as often as needed under its one key: for choices made under constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._deciding import check_exact, inclusion, private_of, read
from ._table import Handles, P, R, Table, Uids
from .policies._lazy_linear import lazy_linear_best
from .policies._lazy_priced import priced_best
from .policies.thompson import Thompson

if TYPE_CHECKING:
    from .bandit import Bandit


class Ranking:
    """Candidates under one key. Made and used under the bandit's lock.

    handles: `[C]`; version: that of the table where they are all of its columns in order, else -1; contexts: `[1, d]`
    or `[C, d]`; key: of the decision; now: seconds, NaN for the latest time known.

    is_separate: whether the score of an arm is its own, whoever else is a candidate, and is quickly drawn by itself.
    """

    def __init__(
        self, bandit: Bandit, handles: Handles, version: float, contexts: Table | None, key: int, now: float
    ) -> None:
        self._bandit, self._handles, self._version = bandit, handles, version
        self._contexts, self._key, self._now = contexts, key, now
        self.is_separate = type(bandit.policy) is Thompson and bandit.policy.sampler == "inversion"

    def best(self, k: int, scales: Table | None = None, offsets: Table | None = None) -> tuple[Handles, Table]:
        """Positions and scores of the k best, best first; under prices by `scale_i score_i - offset_i`, `[C]` each."""
        bandit, key, now = self._bandit, self._key, self._now
        positions, scores = np.empty(k, np.int64), np.empty(k)
        if scales is not None and offsets is not None and not self.is_separate:
            with np.errstate(invalid="ignore"):
                return self.best_of(k, scales * self.draws() - offsets)
        if bandit._reach is not None and self._contexts is not None and scales is None:
            state, reach = bandit._state, bandit._reach
            lazy_linear_best(*state[:2], self._handles, bandit._uids, self._contexts, key, *reach, positions, scores)
            return positions, scores
        table, handles, uids, version = self._source()
        if scales is None or offsets is None:
            bandit._best(table, handles, uids, key, version, now, *bandit._numbers, positions, scores)
        else:
            priced_best(table, handles, uids, key, version, now, scales, offsets, positions, scores)
        return positions, scores

    def best_of(self, k: int, values: Table) -> tuple[Handles, Table]:
        """Positions and values of the k best by given scores, `[C]`, in the rule's way.

        Raises
        ------
        ValueError
            For a rule that does not rank by scores.
        """
        bandit = self._bandit
        rank: Any = bandit.policy.best_of
        if rank is None:
            check_ranks(bandit)
        positions, scores = np.empty(k, np.int64), np.empty(k)
        rank(self._handles, bandit._uids, self._key, *bandit._numbers, values, positions, scores)
        return positions, scores

    def draws(self) -> Table:
        """Score of each candidate, `[C]`, without prices."""
        bandit, out = self._bandit, np.empty(self._handles.size)
        table, handles, uids, version = self._source()
        bandit.policy.scores(table, handles, uids, self._key, version, self._now, *bandit._numbers, out)
        return out

    def means(self, positions: Handles | None = None) -> Table:
        """Posterior mean reward of each candidate, `[C]`, or of those at some positions alone."""
        bandit, handles, contexts = self._bandit, self._handles, self._contexts
        if positions is not None:
            handles = handles[positions]
            if contexts is not None and contexts.shape[0] > 1:
                contexts = np.ascontiguousarray(contexts[positions])
        if contexts is not None:
            return read(bandit, handles, contexts, 0, self._now, draws=False).table[P, :-1].copy()
        means: Table = bandit._model.mean(bandit._state, handles, self._now)
        return means

    def inclusion(self, k: int, scales: Table | None = None, offsets: Table | None = None) -> Table | None:
        """Probability that each candidate is among the k chosen, `[C]`, which sum to k; None for no exact answer."""
        bandit, size = self._bandit, self._handles.size
        if k == size:
            return np.ones(size)
        if bandit.policy.is_deterministic:
            out = np.zeros(size)
            out[self.best(k, scales, offsets)[0]] = 1.0
            return out
        try:
            check_exact(bandit, k, size)
        except ValueError:
            return None
        private = read(bandit, self._handles, self._contexts, 0, self._now, draws=False)
        chances: Table | None
        if scales is None or offsets is None:
            chances = inclusion(bandit, private, k)
        else:
            beliefs = np.ascontiguousarray(private.table[P : R + 1, :-1])
            family, policy = bandit._model.family, bandit.policy
            chances = policy.priced_inclusion(beliefs, family, private.uids, scales, offsets, k)
        return None if chances is None else chances * (k / chances.sum())

    def among(self, positions: Handles) -> Ranking:
        """The same for some of the candidates."""
        if positions.size == self._handles.size:
            return self
        contexts = self._contexts
        if contexts is not None and contexts.shape[0] > 1:
            contexts = np.ascontiguousarray(contexts[positions])
        return Ranking(self._bandit, self._handles[positions], -1.0, contexts, self._key, self._now)

    def under(self, key: int) -> Ranking:
        """The same under another key."""
        return Ranking(self._bandit, self._handles, self._version, self._contexts, key, self._now)

    def _source(self) -> tuple[Table, Handles, Uids, float]:
        """The table that kernels read: the bandit's own, or one made of contexts."""
        bandit = self._bandit
        if self._contexts is None:
            return bandit._state.table, self._handles, bandit._uids, self._version
        private = private_of(
            bandit, bandit._state, self._handles, self._contexts, self._key, self._now, draws=bandit.policy.draws
        )
        assert private is not None  # under the lock no arm goes
        return private.table, private.handles, private.uids, private.version


def check_ranks(bandit: Bandit) -> None:
    """Refuse prices for a rule that does not rank by scores.

    Raises
    ------
    ValueError
        For such a rule.
    """
    if bandit.policy.best_of is None:
        raise ValueError(
            f"the policy {bandit.policy.kind!r} does not rank by scores, so nothing can be priced; "
            "use Thompson, EpsilonGreedy or one of the UCB rules"
        )


def uids_of(bandit: Bandit, handles: Handles) -> NDArray[np.uint64]:
    """64-bit names of arms, `[C]`."""
    uids: NDArray[np.uint64] = bandit._uids[handles & 0xFFFF_FFFF]
    return uids

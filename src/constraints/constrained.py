"""Constrained: a bandit under a chain of constraints, with the same face."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..bandits import Bandit, Decision, _updating
from ..bandits._deciding import checked_k, count
from ..bandits._inputs import checked_at, checked_float, checked_floats, checked_int, checked_now
from ..bandits._random import ArmId, fold_in
from ..bandits._ranking import Ranking, check_ranks, uids_of
from ..bandits._table import EVENTS, columns_of
from ..bandits.arms import Offer, checked_candidates, checked_id, checked_ids
from . import _constrained_checkpointing
from ._choosing import NOTHING, Choice, Terms, choose
from ._propensities import EXACT, RuleChances, chances_of, estimated_chances, exact_chances
from ._refreshed import Refreshed
from .attributes import Attributes
from .base import Constraint, Exposure, Feedback, Floats, Request
from .chain import Chain

_NAN = float("nan")
_EPOCH = 2**40  # numbers of decisions of one epoch
_EMPTY: Mapping[str, Any] = {}


class _Asked(NamedTuple):
    """A request under the masks: what is left of it, and what was dropped and relaxed."""

    request: Request
    ranking: Ranking
    ids: Sequence[ArmId]
    handles: NDArray[np.int64]
    dropped: dict[str, int]
    relaxed: list[str]


class Constrained:
    """Select arms under constraints, and learn from their rewards.

    The face is that of `Bandit`; the bandit given belongs to this object from then on, as `bandit`. Constraints hold in
    the order eligibility > stop > hard caps > floors > group bounds > prices > score. What cannot be met gives way from
    the weak end, never eligibility, a stop or a hard budget, and the decision says so. Any number of threads may call
    any method; one lock orders them.

    Parameters
    ----------
    bandit
        The rule, its arms and what it has learnt.
    constraints
        Any number; a resource or a metric may be named by several.

    Examples
    --------
    >>> from seedbed.bandits import Bandit, Thompson
    >>> from seedbed.constraints.constrained import Constrained
    >>> ranker = Constrained(Bandit(Thompson(), arms=["a", "b", "c"], seed=7))
    >>> len(ranker.select(k=2, now=0.0).arms)
    2
    """

    def __init__(self, bandit: Bandit, constraints: Iterable[Constraint] = ()) -> None:
        if not isinstance(bandit, Bandit):
            raise ValueError(f"bandit = {bandit!r:.80} is not a Bandit")
        self.bandit = bandit
        self._chain = Chain(constraints)
        if self._chain.prices:
            check_ranks(bandit)
        self._attributes = Attributes()
        self._uids: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._version = _NAN  # of the table, when the columns were last looked at
        self._refreshed = Refreshed()
        self._live: tuple[Offer, NDArray[np.int64], NDArray[np.uint64]] | None = None  # all arms, with their names
        self._lock = threading.RLock()
        self._fit()

    def __repr__(self) -> str:
        names = ", ".join(constraint.name for constraint in self._chain.members)
        return f"Constrained({self.bandit!r}, [{names}])"

    def __len__(self) -> int:
        return len(self.bandit)

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The constraints, as they were given."""
        return self._chain.given

    # choosing

    def select(
        self,
        candidates: Iterable[ArmId] | None = None,
        k: int = 1,
        *,
        context: Any = None,
        now: float | None = None,
        viewer: Mapping[str, Any] | None = None,
        pending: bool = False,
        propensities: bool = False,
    ) -> Decision:
        """Choose the best candidates that may be served, k at most, and count them as served.

        Parameters
        ----------
        candidates, k, context, now, pending, propensities
            As in `Bandit.select`.
        viewer
            Attributes of who is served, and their "id", for rules about viewers.

        Returns
        -------
        Decision
            With fewer than k arms, or none, where no more may be served: `dropped` says why, by reason. `relaxed` names
            the constraints that gave way, `reasons` says why each arm was chosen.

        Raises
        ------
        UnknownArmError, ValueError
            As `Bandit.select`. Nothing has changed.
        """
        ids = None if candidates is None else checked_candidates(candidates)
        seen = _checked_viewer(viewer)
        with self._lock, self.bandit._lock:
            bandit, chain = self.bandit, self._chain
            present, time = self._times(now)
            offered, contexts, k = self._offered(ids, k, context)
            if bandit._is_timed:
                _updating.advance(bandit, time)
            self._fit(present)
            key = fold_in(bandit._base, int(bandit._counter[0]))
            asked = self._asked(chain, offered, contexts, k, key, present, time, seen)
            choice, chances, method = NOTHING, None, EXACT
            if asked.request.k:
                terms = Terms(chain, asked.request, asked.ranking)
                rule = RuleChances(terms, self._refreshed)
                choice = choose(terms, rule)
                if propensities:
                    chances, method = chances_of(terms, rule)
                method = rule.method or method
            dropped = asked.dropped
            if choice.positions.size < asked.request.k:
                dropped[choice.short] = asked.request.columns.size - choice.positions.size
            number = count(bandit._counter, 1)
            decision = self._decision(number, key, asked, choice, chances, method)
            if now is not None:
                bandit._now = present
            if pending and choice.positions.size:
                bandit._show(decision.rows, time)
            chain.observe(Exposure(bandit.epoch * _EPOCH + number, asked.request, choice.positions))
            return decision

    def propensities(
        self,
        candidates: Iterable[ArmId] | None = None,
        k: int = 1,
        *,
        context: Any = None,
        now: float | None = None,
        viewer: Mapping[str, Any] | None = None,
        draws: int | None = None,
    ) -> Floats:
        """Probability that each candidate would be among the k served now, `[C]`; changes nothing.

        Exact under masks, floors, caps, demands and prices. Where slates meet limits that may bind, and for mixtures
        and objectives, there is no exact answer, but an estimate by `draws` replays of the decision under other keys.

        Raises
        ------
        UnknownArmError, ValueError
            As `Bandit.propensities`, and where there is no exact answer and no number of draws was given.
        """
        ids = None if candidates is None else checked_candidates(candidates)
        seen = _checked_viewer(viewer)
        with self._lock, self.bandit._lock:
            terms, kept, size = self._peeked(ids, k, context, now, seen)
            out = np.zeros(size)
            if terms is None:
                return out
            rule = RuleChances(terms, self._refreshed.twin())
            if draws is None:
                chances = exact_chances(terms, rule)
                if chances is None:
                    raise ValueError(
                        "this choice has no exact propensities (limits of a slate that may bind, a mixture, an "
                        "objective, or a rule without them); pass draws=1000 for an estimate"
                    )
            else:
                chances = estimated_chances(terms, checked_int(draws, "draws", 1), rule)
            out[kept] = chances
            return out

    def scores(
        self,
        candidates: Iterable[ArmId] | None = None,
        *,
        context: Any = None,
        now: float | None = None,
        viewer: Mapping[str, Any] | None = None,
    ) -> Floats:
        """Score of each candidate at the decision that comes next, `[C]`, priced; -inf where it may not be served."""
        ids = None if candidates is None else checked_candidates(candidates)
        seen = _checked_viewer(viewer)
        with self._lock, self.bandit._lock:
            terms, kept, size = self._peeked(ids, 1, context, now, seen)
            out = np.full(size, -np.inf)
            if terms is not None:
                out[kept] = terms.scores_of(np.arange(kept.size))
            return out

    def _peeked(
        self, ids: list[ArmId] | None, k: int, context: Any, now: float | None, viewer: Mapping[str, Any]
    ) -> tuple[Terms | None, NDArray[np.int64], int]:
        """Terms of a request that is only looked at, places of the eligible among all candidates, and their number."""
        present, time = self._times(now)
        given = list(self.bandit._arms.handle_of) if ids is None else ids
        offered, contexts, k = self._offered(given, k, context)
        chain = self._chain.twin()
        self._fit()
        chain.fit(self.bandit._uids.size, self._attributes, present)
        key = fold_in(self.bandit._base, int(self.bandit._counter[0]))
        asked = self._asked(chain, offered, contexts, k, key, present, time, viewer)
        place = {id: i for i, id in enumerate(given)}
        kept = np.array([place[id] for id in asked.ids], np.int64)
        terms = Terms(chain, asked.request, asked.ranking) if asked.request.k else None
        return terms, kept, len(given)

    def _times(self, now: float | None) -> tuple[float, float]:
        """The present, -inf where none is known, and the time that the bandit is asked at, NaN for its latest."""
        latest = self.bandit._now
        if now is None:
            return -np.inf if latest is None else latest, _NAN
        checked = checked_now(now, latest)
        return checked, checked

    def _offered(self, ids: list[ArmId] | None, k: int, context: Any) -> tuple[Offer, Floats | None, int]:
        """Candidates that are not paused, their contexts, and the arms wanted of them."""
        bandit = self.bandit
        offered = bandit._arms.live(bandit._lock, bandit._version) if ids is None else bandit._arms.offered(ids)
        size = offered.handles.size
        wanted = min(checked_k(k, size + offered.dropped), size)
        contexts = _updating.checked_contexts(bandit, context, size + offered.dropped)
        return offered, None if contexts is None else offered.rows_of(contexts), wanted

    def _asked(
        self,
        chain: Chain,
        offered: Offer,
        contexts: Floats | None,
        k: int,
        key: int,
        present: float,
        time: float,
        viewer: Mapping[str, Any],
    ) -> _Asked:
        """What is left of a request under the masks."""
        ranking = Ranking(self.bandit, offered.handles, offered.version, contexts, key, time)
        columns, uids = self._names(offered)
        request = Request(columns, uids, k, present, key, viewer, self._attributes, ranking.means)
        masked = chain.mask(request)
        dropped = {"paused": offered.dropped} if offered.dropped else {}
        if not masked.dropped:
            return _Asked(request, ranking, offered.ids, offered.handles, dropped, masked.relaxed)
        kept = np.flatnonzero(masked.keep)
        ranking = ranking.among(kept)
        ids = [offered.ids[i] for i in kept.tolist()]
        request = Request(
            columns[kept], uids[kept], min(k, kept.size), present, key, viewer, self._attributes, ranking.means
        )
        return _Asked(request, ranking, ids, offered.handles[kept], dropped | masked.dropped, masked.relaxed)

    def _names(self, offered: Offer) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Columns and uids of candidates; those of all arms are looked up once."""
        if self._live is None or self._live[0] is not offered:
            names = columns_of(offered.handles), uids_of(self.bandit, offered.handles)
            if offered.version < 0.0:
                return names
            self._live = (offered, *names)
        return self._live[1:]

    def _decision(
        self, number: int, key: int, asked: _Asked, choice: Choice, chances: Floats | None, method: str
    ) -> Decision:
        bandit = self.bandit
        positions = choice.positions.tolist()
        relaxed = asked.relaxed + choice.relaxed
        return Decision(
            (bandit.replica, bandit.epoch, number),
            key,
            int(bandit._table[EVENTS, -1]),
            [asked.ids[position] for position in positions],
            asked.handles[choice.positions],
            choice.scores.tolist(),
            asked.dropped,
            None if chances is None else chances[choice.positions].tolist(),
            bandit._is_deterministic,
            tuple(dict.fromkeys(relaxed)) if relaxed else (),
            tuple(choice.reasons),
            method,
        )

    def expire(self, now: float, *, horizon: float = 0.0) -> int:
        """Await no more the feedback of old exposures, as `Bandit.expire`."""
        return self.bandit.expire(now, horizon=horizon)

    # learning

    def update(
        self,
        arm: Any,
        reward: Any,
        weight: Any = 1.0,
        context: Any = None,
        at: Any = None,
        propensity: Any = None,
        *,
        cost: Any = None,
        metrics: Mapping[str, Any] | None = None,
        decision: Decision | tuple[str, int, int] | None = None,
    ) -> None:
        """Learn the reward of one event, or of a batch of events, all or nothing.

        Parameters
        ----------
        arm, reward, weight, context, at, propensity
            As in `Bandit.update`.
        cost
            What it cost, >= 0, one for all or `[B]`; or a map from resource to that, where several are counted.
        metrics
            What else came back, by name: harms, follows, whatever the constraints read; one for all or `[B]`.
        decision
            The decision that all these events belong to, or its id: what it reserved is settled.

        Raises
        ------
        UnknownArmError, ValueError
            As `Bandit.update`; for a resource or metric that no constraint reads, and a decision of another replica.
            Nothing has been learnt.
        """
        ids = checked_ids(arm, "arm", ordered=True) if _updating.is_batch(arm) else [checked_id(arm, "arm")]
        size = len(ids)
        costs = self._checked_costs(cost, size)
        measured = self._checked_metrics(metrics, size)
        with self._lock, self.bandit._lock:
            bandit = self.bandit
            number = self._number_of(decision)
            self._fit()
            columns = columns_of(bandit._arms.handles(ids))
            rewards, weights = _spread(reward, "reward", size), _spread(weight, "weight", size)
            latest = -np.inf if bandit._now is None else bandit._now
            if at is not None:
                checked_at(at, size, bandit._now)
                latest = max(latest, float(np.max(at, initial=-np.inf)))
            feedback = Feedback(columns, rewards, weights, costs, measured, number, latest)
            self._chain.check(feedback)
            bandit.update(arm, reward, weight, context, at, propensity)
            self._chain.observe(feedback)

    def _checked_costs(self, cost: Any, size: int) -> dict[str, Floats]:
        if cost is None:
            return {}
        resources = self._chain.resources_read
        if not isinstance(cost, Mapping):
            if len(resources) != 1:
                known = f"{sorted(resources)}" if resources else "none"
                raise ValueError(f"cost = {cost!r:.40}: of which resource? pass a map; those that are read are {known}")
            cost = {next(iter(resources)): cost}
        return _checked_values(cost, resources, "cost", "resource", size, least=0.0)

    def _checked_metrics(self, metrics: Mapping[str, Any] | None, size: int) -> dict[str, Floats]:
        if metrics is None:
            return {}
        return _checked_values(metrics, self._chain.metrics_read, "metrics", "metric", size, least=-np.inf)

    def _number_of(self, decision: Any) -> int | None:
        """Number of a decision of this bandit, growing over its epochs."""
        if decision is None:
            return None
        id = decision.decision_id if isinstance(decision, Decision) else decision
        if not (isinstance(id, tuple | list) and len(id) == 3):
            raise ValueError(f"decision = {decision!r:.80} is neither a Decision nor its id (replica, epoch, n)")
        replica, epoch, number = id
        if replica != self.bandit.replica:
            raise ValueError(f"decision {id} was made by replica {replica!r}; report it there: its reservations are")
        if not (0 <= epoch <= self.bandit.epoch and 0 <= number < _EPOCH):
            raise ValueError(f"decision {id} was never made by this bandit, of epoch {self.bandit.epoch}")
        return int(epoch) * _EPOCH + int(number)

    # arms

    def add_arms(self, ids: Iterable[ArmId], **attributes: Any) -> None:
        """Add new arms, as `Bandit.add_arms`, with attributes as in `describe`; all or none."""
        given = checked_ids(ids, "arms")
        with self._lock, self.bandit._lock:
            checked = self._attributes.checked(attributes, len(given))
            self.bandit.add_arms(given)
            self._fit()
            self._attributes.set(columns_of(self.bandit._arms.handles(given)), checked)

    def describe(self, ids: Iterable[ArmId], **attributes: Any) -> None:
        """Set attributes of arms: what rules, groups and costs are written in; all or none.

        Parameters
        ----------
        ids
            Live arms, [B].
        attributes
            Names or numbers (bools too), one for all or `[B]`.

        Raises
        ------
        UnknownArmError, ValueError
            For an unknown arm, and a value of another sort than the attribute's. Nothing was set.
        """
        given = checked_ids(ids, "ids", ordered=True)
        with self._lock, self.bandit._lock:
            self._fit()
            columns = columns_of(self.bandit._arms.handles(given))
            self._attributes.set(columns, self._attributes.checked(attributes, len(given)))

    def retire_arms(self, ids: Iterable[ArmId]) -> None:
        """Forget arms for ever, as `Bandit.retire_arms`, and what the constraints know of them."""
        with self._lock:
            self.bandit.retire_arms(ids)

    def pause_arms(self, ids: Iterable[ArmId]) -> None:
        """Take arms out of the choice until `resume_arms`."""
        self.bandit.pause_arms(ids)

    def resume_arms(self, ids: Iterable[ArmId]) -> None:
        """Bring paused arms back into the choice."""
        self.bandit.resume_arms(ids)

    def warm_start(self, ids: Iterable[ArmId], *, strength: float, source: Iterable[ArmId] | None = None) -> None:
        """Give arms a prior like other arms, as `Bandit.warm_start`."""
        self.bandit.warm_start(ids, strength=strength, source=source)

    def _fit(self, present: float | None = None) -> None:
        """Bring attributes and states to the arms and to the time; under both locks."""
        bandit = self.bandit
        version = bandit._version()
        if version != self._version:
            uids = bandit._uids[: bandit.columns].copy()
            capacity = bandit._uids.size
            self._attributes.fit(capacity)
            changed = np.flatnonzero(uids[: self._uids.size] != self._uids[: uids.size])
            self._uids, self._version = uids, version
            self._refreshed.fit(capacity)
            if changed.size:
                for part in (self._attributes, self._chain, self._refreshed):
                    part.forget(changed)
        if present is None:
            present = -np.inf if bandit._now is None else bandit._now
        self._chain.fit(bandit._uids.size, self._attributes, present)

    # reading

    @property
    def arms(self) -> list[ArmId]:
        """Ids of the arms that are not retired, in the order in which they came."""
        return self.bandit.arms

    @property
    def paused(self) -> list[ArmId]:
        """Ids of the paused arms."""
        return self.bandit.paused

    @property
    def updates(self) -> int:
        """Number of events learnt."""
        return self.bandit.updates

    @property
    def pending(self) -> int:
        """Exposures that await feedback, over all arms."""
        return self.bandit.pending

    def mean(
        self, candidates: Iterable[ArmId] | None = None, *, context: Any = None, now: float | None = None
    ) -> Floats:
        """Posterior mean reward of each candidate, `[C]`, as `Bandit.mean`."""
        return self.bandit.mean(candidates, context=context, now=now)

    def evidence(self, candidates: Iterable[ArmId] | None = None, *, now: float | None = None) -> Floats:
        """Mean reward, its weight and variance, without the prior, `[3, C]`, as `Bandit.evidence`."""
        return self.bandit.evidence(candidates, now=now)

    def report(self) -> dict[str, Any]:
        """How each constraint stands, by its name, as plain values."""
        with self._lock, self.bandit._lock:
            self._fit()
            return self._chain.report(self._attributes)

    # state

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Make an exact twin, as `from_bytes(to_bytes())` does."""
        return self.from_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Write a checkpoint: the bandit, the constraints, their states and the attributes."""
        return _constrained_checkpointing.save(self)

    @classmethod
    def from_bytes(cls, blob: bytes) -> Self:
        """Resume exactly from a checkpoint.

        Raises
        ------
        CheckpointError
            For bytes that are truncated, altered, of another kind or of a newer format. Nothing was loaded.
        """
        loaded: Self = _constrained_checkpointing.load(cls, blob)
        return loaded


def _checked_viewer(viewer: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if viewer is None:
        return _EMPTY
    if not isinstance(viewer, Mapping):
        raise ValueError(f'viewer = {viewer!r:.80} is not a map of attributes, such as {{"id": "v1", "is_new": True}}')
    return viewer


def _spread(values: Any, what: str, size: int) -> Floats:
    """Return one number for all, or one for each, as `[size]`."""
    if np.ndim(values) == 0:
        return np.full(size, checked_float(values, what))
    return checked_floats(values, what, size)


def _checked_values(given: Any, known: set[str], what: str, sort: str, size: int, *, least: float) -> dict[str, Floats]:
    """Return numbers by name, `[size]` each."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} = {given!r:.60} is not a map from {sort} to numbers")
    checked = {}
    for name, values in given.items():
        if name not in known:
            listed = f"those that are read are {sorted(known)}" if known else "none is read"
            raise ValueError(f"no constraint reads the {sort} {name!r}; {listed}")
        numbers = _spread(values, f"{what}[{name!r}]", size)
        wrong = ~(np.isfinite(numbers) & (numbers >= least))
        if wrong.any():
            i = int(np.flatnonzero(wrong)[0])
            bound = "a finite number" if least == -np.inf else f"a finite number, {least:g} or more"
            raise ValueError(f"{what}[{name!r}][{i}] = {numbers[i]} is not {bound}; nothing was learnt")
        checked[name] = numbers
    return checked

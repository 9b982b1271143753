"""Constrained: a bandit under a chain of constraints, with the same face."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..bandits import Bandit, Decision, _updating
from ..bandits._deciding import count
from ..bandits._inputs import checked_at, checked_int, checked_now
from ..bandits._random import ArmId
from ..bandits._ranking import check_ranks
from ..bandits._table import EVENTS, Handles, columns_of
from ..bandits.arms import Offer, checked_candidates, checked_id, checked_ids
from . import _constrained_checkpointing
from ._asking import Asked, masked, peeked, query
from ._choosing import NOTHING, Choice, choose, quick_choice
from ._propensities import EXACT, RuleChances, chances_of, estimated_chances, exact_chances
from ._refreshed import Refreshed
from ._terms import Terms
from ._told import EPOCH, checked_costs, checked_metrics, checked_viewer, number_of, spread
from .attributes import Attributes
from .base import Constraint, Exposure, Feedback, Floats
from .budget import Budget
from .chain import Chain, Kind
from .eligibility import Eligibility

_NAN = float("nan")


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
    >>> from seedbed.constraints import Budget, Constrained, Eligibility, Floor
    >>> bandit = Bandit(Thompson(), arms=["a", "b", "c"], seed=7)
    >>> ranker = Constrained(bandit, [Eligibility(), Budget("exposures", limit=2, window=60.0), Floor(0.01)])
    >>> decisions = [ranker.select(now=0.0) for _ in range(3)]
    >>> [len(decision.arms) for decision in decisions], decisions[2].dropped
    ([1, 1, 0], {'BUDGET_SPENT': 3})
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
            As `Bandit.select`, and where a candidate lacks an attribute that a constraint needs. Nothing was decided.
        """
        ids = None if candidates is None else checked_candidates(candidates)
        seen = checked_viewer(viewer)
        with self._lock, self.bandit._lock:
            bandit, chain = self.bandit, self._chain
            wanted = query(self, ids, k, context, now, seen)
            self._fit(wanted.present)  # first, as it refuses times that are too far off
            if bandit._is_timed:
                _updating.advance(bandit, wanted.time)
            asked = masked(self, chain, wanted)
            choice, chances, method = NOTHING, None, EXACT
            quick = quick_choice(chain, asked.request, asked.ranking) if asked.request.k and not propensities else None
            if quick is not None:
                choice = quick
            elif asked.request.k:
                terms = Terms(chain, asked.request, asked.ranking)
                rule = RuleChances(terms, self._refreshed)
                choice = choose(terms, rule)
                if propensities:
                    chances, method = chances_of(terms, rule)
                method = rule.method or method
            if choice.positions.size < asked.request.k:
                asked.dropped[choice.short] = asked.request.columns.size - choice.positions.size
            number = count(bandit._counter, 1)
            decision = self._decision(number, wanted.key, asked, choice, chances, method)
            if now is not None:
                bandit._now = wanted.present
            if pending and choice.positions.size:
                bandit._show(decision.rows, wanted.time)
            chain.observe(Exposure(bandit.epoch * EPOCH + number, asked.request, choice.positions))
            return decision

    def select_rows(self, rows: Handles, k: int = 1, **asked: Any) -> Decision:
        """Choose among the arms in `rows` (from `rows`), as `select` does.

        Raises
        ------
        StaleRowsError, ValueError
            As `Bandit.select_rows`.
        """
        with self._lock, self.bandit._lock:
            return self.select(self._ids_of(rows), k, **asked)

    def select_many(
        self,
        candidates: Sequence[Iterable[ArmId]] | None = None,
        k: int = 1,
        *,
        n: int | None = None,
        contexts: Any = None,
        now: float | None = None,
        viewers: Sequence[Mapping[str, Any] | None] | None = None,
    ) -> list[Decision]:
        """Decide many requests, one after the other as `select` would, since each may change what the next may have.

        Parameters
        ----------
        candidates, k, n, contexts, now
            As in `Bandit.select_many`.
        viewers
            One a request.

        Raises
        ------
        UnknownArmError, ValueError
            As `select`; the requests before the one that is wrong are decided.
        """
        given = {"candidates": candidates, "contexts": contexts, "viewers": viewers}
        sizes = {name: len(value) for name, value in given.items() if value is not None}
        if n is not None:
            sizes["n"] = checked_int(n, "n", 0)
        if len(set(sizes.values())) != 1:
            raise ValueError(f"how many requests? pass n, candidates, contexts or viewers, of one length; got {sizes}")
        return [
            self.select(
                None if candidates is None else candidates[i],
                k,
                context=None if contexts is None else contexts[i],
                now=now,
                viewer=None if viewers is None else viewers[i],
            )
            for i in range(next(iter(sizes.values())))
        ]

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
        seen = checked_viewer(viewer)
        with self._lock, self.bandit._lock:
            terms, kept, size = peeked(self, ids, k, context, now, seen)
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
        seen = checked_viewer(viewer)
        with self._lock, self.bandit._lock:
            terms, kept, size = peeked(self, ids, 1, context, now, seen)
            out = np.full(size, -np.inf)
            if terms is not None:
                out[kept] = terms.scores_of(np.arange(kept.size))
            return out

    def _decision(
        self, number: int, key: int, asked: Asked, choice: Choice, chances: Floats | None, method: str
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
        costs, measured = checked_costs(self._chain, cost, size), checked_metrics(self._chain, metrics, size)
        with self._lock, self.bandit._lock:
            bandit = self.bandit
            number = None if decision is None else number_of(bandit, decision)
            self._fit()
            columns = columns_of(bandit._arms.handles(ids))
            rewards, weights = spread(reward, "reward", size), spread(weight, "weight", size)
            latest = -np.inf if bandit._now is None else bandit._now
            if at is not None:
                checked_at(at, size, bandit._now)
                latest = max(latest, float(np.max(np.asarray(at, np.float64), initial=-np.inf)))
            feedback = Feedback(columns, rewards, weights, costs, measured, number, latest)
            self._chain.check(feedback)
            bandit.update(arm, reward, weight, context, at, propensity)
            self._chain.observe(feedback)

    def update_rows(self, rows: Handles, rewards: Any, **told: Any) -> None:
        """Learn a batch of rewards of the arms in `rows` (from `rows`), as `update` does."""
        with self._lock, self.bandit._lock:
            self.update(self._ids_of(rows), rewards, **told)

    def _ids_of(self, rows: Handles) -> list[ArmId]:
        """Ids of rows, all of them current."""
        handles = self.bandit._checked_rows(rows)
        return [id for id in map(self.bandit._arms.id_at, handles.tolist()) if id is not None]

    def refund(
        self, decision: Decision | tuple[str, int, int], arms: Iterable[ArmId] | None = None
    ) -> dict[str, float]:
        """Give back what budgets charged for a decision, as it was not shown: all of it, or that of some of its arms.

        Other counts, of a viewer's exposures or of stock, stay as they are.

        Returns
        -------
        dict of float
            Units given back by each budget, by its name: 0 for what was given back before, or is settled.

        Raises
        ------
        UnknownArmError, ValueError
            For an arm that is not live, and a decision of another replica. Nothing was given back.
        """
        ids = None if arms is None else checked_ids(arms, "arms")
        with self._lock, self.bandit._lock:
            number = number_of(self.bandit, decision)
            self._fit()
            return self._chain.refund(number, None if ids is None else columns_of(self.bandit._arms.handles(ids)))

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

    def block(self, ids: Iterable[ArmId], reason: str = "BLOCKED") -> None:
        """Serve arms no more until `unblock`, for a reason that `Eligibility` names; all or none."""
        self._set_blocked(ids, reason)

    def unblock(self, ids: Iterable[ArmId]) -> None:
        """Let blocked arms be served again."""
        self._set_blocked(ids, None)

    def _set_blocked(self, ids: Iterable[ArmId], reason: str | None) -> None:
        given = checked_ids(ids, "ids")
        with self._lock, self.bandit._lock:
            self._fit()
            columns = columns_of(self.bandit._arms.handles(given))
            eligibility, state = self._sole(Eligibility, "Eligibility()", lambda _: True)
            if reason is None:
                eligibility.unblock(state, columns)
            else:
                eligibility.block(state, columns, reason)

    def _sole(self, sort: type[Kind], what: str, fits: Callable[[Kind], bool]) -> tuple[Kind, Any]:
        """The member of the chain that a call is about, with its state."""
        found = [(member, state) for member, state in self._chain.of_type(sort) if fits(member)]
        if len(found) != 1:
            raise ValueError(f"there are {len(found)} of {what} among the constraints, where one is needed")
        return found[0]

    # leases

    def grant(self, resource: str, amount: int, *, now: float) -> None:
        """Let a leased budget use so many units more, in the window of `now`: what `storage.Leases.take` has lent."""
        self._lease("grant", resource, amount, now)

    def give_back(self, resource: str, amount: int, *, now: float) -> None:
        """Take granted units from a leased budget that it will not use, to return them by `Leases.give_back`."""
        self._lease("give_back", resource, amount, now)

    def unused(self, resource: str, *, now: float) -> int:
        """Units that were granted to a leased budget in the window of `now` and are not used."""
        return int(self._lease("unused", resource, None, now))

    def _lease(self, action: str, resource: str, amount: int | None, now: float) -> Any:
        with self._lock, self.bandit._lock:
            time = checked_now(now, self.bandit._now)
            self._fit(time)
            budget, state = self._sole(
                Budget, f"Budget({resource!r}, leased=True)", lambda each: each.leased and each.resource == resource
            )
            given = () if amount is None else (amount,)
            return getattr(budget, action)(state, *given, now=time)

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

    def warm_start(
        self,
        ids: Iterable[ArmId],
        *,
        strength: float,
        source: Iterable[ArmId] | None = None,
        mean: float | None = None,
    ) -> None:
        """Give arms a prior like other arms, as `Bandit.warm_start`."""
        self.bandit.warm_start(ids, strength=strength, source=source, mean=mean)

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

    def rows(self, ids: Iterable[ArmId]) -> Handles:
        """Rows of live arms, int64 `[B]`, for `select_rows` and `update_rows`."""
        return self.bandit.rows(ids)

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
        return self.from_bytes(self.to_bytes(), constraints=self.constraints)

    def to_bytes(self) -> bytes:
        """Write a checkpoint: the bandit, the constraints, their states and the attributes."""
        return _constrained_checkpointing.save(self)

    @classmethod
    def from_bytes(cls, blob: bytes, *, constraints: Iterable[Constraint] | None = None) -> Self:
        """Resume exactly from a checkpoint.

        Parameters
        ----------
        blob
            From `to_bytes`.
        constraints
            Those that it was made with; needed only for classes of your own, which a checkpoint cannot bring back.

        Raises
        ------
        CheckpointError
            For bytes that are truncated, altered, of another kind or of a newer format. Nothing was loaded.
        ValueError
            For constraints that are not equal to those of the checkpoint.
        """
        given = None if constraints is None else list(constraints)
        loaded: Self = _constrained_checkpointing.load(cls, blob, given)
        return loaded

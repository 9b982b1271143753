"""The faces of MABWiser and of river over `Bandit`: who uses either switches by changing an import."""

from collections.abc import Callable, Iterable
from typing import Any, NoReturn, Self

import numpy as np

from ._random import ArmId
from .arms import checked_ids
from .bandit import Bandit
from .models import Gaussian, Linear
from .policies import UCB1, AnyPolicy, EpsilonGreedy, LinThompson, LinUCB, Thompson
from .records import Decision

Binarizer = Callable[[Any, Any], Any]
_REAL = Gaussian(prior=(0.0, 1e-6, 1.0, 1.0))  # the weakest: its means are those of the rewards to one millionth


class LearningPolicy:
    """MABWiser's names of the rules: each makes one of ours; there is no `scale`, and l2_lambda must be > 0.

    Examples
    --------
    >>> from seedbed.bandits.adapters import LearningPolicy
    >>> LearningPolicy.LinUCB(alpha=0.5)
    LinUCB(kind='lin_ucb', alpha=0.5, model=Linear(n_features=1, ridge=1.0, kind='linear', half_life=None))
    """

    @staticmethod
    def EpsilonGreedy(epsilon: float = 0.1) -> AnyPolicy:
        """Choose the best mean, or with probability epsilon any arm."""
        return EpsilonGreedy(epsilon=epsilon, model=_REAL)

    @staticmethod
    def Random() -> AnyPolicy:
        """Choose any arm; the rewards are learnt all the same."""
        return EpsilonGreedy(epsilon=1.0, model=_REAL)

    @staticmethod
    def UCB1(alpha: float = 1.0) -> AnyPolicy:
        """Rank by mean plus `alpha sqrt(2 ln N / n)`."""
        return UCB1(alpha=alpha, model=_REAL)

    @staticmethod
    def ThompsonSampling(binarizer: Binarizer | None = None) -> tuple[AnyPolicy, Binarizer | None]:
        """Rank by draws from Beta(1 + successes, 1 + failures); `binarizer(arm, reward)` makes rewards 0 or 1."""
        if binarizer is not None and not callable(binarizer):
            raise ValueError(f"binarizer = {binarizer!r} cannot be called; pass a function of (arm, reward)")
        return Thompson(), binarizer

    @staticmethod
    def LinGreedy(epsilon: float = 0.1, l2_lambda: float = 1.0) -> AnyPolicy:
        """Choose the best prediction of a ridge regression an arm, or with probability epsilon any arm."""
        return EpsilonGreedy(epsilon=epsilon, model=Linear(n_features=1, ridge=l2_lambda))

    @staticmethod
    def LinTS(alpha: float = 1.0, l2_lambda: float = 1.0) -> AnyPolicy:
        """Rank by draws of the prediction, `N(x' beta, alpha^2 x' A^-1 x)`."""
        return LinThompson(alpha=alpha, model=Linear(n_features=1, ridge=l2_lambda))

    @staticmethod
    def LinUCB(alpha: float = 1.0, l2_lambda: float = 1.0) -> AnyPolicy:
        """Rank by prediction plus `alpha sqrt(x' A^-1 x)`."""
        return LinUCB(alpha=alpha, model=Linear(n_features=1, ridge=l2_lambda))

    @staticmethod
    def Softmax(tau: float = 1.0) -> NoReturn:
        """Refuse, as Popularity does: there is no such rule."""
        raise ValueError("there are no Softmax and Popularity; use ThompsonSampling() or EpsilonGreedy(epsilon=...)")

    Popularity = Softmax


class MAB:
    """MABWiser's `MAB`: fit a log of decisions `[B]`, rewards `[B]` and contexts `[B, d]`, predict the next arm.

    Calls and shapes are MABWiser's: an arm or a dict for one row of contexts, a list of them for several. But:

    - An unknown arm in `decisions` is an UnknownArmError, and nothing is learnt; MABWiser drops it silently.
    - An untried arm of UCB1 has the expectation infinity, so that it gets its chance; MABWiser's has 0. One of LinUCB
      and LinTS has the deviation `sqrt(x' x / l2_lambda)`; MABWiser's, `sqrt(l2_lambda x' x)`, is the same at 1 only.
      N in UCB1 counts the rewards of the arms that are there; MABWiser counts those of removed arms too.
    - Expectations of EpsilonGreedy and Random are mean rewards, 0 of an untried arm. Chance is in `predict` alone,
      which ranks by means shrunk to 0 by one millionth of a reward. Equals are ranked by a hash of their ids.
    - Rewards of ThompsonSampling may be anywhere in [0, 1]. `predict` works before any data, with contexts of any d.
    - Draws are keyed by `seed` and the number of fits. What to keep is `bandit.to_bytes()`.

    Parameters
    ----------
    arms
        Ids: strings or integers (`1` and `"1"` differ). That of a removed arm can never be added again.
    learning_policy
        Such as `LearningPolicy.UCB1(alpha=1)`, or any policy of ours.
    neighborhood_policy, seed, n_jobs, backend
        None; integer in [0, 2**64); the last two are not read: all is compiled and runs in the calling thread.

    Examples
    --------
    Arm a has mean 1/2 and n = 2 of N = 3: 1/2 + sqrt(2 ln 3 / 2) = 1.5481; b: 1 + sqrt(2 ln 3) = 2.4823.

    >>> from seedbed.bandits.adapters import MAB, LearningPolicy
    >>> mab = MAB(["a", "b"], LearningPolicy.UCB1(alpha=1))
    >>> mab.fit(decisions=["a", "a", "b"], rewards=[1, 0, 1])
    >>> {arm: round(value, 4) for arm, value in mab.predict_expectations().items()}
    {'a': 1.5481, 'b': 2.4823}
    """

    def __init__(
        self,
        arms: Iterable[ArmId],
        learning_policy: AnyPolicy | tuple[AnyPolicy, Binarizer | None],
        neighborhood_policy: None = None,
        seed: int = 123456,
        n_jobs: int = 1,
        backend: str | None = None,
    ) -> None:
        if neighborhood_policy is not None:
            raise ValueError("there are no neighborhood policies; LinUCB, LinTS and LinGreedy read contexts themselves")
        policy, binarizer = learning_policy if isinstance(learning_policy, tuple) else (learning_policy, None)
        self.bandit, self._binarizer = Bandit(policy, arms, seed=seed), binarizer

    @property
    def arms(self) -> list[ArmId]:
        """Ids of the arms, in the order in which they came."""
        return self.bandit.arms

    def add_arm(self, arm: ArmId, binarizer: Binarizer | None = None, scaler: None = None) -> None:
        """Add a new arm; a binarizer takes the place of the one before, for all arms."""
        if scaler is not None or (binarizer is not None and self.bandit.policy.kind != "thompson"):
            raise ValueError("scalers are not offered, and a binarizer is for ThompsonSampling only; leave them out")
        new = LearningPolicy.ThompsonSampling(binarizer)[1] or self._binarizer
        self.bandit.add_arms([arm])
        self._binarizer = new

    def remove_arm(self, arm: ArmId) -> None:
        """Remove an arm and what was learnt of it, for ever."""
        self.bandit.retire_arms([arm])

    def fit(self, decisions: Iterable[ArmId], rewards: Any, contexts: Any = None) -> None:
        """Forget what was learnt, and learn this; after an error, what was learnt before is still known."""
        self._learn(decisions, rewards, contexts, forget=True)

    def partial_fit(self, decisions: Iterable[ArmId], rewards: Any, contexts: Any = None) -> None:
        """Learn this beside what is known; after an error, nothing of it has been learnt."""
        self._learn(decisions, rewards, contexts, forget=False)

    def predict(self, contexts: Any = None) -> Any:
        """Choose an arm; with several contexts `[n, d]`, an arm for each, in a list."""
        arms = [decision.arms[0] for decision in self._decide(contexts, 1)]
        return arms[0] if len(arms) == 1 else arms

    def predict_expectations(self, contexts: Any = None) -> Any:
        """What arms are ranked by, a dict; for several contexts `[n, d]` a list of dicts. Draws differ in each call."""
        scores = [dict(zip(d.arms, d.scores, strict=True)) for d in self._decide(contexts, max(1, len(self.bandit)))]
        if self.bandit.policy.kind == "epsilon_greedy" and not self.bandit._is_contextual:
            scores = [dict(zip(self.arms, self.bandit.evidence(self.arms)[0].tolist(), strict=True))] * len(scores)
        dicts = [{arm: of[arm] for arm in self.arms if arm in of} for of in scores]
        return dicts[0] if len(dicts) == 1 else dicts

    def _learn(self, decisions: Iterable[ArmId], rewards: Any, contexts: Any, *, forget: bool) -> None:
        ids, rewards = checked_ids(decisions, "decisions", ordered=True), np.asarray(rewards)
        if self._binarizer is not None and rewards.shape == (len(ids),):  # another shape is refused by the update
            rewards = np.asarray([self._binarizer(*event) for event in zip(ids, rewards.tolist(), strict=True)])
        bandit, rows = self._ready(contexts, len(ids) > 1, forget)
        bandit.update(ids, rewards, context=rows)
        self.bandit = bandit

    def _decide(self, contexts: Any, k: int) -> list[Decision]:
        is_column = self.bandit.updates > 0 and getattr(self.bandit.policy.model, "n_features", 0) == 1
        self.bandit, rows = self._ready(contexts, is_column, False)
        if self.bandit._is_contextual:
            return self.bandit.select_many(k=k, contexts=rows)
        return self.bandit.select_many(k=k, n=1 if rows is None else len(rows))

    def _ready(self, contexts: Any, is_column: bool, forget: bool) -> tuple[Bandit, Any]:
        """The bandit to go on with, and the contexts, `[n, d]`; a plain sequence of them is one row or one column."""
        old, rows = self.bandit, None
        if contexts is not None:
            rows = np.asarray(contexts)
            rows = rows.reshape((-1, 1) if is_column else (1, -1)) if rows.ndim == 1 else rows
            if rows.ndim != 2 or rows.shape[1] == 0:
                raise ValueError(f"contexts must be rows of features, shape (n, d); got shape {rows.shape}")
        elif old._is_contextual:
            raise ValueError(f"{old.policy.kind!r} reads contexts; pass `contexts`, shape (n, d)")
        policy, model = old.policy, old.policy.model
        if rows is not None and isinstance(model, Linear) and model.n_features != rows.shape[1]:
            model = Linear(n_features=rows.shape[1], ridge=model.ridge, half_life=model.half_life)
            policy = policy.model_copy(update={"model": model})
        if not forget and (old.updates or policy is old.policy):
            return old, rows
        bandit = Bandit(policy, old.arms, seed=old.seed, replica=str(int(old.replica) + 1))  # so that draws are others
        bandit._arms.tombstones.update(old._arms.tombstones)  # removed ids stay refused
        bandit.pause_arms(old.paused)
        return bandit, rows


class RiverPolicy:
    """river's protocol: it stands where a `river.bandit.base.Policy` does, in `river.bandit.evaluate` too.

    Arms not seen before are added, as river does. A reward is one number in the support of the model, of weight `w`, in
    place of a `reward_obj`; there is no `burn_in`, as beliefs start from a prior. Rules that read contexts are refused.

    Parameters
    ----------
    policy
        The rule, with its model; by default Thompson(), for rewards in [0, 1].
    seed
        Integer in [0, 2**64).

    Examples
    --------
    >>> from seedbed.bandits.adapters import RiverPolicy
    >>> policy = RiverPolicy(seed=42)
    >>> policy.update(policy.pull(["a", "b"]), 1)
    >>> sorted(policy.ranking)
    ['a', 'b']
    """

    def __init__(self, policy: AnyPolicy | None = None, seed: int = 0) -> None:
        self.bandit = Bandit(Thompson() if policy is None else policy, seed=seed)
        if self.bandit._is_contextual:
            raise ValueError(f"{self.bandit.policy.kind!r} reads a context, which river's pull has not; use Bandit")

    @property
    def _n(self) -> int:
        return self.bandit.updates  # `river.bandit.evaluate_offline` reads it

    @property
    def ranking(self) -> list[ArmId]:
        """Ids of the arms seen, in descending order of their posterior means."""
        ids = self.bandit.arms
        return [ids[i] for i in np.argsort(-self.bandit.mean(ids), kind="stable").tolist()]

    def pull(self, arm_ids: Iterable[ArmId]) -> ArmId:
        """Choose one of the arms."""
        ids = list(dict.fromkeys(checked_ids(arm_ids, "arm_ids")))
        if new := [id for id in ids if id not in self.bandit._handle_of]:
            self.bandit.add_arms(new)
        return self.bandit.select(ids).arms[0]

    def update(self, arm_id: ArmId, reward: float, *, w: float = 1.0) -> None:
        """Learn a reward; after an error, nothing has changed."""
        if arm_id not in self.bandit._handle_of:
            Bandit(self.bandit.policy, [arm_id]).update(arm_id, reward, weight=w)  # a bad reward shows before it comes
            self.bandit.add_arms([arm_id])
        self.bandit.update(arm_id, reward, weight=w)

    def clone(self) -> Self:
        """Make one with the same policy and seed that has seen nothing."""
        return type(self)(self.bandit.policy, self.bandit.seed)

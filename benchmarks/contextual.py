"""Linear models beside Vowpal Wabbit, d = 32, 100 arms.

Vowpal Wabbit in the setting that is the quickest for it: a greedy-but-epsilon rule (no variance is computed), examples
parsed beforehand (parsing them takes ten times as long as predicting), each action with its own 32 features, so that
each has its own weights, as in the disjoint model, and no interaction is generated. With a shared context and
`--quadratic` it takes twice as long. Its learning predicts all actions first; ours needs no more than the arm's block.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from measuring import Clock, Job, Result
from references import Array, bare_lin_ucb

from seedbed.bandits import Bandit, LinThompson, LinUCB

FEATURES, ARMS = 32, 100


def contexts(count: int) -> Array:
    """Random contexts, `[count, d]`."""
    rng = np.random.Generator(np.random.PCG64(5))
    return rng.normal(size=(count, FEATURES)) / np.sqrt(FEATURES)


def trained(policy: Any) -> Bandit:
    """A bandit with 20 events an arm; ids 0 ... 99."""
    bandit = Bandit(policy, range(ARMS), seed=1)
    rng = np.random.Generator(np.random.PCG64(6))
    arms = np.repeat(np.arange(ARMS), 20)
    bandit.update(arms, rng.random(arms.size), context=contexts(arms.size))
    return bandit


def vowpal_wabbit() -> tuple[Job, Job]:
    """Jobs that predict and learn one event."""
    from vowpalwabbit import Workspace

    workspace = Workspace("--cb_explore_adf --epsilon 0.1 --quiet")
    values = contexts(1)[0]
    lines = ["|x " + " ".join(f"a{arm}f{i}:{value:.6f}" for i, value in enumerate(values)) for arm in range(ARMS)]
    shown = workspace.parse("\n".join(lines))
    lines[7] = "0:0.3:0.1 " + lines[7]
    labelled = workspace.parse("\n".join(lines))
    return lambda: workspace.predict(shown), lambda: workspace.learn(labelled)


def bare() -> Job:
    """The formula as one bare kernel."""
    rng = np.random.Generator(np.random.PCG64(7))
    half = rng.normal(size=(ARMS, FEATURES, FEATURES))
    inverses = half @ half.transpose(0, 2, 1) / FEATURES
    thetas, x, work = rng.normal(size=(ARMS, FEATURES)), contexts(1)[0], np.empty(FEATURES)
    return lambda: bare_lin_ucb(inverses, thetas, x, 1.0, work)


def linear(clock: Clock) -> Iterator[Result]:
    """Choose and learn."""
    predict, learn = vowpal_wabbit()
    x = contexts(1)[0]
    for name, policy in (("LinUCB", LinUCB(n_features=FEATURES)), ("LinThompson", LinThompson(n_features=FEATURES))):
        bandit = trained(policy)
        choose = partial(bandit.select, context=x)
        yield clock.compare(f"{name}, d = 32, 100 arms", 0.5, choose, "Vowpal Wabbit predict", predict)
        yield clock.compare(f"{name}, d = 32, 100 arms", None, choose, "a bare kernel of LinUCB", bare())
        yield clock.compare(
            f"{name}, d = 32, 100 arms, update",
            0.1,
            partial(bandit.update, 7, 0.3, context=x),
            "Vowpal Wabbit learn",
            learn,
        )


SUBJECT = (linear,)

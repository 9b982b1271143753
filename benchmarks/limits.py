"""Why some targets cannot hold here, each reason measured.

* Thompson with the gamma sampler, 10 arms, 0.2 x numpy: what stands around the draws, a kernel call, the key, two
  arrays and the record, already takes more; a decision that draws nothing would miss it too. Numpy's call returns an
  index and neither checks, records nor can be replayed.
* An update of LinUCB, 0.1 x Vowpal Wabbit's learn, 1.6 us: of our 1.9 us the call of a compiled function with these
  nine arguments takes 0.3, looking at what the caller passed 0.7, and the 1,600 multiplications and additions of both
  triangles, with the inverse made anew every 100 events, 0.9. Vowpal Wabbit learns from examples that were parsed
  beforehand, in a workspace that knows their shape, and keeps no inverse.
* A first decision loads scipy.linalg: numba does, with any compiled function at all.
* Thompson among 100,000 arms, single updates beside river's and batches over 1,000,000 arms stand at their limits: they
  hold in some runs and miss by a few per cent in others. So do ids from bytes, at 1.2 to 1.4 x: looking that no id and
  no uid stands twice, and that no size is declared beyond what is there, comes on top of decoding them.
* What constraints add to a decision among 1,000 arms, 30 us: the chain around it takes 7, a rule over viewer and arm 6,
  a budget 8, a price 12 to 15 (of which 5 are the priced choice itself), a floor 3: 35 to 38 where nothing else runs.
  Most is Python around the kernels: twenty calls, and the records of request, exposure and decision.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
from contextual import FEATURES, contexts, trained, vowpal_wabbit
from measuring import Clock, Result
from selecting import numpy_beta
from startup import modules

from seedbed.bandits import Decision, LinUCB
from seedbed.bandits._deciding import count
from seedbed.bandits._numba import kernel
from seedbed.bandits._random import fold_in
from seedbed.bandits._table import Handles, Table

BARE_KERNEL = """
from numba import njit
njit(lambda x: x + 1)(1.0)
"""


@kernel
def empty_choice(
    table: Table,
    handles: Handles,
    uids: Handles,
    key: int,
    version: float,
    now: float,
    x: float,
    y: float,
    positions: Handles,
    scores: Table,
) -> int:
    """Choose the first arm, as a rule's kernel is called."""
    positions[0], scores[0] = 0, 0.0
    return 0


@kernel
def empty_update(
    table: Table,
    blocks: Table,
    shared: Table,
    handle: int,
    reward: float,
    weight: float,
    context: Table,
    at: float,
    ridge: float,
) -> int:
    """Learn nothing, as a linear model's kernel is called."""
    return 0


def limits(clock: Clock) -> Iterator[Result]:
    """What stands around the work of a decision and of an update."""
    table, handles, uids = np.zeros((17, 11)), np.arange(10), np.arange(10)
    counter, names = np.zeros(1, np.int64), list("abcdefghij")

    def decide() -> Decision:
        n = count(counter, 1)
        key = fold_in(7, n)
        positions, scores = np.empty(1, np.int64), np.empty(1)
        empty_choice(table, handles, uids, key, 0.0, np.nan, 0.0, 0.0, positions, scores)
        arms = [names[position] for position in positions.tolist()]
        return Decision(("0", 0, n), key, 0, arms, handles[positions], scores.tolist(), {}, None, False)

    yield clock.compare(
        "a decision of 10 arms that draws nothing", None, decide, "numpy SFC64 beta + argmax", numpy_beta(10, "warm")
    )
    state, x = trained(LinUCB(n_features=FEATURES))._state, contexts(1)[0]
    call = partial(empty_update, *state, 7, 0.3, 1.0, x, np.nan, 1.0)
    yield clock.compare("a call of a kernel that learns nothing", None, call, "Vowpal Wabbit learn", vowpal_wabbit()[1])
    yield modules("modules that any numba function loads", BARE_KERNEL, {"scipy.linalg"})._replace(limit="", holds=None)


SUBJECT = (limits,)

"""The linear models by number, for loops that are compiled whole."""

from .._numba import kernel
from .._table import Handles, Table
from . import hybrid_linear, linear, shared_linear


@kernel
def fill_any(
    model: int,
    table: Table,
    blocks: Table,
    shared: Table,
    handles: Handles,
    contexts: Table,
    features: int,
    ridge: float,
    key: int,
    now: float,
    width: float,
    draws: bool,
    out: Table,
) -> int:
    """Run the `fill` of the model with this number."""
    if model == 3:
        return linear.fill(table, blocks, shared, handles, contexts, features, ridge, key, now, width, draws, out)
    if model == 4:
        return shared_linear.fill(
            table, blocks, shared, handles, contexts, features, ridge, key, now, width, draws, out
        )
    return hybrid_linear.fill(table, blocks, shared, handles, contexts, features, ridge, key, now, width, draws, out)

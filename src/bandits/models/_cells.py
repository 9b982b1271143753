"""The cells of the models of counts, by the model's number: what `_beliefs` and `_learning` need of them."""

from typing import Any

from .._numba import kernel
from .._table import Table
from . import beta, gamma_poisson, gaussian

BETA, GAUSSIAN = 0.0, 1.0  # the third is Gamma-Poisson


@kernel
def supports(model: float, reward: float) -> bool:
    """Whether the model accepts the reward."""
    if model == BETA:
        return beta.supports(reward)
    return gaussian.supports(reward) if model == GAUSSIAN else gamma_poisson.supports(reward)


@kernel
def add(model: float, table: Table, column: int, reward: float, weight: float) -> None:
    """Learn one event of a column; a negative weight takes it back."""
    if model == BETA:
        beta.add(table, column, reward, weight)
    elif model == GAUSSIAN:
        gaussian.add(table, column, reward, weight)
    else:
        gamma_poisson.add(table, column, reward, weight)


@kernel
def belief(model: float, table: Table, column: int, scale: float, pending: float) -> Any:
    """Parameters (p, q, r) of what is believed of a column's arm, in the model's family."""
    if model == BETA:
        return beta.belief(table, column, scale, pending)
    if model == GAUSSIAN:
        return gaussian.belief(table, column, scale, pending)
    return gamma_poisson.belief(table, column, scale, pending)


@kernel
def evidence(model: float, table: Table, column: int, scale: float, pending: float) -> Any:
    """Mean reward of a column's arm, the weight behind it, and the variance of a reward: without the prior."""
    if model == BETA:
        return beta.evidence(table, column, scale, pending)
    if model == GAUSSIAN:
        return gaussian.evidence(table, column, scale, pending)
    return gamma_poisson.evidence(table, column, scale, pending)

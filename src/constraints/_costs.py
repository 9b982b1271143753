"""What a unit costs: a number, an attribute of arms, or whether an arm is of a group."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..bandits._numba import kernel
from .attributes import Attributes

Columns = NDArray[np.int64]
Floats = NDArray[np.float64]
Groups = dict[str, str | tuple[str, ...]]  # attribute: name or names
Finite = Annotated[float, Field(allow_inf_nan=False)]
Cost = Finite | str | Groups


def costs_of(cost: Cost, attributes: Attributes, columns: Columns) -> Floats:
    """Return the cost of each column, `[C]`: the number, the attribute, or 1 where it is of all the groups.

    Raises
    ------
    ValueError
        Where a column has no number of the attribute, or a group's attribute holds numbers.
    """
    if isinstance(cost, str):
        return attributes.numbers(cost, columns)
    if not isinstance(cost, dict):
        return _filled(columns.size, cost)
    is_of = _filled(columns.size, 1.0)
    for name, given in cost.items():
        names = (given,) if isinstance(given, str) else given
        codes = attributes.values.get(name)
        if codes is None:
            return np.zeros(columns.size)
        if name not in attributes.codes_of:
            attributes.codes(name, columns)  # says what is wrong
        numbers = attributes.codes_of[name]
        known = np.array([numbers[each] for each in names if each in numbers], np.float64)
        keep_of(codes, columns, known, is_of)
    return is_of


def _filled(size: int, value: float) -> Floats:
    out = np.empty(size)
    out.fill(value)  # a third of the time of np.full
    return out


@kernel
def keep_of(values: Floats, columns: Columns, codes: Floats, is_of: Floats) -> None:
    """Write 0 for the columns whose value is none of the codes; NaN, for no value, equals nothing."""
    for i in range(columns.size):
        own = values[columns[i]]
        is_one = False
        for code in codes:
            is_one |= own == code
        is_of[i] *= 1.0 if is_one else 0.0  # without a branch, which is guessed wrong half of the time

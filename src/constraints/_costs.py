"""What a unit costs: a number, an attribute of arms, or whether an arm is of a group."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

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
        return np.full(columns.size, float(cost))
    is_of = np.ones(columns.size, np.bool_)
    for name, given in cost.items():
        names = (given,) if isinstance(given, str) else given
        codes = attributes.values.get(name)
        if codes is None:
            return np.zeros(columns.size)
        if name not in attributes.codes_of:
            attributes.codes(name, columns)  # says what is wrong
        own = codes[columns]  # NaN for none, which equals nothing
        known = [attributes.codes_of[name][each] for each in names if each in attributes.codes_of[name]]
        is_one = np.zeros(columns.size, np.bool_)
        for code in known:
            is_one |= own == code
        is_of &= is_one
    return is_of.astype(np.float64)

"""Attributes of arms: what rules, groups, costs and levels are written in. Numbers, or names coded as numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bandits._inputs import checked_float
from ..bandits._numba import kernel
from ..bandits.checkpoint import require, take

Columns = NDArray[np.int64]
Floats = NDArray[np.float64]
_LARGEST = 1e18  # of an attribute: products of them stay far from the end of floats


class Attributes:
    """Values of K arms by name: each attribute holds numbers (bools too) or names, never both.

    A name is coded by the order in which it came, from 1; an arm without a value has NaN, or code 0.
    """

    def __init__(self, capacity: int = 0) -> None:
        self.capacity = capacity
        self.values: dict[str, Floats] = {}
        self.codes_of: dict[str, dict[str, int]] = {}  # of the attributes that hold names
        self.version = 0  # of the values: another one after every change, so that what is derived from them can be kept

    def checked(self, values: Mapping[str, Any], size: int) -> dict[str, list[Any]]:
        """Return values for `size` arms, one for all or one each, checked; nothing is set.

        Raises
        ------
        ValueError
            For a value that is neither a finite number nor a string, or not of the attribute's sort.
        """
        checked = {}
        for name, value in values.items():
            if not isinstance(name, str):
                raise ValueError(f"an attribute is named by a string; got {name!r}")
            single = isinstance(value, str | bytes) or np.ndim(value) == 0
            given = [value] * size if single else (value.tolist() if isinstance(value, np.ndarray) else list(value))
            if len(given) != size:
                raise ValueError(
                    f"{name} must have one value for each of {size} arms, or one for all; got {len(given)}"
                )
            are_names = all(isinstance(entry, str) for entry in given)
            known = self.codes_of.get(name)
            if size and name in self.values and (known is not None) != are_names:
                odd = next(entry for entry in given if isinstance(entry, str) != (known is not None))
                raise ValueError(
                    f"{name} = {odd!r}: this attribute holds {'names' if known is not None else 'numbers'}"
                )
            checked[name] = given if are_names else [_number(entry, name) for entry in given]
        return checked

    def set(self, columns: Columns, checked: Mapping[str, list[Any]]) -> None:
        """Give columns their values, from `checked`."""
        self.version += 1
        for name, given in checked.items():
            if not given:
                continue
            if name not in self.values:
                self.values[name] = np.full(self.capacity, np.nan)
                if isinstance(given[0], str):
                    self.codes_of[name] = {}
            codes = self.codes_of.get(name)
            numbers = given if codes is None else [codes.setdefault(value, 1 + len(codes)) for value in given]
            self.values[name][columns] = numbers

    def fit(self, capacity: int) -> None:
        """Make room for arms."""
        if capacity == self.capacity:
            return
        for name, values in self.values.items():
            self.values[name] = np.full(capacity, np.nan)
            self.values[name][: values.size] = values
        self.capacity = capacity

    def forget(self, columns: Columns) -> None:
        """Take the values of columns that other arms own now."""
        self.version += 1
        for values in self.values.values():
            values[columns] = np.nan

    def size(self, name: str) -> int:
        """Number of codes that an attribute of names has, with 0 for none."""
        return 1 + len(self.codes_of.get(name, ()))

    def names(self, name: str) -> list[str]:
        """Names of an attribute by code; the first, "", is that of arms without one."""
        return ["", *self.codes_of.get(name, ())]

    def numbers(self, name: str, columns: Columns) -> Floats:
        """Return numbers of the columns, `[C]`.

        Raises
        ------
        ValueError
            Where a column has none, or the attribute holds names.
        """
        values = self.values.get(name)
        if not columns.size:  # nobody lacks it
            return np.empty(0)
        if values is None or name in self.codes_of:
            state = "holds names" if name in self.codes_of else "was never given"
            raise ValueError(f"attribute {name!r} {state}; give numbers with `describe(ids, {name}=...)`")
        found = np.empty(columns.size)
        missing = _gather(values, columns, found)
        if missing:
            raise ValueError(f"{missing} of the candidates have no {name!r}; give it with `describe(ids, {name}=...)`")
        return found

    def codes(self, name: str, columns: Columns) -> Columns:
        """Return codes of the columns, `[C]`, 0 for none.

        Raises
        ------
        ValueError
            Where the attribute holds numbers.
        """
        codes = np.zeros(columns.size, np.int64)
        values = self.values.get(name)
        if values is None:
            return codes
        if name not in self.codes_of:
            raise ValueError(f"attribute {name!r} holds numbers; groups are named by strings")
        _gather_codes(values, columns, codes)
        return codes

    def by_group(self, name: str, values: Any, otherwise: float) -> Floats:
        """Return a value for each code of an attribute, `[G]`: one for all, or by name; `otherwise` for the rest."""
        out = np.full(self.size(name), otherwise)
        if not isinstance(values, Mapping):
            out[1:] = values
            return out
        codes = self.codes_of.get(name, {})
        for each, value in values.items():
            if each in codes:
                out[codes[each]] = value
        return out

    def save(self, columns: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return plain values and arrays of a checkpoint."""
        arrays = {f"attribute.{name}": values[:columns].copy() for name, values in self.values.items()}
        return {"names": {name: list(codes) for name, codes in self.codes_of.items()}}, arrays

    @classmethod
    def load(cls, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], columns: int) -> Attributes:
        """Make attributes of what `save` returned.

        Raises
        ------
        CheckpointError
            For values that are none.
        """
        attributes = cls(columns)
        names = take(values, "names", lambda v: isinstance(v, dict), "a map")
        for key, array in arrays.items():
            if not key.startswith("attribute."):
                continue
            fits = array.dtype == np.float64 and array.shape == (columns,) and not (np.abs(array) > _LARGEST).any()
            require(fits, f"array {key!r} is of another type or shape, or not finite")
            attributes.values[key.removeprefix("attribute.")] = array
        for name, given in names.items():
            fits = isinstance(given, list) and all(type(entry) is str for entry in given)
            require(fits and len(set(given)) == len(given), f"the values of attribute {name!r} are no names")
            require(name in attributes.values, f"attribute {name!r} has no array")
            codes = attributes.values[name]
            known = codes[~np.isnan(codes)]
            in_range = bool(((known >= 1) & (known <= len(given)) & (known == np.floor(known))).all())
            require(in_range, f"attribute {name!r} has a value without a name")
            attributes.codes_of[name] = {value: 1 + i for i, value in enumerate(given)}
        return attributes


@kernel
def _gather(values: Floats, columns: Columns, out: Floats) -> int:
    """Write the values of columns; return how many have none."""
    missing = 0
    for i in range(columns.size):
        out[i] = values[columns[i]]
        missing += math.isnan(out[i])
    return missing


@kernel
def _gather_codes(values: Floats, columns: Columns, out: Columns) -> None:
    """Write the codes of columns, 0 for none."""
    for i in range(columns.size):
        code = values[columns[i]]
        out[i] = int(code) if code > 0.0 else 0  # NaN is not above


def _number(value: Any, name: str) -> float:
    number = checked_float(value, name)
    if not abs(number) <= _LARGEST:
        raise ValueError(f"{name} = {number} is not finite, or beyond +-{_LARGEST:g}")
    return number

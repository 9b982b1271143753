"""64-bit names: what users, items, decisions, orders and segments are to the kernels."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._random import ArmId, signed, uid64

Names = NDArray[np.int64]  # 64 bits, carried as int64


def names_of(ids: Iterable[ArmId]) -> NDArray[np.uint64]:
    """64-bit names of strings and integers, `[n]`: `1` and `"1"` differ.

    They are the names under which a bandit knows its arms. A decision's own name is its `key`.

    Examples
    --------
    >>> from seedbed.bandits.attribution import names_of
    >>> a, b = names_of([1, "1"])
    >>> bool(a == b)
    False
    """
    made = [_uid(each) for each in ids]
    return np.array(made, np.uint64)


def _uid(id: Any) -> int:
    if isinstance(id, bool) or not isinstance(id, str | int | np.integer):
        raise ValueError(f"id {id!r:.80} is neither a string nor an integer")
    try:
        return uid64(id if isinstance(id, str) else int(id))
    except (OverflowError, UnicodeEncodeError):
        raise ValueError(f"id {id!r:.80} has no name: integers have 64 bits, text is without surrogates") from None


def name_of(value: str | int) -> int:
    """One name as int64: text is named, an integer is a name."""
    return signed(uid64(value) if isinstance(value, str) else value)


def checked_names(values: Any, what: str, size: int | None = None) -> Names:
    """Names as int64 `[size]`, whatever integers or text they came as.

    Raises
    ------
    ValueError
        For what is neither, or of another size.
    """
    array = np.asarray(values)
    if array.ndim != 1 or (size is not None and array.size != size):
        wanted = "one entry for each event" + ("" if size is None else f", shape ({size},)")
        raise ValueError(f"{what} must have {wanted}; got shape {array.shape}")
    if array.dtype.kind == "U" or (array.dtype.kind == "O" and all(isinstance(each, str) for each in array)):
        array = names_of(array.tolist())
    if array.dtype.kind not in "iu" and array.size:
        raise ValueError(
            f"{what} must be 64-bit names or text; got {array.dtype} such as {array[0]!r:.80}; see `names_of`"
        )
    array = array.astype(np.uint64, copy=False) if array.dtype.kind == "u" else array.astype(np.int64, copy=False)
    return np.require(array, requirements=["C", "A", "W"]).view(np.int64)


def as_names(bits: Names) -> NDArray[np.uint64]:
    """Names as users see them."""
    return np.ascontiguousarray(bits).view(np.uint64)

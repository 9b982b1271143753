"""64-bit names: what users, items, decisions, orders and segments are to arrays, kernels and hash tables."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._random import ArmId, signed, uid64

DecisionId = tuple[str, int, int]
Names = NDArray[np.int64]  # 64 bits, carried as int64

_PERSON = b"seedbed-decision"
_SIZE = 8
_LIMIT = 1 << 63


def decision_name(decision_id: DecisionId) -> int:
    """64-bit name of a decision: BLAKE2b of its n, epoch and replica.

    Two of a billion decisions share a name with a probability of 3 %, two of a hundred million with 0.03 %.

    Parameters
    ----------
    decision_id
        (replica, epoch, n), as `Decision.decision_id` has it.

    Returns
    -------
    int in [0, 2**64)

    Raises
    ------
    ValueError
        For what is no id of a decision.

    Examples
    --------
    >>> from seedbed.bandits.attribution import decision_name
    >>> decision_name(("eu-3", 0, 7)) == decision_name(("eu-3", 7, 0))
    False
    """
    replica, epoch, n = checked_decision(decision_id)
    digest = blake2b(n.to_bytes(8, "little") + epoch.to_bytes(8, "little"), digest_size=_SIZE, person=_PERSON)
    digest.update(replica.encode())
    return int.from_bytes(digest.digest(), "little")


def decision_names(decision_ids: Iterable[DecisionId]) -> NDArray[np.uint64]:
    """64-bit names of decisions, uint64 `[B]`: see `decision_name`."""
    return np.fromiter((decision_name(decision_id) for decision_id in decision_ids), np.uint64)


def is_decision(value: Any) -> bool:
    """Whether a value is (replica, epoch, n), a tuple or a list, as it may come from anywhere."""
    if type(value) not in (tuple, list) or len(value) != 3 or type(value[0]) is not str:
        return False
    if not all(type(number) is int and 0 <= number < _LIMIT for number in value[1:]):
        return False
    try:
        value[0].encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return True


def checked_decision(decision_id: Any) -> DecisionId:
    """Return (replica, epoch, n) as a plain tuple, also of a record that bears it, or say that it is none."""
    decision_id = getattr(decision_id, "decision_id", decision_id)
    if not is_decision(decision_id):
        raise ValueError(
            f"decision_id = {decision_id!r:.200} is not (replica, epoch, n), a string and two integers of [0, 2**63); "
            "pass `Decision.decision_id`"
        )
    replica, epoch, n = decision_id
    return replica, epoch, n


def names_of(ids: Iterable[ArmId]) -> NDArray[np.uint64]:
    """64-bit names of strings and integers, `[n]`: `1` and `"1"` differ.

    They are the names under which a bandit knows its arms. Decisions are named by `decision_names`.

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
    if array.dtype.kind == "U" and not isinstance(values, np.ndarray):  # numpy makes text of numbers beside text
        other = next((each for each in values if not isinstance(each, str)), None)
        if other is not None:
            raise ValueError(f"{what} mix text and {other!r:.80}, whose names differ; name all by `names_of`")
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

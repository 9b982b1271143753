"""64-bit names of decisions, by which arrays and hash tables know them."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

DecisionId = tuple[str, int, int]

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
    """Return (replica, epoch, n) as a plain tuple, or say that it is none."""
    if not is_decision(decision_id):
        raise ValueError(
            f"decision_id = {decision_id!r:.200} is not (replica, epoch, n), a string and two integers of [0, 2**63); "
            "pass `Decision.decision_id`"
        )
    replica, epoch, n = decision_id
    return replica, epoch, n

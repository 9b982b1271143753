"""Keyed draws: a uniform is a function of (key, arm, lane), never the next number of a generator.

`key = fold_in(seed, replica, epoch, n)` belongs to decision n; `uniform(key, uid, lane)` to one arm in it. So a logged
decision replays alone, and adding or reordering candidates moves no other arm's draw.

Keys are uint64 values carried as int64: a Python int beyond 2**63 would make numba compile a second signature.
"""

from hashlib import blake2b
from typing import Any

import numpy as np

from ._numba import kernel

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_GOLDEN = 0x9E37_79B9_7F4A_7C15

ArmId = str | int


def signed(value: int) -> int:
    """Carry 64 bits as a Python int in int64's range."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def uid64(id: ArmId) -> int:
    """64-bit name of an arm: BLAKE2b of its type tag and id, so that `1` and `"1"` differ.

    Returns
    -------
    int in [0, 2**64)
    """
    tagged = b"s" + id.encode() if isinstance(id, str) else b"i" + int(id).to_bytes(8, "little", signed=True)
    return int.from_bytes(blake2b(tagged, digest_size=8).digest(), "little")


def base_key(seed: int, replica: str, epoch: int) -> int:
    """Key of a replica's epoch, from which the keys of its decisions are folded.

    Returns
    -------
    int in [-2**63, 2**63)
    """
    digest = blake2b(digest_size=8, person=b"seedbed-key")
    digest.update(seed.to_bytes(8, "little") + epoch.to_bytes(8, "little") + replica.encode())
    return signed(int.from_bytes(digest.digest(), "little"))


@kernel
def mix64(bits: Any) -> Any:
    """Mix a uint64: the finaliser of SplitMix64 (Stafford's variant 13)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return bits ^ (bits >> np.uint64(31))


@kernel
def fold_in(key: int, n: int) -> int:
    """Key n under `key`: `mix(mix(n + golden) ^ key)`."""
    folded = mix64(mix64(np.uint64(n) + np.uint64(_GOLDEN)) ^ np.int64(key).view(np.uint64))
    return int(np.uint64(folded).view(np.int64))


@kernel
def fold_in_many(key: int, first: int, out: Any) -> None:
    """Write the keys of the decisions `first ... first + n - 1`."""
    for i in range(out.size):
        out[i] = fold_in(key, first + i)


@kernel
def uniform(key: int, uid: Any, lane: int) -> float:
    """Uniform in the open interval (0, 1) for one arm (uid: uint64) and lane of a decision.

    52 bits and a half, exact in a float64: 53 would round its largest value to 1.
    """
    bits = mix64(mix64(np.int64(key).view(np.uint64) ^ np.uint64(uid)) + np.uint64(lane) * np.uint64(_GOLDEN))
    return float((np.float64(bits >> np.uint64(12)) + 0.5) * 2.0**-52)

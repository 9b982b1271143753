"""Is a body well-formed MessagePack? Seen before anything is made of it, so that no declared length takes memory."""

from typing import Any

import numpy as np

from ._numba import kernel

MAX_DEPTH = 16  # arrays and maps inside each other; what is written has 5
FAULTS = ("", "it ends early", "a type that checkpoints do not hold", "nested too deep", "followed by other values")
_CUT, _UNKNOWN, _DEEP, _MORE = 1, 2, 3, 4


@kernel
def _length(body: Any, at: int, size: int) -> int:
    """The big-endian length of `size` bytes, or -1 where the body ends before."""
    if size > body.size - at:
        return -1
    length = 0
    for i in range(size):
        length = length << 8 | int(body[at + i])
    return length


@kernel
def first_fault(body: Any) -> int:
    """Look for one whole value, uint8 `[n]`; return 0, or which of FAULTS there is.

    Each element of what passes has a byte of its own: what is made of n bytes is no larger than a multiple of n.
    """
    left = np.zeros(MAX_DEPTH + 1, np.int64)  # values still to come, by depth
    left[0] = 1
    depth, at = 0, 0
    while depth >= 0:
        if left[depth] == 0:
            depth -= 1
            continue
        left[depth] -= 1
        if at >= body.size:
            return _CUT
        tag = int(body[at])
        at += 1
        items, skipped, size = -1, 0, 0  # elements of a container; bytes of another value; bytes of a length
        if tag <= 0x7F or tag >= 0xE0 or tag in (0xC0, 0xC2, 0xC3):
            continue
        if tag <= 0x8F:
            items = 2 * (tag & 0x0F)
        elif tag <= 0x9F:
            items = tag & 0x0F
        elif tag <= 0xBF:
            skipped = tag & 0x1F
        elif tag == 0xCA:
            skipped = 4
        elif tag == 0xCB:
            skipped = 8
        elif 0xCC <= tag <= 0xD3:
            skipped = 1 << (tag & 3)
        elif 0xC4 <= tag <= 0xC6 or 0xD9 <= tag <= 0xDB:
            size = 1 << (tag - 0xC4 if tag <= 0xC6 else tag - 0xD9)
            skipped = _length(body, at, size)
        elif tag >= 0xDC:
            size = 4 if tag & 1 else 2
            items = _length(body, at, size)
            if items < 0:
                return _CUT
            items *= 2 if tag >= 0xDE else 1
        else:
            return _UNKNOWN
        at += size
        if skipped < 0 or max(items, skipped) > body.size - at:
            return _CUT
        at += skipped
        if items >= 0:
            if depth == MAX_DEPTH:
                return _DEEP
            depth += 1
            left[depth] = items
    return 0 if at == body.size else _MORE

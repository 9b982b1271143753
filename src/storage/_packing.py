"""Plain data and arrays of numbers to bytes and back. Nothing that executes what it reads."""

from collections.abc import Iterable, Mapping, Set
from typing import Any

import msgpack
import numpy as np

_ARRAY = 1  # dtype, shape, little-endian bytes
_KINDS = "biuf"


def pack(value: Any) -> bytes:
    """Write a value: None, a number, text, bytes, an array, or a list, set or map of such.

    Raises
    ------
    ValueError
        For anything else, and for an integer beyond 64 bits.
    """
    try:
        packed: bytes = msgpack.packb(value, default=_plain, unicode_errors="surrogatepass")
    except (TypeError, OverflowError) as error:
        raise ValueError(f"only numbers, text, arrays and lists of these can be journaled: {error}") from None
    return packed


def unpack(packed: bytes) -> Any:
    """Read a value. Arrays are writable copies; of a set a map is left, of any other iterable a list."""
    return msgpack.unpackb(packed, strict_map_key=False, unicode_errors="surrogatepass", ext_hook=_array)


def _plain(value: Any) -> Any:
    if isinstance(value, np.longdouble):  # wider than can be written, and than anything reckons with
        return float(value)
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.dtype.kind not in _KINDS or array.itemsize > 8:
            return array.tolist()
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        return msgpack.ExtType(_ARRAY, msgpack.packb([little.dtype.str, array.shape, little.tobytes()]))
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return dict.fromkeys(value)  # which is no more ordered for those who ask
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{value!r:.80} is a {type(value).__name__}")


def _array(code: int, data: bytes) -> Any:
    dtype, shape, numbers = msgpack.unpackb(data)
    if code != _ARRAY or np.dtype(dtype).kind not in _KINDS:
        raise ValueError(f"extension {code} of dtype {dtype} is unknown")
    return np.frombuffer(numbers, dtype).astype(np.dtype(dtype).newbyteorder("=")).reshape(shape)

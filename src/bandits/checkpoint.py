"""Checkpoints: named arrays and plain values to bytes and back. Nothing that executes what it reads.

Layout: magic (8 bytes), format (uint32 little-endian), body length (uint64 little-endian), body, BLAKE2b-128 of all
before it. The body is one msgpack map: `kind` (str), `config` (map), `values` (map) and `arrays`, a map from name to
[dtype, shape, little-endian bytes]. All of it is specified in docs/checkpoint-format.md.
"""

import math
import struct
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple, NoReturn

import msgpack
import numpy as np
from numpy.typing import NDArray

from ._msgpack import FAULTS, first_fault
from .errors import CheckpointError

MAGIC = b"SEEDBED\x1a"
FORMAT = 3
_HEADER = struct.Struct("<8sIQ")
_CHECKSUM = 16
_DTYPES = {"<f8", "<i8", "<u8", "|u1", "|b1"}
_MAX_DIMENSIONS = 2
_MAX_LENGTH = 2**31


Migration = Callable[[dict[str, Any]], None]  # changes config, values and arrays in place


class Checkpoint(NamedTuple):
    """What a checkpoint holds."""

    kind: str
    config: dict[str, Any]
    values: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def pack(checkpoint: Checkpoint) -> bytes:
    """Write a checkpoint as bytes; the same content gives the same bytes."""
    arrays = {}
    for name, array in checkpoint.arrays.items():
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        if little.dtype.str not in _DTYPES:
            raise TypeError(f"array {name!r} has dtype {array.dtype}, which checkpoints do not hold")
        arrays[name] = [little.dtype.str, list(little.shape), little.reshape(-1).view(np.uint8).data]
    body = msgpack.packb(
        {"kind": checkpoint.kind, "config": checkpoint.config, "values": checkpoint.values, "arrays": arrays}
    )
    head = _HEADER.pack(MAGIC, FORMAT, len(body))
    digest = blake2b(head, digest_size=_CHECKSUM)
    digest.update(body)
    return b"".join((head, body, digest.digest()))


def config_of(blob: bytes) -> dict[str, Any]:
    """Kind and configuration of a checkpoint of any kind, and those of the bandit inside it, where there is one.

    Raises
    ------
    CheckpointError
        For anything but a whole, unaltered checkpoint.
    """
    checkpoint = unpack(blob, None)
    config: dict[str, Any] = {"kind": checkpoint.kind, "config": checkpoint.config}
    inner = checkpoint.values.get("bandit")
    return config | {"bandit": config_of(inner)} if isinstance(inner, bytes) else config


def unpack(
    blob: bytes, kind: str | tuple[str, ...] | None, migrations: Mapping[int, Migration] | None = None
) -> Checkpoint:
    """Read a whole, unaltered checkpoint of one kind, of one of several, or of any. Arrays are writable copies.

    Content of an older format f is brought to f + 1 by `migrations[f]`, where that kind changed.

    Raises
    ------
    CheckpointError
        For anything else; nothing was loaded.
    """
    if not isinstance(blob, bytes | bytearray | memoryview):
        _refuse(f"bytes are needed, not {type(blob).__name__}")
    body, version = _checked_body(memoryview(blob).toreadonly())
    fault = first_fault(np.frombuffer(body, np.uint8)) if len(body) else 1
    if fault:
        _refuse(f"the body is not msgpack ({FAULTS[fault]})")
    try:
        fields = msgpack.unpackb(body, strict_map_key=False, object_pairs_hook=_map)
    except (ValueError, TypeError) as error:
        _refuse(f"the body cannot be decoded ({error})")
    if not isinstance(fields, dict) or set(fields) != {"kind", "config", "values", "arrays"}:
        _refuse("the body is not a map of kind, config, values and arrays")
    if not isinstance(fields["kind"], str):
        _refuse("its kind is not a string")
    if kind is not None and fields["kind"] not in (kind if isinstance(kind, tuple) else (kind,)):
        _refuse(f"it is of kind {fields['kind']!r:.80}, not {kind!r}")
    for part in ("config", "values", "arrays"):
        if not isinstance(fields[part], dict):
            _refuse(f"{part} is not a map")
    arrays = {name: _array(name, packed) for name, packed in fields["arrays"].items()}
    fields["arrays"] = arrays
    for old in range(version, FORMAT):
        if migrations and old in migrations:
            migrations[old](fields)
    return Checkpoint(fields["kind"], fields["config"], fields["values"], fields["arrays"])


def _checked_body(blob: memoryview) -> tuple[memoryview, int]:
    if len(blob) < _HEADER.size + _CHECKSUM:
        _refuse(f"{len(blob)} bytes are fewer than the {_HEADER.size + _CHECKSUM} of an empty one: it is truncated")
    magic, version, length = _HEADER.unpack_from(blob)
    if magic != MAGIC:
        _refuse(f"it starts with {magic!r}, not {MAGIC!r}")
    if version > FORMAT:
        _refuse(f"its format {version} is newer than {FORMAT}, the newest read here")
    if version < 1:
        _refuse(f"its format {version} never existed")
    end = _HEADER.size + length
    if end + _CHECKSUM != len(blob):
        state = "truncated" if end + _CHECKSUM > len(blob) else "followed by other bytes"
        _refuse(f"it declares {end + _CHECKSUM} bytes and has {len(blob)}: it is {state}")
    if blake2b(blob[:end], digest_size=_CHECKSUM).digest() != bytes(blob[end:]):
        _refuse("its checksum does not match: bytes were altered")
    return blob[_HEADER.size : end], version


def _map(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    if not all(type(name) is str for name, _ in pairs):
        raise ValueError("a name in it is not a string")
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name in it stands twice")
    return fields


def _array(name: str, packed: Any) -> NDArray[Any]:
    name = name[:80]
    if not isinstance(packed, list) or len(packed) != 3:
        _refuse(f"array {name!r} is not [dtype, shape, bytes]")
    dtype, shape, data = packed
    if not isinstance(dtype, str) or dtype not in _DTYPES or not isinstance(data, bytes) or not isinstance(shape, list):
        _refuse(f"array {name!r} is not [dtype, shape, bytes] of a known dtype")
    if len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and 0 <= n < _MAX_LENGTH for n in shape):
        _refuse(f"array {name!r} has an impossible shape")
    if math.prod(shape) * np.dtype(dtype).itemsize != len(data):
        _refuse(f"array {name!r} of shape {shape} and dtype {dtype} has {len(data)} bytes")
    native = np.dtype(dtype).newbyteorder("=")
    return np.frombuffer(data, dtype).reshape(shape).astype(native)


def require(condition: bool, what: str) -> None:
    """Refuse a checkpoint whose content contradicts itself."""
    if not condition:
        _refuse(what)


def take(mapping: Mapping[str, Any], name: str, check: Callable[[Any], bool], what: str) -> Any:
    """Take one value of a checkpoint, or refuse it: missing or not `what`."""
    if name not in mapping:
        _refuse(f"{name} is missing")
    value = mapping[name]
    if not check(value):
        shown = f" = {value!r:.80}" if isinstance(value, str | int | float | None) else f" of {type(value).__name__}"
        _refuse(f"{name}{shown} is not {what}")
    return value


def is_count(value: Any, largest: int = 2**53) -> bool:
    """Whether a value is a whole number that a float holds exactly, not negative."""
    return type(value) is int and 0 <= value <= largest


def _refuse(why: str) -> NoReturn:
    raise CheckpointError(f"this checkpoint cannot be read: {why}; nothing was loaded")

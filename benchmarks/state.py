"""A checkpoint of 1,000,000 arms: arrays and ids apart."""

from collections.abc import Iterator
from hashlib import blake2b

import msgpack
from measuring import Clock, Result, result
from references import million

from seedbed.bandits import Bandit
from seedbed.bandits.checkpoint import Checkpoint, pack, unpack

COPY = "copy + checksum"


def checkpoint(clock: Clock) -> Iterator[Result]:
    """Times of the arrays, and of the whole less its arrays."""
    bandit, names = million()
    blob = bandit.to_bytes()
    arrays = unpack(blob, "bandit").arrays
    only_arrays = Checkpoint("bandit", {}, {}, arrays)
    packed, ids = pack(only_arrays), msgpack.packb(names)

    def copy() -> None:
        for array in arrays.values():
            blake2b(array.copy().data, digest_size=16)

    def decode() -> dict[str, int]:
        decoded = msgpack.unpackb(ids)
        return dict(zip(decoded, range(len(decoded)), strict=True))

    jobs = (
        bandit.to_bytes,
        lambda: pack(only_arrays),
        copy,
        lambda: msgpack.packb(names),
        lambda: Bandit.from_bytes(blob),
        lambda: unpack(packed, "bandit"),
        decode,
    )
    saved, arrays_saved, copied, ids_saved, loaded, arrays_loaded, ids_loaded = clock.least(*jobs)
    name = "checkpoint of 1,000,000 arms, "
    yield result(name + "arrays to bytes", arrays_saved, COPY, copied, limit=3.0)
    yield result(name + "arrays from bytes", arrays_loaded, COPY, copied, limit=3.0)
    yield result(name + "all but the arrays to bytes", saved - arrays_saved, "msgpack of the ids", ids_saved)
    yield result(
        name + "all but the arrays from bytes",
        loaded - arrays_loaded,
        "decoding + dict(zip(...))",
        ids_loaded,
        limit=1.3,
    )
    size, text = len(blob) / len(names), len(ids) / len(names)
    parts = ", ".join(f"{key} {array.nbytes / len(names):.3g}" for key, array in arrays.items() if array.size > 99)
    yield Result(name + "bytes an arm", f"{size:.1f}", f"ids {text:.1f}, {parts}", "", "48", size <= 48.0)


SUBJECT = (checkpoint,)

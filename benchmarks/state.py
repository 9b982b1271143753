"""A checkpoint of 1,000,000 arms: arrays and ids apart."""

import pickle
from collections.abc import Iterator
from functools import partial
from hashlib import blake2b

import msgpack
import numpy as np
from measuring import Clock, Result, result
from references import million, warm_bandit

from seedbed.bandits import Bandit, Thompson
from seedbed.bandits._arms_checkpointing import load_arms
from seedbed.bandits.checkpoint import Checkpoint, pack, unpack

COPY, DECODE = "copy + checksum", "decoding + dict(zip(...))"


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

    values = unpack(blob, "bandit").values
    packed_ids = pack(Checkpoint("bandit", {}, values, {}))

    def arms() -> None:
        load_arms(unpack(packed_ids, "bandit").values, arrays)

    jobs = (
        bandit.to_bytes,
        lambda: pack(only_arrays),
        copy,
        lambda: msgpack.packb(names),
        lambda: Bandit.from_bytes(blob),
        lambda: unpack(packed, "bandit"),
        arms,
        decode,
    )
    saved, arrays_saved, copied, ids_saved, loaded, arrays_loaded, arms_loaded, ids_loaded = clock.least(*jobs)
    name = "checkpoint of 1,000,000 arms, "
    yield result(name + "arrays to bytes", arrays_saved, COPY, copied, limit=3.0)
    yield result(name + "arrays from bytes", arrays_loaded, COPY, copied, limit=3.0)
    yield result(name + "all but the arrays to bytes", saved - arrays_saved, "msgpack of the ids", ids_saved)
    yield result(name + "ids and their dict from bytes", arms_loaded, DECODE, ids_loaded, limit=1.3)
    yield result(name + "all from bytes, tables made too", loaded, DECODE + ", " + COPY, ids_loaded + copied)
    size, text = len(blob) / len(names), len(ids) / len(names)
    parts = ", ".join(f"{key} {array.nbytes / len(names):.3g}" for key, array in arrays.items() if array.size > 99)
    yield Result(name + "bytes an arm", f"{size:.1f}", f"ids {text:.1f}, {parts}", "", "48", size <= 48.0)


def beside_pickle(clock: Clock) -> Iterator[Result]:
    """Beside pickle, which checks nothing and runs what it reads: of the same state, and of a peer."""
    bandit, names = million()
    blob = bandit.to_bytes()
    state = {name: row for row, name in enumerate(names)}, unpack(blob, "bandit").arrays
    pickled = pickle.dumps(state, protocol=5)
    jobs = (
        bandit.to_bytes,
        partial(pickle.dumps, state, 5),
        partial(Bandit.from_bytes, blob),
        partial(pickle.loads, pickled),
    )
    saved, dumped, loaded, undumped = clock.least(*jobs)
    name, peer = "checkpoint of 1,000,000 arms, ", "pickle of the dict and the arrays"
    yield result(name + "to bytes", saved, peer, dumped)
    yield result(name + "from bytes", loaded, peer, undumped)
    yield Result(
        name + "bytes", f"{len(blob):,}", f"{peer}: {len(pickled):,}", f"{len(blob) / len(pickled):.3g}", "", None
    )

    from mabwiser.mab import MAB, LearningPolicy

    arms = 10_000
    mab = MAB(list(range(arms)), LearningPolicy.ThompsonSampling(), seed=1)
    mab.fit(np.repeat(np.arange(arms), 2), np.tile([0, 1], arms))
    small, theirs = warm_bandit(Thompson(), arms), pickle.dumps(mab)
    ours = small.to_bytes()
    jobs = small.to_bytes, partial(pickle.dumps, mab), partial(Bandit.from_bytes, ours), partial(pickle.loads, theirs)
    saved, dumped, loaded, undumped = clock.least(*jobs)
    name, peer = "checkpoint of 10,000 arms, ", "pickle of MABWiser's MAB"
    yield result(name + "to bytes", saved, peer, dumped)
    yield result(name + "from bytes", loaded, peer, undumped)
    yield Result(
        name + "bytes", f"{len(ours):,}", f"{peer}: {len(theirs):,}", f"{len(ours) / len(theirs):.3g}", "", None
    )


SUBJECT = (checkpoint, beside_pickle)

#!/usr/bin/env python3
"""Fuzz the reading of checkpoints, guided by coverage: `python benchmarks/fuzz_checkpoint.py FOUND tests/corpus`.

FOUND is an empty folder for what is found. Options are libFuzzer's: `-max_total_time=300` stops after five minutes, and
`-merge=1 KEPT FOUND tests/corpus` keeps what adds coverage. Needs the extra `fuzz` (atheris).

An input is a byte (which kind, which format, who is told) and a body; its checksums are repaired, as no mutation would
find them.
Kernels run uncompiled, so that their branches count as well.
"""

import os
import sys

os.environ["NUMBA_DISABLE_JIT"] = "1"

import atheris

with atheris.instrument_imports(include=["seedbed"]):
    from seedbed.allocators import ColdStartAllocator  # noqa: F401  (imported here to be instrumented)

import corruption
import numpy as np

from seedbed.bandits import CheckpointError
from seedbed.bandits.errors import MergeError


def read(data: bytes) -> None:
    """Read an input; what is read must be written and read again the same."""
    if not data:
        return
    loader, blob = corruption.from_input(data)
    try:
        thing = loader.from_bytes(blob)
    except (CheckpointError, MergeError):
        return
    saved = thing.to_bytes()
    assert type(thing).from_bytes(saved).to_bytes() == saved


def mutate(data: bytes, largest: int, seed: int) -> bytes:
    """Change the tree, as `corruption` does, or bytes, as libFuzzer does."""
    rng = np.random.default_rng(seed)
    if data and rng.random() < 0.5:
        try:
            how = list(corruption.TREES)[int(rng.integers(len(corruption.TREES)))]
            _, blob = corruption.from_input(data)
            changed = corruption.corrupt(how, rng, blob, blob)
            return (data[:1] + changed[corruption.HEAD : -corruption.CHECKSUM])[:largest]
        except (ValueError, IndexError, KeyError, TypeError):  # the input is no tree any more
            pass
    return bytes(atheris.Mutate(data, largest))


def main() -> None:
    """Hand over to libFuzzer."""
    atheris.Setup(sys.argv, read, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

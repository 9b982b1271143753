"""A process that dies at any instant leaves the newest generation or the one before it, and no lock."""

import inspect
import itertools
import subprocess
import time

import numpy as np
import pytest


def blob_of(version):
    return version.to_bytes(8) * 20_000


WRITE = f"""
{inspect.getsource(blob_of)}
version = store.list().get("a", 0)
while True:
    version = store.put("a", blob_of(version + 1), expected=version)
    print(version, flush=True)
"""

DIE_BEFORE_STEP = """
import os, sys
steps = int(sys.stdin.read())
def count(event, arguments):
    global steps
    if event == "open" or event.startswith(("os.", "fcntl.")):
        steps -= 1
        if steps == 0:
            os._exit(9)
sys.addaudithook(count)
store.put("a", b"new")
"""


@pytest.mark.parametrize("kind", ["folder", "sqlite"])
def test_ten_kills_of_a_writer(open_store, start, kind):
    """What was acknowledged is there; at most the put that was cut short comes on top."""
    store = open_store(kind)
    acknowledged = 0
    for pause in np.random.Generator(np.random.PCG64(7)).uniform(0.0, 0.03, 10):
        writer = start(kind, WRITE, stdout=subprocess.PIPE)
        acknowledged = int(writer.stdout.readline())
        time.sleep(pause)
        writer.kill()
        acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
        store = open_store(kind)
        blob, version = store.get("a")
        assert version in (acknowledged, acknowledged + 1)
        assert blob == blob_of(version)
        if version > 1:
            assert store.get("a", previous=True) == (blob_of(version - 1), version - 1)
        assert store.put("a", blob_of(version + 1), expected=version) == version + 1


def test_death_before_each_step_of_a_put(open_store, start, tmp_path):
    """Before each file that is opened, named or removed, and each change of the lock."""
    store = open_store("folder")
    store.put("a", b"first")
    left = set()
    for step in itertools.count(1):
        before = store.put("a", b"old")
        writer = start("folder", DIE_BEFORE_STEP, stdin=subprocess.PIPE)
        writer.communicate(str(step))
        blob, version = store.get("a")
        assert (blob, version - before) in [(b"old", 0), (b"new", 1)]
        assert store.get("a", previous=True).version == version - 1
        assert store.list() == {"a": version}
        left.add((blob, (tmp_path / "folder" / "writing").exists()))
        store.put("a", b"next", expected=version)
        assert not (tmp_path / "folder" / "writing").exists()
        assert len(list((tmp_path / "folder" / "a+").iterdir())) == 2
        if writer.returncode == 0:
            break
    assert step > 8
    assert left == {(b"old", False), (b"old", True), (b"new", False)}


def test_death_before_each_step_of_the_first_put_of_a_key(open_store, start):
    store = open_store("folder")
    for step in itertools.count(1):
        writer = start("folder", DIE_BEFORE_STEP.replace('"a"', f'"key-{step}"'), stdin=subprocess.PIPE)
        writer.communicate(str(step))
        found = store.get(f"key-{step}")
        assert found in (None, (b"new", 1))
        assert store.list().get(f"key-{step}", 0) == (found.version if found else 0)
        if writer.returncode == 0:
            break
        assert store.put(f"key-{step}", b"", expected=found.version if found else 0)
    assert step > 5

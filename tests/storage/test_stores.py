"""One contract for all stores."""

import inspect
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from checks import run_together

from seedbed.storage import ConflictError, Versioned

KINDS = ["memory", "folder", "sqlite", "redis"]
LASTING = KINDS[1:]


@pytest.fixture(autouse=True)
def switch_often():
    """Let threads interrupt each other between almost any two bytecodes."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=KINDS)
def store(request, open_store):
    return open_store(request.param)


def increment(store, times=25):
    done = 0
    while done < times:
        blob, version = store.get("counter") or (b"0", 0)
        with suppress(ConflictError):
            store.put("counter", str(int(blob) + 1).encode(), expected=version)
            done += 1


def test_a_key_and_its_generations(store):
    assert store.get("a") is store.get("a", previous=True) is None
    assert store.put("a", b"one") == 1
    assert store.get("a") == Versioned(b"one", 1)
    assert store.get("a", previous=True) is None
    for version in range(2, 6):
        assert store.put("a", bytes([version])) == version
        assert store.get("a", previous=True).version == version - 1
    assert store.get("a") == Versioned(b"\x05", 5)
    assert store.get("a", previous=True) == Versioned(b"\x04", 4)
    assert store.get("b") is None


def test_compare_and_set(store):
    with pytest.raises(ConflictError, match="key 'a' is at version 0, not 1: someone wrote meanwhile; read it again"):
        store.put("a", b"early", expected=1)
    assert store.get("a") is None
    assert store.list() == {}
    assert store.put("a", b"one", expected=0) == 1
    assert store.put("a", b"two", expected=1) == 2
    for stale in (0, 1, 3):
        with pytest.raises(ConflictError, match=f"key 'a' is at version 2, not {stale}"):
            store.put("a", b"stale", expected=stale)
    assert store.get("a") == Versioned(b"two", 2)
    assert store.get("a", previous=True) == Versioned(b"one", 1)


def test_versions_of_ten_and_more_are_numbers(store):
    for version in range(1, 13):
        assert store.put("a", str(version).encode(), expected=version - 1) == version
    assert store.get("a") == Versioned(b"12", 12)
    assert store.get("a", previous=True) == Versioned(b"11", 11)
    assert store.list() == {"a": 12}


def test_list_by_prefix(store):
    assert store.list() == {}
    for key in ("rooms/1", "rooms/2", "rooms/2", "rooms", "rooms/1/x", "Rooms/1", "other"):
        store.put(key, key.encode())
    assert store.list() == {"rooms/1": 1, "rooms/2": 2, "rooms": 1, "rooms/1/x": 1, "Rooms/1": 1, "other": 1}
    assert store.list("rooms/") == {"rooms/1": 1, "rooms/2": 2, "rooms/1/x": 1}
    assert store.list("rooms/1") == {"rooms/1": 1, "rooms/1/x": 1}
    assert store.list("rooms/*") == store.list("ro_ms") == store.list("%") == {}


KEYS = ["a", "A", "a/b", "a,b".replace(",", "-"), "a.blob", "lock", "writing", "...", "a./.b", "-", "_", "0", "x" * 120]
ODD_KEYS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/.",
    "../a",
    "a/../b",
    "a b",
    "a\n",
    "ä",
    "a:b",
    "a\\b",
    "{a}",
    "a+",
]


def test_keys_do_not_meet(store):
    keys = [*KEYS, "X" * 120]
    for key in keys:
        store.put(key, key.encode(), expected=0)
    assert store.list() == dict.fromkeys(keys, 1)
    assert all(store.get(key).blob == key.encode() for key in keys)


@pytest.mark.parametrize("key", [*ODD_KEYS, "x" * 121, None, 1, b"a"])
def test_odd_keys_are_refused(store, key):
    with pytest.raises(ValueError, match="is not a key: segments of letters"):
        store.put(key, b"")
    with pytest.raises(ValueError, match="is not a key: segments of letters"):
        store.get(key)
    assert store.list() == {}


def test_what_is_no_blob_or_version_is_refused(store):
    for blob in ("text", 5, None, bytearray(b"may change later")):
        with pytest.raises(TypeError, match="blob must be bytes, not"):
            store.put("a", blob)
    for expected in (-1, 1.0, "1", True):
        with pytest.raises(ValueError, match="is not a version"):
            store.put("a", b"", expected=expected)
    assert store.list() == {}


@pytest.mark.parametrize("blob", [b"", b"\x00", bytes(range(256)), bytes(range(250)) * 40_000], ids=len)
def test_blobs_of_any_size(store, blob):
    store.put("a", b"before")
    store.put("a", blob)
    assert store.get("a") == (blob, 2)
    store.put("a", b"after")
    assert store.get("a", previous=True) == (blob, 2)


def test_eight_threads_lose_nothing(store):
    run_together(*[lambda: increment(store)] * 8)
    assert store.get("counter") == Versioned(b"200", 200)
    assert store.get("counter", previous=True) == Versioned(b"199", 199)


def test_only_one_of_eight_creates_a_key(store):
    made = []

    def create(name):
        with suppress(ConflictError):
            made.append((store.put("a", name, expected=0), name))

    run_together(*[lambda name=bytes([n]): create(name) for n in range(8)])
    assert [(1, store.get("a").blob)] == made


def test_readers_beside_a_writer_see_whole_generations_in_order(store):
    blob_of = {version: str(version).encode() * 1_000 for version in range(1, 201)}
    store.put("a", blob_of[1])
    store.put("a", blob_of[2])
    done = threading.Event()

    def write():
        for version in range(3, 201):
            store.put("a", blob_of[version], expected=version - 1)
        done.set()

    def read(previous):
        last = 0
        while not done.is_set():
            listed = store.list()["a"]
            blob, version = store.get("a", previous=previous)
            assert blob == blob_of[version]
            assert version >= max(last, listed - previous)
            last = version

    try:
        run_together(write, lambda: read(False), lambda: read(True))
    finally:
        done.set()


@pytest.mark.parametrize("kind", LASTING)
def test_reopening(open_store, kind):
    first = open_store(kind)
    first.put("a", b"one")
    first.put("a", b"two")
    second = open_store(kind)
    assert second.list() == {"a": 2}
    assert second.get("a", previous=True) == Versioned(b"one", 1)
    assert second.put("a", b"three", expected=2) == 3
    assert first.get("a") == Versioned(b"three", 3)


@pytest.mark.parametrize("kind", LASTING)
def test_four_processes_lose_nothing(open_store, start, kind):
    """They also all make the store at once."""
    code = f"from contextlib import suppress\n{inspect.getsource(increment)}increment(store)"
    processes = [start(kind, code) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert open_store(kind).get("counter") == Versioned(b"100", 100)


def test_the_import_is_light():
    code = "import sys, seedbed.storage; print({'redis', 'numpy', 'numba', 'pydantic'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"

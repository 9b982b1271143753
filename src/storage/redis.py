"""RedisStore: a server that many machines share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from .errors import StoreError, unavailable
from .store import UNREAD, UNSURE, UNWRITTEN, Store, Versioned, check_key, check_put, next_version

if TYPE_CHECKING:
    import redis

# Both have two hashes: the versions of all keys, and the generations of this key, a field each.
_GET = """
local version = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0) - ARGV[2]
return {version, redis.call('HGET', KEYS[2], version)}
"""

# Returns the version found, which says what was done: next_version decides by the same rule. A client may send a put
# again because the answer to the first was lost; the id of the put tells.
_PUT = """
local key, blob, expected, put = unpack(ARGV)
local found = tonumber(redis.call('HGET', KEYS[1], key) or 0)
if redis.call('HGET', KEYS[2], 'put') == put then return found - 1 end
if expected == '' or tonumber(expected) == found then
    redis.call('HSET', KEYS[2], found + 1, blob, 'put', put)
    redis.call('HDEL', KEYS[2], found - 1)
    redis.call('HSET', KEYS[1], key, found + 1)
end
return found
"""


class RedisStore(Store):
    """A store in a Redis or Valkey server. It needs the extra `seedbed[redis]`.

    It is as durable as the server: let that keep an append-only file and evict nothing (`appendonly yes`,
    `maxmemory-policy noeviction`).

    Parameters
    ----------
    server
        URL, to which it connects at the first call, or a client of the package redis, which is left open.
    prefix
        Name of the store among others of that server: a key, by the rules of `Store`.
    timeout
        Seconds to wait for the server, to connect and to answer; of a client, its own hold.

    Raises
    ------
    ImportError
        Without the extra.
    ValueError
        For another prefix, what is not a URL, or a client that decodes responses.

    Examples
    --------
    >>> from seedbed.storage import RedisStore
    >>> store = RedisStore("redis://localhost:6379/0", prefix="seedbed")
    >>> store.close()
    """

    def __init__(self, server: "str | redis.Redis", *, prefix: str = "seedbed", timeout: float = 10.0) -> None:
        check_key(prefix)
        self.prefix = prefix
        self._redis: Any = server if not isinstance(server, str) else _connect(server, timeout)
        self._is_own = isinstance(server, str)
        if self._redis.get_encoder().decode_responses:
            raise ValueError("the client decodes responses, but blobs are bytes; make it with decode_responses=False")
        self._get = self._redis.register_script(_GET)
        self._put = self._redis.register_script(_PUT)

    def __repr__(self) -> str:
        return f"RedisStore(prefix={self.prefix!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, but not those of a client that was handed in."""
        if self._is_own:
            self._redis.close()

    def get(self, key: str, *, previous: bool = False) -> Versioned | None:
        """Read the newest generation of a key, or the one before it; see `Store.get`."""
        check_key(key)
        with self._reporting(f"read key {key!r}", UNREAD, UNREAD):
            version, blob = self._get(self._names(key), [key, int(previous)])
        if version <= 0:
            return None
        if blob is None:
            raise StoreError(f"version {version} of key {key!r} is gone: the server must evict nothing; {UNREAD}")
        return Versioned(blob, version)

    def put(self, key: str, blob: bytes, *, expected: int | None = None) -> int:
        """Replace the newest generation of a key; see `Store.put`."""
        check_put(key, blob, expected)
        with self._reporting(f"write key {key!r}", UNSURE, UNWRITTEN):
            found = self._put(self._names(key), [key, blob, "" if expected is None else expected, uuid4().hex])
        return next_version(key, found, expected)

    def list(self, prefix: str = "") -> dict[str, int]:
        """Versions of all keys that start with a prefix."""
        with self._reporting("list the keys", UNREAD, UNREAD):
            versions = self._redis.hgetall(self._names("")[0])
        return {key.decode(): int(version) for key, version in versions.items() if key.startswith(prefix.encode())}

    def _names(self, key: str) -> tuple[str, str]:
        """Names of the two hashes; the braces keep a store on one node of a cluster."""
        return f"{{{self.prefix}}}", f"{{{self.prefix}}}:{key}"

    @contextmanager
    def _reporting(self, doing: str, left: str, refused: str) -> Iterator[None]:
        """Tell a server that cannot be reached, which may have done it, from one that refuses."""
        from redis.exceptions import ConnectionError, RedisError, TimeoutError

        try:
            with unavailable((ConnectionError, TimeoutError), f"{doing} of the Redis store {self.prefix!r}", left):
                yield
        except RedisError as error:
            raise StoreError(f"cannot {doing} of the Redis store {self.prefix!r}: {error}; {refused}") from error


def _connect(url: str, timeout: float) -> "redis.Redis":
    try:
        import redis
    except ImportError as error:
        raise ImportError("RedisStore needs its extra; install it with: pip install 'seedbed[redis]'") from error
    return redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)

"""Items in Redis, shared by all workers and forgotten for all of them at once.

A worker that cannot reach Redis reads from the database, and catches up on what it could not forget before it
reads from Redis again; until then, for CACHE_TTL_SECONDS at most, other workers may see the old rows.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_hex
from uuid import UUID

from pydantic import PositiveFloat, SecretStr, field_validator
from redis.exceptions import RedisError, ResponseError

from app.forge.about import NAME
from app.forge.cache.cached_store import HIT, Lease
from app.forge.cache.redis_connection import RedisConnection, open_connection
from app.forge.cache.redis_url import connection_options
from app.forge.database import outages
from app.forge.documents import Document
from app.forge.environment import Environment
from app.forge.errors import Unavailable

# As in /health/ready.
DEPENDENCY = "cache"
KEY_PREFIX = f"{NAME}:"
# A read that takes longer is not kept.
LEASE_MILLISECONDS = 10_000
# The document takes the place of the lease that its reader had, if no change has removed that meanwhile.
PUT = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end"

RECONNECT_SECONDS = 1.0
# What can be caught up on. Whoever missed more waits until all that was kept has expired.
MAX_UNCONFIRMED = 10_000


class CacheSettings(Environment):
    """Where Redis is, and how long documents are kept."""

    redis_url: SecretStr
    cache_ttl_seconds: PositiveFloat = 30.0

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis_url(cls, url: SecretStr) -> SecretStr:
        connection_options(url.get_secret_value())
        return url


@asynccontextmanager
async def open_cache(settings: CacheSettings) -> AsyncIterator["RedisCache"]:
    """Yield the cache, connected if Redis answers at once, and close its connection in the end."""
    cache = RedisCache(settings.cache_ttl_seconds)
    connecting = asyncio.create_task(cache.stay_connected(settings.redis_url.get_secret_value()))
    try:
        await cache.wait_for_first_attempt()
        yield cache
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)


def _new_lease() -> Lease:
    return token_hex(16).encode()


def _report_refusal(error: RedisError) -> None:
    # A connection that fails is reported by its owner.
    if isinstance(error, ResponseError):
        outages.report(DEPENDENCY, error)


class RedisCache:
    """The connection to Redis that all tables' documents share.

    A key holds a row's entity tag, a line break and its JSON; or a lease, while a request reads the row from the
    database. A change removes the lease too, so that what was read before the change cannot be put after it.
    """

    def __init__(self, ttl_seconds: float) -> None:
        self._ttl_seconds = ttl_seconds
        # There while Redis can be trusted: it answers, and has forgotten all that this worker changed.
        self._connection: RedisConnection | None = None
        self._attempted = asyncio.Event()
        # What the last attempt to connect failed with.
        self._failure: Exception | None = None
        # Keys that Redis has not confirmed to have forgotten; each value stands for one change.
        self._unconfirmed: dict[str, object] = {}
        self._trusted_from = 0.0

    def of(self, table: str) -> "RedisDocumentCache":
        """Return the cache of a table."""
        return RedisDocumentCache(self, f"{KEY_PREFIX}{table}:")

    async def get(self, key: str) -> Document | Lease:
        """Return what the key holds, or a new lease."""
        connection = self._connection
        if connection is None:
            return _new_lease()
        try:
            kept: bytes | None = await connection.execute("GET", key)
            if kept is None:
                kept = _new_lease()
                # Waited for: Redis may take another worker's commands first, and a change that removes the lease
                # before it is there would let what was read before the change be put after it.
                await connection.execute("SET", key, kept, "NX", "PX", LEASE_MILLISECONDS)
        except RedisError as error:
            _report_refusal(error)
            return _new_lease()
        etag, line_break, body = kept.partition(b"\n")
        return Document(body, etag.decode(), HIT) if line_break else kept

    async def put(self, key: str, lease: Lease, document: Document) -> None:
        """Keep the document if the key still holds the lease."""
        connection = self._connection
        if connection is None:
            return
        value = b"%s\n%s" % (document.etag.encode(), document.body)
        milliseconds = max(1, round(self._ttl_seconds * 1_000))
        try:
            await connection.execute("EVAL", PUT, 1, key, lease, value, milliseconds)
        except RedisError as error:
            _report_refusal(error)

    async def forget(self, key: str) -> None:
        """Drop what the key holds, at the latest before this worker reads from Redis again."""
        # Noted before it is sent: the connection may fail, or the request be cancelled, at any moment.
        change = object()
        self._note(key, change)
        connection = self._connection
        if connection is None:
            return
        try:
            await connection.execute("DEL", key)
        except ResponseError as error:
            # A Redis that does not forget (a read-only replica) cannot be trusted.
            connection.fail(error)
        except RedisError:
            return
        else:
            self._confirm(key, change)

    async def ping(self) -> None:
        """Return when Redis answers, or raise `Unavailable`."""
        if self._connection is None:
            raise Unavailable("Redis does not answer.", DEPENDENCY) from self._failure
        try:
            await self._connection.execute("PING")
        except RedisError as error:
            raise Unavailable("Redis does not answer.", DEPENDENCY) from error

    async def wait_for_first_attempt(self) -> None:
        """Return when Redis is connected or has failed to."""
        await self._attempted.wait()

    async def stay_connected(self, url: str) -> None:
        """Keep a connection for as long as this runs, whatever happens to Redis."""
        while True:
            try:
                async with open_connection(url) as connection:
                    await self._use(connection)
            except Exception as error:
                # Whatever it is, reads go to the database, and the next attempt may succeed.
                self._failure = error
                outages.report(DEPENDENCY, error)
            finally:
                self._connection = None
                self._attempted.set()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _use(self, connection: RedisConnection) -> None:
        # Raises what the connection fails with.
        await connection.wait_for_failure(max(0.0, self._trusted_from - asyncio.get_running_loop().time()))
        while self._unconfirmed:
            changes = self._unconfirmed.copy()
            await connection.execute("DEL", *changes)
            for key, change in changes.items():
                self._confirm(key, change)
        self._connection = connection
        self._attempted.set()
        await connection.wait_for_failure()

    def _note(self, key: str, change: object) -> None:
        if len(self._unconfirmed) >= MAX_UNCONFIRMED:
            self._unconfirmed.clear()
            self._trusted_from = asyncio.get_running_loop().time() + self._ttl_seconds
        self._unconfirmed[key] = change

    def _confirm(self, key: str, change: object) -> None:
        # A later change of the same row waits for a confirmation of its own.
        if self._unconfirmed.get(key) is change:
            del self._unconfirmed[key]


class RedisDocumentCache:
    """See `app.forge.cache.cached_store.DocumentCache`."""

    def __init__(self, cache: RedisCache, prefix: str) -> None:
        self._cache = cache
        self._prefix = prefix

    async def get(self, row_id: UUID) -> Document | Lease:
        return await self._cache.get(f"{self._prefix}{row_id}")

    async def put(self, row_id: UUID, lease: Lease, document: Document) -> None:
        await self._cache.put(f"{self._prefix}{row_id}", lease, document)

    async def forget(self, row_id: UUID) -> None:
        await self._cache.forget(f"{self._prefix}{row_id}")

"""A cache in Redis, shared by all workers. A change invalidates a row for all of them at once.

A worker that loses its connection reads from the database, and sends its missed invalidations before it reads from
Redis again. Until then, but at most for CACHE_TTL_SECONDS, other workers may serve stale rows.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Annotated
from uuid import UUID

from pydantic import Field, PositiveFloat, SecretStr, field_validator
from redis.exceptions import RedisError, ResponseError

from app.forge.about import NAME
from app.forge.cache.cached_store import HIT, Lease
from app.forge.cache.redis_connection import RedisConnection, open_connection
from app.forge.cache.redis_url import connection_options
from app.forge.database import outages
from app.forge.environment import Environment
from app.forge.errors import Unavailable
from app.forge.observability.readings import Reading
from app.forge.store import Document

# Its name in /health/ready.
DEPENDENCY = "cache"
KEY_PREFIX = f"{NAME}:"
# Results of slower reads are not cached.
LEASE_MILLISECONDS = 10_000
# The document replaces its reader's lease, unless a change has removed the lease.
PUT = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end"

RECONNECT_SECONDS = 1.0
# Missed invalidations that a worker remembers. With more, it waits until every cached row has expired.
MAX_UNCONFIRMED = 10_000


class CacheSettings(Environment):
    """The address of Redis, and the lifetime of cached documents."""

    redis_url: Annotated[SecretStr, Field(examples=["redis://host:6379/0"])]
    cache_ttl_seconds: PositiveFloat = 30.0

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis_url(cls, url: SecretStr) -> SecretStr:
        connection_options(url.get_secret_value())
        return url


@asynccontextmanager
async def open_cache(settings: CacheSettings) -> AsyncIterator["RedisCache"]:
    """Yield the cache, connected if Redis is reachable, and close the connection at the end."""
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
    # `stay_connected` reports connections that fail.
    if isinstance(error, ResponseError):
        outages.report(DEPENDENCY, error)


class RedisCache:
    """The cache of all tables, on one connection to Redis.

    A key holds a row's entity tag, a line break and its JSON. While a request reads the row from the database, the
    key holds a lease instead. A change removes the lease too, so a document read before it cannot be stored after it.
    """

    def __init__(self, ttl_seconds: float) -> None:
        self._ttl_seconds = ttl_seconds
        # Set while Redis is usable: it responds, and has confirmed every invalidation by this worker.
        self._connection: RedisConnection | None = None
        self._attempted = asyncio.Event()
        # The error of the last failed attempt to connect.
        self._failure: Exception | None = None
        # Keys whose invalidation Redis has not confirmed. Each value identifies one change.
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
                # Awaited before the database is read. Otherwise another worker's invalidation could arrive before the
                # lease exists, and a stale document would be stored.
                await connection.execute("SET", key, kept, "NX", "PX", LEASE_MILLISECONDS)
        except RedisError as error:
            _report_refusal(error)
            return _new_lease()
        etag, line_break, body = kept.partition(b"\n")
        return Document(body, etag.decode(), HIT) if line_break else kept

    async def put(self, key: str, lease: Lease, document: Document) -> None:
        """Store the document if the key still holds the lease."""
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
        """Delete the key, at the latest before this worker reads from Redis again."""
        # Recorded before it is sent, because the connection may fail or the request may be cancelled at any time.
        change = object()
        self._note(key, change)
        connection = self._connection
        if connection is None:
            return
        try:
            await connection.execute("DEL", key)
        except ResponseError as error:
            # A Redis that refuses to delete, such as a read-only replica, would keep serving stale rows.
            connection.fail(error)
        except RedisError:
            return
        else:
            self._confirm(key, change)

    async def ping(self) -> None:
        """Check that Redis responds, or raise `Unavailable`."""
        if self._connection is None:
            raise Unavailable("Redis does not respond.", DEPENDENCY) from self._failure
        try:
            await self._connection.execute("PING")
        except RedisError as error:
            raise Unavailable("Redis does not respond.", DEPENDENCY) from error

    async def wait_for_first_attempt(self) -> None:
        """Wait until the first attempt to connect has succeeded or failed."""
        await self._attempted.wait()

    async def stay_connected(self, url: str) -> None:
        """Keep a connection open and reconnect after failures, until cancelled."""
        while True:
            try:
                async with open_connection(url) as connection:
                    await self._use(connection)
            except Exception as error:
                # After any error, reads use the database until the next attempt succeeds.
                self._failure = error
                outages.report(DEPENDENCY, error)
            finally:
                self._connection = None
                self._attempted.set()
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _use(self, connection: RedisConnection) -> None:
        # Ends with the error of the connection.
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
        # A later change to the same row needs its own confirmation.
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

    def readings(self, _labels: Mapping[str, str]) -> Iterable[Reading]:
        # Redis counts its keys and evictions for all workers: INFO.
        return ()

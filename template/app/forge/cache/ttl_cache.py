"""A cache in the memory of each worker, with a limited lifetime.

Other workers see a change once their own copy expires, at most CACHE_TTL_SECONDS later.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID

from pydantic import PositiveFloat, PositiveInt

from app.forge.cache.cached_store import HIT, Lease
from app.forge.environment import Environment
from app.forge.observability.readings import Reading
from app.forge.store import Document

# All reads share one lease. Changes by this worker end its running reads; changes by others show up late anyway.
LEASE: Lease = b""


class CacheSettings(Environment):
    """The lifetime of cached documents, and their maximum number per resource."""

    cache_ttl_seconds: PositiveFloat = 5.0
    cache_max_items: PositiveInt = 10_000


@asynccontextmanager
async def open_cache(settings: CacheSettings) -> AsyncIterator["TtlCache"]:
    """Yield an empty cache."""
    yield TtlCache(settings)


class TtlCache:
    """The caches of all tables."""

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings

    def of(self, _table: str) -> "TtlDocumentCache":
        """Return the cache of a table."""
        return TtlDocumentCache(self._settings.cache_ttl_seconds, self._settings.cache_max_items)


class TtlDocumentCache:
    """See `app.forge.cache.cached_store.DocumentCache`. A lookup in a dict costs a tenth of a cache library's."""

    def __init__(self, ttl_seconds: float, max_items: int) -> None:
        self._ttl_seconds = ttl_seconds
        self._max_items = max_items
        # Ordered by expiry, because all entries have the same lifetime.
        self._documents: dict[UUID, tuple[float, Document]] = {}
        self._evictions = 0

    async def get(self, row_id: UUID) -> Document | Lease:
        kept = self._documents.get(row_id)
        if kept is None:
            return LEASE
        expires_at, document = kept
        if expires_at <= monotonic():
            del self._documents[row_id]
            return LEASE
        return document

    async def put(self, row_id: UUID, _lease: Lease, document: Document) -> None:
        self._documents.pop(row_id, None)
        if len(self._documents) >= self._max_items:
            del self._documents[next(iter(self._documents))]
            self._evictions += 1
        self._documents[row_id] = monotonic() + self._ttl_seconds, document._replace(headers=HIT)

    async def forget(self, row_id: UUID) -> None:
        self._documents.pop(row_id, None)

    def readings(self, labels: Mapping[str, str]) -> Iterable[Reading]:
        yield Reading("cache_items", "Rows in the cache.", len(self._documents), labels)
        yield Reading("cache_evictions_total", "Rows dropped for lack of space.", self._evictions, labels)

"""Items in this process's memory, each for a bounded time.

Other workers learn of a change when their own copy expires, after CACHE_TTL_SECONDS at the latest.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID

from pydantic import PositiveFloat, PositiveInt

from app.forge.cache.cached_store import HIT, Lease
from app.forge.environment import Environment
from app.items.documents import ItemDocument

# One for all: changes by this worker end the reads under way, those by others are seen late in any case.
LEASE: Lease = b""


class CacheSettings(Environment):
    """How long and how many items are kept."""

    cache_ttl_seconds: PositiveFloat = 5.0
    cache_max_items: PositiveInt = 10_000


@asynccontextmanager
async def open_item_cache(settings: CacheSettings) -> AsyncIterator["TtlItemCache"]:
    """Yield an empty cache."""
    yield TtlItemCache(settings.cache_ttl_seconds, settings.cache_max_items)


class TtlItemCache:
    """See `app.forge.cache.cached_store.ItemCache`. A plain dict is a tenth of the cost of a cache library's get."""

    def __init__(self, ttl_seconds: float, max_items: int) -> None:
        self._ttl_seconds = ttl_seconds
        self._max_items = max_items
        # In the order of their expiry, because all are kept equally long.
        self._items: dict[UUID, tuple[float, ItemDocument]] = {}

    async def get(self, item_id: UUID) -> ItemDocument | Lease:
        kept = self._items.get(item_id)
        if kept is None:
            return LEASE
        expires_at, document = kept
        if expires_at <= monotonic():
            del self._items[item_id]
            return LEASE
        return document

    async def put(self, item_id: UUID, _lease: Lease, document: ItemDocument) -> None:
        self._items.pop(item_id, None)
        if len(self._items) >= self._max_items:
            del self._items[next(iter(self._items))]
        self._items[item_id] = monotonic() + self._ttl_seconds, document._replace(headers=HIT)

    async def forget(self, item_id: UUID) -> None:
        self._items.pop(item_id, None)

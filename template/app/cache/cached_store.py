"""A store that answers reads of single items from a cache. Routes and service never know."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.items.documents import ItemDocument
from app.items.models import ItemChanges
from app.items.store import ItemRow, ItemStore, PriceFigures

HIT = (("X-Cache", "hit"),)
MISS = (("X-Cache", "miss"),)


class ItemCache(Protocol):
    """Ready-made documents by item id. A cache that is down holds nothing; it never raises."""

    async def get(self, item_id: UUID) -> ItemDocument | None:
        """Return the document, marked as a hit, or None."""

    async def put(self, item_id: UUID, document: ItemDocument) -> None:
        """Keep the document for the cache's time to live."""

    async def forget(self, item_id: UUID) -> None:
        """Drop the document, and any that was read before now and is still to be put."""


class _GivenUp(Exception):
    """The request that made the query was cancelled; another has to make it."""


class CachedItemStore:
    """An `ItemStore` in front of another. Concurrent misses of one item make one query (single flight)."""

    def __init__(self, store: ItemStore, cache: ItemCache) -> None:
        self._store = store
        self._cache = cache
        self._flights: dict[UUID, asyncio.Future[ItemDocument]] = {}

    async def get(self, item_id: UUID) -> ItemDocument:
        document = await self._cache.get(item_id)
        if document is not None:
            return document
        while (flight := self._flights.get(item_id)) is not None:
            with suppress(_GivenUp):
                return await asyncio.shield(flight)
        return await self._load(item_id)

    async def _load(self, item_id: UUID) -> ItemDocument:
        flight: asyncio.Future[ItemDocument] = asyncio.get_running_loop().create_future()
        self._flights[item_id] = flight
        try:
            document = (await self._store.get(item_id))._replace(headers=MISS)
        except BaseException as error:
            # A client that goes away must not take those who wait for the same item with it.
            flight.set_exception(error if isinstance(error, Exception) else _GivenUp())
            flight.exception()  # Nobody may be waiting, and that is no reason for a warning.
            raise
        else:
            flight.set_result(document)
            # A change since the query began has taken the flight away: what it read may be old.
            if self._flights.get(item_id) is flight:
                await self._cache.put(item_id, document)
            return document
        finally:
            if self._flights.get(item_id) is flight:
                del self._flights[item_id]

    async def _forget(self, item_id: UUID) -> None:
        self._flights.pop(item_id, None)
        await self._cache.forget(item_id)

    async def update(self, item_id: UUID, changes: ItemChanges, updated_at: datetime) -> ItemDocument:
        # After a failure too: a write that timed out may have been done.
        try:
            return await self._store.update(item_id, changes, updated_at)
        finally:
            await self._forget(item_id)

    async def delete(self, item_id: UUID) -> None:
        try:
            await self._store.delete(item_id)
        finally:
            await self._forget(item_id)

    async def insert(self, row: ItemRow) -> None:
        await self._store.insert(row)

    async def insert_many(self, rows: Sequence[ItemRow]) -> None:
        await self._store.insert_many(rows)

    async def page(self, limit: int, after: UUID | None, tag: str | None) -> bytes:
        return await self._store.page(limit, after, tag)

    def export(self) -> AsyncIterator[bytes]:
        return self._store.export()

    async def prices(self) -> PriceFigures:
        return await self._store.prices()

    async def top_tags(self, limit: int) -> list[tuple[str, int]]:
        return await self._store.top_tags(limit)

    async def ping(self) -> None:
        await self._store.ping()

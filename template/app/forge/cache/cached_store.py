"""A store that answers reads of single items from a cache. Routes and service never know."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol
from uuid import UUID

from app.items.documents import ItemDocument
from app.items.models import ItemChanges
from app.items.store import ItemRow, ItemStore, PriceFigures

HIT = ((b"x-cache", b"hit"),)
MISS = ((b"x-cache", b"miss"),)

# What a read gets that misses. Of two reads with equal leases, neither began after a change that the other may
# not have seen.
Lease = bytes


class ItemCache(Protocol):
    """Ready-made documents by item id. A cache that is down holds nothing; it never raises."""

    async def get(self, item_id: UUID) -> ItemDocument | Lease:
        """Return the document, marked as a hit, or a lease to read it from the store."""

    async def put(self, item_id: UUID, lease: Lease, document: ItemDocument, /) -> None:
        """Keep what was read under the lease for the cache's time to live. Afterwards nobody gets the lease."""

    async def forget(self, item_id: UUID) -> None:
        """Drop the document, and any that was read before now and is still to be put."""


class _GivenUp(Exception):
    """The request that made the query was cancelled; another has to make it."""


class _Flight:
    """A query under way, or one whose document is on its way into the cache."""

    def __init__(self, number: int, lease: Lease) -> None:
        self.number = number
        self.lease = lease
        self.document: asyncio.Future[ItemDocument] = asyncio.get_running_loop().create_future()


class CachedItemStore:
    """An `ItemStore` in front of another. Concurrent misses of one item make one query (single flight)."""

    def __init__(self, store: ItemStore, cache: ItemCache) -> None:
        self._store = store
        self._cache = cache
        self._flights: dict[UUID, _Flight] = {}
        self._begun = 0

    async def get(self, item_id: UUID) -> ItemDocument:
        begun_before = self._begun
        found = await self._cache.get(item_id)
        if isinstance(found, ItemDocument):
            return found
        while (flight := self._flights.get(item_id)) is not None:
            # Any other may not have seen a change that another worker made before this read. It is waited for
            # all the same: a cache that is down must not send every reader of one item to the database.
            is_new_enough = flight.lease == found or flight.number > begun_before
            if flight.document.done() and not is_new_enough:
                break
            with suppress(_GivenUp):
                document = await asyncio.shield(flight.document)
                if is_new_enough:
                    return document
        return await self._load(item_id, found)

    async def _load(self, item_id: UUID, lease: Lease) -> ItemDocument:
        self._begun += 1
        flight = self._flights[item_id] = _Flight(self._begun, lease)
        try:
            document = (await self._store.get(item_id))._replace(headers=MISS)
        except BaseException as error:
            # A client that goes away must not take those who wait for the same item with it.
            flight.document.set_exception(error if isinstance(error, Exception) else _GivenUp())
            flight.document.exception()  # Nobody may be waiting, and that is no reason for a warning.
            raise
        else:
            flight.document.set_result(document)
            # A change since the query began has taken the flight away: what it read may be old.
            if self._flights.get(item_id) is flight:
                await self._cache.put(item_id, lease, document)
            return document
        finally:
            if self._flights.get(item_id) is flight:
                del self._flights[item_id]

    async def forget(self, item_ids: Collection[UUID]) -> None:
        """Drop what is kept of these items, and what was read of them before now and is still to be kept."""
        await asyncio.gather(*map(self._forget, item_ids))

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

"""A store that caches single rows. Routes and rules use it like any other store."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from app.forge.fields import json_text
from app.forge.observability.readings import Reading
from app.forge.store import Document, Row, Store

HIT = ((b"x-cache", b"hit"),)
MISS = ((b"x-cache", b"miss"),)

# Handed out on a cache miss. If two reads hold equal leases, no change to the row was made between their starts.
Lease = bytes


class DocumentCache(Protocol):
    """The cached documents of one table by id. Never raises: a cache that is down behaves like an empty one."""

    async def get(self, row_id: UUID) -> Document | Lease:
        """Return the document, marked as a hit, or a lease for reading it from the store."""

    async def put(self, row_id: UUID, lease: Lease, document: Document, /) -> None:
        """Store the document read under the lease until it expires. The lease is not handed out again."""

    async def forget(self, row_id: UUID) -> None:
        """Drop the document, and reject any read before now that has not been stored yet."""

    def readings(self, labels: Mapping[str, str]) -> Iterable[Reading]:
        """Yield the metrics of the cache itself."""


class _GivenUp(Exception):
    """The request that ran the query was cancelled, so another request has to run it."""


class _Flight:
    """A query that is running, or whose document is being written to the cache."""

    def __init__(self, number: int, lease: Lease) -> None:
        self.number = number
        self.lease = lease
        self.document: asyncio.Future[Document] = asyncio.get_running_loop().create_future()


class CachedStore:
    """A `Store` in front of another. Concurrent misses of one row make one query (single flight)."""

    def __init__(self, store: Store, cache: DocumentCache) -> None:
        self._store = store
        self._cache = cache
        self._flights: dict[UUID, _Flight] = {}
        self._begun = 0
        self._hits = 0
        self._joined = 0

    def readings(self, resource: str) -> Iterable[Reading]:
        """Yield the metrics of this resource's cache."""
        labels = {"resource": resource}
        yield Reading("cache_hits_total", "Reads answered from the cache.", self._hits, labels)
        yield Reading("cache_misses_total", "Reads that queried the database.", self._begun, labels)
        yield Reading(
            "cache_flight_joins_total", "Reads that waited for the query of another.", self._joined, labels
        )
        yield Reading("cache_flights", "Queries for the cache that are running.", len(self._flights), labels)
        yield from self._cache.readings(labels)

    def of(self, owner: str, tables: frozenset[str]) -> "CachedStore":
        if not tables:
            return self
        return OwnersCachedStore(self, self._store.of(owner, tables), owner, self._cache, self._flights)

    async def get(self, row_id: UUID) -> Document:
        begun_before = self._begun
        found = await self._cache.get(row_id)
        if isinstance(found, Document):
            self._hits += 1
            return found
        while (flight := self._flights.get(row_id)) is not None:
            # An older query may have missed a change that another worker made before this read. Wait for it anyway:
            # when the cache is down, concurrent readers of one row must not all query the database.
            is_new_enough = flight.lease == found or flight.number > begun_before
            if flight.document.done() and not is_new_enough:
                break
            with suppress(_GivenUp):
                document = await asyncio.shield(flight.document)
                if is_new_enough:
                    self._joined += 1
                    return document
        return await self._load(row_id, found)

    async def _load(self, row_id: UUID, lease: Lease) -> Document:
        self._begun += 1
        flight = self._flights[row_id] = _Flight(self._begun, lease)
        try:
            document = (await self._store.get(row_id))._replace(headers=MISS)
        except BaseException as error:
            # If this client disconnects, other requests waiting for the same row must not fail.
            flight.document.set_exception(error if isinstance(error, Exception) else _GivenUp())
            flight.document.exception()  # Marks it as retrieved: without waiters, asyncio would log a warning.
            raise
        else:
            flight.document.set_result(document)
            # A change since the query started has removed the flight, because its document may be stale.
            if self._flights.get(row_id) is flight:
                await self._cache.put(row_id, lease, document)
            return document
        finally:
            if self._flights.get(row_id) is flight:
                del self._flights[row_id]

    async def forget(self, row_ids: Collection[UUID]) -> None:
        """Drop these rows from the cache, and reject reads of them that began before now."""
        await asyncio.gather(*map(self._forget, row_ids))

    async def _forget(self, row_id: UUID) -> None:
        self._flights.pop(row_id, None)
        await self._cache.forget(row_id)

    async def update(
        self, row_id: UUID, changes: Mapping[str, Any], updated_at: datetime, if_match: str | None = None
    ) -> Document:
        # Also after a failure: a write that timed out may still have been made.
        try:
            return await self._store.update(row_id, changes, updated_at, if_match)
        finally:
            await self._forget(row_id)

    async def delete(self, row_id: UUID, if_match: str | None = None) -> None:
        try:
            await self._store.delete(row_id, if_match)
        finally:
            await self._forget(row_id)

    async def get_expanded(self, row_id: UUID, expand: Sequence[str]) -> Document:
        # Not cached: the referenced rows change independently.
        return await self._store.get_expanded(row_id, expand)

    async def insert(self, row: Row) -> Document:
        return await self._store.insert(row)

    async def insert_many(self, rows: Sequence[Row]) -> None:
        await self._store.insert_many(rows)

    async def page(
        self, limit: int, after: UUID | None, filters: Mapping[str, Any], expand: Sequence[str]
    ) -> bytes:
        return await self._store.page(limit, after, filters, expand)

    def export(self) -> AsyncIterator[bytes]:
        return self._store.export()

    async def summary(self) -> dict[str, Any]:
        return await self._store.summary()


class OwnersCachedStore(CachedStore):
    """The rows of one owner. All owners share the cache, in which a row shows whose it is."""

    def __init__(
        self,
        shared: CachedStore,
        own: Store,
        owner: str,
        cache: DocumentCache,
        flights: dict[UUID, _Flight],
    ) -> None:
        super().__init__(own, cache)
        self._flights = flights
        self._shared = shared
        self._owner = json_text(owner).encode()

    async def get(self, row_id: UUID) -> Document:
        document = await self._shared.get(row_id)
        # At the beginning, where no value of the row itself can be.
        if document.body.startswith(b'{"id":"%s","owner":%s,' % (str(row_id).encode(), self._owner)):
            return document
        # It belongs to another, or the caller may see it for another reason: the database decides.
        return await self._store.get(row_id)

"""The cache in this process's memory is bounded in time and size."""

import asyncio
from uuid import uuid4

from app.forge.cache.ttl_cache import LEASE, TtlDocumentCache
from app.forge.store import document_of

AXES: tuple[str, ...] = ()

DOCUMENT = document_of(b"{}")


async def test_a_document_is_kept_only_for_its_ttl() -> None:
    cache, item_id = TtlDocumentCache(ttl_seconds=0.05, max_items=10), uuid4()
    await cache.put(item_id, LEASE, DOCUMENT)
    assert await cache.get(item_id) == DOCUMENT._replace(headers=((b"x-cache", b"hit"),))
    await asyncio.sleep(0.06)
    assert await cache.get(item_id) == LEASE


async def test_the_oldest_document_makes_room_for_a_new_one() -> None:
    cache, item_ids = TtlDocumentCache(ttl_seconds=60, max_items=2), [uuid4() for _ in range(3)]
    for item_id in item_ids:
        await cache.put(item_id, LEASE, DOCUMENT)
    assert [await cache.get(item_id) != LEASE for item_id in item_ids] == [False, True, True]


async def test_a_document_stored_again_does_not_evict_another() -> None:
    cache, first, second = TtlDocumentCache(ttl_seconds=60, max_items=2), uuid4(), uuid4()
    for item_id in (first, second, second):
        await cache.put(item_id, LEASE, DOCUMENT)
    assert await cache.get(first) != LEASE

"""Reads of single items come from the cache, and never return the state before a change."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from uuid_utils.compat import uuid7

from app.forge.cache import CachedStore, open_cache
from app.forge.database import Database
from app.forge.errors import NotFound
from app.forge.store import Document, Row, document_of
from app.items import RESOURCE
from app.settings import Settings
from tests.machinery.works import RETRIES, moving

AXES: tuple[str, ...] = ("database", "mongodb_driver", "cache")

ITEMS = "/api/v1/items"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = document_of(b'{"is":"old"}'), document_of(b'{"is":"new"}')


class SlowStore:
    """A store that completes a read when a test allows it, so that the test decides what happens before."""

    def __init__(self) -> None:
        self.document: Document | None = OLD
        self.reads = 0
        self.answer = asyncio.Event()

    async def get(self, item_id: UUID) -> Document:
        self.reads += 1
        document = self.document
        await self.answer.wait()
        if document is None:
            raise NotFound(f"No item has the id {item_id}.")
        return document

    async def update(
        self, _item_id: UUID, _changes: Any, _updated_at: datetime, _if_match: str | None
    ) -> Document:
        self.document = NEW
        return NEW

    async def delete(self, _item_id: UUID, _if_match: str | None) -> None:
        self.document = None


@pytest.fixture
def slow() -> SlowStore:
    return SlowStore()


@pytest.fixture
async def cached(settings: Settings, slow: SlowStore) -> AsyncIterator[CachedStore]:
    async with open_cache(settings) as cache:
        yield CachedStore(slow, cache.of("items"))  # type: ignore[arg-type]


def test_the_second_read_is_a_hit(client: TestClient) -> None:
    place = client.post(ITEMS, json={"name": "a", "price_cents": 1}).headers["location"]
    first, second = client.get(place), client.get(place)
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert (first.content, first.headers["etag"]) == (second.content, second.headers["etag"])


def test_the_read_after_a_change_is_a_miss(client: TestClient) -> None:
    place = client.post(ITEMS, json={"name": "a", "price_cents": 1}).headers["location"]
    client.get(place)
    client.patch(place, json={"price_cents": 2})
    read = client.get(place)
    assert (read.headers["x-cache"], read.json()["price_cents"]) == ("miss", 2)


async def test_a_hundred_misses_at_once_make_one_query(cached: CachedStore, slow: SlowStore) -> None:
    item_id = uuid4()
    reads = [asyncio.create_task(cached.get(item_id)) for _ in range(100)]
    await asyncio.sleep(0.05)
    slow.answer.set()
    assert {document.body for document in await asyncio.gather(*reads)} == {OLD.body}
    assert slow.reads == 1


async def test_misses_of_different_items_do_not_wait_for_one_another(
    cached: CachedStore, slow: SlowStore
) -> None:
    reads = [asyncio.create_task(cached.get(uuid4())) for _ in range(10)]
    await asyncio.sleep(0.05)
    assert slow.reads == 10
    slow.answer.set()
    await asyncio.gather(*reads)


async def test_a_missing_item_is_missing_for_all_waiting_reads_and_not_cached(
    cached: CachedStore, slow: SlowStore
) -> None:
    item_id = uuid4()
    slow.document = None
    reads = [asyncio.create_task(cached.get(item_id)) for _ in range(3)]
    await asyncio.sleep(0.05)
    slow.answer.set()
    outcomes = await asyncio.gather(*reads, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {NotFound}
    slow.document = OLD
    assert (await cached.get(item_id)).body == OLD.body


async def test_a_client_that_disconnects_does_not_cancel_the_others(
    cached: CachedStore, slow: SlowStore
) -> None:
    item_id = uuid4()
    first = asyncio.create_task(cached.get(item_id))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(cached.get(item_id))
    await asyncio.sleep(0.05)
    first.cancel()
    slow.answer.set()
    assert (await second).body == OLD.body
    assert first.cancelled() or first.cancelling()


@pytest.mark.parametrize("change", ["update", "delete", "forget"])
async def test_an_item_read_before_a_change_is_not_cached_after_it(
    cached: CachedStore, slow: SlowStore, change: str
) -> None:
    item_id = uuid4()
    read = asyncio.create_task(cached.get(item_id))
    await asyncio.sleep(0.05)
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "update": partial(cached.update, item_id, {"price_cents": 1}, NOW),
        "delete": partial(cached.delete, item_id),
        "forget": partial(cached.forget, [item_id]),
    }
    await changes[change]()
    slow.document = NEW
    slow.answer.set()
    assert (await read).body == OLD.body
    assert (await cached.get(item_id)).body == NEW.body


async def test_a_read_after_a_change_does_not_join_one_from_before(
    cached: CachedStore, slow: SlowStore
) -> None:
    item_id = uuid4()
    before = asyncio.create_task(cached.get(item_id))
    await asyncio.sleep(0.05)
    await cached.update(item_id, {"price_cents": 1}, NOW)
    after = asyncio.create_task(cached.get(item_id))
    await asyncio.sleep(0.05)
    slow.answer.set()
    assert ((await before).body, (await after).body) == (OLD.body, NEW.body)


async def test_a_read_after_a_transaction_shows_its_changes_despite_concurrent_reads(
    settings: Settings, database: Database
) -> None:
    async with open_cache(settings) as cache:
        cached = CachedStore(database.store(RESOURCE.table, RESOURCE.serializer()), cache.of("items"))
        database.on_change(lambda _table, row_ids: cached.forget(row_ids))
        more: Row = {
            "description": None,
            "price_cents": 1_000,
            "tags": [],
            "created_at": NOW,
            "updated_at": NOW,
        }
        rows: list[Row] = [{"id": uuid7(), "name": name, **more} for name in "ab"]
        await cached.insert_many(rows)
        source, target = (row["id"] for row in rows)
        shown = [1_000]

        async def price() -> int:
            cents: int = json.loads((await cached.get(source)).body)["price_cents"]
            return cents

        async def read() -> None:
            while shown[-1] > 960:
                last = shown[-1]
                assert await price() <= last
                await asyncio.sleep(0)

        readers = [asyncio.create_task(read()) for _ in range(5)]
        for cents in range(999, 959, -1):
            await database.transact(moving(source, target, 1), **RETRIES)
            assert await price() == cents
            shown.append(cents)
        await asyncio.gather(*readers)

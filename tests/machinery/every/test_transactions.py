"""Promises of `transact` on every database, tested on the real one."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from uuid_utils.compat import uuid7

from app.forge.database import Database, open_database
from app.forge.errors import OutcomeUnknown, Unavailable
from app.forge.store import Row
from app.items import RESOURCE
from app.settings import Settings
from tests.machinery.gates import Gate
from tests.machinery.works import RETRIES, moving

AXES: tuple[str, ...] = ("database", "mongodb_driver", "cache")

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CENTS = 1_000
SHORT_SECONDS = 0.3


class Failure(Exception):
    """An error of the work."""


class Shop:
    """Two or more items with the same price, and the database that they are in."""

    def __init__(self, database: Database, item_ids: Sequence[UUID]) -> None:
        self.store = database.store(RESOURCE.table, RESOURCE.serializer())
        self.database = database
        self.ids = item_ids
        self.told: list[UUID] = []

    async def cents(self) -> list[int]:
        """Return the price of each item."""
        documents = [await self.store.get(item_id) for item_id in self.ids]
        return [json.loads(document.body)["price_cents"] for document in documents]

    async def forget(self, _table: str, item_ids: Any) -> None:
        """Record the changes that a cache would be notified of."""
        self.told += item_ids


def item(name: str) -> Row:
    return {
        "id": uuid7(),
        "name": name,
        "description": None,
        "price_cents": CENTS,
        "tags": [],
        "created_at": NOW,
        "updated_at": NOW,
    }


@pytest.fixture
def bounds() -> dict[str, Any]:
    """Return settings of the database that a test changes."""
    return {}


@pytest.fixture
async def shop(settings: Settings, _empty_database: None, bounds: dict[str, Any]) -> AsyncIterator[Shop]:
    async with open_database(settings.model_copy(update=bounds), [RESOURCE.table]) as database:
        rows = [item(f"item {number}") for number in range(20)]
        shop = Shop(database, [row["id"] for row in rows])
        await shop.store.insert_many(rows)
        database.on_change(shop.forget)
        yield shop


one_connection = pytest.mark.parametrize("bounds", [{"database_pool_size": 1}])
in_a_hurry = pytest.mark.parametrize("bounds", [{"database_timeout_seconds": SHORT_SECONDS}])


async def test_changes_of_the_work_are_committed_and_its_result_is_returned(shop: Shop) -> None:
    assert await shop.database.transact(moving(shop.ids[0], shop.ids[1], 100)) == 100
    assert (await shop.cents())[:2] == [CENTS - 100, CENTS + 100]


async def test_an_error_in_the_work_undoes_it_and_is_raised(shop: Shop) -> None:
    with pytest.raises(Failure):
        await shop.database.transact(moving(shop.ids[0], shop.ids[1], 100, error=Failure()))
    assert (await shop.cents())[:2] == [CENTS, CENTS]


@one_connection
async def test_after_errors_the_connection_can_be_reused(shop: Shop) -> None:
    for error in (Failure(), TimeoutError(), OSError(), ValueError(), StopAsyncIteration()):
        with pytest.raises(type(error)):
            await shop.database.transact(moving(shop.ids[0], shop.ids[1], 100, error=error))
    assert await shop.database.transact(moving(shop.ids[0], shop.ids[1], 1)) == 1
    assert (await shop.cents())[:2] == [CENTS - 1, CENTS + 1]


async def test_uncommitted_changes_are_not_visible_to_others(shop: Shop) -> None:
    gate = Gate()
    moved = asyncio.create_task(shop.database.transact(moving(shop.ids[0], shop.ids[1], 100, gate)))
    await gate.is_reached()
    assert (await shop.cents())[:2] == [CENTS, CENTS]
    gate.open()
    await moved
    assert (await shop.cents())[:2] == [CENTS - 100, CENTS + 100]


async def test_changes_are_announced_after_the_commit_and_not_before(shop: Shop) -> None:
    gate = Gate()
    moved = asyncio.create_task(shop.database.transact(moving(shop.ids[0], shop.ids[1], 100, gate)))
    await gate.is_reached()
    assert shop.told == []
    gate.open()
    await moved
    assert set(shop.told) == set(shop.ids[:2])


async def test_a_request_cancelled_during_its_work_changes_nothing_and_keeps_no_lock(shop: Shop) -> None:
    gate = Gate()
    moved = asyncio.create_task(shop.database.transact(moving(shop.ids[0], shop.ids[1], 100, gate)))
    await gate.is_reached()
    moved.cancel()
    with pytest.raises(asyncio.CancelledError):
        await moved
    gate.open()
    await shop.database.transact(moving(shop.ids[0], shop.ids[1], 1), **RETRIES)
    assert (await shop.cents())[:2] == [CENTS - 1, CENTS + 1]


@one_connection
async def test_requests_cancelled_during_another_transaction_are_all_or_nothing(shop: Shop) -> None:
    gate = Gate()
    first = asyncio.create_task(shop.database.transact(moving(shop.ids[0], shop.ids[1], 1, gate)))
    await gate.is_reached()
    others = [
        asyncio.create_task(shop.database.transact(moving(shop.ids[2], shop.ids[3], 100))) for _ in range(5)
    ]
    await asyncio.sleep(0.01)
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    gate.open()
    await first
    await shop.database.transact(moving(shop.ids[0], shop.ids[1], 1))
    cents = await shop.cents()
    assert cents[:2] == [CENTS - 2, CENTS + 2]
    assert sum(cents) == CENTS * len(cents)


@one_connection
async def test_a_transaction_cancelled_at_any_moment_is_all_or_nothing(shop: Shop) -> None:
    # Open the connection first, so that the transaction itself is cancelled.
    await shop.database.transact(moving(shop.ids[0], shop.ids[1], 1))
    for number in range(60):
        moved = asyncio.create_task(shop.database.transact(moving(shop.ids[0], shop.ids[1], 1), **RETRIES))
        await asyncio.sleep(number / 10_000)
        moved.cancel()
        with suppress(asyncio.CancelledError):
            await moved
    await shop.database.transact(moving(shop.ids[0], shop.ids[1], 1), **RETRIES)
    assert sum(await shop.cents()) == CENTS * len(shop.ids)
    # Work that was cancelled at its commit may have been committed.
    await shop.database.close()
    assert sum(await shop.cents()) == CENTS * len(shop.ids)


async def test_work_that_takes_too_long_is_cancelled_and_changes_nothing(shop: Shop) -> None:
    gate = Gate()
    with pytest.raises(Unavailable) as refusal:
        await shop.database.transact(
            moving(shop.ids[0], shop.ids[1], 100, gate), timeout_seconds=SHORT_SECONDS
        )
    gate.open()
    await shop.database.transact(moving(shop.ids[0], shop.ids[1], 1), **RETRIES)
    assert not isinstance(refusal.value, OutcomeUnknown)
    assert (await shop.cents())[:2] == [CENTS - 1, CENTS + 1]


@in_a_hurry
async def test_work_may_get_a_longer_timeout(shop: Shop) -> None:
    gate = Gate()
    moved = asyncio.create_task(
        shop.database.transact(moving(shop.ids[0], shop.ids[1], 100, gate), timeout_seconds=10)
    )
    await gate.is_reached()
    await asyncio.sleep(2 * SHORT_SECONDS)
    gate.open()
    assert await moved == 100


@pytest.mark.parametrize("bounds", [{"database_timeout_seconds": 60.0}])
async def test_fifty_concurrent_transfers_keep_the_sum(shop: Shop) -> None:
    choose = random.Random(1)
    errors = [None, None, None, None, Failure()]
    pairs = [choose.sample(list(shop.ids), 2) for _ in range(50)]
    works = [
        moving(source, target, 1, error=errors[number % len(errors)])
        for number, (source, target) in enumerate(pairs)
    ]
    outcomes = await asyncio.gather(
        *(shop.database.transact(work, **RETRIES) for work in works), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Failure"] * 10 + ["int"] * 40
    assert sum(await shop.cents()) == CENTS * len(shop.ids)


async def test_a_transaction_cannot_be_used_after_its_end(shop: Shop) -> None:
    kept: list[Any] = []

    def keep(transaction: Any) -> Any:
        kept.append(transaction)

    with suppress(TypeError):
        await shop.database.transact(keep)
    with pytest.raises(RuntimeError, match="has ended"):
        kept[0].changed(RESOURCE.table, shop.ids[0])


def test_the_database_is_in_the_state_of_requests(client: TestClient) -> None:
    assert isinstance(client.app_state["database"], Database)

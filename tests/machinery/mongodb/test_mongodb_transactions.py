"""Transactions on MongoDB: a server may have none, and operations join the session automatically."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import copy_context
from itertools import count
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure
from uuid_utils.compat import uuid7

from app.forge.database import Database, DatabaseSettings, Transaction, open_database
from app.forge.database.mongodb_driver import Collection
from app.forge.errors import TransactionConflict, TransactionsNotSupported, Unavailable
from app.resources import RESOURCES
from app.settings import Settings

AXES: tuple[str, ...] = ("mongodb_driver", "cache")

TABLES = [resource.table for resource in RESOURCES]
TIMEOUT_SECONDS = 2.0
Work = Callable[[Transaction], Any]


@pytest.fixture
async def database(settings: Settings, _empty_database: None) -> AsyncIterator[Database]:
    chosen = settings.model_copy(update={"database_timeout_seconds": TIMEOUT_SECONDS})
    async with open_database(chosen, TABLES) as database:
        await database.ping()
        yield database


@pytest.fixture
def items(database: Database) -> Collection:
    return database._operations.database["items"]


def inserting(name: str) -> Work:
    async def work(transaction: Transaction) -> None:
        await transaction.database["items"].insert_one({"_id": uuid7(), "name": name})

    return work


async def test_a_standalone_server_is_named_with_the_next_step(database: Database, items: Collection) -> None:
    database._operations._has_transactions = False
    with pytest.raises(TransactionsNotSupported, match="--replSet"):
        await database.transact(inserting("a"))
    assert await items.count_documents({}) == 0


async def test_operations_without_the_session_still_take_part(database: Database, items: Collection) -> None:
    async def work(transaction: Transaction) -> None:
        await inserting("a")(transaction)
        await transaction.database["items"].insert_one(
            {"_id": uuid7(), "name": "b"}, session=transaction.session
        )
        assert await transaction.database["items"].count_documents({}) == 2
        assert [found["name"] async for found in transaction.database["items"].find()] == ["a", "b"]
        raise KeyError

    with pytest.raises(KeyError):
        await database.transact(work)
    assert await items.count_documents({}) == 0


@pytest.mark.usefixtures("_empty_database")
async def test_a_transaction_is_on_the_primary_whatever_the_url_prefers(settings: Settings) -> None:
    url = settings.database_url.get_secret_value()
    prefers = f"{url}{'&' if '?' in url else '?'}readPreference=secondaryPreferred&w=1&readConcernLevel=local"
    changed = settings.model_copy(update={"database_url": type(settings.database_url)(prefers)})
    async with open_database(changed, TABLES) as database:

        async def work(transaction: Transaction) -> int:
            await inserting("a")(transaction)
            found: int = await transaction.database["items"].count_documents({})
            return found

        assert await database.transact(work) == 1


async def test_errors_of_the_database_are_raised_unchanged(database: Database, items: Collection) -> None:
    await database.transact(inserting("taken"))
    with pytest.raises(DuplicateKeyError):
        await database.transact(inserting("taken"))

    async def work(transaction: Transaction) -> None:
        await transaction.database["items"].update_one({}, {"$nothing": 1})

    with pytest.raises(OperationFailure):
        await database.transact(work)
    await database.transact(inserting("b"))
    assert await items.count_documents({}) == 2


async def test_a_plain_function_and_a_nested_transaction_are_refused(database: Database) -> None:
    async def work(_transaction: Transaction) -> None:
        await database.transact(inserting("a"))

    with pytest.raises(RuntimeError, match="savepoints"):
        await database.transact(work)
    with pytest.raises(TypeError, match="async def"):
        await database.transact(lambda _: None)  # type: ignore[arg-type, return-value]


async def test_a_conflict_is_a_conflict_unless_retries_are_allowed(
    database: Database, items: Collection
) -> None:
    await items.insert_one({"_id": uuid7(), "name": "a", "price_cents": 1})

    def meeting(times: int) -> Work:
        met = count()

        async def work(transaction: Transaction) -> None:
            items = transaction.database["items"]
            await items.find_one({"name": "a"})
            if next(met) < times:
                # In a task with a separate context, like that of another request.
                await asyncio.create_task(database.transact(other), context=outside)
            await items.update_one({"name": "a"}, {"$inc": {"price_cents": 10}})

        return work

    async def other(transaction: Transaction) -> None:
        await transaction.database["items"].update_one({"name": "a"}, {"$inc": {"price_cents": 1}})

    outside = copy_context()
    with pytest.raises(TransactionConflict):
        await database.transact(meeting(1))
    await database.transact(meeting(2), retries=2)
    found = await items.find_one({"name": "a"})
    assert found is not None
    assert found["price_cents"] == 1 + 1 + 2 + 10


async def test_a_server_that_is_down_is_waited_for_no_longer_than_the_timeout() -> None:
    settings = DatabaseSettings(
        _env_file=None, database_url="mongodb://127.0.0.1:9/items_test", database_timeout_seconds=0.3
    )
    async with asyncio.timeout(5), open_database(settings, TABLES) as database:
        with pytest.raises(Unavailable):
            await database.transact(inserting("a"))


@pytest.mark.usefixtures("_empty_database")
async def test_the_queue_of_transactions_is_limited(settings: Settings) -> None:
    chosen = settings.model_copy(update={"database_pool_size": 1, "database_max_waiting_requests": 1})
    async with open_database(chosen, TABLES) as database:
        works = [database.transact(inserting(str(number)), retries=20) for number in range(5)]
        outcomes = await asyncio.gather(*works, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
    assert len(refused) == 3
    assert all("Too many" in str(outcome) for outcome in refused)

"""What is particular to MongoDB: indexes made by the service, batches without transactions, bounded waits."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from time import monotonic

import pytest
from pydantic import ValidationError
from uuid_utils.compat import uuid7

from app.errors import NameTaken, Unavailable
from app.items.store import ItemRow
from app.settings import Settings
from app.store.mongodb import MongoItemStore, StoreSettings, _listeners, open_item_store
from app.store.mongodb_slow_queries import SlowQueryListener, stages_of, without_values

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOBODY_LISTENS = "mongodb://127.0.0.1:9/items_test"


def item(name: str) -> ItemRow:
    return {
        "id": uuid7(),
        "name": name,
        "description": None,
        "price_cents": 1,
        "tags": [],
        "created_at": NOW,
        "updated_at": NOW,
    }


@pytest.fixture
async def mongodb(settings: Settings, _empty_database: None) -> AsyncIterator[MongoItemStore]:
    async with open_item_store(settings) as store:
        yield store


@pytest.fixture
async def unreachable() -> AsyncIterator[MongoItemStore]:
    settings = StoreSettings(_env_file=None, database_url=NOBODY_LISTENS, database_timeout_seconds=0.3)
    async with open_item_store(settings) as store:
        yield store


async def test_the_first_write_makes_the_indexes(mongodb: MongoItemStore) -> None:
    await mongodb._items.drop_indexes()
    await mongodb.insert(item("a"))
    indexes = await mongodb._items.index_information()
    assert indexes["name_1"]["unique"]
    assert indexes["tags_1__id_-1"]["key"] == [("tags", 1), ("_id", -1)]


async def test_without_transactions_a_batch_with_a_taken_name_is_undone(mongodb: MongoItemStore) -> None:
    await mongodb.insert(item("taken"))
    mongodb._has_transactions = False
    with pytest.raises(NameTaken):
        await mongodb.insert_many([item("a"), item("taken"), item("b")])
    assert (await mongodb.prices()).items == 1


async def test_without_transactions_a_batch_is_inserted_whole(mongodb: MongoItemStore) -> None:
    await mongodb.ping()
    mongodb._has_transactions = False
    await mongodb.insert_many([item("a"), item("b")])
    assert (await mongodb.prices()).items == 2


async def test_of_two_batches_with_one_name_at_once_one_is_inserted(mongodb: MongoItemStore) -> None:
    batches = [[item("same"), item(f"other {number}")] for number in range(2)]
    outcomes = await asyncio.gather(*map(mongodb.insert_many, batches), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NameTaken", "NoneType"]
    assert (await mongodb.prices()).items == 2


async def test_requests_that_are_cancelled_leave_the_connections_to_others(mongodb: MongoItemStore) -> None:
    for _ in range(20):
        reads = [asyncio.create_task(mongodb.page(1, None, None)) for _ in range(50)]
        await asyncio.sleep(0.002)
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
    async with asyncio.timeout(5):
        await mongodb.ping()


async def test_a_server_that_is_down_is_waited_for_no_longer_than_said(unreachable: MongoItemStore) -> None:
    started_at = monotonic()
    reads = [unreachable.get(uuid7()) for _ in range(50)]
    writes = [unreachable.insert(item("a")) for _ in range(50)]
    outcomes = await asyncio.gather(*reads, *writes, unreachable.ping(), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert monotonic() - started_at < 5


async def test_no_more_requests_wait_than_said_and_the_next_is_refused_at_once() -> None:
    bounds = {"database_timeout_seconds": 1.0, "database_pool_size": 1, "database_max_waiting_requests": 2}
    settings = StoreSettings(_env_file=None, database_url=NOBODY_LISTENS, **bounds)  # type: ignore[arg-type]
    async with open_item_store(settings) as store:
        waiting = [asyncio.create_task(store.get(uuid7())) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="Too many requests"):
            await store.get(uuid7())
        assert not any(task.done() for task in waiting)
        await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(Unavailable, match="in time"):
            await store.get(uuid7())


async def test_a_write_that_is_repeated_finds_no_name_taken(mongodb: MongoItemStore) -> None:
    row = item("a")
    await mongodb.insert(row)
    await mongodb.insert(row)
    assert (await mongodb.prices()).items == 1


@pytest.mark.parametrize(
    "url",
    ["", "mongodb://secret.host:27017", "mongodb://secret.host/?tls=true", "https://secret.host/db"],
)
def test_a_url_that_names_no_database_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValidationError, match="database_url") as refusal:
        StoreSettings(_env_file=None, database_url=url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["mongodb://a/db", "mongodb://u:p%2F@a:1,b:2/db?replicaSet=r", "mongodb+srv://cluster.example/db"]
)
def test_a_url_that_names_a_database_is_accepted(url: str) -> None:
    settings = StoreSettings(_env_file=None, database_url=url)
    assert settings.database_url.get_secret_value() == url


@pytest.mark.usefixtures("_empty_database")
async def test_slow_commands_are_logged_with_their_plan_and_without_values(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.store.mongodb._listeners", lambda _: [SlowQueryListener(0.0)])
    async with open_item_store(settings) as store:
        row = item("secret")
        await store.insert(row)
        await store.get(row["id"])
        await store.page(1, None, "secret")
        await store.update(row["id"], {"name": "secret 2"}, NOW)
    told = {record.statement: record.plan for record in caplog.records}  # type: ignore[attr-defined]
    plans = {next(iter(json.loads(statement))): plan for statement, plan in told.items()}
    # Which index it takes for one item is the server's choice.
    assert "IXSCAN" in plans["find"]
    assert {"insert", "findAndModify"} <= plans.keys()
    assert "secret" not in str([vars(record) for record in caplog.records])


def test_commands_are_not_watched_unless_asked_for() -> None:
    assert _listeners(None) == []


def test_a_statement_keeps_its_form_and_loses_its_values() -> None:
    command = {"find": "items", "filter": {"tags": "secret", "$or": [{"_id": 1}, {"name": "x"}]}, "limit": 20}
    assert without_values(command) == {
        "find": "items",
        "filter": {"tags": "?", "$or": [{"_id": "?"}, {"name": "?"}]},
        "limit": "?",
    }


def test_a_plan_is_told_by_its_stages() -> None:
    # As https://www.mongodb.com/docs/manual/reference/explain-results/ describes it.
    scan = {"stage": "IXSCAN", "indexName": "name_1", "indexBounds": {"name": ['["secret", "secret"]']}}
    winning = {"stage": "FETCH", "filter": {"tags": {"$eq": "secret"}}, "inputStage": scan}
    told = {
        "queryPlanner": {"parsedQuery": {"name": "secret"}, "winningPlan": winning, "rejectedPlans": [scan]}
    }
    assert list(stages_of(told)) == ["FETCH", "IXSCAN name_1"]
    assert list(stages_of({"stages": [{"$cursor": told}, {"$group": {}}]})) == ["FETCH", "IXSCAN name_1"]

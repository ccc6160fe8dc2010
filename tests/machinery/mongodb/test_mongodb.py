"""What is particular to MongoDB: indexes made by the service, batches without transactions, bounded waits."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr, ValidationError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DuplicateKeyError,
    OperationFailure,
    WTimeoutError,
)
from uuid_utils.compat import uuid7

from app.forge.errors import NameTaken, Unavailable
from app.items.store import ItemRow
from app.main import create_app
from app.forge.database.mongodb_driver import aggregate
from app.settings import Settings
from app.forge.database.mongodb import MongoItemStore, StoreSettings, _listeners, open_item_store
from app.forge.database.mongodb_slow_queries import SlowQueryListener, stages_of, without_values

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = Path(__file__).parents[2]
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
    monkeypatch.setattr("app.forge.database.mongodb._listeners", lambda _: [SlowQueryListener(0.0)])
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


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://host/db", "not the URL of a MongoDB server"),
        ("mongodb+other://host/db", "not the URL of a MongoDB server"),
        ("mongodb://host/db?tlss=true", "Unknown option: tlss"),
        ("mongodb://host/db?timeoutMS=1", "set DATABASE_TIMEOUT_SECONDS instead"),
        ("mongodb://host/db?maxPoolSize=1", "set DATABASE_POOL_SIZE instead"),
        ("mongodb://host/db?uuidRepresentation=pythonLegacy", "'uuidRepresentation' must be 'standard'"),
        ("mongodb://host/db?journal=false", "'journal' must be 'true'"),
        ("mongodb://host/db?w=0", "'w' must not be 0"),
        ("mongodb://host/db?compressors=snappy", "snappy"),
        ("mongodb://host/db?tls=true&tls=false", "Duplicate URI option 'tls'"),
        ("mongodb://host/db?tlsCAFile=/nowhere/ca.pem", "'tlsCAFile' cannot be used"),
        ("mongodb://a,b/db?directConnection=true", "directConnection"),
        ("mongodb+srv://host.example:1/db", "port"),
        ("mongodb://me:secret/2@host/db", "percent-encoded"),
        ("mongodb://me:secret?2@host/db", "percent-encoded"),
        ("mongodb://me:secret@2@host/db", "escaped"),
        ("mongodb://me:secret:2@host/db", "escaped"),
        ("mongodb://me@host/db?authMechanism=GSSAPI&authMechanismProperties=x:secret", "one of its options"),
    ],
)
def test_a_url_that_cannot_work_is_refused_by_name_without_being_repeated(url: str, reason: str) -> None:
    with pytest.raises(ValidationError, match="database_url") as refusal:
        StoreSettings(_env_file=None, database_url=url)
    assert reason in str(refusal.value)
    assert "secret" not in str(refusal.value)


async def test_options_of_the_url_are_honoured() -> None:
    options = "appName=mine&readPreference=secondaryPreferred&retryWrites=false&w=majority&journal=true"
    settings = StoreSettings(_env_file=None, database_url=f"{NOBODY_LISTENS}?{options}")
    async with open_item_store(settings) as store:
        chosen: Any = store._items.database.client.options
        assert chosen.pool_options.appname == "mine"
        assert chosen.read_preference.name == "SecondaryPreferred"
        assert chosen.retry_writes is False
        assert chosen.write_concern.document == {"w": "majority", "j": True}
        assert chosen.pool_options.max_pool_size == settings.connections_per_worker


@pytest.mark.usefixtures("_empty_database")
async def test_a_batch_is_written_whatever_reads_prefer(settings: Settings) -> None:
    url = settings.database_url.get_secret_value()
    preferred = f"{url}{'&' if '?' in url else '?'}readPreference=secondaryPreferred"
    async with open_item_store(settings.model_copy(update={"database_url": SecretStr(preferred)})) as store:
        await store.insert_many([item("a"), item("b")])
        assert (await store.prices()).items == 2


async def test_a_duplicate_that_is_no_taken_name_is_not_called_one(mongodb: MongoItemStore) -> None:
    await mongodb._items.create_index("price_cents", unique=True)
    try:
        row = item("a")
        await mongodb.insert(row)
        with pytest.raises(DuplicateKeyError):
            await mongodb.insert(item("b"))
        with pytest.raises(BulkWriteError):
            await mongodb.insert_many([item("c")])
        await mongodb.insert(item("d") | {"price_cents": 2})
        with pytest.raises(DuplicateKeyError):
            await mongodb.update(row["id"], {"price_cents": 2}, NOW)
        with pytest.raises(NameTaken):
            await mongodb.update(row["id"], {"name": "d"}, NOW)
    finally:
        await mongodb._items.drop_index("price_cents_1")


@pytest.mark.parametrize("operator", ["$nothing", "$stet"])
async def test_a_mistake_in_a_query_is_not_taken_for_an_outage(
    mongodb: MongoItemStore, operator: str
) -> None:
    with pytest.raises(OperationFailure):
        await mongodb._newest({"name": {operator: 1}}, None, 1)
    with pytest.raises(OperationFailure):
        await mongodb._answer(aggregate, mongodb._items, [{operator: {}}])


@pytest.mark.parametrize(
    "error",
    [
        OperationFailure("not primary", 10_107),
        OperationFailure("authentication failed", 18),
        OperationFailure("try again", 112, {"errorLabels": ["TransientTransactionError"]}),
        OperationFailure("in the cloud", 1, {"errorLabels": ["RetryableWriteError"]}),
        BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64, "errmsg": "timeout"}]}),
        WTimeoutError("waited for replicas"),
        ConfigurationError("The DNS query name does not exist: _mongodb._tcp.name.invalid."),
    ],
)
async def test_what_may_pass_is_unavailable(mongodb: MongoItemStore, error: Exception) -> None:
    async def fail() -> None:
        raise error

    with pytest.raises(Unavailable) as refusal:
        await mongodb._answer(fail)
    assert refusal.value.__cause__ is error


async def test_indexes_that_cannot_be_made_are_an_outage_and_no_taken_name(mongodb: MongoItemStore) -> None:
    await mongodb._items.drop_indexes()
    documents = [{**item("same"), "_id": uuid7()} for _ in range(2)]
    for document in documents:
        del document["id"]
    await mongodb._items.insert_many(documents)
    try:
        with pytest.raises(Unavailable, match="indexes could not be made"):
            await mongodb.insert(item("another"))
    finally:
        await mongodb._items.delete_many({})
    await mongodb.insert(item("another"))


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("mongodb+srv://cluster.name.invalid/items_test", "name.invalid"),
        ("mongodb://name.invalid/items_test", "name.invalid"),
        (NOBODY_LISTENS, "Errno 111"),
        (f"{NOBODY_LISTENS}?tls=true", "Errno 111"),
    ],
)
def test_a_server_that_cannot_be_connected_to_is_one_that_is_down_and_the_log_says_why(
    settings: Settings, caplog: pytest.LogCaptureFixture, url: str, cause: str
) -> None:
    changed = {"database_url": SecretStr(url), "database_timeout_seconds": 1.0}
    with TestClient(create_app(settings.model_copy(update=changed))) as client:
        answers = [
            client.get(path).status_code for path in ("/api/v1/items", "/health/ready", "/health/live")
        ]
    assert answers == [503, 503, 200]
    (line,) = [record.getMessage() for record in caplog.records if record.name == "app.forge.database.outages"]
    assert cause in line


def test_processes_that_make_the_indexes_at_once_all_end_well(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "app.forge.database.mongodb_indexes"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    making = [subprocess.Popen(command, env=environment, cwd=PROJECT, **pipes) for _ in range(4)]
    outputs = [process.communicate(timeout=300)[0] for process in making]
    assert [process.returncode for process in making] == [0] * 4, outputs

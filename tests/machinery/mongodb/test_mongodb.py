"""Features of MongoDB alone: documents and indexes, no references and perhaps no transactions, bounded waits."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import pytest
from bson import Decimal128
from fastapi.testclient import TestClient
from pydantic import SecretStr, ValidationError
from pymongo import MongoClient
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DuplicateKeyError,
    OperationFailure,
    WTimeoutError,
)
from pymongo.monitoring import CommandStartedEvent
from uuid_utils.compat import uuid7

from app.forge.database import Database, DatabaseSettings, open_database
from app.forge.database.mongodb import _listeners
from app.forge.database.mongodb_driver import Collection, DriverDatabase, aggregate
from app.forge.database.mongodb_errors import taken_field
from app.forge.database.mongodb_slow_queries import SlowQueryListener, stages_of, without_values
from app.forge.database.mongodb_store import MongoStore
from app.forge.errors import MissingReference, NotFound, PreconditionFailed, Referenced, Taken, Unavailable
from app.forge.store import Row
from app.forge.table import Column, Reference, Table
from app.main import create_app
from app.resources import RESOURCES
from app.settings import Settings

AXES: tuple[str, ...] = ("mongodb_driver", "serializer")

RESOURCE = {resource.table.name: resource for resource in RESOURCES}
TABLES = [resource.table for resource in RESOURCES]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = Path(__file__).parents[2]
MIGRATE = [sys.executable, "-m", "app.forge.database.mongodb_indexes", "app.resources"]
NOBODY_LISTENS = "mongodb://127.0.0.1:9/items_test"


def item(name: str, **values: Any) -> Row:
    row = {"id": uuid7(), "name": name, "description": None, "price_cents": 1, "tags": []}
    return {**row, "created_at": NOW, "updated_at": NOW, **values}


def customer(email: str) -> Row:
    return {"id": uuid7(), "email": email, "vip": False, "created_at": NOW, "updated_at": NOW}


def store_of(database: Database, name: str = "items") -> MongoStore:
    return database.store(RESOURCE[name].table, RESOURCE[name].serializer())


def driver_of(database: Database) -> DriverDatabase:
    return database._operations.database


class Shop:
    """An item, and a customer whose order lines refer to it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.items, self.customers, self.order_lines = (
            store_of(database, name) for name in ("items", "customers", "order_lines")
        )
        self.item, self.customer = item("the item"), customer("the@customer")
        self.lines: Collection = driver_of(database)["order_lines"]

    def line(self, number: str, **values: Any) -> Row:
        row: Row = {"id": uuid7(), "number": number, "item_id": self.item["id"], "buyer_id": None}
        row |= {"keeper_id": self.customer["id"], "parent_id": None, "quantity": 1, "weight": None}
        row |= {"price": Decimal("1.00"), "status": "open", "due": None, "paid_at": None, "token": None}
        row |= {"gift": False, "note": None, "codes": [], "links": [], "extra": None, "date": None}
        return {**row, "count_of": None, "created_at": NOW, "updated_at": NOW, **values}

    async def numbers(self) -> list[str]:
        """Return a distinct value of each order line, the newest first."""
        return [row["number"] for row in json.loads(await self.order_lines.page(100, None, {}, ()))["items"]]


@pytest.fixture
async def shop(database: Database) -> Shop:
    shop = Shop(database)
    await shop.items.insert(shop.item)
    await shop.customers.insert(shop.customer)
    return shop


@pytest.fixture
def mongodb(database: Database) -> MongoStore:
    return store_of(database)


@pytest.fixture
def items(database: Database) -> Collection:
    return driver_of(database)["items"]


@pytest.fixture
async def without_transactions(database: Database) -> None:
    await database.ping()
    database._operations._has_transactions = False


@pytest.fixture
async def unreachable() -> AsyncIterator[Database]:
    settings = DatabaseSettings(_env_file=None, database_url=NOBODY_LISTENS, database_timeout_seconds=0.3)
    async with open_database(settings, TABLES) as database:
        yield database


class Watched:
    """A database whose every command is logged as slow."""

    def __init__(self, database: Database, listener: SlowQueryListener) -> None:
        self.database = database
        self._listener = listener

    async def logged(self) -> None:
        """Return when the earlier commands are in the log."""
        # The listener may be called in another thread.
        await asyncio.sleep(0.05)
        await self._listener.close()


@pytest.fixture
async def watched(
    settings: Settings, _empty_database: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Watched]:
    listener = SlowQueryListener(0.0)
    monkeypatch.setattr("app.forge.database.mongodb._listeners", lambda _: [listener])
    async with open_database(settings, TABLES) as database:
        await database.ping()
        yield Watched(database, listener)


async def test_the_first_write_creates_the_indexes_of_all_tables(shop: Shop) -> None:
    database = driver_of(shop.database)
    for table in TABLES:
        await database[table.name].drop_indexes()
    shop.database._operations._prepared = False
    await shop.items.insert(item("a"))
    indexes = await database["items"].index_information()
    assert indexes["name_1"]["unique"]
    assert indexes["tags_1__id_-1"]["key"] == [("tags", 1), ("_id", -1)]
    indexes = await database["order_lines"].index_information()
    filters = ["item_id", "buyer_id", "keeper_id", "parent_id", "price", "status", "due", "paid_at", "links"]
    unique = ["number_1", "token_1"]
    assert sorted(indexes) == sorted(
        ["_id_", *unique, *(f"{name}_1__id_-1" for name in [*filters, "count_of"])]
    )


async def test_values_are_stored_in_native_types_or_as_text(shop: Shop) -> None:
    extra = {"$a.b": [1, 2.5, None], "": {}}
    row = shop.line("a", price=Decimal("19.90"), due=date(2026, 2, 28), paid_at=NOW, token=UUID(int=7))
    await shop.order_lines.insert({**row, "extra": extra})
    found = await shop.lines.find_one({})
    assert found is not None
    assert found["_id"] == row["id"]
    assert found["price"] == Decimal128("19.90")
    stored = {name: found[name] for name in ("due", "paid_at", "token", "extra")}
    assert stored == {
        "due": "2026-02-28",
        "paid_at": NOW,
        "token": UUID(int=7),
        "extra": json.dumps(extra, separators=(",", ":")),
    }


async def test_a_document_from_before_a_field_has_the_fields_default(shop: Shop) -> None:
    row = shop.line("a", extra=[1])
    inserted = await shop.order_lines.insert(row)
    # Its table lacked these fields then, and may have had others.
    left_out = {"status": "", "codes": "", "gift": "", "token": "", "extra": ""}
    await shop.lines.update_one({}, {"$unset": left_out, "$set": {"removed_since": 1}})
    found = await shop.order_lines.get(row["id"])
    expected = {**json.loads(inserted.body), "extra": None}
    assert json.loads(found.body) == expected
    changed = await shop.order_lines.update(row["id"], {"quantity": 2}, NOW, found.etag)
    assert json.loads(changed.body) == {**expected, "quantity": 2}


def test_after_the_migration_filters_and_summaries_find_defaults_in_old_documents(
    client: TestClient, settings: Settings, environment: dict[str, str]
) -> None:
    url = settings.database_url.get_secret_value()
    with MongoClient[dict[str, Any]](url, uuidRepresentation="standard") as server:
        customers = server.get_default_database()["customers"]
        customers.insert_one({"_id": uuid7(), "email": "old@customer", "created_at": NOW, "updated_at": NOW})
        found = [client.get("/api/v1/customers", params={"vip": False}).json()["items"]]
        subprocess.run(MIGRATE, env=environment, cwd=PROJECT, check=True)
        found.append(client.get("/api/v1/customers", params={"vip": False}).json()["items"])
    assert [[row["email"] for row in rows] for rows in found] == [[], ["old@customer"]]
    assert client.get("/api/v1/customers/summary").json()["vip"] == [{"value": False, "count": 1}]


@pytest.mark.usefixtures("_empty_database")
async def test_a_migration_takes_all_the_time_it_needs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[dict[str, Any]] = []

    class Listener(SlowQueryListener):
        def started(self, event: CommandStartedEvent) -> None:
            commands.append(dict(event.command))

    monkeypatch.setattr("app.forge.database.mongodb._listeners", lambda _: [Listener(60)])
    async with open_database(settings, TABLES) as database:
        await database.migrate()
        bounded = {next(iter(command)): "maxTimeMS" in command for command in commands}
    assert bounded == {"ping": True, "createIndexes": False, "hello": False, "update": False}


async def test_rows_do_not_conflict_in_a_unique_field_that_was_removed(
    shop: Shop, settings: Settings
) -> None:
    await shop.order_lines.insert(shop.line("of before"))
    table = RESOURCE["order_lines"].table
    fewer = Table("order_lines", "order line", tuple(each for each in table.columns if each.name != "number"))
    tables = [fewer, RESOURCE["items"].table, RESOURCE["customers"].table]
    async with open_database(settings, tables) as database:
        store = database.store(fewer, RESOURCE["order_lines"].serializer())
        rows = [shop.line("left out") for _ in range(2)]
        for row in rows:
            del row["number"]
        await store.insert_many(rows)
    assert await shop.lines.count_documents({}) == 3


async def test_rows_without_a_unique_field_do_not_conflict(shop: Shop) -> None:
    rows = [shop.line(number) for number in "abc"]
    await shop.order_lines.insert_many(rows)
    await shop.lines.update_many({"number": {"$in": ["a", "b"]}}, {"$unset": {"token": ""}})
    await shop.order_lines.insert(shop.line("d", token=UUID(int=1)))
    with pytest.raises(Taken):
        await shop.order_lines.update(rows[0]["id"], {"token": UUID(int=1)}, NOW)


async def test_a_server_without_tables_responds_to_a_ping(settings: Settings, unreachable: Database) -> None:
    async with open_database(settings, []) as database:
        await database.ping()
    with pytest.raises(Unavailable):
        await unreachable.ping()


async def test_a_reference_to_a_missing_table_is_refused_at_startup(settings: Settings) -> None:
    table = Table("a", "a", (Column("b_id", "uuid", reference=Reference("bs")),))
    with pytest.raises(ValueError, match=r"a\.b_id refers to bs"):
        async with open_database(settings, [table]):
            pass


async def test_without_transactions_a_refused_delete_leaves_what_refers_to_the_row(
    settings: Settings,
) -> None:
    owner, folder = (
        Column("owner", "str"),
        Column("folder_id", "uuid", reference=Reference("kept", "cascade")),
    )
    kept = Table("kept", "folder", (owner,), is_owned=True)
    papers = Table("kept_papers", "paper", (folder,))
    async with open_database(settings, [kept, papers]) as database:
        await database.ping()
        database._operations._has_transactions = False
        folders, pages = (database.store(each, RESOURCE["items"].serializer()) for each in (kept, papers))
        times = {"created_at": NOW, "updated_at": NOW}
        hers: Row = {"id": uuid7(), "owner": "alice", **times}
        driver = driver_of(database)
        await driver["kept"].insert_one(folders._documents.document(hers))
        page = {"id": uuid7(), "folder_id": hers["id"], **times}
        await driver["kept_papers"].insert_one(pages._documents.document(page))
        with pytest.raises(NotFound):
            await folders.of("bob", frozenset({"kept"})).delete(hers["id"])
        assert await driver["kept_papers"].count_documents({}) == 1
        await folders.of("alice", frozenset({"kept"})).delete(hers["id"])
        assert await driver["kept_papers"].count_documents({}) == 0


async def test_a_page_with_all_its_references_is_one_statement(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(watched.database)
    await shop.items.insert(shop.item)
    await shop.customers.insert(shop.customer)
    top = shop.line("top")
    await shop.order_lines.insert(top)
    await shop.order_lines.insert_many([shop.line(number, parent_id=top["id"]) for number in "abcd"])
    await watched.logged()
    caplog.clear()
    page = json.loads(await shop.order_lines.page(3, None, {"status": "open"}, ["item", "keeper", "parent"]))
    assert [row["parent"]["number"] for row in page["items"]] == ["top"] * 3
    await watched.logged()
    commands = [next(iter(json.loads(record.statement))) for record in caplog.records]  # type: ignore[attr-defined]
    assert commands == ["aggregate"]


@pytest.mark.usefixtures("without_transactions")
async def test_without_transactions_a_batch_with_a_taken_name_is_undone(mongodb: MongoStore) -> None:
    await mongodb.insert(item("taken"))
    with pytest.raises(Taken):
        await mongodb.insert_many([item("a"), item("taken"), item("b")])
    assert (await mongodb.summary())["count"] == 1


@pytest.mark.usefixtures("without_transactions")
async def test_without_transactions_a_batch_is_inserted_completely(mongodb: MongoStore) -> None:
    await mongodb.insert_many([item("a"), item("b")])
    assert (await mongodb.summary())["count"] == 2


@pytest.mark.usefixtures("without_transactions")
async def test_without_transactions_references_are_checked_first(shop: Shop) -> None:
    row = shop.line("a")
    await shop.order_lines.insert(row)
    for attempt in (
        shop.order_lines.insert(shop.line("b", buyer_id=uuid7())),
        shop.order_lines.insert_many([shop.line("c"), shop.line("d", parent_id=uuid7())]),
        shop.order_lines.update(row["id"], {"item_id": uuid7()}, NOW),
    ):
        with pytest.raises(MissingReference):
            await attempt
    assert await shop.numbers() == ["a"]


@pytest.mark.usefixtures("without_transactions")
async def test_without_transactions_a_delete_cascades_or_is_refused(shop: Shop) -> None:
    other = customer("other@customer")
    await shop.customers.insert(other)
    top = shop.line("top", keeper_id=other["id"])
    leaf, bought = shop.line("leaf", parent_id=top["id"]), shop.line("bought", buyer_id=other["id"])
    await shop.order_lines.insert_many([top])
    await shop.order_lines.insert_many([leaf, bought])
    with pytest.raises(Referenced):
        await shop.items.delete(shop.item["id"])
    with pytest.raises(PreconditionFailed):
        await shop.customers.delete(other["id"], '"old"')
    assert await shop.numbers() == ["bought", "leaf", "top"]
    await shop.customers.delete(other["id"])
    assert await shop.numbers() == ["bought"]
    assert json.loads((await shop.order_lines.get(bought["id"])).body)["buyer_id"] is None


async def test_rows_that_refer_to_each_other_are_deleted_together(shop: Shop) -> None:
    first, second = shop.line("first"), shop.line("second")
    await shop.order_lines.insert_many([first, second])
    await shop.order_lines.update(first["id"], {"parent_id": second["id"]}, NOW)
    await shop.order_lines.update(second["id"], {"parent_id": first["id"]}, NOW)
    await shop.order_lines.delete(first["id"])
    assert await shop.numbers() == []


async def test_a_delete_that_fails_on_its_way_deletes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = shop.line("a")
    await shop.order_lines.insert(row)
    remove = shop.customers._remove

    async def fail(*arguments: Any) -> None:
        await remove(*arguments)
        raise NotFound("on its way")

    monkeypatch.setattr(shop.customers, "_remove", fail)
    with pytest.raises(NotFound, match="on its way"):
        await shop.customers.delete(shop.customer["id"])
    assert await shop.numbers() == ["a"]
    await shop.customers.get(shop.customer["id"])


@pytest.mark.parametrize("method", ["update", "delete"])
async def test_a_change_between_the_check_of_the_entity_tag_and_the_write_is_not_lost(
    mongodb: MongoStore, items: Collection, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    row = item("a", tags=["x"])
    etag = (await mongodb.insert(row)).etag
    look = mongodb._wanted

    async def looked(*arguments: Any) -> Any:
        wanted = await look(*arguments)
        monkeypatch.undo()
        await items.update_one({"_id": row["id"]}, {"$set": {"price_cents": 7}})
        return wanted

    monkeypatch.setattr(mongodb, "_wanted", looked)
    write: Callable[[], Any] = {
        "update": lambda: mongodb.update(row["id"], {"name": "b"}, NOW, etag),
        "delete": lambda: mongodb.delete(row["id"], etag),
    }[method]
    with pytest.raises(PreconditionFailed):
        await write()
    found = json.loads((await mongodb.get(row["id"])).body)
    assert (found["name"], found["price_cents"]) == ("a", 7)


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"keyPattern": {"token": 1}}, "token"),
        ({"keyPattern": {"token": 1, "_id": 1}}, None),
        ({"keyPattern": {"note": 1}, "errmsg": "E11000 … index: token_1 dup key: { … }"}, None),
        (
            {"errmsg": 'E11000 … collection: shop.order_lines index: token_1 dup key: { : "number_1" }'},
            "token",
        ),
        ({"errmsg": 'E11000 … index: shop.order_lines.$number_1 dup key: { : " index: token_1" }'}, "number"),
        ({"errmsg": "E11000 … index: another_number_1 dup key: { … }"}, None),
        ({"keyPattern": {"token": 1}, "code": 1}, None),
        ({}, None),
    ],
)
def test_the_taken_field_is_that_of_the_index_in_any_error_format(
    fault: dict[str, Any], field: str | None
) -> None:
    assert taken_field(RESOURCE["order_lines"].table, {"code": 11_000, **fault}) == field


async def test_only_one_of_two_concurrent_batches_with_a_name_is_inserted(mongodb: MongoStore) -> None:
    batches = [[item("same"), item(f"other {number}")] for number in range(2)]
    outcomes = await asyncio.gather(*map(mongodb.insert_many, batches), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "Taken"]
    assert (await mongodb.summary())["count"] == 2


async def test_cancelled_requests_release_their_connections(database: Database, mongodb: MongoStore) -> None:
    for _ in range(20):
        reads = [asyncio.create_task(mongodb.page(1, None, {}, ())) for _ in range(50)]
        await asyncio.sleep(0.002)
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
    async with asyncio.timeout(5):
        await database.ping()


async def test_a_server_that_is_down_is_waited_for_no_longer_than_the_timeout(unreachable: Database) -> None:
    started_at = monotonic()
    items, customers = store_of(unreachable), store_of(unreachable, "customers")
    reads = [items.get(uuid7()) for _ in range(50)]
    writes = [customers.insert(customer("a")) for _ in range(50)]
    outcomes = await asyncio.gather(*reads, *writes, unreachable.ping(), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert monotonic() - started_at < 5


async def test_the_queue_is_limited_and_further_requests_are_refused_at_once() -> None:
    bounds = {"database_timeout_seconds": 1.0, "database_pool_size": 1, "database_max_waiting_requests": 2}
    settings = DatabaseSettings(_env_file=None, database_url=NOBODY_LISTENS, **bounds)  # type: ignore[arg-type]
    async with open_database(settings, TABLES) as database:
        # All tables share the connections.
        store, another = store_of(database), store_of(database, "customers")
        waiting = [asyncio.create_task(another.get(uuid7())) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="Too many requests"):
            await store.get(uuid7())
        assert not any(task.done() for task in waiting)
        await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(Unavailable, match="in time"):
            await store.get(uuid7())


async def test_a_write_that_is_repeated_finds_no_name_taken(mongodb: MongoStore) -> None:
    row = item("a")
    await mongodb.insert(row)
    await mongodb.insert(row)
    assert (await mongodb.summary())["count"] == 1


@pytest.mark.parametrize(
    "url",
    ["", "mongodb://secret.host:27017", "mongodb://secret.host/?tls=true", "https://secret.host/db"],
)
def test_a_url_that_names_no_database_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValidationError, match="database_url") as refusal:
        DatabaseSettings(_env_file=None, database_url=url)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["mongodb://a/db", "mongodb://u:p%2F@a:1,b:2/db?replicaSet=r", "mongodb+srv://cluster.example/db"]
)
def test_a_url_that_names_a_database_is_accepted(url: str) -> None:
    settings = DatabaseSettings(_env_file=None, database_url=url)
    assert settings.database_url.get_secret_value() == url


async def test_slow_commands_are_logged_with_their_plan_and_without_values(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    store = store_of(watched.database)
    row = item("secret")
    await store.insert(row)
    await store.get(row["id"])
    await store.page(1, None, {"tags": "secret"}, ())
    await store.update(row["id"], {"name": "secret 2"}, NOW)
    await watched.logged()
    told = {record.statement: record.plan for record in caplog.records}  # type: ignore[attr-defined]
    plans = {next(iter(json.loads(statement))): plan for statement, plan in told.items()}
    # The server chooses the index for one item.
    assert "IXSCAN" in plans["find"]
    assert {"insert", "findAndModify"} <= plans.keys()
    assert "secret" not in str([vars(record) for record in caplog.records])


def test_commands_are_not_timed_by_default() -> None:
    assert _listeners(None) == []


def test_a_statement_keeps_its_form_and_loses_its_values() -> None:
    command = {"find": "items", "filter": {"tags": "secret", "$or": [{"_id": 1}, {"name": "x"}]}, "limit": 20}
    assert without_values(command) == {
        "find": "items",
        "filter": {"tags": "?", "$or": [{"_id": "?"}, {"name": "?"}]},
        "limit": "?",
    }


def test_a_plan_is_described_by_its_stages() -> None:
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
        DatabaseSettings(_env_file=None, database_url=url)
    assert reason in str(refusal.value)
    assert "secret" not in str(refusal.value)


async def test_options_of_the_url_are_honoured() -> None:
    options = "appName=mine&readPreference=secondaryPreferred&retryWrites=false&w=majority&journal=true"
    settings = DatabaseSettings(_env_file=None, database_url=f"{NOBODY_LISTENS}?{options}")
    async with open_database(settings, TABLES) as database:
        chosen: Any = driver_of(database).client.options
        assert chosen.pool_options.appname == "mine"
        assert chosen.read_preference.name == "SecondaryPreferred"
        assert chosen.retry_writes is False
        assert chosen.write_concern.document == {"w": "majority", "j": True}
        assert chosen.pool_options.max_pool_size == settings.connections_per_worker


@pytest.mark.usefixtures("_empty_database")
async def test_a_batch_is_written_whatever_reads_prefer(settings: Settings) -> None:
    url = settings.database_url.get_secret_value()
    preferred = f"{url}{'&' if '?' in url else '?'}readPreference=secondaryPreferred"
    changed = settings.model_copy(update={"database_url": SecretStr(preferred)})
    async with open_database(changed, TABLES) as database:
        shop = Shop(database)
        await shop.items.insert_many([shop.item, item("b")])
        await shop.customers.insert(shop.customer)
        await shop.order_lines.insert(shop.line("a"))
        with pytest.raises(Referenced):
            await shop.items.delete(shop.item["id"])
        await shop.customers.delete(shop.customer["id"])
        assert await shop.numbers() == []


async def test_other_duplicates_are_not_reported_as_taken_names(
    mongodb: MongoStore, items: Collection
) -> None:
    await items.create_index("price_cents", unique=True)
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
        with pytest.raises(Taken):
            await mongodb.update(row["id"], {"name": "d"}, NOW)
    finally:
        await items.drop_index("price_cents_1")


@pytest.mark.parametrize("operator", ["$nothing", "$stet"])
async def test_a_mistake_in_a_query_is_not_an_outage(
    mongodb: MongoStore, items: Collection, operator: str
) -> None:
    with pytest.raises(OperationFailure):
        await mongodb._newest({"name": {operator: 1}}, None, 1)
    with pytest.raises(OperationFailure):
        await mongodb._answer(aggregate, items, [{operator: {}}])


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
async def test_temporary_errors_are_unavailable(mongodb: MongoStore, error: Exception) -> None:
    async def fail() -> None:
        raise error

    with pytest.raises(Unavailable) as refusal:
        await mongodb._answer(fail)
    assert refusal.value.__cause__ is error


async def test_indexes_that_cannot_be_created_are_an_outage_and_not_a_taken_name(
    mongodb: MongoStore, items: Collection
) -> None:
    await items.drop_indexes()
    documents = [{**item("same"), "_id": uuid7()} for _ in range(2)]
    for document in documents:
        del document["id"]
    await items.insert_many(documents)
    try:
        with pytest.raises(Unavailable, match="indexes could not be made"):
            await mongodb.insert(item("another"))
    finally:
        await items.delete_many({})
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
def test_a_server_that_refuses_connections_is_down_and_the_log_has_the_cause(
    settings: Settings, caplog: pytest.LogCaptureFixture, url: str, cause: str
) -> None:
    changed = {"database_url": SecretStr(url), "database_timeout_seconds": 1.0}
    with TestClient(create_app(settings.model_copy(update=changed))) as client:
        answers = [
            client.get(path).status_code for path in ("/api/v1/items", "/health/ready", "/health/live")
        ]
    assert answers == [503, 503, 200]
    (line,) = [
        record.getMessage() for record in caplog.records if record.name == "app.forge.database.outages"
    ]
    assert cause in line


def test_processes_that_create_the_indexes_concurrently_all_succeed(environment: dict[str, str]) -> None:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    making = [subprocess.Popen(MIGRATE, env=environment, cwd=PROJECT, **pipes) for _ in range(4)]
    outputs = [process.communicate(timeout=300)[0] for process in making]
    assert [process.returncode for process in making] == [0] * 4, outputs

"""Features of PostgreSQL alone: a pool that limits connections and waiting."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from time import monotonic
from typing import Any, LiteralString

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from app.forge.database import Database, open_database, postgres_pooler, postgres_slow_queries
from app.forge.database.postgres_pool import ConnectionPool
from app.forge.database.postgres_pooler import UnnamedStatements
from app.forge.database.postgres_store import PostgresStore
from app.forge.database.postgres_url import parse_url
from app.forge.errors import Taken, Unavailable
from app.forge.store import Row
from app.items import RESOURCE
from app.settings import Settings
from tests.migrate import migrate

AXES: tuple[str, ...] = ("serializer",)

TIMEOUT_SECONDS = 0.5
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SLEEP = "SELECT pg_sleep($1)"
SESSION = "SELECT pg_backend_pid()"


def items_of(database: Database) -> PostgresStore:
    """Return the store of the items."""
    return database.store(RESOURCE.table, RESOURCE.serializer())


OpenPool = Callable[..., ConnectionPool]


@pytest.fixture
async def open_pool(settings: Settings) -> AsyncIterator[OpenPool]:
    pools: list[ConnectionPool] = []

    def open_pool(size: int, max_waiting: int = 100, **more: Any) -> ConnectionPool:
        bounds = {"size": size, "max_waiting": max_waiting, "timeout_seconds": TIMEOUT_SECONDS}
        pools.append(ConnectionPool(settings.server, application_name="pool", **bounds, **more))  # type: ignore[arg-type]
        return pools[-1]

    yield open_pool
    for pool in pools:
        await pool.close()


async def test_no_more_connections_are_opened_than_allowed(open_pool: OpenPool) -> None:
    pool = open_pool(size=2)
    sessions = await asyncio.gather(*(pool.fetch(f"{SESSION}, pg_sleep(0.01)") for _ in range(10)))
    assert len({rows[0][0] for rows in sessions}) == 2


async def test_a_full_queue_refuses_at_once(open_pool: OpenPool) -> None:
    pool = open_pool(size=1, max_waiting=1)
    began_at = monotonic()
    outcomes = await asyncio.gather(*(pool.fetch(SLEEP, 0.1) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [list, list, Unavailable]
    assert monotonic() - began_at < TIMEOUT_SECONDS


async def test_the_wait_for_a_connection_and_the_statement_share_a_timeout(open_pool: OpenPool) -> None:
    pool = open_pool(size=1)
    began_at = monotonic()
    outcomes = await asyncio.gather(*(pool.fetch(SLEEP, 10.0) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    assert monotonic() - began_at < 1.7 * TIMEOUT_SECONDS


async def test_a_connection_whose_statement_timed_out_is_not_used_again(open_pool: OpenPool) -> None:
    pool = open_pool(size=1)
    ((session,),) = await pool.fetch(SESSION)
    with pytest.raises(Unavailable):
        await pool.fetch(SLEEP, 10.0)
    ((other,),) = await pool.fetch(SESSION)
    assert other != session


async def test_a_connection_whose_request_was_cancelled_is_not_used_again(open_pool: OpenPool) -> None:
    pool = open_pool(size=1)
    ((session,),) = await pool.fetch(SESSION)
    statement = asyncio.create_task(pool.fetch(SLEEP, 10.0))
    await asyncio.sleep(0.1)
    statement.cancel()
    with pytest.raises(asyncio.CancelledError):
        await statement
    ((other,),) = await pool.fetch(SESSION)
    assert other != session


async def test_a_connection_that_the_server_closes_is_replaced(
    open_pool: OpenPool, settings: Settings
) -> None:
    pool = open_pool(size=1)
    ((session,),) = await pool.fetch(SESSION)
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        statement = asyncio.create_task(pool.fetch(SLEEP, 10.0))
        await asyncio.sleep(0.1)
        await connection.execute("SELECT pg_terminate_backend($1)", session)
        with pytest.raises(Unavailable):
            await statement
    finally:
        await connection.close()
    ((other,),) = await pool.fetch(SESSION)
    assert other != session


@pytest.fixture
async def outside(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection that is not the service's."""
    connection = await settings.server.connect(timeout_seconds=5, server_settings={})
    yield connection
    await connection.close()


@pytest.fixture
async def take_no_changes(outside: asyncpg.Connection) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Yield a function that makes every new session of the database read-only until the end of the test."""
    name = await outside.fetchval("SELECT quote_ident(current_database())")

    async def take_no_changes() -> None:
        await outside.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    yield take_no_changes
    await outside.execute("SET default_transaction_read_only = off")
    await outside.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")


READ_ONLY = "SELECT set_config('default_transaction_read_only', 'on', false)"


async def test_no_session_that_has_become_read_only_is_used_again(open_pool: OpenPool) -> None:
    pool = open_pool(size=4)
    sessions = await asyncio.gather(*(pool.fetch(f"{SESSION}, pg_sleep(0.1)") for _ in range(4)))
    for _ in sessions:
        await pool.fetch(READ_ONLY)
    with pytest.raises(Unavailable, match="is read-only"):
        await pool.fetch("INSERT INTO items DEFAULT VALUES")
    after = await asyncio.gather(*(pool.fetch(f"{SESSION}, pg_sleep(0.1)") for _ in range(4)))
    assert not {rows[0][0] for rows in sessions} & {rows[0][0] for rows in after}


async def test_a_connection_in_use_is_retired_with_the_others(open_pool: OpenPool) -> None:
    pool = open_pool(size=2)
    reading = asyncio.create_task(pool.fetch(f"{SESSION}, pg_sleep(0.2)"))
    await asyncio.sleep(0.1)
    await pool.fetch(READ_ONLY)
    with pytest.raises(Unavailable):
        await pool.fetch("INSERT INTO items DEFAULT VALUES")
    ((session, _),) = await reading
    assert pool._idle == []
    assert session not in {rows[0][0] for rows in [await pool.fetch(SESSION) for _ in range(2)]}


async def test_a_read_only_database_is_not_ready_until_it_accepts_writes(
    settings: Settings, outside: asyncpg.Connection, take_no_changes: Callable[[], Awaitable[None]]
) -> None:
    await take_no_changes()
    async with open_database(settings, [RESOURCE.table]) as database:
        for _ in range(3):
            with pytest.raises(Unavailable, match="is read-only"):
                await database.ping()
        await outside.execute("SET default_transaction_read_only = off")
        name = await outside.fetchval("SELECT quote_ident(current_database())")
        await outside.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await database.ping()


async def test_after_a_missing_response_no_idle_connection_is_trusted(open_pool: OpenPool) -> None:
    pool = open_pool(size=3)
    await asyncio.gather(*(pool.fetch(f"{SESSION}, pg_sleep(0.1)") for _ in range(3)))
    assert len(pool._idle) == 3
    with pytest.raises(Unavailable, match="in time"):
        await pool.fetch(SLEEP, 10.0)
    assert pool._idle == []


@pytest.mark.parametrize("pooler", ["none", "transaction", "prepared"])
async def test_a_statement_that_timed_out_is_cancelled(
    open_pool: OpenPool, outside: asyncpg.Connection, pooler: str
) -> None:
    pool = open_pool(size=1, pooler=pooler)
    with pytest.raises(Unavailable):
        await pool.fetch("SELECT pg_sleep(60), 'given up'")
    await asyncio.gather(*pool._closing)
    left = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%given u_%' AND state = 'active'"
    assert await outside.fetchval(f"{left} AND pid <> pg_backend_pid()") == 0


@pytest.mark.parametrize(
    ("sql", "values", "error"),
    [
        ("SELECT nothing FROM items", (), asyncpg.UndefinedColumnError),
        ("SELECT FROM nowhere", (), asyncpg.UndefinedTableError),
        ("SELEC 1", (), asyncpg.PostgresSyntaxError),
        ("SELECT $1::int", ("text",), asyncpg.DataError),
        ("SELECT $1::int", (), asyncpg.InterfaceError),
        ("SELECT 1 / 0", (), asyncpg.DivisionByZeroError),
    ],
)
async def test_a_mistake_is_not_an_outage(
    open_pool: OpenPool, sql: LiteralString, values: tuple[object, ...], error: type[Exception]
) -> None:
    pool = open_pool(size=1)
    with pytest.raises(error):
        await pool.fetch(sql, *values)
    assert await pool.fetch("SELECT 1") == [(1,)]


@pytest.mark.usefixtures("_empty_database")
async def test_a_database_without_tables_is_reported_as_not_migrated(
    open_pool: OpenPool, database_url: str
) -> None:
    pool = open_pool(size=1)
    await asyncio.to_thread(migrate, database_url, "base")
    try:
        with pytest.raises(Unavailable, match="not been migrated") as failure:
            await pool.fetch("SELECT FROM items")
        assert isinstance(failure.value.__cause__, asyncpg.UndefinedTableError)
    finally:
        await asyncio.to_thread(migrate, database_url)


async def test_an_outage_has_its_cause(open_pool: OpenPool) -> None:
    pool = open_pool(size=1)
    with pytest.raises(Unavailable) as failure:
        await pool.fetch("SELECT pg_terminate_backend(pg_backend_pid())")
    assert "administrator command" in str(failure.value.__cause__)
    pool._server = parse_url("postgresql://127.0.0.1:9/d")
    with pytest.raises(Unavailable, match="cannot be reached") as failure:
        await pool.fetch("SELECT 1")
    assert isinstance(failure.value.__cause__, ConnectionRefusedError)


async def test_a_deadlock_is_unavailable_and_costs_no_connection(open_pool: OpenPool) -> None:
    pool = open_pool(size=1)
    before = await pool.fetch(SESSION)
    with pytest.raises(Unavailable, match="at the same time"):
        await pool.fetch("DO $$BEGIN RAISE EXCEPTION USING ERRCODE = 'deadlock_detected'; END$$")
    assert await pool.fetch(SESSION) == before


@pytest.mark.usefixtures("_empty_database")
async def test_only_a_value_that_must_be_unique_is_reported_as_taken(settings: Settings) -> None:
    async with open_database(settings, [RESOURCE.table]) as database:
        store = items_of(database)
        row = secret_item("a")
        await store.insert(row)
        with pytest.raises(Taken):
            await store.insert({**row, "id": uuid7()})
        for insert in (store.insert, lambda row: store.insert_many([row])):
            with pytest.raises(asyncpg.UniqueViolationError, match="items_pkey"):
                await insert({**row, "name": "another"})
        with pytest.raises(asyncpg.NotNullViolationError):
            await store.insert({**secret_item("c"), "price_cents": None})


@pytest.mark.usefixtures("_empty_database")
async def test_no_prepared_statements_are_used_with_a_pooler_that_lacks_them(settings: Settings) -> None:
    behind = settings.model_copy(update={"database_pooler": "transaction"})
    async with open_database(behind, [RESOURCE.table]) as database:
        store = items_of(database)
        row = secret_item("a")
        await store.insert(row)
        for _ in range(3):
            assert b"secret a" in (await store.get(row["id"])).body
        assert await database._pool.fetch("SELECT FROM pg_prepared_statements WHERE name <> ''") == []
        assert await database._pool.fetch("SHOW timezone") == [("UTC",)]


async def test_a_statement_whose_description_is_outdated_is_described_again(
    settings: Settings, outside: asyncpg.Connection
) -> None:
    await outside.execute("CREATE TABLE described AS SELECT 1::bigint AS value")
    behind = settings.model_copy(update={"database_pooler": "transaction"})
    try:
        async with open_database(behind, [RESOURCE.table]) as database:
            assert await database._pool.fetch("SELECT value FROM described WHERE value = $1", 1) == [(1,)]
            await outside.execute("ALTER TABLE described ALTER value TYPE text")
            with suppress(Unavailable, asyncpg.PostgresError, ValueError):
                await database._pool.fetch("SELECT value FROM described WHERE value = $1", 1)
            assert await database._pool.fetch("SELECT value FROM described WHERE value = $1", "1") == [("1",)]
    finally:
        await outside.execute("DROP TABLE described")


async def test_the_descriptions_kept_per_connection_are_limited(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_pooler, "MAX_DESCRIBED", 3)
    behind = settings.model_copy(update={"database_pooler": "transaction"})
    async with open_database(behind, []) as database:
        for number in (1, 2, 3, 4, 1, 5):
            assert await database._pool.fetch(f"SELECT {number}") == [(number,)]
        assert len(database._pool._idle[0]._described) == 3


@pytest.mark.usefixtures("_empty_database")
@pytest.mark.parametrize("pooler", ["none", "transaction"])
async def test_a_slow_statement_is_explained_behind_a_pooler_too(
    settings: Settings, pooler: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgres_slow_queries, "perf_counter", count(step=0.1).__next__)
    behind = settings.model_copy(update={"slow_query_ms": 1, "database_pooler": pooler})
    async with open_database(behind, [RESOURCE.table]) as database:
        await items_of(database).insert(secret_item("a"))
        assert (UnnamedStatements in type(database._pool._idle[0]).__mro__) == (pooler == "transaction")
    assert "Insert on items" in caplog.records[0].plan  # type: ignore[attr-defined]


@pytest.fixture
async def watched(
    settings: Settings, _empty_database: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    monkeypatch.setattr(postgres_slow_queries, "perf_counter", count(step=0.1).__next__)
    async with open_database(settings.model_copy(update={"slow_query_ms": 1}), [RESOURCE.table]) as database:
        yield database


def secret_item(name: str) -> Row:
    return {
        "id": uuid7(),
        "name": f"secret {name}",
        "description": None,
        "price_cents": 1,
        "tags": ["secret"],
        "created_at": NOW,
        "updated_at": NOW,
    }


async def test_slow_statements_are_logged_with_their_plan_and_without_values(
    watched: Database, caplog: pytest.LogCaptureFixture
) -> None:
    store = items_of(watched)
    row = secret_item("a")
    await store.insert(row)
    await store.insert_many([secret_item("b")])
    await store.get(row["id"])
    await store.page(1, None, {"tags": "secret"}, ())
    await store.update(row["id"], {"name": "secret c"}, NOW)
    plans = [record.plan for record in caplog.records]  # type: ignore[attr-defined]
    assert len(plans) == 5
    assert "Insert on items" in plans[0]
    assert "Index Cond: (id = $1)" in plans[2]
    told = str([vars(record) for record in caplog.records])
    assert "secret" not in told
    assert str(row["id"]) not in told


async def test_a_slow_statement_without_a_plan_is_logged_without_an_error(
    watched: Database, caplog: pytest.LogCaptureFixture
) -> None:
    assert await watched._pool.fetch("SHOW timezone") == [("UTC",)]
    await watched.ping()
    assert "PostgreSQL returned no plan" in caplog.records[0].plan  # type: ignore[attr-defined]


async def test_a_slow_statement_that_timed_out_is_logged(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    hasty = {"slow_query_ms": 100, "database_timeout_seconds": 0.2}
    async with open_database(settings.model_copy(update=hasty), []) as database:
        with pytest.raises(Unavailable):
            await database._pool.fetch(SLEEP, 10.0)
    (record,) = caplog.records
    assert (record.statement, record.plan) == (SLEEP, postgres_slow_queries.NOT_FINISHED)  # type: ignore[attr-defined]


async def test_statements_are_not_timed_by_default(settings: Settings) -> None:
    async with open_database(settings, [RESOURCE.table]) as database:
        await database.ping()
        assert type(database._pool._idle[0]) is asyncpg.Connection

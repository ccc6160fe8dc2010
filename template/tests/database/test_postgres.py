"""What is particular to PostgreSQL: a pool whose connections and whose waiting have an end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from itertools import count
from time import monotonic

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from app.errors import Unavailable
from app.items.store import ItemRow
from app.settings import Settings
from app.store import postgres_slow_queries
from app.store.postgres import PostgresItemStore, open_item_store
from app.store.postgres_pool import ConnectionPool

TIMEOUT_SECONDS = 0.5
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SLEEP = "SELECT pg_sleep($1)"
SESSION = "SELECT pg_backend_pid()"

OpenPool = Callable[..., ConnectionPool]


@pytest.fixture
async def open_pool(settings: Settings) -> AsyncIterator[OpenPool]:
    pools: list[ConnectionPool] = []

    def open_pool(size: int, max_waiting: int = 100) -> ConnectionPool:
        bounds = {"size": size, "max_waiting": max_waiting, "timeout_seconds": TIMEOUT_SECONDS}
        pools.append(ConnectionPool(settings.server, application_name="pool", **bounds))  # type: ignore[arg-type]
        return pools[-1]

    yield open_pool
    for pool in pools:
        await pool.close()


async def test_no_more_connections_are_opened_than_allowed(open_pool: OpenPool) -> None:
    pool = open_pool(size=2)
    sessions = await asyncio.gather(*(pool.fetch(f"{SESSION}, pg_sleep(0.01)") for _ in range(10)))
    assert len({rows[0][0] for rows in sessions}) == 2


async def test_a_queue_that_is_full_refuses_at_once(open_pool: OpenPool) -> None:
    pool = open_pool(size=1, max_waiting=1)
    began_at = monotonic()
    outcomes = await asyncio.gather(*(pool.fetch(SLEEP, 0.1) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [list, list, Unavailable]
    assert monotonic() - began_at < TIMEOUT_SECONDS


async def test_the_wait_for_a_connection_and_the_statement_have_one_bound(open_pool: OpenPool) -> None:
    pool = open_pool(size=1)
    began_at = monotonic()
    outcomes = await asyncio.gather(*(pool.fetch(SLEEP, 10.0) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    assert monotonic() - began_at < 1.7 * TIMEOUT_SECONDS


async def test_a_connection_whose_statement_was_given_up_is_not_used_again(open_pool: OpenPool) -> None:
    pool = open_pool(size=1)
    ((session,),) = await pool.fetch(SESSION)
    with pytest.raises(Unavailable):
        await pool.fetch(SLEEP, 10.0)
    ((other,),) = await pool.fetch(SESSION)
    assert other != session


async def test_a_connection_that_the_server_hangs_up_on_is_replaced(
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
async def watched(
    settings: Settings, _empty_database: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PostgresItemStore]:
    monkeypatch.setattr(postgres_slow_queries, "perf_counter", count(step=0.1).__next__)
    async with open_item_store(settings.model_copy(update={"slow_query_ms": 1})) as store:
        yield store


def secret_item(name: str) -> ItemRow:
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
    watched: PostgresItemStore, caplog: pytest.LogCaptureFixture
) -> None:
    row = secret_item("a")
    await watched.insert(row)
    await watched.insert_many([secret_item("b")])
    await watched.get(row["id"])
    await watched.page(1, None, "secret")
    await watched.update(row["id"], {"name": "secret c"}, NOW)
    plans = [record.plan for record in caplog.records]  # type: ignore[attr-defined]
    assert len(plans) == 5
    assert "Insert on items" in plans[0]
    assert "Index Cond: (id = $1)" in plans[2]
    told = str([vars(record) for record in caplog.records])
    assert "secret" not in told
    assert str(row["id"]) not in told


async def test_a_slow_statement_without_a_plan_is_logged_and_hurts_nobody(
    watched: PostgresItemStore, caplog: pytest.LogCaptureFixture
) -> None:
    assert await watched._pool.fetch("SHOW timezone") == [("UTC",)]
    await watched.ping()
    assert "PostgreSQL does not tell" in caplog.records[0].plan  # type: ignore[attr-defined]


async def test_a_slow_statement_that_was_given_up_is_logged(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    hasty = {"slow_query_ms": 100, "database_timeout_seconds": 0.2}
    async with open_item_store(settings.model_copy(update=hasty)) as store:
        with pytest.raises(Unavailable):
            await store._pool.fetch(SLEEP, 10.0)
    (record,) = caplog.records
    assert (record.statement, record.plan) == (SLEEP, postgres_slow_queries.NOT_FINISHED)  # type: ignore[attr-defined]


async def test_statements_are_not_timed_unless_asked_for(settings: Settings) -> None:
    async with open_item_store(settings) as store:
        await store.ping()
        assert type(store._pool._idle[0]) is asyncpg.Connection

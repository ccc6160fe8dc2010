"""Transactions on PostgreSQL: sessions that stay unchanged, and commits in doubt."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from app.forge.database import Database, Transaction, open_database, postgres_slow_queries
from app.forge.errors import OutcomeUnknown, TransactionConflict, Unavailable
from app.items.queries import TABLE
from app.settings import Settings

AXES: tuple[str, ...] = ("cache",)

TIMEOUT_SECONDS = 2.0
COUNT = "SELECT count(*) FROM items"
INSERT = "INSERT INTO items VALUES ($1, $2, NULL, 1, '{}', now(), now())"
PRICE = "SELECT price_cents FROM items WHERE name = $1"
RAISE = "UPDATE items SET price_cents = $2 WHERE name = $1"
SESSION = "SELECT pg_backend_pid()"
STATE = "SELECT current_setting('work_mem'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"

Act = Callable[[Transaction], Any]


class Line:
    """A proxy port of the server, and its treatment of a COMMIT."""

    def __init__(self, host: str, port: int) -> None:
        self._server_address = host, port
        self.at_commit = "pass"
        self.ends: list[asyncio.StreamWriter] = []

    async def open(self) -> int:
        """Return the port."""
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """End all connections."""
        self._server.close()
        for end in self.ends:
            end.close()
        await self._server.wait_closed()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._server_address)
        self.ends += [writer, server_writer]
        is_held = asyncio.Event()
        await asyncio.gather(
            self._ask(reader, server_writer, writer, is_held), self._answer(server_reader, writer, is_held)
        )

    async def _ask(
        self,
        client: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        is_held: asyncio.Event,
    ) -> None:
        with suppress(OSError):
            while data := await client.read(65_536):
                if b"COMMIT" in data and self.at_commit == "lose":
                    back.close()
                    break
                if b"COMMIT" in data and self.at_commit == "hold":
                    is_held.set()
                server.write(data)
        server.close()

    async def _answer(
        self, server: asyncio.StreamReader, client: asyncio.StreamWriter, is_held: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await server.read(65_536):
                if not is_held.is_set():
                    client.write(data)
        if not is_held.is_set():
            client.close()


@pytest.fixture
async def line(settings: Settings) -> AsyncIterator[Line]:
    where = urlsplit(settings.database_url.get_secret_value())
    line = Line(where.hostname or "127.0.0.1", where.port or 5432)
    yield line
    await line.close()


@pytest.fixture
def bounds() -> dict[str, Any]:
    """Return settings of the database that a test changes."""
    return {"database_pool_size": 1, "database_timeout_seconds": TIMEOUT_SECONDS}


@pytest.fixture
async def database(
    settings: Settings, line: Line, _empty_database: None, bounds: dict[str, Any]
) -> AsyncIterator[Database]:
    """Yield the database behind the proxy, over one connection unless a test overrides it."""
    url = urlsplit(settings.database_url.get_secret_value())
    credentials, at, _ = url.netloc.rpartition("@")
    through = url._replace(netloc=f"{credentials}{at}127.0.0.1:{await line.open()}").geturl()
    changed = type(settings.database_url)(through)
    behind = settings.model_copy(update={**bounds, "database_url": changed})
    async with open_database(behind, [TABLE]) as database:
        yield database


@pytest.fixture
async def beside(settings: Settings) -> AsyncIterator[Any]:
    """Yield a connection of another client."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    yield connection
    await connection.close()


def inserting(name: str, item_id: UUID | None = None) -> Act:
    async def work(transaction: Transaction) -> int:
        changed = item_id or uuid4()
        transaction.changed(TABLE, changed)
        await transaction.execute(INSERT, changed, name)
        session: int = await transaction.fetchval(SESSION)
        return session

    return work


def executing(sql: Any) -> Act:
    async def work(transaction: Transaction) -> Any:
        return await transaction.execute(sql)

    return work


async def test_errors_of_the_database_are_raised_unchanged_and_the_session_is_reused(
    database: Database,
) -> None:
    session = await database.transact(inserting("taken"))
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.transact(inserting("taken"))
    for wrong in ("SELEC 1", "SELECT * FROM nowhere", "SELECT 1 / 0"):
        with pytest.raises(asyncpg.PostgresError):
            await database.transact(executing(wrong))
    assert await database.transact(inserting("b")) == session


async def test_mistakes_in_the_use_of_the_driver_are_not_an_outage(
    database: Database,
) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute("SELECT $1::int", 1, 2)

    with pytest.raises(asyncpg.InterfaceError):
        await database.transact(work)


async def test_a_plain_function_is_refused(database: Database) -> None:
    def work(_transaction: Transaction) -> None:
        pass

    with pytest.raises(TypeError, match="async def"):
        await database.transact(work)  # type: ignore[arg-type]


async def test_a_savepoint_undoes_only_what_is_inside_it(database: Database, beside: Any) -> None:
    async def work(transaction: Transaction) -> None:
        await inserting("kept")(transaction)
        with suppress(asyncpg.UniqueViolationError):
            async with transaction.savepoint():
                await inserting("undone")(transaction)
                await inserting("kept")(transaction)
        async with transaction.savepoint():
            await inserting("also kept")(transaction)

    await database.transact(work)
    names = [name for (name,) in await beside.fetch("SELECT name FROM items ORDER BY name")]
    assert names == ["also kept", "kept"]


async def test_work_that_continues_after_a_failed_statement_raises_because_nothing_was_committed(
    database: Database, beside: Any
) -> None:
    async def work(transaction: Transaction) -> None:
        await inserting("a")(transaction)
        with suppress(asyncpg.PostgresError):
            await transaction.execute("SELECT 1 / 0")

    with pytest.raises(RuntimeError, match="savepoint"):
        await database.transact(work)
    assert await beside.fetchval(COUNT) == 0


@pytest.mark.parametrize(
    "sql",
    ["COMMIT", "rollback", " -- a\n END", "/* a */ BEGIN", "SELECT 1; COMMIT", "start transaction", "ABORT"],
)
async def test_work_cannot_end_its_transaction(database: Database, beside: Any, sql: Any) -> None:
    async def work(transaction: Transaction) -> None:
        await inserting("a")(transaction)
        await transaction.execute(sql)

    with pytest.raises(RuntimeError, match="inside a transaction"):
        await database.transact(work)
    assert await beside.fetchval(COUNT) == 0


async def test_statements_that_only_look_like_the_end_of_a_transaction_are_executed(
    database: Database,
) -> None:
    for sql in ("SELECT 'a; COMMIT'", "DO $$ BEGIN PERFORM 1; END; $$", "SELECT 1 -- ; COMMIT"):
        await database.transact(executing(sql))


async def test_a_nested_transaction_is_refused(database: Database) -> None:
    async def work(_transaction: Transaction) -> None:
        await database.transact(inserting("a"))

    with pytest.raises(RuntimeError, match="savepoint"):
        await database.transact(work)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_session_is_reset_before_it_is_reused(database: Database, fails: bool) -> None:
    async def alter(transaction: Transaction) -> None:
        await transaction.execute("SET work_mem = '1MB'")
        await transaction.execute("SELECT pg_advisory_lock(1)")
        await transaction.execute("CREATE TEMPORARY TABLE left_behind (a int)")
        assert not fails

    async def look(transaction: Transaction) -> Any:
        return [*await transaction.fetchrow(STATE), await transaction.fetchval("SHOW timezone")]

    before = await database.transact(look)
    with suppress(AssertionError):
        await database.transact(alter)
    await database.transact(executing("CREATE TEMPORARY TABLE left_behind (a int)"))
    assert await database.transact(look) == before


async def test_a_transaction_may_have_another_isolation_level_or_be_read_only(database: Database) -> None:
    async def level(transaction: Transaction) -> Any:
        return await transaction.fetchval("SHOW transaction_isolation")

    assert await database.transact(level) == "read committed"
    assert await database.transact(level, isolation="serializable") == "serializable"
    assert await database.transact(level) == "read committed"
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await database.transact(inserting("a"), read_only=True)


def raising(beside: Any, name: str, times: int) -> Act:
    """Return work that conflicts with another change of the rows it has read, this many times."""
    met = count()

    async def work(transaction: Transaction) -> None:
        price = await transaction.fetchval(PRICE, name)
        if next(met) < times:
            await beside.execute(RAISE, name, price + 1)
        await transaction.execute(RAISE, name, price + 10)

    return work


async def test_a_serialization_failure_is_a_conflict_unless_retries_are_allowed(
    database: Database, beside: Any
) -> None:
    await database.transact(inserting("a"))
    with pytest.raises(TransactionConflict):
        await database.transact(raising(beside, "a", 1), isolation="repeatable read")
    with pytest.raises(TransactionConflict):
        await database.transact(raising(beside, "a", 3), isolation="repeatable read", retries=2)
    await database.transact(raising(beside, "a", 2), isolation="repeatable read", retries=2)
    # 1, plus the six additions of the other session, plus ten.
    assert await beside.fetchval(PRICE, "a") == 1 + 1 + 3 + 2 + 10


async def test_a_statement_that_takes_too_long_ends_with_its_transaction(
    database: Database, beside: Any
) -> None:
    with pytest.raises(Unavailable):
        await database.transact(executing("SELECT pg_sleep(10)"))
    await database.close()
    active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(10)' AND state <> 'idle'"
    assert await beside.fetchval(active) == 0
    await database.transact(inserting("a"))


async def test_a_cancelled_request_releases_its_session(database: Database) -> None:
    session = await database.transact(inserting("a"))
    sleeping = asyncio.create_task(database.transact(executing("SELECT pg_sleep(10)")))
    await asyncio.sleep(0.1)
    sleeping.cancel()
    await asyncio.gather(sleeping, return_exceptions=True)
    assert await database.transact(inserting("b")) == session


@pytest.mark.parametrize("bounds", [{"database_pool_size": 3, "database_timeout_seconds": 5.0}])
async def test_no_session_is_left_over_or_in_a_transaction(database: Database, beside: Any) -> None:
    outcomes = [asyncio.create_task(database.transact(inserting(f"item {n % 7}"))) for n in range(50)]
    await asyncio.sleep(0.05)
    for outcome in outcomes[::3]:
        outcome.cancel()
    await asyncio.gather(*outcomes, return_exceptions=True)
    await database.close()
    sessions = (
        "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    states = [state for (state,) in await beside.fetch(sessions)]
    assert len(states) <= 3
    assert set(states) == {"idle"}


@pytest.mark.parametrize(("at_commit", "committed"), [("hold", 1), ("lose", 0)])
async def test_a_commit_without_a_response_is_in_doubt_and_the_cache_drops_its_changes(
    database: Database, line: Line, beside: Any, at_commit: str, committed: int
) -> None:
    told: list[UUID] = []

    async def forget(table: str, row_ids: Collection[UUID]) -> None:
        assert table == "items"
        told.extend(row_ids)

    database.on_change(forget)
    item_id = uuid4()
    line.at_commit = at_commit
    with pytest.raises(OutcomeUnknown):
        await database.transact(inserting("a", item_id))
    line.at_commit = "pass"
    assert item_id in told
    assert await beside.fetchval(COUNT) == committed
    await database.close()
    # When its caller gave up, and again when the commit has ended.
    assert told.count(item_id) >= (2 if at_commit == "hold" else 1)
    await database.transact(inserting("b"))


async def test_a_request_cancelled_at_its_commit_is_committed_and_the_cache_drops_its_changes(
    database: Database, beside: Any
) -> None:
    await beside.execute(
        """
        CREATE OR REPLACE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER slowly AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION slowly()
        """
    )
    told: list[int] = []

    async def forget(_table: str, _row_ids: Collection[UUID]) -> None:
        told.append(await beside.fetchval(COUNT))

    database.on_change(forget)
    try:
        inserted = asyncio.create_task(database.transact(inserting("a")))
        await asyncio.sleep(0.1)
        inserted.cancel()
        await asyncio.gather(inserted, return_exceptions=True)
        await database.close()
    finally:
        await beside.execute("DROP TRIGGER slowly ON items; DROP FUNCTION slowly")
    assert inserted.cancelled()
    assert told == [1]


async def test_a_session_that_the_server_ends_undoes_its_transaction(database: Database, beside: Any) -> None:
    async def work(transaction: Transaction) -> None:
        session = await inserting("a")(transaction)
        await beside.execute("SELECT pg_terminate_backend($1)", session)
        await transaction.execute("SELECT 1")

    with pytest.raises(Unavailable):
        await database.transact(work)
    assert await beside.fetchval(COUNT) == 0
    await database.transact(inserting("b"))


async def test_requests_cancelled_before_their_turn_do_nothing(database: Database, beside: Any) -> None:
    first = asyncio.create_task(database.transact(executing("SELECT pg_sleep(0.2)")))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(database.transact(inserting(str(number)))) for number in range(5)]
    await asyncio.sleep(0.01)
    for other in others:
        other.cancel()
    await asyncio.gather(first, *others, return_exceptions=True)
    await database.transact(inserting("a"))
    assert await beside.fetchval(COUNT) == 1


@pytest.mark.usefixtures("_empty_database")
async def test_slow_statements_of_a_transaction_are_logged_with_their_plan(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(postgres_slow_queries, "perf_counter", count(step=0.1).__next__)

    async def work(transaction: Transaction) -> None:
        await transaction.execute(INSERT, uuid4(), "secret")
        await transaction.executemany(RAISE, [("secret", 2), ("b", 3)])
        assert await transaction.fetchval(PRICE, "secret") == 2
        assert await transaction.fetchval("SHOW plan_cache_mode") == "auto"

    async with open_database(settings.model_copy(update={"slow_query_ms": 1}), [TABLE]) as database:
        await database.transact(work)
        await database.ping()
    plans = {record.statement: record.plan for record in caplog.records}  # type: ignore[attr-defined]
    assert "Insert on items" in plans[INSERT]
    assert "Update on items" in plans[RAISE]
    assert "Index Cond" in plans[PRICE] or "Seq Scan" in plans[PRICE]
    assert plans["COMMIT"] == ""
    assert "secret" not in str([vars(record) for record in caplog.records])

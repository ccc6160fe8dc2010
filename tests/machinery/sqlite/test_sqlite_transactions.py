"""Transactions on SQLite: each is a part of a group's commit, and bounded."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from app.forge.database import Database, Transaction, open_database
from app.forge.database.sqlite import DatabaseSettings
from app.forge.errors import Unavailable
from tests.machinery.gates import Gate

AXES: tuple[str, ...] = ("cache",)

TIMEOUT_SECONDS = 2.0
SCHEMA = """
    PRAGMA journal_mode = WAL;
    CREATE TABLE notes (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT, WITHOUT ROWID;
    CREATE TABLE numbers (number INTEGER NOT NULL) STRICT;
"""
COUNT = "SELECT count(*) FROM notes"
INSERT = "INSERT INTO notes VALUES (?, ?)"
FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
READ_FOREVER = f"{FOREVER} SELECT count(*) FROM n"
WRITE_FOREVER = f"INSERT INTO numbers {FOREVER} SELECT i FROM n"

Work = Callable[[Transaction], Any]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "notes.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
    url = f"sqlite:///{quote(str(path))}"
    chosen = DatabaseSettings(_env_file=None, database_url=url, database_timeout_seconds=TIMEOUT_SECONDS)
    async with open_database(chosen, []) as database:
        yield database


def inserting(name: str) -> Work:
    return lambda transaction: transaction.execute(INSERT, (str(uuid4()), name)).rowcount


def executing(sql: Any) -> Work:
    return lambda transaction: transaction.execute(sql).fetchall()


def raising(error: BaseException) -> Work:
    def work(_transaction: Transaction) -> None:
        raise error

    return work


async def counted(database: Database, sql: Any = COUNT) -> int:
    ((count,),) = await database.transact(executing(sql), read_only=True, timeout_seconds=5)
    return int(count)


async def in_one_group(database: Database, *works: Work) -> list[Any]:
    """Return the outcomes of works that wait together while another holds the writer."""
    gate = Gate()
    first = asyncio.create_task(database.transact(lambda _: gate.pass_in_thread(), timeout_seconds=5))
    await gate.is_reached()
    others = [asyncio.create_task(database.transact(work, timeout_seconds=5)) for work in works]
    await asyncio.sleep(0.01)
    gate.open()
    await first
    return await asyncio.gather(*others, return_exceptions=True)


async def test_errors_in_a_group_undo_only_their_own_transaction(database: Database) -> None:
    works = [inserting("a"), raising(ValueError()), inserting("a"), executing("SELEC 1"), inserting("b")]
    outcomes = await in_one_group(database, *works)
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [int, ValueError, sqlite3.IntegrityError, sqlite3.OperationalError, int]
    assert await counted(database) == 2


async def test_an_interrupted_transaction_undoes_no_other_of_its_group(database: Database) -> None:
    """SQLite itself undoes everything when a statement that writes is interrupted."""
    gate = Gate()
    first = asyncio.create_task(database.transact(lambda _: gate.pass_in_thread(), timeout_seconds=5))
    await gate.is_reached()
    before = asyncio.create_task(database.transact(inserting("before"), timeout_seconds=5))
    endless = asyncio.create_task(database.transact(executing(WRITE_FOREVER)))
    after = asyncio.create_task(database.transact(inserting("after"), timeout_seconds=5))
    await asyncio.sleep(0.01)
    gate.open()
    outcomes = await asyncio.gather(first, before, endless, after, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), int, Unavailable, int]
    assert await counted(database) == 2
    assert await counted(database, "SELECT count(*) FROM numbers") == 0


@pytest.mark.parametrize("sql", [READ_FOREVER, WRITE_FOREVER])
async def test_an_endless_statement_blocks_the_writer_only_until_the_timeout(
    database: Database, sql: str
) -> None:
    with pytest.raises(Unavailable):
        await database.transact(executing(sql))
    assert await database.transact(inserting("a")) == 1
    assert await counted(database) == 1


async def test_work_of_many_statements_ends_at_the_timeout(database: Database) -> None:
    def work(transaction: Transaction) -> None:
        while True:
            with suppress(Exception):
                inserting(str(uuid4()))(transaction)
            if time.monotonic() > began_at + 2 * TIMEOUT_SECONDS:
                return

    began_at = time.monotonic()
    with pytest.raises(Unavailable):
        await database.transact(work)
    assert await database.transact(inserting("a"), timeout_seconds=5) == 1
    assert await counted(database) == 1


async def test_read_only_work_sees_a_snapshot_and_blocks_no_writer(database: Database) -> None:
    gate = Gate()

    def work(transaction: Transaction) -> list[int]:
        before = transaction.execute(COUNT).fetchone()
        gate.pass_in_thread()
        return [*before, *transaction.execute(COUNT).fetchone()]

    read = asyncio.create_task(database.transact(work, read_only=True))
    await gate.is_reached()
    await database.transact(inserting("a"))
    gate.open()
    assert await read == [0, 0]
    assert await counted(database) == 1


async def test_read_only_work_cannot_write_and_is_bounded(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await database.transact(inserting("a"), read_only=True)
    with pytest.raises(Unavailable):
        await database.transact(executing(READ_FOREVER), read_only=True)
    assert await counted(database) == 0


async def test_a_savepoint_undoes_only_what_is_inside_it(database: Database) -> None:
    def work(transaction: Transaction) -> None:
        inserting("kept")(transaction)
        with suppress(sqlite3.IntegrityError), transaction.savepoint():
            inserting("undone")(transaction)
            inserting("kept")(transaction)
        with transaction.savepoint():
            inserting("also kept")(transaction)

    await database.transact(work)
    assert await counted(database) == 2


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT",
        "rollback",
        "-- a\nEND",
        "/* a */ BEGIN",
        "PRAGMA synchronous = OFF",
        "CREATE TEMP TABLE t (a)",
    ],
)
async def test_work_cannot_end_its_transaction_or_alter_the_connection(database: Database, sql: str) -> None:
    def work(transaction: Transaction) -> None:
        inserting("undone")(transaction)
        executing(sql)(transaction)

    outcomes = await in_one_group(database, inserting("a"), work, inserting("b"))
    assert [type(outcome) for outcome in outcomes] == [int, RuntimeError, int]
    assert await counted(database) == 2


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt(), StopIteration()])
async def test_no_error_ends_the_thread_that_all_writes_need(
    database: Database, error: BaseException
) -> None:
    outcomes = await in_one_group(database, inserting("a"), raising(error), inserting("b"))
    assert [type(outcome) for outcome in outcomes] == [int, RuntimeError, int]
    assert await counted(database) == 2


async def test_a_coroutine_and_a_cursor_are_refused(database: Database) -> None:
    async def work(_transaction: Transaction) -> None:
        pass

    refused: Any = work
    with pytest.raises(TypeError, match="plain function"):
        await database.transact(refused)
    with pytest.raises(TypeError, match="Return its rows"):
        await database.transact(lambda transaction: transaction.execute(COUNT))


async def test_requests_cancelled_before_their_turn_do_nothing(database: Database) -> None:
    gate = Gate()
    first = asyncio.create_task(database.transact(lambda _: gate.pass_in_thread()))
    await gate.is_reached()
    others = [asyncio.create_task(database.transact(inserting(str(number)))) for number in range(5)]
    await asyncio.sleep(0.01)
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    gate.open()
    await first
    await database.close()
    assert await counted(database) == 0


async def test_a_request_cancelled_after_its_last_statement_changes_nothing(database: Database) -> None:
    gate = Gate()

    def work(transaction: Transaction) -> None:
        inserting("a")(transaction)
        gate.pass_in_thread()

    inserted = asyncio.create_task(database.transact(work))
    await gate.is_reached()
    inserted.cancel()
    await asyncio.gather(inserted, return_exceptions=True)
    gate.open()
    await database.close()
    assert await counted(database) == 0

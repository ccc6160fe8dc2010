"""The PostgreSQL database at TEST_DATABASE_URL, for tests and measurements."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from uuid import UUID

import asyncpg

from app.forge.database import Transaction
from app.forge.database.postgres_statements import quoted
from app.forge.database.postgres_url import parse_url
from app.resources import RESOURCES
from tests.database.for_tests import url_for_tests
from tests.errors import NoDatabase
from tests.gates import Gate
from tests.migrate import migrate

RETRIES: dict[str, Any] = {"retries": 20}
TABLES = {resource.table.name: resource.table for resource in RESOURCES}
TAKE = "UPDATE items SET price_cents = price_cents - $2 WHERE id = $1"
GIVE = "UPDATE items SET price_cents = price_cents + $2 WHERE id = $1"


@contextmanager
def throwaway_database() -> Iterator[str]:
    """Yield the URL of a migrated database, emptied before and after. Raises `NoDatabase`."""
    url = url_for_tests()
    _execute(url, "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
    migrate(url)
    try:
        yield url
    finally:
        empty_database(url)


def another_database(url: str) -> AbstractContextManager[str]:
    """Return the same database: there is one for tests, and services do not mind to share it."""
    return nullcontext(url)


def empty_database(url: str) -> None:
    """Delete all rows of all resources. Raises `NoDatabase`."""
    _execute(url, f"TRUNCATE {', '.join(map(quoted, TABLES))}" if TABLES else "SELECT 1")


def moving(
    source: UUID, target: UUID, cents: int, gate: Gate | None = None, error: BaseException | None = None
) -> Callable[[Transaction], Awaitable[int]]:
    """Return a work that moves cents from one item to another, and what it meets between the two."""

    async def work(transaction: Transaction) -> int:
        transaction.changed(TABLES["items"], source, target)
        await transaction.execute(TAKE, source, cents)
        if gate is not None:
            await gate.pass_on_loop()
        if error is not None:
            raise error
        await transaction.execute(GIVE, target, cents)
        return cents

    return work


def _execute(url: str, sql: str) -> None:
    try:
        asyncio.run(_executed(url, sql))
    except (OSError, asyncpg.PostgresError) as error:
        reason = " ".join(str(error).split())
        raise NoDatabase(
            f"The database at TEST_DATABASE_URL does not answer: {reason}", "Start it, or name another."
        ) from None


async def _executed(url: str, sql: str) -> None:
    connection = await parse_url(url).connect(timeout_seconds=5, server_settings={})
    try:
        await connection.execute(sql)
    finally:
        await connection.close()

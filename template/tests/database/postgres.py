"""The PostgreSQL database at TEST_DATABASE_URL, for tests and measurements."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import asyncpg

from app.forge.database.postgres_statements import quoted
from app.forge.database.postgres_url import parse_url
from app.resources import RESOURCES
from tests import NoDatabase
from tests.database.for_tests import url_for_tests
from tests.migrate import migrate


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
    """Return the same database: there is only one for tests, and services can share it."""
    return nullcontext(url)


def empty_database(url: str) -> None:
    """Delete all rows of all resources. Raises `NoDatabase`."""
    tables = [resource.table.name for resource in RESOURCES]
    _execute(url, f"TRUNCATE {', '.join(map(quoted, tables))}" if tables else "SELECT 1")


def _execute(url: str, sql: str) -> None:
    try:
        asyncio.run(_executed(url, sql))
    except (OSError, asyncpg.PostgresError) as error:
        reason = " ".join(str(error).split())
        raise NoDatabase(
            f"The database at TEST_DATABASE_URL does not respond: {reason}", "Start it, or name another."
        ) from None


async def _executed(url: str, sql: str) -> None:
    connection = await parse_url(url).connect(timeout_seconds=5, server_settings={})
    try:
        await connection.execute(sql)
    finally:
        await connection.close()

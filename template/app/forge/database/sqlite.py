"""SQLite on the standard library's driver: settings, connections, and the database that the service opens."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Annotated, LiteralString

from pydantic import AfterValidator, PositiveFloat, PositiveInt

from app.forge.database.slow_queries import SlowQuerySettings
from app.forge.database.sqlite_connections import READER_THREADS, Connections
from app.forge.database.sqlite_statements import FLOAT_JSON, presence
from app.forge.database.sqlite_transactions import Database
from app.forge.database.sqlite_url import database_path
from app.forge.database.sqlite_writer import GroupCommitWriter
from app.forge.fields import json_text
from app.forge.table import Table

# Prepared statements per connection. The default, 128, is too small for many tables with several each.
CACHED_STATEMENTS = 1_000


def _names_a_file(url: str) -> str:
    database_path(url)
    return url


class DatabaseSettings(SlowQuerySettings):
    """The address of the database, and its timeout."""

    database_url: Annotated[str, AfterValidator(_names_a_file)] = "sqlite:///var/app.db"
    database_timeout_seconds: PositiveFloat = 5.0
    database_max_waiting_writes: PositiveInt = 1_000

    @property
    def database_path(self) -> Path:
        """The database file."""
        return database_path(self.database_url)


def connect(settings: DatabaseSettings, busy_seconds: float, *pragmas: LiteralString) -> sqlite3.Connection:
    """Return a connection to the database file, which is created with its directory if it does not exist.

    Raises `OSError` or `sqlite3.OperationalError`.
    """
    path = settings.database_path
    path.parent.mkdir(parents=True, exist_ok=True)
    # Each connection is used by one thread at a time; which one changes.
    connection = sqlite3.connect(
        path,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        factory=_connection_class(settings.slow_query_ms),
        cached_statements=CACHED_STATEMENTS,
    )
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    connection.create_function(FLOAT_JSON, 1, _float_json, deterministic=True)
    return connection


def _float_json(number: float | None) -> str | None:
    return None if number is None else json_text(number)


def _connection_class(slow_query_ms: int | None) -> type[sqlite3.Connection]:
    if slow_query_ms is None:
        return sqlite3.Connection
    # Imported lazily: only needed if SLOW_QUERY_MS is set.
    from app.forge.database.sqlite_slow_queries import slow_query_connection

    return slow_query_connection(slow_query_ms / 1_000)


def _reader(settings: DatabaseSettings, busy_seconds: float) -> sqlite3.Connection:
    return connect(settings, busy_seconds, "query_only = ON")


def _writer(settings: DatabaseSettings, busy_seconds: float) -> sqlite3.Connection:
    # WAL does not block readers during a write. FULL survives a power cut; group commit makes up for its cost.
    pragmas: tuple[LiteralString, ...] = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
    return connect(settings, busy_seconds, *pragmas)


@asynccontextmanager
async def open_database(settings: DatabaseSettings, tables: Sequence[Table]) -> AsyncIterator[Database]:
    """Yield the database with these tables, and close its connections on exit.

    The file does not have to exist yet, and may become unavailable.
    """
    timeout = settings.database_timeout_seconds
    async with AsyncExitStack() as stack:
        # Connections are opened when they are first used, so that a file that cannot be opened is an outage.
        opened = stack.enter_context(ExitStack())

        def open_writer() -> sqlite3.Connection:
            return opened.enter_context(closing(_writer(settings, timeout)))

        def open_reader(busy_seconds: float) -> sqlite3.Connection:
            return opened.enter_context(closing(_reader(settings, busy_seconds)))

        writer = GroupCommitWriter(open_writer, settings.database_max_waiting_writes)
        stack.push_async_callback(writer.close)
        readers = stack.enter_context(ThreadPoolExecutor(READER_THREADS, "sqlite-reader"))
        schema = [presence(table) for table in tables]
        database = Database(Connections(open_reader, readers, writer, timeout, schema), tables)
        stack.push_async_callback(database.close)
        yield database

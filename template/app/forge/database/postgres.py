"""The tables of the service in PostgreSQL, on asyncpg."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, field_validator

from app.forge.about import NAME
from app.forge.database.postgres_pool import MIGRATIONS, ConnectionPool
from app.forge.database.postgres_pooler import Pooler, UnnamedStatements
from app.forge.database.postgres_statements import ping
from app.forge.database.postgres_transactions import Database
from app.forge.database.postgres_url import EXAMPLE, PostgresServer, parse_url
from app.forge.database.slow_queries import SlowQuerySettings
from app.forge.environment import Contradiction
from app.forge.server.settings import ServerSettings, share
from app.forge.table import Table

# Per table; more are in use if pages are filtered in many ways.
STATEMENTS_KEPT = 20


class DatabaseSettings(ServerSettings, SlowQuerySettings):
    """The address of the database, and the limits for this service."""

    database_url: Annotated[SecretStr, Field(examples=[EXAMPLE])]
    # The pooler between this service and PostgreSQL, see app/forge/database/postgres_pooler.py.
    database_pooler: Pooler = "none"
    database_timeout_seconds: PositiveFloat = 5.0
    # The service's share of the server's max_connections (100 by default), over all workers.
    database_max_connections: PositiveInt = 80
    # The maximum per worker. With more than the server has CPUs for, queries only wait in the server.
    database_pool_size: PositiveInt = 10
    database_max_waiting_requests: PositiveInt = 1_000

    @field_validator("database_url")
    @classmethod
    def _only_postgres(cls, value: SecretStr) -> SecretStr:
        parse_url(value.get_secret_value())
        return value

    @property
    def server(self) -> PostgresServer:
        """The server that the URL names."""
        return parse_url(self.database_url.get_secret_value())

    @property
    def connections_per_worker(self) -> int:
        """The size of each worker's pool, so that all workers together stay within the limit."""
        return share(self.database_max_connections, self.workers, self.database_pool_size)

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield more workers than connections."""
        yield from super().contradictions()
        if self.workers > self.database_max_connections:
            yield Contradiction(
                ("workers", "database_max_connections"),
                "each worker needs a connection: lower WORKERS, or raise DATABASE_MAX_CONNECTIONS",
            )


@asynccontextmanager
async def open_database(settings: DatabaseSettings, tables: Sequence[Table]) -> AsyncIterator[Database]:
    """Yield the database, and close its connections on exit. It need not be running."""
    pool = ConnectionPool(
        settings.server,
        size=settings.connections_per_worker,
        max_waiting=settings.database_max_waiting_requests,
        timeout_seconds=settings.database_timeout_seconds,
        application_name=NAME,
        pooler=settings.database_pooler,
        connection_class=_connection_class(settings),
        statements_kept=max(100, STATEMENTS_KEPT * len(tables)),
        schema=ping(tables, for_changes=False) if tables else MIGRATIONS,
    )
    looks = ping(tables, for_changes=not settings.server.is_for_reading)
    database = Database(pool, settings.database_timeout_seconds, tables, looks)
    try:
        yield database
    finally:
        await database.close()
        await pool.close()


def _connection_class(settings: DatabaseSettings) -> type[asyncpg.Connection]:
    has_statements = settings.database_pooler != "transaction"
    connection_class: type[asyncpg.Connection] = asyncpg.Connection if has_statements else UnnamedStatements
    if settings.slow_query_ms is not None:
        # Imported lazily: only needed if SLOW_QUERY_MS is set.
        from app.forge.database.postgres_slow_queries import slow_query_connection

        connection_class = slow_query_connection(settings.slow_query_ms / 1_000, connection_class)
    return connection_class

"""MongoDB, on the chosen driver: one connection pool for all tables, which are collections.

Unique indexes prevent duplicate values, so nothing is written before they exist.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, field_validator

from app.forge.about import NAME
from app.forge.database.mongodb_driver import open_driver_database
from app.forge.database.mongodb_operations import Operations
from app.forge.database.mongodb_transactions import Database
from app.forge.database.mongodb_url import check_url, names_application
from app.forge.database.slow_queries import SlowQuerySettings
from app.forge.environment import Contradiction
from app.forge.server.settings import ServerSettings, share
from app.forge.table import Table

if TYPE_CHECKING:
    from app.forge.database.mongodb_slow_queries import SlowQueryListener

# Cut to 128 bytes: https://www.mongodb.com/docs/manual/reference/limits/#mongodb-limit-Application-Name
APPLICATION_NAME = NAME.encode()[:128].decode(errors="ignore")
# The store depends on these, whatever the URL sets.
OPTIONS: dict[str, Any] = {
    # A write is acknowledged when it is on disk; otherwise a crash may lose the last tenth of a second.
    "journal": True,
    "uuidRepresentation": "standard",
    "tz_aware": True,
    "tzinfo": UTC,
}


class DatabaseSettings(ServerSettings, SlowQuerySettings):
    """The address of the database, and the limits for this service."""

    database_url: Annotated[SecretStr, Field(examples=["mongodb://host:27017/name"])]
    database_timeout_seconds: PositiveFloat = 5.0
    # The service's limit of connections to the server, over all workers. The smallest clusters of MongoDB
    # Atlas allow 500, of which every worker needs two more for watching each server.
    database_max_connections: PositiveInt = 400
    # The maximum per worker. With more than the server has CPUs for, queries only wait in the server.
    database_pool_size: PositiveInt = 10
    database_max_waiting_requests: PositiveInt = 1_000

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

    @field_validator("database_url")
    @classmethod
    def _names_a_database(cls, url: SecretStr) -> SecretStr:
        check_url(url.get_secret_value(), **OPTIONS)
        return url


@asynccontextmanager
async def open_database(settings: DatabaseSettings, tables: Sequence[Table]) -> AsyncIterator[Database]:
    """Yield the database of these tables, and close its connections on exit. It need not be running."""
    url = settings.database_url.get_secret_value()
    timeout_seconds = settings.database_timeout_seconds
    milliseconds = round(timeout_seconds * 1_000)
    listeners = _listeners(settings.slow_query_ms)
    async with AsyncExitStack() as stack:
        opening = open_driver_database(
            url,
            **({} if names_application(url) else {"appname": APPLICATION_NAME}),
            maxPoolSize=settings.connections_per_worker,
            # Limits a whole operation, including its wait for a connection, and passes the limit to the server.
            timeoutMS=milliseconds,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            **OPTIONS,
            event_listeners=listeners,
        )
        opened = await stack.enter_async_context(opening)
        for listener in listeners:
            listener.explain_through(opened)
            stack.push_async_callback(listener.close)
        pool_size, max_waiting = settings.connections_per_worker, settings.database_max_waiting_requests
        database = Database(Operations(opened, tables, timeout_seconds, pool_size, max_waiting))
        stack.push_async_callback(database.close)
        yield database


def _listeners(slow_query_ms: int | None) -> list["SlowQueryListener"]:
    if slow_query_ms is None:
        return []
    # Imported lazily: only needed if SLOW_QUERY_MS is set.
    from app.forge.database.mongodb_slow_queries import SlowQueryListener

    return [SlowQueryListener(slow_query_ms / 1_000)]

"""Connections to PostgreSQL for single statements.

asyncpg's own pool runs a task and an extra query for every connection that is released, which adds two
thirds to the cost of a read. Statements that neither open a transaction nor alter their session leave nothing to
clean up, so here a connection is reused unchanged, and one that failed in any other way than by PostgreSQL's
own error is discarded.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic
from typing import Any, LiteralString

import asyncpg

from app.forge.database.postgres_errors import (
    LOST_ERRORS,
    NOT_IN_TIME,
    NOT_MIGRATED,
    NOT_REACHED,
    UNAVAILABLE_ERRORS,
    ends_session,
    unavailable,
)
from app.forge.database.postgres_pooler import Pooler
from app.forge.database.postgres_url import CONNECT_ERRORS, PostgresServer
from app.forge.errors import Unavailable
from app.forge.observability.readings import Reading

# The time to cancel an abandoned statement before its connection is cut.
CANCEL_SECONDS = 1.0
MIGRATIONS_SECONDS = 1.0
MIGRATIONS = "SELECT FROM alembic_version"
SCHEMA_ERRORS = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)


class ConnectionPool:
    """Up to `size` connections, opened when they are first needed and handed out last in, first out."""

    def __init__(
        self,
        server: PostgresServer,
        *,
        size: int,
        max_waiting: int,
        timeout_seconds: float,
        application_name: str,
        pooler: Pooler = "none",
        connection_class: type[asyncpg.Connection] = asyncpg.Connection,
        statements_kept: int = 100,
        schema: str = MIGRATIONS,
    ) -> None:
        """The statement `schema` fails until all migrations have run."""
        self._server = server
        self._connection_class = connection_class
        self._schema = schema
        self._size = size
        self._unopened = size
        self._max_waiting = max_waiting
        self._timeout_seconds = timeout_seconds
        # Behind a pooler, sessions are shared, and the pooler resets them.
        self.is_behind_pooler = pooler != "none"
        self._statement_cache_size = 0 if pooler == "transaction" else statements_kept
        self._session = {"application_name": application_name, "timezone": "UTC"}
        if not self.is_behind_pooler:
            # The server times out a little later than the client, in case the client could not cancel the statement. A
            # pooler refuses this setting; then only the client cancels.
            self._session["statement_timeout"] = str(round(timeout_seconds * 1_100))
        self._idle: list[asyncpg.Connection] = []
        self._open_connections: set[asyncpg.Connection] = set()
        # To be closed when they are released.
        self._retired: set[asyncpg.Connection] = set()
        self._closing: set[asyncio.Task[None]] = set()
        # Each waits for a connection, or for None: the permission to open one.
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        self._waits = 0
        self._waited_seconds = 0.0

    def readings(self) -> Iterable[Reading]:
        """Yield the metrics of the pool: https://opentelemetry.io/docs/specs/semconv/database/database-metrics/."""
        count = "db_client_connection_count", "Open connections."
        used = self._size - self._unopened - len(self._idle)
        yield Reading(*count, len(self._idle), {"db_client_connection_state": "idle"})
        yield Reading(*count, used, {"db_client_connection_state": "used"})
        yield Reading("db_client_connection_max", "Connections that may be opened.", self._size)
        yield Reading(
            "db_client_connection_pending_requests",
            "Requests that wait for a connection.",
            len(self._waiting),
        )
        yield Reading("db_client_connection_waits_total", "Requests that had to wait.", self._waits)
        yield Reading(
            "db_client_connection_wait_seconds_total", "Time that they waited.", self._waited_seconds
        )

    async def fetch(self, sql: LiteralString, *values: object) -> list[Any]:
        """Return the rows of one statement, which must not alter its session.

        Raises `Unavailable`, or asyncpg's error if the statement is wrong or violates a constraint.
        """
        try:
            # One timeout for everything: the wait for a connection, opening it, and the statement.
            async with asyncio.timeout(self._timeout_seconds):
                return await self._fetch(sql, values)
        except TimeoutError as error:
            # If the server has disappeared silently, idle connections are useless, too.
            self._close_idle()
            raise Unavailable(NOT_IN_TIME) from error
        except UNAVAILABLE_ERRORS as error:
            raise unavailable(error) from error
        except SCHEMA_ERRORS as error:
            if await self._is_migrated():
                raise
            raise Unavailable(NOT_MIGRATED) from error

    async def lend(self) -> asyncpg.Connection:
        """Return a connection that nothing else uses until it is taken back, or raise `Unavailable`."""
        return await self._acquire()

    def take_back(self, connection: asyncpg.Connection) -> None:
        """Release a connection that was lent, unchanged; a closed one is replaced."""
        self._release(connection)

    async def close(self) -> None:
        """Close the connections; none may be in use."""
        for connection in self._idle:
            await connection.close(timeout=self._timeout_seconds)
        await asyncio.gather(*self._closing)

    async def _is_migrated(self) -> bool:
        try:
            async with asyncio.timeout(MIGRATIONS_SECONDS):
                return bool(await self._fetch(self._schema, ()))
        except (*UNAVAILABLE_ERRORS, *SCHEMA_ERRORS):
            return False

    async def _fetch(self, sql: LiteralString, values: tuple[object, ...]) -> list[Any]:
        connection = await self._acquire()
        try:
            rows: list[Any] = await connection.fetch(sql, *values)
        except BaseException as error:
            self.note_failure(connection, error)
            raise
        finally:
            self._release(connection)
        return rows

    def note_failure(self, connection: asyncpg.Connection, error: BaseException) -> None:
        """Retire the connection, and all others, if the error requires it; it must still be released.

        Raises `Unavailable` if asyncpg's own error would not show that the connection is closed.
        """
        if isinstance(error, LOST_ERRORS):
            self._close_idle()
            self._retired |= self._open_connections
        elif ends_session(error):
            self._retired.add(connection)
        if isinstance(error, asyncpg.InterfaceError) and connection.is_closed():
            raise unavailable(error) from error

    async def _acquire(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._open_connections.discard(connection)
            self._unopened += 1
        if self._unopened:
            self._unopened -= 1
            return await self._open()
        return await self._wait() or await self._open()

    async def _open(self) -> asyncpg.Connection:
        try:
            connection = await self._connect()
        except BaseException as error:
            self._allow_another()
            if isinstance(error, CONNECT_ERRORS):
                raise Unavailable(NOT_REACHED) from _explained(error)
            raise
        self._open_connections.add(connection)
        return connection

    async def _connect(self) -> asyncpg.Connection:
        return await self._server.connect(
            timeout_seconds=self._timeout_seconds,
            connection_class=self._connection_class,
            server_settings=self._session,
            statement_cache_size=self._statement_cache_size,
        )

    async def _wait(self) -> asyncpg.Connection | None:
        if len(self._waiting) >= self._max_waiting:
            raise Unavailable("Too many requests are waiting for the database.")
        handed = asyncio.get_running_loop().create_future()
        self._waiting.append(handed)
        self._waits += 1
        waits_since = monotonic()
        try:
            return await handed
        except BaseException:
            # A request that gives up at the moment when it gets a connection passes it to the next one.
            if handed.done() and not handed.cancelled():
                self._hand_on(handed.result())
            raise
        finally:
            self._waited_seconds += monotonic() - waits_since

    def _release(self, connection: asyncpg.Connection) -> None:
        if connection.is_closed() or connection in self._retired:
            self._dispose_of(connection)
            self._allow_another()
        elif self._waiting:
            self._hand_on(connection)
        else:
            self._idle.append(connection)

    def _close_idle(self) -> None:
        self._unopened += len(self._idle)
        while self._idle:
            self._dispose_of(self._idle.pop())

    def _dispose_of(self, connection: asyncpg.Connection) -> None:
        self._open_connections.discard(connection)
        self._retired.discard(connection)
        if not connection.is_closed():
            closing = asyncio.create_task(_cancel_and_close(connection))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _allow_another(self) -> None:
        self._hand_on(None)

    def _hand_on(self, connection: asyncpg.Connection | None) -> None:
        while self._waiting:
            handed = self._waiting.popleft()
            if not handed.done():
                handed.set_result(connection)
                return
        if connection is None:
            self._unopened += 1
        else:
            self._idle.append(connection)


def _explained(error: Exception) -> Exception:
    if "unsupported startup parameter: statement_timeout" in str(error):
        return ConnectionError(f"{error}. Behind PgBouncer, set DATABASE_POOLER.")
    return error


async def _cancel_and_close(connection: asyncpg.Connection) -> None:
    # asyncpg first waits until the server has been asked to cancel the abandoned statement. If that takes too long, it
    # cuts the connection.
    with suppress(Exception):
        await connection.close(timeout=CANCEL_SECONDS)

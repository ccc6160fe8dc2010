"""Connections to PostgreSQL for single statements.

asyncpg's own pool makes a task and a query of its own for every connection that comes back, which is more than
half of the cost of a read. Statements that neither open a transaction nor alter their session leave nothing to
clean up, so here a connection is handed on as it is, and one that failed in any other way than by PostgreSQL's
own error is thrown away.
"""

import asyncio
from collections import deque
from typing import Any, LiteralString

import asyncpg

from app.errors import Unavailable

# What asyncpg raises where the server is away, starting, stopping, overloaded or not yet migrated.
UNAVAILABLE_ERRORS = (
    OSError,
    asyncpg.InterfaceError,
    # Where the server hangs up on a connection that nobody uses, and its last words are not yet read.
    asyncpg.InternalClientError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.UndefinedTableError,
)


class ConnectionPool:
    """Up to `size` connections, opened when they are first needed and handed out last in, first out."""

    def __init__(
        self,
        dsn: str,
        *,
        size: int,
        max_waiting: int,
        timeout_seconds: float,
        application_name: str,
        connection_class: type[asyncpg.Connection] = asyncpg.Connection,
    ) -> None:
        self._dsn = dsn
        self._connection_class = connection_class
        self._unopened = size
        self._max_waiting = max_waiting
        self._timeout_seconds = timeout_seconds
        self._session = {
            "application_name": application_name,
            # The server gives up a little later than the client, for when the client could not tell it to.
            "statement_timeout": str(round(timeout_seconds * 1_100)),
            "timezone": "UTC",
        }
        self._idle: list[asyncpg.Connection] = []
        # Each waits for a connection, or for None: leave to open one.
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()

    async def fetch(self, sql: LiteralString, *values: object) -> list[Any]:
        """Return the rows of one statement, which must not alter its session.

        Raises `Unavailable`, or asyncpg's error where the statement breaks a rule of the database.
        """
        try:
            # One bound for the whole: the wait for a connection, opening it, and the statement.
            async with asyncio.timeout(self._timeout_seconds):
                return await self._fetch(sql, values)
        except UNAVAILABLE_ERRORS as error:
            raise Unavailable("The database did not answer in time.") from error

    async def lend(self) -> asyncpg.Connection:
        """Return a connection that nothing else uses until it is taken back, or raise `Unavailable`."""
        return await self._acquire()

    def take_back(self, connection: asyncpg.Connection) -> None:
        """Let others use a connection that was lent, as it is; one that is closed is replaced."""
        self._release(connection)

    async def close(self) -> None:
        """Close the connections; nothing may be under way."""
        for connection in self._idle:
            await connection.close(timeout=self._timeout_seconds)

    async def _fetch(self, sql: LiteralString, values: tuple[object, ...]) -> list[Any]:
        connection = await self._acquire()
        try:
            rows: list[Any] = await connection.fetch(sql, *values)
        except BaseException as error:
            # Only the refusal of a statement leaves a connection to the next: after anything else an answer may
            # still be on its way, or the server is hanging up.
            if not isinstance(error, asyncpg.PostgresError) or isinstance(error, UNAVAILABLE_ERRORS):
                connection.terminate()
            raise
        finally:
            self._release(connection)
        return rows

    async def _acquire(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._unopened += 1
        if self._unopened:
            self._unopened -= 1
            return await self._open()
        return await self._wait() or await self._open()

    async def _open(self) -> asyncpg.Connection:
        try:
            return await asyncpg.connect(
                self._dsn,
                timeout=self._timeout_seconds,
                connection_class=self._connection_class,
                server_settings=self._session,
            )
        except BaseException as error:
            self._allow_another()
            if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
                raise Unavailable("The database cannot be reached.") from error
            raise

    async def _wait(self) -> asyncpg.Connection | None:
        if len(self._waiting) >= self._max_waiting:
            raise Unavailable("Too many requests are waiting for the database.")
        handed = asyncio.get_running_loop().create_future()
        self._waiting.append(handed)
        try:
            return await handed
        except BaseException:
            # Whoever gives up in the moment in which it is served lets the next one have it.
            if handed.done() and not handed.cancelled():
                self._hand_on(handed.result())
            raise

    def _release(self, connection: asyncpg.Connection) -> None:
        if connection.is_closed():
            self._allow_another()
        elif self._waiting:
            self._hand_on(connection)
        else:
            self._idle.append(connection)

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

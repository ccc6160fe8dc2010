"""Transactions on PostgreSQL, on the connections that single statements use."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Literal, LiteralString, TypeVar
from uuid import UUID

import asyncpg

from app.forge.database.postgres_errors import ENDED_ERRORS, LOST_ERRORS, NOT_IN_TIME, unavailable
from app.forge.database.postgres_pool import ConnectionPool
from app.forge.database.postgres_references import Removals
from app.forge.database.postgres_statements import quoted
from app.forge.database.postgres_store import PostgresStore
from app.forge.database.transactions import (
    Background,
    ChangeListener,
    TransactionScope,
    in_scope,
    refuse_nesting,
)
from app.forge.errors import NotFound, OutcomeUnknown, TransactionConflict, Unavailable
from app.forge.observability.readings import Reading
from app.forge.serializer import Serializer
from app.forge.store import Document, Row
from app.forge.table import Table

Result = TypeVar("Result")
Isolation = Literal["read committed", "repeatable read", "serializable"]

# Errors after which PostgreSQL asks clients to retry: https://www.postgresql.org/docs/current/mvcc-serialization-failure-handling.html
RETRIABLE_ERRORS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
# Errors that mean that the transaction has ended, not that its work is wrong.
UNAVAILABLE_ERRORS = (*LOST_ERRORS, *ENDED_ERRORS)
# Parts of a statement in which semicolons and keywords do not count.
QUOTED = re.compile(r"\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
# Statements that would end the transaction, or begin another. A text without values may contain several.
CONTROL = re.compile(
    r"(?:\A|;)\s*(BEGIN|START\s+TRANSACTION|COMMIT|END|ABORT|PREPARE\s+TRANSACTION"
    r"|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b",
    re.IGNORECASE,
)
# The additional time for the response to a commit; its caller has given up by then.
ENDING_FACTOR = 1.2
FIRST_BACKOFF_SECONDS = 0.005
INSTEAD = "Use `async with transaction.savepoint()`."


@lru_cache
def _control(sql: str) -> str | None:
    found = CONTROL.search(QUOTED.sub(" ", sql))
    return found and found[1].upper()


def _is_unavailable(error: BaseException, connection: asyncpg.Connection) -> bool:
    if isinstance(error, UNAVAILABLE_ERRORS):
        return True
    # On a working connection, asyncpg's own error is a mistake in the work.
    return connection.is_closed() and isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError)


class Transaction(TransactionScope):
    """asyncpg's connection inside a transaction, without methods that would end it or outlast it.

    Methods have the parameters and results of asyncpg's, and raise its errors, or `Unavailable`.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        pool: ConnectionPool,
        stores: Mapping[str, PostgresStore],
        removals: Removals,
        *,
        read_only: bool,
    ) -> None:
        super().__init__()
        self._connection = connection
        self._stores = stores
        self._removals = removals
        self._pool = pool
        self._read_only = read_only
        self._savepoints = 0

    async def execute(self, sql: LiteralString, *values: object) -> str:
        """Execute a statement and return its status, such as `UPDATE 1`."""
        status: str = await self._run(self._connection.execute, sql, *values)
        return status

    async def executemany(self, sql: LiteralString, rows: Iterable[Sequence[object]]) -> None:
        """Execute a statement once for each of the rows."""
        await self._run(self._connection.executemany, sql, rows)

    async def fetch(self, sql: LiteralString, *values: object) -> list[Any]:
        """Return the rows of a statement."""
        rows: list[Any] = await self._run(self._connection.fetch, sql, *values)
        return rows

    async def fetchrow(self, sql: LiteralString, *values: object) -> Any:
        """Return the first row of a statement, or None."""
        return await self._run(self._connection.fetchrow, sql, *values)

    async def fetchval(self, sql: LiteralString, *values: object) -> Any:
        """Return the first value of the first row of a statement, or None."""
        return await self._run(self._connection.fetchval, sql, *values)

    async def insert(self, table: Table, row: Row, /) -> Document:
        """Insert a row of a resource, which `Collection.new_row` makes, and return it.

        Raises `Taken` or `MissingReference`. After these the transaction can only go on if this was inside a savepoint.
        """
        return await self._stores[table.name].insert(row, self)

    async def delete(self, table: Table, row_id: UUID, /) -> None:
        """Delete a row of a resource, and apply the `on_delete` of references to it. Raises `NotFound` or `Referenced`.

        All rows that go or change are reported as by `changed`. After `Referenced` the transaction can only go on if
        this was inside a savepoint.
        """
        # From here on no row can begin to refer to it.
        if not await self.fetch(f"SELECT 1 FROM {quoted(table.name)} WHERE id = $1 FOR UPDATE", row_id):
            raise NotFound.of(table.noun, row_id)
        self.changed(table, row_id)
        await self._removals.delete(self, table, row_id)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo the changes of the block if it raises, and nothing else of the transaction."""
        self._savepoints += 1
        name = f"savepoint_{self._savepoints}"
        await self._run(self._connection.execute, f"SAVEPOINT {name}")
        try:
            yield
        except Exception:
            await self._run(self._connection.execute, f"ROLLBACK TO {name}; RELEASE {name}")
            raise
        await self._run(self._connection.execute, f"RELEASE {name}")

    async def _run(self, method: Callable[..., Awaitable[Result]], sql: str, *values: Any) -> Result:
        self._refuse_if_ended()
        if control := _control(sql):
            raise RuntimeError(
                f"{control} inside a transaction: it is committed when `work` returns and rolled back when it "
                f"raises. {INSTEAD}"
            )
        try:
            return await method(sql, *values)
        except Exception as error:
            if self._read_only and isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                # The work writes although it asked for `read_only`.
                raise
            if _is_unavailable(error, self._connection):
                self._pool.note_failure(self._connection, error)
                raise unavailable(error) from error
            raise


class _Attempt:
    """Progress of a transaction, for its timeout."""

    scope: Transaction | None = None
    is_committing = False

    def __init__(self, *, read_only: bool) -> None:
        self.read_only = read_only


class Database(ChangeListener):
    """The tables of the service, and transactions over them; `request.state.database` is one."""

    def __init__(
        self, pool: ConnectionPool, timeout_seconds: float, tables: Sequence[Table], ping: str
    ) -> None:
        super().__init__()
        self._pool = pool
        self._tables = {table.name: table for table in tables}
        self._stores: dict[str, PostgresStore] = {}
        self._removals = Removals(self._tables)
        self._ping = ping
        self._timeout_seconds = timeout_seconds
        self._background = Background()

    def store(self, table: Table, serializer: Serializer) -> PostgresStore:
        """Return the store of a table."""
        tables = {**self._tables, table.name: table}
        store = self._stores[table.name] = PostgresStore(table, serializer, self._pool, self, tables)
        return store

    def readings(self) -> Iterable[Reading]:
        """Yield the metrics of the connections."""
        return self._pool.readings()

    async def ping(self) -> None:
        """Return if all tables can be read and changed, or raise `Unavailable`."""
        try:
            await self._pool.fetch(self._ping)
        except asyncpg.PostgresError as error:
            raise Unavailable("The tables cannot be read and changed.") from error

    async def transact(
        self,
        work: Callable[[Transaction], Awaitable[Result]],
        *,
        timeout_seconds: float | None = None,
        isolation: Isolation | None = None,
        read_only: bool = False,
        retries: int = 0,
    ) -> Result:
        """Return the result of `await work(transaction)` after the commit; if it raises, undo its changes.

        The timeout covers the wait for a connection, the work and the commit; by default it is
        DATABASE_TIMEOUT_SECONDS. With `retries`, the work is run again after a serialization failure or a
        deadlock, so it must have no effects outside the database.

        Raises `TransactionConflict` if another transaction changed the same rows, `Unavailable` if the database did
        not respond in time and nothing was committed, and its subclass `OutcomeUnknown` if it did not confirm the commit.
        """
        refuse_nesting(INSTEAD)
        seconds = timeout_seconds or self._timeout_seconds
        begin = _begin(isolation, seconds, read_only=read_only)
        attempt = _Attempt(read_only=read_only)
        try:
            async with asyncio.timeout(seconds) as bound:
                return await self._with_retries(work, begin, seconds, retries, attempt)
        except TimeoutError as error:
            if not bound.expired():
                raise
            if attempt.is_committing and attempt.scope is not None:
                await self.tell(attempt.scope)
                raise _unknown() from error
            raise Unavailable(NOT_IN_TIME) from error

    async def close(self) -> None:
        """Return when running commits and rollbacks have ended."""
        await self._background.close()

    async def _with_retries(
        self,
        work: Callable[[Transaction], Awaitable[Result]],
        begin: str,
        seconds: float,
        retries: int,
        attempt: _Attempt,
    ) -> Result:
        for number in range(retries):
            try:
                return await self._once(work, begin, seconds, attempt)
            except RETRIABLE_ERRORS:
                # At random, so that conflicting transactions do not conflict again.
                await asyncio.sleep(FIRST_BACKOFF_SECONDS * 2**number * random.uniform(0.5, 1.5))  # noqa: S311
        try:
            return await self._once(work, begin, seconds, attempt)
        except RETRIABLE_ERRORS as error:
            raise TransactionConflict("Another transaction changed the same rows.") from error

    async def _once(
        self,
        work: Callable[[Transaction], Awaitable[Result]],
        begin: str,
        seconds: float,
        attempt: _Attempt,
    ) -> Result:
        attempt.is_committing = False
        connection = await self._pool.lend()
        scope = attempt.scope = Transaction(
            connection, self._pool, self._stores, self._removals, read_only=attempt.read_only
        )
        try:
            await self._begin(connection, begin)
            result = await in_scope(scope, work)
            if not connection.is_in_transaction():
                raise RuntimeError("A statement of the work has ended its transaction.")
        except BaseException as error:
            # A cancelled request does not wait for it; the locks are released as soon as possible.
            ending = self._end(scope, connection, "ROLLBACK", seconds)
            if isinstance(error, Exception):
                await asyncio.wait([ending])
            raise
        attempt.is_committing = True
        await self._commit(scope, connection, seconds)
        return result

    async def _begin(self, connection: asyncpg.Connection, begin: str) -> None:
        try:
            await connection.execute(begin)
        except (*UNAVAILABLE_ERRORS, asyncpg.InterfaceError) as error:
            self._pool.note_failure(connection, error)
            raise unavailable(error) from error

    async def _commit(self, scope: Transaction, connection: asyncpg.Connection, seconds: float) -> None:
        try:
            status = await asyncio.shield(self._end(scope, connection, "COMMIT", seconds))
        except asyncpg.QueryCanceledError as error:
            # By statement_timeout, in the final checks: PostgreSQL has rolled back.
            raise Unavailable("The database did not commit in time.") from error
        except (*UNAVAILABLE_ERRORS, asyncpg.InterfaceError) as error:
            raise _unknown() from error
        if status != "COMMIT":
            raise RuntimeError(
                "The transaction was rolled back, because the work continued after a failed statement. "
                f"{INSTEAD}"
            )

    def _end(
        self, scope: Transaction, connection: asyncpg.Connection, command: str, seconds: float
    ) -> asyncio.Future[str]:
        """Return a task with the status of the command, which is executed even if the request is cancelled."""
        scope.end()
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._background.start(self._finish(scope, connection, command, seconds, outcome))
        return outcome

    async def _finish(
        self,
        scope: Transaction,
        connection: asyncpg.Connection,
        command: str,
        seconds: float,
        outcome: asyncio.Future[str],
    ) -> None:
        try:
            try:
                async with asyncio.timeout(seconds * ENDING_FACTOR):
                    status = await connection.execute(command)
            finally:
                # After the commit, so that reads from now on see the change.
                await self.tell(scope)
            outcome.set_result(status)
            if not self._pool.is_behind_pooler:
                async with asyncio.timeout(seconds):
                    await _reset(connection)
        except BaseException as error:
            if not outcome.done():
                outcome.set_exception(error)
                outcome.exception()  # If no caller waits for it any longer, no warning is needed.
            if not isinstance(error, RETRIABLE_ERRORS):
                connection.terminate()
        finally:
            self._pool.take_back(connection)


async def _reset(connection: asyncpg.Connection) -> None:
    # Resets the effects of SET, LISTEN, pg_advisory_lock and temporary tables. The caller does not wait for it.
    await connection.execute(f"{connection.get_reset_query()}\nDISCARD TEMP")


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown("The database did not confirm the commit in time.")


def _begin(isolation: Isolation | None, seconds: float, *, read_only: bool) -> str:
    level = f" ISOLATION LEVEL {isolation}" if isolation else ""
    access = " READ ONLY" if read_only else ""
    # In one round trip. A service that hangs must not keep its locks.
    milliseconds = round(seconds * 1_100)
    return (
        f"BEGIN{level}{access}; SET LOCAL statement_timeout = {milliseconds}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
    )

"""Transactions on SQLite: plain functions that the writer's thread runs, each a part of a group's commit."""

import asyncio
import inspect
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, LiteralString, TypeVar
from uuid import UUID

from app.forge.database.sqlite_connections import STEPS_BETWEEN_LOOKS, Connections
from app.forge.database.sqlite_errors import UNAVAILABLE_ERRORS, may_pass
from app.forge.database.sqlite_statements import presence
from app.forge.database.sqlite_store import SqliteStore
from app.forge.database.transactions import Background, ChangeListener, TransactionScope
from app.forge.errors import OutcomeUnknown, Unavailable
from app.forge.observability.readings import Reading
from app.forge.serializer import Serializer
from app.forge.store import Document, Row
from app.forge.table import Table

Result = TypeVar("Result")
Stores = Mapping[str, SqliteStore]

# Statements that affect the whole connection, which all writes share, or would end its transaction.
CONTROL = re.compile(
    r"(?:\s|;|--[^\n]*\n|/\*.*?\*/)*"
    r"(BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|ATTACH|DETACH|PRAGMA|VACUUM|CREATE\s+TEMP(?:ORARY)?)\b",
    re.IGNORECASE | re.DOTALL,
)
IN_TIME = "The database could not be {} in time."


class _GivenUp(Exception):
    """The caller no longer waits, or the timeout has passed: nothing may be committed."""


class _Bound:
    """The deadline of a transaction, on which the event loop and the writer's thread agree."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._is_given_up = False
        self._is_finished = False

    def is_over(self) -> bool:
        """Return whether there is nothing left to do."""
        return self._is_given_up or time.monotonic() > self._deadline

    def check(self) -> None:
        """Raise `_GivenUp` if the deadline has passed or the caller is gone."""
        if self.is_over():
            raise _GivenUp("The transaction timed out.")

    def finish(self) -> None:
        """Allow the commit, or raise `_GivenUp`."""
        with self._lock:
            self.check()
            self._is_finished = True

    def give_up(self) -> bool:
        """Prevent the commit; return False if it is too late."""
        with self._lock:
            self._is_given_up = True
            return not self._is_finished


class Transaction(TransactionScope):
    """SQLite's connection inside a transaction, without methods that would end it or alter the connection.

    Methods have the parameters and results of the driver's, and raise its errors.
    """

    def __init__(self, connection: sqlite3.Connection, bound: _Bound, stores: Stores) -> None:
        super().__init__()
        self._connection = connection
        self._bound = bound
        self._stores = stores
        self._savepoints = 0

    def execute(self, sql: LiteralString, values: Sequence[Any] | dict[str, Any] = (), /) -> sqlite3.Cursor:
        """Execute a statement and return its cursor: `fetchall()`, `fetchone()`, `rowcount`, `lastrowid`."""
        self._check(sql)
        return self._connection.execute(sql, values)

    def executemany(
        self, sql: LiteralString, rows: Iterable[Sequence[Any] | dict[str, Any]], /
    ) -> sqlite3.Cursor:
        """Execute a statement once for each of the rows."""
        self._check(sql)
        return self._connection.executemany(sql, rows)

    def insert(self, table: Table, row: Row, /) -> Document:
        """Insert a row of a resource, which `Collection.new_row` makes, and return it.

        Raises `Taken` or `MissingReference`.
        """
        self._check("INSERT")
        return self._stores[table.name].insert_now(self._connection, row)

    def delete(self, table: Table, row_id: UUID, /) -> None:
        """Delete a row of a resource, and apply the `on_delete` of references to it. Raises `NotFound` or `Referenced`.

        All rows that go or change are reported as by `changed`.
        """
        self._check("DELETE")
        self.changed(table, row_id)
        self.changed_rows += self._stores[table.name].removal.run(self._connection, row_id)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo the changes of the block if it raises, and nothing else of the transaction."""
        self._savepoints += 1
        name = f"savepoint_{self._savepoints}"
        self._connection.execute(f"SAVEPOINT {name}")
        try:
            yield
        except Exception:
            if self._connection.in_transaction:
                self._connection.execute(f"ROLLBACK TO {name}")
                self._connection.execute(f"RELEASE {name}")
            raise
        self._connection.execute(f"RELEASE {name}")

    def _check(self, sql: str) -> None:
        self._refuse_if_ended()
        self._bound.check()
        if not self._connection.in_transaction:
            # A full disk, whose error the work has swallowed: later statements would be committed on their own.
            raise _GivenUp("SQLite had undone the transaction.")
        if control := CONTROL.match(sql):
            raise RuntimeError(
                f"{control[1].upper()} inside a transaction: it is committed when `work` returns and rolled back "
                "when it raises, and its connection is shared. Use `with transaction.savepoint()`."
            )


class Database(ChangeListener):
    """The tables of the service, and transactions; `request.state.database` is one."""

    def __init__(self, connections: Connections, tables: Sequence[Table]) -> None:
        super().__init__()
        self.connections = connections
        self._tables = {table.name: table for table in tables}
        self._stores: dict[str, SqliteStore] = {}
        self._background = Background()

    def store(self, table: Table, serializer: Serializer) -> SqliteStore:
        """Return the store of a table."""
        store = SqliteStore(table, self._tables, serializer, self.connections, self.tell)
        self._stores[table.name] = store
        return store

    def readings(self) -> Iterable[Reading]:
        """Yield the metrics of the connections."""
        return self.connections.writer.readings()

    async def ping(self) -> None:
        """Return if the database responds and has all tables and columns, or raise `Unavailable`."""
        self.connections.read("SELECT 1 FROM sqlite_schema LIMIT 1", ())
        for table in self._tables.values():
            self.connections.read(presence(table), ())

    async def transact(
        self,
        work: Callable[[Transaction], Result],
        *,
        timeout_seconds: float | None = None,
        read_only: bool = False,
    ) -> Result:
        """Return the result of `work(transaction)` when it is on disk; if it raises, undo only its changes.

        The work is a plain function that runs in the writer's thread, so it must wait for nothing but the
        database: all other writes wait for it. In rare cases it is run again, so it must have no effects outside the
        database. With `read_only`, it runs in a reader's thread and sees the database at one moment.

        The timeout covers the wait for its turn, the work and the commit; by default it is
        DATABASE_TIMEOUT_SECONDS. Raises `Unavailable` if nothing was committed, and its subclass `OutcomeUnknown` if
        the commit did not end in time.
        """
        seconds = timeout_seconds or self.connections.timeout_seconds
        bound = _Bound(seconds)
        run = self._read if read_only else self._write
        running = self._background.start(run(work, bound))
        try:
            async with asyncio.timeout(seconds) as timeout:
                return await asyncio.shield(running)
        except asyncio.CancelledError:
            bound.give_up()
            raise
        except TimeoutError as error:
            if not timeout.expired():
                raise
            if read_only or bound.give_up():
                raise Unavailable(IN_TIME.format("read" if read_only else "written")) from error
            raise OutcomeUnknown("The database did not confirm the commit in time.") from error

    async def close(self) -> None:
        """Return when abandoned transactions have ended."""
        await self._background.close()

    async def _write(self, work: Callable[[Transaction], Result], bound: _Bound) -> Result:
        scope = TransactionScope()
        try:
            return await self.connections.writer.run(partial(_run, work, bound, self._stores, scope))
        except _GivenUp as error:
            raise Unavailable(IN_TIME.format("written")) from error
        except sqlite3.OperationalError as error:
            if may_pass(error):
                raise Unavailable(IN_TIME.format("written")) from error
            raise
        finally:
            # After the commit, so that reads from now on see the change.
            await self.tell(scope)

    async def _read(self, work: Callable[[Transaction], Result], bound: _Bound) -> Result:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self.connections.readers, self._read_in_thread, work, bound)
        except _GivenUp as error:
            raise Unavailable(IN_TIME.format("read")) from error
        except sqlite3.OperationalError as error:
            # A reader's connection is read-only, so a write is a mistake in the work, not an outage.
            if may_pass(error) and error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
                raise Unavailable(IN_TIME.format("read")) from error
            raise

    def _read_in_thread(self, work: Callable[[Transaction], Result], bound: _Bound) -> Result:
        try:
            connection = self.connections.borrow_reader()
        except UNAVAILABLE_ERRORS as error:
            raise Unavailable("The database could not be opened.") from error
        try:
            connection.execute("BEGIN")
            return _run(work, bound, self._stores, TransactionScope(), connection)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self.connections.give_back(connection)


def _run(
    work: Callable[[Transaction], Result],
    bound: _Bound,
    stores: Stores,
    changes: TransactionScope,
    connection: sqlite3.Connection,
) -> Result:
    bound.check()
    transaction = Transaction(connection, bound, stores)
    # Both record the same changes; the loop needs them whatever the outcome of the work.
    transaction.changed_rows = changes.changed_rows
    connection.set_progress_handler(bound.is_over, STEPS_BETWEEN_LOOKS)
    try:
        result = _checked(work, work(transaction))
        bound.finish()
    except Exception as error:
        # A future does not accept StopIteration.
        if isinstance(error, StopIteration):
            raise RuntimeError(f"{work!r} raised StopIteration.") from error
        raise
    except BaseException as error:
        # SystemExit must not end the thread that all writes need.
        raise RuntimeError(f"{work!r} raised {type(error).__name__}.") from error
    finally:
        connection.set_progress_handler(None, 0)
        transaction.end()
    return result


def _checked(work: Callable[..., object], result: Result) -> Result:
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(f"{work!r} must be a plain function: on SQLite it runs in the writer's thread.")
    if isinstance(result, sqlite3.Cursor):
        raise TypeError(f"{work!r} returned a cursor, which is useless after the commit. Return its rows.")
    return result

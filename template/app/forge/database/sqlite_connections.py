"""SQLite's connections: one on the event loop, some in threads that read, one in the thread that writes.

Statements on the event loop are bounded: point reads and pages read at most 101 rows through an index, which
takes less time than a call to a thread. All other reads run in a reader thread with a deadline. All writes of
a process go through one thread, which commits waiting writes together: one flush serves many requests.
"""

import asyncio
import queue
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from app.forge.database.sqlite_errors import UNAVAILABLE_ERRORS, may_pass
from app.forge.database.sqlite_writer import GroupCommitWriter
from app.forge.errors import Unavailable

READER_THREADS = 4
# The loop must not wait for locks; with WAL only recovery after a crash makes a reader wait at all.
LOOP_BUSY_SECONDS = 0.05
# The number of SQLite's steps (about a millisecond) between checks of the deadline.
STEPS_BETWEEN_LOOKS = 10_000

Result = TypeVar("Result")


class Connections:
    """Runs reads and writes on the right connection.

    Methods raise `Unavailable`, or the driver's error if the SQL is wrong.
    """

    def __init__(
        self,
        open_reader: Callable[[float], sqlite3.Connection],
        readers: ThreadPoolExecutor,
        writer: GroupCommitWriter,
        timeout_seconds: float,
        schema: Sequence[str],
    ) -> None:
        """`schema` has statements that fail if a table or column is missing."""
        self.readers = readers
        self.writer = writer
        self.timeout_seconds = timeout_seconds
        self._schema = schema
        self._open_reader = open_reader
        self._on_loop: sqlite3.Connection | None = None
        # Readers for the threads; None is one that is not open yet.
        self._idle: queue.SimpleQueue[sqlite3.Connection | None] = queue.SimpleQueue()
        for _ in range(READER_THREADS):
            self._idle.put(None)

    def read(self, sql: str, parameters: tuple[Any, ...]) -> list[Any]:
        """Run a statement that is bounded by an index on the event loop, and return its rows."""
        try:
            connection = self._on_loop or self._open_on_loop()
            return connection.execute(sql, parameters).fetchall()
        except UNAVAILABLE_ERRORS as error:
            self._raise_if_unavailable(error, "The database could not be read.")
            raise

    async def scan(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Run a statement that may read many rows in a thread, and return its rows."""
        return await self.read_in_thread(lambda connection: connection.execute(sql, parameters).fetchall())

    async def read_in_thread(self, read: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run this in a reader thread, at most until the deadline, and return its result."""
        loop = asyncio.get_running_loop()
        deadline = time.monotonic() + self.timeout_seconds
        try:
            return await loop.run_in_executor(self.readers, self._read_until, deadline, read)
        except UNAVAILABLE_ERRORS as error:
            self._raise_if_unavailable(error, "The database could not be read in time.")
            raise

    async def write(self, write: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run the write, and return its result once it is on disk. If it raises, only it is rolled back."""
        try:
            # SQLite's own timeout is for the lock of one group; a write may wait for other groups first.
            async with asyncio.timeout(self.timeout_seconds):
                return await self.writer.run(write)
        except UNAVAILABLE_ERRORS as error:
            self._raise_if_unavailable(error, "The database could not be written in time.")
            raise

    def borrow_reader(self) -> sqlite3.Connection:
        """Return an idle reader, opened on first use. The caller must give it back."""
        connection = self._idle.get()
        try:
            return connection or self._open_reader(self.timeout_seconds)
        except BaseException:
            self._idle.put(None)
            raise

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Make a borrowed reader available to others."""
        self._idle.put(connection)

    def _open_on_loop(self) -> sqlite3.Connection:
        self._on_loop = self._open_reader(LOOP_BUSY_SECONDS)
        return self._on_loop

    def _read_until(self, deadline: float, read: Callable[[sqlite3.Connection], Result]) -> Result:
        connection = self.borrow_reader()
        try:
            with interrupted_at(deadline, connection):
                return read(connection)
        finally:
            self.give_back(connection)

    def _raise_if_unavailable(self, error: Exception, detail: str) -> None:
        if may_pass(error):
            raise Unavailable(detail) from error
        if not self._is_migrated():
            raise Unavailable("The database's migrations have not run.") from error

    def _is_migrated(self) -> bool:
        try:
            connection = self._on_loop or self._open_on_loop()
            for sql in self._schema:
                connection.execute(sql).fetchall()
        except sqlite3.OperationalError:
            return False
        return True


@contextmanager
def interrupted_at(deadline: float, connection: sqlite3.Connection) -> Iterator[None]:
    """Interrupt statements on this connection that run past the deadline, a value of `time.monotonic()`."""
    connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)

"""One thread that does all writing to SQLite, and commits waiting writes together."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from app.forge.database.sqlite_errors import UNAVAILABLE_ERRORS, may_pass
from app.forge.errors import Unavailable
from app.forge.observability.readings import Reading

# Limits the time that one flush delays the others, and the writes that a crash can interrupt.
GROUP_MAX_WRITES = 256

Result = TypeVar("Result")
Write = Callable[[sqlite3.Connection], Any]


class _Waiting(NamedTuple):
    write: Write
    outcome: asyncio.Future[Any]


class _Done(NamedTuple):
    outcome: asyncio.Future[Any]
    result: Any
    error: Exception | None


class _GroupUndone(Exception):
    """A failure so severe (a full disk, a deadline) that SQLite undid the whole group; the others are run again."""

    def __init__(self, by: _Waiting, error: Exception) -> None:
        super().__init__()
        self.by = by
        self.error = error


class GroupCommitWriter:
    """Runs writes one after the other; each is durable (synchronous=FULL) before its caller continues.

    The connection is opened for the first write; one that cannot be opened fails the writes that wait for it.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection], max_waiting: int) -> None:
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(max_waiting)
        self._commits = 0
        self._writes = 0
        self._thread = threading.Thread(target=self._serve, name="sqlite-writer", daemon=True)
        self._thread.start()

    def readings(self) -> Iterable[Reading]:
        """Yield the metrics of group commit."""
        waiting = self._waiting.qsize()
        yield Reading("sqlite_pending_writes", "Writes that wait for their turn.", waiting)
        yield Reading("sqlite_commits_total", "Commits, each of one or more writes.", self._commits)
        yield Reading("sqlite_committed_writes_total", "Writes in these commits.", self._writes)

    async def run(self, write: Callable[[sqlite3.Connection], Result]) -> Result:
        """Return the result of the write when it is on disk.

        Raises the error of the write, which undoes only this write, or `Unavailable`.
        """
        outcome: asyncio.Future[Result] = self._loop.create_future()
        try:
            self._waiting.put_nowait(_Waiting(write, outcome))
        except queue.Full:
            raise Unavailable("Too many writes are waiting for the database.") from None
        return await outcome

    async def close(self) -> None:
        """Return when all waiting writes are done and the thread has ended."""
        await asyncio.to_thread(self._waiting.put, None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        while (first := self._waiting.get()) is not None:
            group, last = self._gather(first)
            done = self._commit(group)
            self._loop.call_soon_threadsafe(_settle, done)
            if last:
                return

    def _gather(self, first: _Waiting) -> tuple[list[_Waiting], bool]:
        group = [first]
        while len(group) < GROUP_MAX_WRITES:
            try:
                waiting = self._waiting.get_nowait()
            except queue.Empty:
                break
            if waiting is None:
                return group, True
            group.append(waiting)
        return group, False

    def _commit(self, group: list[_Waiting]) -> list[_Done]:
        try:
            connection = self._connection = self._connection or self._connect()
        except Exception as error:
            return _failed(group, _unopened(error))
        try:
            # IMMEDIATE takes the lock at once: a read lock could not be upgraded after another process wrote.
            connection.execute("BEGIN IMMEDIATE")
            done = [_attempt(connection, waiting) for waiting in group]
            connection.execute("COMMIT")
            self._commits += 1
            self._writes += len(group)
        except _GroupUndone as undone:
            rest = [waiting for waiting in group if waiting is not undone.by]
            others = self._commit(rest) if rest else []
            return [_Done(undone.by.outcome, None, undone.error), *others]
        except Exception as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return _failed(group, error)
        return done


def _attempt(connection: sqlite3.Connection, waiting: _Waiting) -> _Done:
    if waiting.outcome.cancelled():
        # Its caller has given up, and was told that it was not done.
        return _Done(waiting.outcome, None, None)
    connection.execute("SAVEPOINT one_write")
    try:
        result = waiting.write(connection)
        connection.execute("RELEASE one_write")
    except Exception as error:
        if not connection.in_transaction:
            raise _GroupUndone(waiting, error) from error
        connection.execute("ROLLBACK TO one_write")
        connection.execute("RELEASE one_write")
        return _Done(waiting.outcome, None, error)
    return _Done(waiting.outcome, result, None)


def _unopened(error: Exception) -> Exception:
    if not isinstance(error, UNAVAILABLE_ERRORS) or not may_pass(error):
        return error
    unavailable = Unavailable("The database could not be opened.")
    unavailable.__cause__ = error
    return unavailable


def _failed(group: list[_Waiting], error: Exception) -> list[_Done]:
    return [_Done(waiting.outcome, None, error) for waiting in group]


def _settle(group: list[_Done]) -> None:
    for outcome, result, error in group:
        # A caller that gave up has cancelled its outcome.
        if outcome.done():
            continue
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

"""Connections to SQLite that log their slow statements with EXPLAIN QUERY PLAN."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, ClassVar

from app.forge.database.slow_queries import log_slow_query


def slow_query_connection(slow_seconds: float) -> type[sqlite3.Connection]:
    """Return a class of connections that log statements that take this long or longer."""

    class Connection(SlowQueryConnection):
        pass

    Connection.slow_seconds = slow_seconds
    return Connection


class SlowQueryConnection(sqlite3.Connection):
    """A connection whose statements go through the cursor below."""

    slow_seconds: ClassVar[float]

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> "SlowQueryCursor":  # type: ignore[override]
        """Execute a statement, and log it if it is slow."""
        return SlowQueryCursor(self).execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> "SlowQueryCursor":  # type: ignore[override]
        """Execute a statement for each of the rows, and log it if they are slow together."""
        return SlowQueryCursor(self).executemany(sql, rows)


class SlowQueryCursor(sqlite3.Cursor):
    """Times a statement and the fetching of its rows, because SQLite finds most rows only then."""

    connection: SlowQueryConnection

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> "SlowQueryCursor":  # type: ignore[override]
        """Execute a statement, and log it if it is slow."""
        self._sql, self._parameters, self._seconds = sql, len(parameters), 0.0
        with self._timed():
            super().execute(sql, parameters)
        return self

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> "SlowQueryCursor":  # type: ignore[override]
        """Execute a statement for each of the rows, and log it if they are slow together."""
        rows = list(rows)
        self._sql, self._parameters, self._seconds = sql, len(rows[0]) if rows else 0, 0.0
        with self._timed():
            super().executemany(sql, rows)
        return self

    def fetchall(self) -> list[Any]:
        """Return the rows, and log the statement if it is slow."""
        with self._timed():
            rows = super().fetchall()
        self._log_if_slow()
        return rows

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began_at = perf_counter()
        try:
            yield
        except sqlite3.Error:
            self._seconds += perf_counter() - began_at
            self._log_if_slow()
            raise
        self._seconds += perf_counter() - began_at
        if self.description is None:
            self._log_if_slow()

    def _log_if_slow(self) -> None:
        if self._seconds >= self.connection.slow_seconds:
            log_slow_query(self._sql, self._seconds, self._plan())

    def _plan(self) -> str:
        # The plan does not depend on the values, so they are left out.
        explain = f"EXPLAIN QUERY PLAN {self._sql}"
        try:
            rows = sqlite3.Cursor(self.connection).execute(explain, [None] * self._parameters).fetchall()
        except sqlite3.Error as error:
            return f"SQLite returned no plan: {error}"
        return "\n".join(detail for *_, detail in rows)

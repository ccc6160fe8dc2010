"""Connections to PostgreSQL that log their slow statements with EXPLAIN."""

import re
from collections.abc import Coroutine, Iterable, Sequence
from itertools import count
from time import perf_counter
from typing import Any, ClassVar, LiteralString

import asyncpg

from app.forge.database.slow_queries import log_slow_query

# Statements that EXPLAIN accepts; for others, such as COMMIT, only the time is logged.
EXPLAINED = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|SHOW)\b", re.IGNORECASE)
SAVEPOINT = "SAVEPOINT slow_query"
# Not only RELEASE: the effect of SET LOCAL would stay.
UNDO_SAVEPOINT = "ROLLBACK TO slow_query; RELEASE slow_query"
NOT_FINISHED = "The statement was not finished."

_numbers = count()


def slow_query_connection(slow_seconds: float, base: type[asyncpg.Connection]) -> type[asyncpg.Connection]:
    """Return a subclass of `base` whose connections log statements that take this long or longer."""

    class Connection(SlowQueryConnection, base):  # type: ignore[misc]
        pass

    Connection.slow_seconds = slow_seconds
    return Connection


class SlowQueryConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection on which a slow statement is explained before its rows are returned."""

    slow_seconds: ClassVar[float]

    async def fetch(self, sql: LiteralString, *values: object) -> list[Any]:
        """Return the rows of a statement, and log it if it is slow."""
        rows: list[Any] = await self._timed(super().fetch(sql, *values), sql, len(values))
        return rows

    async def fetchrow(self, sql: LiteralString, *values: object) -> Any:
        """Return the first row of a statement, and log it if it is slow."""
        return await self._timed(super().fetchrow(sql, *values), sql, len(values))

    async def fetchval(self, sql: LiteralString, *values: object) -> Any:
        """Return the first value of a statement, and log it if it is slow."""
        return await self._timed(super().fetchval(sql, *values), sql, len(values))

    async def execute(self, sql: LiteralString, *values: object) -> str:
        """Execute a statement, and log it if it is slow."""
        status: str = await self._timed(super().execute(sql, *values), sql, len(values))
        return status

    async def executemany(self, sql: LiteralString, rows: Iterable[Sequence[object]]) -> None:
        """Execute a statement for each of the rows, and log it if they are slow together."""
        rows = list(rows)
        await self._timed(super().executemany(sql, rows), sql, len(rows[0]) if rows else 0)

    async def _timed(self, statement: Coroutine[Any, Any, Any], sql: str, parameters: int) -> Any:
        began_at = perf_counter()
        try:
            outcome = await statement
        except BaseException:
            self._log_unfinished(sql, perf_counter() - began_at)
            raise
        seconds = perf_counter() - began_at
        if seconds >= self.slow_seconds:
            plan = await self._plan(sql, parameters) if EXPLAINED.match(sql) else ""
            log_slow_query(sql, seconds, plan)
        return outcome

    def _log_unfinished(self, sql: str, seconds: float) -> None:
        if seconds >= self.slow_seconds:
            log_slow_query(sql, seconds, NOT_FINISHED)

    async def _plan(self, sql: str, parameters: int) -> str:
        in_transaction = self.is_in_transaction()
        begin, undo = (SAVEPOINT, UNDO_SAVEPOINT) if in_transaction else ("BEGIN", "ROLLBACK")
        await super().execute(begin)
        try:
            return await self._generic_plan(sql, parameters)
        except asyncpg.PostgresError as error:
            return f"PostgreSQL returned no plan: {error}"
        finally:
            await super().execute(undo)

    async def _generic_plan(self, sql: str, parameters: int) -> str:
        # A prepared statement outlives the transaction, so a name that could not be freed is not used again.
        name = f"slow_query_{next(_numbers)}"
        # The generic plan: a plan for these values would contain them, and they may be secrets.
        await super().execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await super().execute(f"PREPARE {name} AS {sql}")
        nulls = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
        rows = await super().fetch(f"EXPLAIN EXECUTE {name}{nulls}")
        await super().execute(f"DEALLOCATE {name}")
        return "\n".join(line for (line,) in rows)

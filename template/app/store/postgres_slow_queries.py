"""Connections to PostgreSQL that log their slow statements with EXPLAIN."""

from time import perf_counter
from typing import Any, ClassVar, LiteralString

import asyncpg

from app.slow_queries import log_slow_query

NOT_FINISHED = "The statement was not finished."


def slow_query_connection(slow_seconds: float, base: type[asyncpg.Connection]) -> type[asyncpg.Connection]:
    """Return a subclass of `base` whose connections log what takes this long or longer."""

    class Connection(SlowQueryConnection, base):  # type: ignore[misc]
        pass

    Connection.slow_seconds = slow_seconds
    return Connection


class SlowQueryConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection on which a slow statement is explained before its rows are handed out."""

    slow_seconds: ClassVar[float]

    async def fetch(self, sql: LiteralString, *values: object) -> list[Any]:
        """Return the rows of a statement, and log it if it is slow."""
        began_at = perf_counter()
        try:
            rows: list[Any] = await super().fetch(sql, *values)
        except BaseException:
            self._log_unfinished(sql, perf_counter() - began_at)
            raise
        seconds = perf_counter() - began_at
        if seconds >= self.slow_seconds:
            log_slow_query(sql, seconds, await self._plan(sql, len(values)))
        return rows

    def _log_unfinished(self, sql: str, seconds: float) -> None:
        if seconds >= self.slow_seconds:
            log_slow_query(sql, seconds, NOT_FINISHED)

    async def _plan(self, sql: str, parameters: int) -> str:
        try:
            async with self.transaction():
                return await self._generic_plan(sql, parameters)
        except asyncpg.PostgresError as error:
            # A statement that it prepared outlives the transaction, but not the connection.
            self.terminate()
            return f"PostgreSQL does not tell: {error}"

    async def _generic_plan(self, sql: str, parameters: int) -> str:
        # The plan for any values: the one for these would have them in it, and they may be secrets.
        await self.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await self.execute(f"PREPARE slow_query AS {sql}")
        nulls = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
        rows = await super().fetch(f"EXPLAIN EXECUTE slow_query{nulls}")
        await self.execute("DEALLOCATE slow_query")
        return "\n".join(line for (line,) in rows)

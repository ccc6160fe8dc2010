"""Connections for a pooler such as PgBouncer, which may run each transaction in another session."""

from typing import Any, Literal, LiteralString

import asyncpg

# none: PostgreSQL itself. transaction: a pooler in transaction mode that keeps no prepared statements (PgBouncer
# before 1.21). prepared: one that keeps them (PgBouncer's max_prepared_statements), or one in session mode.
Pooler = Literal["none", "transaction", "prepared"]


# The number of descriptions that a connection keeps.
MAX_DESCRIBED = 500


class UnnamedStatements(asyncpg.Connection):  # type: ignore[misc]
    """A connection that keeps no statement in its session, which requires `statement_cache_size=0`.

    asyncpg then describes each statement before it is run: a second round trip, in which the server parses it a
    first time. Here the description is kept, and the statement is parsed and run in one.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._described: dict[str, Any] = {}

    async def fetch(self, sql: LiteralString, *values: object) -> list[Any]:
        """Return the rows of a statement."""
        statement = self._described.get(sql)
        if statement is None:
            if len(self._described) >= MAX_DESCRIBED:
                del self._described[next(iter(self._described))]
            statement = self._described[sql] = await self.prepare(sql)
        try:
            rows: list[Any] = await statement.fetch(*values)
        except asyncpg.PostgresError:
            # It may have failed because a migration has changed a type.
            self._described.pop(sql, None)
            raise
        return rows

"""Deleting a row of PostgreSQL with what its references take along: the database does it, this reports it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from app.forge.database.postgres_statements import quoted
from app.forge.errors import Referenced
from app.forge.table import Referrer, Table, referrers_in

if TYPE_CHECKING:
    # It uses this module.
    from app.forge.database.postgres_transactions import Transaction

# PostgreSQL 18 has a separate class for ON DELETE RESTRICT.
REFERENCE_ERRORS = (asyncpg.ForeignKeyViolationError, asyncpg.RestrictViolationError)


class Removals:
    """Deletes rows of these tables, and applies the `on_delete` of references to them."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        self._taken_along = [each for each in referrers_in(tables.values()) if each.on_delete != "restrict"]

    def take_others(self, table: Table) -> bool:
        """Return True if other rows may go or change with one of this table."""
        return any(each.to == table.name for each in self._taken_along)

    async def delete(self, transaction: "Transaction", table: Table, row_id: UUID) -> None:
        """Delete a row that the transaction has locked, and report other rows that go or change.

        Raises `Referenced`.
        """
        await self._report_others(transaction, table, row_id)
        try:
            await transaction.execute(f"DELETE FROM {quoted(table.name)} WHERE id = $1", row_id)
        except REFERENCE_ERRORS as error:
            raise self.refusal(error, table, row_id) from None

    def refusal(self, error: asyncpg.PostgresError, table: Table, row_id: UUID) -> Referenced:
        """Return the error for clients that corresponds to one of `REFERENCE_ERRORS`."""
        referrer = self._tables.get(error.table_name)
        by = f"row of {error.table_name}" if referrer is None else referrer.noun
        return Referenced.of(table.noun, row_id, by)

    async def _report_others(self, transaction: "Transaction", table: Table, row_id: UUID) -> None:
        seen = {(table.name, row_id)}
        waiting = [(table.name, [row_id])]
        while waiting:
            name, row_ids = waiting.pop()
            for each in self._taken_along:
                if each.to != name:
                    continue
                found = [found_id for (found_id,) in await transaction.fetch(referring(each), row_ids)]
                transaction.changed(each.table, *found)
                unseen = [found_id for found_id in found if (each.table.name, found_id) not in seen]
                if each.on_delete == "cascade" and unseen:
                    seen.update((each.table.name, found_id) for found_id in unseen)
                    waiting.append((each.table.name, unseen))


def referring(each: Referrer) -> str:
    """Return the statement that finds which rows refer to any of these; those that go with them are locked."""
    lock = " FOR UPDATE" if each.on_delete == "cascade" else ""
    return (
        f"SELECT id FROM {quoted(each.table.name)} WHERE {quoted(each.column.name)} = ANY($1::uuid[]){lock}"
    )

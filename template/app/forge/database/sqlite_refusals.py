"""Turns SQLite's constraint errors into the errors of the service.

SQLite reports neither the refused value nor its reference. They are looked up within the same write.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.forge.database.sqlite_references import Dependents
from app.forge.database.sqlite_statements import another_with, row_of
from app.forge.database.sqlite_values import Values
from app.forge.errors import MissingReference, Referenced, ServiceError, Taken
from app.forge.table import Table


class Refusals:
    """Finds the error to raise: the original one if no column of the table explains it."""

    def __init__(
        self, table: Table, tables: Mapping[str, Table], values: Values, dependents: Dependents
    ) -> None:
        self._table = table
        self._tables = tables
        self._values = values
        self._refusing = dependents.refusing
        self._unique = [column for column in table.columns if column.is_unique]

    def of_row(
        self, connection: sqlite3.Connection, error: sqlite3.IntegrityError, row: Mapping[str, Any]
    ) -> Exception:
        """Return the reason why a row, or a change of one, was refused; `row` has its id."""
        return self._found(connection, error, row, None) or error

    def of_batch(
        self, connection: sqlite3.Connection, error: sqlite3.IntegrityError, rows: Sequence[Mapping[str, Any]]
    ) -> Exception:
        """Return the reason why a batch was refused. The rows before the one that failed are in the table."""
        found = (self._found(connection, error, row, index) for index, row in enumerate(rows))
        return next((refusal for refusal in found if refusal is not None), error)

    def of_delete(
        self, connection: sqlite3.Connection, error: sqlite3.IntegrityError, row_id: UUID
    ) -> Exception:
        """Return the reason why a row cannot be deleted."""
        found = self._refusing and connection.execute(self._refusing, (str(row_id),)).fetchone()
        if not found:
            return error
        table, column, referrer = found
        return Referenced(
            f"The {self._table.noun} {row_id} cannot be removed while "
            f"the {self._tables[table].noun} {referrer} refers to it as {column}."
        )

    def _found(
        self,
        connection: sqlite3.Connection,
        error: sqlite3.IntegrityError,
        row: Mapping[str, Any],
        index: int | None,
    ) -> ServiceError | None:
        if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            return self._taken(connection, row)
        if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            return self._missing_reference(connection, row, index)
        return None

    def _taken(self, connection: sqlite3.Connection, row: Mapping[str, Any]) -> ServiceError | None:
        for column in self._unique:
            value = self._values.of_column(column.name, row.get(column.name))
            sql = another_with(self._table, column)
            if connection.execute(sql, (value, str(row["id"]))).fetchone():
                return Taken(f"The {column.name} {_shown(row[column.name])} is taken.", column.name)
        return None

    def _missing_reference(
        self, connection: sqlite3.Connection, row: Mapping[str, Any], index: int | None
    ) -> ServiceError | None:
        for column in self._table.references:
            value = row.get(column.name)
            if value is None or column.reference is None:
                continue
            target = column.reference.to
            if not connection.execute(row_of(target), (str(value),)).fetchone():
                noun = self._tables[target].noun if target in self._tables else target
                return MissingReference(noun, column.name, value, index)
        return None


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)

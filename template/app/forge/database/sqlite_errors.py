"""SQLite's errors: outages, mistakes in a statement, and refused values.

SQLite reports neither the refused value nor its reference. They are looked up within the same write.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from app.forge.database.sqlite_statements import another_with, row_of
from app.forge.database.sqlite_values import Values
from app.forge.errors import MissingReference, ServiceError, Taken
from app.forge.table import Table

# Raised by opening the file or executing a statement, during an outage or for other reasons.
UNAVAILABLE_ERRORS = (OSError, sqlite3.OperationalError)
# https://www.sqlite.org/rescode.html
UNAVAILABLE_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


def may_pass(error: Exception) -> bool:
    """Return whether the same statement may succeed later; otherwise it is wrong, or the schema is."""
    if isinstance(error, sqlite3.OperationalError):
        # Of an extended code, such as SQLITE_IOERR_FSYNC, the lowest byte is the primary one. Python's own errors,
        # such as text that is not UTF-8, have none.
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in UNAVAILABLE_CODES
    return True


class Refusals:
    """Finds the error to raise: the original one if no column of the table explains it."""

    def __init__(self, table: Table, tables: Mapping[str, Table], values: Values) -> None:
        self._table = table
        self._tables = tables
        self._values = values
        self._unique = [column for column in table.columns if column.is_unique]

    def of_row(
        self, connection: sqlite3.Connection, error: sqlite3.IntegrityError, row: Mapping[str, Any]
    ) -> Exception:
        """Return why a row was refused, or changes to one; `row` has its id."""
        return self._found(connection, error, row, None) or error

    def of_batch(
        self, connection: sqlite3.Connection, error: sqlite3.IntegrityError, rows: Sequence[Mapping[str, Any]]
    ) -> Exception:
        """Return why a batch was refused. The rows before the one that failed are in the table."""
        found = (self._found(connection, error, row, index) for index, row in enumerate(rows))
        return next((refusal for refusal in found if refusal is not None), error)

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
                return Taken.of(column.name, row[column.name])
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

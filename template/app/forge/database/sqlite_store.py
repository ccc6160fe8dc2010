"""A table in SQLite."""

import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from copy import copy
from datetime import datetime
from decimal import ROUND_HALF_UP
from functools import cache, partial
from typing import Any
from uuid import UUID

from app.forge.database.sqlite_connections import Connections, interrupted_at
from app.forge.database.sqlite_errors import Refusals
from app.forge.database.sqlite_statements import (
    SUM_UNIT,
    WRITTEN_BY_SQLITE,
    Dependents,
    Statements,
)
from app.forge.database.sqlite_values import Values, from_decimal, time_text
from app.forge.database.transactions import TransactionScope
from app.forge.errors import MissingReference, NotFound, PreconditionFailed, Referenced
from app.forge.fields import EXACT
from app.forge.http.caching import matches
from app.forge.serializer import Serializer
from app.forge.store import Document, Row, document_of, page_of
from app.forge.table import Column, Table

# Sorts after every UUID: where the first page starts.
AFTER_ALL_IDS = "g"
EXPORT_CHUNK_ROWS = 500

Tell = Callable[[TransactionScope], Awaitable[None]]


class SqliteStore:
    """See `app.forge.store.Store`."""

    def __init__(
        self,
        table: Table,
        tables: Mapping[str, Table],
        serializer: Serializer,
        connections: Connections,
        tell: Tell,
    ) -> None:
        self._table = table
        self._tables = tables
        self._serializer = serializer
        self._connections = connections
        self._tell = tell
        self._sql = Statements(table, tables)
        self._limited = cache(partial(Statements, table, tables))
        # The first value of each statement, if the store is limited to an owner.
        self._owner: tuple[str, ...] = ()
        self._values = Values(table)
        self._refusals = Refusals(table, tables, self._values)
        self.removal = Removal(table, tables)
        self._is_written_alike = WRITTEN_BY_SQLITE.isdisjoint(column.kind for column in table.columns)

    def of(self, owner: str, tables: frozenset[str]) -> "SqliteStore":
        if not tables:
            return self
        store = copy(self)
        vars(store).update(_sql=self._limited(tables), _owner=(owner,))
        return store

    async def get(self, row_id: UUID) -> Document:
        found = self._connections.read(self._sql.get, (*self._owner, str(row_id)))
        if not found:
            raise NotFound.of(self._table.noun, row_id)
        return document_of(self._serializer.one(found[0][0].encode()))

    async def get_expanded(self, row_id: UUID, expand: Sequence[str]) -> Document:
        found = self._connections.read(self._sql.get_expanded(tuple(expand)), (*self._owner, str(row_id)))
        if not found:
            raise NotFound.of(self._table.noun, row_id)
        return document_of(self._serializer.one_expanded(found[0][0].encode()))

    async def insert(self, row: Row) -> Document:
        values = self._values.of_row(row)
        returned = await self._connections.write(partial(self._insert, row=row, values=values))
        return self._inserted(row, returned)

    def insert_now(self, connection: sqlite3.Connection, row: Row) -> Document:
        """Insert the row within a write, and return it. Raises `Taken` or `MissingReference`."""
        return self._inserted(row, self._insert(connection, row, self._values.of_row(row)))

    async def insert_many(self, rows: Sequence[Row]) -> None:
        values = [self._values.of_row(row) for row in rows]

        def write(connection: sqlite3.Connection) -> None:
            for index, row in enumerate(rows if self._sql.referable else ()):
                self._refuse_others(connection, row, index)
            try:
                connection.executemany(self._sql.insert, values)
            except sqlite3.IntegrityError as error:
                raise self._refusals.of_batch(connection, error, rows) from None

        await self._connections.write(write)

    async def update(
        self, row_id: UUID, changes: Mapping[str, Any], updated_at: datetime, if_match: str | None = None
    ) -> Document:
        if not changes:
            return await self._connections.write(partial(self._checked, row_id=row_id, if_match=if_match))
        sql = self._sql.update_of(changes)
        values = [self._values.of_column(name, value) for name, value in changes.items()]
        parameters = (*self._owner, *values, time_text(updated_at), str(row_id))

        def write(connection: sqlite3.Connection) -> list[Any]:
            self._refuse_others(connection, changes)
            if if_match is not None:
                self._checked(connection, row_id, if_match)
            try:
                return connection.execute(sql, parameters).fetchall()
            except sqlite3.IntegrityError as error:
                raise self._refusals.of_row(connection, error, {**changes, "id": row_id}) from None

        changed = await self._connections.write(write)
        if not changed:
            raise NotFound.of(self._table.noun, row_id)
        return document_of(self._serializer.one(changed[0][0].encode()))

    async def delete(self, row_id: UUID, if_match: str | None = None) -> None:
        scope = TransactionScope()
        deadline = time.monotonic() + self._connections.timeout_seconds

        def write(connection: sqlite3.Connection) -> None:
            if if_match is not None or self._owner:
                self._checked(connection, row_id, if_match)
            if not self.removal.takes_others:
                self.removal.run(connection, row_id)
                return
            # Any number of rows may depend on it.
            with interrupted_at(deadline, connection):
                scope.changed_rows += self.removal.run(connection, row_id)

        try:
            await self._connections.write(write)
        finally:
            # After the commit, so that reads from now on see the change.
            await self._tell(scope)

    async def page(
        self, limit: int, after: UUID | None, filters: Mapping[str, Any], expand: Sequence[str]
    ) -> bytes:
        before = AFTER_ALL_IDS if after is None else str(after)
        names = self._sql.in_order(filters)
        sql = self._sql.page_of(names, tuple(expand))
        # One row more than requested shows whether there is a next page.
        values = [self._values.of_filter(name, filters[name]) for name in names]
        parameters = (*self._owner, *values, before, limit + 1)
        if len(names) > 1:
            # No index covers them together, so finding one row may mean reading the whole table.
            rows = await self._connections.scan(sql, parameters)
        else:
            rows = self._connections.read(sql, parameters)
        array = f"[{','.join([row for _, row in rows[:limit]])}]".encode()
        next_cursor = UUID(rows[limit - 1][0]) if len(rows) > limit else None
        written = self._serializer.many_expanded(array) if expand else self._serializer.many(array)
        return page_of(written, next_cursor)

    async def export(self) -> AsyncIterator[bytes]:
        last, sql = AFTER_ALL_IDS, self._sql.page_of((), ())
        # Page by page, because the write-ahead log cannot be reset during a long read.
        while rows := await self._connections.scan(sql, (*self._owner, last, EXPORT_CHUNK_ROWS)):
            yield b"".join([self._serializer.one(row.encode()) + b"\n" for _, row in rows])
            last = rows[-1][0]

    async def summary(self) -> dict[str, Any]:
        return await self._connections.read_in_thread(self._summary)

    def _insert(self, connection: sqlite3.Connection, row: Row, values: Sequence[Any]) -> list[Any]:
        # Where both write the same JSON, the serializer is faster than RETURNING.
        sql = self._sql.insert if self._is_written_alike else self._sql.insert_returning
        self._refuse_others(connection, row)
        try:
            return connection.execute(sql, values).fetchall()
        except sqlite3.IntegrityError as error:
            raise self._refusals.of_row(connection, error, row) from None

    def _inserted(self, row: Row, returned: list[Any]) -> Document:
        written = returned[0][0].encode() if returned else self._values.in_order(row)
        return document_of(self._serializer.one(written))

    def _checked(self, connection: sqlite3.Connection, row_id: UUID, if_match: str | None) -> Document:
        """Return the row as the database has it, or raise `NotFound` or `PreconditionFailed`."""
        found = connection.execute(self._sql.get, (*self._owner, str(row_id))).fetchall()
        if not found:
            raise NotFound.of(self._table.noun, row_id)
        document = document_of(self._serializer.one(found[0][0].encode()))
        if if_match is not None and not matches(if_match, document.etag):
            raise PreconditionFailed.of(self._table.noun, row_id)
        return document

    def _refuse_others(
        self, connection: sqlite3.Connection, values: Mapping[str, Any], index: int | None = None
    ) -> None:
        """Raise `MissingReference` for a reference to a row that does not exist for the owner."""
        for name, sql in self._sql.referable.items():
            value = values.get(name)
            if value is not None and not connection.execute(sql, (*self._owner, str(value))).fetchone():
                reference = self._table.column(name).reference
                assert reference is not None
                raise MissingReference(self._tables[reference.to].noun, name, value, index)

    def _summary(self, connection: sqlite3.Connection) -> dict[str, Any]:
        """Read the whole table, or all rows of the owner."""
        columns = self._table.columns
        numbers = [column for column in columns if column.is_number]
        count, *found = connection.execute(self._sql.figures(numbers), self._owner).fetchone()
        rest = iter(found)
        summed = {column.name: _figures(column, rest) for column in numbers}
        counted = {column.name: self._counts(connection, column) for column in columns if column.is_counted}
        in_order = [column.name for column in columns if column.is_number or column.is_counted]
        return {"count": count, **{name: summed.get(name, counted.get(name)) for name in in_order}}

    def _counts(self, connection: sqlite3.Connection, column: Column) -> list[dict[str, Any]]:
        found = connection.execute(self._sql.most_used(column), self._owner).fetchall()
        is_bool = column.kind == "bool" and not column.is_list
        return [{"value": bool(value) if is_bool else value, "count": count} for value, count in found]


class Removal:
    """Deletes rows of a table within a write, with what their references take along."""

    def __init__(self, table: Table, tables: Mapping[str, Table]) -> None:
        self._table = table
        self._tables = tables
        self._dependents = Dependents(table, tables)
        self.takes_others = self._dependents.changed is not None

    def run(self, connection: sqlite3.Connection, row_id: UUID) -> list[tuple[str, UUID]]:
        """Delete the row, and return the tables and ids of the others that go or change with it.

        Raises `NotFound` or `Referenced`.
        """
        key = (str(row_id),)
        sql = self._dependents.changed
        changed = connection.execute(sql, key).fetchall() if sql is not None else ()
        try:
            deleted = connection.execute(self._dependents.delete, key).rowcount
        except sqlite3.IntegrityError as error:
            raise self._refusal(connection, error, row_id) from None
        if not deleted:
            raise NotFound.of(self._table.noun, row_id)
        return [(table, UUID(other)) for table, other in changed]

    def _refusal(
        self, connection: sqlite3.Connection, error: sqlite3.IntegrityError, row_id: UUID
    ) -> Exception:
        sql = self._dependents.refusing
        found = connection.execute(sql, (str(row_id),)).fetchone() if sql is not None else None
        return Referenced.of(self._table.noun, row_id, self._tables[found[0]].noun) if found else error


def _figures(column: Column, found: Iterator[Any]) -> dict[str, Any]:
    lowest, highest = next(found), next(found)
    if column.kind != "decimal":
        return {"min": lowest, "max": highest, "mean": next(found)}
    count, high, low = next(found), next(found), next(found)
    if not count:
        return {"min": None, "max": None, "mean": None}
    total = from_decimal(high * SUM_UNIT + low, column.places)
    mean = EXACT.divide(total, count).quantize(from_decimal(1, column.places), ROUND_HALF_UP, EXACT)
    exact = {
        "min": from_decimal(lowest, column.places),
        "max": from_decimal(highest, column.places),
        "mean": mean,
    }
    return {name: format(value, "f") for name, value in exact.items()}

"""The rows of a table in SQLite."""

import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP
from operator import itemgetter
from typing import Any
from uuid import UUID

from app.forge.database import sqlite_statements as statements
from app.forge.database.sqlite_connections import Connections, interrupted_at
from app.forge.database.sqlite_references import Dependents
from app.forge.database.sqlite_statements import SUM_PART, Statements, from_decimal
from app.forge.database.transactions import TransactionScope
from app.forge.documents import Document, document_of, page_of
from app.forge.errors import MissingReference, NotFound, PreconditionFailed, Referenced, Taken
from app.forge.fields import EXACT
from app.forge.http.caching import matches
from app.forge.serializer import Serializer
from app.forge.store import Row
from app.forge.table import Column, Table

# Sorts after every UUID: where the first page starts.
AFTER_ALL_IDS = "g"
EXPORT_CHUNK_ROWS = 500


class SqliteStore:
    """See `app.forge.store.Store`."""

    def __init__(
        self,
        table: Table,
        tables: Mapping[str, Table],
        serializer: Serializer,
        connections: Connections,
        tell: Callable[[TransactionScope], Awaitable[None]],
    ) -> None:
        self._table = table
        self._tables = tables
        self._serializer = serializer
        self._connections = connections
        self._tell = tell
        self._sql = Statements(table, tables)
        self._dependents = Dependents(table, tables)
        self._unique = [column for column in table.columns if column.is_unique]
        converters = {column.name: statements.to_database(column) for column in _all_columns(table)}
        self._converters = {name: convert for name, convert in converters.items() if convert is not None}
        self._raw_values = itemgetter(*self._sql.columns)
        self._converted = [
            (place, self._converters[name])
            for place, name in enumerate(self._sql.columns)
            if name in self._converters
        ]
        self._filter_converters = {
            column.name: convert
            for column in table.columns
            if (convert := statements.element_to_database(column)) is not None
        }

    async def get(self, row_id: UUID) -> Document:
        found = self._connections.read(self._sql.get, (str(row_id),))
        if not found:
            raise self._not_found(row_id)
        return document_of(self._serializer.one(found[0][0].encode()))

    async def get_expanded(self, row_id: UUID, expand: Sequence[str]) -> Document:
        found = self._connections.read(self._sql.get_expanded(expand), (str(row_id),))
        if not found:
            raise self._not_found(row_id)
        return document_of(self._serializer.one_expanded(found[0][0].encode()))

    async def insert(self, row: Row) -> Document:
        values = self._values(row)

        def write(connection: sqlite3.Connection) -> list[Any]:
            try:
                return connection.execute(self._sql.insert_returning, values).fetchall()
            except sqlite3.IntegrityError as error:
                raise self._refusal(connection, error, [row]) from None

        ((inserted,),) = await self._connections.write(write)
        return document_of(self._serializer.one(inserted.encode()))

    async def insert_many(self, rows: Sequence[Row]) -> None:
        values = [self._values(row) for row in rows]

        def write(connection: sqlite3.Connection) -> None:
            try:
                connection.executemany(self._sql.insert, values)
            except sqlite3.IntegrityError as error:
                raise self._refusal(connection, error, rows, is_batch=True) from None

        await self._connections.write(write)

    async def update(
        self, row_id: UUID, changes: Mapping[str, Any], updated_at: datetime, if_match: str | None = None
    ) -> Document:
        sql = self._sql.update_of(list(changes))
        values = [self._converted_value(name, value) for name, value in changes.items()]
        values += [statements.time_text(updated_at), str(row_id)]

        def write(connection: sqlite3.Connection) -> bytes:
            if if_match is not None:
                body = self._checked(connection, row_id, if_match)
                if not changes:
                    return body
            try:
                changed = connection.execute(sql, values).fetchall()
            except sqlite3.IntegrityError as error:
                raise self._refusal(connection, error, [{**changes, "id": row_id}]) from None
            if not changed:
                raise self._not_found(row_id)
            return self._serializer.one(changed[0][0].encode())

        return document_of(await self._connections.write(write))

    async def delete(self, row_id: UUID, if_match: str | None = None) -> None:
        scope = TransactionScope()
        deadline = time.monotonic() + self._connections.timeout_seconds

        def write(connection: sqlite3.Connection) -> None:
            if if_match is not None:
                self._checked(connection, row_id, if_match)
            if self._dependents.changed is None:
                self._delete(connection, row_id)
                return
            # As many rows as depend on it.
            with interrupted_at(deadline, connection):
                changed = connection.execute(self._dependents.changed, (str(row_id),)).fetchall()
                self._delete(connection, row_id)
            scope.changed_rows += [(table, UUID(other)) for table, other in changed]

        try:
            await self._connections.write(write)
        finally:
            # After the commit: what is read from now on is new.
            await self._tell(scope)

    async def page(
        self, limit: int, after: UUID | None, filters: Mapping[str, Any], expand: Sequence[str]
    ) -> bytes:
        before = AFTER_ALL_IDS if after is None else str(after)
        names = self._sql.in_order(list(filters)) if len(filters) > 1 else filters
        values = [self._filter_value(name, filters[name]) for name in names]
        # One row more than asked for says whether there is a next page.
        parameters = (*values, before, limit + 1)
        if len(values) > 1:
            # No index has all of them: it may take a walk through the whole table to find one row.
            rows = await self._connections.scan(self._sql.page_of(list(filters), expand), parameters)
        else:
            rows = self._connections.read(self._page_statement(filters, expand), parameters)
        array = f"[{','.join([row for _, row in rows[:limit]])}]".encode()
        next_cursor = UUID(rows[limit - 1][0]) if len(rows) > limit else None
        written = self._serializer.many_expanded(array) if expand else self._serializer.many(array)
        return page_of(written, next_cursor)

    async def export(self) -> AsyncIterator[bytes]:
        last = AFTER_ALL_IDS
        # Page by page, because a read that stays open keeps the write-ahead log from being cleared.
        while rows := await self._connections.scan(self._sql.page, (last, EXPORT_CHUNK_ROWS)):
            yield b"".join([self._serializer.one(row.encode()) + b"\n" for _, row in rows])
            last = rows[-1][0]

    async def summary(self) -> dict[str, Any]:
        return await self._connections.read_in_thread(self._summary)

    def _summary(self, connection: sqlite3.Connection) -> dict[str, Any]:
        numbers = [column for column in self._table.columns if column.is_number]
        selected = ", ".join(["count(*)", *map(statements.figures, numbers)])
        found = iter(connection.execute(f"SELECT {selected} FROM {statements.quoted(self._table.name)}").fetchone())
        summary: dict[str, Any] = {"count": next(found)}
        for column in self._table.columns:
            if column.is_number:
                summary[column.name] = _figures(column, found)
            elif column.is_counted:
                counts = connection.execute(statements.most_used(self._table, column)).fetchall()
                is_bool = column.kind == "bool" and not column.is_list
                summary[column.name] = [
                    {"value": bool(value) if is_bool else value, "count": count} for value, count in counts
                ]
        return summary

    def _page_statement(self, filters: Mapping[str, Any], expand: Sequence[str]) -> str:
        if expand:
            return self._sql.page_of(list(filters), expand)
        for name in filters:
            return self._sql.filtered_pages[name]
        return self._sql.page

    def _values(self, row: Row) -> list[Any]:
        values = list(self._raw_values(row))
        for place, convert in self._converted:
            if values[place] is not None:
                values[place] = convert(values[place])
        return values

    def _converted_value(self, name: str, value: Any) -> Any:
        convert = self._converters.get(name)
        return value if convert is None or value is None else convert(value)

    def _filter_value(self, name: str, value: Any) -> Any:
        convert = self._filter_converters.get(name)
        return value if convert is None else convert(value)

    def _checked(self, connection: sqlite3.Connection, row_id: UUID, if_match: str) -> bytes:
        """Return the row as it is in the database if the header names it."""
        found = connection.execute(self._sql.get, (str(row_id),)).fetchall()
        if not found:
            raise self._not_found(row_id)
        document = document_of(self._serializer.one(found[0][0].encode()))
        if not matches(if_match, document.etag):
            raise PreconditionFailed(f"The {self._table.noun} {row_id} is no longer the one that If-Match names.")
        return document.body

    def _delete(self, connection: sqlite3.Connection, row_id: UUID) -> None:
        try:
            if not connection.execute(self._sql.delete, (str(row_id),)).rowcount:
                raise self._not_found(row_id)
        except sqlite3.IntegrityError as error:
            raise self._referenced(connection, error, row_id) from None

    def _not_found(self, row_id: UUID) -> NotFound:
        return NotFound(f"No {self._table.noun} has the id {row_id}.")

    def _referenced(
        self, connection: sqlite3.Connection, error: sqlite3.IntegrityError, row_id: UUID
    ) -> Exception:
        sql = self._dependents.refusing
        found = connection.execute(sql, (str(row_id),)).fetchone() if sql else None
        if found is None:
            # A table that is none of the service's resources.
            return error
        table, column, referring = found
        noun = self._dependents.nouns[table]
        return Referenced(
            f"The {self._table.noun} {row_id} cannot be removed: the {column} of the {noun} {referring} refers to it."
        )

    def _refusal(
        self,
        connection: sqlite3.Connection,
        error: sqlite3.IntegrityError,
        rows: Sequence[Mapping[str, Any]],
        *,
        is_batch: bool = False,
    ) -> Exception:
        """Return the error to raise: SQLite names neither the value nor, of a reference, the column.

        Rows of a batch before the one that is refused are still in the table.
        """
        refusals = {
            sqlite3.SQLITE_CONSTRAINT_UNIQUE: self._taken,
            sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: self._missing_reference,
        }
        find = refusals.get(error.sqlite_errorcode)
        if find is None:
            return error
        for place, row in enumerate(rows):
            if (refusal := find(connection, row, place if is_batch else None)) is not None:
                return refusal
        return error

    def _taken(self, connection: sqlite3.Connection, row: Mapping[str, Any], place: int | None) -> Exception | None:
        for column in self._unique:
            if (value := row.get(column.name)) is None:
                continue
            values = (self._converted_value(column.name, value), str(row["id"]))
            if connection.execute(statements.taken(self._table, column), values).fetchone():
                shown = repr(value) if isinstance(value, str) else value
                rest = "" if place is None else " Nothing was created."
                return Taken(f"The {column.name} {shown} is taken.{rest}", column.name)
        return None

    def _missing_reference(
        self, connection: sqlite3.Connection, row: Mapping[str, Any], place: int | None
    ) -> Exception | None:
        for column in self._table.references:
            if (value := row.get(column.name)) is None or column.reference is None:
                continue
            target = column.reference.to
            if not connection.execute(statements.exists(target), (str(value),)).fetchone():
                noun = self._tables[target].noun if target in self._tables else target
                return MissingReference(noun, column.name, value, place)
        return None


def _all_columns(table: Table) -> tuple[Column, ...]:
    return (statements.ID, *table.columns, statements.CREATED_AT, statements.UPDATED_AT)


def _figures(column: Column, found: Any) -> dict[str, Any]:
    """Return the figures of a number, of what `statements.figures` selects."""
    lowest, highest = next(found), next(found)
    if column.kind != "decimal":
        return {"min": lowest, "max": highest, "mean": next(found)}
    count, high, low = next(found), next(found), next(found)
    if not count:
        return {"min": None, "max": None, "mean": None}
    total = from_decimal(high * SUM_PART + low, column.places)
    mean = EXACT.divide(total, count).quantize(from_decimal(1, column.places), ROUND_HALF_UP, EXACT)
    exact = {"min": from_decimal(lowest, column.places), "max": from_decimal(highest, column.places), "mean": mean}
    return {name: f"{value:f}" for name, value in exact.items()}

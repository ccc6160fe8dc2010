"""A table in PostgreSQL. The database writes the JSON, in a third of the time that Python needs for a page."""

from collections.abc import AsyncIterator, Mapping, Sequence
from copy import copy
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import asyncpg

from app.forge.database.postgres_errors import CHANGED_AT_THE_SAME_TIME
from app.forge.database.postgres_pool import ConnectionPool
from app.forge.database.postgres_references import REFERENCE_ERRORS, Removals
from app.forge.database.postgres_statements import Statements, constraint_name, converter, one_of
from app.forge.errors import MissingReference, NotFound, PreconditionFailed, Taken, Unavailable
from app.forge.fields import EXACT, json_text
from app.forge.http.caching import matches
from app.forge.serializer import Serializer
from app.forge.store import Document, Row, document_of, page_of
from app.forge.table import Column, Table

if TYPE_CHECKING:
    # It makes the stores.
    from app.forge.database.postgres_transactions import Database, Transaction

# Sorts after every UUIDv7: where the first page starts.
AFTER_ALL_IDS = UUID(int=2**128 - 1)
EXPORT_CHUNK_ROWS = 1_000
# Of a removal that conflicted with another on the same rows.
DELETE_RETRIES = 3


class PostgresStore:
    """See `app.forge.store.Store`."""

    def __init__(
        self,
        table: Table,
        serializer: Serializer,
        pool: ConnectionPool,
        database: "Database",
        tables: Mapping[str, Table],
    ) -> None:
        self._table = table
        self._serializer = serializer
        self._pool = pool
        self._database = database
        self._tables = tables
        self._statements = Statements(table, tables)
        self._limited = cache(partial(Statements, table, tables))
        # The last value of statements, if the store is limited to an owner.
        self._owner: tuple[str, ...] = ()
        self._unique = {
            constraint_name(table.name, column.name, "key"): column
            for column in table.columns
            if column.is_unique
        }
        self._references = {
            constraint_name(table.name, column.name, "fkey"): column for column in table.references
        }
        # In the order of the columns, so that a set of filters has one statement.
        self._filters = {column.name: converter(one_of(column)) for column in table.columns}
        self._removals = Removals(tables)
        self._takes_others = self._removals.take_others(table)

    def of(self, owner: str, tables: frozenset[str]) -> "PostgresStore":
        if not tables:
            return self
        store = copy(self)
        vars(store).update(_statements=self._limited(tables), _owner=(owner,))
        return store

    async def get(self, row_id: UUID) -> Document:
        found = await self._pool.fetch(self._statements.get, row_id, *self._owner)
        if not found:
            raise NotFound.of(self._table.noun, row_id)
        return document_of(self._serializer.one(found[0][0].encode()))

    async def get_expanded(self, row_id: UUID, expand: Sequence[str]) -> Document:
        sql = self._statements.get_expanded(self._relations(expand))
        found = await self._pool.fetch(sql, row_id, *self._owner)
        if not found:
            raise NotFound.of(self._table.noun, row_id)
        return document_of(self._serializer.one_expanded(found[0][0].encode()))

    async def insert(self, row: Row, transaction: "Transaction | None" = None) -> Document:
        statements, connection = self._statements, transaction or self._pool
        await self._refuse_others([row])
        # In the order of the columns, as it will be read.
        row = {name: row[name] for name in statements.names}
        values = dict(row)
        for name, convert in statements.converters.items():
            values[name] = convert(values[name])
        try:
            inserted = await connection.fetch(statements.insert, *values.values())
        except asyncpg.IntegrityConstraintViolationError as error:
            self._refuse(error, row)
        return document_of(
            self._serializer.one(inserted[0][0].encode() if statements.insert_returns else row)
        )

    async def insert_many(self, rows: Sequence[Row]) -> None:
        await self._refuse_others(rows, is_batch=True)
        try:
            await self._pool.fetch(self._statements.insert_many, self._serializer.many(rows).decode())
        except asyncpg.IntegrityConstraintViolationError as error:
            await self._refuse_many(error, rows)

    async def update(
        self, row_id: UUID, changes: Mapping[str, Any], updated_at: datetime, if_match: str | None = None
    ) -> Document:
        await self._refuse_others([changes])
        if if_match is not None:
            return await self._update_version(row_id, changes, updated_at, if_match)
        values = (row_id, json_text(changes), updated_at, *self._owner)
        changed = await self._change(changes, self._statements.update, *values)
        if not changed:
            raise NotFound.of(self._table.noun, row_id)
        return document_of(self._serializer.one(changed[0][0].encode()))

    async def delete(self, row_id: UUID, if_match: str | None = None) -> None:
        try:
            if self._takes_others:
                await self._delete_with_others(row_id, if_match)
            elif if_match is not None:
                await self._delete_version(row_id, if_match)
            elif not await self._pool.fetch(self._statements.delete, row_id, *self._owner):
                raise NotFound.of(self._table.noun, row_id)
        except REFERENCE_ERRORS as error:
            raise self._removals.refusal(error, self._table, row_id) from None

    async def page(
        self, limit: int, after: UUID | None, filters: Mapping[str, Any], expand: Sequence[str]
    ) -> bytes:
        names = tuple(name for name in self._filters if name in filters) if filters else ()
        values = [
            filters[name] if (convert := self._filters[name]) is None else convert(filters[name])
            for name in names
        ]
        sql = self._statements.page(names, self._relations(expand) if expand else ())
        (page,) = await self._pool.fetch(sql, after or AFTER_ALL_IDS, limit, *values, *self._owner)
        many = self._serializer.many_expanded if expand else self._serializer.many
        return page_of(many(page[0].encode()), page[1])

    async def export(self) -> AsyncIterator[bytes]:
        last, sql = AFTER_ALL_IDS, self._statements.export
        one = self._serializer.one
        # Page by page, because a cursor would occupy a connection for as long as a slow client reads.
        while rows := await self._pool.fetch(sql, last, EXPORT_CHUNK_ROWS, *self._owner):
            yield b"".join([one(row.encode()) + b"\n" for _, row in rows])
            last = rows[-1][0]

    async def summary(self) -> dict[str, Any]:
        (found,) = await self._pool.fetch(self._statements.summary, *self._owner)
        values = iter(found)
        summary: dict[str, Any] = {"count": next(values)}
        for column in self._table.columns:
            if not column.is_number:
                continue
            lowest, highest, mean = next(values), next(values), next(values)
            if column.kind == "decimal":
                mean = _exact_mean(mean[0], mean[1], column.places)
            summary[column.name] = {"min": lowest, "max": highest, "mean": mean}
        for column in self._table.columns:
            if column.is_counted:
                pairs = zip(next(values) or (), next(values) or (), strict=True)
                summary[column.name] = [{"value": value, "count": count} for value, count in pairs]
        return summary

    def _relations(self, expand: Sequence[str]) -> tuple[str, ...]:
        return tuple(column.relation for column in self._table.references if column.relation in expand)

    async def _change(self, changes: Mapping[str, Any], sql: str, *values: object) -> list[Any]:
        try:
            return await self._pool.fetch(sql, *values)
        except asyncpg.IntegrityConstraintViolationError as error:
            self._refuse(error, changes)

    async def _update_version(
        self, row_id: UUID, changes: Mapping[str, Any], updated_at: datetime, if_match: str
    ) -> Document:
        sql, text = self._statements.update_version, json_text(changes)
        while True:
            document, version = await self._matching(row_id, if_match)
            if not changes:
                return document
            changed = await self._change(changes, sql, row_id, text, updated_at, version, *self._owner)
            if changed:
                return document_of(self._serializer.one(changed[0][0].encode()))
            # Another change came first: check the new state of the row.

    async def _delete_version(self, row_id: UUID, if_match: str) -> None:
        while True:
            _, version = await self._matching(row_id, if_match)
            if await self._pool.fetch(self._statements.delete_version, row_id, version, *self._owner):
                return

    async def _matching(self, row_id: UUID, if_match: str) -> tuple[Document, str]:
        """Return the row and its version, or raise `PreconditionFailed`."""
        found = await self._pool.fetch(self._statements.get_version, row_id, *self._owner)
        return self._checked(found, row_id, if_match)

    def _checked(self, found: Sequence[Any], row_id: UUID, if_match: str | None) -> tuple[Document, str]:
        if not found:
            raise NotFound.of(self._table.noun, row_id)
        document = document_of(self._serializer.one(found[0][0].encode()))
        if if_match is not None and not matches(if_match, document.etag):
            raise PreconditionFailed.of(self._table.noun, row_id)
        return document, found[0][1]

    async def _delete_with_others(self, row_id: UUID, if_match: str | None) -> None:
        async def work(transaction: "Transaction") -> None:
            # From here on no further row can refer to it.
            found = await transaction.fetch(self._statements.lock, row_id, *self._owner)
            self._checked(found, row_id, if_match)
            await self._removals.delete(transaction, self._table, row_id)

        await self._database.transact(work, retries=DELETE_RETRIES)

    async def _refuse_others(self, rows: Sequence[Mapping[str, Any]], *, is_batch: bool = False) -> None:
        """Raise `MissingReference` for a reference to a row that does not exist for the owner."""
        # Before the write: the owner of a row never changes.
        for name, sql in self._statements.referable.items():
            values = [row.get(name) for row in rows]
            found = await self._pool.fetch(sql, values, *self._owner)
            if found:
                (place,) = found[0]
                raise self._missing(self._table.column(name), values[place], place if is_batch else None)

    async def _refuse_many(
        self, error: asyncpg.IntegrityConstraintViolationError, rows: Sequence[Row]
    ) -> NoReturn:
        """Raise the error for clients, with the first row of the batch that is refused."""
        name = error.constraint_name
        column = self._unique.get(name) or self._references.get(name)
        if column is None:
            raise error
        is_unique = name in self._unique
        sql = self._statements.taken(column) if is_unique else self._statements.missing(column)
        owner = self._owner if sql in self._statements.referable.values() else ()
        values = [row[column.name] for row in rows]
        convert = self._statements.converters.get(column.name)
        given = values if convert is None else [convert(value) for value in values]
        found = await self._pool.fetch(sql, given, *owner)
        if not found:
            # The other row has appeared or disappeared since.
            raise Unavailable(CHANGED_AT_THE_SAME_TIME) from error
        index = found[0][0]
        if is_unique:
            raise Taken.of(column.name, values[index]) from None
        raise self._missing(column, values[index], index) from None

    def _missing(self, column: Column, value: object, index: int | None = None) -> MissingReference:
        assert column.reference is not None
        target = self._tables.get(column.reference.to)
        noun = target.noun if target is not None else column.reference.to
        return MissingReference(noun, column.name, value, index)

    def _refuse(
        self, error: asyncpg.IntegrityConstraintViolationError, values: Mapping[str, Any]
    ) -> NoReturn:
        """Raise the error for clients; for a constraint that the table does not have, the violation itself."""
        name = error.constraint_name
        if (column := self._unique.get(name)) is not None:
            raise Taken.of(column.name, values[column.name]) from None
        if (column := self._references.get(name)) is not None:
            raise self._missing(column, values[column.name]) from None
        raise error


def _exact_mean(total: Decimal | None, count: Decimal, places: int) -> str | None:
    """Return the mean, rounded half up to the places."""
    if total is None:
        return None
    units = int(total.scaleb(places, EXACT))
    rounded = (2 * abs(units) + int(count)) // (2 * int(count))
    mean = Decimal(rounded if units >= 0 else -rounded).scaleb(-places, EXACT)
    return f"{mean:f}"

"""A table in MongoDB: a collection of documents, each of them a row."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from pymongo import DESCENDING, ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from app.forge.database.mongodb_documents import Documents
from app.forge.database.mongodb_driver import Collection, Document, Session, aggregate
from app.forge.database.mongodb_errors import taken_field
from app.forge.database.mongodb_operations import Operations
from app.forge.database.mongodb_references import References
from app.forge.database.mongodb_summary import summary_of, summary_pipeline
from app.forge.database.transactions import TransactionScope
from app.forge.errors import NotFound, PreconditionFailed, Taken
from app.forge.http.caching import matches
from app.forge.serializer import Serializer
from app.forge.store import Document as Answer
from app.forge.store import Row, document_of, page_of
from app.forge.table import OWNER, Table

Tell = Callable[[TransactionScope], Awaitable[None]]

NEWEST_FIRST = {"_id": DESCENDING}
EXPORT_CHUNK_ROWS = 1_000
# No column's name starts like this.
EXPANDED = "_expanded_"


class MongoStore:
    """See `app.forge.store.Store`."""

    def __init__(
        self,
        table: Table,
        serializer: Serializer,
        operations: Operations,
        references: References,
        tell: Tell,
    ) -> None:
        self._table = table
        self._serializer = serializer
        self._operations = operations
        self._answer = operations.answer
        self._references = references
        self._documents = Documents(table)
        self._tell = tell
        self._rows: Collection = operations.database[table.name]
        self._on_primary: Collection = operations.primary[table.name]
        self._relations = {column.relation: column for column in table.references}
        self._referred = {
            relation: Documents(operations.tables[column.reference.to])
            for relation, column in self._relations.items()
            if column.reference is not None
        }
        self._is_referred_to = references.has_to(table)
        self._summary = summary_pipeline(table)
        # The tables in which the owner sees no rows of others.
        self._limited = frozenset[str]()
        self._owner = ""
        # The condition for all rows that exist for the caller.
        self._own: Document = {}

    def of(self, owner: str, tables: frozenset[str]) -> "MongoStore":
        if not tables:
            return self
        store = copy(self)
        own = {OWNER: owner} if self._table.name in tables else {}
        vars(store).update(_limited=tables, _owner=owner, _own=own)
        return store

    async def get(self, row_id: UUID) -> Answer:
        # The whole document: a projection costs more to send than it saves.
        found = await self._answer(self._rows.find_one, {"_id": row_id, **self._own})
        if found is None:
            raise NotFound.of(self._table.noun, row_id)
        return self._answered(found)

    async def get_expanded(self, row_id: UUID, expand: Sequence[str]) -> Answer:
        pipeline = [{"$match": {"_id": row_id, **self._own}}, *self._lookups(expand)]
        found = await self._answer(aggregate, self._rows, pipeline)
        if not found:
            raise NotFound.of(self._table.noun, row_id)
        return document_of(self._serializer.one_expanded(self._expanded(found[0], expand)))

    async def insert(self, row: Row) -> Answer:
        with self._taken_values(row):
            await self._answer(self._insert, row)
        return document_of(self._serializer.one(row))

    async def insert_in(self, session: Session, row: Row) -> Answer:
        """Insert the row within the session's transaction, and return it. Raises `Taken` or `MissingReference`."""
        with self._taken_values(row):
            await self._insert_checked(row, session)
        return document_of(self._serializer.one(row))

    async def insert_many(self, rows: Sequence[Row]) -> None:
        try:
            await self._answer(self._insert_all, rows)
        except BulkWriteError as error:
            (fault, *_) = error.details["writeErrors"] or [{}]
            field = taken_field(self._table, fault)
            if field is None:
                raise
            raise Taken.of(field, rows[fault["index"]][field]) from None

    async def update(
        self, row_id: UUID, changes: Mapping[str, Any], updated_at: datetime, if_match: str | None = None
    ) -> Answer:
        with self._taken_values(changes):
            changed = await self._answer(self._update, row_id, changes, updated_at, if_match)
        return self._answered(changed)

    async def delete(self, row_id: UUID, if_match: str | None = None) -> None:
        await self._answer(self._delete, row_id, if_match)

    async def page(
        self, limit: int, after: UUID | None, filters: Mapping[str, Any], expand: Sequence[str]
    ) -> bytes:
        wanted = self._documents.wanted(filters) | self._own
        # One row more than requested shows whether there is a next page.
        if expand:
            found = await self._newest_expanded(wanted, after, limit + 1, expand)
            rows = [self._expanded(document, expand) for document in found[:limit]]
            shown = self._serializer.many_expanded(rows)
        else:
            found = await self._newest(wanted, after, limit + 1)
            rows = list(map(self._documents.row, found[:limit]))
            shown = self._serializer.many(rows)
        return page_of(shown, rows[-1]["id"] if len(found) > limit else None)

    async def export(self) -> AsyncIterator[bytes]:
        last: UUID | None = None
        # Page by page, because the server closes a cursor that a slow client leaves idle for ten minutes.
        while found := await self._newest(self._own, last, EXPORT_CHUNK_ROWS):
            rows = map(self._documents.row, found)
            yield b"".join([self._serializer.one(row) + b"\n" for row in rows])
            last = found[-1]["_id"]

    async def summary(self) -> dict[str, Any]:
        (found,) = await self._answer(aggregate, self._rows, [{"$match": self._own}, *self._summary])
        return summary_of(self._table, self._documents, found)

    def _visible(self, table: str) -> Document:
        return {OWNER: self._owner} if table in self._limited else {}

    def _answered(self, found: Document) -> Answer:
        return document_of(self._serializer.one(self._documents.row(found)))

    @contextmanager
    def _taken_values(self, values: Mapping[str, Any]) -> Iterator[None]:
        try:
            yield
        except DuplicateKeyError as error:
            field = taken_field(self._table, error.details)
            if field is None:
                raise
            raise Taken.of(field, values.get(field)) from None

    def _refers(self, values: Mapping[str, Any]) -> bool:
        return any(values.get(column.name) is not None for column in self._relations.values())

    async def _insert(self, row: Row) -> None:
        if self._refers(row):
            await self._operations.write_together(partial(self._insert_checked, row))
        else:
            await self._operations.prepare()
            await self._insert_one(self._documents.document(row), None)

    async def _insert_checked(self, row: Row, session: Session | None) -> None:
        await self._references.check(self._table, [row], session, self._visible)
        await self._insert_one(self._documents.document(row), session)

    async def _insert_one(self, document: Document, session: Session | None) -> None:
        try:
            await self._rows.insert_one(document, session=session)
        except DuplicateKeyError:
            if session is not None:
                raise
            # The drivers repeat a write whose connection failed. MongoDB recognizes it; another server that speaks
            # its protocol may not, and then it is this very row that has the value.
            if await self._on_primary.find_one({"_id": document["_id"]}, ["_id"]) is None:
                raise

    async def _insert_all(self, rows: Sequence[Row]) -> None:
        documents = list(map(self._documents.document, rows))

        async def write(session: Session | None) -> None:
            await self._references.check(self._table, rows, session, self._visible, is_batch=True)
            await self._insert_documents(documents, session)

        await self._operations.write_together(write)

    async def _insert_documents(self, documents: list[Document], session: Session | None) -> None:
        # A standalone server has no transactions, and stops at the first duplicate value. The rows that it inserted
        # before are deleted again; others may see them until then, and they stay if the server dies at this moment.
        try:
            await self._rows.insert_many(documents, session=session)
        except PyMongoError:
            if session is None:
                await self._rows.delete_many({"_id": {"$in": [document["_id"] for document in documents]}})
            raise

    async def _update(
        self, row_id: UUID, changes: Mapping[str, Any], updated_at: datetime, if_match: str | None
    ) -> Document:
        values = {**self._documents.stored(changes), "updated_at": updated_at} if changes else {}
        if not self._refers(changes):
            await self._operations.prepare()
            return await self._change(row_id, values, if_match, None)

        async def write(session: Session | None) -> Document:
            await self._references.check(self._table, [changes], session, self._visible)
            return await self._change(row_id, values, if_match, session)

        return await self._operations.write_together(write)

    async def _change(
        self, row_id: UUID, values: Document, if_match: str | None, session: Session | None
    ) -> Document:
        while True:
            wanted = await self._wanted(row_id, if_match, session)
            if values:
                changed: Document | None = await self._rows.find_one_and_update(
                    wanted, {"$set": values}, return_document=ReturnDocument.AFTER, session=session
                )
            else:
                changed = await self._on_primary.find_one(wanted, session=session)
            if changed is not None:
                return changed
            self._refuse_unless_conditional(row_id, if_match)

    async def _wanted(self, row_id: UUID, if_match: str | None, session: Session | None) -> Document:
        """Return the query for the row, if it is still the one that `if_match` names."""
        wanted = {"_id": row_id, **self._own}
        if if_match is None:
            return wanted
        found = await self._on_primary.find_one(wanted, session=session)
        if found is None:
            raise NotFound.of(self._table.noun, row_id)
        if not matches(if_match, self._answered(found).etag):
            raise PreconditionFailed.of(self._table.noun, row_id)
        return self._documents.same(found)

    def _refuse_unless_conditional(self, row_id: UUID, if_match: str | None) -> None:
        # With a condition, the row has changed since it was read, and is read again.
        if if_match is None:
            raise NotFound.of(self._table.noun, row_id)

    async def _delete(self, row_id: UUID, if_match: str | None) -> None:
        if not self._is_referred_to:
            await self._remove(row_id, if_match, None)
            return
        others = TransactionScope()

        async def write(session: Session | None) -> None:
            # Before anything else is deleted: without transactions it could not be restored.
            wanted = await self._wanted(row_id, if_match, session)
            if self._own and await self._on_primary.find_one(wanted, ["_id"], session=session) is None:
                raise NotFound.of(self._table.noun, row_id)
            together = await self._references.together(self._table, row_id, session)
            others.changed_rows += together.rows()
            await self._references.remove(self._table, row_id, together, session)
            await self._remove(row_id, if_match, session)

        try:
            await self._operations.write_together(write)
        finally:
            # After a failure, too: a write without a confirmation may have succeeded.
            await self._tell(others)

    async def _remove(self, row_id: UUID, if_match: str | None, session: Session | None) -> None:
        while True:
            wanted = await self._wanted(row_id, if_match, session)
            deleted = await self._rows.delete_one(wanted, session=session)
            if deleted.deleted_count:
                return
            self._refuse_unless_conditional(row_id, if_match)

    async def _newest(self, wanted: Document, after: UUID | None, limit: int) -> list[Document]:
        # Without a batch size, the server sends 101 documents and waits to be asked for the others.
        found = self._rows.find(wanted | _older(after), sort=NEWEST_FIRST, limit=limit, batch_size=limit)
        return await self._answer(found.to_list, None)

    async def _newest_expanded(
        self, wanted: Document, after: UUID | None, limit: int, expand: Sequence[str]
    ) -> list[Document]:
        pipeline: list[Document] = [
            {"$match": wanted | _older(after)},
            {"$sort": NEWEST_FIRST},
            {"$limit": limit},
            *self._lookups(expand),
        ]
        return await self._answer(aggregate, self._rows, pipeline, batchSize=limit + 1)

    def _lookups(self, expand: Sequence[str]) -> list[Document]:
        return [
            {
                "$lookup": {
                    "from": column.reference.to,
                    "localField": column.name,
                    "foreignField": "_id",
                    "as": EXPANDED + relation,
                }
            }
            for relation, column in self._relations.items()
            if relation in expand and column.reference is not None
        ]

    def _expanded(self, document: Document, expand: Sequence[str]) -> Row:
        found = {
            relation: document.pop(EXPANDED + relation) for relation in self._referred if relation in expand
        }
        row = self._documents.row(document)
        for relation, referred in found.items():
            seen = [each for each in referred if self._is_visible(relation, each)]
            row[relation] = self._referred[relation].row(seen[0]) if seen else None
        return row

    def _is_visible(self, relation: str, document: Document) -> bool:
        # Not in the lookup: MongoDB before 5.0 takes no condition there.
        reference = self._relations[relation].reference
        assert reference is not None
        return document.items() >= self._visible(reference.to).items()


def _older(after: UUID | None) -> Document:
    return {} if after is None else {"_id": {"$lt": after}}

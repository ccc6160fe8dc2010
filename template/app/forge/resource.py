"""A resource: the parts that its folder in `app/` contributes to the service, and what its rules can do."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from uuid_utils.compat import uuid7

from app.forge.database import Database
from app.forge.errors import Taken
from app.forge.serializer import Serializer
from app.forge.store import Document, Row, Store, document_of
from app.forge.table import OWNER, Table

Draft = TypeVar("Draft", bound=BaseModel)
Changes = TypeVar("Changes", bound=Mapping[str, Any])

# To make the rules for a caller takes longer than a cached read.
CALLERS_KEPT = 1_000


def now() -> datetime:
    """Return the time in UTC, cut to milliseconds: the precision that every database keeps."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1_000 * 1_000)


class Collection(Generic[Draft, Changes]):
    """All rows of a resource. Its rules extend this class: override what differs, call `super()` for the rest.

    Methods raise the errors of `app.forge.errors`: `NotFound`, `Taken`, `MissingReference`, `Referenced`,
    `PreconditionFailed` and `Unavailable`. `if_match` is the header of the request, None if it has none.
    """

    def __init__(self, table: Table, store: Store, database: Database) -> None:
        self.table = table
        self.store = store
        # For transactions of your own: `await self.database.transact(work)`.
        self.database = database
        # What new rows have besides their draft. Without a caller, they belong to no one.
        self._made = {OWNER: ""} if table.is_owned else {}
        self._of: Callable[[str, frozenset[str]], Any] = lru_cache(CALLERS_KEPT)(self._limited)

    def of(self, owner: str, tables: frozenset[str]) -> Self:
        """Return the rules for a caller: new rows get this owner, and in these tables, rows of others do not exist."""
        rules: Self = self._of(owner, tables)
        return rules

    def _limited(self, owner: str, tables: frozenset[str]) -> Self:
        rules = copy(self)
        vars(rules).update(store=self.store.of(owner, tables), _made={OWNER: owner})
        return rules

    async def create(self, draft: Draft) -> tuple[UUID, Document]:
        """Return the id and the document of the new row."""
        row = self.new_row(draft, now())
        return row["id"], await self.store.insert(row)

    async def create_many(self, drafts: Sequence[Draft]) -> int:
        """Return how many rows were created: all, in one round trip, or none and an error."""
        created_at = now()
        rows = [self.new_row(draft, created_at) for draft in drafts]
        self._refuse_repeated_values(rows)
        await self.store.insert_many(rows)
        return len(rows)

    async def get(self, row_id: UUID, expand: Sequence[str] = ()) -> Document:
        """Return the row; with `expand`, the rows that these relations refer to are in it."""
        if expand:
            return await self.store.get_expanded(row_id, expand)
        return await self.store.get(row_id)

    async def change(self, row_id: UUID, changes: Changes, if_match: str | None = None) -> Document:
        """Return the row after the change; without any changes, the row as it is."""
        if not changes and if_match is None:
            return await self.store.get(row_id)
        return await self.store.update(row_id, changes, now(), if_match)

    async def remove(self, row_id: UUID, if_match: str | None = None) -> None:
        """Remove the row."""
        await self.store.delete(row_id, if_match)

    async def page(
        self, limit: int, after: UUID | None, filters: Mapping[str, Any], expand: Sequence[str] = ()
    ) -> Document:
        """Return at most `limit` rows older than `after`, newest first; filters that are None do not count."""
        given = {name: value for name, value in filters.items() if value is not None}
        return document_of(await self.store.page(limit, after, given, expand))

    def export(self) -> AsyncIterator[bytes]:
        """Yield all rows as newline-delimited JSON, in chunks of bounded size."""
        return self.store.export()

    async def summary(self) -> dict[str, Any]:
        """Return all rows in figures, see `Store.summary`."""
        return await self.store.summary()

    def new_row(self, draft: Draft, created_at: datetime) -> Row:
        """Return the draft as a row with a new id; ids ascend in the order of creation."""
        return {
            "id": uuid7(),
            **self._made,
            **draft.__dict__,
            "created_at": created_at,
            "updated_at": created_at,
        }

    def _refuse_repeated_values(self, rows: Sequence[Row]) -> None:
        for column in self.table.columns:
            if not column.is_unique:
                continue
            seen = set()
            for value in (row[column.name] for row in rows if row[column.name] is not None):
                if value in seen:
                    raise Taken(f"The {column.name} {value!r} occurs twice in the batch.", column.name)
                seen.add(value)


@dataclass(frozen=True)
class Resource:
    """The routes, table, rules and response models of one resource. `app/resources.py` lists all resources."""

    router: APIRouter
    table: Table
    rules: type[Collection[Any, Any]]
    model: type[BaseModel]
    # The model including what `?expand=` adds, if the table has references.
    expanded: type[BaseModel] | None = None

    @property
    def tag(self) -> dict[str, Any]:
        """The tag of the resource in the OpenAPI document."""
        name = self.router.tags[0]
        return {"name": name, "description": f"Create, read, change, remove and list {name}."}

    def serializer(self) -> Serializer:
        """Return a serializer for the rows."""
        return Serializer(self.model, self.expanded or self.model)

"""The interface of a table in any database, and what it takes and returns: rows and documents."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from app.forge.http.caching import entity_tag

# A row as Python values by column name, including `id`, `created_at` and `updated_at`: UUID, datetime (UTC, in
# milliseconds), date, Decimal, str, int, float, bool, list, None, and any JSON value for `json`.
Row = dict[str, Any]
# A row as read from the database: JSON if the database serializes it faster than Python, otherwise a `Row`.
Stored = Row | bytes
# Many rows: one JSON array, or a sequence of `Row`.
StoredRows = Sequence[Row] | bytes
# Encoded as they are sent, names in lower case.
Headers = tuple[tuple[bytes, bytes], ...]


class Document(NamedTuple):
    """A row or a page of rows as JSON, with its entity tag and headers such as `X-Cache`."""

    body: bytes
    etag: str
    headers: Headers = ()


def document_of(body: bytes) -> Document:
    """Return a document with this JSON and its entity tag."""
    return Document(body, entity_tag(body))


def page_of(rows: bytes, next_cursor: UUID | None) -> bytes:
    """Return a page as JSON, around a JSON array of its rows."""
    cursor = b"null" if next_cursor is None else b'"%s"' % str(next_cursor).encode()
    return b'{"items":%s,"next":%s}' % (rows, cursor)


class Store(Protocol):
    """The rows of one table.

    All methods raise `Unavailable` if the database does not respond in time. Methods with `if_match`, the value of
    the `If-Match` header, raise `PreconditionFailed` if it does not name the row's current entity tag.
    """

    def of(self, owner: str, tables: frozenset[str], /) -> "Store":
        """Return the store for an owner: in these tables, rows of others do not exist.

        They are not found, changed, listed or counted, not put into other rows, and cannot be referred to.
        """

    async def get(self, row_id: UUID, /) -> Document:
        """Return the row, or raise `NotFound`."""

    async def get_expanded(self, row_id: UUID, expand: Sequence[str], /) -> Document:
        """Return the row with the rows that these relations refer to, in one statement, or raise `NotFound`."""

    async def insert(self, row: Row, /) -> Document:
        """Insert the row and return it. Raises `Taken` or `MissingReference`."""

    async def insert_many(self, rows: Sequence[Row], /) -> None:
        """Insert all rows, or insert none and raise `Taken` or `MissingReference`."""

    async def update(
        self, row_id: UUID, changes: Mapping[str, Any], updated_at: datetime, if_match: str | None = None, /
    ) -> Document:
        """Return the row after the change. Raises `NotFound`, `Taken` or `MissingReference`."""

    async def delete(self, row_id: UUID, if_match: str | None = None, /) -> None:
        """Delete the row and apply the `on_delete` of references to it. Raises `NotFound` or `Referenced`."""

    async def page(
        self, limit: int, after: UUID | None, filters: Mapping[str, Any], expand: Sequence[str], /
    ) -> bytes:
        """Return a page as JSON: at most `limit` rows older than `after` that match all filters, newest first.

        A filter is the value of a column, or one element of a list column.
        """

    def export(self) -> AsyncIterator[bytes]:
        """Yield all rows as newline-delimited JSON, in chunks of bounded size."""

    async def summary(self) -> dict[str, Any]:
        """Return the number of rows as `count`, and statistics under each column's name.

        Numbers have `{"min", "max", "mean"}`, all None if no row has a value. Enums, booleans and lists have their ten
        most frequent values as a list of `{"value", "count"}`, most frequent first, ties ordered by value.
        """

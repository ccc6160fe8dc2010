"""What every database offers for a table, and the shapes that pass through."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from app.forge.documents import Document

# A row as Python values, by the columns' names, with `id`, `created_at` and `updated_at`: UUID, datetime in UTC with
# millisecond precision, date, Decimal, str, int, float, bool, list, None, and any JSON value for `json`.
Row = dict[str, Any]
# A row as its database has it: JSON if the database writes it faster than Python, else a row.
Stored = Row | bytes
# Many of them: one JSON array, or rows.
StoredRows = Sequence[Row] | bytes


class Store(Protocol):
    """The rows of one table.

    All methods raise `Unavailable` if the database does not answer in time. Methods with `if_match` raise
    `PreconditionFailed` if it is the header `If-Match` and names no entity tag of the row as the database has it.
    """

    async def get(self, row_id: UUID, /) -> Document:
        """Return the row, or raise `NotFound`."""

    async def get_expanded(self, row_id: UUID, expand: Sequence[str], /) -> Document:
        """Return the row with the rows that these relations refer to, in one statement, or raise `NotFound`."""

    async def insert(self, row: Row, /) -> Document:
        """Add the row and return it. Raises `Taken` or `MissingReference`."""

    async def insert_many(self, rows: Sequence[Row], /) -> None:
        """Add all rows at once, or none and raise `Taken` or `MissingReference`."""

    async def update(
        self, row_id: UUID, changes: Mapping[str, Any], updated_at: datetime, if_match: str | None = None, /
    ) -> Document:
        """Return the row after the change. Raises `NotFound`, `Taken` or `MissingReference`."""

    async def delete(self, row_id: UUID, if_match: str | None = None, /) -> None:
        """Remove the row, and do what references to it say. Raises `NotFound` or `Referenced`."""

    async def page(
        self, limit: int, after: UUID | None, filters: Mapping[str, Any], expand: Sequence[str], /
    ) -> bytes:
        """Return a page as JSON: at most `limit` rows older than `after` that match all filters, newest first.

        A filter is a column's value, or what a column of lists contains.
        """

    def export(self) -> AsyncIterator[bytes]:
        """Yield all rows as newline-delimited JSON, in chunks of bounded size."""

    async def summary(self) -> dict[str, Any]:
        """Return the `count` of the rows, and under the columns' names figures of what they hold.

        For a number `{"min", "max", "mean"}`, all None if no row has one; for words, booleans and lists the ten values
        used most, as a list of `{"value", "count"}`, used most first, then in the order of the values.
        """

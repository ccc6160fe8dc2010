"""What every database adapter offers, and the shapes that pass through it."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypedDict
from uuid import UUID

from app.items.documents import ItemDocument
from app.items.models import ItemChanges


class ItemRow(TypedDict):
    """An item as Python values; times are UTC with millisecond precision."""

    id: UUID
    name: str
    description: str | None
    price_cents: int
    tags: list[str]
    created_at: datetime
    updated_at: datetime


# An item as its store has it: JSON where the database writes it faster than Python, else a row.
StoredItem = ItemRow | bytes
# Many of them: one JSON array, or rows.
StoredItems = Sequence[ItemRow] | bytes


class PriceFigures(NamedTuple):
    """How many items there are, and their lowest, highest and mean price in cents."""

    items: int
    lowest: int | None
    highest: int | None
    mean: float | None


class ItemStore(Protocol):
    """Items in a database. Every adapter passes tests/test_item_store.py.

    All methods raise `Unavailable` when the database does not answer in time.
    """

    async def get(self, item_id: UUID) -> ItemDocument:
        """Return the item, or raise `NotFound`."""

    async def insert(self, row: ItemRow) -> None:
        """Add the item, or raise `NameTaken`."""

    async def insert_many(self, rows: Sequence[ItemRow]) -> None:
        """Add all items in one round trip, or none and raise `NameTaken`."""

    async def update(self, item_id: UUID, changes: ItemChanges, updated_at: datetime) -> ItemDocument:
        """Return the item after the change, or raise `NotFound` or `NameTaken`."""

    async def delete(self, item_id: UUID) -> None:
        """Remove the item, or raise `NotFound`."""

    async def page(self, limit: int, after: UUID | None, tag: str | None) -> bytes:
        """Return an `ItemPage` as JSON: at most `limit` items older than `after`, newest first."""

    def export(self) -> AsyncIterator[bytes]:
        """Yield all items as newline-delimited JSON, in chunks of bounded size."""

    async def prices(self) -> PriceFigures:
        """Return the count of the items and their lowest, highest and mean price."""

    async def top_tags(self, limit: int) -> list[tuple[str, int]]:
        """Return the tags used most with their counts, most used first, then by name."""

    async def ping(self) -> None:
        """Return when the database answers and has the items' table."""

"""What can be done with items, whatever keeps them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from app.forge.errors import NameTaken
from app.items.documents import ItemDocument, item_document
from app.items.models import ItemChanges, ItemDraft, ItemSummary, PriceRange, TagCount
from app.items.store import ItemRow, ItemStore
from app.forge.serializer import item_json

TOP_TAGS = 10


def now() -> datetime:
    """Return the time in UTC, cut to milliseconds: the precision that every database keeps."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1_000 * 1_000)


def new_row(draft: ItemDraft, created_at: datetime) -> ItemRow:
    """Return the draft as an item with an id of its own; ids ascend in the order they are made."""
    return {
        "id": uuid7(),
        "name": draft.name,
        "description": draft.description,
        "price_cents": draft.price_cents,
        "tags": draft.tags,
        "created_at": created_at,
        "updated_at": created_at,
    }


def refuse_repeated_names(drafts: Sequence[ItemDraft]) -> None:
    """Raise `NameTaken` where two drafts have one name."""
    names: set[str] = set()
    for draft in drafts:
        if draft.name in names:
            raise NameTaken(f"The name {draft.name!r} occurs twice in the batch.")
        names.add(draft.name)


class ItemService:
    """The rules for items. Methods raise `NotFound`, `NameTaken` and `Unavailable` from app.forge.errors."""

    def __init__(self, store: ItemStore) -> None:
        self._store = store

    async def create(self, draft: ItemDraft) -> tuple[UUID, ItemDocument]:
        """Return the id and the document of the new item."""
        row = new_row(draft, now())
        await self._store.insert(row)
        return row["id"], item_document(item_json(row))

    async def create_many(self, drafts: Sequence[ItemDraft]) -> int:
        """Return how many items were created: all, in one round trip, or none and an error."""
        refuse_repeated_names(drafts)
        created_at = now()
        await self._store.insert_many([new_row(draft, created_at) for draft in drafts])
        return len(drafts)

    async def get(self, item_id: UUID) -> ItemDocument:
        """Return the item."""
        return await self._store.get(item_id)

    async def change(self, item_id: UUID, changes: ItemChanges) -> ItemDocument:
        """Return the item after the change; without any changes, the item as it is."""
        if not changes:
            return await self._store.get(item_id)
        return await self._store.update(item_id, changes, now())

    async def remove(self, item_id: UUID) -> None:
        """Remove the item."""
        await self._store.delete(item_id)

    async def page(self, limit: int, after: UUID | None, tag: str | None) -> bytes:
        """Return an `ItemPage` as JSON."""
        return await self._store.page(limit, after, tag)

    def export(self) -> AsyncIterator[bytes]:
        """Yield all items as newline-delimited JSON, in chunks of bounded size."""
        return self._store.export()

    async def summary(self) -> ItemSummary:
        """Return all items in figures; the queries run at the same time."""
        prices, tags = await asyncio.gather(self._store.prices(), self._store.top_tags(TOP_TAGS))
        return ItemSummary(
            count=prices.items,
            price_cents=PriceRange(min=prices.lowest, max=prices.highest, mean=prices.mean),
            top_tags=[TagCount(tag=tag, count=count) for tag, count in tags],
        )

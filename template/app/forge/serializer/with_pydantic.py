"""JSON by Pydantic: every item is checked against the response model on its way out."""

from pydantic import TypeAdapter

from app.items.models import Item
from app.items.store import StoredItem, StoredItems

ITEM = TypeAdapter(Item)
ITEMS = TypeAdapter(list[Item])


def item_json(item: StoredItem) -> bytes:
    """Return one item as JSON, or raise `ValidationError` where it breaks the response model."""
    checked = ITEM.validate_json(item) if isinstance(item, bytes) else ITEM.validate_python(item)
    return ITEM.dump_json(checked)


def items_json(items: StoredItems) -> bytes:
    """Return many items as one JSON array, or raise `ValidationError` where one breaks the response model."""
    checked = ITEMS.validate_json(items) if isinstance(items, bytes) else ITEMS.validate_python(items)
    return ITEMS.dump_json(checked)

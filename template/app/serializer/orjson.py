"""JSON by orjson: items from the service's own database are trusted and go straight to bytes."""

import orjson

from app.items.store import StoredItem, StoredItems


def item_json(item: StoredItem) -> bytes:
    """Return one item as JSON."""
    return item if isinstance(item, bytes) else orjson.dumps(item, option=orjson.OPT_UTC_Z)


def items_json(items: StoredItems) -> bytes:
    """Return many items as one JSON array."""
    return items if isinstance(items, bytes) else orjson.dumps(items, option=orjson.OPT_UTC_Z)

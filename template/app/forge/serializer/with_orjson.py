"""JSON by orjson: items from the service's own database are trusted and go straight to bytes."""

import orjson
from pydantic_core import to_jsonable_python

from app.items.store import StoredItem, StoredItems


def item_json(item: StoredItem) -> bytes:
    """Return one item as JSON."""
    return item if isinstance(item, bytes) else _dumped(item)


def items_json(items: StoredItems) -> bytes:
    """Return many items as one JSON array."""
    return items if isinstance(items, bytes) else _dumped(items)


def _dumped(value: object) -> bytes:
    # Pydantic writes the types that orjson does not know, such as decimals and sets, as it reads them.
    return orjson.dumps(value, to_jsonable_python, orjson.OPT_UTC_Z)

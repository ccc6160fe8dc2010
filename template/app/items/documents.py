"""Answers ready to be sent: JSON that was made once, with its entity tag."""

from typing import NamedTuple
from uuid import UUID

from app.forge.http.caching import entity_tag

# As they are sent: names in lower case.
Headers = tuple[tuple[bytes, bytes], ...]


class ItemDocument(NamedTuple):
    """An item or a page of items as JSON, its entity tag, and headers that say where it came from."""

    body: bytes
    etag: str
    headers: Headers = ()


def item_document(body: bytes) -> ItemDocument:
    """Return the document of this JSON, with its entity tag."""
    return ItemDocument(body, entity_tag(body))


def page_document(items: bytes, next_cursor: UUID | None) -> bytes:
    """Return an `ItemPage` as JSON around a JSON array of items."""
    cursor = b"null" if next_cursor is None else b'"%s"' % str(next_cursor).encode()
    return b'{"items":%s,"next":%s}' % (items, cursor)

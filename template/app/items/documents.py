"""Answers ready to be sent: JSON that was made once, with its entity tag."""

from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

# As they are sent: names in lower case.
Headers = tuple[tuple[bytes, bytes], ...]


class ItemDocument(NamedTuple):
    """One item as JSON, its entity tag, and headers that say where it came from."""

    body: bytes
    etag: str
    headers: Headers = ()


def item_document(body: bytes) -> ItemDocument:
    """Return the document of this JSON; its entity tag is strong, a digest of every byte."""
    return ItemDocument(body, f'"{blake2b(body, digest_size=12).hexdigest()}"')


def page_document(items: bytes, next_cursor: UUID | None) -> bytes:
    """Return an `ItemPage` as JSON around a JSON array of items."""
    cursor = b"null" if next_cursor is None else b'"%s"' % str(next_cursor).encode()
    return b'{"items":%s,"next":%s}' % (items, cursor)


def etag_matches(if_none_match: str, etag: str) -> bool:
    """Return whether an If-None-Match header names the tag, by weak comparison (RFC 9110, section 13.1.2)."""
    if if_none_match.strip() in ("*", etag):
        return True
    return any(tag.strip().removeprefix("W/") == etag for tag in if_none_match.split(","))

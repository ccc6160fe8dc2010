"""Serialized JSON with its entity tag, ready to be sent."""

from typing import NamedTuple
from uuid import UUID

from app.forge.http.caching import entity_tag

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
